//! Client certificates that are asked for and not judged: only that the client has the key.
//!
//! Vault's listeners take whatever a client offers (expired, of an unknown authority, even X.509
//! version 1 without extensions), because a client that always sends its certificate may want
//! nothing of it here; what a certificate is worth is the cert auth method's decision. webpki reads
//! certificates of version 3 alone, so the public key is found here.
//!
//! Invariant: a handshake succeeds only if its signature verifies under the certificate's key.

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};

const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
/// The tag of a certificate's `version`, which version 1 leaves out.
const VERSION: u8 = 0xa0;

/// Takes any client certificate, or none; checks only that the client has its key.
#[derive(Debug)]
pub(super) struct AnyClient {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyClient {
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        Self { algorithms: provider.signature_verification_algorithms }
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let (algorithm, key) = public_key(cert).and_then(key_parts).ok_or_else(bad_encoding)?;
        self.algorithms
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == dss.scheme)
            .flat_map(|(_, candidates)| candidates.iter())
            .find(|candidate| candidate.public_key_alg_id().as_ref() == algorithm)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?
            .verify_signature(key, message, dss.signature())
            .map(|()| HandshakeSignatureValid::assertion())
            .map_err(|_| CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(public_key(cert).ok_or_else(bad_encoding)?);
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn bad_encoding() -> Error {
    CertificateError::BadEncoding.into()
}

/// One DER element.
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// With tag and length.
    pub(super) whole: &'a [u8],
    pub(super) rest: &'a [u8],
}

/// The first element of `input`; `None` if it is cut short or of a length that DER forbids.
pub(super) fn element(input: &[u8]) -> Option<Element<'_>> {
    let (&tag, after) = input.split_first()?;
    let (&first, after) = after.split_first()?;
    let (length, after) = match first {
        0..=0x7f => (usize::from(first), after),
        0x81..=0x84 => {
            let (digits, after) = after.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits.iter().fold(0, |sum, digit| sum << 8 | u64::from(*digit));
            (usize::try_from(length).ok()?, after)
        }
        _ => return None,
    };
    let (content, rest) = after.split_at_checked(length)?;
    let whole = input.get(..input.len().checked_sub(rest.len())?)?;
    Some(Element { tag, content, whole, rest })
}

fn sequence(input: &[u8]) -> Option<Element<'_>> {
    element(input).filter(|element| element.tag == SEQUENCE)
}

/// The `SubjectPublicKeyInfo` of a certificate (RFC 5280 §4.1) of any version.
fn public_key<'a>(certificate: &'a CertificateDer<'_>) -> Option<&'a [u8]> {
    let signed = sequence(sequence(certificate)?.content)?;
    let mut fields = signed.content;
    if let Some(version) = element(fields).filter(|field| field.tag == VERSION) {
        fields = version.rest;
    }
    // Serial number, signature algorithm, issuer, validity, subject.
    for _ in 0..5 {
        fields = element(fields)?.rest;
    }
    Some(sequence(fields)?.whole)
}

/// The algorithm (the content of its sequence) and the bits of a public key.
fn key_parts(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let algorithm = sequence(sequence(key)?.content)?;
    let bits = element(algorithm.rest).filter(|element| element.tag == BIT_STRING)?;
    // A key has whole bytes: no unused bits.
    Some((algorithm.content, bits.content.strip_prefix(&[0])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_panic() {
        let fuzz = strongroom_testkit::fuzz::Fuzz::new(7);
        let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let sample = made.cert.der().to_vec();
        let found = public_key(&CertificateDer::from(sample.clone())).map(<[u8]>::to_vec);
        assert!(found.is_some_and(|key| key_parts(&key).is_some()));
        for _ in 0..3_000 {
            let certificate = CertificateDer::from(fuzz.input(&[&sample]));
            let _ = public_key(&certificate).and_then(key_parts);
        }
    }
}
