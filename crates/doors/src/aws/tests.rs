//! The door before a real node: signatures as clients make them, and as others change them.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use strongroom_base::{RequestPath, Result, SecretString, Timestamp, fields};
use strongroom_cloudwire::sigv4::{self, Credentials, hash_of};
use strongroom_kernel::pipeline::{Bounds, handle, refuse};
use strongroom_kernel::plug::{Class, EngineSpec, Peer, Protocol, Query, ReadCx, Reply, Spec, ops};
use strongroom_testkit::TestNode;

use super::scope::tests::regions;
use super::{Received, Regions, render};

const HOST: &str = "localhost:4566";
const FORM: &str = "application/x-www-form-urlencoded";
pub(super) const WHO: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// A request as it goes over the wire.
#[derive(Clone)]
pub(super) struct Wire {
    method: &'static str,
    pub uri: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Wire {
    pub fn form(body: &str) -> Self {
        let headers = vec![
            ("host".to_owned(), HOST.to_owned()),
            ("content-type".to_owned(), FORM.to_owned()),
        ];
        Self { method: "POST", uri: "/".to_owned(), headers, body: body.to_owned() }
    }

    pub fn json(target: &str, body: &str) -> Self {
        let mut wire = Self::form(body);
        wire.set("content-type", "application/x-amz-json-1.1");
        wire.set("x-amz-target", target);
        wire
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    pub fn get(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.unwrap().1.clone()
    }

    pub fn signed(mut self, key: &Key, region: &str, service: &str, at: Timestamp) -> Self {
        let payload = hash_of(self.body.as_bytes());
        let request = sigv4::Request {
            method: self.method,
            path: "/",
            query: self.uri.split_once('?').map_or("", |(_, query)| query),
            headers: &self.headers,
            payload: &payload,
            normalise: true,
        };
        let added = sigv4::sign(request, &key.credentials(), region, service, at);
        self.headers.extend(added);
        self
    }
}

#[derive(Clone)]
pub(super) struct Key {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

impl Key {
    fn credentials(&self) -> Credentials {
        Credentials {
            access_key: self.id.clone(),
            secret_key: SecretString::new(self.secret.clone()),
            session_token: self.token.clone().map(SecretString::new),
        }
    }
}

pub(super) struct Room {
    pub node: TestNode,
    regions: Arc<Regions>,
}

impl Room {
    pub async fn new() -> Self {
        let (kv, transit) = (strongroom_engines::kv::spec(), strongroom_engines::transit::spec());
        let specs = [strongroom_auth::aws_door::spec(), probe(), kv, transit];
        let node = TestNode::start(specs).await;
        node.mount("aws-door", "auth/aws-door/").await;
        for kind in ["probe", "transit"] {
            node.mount(kind, &format!("{kind}/")).await;
        }
        Self { node, regions: regions() }
    }

    pub fn now(&self) -> Timestamp {
        strongroom_base::Clock::now(&*self.node.clock)
    }

    pub async fn role(&self, name: &str, body: Value) {
        let got = self.node.root("WRITE", &format!("auth/aws-door/role/{name}"), body).await;
        assert_eq!(got.status, 204, "{got:?}");
    }

    pub async fn key(&self, role: &str) -> Key {
        let path = format!("auth/aws-door/role/{role}/key");
        let got = self.node.root("WRITE", &path, json!({})).await;
        let field = |name: &str| got.data()[name].as_str().unwrap().to_owned();
        Key { id: field("access_key"), secret: field("secret_key"), token: None }
    }

    /// Sends it; status and body.
    pub async fn send(&self, wire: &Wire) -> (u16, String) {
        self.try_send(wire).await.unwrap()
    }

    /// The same; nothing where it is no HTTP.
    pub async fn try_send(&self, wire: &Wire) -> Option<(u16, String)> {
        self.send_to(wire, None).await
    }

    /// The same, carried out at another path.
    pub async fn send_to(&self, wire: &Wire, path: Option<&str>) -> Option<(u16, String)> {
        let mut request = Request::builder().method(wire.method).uri(&wire.uri);
        for (name, value) in &wire.headers {
            request = request.header(name, value);
        }
        let (parts, ()) = request.body(()).ok()?.into_parts();
        let received = Received {
            parts: &parts,
            body: Bytes::from(wire.body.clone()),
            peer: Peer { ip: Some("10.1.2.3".parse().unwrap()), ..Peer::default() },
            secure: true,
            bounds: Bounds::default(),
        };
        let response = match received.prepare(&self.regions) {
            Ok(mut prepared) => {
                if let Some(path) = path {
                    prepared.call.path = RequestPath::parse(path).unwrap();
                }
                let answer = handle(&self.node.node, prepared.call).await;
                render(prepared.answer, answer)
            }
            Err((form, error)) => {
                let peer = Peer { ip: Some("10.1.2.3".parse().unwrap()), ..Peer::default() };
                let call = super::refused(&self.regions, peer).unwrap();
                let answer = refuse(&self.node.node, call, error).await;
                let error = answer.result.err().unwrap();
                super::failure(form, &error, "none")
            }
        };
        let body = String::from_utf8(response.body().to_vec()).unwrap();
        Some((response.status().as_u16(), body))
    }

    /// GetCallerIdentity, signed by `key`.
    async fn who(&self, key: &Key) -> (u16, String) {
        self.send(&Wire::form(WHO).signed(key, "us-east-1", "sts", self.now())).await
    }

    pub async fn must(&self, key: &Key, form: &str) -> Value {
        let (status, body) =
            self.send(&Wire::form(form).signed(key, "us-east-1", "sts", self.now())).await;
        assert_eq!(status, 200, "{form}: {body}");
        let take = |name: &str| {
            let (_, rest) = body.split_once(&format!("<{name}>")).unwrap_or_default();
            rest.split_once("</").map_or("", |(value, _)| value).to_owned()
        };
        json!({
            "id": take("AccessKeyId"), "secret": take("SecretAccessKey"),
            "token": take("SessionToken"), "arn": take("Arn"), "user": take("UserId"),
            "account": take("Account"), "assumed": take("AssumedRoleId"), "end": take("Expiration"),
        })
    }
}

pub(super) fn keys_of(answer: &Value) -> Key {
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    Key { id: text("id"), secret: text("secret"), token: Some(text("token")) }
}

pub(super) fn code(body: &str) -> String {
    if let Some((_, rest)) = body.split_once("<Code>") {
        return rest.split_once('<').unwrap().0.to_owned();
    }
    let json: Value = serde_json::from_str(body).unwrap();
    json["__type"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_is_not_signed_well_is_refused() {
    let room = Room::new().await;
    room.role("ci", json!({})).await;
    let key = room.key("ci").await;
    let now = room.now();
    let good = Wire::form(WHO).signed(&key, "us-east-1", "sts", now);
    assert_eq!(room.send(&good).await.0, 200);
    let changed = |change: &dyn Fn(&mut Wire)| {
        let mut wire = good.clone();
        change(&mut wire);
        wire
    };
    let authorization = good.get("authorization");
    let reauthorized = |from: &str, to: &str| {
        changed(&|w| w.set("authorization", &authorization.replace(from, to)))
    };
    let by = |key: &Key, region: &str, service: &str, at: i64| {
        Wire::form(WHO).signed(key, region, service, now.plus_seconds(at))
    };
    let foreign = Key { id: "AKIAAAAAAAAAAAAAAAAA".to_owned(), ..key.clone() };
    let guessed = Key { secret: "x".repeat(40), ..key.clone() };
    let tokened = Key { token: Some("c2VjcmV0".to_owned()), ..key.clone() };
    for (name, wire, expect) in [
        ("nothing", Wire::form(WHO), "MissingAuthenticationToken"),
        ("no authorization", reauthorized("AWS4-HMAC-SHA256 ", "Bearer "), "IncompleteSignature"),
        ("no signature", reauthorized(", Signature=", ", Sig="), "IncompleteSignature"),
        ("unknown key", by(&foreign, "us-east-1", "sts", 0), "InvalidClientTokenId"),
        ("another's token", by(&tokened, "us-east-1", "sts", 0), "InvalidClientTokenId"),
        ("wrong secret", by(&guessed, "us-east-1", "sts", 0), "SignatureDoesNotMatch"),
        ("wrong service", by(&key, "us-east-1", "s3", 0), "SignatureDoesNotMatch"),
        ("no region", by(&key, "US_EAST", "sts", 0), "SignatureDoesNotMatch"),
        ("late", by(&key, "us-east-1", "sts", -301), "SignatureDoesNotMatch"),
        ("early", by(&key, "us-east-1", "sts", 301), "SignatureDoesNotMatch"),
        ("changed body", changed(&|w| w.body.push_str("&x=y")), "SignatureDoesNotMatch"),
        ("changed query", changed(&|w| w.uri.push_str("?x=y")), "SignatureDoesNotMatch"),
        ("changed host", changed(&|w| w.set("host", "other:1")), "SignatureDoesNotMatch"),
        (
            "moved date",
            changed(&|w| w.set("x-amz-date", "20200101T000000Z")),
            "SignatureDoesNotMatch",
        ),
        ("added header", changed(&|w| w.set("x-amz-more", "1")), "SignatureDoesNotMatch"),
        (
            "wrong hash",
            changed(&|w| w.set("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")),
            "SignatureDoesNotMatch",
        ),
        ("host not signed", reauthorized("host;", ""), "SignatureDoesNotMatch"),
    ] {
        let (status, body) = room.send(&wire).await;
        assert_eq!(code(&body), expect, "{name}: {body}");
        assert!(matches!(status, 403), "{name}: {status}");
        assert!(!body.contains(&key.secret) && !body.contains("aws4_request"), "{name}: {body}");
    }
    let (_, body) = room.send(&by(&key, "us-east-1", "sts", -301)).await;
    assert!(body.contains("Signature expired: ") && body.contains(" - 5 min.)"), "{body}");
}

#[tokio::test]
async fn a_signature_stays_with_its_operation() {
    let room = Room::new().await;
    room.role("ci", json!({})).await;
    let key = room.key("ci").await;
    let now = room.now();
    // An operation that is there at no service: who asks is found out before that is said.
    let wire = Wire::json("secretsmanager.NoSuchThing", "{}");
    let good = wire.clone().signed(&key, "us-east-1", "secretsmanager", now);
    let (status, body) = room.send(&good).await;
    assert_eq!((status, code(&body).as_str()), (400, "UnknownOperationException"));
    let mut moved = good.clone();
    moved.set("x-amz-target", "secretsmanager.NoOtherThing");
    let (status, body) = room.send(&moved).await;
    assert_eq!((status, code(&body).as_str()), (400, "InvalidSignatureException"), "{body}");
    let (status, body) = room.send(&wire).await;
    assert_eq!((status, code(&body).as_str()), (400, "MissingAuthenticationTokenException"));
    // Not signed at all, the header could be another tomorrow.
    let unsigned = Wire::form("{}").signed(&key, "us-east-1", "secretsmanager", now);
    let mut unsigned = unsigned;
    unsigned.set("x-amz-target", "secretsmanager.NoSuchThing");
    let (_, body) = room.send(&unsigned).await;
    assert_eq!(code(&body), "InvalidSignatureException");
    assert!(body.contains("x-amz-target"), "{body}");
    let unknown = Key { id: "AKIAAAAAAAAAAAAAAAAA".to_owned(), ..key };
    let (_, body) = room.send(&wire.signed(&unknown, "us-east-1", "secretsmanager", now)).await;
    assert_eq!(code(&body), "UnrecognizedClientException");
}

#[tokio::test]
async fn who_calls() {
    let room = Room::new().await;
    room.role("CI", json!({})).await;
    let key = room.key("ci").await;
    let who = room.must(&key, WHO).await;
    assert_eq!(who["arn"], "arn:aws:iam::123456789012:user/ci");
    assert_eq!(who["account"], "123456789012");
    assert!(who["user"].as_str().unwrap().starts_with("AIDA"));
    for (change, back) in [(json!({"disabled": true}), json!({"disabled": false}))] {
        room.role("ci", change).await;
        assert_eq!(code(&room.who(&key).await.1), "InvalidClientTokenId");
        room.role("ci", back).await;
        assert_eq!(room.who(&key).await.0, 200);
    }
    let path = format!("auth/aws-door/role/ci/key/{}", key.id);
    room.node.root("WRITE", &path, json!({"disabled": true})).await;
    assert_eq!(code(&room.who(&key).await.1), "InvalidClientTokenId");
    room.node.root("WRITE", &path, json!({"disabled": false, "ttl": 60})).await;
    assert_eq!(room.who(&key).await.0, 200);
    room.node.clock.advance(60);
    assert_eq!(code(&room.who(&key).await.1), "InvalidClientTokenId");
    // From an address that the role does not allow, and back.
    room.node.root("WRITE", &path, json!({"ttl": 0})).await;
    room.role("ci", json!({"token_bound_cidrs": "192.0.2.0/24"})).await;
    assert_eq!(code(&room.who(&key).await.1), "AccessDenied");
    room.role("ci", json!({"token_bound_cidrs": "10.0.0.0/8"})).await;
    assert_eq!(room.who(&key).await.0, 200);
}

#[tokio::test]
async fn presigned_requests() {
    let room = Room::new().await;
    room.role("ci", json!({})).await;
    let key = room.key("ci").await;
    let presigned = |seconds: i64, at: Timestamp| {
        let date = sigv4::amz_date(at);
        let scope = sigv4::Scope { date: &date[..8], region: "us-east-1", service: "sts" };
        let credential = sigv4::uri_encode(&format!("{}/{scope}", key.id));
        let query = format!(
            "{WHO}&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}\
             &X-Amz-Date={date}&X-Amz-Expires={seconds}&X-Amz-SignedHeaders=host"
        );
        let headers = [("host".to_owned(), HOST.to_owned())];
        let request = sigv4::Request {
            method: "GET",
            path: "/",
            query: &query,
            headers: &headers,
            payload: &hash_of(b""),
            normalise: true,
        };
        let canonical = sigv4::canonical_request(request, &["host"]).unwrap();
        let text = sigv4::string_to_sign(&canonical, &date, scope);
        let secret = SecretString::new(key.secret.clone());
        let signature = sigv4::SigningKey::derive(&secret, scope).sign(&text);
        Wire {
            method: "GET",
            uri: format!("/?{query}&X-Amz-Signature={signature}"),
            headers: headers.to_vec(),
            body: String::new(),
        }
    };
    let now = room.now();
    let (status, body) = room.send(&presigned(60, now.plus_seconds(-60))).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("user/ci"), "{body}");
    let longer = |wire: &mut Wire| wire.uri = wire.uri.replace("Expires=60", "Expires=6000");
    let mut changed = presigned(60, now.plus_seconds(-61));
    longer(&mut changed);
    let mut twice = presigned(60, now);
    twice.uri.push_str("&X-Amz-Expires=6000");
    let mut other = presigned(60, now);
    other.uri = other.uri.replace("GetCallerIdentity", "GetSessionToken");
    for (wire, expect) in [
        (presigned(60, now.plus_seconds(-61)), "SignatureDoesNotMatch"),
        (changed, "SignatureDoesNotMatch"),
        (other, "SignatureDoesNotMatch"),
        (twice, "IncompleteSignature"),
        (presigned(0, now), "IncompleteSignature"),
        (presigned(604_801, now), "IncompleteSignature"),
    ] {
        assert_eq!(code(&room.send(&wire).await.1), expect, "{}", wire.uri);
    }
}

#[tokio::test]
async fn sessions_end_with_their_time_their_role_and_their_key() {
    let room = Room::new().await;
    room.role("ci", json!({})).await;
    room.role("deploy", json!({"trusted_roles": "ci", "max_session_ttl": "1h"})).await;
    room.role("shut", json!({"trusted_roles": "other"})).await;
    let key = room.key("ci").await;
    let assume = |role: &str, more: &str| {
        format!(
            "Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/{role}&RoleSessionName=run-7{more}"
        )
    };
    for (form, expect) in [
        (assume("shut", ""), "AccessDenied"),
        (assume("nowhere", ""), "AccessDenied"),
        (assume("deploy", "&DurationSeconds=899"), "ValidationError"),
        (assume("deploy", "&DurationSeconds=3601"), "ValidationError"),
        (assume("deploy", "&Policy=hunter2"), "MalformedPolicyDocument"),
        (assume("deploy", "&Tags.member.1.Key=a"), "ValidationError"),
        ("Action=GetSessionToken&DurationSeconds=129601".to_owned(), "ValidationError"),
        ("Action=GetFederationToken".to_owned(), "InvalidAction"),
    ] {
        let wire = Wire::form(&form).signed(&key, "us-east-1", "sts", room.now());
        let (_, body) = room.send(&wire).await;
        assert_eq!(code(&body), expect, "{form}: {body}");
        assert!(!body.contains("hunter2"));
    }
    let made = room.must(&key, &assume("deploy", "&DurationSeconds=900")).await;
    assert_eq!(made["arn"], "arn:aws:sts::123456789012:assumed-role/deploy/run-7");
    let session = keys_of(&made);
    room.node.clock.advance(100);
    let who = room.must(&session, WHO).await;
    assert_eq!(who["arn"], made["arn"]);
    // What it is given for a request ends with it.
    let log = String::from_utf8_lossy(&room.node.audit.contents()).into_owned();
    let of_session = |line: &&str| line.contains("run-7") && line.contains("caller-identity");
    let lines: Vec<&str> = log.lines().filter(of_session).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(r#""token_ttl":800"#)));
    assert_eq!(who["user"], made["assumed"]);
    // Without its token, with another's, and changed.
    let without = Key { token: None, ..session.clone() };
    assert_eq!(code(&room.who(&without).await.1), "InvalidClientTokenId");
    let own = keys_of(&room.must(&key, "Action=GetSessionToken").await);
    assert_eq!(room.must(&own, WHO).await["arn"], "arn:aws:iam::123456789012:user/ci");
    let (_, body) = room
        .send(&Wire::form("Action=GetSessionToken").signed(&own, "us-east-1", "sts", room.now()))
        .await;
    assert_eq!(code(&body), "AccessDenied");
    let mixed = Key { token: own.token.clone(), ..session.clone() };
    assert_eq!(code(&room.who(&mixed).await.1), "InvalidClientTokenId");
    let wrong = Key { secret: key.secret.clone(), ..session.clone() };
    assert_eq!(code(&room.who(&wrong).await.1), "SignatureDoesNotMatch");
    // The token must be signed with the rest.
    let mut moved = Wire::form(WHO).signed(&without, "us-east-1", "sts", room.now());
    moved.set("x-amz-security-token", session.token.as_deref().unwrap());
    assert_eq!(code(&room.send(&moved).await.1), "SignatureDoesNotMatch");
    // Off with the key that asked for it, and on again.
    let path = format!("auth/aws-door/role/ci/key/{}", key.id);
    room.node.root("WRITE", &path, json!({"disabled": true})).await;
    assert_eq!(code(&room.who(&session).await.1), "InvalidClientTokenId");
    room.node.root("WRITE", &path, json!({"disabled": false})).await;
    assert_eq!(room.who(&session).await.0, 200);
    room.node.clock.advance(800);
    assert_eq!(code(&room.who(&session).await.1), "ExpiredToken");
    let session = keys_of(&room.must(&key, &assume("deploy", "")).await);
    let at = "auth/aws-door/role/deploy";
    room.node.root("WRITE", &format!("{at}/revoke-sessions"), json!({})).await;
    assert_eq!(code(&room.who(&session).await.1), "InvalidClientTokenId");
    room.node.clock.advance(1);
    let session = keys_of(&room.must(&key, &assume("deploy", "")).await);
    assert_eq!(room.who(&session).await.0, 200);
    // A role of the same name is another one.
    room.node.root("DELETE", at, Value::Null).await;
    room.role("deploy", json!({"trusted_roles": "ci"})).await;
    assert_eq!(code(&room.who(&session).await.1), "InvalidClientTokenId");
}

#[tokio::test]
async fn documents_limit_and_an_explicit_deny_wins() {
    let room = Room::new().await;
    let document = |effect: &str| {
        json!({"policy_document": format!(
            r#"{{"Statement":{{"Effect":"{effect}","Action":"sts:AssumeRole","Resource":"*"}}}}"#
        )})
    };
    room.role("ci", document("Deny")).await;
    room.role("deploy", json!({"trusted_roles": "*"})).await;
    let key = room.key("ci").await;
    let form = "Action=AssumeRole&RoleSessionName=run\
                &RoleArn=arn:aws:iam::123456789012:role/deploy";
    let wire = Wire::form(form).signed(&key, "us-east-1", "sts", room.now());
    let (status, body) = room.send(&wire).await;
    assert_eq!((status, code(&body).as_str()), (403, "AccessDenied"));
    let text = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: \
                sts:AssumeRole on resource: arn:aws:iam::123456789012:role/deploy with an explicit \
                deny in an identity-based policy";
    assert!(body.contains(text), "{body}");
    // Who calls, everybody may ask.
    assert_eq!(room.who(&key).await.0, 200);
    room.role("ci", document("Allow")).await;
    room.must(&key, form).await;
}

#[tokio::test]
async fn nobody_is_known_where_there_is_no_mount() {
    let room = Room::new().await;
    room.role("ci", json!({})).await;
    let key = room.key("ci").await;
    let elsewhere = Regions { auth: "auth/elsewhere/".to_owned(), ..(*room.regions).clone() };
    let elsewhere = Room { regions: Arc::new(elsewhere), ..room };
    assert_eq!(code(&elsewhere.who(&key).await.1), "InvalidClientTokenId");
    let room = Room { regions: regions(), ..elsewhere };
    room.node.node.seal();
    let (status, body) = room.who(&key).await;
    assert_eq!((status, code(&body).as_str()), (503, "ServiceUnavailable"), "{body}");
}

#[tokio::test]
async fn every_outcome_is_recorded_without_its_secrets() {
    let room = Room::new().await;
    room.role("ci", json!({})).await;
    let key = room.key("ci").await;
    let log = || String::from_utf8_lossy(&room.node.audit.contents()).into_owned();
    let lines = || log().lines().filter(|line| line.contains("aws/caller-identity")).count();
    let wrong = Key { secret: "x".repeat(40), ..key.clone() };
    assert_eq!(room.who(&wrong).await.0, 403);
    let refused = lines();
    assert!(refused > 0, "a refusal is recorded");
    let session = keys_of(&room.must(&key, "Action=GetSessionToken").await);
    assert_eq!(room.who(&session).await.0, 200);
    assert!(lines() > refused, "so is an answer");
    let log = log();
    assert!(log.contains("arn:aws:iam::123456789012:user/ci"), "with the caller");
    for secret in [&key.secret, &session.secret, session.token.as_ref().unwrap()] {
        assert!(!log.contains(secret.as_str()));
    }
}

#[tokio::test]
async fn what_nobody_signed_is_recorded_within_bounds() {
    let room = Room::new().await;
    room.role("ci", json!({})).await;
    let key = room.key("ci").await;
    let log = || String::from_utf8_lossy(&room.node.audit.contents()).into_owned();
    let lines = || {
        let log = log();
        let refused = log.lines().filter(|line| line.contains("auth/aws-door/aws/refused"));
        refused.filter(|line| line.contains(r#""type":"response""#)).count()
    };
    let by = |service: &str| Wire::form(WHO).signed(&key, "us-east-1", service, room.now());
    let mut malformed = by("sts");
    malformed.set("authorization", "AWS4-HMAC-SHA256 canary");
    let mut unsigned = by("sts");
    unsigned.set("x-amz-more", "canary");
    for (count, wire) in [Wire::form(WHO), malformed, unsigned, by("s3")].iter().enumerate() {
        assert_eq!(room.send(wire).await.0, 403);
        assert_eq!(lines(), count + 1);
    }
    let seen = log();
    assert!(seen.contains("10.1.2.3") && seen.contains("Request is missing Authentication Token"));
    for secret in [&key.secret, "canary"] {
        assert!(!seen.contains(secret));
    }
    // A flood is counted, and leaves room for what else there is to record.
    for _ in 0..300 {
        assert_eq!(room.send(&Wire::form(WHO)).await.0, 403);
    }
    let written = lines();
    assert!((100..200).contains(&written), "{written}");
    room.node.clock.advance(60);
    assert_eq!(room.send(&Wire::form(WHO)).await.0, 403);
    assert_eq!(lines(), written + 1);
    assert!(log().contains(r#""refusals_left_out":"#), "the next line says how many");
}

/// An engine that does not ask for documents itself.
struct Probe;

fields! {
    /// Looks at nothing.
    pub struct Look {}
}

ops! {
    Look (), Write, Needs;
}

impl Query<Look> for Probe {
    async fn query(&self, _: &ReadCx<'_>, _: Look) -> Result<Reply<()>> {
        Ok(Reply::none())
    }
}

fn probe() -> Spec {
    EngineSpec::new("probe", Class::Secret, |_| Ok(Probe))
        .query::<Look>("aws/look")
        .only_for(Protocol::Aws)
        .needs("aws/look", |_, _, _| Ok(Vec::new()))
        .build()
}

#[tokio::test]
async fn documents_are_asked_where_the_operation_does_not_ask() {
    let room = Room::new().await;
    room.role("ci", json!({})).await;
    let key = room.key("ci").await;
    let look = async || {
        let wire = Wire::form(WHO).signed(&key, "us-east-1", "sts", room.now());
        room.send_to(&wire, Some("probe/aws/look")).await.unwrap()
    };
    assert_eq!(look().await.0, 200);
    let statement = |effect: &str, action: &str| {
        json!({"policy_document": format!(
            r#"{{"Statement":{{"Effect":"{effect}","Action":"{action}","Resource":"*"}}}}"#
        )})
    };
    for (effect, action, expect) in [
        ("Allow", "sts:GetCallerIdentity", 200),
        ("Allow", "sts:*", 200),
        ("Allow", "kms:*", 403),
        ("Deny", "sts:Get*", 403),
    ] {
        room.role("ci", statement(effect, action)).await;
        let (status, body) = look().await;
        assert_eq!(status, expect, "{effect} {action}: {body}");
    }
}
