//! LDAP through the whole pipeline, over a directory in memory.

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_testkit::directory::SimDirectory;
use strongroom_testkit::{Got, TestNode};

const ANN: &str = "uid=ann,ou=people,dc=x";
const PASSWORD: &str = "c0rrect horse";

struct Room {
    node: TestNode,
    directory: Arc<SimDirectory>,
    accessor: String,
}

impl Room {
    /// A mount that looks for users with an account of its own.
    async fn new() -> Self {
        let directory = SimDirectory::new();
        directory.add("cn=keeper,dc=x", "keep", &[("cn", "keeper")]);
        directory.add(
            ANN,
            PASSWORD,
            &[("uid", "ann"), ("mail", "a@x"), ("userPrincipalName", "ann@x.example")],
        );
        directory.add("uid=bob,ou=people,dc=x", "b", &[("uid", "bob"), ("mail", "b@x")]);
        directory.add(
            "cn=Admins,ou=groups,dc=x",
            "",
            &[("cn", "Admins"), ("member", ANN), ("sid", "S-1-5-32-544")],
        );
        directory.add("cn=ops,ou=groups,dc=x", "", &[("cn", "ops"), ("memberUid", "ann")]);
        let specs = strongroom_system::specs().into_iter();
        let node = TestNode::start(specs.chain([super::spec(directory.clone())])).await;
        let accessor = node.mount("ldap", "auth/ldap/").await;
        let room = Self { node, directory, accessor };
        let config = json!({
            "url": "ldap://127.0.0.1:3389", "binddn": "cn=keeper,dc=x", "bindpass": "keep",
            "userdn": "ou=people,dc=x", "userattr": "UID", "groupdn": "ou=groups,dc=x",
        });
        room.must("config", config).await;
        room
    }

    async fn write(&self, path: &str, body: Value) -> Got {
        self.node.root("WRITE", &format!("auth/ldap/{path}"), body).await
    }

    async fn must(&self, path: &str, body: Value) -> Got {
        let got = self.write(path, body).await;
        assert!(got.status < 300, "{path}: {got:?}");
        got
    }

    async fn read(&self, path: &str) -> Got {
        self.node.root("READ", &format!("auth/ldap/{path}"), Value::Null).await
    }

    async fn list(&self, path: &str) -> Got {
        self.node.root("LIST", &format!("auth/ldap/{path}"), Value::Null).await
    }

    async fn login(&self, name: &str, password: &str) -> Got {
        let body = json!({ "password": password });
        self.node.call("WRITE", &format!("auth/ldap/login/{name}"), "", body).await
    }

    /// Ann's policies, without `default`.
    async fn policies(&self) -> Vec<String> {
        let got = self.login("ann", PASSWORD).await;
        assert_eq!(got.status, 200, "{got:?}");
        let policies = got.body["auth"]["token_policies"].as_array().unwrap().iter();
        policies.map(|p| p.as_str().unwrap().to_owned()).filter(|p| p != "default").collect()
    }

    async fn alias_of(&self, got: &Got) -> String {
        let services = self.node.services();
        let table = services.router.table().await.unwrap();
        let now = strongroom_base::Clock::now(&*self.node.clock);
        let token = services.tokens.check(&table, &got.token().into(), now).await;
        let token = token.unwrap().unwrap();
        let caller = services.caller(&table, token).await.unwrap().unwrap();
        caller.entity.as_ref().unwrap().view.entity.as_ref().unwrap().aliases[0].name.clone()
    }
}

