//! Two accounts that take turns, under clients that poll when they like and use what they have, and
//! a server that is killed at any moment: nobody is ever refused. One that does not move is named,
//! and waited for until the deadline.
//!
//! `ROTATION_CLIENTS` and `ROTATION_COUNT` make it larger: 200 and 50 are what is run by hand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value as Json, json};
use strongroom_testkit::servers::postgresql;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_postgres::NoTls;

use crate::databases::Room;
use crate::product::Wire;

/// Connections to the database at a time: the test's server takes 60.
const SESSIONS: usize = 40;
const SUBJECT: &str = "sys/rotation/subjects/database/static-roles/pair";

/// How often a rotation's state is looked at before it counts as stuck: two minutes, at the least.
const LOOKS_MAX: u32 = 2_400;

/// A number from the environment: how large the test is.
#[allow(clippy::disallowed_methods)]
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A generator of its own for each client (xorshift): what differs between runs is time anyway.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What all clients share.
struct World {
    /// Where the server is now.
    address: Mutex<String>,
    /// Is it over?
    over: Mutex<bool>,
    ends: Condvar,
    port: u16,
    runtime: Runtime,
    slots: Semaphore,
    logins: AtomicU64,
    /// What went wrong.
    refused: Mutex<Vec<String>>,
}

impl World {
    /// What a client reads: account and password; nothing while the server is away.
    fn creds(&self, token: &str) -> Option<(String, String)> {
        let address = self.address.lock().unwrap().clone();
        let mut wire = Wire::open(&address).ok()?;
        let path = "database/static-creds/pair";
        let answer = wire.ask("GET", path, token, &Json::Null).ok()?;
        let text = |name: &str| Some(answer.body["data"][name].as_str()?.to_owned());
        text("username").zip(text("password"))
    }

    /// Logs in, reads and writes.
    fn uses(&self, client: u64, (name, password): &(String, String)) {
        let used = self.runtime.block_on(async {
            let _slot = self.slots.acquire().await.unwrap();
            let mut config = tokio_postgres::Config::new();
            config.host("127.0.0.1").port(self.port).dbname("postgres");
            let login = config.user(name).password(password).connect(NoTls);
            let (session, connection) = login.await?;
            let connection = tokio::spawn(connection);
            let statement = format!("INSERT INTO log VALUES ({client}); SELECT count(*) FROM log");
            let done = session.batch_execute(&statement).await;
            drop(session);
            let _ = connection.await;
            done
        });
        self.logins.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = used {
            let text = error.as_db_error().map_or(error.to_string(), ToString::to_string);
            self.refused.lock().unwrap().push(format!("client {client} as {name}: {text}"));
        }
    }

    /// Polls at random times, and uses what it has.
    fn client(&self, number: u64, token: &str) {
        let mut dice =
            Dice(0x9e37_79b9_7f4a_7c15 ^ (number + 1).wrapping_mul(0x1234_5678_9abc_def1));
        let mut held = None;
        let mut over = false;
        while !over {
            let read = self.creds(token);
            let is_new = read.is_some() && read != held;
            held = read.or(held);
            if let Some(creds) = held.as_ref().filter(|_| is_new || dice.roll(8) == 0) {
                self.uses(number, creds);
            }
            let pause = Duration::from_millis(20 + dice.roll(400));
            let waited = self.ends.wait_timeout(self.over.lock().unwrap(), pause).unwrap();
            over = *waited.0;
        }
    }
}

/// The subject's status.
fn status(room: &Room) -> Json {
    room.server().must("GET", SUBJECT, &room.root, &Json::Null)["data"].clone()
}

/// A token that is a login of its own, with a name.
fn login(room: &Room, name: &str) -> String {
    let body = json!({ "policies": ["pair"], "no_parent": true, "display_name": name });
    let made = room.server().must("POST", "auth/token/create", &room.root, &body);
    made["auth"]["client_token"].as_str().unwrap().to_owned()
}

/// Kills the server, starts it, and tells the clients where it is.
fn kill(room: &mut Room, world: &World) {
    room.kill_and_start();
    *world.address.lock().unwrap() = room.server().address().to_owned();
}

