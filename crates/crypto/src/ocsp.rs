//! Online certificate status (RFC 6960, RFC 9654): reading what clients ask, and signed answers.
//!
//! The structures are written out here: the crate that has them is bound to a former version of the
//! ASN.1 crates.

use der::asn1::{Any, BitString, GeneralizedTime, Int, Null, ObjectIdentifier, OctetString};
use der::{Choice, DateTime, Decode, Encode, Enumerated, Sequence};
use spki::AlgorithmIdentifierOwned;
use strongroom_base::{Error, Result, Timestamp};
use x509_cert::ext::Extensions;

use crate::keys::{Hash, PrivateKey, Scheme};

/// Bytes of a request.
pub const REQUEST_BYTES_MAX: usize = 2_048;
/// Certificates that one request may ask about.
pub const CERTIFICATES_MAX: usize = 16;
/// Bytes of a nonce (RFC 9654 §2.1).
const NONCE_BYTES_MAX: usize = 128;

const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// Whom a request asks about (RFC 6960 §4.1.1).
#[derive(Clone, Sequence)]
struct CertId {
    hash_algorithm: AlgorithmIdentifierOwned,
    issuer_name_hash: OctetString,
    issuer_key_hash: OctetString,
    serial_number: Int,
}

#[derive(Sequence)]
struct SingleRequest {
    req_cert: CertId,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    extensions: Option<Extensions>,
}

#[derive(Sequence)]
struct TbsRequest {
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    version: Option<u8>,
    #[asn1(context_specific = "1", optional = "true", tag_mode = "EXPLICIT")]
    requestor_name: Option<Any>,
    request_list: Vec<SingleRequest>,
    #[asn1(context_specific = "2", optional = "true", tag_mode = "EXPLICIT")]
    extensions: Option<Extensions>,
}

#[derive(Sequence)]
struct OcspRequest {
    tbs_request: TbsRequest,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    signature: Option<Any>,
}

/// The request is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// What a client asks.
pub struct Request {
    /// The certificates it asks about; at least one.
    pub certificates: Vec<Certificate>,
    /// The extension with its nonce, to be sent back as it came.
    nonce: Option<x509_cert::ext::Extension>,
}

/// A certificate, as a request names it: by its issuer and serial number.
#[derive(Clone)]
pub struct Certificate {
    id: CertId,
    hash: Option<Hash>,
}

impl Request {
    /// Reads a request. Its signature, if it has one, is passed over: whoever asks is told.
    pub fn parse(der: &[u8]) -> std::result::Result<Self, Malformed> {
        if der.len() > REQUEST_BYTES_MAX {
            return Err(Malformed);
        }
        let OcspRequest { tbs_request: asked, signature: _ } =
            OcspRequest::from_der(der).map_err(|_| Malformed)?;
        let count = asked.request_list.len();
        if count == 0 || count > CERTIFICATES_MAX || asked.version.is_some_and(|v| v != 0) {
            return Err(Malformed);
        }
        // A name is for whoever signs requests.
        drop(asked.requestor_name);
        let extensions = asked.extensions.unwrap_or_default();
        let singles = asked.request_list.iter().filter_map(|single| single.extensions.as_ref());
        let all = extensions.iter().chain(singles.flatten());
        if all.into_iter().any(|e| e.critical && e.extn_id != NONCE) {
            return Err(Malformed);
        }
        let nonce = extensions.into_iter().find(|extension| extension.extn_id == NONCE);
        if let Some(nonce) = &nonce {
            let value = nonce.extn_value.as_bytes();
            // Some clients leave out that it is an octet string.
            let length = OctetString::from_der(value).map_or(value.len(), |v| v.as_bytes().len());
            if length == 0 || length > NONCE_BYTES_MAX {
                return Err(Malformed);
            }
        }
        let certificates = asked.request_list.into_iter().map(|single| {
            let oid = single.req_cert.hash_algorithm.oid;
            let hash = [
                (SHA1, Hash::Sha1),
                (SHA256, Hash::Sha256),
                (SHA384, Hash::Sha384),
                (SHA512, Hash::Sha512),
            ];
            let hash = hash.into_iter().find(|(known, _)| *known == oid).map(|(_, hash)| hash);
            Certificate { id: single.req_cert, hash }
        });
        Ok(Self { certificates: certificates.collect(), nonce })
    }
}