#[tokio::test]
async fn the_configuration_has_vaults_defaults_and_shows_no_secret() {
    let directory = SimDirectory::new();
    let node = TestNode::start([super::spec(directory.clone())]).await;
    let accessor = node.mount("ldap", "auth/ldap/").await;
    let room = Room { node, directory, accessor };
    assert_eq!(
        *room.read("config").await.data(),
        json!({
            "url": "ldap://127.0.0.1", "userdn": "", "groupdn": "",
            "groupfilter": "(|(memberUid={{.Username}})(member={{.UserDN}})(uniqueMember={{.UserDN}}))",
            "groupattr": "cn", "userfilter": "({{.UserAttr}}={{.Username}})", "upndomain": "",
            "userattr": "cn", "certificate": "", "insecure_tls": false, "starttls": false,
            "binddn": "", "deny_null_bind": true, "discoverdn": false, "tls_min_version": "tls12",
            "tls_max_version": "tls12", "use_token_groups": false, "anonymous_group_search": false,
            "request_timeout": 90, "connection_timeout": 30, "username_as_alias": false,
            "dereference_aliases": "never", "max_page_size": 0, "case_sensitive_names": false,
            "use_pre111_group_cn_behavior": false, "token_bound_cidrs": [],
            "token_explicit_max_ttl": 0, "token_max_ttl": 0, "token_no_default_policy": false,
            "token_period": 0, "token_policies": [], "token_type": "default", "token_ttl": 0,
            "token_num_uses": 0, "token_strictly_bind_ip": false,
        })
    );
    let got = room.login("ann", PASSWORD).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "ldap backend not configured"));
    assert!(room.directory.take_asked().is_empty());
    let got = room.must("config", json!({ "url": "LDAP://A", "bindpass": "c4n4ry" })).await;
    assert_eq!(got.status, 204);
    room.must("config", json!({ "userattr": "sAMAccountName", "request_timeout": "5s" })).await;
    let got = room.read("config").await;
    assert_eq!(got.data()["url"], "ldap://a", "what is not given stays");
    assert_eq!(got.data()["userattr"], "samaccountname");
    assert_eq!(got.data()["request_timeout"], 5);
    assert!(!got.body.to_string().contains("c4n4ry"));
}

#[tokio::test]
async fn what_a_configuration_refuses() {
    let room = Room::new().await;
    for (body, text) in [
        (json!({ "url": "http://c4n4ry" }), "invalid url"),
        (json!({ "url": "ldap://a,c4n4ry" }), "invalid url"),
        (json!({ "url": vec!["ldap://a"; 17].join(",") }), "more than 16 servers"),
        (json!({ "tls_min_version": "cats" }), "invalid 'tls_min_version'"),
        (json!({ "tls_max_version": "cats" }), "invalid 'tls_max_version'"),
        (json!({ "tls_min_version": "tls13" }), "must be greater than or equal"),
        (
            json!({ "tls_min_version": "tls10", "tls_max_version": "tls11" }),
            "TLS before version 1.2 is not spoken",
        ),
        (json!({ "certificate": "c4n4ry" }), "failed to parse server tls cert"),
        (json!({ "client_tls_cert": "c4n4ry" }), "both client_tls_cert and client_tls_key"),
        (
            json!({ "client_tls_cert": "c4n4ry", "client_tls_key": "c4n4ry" }),
            "failed to parse client X509 key pair",
        ),
        (json!({ "dereference_aliases": "c4n4ry" }), "invalid 'dereference_aliases'"),
        (json!({ "userfilter": "({{.Nobody}}=x)" }), "invalid userfilter"),
        (json!({ "userfilter": "(uid=" }), "invalid userfilter"),
        (json!({ "groupfilter": "{{if}}" }), "invalid groupfilter"),
        (json!({ "groupfilter": "member={{.UserDN}}" }), "invalid groupfilter"),
        (json!({ "request_timeout": -1 }), "'request_timeout' cannot be negative"),
        (json!({ "token_type": "c4n4ry" }), "invalid 'token_type' value"),
    ] {
        let got = room.write("config", body.clone()).await;
        assert_eq!(got.status, 400, "{body}: {got:?}");
        assert!(got.errors().contains(text), "{body}: {got:?}");
        assert!(!got.errors().contains("c4n4ry"), "{got:?}");
    }
    let got = room.must("config", json!({ "userfilter": "(mail={{.Username}})" })).await;
    assert!(got.body["warnings"][0].as_str().unwrap().contains("colliding entity aliases"));
    let got = room.must("config", json!({ "userfilter": "", "deny_null_bind": false })).await;
    assert_eq!(got.status, 204, "as by the peers, though it has no effect");
    let got = room.must("config", json!({ "url": "ldaps://a,ldap://b", "bindpass": "keep" })).await;
    assert!(got.body["warnings"][0].as_str().unwrap().contains("clear text"));
    assert_eq!(room.must("config", json!({ "starttls": true })).await.status, 204);
}

