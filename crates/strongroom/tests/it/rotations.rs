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

use crate::chance::{Dice, number};
use crate::databases::Room;
use crate::product::Wire;

/// Connections to the database at a time: the test's server takes 60.
const SESSIONS: usize = 40;
const SUBJECT: &str = "database/static-roles/pair";

/// How often a rotation's state is looked at before it counts as stuck: two minutes, at the least.
const LOOKS_MAX: u32 = 2_400;

/// How a client of this number reads what it uses, at this address: account and password; nothing while
/// the server is away.
pub type Read = dyn Fn(&str, u64) -> Option<(String, String)> + Send + Sync;

/// What all clients share.
pub struct World {
    read: Box<Read>,
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
    /// Clients of a database on this port, which find the server at `address` first.
    pub fn new(port: u16, address: &str, read: Box<Read>) -> Arc<Self> {
        Arc::new(Self {
            read,
            address: Mutex::new(address.to_owned()),
            over: Mutex::new(false),
            ends: Condvar::new(),
            port,
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap(),
            slots: Semaphore::new(SESSIONS),
            logins: AtomicU64::new(0),
            refused: Mutex::default(),
        })
    }

    /// What a client reads.
    pub fn creds(&self, client: u64) -> Option<(String, String)> {
        let address = self.address.lock().unwrap().clone();
        (self.read)(&address, client)
    }

    /// The clients' threads.
    pub fn start(self: &Arc<Self>, clients: u64) -> Vec<std::thread::JoinHandle<()>> {
        (0..clients)
            .map(|number| {
                let world = self.clone();
                std::thread::spawn(move || world.client(number))
            })
            .collect()
    }

    /// Ends all of them.
    pub fn end(&self, threads: Vec<std::thread::JoinHandle<()>>) {
        *self.over.lock().unwrap() = true;
        self.ends.notify_all();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    /// Logins so far, and those that were refused.
    pub fn outcome(&self) -> (u64, Vec<String>) {
        (self.logins.load(Ordering::Relaxed), self.refused.lock().unwrap().clone())
    }

    /// Logs in, reads and writes.
    pub fn uses(&self, client: u64, (name, password): &(String, String)) {
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
    fn client(&self, number: u64) {
        let mut dice =
            Dice(0x9e37_79b9_7f4a_7c15 ^ (number + 1).wrapping_mul(0x1234_5678_9abc_def1));
        let mut held = None;
        let mut over = false;
        while !over {
            let read = self.creds(number);
            let is_new = read.is_some() && read != held;
            held = read.or(held);
            if let Some(creds) = held.as_ref().filter(|_| is_new || dice.roll(8) == 0) {
                self.uses(number, creds);
            }
            let pause = Duration::from_millis(20 + dice.roll(400) as u64);
            let waited = self.ends.wait_timeout(self.over.lock().unwrap(), pause).unwrap();
            over = *waited.0;
        }
    }
}

/// A subject's status.
pub fn status(room: &Room, subject: &str) -> Json {
    let path = format!("sys/rotation/subjects/{subject}");
    room.server().must("GET", &path, &room.root, &Json::Null)["data"].clone()
}

/// A token that is a login of its own, with a policy and a name.
pub fn login(room: &Room, policy: &str, name: &str) -> String {
    let body = json!({ "policies": [policy], "no_parent": true, "display_name": name });
    let made = room.server().must("POST", "auth/token/create", &room.root, &body);
    made["auth"]["client_token"].as_str().unwrap().to_owned()
}

/// Kills the server, starts it, and tells the clients where it is.
fn kill(room: &mut Room, world: &World) {
    room.kill_and_start();
    *world.address.lock().unwrap() = room.server().address().to_owned();
}

/// Asks for a rotation of a subject until it comes to this version, and waits for its end; the server dies
/// now and then meanwhile.
pub fn rotate(
    room: &mut Room,
    world: &World,
    (subject, version): (&str, u64),
    dice: &mut Dice,
    ask: &mut dyn FnMut(&Room),
) {
    let mut kills = dice.roll(3);
    for _ in 0..LOOKS_MAX {
        let seen = status(room, subject);
        match (seen["version"].as_u64(), seen["state"].as_str()) {
            (Some(v), Some("idle")) if v >= version => return,
            (Some(v), _) if v < version => {
                // It may be under way, or fail while the database's answer is cut off.
                ask(room);
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
    panic!("it does not end: {}", status(room, subject));
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
    let mut tokens: Vec<String> =
        (0..clients).map(|number| login(&room, "pair", &format!("client-{number}"))).collect();
    tokens.push(login(&room, "pair", "frozen"));
    let read = move |address: &str, client: u64| {
        let mut wire = Wire::open(address).ok()?;
        let token = &tokens[usize::try_from(client).unwrap()];
        let answer = wire.ask("GET", "database/static-creds/pair", token, &Json::Null).ok()?;
        let text = |name: &str| Some(answer.body["data"][name].as_str()?.to_owned());
        text("username").zip(text("password"))
    };
    let world = World::new(database.port(), room.server().address(), Box::new(read));
    let threads = world.start(clients);
    let mut ask = |room: &Room| {
        room.server().ask("POST", "database/rotate-role/pair", &room.root, &json!({}));
    };
    let mut dice = Dice(42);
    for version in 2..2 + rotations {
        rotate(&mut room, &world, (SUBJECT, version), &mut dice, &mut ask);
        assert_eq!(world.outcome().1, Vec::<String>::new(), "version {version}");
    }

    // One that reads once and never again.
    let frozen = world.creds(clients).unwrap();
    must(&room, "database/static-roles/pair", json!({ "drain_deadline": "6s" }));
    must(&room, "database/rotate-role/pair", json!({}));
    froze(&mut room, &world, SUBJECT, "token-frozen", &frozen);
    world.end(threads);
    assert_eq!(world.outcome().1, Vec::<String>::new());
    world.uses(u64::MAX >> 1, &frozen);
    assert_eq!(world.outcome().1.len(), 1, "the frozen one is refused in the end");
    println!(
        "{clients} clients, {rotations} rotations: {} logins, none refused",
        world.outcome().0
    );
}

/// A rotation is under way, and one that has `held` never reads again: it is named, and waited for until
/// the deadline.
pub fn froze(room: &mut Room, world: &World, subject: &str, name: &str, held: &(String, String)) {
    let path = format!("sys/rotation/subjects/{subject}");
    let is_named = |seen: &Json| {
        let consumers = &seen["rotation"]["consumers"];
        let left = consumers["holding"].as_array().into_iter().flatten();
        let names: Vec<_> = left.filter_map(|c| c["display_name"].as_str()).collect();
        seen["state"] == "draining" && names == [name]
    };
    let root = room.root.clone();
    let server = room.server.as_mut().unwrap();
    server.until("the frozen client's name", |server| {
        let seen = server.must("GET", &path, &root, &Json::Null);
        is_named(&seen["data"]).then_some(())
    });
    world.uses(u64::MAX >> 1, held);
    assert_eq!(world.outcome().1, Vec::<String>::new(), "it is waited for");
    server.until("the deadline", |server| {
        let seen = server.must("GET", &path, &root, &Json::Null);
        (seen["data"]["state"] == "idle").then_some(())
    });
    let last = status(room, subject)["last_outcomes"].as_array().unwrap()[0].clone();
    assert_eq!(last["consumers_left"], 1, "{last}");
    assert!(last["left"].to_string().contains(name), "{last}");
}
