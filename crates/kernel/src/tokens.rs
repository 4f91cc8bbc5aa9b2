//! Tokens (design §6): one appended row and one due entry each; the text carries the row's id under
//! a mask, so a check is one look-up and one constant-time comparison.
//!
//! Invariants:
//! * the store holds HMACs of tokens, never tokens;
//! * a token is refused by its own clock check, never by a later clean-up;
//! * a child lives only while its parent does (or was orphaned): revoking a tree takes effect with
//!   one row's removal or one mount's end, the rest is cleaned up afterwards;
//! * what comes to hang on a token (a child, a lease, an entry of its cubbyhole) reads the token's
//!   row in its own transaction, so it conflicts with a revocation and cannot escape it.

mod clean;
mod lifetime;
mod params;
mod prefixes;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use strongroom_base::limits::TOKEN_BYTES_MAX;
use strongroom_base::{Error, Result, SecretString, Timestamp};
use strongroom_storage::{Change, Key};

pub use crate::namespaces::suffix;
pub use crate::policy::normalise_policies;
pub use lifetime::{Bounds, Lifetime, lifetime};
pub use params::TokenParams;

use crate::due::{due_key, kinds, link, links, links_from};
use crate::ids;
use crate::record::{
    Derived, Id, Record, Scope, Store, Tx, decode, encode, indexes, row_key, rows,
};

/// Service tokens begin so.
pub const SERVICE_PREFIX: &str = "hvs.";
/// Batch tokens begin so.
pub const BATCH_PREFIX: &str = "hvb.";
/// Tokens remembered between requests.
const CACHE_MAX: usize = 50_000;
/// Levels of parents looked at; creating a deeper child is refused.
pub const DEPTH_MAX: usize = 64;

/// A token's record.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Token {
    /// The row's id.
    #[serde(skip)]
    pub id: Id,
    /// Its accessor, worked out of the id when the record is read; "" for batch tokens.
    #[serde(skip)]
    pub accessor: String,
    /// First half of the HMAC of the token's text.
    mac: u128,
    /// Its namespace.
    pub namespace: Scope,
    /// The auth mount that made it: when that goes, so does the token.
    pub mount: Scope,
    /// When it was made.
    pub created: Timestamp,
    /// When it was renewed last.
    pub renewed: Timestamp,
    /// When it ends; zero is never.
    pub expires: Timestamp,
    /// Seconds it was made for.
    pub ttl: i64,
    /// Most seconds over all renewals; 0 is the mount's maximum.
    pub explicit_max_ttl: i64,
    /// Most seconds its role allows over all renewals; 0 is the mount's.
    pub max_ttl: i64,
    /// Seconds of each renewal of a periodic token; 0 is not periodic.
    pub period: i64,
    /// Uses left: 0 is without limit, below 0 is none.
    pub num_uses: i64,
    /// Its parent; 0 for orphans.
    pub parent: Id,
    /// Its entity, or "".
    pub entity_id: String,
    /// Its policies, sorted, lower case.
    pub policies: Vec<String>,
    /// Display name.
    pub display_name: String,
    /// The path of the request that made it.
    pub path: String,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// What the auth method's renewal needs.
    pub internal: BTreeMap<String, String>,
    /// Addresses it may be used from; empty is any.
    pub bound_cidrs: Vec<String>,
    /// The token role it came from, or "".
    pub role: String,
    /// Is it a batch token?
    pub batch: bool,
    /// Can it be renewed?
    pub renewable: bool,
    /// Is it an orphan?
    pub orphan: bool,
    /// Was its text chosen by the caller?
    pub custom_id: bool,
    /// For a wrapping token: the path whose answer it holds.
    #[serde(default)]
    pub wraps: String,
    /// Policies of its entity apply? (`token_no_identity_policies`-like switches of batch roots.)
    #[serde(default)]
    pub no_identity_policies: bool,
    /// Is it good for one request alone, which brought its login along? See [`Tokens::inline`].
    #[serde(skip)]
    pub inline: bool,
    /// When the credential ends that was shown for it, whatever it is shown for; zero for never. Only
    /// tokens for one request tell.
    #[serde(skip)]
    pub ends: Timestamp,
}

