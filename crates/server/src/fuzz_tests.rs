//! Each parser of outside bytes under fixed-seed inputs: none panics, none hangs, and what one takes
//! keeps what it promises.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value as Json, json};
use strongroom_base::{RequestPath, Timestamp, hcl, json as bounded, parse_duration};
use strongroom_connectors::template::{DATABASE_FIELDS, OUTPUT_BYTES_MAX, Template};
use strongroom_crypto::pgp::Recipient;
use strongroom_doors::vault;
use strongroom_kernel::audit::verify;
use strongroom_kernel::password_policy::PasswordPolicy;
use strongroom_kernel::pipeline::handle;
use strongroom_kernel::plug::{Peer, Plugin};
use strongroom_kernel::policy::Policy;
use strongroom_kernel::seal::ceremony::Share;
use strongroom_testkit::fuzz::Fuzz;
use strongroom_testkit::{SimRng, TestNode};

/// Inputs for each parser.
const ROUNDS: usize = 3_000;

const HCL: &[&str] = &[
    "# a\npath \"secret/+/data/*\" {\n  capabilities = [\"create\", \"read\"]\n  allowed_parameters = \
     { \"a\" = [\"b\", 1] }\n}\n",
    "storage \"file\" { path = \"/d\" }\nlistener \"tcp\" {\n address = \"127.0.0.1:1\"\n \
     tls_disable = 1\n max_request_size = 1e3\n}\nui = true\n",
    "seal \"static\" { current_key_id = \"a\" current_key = \"env://K\" }\naudit \"file\" \"f\" { \
     options = { file_path = \"/x\" } }\n",
    "a = <<EOF\nb\nEOF\nc = <<-X\n  d\n  X\n/* e */ // f\n",
    "{\"path\": {\"a/*\": {\"capabilities\": [\"deny\"], \"min_wrapping_ttl\": \"1h\"}}}",
    "length = 20\nrule \"charset\" {\n charset = \"abc\"\n min-chars = 1\n}",
];

#[test]
fn hcl_configurations_and_policies() {
    let fuzz = Fuzz::new(1);
    for _ in 0..ROUNDS {
        let text = fuzz.text(HCL);
        if let Err(e) = hcl::parse(&text) {
            assert!(
                e.line >= 1 && e.line as usize <= text.lines().count() + 1,
                "{e:?} of {text:?}"
            );
        }
        if let Err(problems) = crate::config::parse(&[("f".to_owned(), text.clone())], &|_| None) {
            assert!(!problems.is_empty(), "{text:?}");
        }
        let _ = Policy::parse("p", &text);
        let _ = PasswordPolicy::parse(&text);
    }
}

#[test]
fn json_bodies() {
    let fuzz = Fuzz::new(2);
    let samples = [
        r#"{"data":{"a":"b","c":[1,2.5e3,null,true]},"options":{"cas":0}}"#,
        r#"{"ttl":"1h","policies":"a,b","num_uses":5,"meta":{"k":"\u00e9\ud83d\ude00"}}"#,
        r#"[[[[]]],{"":{}}]"#,
    ];
    for _ in 0..ROUNDS {
        let text = fuzz.text(&samples);
        let ours = bounded::parse_bounded(text.as_bytes());
        let theirs = serde_json::from_str::<Json>(&text);
        // Within the limits it is JSON exactly if it is.
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{text:?}: {ours:?}");
    }
}

