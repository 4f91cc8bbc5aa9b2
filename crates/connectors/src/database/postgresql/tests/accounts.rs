//! An account's life: made, changed, and failed at.

use super::*;

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
