//! The parsers of strangers' and providers' texts under fixed-seed inputs: none panics, and what one
//! takes keeps what it promises.

use serde_json::json;
use strongroom_cloudwire::sigv4::Authorization;
use strongroom_cloudwire::xml;
use strongroom_testkit::fuzz::Fuzz;

use crate::aws::arn::{Principal, check_bound, is_account};
use crate::aws::request::{Brought, check};
use crate::aws::stored::Client;

const ROUNDS: usize = 3_000;

const AUTHORIZATIONS: &[&str] =
    &["AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/sts/aws4_request, \
     SignedHeaders=host;x-amz-date, \
     Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"];

const ARNS: &[&str] = &[
    "arn:aws:iam::123456789012:user/team/ann",
    "arn:aws:sts::123456789012:assumed-role/web/i-0123",
    "arn:aws-cn:iam::123456789012:role/*",
];

#[test]
fn signatures_names_and_answers() {
    let fuzz = Fuzz::new(31);
    for _ in 0..ROUNDS {
        let text = fuzz.text(AUTHORIZATIONS);
        if let Some(read) = Authorization::parse(&text) {
            assert!(text.contains(&read.scope.to_string()), "{text:?}");
            assert!(read.signed_headers.is_sorted() && read.signature.len() == 64, "{text:?}");
        }
        let arn = fuzz.text(ARNS);
        if let Some(principal) = Principal::parse(&arn) {
            assert!(is_account(principal.account), "{arn:?}");
            let canonical = principal.canonical();
            assert_eq!(Principal::parse(&canonical).unwrap().name, principal.name, "{arn:?}");
        }
        if check_bound(&arn, true).is_ok() {
            // Whatever its wildcard stands for, its account is written out.
            assert!(is_account(arn.split(':').nth(4).unwrap()), "{arn:?}");
        }
        let answer = fuzz.text(&["<?xml version=\"1.0\"?><a b=\"c\"><d>e&amp;f</d><g/></a>"]);
        if let Ok(root) = xml::parse(answer.as_bytes()) {
            assert!(answer.contains(&format!("<{}", root.name)), "{answer:?}");
            assert!(!answer.contains("<!"), "{answer:?}");
        }
        let brought = Brought {
            method: Some("POST".to_owned()),
            url: Some(fuzz.text(&["aHR0cHM6Ly9zdHMuYW1hem9uYXdzLmNvbS8="])),
            body: Some(fuzz.text(&["QWN0aW9uPUdldENhbGxlcklkZW50aXR5"])),
            headers: Some(json!({ "Authorization": text, "Host": "sts.amazonaws.com",
                "X-Amz-Date": "20150830T123600Z" })),
        };
        if let Ok(checked) = check(brought, &Client::default()) {
            assert_eq!(checked.body.matches("Action=").count(), 1, "{text:?}");
        }
    }
}
