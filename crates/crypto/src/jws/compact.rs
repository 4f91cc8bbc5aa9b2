//! Tokens in the compact form (RFC 7515 §7.1, RFC 7519).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use strongroom_base::{Error, Json, JsonMap, Result, json::parse_bounded};

use super::{Algorithm, Flattened, Header, PAYLOAD_BYTES_MAX, Refused, verify_by};
use crate::keys::{PrivateKey, PublicKey, Scheme, ecdsa_der_to_fixed};

/// A token that somebody signed, or says to have.
pub struct Compact<'a> {
    message: Flattened<'a>,
    header: Header,
}

impl<'a> Compact<'a> {
    /// Takes a token apart. Nothing is verified by that.
    pub fn parse(token: &'a str) -> Result<Self, Refused> {
        let mut parts = token.split('.');
        let (Some(protected), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refused::Malformed("a token has three parts"));
        };
        let header = Header::parse(protected)?;
        Ok(Self { message: Flattened { protected, payload, signature }, header })
    }

    /// The signature algorithm; `none` and MACs are none.
    pub fn algorithm(&self) -> Result<Algorithm, Refused> {
        self.header.algorithm()
    }

    /// The identifier of the key, as whoever made the token says.
    pub fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The claims, of which nobody knows yet whether they are true: only to find out whose key to
    /// verify the token with.
    pub fn unverified_claims(&self) -> Result<JsonMap, Refused> {
        claims(&super::decode(self.message.payload, PAYLOAD_BYTES_MAX)?)
    }

    /// The claims, where `key` signed them.
    pub fn verify(&self, key: &PublicKey) -> Result<JsonMap, Refused> {
        claims(&verify_by(self.message, &self.header, key)?)
    }
}

fn claims(payload: &[u8]) -> Result<JsonMap, Refused> {
    match parse_bounded(payload) {
        Ok(Json::Object(map)) => Ok(map),
        _ => Err(Refused::Malformed("the claims are no JSON object")),
    }
}

/// Signs `claims` (JSON) as a token by `key`, of which others know the public half as `kid`.
pub fn sign_compact(
    algorithm: Algorithm,
    kid: &str,
    claims: &[u8],
    key: &PrivateKey,
) -> Result<String> {
    if !algorithm.fits(key.key_type()) {
        return Err(Error::bad_request("the algorithm is none of the key's"));
    }
    let header: JsonMap = [("alg", algorithm.name()), ("kid", kid), ("typ", "JWT")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Json::from(value)))
        .collect();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let header = encode(Json::Object(header).to_string().as_bytes());
    let signed = format!("{header}.{}", encode(claims));
    let scheme = algorithm.scheme();
    let mut signature = key.sign(scheme, signed.as_bytes())?;
    if let (Algorithm::Es(curve), Scheme::Ecdsa(_)) = (algorithm, scheme) {
        signature = ecdsa_der_to_fixed(curve, &signature)?;
    }
    Ok(format!("{signed}.{}", encode(&signature)))
}
