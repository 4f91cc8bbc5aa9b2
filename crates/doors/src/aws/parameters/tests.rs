//! Requests as AWS's clients write them, and answers as they read them.

use serde_json::json;
use strongroom_base::{Error, Json};

use super::super::scope::tests::regions;
use super::super::{Planned, Scope};
use super::OPERATIONS;

fn scope(region: &str) -> Scope {
    regions().scope(region).unwrap()
}

fn plan(name: &str, input: Json) -> Result<Planned, Error> {
    let operation = OPERATIONS.iter().find(|o| o.name == name).unwrap();
    let Json::Object(input) = input else { panic!("{input}") };
    (operation.plan)(&scope("us-east-1"), input)
}

fn code(name: &str, input: Json) -> &'static str {
    match plan(name, input.clone()) {
        Ok(_) => panic!("{name} {input} is taken"),
        Err(e) => {
            let text = e.public.join(" ");
            assert!(!text.contains("canary"), "{text}");
            e.code.unwrap()
        }
    }
}

#[test]
fn names_are_paths_in_a_folder() {
    let get = |name: &str| plan("GetParameter", json!({ "Name": name })).ok().unwrap();
    let arn = |bare: &str| format!("arn:aws:ssm:us-east-1:123456789012:parameter/{bare}");
    for (name, path, about, selector) in [
        ("/app/db", "ssm/app/db", "app/db", Json::Null),
        (" flat ", "ssm/flat", "flat", Json::Null),
        ("/rooted", "ssm/rooted", "rooted", Json::Null),
        ("/app/db:3", "ssm/app/db", "app/db", json!("3")),
        ("flat:prod", "ssm/flat", "flat", json!("prod")),
        ("/a/./b", "ssm/a/~./b", "a/./b", Json::Null),
        (&arn("app/db"), "ssm/app/db", "app/db", Json::Null),
        (&arn("app/db:2"), "ssm/app/db", "app/db", json!("2")),
        ("/made=20there", "ssm/made there", "made=20there", Json::Null),
    ] {
        let planned = get(name);
        assert_eq!(planned.path, format!("secret/aws/get-parameter/{path}"), "{name}");
        assert_eq!(planned.resource, arn(about), "{name}");
        assert_eq!(planned.body.get("selector").cloned().unwrap_or_default(), selector, "{name}");
    }
    let secret = get("/aws/reference/secretsmanager/app/db:AWSPREVIOUS");
    assert_eq!(secret.path, "secret/aws/get-parameter/app/db");
    assert_eq!(secret.resource, arn("aws/reference/secretsmanager/app/db"));
    assert_eq!(
        Json::Object(secret.body),
        json!({
            "selector": "AWSPREVIOUS", "reference": true,
            "secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:app/db",
        })
    );
    let other = scope("eu-west-1");
    let put = OPERATIONS.iter().find(|o| o.name == "PutParameter").unwrap();
    let Json::Object(body) = json!({ "Name": "/a", "Value": "x" }) else { panic!() };
    let planned = (put.plan)(&other, body).ok().unwrap();
    assert_eq!(planned.path, "secret/aws/put-parameter/regions/eu-west-1/ssm/a");
    for name in [
        "",
        "/",
        "/a//canary",
        "canary/",
        "/canary canary",
        "canary:",
        &arn(""),
        "arn:aws:ssm:canary",
    ] {
        let code = code("GetParameter", json!({ "Name": name }));
        assert_eq!(
            code,
            if name.is_empty() { "ValidationException" } else { "ParameterNotFound" },
            "{name}"
        );
    }
    for foreign in [
        "arn:aws:ssm:us-west-2:123456789012:parameter/canary",
        "arn:aws:ssm:us-east-1:000000000000:parameter/canary",
        "arn:aws:s3:us-east-1:123456789012:parameter/canary",
    ] {
        assert_eq!(code("GetParameter", json!({ "Name": foreign })), "ParameterNotFound");
    }
}