#[tokio::test]
async fn groups_and_users_are_written_read_listed_and_deleted() {
    let room = Room::new().await;
    assert_eq!(room.list("groups").await.status, 404);
    assert_eq!(room.read("groups/admins").await.status, 404);
    let got = room.write("groups/Big Admins/x", json!({ "policies": "B,a" })).await;
    assert_eq!(got.status, 204);
    room.must("groups/none", json!({})).await;
    let got = room.read("groups/BIG admins/x").await;
    assert_eq!(*got.data(), json!({ "policies": ["a", "b"] }));
    assert_eq!(*room.read("groups/none").await.data(), json!({ "policies": [] }));
    assert_eq!(room.list("groups").await.data()["keys"], json!(["big admins/x", "none"]));
    room.must("users/Ann", json!({ "groups": "Z, a,z", "policies": ["p"] })).await;
    let got = room.read("users/ann").await;
    assert_eq!(*got.data(), json!({ "policies": ["p"], "groups": "a,z" }));
    assert_eq!(room.list("users").await.data()["keys"], json!(["ann"]));
    for path in ["users/ANN", "groups/NONE", "groups/big admins/x"] {
        let got = room.node.root("DELETE", &format!("auth/ldap/{path}"), Value::Null).await;
        assert_eq!(got.status, 204);
    }
    assert_eq!((room.list("users").await.status, room.list("groups").await.status), (404, 404));
}

#[tokio::test]
async fn a_login_gives_the_policies_of_user_and_groups() {
    let room = Room::new().await;
    room.must("groups/ADMINS", json!({ "policies": "of-admins" })).await;
    room.must("groups/ops", json!({ "policies": "of-ops" })).await;
    room.must("groups/extra", json!({ "policies": "of-extra" })).await;
    room.must("users/ann", json!({ "policies": "own", "groups": "Extra" })).await;
    room.must("config", json!({ "token_policies": "all", "token_ttl": 60 })).await;
    room.directory.take_asked();
    let got = room.login("ann", PASSWORD).await;
    assert_eq!(got.status, 200, "{got:?}");
    let auth = &got.body["auth"];
    assert_eq!(
        auth["policies"],
        json!(["all", "default", "of-admins", "of-extra", "of-ops", "own"])
    );
    assert_eq!(auth["metadata"], json!({ "username": "ann" }));
    assert_eq!(auth["lease_duration"], 60);
    assert!(got.body["warnings"].is_null(), "{got:?}");
    assert_eq!(room.alias_of(&got).await, "ann");
    assert_eq!(
        room.directory.take_asked(),
        [
            "connect",
            "bind cn=keeper,dc=x",
            "search ou=people,dc=x 1",
            "bind uid=ann,ou=people,dc=x",
            "bind cn=keeper,dc=x",
            "search ou=groups,dc=x 2",
        ]
    );
    let got = room.login("bob", "b").await;
    assert!(got.body["warnings"][0].as_str().unwrap().starts_with("no LDAP groups found"));
}

#[tokio::test]
async fn unknown_users_and_wrong_passwords_read_the_same_and_ask_as_much() {
    // threat CVE-2025-6011
    let room = Room::new().await;
    room.must("config", json!({ "userfilter": "(&({{.UserAttr}}={{.Username}})(!(mail=b@x)))" }))
        .await;
    let mut asked = Vec::new();
    for (name, password) in [("ann", "wrong"), ("nobody", "wrong"), ("bob", "b")] {
        room.directory.take_asked();
        let got = room.login(name, password).await;
        assert_eq!(got.status, 400, "{name}: {got:?}");
        assert_eq!(got.errors(), "ldap operation failed: failed to bind as user");
        assert!(got.body["auth"].is_null());
        asked.push(room.directory.take_asked().len());
    }
    assert_eq!(asked, [4, 4, 4]);
}

