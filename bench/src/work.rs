//! The workloads: what is sent, and how a server is filled before.

use std::{net::SocketAddr, thread};

use serde_json::{Value, json};

use crate::{
    http::{Connection, request},
    server::Server,
};

/// Bytes of a secret's value.
const VALUE_BYTES: usize = 1024;
/// The role of a database that gives accounts.
pub const ROLE: &str = "creds";
/// Names in the folder that is listed.
pub const FOLDER_NAMES: usize = 10_000;
/// Connections that fill a server: many, so that they share its syncs.
const FILLERS: usize = 64;

/// One kind of request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    /// The bare responder's answer.
    Respond,
    /// Read a random secret.
    KvRead,
    /// Write a new version of a random secret.
    KvWrite,
    /// Look the own token up.
    LookupSelf,
    /// Create a token.
    TokenCreate,
    /// Log in by AppRole.
    AppRoleLogin,
    /// List the folder of 10,000.
    List,
    /// Ask for an account in a database.
    Creds,
    /// Ask for a certificate with a new RSA key of 4096 bits, which takes seconds of a core.
    IssueRsa4096,
}

impl Work {
    /// For tables and `--only`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Respond => "responder",
            Self::KvRead => "kv-read",
            Self::KvWrite => "kv-write",
            Self::LookupSelf => "lookup-self",
            Self::TokenCreate => "token-create",
            Self::AppRoleLogin => "approle-login",
            Self::List => "list-10000",
            Self::Creds => "creds",
            Self::IssueRsa4096 => "issue-rsa-4096",
        }
    }

    /// The promised CPU of one request, in microseconds.
    pub fn aim_micros(self) -> Option<f64> {
        match self {
            Self::Respond | Self::Creds | Self::IssueRsa4096 => None,
            Self::KvRead | Self::LookupSelf => Some(40.0),
            Self::KvWrite => Some(85.0),
            Self::TokenCreate => Some(95.0),
            Self::AppRoleLogin => Some(60.0),
            Self::List => Some(2000.0),
        }
    }
}

/// What requests are made of: a caller's token, an AppRole's two halves, the number of secrets.
#[derive(Clone, Default)]
pub struct Material {
    token: String,
    role_id: String,
    secret_id: String,
    secrets: usize,
}

impl Material {
    /// The caller's token.
    pub fn token(&self) -> &str {
        &self.token
    }
}

/// The name of the `n`th secret. Folders of a thousand, as people have them.
fn name(n: usize) -> String {
    format!("app-{}/secret-{n}", n / 1000)
}

/// A value that does not compress and differs between secrets.
pub fn value(random: &mut Random) -> String {
    let mut text = String::with_capacity(VALUE_BYTES);
    while text.len() < VALUE_BYTES {
        text.push_str(&format!("{:016x}", random.next()));
    }
    text
}

/// A small generator (xorshift64*): measuring needs spread, not secrecy.
pub struct Random(u64);

