//! Against a real server: what an operator and an application see of it.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use strongroom_base::{SecretString, Timestamp};
use strongroom_testkit::servers::postgresql::{ADMIN, Options, PASSWORD, Server};
use tokio_postgres::{Config, NoTls};

use super::session::run;
use super::*;
use crate::database::{FailureKind, TlsMaterial};

mod imitation;

const YEAR_2100: i64 = 4_102_444_800;
const CREATE: &str = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' \
                      VALID UNTIL '{{expiration}}';";

fn secret(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

fn settings(url: &str) -> Settings {
    Settings {
        connection_url: secret(url),
        username: ADMIN.to_owned(),
        password: secret(PASSWORD),
        timeout: Duration::from_secs(60),
        ..Settings::default()
    }
}

fn open(settings: Settings) -> Arc<dyn Database> {
    Postgresql.open(settings).unwrap()
}

async fn create(
    database: &dyn Database,
    name: &str,
    password: &str,
    expires: i64,
    statements: &[&str],
) -> Result<(), DatabaseError> {
    let credential = Credential::Password(secret(password));
    let account = NewAccount {
        name,
        credential: &credential,
        expires: Timestamp::from_seconds(expires),
        statements: &texts(statements),
        rollback: &[],
    };
    database.create(account).await
}

/// A session of somebody, past the driver.
async fn session(server: &Server, database: &str, user: &str, password: &str) -> Client {
    let (client, connection) = Config::new()
        .host("127.0.0.1")
        .port(server.port())
        .dbname(database)
        .user(user)
        .password(password)
        .connect(NoTls)
        .await
        .unwrap_or_else(|e| panic!("{user} in {database}: {:?}", e.as_db_error()));
    tokio::spawn(connection);
    client
}

async fn admin(server: &Server, database: &str) -> Client {
    session(server, database, ADMIN, PASSWORD).await
}

/// The rows of a query, fields with `|` between.
async fn rows(client: &Client, sql: &str) -> Vec<String> {
    let mut rows = Vec::new();
    let done = run(client, sql, |row| rows.push(row)).await;
    done.unwrap_or_else(|(e, _)| panic!("{sql}: {e:?}"));
    let line = |row: Vec<Option<String>>| {
        row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join("|")
    };
    rows.into_iter().map(line).collect()
}

async fn has_role(client: &Client, name: &str) -> bool {
    let quoted = Dialect::Postgresql.text(name);
    let sql = format!("SELECT count(*) FROM pg_roles WHERE rolname = {}", *quoted);
    rows(client, &sql).await == ["1"]
}

/// Threat CVE-2026-39946: in each statement, of the operator or our own, a name is a name.
#[tokio::test]
async fn an_account_lives_and_ends_whatever_its_name_and_password() {
    let server = Server::shared();
    let database = open(settings(&server.url("postgres")));
    let admin = admin(&server, "postgres").await;
    admin.batch_execute("CREATE ROLE life_canary").await.unwrap();
    let evil_schema = "s\"; DROP ROLE life_canary; --'";
    let quoted_schema = Dialect::Postgresql.identifier(evil_schema);
    admin.batch_execute(&format!("CREATE SCHEMA {quoted_schema}")).await.unwrap();
    let grant =
        format!("GRANT ALL ON SCHEMA {quoted_schema} TO \"{{{{name}}}}\"; -- for {{{{name}}}}");
    let cases = [
        ("life_plain", "simple"),
        ("life\"; DROP ROLE life_canary; --", "it's \"this\"; DROP ROLE life_canary; --"),
        ("life'; DROP ROLE life_canary; --", "back\\slash\\'; DROP ROLE life_canary; --"),
        ("life {{password}} \\", "{{name}} $$ $1 %s \u{fc}\u{20ac}"),
        ("Life.\u{fc}ml\u{e4}ut-63-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "x"),
    ];
    for (name, password) in cases {
        create(&*database, name, password, YEAR_2100, &[CREATE, &grant])
            .await
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(database.logs_in(name, &secret(password)).await.unwrap(), "{name}");
        let own = session(&server, "postgres", name, password).await;
        let table = format!("CREATE TABLE {quoted_schema}.\"t of {}\" ()", name.replace('"', ""));
        own.batch_execute(&table).await.unwrap();

        for (next, statements) in [
            ("one'\"\\", &[][..]),
            ("two", &["ALTER ROLE \"{{name}}\" PASSWORD '{{password}}'"][..]),
            ("three\\'", &["ALTER USER \"{{username}}\" PASSWORD E'{{password}}'"][..]),
        ] {
            let credential = Credential::Password(secret(next));
            let statements = texts(statements);
            database.set_credential(name, &credential, &statements).await.unwrap();
            assert!(database.logs_in(name, &secret(next)).await.unwrap(), "{name} {next}");
            assert!(!database.logs_in(name, &secret(password)).await.unwrap(), "{name} {next}");
        }

        // PostgreSQL itself refuses whoever is past the end.
        let last = secret("three\\'");
        database.renew(name, Timestamp::from_seconds(1), &[]).await.unwrap();
        assert!(!database.logs_in(name, &last).await.unwrap(), "{name}");
        let custom = texts(&["ALTER ROLE \"{{username}}\" VALID UNTIL '{{expiration}}'"]);
        database.renew(name, Timestamp::from_seconds(YEAR_2100), &custom).await.unwrap();
        assert!(database.logs_in(name, &last).await.unwrap(), "{name}");
        let text = Dialect::Postgresql.text(name);
        let until =
            format!("SELECT rolvaliduntil = '2100-01-01Z' FROM pg_roles WHERE rolname = {}", *text);
        assert_eq!(rows(&admin, &until).await, ["t"], "{name}");

        database.remove(name, &[]).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(!has_role(&admin, name).await, "{name}");
        assert!(!database.logs_in(name, &last).await.unwrap(), "{name}");
        database.remove(name, &[]).await.unwrap();
    }
    assert!(has_role(&admin, "life_canary").await);
    let own =
        "SELECT count(*) FROM pg_tables WHERE tablename LIKE 't of%' AND tableowner = 'postgres'";
    assert_eq!(rows(&admin, own).await, ["5"]);
}

#[tokio::test]
async fn an_account_that_is_past_its_end_at_once_is_refused() {
    let server = Server::shared();
    let database = open(settings(&server.url("postgres")));
    create(&*database, "past", "word", 1_700_000_000, &[CREATE]).await.unwrap();
    assert!(!database.logs_in("past", &secret("word")).await.unwrap());
    let admin = admin(&server, "postgres").await;
    let until =
        "SELECT rolvaliduntil = '2023-11-14 22:13:20Z' FROM pg_roles WHERE rolname = 'past'";
    assert_eq!(rows(&admin, until).await, ["t"]);
    database.remove("past", &texts(&["DROP ROLE \"{{name}}\""])).await.unwrap();
    assert!(!has_role(&admin, "past").await);
}

#[tokio::test]
async fn a_statement_that_fails_leaves_nothing_and_says_which_without_the_password() {
    let server = Server::shared();
    let slow = open(settings(&format!("{}?statement_timeout=300", server.url("postgres"))));
    let database = open(settings(&server.url("postgres")));
    let admin = admin(&server, "postgres").await;
    admin.batch_execute("CREATE ROLE broken_taken").await.unwrap();
    use FailureKind::{Configuration, Refused, Unreachable};
    let cases: &[(&[&str], FailureKind, &str)] = &[
        (&[], Configuration, "empty creation statements"),
        (&[" ; "], Configuration, "no statement"),
        (&[CREATE, "GRANT broken_nobody TO \"{{name}}\"; SELECT 1"], Refused, "statement 2 of 3"),
        (&[CREATE, "SELECT 1; GRANT SELECT ON missing TO \"{{name}}\""], Refused, "42P01"),
        (&[CREATE, "SELECT 1; SELEKT 2"], Refused, "statement 3 of 3 failed: syntax error (SQL"),
        (&["CREATE ROLE \"{{name}}\" PASSWORD {{password}}"], Refused, "statement 1 of 1"),
        (&["SELECT '{{password}}'::int"], Refused, "[password]"),
        (&["SELECT right('{{password}}', 8)::int"], Refused, "repeats a part of a password"),
        (&["CREATE ROLE \"{{name}}"], Configuration, "without its closing one"),
        (&["CREATE ROLE broken_taken"], Refused, "already exists"),
        (&[CREATE, "CREATE DATABASE \"{{name}}\""], Refused, "statement 2 of 2"),
        (&[CREATE, "SELECT pg_sleep(600)"], Unreachable, "statement timeout"),
        (&[CREATE, "DO $$ BEGIN RAISE '%', '{{password}}'; END $$"], Refused, "[password]"),
    ];
    for (statements, kind, text) in cases {
        let by = if *kind == Unreachable { &slow } else { &database };
        let error =
            create(&**by, "broken", "9secret1234", YEAR_2100, statements).await.unwrap_err();
        assert_eq!(error.kind, *kind, "{statements:?}: {error}");
        assert!(error.text.contains(text), "{statements:?}: {error}");
        assert!(!error.text.contains("secret") && !error.text.contains("1234"), "{error}");
        assert!(!has_role(&admin, "broken").await, "{statements:?}");
    }
    for credential in [Credential::PublicKey(String::new()), Credential::Subject(String::new())] {
        let error = database.set_credential("broken_taken", &credential, &[]).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Unsupported);
    }
}

#[tokio::test]
async fn a_role_that_is_gone_is_removed_and_nothing_else_is_done_to_it() {
    let server = Server::shared();
    let database = open(settings(&server.url("postgres")));
    let admin = admin(&server, "postgres").await;
    create(&*database, "gone", "word", YEAR_2100, &[CREATE]).await.unwrap();
    admin.batch_execute("DROP ROLE gone").await.unwrap();
    database.remove("gone", &[]).await.unwrap();
    let custom = texts(&["REVOKE ALL ON SCHEMA public FROM \"{{name}}\"; DROP ROLE \"{{name}}\""]);
    database.remove("gone", &custom).await.unwrap();
    for error in [
        database.renew("gone", Timestamp::from_seconds(YEAR_2100), &[]).await.unwrap_err(),
        database
            .set_credential("gone", &Credential::Password(secret("new-secret")), &[])
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind, FailureKind::Refused);
        assert!(error.text.contains("does not exist") && error.text.contains("42704"), "{error}");
    }
    // Custom statements that fail while the role is there are an error.
    create(&*database, "gone", "word", YEAR_2100, &[CREATE]).await.unwrap();
    let error = database.remove("gone", &texts(&["DROP ROLE nobody_at_all"])).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Refused);
    assert!(database.logs_in("gone", &secret("word")).await.unwrap());
    database.remove("gone", &[]).await.unwrap();
}

