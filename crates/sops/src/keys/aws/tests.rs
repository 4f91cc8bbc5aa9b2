//! Against a small AWS that verifies signatures.

use std::sync::{Arc, Mutex};

use strongroom_base::Secret;

use super::super::testing::{Made, json, machine};
use super::testing::{ROLE, VARIABLES, WEB_TOKEN, answer, arn, signer};
use super::*;

const PART: &[u8] = b"a data key of thirty-two bytes!!";

fn part() -> SecretBytes {
    Secret::new(PART.to_vec())
}

fn key(region: &str, name: &str) -> KmsKey {
    KmsKey { arn: arn(region, name), ..KmsKey::default() }
}

fn with(more: &[(&str, &str)]) -> Made {
    machine(&[&VARIABLES[..], more].concat()).web(answer)
}

#[test]
fn a_key_wraps_and_unwraps_in_its_region() {
    let machine = with(&[]).build();
    for region in ["eu-west-1", "us-gov-west-1"] {
        let key = key(region, "1");
        let enc = key.encrypt(&part(), &machine).unwrap();
        assert_eq!(key.decrypt(&enc, &machine).unwrap().expose_secret(), PART);
    }
}

#[test]
fn the_context_must_be_the_same() {
    let machine = with(&[]).build();
    let mut key = key("eu-west-1", "1");
    key.context = vec![("app".into(), "a".into()), ("env".into(), "prod".into())];
    let enc = key.encrypt(&part(), &machine).unwrap();
    assert!(key.decrypt(&enc, &machine).is_ok());
    key.context.pop();
    let failure = key.decrypt(&enc, &machine).unwrap_err();
    assert_eq!(
        failure.0,
        "failed to decrypt sops data key with AWS KMS: HTTP status 400: InvalidCiphertextException"
    );
}

#[test]
fn refusals_say_what_aws_says_and_no_secret() {
    let machine = with(&[]).build();
    let failure = key("eu-west-1", "denied").encrypt(&part(), &machine).unwrap_err();
    assert_eq!(
        failure.0,
        "failed to encrypt sops data key with AWS KMS: HTTP status 400: AccessDeniedException: \
         User is not authorized"
    );
    let failure = key("eu-west-1", "1").decrypt("no base64!", &machine).unwrap_err();
    assert_eq!(failure.0, "error base64-decoding encrypted data key");
    // Nothing but what was asked for leaves this process.
    let silent = machine_that_echoes();
    let failure = key("eu-west-1", "1").encrypt(&part(), &silent).unwrap_err().0;
    assert!(!failure.contains("thirty") && !failure.contains("YSBkYXRh"), "{failure}");
}

fn machine_that_echoes() -> Arc<Machine> {
    let echo = |call: &strongroom_web::Call| {
        let body = String::from_utf8(call.body.expose_secret().clone()).unwrap();
        json(500, &serde_json::json!({ "else": body }))
    };
    machine(&VARIABLES).web(echo).build()
}

#[test]
fn only_arns_of_keys_are_asked_for() {
    let asked = Arc::new(Mutex::new(0));
    let counted = asked.clone();
    let machine = machine(&VARIABLES).web(move |call| {
        *counted.lock().unwrap() += 1;
        answer(call)
    });
    let machine = machine.build();
    for bad in [
        "",
        "alias/mine",
        "arn:aws:kms::111122223333:key/1",
        "arn:aws:kms:eu-west-1:account:key/1",
        "arn:aws:kms:eu-west-1:111122223333:key/",
        "arn:aws:s3:eu-west-1:111122223333:key/1",
        "arn:aws:kms:evil.example/:111122223333:key/1",
        "arn:aws:kms:a@evil:111122223333:key/1",
    ] {
        let key = KmsKey { arn: bad.into(), ..KmsKey::default() };
        let failure = key.encrypt(&part(), &machine).unwrap_err();
        assert!(failure.0.ends_with(&format!("no valid ARN found in '{bad}'")), "{failure}");
    }
    assert_eq!(*asked.lock().unwrap(), 0);
    let alias =
        KmsKey { arn: arn("eu-west-1", "1").replace("key/", "alias/"), ..KmsKey::default() };
    assert!(alias.encrypt(&part(), &machine).is_ok());
}

#[test]
fn a_role_is_taken_on_first() {
    let machine = with(&[]).build();
    let mut key = key("eu-west-1", "1");
    key.role = ROLE.into();
    let enc = key.encrypt(&part(), &machine).unwrap();
    assert!(key.decrypt(&enc, &machine).is_ok());
    key.role = "arn:aws:iam::111122223333:role/other".into();
    let failure = key.encrypt(&part(), &machine).unwrap_err();
    assert_eq!(
        failure.0,
        "failed to encrypt sops data key with AWS KMS: failed to assume role \
         'arn:aws:iam::111122223333:role/other': HTTP status 403: AccessDenied: not yours"
    );
}

/// A home with AWS's files in it.
fn home(config: &str, credentials: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    std::fs::write(home.path().join(".aws/config"), config).unwrap();
    std::fs::write(home.path().join(".aws/credentials"), credentials).unwrap();
    home
}