impl Certificate {
    /// Was it issued under this subject (DER) and by this key (the bits of its
    /// SubjectPublicKeyInfo)? Never, where the request hashed them in a way that is unknown.
    pub fn is_of(&self, subject_der: &[u8], key_bits: &[u8]) -> bool {
        self.hash.is_some_and(|hash| {
            hash.digest(subject_der) == self.id.issuer_name_hash.as_bytes()
                && hash.digest(key_bits) == self.id.issuer_key_hash.as_bytes()
        })
    }

    /// Its serial number: big-endian, without zeros in front.
    pub fn serial(&self) -> &[u8] {
        let bytes = self.id.serial_number.as_bytes();
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        bytes.get(zeros..).unwrap_or_default()
    }
}

/// What is known of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// It is not revoked.
    Good,
    /// It was revoked then.
    Revoked(Timestamp),
    /// Nothing.
    Unknown,
}

#[derive(Sequence)]
struct RevokedInfo {
    revocation_time: GeneralizedTime,
}

#[derive(Choice)]
enum CertStatus {
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    Good(Null),
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true")]
    Revoked(RevokedInfo),
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT")]
    Unknown(Null),
}

#[derive(Sequence)]
struct SingleResponse {
    cert_id: CertId,
    cert_status: CertStatus,
    this_update: GeneralizedTime,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    next_update: Option<GeneralizedTime>,
}

#[derive(Choice)]
enum ResponderId {
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", constructed = "true")]
    ByName(Any),
}

#[derive(Sequence)]
struct ResponseData {
    responder_id: ResponderId,
    produced_at: GeneralizedTime,
    responses: Vec<SingleResponse>,
    #[asn1(context_specific = "1", optional = "true", tag_mode = "EXPLICIT")]
    extensions: Option<Extensions>,
}

#[derive(Sequence)]
struct BasicResponse {
    tbs_response_data: Any,
    signature_algorithm: Any,
    signature: BitString,
}

#[derive(Enumerated, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum ResponseStatus {
    Successful = 0,
    Malformed = 1,
    Internal = 2,
    Unauthorized = 6,
}

#[derive(Sequence)]
struct ResponseBytes {
    response_type: ObjectIdentifier,
    response: OctetString,
}

#[derive(Sequence)]
struct OcspResponse {
    status: ResponseStatus,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    bytes: Option<ResponseBytes>,
}

/// Who answers.
pub struct Responder<'a> {
    /// The subject of the issuer's certificate, DER.
    pub subject_der: &'a [u8],
    /// Its key.
    pub key: &'a PrivateKey,
    /// How it signs.
    pub scheme: Scheme,
    /// The same as an AlgorithmIdentifier, DER.
    pub algorithm_der: &'a [u8],
}

/// When an answer is made, and how long it holds.
#[derive(Clone, Copy)]
pub struct Times {
    /// Now.
    pub now: Timestamp,
    /// Until then; without it, there is always newer knowledge.
    pub next: Option<Timestamp>,
}

impl Responder<'_> {
    /// The signed answer about `certificates`, which `request` asked.
    pub fn answer(
        &self,
        request: &Request,
        certificates: &[(&Certificate, Status)],
        times: Times,
    ) -> Result<Vec<u8>> {
        let failed = |_| Error::internal("an OCSP answer cannot be written");
        let this_update = time(times.now)?;
        let next_update = times.next.map(time).transpose()?;
        let mut responses = Vec::with_capacity(certificates.len());
        for (certificate, status) in certificates {
            let cert_status = match status {
                Status::Good => CertStatus::Good(Null),
                Status::Revoked(at) => {
                    CertStatus::Revoked(RevokedInfo { revocation_time: time(*at)? })
                }
                Status::Unknown => CertStatus::Unknown(Null),
            };
            let cert_id = certificate.id.clone();
            responses.push(SingleResponse { cert_id, cert_status, this_update, next_update });
        }
        let data = ResponseData {
            responder_id: ResponderId::ByName(Any::from_der(self.subject_der).map_err(failed)?),
            produced_at: this_update,
            responses,
            extensions: request.nonce.clone().map(|nonce| vec![nonce]),
        };
        let data = data.to_der().map_err(failed)?;
        let signature = self.key.sign(self.scheme, &data)?;
        let basic = BasicResponse {
            tbs_response_data: Any::from_der(&data).map_err(failed)?,
            signature_algorithm: Any::from_der(self.algorithm_der).map_err(failed)?,
            signature: BitString::from_bytes(&signature).map_err(failed)?,
        };
        let response = OctetString::new(basic.to_der().map_err(failed)?).map_err(failed)?;
        let bytes = Some(ResponseBytes { response_type: BASIC, response });
        OcspResponse { status: ResponseStatus::Successful, bytes }.to_der().map_err(failed)
    }
}

