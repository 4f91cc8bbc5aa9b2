//! Every operation of AWS's door by boto3, by AWS's command line and by its SDK for JavaScript: the tables
//! in `aws/every` say what is sent and what has to come back; what the door has says the door itself.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};

use serde_json::{Value as Json, json};
use strongroom_testkit::servers::guard::program;
use strongroom_testkit::servers::http::{Server as Functions, Told};

use crate::aws_ready::{FUNCTION, Ready, python, script};

/// What there is only to be refused in words: of each service, by the refusal. All others have to
/// succeed.
const REFUSED: &[(&str, &str, &[&str])] = &[
    (
        "secretsmanager",
        "InvalidRequestException",
        &[
            "AssociateCrossAccountReplica",
            "DisassociateCrossAccountReplica",
            "ReplicateSecretToRegions",
            "StopReplicationToReplica",
        ],
    ),
    (
        "kms",
        "UnsupportedOperationException",
        &[
            "ConnectCustomKeyStore",
            "CreateCustomKeyStore",
            "CreateGrant",
            "DeleteCustomKeyStore",
            "DeleteImportedKeyMaterial",
            "Decapsulate",
            "DeriveSharedSecret",
            "DescribeCustomKeyStores",
            "DisconnectCustomKeyStore",
            "Encapsulate",
            "GenerateDataKeyPair",
            "GenerateDataKeyPairWithoutPlaintext",
            "GenerateMac",
            "GetKeyLastUsage",
            "GetParametersForImport",
            "GetPublicKey",
            "ImportKeyMaterial",
            "ListGrants",
            "ListRetirableGrants",
            "ReplicateKey",
            "RetireGrant",
            "RevokeGrant",
            "Sign",
            "UpdateCustomKeyStore",
            "UpdatePrimaryRegion",
            "Verify",
            "VerifyMac",
        ],
    ),
];

/// What a client says of a step that is newer than it is. The SDK for Python is the newest of all.
const UNKNOWN: &str = "unknown to the client";
const NEWEST: &str = "boto3";
/// Members of answers that only the newest knows.
const NEWER: &[&str] = &[".PolicyName"];
/// A member that comes some time after what it tells of.
const LATER: &str = ".LastAccessedDate";

/// The operations of each service.
fn operations() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (service, operation) in strongroom_doors::aws::operations() {
        assert!(all.entry(service).or_default().insert(operation), "{operation} twice");
    }
    all
}

/// What a client did: each step's service, operation, failure, and the members of the answer.
type Steps = Vec<(String, String, Option<String>, Vec<String>)>;

fn steps(client: &str, child: Child) -> Steps {
    let done = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(done.stdout), text(done.stderr));
    assert!(done.status.success(), "{client}: {err}\n{out}");
    let (lines, end) = out.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(end, "done", "{client}");
    let step = |line: &str| {
        let step: Json = serde_json::from_str(line).unwrap();
        let of = |name: &str| step[name].as_str().map(str::to_owned);
        let members = step["members"].as_array().unwrap().iter();
        let members = members.map(|member| member.as_str().unwrap().to_owned());
        let members =
            members.filter(|member| !NEWER.contains(&member.as_str()) && !member.ends_with(LATER));
        let members = members.collect();
        (of("service").unwrap(), of("operation").unwrap(), of("failed"), members)
    };
    lines.lines().map(step).collect()
}

/// Every operation went, and came to the end it has to.
fn covers(client: &str, steps: &Steps) {
    for (service, operations) in operations() {
        for operation in operations {
            let ends: BTreeSet<Option<&str>> = steps
                .iter()
                .filter(|step| (step.0.as_str(), step.1.as_str()) == (service, operation))
                .map(|step| step.2.as_deref())
                .collect();
            if client != NEWEST && ends == BTreeSet::from([Some(UNKNOWN)]) {
                continue;
            }
            let refused =
                REFUSED.iter().find(|(of, _, all)| *of == service && all.contains(&operation));
            match refused {
                Some((_, code, _)) => {
                    assert_eq!(ends, BTreeSet::from([Some(*code)]), "{operation}")
                }
                None => assert!(
                    ends.contains(&None),
                    "{client} never did {service} {operation}: {ends:?}"
                ),
            }
        }
    }
}

#[test]
fn every_operation_by_three_clients() {
    let ready = Ready::new();
    let functions = Functions::start(|_| Told::json(200, &Json::Null));
    ready.functions_at(&functions.url());
    let given = json!({
        "operations": operations(),
        "kept": {
            "account": "000000000000", "function": FUNCTION,
            "token": ready.token("repo:shop"), "fork": ready.token("repo:fork"),
        },
    });
    let start = |mut command: Command| {
        command.env("EVERY_OPERATION", given.to_string());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let by = |interpreter: std::path::PathBuf, name: &str| {
        let mut command = ready.client(interpreter);
        command.arg(script(name));
        start(command)
    };
    let children = [
        (NEWEST, by(python(), "every/by_boto3.py")),
        ("the command line", by(python(), "every/by_cli.py")),
        ("JavaScript", by(program("node", "nodejs"), "every/by_node.mjs")),
    ];
    let seen = children.map(|(client, child)| (client, steps(client, child)));
    for (client, steps) in &seen {
        covers(client, steps);
    }
    // Each client reads the same of an answer.
    let [(_, first), others @ ..] = &seen;
    for (client, steps) in others {
        assert_eq!(steps.len(), first.len(), "{client}");
        for (theirs, ours) in steps.iter().zip(first) {
            if theirs.2.as_deref() != Some(UNKNOWN) {
                assert_eq!(theirs, ours, "{client}");
            }
        }
    }
}