#[test]
fn username_templates() {
    let fuzz = Fuzz::new(6);
    let samples = [
        r#"{{ printf "v-%s-%-8.3s-%05d" (.DisplayName | truncate 8) (random 20) 7 | truncate 63 }}"#,
        r#"{{if eq .RoleName "a" "b"}}{{$x := len .RoleName}}{{$x}}{{else if not $.RoleName}}x{{end}}"#,
        "a {{- /* b */ -}} c{{ `raw` | replace \"\" \"\\u00e9\\xff\" | truncate_sha256 9 | base64 -}} d",
        r#"{{timestamp "Mon Jan _2 15:04:05.999 Z07:00 2006"}}{{uuid | sha256 | decode_hex | lowercase}}"#,
        r#"{{printf "%q %x %c %v %t|% d" "a" "b" 233 (and 1 2) true -1}}{{glob "a*b*" (print 1 2)}}"#,
    ];
    let (mut taken, mut rendered) = (0, 0);
    for _ in 0..ROUNDS * 3 {
        let text = fuzz.text(&samples);
        let place = |line: u32| line >= 1 && line as usize <= text.matches('\n').count() + 1;
        let template = match Template::parse(&text, DATABASE_FIELDS) {
            Ok(template) => template,
            Err(e) => {
                assert!(place(e.position.line), "{e:?} of {text:?}");
                continue;
            }
        };
        taken += 1;
        let role = fuzz.text(&["my-role_1", "r\u{e9}le \u{1f600}"]);
        let values = [("DisplayName", "token"), ("RoleName", role.as_str())];
        let render = || template.render(&values, &*SimRng::new(1), Timestamp(1));
        match render() {
            Ok(name) => {
                assert!(name.len() <= OUTPUT_BYTES_MAX, "{text:?}");
                assert_eq!(render().as_ref(), Ok(&name), "{text:?}");
                rendered += 1;
            }
            Err(e) => assert!(place(e.position.line), "{e:?} of {text:?}"),
        }
    }
    assert!(rendered > 500 && taken < ROUNDS * 2, "{taken} taken, {rendered} rendered");
}

/// Threat CVE-2026-3605.
#[test]
fn paths_durations_and_times() {
    let fuzz = Fuzz::new(3);
    for _ in 0..ROUNDS {
        let text = fuzz.text(&["secret/data/a", "sys/mounts/x/tune", "a/%2e%2e/b", "é%c3%a9/"]);
        for path in
            [RequestPath::parse(&text), RequestPath::parse_encoded(&text)].into_iter().flatten()
        {
            let path = path.as_str();
            if path.is_empty() {
                continue;
            }
            let inner = path.strip_suffix('/').unwrap_or(path);
            let bad = |segment: &str| matches!(segment, "" | "." | "..") || segment.contains('\0');
            assert!(!inner.split('/').any(bad), "{text:?} became {path:?}");
            assert_eq!(
                RequestPath::parse(path).map(|p| p.as_str().to_owned()).as_deref(),
                Ok(path)
            );
        }
        let text = fuzz.text(&["1h30m", "768h", "3600", "7d", "1.5s", "-5m"]);
        let _ = parse_duration(&text);
        let text = fuzz.text(&["2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05+01:00"]);
        if let Some(time) = Timestamp::parse(&text) {
            assert_eq!(Timestamp::parse(&time.to_string()), Some(time), "{text:?}");
        }
        let _ = strongroom_kernel::tokens::parse_cidr(&fuzz.text(&["10.0.0.0/8", "::1/128"]));
    }
}

#[test]
fn shares_and_keys_of_key_holders() {
    let fuzz = Fuzz::new(4);
    let base64 = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJAB";
    let hex = "abcdef1234567890abcdef1234567890abcdef1234567890abcdef123456789001";
    for _ in 0..ROUNDS {
        if let Ok(share) = Share::parse(&fuzz.text(&[base64, hex])) {
            assert!((16..=33).contains(&share.bytes().len()), "{}", share.bytes().len());
        }
    }
    let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let armour = include_str!("../../crypto/testdata/pgp/rsa.asc");
    let key = include_str!("../../crypto/testdata/pgp/curve.pub.b64").trim();
    let binary = STANDARD.decode(key).unwrap();
    assert!(Recipient::parse(key, now).is_ok());
    for _ in 0..ROUNDS / 10 {
        // Whatever is still a key can be encrypted to.
        let changed = STANDARD.encode(fuzz.input(&[&binary]));
        for text in [changed, fuzz.text(&[key, armour])] {
            if let Ok(recipient) = Recipient::parse(&text, now) {
                let _ = recipient.encrypt(b"share", &*SimRng::new(1));
            }
        }
    }
}