#[test]
fn what_may_be_made() {
    const INVALID: &str = "ValidationException";
    let put = |name: &str| {
        plan("PutParameter", json!({ "Name": name, "Value": "x" })).err().and_then(|e| e.code)
    };
    for (name, expect) in [
        ("/a/b", None),
        ("a.b-c_D", None),
        ("a/b", Some(INVALID)),
        ("a=b", Some(INVALID)),
        ("/a b", Some(INVALID)),
        ("/a//b", Some(INVALID)),
        ("/a/", Some(INVALID)),
        ("awsome", Some(INVALID)),
        ("/SSM/x", Some(INVALID)),
        ("/aws/x", Some("AccessDeniedException")),
        (&"/a".repeat(15), None),
        (&"/a".repeat(16), Some("HierarchyLevelLimitExceededException")),
        (&"a".repeat(1_011), None),
        (&"a".repeat(1_012), Some(INVALID)),
    ] {
        assert_eq!(put(name), expect, "{name}");
    }
    for (body, expect) in [
        (json!({ "Name": "a" }), INVALID),
        (json!({ "Name": "a", "Value": 5 }), "SerializationException"),
        (json!({ "Name": "a", "Value": "x", "Type": "canary" }), INVALID),
        (json!({ "Name": "a", "Value": "x", "Tier": "canary" }), INVALID),
        (json!({ "Name": "a", "Value": "x", "KeyId": "" }), INVALID),
        (json!({ "Name": "a", "Value": "x", "Tags": [{ "Key": "canary" }] }), INVALID),
        (json!({ "Name": "a", "Value": "x", "Policies": "[{}]" }), "InvalidPolicyTypeException"),
    ] {
        assert_eq!(code("PutParameter", body.clone()), expect, "{body}");
    }
    for (name, body, expect) in [
        ("GetParameters", json!({ "Names": [] }), INVALID),
        ("GetParameters", json!({ "Names": vec!["a"; 11] }), INVALID),
        ("DeleteParameters", json!({}), INVALID),
        ("GetParametersByPath", json!({ "Path": "canary" }), INVALID),
        ("GetParametersByPath", json!({ "Path": "/canary//x" }), INVALID),
        ("GetParametersByPath", json!({ "Path": "/", "MaxResults": 11 }), INVALID),
        ("DescribeParameters", json!({ "MaxResults": 51 }), INVALID),
        ("DescribeParameters", json!({ "Shared": true }), INVALID),
        ("DeleteParameter", json!({ "Name": "a:1" }), "ParameterNotFound"),
        ("LabelParameterVersion", json!({ "Name": "a" }), INVALID),
        ("UnlabelParameterVersion", json!({ "Name": "a", "Labels": ["x"] }), INVALID),
        (
            "ListTagsForResource",
            json!({ "ResourceType": "Document", "ResourceId": "canary" }),
            "InvalidResourceType",
        ),
        (
            "ListTagsForResource",
            json!({ "ResourceType": "Parameter", "ResourceId": "/canary//" }),
            "InvalidResourceId",
        ),
    ] {
        assert_eq!(code(name, body.clone()), expect, "{name} {body}");
    }
}

#[test]
fn lists_begin_in_their_folder() {
    for (path, expect) in [("/", "ssm"), ("/app", "ssm/app"), ("/app/", "ssm/app")] {
        let planned = plan("GetParametersByPath", json!({ "Path": path })).ok().unwrap();
        assert_eq!(planned.path, format!("secret/aws/get-parameters-by-path/{expect}"));
    }
    let old = json!({ "Filters": [{ "Key": "Name", "Values": ["/a"] }] });
    let planned = plan("DescribeParameters", old).ok().unwrap();
    assert_eq!(planned.path, "secret/aws/describe-parameters/ssm");
    let filters = json!([{ "key": "Name", "option": "BeginsWith", "values": ["/a"] }]);
    assert_eq!(planned.body["filters"], filters);
}

#[test]
fn answers_have_names_and_arns() {
    let shaped = |name: &str, input: Json, data: Json| {
        let planned = plan(name, input).ok().unwrap();
        planned.shape.answer(&scope("us-east-1"), data)
    };
    let get = json!({ "Name": "a" });
    let entry = |path: &str, rooted: bool| {
        json!({ "path": path, "rooted": rooted, "type": "String", "version": 2, "modified": 1.5,
            "data_type": "text", "value": "v", "selector": ":2" })
    };
    for (path, rooted, name, bare) in [
        ("ssm/app/db", false, "/app/db", "app/db"),
        ("ssm/a", false, "a", "a"),
        ("ssm/a", true, "/a", "a"),
        ("ssm/made there", false, "made=20there", "made=20there"),
    ] {
        let arn = format!("arn:aws:ssm:us-east-1:123456789012:parameter/{bare}");
        assert_eq!(
            shaped("GetParameter", get.clone(), entry(path, rooted)),
            json!({ "Parameter": {
                "Name": name, "Type": "String", "Value": "v", "Version": 2, "Selector": ":2",
                "LastModifiedDate": 1.5, "ARN": arn, "DataType": "text",
            } })
        );
    }
    let secret = json!({
        "path": "app/db", "reference": true, "type": "SecureString", "version": 0, "value": "s",
        "source": { "path": "app/db", "suffix": "AbCdEf", "secret_string": "s" },
    });
    let shown = shaped("GetParameter", get, secret);
    assert_eq!(shown["Parameter"]["Name"], "/aws/reference/secretsmanager/app/db");
    let source = shown["Parameter"]["SourceResult"].as_str().unwrap();
    let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app/db-AbCdEf";
    assert_eq!(source, json!({ "ARN": arn, "name": "app/db", "secretString": "s" }).to_string());
    let page = shaped("DescribeParameters", json!({}), json!({ "parameters": [], "next": null }));
    assert_eq!(page, json!({ "Parameters": [] }));
}
