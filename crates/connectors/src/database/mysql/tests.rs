//! Against a real MariaDB.

use std::sync::Arc;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, ServerError};
use strongroom_testkit::servers::guard::{Folder, free_port};
use strongroom_testkit::servers::mariadb::{ADMIN, MariaDb, PASSWORD};

use super::super::tests::Certificates;
use super::failure::message;
use super::*;
use crate::database::TlsMaterial;

mod imitation;

const URL: &str = "{{username}}:{{password}}@tcp(127.0.0.1:PORT)/";
const CREATE: &str = "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'";
const GRANT: &str = "GRANT SELECT ON *.* TO '{{name}}'@'%'";

fn secret(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|&text| text.to_owned()).collect()
}

fn settings(url: &str, port: u16) -> Settings {
    Settings {
        connection_url: secret(&url.replace("PORT", &port.to_string())),
        username: ADMIN.to_owned(),
        password: secret(PASSWORD),
        timeout: Duration::from_secs(10),
        ..Settings::default()
    }
}

fn open(settings: Settings) -> Arc<dyn Database> {
    Mysql::current().open(settings).expect("a good configuration")
}

async fn by_hand(server: &MariaDb) -> Conn {
    let opts = OptsBuilder::default().socket(Some(server.socket())).user(Some("root"));
    Conn::new(opts).await.expect("root gets in")
}

async fn hosts(server: &MariaDb, name: &str) -> Vec<String> {
    let mut conn = by_hand(server).await;
    conn.exec("SELECT Host FROM mysql.user WHERE User = ?", (name,)).await.expect("a list")
}

async fn create(
    database: &Arc<dyn Database>,
    name: &str,
    password: &str,
    statements: &[&str],
    rollback: &[&str],
) -> Result<(), DatabaseError> {
    let (statements, rollback) = (texts(statements), texts(rollback));
    let account = NewAccount {
        name,
        credential: &Credential::Password(secret(password)),
        expires: Timestamp::from_seconds(1_800_000_000),
        statements: &statements,
        rollback: &rollback,
    };
    database.create(account).await
}

/// Threat CVE-2026-39946: names and passwords are data in every statement, those of removal and
/// rotation too.
#[tokio::test]
async fn accounts_of_any_name_are_made_changed_and_removed() {
    let server = MariaDb::shared();
    let unescaped = format!("{URL}?sql_mode=%27NO_BACKSLASH_ESCAPES,STRICT_TRANS_TABLES%27");
    let socket = format!("{{{{username}}}}:{{{{password}}}}@unix({})/", server.socket());
    let cases = [
        (URL, "v-token-reader-1", "Plain-1"),
        (URL, "o'brien\\", "it's\\"),
        (URL, "a\"b`c'; DROP USER keeper; -- ", "x' OR ''='"),
        (URL, "back\\'slash", "\\' , '"),
        (&unescaped, "ends\\", "a\\b'c\\"),
        (&unescaped, "q'; DROP USER 'keeper'@'%'; -- ", "\\'; SELECT 1; -- "),
        (&socket, "na\u{ef}ve-\u{df}-name", "\u{1f511} \u{e9}"),
    ];
    for (url, name, password) in cases {
        let database = open(settings(url, server.port));
        let case = format!("{name} {password}");
        let quoted = "GRANT SELECT ON mysql.* TO `{{username}}`@'%'";
        create(&database, name, password, &[CREATE, quoted], &[]).await.expect(&case);
        let (old, new) = (secret(password), secret(&format!("2{password}")));
        assert!(database.logs_in(name, &old).await.expect(&case), "{case}");
        assert!(!database.logs_in(name, &new).await.expect(&case), "{case}");
        assert!(!database.logs_in("nobody", &new).await.expect(&case), "{case}");

        database.renew(name, Timestamp::from_seconds(0), &[]).await.expect(&case);
        let set = Credential::Password(new.duplicate());
        database.set_credential(name, &set, &[]).await.expect(&case);
        assert!(!database.logs_in(name, &old).await.expect(&case), "{case}");
        assert!(database.logs_in(name, &new).await.expect(&case), "{case}");

        for _ in 0..2 {
            database.remove(name, &[]).await.expect(&case);
            assert_eq!(hosts(&server, name).await, [""; 0], "{case}");
            assert!(!database.logs_in(name, &new).await.expect(&case), "{case}");
        }
        database.verify().await.expect(&case);
        database.close().await.expect(&case);
    }
}