impl Random {
    /// Each seed its own order.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// The bytes of one request of that kind.
pub fn bytes(work: Work, material: &Material, random: &mut Random) -> Vec<u8> {
    let token = &material.token;
    let secret =
        |random: &mut Random| format!("secret/data/{}", name(random.below(material.secrets)));
    match work {
        Work::Respond => request("GET", "x", "", ""),
        Work::KvRead => request("GET", &secret(random), token, ""),
        Work::KvWrite => {
            let path = secret(random);
            let body = format!("{{\"data\":{{\"value\":\"{}\"}}}}", value(random));
            request("POST", &path, token, &body)
        }
        Work::LookupSelf => request("GET", "auth/token/lookup-self", token, ""),
        Work::TokenCreate => {
            let body = r#"{"policies":["default"],"ttl":"1h"}"#;
            request("POST", "auth/token/create", token, body)
        }
        Work::AppRoleLogin => {
            let body = json!({
                "role_id": material.role_id, "secret_id": material.secret_id,
            });
            request("POST", "auth/approle/login", "", &body.to_string())
        }
        Work::Creds => request("GET", &format!("database/creds/{ROLE}"), token, ""),
        Work::IssueRsa4096 => {
            let body = r#"{"common_name":"a.example.com","ttl":"1h"}"#;
            request("POST", "pki/issue/rsa-4096", token, body)
        }
        Work::List => request("LIST", "secret/metadata/wide", token, ""),
    }
}

/// What the callers of the workloads may do: no root, so that policies are evaluated.
const POLICY: &str = r#"
path "secret/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "database/creds/*" { capabilities = ["read"] }
path "pki/issue/*" { capabilities = ["update"] }
path "auth/token/create" { capabilities = ["create", "update"] }
"#;

/// Makes the policy, the caller's token and the AppRole.
pub fn prepare(server: &Server) -> Result<Material, String> {
    if server.kind.is_fixed() {
        return Ok(Material::default());
    }
    let root = &server.root;
    let text = |answer: Value, path: &[&str]| -> String {
        let found = path.iter().fold(&answer, |value, key| &value[*key]);
        found.as_str().unwrap_or_default().to_owned()
    };
    server.call("PUT", "sys/policies/acl/bench", root, &json!({ "policy": POLICY }))?;
    let token = json!({ "policies": ["bench"], "ttl": "24h" });
    let token = server.call("POST", "auth/token/create", root, &token)?.json();
    server.call("POST", "sys/auth/approle", root, &json!({ "type": "approle" }))?;
    let role = json!({ "token_policies": ["default"], "token_ttl": "1h" });
    server.call("POST", "auth/approle/role/bench", root, &role)?;
    let id = server.call("GET", "auth/approle/role/bench/role-id", root, &Value::Null)?.json();
    let secret = server.call("POST", "auth/approle/role/bench/secret-id", root, &json!({}))?.json();
    Ok(Material {
        token: text(token, &["auth", "client_token"]),
        role_id: text(id, &["data", "role_id"]),
        secret_id: text(secret, &["data", "secret_id"]),
        secrets: 0,
    })
}

/// Makes an authority whose role gives certificates with RSA keys of 4096 bits.
pub fn prepare_rsa(server: &Server) -> Result<(), String> {
    let call = |path: &str, body: Value| server.call("POST", path, &server.root, &body);
    call("sys/mounts/pki", json!({ "type": "pki" }))?;
    call("pki/root/generate/internal", json!({ "common_name": "Bench", "key_type": "ec" }))?;
    let role = json!({ "allowed_domains": "example.com", "allow_subdomains": true,
        "key_type": "rsa", "key_bits": 4096 });
    call("pki/roles/rsa-4096", role).map(drop)
}

/// Writes secrets until there are `count`, and with the first of them the wide folder.
pub fn fill(server: &Server, material: &mut Material, count: usize) -> Result<(), String> {
    if server.kind.is_fixed() {
        return Ok(());
    }
    if material.secrets == 0 {
        let paths = |n: usize| format!("secret/data/wide/name-{n:05}");
        write_all(server.address, &material.token, 0..FOLDER_NAMES, &paths, false)?;
    }
    let paths = |n: usize| format!("secret/data/{}", name(n));
    write_all(server.address, &material.token, material.secrets..count, &paths, true)?;
    material.secrets = material.secrets.max(count);
    Ok(())
}

/// Creates so many tokens that live for hours.
pub fn create_tokens(server: &Server, material: &Material, count: usize) -> Result<(), String> {
    let request = bytes(Work::TokenCreate, material, &mut Random::new(0));
    send_all(server.address, 0..count, &|_, _| request.clone())
}

fn write_all(
    address: SocketAddr,
    token: &str,
    range: std::ops::Range<usize>,
    path: &(dyn Fn(usize) -> String + Sync),
    whole_values: bool,
) -> Result<(), String> {
    send_all(address, range, &|n, random| {
        let text = if whole_values { value(random) } else { "x".to_owned() };
        request("POST", &path(n), token, &format!("{{\"data\":{{\"value\":\"{text}\"}}}}"))
    })
}

/// Sends a request for each number, over many connections.
pub fn send_all(
    address: SocketAddr,
    range: std::ops::Range<usize>,
    request: &(dyn Fn(usize, &mut Random) -> Vec<u8> + Sync),
) -> Result<(), String> {
    let one = |filler: usize| -> Result<(), String> {
        let mut connection = Connection::open(address).map_err(|e| e.to_string())?;
        let mut random = Random::new(filler as u64 + 1000);
        for n in range.clone().skip(filler).step_by(FILLERS) {
            let request = request(n, &mut random);
            let answer = connection.send(&request, true).map_err(|e| format!("filling: {e}"))?;
            if !answer.is_good() {
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                return Err(format!("filling: {} {text}", answer.status));
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let fillers: Vec<_> = (0..FILLERS).map(|i| scope.spawn(move || one(i))).collect();
        fillers.into_iter().try_for_each(|filler| {
            filler.join().unwrap_or_else(|_| Err("a filler panicked".to_owned()))
        })
    })
}
