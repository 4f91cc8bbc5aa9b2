//! AWS's door beside Vault's: the same deeds on one store, in turn; and beside moto, which has AWS's
//! services in the memory of a Python process, and verifies nothing.
//!
//! Only the server's CPU counts. Requests that may be sent twice are signed before, so that what signing takes
//! is not missing on the machine's cores; a new value has a token of its own, and is signed as it is sent.

mod caller;
mod works;

use serde_json::{Value, json};

use crate::{
    Options,
    http::Connection,
    load::{self, Figure},
    report::Report,
    server::{Kind, Server},
    work::{self, Random},
};
use caller::Caller;
use works::{SECRETS, WORKS, Work, name, object, token};

/// Ciphertexts that are decrypted.
const BLOBS: usize = 64;
/// Requests that are signed before. They are good for five minutes.
const SIGNED: usize = 4_096;
/// Promised: so many times less CPU than moto, and so many times more requests a second.
const BELOW_MOTO: f64 = 50.0;

/// What the callers at both doors may do: no root, so that policies are evaluated.
const POLICY: &str = r#"
path "secret/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "transit/*" { capabilities = ["create", "read", "update"] }
"#;

/// A server with secrets and a key.
pub struct Subject {
    server: Server,
    caller: Caller,
    /// Who asks at Vault's door.
    token: String,
    /// The id of the key.
    key: String,
    /// What KMS encrypted.
    blobs: Vec<String>,
    /// What transit encrypted.
    texts: Vec<String>,
}

impl Subject {
    fn new(kind: Kind, binary: &std::path::Path, options: &Options) -> Result<Self, String> {
        let server = Server::fresh(kind, binary, &options.dir)?;
        let (access_key, secret_key, token) = match kind {
            Kind::Moto => ("AKIAIOSFODNN7EXAMPLE".to_owned(), "x".repeat(40), String::new()),
            _ => callers(&server)?,
        };
        let caller = Caller::new(server.address, access_key, secret_key);
        let (key, blobs, texts) = Default::default();
        let mut subject = Self { server, caller, token, key, blobs, texts };
        subject.fill()?;
        Ok(subject)
    }

    fn ask(&self, operation: &str, body: &Value) -> Result<Value, String> {
        let request = self.caller.request(operation, &body.to_string());
        let answer = Connection::open(self.server.address)
            .and_then(|mut connection| connection.send(&request, true))
            .map_err(|e| format!("{} {operation}: {e}", self.server.kind.name()))?;
        let text = || String::from_utf8_lossy(&answer.body).into_owned();
        if answer.is_good() { Ok(answer.json()) } else { Err(format!("{operation}: {}", text())) }
    }

    /// The secrets, each by the door that it is read or written at; a key, and what it encrypted.
    fn fill(&mut self) -> Result<(), String> {
        eprintln!("filling {} with {SECRETS} secrets of each kind", self.server.kind.name());
        let address = self.server.address;
        for set in ["aws-read", "aws-write"] {
            work::send_all(address, 0..SECRETS, &|n, random| {
                let body = json!({
                    "Name": name(set, n), "SecretString": object(random),
                    "ClientRequestToken": token(random),
                });
                self.caller.request("secretsmanager.CreateSecret", &body.to_string())
            })?;
        }
        let made = self.ask("TrentService.CreateKey", &json!({}))?;
        self.key = text(&made["KeyMetadata"]["KeyId"]);
        let mut random = Random::new(7);
        let mut input = || crate::engines::transit::input(&mut random);
        for _ in 0..BLOBS {
            let body = json!({ "KeyId": self.key, "Plaintext": input() });
            self.blobs.push(text(&self.ask("TrentService.Encrypt", &body)?["CiphertextBlob"]));
        }
        if self.server.kind == Kind::Moto {
            return Ok(());
        }
        for set in ["read", "write"] {
            work::send_all(address, 0..SECRETS, &|n, random| {
                let body = format!("{{\"data\":{}}}", object(random));
                let path = format!("secret/data/{}", name(set, n));
                crate::http::request("POST", &path, &self.token, &body)
            })?;
        }
        let root = &self.server.root;
        self.server.call("POST", "transit/keys/bench", root, &json!({}))?;
        for _ in 0..BLOBS {
            let body = json!({ "plaintext": input() });
            let sealed = self.server.call("POST", "transit/encrypt/bench", root, &body)?.json();
            self.texts.push(text(&sealed["data"]["ciphertext"]));
        }
        Ok(())
    }
}

/// A key pair and a token under one policy.
fn callers(server: &Server) -> Result<(String, String, String), String> {
    let call = |path: &str, body: Value| server.call("POST", path, &server.root, &body);
    call("sys/mounts/transit", json!({ "type": "transit" }))?;
    call("sys/auth/aws-door", json!({ "type": "aws-door" }))?;
    call("sys/policies/acl/bench", json!({ "policy": POLICY }))?;
    call("auth/aws-door/role/bench", json!({ "token_policies": "bench" }))?;
    let pair = call("auth/aws-door/role/bench/key", json!({}))?.json();
    let made = call("auth/token/create", json!({ "policies": ["bench"], "ttl": "24h" }))?.json();
    let (pair, token) = (&pair["data"], &made["auth"]["client_token"]);
    Ok((text(&pair["access_key"]), text(&pair["secret_key"]), text(token)))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What came of one kind of request.
struct Row {
    work: &'static Work,
    aws: Result<Figure, String>,
    vault: Result<Figure, String>,
    moto: Option<Result<Figure, String>>,
}

/// `--aws`: every kind of request that `--only` names; all without it.
pub fn run(options: &Options) -> Result<(), String> {
    let ours = Subject::new(Kind::Strongroom, &options.binary, options)?;
    let moto = match &options.moto {
        Some(binary) => Some(Subject::new(Kind::Moto, binary, options)?),
        None => None,
    };
    let wanted = |work: &&Work| {
        options.only.is_empty() || options.only.iter().any(|word| work.name.contains(word.as_str()))
    };
    let rows = WORKS.iter().filter(wanted).map(|work| measure(work, &ours, moto.as_ref(), options));
    let rows: Vec<Row> = rows.collect();
    rows.iter().for_each(Row::print);
    if let Some(file) = &options.json {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        let text = json!({ "aws": rows }).to_string();
        std::fs::write(file, text).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// In rounds: Vault's door, AWS's, moto, and again.
fn measure(work: &'static Work, ours: &Subject, moto: Option<&Subject>, options: &Options) -> Row {
    eprintln!("measuring {}", work.name);
    let at_aws = |subject: &Subject| {
        let sign = |random: &mut Random| {
            subject.caller.request(work.operation, &(work.body)(subject, random))
        };
        let mut random = Random::new(3);
        let count = if work.repeats { SIGNED } else { 0 };
        let signed: Vec<Vec<u8>> = (0..count).map(|_| sign(&mut random)).collect();
        let request = |random: &mut Random| match signed.get(random.below(signed.len())) {
            Some(request) => request.clone(),
            None => sign(random),
        };
        load::measure_requests(
            &subject.server,
            work.name,
            &request,
            options.connections,
            options.measure,
        )
    };
    let at_vault = || {
        let request = |random: &mut Random| (work.vault)(ours, random);
        let connections = options.connections;
        load::measure_requests(&ours.server, work.name, &request, connections, options.measure)
    };
    let (mut aws, mut vault, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        vault.push(at_vault());
        aws.push(at_aws(ours));
        others.extend(moto.map(at_aws));
    }
    Row {
        work,
        aws: Report::middle(aws),
        vault: Report::middle(vault),
        moto: moto.map(|_| Report::middle(others)),
    }
}

fn said(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

impl Row {
    /// CPU of one deed beside that at Vault's door.
    fn times_vault(&self) -> Option<f64> {
        let (aws, vault) = (self.aws.as_ref().ok()?, self.vault.as_ref().ok()?);
        Some(aws.cpu_micros / self.work.each as f64 / vault.cpu_micros)
    }

    /// How many times less CPU than moto, and how many times more requests a second.
    fn beside_moto(&self) -> Option<(f64, f64)> {
        let (aws, moto) = (self.aws.as_ref().ok()?, self.moto.as_ref()?.as_ref().ok()?);
        Some((moto.cpu_micros / aws.cpu_micros, aws.rate / moto.rate))
    }

    fn verdict(&self) -> String {
        let mut words = Vec::new();
        if let Some(times) = self.times_vault() {
            let promised = self.work.of_vault.map_or(String::new(), |promised| {
                format!(" (≤ {promised} {})", said(times <= promised))
            });
            words.push(format!("{times:.2}× the CPU at Vault's door{promised}"));
        }
        if let Some((cpu, rate)) = self.beside_moto() {
            let promised = match self.work.of_moto {
                true => format!(" (≥ {BELOW_MOTO:.0} {})", said(cpu.min(rate) >= BELOW_MOTO)),
                false => String::new(),
            };
            words.push(format!("CPU {cpu:.0}× below moto's, {rate:.0}× its requests{promised}"));
        }
        words.join("; ")
    }

    /// Each server's figure, by its name.
    fn figures(&self) -> Vec<(&'static str, &Result<Figure, String>)> {
        let own = [("vault's door", &self.vault), ("aws's door", &self.aws)];
        own.into_iter().chain(self.moto.as_ref().map(|moto| ("moto", moto))).collect()
    }

    fn print(&self) {
        println!("{}: {}", self.work.name, self.verdict());
        for (name, figure) in self.figures() {
            match figure {
                Ok(figure) => println!(
                    "  {name:<14} {:>9.1} µs of CPU {:>8.0} req/s   p50 {:>7.0} µs   p99 {:>7.0} µs",
                    figure.cpu_micros, figure.rate, figure.p50_micros, figure.p99_micros,
                ),
                Err(why) => println!("  {name:<14} INVALID: {why}"),
            }
        }
    }

    fn json(&self) -> Value {
        let mut row = json!({
            "workload": self.work.name, "deeds": self.work.each,
            "times_vault": self.times_vault(),
            "below_moto": self.beside_moto().map(|(cpu, _)| cpu),
            "rate_of_moto": self.beside_moto().map(|(_, rate)| rate),
        });
        for (name, figure) in self.figures() {
            row[name] = load::json_of(figure);
        }
        row
    }
}