#[tokio::test]
async fn an_empty_password_is_refused_before_anything_is_asked() {
    // threat: an empty password never binds (RFC 4513 §5.1.2)
    let room = Room::new().await;
    room.must("config", json!({ "deny_null_bind": false })).await;
    room.directory.take_asked();
    for body in [json!({ "password": "" }), json!({}), json!({ "password": null })] {
        let got = room.node.call("WRITE", "auth/ldap/login/ann", "", body).await;
        assert_eq!(got.status, 400, "{got:?}");
        assert!(got.errors().contains("password cannot be of zero length"), "{got:?}");
    }
    assert!(room.directory.take_asked().is_empty());
}

#[tokio::test]
async fn nothing_in_a_name_changes_what_is_asked() {
    // threats GHSA-6mwx-4547-5vc9, CVE-2025-13357
    let room = Room::new().await;
    let names = ["*", "ann)(uid=*", "a*", "*)(|(uid=*", r"\2a", "ann,ou=people", "ann+uid=bob"];
    for name in names {
        let got = room.login(name, PASSWORD).await;
        assert_eq!(got.status, 400, "{name}: {got:?}");
        assert!(got.errors().contains("failed to bind as user"), "{name}: {got:?}");
    }
    let config = json!({ "binddn": "", "bindpass": "", "userdn": "ou=people,dc=x" });
    room.must("config", config).await;
    for name in names.into_iter().chain(["ann,ou=people,dc=x+uid=x", "ann,ou=people,dc=x\\"]) {
        let got = room.login(name, PASSWORD).await;
        assert!(got.errors().contains("failed to bind as user"), "{name}: {got:?}");
    }
    // What comes back from the directory is escaped, too: her name would find every group.
    room.directory.add("uid=*,ou=people,dc=x", "star", &[("uid", "*")]);
    room.directory.add("uid=x)(cn=\\2a,ou=people,dc=x", "paren", &[("uid", "x)(cn=*")]);
    for (name, password) in [("*", "star"), ("x)(cn=*", "paren")] {
        let got = room.login(name, password).await;
        assert_eq!(got.status, 200, "{name}: {got:?}");
        assert!(got.body["warnings"][0].as_str().unwrap().starts_with("no LDAP groups"), "{got:?}");
    }
}

