//! What is stored of an authority's keys: each under its id, with indexes by name and by public key,
//! and which of them is the default.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_base::{Error, Json, Result};
use strongroom_crypto::keys::PrivateKey;
use strongroom_crypto::ssh::PublicKey;
use strongroom_kernel::plug::{ReadCx, WriteCx};
use strongroom_kernel::record::Record;
use zeroize::Zeroize;

/// The name that stands for the default issuer.
pub const DEFAULT: &str = "default";
/// Issuers of one mount.
pub const ISSUERS_MAX: usize = 1_000;

/// An issuer's record, under its id.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredIssuer {
    /// The operator's name for it, or "".
    pub name: String,
    /// PKCS#8.
    key: Vec<u8>,
}

impl Drop for StoredIssuer {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Record for StoredIssuer {
    const KIND: u8 = 3;
}

/// The id of the issuer of a name.
#[derive(Clone, Serialize, Deserialize)]
struct IdOfName(String);

impl Record for IdOfName {
    const KIND: u8 = 4;
}

/// The id of the issuer of a public key, under the key's hash.
#[derive(Clone, Serialize, Deserialize)]
struct IdOfKey(String);

impl Record for IdOfKey {
    const KIND: u8 = 5;
}

/// The default issuer's id.
#[derive(Clone, Serialize, Deserialize)]
struct DefaultIssuer(String);

impl Record for DefaultIssuer {
    const KIND: u8 = 6;
}

/// An issuer, ready to sign.
pub struct Issuer {
    /// The operator's name for it, or "".
    pub name: String,
    /// Its key.
    pub key: PrivateKey,
    /// The public half.
    pub public: PublicKey,
}

impl Issuer {
    fn prepare(stored: StoredIssuer) -> Result<Self> {
        let key = PrivateKey::from_pkcs8_der(&stored.key)?;
        let public = PublicKey::of(&key.public()?)?;
        Ok(Self { name: stored.name.clone(), key, public })
    }

