//! TLS towards hosts whose certificate nobody vouches for: that of a tls-alpn-01 answer, and of a web
//! server that an http-01 look was redirected to.
//!
//! Invariant: whatever the certificate, the server must have its key. The certificate of an answer
//! has an extension that libraries for chains refuse, so the signature is checked here.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use strongroom_crypto::keys::{Hash, Salt, Scheme};
use strongroom_crypto::x509::Certificate;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::dns::Names;
use super::reach::{By, Reach};
use super::{Failure, FailureKind, Host, STEP};

/// The protocol of tls-alpn-01.
const PROTOCOL: &[u8] = b"acme-tls/1";

/// The certificates that the host shows for `name`.
pub(super) async fn shown(
    names: &Names,
    reach: Reach,
    name: &str,
) -> Result<Vec<Vec<u8>>, Failure> {
    let host = Host::Name(name.to_owned());
    let stream = reach.connect(names, &host, reach.https, By::Identifier).await?;
    let stream = handshake(stream, &host, &[PROTOCOL]).await?;
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() != Some(PROTOCOL) {
        return Err(failed("the server does not speak acme-tls/1"));
    }
    let chain = session.peer_certificates().unwrap_or_default();
    Ok(chain.iter().map(|certificate| certificate.to_vec()).collect())
}

/// Speaks TLS with the host, whatever its certificate.
pub(super) async fn handshake(
    stream: TcpStream,
    host: &Host,
    protocols: &[&[u8]],
) -> Result<TlsStream<TcpStream>, Failure> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(AnyCertificate { provider: provider.clone() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| failed("there is no version of TLS"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = rustls::client::Resumption::disabled();
    let name = match host {
        Host::Name(name) => ServerName::try_from(name.clone()),
        Host::Address(ip) => Ok(ServerName::from(*ip)),
    };
    let name = name.map_err(|_| failed("the name is none that TLS can carry"))?;
    let connector = TlsConnector::from(Arc::new(config));
    match timeout(STEP, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(_)) => Err(failed("the TLS handshake failed")),
        Err(_) => Err(failed("the TLS handshake took too long")),
    }
}

fn failed(text: &str) -> Failure {
    Failure::new(FailureKind::Tls, text)
}

/// Takes any certificate, of a server that has its key.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl AnyCertificate {
    fn check(
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let refused = || Error::General("the server's signature is not its certificate's".into());
        let scheme = match signed.scheme {
            SignatureScheme::RSA_PKCS1_SHA256 => Scheme::Pkcs1(Hash::Sha256),
            SignatureScheme::RSA_PKCS1_SHA384 => Scheme::Pkcs1(Hash::Sha384),
            SignatureScheme::RSA_PKCS1_SHA512 => Scheme::Pkcs1(Hash::Sha512),
            SignatureScheme::RSA_PSS_SHA256 => Scheme::Pss(Hash::Sha256, Salt::Digest),
            SignatureScheme::RSA_PSS_SHA384 => Scheme::Pss(Hash::Sha384, Salt::Digest),
            SignatureScheme::RSA_PSS_SHA512 => Scheme::Pss(Hash::Sha512, Salt::Digest),
            SignatureScheme::ECDSA_NISTP256_SHA256 => Scheme::Ecdsa(Hash::Sha256),
            SignatureScheme::ECDSA_NISTP384_SHA384 => Scheme::Ecdsa(Hash::Sha384),
            SignatureScheme::ECDSA_NISTP521_SHA512 => Scheme::Ecdsa(Hash::Sha512),
            SignatureScheme::ED25519 => Scheme::Ed25519,
            _ => return Err(refused()),
        };
        let certificate = Certificate::from_der(certificate).map_err(|_| refused())?;
        let key = certificate.public_key().map_err(|_| refused())?;
        match key.verify(scheme, message, signed.signature()) {
            Ok(true) => Ok(HandshakeSignatureValid::assertion()),
            _ => Err(refused()),
        }
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::check(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::check(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
