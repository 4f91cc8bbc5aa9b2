//! TLS towards databases and directories: certificates and keys of an operator, as a configuration of rustls.
//!
//! Invariant: a certificate is taken unchecked only where the operator asked for that
//! ([`Check::Nothing`]); the signature of the handshake is checked even then.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::{DatabaseError, wrong};

/// What of the server's certificate is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// Nothing: against listeners only.
    Nothing,
    /// That one of the authorities made it.
    Authority,
    /// That, and that it is for the name we called.
    Name,
}

/// The configuration of a client: `ca` empty stands for the authorities of the machine;
/// `certificate` and `key` are both empty or both there. All are PEM.
pub fn client(
    check: Check,
    ca: &str,
    certificate: &str,
    key: &str,
) -> Result<ClientConfig, DatabaseError> {
    client_of(rustls::DEFAULT_VERSIONS, check, ca, certificate, key)
}

/// The same, which speaks these versions of TLS only.
pub fn client_of(
    versions: &[&'static SupportedProtocolVersion],
    check: Check,
    ca: &str,
    certificate: &str,
    key: &str,
) -> Result<ClientConfig, DatabaseError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .map_err(|_| wrong("there is no version of TLS"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier::new(check, ca, provider)?));
    if certificate.is_empty() && key.is_empty() {
        return Ok(builder.with_no_client_auth());
    }
    let chain = certificates("the client's certificate", certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| wrong("the client's private key is missing or no PEM"))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|_| wrong("the client's certificate and private key do not belong together"))
}

/// The certificates of the authorities that this machine trusts.
pub fn of_this_machine() -> impl Iterator<Item = CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs.into_iter()
}

fn certificates(what: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, DatabaseError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(wrong(format!("{what} is missing or no PEM"))),
    }
}

/// Checks as much of a certificate as was asked.
struct Verifier {
    check: Check,
    /// Certificates the operator named: a server that shows one of these is the right one, though
    /// it is no authority (or calls itself one, as `openssl req -x509` makes it).
    named: Vec<CertificateDer<'static>>,
    /// None if nothing is checked.
    by_authority: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(check: Check, ca: &str, provider: Arc<CryptoProvider>) -> Result<Self, DatabaseError> {
        if check == Check::Nothing {
            return Ok(Self { check, named: Vec::new(), by_authority: None, provider });
        }
        let mut roots = RootCertStore::empty();
        let named = if ca.is_empty() {
            roots.add_parsable_certificates(of_this_machine());
            Vec::new()
        } else {
            let named = certificates("the authority's certificate", ca)?;
            roots.add_parsable_certificates(named.iter().cloned());
            named
        };
        let by_authority =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .map_err(|_| wrong("there is no authority to check the server's certificate by"))?;
        Ok(Self { check, named, by_authority: Some(by_authority), provider })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("check", &self.check).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(by_authority) = &self.by_authority else {
            return Ok(ServerCertVerified::assertion());
        };
        if self.named.iter().any(|named| named == end_entity) {
            if self.check == Check::Name {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        let verified = by_authority.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // The name is what is looked at last.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.check == Check::Authority => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