impl Token {
    /// A token that is not stored yet.
    fn of(new: NewToken, now: Timestamp) -> Self {
        let expires = if new.ttl > 0 { now.plus_seconds(new.ttl) } else { Timestamp::ZERO };
        Self {
            id: 0,
            accessor: String::new(),
            mac: 0,
            namespace: new.namespace,
            mount: new.mount,
            created: now,
            renewed: Timestamp::ZERO,
            expires: match (expires.is_zero(), new.ends.is_zero()) {
                (_, true) => expires,
                (true, false) => new.ends,
                (false, false) => expires.min(new.ends),
            },
            ttl: new.ttl,
            explicit_max_ttl: new.params.explicit_max_ttl,
            max_ttl: new.params.max_ttl,
            period: new.params.period,
            num_uses: new.params.num_uses,
            parent: new.parent.as_ref().map_or(0, |parent| parent.0),
            entity_id: new.entity_id,
            policies: new.policies,
            display_name: new.display_name,
            path: new.path,
            metadata: new.metadata,
            internal: new.internal,
            bound_cidrs: new.params.bound_cidrs,
            role: new.role,
            batch: new.batch,
            renewable: new.renewable && !new.batch,
            orphan: new.parent.is_none(),
            custom_id: new.id.is_some(),
            wraps: new.wraps,
            no_identity_policies: new.no_identity_policies,
            inline: false,
            ends: new.ends,
        }
    }

    /// Does it hold the `root` policy?
    pub fn is_root(&self) -> bool {
        self.policies.iter().any(|p| p == "root")
    }

    /// Is its time over at `now`?
    pub fn is_expired(&self, now: Timestamp) -> bool {
        !self.expires.is_zero() && self.expires <= now
    }

    /// Seconds left at `now`; 0 where it never ends.
    pub fn ttl_left(&self, now: Timestamp) -> i64 {
        if self.expires.is_zero() { 0 } else { now.seconds_until(self.expires) }
    }

    /// May it be used from `ip`? An unknown address (a unix socket) fits no list.
    pub fn allows_address(&self, ip: Option<IpAddr>) -> bool {
        cidrs_allow(&self.bound_cidrs, ip)
    }

    /// `service` or `batch`.
    pub fn kind(&self) -> &'static str {
        if self.batch { "batch" } else { "service" }
    }
}

/// Does a list of CIDR blocks (or addresses) allow `ip`? An empty list allows any.
pub fn cidrs_allow(cidrs: &[String], ip: Option<IpAddr>) -> bool {
    cidrs.is_empty()
        || ip.is_some_and(|ip| {
            let ip = ip.to_canonical();
            cidrs.iter().any(|c| parse_cidr(c).is_some_and(|net| net.contains(&ip)))
        })
}

/// Reads a CIDR block, or an address as a block of one.
pub fn parse_cidr(text: &str) -> Option<ipnet::IpNet> {
    text.parse::<ipnet::IpNet>()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(ipnet::IpNet::from))
}

/// What a new token shall be.
#[derive(Default)]
pub struct NewToken {
    /// Display name.
    pub display_name: String,
    /// Policies as asked for; [`Tokens::create`] normalises them.
    pub policies: Vec<String>,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// For the auth method's renewal.
    pub internal: BTreeMap<String, String>,
    /// The role's token parameters.
    pub params: TokenParams,
    /// Its namespace.
    pub namespace: Scope,
    /// Its auth mount.
    pub mount: Scope,
    /// The creating request's path.
    pub path: String,
    /// Its parent; `None` makes an orphan.
    pub parent: Option<Parent>,
    /// Its entity, or "".
    pub entity_id: String,
    /// The token role, or "".
    pub role: String,
    /// Batch?
    pub batch: bool,
    /// Renewable?
    pub renewable: bool,
    /// Seconds to live, worked out by [`lifetime`]; 0 is forever.
    pub ttl: i64,
    /// A text chosen by the caller.
    pub id: Option<SecretString>,
    /// For a wrapping token: the path whose answer it holds.
    pub wraps: String,
    /// Policies of its entity do not apply.
    pub no_identity_policies: bool,
    /// When the credential ends that it is made for; zero for never. It does not outlive that.
    pub ends: Timestamp,
}

/// A token that may have a child in the transaction that [`Tokens::hold_parent`] was asked in.
pub struct Parent(Id);

/// A token just made: its text is shown once.
pub struct Created {
    /// The text.
    pub text: SecretString,
    /// The record.
    pub token: Token,
    /// The accessor; "" for batch tokens.
    pub accessor: String,
}

#[derive(Serialize, Deserialize)]
struct CustomId(Id);

impl Record for CustomId {
    const KIND: u8 = 204;
}

/// The token store.
pub struct Tokens {
    store: Arc<Store>,
    cache: Arc<Derived<Id, Token>>,
    sweep: parking_lot::Mutex<clean::Sweep>,
    prefixes: prefixes::Prefixes,
}

