//! The server's configuration: Vault's HCL or JSON files, unchanged, into a typed
//! [`ServerConfig`].
//!
//! Files are merged in the order they are given as Vault merges them: of texts the last counts,
//! switches add up, limits take the larger, listeners, seals and audit devices are all kept. What
//! only Strongroom has stands in a `strongroom { … }` stanza.
//!
//! Invariant: every key of a file is either understood, or known to have no effect here (a
//! warning), or an error that names file, line and key; nothing is skipped in silence. No message
//! repeats a value.
//!
//! Deliberately absent: reading the environment or the clock. The caller hands in a look-up.

mod audit;
mod doors;
mod listener;
mod seals;
mod stanza;
mod storage;
mod tuning;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use strongroom_base::{Json, hcl};

use crate::listen::{Limits, ListenerOptions};

pub use audit::AuditDevice;
pub use doors::AwsDoor;
pub use seals::{Seal, SealKind, StaticKey, StaticKeySource};
pub use stanza::Problem;
pub use storage::Storage;
pub use tuning::{Lockout, Log, LogFormat, LogLevel, OwnSettings, Telemetry};

use stanza::{Findings, Stanza};

/// A look-up of the environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Everything the server is told before it starts.
#[derive(Debug)]
pub struct ServerConfig {
    /// Where records lie.
    pub storage: Storage,
    /// What is listened on.
    pub listeners: Vec<ListenerOptions>,
    /// The AWS door, if it is served.
    pub aws: Option<AwsDoor>,
    /// Bounds over all listeners.
    pub limits: Limits,
    /// The URL that clients are told.
    pub api_addr: Option<String>,
    /// The URL that other nodes are told.
    pub cluster_addr: Option<String>,
    /// The cluster's name; made at initialisation if absent.
    pub cluster_name: Option<String>,
    /// Seals, in order; none means shares.
    pub seals: Vec<Seal>,
    /// Audit devices that the configuration itself keeps.
    pub audits: Vec<AuditDevice>,
    /// May audit devices be enabled by the API? Vault's way is yes.
    pub allow_api_audit: bool,
    /// May the API set a line prefix of an audit file?
    pub allow_audit_prefix: bool,
    /// Serve the user interface.
    pub ui: bool,
    /// Keep memory from being swapped out (`disable_mlock = false`).
    pub lock_memory: bool,
    /// Records that storage keeps in memory (`cache_size`, `disable_cache`); absent: as many as fit
    /// into a part of the machine's memory.
    pub cache_records: Option<u64>,
    /// Seconds that a lease or token lives if nothing says otherwise.
    pub default_lease_ttl: u64,
    /// Seconds that a lease or token lives at most.
    pub max_lease_ttl: u64,
    /// Seconds that a request may take.
    pub default_max_request_duration: u64,
    /// Serve `sys/raw`.
    pub raw_storage_endpoint: bool,
    /// Serve `sys/internal/inspect`.
    pub introspection_endpoint: bool,
    /// Answer with this machine's name in `X-Vault-Hostname`.
    pub response_header_hostname: bool,
    /// Answer with the node's name in `X-Vault-Raft-Node-ID`.
    pub response_header_node_id: bool,
    /// The log.
    pub log: Log,
    /// Where the process's number is written.
    pub pid_file: Option<PathBuf>,
    /// Metrics.
    pub telemetry: Telemetry,
    /// Lockout of users by auth method; `all` for the others.
    pub lockouts: Vec<(String, Lockout)>,
    /// What only Strongroom has.
    pub own: OwnSettings,
    /// The merged configuration without anything secret, for `sys/config/state/sanitized`.
    pub sanitized: Json,
}

/// A good configuration and what there is to say about it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: ServerConfig,
    /// Settings without effect.
    pub warnings: Vec<Problem>,
}

/// Seconds of 32 days, Vault's lease TTL default and maximum.
const LEASE_TTL_SECONDS: u64 = 768 * 3600;

/// Reads files, and folders' `*.hcl` and `*.json` in the order of their names.
pub fn load(paths: &[PathBuf], environment: Environment<'_>) -> Result<Loaded, Vec<Problem>> {
    let mut texts = Vec::new();
    for path in paths {
        let files = files_of(path).map_err(|problem| vec![problem])?;
        for file in files {
            let text = std::fs::read_to_string(&file).map_err(|e| vec![unread(&file, &e)])?;
            texts.push((file.display().to_string(), text));
        }
    }
    parse(&texts, environment)
}

