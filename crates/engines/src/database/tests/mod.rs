//! Tests of the engine through the whole pipeline, over simulated servers.

mod accounts;
mod connections;
mod failures;
mod roles;
mod rotations;

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_testkit::databases::SimServers;
use strongroom_testkit::{Got, TestNode};

/// The administrator's password on every server.
const ADMIN: &str = "adm1n-passw0rd";

/// A node with `database/`, and the servers it reaches.
struct Room {
    node: Arc<TestNode>,
    servers: SimServers,
}

impl Room {
    /// With the connection `main` to a server `db`, for all roles.
    async fn new() -> Self {
        let room = Self::bare().await;
        room.ok("WRITE", "database/config/main", connection("db", &["*"])).await;
        room
    }

    async fn bare() -> Self {
        let servers = SimServers::default();
        let specs = strongroom_system::specs();
        let specs = specs.into_iter().chain([super::spec(servers.databases())]);
        let node = Arc::new(TestNode::start(specs).await);
        node.mount("database", "database/").await;
        servers.put("db", "admin", ADMIN);
        Self { node, servers }
    }

    /// As root; the answer as it is.
    async fn call(&self, method: &str, path: &str, body: Value) -> Got {
        self.node.root(method, path, body).await
    }

    /// As root; must be answered with 2xx.
    async fn ok(&self, method: &str, path: &str, body: Value) -> Got {
        let got = self.call(method, path, body).await;
        assert!(matches!(got.status, 200..=204), "{method} {path}: {got:?}");
        got
    }

    /// A role with these members beside the least.
    async fn role(&self, name: &str, more: Value) {
        let mut body = json!({ "db_name": "main", "creation_statements": ["CREATE {{name}}"] });
        for (member, value) in more.as_object().unwrap() {
            body[member] = value.clone();
        }
        self.ok("WRITE", &format!("database/roles/{name}"), body).await;
    }

    /// An account of a role: its name, password and lease.
    async fn account(&self, role: &str) -> Account {
        let got = self.ok("READ", &format!("database/creds/{role}"), Value::Null).await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Account {
            name: text(&got.data()["username"]),
            password: text(&got.data()["password"]),
            lease: text(&got.body["lease_id"]),
        }
    }

    /// The accounts on `db` beside the administrator.
    fn accounts(&self) -> Vec<String> {
        self.servers.accounts("db").into_iter().filter(|name| name != "admin").collect()
    }

    /// Runs the kernel's background work until none is left.
    async fn settle(&self) {
        let services = self.node.services();
        for _ in 0..3 {
            strongroom_kernel::reconcile::run_due(&services).await;
            services.leases.idle().await;
            services.rotations.idle().await;
        }
    }

    /// Moves the clock on, and lets follow what follows.
    async fn later(&self, seconds: i64) {
        self.node.clock.advance(seconds);
        self.settle().await;
    }
}

struct Account {
    name: String,
    password: String,
    lease: String,
}

/// A connection to `server` for these roles.
fn connection(server: &str, roles: &[&str]) -> Value {
    json!({
        "plugin_name": "sim-database-plugin",
        "connection_url": format!("sim://{{{{username}}}}:{{{{password}}}}@{server}/"),
        "username": "admin",
        "password": ADMIN,
        "allowed_roles": roles,
    })
}
