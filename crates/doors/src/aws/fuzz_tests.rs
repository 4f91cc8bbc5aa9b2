//! What strangers send, by fixed seeds.

use strongroom_cloudwire::iam::{Context, Document, Kind, Principal, Request as Asked};
use strongroom_testkit::fuzz::Fuzz;

use super::names;
use super::tests::{Room, WHO, Wire};

/// Inputs for each parser.
const ROUNDS: usize = 400;

#[tokio::test]
async fn no_request_of_a_stranger_is_a_failure_of_ours() {
    let room = Room::new().await;
    room.role("ci", serde_json::json!({})).await;
    let key = room.key("ci").await;
    let good = Wire::form(WHO).signed(&key, "us-east-1", "sts", room.now());
    let authorization = good.get("authorization");
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260101%2Fus-east-1%2Fsts\
                 %2Faws4_request&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60\
                 &X-Amz-SignedHeaders=host&X-Amz-Signature=00";
    let form = "Action=AssumeRoleWithWebIdentity&RoleArn=arn:aws:iam::123456789012:role/ci\
                &RoleSessionName=x1&WebIdentityToken=a.b.c&DurationSeconds=900";
    let fuzz = Fuzz::new(70);
    for round in 0..4 * ROUNDS {
        let mut wire = good.clone();
        match round % 4 {
            0 => wire.set("authorization", &fuzz.text(&[&authorization])),
            1 => wire.body = fuzz.text(&[WHO, form]),
            2 => {
                wire.headers.retain(|(name, _)| name != "Authorization");
                wire.uri = format!("/?{}", fuzz.text(&[query]));
            }
            _ => {
                wire.set("x-amz-target", &fuzz.text(&["secretsmanager.GetSecretValue", "a.b"]));
                wire.body = fuzz.text(&[r#"{"SecretId":"a"}"#]);
            }
        }
        // What is no header or address does not come this far.
        let Some((status, body)) = room.try_send(&wire).await else { continue };
        let same = match round % 4 {
            0 => wire.get("authorization") == authorization,
            1 => wire.body == WHO,
            _ => false,
        };
        assert!(status < 500 && (status >= 400 || same), "{status} {body}");
        assert!(!body.contains(&key.secret), "{body}");
    }
}

#[test]
fn no_name_is_two_paths_and_no_document_two_things() {
    let fuzz = Fuzz::new(71);
    for _ in 0..20 * ROUNDS {
        let text = fuzz.text(&["/app/db", "a=20b=3D20", "~/~~/..", "=7E.=C3=A9"]);
        if let Some(path) = names::to_path(&text) {
            assert_eq!(names::to_name(&path), text, "{path:?}");
            let path = names::to_secret_path(&text).unwrap();
            assert_eq!(names::to_secret_name(&path), Some(text.clone()), "{path:?}");
        }
    }
    let sample = r#"{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Deny","Action":["*"],
        "Resource":"arn:aws:secretsmanager:*:1:secret:*","Principal":{"AWS":"*"},"Condition":
        {"ForAnyValue:StringLikeIfExists":{"aws:TagKeys":["a*"]},"Null":{"aws:SourceIp":"true"}}}]}"#;
    let (principal, context) = (Principal::default(), Context::default());
    let asked = Asked { action: "a:B", resource: "*", principal: &principal, context: &context };
    for _ in 0..5 * ROUNDS {
        let text = fuzz.text(&[sample]);
        for kind in [Kind::Identity, Kind::Resource] {
            if let Ok(document) = Document::parse(&text, kind) {
                let _ = (document.judge(&asked), document.is_public());
            }
        }
    }
}