#[test]
fn credentials_come_from_where_awss_tools_find_them() {
    let keys = "aws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = a secret access key\n";
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), format!("{WEB_TOKEN}\n")).unwrap();
    let token = token.path().display().to_string();
    let process = "credential_process = echo '{\"Version\": 1, \"AccessKeyId\": \"AKIDEXAMPLE\", \
                   \"SecretAccessKey\": \"a secret access key\"}'\n";
    let wrong = [("AWS_ACCESS_KEY_ID", "AKIDWRONG"), ("AWS_SECRET_ACCESS_KEY", "wrong")];
    let of_token = [("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()), ("AWS_ROLE_ARN", ROLE)];
    let role = format!("role_arn = {ROLE}\n");
    for (what, variables, config, credentials, profile) in [
        ("the default profile", &[][..], String::new(), format!("[default]\n{keys}"), ""),
        ("AWS_PROFILE", &[("AWS_PROFILE", "p")], format!("[profile p]\n{keys}"), String::new(), ""),
        ("a named profile wins over variables", &wrong, String::new(), format!("[p]\n{keys}"), "p"),
        ("a web identity", &of_token, String::new(), String::new(), ""),
        ("a program", &[], format!("[default]\n{process}"), String::new(), ""),
        (
            "a profile's role",
            &[],
            format!("[profile r]\n{role}source_profile = base\n[profile base]\n{keys}"),
            String::new(),
            "r",
        ),
        (
            "a role by the environment",
            &VARIABLES,
            format!("[profile r]\n{role}credential_source = Environment\n"),
            String::new(),
            "r",
        ),
        (
            "a profile's web identity",
            &[],
            format!("[default]\n{role}web_identity_token_file = {token}\n"),
            String::new(),
            "",
        ),
    ] {
        let home = home(&config, &credentials);
        let folder = home.path().display().to_string();
        let machine = machine(&[variables, &[("HOME", &folder)]].concat()).web(answer).build();
        let key = KmsKey { aws_profile: profile.into(), ..key("eu-west-1", "1") };
        let outcome = key.encrypt(&part(), &machine);
        assert!(outcome.is_ok(), "{what}: {outcome:?}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let home = home("[profile a]\nrole_arn = x\nsource_profile = a\n", "");
    let folder = home.path().display().to_string();
    for (profile, more, text) in [
        ("nobody", None, "failed to get shared config profile, nobody"),
        ("a", None, "the AWS profile a has no credentials to assume its role"),
        ("", Some(("AWS_EC2_METADATA_DISABLED", "true")), "no AWS credentials were found"),
        ("", Some(("AWS_WEB_IDENTITY_TOKEN_FILE", "/x")), "AWS_ROLE_ARN is not"),
        (
            "",
            Some(("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil.example/")),
            "neither https nor of this machine",
        ),
    ] {
        let variables: Vec<(&str, &str)> =
            [("HOME", folder.as_str())].into_iter().chain(more).collect();
        let machine = machine(&variables).web(|_| json(500, &serde_json::json!({}))).build();
        let key = KmsKey { aws_profile: profile.into(), ..key("eu-west-1", "1") };
        let failure = key.encrypt(&part(), &machine).unwrap_err();
        assert!(failure.0.contains(text), "{failure}");
    }
}

#[test]
fn endpoints_can_be_set() {
    let config = "[default]\nservices = s\nendpoint_url = http://profile\n[services s]\nkms =\n  \
                  endpoint_url = http://of-services/\n";
    let home = home(config, "");
    let folder = home.path().display().to_string();
    for (variables, service, endpoint) in [
        (&[][..], "kms", "http://of-services"),
        (&[], "sts", "http://profile"),
        (&[("AWS_ENDPOINT_URL", "http://all/")], "kms", "http://all"),
        (
            &[("AWS_ENDPOINT_URL_KMS", "http://k"), ("AWS_ENDPOINT_URL", "http://a")],
            "kms",
            "http://k",
        ),
        (
            &[("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"), ("AWS_ENDPOINT_URL", "http://a")],
            "kms",
            "https://kms.cn-north-1.amazonaws.com.cn",
        ),
    ] {
        let machine = machine(&[variables, &[("HOME", &folder)]].concat()).build();
        let session = Session::new(&machine, "", "cn-north-1").unwrap();
        assert_eq!(session.endpoint(service), endpoint);
    }
}

#[test]
fn the_agents_of_containers_and_instances_are_asked() {
    let secret = "a secret access key";
    let gives = serde_json::json!({
        "AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": secret, "Token": "",
    });
    let web = move |call: &strongroom_web::Call| {
        let header = |name: &str| call.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
        match (call.method.as_str(), call.url.as_str()) {
            ("GET", "http://169.254.170.2/v2/credentials") => json(200, &gives),
            ("GET", "http://127.0.0.1:9/creds") => {
                assert_eq!(header("authorization").as_deref(), Some("the agent's token"));
                json(200, &gives)
            }
            ("PUT", "http://169.254.169.254/latest/api/token") => {
                let mut answer = json(200, &serde_json::json!(null));
                answer.body = "imds".into();
                answer
            }
            ("GET", url) if url.ends_with("/iam/security-credentials/") => {
                assert_eq!(header("x-aws-ec2-metadata-token").as_deref(), Some("imds"));
                let mut answer = json(200, &serde_json::json!(null));
                answer.body = "my role\n".into();
                answer
            }
            ("GET", url) if url.ends_with("/iam/security-credentials/my%20role") => {
                json(200, &gives)
            }
            _ => answer(call),
        }
    };
    for variables in [
        &[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials")][..],
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/creds"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "the agent's token"),
        ],
        &[],
    ] {
        let machine = machine(variables).web(web.clone()).build();
        let outcome = key("eu-west-1", "1").encrypt(&part(), &machine);
        assert!(outcome.is_ok(), "{variables:?}: {outcome:?}");
    }
}

#[test]
fn the_helper_itself_refuses_a_bad_signature() {
    let machine = machine(&[("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "x")]);
    let refused = machine.web(|call| {
        let good = std::panic::catch_unwind(|| signer(call)).is_ok();
        json(if good { 200 } else { 403 }, &serde_json::json!({ "__type": "Bad" }))
    });
    let failure = key("eu-west-1", "1").encrypt(&part(), &refused.build()).unwrap_err();
    assert!(failure.0.ends_with("HTTP status 403: Bad"), "{failure}");
}
