//! The driver against servers that answer with these bytes.

use std::time::Duration;

use strongroom_base::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::messages::{self, Awaited};
use super::*;

#[test]
fn addresses() {
    let read = |url| Address::parse(url).map(|a| (a.encrypted, a.host, a.port));
    for (url, expect) in [
        ("ldap://a.example", (false, "a.example", 389)),
        ("LDAPS://a.example/", (true, "a.example", 636)),
        (" ldap://127.0.0.1:3389/dc=x?cn ", (false, "127.0.0.1", 3389)),
        ("ldaps://[::1]:1636", (true, "::1", 1636)),
        ("ldap://[::1]", (false, "::1", 389)),
        ("ldap://a:", (false, "a", 389)),
    ] {
        let (encrypted, host, port) = expect;
        assert_eq!(read(url), Some((encrypted, host.to_owned(), port)), "{url}");
    }
    for url in [
        "",
        "a.example",
        "ldapi:///x",
        "http://a",
        "ldap://",
        "ldap://a:b",
        "ldap://[::1",
        "ldap://[x]:1",
        "ldap://u@a",
        "ldap://a b",
        "ldap://a:70000",
    ] {
        assert_eq!(read(url), None, "{url}");
    }
}

fn servers(addresses: Vec<Address>) -> Servers {
    Servers {
        addresses,
        starttls: false,
        tls: Tls::default(),
        connection_timeout: Duration::from_secs(60),
        request_timeout: Duration::from_secs(60),
    }
}

fn local(port: u16) -> Address {
    Address { encrypted: false, host: "127.0.0.1".to_owned(), port }
}

/// A server that reads one request from each connection and answers with these bytes, then hangs on.
async fn server(answer: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&answer).await;
            open.push(stream);
        }
    });
    port
}

fn any() -> Search {
    Search {
        base: "dc=x".to_owned(),
        scope: Scope::Subtree,
        aliases: Aliases::Never,
        filter: Filter::parse("(cn=*)").unwrap(),
        attributes: vec!["cn".to_owned()],
        size_limit: 0,
        page_size: 0,
    }
}

async fn searched(answer: Vec<u8>) -> Result<Vec<Entry>, Failure> {
    let servers = servers(vec![local(server(answer).await)]);
    Network::default().connect(&servers).await?.search(&any()).await
}

/// A message with the number 1.
fn message(tag: u8, content: &[u8]) -> Vec<u8> {
    let (mut inner, mut out) = (Vec::new(), Vec::new());
    ber::put_number(&mut inner, ber::INTEGER, 1);
    ber::put(&mut inner, tag, content);
    ber::put(&mut out, ber::SEQUENCE, &inner);
    out
}

fn done(tag: u8, code: u32) -> Vec<u8> {
    let mut content = Vec::new();
    ber::put_number(&mut content, ber::ENUMERATED, code);
    ber::put(&mut content, ber::OCTETS, b"dc=c4n4ry");
    ber::put(&mut content, ber::OCTETS, b"c4n4ry");
    message(tag, &content)
}

fn entry(name: &str, values: &[&[u8]]) -> Vec<u8> {
    let (mut set, mut attribute, mut attributes, mut content) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for value in values {
        ber::put(&mut set, ber::OCTETS, value);
    }
    ber::put(&mut attribute, ber::OCTETS, b"CN");
    ber::put(&mut attribute, ber::SET, &set);
    ber::put(&mut attributes, ber::SEQUENCE, &attribute);
    ber::put(&mut content, ber::OCTETS, name.as_bytes());
    ber::put(&mut content, ber::SEQUENCE, &attributes);
    message(0x64, &content)
}

#[tokio::test]
async fn entries_are_read_and_references_left_out() {
    let answer =
        [entry("cn=a,dc=x", &[b"a", b"\xff"]), message(0x73, b"\x04\x01x"), done(0x65, 0)].concat();
    let found = searched(answer).await.unwrap();
    assert_eq!(found.len(), 1);
    let first = found.first().unwrap();
    assert_eq!((first.name.as_str(), first.values("cn").len()), ("cn=a,dc=x", 2));
    assert_eq!(first.texts("cn").collect::<Vec<_>>(), ["a"]);
}

#[tokio::test]
async fn answers_that_make_no_sense_are_failures() {
    let deep: Vec<u8> =
        std::iter::repeat_n([0x30, 0x84, 0, 0xf, 0xff, 0xff], 1000).flatten().collect();
    let mut huge = vec![0x30, 0x84, 0x7f, 0xff, 0xff, 0xff];
    huge.extend([0; 64]);
    for (what, answer) in [
        ("no BER", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("a huge message", huge),
        ("an endless length", vec![0x30, 0x80, 0, 0]),
        ("nested", message(0x64, &deep)),
        ("another operation's answer", done(0x61, 0)),
        ("an unknown operation", message(0x7e, b"")),
        ("no content", vec![0x30, 0]),
        ("a name that is no text", entry_with_bad_name()),
        ("a code below zero", message(0x65, &[0x0a, 1, 0xff, 4, 0, 4, 0])),
        ("a notice of disconnection", vec![0x30, 9, 2, 1, 0, 0x78, 4, 0x0a, 1, 52, 4]),
    ] {
        let failure = searched(answer).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Broken, "{what}: {failure}");
    }
}

