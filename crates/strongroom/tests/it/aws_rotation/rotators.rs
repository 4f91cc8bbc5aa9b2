//! The built-in rotators, on PostgreSQL and MariaDB.

use serde_json::{Value as Json, json};
use strongroom_testkit::servers::{mariadb, postgresql};

use super::Bed;
use crate::databases::Database;

/// What a kind of databases is called, and its port.
struct Kind {
    engine: &'static str,
    port: u16,
    dbname: &'static str,
    admin: (&'static str, &'static str),
}

/// Account and password.
type Login = (String, String);

fn lets_in(database: &dyn Database, (name, password): &Login) -> bool {
    database.ask(name, password, "SELECT 1").is_ok()
}

fn reads(database: &dyn Database, (name, password): &Login, select: &str) {
    assert_eq!(database.ask(name, password, select).as_deref().map(str::trim), Ok("7"), "{name}");
}

/// One account, and then two that take turns. `select` asks for a 7 that the account may read. Answers the
/// login that was taken back at last, and the one that is good.
fn rotates(database: &dyn Database, kind: &Kind, select: &str) -> (Login, Login) {
    let mut bed = Bed::new();
    let rotator = if kind.engine == "postgres" { "postgresql" } else { kind.engine };
    let by = |users: &str| {
        let name = format!("strongroom-{rotator}-{users}-user");
        json!({ "RotationLambdaARN": format!("arn:aws:lambda:us-east-1:000000000000:function:{name}") })
    };
    let value = |name: &str, password: &str, more: Json| {
        let mut value = json!({ "engine": kind.engine, "host": "127.0.0.1", "port": kind.port,
            "dbname": kind.dbname, "username": name, "password": password });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        value
    };
    let master = bed.create("db/master", &value(kind.admin.0, kind.admin.1, json!({})));
    bed.create("db/one", &value("one", "first-passw0rd", json!({ "note": 1.50 })));
    bed.create("db/two", &value("two", "first-passw0rd", json!({ "masterarn": master })));
    let refused = bed.owner.call(
        bed.room.server().address(),
        "RotateSecret",
        &json!({ "SecretId": "db/one", "ClientRequestToken": super::token(),
            "RotationLambdaARN": by("single")["RotationLambdaARN"] }),
    );
    assert_eq!(refused.unwrap().0, 400, "nobody has said where databases are");
    bed.must(
        "secret/config/rotation-databases",
        &json!({
            "hosts": format!("127.0.0.1:{}", kind.port), "tls": "disable", "masters": "db/master",
            "drain_deadline": "1s",
        }),
    );

    let before = bed.login("db/one", "AWSCURRENT");
    bed.rotate("db/one", by("single"));
    let after = bed.login("db/one", "AWSCURRENT");
    reads(database, &after, select);
    assert!(!lets_in(database, &before), "the password of before");
    assert_eq!(bed.login("db/one", "AWSPREVIOUS"), before);
    assert_eq!(bed.value("db/one", "AWSCURRENT")["note"], json!(1.50));
    bed.rotate("db/one", json!({}));
    assert!(!lets_in(database, &after));
    reads(database, &bed.login("db/one", "AWSCURRENT"), select);

    let first = bed.login("db/two", "AWSCURRENT");
    bed.rotate("db/two", by("multi"));
    let second = bed.login("db/two", "AWSCURRENT");
    assert_eq!((first.0.as_str(), second.0.as_str()), ("two", "two_clone"));
    reads(database, &second, select);
    let subject = "sys/rotation/subjects/secret/data/db/two";
    let root = bed.room.root.clone();
    let idle = |bed: &mut Bed| {
        let server = bed.room.server.as_mut().unwrap();
        server.until("the drain's end", |server| {
            let seen = server.must("GET", subject, &root, &Json::Null);
            (seen["data"]["state"] == "idle").then_some(())
        });
    };
    idle(&mut bed);
    assert!(!lets_in(database, &first), "it is taken back once it is drained");
    bed.must("secret/config/rotation-databases", &json!({ "drain_deadline": "1h" }));
    assert_eq!(bed.login("db/two", "AWSCURRENT"), second);
    bed.rotate("db/two", json!({}));
    // Whoever looked for the rotation's end has not read the next version yet.
    reads(database, &second, select);
    let third = bed.login("db/two", "AWSCURRENT");
    assert_eq!(third.0, "two");
    reads(database, &third, select);
    idle(&mut bed);
    assert!(!lets_in(database, &second));
    reads(database, &third, select);
    (second, third)
}

