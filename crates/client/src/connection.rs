//! How the HTTP client is built: TLS roots, a client certificate, a proxy, a unix socket, another name
//! for the server.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::address::Address;
use crate::config::Config;
use crate::error::Error;

/// The HTTP client of these settings.
pub(crate) fn build_http(config: &Config, address: &Address) -> Result<reqwest::Client, Error> {
    // The one TLS implementation of this product; a second call changes nothing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(30))
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .referer(false);
    match &config.proxy {
        Some(proxy) => {
            let proxy = reqwest::Proxy::all(proxy)
                .map_err(|_| Error::Config("the proxy's address is not a URL".into()))?;
            builder = builder.proxy(proxy);
        }
        None if address.socket.is_some() => builder = builder.no_proxy(),
        None => {}
    }
    if let Some(socket) = &address.socket {
        builder = builder.unix_socket(socket.as_path());
    }
    if let Some(roots) = own_roots(config)? {
        builder = builder.tls_certs_only(roots);
    }
    if let Some(identity) = identity(config)? {
        builder = builder.identity(identity);
    }
    if config.danger_skip_verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    if let Some(name) = &config.tls_server_name
        && address.is_https()
    {
        let alias = Alias { name: name.clone(), host: address.host().to_owned() };
        builder = builder.dns_resolver(Arc::new(alias));
    }
    builder.build().map_err(|error| Error::Config(format!("failed to create client: {error}")))
}

/// Answers for the name the TLS layer asks for with the addresses of the real host.
struct Alias {
    name: String,
    host: String,
}

impl reqwest::dns::Resolve for Alias {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let host =
            if name.as_str() == self.name { self.host.clone() } else { name.as_str().into() };
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((host, 0)).await?.collect();
            let found: reqwest::dns::Addrs = Box::new(found.into_iter());
            Ok(found)
        })
    }
}

fn own_roots(config: &Config) -> Result<Option<Vec<reqwest::Certificate>>, Error> {
    let mut roots = Vec::new();
    let mut parse = |pem: &[u8], what: &str| {
        let found = reqwest::Certificate::from_pem_bundle(pem)
            .map_err(|_| Error::Config(format!("{what} holds no readable CA certificate")))?;
        if found.is_empty() {
            return Err(Error::Config(format!("{what} holds no CA certificate")));
        }
        roots.extend(found);
        Ok(())
    };
    if let Some(path) = &config.ca_cert {
        parse(&read(path)?, &path.display().to_string())?;
    } else if let Some(pem) = &config.ca_cert_pem {
        parse(pem.as_bytes(), "CACERT_BYTES")?;
    } else if let Some(folder) = &config.ca_path {
        let unreadable = |e: std::io::Error| {
            Error::Config(format!("could not read CA folder {}: {e}", folder.display()))
        };
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_file() {
                parse(&read(&path)?, &path.display().to_string())?;
            }
        }
    } else {
        return Ok(None);
    }
    Ok(Some(roots))
}

fn identity(config: &Config) -> Result<Option<reqwest::Identity>, Error> {
    let mut pem = Zeroizing::new(Vec::new());
    match (&config.client_cert, &config.client_key, &config.client_cert_pem, &config.client_key_pem)
    {
        (Some(cert), Some(key), _, _) => {
            pem.extend_from_slice(&Zeroizing::new(read(key)?));
            pem.push(b'\n');
            pem.extend_from_slice(&read(cert)?);
        }
        (None, None, Some(cert), Some(key)) => {
            pem.extend_from_slice(key.expose_secret().as_bytes());
            pem.push(b'\n');
            pem.extend_from_slice(cert.as_bytes());
        }
        (None, None, None, None) => return Ok(None),
        _ => return Err(Error::Config("both client cert and client key must be provided".into())),
    }
    reqwest::Identity::from_pem(&pem)
        .map(Some)
        .map_err(|_| Error::Config("the client certificate or its key is not readable PEM".into()))
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path)
        .map_err(|error| Error::Config(format!("could not read {}: {error}", path.display())))
}