#[tokio::test]
async fn the_operators_own_statements() {
    let server = MariaDb::shared();
    let database = open(settings(URL, server.port));
    let name = "own-statements";
    let all = "CREATE USER '{{name}}'@'127.%' IDENTIFIED BY '{{password}}'; -- for {{name}};\n\
               CREATE USER '{{name}}'@'localhost'; GRANT SELECT ON *.* TO '{{name}}'@'127.%';";
    create(&database, name, "Password-1", &[all], &[]).await.expect("made");
    assert!(database.logs_in(name, &secret("Password-1")).await.expect("asked"));

    let set = texts(&["SET PASSWORD FOR '{{username}}'@'127.%' = PASSWORD('{{password}}')"]);
    let new = Credential::Password(secret("Password-2"));
    database.set_credential(name, &new, &set).await.expect("changed");
    assert!(database.logs_in(name, &secret("Password-2")).await.expect("asked"));

    let lock = texts(&["ALTER USER '{{name}}'@'127.%' ACCOUNT LOCK"]);
    database.renew(name, Timestamp::from_seconds(0), &lock).await.expect("its statement ran");
    assert!(!database.logs_in(name, &secret("Password-2")).await.expect("asked"));

    let drop_one = texts(&["DROP USER '{{name}}'@'localhost'"]);
    database.remove(name, &drop_one).await.expect("removed");
    assert_eq!(hosts(&server, name).await, ["127.%"]);
    // The default way finds it whatever its host.
    database.remove(name, &[]).await.expect("removed");
    assert_eq!(hosts(&server, name).await, [""; 0]);
    // Gone already, the statements are not even tried.
    database.remove(name, &drop_one).await.expect("nothing to remove");
}

#[tokio::test]
async fn of_a_failed_creation_nothing_is_left() {
    let server = MariaDb::shared();
    let database = open(settings(URL, server.port));
    let password = "Sesame-0pen-it";
    let broken_value = "SELECT nothing FROM '{{password}}'";
    let own = "DROP USER '{{name}}'@'%'";
    // Statements, rollback statements, what the error says.
    let cases: &[(&[&str], &[&str], &str)] = &[
        (&[CREATE, "GRANT NONSENSE ON", GRANT], &[], "statement 2 of 3: Error 1064 (42000): "),
        (&["GRANT NONSENSE", CREATE], &[], "statement 1 of 2: Error 1064"),
        (&[CREATE, GRANT, broken_value], &[], "statement 3 of 3: Error 1064"),
        (&[CREATE, "GRANT SELECT ON no.such TO '{{name}}'@'%'"], &[], "Error 1146 (42S02)"),
        (&[CREATE, "SELECT {{password}}"], &[], "outside of quotes"),
        (&[CREATE, "SELECT `{{password}}`"], &[], "Error 1054"),
        (&[CREATE, "SELECT nothing"], &[own], "statement 2 of 2: Error 1054"),
        (&[CREATE, "SELECT nothing"], &["SELECT none", own], "undoing what was done failed too"),
        (&["CREATE USER '{{name}}'@'%', '{{name}}'@'%'"], &[], "Error 1396"),
        (&[CREATE, "KILL CONNECTION_ID()", GRANT], &[], "statement 2 of 3"),
    ];
    for (statements, rollback, expected) in cases {
        let name = "half-an-account";
        let error = create(&database, name, password, statements, rollback).await.unwrap_err();
        assert!(error.text.contains(expected), "{statements:?}: {error}");
        assert!(!error.text.contains("Sesame"), "{statements:?}: {error}");
        assert!(!error.text.contains("IDENTIFIED"), "{statements:?}: {error}");
        assert_eq!(hosts(&server, name).await, [""; 0], "{statements:?}: {error}");
    }
    // It stops there when we do not wait any longer, so it cannot make anything afterwards.
    let slow = open(settings(&format!("{URL}?readTimeout=300ms"), server.port));
    let late = [CREATE, "SELECT SLEEP(600)", "CREATE USER '{{name}}'@'late'"];
    let error = create(&slow, "too-late", password, &late, &[]).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Unreachable, "{error}");
    assert!(error.text.starts_with("statement 2 of 3: Error 1969 (70100)"), "{error}");
    assert_eq!(hosts(&server, "too-late").await, [""; 0], "{error}");
    let error = database.remove(ADMIN, &[]).await.unwrap_err();
    assert!(error.text.contains("administrator's own"), "{error}");
    for nothing in [&[][..], &[" ; "], &["-- nothing"]] {
        let error = create(&database, "a", password, nothing, &[]).await.unwrap_err();
        assert_eq!(
            (error.kind, error.text.as_str()),
            (FailureKind::Configuration, "empty creation statements")
        );
    }
}

