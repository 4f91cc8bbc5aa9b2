//! AWS's own cases (awslabs/aws-c-auth, "aws-signing-test-suite/v4": testdata/sigv4.json holds all
//! that sign by a header), and what must not pass.

use serde_json::Value;
use strongroom_base::{SecretString, Timestamp};

use super::{Authorization, Credentials, Request, canonical_request, hash_of, sign, verify};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn time() -> Timestamp {
    Timestamp::parse("2015-08-30T12:36:00Z").unwrap()
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap()
}

#[test]
fn aws_own_cases() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../testdata/sigv4.json")).unwrap();
    assert_eq!(cases.len(), 38);
    for case in &cases {
        let name = text(case, "name");
        let pair = |pair: &Value| {
            (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned())
        };
        let mut headers: Vec<(String, String)> =
            case["headers"].as_array().unwrap().iter().map(pair).collect();
        let payload = hash_of(text(case, "body").as_bytes());
        if case["sign_body"] == true {
            headers.push(("x-amz-content-sha256".to_owned(), payload.clone()));
        }
        let token = case["token"].as_str().filter(|_| case["omit_token"] == false);
        let credentials = Credentials {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: SecretString::new(SECRET.to_owned()),
            session_token: token.map(|token| SecretString::new(token.to_owned())),
        };
        let request = Request {
            method: text(case, "method"),
            path: text(case, "path"),
            query: text(case, "query"),
            headers: &headers,
            payload: &payload,
            normalise: case["normalise"] == true,
        };
        let mut added = sign(request, &credentials, "us-east-1", "service", time());
        let (_, authorization) = added.pop().unwrap();
        let all = [headers.clone(), added].concat();
        let request = Request { headers: &all, ..request };
        let parsed = Authorization::parse(&authorization).unwrap();
        let canonical = canonical_request(request, &parsed.signed_headers).unwrap();
        assert_eq!(canonical, text(case, "canonical"), "{name}");
        let to_sign = super::string_to_sign(&canonical, "20150830T123600Z", parsed.scope);
        assert_eq!(to_sign, text(case, "string_to_sign"), "{name}");
        assert_eq!(parsed.signature, text(case, "signature"), "{name}");
        let secret = SecretString::new(SECRET.to_owned());
        assert!(verify(request, &parsed, &secret), "{name}");
        let other = SecretString::new("another".to_owned());
        assert!(!verify(request, &parsed, &other), "{name}");
        for changed in [
            Request { method: "PUT", ..request },
            Request { path: "/other", ..request },
            Request { query: "a=b", ..request },
            Request { payload: "UNSIGNED-PAYLOAD", ..request },
        ] {
            assert!(!verify(changed, &parsed, &secret), "{name}");
        }
        for at in 0..all.len() {
            let mut tampered = all.clone();
            tampered[at].1.push('x');
            assert!(!verify(Request { headers: &tampered, ..request }, &parsed, &secret), "{name}");
            let mut without = all.clone();
            without.remove(at);
            assert!(!verify(Request { headers: &without, ..request }, &parsed, &secret), "{name}");
        }
    }
}

#[test]
fn a_header_that_is_not_signed_does_not_count() {
    let secret = SecretString::new("secret".to_owned());
    let credentials = Credentials {
        access_key: "AKID".to_owned(),
        secret_key: secret.duplicate(),
        session_token: None,
    };
    let payload = hash_of(b"");
    let headers = [("Host".to_owned(), "a.example".to_owned())];
    let request = Request {
        method: "GET",
        path: "/",
        query: "",
        headers: &headers,
        payload: &payload,
        normalise: true,
    };
    let mut added = sign(request, &credentials, "r", "sts", time());
    let (_, authorization) = added.pop().unwrap();
    let mut all = [headers.to_vec(), added].concat();
    all.push(("More".to_owned(), "unsigned".to_owned()));
    let good = Authorization::parse(&authorization).unwrap();
    assert!(verify(Request { headers: &all, ..request }, &good, &secret));
    assert!(!good.signs("more"));
    // A signature over no host could be for anybody; one over another day's date is another scope's.
    let without_host = authorization.replace("host;x-amz-date", "x-amz-date");
    let parsed = Authorization::parse(&without_host).unwrap();
    assert!(!verify(Request { headers: &all, ..request }, &parsed, &secret));
    let another_day = authorization.replace("20150830", "20150831");
    let parsed = Authorization::parse(&another_day).unwrap();
    assert!(!verify(Request { headers: &all, ..request }, &parsed, &secret));
    // Two dates: which one was signed?
    all.push(("x-amz-date".to_owned(), "20150830T000000Z".to_owned()));
    assert!(!verify(Request { headers: &all, ..request }, &good, &secret));
}

#[test]
fn what_is_sent_encoded_has_one_form() {
    let canonical = |path: &str, query: &str, normalise: bool| {
        let request = Request { method: "GET", path, query, headers: &[], payload: "", normalise };
        let canonical = canonical_request::<&str>(request, &[]).unwrap();
        let lines: Vec<String> = canonical.lines().skip(1).take(2).map(str::to_owned).collect();
        lines.join(" ")
    };
    for (path, query, normalise, expect) in [
        ("/a%20b", "c=%7e&a=%2f", true, "/a%2520b a=%2F&c=~"),
        ("/a%20b//./c", "", false, "/a%20b//./c "),
        ("/%+5/%zz/%", "x=%+5%", false, "/%25%2B5/%25zz/%25 x=%25%2B5%25"),
    ] {
        assert_eq!(canonical(path, query, normalise), expect);
    }
}

#[test]
fn an_authorization_has_each_member_once() {
    let signature = "0".repeat(64);
    let credential = "Credential=AKID/20150830/us-east-1/sts/aws4_request";
    let good = format!(
        "AWS4-HMAC-SHA256 {credential}, SignedHeaders=host;x-amz-date, Signature={signature}"
    );
    let parsed = Authorization::parse(&good).unwrap();
    assert_eq!(parsed.scope.to_string(), "20150830/us-east-1/sts/aws4_request");
    assert_eq!((parsed.access_key, parsed.signs("host")), ("AKID", true));
    // Some clients leave the spaces away.
    assert_eq!(Authorization::parse(&good.replace(", ", ",")).unwrap(), parsed);
    for (from, to) in [
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
        ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256"),
        ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256 X=1, "),
        ("Signature=", "Sig="),
        ("Signature=0", "Signature="),
        ("Signature=0", "Signature=g"),
        ("Signature=0", "Signature=A"),
        ("SignedHeaders=", "SignedHeaders=a, SignedHeaders="),
        ("SignedHeaders=host;x-amz-date", "SignedHeaders=x-amz-date;host"),
        ("SignedHeaders=host;x-amz-date", "SignedHeaders=host;host"),
        ("SignedHeaders=host;x-amz-date", "SignedHeaders=Host;x-amz-date"),
        ("SignedHeaders=host;x-amz-date", "SignedHeaders="),
        ("/sts/", "/sts/more/"),
        ("/sts/", "//"),
        ("/us-east-1/", "/us east 1/"),
        ("/us-east-1/", "/evil.example/"),
        ("/20150830/", "/2015083/"),
        ("aws4_request", "aws5_request"),
        ("aws4_request", "aws4_request/"),
        ("AKID/", "/"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_eq!(Authorization::parse(&bad), None, "{bad}");
    }
    assert_eq!(Authorization::parse(""), None);
}
