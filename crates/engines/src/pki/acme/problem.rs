//! Failures as ACME says them: problem documents (RFC 7807, RFC 8555 §6.7).

use serde_json::json;
use strongroom_base::{Error, ErrorKind, Foreign, Json};

/// The content type of a problem.
const CONTENT_TYPE: &str = "application/problem+json";
/// What stands before the name of a type.
const NAMESPACE: &str = "urn:ietf:params:acme:error:";

/// The types of RFC 8555 §6.7 that occur here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// There is no such account.
    AccountDoesNotExist,
    /// The certificate was revoked before.
    AlreadyRevoked,
    /// The request for a certificate is not acceptable.
    BadCsr,
    /// The nonce is not one that can be used.
    BadNonce,
    /// The key is none that may sign.
    BadPublicKey,
    /// The reason of a revocation is not acceptable.
    BadRevocationReason,
    /// The signature algorithm is not supported.
    BadSignatureAlgorithm,
    /// The validated host could not be reached.
    Connection,
    /// The validated name could not be looked up.
    Dns,
    /// An account must be bound to an external one.
    ExternalAccountRequired,
    /// The answer was not the challenge's.
    IncorrectResponse,
    /// A contact is none.
    InvalidContact,
    /// The message is malformed.
    Malformed,
    /// The order is not ready.
    OrderNotReady,
    /// Too much was asked for.
    RateLimited,
    /// There is no certificate for this identifier.
    RejectedIdentifier,
    /// Our fault.
    ServerInternal,
    /// TLS towards the validated host failed.
    Tls,
    /// Who asks may not.
    Unauthorized,
    /// Identifiers are of other types.
    UnsupportedIdentifier,
}

impl Problem {
    /// Its status and the name of its type.
    fn parts(self) -> (u16, &'static str) {
        match self {
            Self::AccountDoesNotExist => (400, "accountDoesNotExist"),
            Self::AlreadyRevoked => (400, "alreadyRevoked"),
            Self::BadCsr => (400, "badCSR"),
            Self::BadNonce => (400, "badNonce"),
            Self::BadPublicKey => (400, "badPublicKey"),
            Self::BadRevocationReason => (400, "badRevocationReason"),
            Self::BadSignatureAlgorithm => (400, "badSignatureAlgorithm"),
            Self::Connection => (500, "connection"),
            Self::Dns => (500, "dns"),
            Self::ExternalAccountRequired => (401, "externalAccountRequired"),
            Self::IncorrectResponse => (400, "incorrectResponse"),
            Self::InvalidContact => (400, "invalidContact"),
            Self::Malformed => (400, "malformed"),
            Self::OrderNotReady => (403, "orderNotReady"),
            Self::RateLimited => (429, "rateLimited"),
            Self::RejectedIdentifier => (400, "rejectedIdentifier"),
            Self::ServerInternal => (500, "serverInternal"),
            Self::Tls => (500, "tls"),
            Self::Unauthorized => (401, "unauthorized"),
            Self::UnsupportedIdentifier => (400, "unsupportedIdentifier"),
        }
    }

    /// The whole name of its type.
    pub fn name(self) -> String {
        format!("{NAMESPACE}{}", self.parts().1)
    }

    /// As a failure with this explanation, which holds nothing of what was submitted.
    pub fn says(self, detail: impl Into<String>) -> Error {
        self.with(detail, &[])
    }

    /// As [`Problem::says`], with further members.
    pub fn with(self, detail: impl Into<String>, members: &[(&str, Json)]) -> Error {
        let (status, _) = self.parts();
        let detail = detail.into();
        let mut body = json!({ "type": self.name(), "detail": detail, "status": status });
        for (name, value) in members {
            body[*name] = value.clone();
        }
        let kind = match status {
            429 => ErrorKind::RateLimited,
            500 => ErrorKind::Upstream,
            401 | 403 => ErrorKind::PermissionDenied,
            _ => ErrorKind::BadRequest,
        };
        let body = body.to_string().into_bytes();
        let headers = Vec::new();
        Error::new(kind, detail).in_words(Foreign {
            status,
            content_type: CONTENT_TYPE,
            body,
            headers,
        })
    }
}

/// A failure of another part of the engine, as a problem: what is wrong with the request is of type
/// `as_what`. What the pipeline must see as it is (a conflict, a sealed store) stays.
pub fn or(as_what: Problem) -> impl FnOnce(Error) -> Error {
    move |e| match e.kind {
        _ if e.foreign.is_some() => e,
        ErrorKind::BadRequest | ErrorKind::NotFound | ErrorKind::PermissionDenied => {
            as_what.says(e.public.join("; "))
        }
        _ => e,
    }
}