/// Operators keep rows about their accounts, too.
#[tokio::test]
async fn rows_beside_an_account_are_all_written_or_none() {
    let server = MariaDb::shared();
    let mut conn = by_hand(&server).await;
    conn.query_drop("CREATE DATABASE app").await.expect("made");
    conn.query_drop("CREATE TABLE app.users (name TEXT)").await.expect("made");
    let insert = "INSERT INTO app.users VALUES ('{{name}}')";
    for url in [URL.to_owned(), format!("{URL}?autocommit=0")] {
        let database = open(settings(&url, server.port));
        let rows = "SELECT name FROM app.users";
        let broken = [CREATE, insert, "GRANT NONSENSE"];
        create(&database, "row-1", "Pass-1", &broken, &[]).await.unwrap_err();
        assert_eq!(conn.query::<String, _>(rows).await.expect("rows"), [""; 0], "{url}");
        create(&database, "row-2", "Pass-1", &[CREATE, insert], &[]).await.expect("made");
        assert_eq!(conn.query::<String, _>(rows).await.expect("rows"), ["row-2"], "{url}");
        let delete =
            texts(&["DROP USER '{{name}}'@'%'; DELETE FROM app.users WHERE name = '{{name}}'"]);
        database.remove("row-2", &delete).await.expect("removed");
        assert_eq!(conn.query::<String, _>(rows).await.expect("rows"), [""; 0], "{url}");
    }
}

#[test]
fn what_the_server_repeats_of_a_statement_is_left_out() {
    let said = |code: u16, message: &str| ServerError {
        code,
        message: message.to_owned(),
        state: "42000".to_owned(),
    };
    let cases = [
        (1064, "Syntax; use near 'IDENTIFIED BY 'x'' at line 1", "Syntax; use"),
        (1064, "Falsche Syntax bei 'x' in Zeile 1", "Falsche Syntax bei"),
        (1049, "Unknown database 'd'", "Unknown database 'd'"),
        (1583, "Incorrect parameters near 'x'", "Incorrect parameters"),
    ];
    for (code, text, expected) in cases {
        assert_eq!(message(&said(code, text)), expected);
    }
}

#[tokio::test]
async fn an_account_that_was_there_before_is_left_alone() {
    let server = MariaDb::shared();
    let database = open(settings(URL, server.port));
    let mut conn = by_hand(&server).await;
    conn.query_drop("CREATE USER 'before'@'localhost'").await.expect("made by hand");
    let statements: &[&[&str]] = &[&[CREATE], &["SELECT 1", CREATE, "GRANT NONSENSE"]];
    for statements in statements {
        let error = create(&database, "before", "Pass-1", statements, &[]).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Refused, "{error}");
        assert!(error.text.contains("already there"), "{error}");
        assert_eq!(hosts(&server, "before").await, ["localhost"]);
    }
}

#[tokio::test]
async fn an_account_removed_by_hand_counts_as_removed() {
    let server = MariaDb::shared();
    let database = open(settings(URL, server.port));
    let revoke = texts(&[
        "REVOKE ALL PRIVILEGES, GRANT OPTION FROM '{{name}}'@'%'; DROP USER '{{name}}'@'%'",
    ]);
    for statements in [&[][..], &revoke] {
        create(&database, "by-hand", "Pass-1", &[CREATE], &[]).await.expect("made");
        by_hand(&server).await.query_drop("DROP USER 'by-hand'@'%'").await.expect("dropped");
        database.remove("by-hand", statements).await.expect("nothing to do");
        let new = Credential::Password(secret("Pass-22222"));
        let error = database.set_credential("by-hand", &new, &[]).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Refused);
        assert!(error.text.starts_with("statement 1 of 1: Error 1396 (HY000)"), "{error}");
    }
}

/// An administrator that may make accounts and nothing more, as a cautious operator gives us.
#[tokio::test]
async fn an_administrator_who_may_not_look() {
    let server = MariaDb::shared();
    let mut conn = by_hand(&server).await;
    conn.query_drop("CREATE USER 'clerk'@'%' IDENTIFIED BY 'Clerk-1'").await.expect("made");
    conn.query_drop("GRANT CREATE USER ON *.* TO 'clerk'@'%'").await.expect("granted");
    let clerk = || Settings {
        username: "clerk".to_owned(),
        password: secret("Clerk-1"),
        max_open_connections: 1,
        ..settings(URL, server.port)
    };
    let database = open(clerk());
    create(&database, "clerks", "Pass-1", &[CREATE], &[]).await.expect("made");
    let error = create(&database, "clerks", "Pass-1", &[CREATE], &[]).await.unwrap_err();
    assert!(error.text.contains("Error 1396"), "{error}");
    assert_eq!(hosts(&server, "clerks").await, ["%"], "what was there before is left");
    database.remove("clerks", &[]).await.expect("removed");
    assert_eq!(hosts(&server, "clerks").await, [""; 0]);
    database.remove("clerks", &[]).await.expect("not there");
    let error = create(&database, "clerks", "Pass-1", &[CREATE, GRANT], &[]).await.unwrap_err();
    assert!(error.text.starts_with("statement 2 of 2: Error "), "{error}");
    assert_eq!(hosts(&server, "clerks").await, [""; 0], "undone");
}