    /// What answers show.
    pub fn shown(&self, id: &str) -> Json {
        json!({ "issuer_id": id, "issuer_name": self.name, "public_key": self.public.line() })
    }
}

fn hash(key: &PublicKey) -> String {
    HEXLOWER.encode(&strongroom_crypto::sha256(key.wire()))
}

/// The issuer of this id.
pub async fn of_id(cx: &ReadCx<'_>, id: &str) -> Result<Option<Arc<Issuer>>> {
    cx.view().prepared::<StoredIssuer, Issuer>(0, id, Issuer::prepare).await
}

/// The default issuer's id.
pub async fn default_id(cx: &ReadCx<'_>) -> Result<Option<String>> {
    let found = cx.view().cached::<DefaultIssuer>(0, "").await?;
    Ok(found.map(|found| found.0.clone()))
}

/// Makes an issuer the default; an empty id leaves none.
pub fn set_default(cx: &WriteCx<'_>, id: &str) -> Result<()> {
    if id.is_empty() {
        cx.edit().delete_named::<DefaultIssuer>(0, "");
        return Ok(());
    }
    cx.edit().put_named(0, "", &DefaultIssuer(id.to_owned()))
}

/// The ids of all issuers, sorted.
pub async fn ids(cx: &ReadCx<'_>) -> Result<Arc<Vec<String>>> {
    cx.view().names::<StoredIssuer>(0).await
}

/// The issuer that a reference names: `default`, an id or a name. An error where there is none.
pub async fn find(cx: &ReadCx<'_>, reference: &str) -> Result<(String, Arc<Issuer>)> {
    let found = lookup(cx, reference).await?;
    found.ok_or_else(|| match reference.trim().eq_ignore_ascii_case(DEFAULT) {
        true => Error::bad_request("no default issuer currently configured"),
        false => Error::bad_request("unable to find issuer for reference"),
    })
}

/// As [`find`]; `None` where there is none.
pub async fn lookup(cx: &ReadCx<'_>, reference: &str) -> Result<Option<(String, Arc<Issuer>)>> {
    let reference = reference.trim();
    let id = if reference.eq_ignore_ascii_case(DEFAULT) {
        default_id(cx).await?
    } else if let Some(issuer) = of_id(cx, reference).await? {
        return Ok(Some((reference.to_owned(), issuer)));
    } else {
        let found = cx.view().cached::<IdOfName>(0, reference).await?;
        found.map(|found| found.0.clone())
    };
    let Some(id) = id else { return Ok(None) };
    Ok(of_id(cx, &id).await?.map(|issuer| (id, issuer)))
}

/// The issuer that has this public key already.
pub async fn of_key(cx: &ReadCx<'_>, key: &PublicKey) -> Result<Option<(String, Arc<Issuer>)>> {
    let Some(id) = cx.view().cached::<IdOfKey>(0, &hash(key)).await? else { return Ok(None) };
    Ok(of_id(cx, &id.0).await?.map(|issuer| (id.0.clone(), issuer)))
}

/// Refuses a name that is none, or another issuer's.
pub async fn check_name(cx: &ReadCx<'_>, name: &str, own: Option<&str>) -> Result<()> {
    if name.is_empty() {
        return Err(Error::bad_request("expected non-empty issuer name"));
    }
    if name.eq_ignore_ascii_case(DEFAULT) {
        let text = "reserved keyword 'default' can not be used as issuer name";
        return Err(Error::bad_request(text));
    }
    if strongroom_kernel::plug::names::check(name).is_err() || name.contains('@') {
        return Err(Error::bad_request("issuer name contained invalid characters"));
    }
    match lookup(cx, name).await? {
        Some((id, _)) if own != Some(id.as_str()) => {
            Err(Error::bad_request("issuer name already in use"))
        }
        _ => Ok(()),
    }
}

/// Stores a new issuer; answers its id.
pub async fn add(cx: &WriteCx<'_>, name: &str, key: &PrivateKey) -> Result<String> {
    if ids(cx).await?.len() >= ISSUERS_MAX {
        let text = format!("a mount has at most {ISSUERS_MAX} issuers");
        return Err(Error::bad_request(text));
    }
    let id = cx.rng().uuid();
    let stored =
        StoredIssuer { name: name.to_owned(), key: key.to_pkcs8_der().expose_secret().clone() };
    let public = PublicKey::of(&key.public()?)?;
    cx.edit().put_named(0, &id, &stored)?;
    cx.edit().put_named(0, &hash(&public), &IdOfKey(id.clone()))?;
    if !name.is_empty() {
        cx.edit().put_named(0, name, &IdOfName(id.clone()))?;
    }
    Ok(id)
}

/// Gives an issuer another name, which was checked.
pub async fn rename(cx: &WriteCx<'_>, id: &str, name: &str) -> Result<()> {
    let Some(mut stored) = cx.view().named::<StoredIssuer>(0, id).await? else { return Ok(()) };
    if !stored.name.is_empty() {
        cx.edit().delete_named::<IdOfName>(0, &stored.name);
    }
    name.clone_into(&mut stored.name);
    cx.edit().put_named(0, id, &stored)?;
    cx.edit().put_named(0, name, &IdOfName(id.to_owned()))
}

/// Removes an issuer; answers whether it was the default.
pub async fn remove(cx: &WriteCx<'_>, id: &str, issuer: &Issuer) -> Result<bool> {
    cx.edit().delete_named::<StoredIssuer>(0, id);
    cx.edit().delete_named::<IdOfKey>(0, &hash(&issuer.public));
    if !issuer.name.is_empty() {
        cx.edit().delete_named::<IdOfName>(0, &issuer.name);
    }
    let was_default = default_id(cx).await?.is_some_and(|default| default == id);
    if was_default {
        set_default(cx, "")?;
    }
    Ok(was_default)
}