/// Requests as their bytes say them, through door and pipeline: never a failure of the server's own,
/// never an effect without a token, and the log stays whole.
#[tokio::test]
async fn requests_tokens_bodies_and_the_audit_log() {
    let fuzz = Fuzz::new(5);
    let outside = strongroom_auth::Outside {
        web: strongroom_testkit::web::SimWeb::new(),
        files: strongroom_testkit::files::SimFiles::new(),
        directory: strongroom_testkit::directory::SimDirectory::new(),
        cluster: None,
    };
    let methods = strongroom_auth::plugins(&outside);
    let system = strongroom_system::specs().into_iter().map(Plugin::from);
    let node = TestNode::start(system.chain(methods)).await;
    let mounted = node.root("WRITE", "sys/auth/userpass", json!({"type": "userpass"})).await;
    assert!(mounted.status < 300, "{mounted:?}");
    let lookup = "auth/token/lookup-self";
    let wrapped = node.call_with("", "READ", lookup, &node.root, Json::Null, Some(300)).await;
    let wrap = wrapped.body["wrap_info"]["token"].as_str().unwrap_or_default().to_owned();
    let paths = [
        "auth/token/create",
        "auth/token/lookup",
        "auth/token/roles/a",
        "auth/userpass/login/a",
        "auth/userpass/users/a",
        "cubbyhole/a",
        "identity/entity",
        "identity/group/name/a",
        "sys/audit-hash/a",
        "sys/capabilities",
        "sys/leases/lookup",
        "sys/policies/acl/a",
        "sys/policies/password/a",
        "sys/quotas/rate-limit/a",
        "sys/tools/hash/sha2-256",
        "sys/unseal",
        "sys/wrapping/unwrap",
        "sys/namespaces/a",
    ];
    let bodies = [
        format!("{{\"token\":\"{wrap}\",\"key\":\"ab\",\"policy\":\"path \\\"a\\\" {{}}\"}}"),
        r#"{"ttl":"1h","policies":["a"],"num_uses":1,"meta":{"a":"b"},"period":5}"#.to_owned(),
        r#"{"password":"p","token_ttl":"1h","token_bound_cidrs":["10.0.0.0/8"]}"#.to_owned(),
        r#"{"rate":"1.5","path":"","interval":"1s","name":"a","type":"internal"}"#.to_owned(),
        r#"{"input":"YQ==","format":"hex","paths":["a"],"lease_id":"x"}"#.to_owned(),
    ];
    let bodies: Vec<&[u8]> = bodies.iter().map(|body| body.as_bytes()).collect();
    let mut statuses = BTreeSet::new();
    for _ in 0..ROUNDS {
        let path = if fuzz.below(4) == 0 {
            fuzz.text(&paths)
        } else {
            paths[fuzz.below(paths.len() as u64) as usize].to_owned()
        };
        let method = ["GET", "PUT", "POST", "DELETE", "LIST", "PATCH"][fuzz.below(6) as usize];
        let token = match fuzz.below(4) {
            0 => fuzz.text(&[&node.root, &wrap, "hvb.AAAA", "hvs.CAES"]),
            _ => node.root.clone(),
        };
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/v1/{path}"))
            .header("x-vault-token", token)
            .header("x-vault-wrap-ttl", fuzz.text(&["5m"]));
        // What no HTTP request can carry never comes this far.
        let Ok(request) = request.body(()) else { continue };
        let Ok(mut head) = vault::parse_head(&request.into_parts().0, Peer::default()) else {
            continue;
        };
        head.call.body = Bytes::from(fuzz.input(&bodies));
        let what = format!("{method} {path} {:?}", String::from_utf8_lossy(&head.call.body));
        let response = vault::render(&handle(&node.node, head.call).await);
        let status = response.status().as_u16();
        assert!(status != 500 && status != 502, "{status}: {what}");
        statuses.insert(status);
    }
    for status in [200, 204, 400, 403, 404, 405] {
        assert!(statuses.contains(&status), "{status} is not among {statuses:?}");
    }
    let log = node.audit.contents();
    let key = hex::decode(node.services().audit.public_key()).unwrap();
    let whole = verify::verify(&log, Some(&key));
    assert!(whole.is_ok(), "{whole:?}");
    let end = log.len().min(40_000);
    let end = log[..end].iter().rposition(|b| *b == b'\n').unwrap() + 1;
    let lines: Vec<&[u8]> = vec![&log[..end]];
    for _ in 0..300 {
        let changed = fuzz.input(&lines);
        let _ = verify::verify(&changed, Some(&key));
        let _ = verify::index_of(&changed);
    }
}
