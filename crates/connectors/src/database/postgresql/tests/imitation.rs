//! Two accounts that take turns.

use super::*;

const ATTRIBUTES: &str = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls";

async fn attributes(client: &Client, name: &str) -> Vec<String> {
    rows(client, &format!("SELECT {ATTRIBUTES} FROM pg_roles WHERE rolname = '{name}'")).await
}

async fn may(client: &Client, name: &str, role: &str) -> String {
    let member = format!("pg_has_role('{name}', '{role}', 'MEMBER')");
    let admin = format!("pg_has_role('{name}', '{role}', 'MEMBER WITH ADMIN OPTION')");
    rows(client, &format!("SELECT {member}, {admin}")).await.concat()
}

/// Each of the two is the other's model, again and again.
async fn take_turns(database: &dyn Database, first: &str) {
    let second = format!("{first}_clone");
    for turn in 0..4 {
        let (model, name) = match turn % 2 {
            0 => (first, second.as_str()),
            _ => (second.as_str(), first),
        };
        let password = secret(&format!("turn-{turn}"));
        let made = database.imitate(model, name, &password).await;
        made.unwrap_or_else(|e| panic!("{name}, turn {turn}: {e}"));
        assert!(database.logs_in(name, &password).await.unwrap(), "{name}, turn {turn}");
    }
}

#[tokio::test]
async fn the_second_account_has_the_attributes_of_the_first_and_no_more() {
    let server = Server::shared();
    let database = open(settings(&server.url("postgres")));
    let admin = admin(&server, "postgres").await;
    for (name, words, expected) in [
        ("like_plain", "", "f|f|f|f|f"),
        ("like_maker", "CREATEDB CREATEROLE", "f|t|t|f|f"),
        ("like_reader", "REPLICATION BYPASSRLS", "f|f|f|t|t"),
        ("like_super", "SUPERUSER", "t|f|f|f|f"),
    ] {
        let made = format!("CREATE ROLE {name} LOGIN PASSWORD 'word' {words}");
        admin.batch_execute(&made).await.unwrap();
        take_turns(&*database, name).await;
        assert_eq!(attributes(&admin, &format!("{name}_clone")).await, [expected], "{name}");
        assert_eq!(attributes(&admin, name).await, [expected], "{name}");
    }
    // What one of them gets while it is in use, the other has after its turn.
    admin.batch_execute("ALTER ROLE like_plain CREATEDB").await.unwrap();
    take_turns(&*database, "like_plain").await;
    assert_eq!(attributes(&admin, "like_plain_clone").await, ["f|f|t|f|f"]);
    // More than the first one has is refused, whatever it is, and left alone.
    for word in ["CREATEROLE", "REPLICATION", "BYPASSRLS", "SUPERUSER"] {
        admin.batch_execute(&format!("ALTER ROLE like_plain_clone {word}")).await.unwrap();
        let made = database.imitate("like_plain", "like_plain_clone", &secret("never")).await;
        let error = made.unwrap_err();
        assert_eq!(error.kind, FailureKind::Refused, "{word}: {error}");
        assert!(error.text.contains("may do what the first may not"), "{word}: {error}");
        assert!(!database.logs_in("like_plain_clone", &secret("never")).await.unwrap(), "{word}");
        admin.batch_execute(&format!("ALTER ROLE like_plain_clone NO{word}")).await.unwrap();
    }
    let error = database.imitate("like_nobody", "like_other", &secret("x")).await.unwrap_err();
    assert!(error.text.contains("first account is not there"), "{error}");
}

/// The first turn fails, and nothing is left that the second would be refused for.
#[tokio::test]
async fn what_the_administrator_may_not_give_is_refused_at_once() {
    let server = Server::shared();
    let admin = admin(&server, "postgres").await;
    admin
        .batch_execute(
            "CREATE ROLE clerk LOGIN PASSWORD 'word' CREATEROLE CREATEDB; \
             CREATE ROLE over_rls LOGIN PASSWORD 'word' BYPASSRLS; \
             CREATE ROLE over_db LOGIN PASSWORD 'word' CREATEDB",
        )
        .await
        .unwrap();
    let clerk = open(Settings {
        username: "clerk".to_owned(),
        password: secret("word"),
        ..settings(&server.url("postgres"))
    });
    let error = clerk.imitate("over_rls", "over_rls_clone", &secret("x")).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Refused, "{error}");
    assert!(error.text.contains("42501"), "{error}");
    assert!(!has_role(&admin, "over_rls_clone").await);
    take_turns(&*clerk, "over_db").await;
    assert_eq!(attributes(&admin, "over_db_clone").await, ["f|f|t|f|f"]);
}

#[tokio::test]
async fn memberships_are_compared_both_ways() {
    let server = Server::shared();
    let database = open(settings(&server.url("postgres")));
    let admin = admin(&server, "postgres").await;
    admin
        .batch_execute(
            "CREATE ROLE club; CREATE ROLE inner_club; GRANT inner_club TO club; \
             CREATE ROLE member LOGIN PASSWORD 'word'; \
             GRANT club TO member WITH ADMIN OPTION; GRANT pg_monitor TO member",
        )
        .await
        .unwrap();
    take_turns(&*database, "member").await;
    assert_eq!(may(&admin, "member_clone", "club").await, "t|t");
    assert_eq!(may(&admin, "member_clone", "inner_club").await, "t|f");
    // What the second one got while it was in use, the first one gets with its turn.
    admin.batch_execute("GRANT pg_read_all_data TO member_clone").await.unwrap();
    database.imitate("member_clone", "member", &secret("x")).await.unwrap();
    assert_eq!(may(&admin, "member", "pg_read_all_data").await, "t|f");
    take_turns(&*database, "member").await;

    // Somebody's account of that name, with more: a role, or the right to give one.
    for (given, taken) in [
        ("GRANT pg_write_all_data TO member_clone", "REVOKE pg_write_all_data FROM member_clone"),
        (
            "GRANT pg_monitor TO member_clone WITH ADMIN OPTION",
            "REVOKE pg_monitor FROM member_clone",
        ),
    ] {
        admin.batch_execute(given).await.unwrap();
        let made = database.imitate("member", "member_clone", &secret("never")).await;
        let error = made.unwrap_err();
        assert_eq!(error.kind, FailureKind::Refused, "{given}: {error}");
        assert!(error.text.contains("may do what the first may not"), "{given}: {error}");
        assert!(!database.logs_in("member_clone", &secret("never")).await.unwrap(), "{given}");
        admin.batch_execute(taken).await.unwrap();
    }
    // This one the first has by another way.
    admin.batch_execute("GRANT inner_club TO member_clone").await.unwrap();
    take_turns(&*database, "member").await;

    // One that was there before without any of it.
    admin
        .batch_execute("CREATE ROLE late LOGIN; CREATE ROLE late_clone; GRANT club TO late")
        .await
        .unwrap();
    take_turns(&*database, "late").await;
    assert_eq!(may(&admin, "late_clone", "club").await, "t|f");
}
