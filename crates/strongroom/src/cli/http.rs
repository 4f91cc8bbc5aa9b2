//! The server as commands see it: blocking calls, and dry runs that stop before the first request.

use strongroom_base::json::Json;
use strongroom_client::{Client, Envelope, Error, Prepared, Reply, Request};

/// What a dry run shows of the request that was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DryRun {
    /// The curl command that would send it.
    Curl,
    /// The policy it needs.
    Policy,
}

/// The server.
pub struct Http {
    /// The connection.
    pub client: Client,
    /// The request a dry run stopped at.
    pub preview: Option<Prepared>,
    /// The policy that request needs, where it is another than its path and verb tell.
    pub policy: Option<String>,
    dry: Option<DryRun>,
    runtime: tokio::runtime::Runtime,
}

impl Http {
    /// Over a client.
    pub fn new(client: Client, dry: Option<DryRun>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { client, preview: None, policy: None, dry, runtime })
    }

    /// Sends a request, unless this is a dry run.
    pub fn send(&mut self, request: Request) -> Result<Reply, Error> {
        if self.dry.is_some() {
            self.preview = Some(self.client.prepare(&request)?);
            return Err(Error::Config("dry run: nothing was sent".into()));
        }
        self.runtime.block_on(self.client.send(request))
    }

    /// Sends a request that only prepares the real one: neither shown by a dry run nor wrapped.
    pub fn send_aside(&mut self, request: Request) -> Result<Reply, Error> {
        self.runtime.block_on(self.client.send(request.unwrapped()))
    }

    /// Sends a request and hands on the answer part by part.
    pub fn stream(
        &mut self,
        request: Request,
        sink: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), Error> {
        if self.dry.is_some() {
            self.preview = Some(self.client.prepare(&request)?);
            return Err(Error::Config("dry run: nothing was sent".into()));
        }
        self.runtime.block_on(self.client.stream(request, sink))
    }

    /// True if nothing is sent.
    pub fn is_dry(&self) -> bool {
        self.dry.is_some()
    }

    /// Reads a path.
    pub fn read(&mut self, path: &str) -> Result<Option<Envelope>, Error> {
        self.send(Request::get(path))?.envelope()
    }

    /// Lists a path.
    pub fn list(&mut self, path: &str) -> Result<Option<Envelope>, Error> {
        self.send(Request::list(path))?.envelope()
    }

    /// Writes to a path.
    pub fn write(&mut self, path: &str, body: Json) -> Result<Option<Envelope>, Error> {
        self.send(Request::put(path, body))?.written()
    }

    /// Deletes a path.
    pub fn delete(&mut self, path: &str) -> Result<Option<Envelope>, Error> {
        self.send(Request::delete(path))?.written()
    }

    /// Reads a path that answers with a document of its own instead of the envelope. Newer servers
    /// put the same document under `data`, too.
    pub fn document(&mut self, request: Request) -> Result<Json, Error> {
        let json = self.send(request)?.json()?;
        Ok(unenveloped(json))
    }

    /// Runs what waits for something else than the server.
    pub fn wait_for<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Pauses, for commands that wait for the server.
    pub fn pause(&mut self, pause: std::time::Duration) {
        self.runtime.block_on(async { tokio::time::sleep(pause).await });
    }
}

/// The document inside an envelope, if it is one.
pub fn unenveloped(json: Json) -> Json {
    match json.get("data") {
        Some(data @ Json::Object(_)) if json.get("request_id").is_some() => data.clone(),
        _ => json,
    }
}

/// What a dry run prints.
pub fn show(dry: DryRun, prepared: &Prepared, program: &str) -> String {
    match dry {
        DryRun::Curl => curl(prepared, program),
        DryRun::Policy => policy(prepared),
    }
}

/// A policy's rules as people write them.
pub fn rules(rules: &[(String, &[&str])]) -> String {
    let rule = |(path, capabilities): &(String, &[&str])| {
        let quoted: Vec<String> = capabilities.iter().map(|c| format!("\"{c}\"")).collect();
        format!("path \"{path}\" {{\n  capabilities = [{}]\n}}", quoted.join(", "))
    };
    rules.iter().map(rule).collect::<Vec<_>>().join("\n")
}