/// What tokens stand on: the mounts that gave them, and the namespaces they belong to.
pub trait Grounds: Sync {
    /// Does a token that this auth mount gave at `created` in this namespace still count? The root
    /// scope stands for "made by no mount".
    fn serves(&self, namespace: Scope, mount: Scope, created: Timestamp) -> bool;
}

impl<T: Grounds + Send> Grounds for Arc<T> {
    fn serves(&self, namespace: Scope, mount: Scope, created: Timestamp) -> bool {
        (**self).serves(namespace, mount, created)
    }
}

impl Tokens {
    /// The tokens of `store`.
    pub fn new(store: Arc<Store>) -> Self {
        let cache = Arc::new(Derived::new(CACHE_MAX));
        let weak = Arc::downgrade(&cache);
        store.derived.listen(move |change| {
            let Some(cache) = weak.upgrade() else { return };
            match change {
                Change::Put(Key::Row(table, id), _) | Change::Delete(Key::Row(table, id))
                    if *table == rows::TOKENS =>
                {
                    cache.remove(id);
                }
                Change::DeleteRows { table, .. } if *table == rows::TOKENS => cache.clear(),
                Change::Everything => cache.clear(),
                _ => {}
            }
        });
        let prefixes = prefixes::Prefixes::new(&store, prefixes::concerns);
        Self { store, cache, sweep: Default::default(), prefixes }
    }

    fn digest(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        self.store.barrier.digest(Scope::ROOT, &[purpose.as_bytes(), data])
    }

    fn mac(&self, text: &str) -> u128 {
        let digest = self.digest("token", text.as_bytes());
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        u128::from_be_bytes(half)
    }

    /// The accessor of the token with this id.
    pub fn accessor(&self, id: Id) -> String {
        ids::ACCESSOR.derive(&self.store.barrier, id)
    }

    /// The id an accessor stands for. It may not be in use.
    pub fn id_of_accessor(&self, accessor: &str) -> Option<Id> {
        ids::ACCESSOR.resolve(&self.store.barrier, accessor)
    }

    /// The record with this id, from memory or storage, whatever its state.
    pub async fn by_id(&self, id: Id) -> Result<Option<Arc<Token>>> {
        self.cache
            .get_or_fill(&id, || async move {
                let tx = self.store.begin();
                self.read(&tx, id).await
            })
            .await
    }

    /// The record as a transaction sees it.
    pub async fn read(&self, tx: &Tx, id: Id) -> Result<Option<Token>> {
        let token = tx.read(Scope::ROOT).row::<Token>(rows::TOKENS, id).await?;
        Ok(token.map(|mut t| {
            t.id = id;
            t.accessor = self.accessor(id);
            t
        }))
    }

    /// The token that `text` is, if there is one and it is live: `None` covers unknown, revoked,
    /// expired and used-up alike.
    pub async fn check(
        &self,
        grounds: &dyn Grounds,
        text: &SecretString,
        now: Timestamp,
    ) -> Result<Option<Arc<Token>>> {
        let text = text.expose_secret();
        if text.len() > TOKEN_BYTES_MAX {
            return Ok(None);
        }
        if let Some(sealed) = text.strip_prefix(BATCH_PREFIX) {
            return Box::pin(self.check_batch(grounds, sealed, now)).await;
        }
        let body = text.strip_prefix(SERVICE_PREFIX).unwrap_or(text);
        let body = body.split_once('.').map_or(body, |(body, _)| body);
        let id = match ids::TOKEN.read(&self.store.barrier, body) {
            Some(id) => Some(id),
            None => Box::pin(self.custom(text)).await?,
        };
        let token = match id {
            Some(id) => self.by_id(id).await?.filter(|t| self.mac_fits(t, text)),
            None => None,
        };
        let token = match token {
            Some(token) => Some(token),
            // A chosen id may look like one of ours.
            None => match Box::pin(self.custom(text)).await? {
                Some(id) => self.by_id(id).await?.filter(|t| self.mac_fits(t, text)),
                None => None,
            },
        };
        let Some(token) = token else { return Ok(None) };
        Ok(self.is_live(grounds, &token, now).await?.then_some(token))
    }

    /// Is a token good: neither expired nor used up, of a mount and namespace that are there, and
    /// all its parents as well?
    pub async fn is_live(
        &self,
        grounds: &dyn Grounds,
        token: &Token,
        now: Timestamp,
    ) -> Result<bool> {
        Ok(!token.is_expired(now)
            && token.num_uses >= 0
            && grounds.serves(token.namespace, token.mount, token.created)
            && !self.is_of_revoked_prefix(token).await?
            && self.has_live_parents(grounds, token, now).await?)
    }

