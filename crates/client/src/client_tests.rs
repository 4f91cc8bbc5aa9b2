//! Drives the client against a small server of its own that answers from a script.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server that gives one scripted answer per connection and keeps what it was asked.
struct Script {
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Script {
    async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = seen.clone();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut text = Vec::new();
                let mut part = [0; 4096];
                loop {
                    let n = stream.read(&mut part).await.unwrap();
                    text.extend_from_slice(&part[..n]);
                    if n == 0 || complete(&text) {
                        break;
                    }
                }
                kept.lock().unwrap().push(String::from_utf8_lossy(&text).into_owned());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { address, seen }
    }

    fn client(&self, change: impl FnOnce(&mut Config)) -> Client {
        let mut config =
            Config { address: self.address.clone(), max_retries: 0, ..Config::default() };
        change(&mut config);
        Client::new(config).unwrap()
    }

    fn asked(&self, i: usize) -> String {
        self.seen.lock().unwrap()[i].clone()
    }
}

#[test]
fn a_body_that_was_refused_on_the_way_is_told_as_one() {
    let broken = |reason: &str| Error::Transport {
        method: "PUT".into(),
        url: "http://x".into(),
        reason: reason.into(),
    };
    let large = Body::Bytes(vec![0; 2 << 20].into());
    let told = |error, body: &Body| refused_body(error, body).to_string();
    assert!(told(broken("Broken pipe"), &large).contains("413"));
    assert!(told(broken("connection reset by peer"), &large).contains("max_request_size"));
    assert!(!told(broken("Broken pipe"), &Body::Empty).contains("413"));
    assert!(!told(broken("EOF"), &large).contains("413"));
}