/// Two kinds of administrators: one that may all, and one that may make roles and own what they
/// leave.
#[tokio::test]
async fn removal_takes_what_a_role_has_in_every_schema_and_database() {
    let server = Server::shared();
    let admin = admin(&server, "postgres").await;
    admin.batch_execute("CREATE ROLE keeper LOGIN CREATEROLE PASSWORD 'keeper'").await.unwrap();
    for (who, password) in [(ADMIN, PASSWORD), ("keeper", "keeper")] {
        let (first, second) = (format!("own_{who}"), format!("own \"{who}\" 2"));
        let second_quoted = Dialect::Postgresql.identifier(&second);
        for database in [Dialect::Postgresql.identifier(&first), second_quoted.clone()] {
            admin.batch_execute(&format!("CREATE DATABASE {database} OWNER {who}")).await.unwrap();
        }
        let mut options = settings(&server.url(&first));
        options.username = who.to_owned();
        options.password = secret(password);
        let database = open(options);
        let by = session(&server, &first, who, password).await;
        by.batch_execute("CREATE SCHEMA a; CREATE SCHEMA \"b \"\" c\"; CREATE TABLE a.t (x int)")
            .await
            .unwrap();
        let name = format!("leaver_{who}");
        let more = [
            CREATE,
            "GRANT CREATE, USAGE ON SCHEMA a, \"b \"\" c\" TO \"{{name}}\"",
            "GRANT SELECT ON a.t TO \"{{name}}\"; GRANT CREATE ON SCHEMA public TO \"{{name}}\"",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA a GRANT ALL ON TABLES TO \"{{name}}\"",
        ];
        // Two roles cannot have each other's rights: it must lose the administrator's first.
        let less = [CREATE, more[1], "GRANT keeper TO \"{{name}}\""];
        let statements = if who == ADMIN { &more[..] } else { &less[..] };
        create(&*database, &name, "word", YEAR_2100, statements).await.unwrap();
        let grant = format!("GRANT CREATE ON DATABASE {second_quoted} TO {name}");
        by.batch_execute(&grant).await.unwrap();

        // It has sessions, one of them in a transaction that holds locks.
        let busy = session(&server, &first, &name, "word").await;
        let tables = "CREATE TABLE a.u (); CREATE TABLE \"b \"\" c\".v (); CREATE FUNCTION a.f() \
                      RETURNS int LANGUAGE sql AS 'SELECT 1'";
        busy.batch_execute(tables).await.unwrap();
        busy.batch_execute("BEGIN; LOCK TABLE a.u").await.unwrap();
        let elsewhere = session(&server, &second, &name, "word").await;
        elsewhere.batch_execute("CREATE SCHEMA mine; CREATE TABLE mine.w ()").await.unwrap();

        database.remove(&name, &[]).await.unwrap_or_else(|e| panic!("{who}: {e}"));
        assert!(!has_role(&admin, &name).await, "{who}");
        assert!(busy.simple_query("SELECT 1").await.is_err(), "{who}");
        let tables = "SELECT tablename, tableowner FROM pg_tables WHERE tableowner = current_user \
                      AND schemaname IN ('a', 'b \" c') ORDER BY 1";
        let left = rows(&by, tables).await;
        let owned = |table: &str| format!("{table}|{who}");
        assert_eq!(left, [owned("t"), owned("u"), owned("v")]);
        let other = session(&server, &second, who, password).await;
        let left = rows(&other, "SELECT tableowner FROM pg_tables WHERE schemaname = 'mine'").await;
        assert_eq!(left, [who]);
    }
}

