//! TLS: client certificates, HTTP/2, certificates that change.

use super::*;

/// Certificate authority, server and client certificates in a folder, and a listener with them.
fn with_tls(clients: ClientCertificates, name: &str) -> (tempfile::TempDir, ListenerOptions) {
    let folder = tempfile::tempdir().unwrap();
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    fs::write(folder.path().join("ca.pem"), ca_pem).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    for (file, name) in [("server", name), ("client", "client.test")] {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        fs::write(folder.path().join(format!("{file}.pem")), certificate.pem()).unwrap();
        fs::write(folder.path().join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }
    let mut options = plain();
    let mut source =
        TlsSource::new(folder.path().join("server.pem"), folder.path().join("server.key"));
    source.clients = match clients {
        ClientCertificates::Require(_) => ClientCertificates::Require(folder.path().join("ca.pem")),
        other => other,
    };
    options.tls = Some(source);
    (folder, options)
}

/// A TLS connection that trusts `folder`'s authority, with or without its client certificate.
async fn tls_connect(
    listeners: &Listeners,
    folder: &std::path::Path,
    name: &str,
    with_certificate: bool,
    protocol: &[u8],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = if with_certificate {
        let certificate = CertificateDer::from_pem_file(folder.join("client.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join("client.key")).unwrap();
        config.with_client_auth_cert(vec![certificate], key).unwrap()
    } else {
        config.with_no_client_auth()
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, connect(listeners).await).await
}

#[tokio::test]
async fn client_certificates_reach_the_service() {
    let require = ClientCertificates::Require("".into());
    for (clients, sends, expect) in [
        (ClientCertificates::Ask, true, Some(1)),
        (ClientCertificates::Ask, false, Some(0)),
        (ClientCertificates::Never, true, Some(0)),
        (require.clone(), true, Some(1)),
        (require, false, None),
    ] {
        let (folder, options) = with_tls(clients.clone(), "one.test");
        let (listeners, _) = start(options).await;
        let stream =
            tls_connect(&listeners, folder.path(), "one.test", sends, b"http/1.1").await.unwrap();
        let (mut sender, connection) =
            http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        // With TLS 1.3 a refused certificate shows at the first read.
        let answer = sender.send_request(request("GET", "/", 0)).await;
        match (answer, expect) {
            (Ok(answer), Some(count)) => {
                let (_, seen) = text(answer).await;
                assert!(seen.ends_with(&format!("certificates={count}")), "{clients:?}: {seen}");
            }
            (Err(_), None) => {}
            (answer, expect) => panic!("{clients:?} {sends}: {answer:?}, expected {expect:?}"),
        }
    }
}

/// Vault takes certificates of X.509 version 1 too, and a client that has one may want nothing of
/// it; but whoever shows a certificate has to have its key.
#[tokio::test]
async fn client_certificates_of_version_1() {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (key_file, expect) in [("client.key", true), ("server.key", false)] {
            let (folder, options) = with_tls(ClientCertificates::Ask, "one.test");
            let (listeners, _) = start(options).await;
            let file = |name: &str| folder.path().join(name);
            let key = PrivateKeyDer::from_pem_file(file(key_file)).unwrap();
            let key = provider.key_provider.load_private_key(key).unwrap();
            let certificate =
                version_1(&CertificateDer::from_pem_file(file("client.pem")).unwrap());
            let shown = rustls::sign::CertifiedKey::new(vec![certificate], key);
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(file("ca.pem")).unwrap()).unwrap();
            let config = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots)
                .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(shown)));
            let name = ServerName::try_from("one.test").unwrap();
            let stream = connect(&listeners).await;
            let answer = async {
                let stream =
                    TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
                let (mut sender, connection) =
                    http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.ok()?;
                tokio::spawn(connection);
                Some(text(sender.send_request(request("GET", "/", 0)).await.ok()?).await.1)
            }
            .await;
            let served = answer.is_some_and(|seen| seen.ends_with("certificates=1"));
            assert_eq!(served, expect, "{version:?} {key_file}");
        }
    }
}

/// The certificate without what version 1 has not: the version's number and the extensions. Its
/// signature fits no more, which nobody looks at.
fn version_1(certificate: &CertificateDer<'_>) -> CertificateDer<'static> {
    use super::any_client::element;
    let wrap = |content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82], &length[..], content].concat()
    };
    let signed = element(element(certificate).unwrap().content).unwrap();
    let (mut fields, mut rest) = (Vec::new(), signed.content);
    while let Some(field) = element(rest) {
        if ![0xa0, 0xa3].contains(&field.tag) {
            fields.extend(field.whole);
        }
        rest = field.rest;
    }
    wrap(&[&wrap(&fields), signed.rest].concat()).into()
}

#[tokio::test]
async fn http2_over_tls() {
    let (folder, options) = with_tls(ClientCertificates::Ask, "one.test");
    let (listeners, _) = start(options).await;
    let stream = tls_connect(&listeners, folder.path(), "one.test", true, b"h2").await.unwrap();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request("LIST", "https://one.test/v1/c", 70_000)).await;
    let (status, seen) = text(answer.unwrap()).await;
    assert_eq!(status, 200);
    assert_eq!(seen, "LIST /v1/c body=70000 from=127.0.0.1 certificates=1");
}

#[tokio::test]
async fn certificates_are_swapped_while_running() {
    let (folder, options) = with_tls(ClientCertificates::Ask, "one.test");
    let (listeners, _) = start(options).await;
    let open = |name: &'static str| {
        let (listeners, folder) = (&listeners, folder.path());
        async move { tls_connect(listeners, folder, name, false, b"http/1.1").await }
    };
    let mut old = client(open("one.test").await.unwrap()).await;
    let (new, _) = with_tls(ClientCertificates::Ask, "two.test");
    for file in ["ca.pem", "server.pem", "server.key"] {
        fs::copy(new.path().join(file), folder.path().join(file)).unwrap();
    }
    listeners.reload_certificates().unwrap();
    let mut swapped = client(open("two.test").await.unwrap()).await;
    assert_eq!(ask(&mut swapped, "GET", "/", 0).await.0, 200);
    assert_eq!(ask(&mut old, "GET", "/", 0).await.0, 200);
    // A bad file changes nothing, and its text is not in the error.
    fs::write(folder.path().join("server.key"), "-----BEGIN CANARY").unwrap();
    let errors = listeners.reload_certificates().unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(!errors[0].contains("CANARY"), "{errors:?}");
    assert!(open("two.test").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_silent_tls_client_is_closed() {
    let (_folder, options) = with_tls(ClientCertificates::Ask, "one.test");
    let (listeners, _) = start(options).await;
    let began = tokio::time::Instant::now();
    assert_eq!(exchange(connect(&listeners).await, b"\x16\x03").await, "");
    assert_eq!(began.elapsed().as_secs(), 10);
}
