//! Asking about a certificate's status (RFC 6960, in the lightweight form of RFC 5019): the client's
//! side. [`crate::ocsp`] is the responder's.
//!
//! Invariants:
//! * an answer counts only if the certificate's issuer signed it, or somebody whom that issuer (or
//!   the operator) made a responder, and if it is about that very certificate and of now;
//! * nothing of an answer is believed before its signature was looked at.

use strongroom_base::Timestamp;

use super::algorithm::Signed;
use super::certificate::Certificate;
use super::chain::{Purpose, is_sound};
use super::tlv::{self, Reader, Tlv};
use super::told::usages;
use super::{Malformed, Result, oid, time};
use crate::keys::{Hash, PublicKey};
use crate::ocsp::Status;

/// Bytes of an answer.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Certificates that an answer may bring along.
const CERTIFICATES_MAX: usize = 8;
/// Statuses that one answer may hold.
const STATUSES_MAX: usize = 64;
/// Seconds by which clocks may differ.
const LEEWAY_SECONDS: i64 = 300;
/// Seconds for which an answer holds that does not say so.
const PLAIN_SECONDS_MAX: i64 = 86_400;

const BASIC: &str = "1.3.6.1.5.5.7.48.1.1";
const SHA1: &str = "1.3.14.3.2.26";

/// What an answer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// The status.
    pub status: Status,
    /// Until when it may be kept, in seconds; none where there is always newer knowledge.
    pub until: Option<i64>,
}

/// Whom one asks about.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The certificate.
    pub certificate: &'a Certificate,
    /// Whose signature it has.
    pub issuer: &'a Certificate,
}

/// The bits of a SubjectPublicKeyInfo's key.
fn key_bits(spki: &[u8]) -> Result<&[u8]> {
    let mut fields = Reader::new(spki).sequence()?;
    fields.next()?;
    Ok(fields.next()?.bit_string()?.1)
}

impl Question<'_> {
    /// Digests of the issuer's name and key.
    fn digests(&self, hash: Hash) -> Result<(Vec<u8>, Vec<u8>)> {
        let key = key_bits(&self.issuer.spki)?;
        Ok((hash.digest(self.issuer.subject.der()), hash.digest(key)))
    }

    /// The DER of the request.
    pub fn request(&self) -> Result<Vec<u8>> {
        let (name, key) = self.digests(Hash::Sha1)?;
        let algorithm = tlv::sequence([oid::known(SHA1), tlv::tlv(tlv::NULL, &[])]);
        let id = tlv::sequence([
            algorithm,
            tlv::tlv(tlv::OCTET_STRING, &name),
            tlv::tlv(tlv::OCTET_STRING, &key),
            tlv::unsigned(self.certificate.serial()),
        ]);
        let requests = tlv::sequence([tlv::sequence([id])]);
        Ok(tlv::sequence([tlv::sequence([requests])]))
    }

    /// What an answer to the request says. `responders` are authorities whom the operator trusts to
    /// answer beside the issuer.
    pub fn read(&self, answer: &[u8], responders: &[Certificate], now: i64) -> Result<Told> {
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(Malformed("the answer is too large"));
        }
        let mut outer = Reader::new(answer).sequence()?;
        if outer.expect(tlv::ENUMERATED)?.value != [0] {
            return Err(Malformed("the responder does not tell"));
        }
        let mut bytes = outer.expect(tlv::context_around(0))?.inside().sequence()?;
        if bytes.next()?.oid()? != BASIC {
            return Err(Malformed("the answer is of another form"));
        }
        let basic = bytes.expect(tlv::OCTET_STRING)?.value;
        let (parts, brought) = signed(basic)?;
        self.check_signature(&parts, &brought, responders, now)?;
        self.find(&parts.body, now)
    }

    fn check_signature(
        &self,
        parts: &Signed<'_>,
        brought: &[Certificate],
        responders: &[Certificate],
        now: i64,
    ) -> Result<()> {
        if !is_sound(parts.algorithm) {
            return Err(Malformed("the answer is signed in a way that is not taken"));
        }
        let purpose = Purpose { now, usage: usages::OCSP_SIGNING };
        let named = |certificate: &Certificate| {
            // Being allowed anything is not being made a responder (RFC 6960 §4.2.2.2).
            let usages = certificate.extended_usages().ok().flatten().unwrap_or_default();
            usages.iter().any(|usage| usage == usages::OCSP_SIGNING)
        };
        let masters = || std::iter::once(self.issuer).chain(responders);
        let delegated = brought.iter().filter(|certificate| {
            named(certificate)
                && purpose.check(certificate).is_ok()
                && is_sound(certificate.algorithm)
                && masters().any(|master| certificate.is_issued_by(master))
        });
        let good = masters().chain(delegated).any(|signer| is_signed(parts, &signer.spki));
        if good { Ok(()) } else { Err(Malformed("the answer is signed by somebody else")) }
    }

    /// The status of the certificate in the data of an answer.
    fn find(&self, data: &Tlv<'_>, now: i64) -> Result<Told> {
        let mut data = data.inside();
        data.optional(tlv::context_around(0))?;
        data.next()?;
        data.expect(tlv::GENERALIZED_TIME)?;
        let mut statuses = data.sequence()?;
        for _ in 0..STATUSES_MAX {
            if statuses.is_empty() {
                break;
            }
            let mut one = statuses.sequence()?;
            if self.is_about(one.sequence()?)? {
                return told(one, now);
            }
        }
        Err(Malformed("the answer is about another certificate"))
    }

    fn is_about(&self, mut id: Reader<'_>) -> Result<bool> {
        let hash = match id.sequence()?.next()?.oid()?.as_str() {
            SHA1 => Hash::Sha1,
            "2.16.840.1.101.3.4.2.1" => Hash::Sha256,
            "2.16.840.1.101.3.4.2.2" => Hash::Sha384,
            "2.16.840.1.101.3.4.2.3" => Hash::Sha512,
            _ => return Ok(false),
        };
        let (name, key) = self.digests(hash)?;
        Ok(id.expect(tlv::OCTET_STRING)?.value == name
            && id.expect(tlv::OCTET_STRING)?.value == key
            && id.expect(tlv::INTEGER)?.unsigned()? == self.certificate.serial())
    }
}

