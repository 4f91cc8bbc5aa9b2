//! What proves a name, and what does not (RFC 8555 §8, RFC 8737).

use super::*;
use strongroom_crypto::x509::ids;

/// An order of one name, its authorization, and the path of the challenge of `kind`.
async fn begun(client: &Client<'_>, name: &str, kind: &str) -> (String, String, Value, String) {
    let (path, order) = client.order(&[name]).await;
    let (at, body) = client.authorizations(&order).await.remove(0);
    let challenge = client.below(challenge(&body, kind)["url"].as_str().unwrap());
    (path, at, body, challenge)
}

#[tokio::test]
async fn each_kind_of_challenge_proves_a_name() {
    let room = Room::new().await;
    room.acme(json!({ "dns_resolver": "192.0.2.53:5353" })).await;
    let client = Client::registered(&room, "acme/").await;
    for (name, kind) in [
        ("a.example.com", "http-01"),
        ("192.0.2.1", "http-01"),
        ("b.example.com", "dns-01"),
        ("*.example.com", "dns-01"),
        ("c.example.com", "tls-alpn-01"),
    ] {
        let (path, order) = client.order(&[name]).await;
        client.prove(&order, kind).await;
        let (_, body) = client.authorizations(&order).await.remove(0);
        assert_eq!(body["status"], "valid", "{name}: {body}");
        assert!(body["expires"].as_str().is_some_and(|at| at.starts_with("2026-01-16")), "{body}");
        let met = challenge(&body, kind);
        assert_eq!(met["status"], "valid");
        assert!(met["validated"].is_string() && met.get("error").is_none(), "{met}");
        assert_eq!(client.get(&path).await.body["status"], "ready");
        let proven = name.strip_prefix("*.").unwrap_or(name);
        assert!(room.outside.looks().contains(&format!("{kind} {proven}")));
    }
    assert_eq!(room.outside.resolver(), Some("192.0.2.53:5353".parse().unwrap()));
    assert_eq!(room.outside.looks().len(), 5, "what is proved is not looked at again");
    // What was decided without a request is in the audit log.
    let log = String::from_utf8(room.node.audit.contents()).unwrap();
    let decided = log.lines().filter(|line| line.contains("\"validate\"")).count();
    assert!(decided >= 5, "{decided}");
}

#[tokio::test]
async fn a_wrong_answer_is_looked_at_some_times_and_then_final() {
    let room = Room::new().await;
    let client = Client::registered(&room, "acme/").await;
    let (path, at, body, challenge_at) = begun(&client, "a.example.com", "http-01").await;
    let token = challenge(&body, "http-01")["token"].as_str().unwrap().to_owned();
    let stranger = jwk(&new_key()).thumbprint();
    room.outside.put_file("a.example.com", &token, format!("{token}.{stranger}"));
    client.post(&challenge_at, json!({})).await;
    room.work().await;
    let seen = client.get(&challenge_at).await.body;
    assert_eq!(seen["status"], "processing", "{seen}");
    assert_eq!(seen["error"]["type"], "urn:ietf:params:acme:error:incorrectResponse");
    assert!(!seen["error"].to_string().contains(&stranger), "what was read is not repeated");
    let early = room.outside.looks().len();
    assert!((2..=4).contains(&early), "there is a growing pause between two looks: {early}");
    for _ in 0..10 {
        room.work().await;
    }
    assert_eq!(room.outside.looks().len(), 7);
    let seen = client.get(&at).await.body;
    assert_eq!(seen["status"], "invalid");
    assert_eq!(challenge(&seen, "http-01")["status"], "invalid");
    assert_eq!(client.get(&path).await.body["status"], "invalid");
    // The right answer comes too late.
    client.prepare(&body, "http-01");
    assert_eq!(problem(&client.post(&challenge_at, json!({})).await).1, "malformed");
    room.work().await;
    assert_eq!(client.get(&at).await.body["status"], "invalid");
}

#[tokio::test]
async fn a_host_that_answers_late_still_proves() {
    let room = Room::new().await;
    let client = Client::registered(&room, "acme/").await;
    let (path, _, body, challenge_at) = begun(&client, "a.example.com", "http-01").await;
    room.outside.silence("a.example.com", true);
    client.prepare(&body, "http-01");
    client.post(&challenge_at, json!({})).await;
    room.work().await;
    let seen = client.get(&challenge_at).await.body;
    assert_eq!(seen["error"]["type"], "urn:ietf:params:acme:error:connection");
    room.outside.silence("a.example.com", false);
    for _ in 0..3 {
        room.work().await;
    }
    assert_eq!(client.get(&path).await.body["status"], "ready");
}

/// What is to be validated is on record: another life of the server goes on with it.
#[tokio::test]
async fn a_restart_loses_no_validation() {
    let mut room = Room::new().await;
    let (key, kid, path) = {
        let client = Client::registered(&room, "acme/").await;
        let (path, _, body, challenge_at) = begun(&client, "a.example.com", "dns-01").await;
        client.prepare(&body, "dns-01");
        client.post(&challenge_at, json!({})).await;
        (client.key, client.kid, path)
    };
    let specs = strongroom_system::specs();
    let specs = specs.into_iter().chain([super::super::super::spec(room.outside.clone())]);
    room.node.restart(specs).await;
    room.work().await;
    let mut client = Client::new(&room, "acme/");
    (client.key, client.kid) = (key, kid);
    assert_eq!(client.get(&path).await.body["status"], "ready");
}

