//! The real connectors against servers on the loopback address. Names are looked up at a DNS server
//! of the test's own.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread;

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use strongroom_testkit::servers::dns::{Data, DnsServer, Kind};

use super::reach::{By, is_called};
use super::*;

/// All names below `test` are on the loopback address, but those below `nowhere.test`.
fn names() -> DnsServer {
    DnsServer::start(|name, kind| match (name, kind) {
        (name, _) if name.ends_with("nowhere.test") => None,
        ("metadata.test", Kind::A) => Some(vec![Data::Address([169, 254, 169, 254].into())]),
        ("_acme-challenge.a.test", Kind::Txt) => Some(vec![
            Data::Text(vec!["one ".to_owned(), "text".to_owned()]),
            Data::Text(vec!["another".to_owned()]),
        ]),
        ("_acme-challenge.many.test", Kind::Txt) => {
            Some((0..40).map(|i| Data::Text(vec![i.to_string()])).collect())
        }
        (name, Kind::A) if name.ends_with(".test") => {
            Some(vec![Data::Address(Ipv4Addr::LOCALHOST.into())])
        }
        (name, _) if name.ends_with(".test") => Some(Vec::new()),
        _ => None,
    })
}

/// A listener whose connections `serve` gets, one after the other; its port.
fn listener(serve: impl Fn(std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let port = listener.local_addr().expect("an address").port();
    // It ends with the test's process.
    thread::spawn(move || listener.incoming().flatten().for_each(&serve));
    port
}

/// A web server that answers a path with what `answer` says.
fn web(answer: impl Fn(&str) -> String + Send + 'static) -> u16 {
    listener(move |mut stream| {
        let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        while lines.next().and_then(Result::ok).is_some_and(|line| !line.is_empty()) {}
        let path = first.split(' ').nth(1).unwrap_or_default();
        // Whoever asked may have turned away.
        let _ = stream.write_all(answer(path).as_bytes());
    })
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn to(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

fn name(name: &str) -> Host {
    Host::Name(name.to_owned())
}

/// `http.test` in the answers stands for the server's own address with its port.
#[tokio::test]
async fn files_of_web_servers() {
    let dns = names();
    let resolver = Some(dns.address);
    let longest = "x".repeat(BODY_BYTES_MAX);
    let longer = "x".repeat(BODY_BYTES_MAX + 1);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n".to_owned();
    let endless = format!("{chunked}{}", "x".repeat(0x1000));
    let big_head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024));
    let port = Arc::new(std::sync::OnceLock::new());
    let own: Arc<std::sync::OnceLock<u16>> = port.clone();
    let http = web(move |path| {
        let own = own.get().copied().unwrap_or_default();
        match path.rsplit('/').next().unwrap_or_default() {
            "plain" | "final" => ok("token.thumbprint\n"),
            "longest" => ok(&longest),
            "longer" => ok(&longer),
            "endless" => endless.clone(),
            "big-head" => big_head.clone(),
            "none" => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "path" => to("/elsewhere/final"),
            "same-host" => to(&format!("http://a.test:{own}/final")),
            "loop" => to(&format!("http://a.test:{own}/loop")),
            "other-host" => to(&format!("http://b.test:{own}/final")),
            "loopback" => to(&format!("http://127.0.0.1:{own}/final")),
            "metadata" => to(&format!("http://metadata.test:{own}/latest/meta-data/")),
            "metadata-address" => to("http://169.254.169.254/latest/meta-data/"),
            "other-port" => to("http://a.test:8200/v1/sys/health"),
            "file" => to("file:///etc/passwd"),
            "user" => to(&format!("http://a:b@a.test:{own}/final")),
            "long-url" => to(&format!("http://a.test:{own}/{}", "x".repeat(2_000))),
            "nowhere" => "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "silent" => String::new(),
            _ => "what?".to_owned(),
        }
    });
    port.set(http).expect("once");
    let network = Network { reach: Reach { http, https: 1 } };
    let fetch = async |token: &str| network.http(resolver, &name("a.test"), token).await;
    for token in ["plain", "path", "same-host"] {
        assert_eq!(fetch(token).await.expect(token), b"token.thumbprint\n", "{token}");
    }
    assert_eq!(fetch("longest").await.expect("it fits").len(), BODY_BYTES_MAX);
    for (token, kind) in [
        ("longer", FailureKind::Response),
        ("endless", FailureKind::Response),
        ("big-head", FailureKind::Connection),
        ("none", FailureKind::Response),
        ("loop", FailureKind::Response),
        ("other-host", FailureKind::Connection),
        ("loopback", FailureKind::Connection),
        ("metadata", FailureKind::Connection),
        ("metadata-address", FailureKind::Connection),
        ("other-port", FailureKind::Connection),
        ("file", FailureKind::Response),
        ("user", FailureKind::Response),
        ("long-url", FailureKind::Response),
        ("nowhere", FailureKind::Response),
        ("silent", FailureKind::Connection),
        ("garbage", FailureKind::Connection),
    ] {
        let failure = fetch(token).await.expect_err(token);
        assert_eq!(failure.kind, kind, "{token}: {failure}");
        for said in ["meta-data", "passwd", "8200", "xxxx"] {
            assert!(!failure.text.contains(said), "{token}: {failure}");
        }
    }
    let address = Host::Address(Ipv4Addr::LOCALHOST.into());
    assert!(network.http(resolver, &address, "plain").await.is_ok());
    let nobody = network.http(resolver, &name("a.nowhere.test"), "plain").await;
    assert_eq!(nobody.expect_err("no such name").kind, FailureKind::Dns);
    let metadata = network.http(resolver, &name("metadata.test"), "plain").await;
    assert_eq!(metadata.expect_err("not called").kind, FailureKind::Connection);
}

#[tokio::test]
async fn records_of_zones() {
    let dns = names();
    let network = Network::default();
    let texts = network.dns(Some(dns.address), "a.test").await.expect("there are some");
    assert_eq!(texts, ["one text", "another"]);
    let many = network.dns(Some(dns.address), "many.test").await.expect("there are some");
    assert!(many.len() == 40 && many.len() <= RECORDS_MAX);
    for missing in ["b.test", "a.nowhere.test", "a..test", "-"] {
        let failure = network.dns(Some(dns.address), missing).await.expect_err(missing);
        assert_eq!(failure.kind, FailureKind::Dns, "{missing}");
    }
}

/// A TLS server with this certificate and key, whether they belong together or not.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // RFC 8737 §3: the name that is validated, and no other protocol.
        let asked = hello.alpn().map(|all| all.map(<[u8]>::to_vec).collect::<Vec<_>>());
        let right = hello.server_name() == Some("a.test")
            && asked.is_none_or(|all| all == [b"acme-tls/1".to_vec()]);
        right.then(|| self.0.clone())
    }
}

