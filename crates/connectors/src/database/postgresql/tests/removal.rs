//! What removal takes, and what it says of the rest.

use super::*;

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