/// RFC 8737 §3, rule by rule.
#[tokio::test]
async fn certificates_that_prove_nothing() {
    let room = Room::new().await;
    let client = Client::registered(&room, "acme/").await;
    let name = "a.example.com";
    let (_, _, body, challenge_at) = begun(&client, name, "tls-alpn-01").await;
    let answer = client.key_authorization(&challenge(&body, "tls-alpn-01"));
    let digest = strongroom_crypto::sha256(answer.as_bytes());
    client.post(&challenge_at, json!({})).await;
    let (key, other) = (new_key(), new_key());
    let with = |names: &[&str], digest: &[u8], critical: bool, more: Vec<Extension>| {
        let names: Vec<_> = names.iter().map(|name| general(name)).collect();
        vec![tls_certificate_with(&names, digest, critical, more, &key, None)]
    };
    let good = with(&[name], &digest, true, Vec::new());
    let unknown = |critical| Extension { oid: "1.2.3.4".to_owned(), critical, value: vec![5, 0] };
    let names = [general(name)];
    let cases = [
        ("nothing", vec![]),
        ("no certificate", vec![b"x".to_vec()]),
        ("two", [good.clone(), good.clone()].concat()),
        ("another name", with(&["b.example.com"], &digest, true, Vec::new())),
        ("two names", with(&[name, "b.example.com"], &digest, true, Vec::new())),
        ("an address besides", with(&[name, "192.0.2.1"], &digest, true, Vec::new())),
        ("another digest", with(&[name], &[7; 32], true, Vec::new())),
        ("a short digest", with(&[name], &digest[..31], true, Vec::new())),
        ("not critical", with(&[name], &digest, false, Vec::new())),
        ("an unknown critical extension", with(&[name], &digest, true, vec![unknown(true)])),
        (
            "signed by another",
            vec![tls_certificate_with(&names, &digest, true, Vec::new(), &key, Some(&other))],
        ),
    ];
    for (what, shown) in cases {
        assert!(super::super::proof::tls_alpn(&shown, name, &answer).is_err(), "{what}");
    }
    let basic = Extension::basic_constraints(false, None);
    assert!(basic.oid == ids::BASIC_CONSTRAINTS);
    for shown in [good, with(&["A.Example.com"], &digest, true, vec![unknown(false), basic])] {
        let proved = super::super::proof::tls_alpn(&shown, name, &answer);
        assert!(proved.is_ok(), "{proved:?}");
    }
}

#[tokio::test]
async fn so_many_wait_to_be_looked_at_and_no_more() {
    let room = Room::new().await;
    let client = Client::registered(&room, "acme/").await;
    let mut waiting = 0;
    'all: loop {
        let names: Vec<String> = (0..100).map(|i| format!("a{i}.b{waiting}.example.com")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (_, order) = client.order(&names).await;
        for url in order["authorizations"].as_array().unwrap() {
            let id = url.as_str().unwrap().rsplit('/').next().unwrap();
            let got = client.post(&format!("challenge/{id}/dns-01"), json!({})).await;
            if got.status != 200 {
                assert_eq!(problem(&got), (429, "rateLimited".to_owned()));
                break 'all;
            }
            waiting += 1;
        }
    }
    // Half of all places are what one site may have; there are some for others.
    assert_eq!(waiting, super::super::limits::VALIDATIONS / 2);
    room.node.come_from("192.0.2.77");
    let other = Client::registered(&room, "acme/").await;
    let (_, order) = other.order(&["c.example.com"]).await;
    let url = order["authorizations"][0].as_str().unwrap();
    let id = url.rsplit('/').next().unwrap();
    let got = other.post(&format!("challenge/{id}/dns-01"), json!({})).await;
    assert_eq!(got.status, 200, "{got:?}");
}

/// Hosts that do not answer hold up who asked for them, and no others.
#[tokio::test]
async fn silent_hosts_of_one_site_leave_others_their_looks() {
    let room = Room::new().await;
    let slow = Client::registered(&room, "acme/").await;
    let names: Vec<String> = (0..100).map(|i| format!("a{i}.silent.example.com")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in &names {
        room.outside.hang(name);
    }
    let (_, order) = slow.order(&names).await;
    for url in order["authorizations"].as_array().unwrap() {
        let id = url.as_str().unwrap().rsplit('/').next().unwrap();
        let got = slow.post(&format!("challenge/{id}/http-01"), json!({})).await;
        assert_eq!(got.status, 200, "{got:?}");
    }
    room.work().await;
    room.node.come_from("192.0.2.77");
    let other = Client::registered(&room, "acme/").await;
    other.certificate(&["b.example.com"], "http-01").await;
}

/// What nobody proved in time nobody can have us look at.
#[tokio::test]
async fn an_order_that_is_over_is_looked_at_no_more() {
    let room = Room::new().await;
    let client = Client::registered(&room, "acme/").await;
    let (_, order) = client.order(&["a.example.com"]).await;
    let (path, authorization) = client.authorizations(&order).await.remove(0);
    assert_eq!(authorization["expires"], order["expires"]);
    let url = challenge(&authorization, "http-01")["url"].as_str().unwrap().to_owned();
    room.node.clock.advance(24 * 3_600);
    let got = client.post(&client.below(&url), json!({})).await;
    assert_eq!(problem(&got), (400, "malformed".to_owned()));
    assert_eq!(client.get(&path).await.body["status"], "invalid");
}
