//! Consumers: who it is that reads.
//!
//! A consumer is a login: the topmost token above the one that reads, where that is no root token
//! (what root makes by hand are logins of their own). It is told from others of the same login by
//! its pod, else by its client certificate, else by the address it comes from. A batch token has no
//! row; it counts as the login of its parent, or, where it has none, as its own, until it expires.
//!
//! A consumer leaves a version by reading a newer one, by the end of its login, or by saying that it
//! has moved on. One that gives on what it reads ([`FANS_OUT`]), and one whose answer was wrapped,
//! leaves at the deadline alone: who has it then is not known.

use std::fmt;
use std::sync::Arc;

use strongroom_base::{Error, Result, Timestamp};
use strongroom_storage::{IndexKey, Key};

use super::Rotations;
use super::stored::{BatchLogin, FansOut, Holding, Kept, Narrowed, State};
use crate::node::Services;
use crate::plug::Request;
use crate::record::{Id, Record, Scope, Tx, indexes, name_prefix};
use crate::tokens::{DEPTH_MAX, Token};

/// The key of a token's metadata by which a login says that it gives on what it reads, as sync
/// operators do; its value is `true`.
pub const FANS_OUT: &str = "strongroom_fans_out";
/// The key of a token's metadata under which an auth method says which pod logged in.
pub const POD_UID: &str = "pod_uid";

/// Bytes of what a consumer is told from others by.
const NARROWED_BYTES_MAX: usize = 128;

/// Who reads.
pub(super) struct Consumer {
    pub name: String,
    pub login: Id,
    /// The token that reads, or the one that a batch token hangs on.
    pub reader: Id,
    pub batch: Option<BatchLogin>,
    pub narrowed: Narrowed,
    pub fans_out: Option<FansOut>,
    /// When its login ends; zero for never.
    pub ends: Timestamp,
    /// Does it log in with each request?
    pub inline: bool,
    /// Does what it logs in by end at a time of its own, whenever it is used?
    pub is_temporary: bool,
}

/// A consumer that has not moved on.
#[derive(Clone, Debug)]
pub struct Left {
    /// Its number, by which it can be acknowledged.
    pub consumer: String,
    /// The accessor of its login; "" where that is a batch token.
    pub accessor: String,
    /// Its display name.
    pub display_name: String,
    /// The address it read from; "" where it is not known.
    pub address: String,
    /// By what it is told from others of its login.
    pub narrowed: Narrowed,
    /// Since when it holds the version.
    pub since: Timestamp,
    /// Whether, and how, it gives on what it reads.
    pub fans_out: Option<FansOut>,
}

impl Left {
    pub(super) fn of(services: &Services, key: &IndexKey, holding: Holding) -> Self {
        Self {
            consumer: hex::encode(key.get(KEY_PREFIX_BYTES..).unwrap_or_default()),
            accessor: match holding.login {
                0 => String::new(),
                login => services.tokens.accessor(login),
            },
            display_name: holding.display_name,
            address: holding.address,
            narrowed: holding.narrowed,
            since: holding.since,
            fans_out: holding.fans_out,
        }
    }
}

/// As people know it: name, and from where.
impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.display_name.is_empty() { "token" } else { &self.display_name };
        f.write_str(name)?;
        match &self.narrowed {
            Narrowed::Pod(uid) => write!(f, " pod {uid}"),
            Narrowed::Certificate(serial) => write!(f, " certificate {serial}"),
            Narrowed::Address(address) => write!(f, " at {address}"),
            Narrowed::No => Ok(()),
        }
    }
}

/// Scope, kind and parent stand before a consumer's own part of its key.
pub(super) const KEY_PREFIX_BYTES: usize = 13;

/// The name of a consumer's records.
pub(super) fn name_of(login: Id, narrowed: &Narrowed) -> String {
    narrow(format!("token {login}"), narrowed)
}

