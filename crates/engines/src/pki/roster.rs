//! All keys and issuers of a mount at once, while their set changes. A transaction's lists do not show
//! what it wrote itself, so one that brings several is to know of them by this.

use std::sync::Arc;

use strongroom_base::Result;
use strongroom_crypto::keys::PrivateKey;
use strongroom_crypto::x509::{Certificate, KeyUsage};
use strongroom_kernel::plug::WriteCx;
use strongroom_kernel::record::{ReadView, WriteView, rows};

use super::authority::{all_issuers, config};
use super::chain::{Link, chain_of};
use super::stored::{Issuer, IssuerName, IssuersConfig, KeyInfo, KeyName, KeysConfig, Usage};
use super::{PkiEngine, bad};

/// All keys and issuers of a mount, to change. What changed is written by [`Roster::save`].
pub struct Roster {
    keys: Vec<(String, KeyInfo)>,
    /// The issuers.
    pub links: Vec<Link>,
    /// Which issuer is the default.
    pub issuers: IssuersConfig,
    /// Which key is.
    pub default_key: String,
    /// As they were when this was read.
    was: (IssuersConfig, String),
}

impl PkiEngine {
    /// All keys and issuers of a mount. The caller queues for them.
    pub(super) async fn roster(&self, view: &ReadView<'_>) -> Result<Roster> {
        let mut keys = Vec::new();
        for id in view.names::<KeyInfo>(0).await?.iter() {
            if let Some(key) = view.cached::<KeyInfo>(0, id).await? {
                keys.push((id.clone(), (*key).clone()));
            }
        }
        let mut links = Vec::new();
        for (id, issuer) in all_issuers(view).await? {
            let certificate = self.certificate(&id, &issuer).await?;
            links.push(Link { id, issuer: (*issuer).clone(), certificate, changed: false });
        }
        let issuers: IssuersConfig = config(view).await?;
        let default_key = config::<KeysConfig>(view).await?.default;
        let was = (issuers.clone(), default_key.clone());
        Ok(Roster { keys, links, issuers, default_key, was })
    }
}

