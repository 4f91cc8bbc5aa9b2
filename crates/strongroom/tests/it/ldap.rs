//! Logging in by OpenLDAP's server, and by a stand-in for GitHub, with the command line as people
//! type it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;

use serde_json::{Value as Json, json};
use strongroom_testkit::servers::slapd::{
    ANN_PASSWORD, BASE, BOB_PASSWORD, Certificates, KEEPER, KEEPER_PASSWORD, ODD, ODD_PASSWORD,
    STAFF, Slapd,
};

use crate::databases::Room;
use crate::product;

fn room(method: &str) -> Room {
    let room = Room::new();
    room.ok(&["auth", "enable", method]);
    room
}

/// Writes the configuration of LDAP: that of `slapd` with an account that searches, and these.
fn configure(room: &Room, slapd: &Slapd, more: &[&str]) {
    let url = format!("url={}", slapd.url());
    let (keeper, password) = (format!("binddn={KEEPER}"), format!("bindpass={KEEPER_PASSWORD}"));
    let (people, groups) =
        (format!("userdn=ou=people,{BASE}"), format!("groupdn=ou=groups,{BASE}"));
    let own = ["userattr=uid", &url, &keeper, &password, &people, &groups];
    let name = |pair: &str| pair.split('=').next().map(str::to_owned);
    let mut words = vec!["write", "auth/ldap/config"];
    words.extend(own.into_iter().filter(|pair| more.iter().all(|m| name(m) != name(pair))));
    words.extend(more);
    room.ok(&words);
}

/// What a login says, in JSON.
fn login(room: &Room, name: &str, password: &str) -> Output {
    let name = format!("username={name}");
    let words = ["login", "-method=ldap", "-no-store", "-format=json", &name];
    let password = format!("password={password}");
    room.run("", &[&words[..], &[&password]].concat())
}

fn refused(room: &Room, name: &str, password: &str) -> String {
    let done = login(room, name, password);
    assert!(!done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stdout));
    String::from_utf8(done.stderr).unwrap()
}

