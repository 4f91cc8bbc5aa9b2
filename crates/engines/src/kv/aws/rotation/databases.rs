//! Which databases the built-in rotators may reach. Without these settings they reach none: whoever may
//! write a secret could else have the server connect anywhere, with any account.

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Json, Result, Ttl, fields};
use strongroom_connectors::web;
use strongroom_kernel::plug::{Command, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::record::{ReadView, Record};
use strongroom_kernel::rotation::DRAIN_SECONDS_MAX;

use crate::kv::Kv;
use crate::kv::tree::TOP;

/// The name of the settings' record.
const NAME: &str = "rotation-databases";
/// Hosts and secrets that may be listed.
const LISTED_MAX: usize = 256;
/// Bytes of a host's name.
const HOST_BYTES_MAX: usize = 253;
/// For how many seconds an account that takes turns stays good at most, where nothing is said: a day.
const DRAIN_SECONDS: i64 = 86_400;

/// Which databases may be reached, and how.
#[derive(Serialize, Deserialize)]
pub struct Reachable {
    /// `host`, `host:port`, `*.domain`, `*.domain:port`.
    hosts: Vec<String>,
    /// Paths of secrets of this mount whose accounts may make others.
    masters: Vec<String>,
    tls: Tls,
    /// Certificates of the authorities that vouch for databases; empty for the machine's.
    pub ca: String,
    /// For how many seconds the account of before stays good at most.
    pub drain: i64,
}

impl Default for Reachable {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            masters: Vec::new(),
            tls: Tls::Verify,
            ca: String::new(),
            drain: DRAIN_SECONDS,
        }
    }
}

impl Record for Reachable {
    const KIND: u8 = 7;
}

/// When TLS is used towards databases.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Tls {
    /// Always, and the server's certificate must be its own.
    Verify,
    /// Always, whatever the certificate.
    Require,
    /// Where the server has it.
    Prefer,
    /// Never.
    Disable,
}

impl Tls {
    const ALL: [(&str, Self); 4] = [
        ("verify", Self::Verify),
        ("require", Self::Require),
        ("prefer", Self::Prefer),
        ("disable", Self::Disable),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, tls)| *tls == self).map_or("", |(name, _)| name)
    }
}

fields! {
    /// Tells which databases the built-in rotators may reach.
    pub struct ReadDatabases {}
}

fields! {
    /// Says which databases the built-in rotators may reach. What is not said stays as it was.
    pub struct WriteDatabases {
        /// Hosts, each with a port or for all ports; `*.domain` for all of a domain.
        hosts: Option<Vec<String>>,
        /// Paths of secrets in this mount whose accounts make the second one of two that take turns.
        masters: Option<Vec<String>>,
        /// verify, require, prefer or disable.
        tls: Option<String>,
        /// Certificates in PEM of the authorities that vouch for databases.
        ca_cert: Option<String>,
        /// For how long an account that takes turns stays good at most, for those who have not moved on.
        drain_deadline: Option<Ttl>,
    }
}

fields! {
    /// Takes the settings away: no database is reached any more.
    pub struct DeleteDatabases {}
}

ops! {
    ReadDatabases Json, Read;
    WriteDatabases Json, Write;
    DeleteDatabases Json, Delete;
}

/// The mount's settings, if there are any.
pub async fn settings(view: &ReadView<'_>) -> Result<Option<Reachable>> {
    view.named::<Reachable>(TOP, NAME).await
}

/// Is this the plain name or address of a host? Nothing in it may mean something to an address.
pub fn is_host(host: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    (1..=HOST_BYTES_MAX).contains(&host.len())
        && host.bytes().all(fits)
        && (!host.contains(':') || host.parse::<std::net::Ipv6Addr>().is_ok())
}

/// The host and the port of an entry.
fn entry(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (text, None),
        },
    };
    let port = port.map(str::parse::<u16>).transpose().ok()?;
    is_host(host.strip_prefix("*.").unwrap_or(host)).then_some((host, port))
}

impl Reachable {
    /// May this database be reached?
    pub fn allows(&self, host: &str, port: u16) -> bool {
        self.hosts.iter().filter_map(|text| entry(text)).any(|(listed, only)| {
            let same = match listed.strip_prefix('*') {
                Some(domain) => host
                    .len()
                    .checked_sub(domain.len())
                    .filter(|at| *at > 0)
                    .and_then(|at| host.get(at..))
                    .is_some_and(|end| end.eq_ignore_ascii_case(domain)),
                None => host.eq_ignore_ascii_case(listed),
            };
            same && only.is_none_or(|only| only == port)
        })
    }

