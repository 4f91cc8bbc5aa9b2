//! Tests of the engine through the whole pipeline.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use strongroom_base::Clock;
use strongroom_testkit::{Got, TestNode};

/// RFC 6238's key of 20 bytes, in base32.
const RFC_KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

struct Room(TestNode);

impl Room {
    async fn new() -> Self {
        let node = TestNode::start(specs()).await;
        node.mount("totp", "totp/").await;
        Self(node)
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Got {
        self.0.root(method, &format!("totp/{path}"), body).await
    }

    async fn ok(&self, method: &str, path: &str, body: Value) -> Got {
        let got = self.call(method, path, body).await;
        assert!(matches!(got.status, 200..=204), "{method} {path}: {got:?}");
        got
    }

    /// A write elsewhere.
    async fn at(&self, path: &str, body: Value) -> Got {
        let got = self.0.root("WRITE", path, body).await;
        assert!(matches!(got.status, 200..=204), "{path}: {got:?}");
        got
    }

    async fn code(&self, key: &str) -> String {
        let got = self.ok("READ", &format!("code/{key}"), Value::Null).await;
        got.data()["code"].as_str().unwrap().to_owned()
    }

    /// What checking a code says: `valid`, or the error.
    async fn check(&self, key: &str, code: impl Into<Value>) -> String {
        let body = json!({ "code": code.into() });
        let got = self.call("WRITE", &format!("code/{key}"), body).await;
        match got.status {
            200 => got.data()["valid"].to_string(),
            status => format!("{status} {}", got.errors()),
        }
    }
}

fn specs() -> impl Iterator<Item = strongroom_kernel::plug::Spec> {
    strongroom_system::specs().into_iter().chain([super::spec()])
}

const USED: &str = "400 code already used; wait until the next time period";

#[tokio::test]
async fn a_key_of_somebody_else_makes_codes() {
    let room = Room::new().await;
    let url = format!(
        "otpauth://totp/Google:test@gmail.com?secret={RFC_KEY}&issuer=Google&digits=8&period=60"
    );
    let got = room.call("WRITE", "keys/g", json!({ "url": url })).await;
    assert_eq!((got.status, &got.body), (204, &Value::Null));
    let shown = json!({
        "account_name": "test@gmail.com",
        "algorithm": "SHA1",
        "digits": 8,
        "issuer": "Google",
        "period": 60,
    });
    assert_eq!(room.ok("READ", "keys/g", Value::Null).await.data(), &shown);
    room.0.clock.advance(20);
    let got = room.ok("READ", "code/g", Value::Null).await;
    let now = room.0.clock.now().seconds();
    assert_eq!(got.data()["generated"], now);
    assert_eq!(got.data()["expire_time"], now / 60 * 60 + 60);
    assert_eq!(got.data()["period"], "1m0s");
    assert_eq!(got.data()["code"].as_str().unwrap().len(), 8);
    assert_eq!(room.ok("LIST", "keys", Value::Null).await.data()["keys"], json!(["g"]));
    room.ok("DELETE", "keys/g", Value::Null).await;
    for (method, path, status) in [("READ", "keys/g", 404), ("READ", "code/g", 400)] {
        assert_eq!(room.call(method, path, Value::Null).await.status, status);
    }
    assert_eq!(room.check("g", "12345678").await, "400 unknown key: g");
}

/// RFC 6238's appendix B through the API, at the clock that tests have: by the codes of a second
/// implementation, written here from the RFC alone.
#[tokio::test]
async fn codes_are_those_of_the_rfc() {
    let room = Room::new().await;
    for (algorithm, secret, code) in [
        // The steps of 2026-01-01T00:00:00Z: 58907520, by Python's hmac.
        ("SHA1", "12345678901234567890", RFC_2026[0]),
        ("SHA256", "12345678901234567890123456789012", RFC_2026[1]),
        ("SHA512", "1234567890123456789012345678901234567890123456789012345678901234", RFC_2026[2]),
    ] {
        for key in [
            data_encoding::BASE32_NOPAD.encode(secret.as_bytes()),
            data_encoding::BASE32.encode(secret.as_bytes()).to_lowercase(),
        ] {
            let body = json!({ "key": key, "algorithm": algorithm, "digits": 8 });
            room.ok("WRITE", "keys/rfc", body).await;
            assert_eq!(room.code("rfc").await, code, "{algorithm}");
        }
    }
}

const RFC_2026: [&str; 3] = ["52745690", "83594141", "72079658"];

/// Threats CVE-2025-6014 and CVE-2025-55003: a code is good once, in one spelling, as long as the
/// skew would let it in.
#[tokio::test]
async fn a_code_is_good_once() {
    let mut room = Room::new().await;
    room.ok("WRITE", "keys/k", json!({ "key": RFC_KEY })).await;
    let code = room.code("k").await;
    for spelling in [
        format!(" {code}"),
        format!("{code} "),
        format!("{code}\n"),
        format!("0{code}"),
        code[1..].to_owned(),
        code.chars().map(|c| char::from_u32('０' as u32 + c as u32 - 48).unwrap()).collect(),
    ] {
        let told = room.check("k", spelling).await;
        assert_eq!(told, "400 invalid number of digits for the code");
    }
    assert_eq!(room.check("k", code.as_str()).await, "true");
    for _ in 0..3 {
        assert_eq!(room.check("k", code.as_str()).await, USED);
    }
    room.0.clock.advance(30);
    assert_eq!(room.check("k", code.as_str()).await, USED, "the step before is let in");
    room.0.restart(specs()).await;
    assert_eq!(room.check("k", code.as_str()).await, USED, "after a restart, too");
    // Writing the same key anew changes nothing; neither does another name in the request's body.
    room.ok("WRITE", "keys/k", json!({ "key": RFC_KEY, "issuer": "other" })).await;
    assert_eq!(room.check("k", code.as_str()).await, USED);
    room.0.clock.advance(30);
    assert_eq!(room.check("k", code.as_str()).await, "false", "it has expired");
    assert_eq!(room.check("k", room.code("k").await).await, "true");
}

#[tokio::test]
async fn the_skew_lets_neighbours_in() {
    let room = Room::new().await;
    for (skew, neighbour) in [(0, "false"), (1, "true")] {
        for seconds in [-30, 30] {
            let key = json!({ "key": RFC_KEY, "skew": skew });
            room.ok("DELETE", "keys/k", Value::Null).await;
            room.ok("WRITE", "keys/k", key).await;
            room.0.clock.advance(60);
            let here = room.code("k").await;
            room.0.clock.advance(seconds);
            let there = room.code("k").await;
            room.0.clock.advance(-seconds);
            assert_ne!(here, there);
            assert_eq!(room.check("k", there.as_str()).await, neighbour, "{skew} {seconds}");
            assert_eq!(room.check("k", here.as_str()).await, "true");
        }
    }
}

/// Removing a key, or giving it another secret for a while, makes no code good again.
#[tokio::test]
async fn a_taken_code_outlives_its_key() {
    let room = Room::new().await;
    let write = async |body: Value| room.ok("WRITE", "keys/k", body).await;
    let other = json!({ "key": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" });
    write(json!({ "key": RFC_KEY })).await;
    let code = room.code("k").await;
    assert_eq!(room.check("k", code.as_str()).await, "true");
    room.ok("DELETE", "keys/k", Value::Null).await;
    write(json!({ "key": RFC_KEY })).await;
    assert_eq!(room.check("k", code.as_str()).await, USED, "removed and written again");
    write(other.clone()).await;
    assert_eq!(room.check("k", room.code("k").await).await, "true", "its own codes are not taken");
    write(json!({ "key": RFC_KEY })).await;
    assert_eq!(room.check("k", code.as_str()).await, USED, "another secret for a while");
    room.ok("DELETE", "keys/k", Value::Null).await;
    write(other).await;
    room.ok("DELETE", "keys/k", Value::Null).await;
    write(json!({ "key": RFC_KEY })).await;
    assert_eq!(room.check("k", code.as_str()).await, USED, "both");
    // A skew that lets in what the one before did not.
    write(json!({ "key": RFC_KEY, "skew": 0 })).await;
    room.0.clock.advance(30);
    assert_eq!(room.check("k", room.code("k").await).await, "true");
    write(json!({ "key": RFC_KEY, "skew": 1 })).await;
    assert_eq!(room.check("k", code.as_str()).await, USED, "a wider skew");
    // What is remembered of keys that are gone goes when no code of theirs could be taken.
    room.ok("DELETE", "keys/k", Value::Null).await;
    let services = room.0.services();
    for _ in 0..3 {
        room.0.clock.advance(60);
        strongroom_kernel::reconcile::run_due(&services).await;
    }
    write(json!({ "key": RFC_KEY })).await;
    assert_eq!(room.check("k", room.code("k").await).await, "true");
}

/// As services write them: without padding, with too little of it, with bits left over.
#[tokio::test]
async fn secrets_in_base32_as_services_write_them() {
    let room = Room::new().await;
    let code = async |key: &str| {
        let got = room.call("WRITE", "keys/k", json!({ "key": key })).await;
        match got.status {
            204 => Some(room.code("k").await),
            _ => None,
        }
    };
    // 16 bytes: 26 symbols, of which the last has two bits too many.
    let plain = code("GEZDGNBVGY3TQOJQGEZDGNBVGY").await;
    assert!(plain.is_some());
    for same in [
        "gezdgnbvgy3tqojqgezdgnbvgy",
        "GEZDGNBVGY3TQOJQGEZDGNBVGY======",
        "GEZDGNBVGY3TQOJQGEZDGNBVGY==",
        "GEZDGNBVGY3TQOJQGEZDGNBVGZ",
        "GEZDGNBVGY3TQOJQGEZDGNBVG3======",
    ] {
        assert_eq!(code(same).await, plain, "{same}");
    }
    for wrong in ["G", "GEZ", "GEZDGN", "GE========", "GE=ZDGNB", "GE1A", "=", "GE ZD"] {
        assert_eq!(code(wrong).await, None, "{wrong}");
    }
}

/// Who guesses wrong waits by itself; several together do not try for ever.
#[tokio::test]
async fn guesses_lock_out_who_guesses() {
    let room = Room::new().await;
    room.ok("WRITE", "keys/k", json!({ "key": RFC_KEY })).await;
    room.0.policy("codes", "path \"totp/code/k\" { capabilities = [\"update\"] }").await;
    let accessor = room.0.root("READ", "sys/auth", Value::Null).await;
    let accessor = accessor.data()["token/"]["accessor"].clone();
    room.at("auth/token/roles/r", json!({ "allowed_entity_aliases": "u*" })).await;
    let mut tokens = Vec::new();
    for i in 0..5 {
        let name = format!("u{i}");
        let entity = room.at("identity/entity", json!({ "name": name })).await;
        let alias = json!({
            "name": name, "canonical_id": entity.data()["id"], "mount_accessor": accessor,
        });
        room.at("identity/entity-alias", alias).await;
        let body = json!({ "entity_alias": name, "policies": ["codes"] });
        tokens.push(room.at("auth/token/create/r", body).await.token());
    }
    let good = room.code("k").await;
    let wrong = if good == "000000" { "000001" } else { "000000" };
    let check = async |token: &str, code: &str| {
        let got = room.0.call("WRITE", "totp/code/k", token, json!({ "code": code })).await;
        match got.status {
            200 => got.data()["valid"].to_string(),
            status => format!("{status} {}", got.errors()),
        }
    };
    let limited =
        |most| format!("429 maximum validation attempts {most} exceeded; try again in 90s");
    for _ in 0..5 {
        assert_eq!(check(&tokens[0], wrong).await, "false");
    }
    assert_eq!(check(&tokens[0], wrong).await, limited(5));
    // The others go on, and one's success gives the first no new guesses.
    assert_eq!(check(&tokens[1], &good).await, "true");
    assert_eq!(check(&tokens[0], wrong).await, limited(5));
    for token in &tokens[1..4] {
        for _ in 0..5 {
            assert_eq!(check(token, wrong).await, "false");
        }
    }
    assert_eq!(check(&tokens[4], wrong).await, limited(20), "all together");
    room.0.clock.advance(90);
    assert_eq!(check(&tokens[0], wrong).await, "false");
}

/// Threat CVE-2025-6015: guesses are counted by key and caller, wherever they come from.
#[tokio::test]
async fn guesses_are_limited() {
    let mut room = Room::new().await;
    room.ok("WRITE", "keys/k", json!({ "key": RFC_KEY })).await;
    let good = room.code("k").await;
    let wrong = if good == "000000" { "000001" } else { "000000" };
    let limited = |seconds: i64| {
        format!("429 maximum validation attempts 5 exceeded; try again in {seconds}s")
    };
    for _ in 0..5 {
        assert_eq!(room.check("k", wrong).await, "false");
    }
    assert_eq!(room.check("k", wrong).await, limited(90));
    assert_eq!(room.check("k", good.as_str()).await, limited(90), "also for the right one");
    room.0.restart(specs()).await;
    room.0.clock.advance(89);
    assert_eq!(room.check("k", room.code("k").await).await, limited(1));
    room.0.clock.advance(1);
    assert_eq!(room.check("k", wrong).await, "false");
    assert_eq!(room.check("k", room.code("k").await).await, "true");
    // A success begins the count anew.
    for _ in 0..5 {
        assert_eq!(room.check("k", wrong).await, "false");
    }
}

#[tokio::test]
async fn a_key_that_is_made_here_leaves_once() {
    let room = Room::new().await;
    let body = json!({
        "generate": true, "issuer": "Big Corp", "account_name": "a@b.c", "algorithm": "SHA256",
    });
    let got = room.ok("WRITE", "keys/own", body.clone()).await;
    let url = got.data()["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(
        "otpauth://totp/Big%20Corp:a@b.c?algorithm=SHA256&digits=6&issuer=Big%20Corp&period=30&secret="
    ));
    let secret = url.rsplit('=').next().unwrap();
    assert_eq!(secret.len(), 32, "20 bytes");
    let picture = STANDARD.decode(got.data()["barcode"].as_str().unwrap()).unwrap();
    assert_eq!(read_picture(&picture), (200, url.clone()));
    let got = room.ok("READ", "keys/own", Value::Null).await;
    assert!(!got.body.to_string().contains(secret));
    // Who takes the URL has the same codes.
    room.ok("WRITE", "keys/taken", json!({ "url": url })).await;
    assert_eq!(room.code("own").await, room.code("taken").await);
    let before = room.code("own").await;
    let mut hidden = body.clone();
    hidden["exported"] = false.into();
    let got = room.call("WRITE", "keys/own", hidden).await;
    assert_eq!((got.status, got.body), (204, Value::Null));
    assert_ne!(room.code("own").await, before);
    for (size, pixels) in [(0, None), (64, Some(64)), (333, Some(333))] {
        let mut sized = body.clone();
        sized["qr_size"] = size.into();
        sized["key_size"] = 16.into();
        let got = room.ok("WRITE", "keys/own", sized).await;
        let picture = got.data().get("barcode").map(|text| {
            let read = read_picture(&STANDARD.decode(text.as_str().unwrap()).unwrap());
            assert_eq!(read.1, got.data()["url"].as_str().unwrap());
            read.0
        });
        assert_eq!(picture, pixels);
    }
}

/// The pixels of a picture's side, and the text of its QR code by another reader.
fn read_picture(bytes: &[u8]) -> (usize, String) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut bits = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bits).unwrap();
    assert_eq!(info.width, info.height);
    let side = info.width as usize;
    let light = |x: usize, y: usize| bits[y * info.line_size + x / 8] & (0x80 >> (x % 8)) != 0;
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(
            side,
            side,
            |x, y| {
                if light(x, y) { 255 } else { 0 }
            },
        );
    let grids = image.detect_grids();
    let (_, text) = grids.first().expect("a QR code").decode().unwrap();
    (side, text)
}