fn tls(chain: Vec<CertificateDer<'static>>, key: &KeyPair, protocols: &[&[u8]]) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let der = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let key = provider.key_provider.load_private_key(der).expect("a key");
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shows(Arc::new(CertifiedKey::new(chain, key)))));
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let config = Arc::new(config);
    listener(move |mut stream| {
        let mut session = rustls::ServerConnection::new(config.clone()).expect("a session");
        while session.is_handshaking() && session.complete_io(&mut stream).is_ok() {}
    })
}

/// A certificate as RFC 8737 wants it.
fn for_challenge(key: &KeyPair) -> CertificateDer<'static> {
    let mut params = CertificateParams::new(vec!["a.test".to_owned()]).expect("a name");
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&[7; 32])];
    params.self_signed(key).expect("a certificate").der().clone()
}

/// A certificate of no use.
fn anybodys(key: &KeyPair) -> CertificateDer<'static> {
    let params = CertificateParams::new(vec!["b.test".to_owned()]).expect("a name");
    params.self_signed(key).expect("a certificate").der().clone()
}

#[tokio::test]
async fn certificates_of_tls_servers() {
    const PROTOCOL: &[u8] = b"acme-tls/1";
    let dns = names();
    let key = KeyPair::generate().expect("a key");
    let other = KeyPair::generate().expect("a key");
    let certificate = for_challenge(&key);
    let shown = async |https: u16, host: &str| {
        let network = Network { reach: Reach { http: 1, https } };
        network.tls_alpn(Some(dns.address), host).await
    };
    let https = tls(vec![certificate.clone()], &key, &[PROTOCOL]);
    assert_eq!(shown(https, "a.test").await.expect("shown"), [certificate.to_vec()]);
    let both = tls(vec![certificate.clone(), for_challenge(&other)], &key, &[PROTOCOL]);
    assert_eq!(shown(both, "a.test").await.expect("shown").len(), 2);
    for (what, https, host, kind) in [
        ("another name", https, "b.test", FailureKind::Tls),
        (
            "another protocol",
            tls(vec![certificate.clone()], &key, &[b"h2"]),
            "a.test",
            FailureKind::Tls,
        ),
        ("no protocol", tls(vec![certificate.clone()], &key, &[]), "a.test", FailureKind::Tls),
        // It is public, so whoever shows it must have its key.
        (
            "another key",
            tls(vec![certificate.clone()], &other, &[PROTOCOL]),
            "a.test",
            FailureKind::Tls,
        ),
        ("no TLS", web(|_| ok("hello")), "a.test", FailureKind::Tls),
        ("nobody", 1, "a.test", FailureKind::Connection),
        ("no name", https, "a.nowhere.test", FailureKind::Dns),
    ] {
        let failure = shown(https, host).await.expect_err(what);
        assert_eq!(failure.kind, kind, "{what}: {failure}");
    }
}

