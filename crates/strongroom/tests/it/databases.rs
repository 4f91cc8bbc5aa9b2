//! Accounts in real databases, by the command line as people type it: made, used, renewed, revoked,
//! expired, and taken back when the server dies in the middle.

use std::process::{Command, Output, Stdio};

use serde_json::{Value as Json, json};
use strongroom_testkit::servers::{mariadb, postgresql, redis};

use crate::product::{self, Server};

/// A server with a store of its own that opens by itself.
pub struct Room {
    pub server: Option<Server>,
    folder: tempfile::TempDir,
    settings: Json,
    pub root: String,
}

impl Room {
    pub fn new() -> Self {
        let room = Self::with(json!({}));
        room.ok(&["secrets", "enable", "database"]);
        room
    }

    /// One with these settings besides, and no mount.
    pub fn with(more: Json) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = product::settings(folder.path());
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings["seal"] =
            json!({"static": {"current_key_id": "1", "current_key": "5a".repeat(32)}});
        let server = Server::start(folder.path(), &settings);
        let plan = json!({"recovery_shares": 1, "recovery_threshold": 1});
        let made = server.must("PUT", "sys/init", "", &plan);
        let root = made["root_token"].as_str().unwrap().to_owned();
        Self { server: Some(server), folder, settings, root }
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// The process is killed, and started anew over the same store.
    pub fn kill_and_start(&mut self) {
        // Its drop sends SIGKILL.
        self.server = None;
        self.server = Some(Server::start(self.folder.path(), &self.settings));
    }

    /// Runs a command of the command line.
    pub fn run(&self, token: &str, words: &[&str]) -> Output {
        self.command(token, words).output().unwrap()
    }

    /// The same, to be run.
    pub fn command(&self, token: &str, words: &[&str]) -> Command {
        let mut command = product::command(self.folder.path());
        command
            .args(words)
            .env("VAULT_ADDR", format!("http://{}", self.server().address()))
            .env("VAULT_TOKEN", token);
        command
    }

    /// The same as root, which must succeed.
    pub fn ok(&self, words: &[&str]) -> String {
        let done = self.run(&self.root, words);
        assert!(done.status.success(), "{words:?}: {}", text(&done.stderr));
        text(&done.stdout)
    }

    /// The home of its command line.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// An account of a role, asked for with a token.
    fn account(&self, token: &str, role: &str) -> Account {
        let done = self.run(token, &["read", "-format=json", &format!("database/creds/{role}")]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        let read: Json = serde_json::from_slice(&done.stdout).unwrap();
        let text = |value: &Json| value.as_str().unwrap().to_owned();
        Account {
            name: text(&read["data"]["username"]),
            password: text(&read["data"]["password"]),
            lease: text(&read["lease_id"]),
        }
    }

    /// Waits until `condition` holds.
    pub fn until(&mut self, what: &str, mut condition: impl FnMut() -> bool) {
        self.server.as_mut().unwrap().until(what, |_| condition().then_some(()));
    }
}

pub struct Account {
    name: String,
    password: String,
    lease: String,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A database as a test asks it, with the client that people use.
pub trait Database {
    /// Runs a statement as somebody; what it printed, or what was wrong.
    fn ask(&self, name: &str, password: &str, statement: &str) -> Result<String, String>;
    /// As the administrator.
    fn admin(&self, statement: &str) -> String;
    /// The number of accounts that Strongroom made.
    fn accounts(&self) -> usize;

    fn lets_in(&self, account: &Account) -> bool {
        self.ask(&account.name, &account.password, "SELECT 1").is_ok()
    }
}

fn asked(command: &mut Command) -> Result<String, String> {
    let done = command.stdin(Stdio::null()).output().unwrap();
    if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
}

impl Database for postgresql::Server {
    fn ask(&self, name: &str, password: &str, statement: &str) -> Result<String, String> {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-A", "-t", "-h", "127.0.0.1", "-p", &self.port().to_string()]);
        psql.args(["-d", "postgres", "-U", name, "-c", statement]).env("PGPASSWORD", password);
        asked(&mut psql)
    }
    fn admin(&self, statement: &str) -> String {
        self.ask(postgresql::ADMIN, postgresql::PASSWORD, statement).unwrap()
    }
    fn accounts(&self) -> usize {
        let count = self.admin("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'");
        count.trim().parse().unwrap()
    }
}

/// Runs a statement as the administrator.
pub fn postgresql_admin(database: &postgresql::Server, statement: &str) {
    database.admin(statement);
}

impl Database for mariadb::MariaDb {
    fn ask(&self, name: &str, password: &str, statement: &str) -> Result<String, String> {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "-N", "-B", "-h", "127.0.0.1"]);
        client.args(["-P", &self.port.to_string(), "-u", name, "-e", statement]);
        asked(client.env("MYSQL_PWD", password))
    }
    fn admin(&self, statement: &str) -> String {
        self.ask(mariadb::ADMIN, mariadb::PASSWORD, statement).unwrap()
    }
    fn accounts(&self) -> usize {
        let count = self.admin("SELECT count(*) FROM mysql.user WHERE User LIKE 'v-%'");
        count.trim().parse().unwrap()
    }
}

