//! Against a real server: what an operator and an application see of it.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use strongroom_base::{SecretString, Timestamp};
use strongroom_testkit::servers::postgresql::{ADMIN, Options, PASSWORD, Server};
use tokio_postgres::{Config, NoTls};

use super::session::run;
use super::*;
use crate::database::{FailureKind, TlsMaterial};

mod accounts;
mod addresses;
mod imitation;
mod removal;
mod secrecy;
mod sessions;

const YEAR_2100: i64 = 4_102_444_800;
const CREATE: &str = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' \
                      VALID UNTIL '{{expiration}}';";

fn secret(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

fn settings(url: &str) -> Settings {
    Settings {
        connection_url: secret(url),
        username: ADMIN.to_owned(),
        password: secret(PASSWORD),
        timeout: Duration::from_secs(60),
        ..Settings::default()
    }
}

fn open(settings: Settings) -> Arc<dyn Database> {
    Postgresql.open(settings).unwrap()
}

async fn create(
    database: &dyn Database,
    name: &str,
    password: &str,
    expires: i64,
    statements: &[&str],
) -> Result<(), DatabaseError> {
    let credential = Credential::Password(secret(password));
    let account = NewAccount {
        name,
        credential: &credential,
        expires: Timestamp::from_seconds(expires),
        statements: &texts(statements),
        rollback: &[],
    };
    database.create(account).await
}

/// A session of somebody, past the driver.
async fn session(server: &Server, database: &str, user: &str, password: &str) -> Client {
    let (client, connection) = Config::new()
        .host("127.0.0.1")
        .port(server.port())
        .dbname(database)
        .user(user)
        .password(password)
        .connect(NoTls)
        .await
        .unwrap_or_else(|e| panic!("{user} in {database}: {:?}", e.as_db_error()));
    tokio::spawn(connection);
    client
}

async fn admin(server: &Server, database: &str) -> Client {
    session(server, database, ADMIN, PASSWORD).await
}

/// The rows of a query, fields with `|` between.
async fn rows(client: &Client, sql: &str) -> Vec<String> {
    let mut rows = Vec::new();
    let done = run(client, sql, |row| rows.push(row)).await;
    done.unwrap_or_else(|(e, _)| panic!("{sql}: {e:?}"));
    let line = |row: Vec<Option<String>>| {
        row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join("|")
    };
    rows.into_iter().map(line).collect()
}

async fn has_role(client: &Client, name: &str) -> bool {
    let quoted = Dialect::Postgresql.text(name);
    let sql = format!("SELECT count(*) FROM pg_roles WHERE rolname = {}", *quoted);
    rows(client, &sql).await == ["1"]
}