fn unread(path: &Path, error: &dyn std::fmt::Display) -> Problem {
    let file = path.display().to_string();
    Problem { file, place: None, message: format!("cannot be read: {error}") }
}

fn files_of(path: &Path) -> Result<Vec<PathBuf>, Problem> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|e| unread(path, &e))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(|e| unread(path, &e))?.path();
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // What editors leave beside a file is none.
        let scratch = name.starts_with(".#") || name.starts_with('#') || name.ends_with('~');
        let ours = name.ends_with(".hcl") || name.ends_with(".json");
        if ours && !scratch && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(unread(path, &"no *.hcl or *.json file in this folder"));
    }
    Ok(files)
}

/// Reads texts, each with the name its problems are told under.
pub fn parse(
    texts: &[(String, String)],
    environment: Environment<'_>,
) -> Result<Loaded, Vec<Problem>> {
    let findings = Findings::default();
    let (mut draft, mut unread) = (Draft::default(), false);
    for (file, text) in texts {
        match hcl::parse(text) {
            Ok(body) => draft.read(Stanza::top(&findings, file, &body)),
            Err(error) => {
                unread = true;
                findings.errors.borrow_mut().push(Problem {
                    file: file.clone(),
                    place: Some(hcl::Position { line: error.line, column: error.column }),
                    message: error.message,
                });
            }
        }
    }
    if unread {
        // What is missing may stand in the part that was not understood.
        return Err(findings.errors.into_inner());
    }
    let config = draft.finish(&findings, environment);
    let errors = findings.errors.into_inner();
    match config {
        Some(config) if errors.is_empty() => {
            Ok(Loaded { config, warnings: findings.warnings.into_inner() })
        }
        _ => Err(errors),
    }
}

/// What the files have said so far.
#[derive(Default)]
struct Draft {
    storage: Option<Storage>,
    /// Was there such a stanza at all, good or not?
    has_storage: bool,
    listeners: Vec<ListenerOptions>,
    has_listener: bool,
    doors: Vec<AwsDoor>,
    limits: Limits,
    texts: Texts,
    seals: Vec<Seal>,
    audits: Vec<AuditDevice>,
    switches: Switches,
    default_lease_ttl: Option<u64>,
    max_lease_ttl: Option<u64>,
    /// What is said if the default turns out to be longer than the maximum.
    long_default: Option<Problem>,
    request_duration: Option<u64>,
    cache_size: Option<u64>,
    log: Log,
    telemetry: Telemetry,
    lockouts: Vec<(String, Lockout)>,
    own: OwnSettings,
    unauthenticated: Option<Vec<String>>,
}

/// Texts of the top level: the last file counts.
#[derive(Default)]
struct Texts {
    api_addr: Option<String>,
    cluster_addr: Option<String>,
    cluster_name: Option<String>,
    pid_file: Option<String>,
}

/// Switches of the top level: one file's `true` is enough, but for those that may turn something
/// off.
#[derive(Default)]
struct Switches {
    ui: bool,
    raw_storage_endpoint: bool,
    introspection_endpoint: bool,
    response_header_hostname: bool,
    response_header_node_id: bool,
    disable_mlock: bool,
    api_audit: Option<bool>,
    audit_prefix: bool,
    disable_cache: bool,
}

/// Of two settings the later, if there is one.
fn last<T>(old: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *old = new;
    }
}

impl Draft {
    fn read(&mut self, top: Stanza<'_>) {
        self.read_texts(&top);
        self.read_switches(&top);
        self.has_storage |= top.has("storage") || top.has("backend");
        self.has_listener |= top.has("listener");
        if let Some(storage) = storage::read(&top) {
            self.storage = Some(storage);
        }
        self.listeners.extend(listener::read_all(&top));
        self.doors.extend(doors::read_all(&top));
        self.seals.extend(seals::read_all(&top));
        self.audits.extend(audit::read_all(&top));
        self.lockouts.extend(tuning::read_lockouts(&top));
        self.log.read(&top);
        if let Some(stanza) = top.block("telemetry") {
            self.telemetry = Telemetry::read(stanza);
        }
        if let Some(stanza) = top.block("strongroom") {
            self.own.read(stanza, &mut self.limits);
        }
        last(&mut self.unauthenticated, top.list("enable_unauthenticated_access"));
        for (ttl, key) in [
            (&mut self.default_lease_ttl, "default_lease_ttl"),
            (&mut self.max_lease_ttl, "max_lease_ttl"),
            (&mut self.request_duration, "default_max_request_duration"),
        ] {
            *ttl = (*ttl).max(top.seconds(key));
        }
        let long = "is longer than `max_lease_ttl`";
        last(&mut self.long_default, top.reserve("default_lease_ttl", long));
        last(&mut self.cache_size, top.count("cache_size").filter(|size| *size > 0));
        tuning::read_without_effect(&top);
        top.finish();
    }