#[tokio::test]
async fn what_cannot_be_removed_is_locked_out_and_named() {
    let server = Server::shared();
    let admin = admin(&server, "postgres").await;
    admin.batch_execute("CREATE DATABASE stuck_there").await.unwrap();
    admin
        .batch_execute(
            "CREATE ROLE stuck LOGIN PASSWORD 'word'; \
             GRANT CREATE ON DATABASE stuck_there TO stuck",
        )
        .await
        .unwrap();
    {
        let there = session(&server, "stuck_there", "stuck", "word").await;
        there.batch_execute("CREATE SCHEMA stuck").await.unwrap();
    }
    admin.batch_execute("ALTER DATABASE stuck_there ALLOW_CONNECTIONS false").await.unwrap();
    let database = open(settings(&server.url("postgres")));
    let error = database.remove("stuck", &[]).await.unwrap_err();
    assert!(error.text.contains("stays for what it has in \"stuck_there\""), "{error}");
    assert!(!database.logs_in("stuck", &secret("word")).await.unwrap());
    admin.batch_execute("ALTER DATABASE stuck_there ALLOW_CONNECTIONS true").await.unwrap();
    database.remove("stuck", &[]).await.unwrap();
    assert!(!has_role(&admin, "stuck").await);

    // Nobody locks out the administrator, or takes a role of the database.
    for name in [ADMIN, "pg_read_all_data"] {
        let error = database.remove(name, &[]).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Refused, "{name}: {error}");
    }
    assert!(database.logs_in(ADMIN, &secret(PASSWORD)).await.unwrap());
}

