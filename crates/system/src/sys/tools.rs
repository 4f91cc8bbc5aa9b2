//! Tools that use the server's hashes and randomness (`sys/tools`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use strongroom_base::{Error, Result, SecretBytes, SecretString};
use strongroom_crypto::digest;
use strongroom_kernel::plug::{EngineSpec, Query, ReadCx, Reply, ops};

use super::System;

/// Adds the operations of this file.
pub fn add_tools(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<Hash>("tools/hash")
        .query::<Hash>("tools/hash/{urlalgorithm}")
        .query::<Random>("tools/random")
        .query::<Random>("tools/random/{source}")
        .query::<Random>("tools/random/{source}/{urlbytes}")
}

/// Random bytes in one request.
const RANDOM_BYTES_MAX: usize = 128 * 1024;

strongroom_base::fields! {
    /// Hashes data.
    pub struct Hash {
        /// The algorithm, in the path.
        urlalgorithm: Option<String>,
        /// The algorithm: sha2-224, sha2-256 (default), sha2-384, sha2-512, sha3-224 … sha3-512.
        algorithm: Option<String>,
        /// The data, base64.
        input: Option<SecretString>,
        /// hex (default) or base64.
        format: Option<String>,
    }
}
strongroom_base::fields! {
    /// Gives random bytes.
    pub struct Random {
        /// Where they come from: platform (default), seal or all. A number counts as the bytes.
        source: Option<String>,
        /// How many, in the path.
        urlbytes: Option<i64>,
        /// How many; 32 if nothing is said.
        bytes: Option<i64>,
        /// base64 (default) or hex.
        format: Option<String>,
    }
}

/// A hash.
#[derive(Serialize)]
pub struct Sum {
    sum: String,
}

/// Random bytes.
#[derive(Serialize)]
pub struct RandomBytes {
    #[serde(serialize_with = "super::expose")]
    random_bytes: SecretString,
}

ops! {
    Hash Sum, Write;
    Random RandomBytes, Write;
}

/// Is the text form hex? Else it is base64.
fn is_hex(format: Option<&str>, default_hex: bool) -> Result<bool> {
    match format {
        None => Ok(default_hex),
        Some("hex") => Ok(true),
        Some("base64") => Ok(false),
        Some(_) => {
            Err(Error::bad_request("unsupported encoding format; must be \"hex\" or \"base64\""))
        }
    }
}

fn text(bytes: &[u8], hex: bool) -> String {
    if hex { hex::encode(bytes) } else { STANDARD.encode(bytes) }
}

impl Query<Hash> for System {
    async fn query(&self, _: &ReadCx<'_>, op: Hash) -> Result<Reply<Sum>> {
        let input = op.input.unwrap_or_else(|| SecretString::new(String::new()));
        let input = STANDARD.decode(input.expose_secret()).map(SecretBytes::new);
        let input = input.map_err(|_| Error::bad_request("unable to decode input as base64"))?;
        let hex = is_hex(op.format.as_deref(), true)?;
        let algorithm = op.urlalgorithm.or(op.algorithm).filter(|a| !a.is_empty());
        let algorithm = algorithm.as_deref().unwrap_or("sha2-256");
        let sum = digest::hash(algorithm, input.expose_secret())
            .ok_or_else(|| Error::bad_request("unsupported algorithm"))?;
        Ok(Reply::data(Sum { sum: text(&sum, hex) }))
    }
}

impl Query<Random> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: Random) -> Result<Reply<RandomBytes>> {
        let is_source = |s: &str| ["", "platform", "seal", "all"].contains(&s);
        let mut source = op.source.unwrap_or_default();
        let mut bytes = op.urlbytes.or(op.bytes).unwrap_or(32);
        if op.urlbytes.is_none() && !is_source(&source) {
            // `random/64`: what stands there is the number.
            bytes = source
                .parse()
                .map_err(|_| Error::bad_request("error parsing url-set byte count"))?;
            source.clear();
        }
        if !is_source(&source) {
            return Err(Error::bad_request(
                "unsupported entropy source; must be \"platform\" or \"seal\", or \"all\"",
            ));
        }
        let count = usize::try_from(bytes).unwrap_or(0);
        if count < 1 {
            return Err(Error::bad_request("'bytes' cannot be less than 1"));
        }
        if count > RANDOM_BYTES_MAX {
            return Err(Error::bad_request(format!(
                "'bytes' should be less than {RANDOM_BYTES_MAX}"
            )));
        }
        let hex = is_hex(op.format.as_deref(), false)?;
        let mut random = vec![0; count];
        cx.rng().fill(&mut random);
        let random = SecretBytes::new(random);
        let random_bytes = SecretString::new(text(random.expose_secret(), hex));
        let reply = Reply::data(RandomBytes { random_bytes });
        Ok(if source == "seal" {
            reply.warn("no seal/entropy augmentation available, using platform entropy source")
        } else {
            reply
        })
    }
}