fn narrow(login: String, narrowed: &Narrowed) -> String {
    match narrowed {
        Narrowed::No => login,
        Narrowed::Pod(uid) => format!("{login} pod {uid}"),
        Narrowed::Certificate(serial) => format!("{login} certificate {serial}"),
        Narrowed::Address(address) => format!("{login} address {address}"),
    }
}

/// Whose acknowledgement it is.
pub enum Acknowledged {
    /// The caller's, from where it calls.
    Own,
    /// Of every consumer of this token's login.
    Login(Id),
    /// Of one consumer, by [`Left::consumer`].
    Consumer(String),
}

impl Rotations {
    /// Notes that consumers say they have moved on. Answers how many there were, and the subject
    /// whose drain that may end.
    pub async fn acknowledge(
        &self,
        services: &Services,
        tx: &Tx,
        request: &Request,
        scope: Scope,
        subject: &str,
        whose: Acknowledged,
    ) -> Result<(u64, Option<Id>)> {
        let kept = Kept::read(tx, scope, subject).await?.ok_or_else(Error::not_found)?;
        let draining = kept.subject.run.as_ref().filter(|run| run.state == State::Draining);
        let Some(old) = draining.and_then(|run| run.old) else { return Ok((0, None)) };
        let names = match whose {
            Acknowledged::Own => vec![self.consumer(services, request).await?.name],
            Acknowledged::Login(token) => {
                // One that is gone, and one of elsewhere that holds nothing here, read the same.
                let Some(token) = services.tokens.by_id(token).await? else { return Ok((0, None)) };
                let login = self.login(services, token).await?.id;
                self.names_of(scope, old.holders, login).await?
            }
            Acknowledged::Consumer(consumer) => {
                let digest = hex::decode(consumer).map_err(|_| Error::not_found())?;
                let mut key = name_prefix(scope, Holding::KIND, old.holders);
                key.extend_from_slice(&digest);
                let key = Key::Index(indexes::NAMES, key);
                let found = tx.read(scope).named_at::<Holding>(&key).await?;
                vec![found.ok_or_else(Error::not_found)?.0]
            }
        };
        let mut moved = 0;
        for name in &names {
            let left = self.leave(tx, scope, old.holders, name, request.now).await?;
            moved += u64::from(left);
        }
        Ok((moved, (moved > 0).then_some(kept.subject.id)))
    }

    /// The names of a login's consumers among a version's holders.
    async fn names_of(&self, scope: Scope, holders: Id, login: Id) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let limit = super::drain::COUNT_MAX;
        let keys =
            super::drain::page(&self.store, scope, Holding::KIND, holders, None, limit).await?;
        let tx = self.store.begin();
        for (key, _) in keys {
            let key = Key::Index(indexes::NAMES, key);
            let found = tx.read(scope).named_at::<Holding>(&key).await?;
            names.extend(found.filter(|(_, h)| h.login == login).map(|(name, _)| name));
        }
        Ok(names)
    }

    /// The topmost token above `token`: its login.
    async fn login(&self, services: &Services, token: Arc<Token>) -> Result<Arc<Token>> {
        let mut login = token;
        for _ in 0..=DEPTH_MAX {
            if login.parent == 0 {
                break;
            }
            match services.tokens.by_id(login.parent).await? {
                Some(parent) if !parent.is_root() => login = parent,
                _ => break,
            }
        }
        Ok(login)
    }

    /// Who sends a request.
    pub(super) async fn consumer(
        &self,
        services: &Services,
        request: &Request,
    ) -> Result<Consumer> {
        let token = request.token.clone();
        let token = token.ok_or_else(|| Error::internal("a consumer has a token"))?;
        let login = self.login(services, token.clone()).await?;
        let narrowed = narrowed(request, &token, &login);
        let says = |token: &Token| token.metadata.get(FANS_OUT).is_some_and(|v| v == "true");
        let wrapped = request.wrap_ttl.is_some_and(|ttl| ttl > 0);
        let fans_out = match says(&token) || says(&login) {
            true => Some(FansOut::Synced),
            false => wrapped.then_some(FansOut::Wrapped),
        };
        let batch = login.batch.then(|| BatchLogin {
            namespace: login.namespace,
            mount: login.mount,
            created: login.created,
            expires: login.expires,
        });
        let name = match &request.token_text {
            // Whoever logs in with each request is one consumer.
            _ if login.inline => {
                let who = [login.path.as_str(), &login.display_name, &login.entity_id].join(" ");
                let parts = [b"inline consumer".as_slice(), who.as_bytes()];
                let digest = self.store.barrier.digest(Scope::ROOT, &parts);
                narrow(format!("inline {}", hex::encode(&digest[..16])), &narrowed)
            }
            Some(text) if login.batch => {
                let parts = [b"batch consumer".as_slice(), text.expose_secret().as_bytes()];
                let digest = self.store.barrier.digest(Scope::ROOT, &parts);
                narrow(format!("batch {}", hex::encode(&digest[..16])), &narrowed)
            }
            _ => name_of(login.id, &narrowed),
        };
        let name =
            if fans_out == Some(FansOut::Wrapped) { format!("{name} wrapped") } else { name };
        let reader = if token.batch && !login.batch { token.parent } else { token.id };
        Ok(Consumer {
            name,
            login: login.id,
            reader,
            batch,
            narrowed,
            fans_out,
            ends: login.expires,
            inline: login.inline,
            is_temporary: !login.ends.is_zero(),
        })
    }
}