#[tokio::test]
async fn the_server_is_found_by_every_form_of_address() {
    let server = Server::shared();
    let (port, folder) = (server.port(), server.socket_folder().display().to_string());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let login = "{{username}}:{{password}}";
    let encoded = "r00t%27p%40ss%2Fword%3A%2541%5C%23";
    let good = [
        format!("postgresql://{login}@127.0.0.1:{port}/postgres"),
        format!("postgres://{login}@localhost:{port}"),
        format!("postgres://{login}@localhost:{port}/?sslmode=disable"),
        format!("postgres://{login}@localhost:{port}/postgres?sslmode=prefer&connect_timeout=5"),
        format!("postgres://{login}@localhost:{port}/postgres?sslmode=allow&search_path=a,b"),
        format!("postgres://postgres:{encoded}@127.0.0.1:{port}/postgres"),
        format!("postgres://127.0.0.1:{port}/postgres"),
        format!("postgres://{login}@127.0.0.1:{closed},127.0.0.1:{port}/postgres"),
        format!("postgres://{login}@/postgres?host={folder}&port={port}&sslmode=require"),
        format!("postgres://{login}@{}:{port}/postgres", folder.replace('/', "%2F")),
        format!("host=127.0.0.1 port={port} user={{{{username}}}} password={{{{password}}}}"),
        format!("host='{folder}' port={port} user=postgres password='{{{{password}}}}'"),
        format!("hostaddr=127.0.0.1 port={port} user=postgres target_session_attrs=read-write"),
    ];
    for url in good {
        let database = open(settings(&url));
        database.verify().await.unwrap_or_else(|e| panic!("{url}: {e}"));
        database.close().await.unwrap();
        assert_eq!(database.verify().await.unwrap_err().kind, FailureKind::Unreachable);
    }
    let mut escaped = settings(&server.url("postgres"));
    escaped.password = secret(encoded);
    escaped.own.insert("disable_escaping".to_owned(), json!(true));
    open(escaped).verify().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_an_address_is_said_without_it() {
    let server = Server::shared();
    let port = server.port();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let login = "{{username}}:{{password}}";
    use FailureKind::{Configuration, Credential, Refused, Unreachable};
    let cases = [
        (String::new(), Configuration, "cannot be empty"),
        (format!("mysql://{login}@db"), Configuration, "must begin with"),
        (format!("postgres://{login}@127.0.0.1:port/x"), Configuration, "port is not a number"),
        (format!("postgres://{login}@h/?sslmode=maybe"), Configuration, "sslmode must be one of"),
        (format!("postgres://{login}@h/?passfile=/x"), Configuration, "passfile is not supported"),
        (format!("postgres://{login}@h/?sslrootcert=/nowhere"), Configuration, "cannot be read"),
        (format!("postgres://{login}@h1,h2/?port=1,2,3"), Configuration, "as many ports"),
        (format!("postgres://{login}@{}h/", "h,".repeat(16)), Configuration, "more than 16 hosts"),
        (format!("postgres://{login}@h/?sslcert=/etc/passwd"), Configuration, "cannot be read"),
        (format!("postgres://{login}@h/?sslkey=/dev/zero"), Configuration, "cannot be read"),
        (format!("postgres://{login}@127.0.0.1:{closed}/x"), Unreachable, "refused"),
        (format!("postgres://{login}@nowhere.invalid/x"), Unreachable, "cannot connect"),
        (format!("postgres://{login}@127.0.0.1:{port}/nowhere"), Configuration, "3D000"),
        (format!("postgres://{login}x@127.0.0.1:{port}/postgres"), Credential, "28P01"),
        (format!("postgres://nobody:{{{{password}}}}@127.0.0.1:{port}/x"), Credential, "28P01"),
        (format!("postgres://{login}@127.0.0.1:{port}/?sslmode=require"), Configuration, "TLS"),
        (format!("postgres://{login}@127.0.0.1:{port}/postgres?no_such=1"), Refused, "no_such"),
    ];
    for (url, kind, text) in cases {
        let mut options = settings(&url);
        options.timeout = Duration::from_secs(20);
        let error = match Postgresql.open(options) {
            Ok(database) => database.verify().await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.kind, kind, "{url}: {error}");
        assert!(error.text.contains(text), "{url}: {error}");
        assert!(
            !["r00t", "127.0.0.1", "@"].iter().any(|part| error.text.contains(part)),
            "{error}"
        );
    }
    // A server that takes the connection and then says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut options = settings(&format!("postgres://{login}@127.0.0.1:{port}/x"));
    options.timeout = Duration::from_millis(200);
    let error = open(options).verify().await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Unreachable);
    let mut options = settings("postgres://db");
    options.username = "{{password}}".to_owned();
    assert!(Postgresql.open(options).unwrap_err().text.contains("template variables"));
    let mut options = settings("postgres://db");
    options.own.insert("password_authentication".to_owned(), json!("md5"));
    assert!(Postgresql.open(options).unwrap_err().text.contains("scram-sha-256"));
}