fn complete(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    body.len() >= length
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_request_carries_vaults_headers() {
    let script = Script::start(vec![answer("200 OK", "", r#"{"data":{"a":1}}"#)]).await;
    let client = script.client(|config| {
        config.token = Some(SecretString::new("tok".into()));
        config.namespace = "team/".into();
        config.wrap_ttl = Some("60s".into());
        config.headers.push(("X-Mine".into(), "yes".into()));
    });
    let request = Request::put("secret/data/a b", serde_json::json!({"k": "v"}));
    let envelope = client.send(request).await.unwrap().written().unwrap().unwrap();
    assert_eq!(envelope.datum("a").unwrap().to_string(), "1");
    let asked = script.asked(0).to_ascii_lowercase();
    assert!(asked.starts_with("put /v1/secret/data/a%20b http/1.1\r\n"), "{asked}");
    for line in [
        "x-vault-request: true",
        "x-vault-token: tok",
        "x-vault-namespace: team/",
        "x-vault-wrap-ttl: 60s",
        "x-mine: yes",
    ] {
        assert!(asked.contains(&format!("{line}\r\n")), "{line} in {asked}");
    }
    assert!(asked.ends_with(r#"{"k":"v"}"#));
}

#[tokio::test]
async fn errors_keep_the_servers_texts_and_the_explain_id() {
    let refused = answer(
        "403 Forbidden",
        "X-Strongroom-Explain: ex-1\r\n",
        r#"{"errors":["permission denied"]}"#,
    );
    let gone = answer("404 Not Found", "", r#"{"errors":[]}"#);
    let deleted = answer("404 Not Found", "", r#"{"data":{"data":null,"metadata":{}}}"#);
    let script = Script::start(vec![refused, gone.clone(), gone, deleted]).await;
    let client = script.client(|_| {});
    let error = client.send(Request::get("x")).await.unwrap().envelope().err().unwrap();
    assert_eq!((error.status(), error.explain()), (Some(403), Some("ex-1")));
    assert!(error.to_string().ends_with("Code: 403. Errors:\n\n* permission denied"));
    assert!(client.send(Request::get("x")).await.unwrap().envelope().unwrap().is_none());
    let put = Request::put("x", serde_json::json!({}));
    assert_eq!(client.send(put).await.unwrap().written().err().unwrap().status(), Some(404));
    assert!(client.send(Request::get("x")).await.unwrap().envelope().unwrap().is_some());
}

#[tokio::test]
async fn one_redirect_is_followed_with_body_and_token() {
    let target = Script::start(vec![answer("204 No Content", "", "")]).await;
    let location = format!("Location: {}/v1/moved\r\n", target.address);
    let first = Script::start(vec![
        answer("307 Temporary Redirect", &location, ""),
        answer("307 Temporary Redirect", &location, ""),
    ])
    .await;
    let put = || Request::put("x", serde_json::json!({"k": "v"}));
    let client = first.client(|config| config.token = Some(SecretString::new("tok".into())));
    assert_eq!(client.send(put()).await.unwrap().status, 204);
    assert!(target.asked(0).starts_with("PUT /v1/moved "));
    assert!(target.asked(0).contains("tok") && target.asked(0).ends_with(r#"{"k":"v"}"#));
    let client = first.client(|config| config.follow_redirect = false);
    assert_eq!(client.send(put()).await.unwrap().status, 307);
}

#[tokio::test]
async fn broken_servers_are_asked_again_as_often_as_allowed() {
    for (status, again) in [
        ("500 Oops", true),
        ("503 Sealed", true),
        ("412 Behind", true),
        ("429 Slow", true),
        ("501 No", false),
        ("400 Bad", false),
    ] {
        let broken = answer(status, "", r#"{"errors":["x"]}"#);
        let script = Script::start(vec![broken, answer("204 No Content", "", "")]).await;
        let client = script.client(|config| {
            config.max_retries = 1;
            config.retry_wait = Duration::ZERO;
        });
        let status_seen = client.send(Request::get("x")).await.unwrap().status;
        assert_eq!(status_seen == 204, again, "{status}");
    }
}

#[tokio::test]
async fn what_may_have_been_done_is_not_asked_for_again() {
    let again = |config: &mut Config| {
        config.max_retries = 1;
        config.retry_wait = Duration::ZERO;
    };
    // The server says that it does not know.
    for request in [Request::get("x"), Request::put("x", serde_json::json!({}))] {
        let doubt = answer("503 Broken", "X-Strongroom-In-Doubt: true\r\n", r#"{"errors":["x"]}"#);
        let script = Script::start(vec![doubt, answer("204 No Content", "", "")]).await;
        assert_eq!(script.client(again).send(request).await.unwrap().status, 503);
        assert_eq!(script.seen.lock().unwrap().len(), 1);
    }
    // The connection breaks after the request was sent: a read may be asked for again, a change may not.
    for (request, asked) in [(Request::get("x"), 2), (Request::put("x", serde_json::json!({})), 1)]
    {
        let script = Script::start(vec![String::new(), answer("204 No Content", "", "")]).await;
        let got = script.client(again).send(request).await;
        assert_eq!(got.is_ok(), asked == 2);
        assert_eq!(script.seen.lock().unwrap().len(), asked);
    }
    // What was surely not done may be.
    let broken = answer("503 Sealed", "", r#"{"errors":["x"]}"#);
    let script = Script::start(vec![broken, answer("204 No Content", "", "")]).await;
    let got = script.client(again).send(Request::put("x", serde_json::json!({}))).await;
    assert_eq!(got.unwrap().status, 204);
}

#[tokio::test]
async fn a_closed_port_reads_as_in_go() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let config = Config { address: address.clone(), max_retries: 0, ..Config::default() };
    let error = Client::new(config).unwrap().send(Request::get("x")).await.err().unwrap();
    let port = address.trim_start_matches("http://");
    assert_eq!(
        error.to_string(),
        format!("Get \"{address}/v1/x\": dial tcp {port}: connect: connection refused")
    );
}

#[tokio::test]
async fn unprintable_tokens_are_refused_before_they_are_sent() {
    let config = Config { token: Some(SecretString::new("a\nb".into())), ..Config::default() };
    let error = Client::new(config).unwrap().send(Request::get("x")).await.err().unwrap();
    assert!(error.to_string().contains("non-printable") && !error.to_string().contains("a\nb"));
}

#[test]
fn half_a_client_certificate_is_refused() {
    let config = Config { client_cert: Some("/x".into()), ..Config::default() };
    assert!(Client::new(config).err().unwrap().to_string().contains("both client cert"));
}
