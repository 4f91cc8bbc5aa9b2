//! Rotation behind the AWS door, of accounts in real databases: by the rotators that are built in, and by
//! a function that was written for AWS.

mod clients;
mod functions;
mod rotators;

use std::sync::Arc;

use serde_json::{Value as Json, json};
use strongroom_base::{Clock, SecretString};
use strongroom_cloudwire::sigv4;
use strongroom_server::real::RealClock;

use crate::databases::Room;
use crate::product::Wire;

/// What whoever rotates may do.
const POLICY: &str = r#"
path "secret/+/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "sys/tools/random" { capabilities = ["update"] }
"#;

/// A key pair.
#[derive(Clone)]
struct Pair {
    id: String,
    secret: String,
}

impl Pair {
    /// An operation of Secrets Manager at this address; nothing while the server is away.
    fn call(&self, address: &str, operation: &str, body: &Json) -> Option<(u16, Json)> {
        let body = body.to_string();
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut headers = vec![
            header("Host", address),
            header("Content-Type", "application/x-amz-json-1.1"),
            header("X-Amz-Target", &format!("secretsmanager.{operation}")),
        ];
        let payload = sigv4::hash_of(body.as_bytes());
        let request = sigv4::Request::post("/", &headers, &payload);
        let credentials = sigv4::Credentials {
            access_key: self.id.clone(),
            secret_key: SecretString::new(self.secret.clone()),
            session_token: None,
        };
        let clock: Arc<dyn Clock> = Arc::new(RealClock::new());
        let service = "secretsmanager";
        headers.extend(sigv4::sign(request, &credentials, "us-east-1", service, clock.now()));
        let head: String = headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        let mut wire = Wire::open(address).ok()?;
        let text = format!("POST / HTTP/1.1\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len());
        wire.send(text.as_bytes()).ok()?;
        let answer = wire.answer().ok()?;
        Some((answer.status, answer.body))
    }
}

/// A server with the AWS door, and somebody who may do everything with secrets.
struct Bed {
    room: Room,
    owner: Pair,
}

impl Bed {
    fn new() -> Self {
        let room = Room::with(json!({ "door": { "aws": {} } }));
        room.ok(&["secrets", "enable", "-version=2", "-path=secret", "kv"]);
        room.ok(&["auth", "enable", "aws-door"]);
        let bed = Self { room, owner: Pair { id: String::new(), secret: String::new() } };
        bed.policy("owner", POLICY);
        let owner = bed.pair("owner", "owner");
        Self { owner, ..bed }
    }

    fn policy(&self, name: &str, text: &str) {
        self.must(&format!("sys/policies/acl/{name}"), &json!({ "policy": text }));
    }

    /// Writes at Vault's door, as root.
    fn must(&self, path: &str, body: &Json) -> Json {
        self.room.server().must("POST", path, &self.room.root, body)
    }

    /// A key pair of a role of this name with this policy.
    fn pair(&self, role: &str, policy: &str) -> Pair {
        let path = format!("auth/aws-door/role/{role}");
        self.must(&path, &json!({ "token_policies": policy }));
        let made = self.must(&format!("{path}/key"), &json!({}));
        let text = |name: &str| made["data"][name].as_str().unwrap().to_owned();
        Pair { id: text("access_key"), secret: text("secret_key") }
    }

    /// An operation that must succeed.
    fn aws(&self, operation: &str, body: Json) -> Json {
        let answered = self.owner.call(self.room.server().address(), operation, &body);
        let (status, answer) = answered.unwrap();
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    /// Makes a secret; its ARN.
    fn create(&self, name: &str, value: &Json) -> String {
        let made = self.aws(
            "CreateSecret",
            json!({
                "Name": name, "SecretString": value.to_string(),
                "ClientRequestToken": token(),
            }),
        );
        made["ARN"].as_str().unwrap().to_owned()
    }

    /// The value of the version with this label.
    fn value(&self, name: &str, stage: &str) -> Json {
        let read = self.aws("GetSecretValue", json!({ "SecretId": name, "VersionStage": stage }));
        serde_json::from_str(read["SecretString"].as_str().unwrap()).unwrap()
    }

    /// Account and password of a version.
    fn login(&self, name: &str, stage: &str) -> (String, String) {
        login_of(&self.value(name, stage)).unwrap()
    }

    /// Waits until the version of a token is AWSCURRENT.
    fn rotated(&mut self, name: &str, token: &str) {
        let owner = self.owner.clone();
        let server = self.room.server.as_mut().unwrap();
        server.until("the rotation's end", |server| {
            let body = json!({ "SecretId": name });
            let (_, described) = owner.call(server.address(), "DescribeSecret", &body)?;
            let stages = described["VersionIdsToStages"][token].as_array()?;
            stages.contains(&json!("AWSCURRENT")).then_some(())
        });
    }

    /// Rotates a secret, and waits for the end of it.
    fn rotate(&mut self, name: &str, more: Json) -> String {
        let token = token();
        let mut body = json!({ "SecretId": name, "ClientRequestToken": token });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.aws("RotateSecret", body);
        self.rotated(name, &token);
        token
    }
}

fn login_of(value: &Json) -> Option<(String, String)> {
    let text = |name: &str| Some(value[name].as_str()?.to_owned());
    text("username").zip(text("password"))
}

/// A fresh client request token.
fn token() -> String {
    use strongroom_base::Rng;
    (&strongroom_server::real::RealRng as &dyn Rng).uuid()
}