/// A BasicOCSPResponse: what is signed, and the certificates that came along.
fn signed(basic: &[u8]) -> Result<(Signed<'_>, Vec<Certificate>)> {
    let mut outer = Reader::new(basic);
    let mut parts = outer.sequence()?;
    outer.end()?;
    let body = parts.expect(tlv::SEQUENCE)?;
    let algorithm = super::SignatureAlgorithm::read(&parts.expect(tlv::SEQUENCE)?)?;
    let (_, signature) = parts.next()?.bit_string()?;
    let mut brought = Vec::new();
    if let Some(certificates) = parts.optional(tlv::context_around(0))? {
        let mut all = certificates.inside().sequence()?;
        while !all.is_empty() && brought.len() < CERTIFICATES_MAX {
            brought.push(Certificate::from_der(all.next()?.raw)?);
        }
    }
    Ok((Signed { body, algorithm, signature }, brought))
}

fn is_signed(parts: &Signed<'_>, spki: &[u8]) -> bool {
    let (Some(algorithm), Ok(key)) = (parts.algorithm, PublicKey::from_spki_der(spki)) else {
        return false;
    };
    key.verify(algorithm.scheme(), parts.body.raw, parts.signature).is_ok_and(|good| good)
}

/// Status and times of a SingleResponse, behind its certificate.
fn told(mut one: Reader<'_>, now: i64) -> Result<Told> {
    let status = one.next()?;
    let status = match status.tag {
        0x80 => Status::Good,
        0xa1 => {
            let at = time::decode(&status.inside().expect(tlv::GENERALIZED_TIME)?)?;
            Status::Revoked(Timestamp::from_seconds(at))
        }
        0x82 => Status::Unknown,
        _ => return Err(Malformed("a status is of another form")),
    };
    let this = time::decode(&one.expect(tlv::GENERALIZED_TIME)?)?;
    let next = one.optional(tlv::context_around(0))?;
    let next = next.map(|next| time::decode(&next.inside().next()?)).transpose()?;
    if this > now + LEEWAY_SECONDS || next.unwrap_or(this + PLAIN_SECONDS_MAX) < now {
        return Err(Malformed("the answer is of another time"));
    }
    Ok(Told { status, until: next })
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;
    use crate::keys::{Curve, KeyType, PrivateKey, Scheme};
    use crate::ocsp::{self, Responder, Times};

    const NOW: i64 = 1_767_225_600;

    struct Owner {
        key: PrivateKey,
        certificate: Certificate,
    }

    fn make(issuer: Option<&Owner>, name: &str, serial: u8, extensions: Vec<Extension>) -> Owner {
        let key = PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap();
        let subject = NameBuilder::default().step(attributes::COMMON_NAME, &[name]).build();
        let template = Template {
            serial: vec![serial],
            issuer: issuer.map_or_else(|| subject.clone(), |i| i.certificate.subject.clone()),
            subject,
            not_before: NOW - 10,
            not_after: NOW + 86_400,
            spki: key.public().unwrap().spki_der().to_vec(),
            extensions,
        };
        let signer = issuer.map_or(&key, |i| &i.key);
        let certificate = template.sign(signer, SignatureAlgorithm::Ecdsa(Hash::Sha256)).unwrap();
        Owner { key, certificate }
    }

    fn authority(name: &str) -> Owner {
        make(None, name, 1, vec![Extension::basic_constraints(true, None)])
    }

    /// What our own responder answers.
    fn answer(question: &Question<'_>, by: &Owner, status: Status, times: Times) -> Vec<u8> {
        let request = ocsp::Request::parse(&question.request().unwrap()).unwrap();
        let algorithm_der = SignatureAlgorithm::Ecdsa(Hash::Sha256).der();
        let responder = Responder {
            subject_der: by.certificate.subject.der(),
            key: &by.key,
            scheme: Scheme::Ecdsa(Hash::Sha256),
            algorithm_der: &algorithm_der,
        };
        responder.answer(&request, &[(&request.certificates[0], status)], times).unwrap()
    }

    fn times(from: i64, until: Option<i64>) -> Times {
        let next = until.map(Timestamp::from_seconds);
        Times { now: Timestamp::from_seconds(from), next }
    }

    #[test]
    fn what_is_asked_is_answered() {
        let root = authority("root");
        let leaf = make(Some(&root), "leaf", 0x91, vec![]);
        let question = Question { certificate: &leaf.certificate, issuer: &root.certificate };
        let request = ocsp::Request::parse(&question.request().unwrap()).unwrap();
        let key = key_bits(&root.certificate.spki).unwrap();
        assert!(request.certificates[0].is_of(root.certificate.subject.der(), key));
        assert_eq!(request.certificates[0].serial(), [0x91]);
        let revoked = Status::Revoked(Timestamp::from_seconds(NOW - 5));
        for status in [Status::Good, revoked, Status::Unknown] {
            let got = answer(&question, &root, status, times(NOW, Some(NOW + 60)));
            let told = question.read(&got, &[], NOW).unwrap();
            assert_eq!(told, Told { status, until: Some(NOW + 60) });
        }
    }

    #[test]
    fn answers_that_are_not_believed() {
        let (root, other) = (authority("root"), authority("other"));
        let leaf = make(Some(&root), "leaf", 5, vec![]);
        let twin = make(Some(&root), "twin", 6, vec![]);
        let of = |certificate| Question { certificate, issuer: &root.certificate };
        let question = of(&leaf.certificate);
        let now = times(NOW, Some(NOW + 60));
        let forged = answer(&question, &other, Status::Good, now);
        assert!(question.read(&forged, &[], NOW).is_err(), "signed by a stranger");
        assert!(
            question.read(&forged, std::slice::from_ref(&other.certificate), NOW).is_ok(),
            "a trusted one"
        );
        let of_twin = answer(&of(&twin.certificate), &root, Status::Good, now);
        assert!(question.read(&of_twin, &[], NOW).is_err(), "about another");
        for (from, until, good) in [
            (NOW, None, true),
            (NOW - 86_401, None, false),
            (NOW - 100, Some(NOW - 1), false),
            (NOW + 301, Some(NOW + 900), false),
            (NOW + 299, Some(NOW + 900), true),
        ] {
            let got = answer(&question, &root, Status::Good, times(from, until));
            assert_eq!(question.read(&got, &[], NOW).is_ok(), good, "{from} {until:?}");
        }
        for refusal in [ocsp::malformed(), ocsp::unauthorized(), ocsp::internal_error()] {
            assert!(question.read(&refusal, &[], NOW).is_err());
        }
        let good = answer(&question, &root, Status::Good, now);
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            // Whatever bit is changed: never another status, and no panic.
            if let Ok(told) = question.read(&changed, &[], NOW) {
                assert_eq!(told.status, Status::Good);
            }
            assert!(question.read(&good[..at], &[], NOW).is_err());
        }
    }

    /// The certificate of a responder comes along with the answer.
    #[test]
    fn responders_of_the_issuer() {
        let (root, other) = (authority("root"), authority("other"));
        let leaf = make(Some(&root), "leaf", 5, vec![]);
        let question = Question { certificate: &leaf.certificate, issuer: &root.certificate };
        let usage = |id| vec![Extension::extended_usage(&[id]).unwrap()];
        for (issuer, extensions, good) in [
            (&root, usage(usages::OCSP_SIGNING), true),
            (&root, usage(usages::ANY), false),
            (&root, usage(usages::CLIENT), false),
            (&root, vec![], false),
            (&other, usage(usages::OCSP_SIGNING), false),
        ] {
            let responder = make(Some(issuer), "responder", 9, extensions);
            let plain = answer(&question, &responder, Status::Good, times(NOW, None));
            let brought = with_certificate(&plain, &responder.certificate);
            assert_eq!(question.read(&brought, &[], NOW).is_ok(), good);
            assert!(question.read(&plain, &[], NOW).is_err(), "nobody knows who that is");
        }
    }

    /// The answer with a certificate beside it.
    fn with_certificate(answer: &[u8], certificate: &Certificate) -> Vec<u8> {
        let mut outer = Reader::new(answer).sequence().unwrap();
        let status = outer.next().unwrap().raw;
        let mut bytes = outer.next().unwrap().inside().sequence().unwrap();
        let form = bytes.next().unwrap().raw;
        let basic = Reader::new(bytes.next().unwrap().value).next().unwrap().value;
        let list = tlv::tlv(tlv::context_around(0), &tlv::sequence([certificate.der()]));
        let basic = tlv::sequence([basic, &list]);
        let bytes = tlv::sequence([form, &tlv::tlv(tlv::OCTET_STRING, &basic)]);
        tlv::sequence([status, &tlv::tlv(tlv::context_around(0), &bytes)])
    }
}
