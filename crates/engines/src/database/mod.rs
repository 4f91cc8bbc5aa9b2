//! Accounts in databases: made for whoever asks and taken back when their lease ends (`creds`), or
//! kept and rotated (`static-creds`).
//!
//! * [`config`] has the connections, [`connection`] what is stored of one and how it is opened;
//! * [`roles`] say what accounts look like, [`role`] what is stored of one;
//! * [`creds`] makes accounts, renews and revokes them;
//! * [`static_roles`] are of accounts that stay, [`static_role`] is what is stored of one;
//!   [`rotation`] changes their passwords, and those of connections' administrators.
//!
//! Invariants:
//! * an account is made after its intent is durable, and goes with its lease (design §4);
//! * a password is in the answer that hands it out, in a configuration and nowhere else: not in a
//!   lease, an error, a log;
//! * what a database says comes through the drivers, which leave out what is secret.
//!
//! The drivers come from outside, so that a simulation can put databases of its own in their place.

mod certificate;
mod config;
mod connection;
mod credential;
mod creds;
mod redaction;
mod role;
mod roles;
mod rotation;
mod static_role;
mod static_roles;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use strongroom_base::fields::{Field, FieldKind};
use strongroom_base::{Json, Result};
use strongroom_connectors::database::{Databases, failed};
use strongroom_kernel::plug::{Class, EngineSpec, Spec};

use connection::Connections;

/// The engine of a mount.
pub struct DatabaseEngine {
    drivers: Arc<dyn Databases>,
    connections: Connections,
}

/// The surface of `database`.
pub fn spec(drivers: Arc<dyn Databases>) -> Spec {
    let plugins = drivers.names();
    let open = move |_: &_| {
        Ok(DatabaseEngine { drivers: drivers.clone(), connections: Connections::default() })
    };
    let spec = EngineSpec::new("database", Class::Secret, open);
    let spec = config::add(spec);
    let spec = roles::add(spec);
    let spec = static_roles::add(spec);
    let spec = rotation::add(spec);
    creds::add(spec)
        .leases()
        .rotates()
        .plugins(plugins)
        .docs("Makes accounts in databases, and takes them back when their leases end.")
        .build()
}

/// Statements of an operator: a list, or one text (which a driver takes apart itself). Unlike other
/// lists they are not cut at commas.
#[derive(Default)]
struct Statements(Vec<String>);

impl Field for Statements {
    const KIND: FieldKind = FieldKind::List;
    const REQUIRED: bool = false;
    fn read(value: &Json) -> Result<Self, &'static str> {
        let one = |value: &Json| value.as_str().map(str::to_owned);
        let all = match value {
            Json::Array(all) => all.iter().map(one).collect(),
            value => one(value).map(|text| vec![text]),
        };
        let mut all: Vec<String> = all.ok_or("a list of texts, or a text")?;
        all.retain(|text| !text.trim().is_empty());
        Ok(Self(all))
    }
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}
