//! Whom to believe about who a server is.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::Failure;

/// Whom to believe about who a server is.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Trust {
    /// Certificates in PEM of the authorities that may vouch for it; empty stands for those of the
    /// machine.
    pub ca: String,
    /// Names, one of which its certificate must have; empty stands for the one in the URL.
    pub names: Vec<String>,
}

impl From<&str> for Trust {
    fn from(ca: &str) -> Self {
        Self { ca: ca.to_owned(), names: Vec::new() }
    }
}

impl From<&String> for Trust {
    fn from(ca: &String) -> Self {
        Self::from(ca.as_str())
    }
}

impl From<&Trust> for Trust {
    fn from(trust: &Trust) -> Self {
        trust.clone()
    }
}

/// Checks that `ca` is what [`Call::ca`] may be.
pub fn check_ca(ca: &str) -> Result<(), Failure> {
    if ca.is_empty() {
        return Ok(());
    }
    roots(ca).map(drop)
}

/// The certificates of `ca`; none stand for those of the machine.
fn named(ca: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(ca.as_bytes()).collect();
    all.map_err(|_| bad_ca())
}

fn bad_ca() -> Failure {
    Failure::new("the CA certificates are no certificates in PEM")
}

fn roots(ca: &str) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    if ca.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    }
    for certificate in named(ca)? {
        roots.add(certificate).map_err(|_| bad_ca())?;
    }
    if roots.is_empty() { Err(bad_ca()) } else { Ok(roots) }
}

pub(crate) fn tls(trust: &Trust) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|_| Failure::new("there is no version of TLS"))?;
    let names = trust.names.iter().map(|name| ServerName::try_from(name.clone()));
    let names = names.collect::<Result<Vec<_>, _>>();
    let names = names.map_err(|_| Failure::new("a name of a server is none"))?;
    let (roots, named) = (roots(&trust.ca)?, named(&trust.ca)?);
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let usual = usual.map_err(|_| Failure::new("there is no authority to believe"))?;
    let verifier = Arc::new(Believes { usual, named, names });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Whom to believe.
#[derive(Debug)]
struct Believes {
    usual: Arc<WebPkiServerVerifier>,
    /// Certificates the operator named: a server that shows one of these is the right one, though it
    /// calls itself an authority, as `openssl req -x509` makes it.
    named: Vec<CertificateDer<'static>>,
    /// Names in place of the one that the server was called by.
    names: Vec<ServerName<'static>>,
}

impl Believes {
    fn check(
        &self,
        (end_entity, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.named.contains(end_entity) {
            return self.usual.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        }
        let read = strongroom_crypto::x509::Certificate::from_der(end_entity)
            .map_err(|_| CertificateError::BadEncoding)?;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < read.not_before {
            return Err(CertificateError::NotValidYet.into());
        }
        if now > read.not_after {
            return Err(CertificateError::Expired.into());
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
        Ok(ServerCertVerified::assertion())
    }
}

impl ServerCertVerifier for Believes {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        called: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = (end_entity, intermediates);
        if self.names.is_empty() {
            return self.check(shown, called, ocsp, now);
        }
        let mut outcome = Err(rustls::Error::General("no name is believed".to_owned()));
        for name in &self.names {
            outcome = self.check(shown, name, ocsp, now);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
