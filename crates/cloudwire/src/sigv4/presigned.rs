//! Signatures in a query (AWS, "Authenticating requests: using query parameters").

use strongroom_base::{SecretString, percent};

use super::{ALGORITHM, Authorization};

/// Seconds that a presigned request is good for at most: a week.
const EXPIRES_SECONDS_MAX: i64 = 604_800;

/// What a query says of its signature.
pub struct Presigned {
    credential: String,
    signed_headers: String,
    signature: String,
    /// `X-Amz-Date`.
    pub date: String,
    /// Seconds from then that it is good.
    pub expires: i64,
    /// The session token of temporary credentials.
    pub session_token: Option<SecretString>,
    /// What was signed: the query without the signature.
    pub query: String,
}

impl Presigned {
    /// Is the query signed, well or not?
    pub fn is_in(query: &str) -> bool {
        query.split('&').any(|pair| pair.split('=').next() == Some("X-Amz-Signature"))
    }

    /// Reads the query; `None` where a parameter is missing, is there twice, or says what it must not.
    pub fn parse(query: &str) -> Option<Self> {
        let one = |name: &str| {
            let mut all = query.split('&').filter_map(|pair| {
                let (own, value) = pair.split_once('=')?;
                (own == name).then_some(value)
            });
            match (all.next(), all.next()) {
                (Some(value), None) => percent::decode_query(value).map(|text| (*text).clone()),
                _ => None,
            }
        };
        if one("X-Amz-Algorithm")? != ALGORITHM {
            return None;
        }
        let expires = one("X-Amz-Expires")?.parse().ok()?;
        if !(1..=EXPIRES_SECONDS_MAX).contains(&expires) {
            return None;
        }
        let has_token = query.split('&').any(|pair| pair.starts_with("X-Amz-Security-Token="));
        let session_token = match has_token {
            true => Some(SecretString::new(one("X-Amz-Security-Token")?)),
            false => None,
        };
        let rest: Vec<&str> =
            query.split('&').filter(|pair| !pair.starts_with("X-Amz-Signature=")).collect();
        Some(Self {
            credential: one("X-Amz-Credential")?,
            signed_headers: one("X-Amz-SignedHeaders")?,
            signature: one("X-Amz-Signature")?,
            date: one("X-Amz-Date")?,
            expires,
            session_token,
            query: rest.join("&"),
        })
    }

    /// The same as an `Authorization` header would say it.
    pub fn authorization(&self) -> Option<Authorization<'_>> {
        Authorization::of(&self.credential, &self.signed_headers, &self.signature)
    }
}
