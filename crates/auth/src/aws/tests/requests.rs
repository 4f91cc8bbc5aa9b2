//! What a login's request may be.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{ACCOUNT, SERVER_ID, STS, World, login, refused};

/// A role that anybody of the account may take, and one of them; the server id is asked for.
async fn world() -> (World, Value) {
    let world = World::new().await;
    world.must("config/client", json!({ "iam_server_id_header_value": SERVER_ID })).await;
    world.must("role/web", json!({ "bound_account_id": ACCOUNT })).await;
    let caller = world.user(ACCOUNT, "", "ann", "AIDAANN");
    let body = login(&world.signed(&caller), "web");
    assert_eq!(world.send(body.clone()).await.status, 200);
    (world, body)
}

/// The headers of a login, changed.
fn with_headers(body: &Value, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Value {
    let mut body = body.clone();
    let text = STANDARD.decode(body["iam_request_headers"].as_str().unwrap()).unwrap();
    let mut headers: Value = serde_json::from_slice(&text).unwrap();
    change(headers.as_object_mut().unwrap());
    body["iam_request_headers"] = headers;
    body
}

fn changed(body: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut body = body.clone();
    body[name] = value.into();
    body
}

#[tokio::test]
async fn a_request_can_do_nothing_but_ask_who_signed_it() {
    // threat CVE-2020-16250
    let (world, body) = world().await;
    let before = world.web.calls("");
    let encoded = |text: &str| STANDARD.encode(text);
    for (name, value, text) in [
        ("iam_http_request_method", json!("GET"), "only 'POST'"),
        ("iam_http_request_method", json!(""), "missing iam_http_request_method"),
        ("iam_request_url", json!(""), "missing iam_request_url"),
        ("iam_request_url", json!("%%"), "failed to base64 decode iam_request_url"),
        ("iam_request_url", json!(encoded("sts.amazonaws.com")), "error parsing iam_request_url"),
        ("iam_request_url", json!(encoded("https://sts.amazonaws.com/?Action=x")), "the root"),
        ("iam_request_url", json!(encoded("https://sts.amazonaws.com/x")), "the root"),
        ("iam_request_url", json!(encoded("https://a@sts.amazonaws.com/")), "the root"),
        ("iam_request_url", json!(encoded("https://evil.example/")), "another host"),
        ("iam_request_url", json!(encoded("https://sts.amazonaws.com.evil.example")), "another"),
        ("iam_request_url", json!(encoded("https://iam.amazonaws.com/")), "another host"),
        ("iam_request_body", json!(""), "missing iam_request_body"),
        ("iam_request_body", json!(encoded("Action=GetSessionToken")), "body is invalid"),
        ("iam_request_body", json!(encoded("Version=2011-06-15")), "body is invalid"),
        (
            "iam_request_body",
            json!(encoded("Action=GetCallerIdentity&Action=GetCallerIdentity")),
            "body is invalid",
        ),
        (
            "iam_request_body",
            json!(encoded("Action=GetCallerIdentity&Version=2011-06-15&RoleArn=x")),
            "body is invalid",
        ),
        ("iam_request_headers", Value::Null, "missing iam_request_headers"),
        ("iam_request_headers", json!({}), "missing iam_request_headers"),
        ("iam_request_headers", json!("e30="), "missing iam_request_headers"),
        ("iam_request_headers", json!("%%"), "must be a JSON object"),
        ("iam_request_headers", json!([1]), "must be a JSON object"),
        ("iam_request_headers", json!({ "a b": "c" }), "must be a JSON object"),
        ("iam_request_headers", json!({ "Host": "a\r\nb: c" }), "must be a JSON object"),
        ("iam_request_headers", json!({ "Host": "sts.amazonaws.com" }), "no signature version 4"),
        ("role", json!("none"), "entry for role not found"),
        ("pkcs7", json!("MII"), "EC2 instances can't log in"),
    ] {
        refused(&world.send(changed(&body, name, value)).await, 400, text);
    }
    refused(&world.send(json!({ "role": "web" })).await, 400, "didn't supply required");
    assert_eq!(world.web.calls(""), before, "nobody was asked");
}

#[tokio::test]
async fn the_server_id_must_be_signed() {
    // threat CVE-2020-16250: a signature made for another server is none for this one
    let (world, body) = world().await;
    let before = world.web.calls("");
    let id = "X-Vault-AWS-IAM-Server-ID";
    let gone = with_headers(&body, |headers| drop(headers.remove(id)));
    refused(&world.send(gone).await, 400, "missing header");
    let other = with_headers(&body, |headers| drop(headers.insert(id.into(), json!("other"))));
    let got = world.send(other).await;
    refused(&got, 400, "not this server's");
    assert!(!got.errors().contains(SERVER_ID));
    let twice = with_headers(&body, |headers| {
        headers.insert(id.to_lowercase(), json!("other"));
    });
    refused(&world.send(twice).await, 400, "must be a JSON object");
    let two = with_headers(&body, |headers| {
        headers.insert(id.into(), json!([SERVER_ID, "other"]));
    });
    refused(&world.send(two).await, 400, "not this server's");
    // Signed without the header, which is put beside the signature.
    let caller = world.user(ACCOUNT, "", "eve", "AIDAEVE");
    let now = strongroom_base::Clock::now(&*world.node.clock);
    let mut unsigned =
        strongroom_cloudwire::caller_identity::signed(&caller.credentials(), "", "", now);
    unsigned.headers.push((id.to_owned(), SERVER_ID.to_owned()));
    refused(&world.send(login(&unsigned, "web")).await, 400, "vault header wasn't signed");
    let authorization = |headers: &mut serde_json::Map<String, Value>, to: &str| {
        let old = headers["Authorization"][0].as_str().unwrap().to_owned();
        headers.insert("Authorization".into(), json!(old.replacen("SignedHeaders=", to, 1)));
    };
    // Two lists of signed headers: which one is it?
    let two_lists = with_headers(&login(&unsigned, "web"), |headers| {
        authorization(headers, "SignedHeaders=x-vault-aws-iam-server-id, SignedHeaders=");
    });
    refused(&world.send(two_lists).await, 400, "no signature version 4");
    assert_eq!(world.web.calls(""), before, "nobody was asked");
    // One that says it covers the header, and does not: STS finds that out.
    let claimed = with_headers(&login(&unsigned, "web"), |headers| {
        let old = headers["Authorization"][0].as_str().unwrap();
        let new = old.replace("x-amz-date,", "x-amz-date;x-vault-aws-iam-server-id,");
        headers.insert("Authorization".into(), json!(new));
    });
    refused(&world.send(claimed).await, 400, "received error code 403");
}

#[tokio::test]
async fn headers_are_sent_by_a_list() {
    let (world, body) = world().await;
    let more = |name: &'static str, value: &'static str| {
        with_headers(&body, |headers| drop(headers.insert(name.into(), json!(value))))
    };
    refused(&world.send(more("X-Amz-Foo", "1")).await, 400, "invalid request header");
    refused(&world.send(more("Host", "evil.example")).await, 400, "another host");
    world.must("config/client", json!({ "allowed_sts_header_values": "x-amz-foo" })).await;
    let got = world.read("config/client").await;
    assert_eq!(got.data()["allowed_sts_header_values"], json!(["X-Amz-Foo"]));
    assert_eq!(world.send(more("X-Amz-Foo", "1")).await.status, 200);
    // What is not signed is not sent: it can't turn STS's answer into something else.
    let seen = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
    let (aws, sees) = (world.aws.clone(), seen.clone());
    world.web.serve(STS, move |call| {
        let asked = strongroom_testkit::servers::http::Asked::of(call);
        sees.lock().extend(asked.headers.iter().map(|(name, _)| name.clone()));
        aws.answer(&asked).into_answer()
    });
    assert_eq!(world.send(more("Accept", "application/json")).await.status, 200);
    assert_eq!(world.send(more("Transfer-Encoding", "chunked")).await.status, 200);
    let seen = seen.lock();
    assert!(seen.contains(&"x-vault-aws-iam-server-id".to_owned()), "{seen:?}");
    assert!(!seen.iter().any(|n| n == "accept" || n == "transfer-encoding"), "{seen:?}");
}

#[tokio::test]
async fn tampered_and_old_requests_are_refused() {
    let (world, body) = world().await;
    let wrong = |name: &'static str, value: Value| {
        with_headers(&body, |headers| drop(headers.insert(name.into(), value)))
    };
    for (name, value) in [
        ("Content-Type", json!("text/plain")),
        ("X-Amz-Date", json!("20250101T000000Z")),
        ("X-Amz-Security-Token", json!("made up")),
    ] {
        refused(&world.send(wrong(name, value)).await, 400, "received error code 403");
    }
    let other_host = changed(
        &with_headers(&body, |headers| {
            headers.insert("Host".into(), json!("sts.eu-west-1.amazonaws.com"));
        }),
        "iam_request_url",
        STANDARD.encode("https://sts.eu-west-1.amazonaws.com/"),
    );
    refused(&world.send(other_host).await, 400, "received error code 403");
    let missing = with_headers(&body, |headers| drop(headers.remove("Content-Type")));
    refused(&world.send(missing).await, 400, "a signed header is missing");
    world.node.clock.advance(15 * 60 + 1);
    refused(&world.send(body).await, 400, "received error code 403");
}

