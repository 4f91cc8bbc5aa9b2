//! Shapes in and out, as tables.

use serde_json::{Value, json};
use strongroom_base::ErrorKind;

use super::super::scope::tests::regions;
use super::*;

/// What an operation plans in a region: path, body and resource; or the name of the failure.
fn plan(region: &str, name: &str, input: Value) -> Result<Planned, &'static str> {
    let scope = regions().scope(region).unwrap();
    let operation = OPERATIONS.iter().find(|o| o.name == name).unwrap();
    let Value::Object(input) = input else { panic!("no object") };
    (operation.plan)(&scope, input).map_err(|e| {
        assert!(matches!(e.kind, ErrorKind::BadRequest | ErrorKind::NotFound), "{e:?}");
        e.code.unwrap()
    })
}

#[test]
fn all_operations_are_there_once() {
    let mut names: Vec<&str> = OPERATIONS.iter().map(|o| o.name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "AssociateCrossAccountReplica",
            "BatchGetSecretValue",
            "CancelRotateSecret",
            "CreateSecret",
            "DeleteResourcePolicy",
            "DeleteSecret",
            "DescribeSecret",
            "DisassociateCrossAccountReplica",
            "GetRandomPassword",
            "GetResourcePolicy",
            "GetSecretValue",
            "ListResourcePolicies",
            "ListSecretVersionIds",
            "ListSecrets",
            "PutResourcePolicy",
            "PutSecretValue",
            "RemoveRegionsFromReplication",
            "ReplicateSecretToRegions",
            "RestoreSecret",
            "RotateSecret",
            "StopReplicationToReplica",
            "TagResource",
            "UntagResource",
            "UpdateSecret",
            "UpdateSecretVersionStage",
            "ValidateResourcePolicy",
        ]
    );
}

