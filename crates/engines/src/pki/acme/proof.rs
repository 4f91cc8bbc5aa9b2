//! What must be found where a challenge is answered.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use strongroom_connectors::acme::{Challenges, Failure, FailureKind, Host, Resolver};
use strongroom_crypto::sha256;
use strongroom_crypto::x509::{Certificate, GeneralName, ids};

use super::problem::Problem;
use super::stored::{ChallengeKind, Identifier};

/// `id-pe-acmeIdentifier` (RFC 8737 §6.1).
const ACME_IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";

/// What is to be proved, and how.
pub(super) struct Claim {
    /// Whose it shall be.
    pub identifier: Identifier,
    /// How it is proved.
    pub kind: ChallengeKind,
    /// Token and thumbprint (RFC 8555 §8.1).
    pub key_authorization: String,
    /// The DNS server to ask.
    pub resolver: Resolver,
}

/// Why a claim is not proved: the problem's type, and what was seen.
pub(super) type Unproved = (Problem, String);

/// Looks whether a claim holds.
pub(super) async fn look(challenges: &dyn Challenges, claim: &Claim) -> Result<(), Unproved> {
    let proven = claim.identifier.proven();
    match (claim.kind, &claim.identifier) {
        (ChallengeKind::Http, identifier) => {
            let host = match identifier {
                Identifier::Dns(_) => Host::Name(proven.to_owned()),
                Identifier::Ip(ip) => {
                    Host::Address(ip.parse().map_err(|_| wrong("the address is none"))?)
                }
            };
            let token = claim.key_authorization.split('.').next().unwrap_or_default();
            let found = challenges.http(claim.resolver, &host, token).await.map_err(failed)?;
            http(&found, &claim.key_authorization)
        }
        (_, Identifier::Ip(_)) => Err(wrong("an address is proved by http-01 alone")),
        (ChallengeKind::Dns, _) => {
            let found = challenges.dns(claim.resolver, proven).await.map_err(failed)?;
            dns(&found, &claim.key_authorization)
        }
        (ChallengeKind::TlsAlpn, _) => {
            let found = challenges.tls_alpn(claim.resolver, proven).await.map_err(failed)?;
            tls_alpn(&found, proven, &claim.key_authorization)
        }
    }
}

fn failed(failure: Failure) -> Unproved {
    let problem = match failure.kind {
        FailureKind::Dns => Problem::Dns,
        FailureKind::Connection => Problem::Connection,
        FailureKind::Tls => Problem::Tls,
        FailureKind::Response => Problem::IncorrectResponse,
    };
    (problem, failure.text)
}

fn wrong(text: &str) -> Unproved {
    (Problem::IncorrectResponse, text.to_owned())
}

/// The file holds the key authorization; blanks after it do not count (RFC 8555 §8.3).
fn http(body: &[u8], key_authorization: &str) -> Result<(), Unproved> {
    if body.trim_ascii_end() == key_authorization.as_bytes() {
        return Ok(());
    }
    Err(wrong("the file at the web server is not the challenge's"))
}

/// One of the records is the digest of the key authorization (RFC 8555 §8.4).
fn dns(records: &[String], key_authorization: &str) -> Result<(), Unproved> {
    let digest = URL_SAFE_NO_PAD.encode(sha256(key_authorization.as_bytes()));
    if records.contains(&digest) {
        return Ok(());
    }
    Err(wrong(if records.is_empty() {
        "the name has no text record for the challenge"
    } else {
        "no text record is the challenge's"
    }))
}

/// The certificate is made for the challenge (RFC 8737 §3).
pub(super) fn tls_alpn(
    shown: &[Vec<u8>],
    name: &str,
    key_authorization: &str,
) -> Result<(), Unproved> {
    let [shown] = shown else {
        return Err(wrong("the server shows more than its own certificate, or none"));
    };
    let certificate = Certificate::from_der(shown);
    let certificate = certificate.map_err(|_| wrong("the server's certificate does not parse"))?;
    if !certificate.is_self_signed() {
        return Err(wrong("the server's certificate is not signed by itself"));
    }
    let names = certificate.alt_names().unwrap_or_default();
    match names.as_slice() {
        [GeneralName::Dns(only)] if only.eq_ignore_ascii_case(name) => {}
        _ => return Err(wrong("the server's certificate is not for the name alone")),
    }
    let known = [ids::BASIC_CONSTRAINTS, ids::KEY_USAGE, ids::EXTENDED_USAGE, ids::ALT_NAME];
    let mut digests = Vec::new();
    for extension in &certificate.extensions {
        let id = extension.oid.as_str();
        if id == ACME_IDENTIFIER && extension.critical {
            digests.push(&extension.value);
        } else if id == ACME_IDENTIFIER {
            return Err(wrong("the challenge's extension is not critical"));
        } else if extension.critical && !known.contains(&id) {
            return Err(wrong("the server's certificate has a critical extension that is unknown"));
        }
    }
    // An OCTET STRING of 32 bytes.
    let mut expected = vec![4, 32];
    expected.extend(sha256(key_authorization.as_bytes()));
    match digests.as_slice() {
        [only] if **only == expected => Ok(()),
        _ => Err(wrong("the server's certificate is not the challenge's")),
    }
}