/// The whole life of accounts of the role `app`, whose accounts may read the table `t`.
fn lives(room: &mut Room, database: &dyn Database, select: &str) {
    let root = room.root.clone();
    let account = room.account(&root, "app");
    let row = database.ask(&account.name, &account.password, select);
    assert_eq!(row.unwrap().trim(), "7");
    room.ok(&["lease", "renew", "-increment=600", &account.lease]);
    room.ok(&["lease", "revoke", "-sync", &account.lease]);
    assert!(!database.lets_in(&account), "revoked");

    room.ok(&["write", "database/roles/short", "db_name=db", "default_ttl=1s", "max_ttl=1s"]);
    let account = room.account(&root, "short");
    room.until("the end of the account", || database.accounts() == 0);
    assert!(!database.lets_in(&account), "expired");

    let policy = room.folder.path().join("app.hcl");
    std::fs::write(&policy, r#"path "database/creds/app" { capabilities = ["read"] }"#).unwrap();
    room.ok(&["policy", "write", "app", policy.to_str().unwrap()]);
    let token = room.ok(&["token", "create", "-policy=app", "-field=token"]);
    let (one, two) = (room.account(&token, "app"), room.account(&token, "app"));
    assert!(database.lets_in(&one) && database.lets_in(&two));
    room.ok(&["token", "revoke", &token]);
    room.until("the end of the token's accounts", || database.accounts() == 0);
    assert!(!database.lets_in(&one) && !database.lets_in(&two));
}

/// Accounts that stay: one whose password changes, two that take turns, and the administrator.
fn rotates(room: &mut Room, database: &dyn Database, administrator: (&str, &str), create: &str) {
    let creds = |room: &Room, token: &str, role: &str| {
        let path = format!("database/static-creds/{role}");
        let done = room.run(token, &["read", "-format=json", &path]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        let read: Json = serde_json::from_slice(&done.stdout).unwrap();
        let member = |name: &str| read["data"][name].as_str().unwrap().to_owned();
        Account { name: member("username"), password: member("password"), lease: String::new() }
    };
    let root = room.root.clone();
    let write = |role: &str| format!("database/static-roles/{role}");
    room.ok(&["write", &write("one"), "db_name=db", "username=keeps", "rotation_period=1h"]);
    let before = creds(room, &root, "one");
    assert!(database.lets_in(&before));
    room.ok(&["write", "-f", "database/rotate-role/one"]);
    assert!(!database.lets_in(&before));
    assert!(database.lets_in(&creds(room, &root, "one")));

    let statements = format!("creation_statements={create}");
    room.ok(&[
        "write",
        &write("two"),
        "db_name=db",
        "usernames=blue,green",
        "rotation_schedule=0 3 * * *",
        &statements,
    ]);
    let token = room.ok(&["token", "create", "-policy=root", "-orphan", "-field=token"]);
    let first = creds(room, &token, "two");
    room.ok(&["write", "-f", "database/rotate-role/two"]);
    assert!(database.lets_in(&first), "its consumer has not moved yet");
    let second = creds(room, &token, "two");
    assert!(database.lets_in(&second) && first.name != second.name);
    room.until("the refusal of the first", || !database.lets_in(&first));
    assert!(database.lets_in(&second));

    let (name, password) = administrator;
    room.ok(&["write", "-f", "database/rotate-root/db"]);
    assert!(database.ask(name, password, "SELECT 1").is_err(), "nobody knows it any more");
    room.ok(&["write", "-f", "database/rotate-role/one"]);
    assert!(database.lets_in(&creds(room, &root, "one")));
}

/// The server is killed while it waits for the answer to a creation that is done.
fn is_taken_back(room: &mut Room, database: &dyn Database, slow: &str) {
    room.ok(&[
        "write",
        "database/roles/slow",
        "db_name=db",
        &format!("creation_statements={slow}"),
    ]);
    let mut wire = room.server().connect();
    wire.request("GET", "database/creds/slow", &room.root, &Json::Null).unwrap();
    room.until("the account", || database.accounts() == 1);
    room.kill_and_start();
    room.until("the end of the orphan", || database.accounts() == 0);
}

#[test]
fn postgresql_accounts_live_as_long_as_their_leases() {
    let database = postgresql::Server::start(&postgresql::Options::default());
    database.admin("CREATE TABLE t AS SELECT 7 AS n");
    let mut room = Room::new();
    // Neither a database's name nor sslmode: both have libpq's defaults.
    let url =
        format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}", database.port());
    let password = room.folder.path().join("password");
    std::fs::write(&password, postgresql::PASSWORD).unwrap();
    room.ok(&[
        "write",
        "database/config/db",
        "plugin_name=postgresql-database-plugin",
        "allowed_roles=*",
        &format!("connection_url={url}"),
        &format!("username={}", postgresql::ADMIN),
        &format!("password=@{}", password.display()),
    ]);
    let create = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; \
                  GRANT SELECT ON t TO \"{{name}}\";";
    for role in ["app", "short"] {
        let (path, statements) =
            (format!("database/roles/{role}"), format!("creation_statements={create}"));
        room.ok(&["write", &path, "db_name=db", "default_ttl=1h", &statements]);
    }
    lives(&mut room, &database, "SELECT n FROM t");
    let slow = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'; COMMIT; BEGIN; \
                SELECT pg_sleep(600);";
    is_taken_back(&mut room, &database, slow);
    database.admin("CREATE ROLE keeps LOGIN PASSWORD 'x'");
    let administrator = (postgresql::ADMIN, postgresql::PASSWORD);
    let create = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'";
    rotates(&mut room, &database, administrator, create);
}

#[test]
fn mariadb_accounts_live_as_long_as_their_leases() {
    let database = mariadb::MariaDb::start();
    database.admin("CREATE DATABASE d; CREATE TABLE d.t AS SELECT 7 AS n");
    let mut room = Room::new();
    let url = format!("{{{{username}}}}:{{{{password}}}}@tcp(127.0.0.1:{})/", database.port);
    let password = room.folder.path().join("password");
    std::fs::write(&password, mariadb::PASSWORD).unwrap();
    room.ok(&[
        "write",
        "database/config/db",
        "plugin_name=mysql-database-plugin",
        "allowed_roles=*",
        &format!("connection_url={url}"),
        &format!("username={}", mariadb::ADMIN),
        &format!("password=@{}", password.display()),
    ]);
    let create = "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; \
                  GRANT SELECT ON d.t TO '{{name}}'@'%';";
    for role in ["app", "short"] {
        let (path, statements) =
            (format!("database/roles/{role}"), format!("creation_statements={create}"));
        room.ok(&["write", &path, "db_name=db", "default_ttl=1h", &statements]);
    }
    lives(&mut room, &database, "SELECT n FROM d.t");
    let slow = "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; DO SLEEP(600);";
    is_taken_back(&mut room, &database, slow);
    database.admin("CREATE USER keeps@'%' IDENTIFIED BY 'x'");
    let create = "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'";
    rotates(&mut room, &database, (mariadb::ADMIN, mariadb::PASSWORD), create);
}

#[test]
fn redis_users_live_as_long_as_their_leases() {
    let database = redis::Redis::start();
    let ask = |name: &str, password: &str, words: &[&str]| {
        let mut client = Command::new("redis-cli");
        client.args(["-p", &database.port.to_string(), "--user", name, "--no-auth-warning"]);
        asked(client.args(words).env("REDISCLI_AUTH", password)).unwrap()
    };
    let room = Room::new();
    let password = room.folder.path().join("password");
    std::fs::write(&password, redis::PASSWORD).unwrap();
    room.ok(&[
        "write",
        "database/config/db",
        "plugin_name=redis-database-plugin",
        "allowed_roles=*",
        "host=127.0.0.1",
        &format!("port={}", database.port),
        &format!("username={}", redis::ADMIN),
        &format!("password=@{}", password.display()),
    ]);
    let create = r#"creation_statements=["~app:*", "+@read", "+@write"]"#;
    room.ok(&["write", "database/roles/app", "db_name=db", create]);
    let account = room.account(&room.root, "app");
    assert_eq!(ask(&account.name, &account.password, &["SET", "app:n", "7"]).trim(), "OK");
    assert!(ask(&account.name, &account.password, &["SET", "other", "7"]).contains("NOPERM"));
    room.ok(&["lease", "revoke", "-sync", &account.lease]);
    assert!(ask(&account.name, &account.password, &["GET", "app:n"]).contains("NOAUTH"));
}