#[test]
fn accounts_of_postgresql() {
    let database = postgresql::Server::start(&postgresql::Options::default());
    for name in ["one", "two"] {
        database.admin(&format!("CREATE ROLE {name} LOGIN PASSWORD 'first-passw0rd'"));
    }
    database.admin("CREATE TABLE t AS SELECT 7 AS x");
    database.admin("GRANT SELECT ON t TO one, two");
    let kind = Kind {
        engine: "postgres",
        port: database.port(),
        dbname: "postgres",
        admin: (postgresql::ADMIN, postgresql::PASSWORD),
    };
    rotates(&database, &kind, "SELECT x FROM t");
    // Another one's account is not taken over by its name.
    database.admin("CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'of-the-boss'");
    database.admin("CREATE ROLE boss_clone LOGIN PASSWORD 'first-passw0rd'");
    let bed = Bed::new();
    let value = |name: &str, password: &str, master: &str| {
        json!({ "engine": "postgres", "host": "127.0.0.1", "port": kind.port, "dbname": "postgres",
            "username": name, "password": password, "masterarn": master })
    };
    let master = bed.create("db/master", &value(kind.admin.0, kind.admin.1, ""));
    bed.create("db/boss", &value("boss_clone", "first-passw0rd", &master));
    bed.must(
        "secret/config/rotation-databases",
        &json!({
            "hosts": "127.0.0.1", "tls": "disable", "masters": "db/master",
        }),
    );
    bed.aws(
        "RotateSecret",
        json!({
            "SecretId": "db/boss", "ClientRequestToken": super::token(),
            "RotationLambdaARN": "strongroom-postgresql-multi-user",
        }),
    );
    let mut bed = bed;
    let root = bed.room.root.clone();
    let server = bed.room.server.as_mut().unwrap();
    server.until("the refusal", |server| {
        let path = "sys/rotation/subjects/secret/data/db/boss";
        let seen = server.must("GET", path, &root, &Json::Null);
        seen["data"]["last_error"].as_str()?.contains("may do what the first may not").then_some(())
    });
    assert!(database.ask("boss", "of-the-boss", "SELECT 1").is_ok());
}

#[test]
fn accounts_of_mariadb() {
    let database = mariadb::MariaDb::start();
    database.admin("CREATE DATABASE `x`");
    database.admin("CREATE TABLE `x`.t AS SELECT 7 AS x");
    for account in ["one@'%'", "two@'%'", "two@'10.%'"] {
        database.admin(&format!("CREATE USER {account} IDENTIFIED BY 'first-passw0rd'"));
        database.admin(&format!("GRANT SELECT ON `x`.* TO {account}"));
    }
    let kind = Kind {
        engine: "mariadb",
        port: database.port,
        dbname: "x",
        admin: (mariadb::ADMIN, mariadb::PASSWORD),
    };
    let (second, third) = rotates(&database, &kind, "SELECT x FROM `x`.t");
    // Both entries of a name get the password, and both lose it.
    for ((name, password), have) in [(&third, 2), (&second, 0)] {
        let seen = database.admin(&format!(
            "SELECT COUNT(*), SUM(authentication_string = PASSWORD('{password}')) \
             FROM mysql.user WHERE User = '{name}'"
        ));
        assert_eq!(seen.trim(), format!("2\t{have}"), "{name}");
    }
}

/// The master's password was changed by hand: the end of a drain, here by force, takes the old password back
/// all the same, as the account whose it is.
#[test]
fn without_a_master_that_logs_in_the_old_password_of_mariadb_ends() {
    let database = mariadb::MariaDb::start();
    for account in ["two@'%'", "two@'10.%'", "boss@'%'"] {
        database.admin(&format!("CREATE USER {account} IDENTIFIED BY 'first-passw0rd'"));
    }
    database.admin("GRANT ALL PRIVILEGES ON *.* TO boss@'%' WITH GRANT OPTION");
    let mut bed = Bed::new();
    let value = |name: &str, master: &str| {
        json!({ "engine": "mariadb", "host": "127.0.0.1", "port": database.port, "dbname": "",
            "username": name, "password": "first-passw0rd", "masterarn": master })
    };
    let master = bed.create("db/master", &value("boss", ""));
    bed.create("db/two", &value("two", &master));
    let settings = json!({ "hosts": "127.0.0.1", "tls": "disable", "masters": "db/master" });
    bed.must("secret/config/rotation-databases", &settings);
    let first = bed.login("db/two", "AWSCURRENT");
    bed.rotate("db/two", json!({ "RotationLambdaARN": "strongroom-mariadb-multi-user" }));
    let second = bed.login("db/two", "AWSCURRENT");
    assert!(lets_in(&database, &first) && lets_in(&database, &second));
    database.admin("ALTER USER boss@'%' IDENTIFIED BY 'another-passw0rd'");
    bed.must("sys/rotation/force/secret/data/db/two", &json!({}));
    let root = bed.room.root.clone();
    let server = bed.room.server.as_mut().unwrap();
    server.until("the drain's end", |server| {
        let path = "sys/rotation/subjects/secret/data/db/two";
        let seen = server.must("GET", path, &root, &Json::Null);
        (seen["data"]["state"] == "idle").then_some(())
    });
    assert!(!lets_in(&database, &first));
    assert!(lets_in(&database, &second));
}
