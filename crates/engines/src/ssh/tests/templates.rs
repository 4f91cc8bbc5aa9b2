//! Users, domains and extensions by the caller's identity.

use serde_json::{Value, json};

use super::Room;

impl Room {
    /// A token of an entity with this metadata, in the group `ops`.
    async fn member(&self, user: &str) -> String {
        let post = async |path: &str, body: Value| {
            let got = self.node.root("WRITE", path, body).await;
            assert!(matches!(got.status, 200..=204), "{path}: {got:?}");
            got
        };
        self.node.policy("signer", "path \"ssh/sign/*\" { capabilities = [\"update\"] }").await;
        let entity = json!({ "name": "ann", "metadata": { "user": user } });
        let entity = post("identity/entity", entity).await.data()["id"].clone();
        let group =
            json!({ "name": "ops", "member_entity_ids": [entity], "metadata": { "team": "t1" } });
        post("identity/group", group).await;
        let accessor = self.node.root("READ", "sys/auth", Value::Null).await;
        let accessor = accessor.data()["token/"]["accessor"].clone();
        let alias =
            json!({ "name": "ann-alias", "canonical_id": entity, "mount_accessor": accessor });
        post("identity/entity-alias", alias).await;
        let role = json!({ "allowed_entity_aliases": "ann-alias", "allowed_policies": "signer" });
        post("auth/token/roles/r", role).await;
        let token = json!({ "entity_alias": "ann-alias", "policies": ["signer"] });
        post("auth/token/create/r", token).await.token()
    }

    async fn stranger(&self) -> String {
        let body = json!({ "policies": ["signer"] });
        self.node.root("WRITE", "auth/token/create", body).await.token()
    }
}

#[tokio::test]
async fn principals_are_the_callers() {
    let room = Room::new().await;
    let member = room.member("ann1").await;
    let stranger = room.stranger().await;
    let user = "{{identity.entity.metadata.user}}";
    let users = |allowed: &str| json!({ "allowed_users": allowed, "allowed_users_template": true });
    let wrong = |n: i32| Err(format!("entry {n} is not a valid value for valid_principals"));
    let none = || Err("role is not configured to allow any principals".to_owned());
    let missing = |t: &str| Err(format!("template '{t}' could not be rendered"));
    for (token, role, asked, expect) in [
        (&member, users(user), "ann1", Ok("ann1")),
        (&member, users(user), "bob", wrong(1)),
        (&member, users("x, ssh-{{identity.entity.name}}-1"), "ssh-ann-1,x", Ok("ssh-ann-1,x")),
        (&member, users("{{identity.groups.names.ops.metadata.team}}"), "t1", Ok("t1")),
        (
            &member,
            users("{{identity.entity.metadata.gone}}"),
            "",
            missing("{{identity.entity.metadata.gone}}"),
        ),
        (
            &member,
            users("{{identity.entity.metadata.gone}}"),
            "x",
            missing("{{identity.entity.metadata.gone}}"),
        ),
        (&stranger, users(user), user, none()),
        (&stranger, users(&format!("x,{user}")), "x", Ok("x")),
        (&stranger, users(&format!("x,{user}")), "ann1", wrong(1)),
        // Without the switch it is a name like any other.
        (&member, json!({ "allowed_users": user }), user, Ok(user)),
        (&member, json!({ "allowed_users": user }), "ann1", wrong(1)),
        (
            &member,
            json!({ "allowed_users": "*", "default_user": user, "default_user_template": true }),
            "",
            Ok("ann1"),
        ),
        (
            &member,
            json!({
                "allowed_users": user, "allowed_users_template": true,
                "default_user": user, "default_user_template": true,
            }),
            "",
            Ok("ann1"),
        ),
        // Never a certificate for everybody because nobody is known.
        (
            &stranger,
            json!({
                "allow_empty_principals": true, "default_user": user,
                "default_user_template": true,
            }),
            "",
            Err("the role's default_user is a template, and the token has no entity".to_owned()),
        ),
    ] {
        let mut role = role.clone();
        if asked.is_empty() && role.get("default_user").is_none() {
            role["default_user"] = "x".into();
        }
        room.role("r", role.clone()).await;
        let said = room.sign_as(token, "r", json!({ "valid_principals": asked })).await;
        let said = said.map(|said| said.principals.join(","));
        assert_eq!(said, expect.map(str::to_owned), "{role} {asked}");
    }
    let domains = json!({
        "allow_host_certificates": true, "allow_subdomains": true,
        "allowed_domains": "{{identity.entity.name}}.example.com", "allowed_domains_template": true,
    });
    room.role("r", domains).await;
    for (host, good) in [("web.ann.example.com", true), ("web.bob.example.com", false)] {
        let asked = json!({ "cert_type": "host", "valid_principals": host });
        assert_eq!(room.sign_as(&member, "r", asked).await.is_ok(), good, "{host}");
    }
}

/// Threat GHSA-59w7-v8rr-pr4p: a value brings in no second name and no pattern.
#[tokio::test]
async fn values_bring_in_no_other_names() {
    for (value, commas, good) in [
        ("ann", false, "ann"),
        ("ann,root", false, ""),
        ("ann,root", true, "root"),
        ("*", true, ""),
        ("a/b", true, ""),
        ("+", true, ""),
        ("{{identity.entity.name}}", true, "{{identity.entity.name}}"),
    ] {
        let room = Room::new().await;
        let token = room.member(value).await;
        let role = json!({
            "allowed_users": "{{identity.entity.metadata.user}}", "allowed_users_template": true,
            "allow_commas_in_identity_templates": commas,
        });
        room.role("r", role).await;
        for asked in ["ann", "root", "*", "a/b", "+", "{{identity.entity.name}}"] {
            let said = room.sign_as(&token, "r", json!({ "valid_principals": asked })).await;
            let both = good == "root" && asked == "ann";
            assert_eq!(said.is_ok(), asked == good || both, "{value} {asked}");
        }
    }
}

#[tokio::test]
async fn extensions_have_the_callers_values() {
    let room = Room::new().await;
    let member = room.member("a/b,c*").await;
    let stranger = room.stranger().await;
    let role = json!({
        "default_user": "u", "default_extensions_template": true,
        "default_extensions": {
            "login@github.com": "{{identity.entity.metadata.user}}", "permit-pty": "",
        },
    });
    room.role("r", role).await;
    let said = room.sign_as(&member, "r", json!({})).await.unwrap();
    assert_eq!(said.extensions["login@github.com"], "a/b,c*");
    let key = super::public(strongroom_crypto::keys::KeyType::Ed25519);
    let got = room.node.call("WRITE", "ssh/sign/r", &stranger, json!({ "public_key": key })).await;
    let said = super::told(&got).unwrap();
    assert_eq!(said.extensions.keys().collect::<Vec<_>>(), ["permit-pty"]);
    let warning = got.body["warnings"][0].as_str().unwrap();
    assert!(warning.contains("lacked identity entity information"), "{warning}");
}