#[tokio::test]
async fn lockout_counts_one_user_once_whatever_the_spelling() {
    // threats CVE-2025-6004, CVE-2025-6013: the directory takes all of these for the same
    let room = Room::new().await;
    for name in ["ann", "ANN", " ann ", "ａｎｎ", "Ann\u{a0}"] {
        assert_eq!(room.login(name, "wrong").await.status, 400, "{name:?}");
    }
    room.directory.take_asked();
    for name in ["ann", "aNN ", "ａnn"] {
        assert_eq!(room.login(name, PASSWORD).await.status, 403, "{name:?}");
    }
    assert!(room.directory.take_asked().is_empty(), "nobody guesses on");
    room.node.clock.advance(900);
    assert_eq!(room.login("ann", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn one_user_is_one_entity_whatever_the_spelling() {
    // threat CVE-2025-6013
    let room = Room::new().await;
    room.must("config", json!({ "username_as_alias": true })).await;
    let mut entities = Vec::new();
    for name in ["ann", "ANN", "  aNn ", "ａｎｎ"] {
        let got = room.login(name, PASSWORD).await;
        assert_eq!(got.status, 200, "{name:?}: {got:?}");
        assert_eq!(got.body["auth"]["metadata"]["username"], "ann");
        entities.push(got.body["auth"]["entity_id"].as_str().unwrap().to_owned());
    }
    entities.dedup();
    assert_eq!(entities.len(), 1);
    // Characters that a directory does not see: nobody is called so.
    room.directory.take_asked();
    for name in ["a\u{ad}nn", "ann\u{200b}", "\u{feff}ann", "an\u{fe0f}n"] {
        let got = room.login(name, PASSWORD).await;
        assert!(got.errors().contains("failed to bind as user"), "{name:?}: {got:?}");
    }
    assert!(room.directory.take_asked().is_empty());
}

#[tokio::test]
async fn names_are_told_apart_by_case_where_the_configuration_says_so() {
    let room = Room::new().await;
    room.must("config", json!({ "case_sensitive_names": true, "username_as_alias": true })).await;
    room.must("groups/Admins", json!({ "policies": "right" })).await;
    room.must("groups/admins", json!({ "policies": "wrong" })).await;
    room.must("users/Ann", json!({ "policies": "capital" })).await;
    assert_eq!(room.policies().await, ["right"]);
    let got = room.login(" Ann", PASSWORD).await;
    assert_eq!(got.body["auth"]["metadata"]["username"], "Ann");
    assert_eq!(got.body["auth"]["token_policies"], json!(["capital", "default", "right"]));
    // The entity is the same all the same (threat: CVE-2025-6013).
    let other = room.login("ANN", PASSWORD).await;
    assert_eq!(got.body["auth"]["entity_id"], other.body["auth"]["entity_id"]);
}

#[tokio::test]
async fn a_directory_that_fails_is_no_wrong_password() {
    let room = Room::new().await;
    room.directory.set_down(true);
    for _ in 0..6 {
        let got = room.login("ann", PASSWORD).await;
        assert_eq!(got.status, 502, "{got:?}");
        assert_eq!(got.errors(), "ldap operation failed: failed to connect to LDAP server");
    }
    room.directory.set_down(false);
    for code in [8, 10, 11, 13, 51, 52, 54, 80] {
        room.directory.refuse_binds(Some(code));
        let got = room.login("ann", PASSWORD).await;
        assert_eq!(got.status, 502, "{code}: {got:?}");
    }
    room.directory.refuse_binds(None);
    // Threat: the password is sent to whoever a writer of the configuration names.
    let elsewhere = json!({ "url": "ldap://elsewhere.test" });
    let got = room.write("config", elsewhere).await;
    assert_eq!(got.errors(), "bindpass must be given again where url changes");
    room.must("config", json!({ "bindpass": "changed" })).await;
    let got = room.login("ann", PASSWORD).await;
    assert_eq!(got.status, 502, "{got:?}");
    assert_eq!(got.errors(), "ldap operation failed: failed to bind with the BindDN user");
    room.must("config", json!({ "bindpass": "keep" })).await;
    assert_eq!(room.login("ann", PASSWORD).await.status, 200, "she is not locked out");
}

#[tokio::test]
async fn ways_to_a_users_name() {
    let room = Room::new().await;
    // Built from attribute and base; nobody searches before the bind.
    room.must("config", json!({ "binddn": "", "bindpass": "" })).await;
    room.directory.take_asked();
    let got = room.login("ann", PASSWORD).await;
    assert_eq!(room.alias_of(&got).await, ANN);
    let own = ["connect", "bind uid=ann,ou=people,dc=x", "search ou=groups,dc=x 2"];
    assert_eq!(room.directory.take_asked(), own);
    // Looked for by nobody.
    room.must("config", json!({ "discoverdn": true })).await;
    let got = room.login("ann", PASSWORD).await;
    assert_eq!(room.alias_of(&got).await, "ann");
    assert_eq!(room.directory.take_asked()[1..3], ["anonymous", "search ou=people,dc=x 1"]);
    // As Active Directory has it, and groups looked for by nobody.
    let config = json!({
        "discoverdn": false, "upndomain": "x.example", "anonymous_group_search": true,
        "groupfilter": "(&(member:1.2.840.113556.1.4.1941:={{.UserDN}}))",
    });
    room.must("config", config).await;
    room.must("groups/admins", json!({ "policies": "of-admins" })).await;
    let got = room.login("ann", PASSWORD).await;
    assert_eq!(got.body["auth"]["token_policies"], json!(["default", "of-admins"]));
    assert_eq!(room.alias_of(&got).await, "ann@x.example");
    assert_eq!(
        room.directory.take_asked(),
        [
            "connect",
            "bind ann@x.example",
            "search ou=people,dc=x 1",
            "connect",
            "search ou=groups,dc=x 1"
        ]
    );
}

#[tokio::test]
async fn ways_to_groups() {
    let room = Room::new().await;
    for (group, policy) in [("admins", "a"), ("ops", "o"), ("cn=odd", "odd"), ("team x", "x")] {
        room.must(&format!("groups/{group}"), json!({ "policies": policy })).await;
    }
    assert_eq!(room.policies().await, ["a", "o"]);
    // An attribute of the user that names groups.
    room.directory.remove(ANN);
    let member = ("memberOf", "CN=Team X,ou=groups,dc=x");
    let attributes = [("uid", "ann"), member, ("memberOf", "ops")];
    room.directory.add(ANN, PASSWORD, &attributes);
    let config = json!({
        "groupdn": "ou=people,dc=x", "groupfilter": "(uid={{.Username}})", "groupattr": "memberOf",
    });
    room.must("config", config).await;
    assert_eq!(room.policies().await, ["o", "x"]);
    let many: Vec<String> = (0..2_049).map(|n| format!("g{n}")).collect();
    let many = many.iter().map(|group| ("memberOf", group.as_str()));
    room.directory.add(
        "uid=many,ou=people,dc=x",
        "m",
        &many.chain([("uid", "many")]).collect::<Vec<_>>(),
    );
    let got = room.login("many", "m").await;
    assert_eq!(got.status, 502, "{got:?}");
    assert!(got.errors().contains("more than 2048 groups"), "{got:?}");
    room.must("config", json!({ "groupattr": "cn", "groupdn": "" })).await;
    assert_eq!(room.policies().await, Vec::<String>::new());
    // tokenGroups: one that is there, one of another domain, and one that is none.
    room.directory.remove(ANN);
    let there = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0];
    let gone = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
    let groups: [(&str, &[u8]); 4] =
        [("uid", b"ann"), ("tokenGroups", &there), ("tokenGroups", &gone), ("tokenGroups", b"odd")];
    room.directory.add_bytes(ANN, PASSWORD, &groups);
    room.must("config", json!({ "use_token_groups": true })).await;
    assert_eq!(room.policies().await, ["a"]);
}

#[tokio::test]
async fn the_alias_is_the_one_value_of_the_attribute() {
    let room = Room::new().await;
    room.directory.add("uid=eve,ou=people,dc=x", "e", &[("uid", "eve"), ("uid", "ann2")]);
    let got = room.login("eve", "e").await;
    assert_eq!(got.status, 400, "{got:?}");
    assert!(got.errors().contains("LDAP entity alias attribute uid empty or not unique"));
    // Two entries: nobody knows who is meant.
    room.directory.add("uid=ann,ou=more,ou=people,dc=x", PASSWORD, &[("uid", "ann")]);
    assert!(room.login("ann", PASSWORD).await.errors().contains("failed to bind as user"));
}

#[tokio::test]
async fn a_renewal_asks_the_directory_again() {
    let room = Room::new().await;
    room.must("groups/ops", json!({ "policies": "of-ops" })).await;
    room.must("config", json!({ "token_ttl": 60, "token_policies": "all" })).await;
    let got = room.login("ann", PASSWORD).await;
    let services = room.node.services();
    let table = services.router.table().await.unwrap();
    let now = strongroom_base::Clock::now(&*room.node.clock);
    let token = services.tokens.check(&table, &got.token().into(), now).await.unwrap().unwrap();
    let kept = format!("{:?}", token.internal);
    assert!(kept.contains("password") && !kept.contains(PASSWORD), "it is sealed: {kept}");
    let renew =
        async || room.node.call("WRITE", "auth/token/renew-self", &got.token(), json!({})).await;
    let renewed = renew().await;
    assert_eq!(renewed.status, 200, "{renewed:?}");
    room.directory.set_down(true);
    assert_eq!(renew().await.status, 502);
    room.directory.set_down(false);
    room.must("groups/ops", json!({ "policies": "other" })).await;
    let renewed = renew().await;
    assert_eq!(renewed.errors(), "policies have changed, not renewing");
    room.must("groups/ops", json!({ "policies": "of-ops" })).await;
    assert_eq!(renew().await.status, 200);
    room.directory.remove(ANN);
    room.directory.add(ANN, "changed", &[("uid", "ann")]);
    assert_eq!(renew().await.status, 400, "her password is another");
}

#[tokio::test]
async fn external_groups_are_those_of_the_last_login_or_renewal() {
    let room = Room::new().await;
    let group = json!({ "name": "g", "type": "external", "policies": "of-the-external-group" });
    let group = room.node.root("WRITE", "identity/group", group).await;
    let alias = json!({
        "name": "admins", "mount_accessor": room.accessor, "canonical_id": group.data()["id"],
    });
    let got = room.node.root("WRITE", "identity/group-alias", alias).await;
    assert!(got.status < 300, "{got:?}");
    let got = room.login("ann", PASSWORD).await;
    assert_eq!(got.body["auth"]["identity_policies"], json!(["of-the-external-group"]));
    let token = got.token();
    let policies = async || {
        let got = room.node.call("READ", "auth/token/lookup-self", &token, Value::Null).await;
        got.data()["identity_policies"].clone()
    };
    let renew = async || {
        let got = room.node.call("WRITE", "auth/token/renew-self", &token, json!({})).await;
        assert_eq!(got.status, 200, "{got:?}");
    };
    // A group that is written here alone is one, too.
    room.must("users/ann", json!({ "groups": "Admins" })).await;
    room.directory.remove("cn=Admins,ou=groups,dc=x");
    renew().await;
    assert_eq!(policies().await, json!(["of-the-external-group"]));
    room.must("users/ann", json!({})).await;
    assert_eq!(policies().await, json!(["of-the-external-group"]));
    renew().await;
    assert!(matches!(policies().await, Value::Null) || policies().await == json!([]));
    room.directory.add("cn=admins,ou=groups,dc=x", "", &[("cn", "Admins"), ("member", ANN)]);
    renew().await;
    assert_eq!(policies().await, json!(["of-the-external-group"]));
}

#[tokio::test]
async fn a_login_from_elsewhere_is_denied() {
    let room = Room::new().await;
    room.must("config", json!({ "token_bound_cidrs": "10.0.0.0/8" })).await;
    room.directory.take_asked();
    assert_eq!(room.login("ann", PASSWORD).await.status, 403);
    assert!(room.directory.take_asked().is_empty());
    room.node.come_from("10.1.1.1");
    assert_eq!(room.login("ann", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn no_login_gives_the_root_policy() {
    // threats CVE-2025-5999, CVE-2024-9180
    let room = Room::new().await;
    for policy in ["root", " ROOT "] {
        room.must("users/ann", json!({ "policies": [policy] })).await;
        let got = room.login("ann", PASSWORD).await;
        assert_eq!(got.status, 400, "{got:?}");
        assert!(got.body["auth"].is_null());
    }
}

#[tokio::test]
async fn a_denial_means_every_spelling_of_a_name() {
    // threat: where a name is case-insensitive, a deny can't be passed by another spelling
    let room = Room::new().await;
    room.node
        .policy(
            "p",
            r#"path "auth/ldap/users/*" { capabilities = ["read", "update"] }
               path "auth/ldap/users/Ann" { capabilities = ["deny"] }"#,
        )
        .await;
    room.must("users/ann", json!({ "policies": "p" })).await;
    let token = room.login("ann", PASSWORD).await.token();
    for case_sensitive in [false, true] {
        room.must("config", json!({ "case_sensitive_names": case_sensitive })).await;
        for (name, status) in [("ann", 403), ("ANN", 403), ("bob", 404)] {
            let path = format!("auth/ldap/users/{name}");
            assert_eq!(room.node.call("READ", &path, &token, Value::Null).await.status, status);
        }
    }
}
