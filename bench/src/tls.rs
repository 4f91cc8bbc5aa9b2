//! Certificates for logins by certificate: the server's own, and what a client shows.

use std::{fs, path::Path, sync::Arc};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};

/// Where a server finds its certificate, and its key, in its folder.
pub const FILES: [&str; 2] = ["certificate.pem", "key.pem"];

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Makes a certificate for a server of this machine, and puts it into the server's folder.
pub fn of_server(folder: &Path) -> Result<CertificateDer<'static>, String> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).map_err(told)?;
    for (name, text) in FILES.iter().zip([made.cert.pem(), made.signing_key.serialize_pem()]) {
        fs::write(folder.join(name), text).map_err(told)?;
    }
    Ok(made.cert.der().clone())
}

/// A client that believes this server alone, and shows a certificate (both in PEM).
pub fn client(
    server: &CertificateDer<'static>,
    certificate: &str,
    key: &str,
) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add(server.clone()).map_err(told)?;
    let chain = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(told)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(told)?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![chain], key)
        .map_err(told)?;
    Ok(Arc::new(config))
}