fn answer(done: &Output) -> Json {
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// The token's policies but `default`, one after the other.
fn policies(room: &Room, name: &str, password: &str) -> String {
    let answer = answer(&login(room, name, password));
    let policies = answer["auth"]["token_policies"].as_array().unwrap().iter();
    policies.filter_map(Json::as_str).filter(|p| *p != "default").collect::<Vec<_>>().join(" ")
}

#[test]
fn people_log_in_by_openldap() {
    let mut slapd = Slapd::closed();
    let room = room("ldap");
    configure(&room, &slapd, &[]);
    for (path, policies) in [
        ("groups/admins", "of-admins"),
        ("groups/ops", "of-ops"),
        ("groups/staff", "of-staff"),
        ("users/ann", "own"),
    ] {
        let policies = format!("policies={policies}");
        room.ok(&["write", &format!("auth/ldap/{path}"), &policies]);
    }
    assert_eq!(policies(&room, "ann", ANN_PASSWORD), "of-admins of-ops own");
    assert_eq!(policies(&room, "bob", BOB_PASSWORD), "");
    // A name that means something in filters, names of entries, and addresses.
    assert_eq!(policies(&room, ODD, ODD_PASSWORD), "of-ops");
    // Any spelling, and the directory's own is the alias.
    let mut entities = Vec::new();
    for name in ["ann", "ANN", " Ann ", "ａｎｎ"] {
        let answer = answer(&login(&room, name, ANN_PASSWORD));
        assert_eq!(answer["auth"]["metadata"], json!({ "username": "ann" }), "{name:?}");
        entities.push(answer["auth"]["entity_id"].clone());
    }
    entities.dedup();
    assert_eq!(entities.len(), 1);
    // Groups that are members of groups, as OpenLDAP works them out.
    let people = format!("groupdn=ou=people,{BASE}");
    let nested = ["groupfilter=(uid={{.Username}})", "groupattr=memberOf", &people];
    configure(&room, &slapd, &nested);
    assert_eq!(policies(&room, "ann", ANN_PASSWORD), "of-admins of-staff own", "{STAFF}");
    // Found by the name Active Directory has.
    configure(&room, &slapd, &["upndomain=example.org", "groupattr=cn"]);
    room.ok(&["write", "auth/ldap/config", "userfilter=", "groupfilter="]);
    assert_eq!(policies(&room, "ann", ANN_PASSWORD), "own");
    // The token goes on as long as the directory says so.
    let token = answer(&login(&room, "ann", ANN_PASSWORD))["auth"]["client_token"].clone();
    let token = token.as_str().unwrap();
    let renew = || room.run(token, &["token", "renew"]);
    assert!(renew().status.success());
    slapd.stop();
    assert!(!renew().status.success());
    let said = refused(&room, "ann", ANN_PASSWORD);
    assert!(said.contains("failed to connect to LDAP server") && said.contains("502"), "{said}");
    slapd.restart();
    assert!(renew().status.success());
}

#[test]
fn who_is_not_let_in_by_openldap() {
    let slapd = Slapd::start();
    let room = room("ldap");
    configure(&room, &slapd, &[]);
    let wrong = "failed to bind as user";
    for (name, password) in [
        ("bob", "wrong"),
        ("nobody", "x"),
        ("*", BOB_PASSWORD),
        ("bo*", BOB_PASSWORD),
        ("bob)(uid=*", BOB_PASSWORD),
        ("bob\u{ad}", BOB_PASSWORD),
    ] {
        let said = refused(&room, name, password);
        assert!(said.contains(wrong), "{name}: {said}");
    }
    // OpenLDAP takes a name without a password for nobody, and so do we before it is asked.
    let body = json!({ "password": "" });
    for config in ["deny_null_bind=true", "deny_null_bind=false"] {
        room.ok(&["write", "auth/ldap/config", config]);
        let answer = room.server().ask("PUT", "auth/ldap/login/bob", "", &body);
        assert_eq!(answer.status, 400);
        assert!(answer.errors().contains("zero length"), "{}", answer.errors());
    }
    // Five wrong passwords in any spelling lock one user, and no other.
    for name in ["ann", "ANN", " ann", "ａnn", "Ann"] {
        assert!(refused(&room, name, "wrong").contains(wrong));
    }
    assert!(refused(&room, "ann", ANN_PASSWORD).contains("permission denied"));
    assert_eq!(policies(&room, "bob", BOB_PASSWORD), "");
    // A filter that leaves people out.
    let filter = "userfilter=(&({{.UserAttr}}={{.Username}})(!(uid=bob)))";
    room.ok(&["write", "auth/ldap/config", filter]);
    assert!(refused(&room, "bob", BOB_PASSWORD).contains(wrong));
}

#[test]
fn searches_without_an_account() {
    let slapd = Slapd::start();
    let room = room("ldap");
    room.ok(&["write", "auth/ldap/groups/ops", "policies=of-ops"]);
    // The name is built, and she searches herself.
    configure(&room, &slapd, &["binddn=", "bindpass="]);
    assert_eq!(policies(&room, "ann", ANN_PASSWORD), "of-ops");
    configure(&room, &slapd, &["binddn=", "bindpass=", "discoverdn=true"]);
    assert_eq!(policies(&room, "ann", ANN_PASSWORD), "of-ops");
    assert_eq!(policies(&room, ODD, ODD_PASSWORD), "of-ops");
    configure(&room, &slapd, &["anonymous_group_search=true", "max_page_size=1"]);
    assert_eq!(policies(&room, "ann", ANN_PASSWORD), "of-ops");
    let closed = Slapd::closed();
    configure(&room, &closed, &[]);
    let said = refused(&room, "ann", ANN_PASSWORD);
    assert!(said.contains("the search for groups failed"), "{said}");
    configure(&room, &closed, &["binddn=", "bindpass=", "discoverdn=true"]);
    assert!(refused(&room, "ann", ANN_PASSWORD).contains("failed to bind as user"));
}

#[test]
fn tls_and_several_servers() {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let ca = format!("certificate={certificate}");
    let key = key.serialize_pem();
    let slapd = Slapd::start_tls(&Certificates { certificate, key, clients: String::new() });
    let room = room("ldap");
    let ldaps = format!("url=ldaps://127.0.0.1:{}", slapd.tls_port);
    let gone = strongroom_testkit::servers::guard::free_port();
    let several = format!("url=ldap://127.0.0.1:{gone},{}", slapd.url());
    for more in [
        &["starttls=true", &ca][..],
        &["starttls=true", &ca, "tls_min_version=tls13", "tls_max_version=tls13"],
        &["starttls=false", "tls_min_version=tls12", &ldaps],
        &["certificate=", "insecure_tls=true", &ldaps],
        &["starttls=true", &several],
    ] {
        configure(&room, &slapd, more);
        answer(&login(&room, "ann", ANN_PASSWORD));
    }
    configure(&room, &slapd, &["insecure_tls=false", "certificate=", &ldaps]);
    let said = refused(&room, "ann", ANN_PASSWORD);
    assert!(said.contains("failed to connect to LDAP server"), "{said}");
    let read = room.ok(&["read", "auth/ldap/config"]);
    assert!(!read.contains(KEEPER_PASSWORD) && !read.contains("bindpass"), "{read}");
}

/// Answers as GitHub's API does for the token `ghp_good` of Ann, in the organisation 7.
pub fn github() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/api/v3/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || drop(serve(&stream)));
        }
    });
    base
}