impl Roster {
    /// An issuer.
    pub fn link(&mut self, id: &str) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.id == id)
    }

    /// The id of an issuer's key, or "".
    pub fn key_of(&self, id: &str) -> String {
        let link = self.links.iter().find(|link| link.id == id);
        link.map_or_else(String::new, |link| link.issuer.key_id.clone())
    }

    /// A key's record.
    pub fn key(&self, id: &str) -> Option<&KeyInfo> {
        self.keys.iter().find(|(known, _)| known == id).map(|(_, key)| key)
    }

    /// Keeps a key, unless it is there; gives its id, and whether it was. Issuers that lacked it
    /// have it then.
    pub fn bring_key(
        &mut self,
        cx: &WriteCx<'_>,
        key: &PrivateKey,
        name: &str,
    ) -> Result<(String, bool)> {
        let public = key.public()?;
        if let Some((id, _)) = self.keys.iter().find(|(_, known)| known.spki == public.spki_der()) {
            return Ok((id.clone(), true));
        }
        let edit = cx.edit();
        let row = edit.new_id();
        edit.put_row_bytes(rows::VALUES, row, key.to_pkcs8_der().expose_secret())?;
        let kind = key.key_type();
        let info = KeyInfo {
            name: name.to_owned(),
            kind: kind.name().to_owned(),
            bits: kind.bits(),
            spki: public.spki_der().to_vec(),
            row,
        };
        let id = cx.rng().uuid();
        edit.put_named(0, &id, &info)?;
        if !name.is_empty() {
            edit.put_named(0, name, &KeyName { id: id.clone() })?;
        }
        if self.default_key.is_empty() {
            self.default_key.clone_from(&id);
        }
        for link in &mut self.links {
            if link.issuer.key_id.is_empty() && link.certificate.spki == info.spki {
                link.issuer.key_id.clone_from(&id);
                link.changed = true;
                if self.issuers.default.is_empty() {
                    self.issuers.default.clone_from(&link.id);
                }
            }
        }
        self.keys.push((id.clone(), info));
        Ok((id, false))
    }

    /// Keeps an issuer, unless it is there; gives its id, and whether it was.
    pub fn bring_issuer(
        &mut self,
        cx: &WriteCx<'_>,
        certificate: Certificate,
        name: &str,
    ) -> Result<(String, bool)> {
        if !certificate.is_authority() {
            return Err(bad("Refusing to import non-CA certificate"));
        }
        let public = certificate.public_key()?;
        let same = |link: &&Link| *link.certificate == certificate;
        if let Some(known) = self.links.iter().find(same) {
            return Ok((known.id.clone(), true));
        }
        let mut issuer = Issuer {
            name: name.to_owned(),
            certificate: certificate.der().to_vec(),
            usage: Usage::ALL,
            ..Issuer::default()
        };
        if certificate.key_usage().is_some_and(|usage| !usage.has(KeyUsage::CRL_SIGN)) {
            issuer.usage &= !(Usage::SignLists as u8);
        }
        let own_key = self.keys.iter().find(|(_, known)| known.spki == public.spki_der());
        if let Some((id, _)) = own_key {
            issuer.key_id.clone_from(id);
        }
        let id = cx.rng().uuid();
        if !name.is_empty() {
            cx.edit().put_named(0, name, &IssuerName { id: id.clone() })?;
        }
        if self.issuers.default.is_empty() && !issuer.key_id.is_empty() {
            self.issuers.default.clone_from(&id);
        }
        let certificate = Arc::new(certificate);
        self.links.push(Link { id: id.clone(), issuer, certificate, changed: true });
        Ok((id, false))
    }

    /// Removes an issuer; its key stays.
    pub fn remove_issuer(&mut self, edit: &WriteView<'_>, id: &str) {
        let Some(at) = self.links.iter().position(|link| link.id == id) else { return };
        let link = self.links.swap_remove(at);
        edit.delete_named::<Issuer>(0, id);
        if !link.issuer.name.is_empty() {
            edit.delete_named::<IssuerName>(0, &link.issuer.name);
        }
        if self.issuers.default == id {
            self.issuers.default.clear();
        }
        for other in &mut self.links {
            let before = other.issuer.manual_chain.len();
            other.issuer.manual_chain.retain(|link| link != id);
            other.changed |= other.issuer.manual_chain.len() != before;
        }
    }

    /// Removes a key and its private part.
    pub fn remove_key(&mut self, edit: &WriteView<'_>, id: &str) {
        let Some(at) = self.keys.iter().position(|(known, _)| known == id) else { return };
        let (_, key) = self.keys.swap_remove(at);
        edit.delete_row(rows::VALUES, key.row);
        edit.delete_named::<KeyInfo>(0, id);
        if !key.name.is_empty() {
            edit.delete_named::<KeyName>(0, &key.name);
        }
        if self.default_key == id {
            self.default_key.clear();
        }
    }

    /// Removes all keys and issuers.
    pub fn clear(&mut self, edit: &WriteView<'_>) {
        while let Some(id) = self.links.first().map(|link| link.id.clone()) {
            self.remove_issuer(edit, &id);
        }
        while let Some(id) = self.keys.first().map(|(id, _)| id.clone()) {
            self.remove_key(edit, &id);
        }
    }

    /// Works out all chains, and writes what changed. Did any issuer?
    pub fn save(mut self, edit: &WriteView<'_>) -> Result<bool> {
        let changed = self.links.iter().any(|link| link.changed) || self.issuers != self.was.0;
        let chains: Vec<Vec<String>> =
            self.links.iter().map(|link| chain_of(link, &self.links)).collect();
        for (link, chain) in self.links.iter_mut().zip(chains) {
            if link.changed || link.issuer.chain != chain {
                link.issuer.chain = chain;
                edit.put_named(0, &link.id, &link.issuer)?;
            }
        }
        if self.issuers != self.was.0 {
            edit.put_named(0, "", &self.issuers)?;
        }
        if self.default_key != self.was.1 {
            edit.put_named(0, "", &KeysConfig { default: self.default_key })?;
        }
        Ok(changed)
    }
}