#[tokio::test]
async fn who_cannot_be_reached_is_named_and_no_password_is() {
    let server = MariaDb::shared();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent_port = silent.local_addr().expect("an address").port();
    let literal = "keeper:Wrong-secret@tcp(127.0.0.1:PORT)/";
    let database = "{{username}}:{{password}}@tcp(127.0.0.1:PORT)/no_such_database";
    let tls = "{{username}}:{{password}}@tcp(127.0.0.1:PORT)/?tls=true";
    let no_socket = "{{username}}:{{password}}@unix(/nonexistent/socket)/";
    let slow = "{{username}}:{{password}}@tcp(127.0.0.1:PORT)/?timeout=100ms";
    let cases = [
        (URL, free_port(), FailureKind::Unreachable, "cannot connect to 127.0.0.1:"),
        (slow, silent_port, FailureKind::Unreachable, "no answer in time"),
        (no_socket, 0, FailureKind::Unreachable, "cannot connect to /nonexistent/socket"),
        (literal, server.port, FailureKind::Credential, "Error 1045 (28000): Access denied"),
        (database, server.port, FailureKind::Configuration, "Error 1049 (42000)"),
        (tls, server.port, FailureKind::Unreachable, "the server has no TLS"),
    ];
    for (url, port, kind, expected) in cases {
        let database = open(settings(url, port));
        let set = Credential::Password(secret("Other-secret"));
        let errors = [
            database.verify().await.unwrap_err(),
            create(&database, "nobody", "Other-secret", &[CREATE], &[]).await.unwrap_err(),
            database.remove("nobody", &[]).await.unwrap_err(),
            database.set_credential("nobody", &set, &[]).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind, kind, "{url}: {error}");
            assert!(error.text.contains(expected), "{url}: {error}");
            let shown = format!("{error} {error:?} {database:?}");
            assert!(!shown.contains("secret") && !shown.contains(PASSWORD), "{shown}");
        }
        if kind == FailureKind::Unreachable {
            let error = database.logs_in("nobody", &secret("Other-secret")).await.unwrap_err();
            assert_eq!(error.kind, kind, "{url}: {error}");
        }
    }
    // The next host is tried where one is away; without TLS where it is only preferred.
    let two = format!(
        "{{{{username}}}}:{{{{password}}}}@tcp(127.0.0.1:{},127.0.0.1:PORT)/?tls=preferred",
        free_port()
    );
    open(settings(&two, server.port)).verify().await.expect("the second host answers");
}

#[tokio::test]
async fn connections_are_kept_bounded_and_replaced() {
    let server = MariaDb::shared();
    let mut conn = by_hand(&server).await;
    conn.query_drop("CREATE USER 'pooled'@'%' IDENTIFIED BY 'Pooled-1'").await.expect("made");
    conn.query_drop("GRANT ALL ON *.* TO 'pooled'@'%' WITH GRANT OPTION").await.expect("granted");
    let pooled = Settings {
        username: "pooled".to_owned(),
        password: secret("Pooled-1"),
        max_open_connections: 2,
        max_idle_connections: 1,
        ..settings(URL, server.port)
    };
    let database = open(pooled);
    let sessions = "SELECT id FROM information_schema.processlist WHERE user = 'pooled'";
    let many = (0..8).map(|number| {
        let database = database.clone();
        tokio::spawn(async move {
            let name = format!("pooled-{number}");
            create(&database, &name, "Pass-1", &[CREATE, "SET @left = 1"], &[]).await?;
            database.remove(&name, &[]).await
        })
    });
    for one in many.collect::<Vec<_>>() {
        one.await.expect("it ran").expect("made and removed");
    }
    let ids: Vec<u64> = conn.query(sessions).await.expect("a list");
    assert!((1..=2).contains(&ids.len()), "{ids:?}");
    // A kept session that the server ended is not noticed by who asks next; and what a former user of
    // the session set is gone.
    for id in ids {
        // It may be the one that is just being closed.
        drop(conn.query_drop(format!("KILL {id}")).await);
    }
    create(&database, "pooled-9", "Pass-1", &[CREATE], &[]).await.expect("over a new session");
    let unset = "SELECT IF(@left IS NULL, 1, (SELECT 1 UNION SELECT 2))";
    let renew = texts(&["SET @left = 1", unset]);
    let error = database.renew("pooled-9", Timestamp::from_seconds(0), &renew).await.unwrap_err();
    assert!(error.text.contains("Error 1242"), "{error}");
    let renew = texts(&[unset]);
    database.renew("pooled-9", Timestamp::from_seconds(0), &renew).await.expect("a clean session");
    database.remove("pooled-9", &[]).await.expect("removed");
}