fn serve(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let mut requests = std::iter::from_fn(|| {
        let head = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty());
        let head: Vec<String> = head.collect();
        (!head.is_empty()).then_some(head)
    });
    requests.try_for_each(|head| {
        let path = head[0].split(' ').nth(1).unwrap_or_default();
        let good = head.iter().any(|l| l.eq_ignore_ascii_case("authorization: bearer ghp_good"));
        let acme = json!({ "login": "acme", "id": 7 });
        let team = |slug: &str| json!({ "name": slug, "slug": slug, "organization": acme });
        let (status, next, body) = match path {
            "/api/v3/orgs/acme" => (200, false, acme),
            _ if !good => (401, false, json!({ "message": "Bad credentials" })),
            "/api/v3/user" => (200, false, json!({ "login": "Ann", "id": 42 })),
            "/api/v3/user/orgs?per_page=100" => (200, false, json!([acme])),
            "/api/v3/user/teams?per_page=100" => (200, true, json!([team("ops")])),
            "/api/v3/user/teams?per_page=100&page=2" => (200, false, json!([team("crew")])),
            _ => (404, false, json!({ "message": "Not Found" })),
        };
        let (body, link) = (body.to_string(), "link: <https://x/?page=2>; rel=\"next\"\r\n");
        write!(
            stream,
            "HTTP/1.1 {status} X\r\n{}content-length: {}\r\n\r\n{body}",
            if next { link } else { "" },
            body.len()
        )
    })
}

#[test]
fn people_log_in_by_github() {
    let room = room("github");
    let base = format!("base_url={}", github());
    room.ok(&["write", "auth/github/config", "organization=acme", &base]);
    let read = room.ok(&["read", "-field=organization_id", "auth/github/config"]);
    assert_eq!(read.trim(), "7");
    room.ok(&["write", "auth/github/map/teams/crew", "value=of-crew"]);
    room.ok(&["write", "auth/github/map/users/ann", "value=own"]);
    let command = |token: Option<&str>| {
        let folder = tempfile::tempdir().unwrap();
        let mut command = product::command(folder.path());
        command.env("VAULT_ADDR", format!("http://{}", room.server().address()));
        command.args(["login", "-method=github", "-no-store", "-format=json"]);
        if let Some(token) = token {
            command.env("VAULT_AUTH_GITHUB_TOKEN", token);
        }
        command
    };
    let answer = answer(&command(Some("ghp_good")).output().unwrap());
    assert_eq!(answer["auth"]["token_policies"], json!(["default", "of-crew", "own"]));
    assert_eq!(answer["auth"]["metadata"], json!({ "org": "acme", "username": "Ann" }));
    let done = command(Some("ghp_bad")).output().unwrap();
    assert!(String::from_utf8_lossy(&done.stderr).contains("GitHub does not take the token"));
    let mut piped = command(None);
    piped.arg("token=-").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut piped = piped.spawn().unwrap();
    piped.stdin.take().unwrap().write_all(b"ghp_good\n").unwrap();
    assert!(piped.wait_with_output().unwrap().status.success());
}