/// Waits for the end of the rotation to this version; the server dies now and then meanwhile.
fn rotate(room: &mut Room, world: &World, version: u64, dice: &mut Dice) {
    let mut kills = dice.roll(3);
    for _ in 0..LOOKS_MAX {
        let seen = status(room);
        match (seen["version"].as_u64(), seen["state"].as_str()) {
            (Some(v), Some("idle")) if v >= version => return,
            (Some(v), _) if v < version => {
                // It may be under way, or fail while the database's answer is cut off.
                let path = "database/rotate-role/pair";
                room.server().ask("POST", path, &room.root, &json!({}));
            }
            _ => {
                // Its log meanwhile; a moment where it says nothing.
                let _ = room.server().log.recv_timeout(Duration::from_millis(50));
            }
        }
        if kills > 0 && dice.roll(4) == 0 {
            kills -= 1;
            kill(room, world);
        }
    }
    panic!("it does not end: {}", status(room));
}

#[test]
fn two_accounts_take_turns_under_clients_and_kills_and_nobody_is_refused() {
    let (clients, rotations) = (number("ROTATION_CLIENTS", 30), number("ROTATION_COUNT", 6));
    let database = postgresql::Server::start(&postgresql::Options::default());
    let mut room = Room::new();
    let create = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'; \
                  GRANT SELECT, INSERT ON log TO \"{{name}}\"";
    let root = room.root.clone();
    let must = |room: &Room, path: &str, body: Json| room.server().must("POST", path, &root, &body);
    crate::databases::postgresql_admin(&database, "CREATE TABLE log (client bigint)");
    let connection = json!({
        "plugin_name": "postgresql-database-plugin", "allowed_roles": "*",
        "connection_url": database.url("postgres"),
        "username": postgresql::ADMIN, "password": postgresql::PASSWORD,
    });
    must(&room, "database/config/db", connection);
    let role = json!({
        "db_name": "db", "usernames": ["blue", "green"], "rotation_period": "10000h",
        "drain_deadline": "8000h", "creation_statements": create,
    });
    must(&room, "database/static-roles/pair", role);
    let policy = r#"path "database/static-creds/pair" { capabilities = ["read"] }"#;
    must(&room, "sys/policies/acl/pair", json!({ "policy": policy }));
    let world = Arc::new(World {
        address: Mutex::new(room.server().address().to_owned()),
        over: Mutex::new(false),
        ends: Condvar::new(),
        port: database.port(),
        runtime: tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap(),
        slots: Semaphore::new(SESSIONS),
        logins: AtomicU64::new(0),
        refused: Mutex::default(),
    });
    let threads: Vec<_> = (0..clients)
        .map(|number| {
            let (world, token) = (world.clone(), login(&room, &format!("client-{number}")));
            std::thread::spawn(move || world.client(number, &token))
        })
        .collect();
    let mut dice = Dice(42);
    for version in 2..2 + rotations {
        rotate(&mut room, &world, version, &mut dice);
        assert_eq!(*world.refused.lock().unwrap(), Vec::<String>::new(), "version {version}");
    }

    // One that reads once and never again.
    let frozen = world.creds(&login(&room, "frozen")).unwrap();
    must(&room, "database/static-roles/pair", json!({ "drain_deadline": "6s" }));
    must(&room, "database/rotate-role/pair", json!({}));
    let is_named = |seen: &Json| {
        let consumers = &seen["rotation"]["consumers"];
        let left = consumers["holding"].as_array().into_iter().flatten();
        let names: Vec<_> = left.filter_map(|c| c["display_name"].as_str()).collect();
        seen["state"] == "draining" && names == ["token-frozen"]
    };
    let subject = room.root.clone();
    let server = room.server.as_mut().unwrap();
    server.until("the frozen client's name", |server| {
        let seen = server.must("GET", SUBJECT, &subject, &Json::Null);
        is_named(&seen["data"]).then_some(())
    });
    world.uses(u64::MAX >> 1, &frozen);
    assert_eq!(*world.refused.lock().unwrap(), Vec::<String>::new(), "it is waited for");
    server.until("the deadline", |server| {
        let seen = server.must("GET", SUBJECT, &subject, &Json::Null);
        (seen["data"]["state"] == "idle").then_some(())
    });
    let last = status(&room)["last_outcomes"].as_array().unwrap()[0].clone();
    assert_eq!(last["consumers_left"], 1, "{last}");
    assert!(last["left"].to_string().contains("token-frozen"), "{last}");
    *world.over.lock().unwrap() = true;
    world.ends.notify_all();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*world.refused.lock().unwrap(), Vec::<String>::new());
    world.uses(u64::MAX >> 1, &frozen);
    assert_eq!(world.refused.lock().unwrap().len(), 1, "the frozen one is refused in the end");
    println!(
        "{clients} clients, {rotations} rotations: {} logins, none refused",
        world.logins.load(Ordering::Relaxed)
    );
}
