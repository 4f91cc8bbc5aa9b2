//! Against a real Redis.

use serde_json::json;
use strongroom_testkit::servers::guard::free_port;
use strongroom_testkit::servers::redis::{ADMIN, PASSWORD, Redis as Server};

use super::super::tests::Certificates;
use super::*;

fn secret(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|&text| text.to_owned()).collect()
}

fn own(value: Json) -> JsonMap {
    match value {
        Json::Object(map) => map,
        _ => panic!("no object"),
    }
}

fn settings(port: u16, more: Json) -> Settings {
    let mut map = own(json!({"host": "127.0.0.1", "port": port}));
    map.extend(own(more));
    Settings {
        username: ADMIN.to_owned(),
        password: secret(PASSWORD),
        timeout: Duration::from_secs(10),
        own: map,
        ..Settings::default()
    }
}

fn open(settings: Settings) -> Arc<dyn Database> {
    Redis.open(settings).expect("a good configuration")
}

async fn create(
    database: &Arc<dyn Database>,
    name: &str,
    password: &str,
    statements: &[&str],
) -> Result<(), DatabaseError> {
    let statements = texts(statements);
    let account = NewAccount {
        name,
        credential: &Credential::Password(secret(password)),
        expires: Timestamp::from_seconds(1_800_000_000),
        statements: &statements,
        rollback: &[],
    };
    database.create(account).await
}

/// Runs a command as a user of its own connection.
async fn run(port: u16, name: &str, password: &str, words: &[&str]) -> Result<Value, String> {
    let database = RedisDatabase::open(&Settings {
        username: name.to_owned(),
        password: secret(password),
        ..settings(port, json!({}))
    });
    let mut command = Cmd::new();
    command.arg(words);
    database.expect("good settings").ask(&command, &[]).await.map_err(|error| error.text)
}