#[tokio::test]
async fn tls_as_it_was_asked_for() {
    let (own, other) = (Certificates::new(), Certificates::new());
    let folder = Folder::new();
    let file = |name: &str, text: &str| folder.write(name, text).display().to_string();
    let options = [
        format!("--ssl-ca={}", file("ca.pem", &own.ca)),
        format!("--ssl-cert={}", file("server.pem", &own.server.0)),
        format!("--ssl-key={}", file("server.key", &own.server.1)),
        "--require-secure-transport=ON".to_owned(),
    ];
    let server = MariaDb::start_with(&options.each_ref().map(String::as_str));
    let mut conn = by_hand(&server).await;
    conn.query_drop(format!("ALTER USER '{ADMIN}'@'%' REQUIRE X509")).await.expect("required");
    let material = |ca: &str, client: &(String, String)| TlsMaterial {
        ca: ca.to_owned(),
        certificate: client.0.clone(),
        private_key: secret(&client.1),
        ..TlsMaterial::default()
    };
    let none = (String::new(), String::new());
    let both = format!("{}{}", own.client.1, own.client.0);
    let both = (both.clone(), both);
    let named = |tls: TlsMaterial, name: &str| TlsMaterial { server_name: name.to_owned(), ..tls };
    let any = |tls: TlsMaterial| TlsMaterial { skip_verify: true, ..tls };
    let skip = "{{username}}:{{password}}@tcp(127.0.0.1:PORT)/?tls=skip-verify";
    let yes = "{{username}}:{{password}}@tcp(127.0.0.1:PORT)/?tls=true";
    // URL, certificates; how it fails.
    let cases = [
        (URL, material(&own.ca, &own.client), None),
        (URL, material(&own.ca, &both), None),
        (skip, material("", &own.client), None),
        (URL, any(material(&other.ca, &own.client)), None),
        (URL, material(&own.ca, &none), Some(FailureKind::Credential)),
        (URL, material(&other.ca, &own.client), Some(FailureKind::Unreachable)),
        (yes, material("", &own.client), Some(FailureKind::Unreachable)),
        (URL, named(material(&own.ca, &own.client), "elsewhere"), Some(FailureKind::Unreachable)),
        (URL, material(&own.ca, &other.client), Some(FailureKind::Unreachable)),
        (URL, TlsMaterial::default(), Some(FailureKind::Credential)),
    ];
    for (number, (url, tls, kind)) in cases.into_iter().enumerate() {
        let got = open(Settings { tls, ..settings(url, server.port) }).verify().await;
        assert_eq!(got.as_ref().err().map(|error| error.kind), kind, "case {number}: {got:?}");
    }
}

#[test]
fn what_it_says_of_itself() {
    let (current, legacy) = (Mysql::current(), Mysql::legacy());
    assert!(current.traits().username_template.ends_with("truncate 32 }}"));
    assert!(legacy.traits().username_template.ends_with("truncate 16 }}"));
    assert_eq!(current.traits().names, ["mysql-database-plugin"]);
    assert_eq!(legacy.traits().names.len(), 3);
    let certificates = Certificates::new();
    let material = |ca: &str, certificate: &str, key: &str| TlsMaterial {
        ca: ca.to_owned(),
        certificate: certificate.to_owned(),
        private_key: secret(key),
        ..TlsMaterial::default()
    };
    let (ca, (certificate, key)) = (&certificates.ca, &certificates.client);
    let bad = [
        (material("nothing", "", ""), "authority's certificate is missing or no PEM"),
        (material(ca, "x", key), "client's certificate is missing or no PEM"),
        (material("", "", key), "client's certificate is missing or no PEM"),
        (material(ca, certificate, ""), "private key is missing or no PEM"),
        (material(ca, certificate, &certificates.server.1), "do not belong together"),
    ];
    for (tls, expected) in bad {
        let error = current.open(Settings { tls, ..settings(URL, 1) }).unwrap_err();
        assert_eq!(error.kind, FailureKind::Configuration);
        assert!(error.text.contains(expected), "{error}");
    }
}