#[tokio::test]
async fn a_request_goes_to_the_sts_that_is_configured() {
    // threat CVE-2020-16250: never to its own URL
    let world = World::new().await;
    let (regional, own) = ("https://sts.eu-west-1.amazonaws.com/", "https://sts.proxy.example/");
    world.must("role/web", json!({ "bound_account_id": ACCOUNT })).await;
    let caller = world.user(ACCOUNT, "", "ann", "AIDAANN");
    let signed = |region: &str| {
        let now = strongroom_base::Clock::now(&*world.node.clock);
        strongroom_cloudwire::caller_identity::signed(&caller.credentials(), region, "", now)
    };
    assert_eq!(world.send(login(&signed("eu-west-1"), "web")).await.status, 200);
    assert_eq!((world.web.calls(STS), world.web.calls(regional)), (1, 0));
    world.serve(own);
    world.must("config/client", json!({ "sts_endpoint": own })).await;
    assert_eq!(world.send(login(&signed(""), "web")).await.status, 200);
    assert_eq!((world.web.calls(STS), world.web.calls(own)), (1, 1));
    world.serve(regional);
    world.must("config/client", json!({ "use_sts_region_from_client": true })).await;
    assert_eq!(world.send(login(&signed("eu-west-1"), "web")).await.status, 200);
    assert_eq!((world.web.calls(own), world.web.calls(regional)), (1, 1));
    for bad in ["http://sts.amazonaws.com", "ftp://x", "https://x/?y", "https://x/path"] {
        let got = world.write("config/client", json!({ "sts_endpoint": bad })).await;
        refused(&got, 400, "sts_endpoint must be");
    }
}