#[tokio::test]
async fn with_scram_no_password_reaches_the_server() {
    let server = Server::start(&Options::default());
    let plain = open(settings(&server.url("postgres")));
    let mut options = settings(&server.url("postgres"));
    options.own.insert("password_authentication".to_owned(), json!("scram-sha-256"));
    let scram = open(options);
    create(&*plain, "seen", "canary-plain", YEAR_2100, &[CREATE]).await.unwrap();
    create(&*scram, "unseen", "canary-hidden", YEAR_2100, &[CREATE]).await.unwrap();
    assert!(scram.logs_in("unseen", &secret("canary-hidden")).await.unwrap());
    let next = Credential::Password(secret("canary-next-\u{a0}\u{fc}"));
    scram.set_credential("unseen", &next, &[]).await.unwrap();
    assert!(scram.logs_in("unseen", &secret("canary-next-\u{a0}\u{fc}")).await.unwrap());
    create(&*plain, "last", "canary-last", YEAR_2100, &[CREATE]).await.unwrap();
    let log = server.log_until("canary-last");
    assert!(log.contains("canary-plain"), "the log shows statements");
    assert!(log.contains("SCRAM-SHA-256$4096:"));
    assert!(!log.contains("canary-hidden") && !log.contains("canary-next"));
}

#[tokio::test]
async fn tls_is_as_strict_as_was_asked() {
    let [ca_key, other_key, server_key] = [(); 3].map(|()| rcgen::KeyPair::generate().unwrap());
    let authority = || {
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
    };
    let ca = authority().self_signed(&ca_key).unwrap().pem();
    let other = authority().self_signed(&other_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority(), ca_key);
    let params = rcgen::CertificateParams::new(vec!["db.test".to_owned()]).unwrap();
    let certificate = params.signed_by(&server_key, &issuer).unwrap().pem();
    let server = Server::start(&Options {
        tls: Some((certificate.clone(), server_key.serialize_pem())),
        ..Options::default()
    });
    refuses_strangers(&certificate, &server_key.serialize_pem(), &ca, &issuer).await;
    let file = server.socket_folder().join("ca.pem");
    std::fs::write(&file, &ca).unwrap();
    let file = format!("?sslrootcert={}&sslmode=", file.display());
    let by_file = |mode: &str| format!("{file}{mode}");
    let (verify_ca, verify_full, require) =
        (by_file("verify-ca"), by_file("verify-full"), by_file("require"));
    let wrong_name = "certificate";
    // The URL's end, the authorities, the server's name, is any certificate good; what is said.
    let cases: &[(&str, &str, &str, bool, Option<&str>)] = &[
        ("", "", "", false, None),
        ("?sslmode=prefer", "", "", false, None),
        ("?sslmode=allow", "", "", false, None),
        ("?sslmode=require", "", "", false, None),
        ("?sslmode=disable", "", "", false, Some("28000")),
        ("?sslmode=verify-ca", "", "", false, Some(wrong_name)),
        ("?sslmode=verify-ca", &ca, "", false, None),
        ("?sslmode=verify-ca", &other, "", false, Some(wrong_name)),
        ("?sslmode=verify-ca", &certificate, "", false, None),
        ("?sslmode=require", &ca, "", false, None),
        ("?sslmode=require", &other, "", false, Some(wrong_name)),
        ("?sslmode=verify-full", &ca, "", false, Some(wrong_name)),
        ("?sslmode=verify-full", &ca, "db.test", false, None),
        ("?sslmode=verify-full", &certificate, "db.test", false, None),
        ("?sslmode=verify-full", &certificate, "other.test", false, Some(wrong_name)),
        ("?sslmode=verify-full", &other, "db.test", false, Some(wrong_name)),
        ("?sslmode=verify-full", &other, "other.test", true, None),
        ("", &ca, "db.test", false, None),
        ("", &ca, "", false, Some(wrong_name)),
        ("", &other, "db.test", false, Some(wrong_name)),
        (&verify_ca, "", "", false, None),
        (&require, "", "", false, None),
        (&verify_full, "", "", false, Some(wrong_name)),
        (&verify_full, "", "db.test", false, None),
        ("?channel_binding=require", "", "", false, None),
        ("?sslmode=require", "no PEM", "", false, Some("no PEM")),
    ];
    for (end, ca, name, skip, said) in cases {
        let mut options = settings(&format!("{}{end}", server.url("postgres")));
        options.tls = TlsMaterial {
            ca: (*ca).to_owned(),
            server_name: (*name).to_owned(),
            skip_verify: *skip,
            ..TlsMaterial::default()
        };
        let verified = match Postgresql.open(options) {
            Ok(database) => database.verify().await,
            Err(error) => Err(error),
        };
        match (verified, said) {
            (Ok(()), None) => {}
            (Err(error), Some(said)) => assert!(error.text.contains(said), "{end}: {error}"),
            (Ok(()), Some(said)) => panic!("{end} {name}: not refused: {said}"),
            (Err(error), None) => panic!("{end} {name}: {error}"),
        }
    }
}