/// Seconds are what both forms of time have.
fn time(at: Timestamp) -> Result<GeneralizedTime> {
    let failed = |_| Error::internal("a time is out of range");
    let seconds = u64::try_from(at.seconds()).unwrap_or_default();
    let at = DateTime::from_unix_duration(std::time::Duration::from_secs(seconds));
    Ok(GeneralizedTime::from_date_time(at.map_err(failed)?))
}

/// The answer to what is no request.
pub fn malformed() -> Vec<u8> {
    refusal(ResponseStatus::Malformed)
}

/// The answer of who may not, or does not, tell.
pub fn unauthorized() -> Vec<u8> {
    refusal(ResponseStatus::Unauthorized)
}

/// The answer of who failed.
pub fn internal_error() -> Vec<u8> {
    refusal(ResponseStatus::Internal)
}

fn refusal(status: ResponseStatus) -> Vec<u8> {
    // Nothing of it can fail to be written.
    OcspResponse { status, bytes: None }.to_der().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Curve, KeyType};

    /// `openssl ocsp -issuer ca.pem -serial 0x00ff01 -serial 5 -reqout`: two certificates of
    /// [`SUBJECT`] and [`KEY`], hashed by SHA-1, with a nonce.
    const OF_OPENSSL: &str = "3081a83081a5307e303e303c300906052b0e03021a0500041411048cd20cb3592307d019fd\
        0889562b62d364920414732689b8b6ab6cdaa97e2ab003cec8f2da5ce1f3020300ff01303c303a300906052b0e\
        03021a0500041411048cd20cb3592307d019fd0889562b62d364920414732689b8b6ab6cdaa97e2ab003cec8f2\
        da5ce1f3020105a2233021301f06092b06010505073001020412041084ce4cfa536476dded50fb03d93a8231";
    /// The same for one certificate by SHA-256, without a nonce.
    const BY_SHA256: &str = "305e305c305a30583056300d0609608648016503040201050004206d55a0a38e5290f86e\
        181e6a9c8e91f3aa5ee0e0ca89d5b77fff1495919332710420e8dadc83dc0db4be3f34a32240189b7a093f5462\
        baa887e2e119ec1e6e5e67cf020107";
    const SUBJECT: &str = "300d310b300906035504030c026361";
    const KEY: &str = "04517d85a918ebbf7339cbfc63d910e61286ee853b06d7c750ce11186a27c0736815bbaf4a04a\
        37791974b401b4d675747393772694ddaf2d106ff3a773c712908";

    fn unhex(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    #[test]
    fn requests_of_openssl() {
        let (subject, key) = (unhex(SUBJECT), unhex(KEY));
        for (request, serials, nonce) in
            [(OF_OPENSSL, vec![vec![0xff, 0x01], vec![5]], true), (BY_SHA256, vec![vec![7]], false)]
        {
            let request = Request::parse(&unhex(request)).unwrap_or_else(|e| panic!("{e:?}"));
            assert_eq!(request.nonce.is_some(), nonce);
            let asked: Vec<&[u8]> = request.certificates.iter().map(Certificate::serial).collect();
            assert_eq!(asked, serials);
            for certificate in &request.certificates {
                assert!(certificate.is_of(&subject, &key));
                assert!(!certificate.is_of(&key, &subject));
                assert!(!certificate.is_of(&subject, b"another"));
                assert!(!certificate.is_of(b"another", &key));
            }
        }
    }

    #[test]
    fn what_is_no_request() {
        let good = unhex(OF_OPENSSL);
        for length in 0..good.len() {
            assert!(Request::parse(good.get(..length).unwrap()).is_err(), "{length}");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert!(Request::parse(&longer).is_err());
        assert!(Request::parse(&vec![0x30; REQUEST_BYTES_MAX + 1]).is_err());
        // Whatever one byte is changed to: no panic, and never more than there is.
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut changed = good.clone();
                changed[at] ^= 1 << bit;
                if let Ok(request) = Request::parse(&changed) {
                    assert!(request.certificates.len() <= 2);
                }
            }
        }
    }

    /// RFC 9654 §2.1: up to 128 bytes, and not none.
    #[test]
    fn nonces_are_bounded() {
        let request = |nonce: &[u8]| {
            let mut asked = OcspRequest::from_der(&unhex(OF_OPENSSL)).unwrap();
            let extensions = asked.tbs_request.extensions.as_mut().unwrap();
            let value = OctetString::new(nonce).unwrap().to_der().unwrap();
            extensions[0].extn_value = OctetString::new(value).unwrap();
            Request::parse(&asked.to_der().unwrap())
        };
        for (bytes, good) in [(0, false), (1, true), (NONCE_BYTES_MAX, true), (129, false)] {
            assert_eq!(request(&vec![7; bytes]).is_ok(), good, "{bytes}");
        }
        // What must be understood and is not.
        let mut asked = OcspRequest::from_der(&unhex(OF_OPENSSL)).unwrap();
        let extensions = asked.tbs_request.extensions.as_mut().unwrap();
        extensions[0].extn_id = BASIC;
        extensions[0].critical = true;
        assert!(Request::parse(&asked.to_der().unwrap()).is_err());
    }

    #[test]
    fn answers_are_signed_and_say_what_was_asked() {
        let key = PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap();
        let request = Request::parse(&unhex(OF_OPENSSL)).unwrap_or_else(|e| panic!("{e:?}"));
        // ecdsa-with-SHA256.
        let algorithm_der = unhex("300a06082a8648ce3d040302");
        let responder = Responder {
            subject_der: &unhex(SUBJECT),
            key: &key,
            scheme: Scheme::Ecdsa(Hash::Sha256),
            algorithm_der: &algorithm_der,
        };
        let now = Timestamp::from_seconds(1_767_225_600);
        let next = Some(now.plus_seconds(3_600));
        let said = [Status::Good, Status::Revoked(now.plus_seconds(-60))];
        let about: Vec<_> = request.certificates.iter().zip(said).collect();
        let der = responder.answer(&request, &about, Times { now, next }).unwrap();
        let answer = OcspResponse::from_der(&der).unwrap();
        assert!(answer.status == ResponseStatus::Successful);
        let bytes = answer.bytes.unwrap();
        assert_eq!(bytes.response_type, BASIC);
        let basic = BasicResponse::from_der(bytes.response.as_bytes()).unwrap();
        let data = basic.tbs_response_data.to_der().unwrap();
        let signature = basic.signature.as_bytes().unwrap();
        let public = key.public().unwrap();
        assert!(public.verify(responder.scheme, &data, signature).unwrap());
        let data = ResponseData::from_der(&data).unwrap();
        assert_eq!(data.extensions.unwrap()[0], *request.nonce.as_ref().unwrap());
        let [good, revoked] = data.responses.as_slice() else { panic!("two answers") };
        assert!(matches!(good.cert_status, CertStatus::Good(_)));
        let CertStatus::Revoked(info) = &revoked.cert_status else { panic!("revoked") };
        assert_eq!(info.revocation_time.to_unix_duration().as_secs(), 1_767_225_540);
        assert_eq!(good.next_update.unwrap().to_unix_duration().as_secs(), 1_767_229_200);
        assert_eq!(revoked.cert_id.serial_number.as_bytes(), [5]);
    }

    /// RFC 6960 §4.2.1: a status alone.
    #[test]
    fn refusals() {
        assert_eq!(malformed(), [0x30, 3, 0x0a, 1, 1]);
        assert_eq!(internal_error(), [0x30, 3, 0x0a, 1, 2]);
        assert_eq!(unauthorized(), [0x30, 3, 0x0a, 1, 6]);
    }
}
