//! Tokens are made: with a row, as a batch token, or for one request alone.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result, SecretString, Timestamp};

use super::{BATCH_PREFIX, DEPTH_MAX, SERVICE_PREFIX, Token, TokenParams, Tokens};
use crate::due::{due_key, kinds, link, links};
use crate::ids;
use crate::record::{Id, Record, Scope, Tx, encode, indexes, row_key, rows};

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

/// The token that has a chosen id, named by that.
#[derive(Serialize, Deserialize)]
pub(super) struct CustomId(pub Id);

impl Record for CustomId {
    const KIND: u8 = 204;
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
}

impl Tokens {
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
}
