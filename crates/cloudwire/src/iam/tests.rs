//! What documents may say, and what they say of requests.

use super::*;

const ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app/db-AbCdEf";

fn caller() -> Principal {
    Principal {
        account: "123456789012".to_owned(),
        arn: "arn:aws:sts::123456789012:assumed-role/ci/run-7".to_owned(),
        role_arn: Some("arn:aws:iam::123456789012:role/ci".to_owned()),
    }
}

fn context() -> Context {
    let mut context = Context::default();
    for (key, values) in [
        ("aws:SourceIp", &["10.1.2.3"][..]),
        ("aws:SecureTransport", &["true"]),
        ("aws:CurrentTime", &["2026-11-26T14:00:00Z"]),
        ("aws:EpochTime", &["1795701600"]),
        ("secretsmanager:VersionStage", &["AWSCURRENT"]),
        ("aws:ResourceTag/team", &["Blue"]),
        ("aws:TagKeys", &["a", "b"]),
        ("aws:PrincipalArn", &["arn:aws:iam::123456789012:role/ci"]),
        ("aws:username", &["ci"]),
    ] {
        context.set(key, values.iter().map(|v| (*v).to_owned()).collect());
    }
    context
}

/// The verdict of a document with one statement made of these members.
fn judge(kind: Kind, members: &str) -> Verdict {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{{{members}}}]}}"#);
    let document = Document::parse(&text, kind).unwrap_or_else(|e| panic!("{members}: {e}"));
    let (principal, context) = (caller(), context());
    document.judge(&Request {
        action: "secretsmanager:GetSecretValue",
        resource: ARN,
        principal: &principal,
        context: &context,
    })
}

const ALL: &str = r#""Effect":"Allow","Action":"*","Resource":"*""#;