#[test]
fn what_is_no_request_of_the_model_is_refused() {
    for (name, input, code) in [
        ("GetSecretValue", json!({}), "ValidationException"),
        ("GetSecretValue", json!({"SecretId": null}), "ValidationException"),
        ("GetSecretValue", json!({"SecretId": ""}), "ValidationException"),
        ("GetSecretValue", json!({"SecretId": "a".repeat(2_049)}), "ValidationException"),
        ("GetSecretValue", json!({"SecretId": 1}), "SerializationException"),
        ("GetSecretValue", json!({"SecretId": "a b"}), "ValidationException"),
        ("GetSecretValue", json!({"SecretId": "a", "VersionId": 1}), "SerializationException"),
        (
            "GetSecretValue",
            json!({"SecretId": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf"}),
            "ResourceNotFoundException",
        ),
        (
            "GetSecretValue",
            json!({"SecretId": "arn:aws:secretsmanager:us-east-1:999999999999:secret:a-AbCdEf"}),
            "ResourceNotFoundException",
        ),
        (
            "GetSecretValue",
            json!({"SecretId": "arn:aws:s3:us-east-1:123456789012:secret:a-AbCdEf"}),
            "ResourceNotFoundException",
        ),
        // A reference with a key, a label and a version is the client's to take apart.
        (
            "GetSecretValue",
            json!({"SecretId":
                "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf:k:AWSCURRENT:"}),
            "ValidationException",
        ),
        ("CreateSecret", json!({}), "ValidationException"),
        ("CreateSecret", json!({"Name": ""}), "ValidationException"),
        ("CreateSecret", json!({"Name": "a".repeat(513)}), "ValidationException"),
        ("CreateSecret", json!({"Name": "rds!cluster-1"}), "ValidationException"),
        ("CreateSecret", json!({"Name": "a", "Tags": {}}), "SerializationException"),
        ("CreateSecret", json!({"Name": "a", "Tags": [{"Key": 1}]}), "SerializationException"),
        ("CreateSecret", json!({"Name": "a", "Type": "x"}), "InvalidRequestException"),
        ("UpdateSecret", json!({"SecretId": "a", "Type": "x"}), "InvalidRequestException"),
        (
            "RotateSecret",
            json!({"SecretId": "a", "ExternalSecretRotationMetadata": []}),
            "InvalidRequestException",
        ),
        ("TagResource", json!({"SecretId": "a"}), "ValidationException"),
        ("UntagResource", json!({"SecretId": "a", "TagKeys": [1]}), "SerializationException"),
        ("UpdateSecretVersionStage", json!({"SecretId": "a"}), "ValidationException"),
        ("ListSecrets", json!({"MaxResults": "1"}), "SerializationException"),
        ("ListSecrets", json!({"MaxResults": 1.5}), "SerializationException"),
        ("ListSecrets", json!({"IncludePlannedDeletion": 1}), "SerializationException"),
        (
            "ListSecrets",
            json!({"Filters": [{"Key": "name", "Values": "a"}]}),
            "SerializationException",
        ),
        ("RotateSecret", json!({"SecretId": "a", "RotationRules": []}), "SerializationException"),
        ("BatchGetSecretValue", json!({"SecretIdList": ["a", ""]}), "ValidationException"),
    ] {
        let said = plan("us-east-1", name, input.clone()).map(|p| p.path);
        assert_eq!(said, Err(code), "{name} {input}");
    }
}

#[test]
fn requests_become_operations_of_the_engine() {
    let arn = |name: &str| format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}");
    for (name, input, path, body) in [
        (
            "GetSecretValue",
            json!({"SecretId": "app/db", "VersionStage": "AWSPREVIOUS", "Unknown": 1}),
            "secret/aws/get-secret-value/app/db",
            json!({"version_stage": "AWSPREVIOUS", "arn": arn("app/db")}),
        ),
        (
            "DescribeSecret",
            json!({"SecretId": arn("/app/db-AbCdE1")}),
            "secret/aws/describe-secret/~/app/db",
            json!({"suffix": "AbCdE1", "whole": "~/app/db-AbCdE1", "arn": arn("/app/db")}),
        ),
        (
            "DescribeSecret",
            json!({"SecretId": arn("app/db")}),
            "secret/aws/describe-secret/app/db",
            json!({"arn": arn("app/db")}),
        ),
        (
            "DescribeSecret",
            json!({"SecretId": arn("-AbCdEf")}),
            "secret/aws/describe-secret/-AbCdEf",
            json!({"arn": arn("-AbCdEf")}),
        ),
        // A name alone is a name, whatever it ends in.
        (
            "DescribeSecret",
            json!({"SecretId": "a-AbCdEf"}),
            "secret/aws/describe-secret/a-AbCdEf",
            json!({"arn": arn("a-AbCdEf")}),
        ),
        (
            "CreateSecret",
            json!({"Name": "a", "SecretBinary": "aGk=", "Tags": [{"Key": "k", "Value": "v", "X": 1}]}),
            "secret/aws/create-secret/a",
            json!({"name": "a", "secret_binary": "aGk=", "tags": [{"key": "k", "value": "v"}],
                "arn": arn("a"), "region": "us-east-1"}),
        ),
        (
            "RotateSecret",
            json!({"SecretId": "a", "RotationRules": {"AutomaticallyAfterDays": 3, "Duration": "2h"}}),
            "secret/aws/rotate-secret/a",
            json!({"automatically_after_days": 3, "duration": "2h", "region": "us-east-1", "arn": arn("a")}),
        ),
        (
            "ListSecrets",
            json!({"Filters": [{"Key": "name", "Values": ["a"]}, {}], "MaxResults": 3}),
            "secret/aws/list-secrets",
            json!({"filters": [{"key": "name", "values": ["a"]}, {}], "max_results": 3}),
        ),
        (
            "BatchGetSecretValue",
            json!({"SecretIdList": ["a", arn("b-AbCdEf")]}),
            "secret/aws/batch-get-secret-value",
            json!({"secrets": [
                {"id": "a", "path": "a", "arn": arn("a")},
                {"id": arn("b-AbCdEf"), "path": "b", "suffix": "AbCdEf", "whole": "b-AbCdEf",
                    "arn": arn("b")},
            ], "arn": arn("")}),
        ),
        (
            "GetRandomPassword",
            json!({"PasswordLength": 10, "IncludeSpace": true}),
            "secret/aws/get-random-password",
            json!({"password_length": 10, "include_space": true}),
        ),
        (
            "ValidateResourcePolicy",
            json!({"ResourcePolicy": "{}"}),
            "secret/aws/validate-resource-policy",
            json!({"resource_policy": "{}"}),
        ),
    ] {
        let planned = plan("us-east-1", name, input.clone()).unwrap();
        assert_eq!(planned.path, path, "{name} {input}");
        assert_eq!(Value::Object(planned.body), body, "{name} {input}");
    }
    let planned = plan("eu-west-1", "ListSecrets", json!({})).unwrap();
    assert_eq!(planned.path, "secret/aws/list-secrets/regions/eu-west-1");
    let planned = plan("eu-west-1", "GetSecretValue", json!({"SecretId": "a"})).unwrap();
    assert_eq!(planned.path, "secret/aws/get-secret-value/regions/eu-west-1/a");
    assert_eq!(planned.resource, "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a");
}

#[test]
fn conditions_see_what_was_asked() {
    let tags = json!([{"Key": "team", "Value": "a"}, {"Key": "env"}]);
    let planned = plan("us-east-1", "TagResource", json!({"SecretId": "a", "Tags": tags})).unwrap();
    let texts = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    for (key, values) in [
        ("aws:TagKeys", texts(&["team", "env"])),
        ("aws:RequestTag/team", texts(&["a"])),
        ("aws:RequestTag/env", texts(&[""])),
        ("secretsmanager:SecretId", texts(&["a"])),
    ] {
        assert!(planned.keys.contains(&(key.into(), values)), "{key}: {:?}", planned.keys);
    }
}

#[test]
fn answers_have_the_names_of_aws() {
    let scope = regions().scope("eu-west-1").unwrap();
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:/a-AbCdEf";
    let path = "regions/eu-west-1/~/a";
    assert_eq!(
        SECRET.answer(
            &scope,
            json!({"path": path, "suffix": "AbCdEf", "version_id": "v", "created_date": 1.5,
                "version_ids_to_stages": {"some_id": ["AWSCURRENT"]},
                "tags": [{"key": "a_b", "value": "c_d"}]}),
        ),
        json!({"ARN": arn, "Name": "/a", "VersionId": "v", "CreatedDate": 1.5,
            "VersionIdsToStages": {"some_id": ["AWSCURRENT"]},
            "Tags": [{"Key": "a_b", "Value": "c_d"}]})
    );
    assert_eq!(
        LIST.answer(
            &scope,
            json!({"secrets": [{"path": path, "suffix": "AbCdEf",
                "version_ids_to_stages": {"v": ["AWSCURRENT"]}}], "next_token": "n"}),
        ),
        json!({"SecretList": [{"ARN": arn, "Name": "/a",
            "SecretVersionsToStages": {"v": ["AWSCURRENT"]}}], "NextToken": "n"})
    );
    assert_eq!(
        BATCH.answer(
            &scope,
            json!({"secret_values": [], "errors": [
                {"secret_id": "x", "error_code": "c", "message": "m"},
                {"secret_id": "", "error_code": "c", "message": "m", "path": path,
                    "suffix": "AbCdEf"},
            ]}),
        ),
        json!({"SecretValues": [], "Errors": [
            {"SecretId": "x", "ErrorCode": "c", "Message": "m"},
            {"SecretId": arn, "ErrorCode": "c", "Message": "m"},
        ]})
    );
    assert_eq!(NOTHING.answer(&scope, json!({"path": path})), json!({}));
    let gone = SECRET.answer(&scope, json!({"path": "regions/eu-west-1/b", "deletion_date": 1.0}));
    assert_eq!(gone["ARN"], "arn:aws:secretsmanager:eu-west-1:123456789012:secret:b");
}
