//! `hmac`, and verifying what it gives.

use std::future::ready;

use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_crypto::constant_time_eq;
use strongroom_crypto::hmac::hmac;
use strongroom_crypto::keys::Hash;
use strongroom_kernel::plug::{EngineSpec, Query, ReadCx, Reply, ops};

use super::Transit;
use super::batch::{self, Batch, Failing, Inputs, Item, members};
use super::encoding::{Encoded, Text, decode, split, versioned};
use super::ring::Ring;
use super::sign::{HASHES, VERIFYING, input_of};

fields! {
    /// Makes the HMAC of an input, or of a batch of them.
    pub struct MakeHmac {
        /// The key's name.
        name: String,
        /// The hash, in the path.
        urlalgorithm: Option<String>,
        /// The hash: sha2-256 (where nothing is said), sha2-224, sha2-384, sha2-512, sha3-224,
        /// sha3-256, sha3-384, sha3-512 or sha1.
        algorithm: Option<String>,
        /// The input, base64.
        input: Option<Encoded>,
        /// The version; 0 for the latest.
        key_version: Option<i64>,
        /// Items with input and reference.
        batch_input: Option<Batch>,
    }
}

ops! {
    MakeHmac Json, Write;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.query::<MakeHmac>("hmac/{name}").query::<MakeHmac>("hmac/{name}/{urlalgorithm}")
}

fn wrong(text: impl Into<String>) -> Error {
    Error::bad_request(text)
}

/// The hash that is asked for.
fn hash_of(op: &MakeHmac) -> Result<Hash> {
    let asked = [&op.urlalgorithm, &op.algorithm].into_iter().flatten();
    let asked = asked.map(String::as_str).find(|name| !name.is_empty()).unwrap_or("sha2-256");
    let known = HASHES.iter().find(|(name, _)| *name == asked);
    known.and_then(|(_, hash)| *hash).ok_or_else(|| wrong("unsupported algorithm"))
}

/// The number of the version that makes an HMAC.
fn version_for(ring: &Ring, asked: i64) -> Result<u64> {
    let latest = ring.key.latest();
    match u64::try_from(asked) {
        Ok(0) => Ok(latest),
        Ok(number) if number > latest => {
            Err(wrong(format!("key version does not exist; latest key version is {latest}")))
        }
        Ok(number) if number < ring.key.min_encryption_version => {
            Err(wrong("cannot generate HMAC: version is too old (disallowed by policy)"))
        }
        Ok(number) => Ok(number),
        Err(_) => Err(wrong("key version does not exist (cannot be negative)")),
    }
}

impl Query<MakeHmac> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, mut op: MakeHmac) -> Result<Reply<Json>> {
        let ring = Ring::of(&cx.view(), &op.name, "encryption key not found").await?;
        ring.in_use()?;
        let number = version_for(&ring, op.key_version.unwrap_or(0))?;
        let version = ring.load(&cx.view(), number).await?;
        let (key, hash) = (version.hmac_key()?, hash_of(&op)?);
        let inputs = Inputs::of(op.batch_input.take(), || {
            Ok(Item { input: op.input.take(), ..Item::default() })
        })?;
        let make = |item: &Item| -> Result<JsonMap> {
            let mac = hmac(hash, key, input_of(item, "missing input for HMAC")?);
            let text = versioned(number, &mac, Text::Standard);
            Ok(members([("hmac", Json::String(text))]))
        };
        let outcomes = inputs.outcomes(true, |item| ready(make(item))).await;
        let failing = Failing { fails_request: false, partial_status: None, members: &[] };
        batch::answer(inputs, outcomes, &failing)
    }
}

/// Verifies HMACs.
pub async fn verify_hmacs(
    cx: &ReadCx<'_>,
    name: &str,
    hash: Option<Hash>,
    inputs: Inputs,
) -> Result<Reply<Json>> {
    let ring = Ring::of(&cx.view(), name, "encryption key not found").await?;
    let hash = hash.ok_or_else(|| wrong("invalid hash algorithm"))?;
    let outcomes = inputs.outcomes(true, |item| verify_one(cx, &ring, hash, item)).await;
    batch::answer(inputs, outcomes, &VERIFYING)
}

async fn verify_one(cx: &ReadCx<'_>, ring: &Ring, hash: Hash, item: &Item) -> Result<JsonMap> {
    let input = input_of(item, "missing input")?;
    let text = item.hmac.as_deref().ok_or_else(|| wrong("missing hmac"))?;
    ring.in_use()?;
    if !text.starts_with("vault:v") {
        return Err(wrong("invalid HMAC to verify: no prefix"));
    }
    let (number, mac) = split(text, "HMAC")?;
    if u64::try_from(number).is_ok_and(|number| number < ring.key.min_decryption_version) {
        return Err(wrong("cannot verify HMAC: version is too old (disallowed by policy)"));
    }
    let mac = decode(mac)
        .map_err(|why| wrong(format!("unable to decode verification HMAC as base64: {why}")))?;
    let version = ring.load_of(&cx.view(), number, "HMAC").await?;
    let expected = hmac(hash, version.hmac_key()?, input);
    let valid = constant_time_eq(&expected, mac.expose_secret());
    Ok(members([("valid", Json::Bool(valid))]))
}