pub(super) fn address(request: &Request) -> String {
    request.peer.ip.map(|ip| ip.to_canonical().to_string()).unwrap_or_default()
}

/// By what the caller is told from others of its login.
fn narrowed(request: &Request, token: &Token, login: &Token) -> Narrowed {
    let pod = token.metadata.get(POD_UID).or_else(|| login.metadata.get(POD_UID));
    if let Some(uid) = pod.filter(|uid| !uid.is_empty() && uid.len() <= NARROWED_BYTES_MAX) {
        return Narrowed::Pod(uid.clone());
    }
    let leaf = request.peer.certificates.first();
    if let Some(serial) = leaf.and_then(|leaf| serial_of(leaf)) {
        return Narrowed::Certificate(hex::encode(serial));
    }
    match address(request) {
        address if address.is_empty() => Narrowed::No,
        address => Narrowed::Address(address),
    }
}

/// The serial number of a certificate (RFC 5280, 4.1): the first integer of its content, after the
/// version where that is said.
fn serial_of(certificate: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    const VERSION: u8 = 0xa0;
    let (tag, certificate, _) = element(certificate)?;
    let (inner, content, _) = element(certificate).filter(|_| tag == SEQUENCE)?;
    let (tag, first, rest) = element(content).filter(|_| inner == SEQUENCE)?;
    let (tag, serial) = match tag {
        VERSION => element(rest).map(|(tag, serial, _)| (tag, serial))?,
        tag => (tag, first),
    };
    let fits = tag == INTEGER && !serial.is_empty() && serial.len() <= NARROWED_BYTES_MAX / 2;
    fits.then_some(serial)
}

/// The first element of DER: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serial_of_a_certificate() {
        for (der, serial) in [
            // SEQUENCE { SEQUENCE { [0] { INTEGER 2 }, INTEGER 0102 } }
            ("300b3009a003020102020201 02", Some("0102")),
            // Without a version, and with long lengths.
            ("300730050203 00ff01", Some("00ff01")),
            ("30810630810302 0107", Some("07")),
            ("3005300302 0107ffff", Some("07")),
            ("", None),
            ("30", None),
            ("3085ffffffffff", None),
            ("3084ffffffff00", None),
            ("30053003040107", None),
            ("310530030201 07", None),
            ("300430020200", None),
            ("3006300402 84ffff", None),
        ] {
            let der = hex::decode(der.replace(' ', "")).unwrap();
            let found = serial_of(&der).map(hex::encode);
            assert_eq!(found.as_deref(), serial, "{der:02x?}");
        }
    }
}