/// A server that wants to see certificates.
async fn refuses_strangers(
    certificate: &str,
    key: &str,
    ca: &str,
    issuer: &rcgen::Issuer<'_, rcgen::KeyPair>,
) {
    let server = Server::start(&Options {
        tls: Some((certificate.to_owned(), key.to_owned())),
        clients: Some(ca.to_owned()),
        ..Options::default()
    });
    let client_key = rcgen::KeyPair::generate().unwrap();
    let mut client = rcgen::CertificateParams::new(vec!["strongroom.test".to_owned()]).unwrap();
    client.distinguished_name.push(rcgen::DnType::CommonName, "strongroom.test");
    let client = client.signed_by(&client_key, issuer).unwrap().pem();
    let key = client_key.serialize_pem();
    for (certificate, key, said) in [
        ("", "", Some("certificate")),
        (&*client, &*key, None),
        (&*client, "", Some("private key is missing")),
        ("", &*key, Some("client's certificate is missing")),
    ] {
        let mut options = settings(&server.url("postgres"));
        options.tls = TlsMaterial {
            ca: ca.to_owned(),
            certificate: certificate.to_owned(),
            private_key: secret(key),
            server_name: "db.test".to_owned(),
            skip_verify: false,
        };
        let verified = match Postgresql.open(options) {
            Ok(database) => database.verify().await,
            Err(error) => Err(error),
        };
        match (verified, said) {
            (Ok(()), None) => {}
            (Err(error), Some(said)) => assert!(error.text.contains(said), "{error}"),
            (other, said) => panic!("{other:?}, and not {said:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn accounts_are_made_and_removed_side_by_side() {
    let server = Server::shared();
    let admin = admin(&server, "postgres").await;
    admin.batch_execute("CREATE DATABASE crowd").await.unwrap();
    let crowd = session(&server, "crowd", ADMIN, PASSWORD).await;
    crowd.batch_execute("CREATE TABLE shared ()").await.unwrap();
    let mut options = settings(&server.url("crowd"));
    options.max_open_connections = 3;
    let database = open(options);
    let mut tasks = Vec::new();
    for n in 0..24 {
        let database = database.clone();
        tasks.push(tokio::spawn(async move {
            let name = format!("crowd_{n}");
            // The rights of the table are one row of the catalogue, which all of them write.
            let grant = "GRANT SELECT ON shared TO \"{{name}}\"";
            create(&*database, &name, "word", YEAR_2100, &[CREATE, grant]).await.unwrap();
            assert!(database.logs_in(&name, &secret("word")).await.unwrap());
            database.remove(&name, &[]).await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let connections = "SELECT count(*) <= 3 FROM pg_stat_activity \
                       WHERE application_name = 'strongroom' AND datname = 'crowd' \
                       AND usename = 'postgres'";
    assert_eq!(rows(&admin, connections).await, ["t"]);
    let left = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'crowd%'";
    assert_eq!(rows(&admin, left).await, ["0"]);
}

#[tokio::test]
async fn a_session_is_as_new_and_a_dead_one_is_replaced() {
    let server = Server::shared();
    let mut options = settings(&format!("{}?application_name=reuse", server.url("postgres")));
    options.max_open_connections = 1;
    let database = open(options);
    let admin = admin(&server, "postgres").await;
    // What the statements of one role set is not for the next.
    let unsettled = [
        "SET standard_conforming_strings = off; SET search_path = nowhere",
        "CREATE TEMPORARY TABLE reuse (); SELECT pg_advisory_lock(1)",
        CREATE,
    ];
    create(&*database, "reuse_1", "a\\", YEAR_2100, &unsettled).await.unwrap();
    let failing = ["SELECT pg_advisory_lock(1)", "SELEKT"];
    create(&*database, "reuse_2", "b\\", YEAR_2100, &failing).await.unwrap_err();
    let left = "SELECT (SELECT count(*) FROM pg_class WHERE relname = 'reuse'), \
                (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')";
    assert_eq!(rows(&admin, left).await, ["0|0"]);
    create(&*database, "reuse_2", "b\\", YEAR_2100, &[CREATE]).await.unwrap();
    assert!(database.logs_in("reuse_2", &secret("b\\")).await.unwrap());
    let pids = "SELECT pid FROM pg_stat_activity WHERE application_name = 'reuse' \
                AND usename = current_user";
    let before = rows(&admin, pids).await;
    assert_eq!(before.len(), 1);
    database.renew("reuse_2", Timestamp::from_seconds(YEAR_2100), &[]).await.unwrap();
    assert_eq!(rows(&admin, pids).await, before);
    // The session ends while nobody here looks at its connection.
    let end = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity \
               WHERE application_name = 'reuse' AND usename = current_user";
    let there = server.clone();
    let ending = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            rows(&session(&there, "postgres", ADMIN, PASSWORD).await, end).await
        })
    });
    assert_eq!(ending.join().unwrap(), ["t"]);
    create(&*database, "reuse_3", "c", YEAR_2100, &[CREATE]).await.unwrap();
    for name in ["reuse_1", "reuse_2", "reuse_3"] {
        database.remove(name, &[]).await.unwrap();
    }
    let after = rows(&admin, pids).await;
    assert!(after.len() == 1 && after != before);
}
