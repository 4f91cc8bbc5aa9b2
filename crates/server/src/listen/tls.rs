//! TLS: versions, suites, client certificates, and certificates that can be replaced while the
//! server runs.
//!
//! A reload makes a whole new `ServerConfig` and swaps it in, so that keys, authorities and session
//! tickets change together. rustls speaks TLS 1.2 and 1.3 only; a `tls_min_version` below that is
//! read as 1.2, never as an error of an old configuration file.

use std::{io, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{PeerTls, any_client::AnyClient, socket::Transport};

/// The lowest and highest version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// What is asked of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// A certificate is asked for; whoever has one proves its key. Whether it is good for a login
    /// is the cert auth method's own decision (as in Vault).
    Ask,
    /// None is asked for (`tls_disable_client_certs`).
    Never,
    /// One of these authorities must have signed it (`tls_require_and_verify_client_cert` with
    /// `tls_client_ca_file`).
    Require(PathBuf),
}

/// Where a listener's TLS settings come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSource {
    /// PEM: the server's certificate and those between it and its root.
    pub certificate_file: PathBuf,
    /// PEM: its key, not encrypted.
    pub key_file: PathBuf,
    /// The lowest version.
    pub version_min: TlsVersion,
    /// The highest version.
    pub version_max: TlsVersion,
    /// TLS 1.2 suites by their IANA names, if restricted; those of 1.3 are all safe and always on.
    pub suites: Option<Vec<String>>,
    /// What is asked of clients.
    pub clients: ClientCertificates,
}

impl TlsSource {
    /// Certificate and key with all defaults.
    pub fn new(certificate_file: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        Self {
            certificate_file: certificate_file.into(),
            key_file: key_file.into(),
            version_min: TlsVersion::Tls12,
            version_max: TlsVersion::Tls13,
            suites: None,
            clients: ClientCertificates::Ask,
        }
    }
}

/// The names of the TLS 1.2 suites that can be chosen.
pub fn suite_names() -> impl Iterator<Item = String> {
    provider_suites()
        .into_iter()
        .filter(|suite| suite.version() == &TLS12)
        .filter_map(|suite| suite.suite().as_str().map(str::to_owned))
}

fn provider_suites() -> Vec<rustls::SupportedCipherSuite> {
    aws_lc_rs::default_provider().cipher_suites
}

/// A listener's TLS state.
pub struct Reloadable {
    source: TlsSource,
    config: ArcSwap<ServerConfig>,
}

impl Reloadable {
    /// Reads the files.
    pub fn load(source: &TlsSource) -> Result<Self, String> {
        let config = ArcSwap::from_pointee(build(source)?);
        Ok(Self { source: source.clone(), config })
    }

    /// Reads them again; on failure everything stays.
    pub fn reload(&self) -> Result<(), String> {
        self.config.store(Arc::new(build(&self.source)?));
        Ok(())
    }

    /// The handshake with the certificates of this moment.
    pub async fn accept(
        &self,
        transport: Transport,
    ) -> io::Result<(TlsStream<Transport>, PeerTls)> {
        let acceptor = TlsAcceptor::from(self.config.load_full());
        let stream = acceptor.accept(transport).await?;
        let (_, session) = stream.get_ref();
        let certificates = session.peer_certificates().unwrap_or_default().to_vec();
        let verified = !certificates.is_empty()
            && matches!(self.source.clients, ClientCertificates::Require(_));
        let server_name = session.server_name().map(str::to_owned);
        Ok((stream, PeerTls { certificates, verified, server_name }))
    }
}

/// Did the handshake agree on HTTP/2?
pub fn is_http2(stream: &TlsStream<Transport>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

fn build(source: &TlsSource) -> Result<ServerConfig, String> {
    let mut provider = aws_lc_rs::default_provider();
    if let Some(names) = &source.suites {
        provider.cipher_suites.retain(|suite| {
            suite.version() == &TLS13
                || names.iter().any(|name| suite.suite().as_str() == Some(name))
        });
    }
    let provider = Arc::new(provider);
    let versions: Vec<&'static SupportedProtocolVersion> =
        [(TlsVersion::Tls12, &TLS12), (TlsVersion::Tls13, &TLS13)]
            .into_iter()
            .filter(|(version, _)| (source.version_min..=source.version_max).contains(version))
            .map(|(_, version)| version)
            .collect();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|e| format!("these TLS versions and suites do not fit together: {e}"))?;
    let builder = match &source.clients {
        ClientCertificates::Never => builder.with_no_client_auth(),
        ClientCertificates::Ask => {
            builder.with_client_cert_verifier(Arc::new(AnyClient::new(&provider)))
        }
        ClientCertificates::Require(file) => {
            let mut roots = RootCertStore::empty();
            for authority in read_certificates(file)? {
                roots.add(authority).map_err(|e| format!("{}: {e}", file.display()))?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                    .build()
                    .map_err(|e| format!("{}: {e}", file.display()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let certificates = read_certificates(&source.certificate_file)?;
    let key = read_key(&source.key_file)?;
    let mut config = builder
        .with_single_cert(certificates, key)
        .map_err(|e| format!("{} and its key: {e}", source.certificate_file.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn read_certificates(file: &PathBuf) -> Result<Vec<CertificateDer<'static>>, String> {
    let fail = |e: rustls_pki_types::pem::Error| format!("{}: {e}", file.display());
    let certificates = CertificateDer::pem_file_iter(file)
        .map_err(fail)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(fail)?;
    if certificates.is_empty() {
        return Err(format!("{}: no certificate in it", file.display()));
    }
    Ok(certificates)
}

fn read_key(file: &PathBuf) -> Result<PrivateKeyDer<'static>, String> {
    // The parser's errors may quote the file's lines, so only its kind is told.
    PrivateKeyDer::from_pem_file(file).map_err(|e| {
        let what = match e {
            rustls_pki_types::pem::Error::Io(e) => e.to_string(),
            rustls_pki_types::pem::Error::NoItemsFound => {
                "no usable private key in it (encrypted keys are not supported)".to_owned()
            }
            _ => "no valid PEM".to_owned(),
        };
        format!("{}: {what}", file.display())
    })
}
