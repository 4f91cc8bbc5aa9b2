//! Second factors through the whole pipeline, with logins of userpass.

mod logins;
mod settings;

use serde_json::{Value, json};
use strongroom_base::{Clock, RequestPath};
use strongroom_crypto::totp::{Codes, OtpHash, url};
use strongroom_kernel::pipeline::{Call, InlineLogin, handle};
use strongroom_kernel::plug::Verb;
use strongroom_testkit::{Got, TestNode, render};

/// The bcrypt hash of "abc" at cost 6 (jBCrypt's test suite).
const HASH_OF_ABC: &str = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";
const BAD: &str = "MFA credentials not supplied or incorrect";

struct Room {
    node: TestNode,
    accessor: String,
    method: String,
    entity: String,
    secret: Vec<u8>,
}

async fn ok(node: &TestNode, method: &str, path: &str, body: Value) -> Value {
    let got = node.root(method, path, body.clone()).await;
    assert!(matches!(got.status, 200 | 204), "{path} {body}: {got:?}");
    got.data().clone()
}

fn key_of(made: &Value) -> Vec<u8> {
    let parsed = url::parse(made["url"].as_str().unwrap()).unwrap();
    base32(parsed.secret.expose_secret())
}

/// RFC 4648's base32, for a text that this server made.
fn base32(text: &str) -> Vec<u8> {
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            _ => byte - b'2' + 26,
        };
        bits = bits << 5 | u32::from(value);
        held += 5;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

impl Room {
    /// A node with the user `bob` of userpass, who is enrolled, and an enforcement for his mount.
    async fn new() -> Self {
        let specs = crate::testing::with_auth();
        let node = TestNode::start(specs).await;
        let accessor = node.mount("userpass", "auth/userpass/").await;
        let body = json!({ "password_hash": HASH_OF_ABC, "token_policies": "p" });
        ok(&node, "WRITE", "auth/userpass/users/bob", body).await;
        let first = node.call("WRITE", LOGIN, "", json!({ "password": "abc" })).await;
        let entity = first.body["auth"]["entity_id"].as_str().unwrap().to_owned();
        let body = json!({ "issuer": "Us", "method_name": "phone" });
        let made = ok(&node, "WRITE", "identity/mfa/method/totp", body).await;
        let method = made["method_id"].as_str().unwrap().to_owned();
        let body = json!({ "method_id": method, "entity_id": entity });
        let made = ok(&node, "WRITE", "identity/mfa/method/totp/admin-generate", body).await;
        let secret = key_of(&made);
        let room = Self { node, accessor, method, entity, secret };
        room.enforce("foo", json!({ "auth_method_accessors": [room.accessor] })).await;
        room
    }

    async fn enforce(&self, name: &str, mut body: Value) {
        body["mfa_method_ids"] = json!([self.method]);
        let path = format!("identity/mfa/login-enforcement/{name}");
        ok(&self.node, "WRITE", &path, body).await;
    }

    /// The code of some steps from now.
    fn code(&self, steps: i64) -> String {
        let codes = Codes { period: 30, hash: OtpHash::Sha1, digits: 6, skew: 1 };
        let step = codes.step(self.node.clock.now().seconds() + 30 * steps);
        codes.code(&self.secret, step).expose_secret().clone()
    }

    /// Six digits that are no code now.
    fn wrong(&self) -> String {
        let codes = [self.code(-1), self.code(0), self.code(1)];
        let mut all = (0..).map(|n| format!("{n:06}"));
        all.find(|code| !codes.contains(code)).unwrap()
    }

    async fn log_in(&self, headers: &[&str]) -> Got {
        self.log_in_as("bob", headers).await
    }

    async fn log_in_as(&self, user: &str, headers: &[&str]) -> Got {
        let path = format!("auth/userpass/login/{user}");
        let body = json!({ "password": "abc" }).to_string();
        self.send(Verb::Write, &path, body, None, headers).await
    }

    /// Reads with bob's login in the request.
    async fn read_inline(&self, path: &str, headers: &[&str]) -> Got {
        let login = InlineLogin {
            namespace: None,
            path: RequestPath::parse(LOGIN).unwrap(),
            verb: Verb::Write,
            body: json!({ "password": "abc" }).to_string().into(),
        };
        self.send(Verb::Read, path, String::new(), Some(Box::new(login)), headers).await
    }

    async fn send(
        &self,
        verb: Verb,
        path: &str,
        body: String,
        inline: Option<Box<InlineLogin>>,
        headers: &[&str],
    ) -> Got {
        let call = Call {
            namespace: String::new(),
            path: RequestPath::parse(path).unwrap(),
            verb,
            protocol: Default::default(),
            head: false,
            token: None,
            inline,
            credential: None,
            body: body.into(),
            query: Vec::new(),
            fields: None,
            upload: None,
            wrap_ttl: None,
            headers: headers.iter().map(|v| ("x-vault-mfa".into(), (*v).to_owned())).collect(),
            peer: Default::default(),
            bounds: Default::default(),
        };
        render(handle(&self.node.node, call).await)
    }

    /// Begins a login; answers its id.
    async fn begin(&self) -> String {
        let got = self.log_in(&[]).await;
        assert_eq!((got.status, got.token().as_str()), (200, ""), "{got:?}");
        let id = &got.body["auth"]["mfa_requirement"]["mfa_request_id"];
        id.as_str().unwrap().to_owned()
    }

    async fn validate(&self, id: &str, payload: Value) -> Got {
        let body = json!({ "mfa_request_id": id, "mfa_payload": payload });
        self.node.call("WRITE", "sys/mfa/validate", "", body).await
    }

    async fn validate_code(&self, id: &str, code: &str) -> Got {
        self.validate(id, json!({ &self.method: [code] })).await
    }

    async fn is_good(&self, token: &str) -> bool {
        !token.is_empty()
            && self.node.call("READ", "auth/token/lookup-self", token, Value::Null).await.status
                == 200
    }
}

const LOGIN: &str = "auth/userpass/login/bob";
