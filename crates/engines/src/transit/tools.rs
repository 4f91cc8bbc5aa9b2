//! `random` and `hash`: what needs no key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use serde_json::json;
use strongroom_base::{Error, Json, Result, SecretBytes, fields};
use strongroom_crypto::digest;
use strongroom_kernel::plug::{EngineSpec, Query, ReadCx, Reply, ops};

use super::Transit;
use super::encoding::Encoded;
use super::limits::RANDOM_BYTES_MAX;

fields! {
    /// Hashes an input.
    pub struct MakeHash {
        /// The hash, in the path.
        urlalgorithm: Option<String>,
        /// The hash: sha2-256 (where nothing is said), sha2-224, sha2-384, sha2-512, sha3-224,
        /// sha3-256, sha3-384 or sha3-512.
        algorithm: Option<String>,
        /// The input, base64.
        input: Option<Encoded>,
        /// hex (where nothing is said) or base64.
        format: Option<String>,
    }
}
fields! {
    /// Gives random bytes.
    pub struct MakeRandom {
        /// Where they come from: platform (where nothing is said), seal or all. A number counts as
        /// the bytes.
        source: Option<String>,
        /// How many, in the path.
        urlbytes: Option<i64>,
        /// How many; 32 where nothing is said.
        bytes: Option<i64>,
        /// base64 (where nothing is said) or hex.
        format: Option<String>,
    }
}

ops! {
    MakeHash Json, Write;
    MakeRandom Json, Write;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.query::<MakeHash>("hash")
        .query::<MakeHash>("hash/{urlalgorithm}")
        .query::<MakeRandom>("random")
        .query::<MakeRandom>("random/{source}")
        .query::<MakeRandom>("random/{source}/{urlbytes}")
}

fn wrong(text: &str) -> Error {
    Error::bad_request(text)
}

/// `bytes` in the form that is asked for, or in the usual one.
fn text(bytes: &[u8], asked: Option<&str>, usual: &str) -> Result<String> {
    match asked.filter(|asked| !asked.is_empty()).unwrap_or(usual) {
        "hex" => Ok(HEXLOWER.encode(bytes)),
        "base64" => Ok(STANDARD.encode(bytes)),
        _ => Err(wrong("unsupported encoding format; must be \"hex\" or \"base64\"")),
    }
}

impl Query<MakeHash> for Transit {
    async fn query(&self, _: &ReadCx<'_>, op: MakeHash) -> Result<Reply<Json>> {
        let input = op.input.ok_or_else(|| wrong("input missing"))?;
        let input = input.bytes().map_err(|why| {
            Error::bad_request(format!("unable to decode input as base64: {why}"))
        })?;
        let algorithm = op.urlalgorithm.or(op.algorithm).filter(|name| !name.is_empty());
        let sum = digest::hash(algorithm.as_deref().unwrap_or("sha2-256"), input)
            .ok_or_else(|| wrong("unsupported algorithm"))?;
        Ok(Reply::data(json!({ "sum": text(&sum, op.format.as_deref(), "hex")? })))
    }
}

impl Query<MakeRandom> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: MakeRandom) -> Result<Reply<Json>> {
        let is_source = |text: &str| ["", "platform", "seal", "all"].contains(&text);
        let mut source = op.source.unwrap_or_default();
        let mut bytes = op.urlbytes.or(op.bytes).unwrap_or(32);
        if op.urlbytes.is_none() && !is_source(&source) {
            // `random/64`: what stands there is the number.
            let number = source.parse();
            bytes = number.map_err(|_| wrong("error parsing url-set byte count"))?;
            source.clear();
        }
        if !is_source(&source) {
            return Err(wrong(
                "unsupported entropy source; must be \"platform\" or \"seal\", or \"all\"",
            ));
        }
        let count = usize::try_from(bytes).unwrap_or(0);
        if count < 1 {
            return Err(wrong("\"bytes\" cannot be less than 1"));
        }
        if count > RANDOM_BYTES_MAX {
            return Err(Error::bad_request(format!(
                "\"bytes\" should be less than {RANDOM_BYTES_MAX}"
            )));
        }
        let mut random = vec![0; count];
        cx.rng().fill(&mut random);
        let random = SecretBytes::new(random);
        let shown = text(random.expose_secret(), op.format.as_deref(), "base64")?;
        let reply = Reply::data(json!({ "random_bytes": shown }));
        Ok(match source.as_str() {
            "seal" => {
                reply.warn("no seal/entropy augmentation available, using platform entropy source")
            }
            _ => reply,
        })
    }
}