/// What is misspelt is named; anything else of a document is not repeated.
#[test]
fn an_unknown_element_is_named() {
    for (text, why) in [
        (
            r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Efect":"x"}}"#,
            "element Efect",
        ),
        (r#"{"Statments":[]}"#, "element Statments"),
        (r#"{"canary !":[]}"#, "an unknown element"),
    ] {
        let said = Document::parse(text, Kind::Identity).err().map(|e| e.to_string());
        assert!(said.as_ref().is_some_and(|said| said.ends_with(why)), "{text}: {said:?}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let statement = |inner: &str| format!(r#"{{"Statement":{inner}}}"#);
    let with = |more: &str| statement(&format!("{{{ALL},{more}}}"));
    let condition = |inner: &str| with(&format!(r#""Condition":{inner}"#));
    for text in [
        "hunter2".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        statement("[]"),
        statement("7"),
        statement("[null]"),
        r#"{"Version":"2020-01-01","Statement":[]}"#.to_owned(),
        format!(r#"{{"Statement":{{{ALL}}},"Other":1}}"#),
        format!(r#"{{"Statement":{{{ALL}}},"Statement":{{{ALL}}}}}"#),
        statement(r#"{"Effect":"allow","Action":"*","Resource":"*"}"#),
        statement(r#"{"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"}"#),
        statement(r#"{"Effect":"Allow","Resource":"*"}"#),
        statement(r#"{"Effect":"Allow","Action":"*"}"#),
        statement(r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#),
        statement(r#"{"Effect":"Allow","Action":"*","NotAction":"a:B","Resource":"*"}"#),
        statement(r#"{"Effect":"Allow","Action":"GetSecretValue","Resource":"*"}"#),
        statement(r#"{"Effect":"Allow","Action":"*","Resource":"secret/*"}"#),
        statement(r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:*"}"#),
        statement(r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:username}/*"}"#),
        with(r#""Principal":"*""#),
        with(r#""Sid":"a-b""#),
        with(r#""Unknown":"x""#),
        condition("[]"),
        condition(r#"{"StringMatches":{"aws:SourceIp":"x"}}"#),
        condition(r#"{"ForSomeValues:StringEquals":{"aws:TagKeys":"x"}}"#),
        condition(r#"{"StringEquals":{"aws:SourceVpc":"x"}}"#),
        condition(r#"{"StringEquals":{"aws:ResourceTag/":"x"}}"#),
        condition(r#"{"StringEquals":{}}"#),
        condition(r#"{"StringEquals":{"aws:SourceIp":[]}}"#),
        condition(r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/99"}}"#),
        condition(r#"{"Bool":{"aws:SecureTransport":"yes"}}"#),
        condition(r#"{"DateLessThan":{"aws:CurrentTime":"tomorrow"}}"#),
        condition(r#"{"NumericEquals":{"aws:EpochTime":"x"}}"#),
        condition(r#"{"NullIfExists":{"aws:SourceIp":"true"}}"#),
        condition(r#"{"ArnLike":{"aws:PrincipalArn":"*"}}"#),
        format!(r#"{{"Statement":{{{ALL}}}}}{}"#, " ".repeat(DOCUMENT_BYTES_MAX)),
    ] {
        let refused = Document::parse(&text, Kind::Identity);
        let Err(error) = refused else { panic!("taken: {text}") };
        assert!(!error.0.contains("hunter2"));
    }
    for principal in [
        r#"{"Service":"lambda.amazonaws.com"}"#,
        r#"{"AWS":"12345"}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:role/*"}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:group/x"}"#,
        r#"{"AWS":"*","Service":"x"}"#,
        r#""everyone""#,
    ] {
        let text = with(&format!(r#""Principal":{principal}"#));
        assert!(Document::parse(&text, Kind::Resource).is_err(), "{principal}");
    }
    let not = with(r#""NotPrincipal":{"AWS":"123456789012"}"#);
    assert!(Document::parse(&not, Kind::Resource).is_err());
    assert!(Document::parse(&statement(&format!("{{{ALL}}}")), Kind::Resource).is_err());
}

#[test]
fn actions_resources_and_principals() {
    use Verdict::{Allowed, Denied, Silent};
    for (members, expect) in [
        (ALL, Allowed),
        (r#""Effect":"Allow","Action":"secretsmanager:Get*","Resource":"*""#, Allowed),
        (r#""Effect":"Allow","Action":"secretsmanager:getsecretvalue","Resource":"*""#, Allowed),
        (r#""Effect":"Allow","Action":"secretsmanager:Put*","Resource":"*""#, Silent),
        (r#""Effect":"Allow","NotAction":"secretsmanager:Put*","Resource":"*""#, Allowed),
        (r#""Effect":"Deny","NotAction":"secretsmanager:Get*","Resource":"*""#, Silent),
        (
            r#""Effect":"Allow","Action":"*","Resource":"arn:aws:secretsmanager:*:*:secret:app/*""#,
            Allowed,
        ),
        (
            r#""Effect":"Allow","Action":"*","Resource":["arn:aws:secretsmanager:eu-west-1:*:*"]"#,
            Silent,
        ),
        (
            r#""Effect":"Deny","Action":"*",
               "NotResource":"arn:aws:secretsmanager:us-east-1:123456789012:secret:app/db-??????""#,
            Silent,
        ),
        (r#""Effect":"Deny","Action":["a:B","secretsmanager:*"],"Resource":"*""#, Denied),
    ] {
        assert_eq!(judge(Kind::Identity, members), expect, "{members}");
    }
    for (principal, expect) in [
        (r#""Principal":"*""#, Allowed),
        (r#""Principal":{"AWS":"*"}"#, Allowed),
        // That leaves it to the account's own documents.
        (r#""Principal":{"AWS":["123456789012"]}"#, Silent),
        (r#""Principal":{"AWS":"arn:aws:iam::123456789012:root"}"#, Silent),
        (r#""Principal":{"AWS":"arn:aws:iam::123456789012:role/ci"}"#, Allowed),
        (r#""Principal":{"AWS":"arn:aws:sts::123456789012:assumed-role/ci/run-7"}"#, Allowed),
        (r#""Principal":{"AWS":"arn:aws:sts::123456789012:assumed-role/ci/run-8"}"#, Silent),
        (r#""Principal":{"AWS":"arn:aws:iam::123456789012:user/ci"}"#, Silent),
        (r#""Principal":{"AWS":"210987654321"}"#, Silent),
    ] {
        assert_eq!(judge(Kind::Resource, &format!("{ALL},{principal}")), expect, "{principal}");
    }
    let deny = r#""Effect":"Deny","Action":"*","Resource":"*",
                  "NotPrincipal":{"AWS":"arn:aws:iam::123456789012:role/ci"}"#;
    assert_eq!(judge(Kind::Resource, deny), Silent);
}

#[test]
fn conditions() {
    for (condition, expect) in [
        (r#"{"StringEquals":{"secretsmanager:VersionStage":["X","AWSCURRENT"]}}"#, true),
        (r#"{"StringEquals":{"secretsmanager:versionstage":"AWSPENDING"}}"#, false),
        (r#"{"StringNotEquals":{"secretsmanager:VersionStage":["X","AWSCURRENT"]}}"#, false),
        (r#"{"StringEquals":{"aws:ResourceTag/team":"blue"}}"#, false),
        (r#"{"StringEqualsIgnoreCase":{"aws:ResourceTag/team":"blue"}}"#, true),
        (r#"{"StringLike":{"aws:ResourceTag/team":"B?u*"}}"#, true),
        (r#"{"StringNotLike":{"aws:ResourceTag/team":"R*"}}"#, true),
        // A key that is not there.
        (r#"{"StringEquals":{"aws:ResourceTag/other":"x"}}"#, false),
        (r#"{"StringEqualsIfExists":{"aws:ResourceTag/other":"x"}}"#, true),
        (r#"{"StringNotEquals":{"aws:ResourceTag/other":"x"}}"#, true),
        (r#"{"Null":{"aws:ResourceTag/other":"true"}}"#, true),
        (r#"{"Null":{"aws:ResourceTag/team":true}}"#, false),
        (r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","::1"]}}"#, true),
        (r#"{"NotIpAddress":{"aws:SourceIp":"10.1.2.3"}}"#, false),
        (r#"{"Bool":{"aws:SecureTransport":"false"}}"#, false),
        (r#"{"Bool":{"aws:SecureTransport":true}}"#, true),
        (r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-11-26"}}"#, true),
        (r#"{"DateLessThan":{"aws:CurrentTime":"2026-11-26T14:00:00Z"}}"#, false),
        (r#"{"NumericLessThanEquals":{"aws:EpochTime":"1795701600"}}"#, true),
        (r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b","c"]}}"#, true),
        (r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}"#, false),
        (r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":["b"]}}"#, true),
        (r#"{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a","b"]}}"#, false),
        (r#"{"ForAllValues:StringEquals":{"aws:RequestTag/x":["a"]}}"#, true),
        (r#"{"ForAnyValue:StringEquals":{"aws:RequestTag/x":["a"]}}"#, false),
        // Keys and operators are ANDed.
        (
            r#"{"Bool":{"aws:SecureTransport":"true"},"IpAddress":{"aws:SourceIp":"192.0.2.1"}}"#,
            false,
        ),
    ] {
        let verdict = judge(Kind::Identity, &format!(r#"{ALL},"Condition":{condition}"#));
        assert_eq!(verdict == Verdict::Allowed, expect, "{condition}");
    }
}

#[test]
fn a_deny_wins_and_a_resource_may_allow() {
    let document = |kind, effect: &str, action: &str, more: &str| {
        let text = format!(
            r#"{{"Statement":{{"Effect":"{effect}","Action":"{action}","Resource":"*"{more}}}}}"#
        );
        Document::parse(&text, kind).unwrap()
    };
    let own = |effect: &str, action: &str| document(Kind::Identity, effect, action, "");
    let of = |effect: &str| document(Kind::Resource, effect, "*", r#","Principal":"*""#);
    let (principal, context) = (caller(), context());
    let request = Request {
        action: "secretsmanager:GetSecretValue",
        resource: ARN,
        principal: &principal,
        context: &context,
    };
    let (allow, other, deny) = (own("Allow", "*"), own("Allow", "kms:*"), own("Deny", "*"));
    let (open, shut) = (of("Allow"), of("Deny"));
    for (identity, resource, expect) in [
        (None, None, Ok(())),
        (Some(&allow), None, Ok(())),
        (Some(&other), None, Err(Refusal::NotAllowed)),
        (Some(&other), Some(&open), Ok(())),
        (Some(&deny), Some(&open), Err(Refusal::DeniedToIdentity)),
        (Some(&allow), Some(&shut), Err(Refusal::DeniedByResource)),
        (None, Some(&shut), Err(Refusal::DeniedByResource)),
    ] {
        let documents = Documents { identity, resource, ..Documents::default() };
        assert_eq!(decide(&request, &documents), expect);
    }
}

#[test]
fn a_session_is_narrowed_whoever_else_allows() {
    let document = |kind, text: &str| Document::parse(text, kind).unwrap();
    let text = |effect: &str, action: &str, more: &str| {
        format!(
            r#"{{"Statement":{{"Effect":"{effect}","Action":"{action}","Resource":"*"{more}}}}}"#
        )
    };
    let own = |effect, action| document(Kind::Identity, &text(effect, action, ""));
    let (allow, other, deny) = (own("Allow", "*"), own("Allow", "kms:*"), own("Deny", "*"));
    let of = |principal: &str| document(Kind::Resource, &text("Allow", "*", principal));
    let everybody = of(r#","Principal":"*""#);
    let account = of(r#","Principal":{"AWS":"arn:aws:iam::123456789012:root"}"#);
    let role = of(r#","Principal":{"AWS":"arn:aws:iam::123456789012:role/CI"}"#);
    let (principal, context) = (caller(), context());
    let request = Request {
        action: "secretsmanager:GetSecretValue",
        resource: ARN,
        principal: &principal,
        context: &context,
    };
    let refused = Err(Refusal::NotAllowed);
    for (identity, session, resource, trusted, expect) in [
        (Some(&allow), Some(&allow), None, false, Ok(())),
        (Some(&allow), Some(&other), None, false, refused),
        (Some(&allow), Some(&other), None, true, refused),
        (None, Some(&other), None, true, refused),
        (Some(&allow), Some(&other), Some(&everybody), false, refused),
        (Some(&other), Some(&allow), Some(&everybody), false, Ok(())),
        (Some(&other), Some(&allow), None, true, Ok(())),
        (Some(&other), None, Some(&role), false, Ok(())),
        // An account's number is no grant; it is no hindrance, either.
        (Some(&other), None, Some(&account), false, refused),
        (None, None, Some(&account), false, Ok(())),
        (Some(&allow), Some(&deny), None, true, Err(Refusal::DeniedToIdentity)),
    ] {
        let documents = Documents { identity, session, resource, trusted };
        assert_eq!(decide(&request, &documents), expect);
    }
}

#[test]
fn names_of_roles_have_no_case_and_no_path() {
    let denied = |members: &str| {
        judge(Kind::Resource, &format!(r#""Effect":"Deny","Action":"*","Resource":"*",{members}"#))
            == Verdict::Denied
    };
    let when = |condition: &str| denied(&format!(r#""Principal":"*","Condition":{condition}"#));
    assert!(denied(r#""Principal":{"AWS":"arn:aws:iam::123456789012:role/CI"}"#));
    assert!(denied(r#""Principal":{"AWS":"arn:aws:sts::123456789012:assumed-role/CI/run-7"}"#));
    assert!(!denied(r#""Principal":{"AWS":"arn:aws:sts::123456789012:assumed-role/ci/RUN-7"}"#));
    let (arn, name) = ("arn:aws:iam::123456789012:role/CI", "CI");
    for operator in ["StringEquals", "StringLike", "ArnEquals", "ArnLike"] {
        let condition = format!(r#"{{"{operator}":{{"AWS:principalarn":"{arn}"}}}}"#);
        assert!(when(&condition), "{condition}");
    }
    assert!(when(&format!(r#"{{"StringEquals":{{"aws:username":"{name}"}}}}"#)));
    assert!(!when(r#"{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/cd"}}"#));
    let (principal, context) = (caller(), context());
    for resource in ["role/CI", "role/C*"] {
        let text = format!(
            r#"{{"Statement":{{"Effect":"Deny","Action":"*",
               "Resource":"arn:aws:iam::123456789012:{resource}"}}}}"#
        );
        let document = Document::parse(&text, Kind::Identity).unwrap();
        let request = Request {
            action: "sts:AssumeRole",
            resource: "arn:aws:iam::123456789012:role/ci",
            principal: &principal,
            context: &context,
        };
        assert_eq!(document.judge(&request), Verdict::Denied, "{resource}");
    }
    let below = "arn:aws:iam::123456789012:role/x/ci";
    let statement = |more: &str, resource: &str| {
        format!(r#"{{"Statement":{{"Effect":"Deny","Action":"*","Resource":"{resource}"{more}}}}}"#)
    };
    for (kind, text) in [
        (Kind::Resource, statement(&format!(r#","Principal":{{"AWS":"{below}"}}"#), "*")),
        (
            Kind::Resource,
            statement(
                r#","Principal":{"AWS":"arn:aws:sts::123456789012:assumed-role/x/ci/run"}"#,
                "*",
            ),
        ),
        (Kind::Identity, statement("", below)),
        (
            Kind::Identity,
            statement(
                &format!(r#","Condition":{{"ArnLike":{{"aws:PrincipalArn":"{below}"}}}}"#),
                "*",
            ),
        ),
    ] {
        assert!(Document::parse(&text, kind).is_err(), "{text}");
    }
}

#[test]
fn documents_for_everybody() {
    let public = |more: &str| {
        let text = format!(r#"{{"Statement":{{{ALL},{more}}}}}"#);
        Document::parse(&text, Kind::Resource).unwrap().is_public()
    };
    assert!(public(r#""Principal":"*""#));
    assert!(public(r#""Principal":{"AWS":["123456789012","*"]}"#));
    assert!(!public(r#""Principal":{"AWS":"123456789012"}"#));
    for (condition, expect) in [
        (r#"{"StringEquals":{"aws:PrincipalAccount":"123456789012"}}"#, false),
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, false),
        (r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","0.0.0.0/0"]}}"#, true),
        (r#"{"StringLike":{"aws:PrincipalAccount":"*"}}"#, true),
        (r#"{"StringNotEquals":{"aws:PrincipalAccount":"1"}}"#, true),
        (r#"{"StringEqualsIfExists":{"aws:PrincipalAccount":"1"}}"#, true),
        (r#"{"Bool":{"aws:SecureTransport":"true"}}"#, true),
    ] {
        let text = format!(r#""Principal":"*","Condition":{condition}"#);
        assert_eq!(public(&text), expect, "{condition}");
    }
}