fn curl(prepared: &Prepared, program: &str) -> String {
    let mut words = vec!["curl".to_owned()];
    if prepared.method != "GET" {
        words.push(format!("-X {}", prepared.method));
    }
    for (name, value) in &prepared.headers {
        // The token itself must not land in a shell's history.
        if name.eq_ignore_ascii_case("X-Vault-Token") {
            words.push(format!("-H \"{name}: $({program} print token)\""));
        } else {
            words.push(format!("-H \"{name}: {}\"", value.as_str()));
        }
    }
    if let Some(json) = &prepared.json {
        words.push(format!("-d '{}'", json.replace('\'', "'\"'\"'")));
    }
    words.push(format!("\"{}\"", prepared.url));
    words.join(" ")
}

fn policy(prepared: &Prepared) -> String {
    let mut capabilities = match prepared.method {
        "GET" if prepared.lists => vec!["list"],
        "GET" => vec!["read"],
        "POST" | "PUT" => vec!["create", "update"],
        "PATCH" => vec!["patch"],
        "DELETE" => vec!["delete"],
        _ => Vec::new(),
    };
    if needs_sudo(&prepared.path) {
        capabilities.push("sudo");
    }
    rules(&[(prepared.path.clone(), &capabilities)])
}

/// Paths that ask for `sudo` beside the capability (Vault API documentation, "root protected").
fn needs_sudo(path: &str) -> bool {
    const WHOLE: &[&str] = &[
        "auth/token/accessors",
        "auth/token/revoke-orphan",
        "sys/audit",
        "sys/rotate",
        "sys/rotate/config",
        "sys/seal",
        "sys/step-down",
        "sys/config/cors",
        "sys/config/auditing/request-headers",
        "sys/config/ui/headers",
        "sys/internal/inspect/router",
        "sys/raw",
        "sys/storage/raft/snapshot-force",
    ];
    const BELOW: &[&str] = &[
        "sys/audit/",
        "sys/config/auditing/request-headers/",
        "sys/config/ui/headers/",
        "sys/internal/inspect/router/",
        "sys/leases/lookup/",
        "sys/leases/revoke-prefix/",
        "sys/leases/revoke-force/",
        "sys/plugins/catalog/",
        "sys/raw/",
        "sys/remount",
        "sys/revoke-prefix/",
        "sys/revoke-force/",
    ];
    WHOLE.contains(&path) || BELOW.iter().any(|start| path.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        let config = strongroom_client::Config {
            address: "http://h:1".into(),
            token: Some(strongroom_base::SecretString::new("canary-token".into())),
            ..strongroom_client::Config::default()
        };
        Client::new(config).unwrap()
    }

    #[test]
    fn a_dry_run_shows_the_request_but_never_the_token() {
        let put = Request::put("secret/data/a", serde_json::json!({"data": {"k": "it's"}}));
        let prepared = client().prepare(&put).unwrap();
        assert_eq!(
            show(DryRun::Curl, &prepared, "strongroom"),
            "curl -X PUT -H \"X-Vault-Request: true\" -H \"X-Vault-Token: $(strongroom print \
             token)\" -d '{\"data\":{\"k\":\"it'\"'\"'s\"}}' \"http://h:1/v1/secret/data/a\""
        );
        assert!(!show(DryRun::Curl, &prepared, "x").contains("canary-token"));
    }

    #[test]
    fn a_dry_run_shows_the_smallest_policy() {
        for (request, capabilities) in [
            (Request::get("secret/data/a"), "\"read\""),
            (Request::list("secret/metadata"), "\"list\""),
            (Request::put("a", Json::Null), "\"create\", \"update\""),
            (Request::patch("a", Json::Null), "\"patch\""),
            (Request::delete("sys/audit/file"), "\"delete\", \"sudo\""),
        ] {
            let path = request.path.clone();
            let prepared = client().prepare(&request).unwrap();
            assert_eq!(
                show(DryRun::Policy, &prepared, "x"),
                format!("path \"{path}\" {{\n  capabilities = [{capabilities}]\n}}")
            );
        }
    }
}