    /// Paths of the secrets whose accounts may make others.
    pub fn masters(&self) -> &[String] {
        &self.masters
    }

    /// When TLS is used.
    pub fn tls(&self) -> Tls {
        self.tls
    }
}

impl Query<ReadDatabases> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadDatabases) -> Result<Reply<Json>> {
        let found = settings(&cx.view()).await?.ok_or_else(Error::not_found)?;
        Ok(Reply::data(serde_json::json!({
            "ca_cert": found.ca,
            "drain_deadline": found.drain,
            "hosts": found.hosts,
            "masters": found.masters,
            "tls": found.tls.name(),
        })))
    }
}

fn check_many(list: &[String]) -> Result<()> {
    match list.len() {
        ..=LISTED_MAX => Ok(()),
        _ => Err(Error::bad_request(format!("there are more than {LISTED_MAX} entries"))),
    }
}

impl Command<WriteDatabases> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: WriteDatabases) -> Result<Reply<Json>> {
        let edit = cx.edit();
        let mut reachable = settings(&edit).await?.unwrap_or_default();
        if let Some(hosts) = op.hosts {
            check_many(&hosts)?;
            if hosts.iter().any(|text| entry(text).is_none()) {
                let text =
                    "a host is a name or an address, with a port perhaps, or *. and a domain";
                return Err(Error::bad_request(text));
            }
            reachable.hosts = hosts;
        }
        if let Some(masters) = op.masters {
            check_many(&masters)?;
            reachable.masters =
                masters.into_iter().map(|path| path.trim_matches('/').to_owned()).collect();
        }
        if let Some(tls) = op.tls {
            let known = Tls::ALL.iter().find(|(name, _)| *name == tls);
            let known = known.ok_or_else(|| {
                Error::bad_request("tls must be verify, require, prefer or disable")
            })?;
            reachable.tls = known.1;
        }
        if let Some(ca) = op.ca_cert {
            web::check_ca(&ca).map_err(|e| Error::bad_request(e.to_string()))?;
            reachable.ca = ca;
        }
        if let Some(Ttl(seconds)) = op.drain_deadline {
            if !(0..=DRAIN_SECONDS_MAX).contains(&seconds) {
                return Err(Error::bad_request(format!(
                    "drain_deadline must be within 0 and {DRAIN_SECONDS_MAX} seconds"
                )));
            }
            reachable.drain = seconds;
        }
        edit.put_named(TOP, NAME, &reachable)?;
        Ok(Reply::none())
    }
}

impl Command<DeleteDatabases> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, _: DeleteDatabases) -> Result<Reply<Json>> {
        cx.edit().delete_named::<Reachable>(TOP, NAME);
        Ok(Reply::none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_hosts_are_reached() {
        let listed = ["db.test", "other.test:5433", "*.rds.test", "10.0.0.7:5432", "[::1]:5432"];
        let reachable =
            Reachable { hosts: listed.map(str::to_owned).to_vec(), ..Reachable::default() };
        for (host, port, allowed) in [
            ("db.test", 5432, true),
            ("DB.test", 1, true),
            ("db.test.evil", 5432, false),
            ("xdb.test", 5432, false),
            ("other.test", 5433, true),
            ("other.test", 5432, false),
            ("a.rds.test", 5432, true),
            ("a.b.rds.test", 5432, true),
            (".rds.test", 5432, false),
            ("rds.test", 5432, false),
            ("ards.test", 5432, false),
            ("10.0.0.7", 5432, true),
            ("10.0.0.7", 5433, false),
            ("::1", 5432, true),
            ("::1", 5433, false),
            ("*.rds.test", 5432, true),
        ] {
            assert_eq!(reachable.allows(host, port), allowed, "{host}:{port}");
        }
        assert!(!Reachable::default().allows("db.test", 5432));
        for host in ["", "a/b", "a@b", "a?b", "a,b", "/var/run", "a:1", "a b", "*.rds.test", "a\0"]
        {
            assert!(!is_host(host), "{host}");
        }
        for text in ["", "*", "*.", "a:x", "a:65536", "a b", "[::1", "[::1]5", "a/b", "a,b"] {
            assert!(entry(text).is_none(), "{text}");
        }
    }
}
