//! Two accounts that take turns by a built-in rotator, under clients at both doors that read when they
//! like and use what they have, and a server that is killed at any moment: nobody is ever refused.
//!
//! `ROTATION_CLIENTS` and `ROTATION_COUNT` make it larger, as in [`crate::rotations`].

use serde_json::{Value as Json, json};
use strongroom_testkit::servers::postgresql;

use super::{Bed, Pair, login_of};
use crate::chance::{Dice, number};
use crate::databases::postgresql_admin;
use crate::product::Wire;
use crate::rotations::{World, froze, login, rotate, status};

const SUBJECT: &str = "secret/data/app/db";

/// How a client reads.
enum Door {
    /// Vault's, with a token.
    Vault(String),
    /// AWS's, with a key pair.
    Aws(Pair),
}

impl Door {
    fn read(&self, address: &str) -> Option<(String, String)> {
        match self {
            Self::Vault(token) => {
                let mut wire = Wire::open(address).ok()?;
                let answer = wire.ask("GET", SUBJECT, token, &Json::Null).ok()?;
                login_of(&answer.body["data"]["data"])
            }
            Self::Aws(pair) => {
                let body = json!({ "SecretId": "app/db" });
                let (_, answer) = pair.call(address, "GetSecretValue", &body)?;
                login_of(&serde_json::from_str(answer["SecretString"].as_str()?).ok()?)
            }
        }
    }
}

#[test]
fn accounts_take_turns_under_clients_of_both_doors_and_kills_and_nobody_is_refused() {
    let (clients, rotations) = (number("ROTATION_CLIENTS", 30), number("ROTATION_COUNT", 6));
    let database = postgresql::Server::start(&postgresql::Options::default());
    postgresql_admin(&database, "CREATE TABLE log (client bigint)");
    postgresql_admin(&database, "CREATE ROLE app LOGIN PASSWORD 'first-passw0rd'");
    postgresql_admin(&database, "GRANT SELECT, INSERT ON log TO app");
    let mut bed = Bed::new();
    let value = |name: &str, password: &str, more: Json| {
        let mut value = json!({ "engine": "postgres", "host": "127.0.0.1", "port": database.port(),
            "dbname": "postgres", "username": name, "password": password });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        value
    };
    let master = value(postgresql::ADMIN, postgresql::PASSWORD, json!({}));
    let master = bed.create("app/master", &master);
    // Vault's door reads an object.
    let first = value("app", "first-passw0rd", json!({ "masterarn": master }));
    bed.must("secret/data/app/db", &json!({ "data": first }));
    let deadline = |bed: &Bed, deadline: &str| {
        bed.must(
            "secret/config/rotation-databases",
            &json!({
                "hosts": "127.0.0.1", "tls": "disable", "masters": "app/master",
                "drain_deadline": deadline,
            }),
        );
    };
    // Who read it before anybody was noted is waited for until the deadline.
    deadline(&bed, "1s");
    bed.rotate("app/db", json!({ "RotationLambdaARN": "strongroom-postgresql-multi-user" }));
    let root = bed.room.root.clone();
    let server = bed.room.server.as_mut().unwrap();
    server.until("the first drain's end", |server| {
        let path = format!("sys/rotation/subjects/{SUBJECT}");
        let seen = server.must("GET", &path, &root, &Json::Null);
        (seen["data"]["state"] == "idle").then_some(())
    });
    deadline(&bed, "8000h");

    bed.policy("pair", r#"path "secret/data/app/db" { capabilities = ["read"] }"#);
    let mut doors: Vec<Door> = (0..clients)
        .map(|number| match number % 2 {
            0 => Door::Vault(login(&bed.room, "pair", &format!("client-{number}"))),
            _ => Door::Aws(bed.pair(&format!("client-{number}"), "pair")),
        })
        .collect();
    doors.push(Door::Vault(login(&bed.room, "pair", "frozen")));
    let read =
        move |address: &str, client: u64| doors[usize::try_from(client).unwrap()].read(address);
    let world = World::new(database.port(), bed.room.server().address(), Box::new(read));
    let threads = world.start(clients);
    let owner = bed.owner.clone();
    let mut ask = |room: &crate::databases::Room| {
        // One that is not complete is reattempted: then this is refused.
        let body = json!({ "SecretId": "app/db", "ClientRequestToken": super::token() });
        owner.call(room.server().address(), "RotateSecret", &body);
    };
    let mut dice = Dice(43);
    for version in 3..3 + rotations {
        rotate(&mut bed.room, &world, (SUBJECT, version), &mut dice, &mut ask);
        assert_eq!(world.outcome().1, Vec::<String>::new(), "version {version}");
    }
    // One that reads once and never again.
    let frozen = world.creds(clients).unwrap();
    deadline(&bed, "6s");
    let before = status(&bed.room, SUBJECT)["version"].clone();
    bed.aws("RotateSecret", json!({ "SecretId": "app/db", "ClientRequestToken": super::token() }));
    let server = bed.room.server.as_mut().unwrap();
    server.until("the publication", |server| {
        let path = format!("sys/rotation/subjects/{SUBJECT}");
        let seen = server.must("GET", &path, &root, &Json::Null);
        (seen["data"]["version"] != before).then_some(())
    });
    froze(&mut bed.room, &world, SUBJECT, "token-frozen", &frozen);
    world.end(threads);
    assert_eq!(world.outcome().1, Vec::<String>::new());
    world.uses(u64::MAX >> 1, &frozen);
    assert_eq!(world.outcome().1.len(), 1, "the frozen one is refused in the end");
    let logins = world.outcome().0;
    println!("{clients} clients, {rotations} rotations: {logins} logins, none refused");
}