    fn read_texts(&mut self, top: &Stanza<'_>) {
        let texts = &mut self.texts;
        last(&mut texts.api_addr, top.text("api_addr"));
        last(&mut texts.cluster_addr, top.text("cluster_addr"));
        last(&mut texts.cluster_name, top.text("cluster_name"));
        last(&mut texts.pid_file, top.text("pid_file"));
    }

    fn read_switches(&mut self, top: &Stanza<'_>) {
        let switches = &mut self.switches;
        for (switch, key) in [
            (&mut switches.ui, "ui"),
            (&mut switches.raw_storage_endpoint, "raw_storage_endpoint"),
            (&mut switches.introspection_endpoint, "introspection_endpoint"),
            (&mut switches.response_header_hostname, "enable_response_header_hostname"),
            (&mut switches.response_header_node_id, "enable_response_header_raft_node_id"),
            (&mut switches.disable_mlock, "disable_mlock"),
            (&mut switches.audit_prefix, "allow_audit_log_prefixing"),
            (&mut switches.disable_cache, "disable_cache"),
        ] {
            *switch |= top.flag(key).unwrap_or(false);
        }
        for (key, why) in [
            ("ui", "has no effect: the user interface is not built in yet"),
            ("allow_audit_log_prefixing", "has no effect: lines of the audit log have no prefix"),
        ] {
            if top.flag(key) == Some(true) {
                top.warn_of(key, why);
            }
        }
        last(&mut switches.api_audit, top.flag("unsafe_allow_api_audit_creation"));
    }

    /// Puts the environment over the files, fills in defaults and looks for contradictions.
    fn finish(self, findings: &Findings, environment: Environment<'_>) -> Option<ServerConfig> {
        let from_environment = |name: &str| {
            ["STRONGROOM", "BAO", "VAULT"]
                .iter()
                .find_map(|prefix| environment(&format!("{prefix}_{name}")))
                .filter(|value| !value.is_empty())
        };
        let mut draft = self;
        last(&mut draft.texts.api_addr, from_environment("API_ADDR"));
        last(&mut draft.texts.cluster_addr, from_environment("CLUSTER_ADDR"));
        draft.log.read_environment(&from_environment, findings);
        if let Some(storage) = &mut draft.storage {
            storage.read_environment(&from_environment);
        }
        if !draft.has_storage {
            findings.error("no `storage` stanza in the configuration");
        }
        if !draft.has_listener {
            findings.error("no `listener` stanza in the configuration");
        }
        draft.check(findings);
        draft.apply_unauthenticated(findings);
        if draft.doors.len() > 1 {
            findings.error("two `door \"aws\"` stanzas");
        }
        let aws = draft.doors.pop();
        draft.listeners.extend(aws.as_ref().and_then(|door| door.listener.clone()));
        draft.check_addresses(findings);
        let sanitized = draft.sanitized();
        let default_lease_ttl = draft.default_lease_ttl.unwrap_or(LEASE_TTL_SECONDS);
        Some(ServerConfig {
            storage: draft.storage?,
            listeners: draft.listeners,
            aws,
            limits: draft.limits,
            api_addr: draft.texts.api_addr,
            cluster_addr: draft.texts.cluster_addr,
            cluster_name: draft.texts.cluster_name,
            seals: draft.seals,
            audits: draft.audits,
            allow_api_audit: draft.switches.api_audit.unwrap_or(true),
            allow_audit_prefix: draft.switches.audit_prefix,
            ui: draft.switches.ui,
            lock_memory: !draft.switches.disable_mlock,
            cache_records: match draft.switches.disable_cache {
                true => Some(0),
                false => draft.cache_size,
            },
            default_lease_ttl,
            max_lease_ttl: draft.max_lease_ttl.unwrap_or(LEASE_TTL_SECONDS.max(default_lease_ttl)),
            default_max_request_duration: draft.request_duration.unwrap_or(90),
            raw_storage_endpoint: draft.switches.raw_storage_endpoint,
            introspection_endpoint: draft.switches.introspection_endpoint,
            response_header_hostname: draft.switches.response_header_hostname,
            response_header_node_id: draft.switches.response_header_node_id,
            log: draft.log,
            pid_file: draft.texts.pid_file.map(PathBuf::from),
            telemetry: draft.telemetry,
            lockouts: draft.lockouts,
            own: draft.own,
            sanitized,
        })
    }