#[tokio::test]
async fn wrong_keys_are_refused_and_nothing_is_stored() {
    let room = Room::new().await;
    let own = |more: Value| {
        let mut body = json!({ "generate": true, "issuer": "i", "account_name": "a" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let long = "x".repeat(513);
    for (body, problem) in [
        (json!({}), "the key value is required"),
        (json!({ "key": "" }), "the key value is required"),
        (json!({ "key": "not base32!" }), "invalid key value: it is not base32"),
        (json!({ "key": "1890" }), "invalid key value: it is not base32"),
        (json!({ "key": "==" }), "invalid key value: it is not base32"),
        (json!({ "url": "otpauth://totp/a?issuer=b" }), "the key value is required"),
        (json!({ "url": "nothing" }), "an error occurred while parsing url string"),
        (
            json!({ "url": format!("otpauth://totp/a?secret={RFC_KEY}&digits=x") }),
            "an error occurred while parsing digits value in url",
        ),
        (json!({ "key": RFC_KEY, "digits": 7 }), "the digits value can only be 6 or 8"),
        (json!({ "key": RFC_KEY, "algorithm": "MD5" }), "the algorithm value is not valid"),
        (json!({ "key": RFC_KEY, "period": 0 }), "the period value must be greater than zero"),
        (json!({ "key": RFC_KEY, "period": -1 }), "the period value must be greater than zero"),
        (json!({ "key": RFC_KEY, "skew": 2 }), "the skew value must be 0 or 1"),
        (json!({ "key": RFC_KEY, "skew": -1 }), "the skew value must be 0 or 1"),
        (
            json!({ "key": RFC_KEY, "issuer": long }),
            "the issuer and account_name values must be shorter",
        ),
        (own(json!({ "key": RFC_KEY })), "a key should not be passed if generate is true"),
        (own(json!({ "url": "x" })), "a url should not be passed if generate is true"),
        (own(json!({ "issuer": "" })), "the issuer value is required for generated keys"),
        (
            own(json!({ "account_name": "" })),
            "the account_name value is required for generated keys",
        ),
        (own(json!({ "key_size": 0 })), "the key_size value must be greater than zero"),
        (own(json!({ "key_size": 15 })), "the key_size value must be at least 16"),
        (own(json!({ "key_size": 129 })), "the key_size value must be at most 128"),
        (own(json!({ "qr_size": -1 })), "the qr_size value must be greater than or equal to zero"),
        (own(json!({ "qr_size": 4097 })), "the qr_size value must be at most 4096"),
        (own(json!({ "qr_size": 20 })), "the qr_size value must be at least 41 for this key"),
    ] {
        let got = room.call("WRITE", "keys/k", body.clone()).await;
        assert_eq!((got.status, got.errors().as_str()), (400, problem), "{body}");
        assert!(!got.errors().contains(RFC_KEY));
        assert_eq!(room.call("READ", "keys/k", Value::Null).await.status, 404, "{body}");
    }
    assert_eq!(room.call("WRITE", "keys/a b", json!({ "key": RFC_KEY })).await.status, 404);
    room.ok("WRITE", "keys/k", json!({ "key": RFC_KEY })).await;
    for body in [json!({}), json!({ "code": "" })] {
        let got = room.call("WRITE", "code/k", body).await;
        assert_eq!((got.status, got.errors().as_str()), (400, "the code value is required"));
    }
    assert_eq!(room.check("k", 12345).await, "400 invalid number of digits for the code");
    assert_eq!(room.check("k", "12345a").await, "400 invalid number of digits for the code");
}
