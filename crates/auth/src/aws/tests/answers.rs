//! What STS's answer must be.

use serde_json::json;
use strongroom_testkit::clouds::aws::{caller_identity, xml};
use strongroom_testkit::servers::http::Told;

use super::{ACCOUNT, OTHER, STS, World, refused};

const ARN: &str = "arn:aws:iam::123456789012:user/ann";

#[tokio::test]
async fn an_answer_counts_only_as_sts_gives_it() {
    // threats CVE-2020-16250, CVE-2020-16251
    let world = World::new().await;
    world.must("role/web", json!({ "bound_account_id": [ACCOUNT, OTHER] })).await;
    let caller = world.user(ACCOUNT, "", "ann", "AIDAANN");
    let identity = |arn: &str, account: &str| caller_identity(arn, "AIDAANN", account);
    let good = String::from_utf8(identity(ARN, ACCOUNT).body).unwrap();
    let inner = |from: &str, to: &str| xml(&good.replace(from, to));
    let typed = |content_type| Told { content_type, ..identity(ARN, ACCOUNT) };
    let facts = format!("<Arn>{ARN}</Arn><UserId>u</UserId><Account>{ACCOUNT}</Account>");
    for (told, status, text) in [
        (typed("application/json"), 502, "has not the form"),
        (typed("text/html"), 502, "has not the form"),
        (typed("text/xmlish"), 502, "has not the form"),
        (xml("{\"GetCallerIdentityResponse\": {}}"), 502, "has not the form"),
        (xml(""), 502, "has not the form"),
        // A caller that gets its own XML into some other answer of AWS.
        (xml(&format!("<x>{good}</x>")), 502, "has not the form"),
        (xml(&format!("{good}{good}")), 502, "has not the form"),
        (inner("<Arn>", "<!-- --><Arn>"), 502, "has not the form"),
        (inner("GetCallerIdentityResponse", "Response"), 502, "has not the form"),
        (inner("GetCallerIdentityResult", "Result"), 502, "does not say who"),
        (
            xml(&format!("<GetCallerIdentityResponse>{facts}</GetCallerIdentityResponse>")),
            502,
            "does not say who",
        ),
        (
            xml(&format!(
                "<GetCallerIdentityResponse><GetCallerIdentityResult><a>{facts}</a>\
                 </GetCallerIdentityResult></GetCallerIdentityResponse>"
            )),
            502,
            "does not say who",
        ),
        (inner("</Arn>", "</Arn><Arn>arn:aws:iam::123456789012:user/b</Arn>"), 502, "does not say"),
        (inner("<Account>123456789012</Account>", ""), 502, "does not say who"),
        (identity(ARN, OTHER), 502, "names two accounts"),
        (identity(ARN, ""), 502, "does not say who"),
        (identity("arn:aws:iam::123456789012:root", ACCOUNT), 400, "no IAM user, role"),
        (identity("arn:aws:sts::123456789012:federated-user/a", ACCOUNT), 400, "no IAM user, role"),
        (identity("nonsense", ACCOUNT), 400, "no IAM user, role"),
        (Told { status: 403, ..identity(ARN, ACCOUNT) }, 400, "received error code 403"),
        (Told { status: 302, ..identity(ARN, ACCOUNT) }, 400, "received error code 302"),
        (Told { status: 503, ..identity(ARN, ACCOUNT) }, 502, "received error code 503"),
    ] {
        let shown = format!("{told:?}");
        world.web.serve(STS, move |_| told.clone().into_answer());
        let got = world.login(&caller, "web").await;
        assert_eq!(got.status, status, "{shown}: {got:?}");
        refused(&got, status, text);
    }
    let told = identity(ARN, ACCOUNT);
    world.web.serve(STS, move |_| told.clone().into_answer());
    assert_eq!(world.login(&caller, "web").await.status, 200);
}

#[tokio::test]
async fn an_sts_that_is_down_is_tried_again_and_said() {
    let world = World::new().await;
    world.must("role/web", json!({ "bound_account_id": ACCOUNT })).await;
    let caller = world.user(ACCOUNT, "", "ann", "AIDAANN");
    world.web.down(STS);
    refused(&world.login(&caller, "web").await, 502, "error making upstream request");
    assert_eq!(world.web.calls(STS), 2);
    for (retries, calls) in [(0, 1), (2, 3), (1_000_000, 4), (-1, 2)] {
        world.must("config/client", json!({ "max_retries": retries })).await;
        let before = world.web.calls(STS);
        refused(&world.login(&caller, "web").await, 502, "error making upstream request");
        assert_eq!(world.web.calls(STS) - before, calls, "{retries}");
    }
}