    fn check(&self, findings: &Findings) {
        seals::check(&self.seals, findings);
        audit::check(&self.audits, findings);
        if let (Some(default), Some(max)) = (self.default_lease_ttl, self.max_lease_ttl)
            && default > max
        {
            findings.errors.borrow_mut().extend(self.long_default.clone());
        }
        let mut names: Vec<_> = self.lockouts.iter().map(|(name, _)| name).collect();
        while let Some(name) = names.pop() {
            if names.contains(&name) {
                findings.error(format!("two `user_lockout \"{name}\"` stanzas"));
            }
        }
        for (key, url) in
            [("api_addr", &self.texts.api_addr), ("cluster_addr", &self.texts.cluster_addr)]
        {
            if let Some(url) = url
                && !url.starts_with("http://")
                && !url.starts_with("https://")
            {
                findings.error(format!("`{key}` must be a URL (http:// or https://)"));
            }
        }
    }

    fn check_addresses(&self, findings: &Findings) {
        let mut binds: Vec<_> = self.listeners.iter().map(|listener| &listener.bind).collect();
        while let Some(bind) = binds.pop() {
            if binds.contains(&bind) {
                findings.error("two `listener` stanzas have the same address");
            }
        }
    }

    /// `enable_unauthenticated_access` names the share-authorised endpoints that stay on, on all
    /// listeners; without it each listener decides.
    fn apply_unauthenticated(&mut self, findings: &Findings) {
        let Some(on) = &self.unauthenticated else { return };
        if on.iter().any(|name| !["rekey", "generate-root"].contains(&name.as_str())) {
            findings.error("`enable_unauthenticated_access` may hold rekey and generate-root");
        }
        for listener in &mut self.listeners {
            listener.rules.disable_unauthed_rekey = !on.iter().any(|name| name == "rekey");
            listener.rules.disable_unauthed_generate_root =
                !on.iter().any(|name| name == "generate-root");
        }
    }

    /// As Vault's `sys/config/state/sanitized`: types and switches, no paths of keys, no options
    /// that could hold a credential.
    fn sanitized(&self) -> Json {
        let listeners: Vec<Json> = self
            .listeners
            .iter()
            .map(|listener| {
                let kind = listener.name.split(' ').next().unwrap_or_default();
                serde_json::json!({ "type": kind, "config": {
                    "address": listener.name.split(' ').nth(1),
                    "tls_disable": listener.tls.is_none(),
                }})
            })
            .collect();
        let seals: Vec<Json> = self
            .seals
            .iter()
            .map(|seal| serde_json::json!({ "type": seal.kind.name(), "disabled": seal.disabled }))
            .collect();
        serde_json::json!({
            "api_addr": self.texts.api_addr.clone().unwrap_or_default(),
            "cache_size": self.cache_size.unwrap_or(0),
            "cluster_addr": self.texts.cluster_addr.clone().unwrap_or_default(),
            "cluster_cipher_suites": "",
            "cluster_name": self.texts.cluster_name.clone().unwrap_or_default(),
            "default_lease_ttl": self.default_lease_ttl.unwrap_or(0),
            "default_max_request_duration": self.request_duration.unwrap_or(0),
            "disable_cache": self.switches.disable_cache,
            "disable_clustering": false,
            "disable_mlock": self.switches.disable_mlock,
            "disable_performance_standby": false,
            "disable_printable_check": false,
            "disable_sealwrap": false,
            "disable_indexing": false,
            "enable_response_header_hostname": self.switches.response_header_hostname,
            "enable_response_header_raft_node_id": self.switches.response_header_node_id,
            "enable_ui": self.switches.ui,
            "introspection_endpoint": self.switches.introspection_endpoint,
            "listeners": listeners,
            "log_format": self.log.format.map_or("", LogFormat::name),
            "log_level": self.log.level.map_or("", LogLevel::name),
            "max_lease_ttl": self.max_lease_ttl.unwrap_or(0),
            "pid_file": self.texts.pid_file.clone().unwrap_or_default(),
            "plugin_directory": "",
            "raw_storage_endpoint": self.switches.raw_storage_endpoint,
            "seals": seals,
            "storage": { "type": self.storage.as_ref().map_or("", Storage::kind) },
        })
    }
}