/// Threat CVE-2026-39946: names and passwords are data.
#[tokio::test]
async fn users_are_made_changed_and_removed() {
    let server = Server::start();
    let database = open(settings(server.port, json!({})));
    let cases: &[(&str, &str, &[&str])] = &[
        ("V_TOKEN_READER_1", "Plain-1", &[]),
        ("o'brien\"\\", "it's \" \\ >x", &[r#"["~*", "+@read"]"#]),
        ("list", "nopass", &["~*", " +@read "]),
        ("selectors", "-@all +@all", &[r#"["(~* +get)"]"#]),
    ];
    for (name, password, statements) in cases {
        create(&database, name, password, statements).await.expect(name);
        let error = create(&database, name, password, statements).await.unwrap_err();
        assert!(error.text.contains("already there"), "{error}");
        let (old, new) = (secret(password), secret("Other-1"));
        assert!(database.logs_in(name, &old).await.expect(name), "{name}");
        assert!(!database.logs_in(name, &new).await.expect(name), "{name}");
        assert!(!database.logs_in("nobody", &new).await.expect(name), "{name}");
        assert_eq!(run(server.port, name, password, &["GET", "k"]).await, Ok(Value::Nil), "{name}");
        let refused = run(server.port, name, password, &["SET", "k", "v"]).await.unwrap_err();
        assert!(refused.starts_with("NOPERM"), "{refused}");

        database.renew(name, Timestamp::from_seconds(0), &[]).await.expect(name);
        let set = Credential::Password(new.duplicate());
        database.set_credential(name, &set, &[]).await.expect(name);
        assert!(!database.logs_in(name, &old).await.expect(name), "{name}");
        assert!(database.logs_in(name, &new).await.expect(name), "{name}");
        for _ in 0..2 {
            database.remove(name, &[]).await.expect(name);
            assert!(!database.logs_in(name, &new).await.expect(name), "{name}");
        }
        let error = database.set_credential(name, &set, &[]).await.unwrap_err();
        assert_eq!(
            (error.kind, error.text.as_str()),
            (FailureKind::Refused, "there is no such account")
        );
    }
    database.verify().await.expect("the administrator is still there");
}

#[tokio::test]
async fn removal_ends_the_connections_of_a_user() {
    let server = Server::start();
    let database = open(settings(server.port, json!({})));
    create(&database, "reader", "Pass-1", &[]).await.expect("made");
    let reader = RedisDatabase::open(&Settings {
        username: "reader".to_owned(),
        password: secret("Pass-1"),
        ..settings(server.port, json!({}))
    });
    let reader = reader.expect("good settings");
    reader.ask(cmd("GET").arg("k"), &[]).await.expect("it may read");
    database.remove("reader", &[]).await.expect("removed");
    let error = reader.ask(cmd("GET").arg("k"), &[]).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Credential, "{error}");
}

#[tokio::test]
async fn of_a_failed_creation_nothing_is_left_and_no_password_is_told() {
    let server = Server::start();
    let plain = open(settings(server.port, json!({})));
    // Its users stand in a file, so the server refuses to write them into its configuration.
    let wrong_way = open(settings(server.port, json!({"persistence_mode": "rewrite"})));
    let cases: &[(&Arc<dyn Database>, &str, &[&str], FailureKind, &str)] = &[
        (&plain, "a", &["~*", "+@nonsense"], FailureKind::Refused, "ERR Error in ACL SETUSER"),
        (&plain, "a", &["[\"~*\""], FailureKind::Configuration, "no JSON list of rules"),
        (&plain, "a", &["[1]"], FailureKind::Configuration, "no JSON list of rules"),
        (&plain, "a b", &[], FailureKind::Refused, "ERR "),
        (&plain, "", &[], FailureKind::Configuration, "needs a name"),
        (&plain, "default", &[], FailureKind::Configuration, "default user"),
        (&wrong_way, "a", &[">Second-secret", "+@nonsense"], FailureKind::Refused, "ERR Error"),
    ];
    for (database, name, statements, kind, expected) in cases {
        let error = create(database, name, "First-secret", statements).await.unwrap_err();
        assert_eq!(error.kind, *kind, "{statements:?}: {error}");
        assert!(error.text.contains(expected), "{statements:?}: {error}");
        assert!(!error.text.contains("secret"), "{statements:?}: {error}");
        let users = run(server.port, ADMIN, PASSWORD, &["ACL", "USERS"]).await.expect("a list");
        let users: Vec<String> = redis::from_redis_value(users).expect("names");
        assert_eq!(users, ["default", ADMIN], "{statements:?}");
    }
    let error = plain.remove(ADMIN, &[]).await.unwrap_err();
    assert!(error.text.contains("administrator's own"), "{error}");
    let error = plain.remove("default", &[]).await.unwrap_err();
    assert!(error.text.contains("default user"), "{error}");
}

#[tokio::test]
async fn users_outlast_a_restart_where_that_is_asked_for() {
    let cases = [
        (Server::start(), "ACLFILE", true),
        (Server::start_rewriting(), "REWRITE", true),
        (Server::start(), "None", false),
    ];
    for (mut server, mode, lasts) in cases {
        let database = open(settings(server.port, json!({"persistence_mode": mode})));
        create(&database, "lasting", "Pass-1", &[]).await.expect(mode);
        server.restart();
        // Over the connection that the restart has ended, too.
        let there = database.logs_in("lasting", &secret("Pass-1")).await.expect(mode);
        assert_eq!(there, lasts, "{mode}");
        database.remove("lasting", &[]).await.expect(mode);
        server.restart();
        assert!(!database.logs_in("lasting", &secret("Pass-1")).await.expect(mode), "{mode}");
    }
}

#[tokio::test]
async fn what_cannot_be_kept_is_undone() {
    let server = Server::start_rewriting();
    // There is no file of users to save.
    let database = open(settings(server.port, json!({"persistence_mode": "ACLFILE"})));
    let error = create(&database, "unkept", "First-secret", &[]).await.unwrap_err();
    assert!(error.text.starts_with("the change could not be kept on disk: ERR "), "{error}");
    assert!(!error.text.contains("secret"), "{error}");
    assert!(!database.logs_in("unkept", &secret("First-secret")).await.expect("asked"));
}

#[tokio::test]
async fn who_cannot_be_reached_is_named_and_no_password_is() {
    let mut server = Server::start();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent_port = silent.local_addr().expect("an address").port();
    let url = |port: u16, who: &str| Settings {
        connection_url: secret(&format!("valkey://{who}@127.0.0.1:{port}")),
        own: JsonMap::new(),
        ..settings(port, json!({}))
    };
    let fast = Settings { timeout: Duration::from_millis(100), ..settings(silent_port, json!({})) };
    let away = settings(free_port(), json!({}));
    let cases = [
        (away, FailureKind::Unreachable, "cannot connect to 127.0.0.1:"),
        (fast, FailureKind::Unreachable, "no answer in time"),
        (url(server.port, "keeper:Wrong-secret"), FailureKind::Credential, "WRONGPASS"),
    ];
    for (settings, kind, expected) in cases {
        let database = open(settings);
        let set = Credential::Password(secret("Other-secret"));
        let errors = [
            database.verify().await.unwrap_err(),
            create(&database, "nobody", "Other-secret", &[]).await.unwrap_err(),
            database.remove("nobody", &[]).await.unwrap_err(),
            database.set_credential("nobody", &set, &[]).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind, kind, "{error}");
            assert!(error.text.contains(expected), "{error}");
            let shown = format!("{error} {error:?} {database:?}");
            assert!(!shown.contains("secret") && !shown.contains(PASSWORD), "{shown}");
        }
    }
    let by_url = open(url(server.port, "{{username}}:{{password}}"));
    by_url.verify().await.expect("placeholders are filled");
    by_url.remove("nobody", &[]).await.expect("not there");
    server.stop();
    let error = by_url.remove("nobody", &[]).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Unreachable, "{error}");
    let error = by_url.logs_in("nobody", &secret("Pass-1")).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Unreachable, "{error}");
    server.restart();
    by_url.remove("nobody", &[]).await.expect("it is back");
}

