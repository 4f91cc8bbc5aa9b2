//! Is a token good? It is found by its text, and judged by its own clock, its mount and all that it came from.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use strongroom_base::limits::TOKEN_BYTES_MAX;
use strongroom_base::{Result, SecretString, Timestamp};

use super::create::CustomId;
use super::{BATCH_PREFIX, DEPTH_MAX, SERVICE_PREFIX, Token, Tokens};
use crate::due::{link, links};
use crate::ids;
use crate::record::{Id, Scope, decode, indexes};

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
}