/// A web server may send its clients to HTTPS, with whatever certificate.
#[tokio::test]
async fn redirects_to_https() {
    let dns = names();
    let key = KeyPair::generate().expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let der = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![anybodys(&key)], der)
        .expect("a certificate");
    let config = Arc::new(config);
    let https = listener(move |stream| {
        let session = rustls::ServerConnection::new(config.clone()).expect("a session");
        let mut stream = rustls::StreamOwned::new(session, stream);
        let mut first = String::new();
        // Whoever asked may have turned away.
        let _ = BufReader::new(&mut stream).read_line(&mut first);
        let _ = stream.write_all(ok("over TLS").as_bytes());
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    let http = web(move |_| to(&format!("https://a.test:{https}/there")));
    let network = Network { reach: Reach { http, https } };
    let body = network.http(Some(dns.address), &name("a.test"), "token").await;
    assert_eq!(body.expect("the answer"), b"over TLS");
}

/// Where strangers cannot send us, by whatever way.
#[test]
fn addresses_that_are_called() {
    for (ip, identifier, redirect) in [
        ("192.0.2.1", true, true),
        ("10.0.0.1", true, true),
        ("2001:db8::1", true, true),
        ("fd00::1", true, true),
        ("127.0.0.1", true, false),
        ("127.8.9.10", true, false),
        ("::1", true, false),
        ("::ffff:127.0.0.1", true, false),
        ("169.254.169.254", false, false),
        ("::ffff:169.254.169.254", false, false),
        ("64:ff9b::a9fe:a9fe", false, false),
        ("64:ff9b::7f00:1", false, false),
        ("2002:a9fe:a9fe::1", false, false),
        ("fe80::1", false, false),
        ("fec0::1", false, false),
        ("0.0.0.0", false, false),
        ("0.1.2.3", false, false),
        ("::", false, false),
        ("255.255.255.255", false, false),
        ("224.0.0.1", false, false),
        ("ff02::1", false, false),
    ] {
        let ip = ip.parse().expect("an address");
        assert_eq!(is_called(ip, By::Identifier), identifier, "{ip}");
        assert_eq!(is_called(ip, By::Redirect), redirect, "{ip}");
    }
}