    fn mac_fits(&self, token: &Token, text: &str) -> bool {
        strongroom_crypto::constant_time_eq(&token.mac.to_be_bytes(), &self.mac(text).to_be_bytes())
    }

    async fn custom(&self, text: &str) -> Result<Option<Id>> {
        let tx = self.store.begin();
        Ok(tx.read(Scope::ROOT).named::<CustomId>(0, text).await?.map(|c| c.0))
    }

    async fn check_batch(
        &self,
        grounds: &dyn Grounds,
        sealed: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Token>>> {
        let Ok(sealed) = URL_SAFE_NO_PAD.decode(sealed.split_once('.').map_or(sealed, |(s, _)| s))
        else {
            return Ok(None);
        };
        let Ok(plain) = self.store.barrier.open(Scope::ROOT, b"batch token", &sealed) else {
            return Ok(None);
        };
        let token: Token = decode(plain.expose_secret())?;
        let ok = self.is_live(grounds, &token, now).await?;
        Ok(ok.then(|| Arc::new(token)))
    }

    /// Does the token's parent, and every one above it, still live (or was orphaned away)? Where a
    /// parent's mount has gone its row may stay for a while: the child ends with it at once.
    async fn has_live_parents(
        &self,
        grounds: &dyn Grounds,
        token: &Token,
        now: Timestamp,
    ) -> Result<bool> {
        let mut parent = token.parent;
        for _ in 0..=DEPTH_MAX {
            if parent == 0 {
                return Ok(true);
            }
            match self.by_id(parent).await? {
                Some(p) if p.is_expired(now) || p.num_uses < 0 => return Ok(false),
                Some(p) if !grounds.serves(p.namespace, p.mount, p.created) => return Ok(false),
                Some(p) if self.is_of_revoked_prefix(&p).await? => return Ok(false),
                Some(p) => parent = p.parent,
                // A batch token names its parent for good: it ends with it in any case.
                None if token.batch && parent == token.parent => return Ok(false),
                None => {
                    let key = link(links::ORPHANED, parent, 0);
                    return Ok(self.store.begin().get_index(indexes::LINKS, &key).await?.is_some());
                }
            }
        }
        Ok(false)
    }

    /// Has a live token no parent, or none any more? What a revocation that spared its children leaves
    /// is cleaned up later.
    pub async fn is_orphan(&self, token: &Token) -> Result<bool> {
        Ok(token.orphan || token.parent == 0 || self.by_id(token.parent).await?.is_none())
    }

    /// Notes in `tx` that it depends on the token's row: it conflicts with a revocation of the
    /// token, before or after. Refused where the row is gone already.
    pub async fn hold(&self, tx: &Tx, id: Id) -> Result<()> {
        match tx.raw(&row_key(rows::TOKENS, Scope::ROOT, id)).await? {
            Some(_) => Ok(()),
            None => Err(Error::denied()),
        }
    }

    /// Holds `token` as the parent of a child that `tx` makes.
    pub async fn hold_parent(&self, tx: &Tx, token: &Token) -> Result<Parent> {
        self.hold(tx, token.id).await?;
        let (mut above, mut depth) = (token.parent, 1);
        while above != 0 {
            depth += 1;
            if depth > DEPTH_MAX {
                return Err(Error::bad_request("the tree of tokens is too deep"));
            }
            above = self.by_id(above).await?.map_or(0, |t| t.parent);
        }
        Ok(Parent(token.id))
    }

    /// Makes a token in the transaction of `tx`. Policies are normalised; the caller has checked
    /// that they may be given.
    pub fn create(&self, tx: &Tx, new: NewToken, suffix: &str, now: Timestamp) -> Result<Created> {
        let chosen = new.id.as_ref().map(SecretString::duplicate);
        let mut token = Token::of(new, now);
        if token.batch {
            let plain = encode(&token)?;
            let sealed = self.store.barrier.seal(Scope::ROOT, b"batch token", &plain)?;
            let text = format!("{BATCH_PREFIX}{}{suffix}", URL_SAFE_NO_PAD.encode(&sealed));
            return Ok(Created { text: text.into(), token, accessor: String::new() });
        }
        token.id = tx.new_id();
        let root = tx.write(Scope::ROOT);
        let text = match chosen {
            Some(text) => {
                root.put_named(0, text.expose_secret(), &CustomId(token.id))?;
                text
            }
            None => {
                let tail = self.store.rng.array();
                let body = ids::TOKEN.write(&self.store.barrier, token.id, &tail);
                format!("{SERVICE_PREFIX}{body}{suffix}").into()
            }
        };
        token.mac = self.mac(text.expose_secret());
        root.put_row(rows::TOKENS, token.id, &token)?;
        if !token.expires.is_zero() {
            tx.put_index(indexes::DUE, &due_key(token.expires, kinds::TOKEN, token.id), &[]);
        }
        if token.parent != 0 {
            tx.put_index(indexes::LINKS, &link(links::CHILD, token.parent, token.id), &[]);
        }
        token.accessor = self.accessor(token.id);
        Ok(Created { text, accessor: token.accessor.clone(), token })
    }

    /// The token of a login that a request brought along: good for that request, and nothing else.
    /// It has no row and no text, so nobody can bring it again and nothing can hang on it; in all
    /// else it is a batch token.
    pub fn inline(&self, new: NewToken, now: Timestamp) -> Token {
        let mut token = Token::of(NewToken { batch: true, id: None, ..new }, now);
        // By which the audit log's lines of login and request belong together.
        token.accessor = self.store.rng.uuid();
        (token.num_uses, token.inline) = (0, true);
        token
    }

    /// Is a chosen id taken by a token that lives? Two transactions that ask for the same id
    /// conflict.
    pub async fn is_taken(&self, tx: &Tx, text: &SecretString) -> Result<bool> {
        let known = tx.read(Scope::ROOT).named::<CustomId>(0, text.expose_secret()).await?;
        Ok(match known {
            Some(CustomId(id)) => self.read(tx, id).await?.is_some(),
            None => false,
        })
    }

    /// Writes a changed record; `expires` was `before`.
    pub fn update(&self, tx: &Tx, token: &Token, before: Timestamp) -> Result<()> {
        tx.write(Scope::ROOT).put_row(rows::TOKENS, token.id, token)?;
        if before != token.expires {
            if !before.is_zero() {
                tx.delete_index(indexes::DUE, &due_key(before, kinds::TOKEN, token.id));
            }
            if !token.expires.is_zero() {
                tx.put_index(indexes::DUE, &due_key(token.expires, kinds::TOKEN, token.id), &[]);
            }
        }
        Ok(())
    }

    /// Revokes a token: its row goes with this transaction, and with it the right to use any of
    /// its descendants. Children, leases and cubbyhole are noted for the reconciler.
    pub fn revoke(&self, tx: &Tx, token: &Token) {
        self.remove_row(tx, token);
        let namespace = token.namespace.0.to_be_bytes();
        tx.put_index(indexes::LINKS, &link(links::REVOKED, token.id, 0), &namespace);
    }

    /// Revokes a token and leaves its children alive, as orphans.
    pub fn revoke_orphan(&self, tx: &Tx, token: &Token) {
        tx.put_index(indexes::LINKS, &link(links::ORPHANED, token.id, 0), &[]);
        self.revoke(tx, token);
    }

    fn remove_row(&self, tx: &Tx, token: &Token) {
        let root = tx.write(Scope::ROOT);
        root.delete_row(rows::TOKENS, token.id);
        if !token.expires.is_zero() {
            tx.delete_index(indexes::DUE, &due_key(token.expires, kinds::TOKEN, token.id));
        }
        if token.parent != 0 {
            tx.delete_index(indexes::LINKS, &link(links::CHILD, token.parent, token.id));
        }
    }

    /// Up to `limit` ids linked from `from`.
    async fn linked(&self, tx: &Tx, what: u8, from: Id, limit: usize) -> Result<Vec<Id>> {
        let (start, end) = links_from(what, from);
        let page = tx.scan_index(indexes::LINKS, &start, &end, limit).await?;
        Ok(page.iter().filter_map(|(key, _)| crate::due::link_ids(key)).map(|(_, to)| to).collect())
    }

    /// Up to `limit` tokens with ids above `after`, whatever their state, in the order they were
    /// made.
    pub async fn page(&self, after: Id, limit: usize) -> Result<Vec<Token>> {
        let (from, to) = (after + 1, 1 << 40);
        let page = self.store.storage.scan_rows(rows::TOKENS, from, to, limit).done().await;
        let tx = self.store.begin();
        let mut out = Vec::with_capacity(limit.min(1_024));
        for (id, _) in page.map_err(crate::record::storage_error)? {
            out.extend(self.read(&tx, id).await?);
        }
        Ok(out)
    }
}

/// An error for operations on a token that is not there.
pub fn bad_token() -> Error {
    Error::bad_request("bad token")
}
