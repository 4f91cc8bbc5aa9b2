//! A caller's secret that the renewal of his token needs again: his password of a directory, his
//! token of another service.
//!
//! Invariants:
//! * what is kept with a token is sealed by a key of the mount, which is read only to use it: memory
//!   that holds tokens holds no such secret;
//! * it opens for the service that it was given to: whoever may say in the configuration that the
//!   service is somewhere else does not get it sent there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result, SecretString};
use strongroom_crypto::aead::{Key256, NONCE_BYTES};
use strongroom_kernel::plug::WriteCx;
use strongroom_kernel::record::Record;
use zeroize::Zeroize;

/// The mount's key. Its number is far from those that methods give their own records.
#[derive(Serialize, Deserialize)]
struct KeptKey([u8; 32]);

impl Record for KeptKey {
    const KIND: u8 = 200;
}

impl Drop for KeptKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The mount's key, which is made where it is not there. To be called when a mount is configured,
/// so that no login makes it: the first ones would get in each other's way.
pub async fn prepare(cx: &WriteCx<'_>) -> Result<()> {
    key(cx).await.map(drop)
}

async fn key(cx: &WriteCx<'_>) -> Result<KeptKey> {
    if let Some(key) = cx.view().named::<KeptKey>(0, "").await? {
        return Ok(key);
    }
    let key = KeptKey(cx.rng().array());
    cx.edit().put_named(0, "", &key)?;
    Ok(key)
}

/// What a secret is sealed for.
fn purpose(who: &str, service: &str) -> Vec<u8> {
    [who.as_bytes(), b"\0", service.as_bytes()].concat()
}

/// `secret` of whom `who` names, sealed for the service with this address.
pub async fn seal(
    cx: &WriteCx<'_>,
    who: &str,
    service: &str,
    secret: &SecretString,
) -> Result<String> {
    let key = key(cx).await?;
    let nonce: [u8; NONCE_BYTES] = cx.rng().array();
    let mut sealed = nonce.to_vec();
    let plain = secret.expose_secret().as_bytes();
    Key256::new(&key.0).seal_into(nonce, &purpose(who, service), plain, &mut sealed)?;
    Ok(STANDARD.encode(sealed))
}

/// The secret of whom `who` names, if it was sealed for this service.
pub async fn open(
    cx: &WriteCx<'_>,
    who: &str,
    service: &str,
    sealed: &str,
) -> Result<SecretString> {
    let lost = || Error::bad_request("the token can't be renewed: log in again");
    let sealed = STANDARD.decode(sealed).map_err(|_| lost())?;
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(lost)?;
    let key = cx.view().named::<KeptKey>(0, "").await?.ok_or_else(lost)?;
    let mut plain = Vec::new();
    let opened =
        Key256::new(&key.0).open_into(*nonce, &purpose(who, service), ciphertext, &mut plain);
    opened.map_err(|_| lost())?;
    String::from_utf8(plain).map(SecretString::new).map_err(|_| lost())
}