fn entry_with_bad_name() -> Vec<u8> {
    let mut content = Vec::new();
    ber::put(&mut content, ber::OCTETS, b"cn=\xff");
    ber::put(&mut content, ber::SEQUENCE, b"");
    message(0x64, &content)
}

#[tokio::test]
async fn answers_are_bounded() {
    // threat: answers of outside services are bounded in size
    let many = |count| {
        let mut answer: Vec<u8> = Vec::new();
        for _ in 0..count {
            answer.extend(entry("cn=a", &[]));
        }
        answer.extend(done(0x65, 0));
        answer
    };
    assert_eq!(searched(many(ENTRIES_MAX)).await.unwrap().len(), ENTRIES_MAX);
    let values: Vec<&[u8]> = vec![b""; VALUES_MAX + 1];
    let long = vec![0; MESSAGE_BYTES_MAX / 2];
    let fat: Vec<u8> = (0..20).flat_map(|_| entry("cn=a", &[&long])).collect();
    for answer in [many(ENTRIES_MAX + 1), [entry("cn=a", &values), done(0x65, 0)].concat(), fat] {
        let failure = searched(answer).await.unwrap_err();
        assert!(failure.text.contains("too long"), "{failure}");
    }
}

#[tokio::test]
async fn refusals_say_their_code_and_nothing_that_was_sent() {
    for (code, name) in [(49, "invalidCredentials (49)"), (10, "referral"), (123, "code 123")] {
        let failure = searched(done(0x65, code)).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused(code));
        assert!(failure.text.contains(name) && !failure.text.contains("c4n4ry"), "{failure}");
    }
}

#[tokio::test]
async fn a_directory_that_says_nothing_is_given_up() {
    let port = server(Vec::new()).await;
    let request_timeout = Duration::from_millis(1);
    let servers = Servers { request_timeout, ..servers(vec![local(port)]) };
    let mut session = Network::default().connect(&servers).await.unwrap();
    let password = SecretString::new("x".to_owned());
    let failure = session.bind("cn=a", &password).await.unwrap_err();
    assert!(failure.text.contains("in time"), "{failure}");
    // What comes now may answer the question before.
    let failure = session.bind("cn=a", &password).await.unwrap_err();
    assert!(failure.text.contains("is over"), "{failure}");
}

#[tokio::test]
async fn an_empty_password_is_never_sent() {
    // threat: an empty password never binds (RFC 4513 §5.1.2); the server here would say yes
    let servers = servers(vec![local(server(done(0x61, 0)).await)]);
    let mut session = Network::default().connect(&servers).await.unwrap();
    for (name, password) in [("cn=a", ""), ("", "x")] {
        let failure =
            session.bind(name, &SecretString::new(password.to_owned())).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Wrong);
    }
    session.bind("cn=a", &SecretString::new("x".to_owned())).await.unwrap();
}

#[tokio::test]
async fn servers_are_tried_in_their_order() {
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let there = server(done(0x61, 0)).await;
    let both = servers(vec![local(gone), local(there)]);
    let mut session = Network::default().connect(&both).await.unwrap();
    session.bind("cn=a", &SecretString::new("x".to_owned())).await.unwrap();
    let none = servers(vec![local(gone)]);
    let failure = Network::default().connect(&none).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.text.contains(&gone.to_string()), "{failure}");
}

#[tokio::test]
async fn start_tls_is_not_left_out_where_the_server_has_none() {
    // The server refuses, or goes on in clear text at once: neither is taken.
    for answer in [done(0x78, 2), [done(0x78, 0), done(0x61, 0)].concat()] {
        let port = server(answer).await;
        let servers = Servers { starttls: true, ..servers(vec![local(port)]) };
        let failure = Network::default().connect(&servers).await.err().unwrap();
        assert_eq!(failure.kind, FailureKind::Unreachable, "{failure}");
    }
}

#[test]
fn what_a_directory_sends_never_panics() {
    use strongroom_testkit::fuzz::Fuzz;
    let fuzz = Fuzz::new(31);
    let samples = [entry("cn=a,dc=x", &[b"a", b"b"]), done(0x65, 0), done(0x61, 49), done(0x78, 0)];
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    let mut read = 0;
    for _ in 0..20_000 {
        let input = fuzz.input(&samples);
        let Ok(Some((head, _))) = ber::header(&input) else { continue };
        for awaited in [Awaited::Bind, Awaited::Search, Awaited::Extended] {
            let content = input.get(head..).unwrap_or_default();
            read += usize::from(messages::read(content, 1, awaited).is_ok());
        }
        let text = String::from_utf8_lossy(&input);
        let _ = (names::parse(&text), Address::parse(&text));
        if let Ok(filter) = Filter::parse(&text) {
            filter.encode(&mut Vec::new());
        }
    }
    assert!(read > 100, "{read}");
    for _ in 0..20_000 {
        let text = fuzz.text(&["(&(cn=a*b)(!(x:dn:1.2:=\\28)))", "cn=a\\,b+uid=#0401,ou=\\c3\\a9"]);
        let _ = names::parse(&text);
        if let Ok(filter) = Filter::parse(&text) {
            filter.encode(&mut Vec::new());
        }
    }
}
