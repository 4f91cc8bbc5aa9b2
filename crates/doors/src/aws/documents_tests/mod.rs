//! IAM documents before real engines: what a Deny is about holds however a request is put.

mod kms;
mod members;
mod parameters;
mod roles;
mod secrets;
mod standing;
mod strangers;

use serde_json::{Value, json};
use strongroom_kernel::mounts::{create, new_record};
use strongroom_kernel::plug::Class;
use strongroom_kernel::record::Scope;

use super::tests::{Key, Room, Wire, code, keys_of};

const ACCOUNT: &str = "123456789012";

/// A node with a role `ci` that may do everything at Vault's door, and its key.
struct World {
    room: Room,
    key: Key,
}

fn statement(effect: &str, action: &str, more: &str) -> String {
    let resource = if more.contains("Resource\"") { "" } else { r#","Resource":"*""# };
    format!(r#"{{"Effect":"{effect}","Action":"{action}"{resource}{more}}}"#)
}

fn document(statements: &[String]) -> Value {
    json!(format!(r#"{{"Statement":[{}]}}"#, statements.join(",")))
}

impl World {
    async fn new() -> Self {
        let room = Room::new().await;
        let services = room.node.services();
        let tx = services.store.begin();
        let mut mount = new_record(&tx, "kv", "secret/", Class::Secret, "", services.store.now());
        mount.options.insert("version".to_owned(), "2".to_owned());
        create(&tx, Scope::ROOT, mount).await.unwrap();
        tx.commit().await.unwrap();
        let all = r#"path "*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;
        room.node.policy("all", all).await;
        for role in ["ci", "admin"] {
            room.role(role, json!({"token_policies": "all"})).await;
        }
        room.role("nobody", json!({"token_policies": "none"})).await;
        let key = room.key("ci").await;
        Self { room, key }
    }

    /// The role's document from now on.
    async fn limit(&self, statements: &[String]) {
        let body = json!({ "policy_document": document(statements) });
        self.room.role("ci", body).await;
    }

    async fn free(&self) {
        self.room.role("ci", json!({"policy_document": ""})).await;
    }

    async fn ask_as(&self, key: &Key, target: &str, body: Value) -> Result<Value, String> {
        let (status, body) = self.raw(key, target, body).await;
        match status {
            200 => Ok(serde_json::from_str(&body).unwrap()),
            _ => Err(code(&body)),
        }
    }

    /// The answer as it is.
    async fn raw(&self, key: &Key, target: &str, body: Value) -> (u16, String) {
        let service = match target.split_once('.').unwrap().0 {
            "TrentService" => "kms",
            "AmazonSSM" => "ssm",
            other => other,
        };
        let wire = Wire::json(target, &body.to_string());
        let wire = wire.signed(key, "us-east-1", service, self.room.now());
        self.room.send(&wire).await
    }

    async fn ask(&self, target: &str, body: Value) -> Result<Value, String> {
        self.ask_as(&self.key, target, body).await
    }

    async fn sts(&self, key: &Key, form: &str) -> Result<(), String> {
        let wire = Wire::form(form).signed(key, "us-east-1", "sts", self.room.now());
        let (status, body) = self.room.send(&wire).await;
        if status == 200 { Ok(()) } else { Err(code(&body)) }
    }

    async fn secret(&self, name: &str) {
        let body = json!({"Name": name, "SecretString": "x", "ClientRequestToken": TOKEN});
        self.ask("secretsmanager.CreateSecret", body).await.unwrap();
    }

    /// A resource policy of a parameter, as it was stored while parameters were secrets, too: past the door.
    async fn kept_policy(&self, path: &str, policy: &Value) {
        let path = format!("secret/aws/put-resource-policy/{path}");
        let got = self.room.node.root("AWS", &path, json!({"resource_policy": policy})).await;
        assert_eq!(got.status, 200, "{got:?}");
    }

    async fn kms_key(&self) -> (String, String) {
        let made = self.ask("TrentService.CreateKey", json!({})).await.unwrap();
        let text = |name: &str| made["KeyMetadata"][name].as_str().unwrap().to_owned();
        (text("KeyId"), text("Arn"))
    }

    async fn encrypt(&self, key: &str, context: Value) -> String {
        let body = json!({"KeyId": key, "Plaintext": "eA==", "EncryptionContext": context});
        let made = self.ask("TrentService.Encrypt", body).await.unwrap();
        made["CiphertextBlob"].as_str().unwrap().to_owned()
    }
}

const TOKEN: &str = "11111111-2222-4333-8444-555555555555";
const REFERENCE: &str = "/aws/reference/secretsmanager/db";

fn refused<T>() -> Result<T, String> {
    Err("AccessDeniedException".to_owned())
}

fn assume(role: &str, more: &str) -> String {
    format!(
        "Action=AssumeRole&RoleSessionName=run&RoleArn=arn:aws:iam::{ACCOUNT}:role/{role}{more}"
    )
}