#[tokio::test]
async fn tls_as_it_was_asked_for() {
    let (own, other) = (Certificates::new(), Certificates::new());
    let server = Server::start_tls(&own.ca, &own.server.0, &own.server.1);
    let client = |of: &Certificates, server_name: &str| super::super::TlsMaterial {
        certificate: of.client.0.clone(),
        private_key: secret(&of.client.1),
        server_name: server_name.to_owned(),
        ..Default::default()
    };
    let tls = |ca: &str| json!({"tls": true, "ca_cert": ca});
    let any = json!({"tls": "true", "ca_cert": other.ca, "insecure_tls": true});
    let cases = [
        (tls(&own.ca), client(&own, ""), true),
        (any, client(&own, ""), true),
        (tls(&other.ca), client(&own, ""), false),
        (tls(&own.ca), client(&own, "elsewhere"), false),
        (tls(&own.ca), client(&other, ""), false),
        (tls(&own.ca), Default::default(), false),
        (json!({}), Default::default(), false),
    ];
    for (number, (more, tls, works)) in cases.into_iter().enumerate() {
        let got = open(Settings { tls, ..settings(server.port, more) }).verify().await;
        let kind = (!works).then_some(FailureKind::Unreachable);
        assert_eq!(got.as_ref().err().map(|error| error.kind), kind, "case {number}: {got:?}");
    }
}

#[test]
fn wrong_settings_are_refused_without_repeating_them() {
    let nameless = Settings { username: String::new(), ..settings(1, json!({})) };
    let with_url = |url: &str, more: Json| Settings {
        connection_url: secret(url),
        own: own(more),
        ..settings(1, json!({}))
    };
    let cases = [
        (settings(1, json!({"host": ""})), "host cannot be empty"),
        (settings(0, json!({})), "port cannot be empty"),
        (settings(1, json!({"port": "secret"})), "invalid port"),
        (settings(1, json!({"port": 65_536})), "invalid port"),
        (nameless, "username cannot be empty"),
        (settings(1, json!({"tls": true})), "ca_cert cannot be empty"),
        (settings(1, json!({"tls": "secret"})), "tls is neither true nor false"),
        (
            settings(1, json!({"tls": true, "ca_cert": "secret"})),
            "authority's certificate is missing or no PEM",
        ),
        (settings(1, json!({"persistence_mode": "secret"})), "persistence_mode"),
        (with_url("valkey://a:b@h", json!({"host": "h"})), "cannot specify both"),
        (with_url("http://a:secret@h", json!({})), "neither valkey nor redis"),
        (with_url("secret", json!({})), "it has no scheme"),
        (with_url("valkey://secret@h", json!({})), "it has no password"),
        (with_url("valkey://a:secret@h:x", json!({})), "invalid host or port"),
        (with_url("valkey://a:secret@", json!({})), "invalid host"),
        (with_url("valkey://a:%zzsecret@h", json!({})), "invalid percent escape"),
        (with_url("valkeys://a:secret@h", json!({})), "ca_cert cannot be empty"),
    ];
    for (settings, expected) in cases {
        let error = Redis.open(settings).unwrap_err();
        assert_eq!(error.kind, FailureKind::Configuration, "{error}");
        assert!(error.text.contains(expected), "{expected}: {error}");
        assert!(!error.text.contains("secret"), "{error}");
    }
}
