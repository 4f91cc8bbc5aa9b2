//! The composition root: configuration, storage, plug-ins, kernel, doors and listeners become one
//! running server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use strongroom_adapters::audit_files::AuditFiles;
use strongroom_adapters::audit_sinks::AuditSinks;
use strongroom_adapters::seals::static_key::{NamedKey, StaticSeal};
use strongroom_base::{Clock, Rng, Timestamp};
use strongroom_kernel::audit::AuditOptions;
use strongroom_kernel::audit::medium::{Medium, MemoryMedium};
use strongroom_kernel::audit::sinks::Declared;
use strongroom_kernel::host::{Host, LogLines, MachineView};
use strongroom_kernel::mounts::UserLockout;
use strongroom_kernel::node::{KernelConfig, Node, RaftNode};
use strongroom_kernel::plug::{Plugin, Registry};
use strongroom_kernel::record::{indexes, rows};
use strongroom_kernel::seal::Seal;
use strongroom_storage::Storage;
use strongroom_storage::memory::MemoryStorage;
use strongroom_storage::sqlite::{Passing, SqliteOptions, SqliteStorage};

use crate::clock::GuardedClock;
use crate::config::{self, LogFormat, LogLevel, SealKind, ServerConfig};
use crate::listen::{Bound, Listeners};
use crate::logging::Logging;
use crate::machine;
use crate::real::{self, RealClock, RealRng, Signals, environment};
use crate::service::{AwsSettings, DoorSettings, Doors};

/// Requests that are carried out at a time: more than cores would only take the processor from each
/// other, but one that waits for the disk must not hold up all.
const PLACES_MIN: usize = 2;
/// After so many steps of its tasks a thread looks which connections have something to read. Seldom
/// looks are cheaper by a little, but whoever asked last is then known only after the others were
/// served: the line before the places would be empty, and its order worth nothing.
const STEPS_BETWEEN_LOOKS: u32 = 4;

/// The part of the machine's memory that storage may use as its cache, unless told, and the least and
/// the most bytes of it.
const CACHE_PART: u64 = 8;
const CACHE_BYTES: (u64, u64) = (8 << 20, 4 << 30);
/// Bytes that `cache_size` counts a record as.
const RECORD_BYTES: u64 = 2 << 10;

/// Bytes of the audit log of a server that keeps everything in memory.
const MEMORY_AUDIT_BYTES: usize = 16 << 20;

/// What the command line says beside the configuration.
#[derive(Default)]
pub struct RunOptions {
    /// Configuration files and folders.
    pub configs: Vec<PathBuf>,
    /// Dev mode.
    pub dev: Option<crate::dev::DevOptions>,
    /// The log's level, over the configuration's.
    pub log_level: Option<String>,
    /// The log's format.
    pub log_format: Option<String>,
    /// The log's file.
    pub log_file: Option<PathBuf>,
    /// Bytes, seconds and number of the log's files.
    pub log_rotate: (Option<u64>, Option<u64>, Option<u64>),
}

/// Why a server could not start: a text for people, several lines if need be.
pub type StartError = String;

/// The plug-ins of this binary.
pub fn registry() -> Registry {
    let outside = strongroom_auth::Outside {
        web: Arc::new(strongroom_connectors::web::Network::default()),
        files: Arc::new(strongroom_connectors::files::Machine),
        directory: Arc::new(strongroom_connectors::directory::Network::default()),
        cluster: cluster(),
    };
    let plugins = strongroom_system::specs()
        .into_iter()
        .map(Plugin::from)
        .chain(strongroom_auth::plugins(&outside))
        .chain(strongroom_engines::registry::plugins(
            strongroom_connectors::database::builtin(),
            Arc::new(strongroom_connectors::acme::Network::default()),
            outside.web.clone(),
        ));
    Registry::new(plugins).with_node(strongroom_system::node_ops::spec())
}

/// The URL of the API server of the cluster that the process runs in, where it runs in a pod.
fn cluster() -> Option<String> {
    let set = |name| environment(name).filter(|value| !value.is_empty());
    let (host, port) = (set("KUBERNETES_SERVICE_HOST")?, set("KUBERNETES_SERVICE_PORT")?);
    Some(if host.contains(':') {
        format!("https://[{host}]:{port}")
    } else {
        format!("https://{host}:{port}")
    })
}

/// Runs `server` until it is told to stop. The exit code: 0 after an orderly end.
pub fn server(mut options: RunOptions) -> i32 {
    if let Some(dev) = &mut options.dev
        && let Err(why) = crate::dev::make_certificate(dev, RealClock::new().now())
    {
        return report(Err(why));
    }
    report(load(&options).and_then(|(config, warnings)| {
        let log = start_log(&options, &config)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        run(config, options.configs, log, options.dev.map(Setup::Dev))
    }))
}

/// Prints why a server could not start.
pub fn report(result: Result<(), StartError>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(text) => {
            eprintln!("{text}");
            1
        }
    }
}

fn load(options: &RunOptions) -> Result<(ServerConfig, Vec<String>), StartError> {
    let told = |problems: Vec<config::Problem>| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    if options.configs.is_empty()
        && let Some(dev) = &options.dev
    {
        return Ok((crate::dev::config(dev).map_err(told)?, Vec::new()));
    }
    let loaded = config::load(&options.configs, &environment).map_err(told)?;
    Ok((loaded.config, loaded.warnings.iter().map(ToString::to_string).collect()))
}

/// Starts the log as command line and configuration say.
pub fn start_log(options: &RunOptions, config: &ServerConfig) -> Result<Logging, StartError> {
    let mut log = config.log.clone();
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(text) = said(&options.log_level) {
        let level =
            LogLevel::parse(&text).ok_or("-log-level must be trace, debug, info, warn or error")?;
        log.level = Some(level);
    }
    if let Some(text) = said(&options.log_format) {
        let format = LogFormat::parse(&text).ok_or("-log-format must be standard or json")?;
        log.format = Some(format);
    }
    if let Some(file) = &options.log_file {
        log.file = Some(file.clone());
    }
    let (bytes, seconds, files) = options.log_rotate;
    log.rotate_bytes = bytes.or(log.rotate_bytes);
    log.rotate_seconds = seconds.or(log.rotate_seconds);
    log.rotate_files_max = files.or(log.rotate_files_max);
    Logging::start(&log, Arc::new(RealClock::new()))
}

/// What is done to a fresh store before the listeners open.
pub enum Setup {
    /// Vault's dev mode.
    Dev(crate::dev::DevOptions),
    /// `up`.
    Up(crate::up::UpOptions),
}

/// Runs a server of this configuration until it is told to stop.
pub fn run(
    config: ServerConfig,
    configs: Vec<PathBuf>,
    log: Logging,
    setup: Option<Setup>,
) -> Result<(), StartError> {
    real::small_pages();
    for weakness in real::harden(config.lock_memory && setup.is_none()).0 {
        tracing::warn!("{weakness}");
    }
    real::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(places() + 1)
        .event_interval(STEPS_BETWEEN_LOOKS)
        .enable_all()
        .build()
        .map_err(|e| format!("the threads could not be started: {e}"))?;
    runtime.block_on(serve(config, configs, log, setup))
}

/// How many requests are carried out at a time.
fn places() -> usize {
    std::thread::available_parallelism().map_or(PLACES_MIN, usize::from).max(PLACES_MIN)
}

/// One thread more than places has time to read what comes while there is a line, so that whoever is next is
/// known.
fn door_settings(config: &ServerConfig) -> DoorSettings {
    let mut headers = Vec::new();
    let mut tell = |on: bool, name: &'static str, value: &str| {
        if let (true, Ok(value)) = (on, HeaderValue::from_str(value)) {
            headers.push((HeaderName::from_static(name), value));
        }
    };
    tell(config.response_header_hostname, "x-vault-hostname", &real::host_name());
    if let Some(node) = raft_node(config) {
        tell(config.response_header_node_id, "x-vault-raft-node-id", &node.id);
    }
    DoorSettings {
        places: places(),
        waiting_max: config.limits.connections_max,
        max_request_duration: Duration::from_secs(config.default_max_request_duration),
        headers,
        aws: config.aws.as_ref().map(|door| AwsSettings {
            regions: Arc::new(door.regions.clone()),
            everywhere: door.listener.is_none(),
        }),
    }
}

async fn serve(
    config: ServerConfig,
    configs: Vec<PathBuf>,
    log: Logging,
    setup: Option<Setup>,
) -> Result<(), StartError> {
    let mut signals = Signals::listen().map_err(|e| format!("signals: {e}"))?;
    // Addresses and certificates first: what is wrong with them is told before the store opens.
    let bound = Bound::bind(config.listeners.clone()).await.map_err(|e| e.to_string())?;
    let storage = open_storage(&config)?;
    let node = build_node(&config, storage.clone(), &log).await?;
    if let Some(file) = &config.pid_file {
        std::fs::write(file, format!("{}\n", std::process::id()))
            .map_err(|e| format!("{}: {e}", file.display()))?;
    }
    let banner = match &setup {
        None => {
            if let Err(e) = node.unseal_automatically().await {
                tracing::error!(error = %e, "the automatic seal did not open the store");
            }
            None
        }
        Some(Setup::Dev(options)) => Some(crate::dev::prepare(&node, options).await?),
        Some(Setup::Up(options)) => {
            crate::up::warn_of_plain_listener(options);
            Some(crate::up::prepare(&node, options).await?)
        }
    };
    let listeners =
        bound.serve(config.limits, Arc::new(Doors::new(node.clone(), door_settings(&config))));
    let background = tokio::spawn(background(node.clone()));
    for address in listeners.addresses() {
        tracing::info!(%address, storage = config.storage.kind(), "listening");
    }
    tracing::info!("ready: all listeners are open");
    if let Some(banner) = banner {
        banner.print(&listeners);
    }
    wait(&mut signals, &listeners, &configs, &log).await;
    tracing::info!("stopping: requests in flight are answered");
    background.abort();
    log.end_following();
    let left = listeners.drain(Duration::from_secs(config.own.drain)).await;
    if left > 0 {
        tracing::warn!(left, "connections were cut off");
    }
    if let Ok(services) = node.active()
        && let Err(e) = services.audit.finish(node.clock.now()).await
    {
        tracing::error!(error = %e, "the audit log's last head was not signed");
    }
    node.seal();
    storage.close().await;
    if let Some(file) = &config.pid_file {
        let _ = std::fs::remove_file(file);
    }
    Ok(())
}

/// Waits for the end; carries out what signals ask meanwhile.
async fn wait(signals: &mut Signals, listeners: &Listeners, configs: &[PathBuf], log: &Logging) {
    loop {
        match signals.next().await {
            real::Request::Stop => return,
            real::Request::Reload => reload(listeners, configs, log),
            real::Request::Dump => {
                tracing::info!(connections = listeners.connections(), "state");
            }
        }
    }
}

/// Reads certificates and the log level again; what is wrong leaves all as it was.
fn reload(listeners: &Listeners, configs: &[PathBuf], log: &Logging) {
    if let Err(problem) = log.reopen() {
        tracing::error!("the log stays where it was: {problem}");
    }
    match listeners.reload_certificates() {
        Ok(()) => tracing::info!("certificates reloaded"),
        Err(problems) => {
            for problem in problems {
                tracing::error!("a certificate was not reloaded: {problem}");
            }
        }
    }
    if configs.is_empty() {
        return;
    }
    match config::load(configs, &environment) {
        Ok(loaded) => {
            if let Some(level) = loaded.config.log.level {
                log.set_level(level);
                tracing::info!(level = level.name(), "log level set");
            }
        }
        Err(problems) => {
            for problem in problems {
                tracing::error!("the configuration was not reloaded: {problem}");
            }
        }
    }
}

/// Work without a request, each second, while the node is active.
async fn background(node: Arc<Node>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Ok(services) = node.active() {
            strongroom_kernel::reconcile::tick(&services).await;
        }
    }
}

/// Opens the storage that the configuration names.
pub fn open_storage(config: &ServerConfig) -> Result<Arc<dyn Storage>, StartError> {
    match &config.storage {
        config::Storage::Memory => Ok(MemoryStorage::new()),
        config::Storage::Folder { path, .. } => {
            let reserve_bytes = config.own.storage_reserve_bytes;
            let cache_bytes = cache_bytes(config.cache_records, machine::memory_bytes());
            let passing = Passing { rows: rows::PASSING, indexes: indexes::PASSING };
            let options =
                SqliteOptions { reserve_bytes, cache_bytes, passing, ..SqliteOptions::default() };
            let storage = SqliteStorage::open(path, options)
                .map_err(|e| format!("{}: {e}", path.display()))?;
            Ok(storage)
        }
    }
}

/// Bytes of the storage's cache: it takes them only as records are used.
fn cache_bytes(records: Option<u64>, memory: Option<u64>) -> usize {
    let bytes = match records {
        Some(records) => records.saturating_mul(RECORD_BYTES),
        None => {
            let (least, most) = CACHE_BYTES;
            (memory.unwrap_or(0) / CACHE_PART).clamp(least, most)
        }
    };
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

async fn build_node(
    config: &ServerConfig,
    storage: Arc<dyn Storage>,
    log: &Logging,
) -> Result<Arc<Node>, StartError> {
    let rng: Arc<dyn Rng> = Arc::new(RealRng);
    let clock = Arc::new(GuardedClock::new(Arc::new(RealClock::new())));
    let seal = automatic_seal(config, &rng, clock.now())?;
    let rules = config.listeners.iter().map(|l| &l.rules);
    let closed = rules.clone().any(|r| r.disable_unauthed_rekey)
        || rules.clone().any(|r| r.disable_unauthed_generate_root);
    let kernel = KernelConfig {
        default_lease_ttl: config.default_lease_ttl as i64,
        max_lease_ttl: config.max_lease_ttl as i64,
        api_addr: config.api_addr.clone().unwrap_or_default(),
        cluster_addr: config.cluster_addr.clone().unwrap_or_default(),
        cluster_name: config.cluster_name.clone().unwrap_or_default(),
        host: Arc::new(Process { log: log.clone() }),
        raft: raft_node(config),
        introspection_endpoint: config.introspection_endpoint,
        raw_storage_endpoint: config.raw_storage_endpoint,
        unauthenticated_key_ceremonies: !closed,
        sanitized: config.sanitized.clone(),
        audit: AuditOptions {
            segment_bytes: config.own.audit_file_bytes,
            retention: config.own.audit_retention.map(|s| s as i64),
            sync_each: config.own.audit_sync_reads,
            devices: config.audits.iter().map(declared).collect(),
        },
        api_audit: config.allow_api_audit,
        recovery_opens: config.own.recovery_opens,
        mount_undelete: config.own.mount_undelete as i64,
        user_lockout: lockouts(config).remove("all").unwrap_or_default(),
        user_lockout_of: lockouts(config),
    };
    let medium = audit_medium(config)?;
    let devices = config.audits.iter().map(|a| (a.kind.clone(), a.options.clone())).collect();
    let folders = config.own.audit_file_dirs.clone();
    let sinks = Arc::new(AuditSinks::new(folders, devices, environment));
    Node::new(storage, Arc::new(registry()), seal, Arc::new(kernel), medium, sinks, clock, rng)
        .await
        .map_err(|e| e.to_string())
}

fn declared(device: &config::AuditDevice) -> Declared {
    Declared {
        kind: device.kind.clone(),
        path: format!("{}/", device.path),
        description: device.description.clone(),
        options: device.options.clone(),
    }
}

/// This process, as the kernel knows it.
struct Process {
    log: Logging,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Process")
    }
}

impl Host for Process {
    fn machine(&self) -> MachineView {
        crate::machine::view()
    }

    fn loggers(&self) -> Vec<(String, LogLevel)> {
        self.log.loggers()
    }

    fn set_log_level(&self, logger: Option<&str>, level: Option<LogLevel>) -> bool {
        self.log.set_logger(logger, level)
    }

    fn follow_log(&self, level: LogLevel, json: bool) -> Option<LogLines> {
        self.log.follow(level, json)
    }

    fn end_log_lines(&self) {
        self.log.end_following();
    }

    fn heavy_places(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    fn run_heavy(&self, work: Box<dyn FnOnce() + Send>) {
        real::in_background(work);
    }
}

/// The node of an integrated storage, if that is configured.
fn raft_node(config: &ServerConfig) -> Option<RaftNode> {
    let config::Storage::Folder { kind: "raft", node_id, .. } = &config.storage else {
        return None;
    };
    let address = config.cluster_addr.as_deref().unwrap_or_default();
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    Some(RaftNode {
        id: node_id.clone().unwrap_or_else(real::host_name),
        address: address.trim_end_matches('/').to_owned(),
    })
}

/// Lockout by type of auth method; `all` stands for those that are not named.
fn lockouts(config: &ServerConfig) -> BTreeMap<String, UserLockout> {
    let rule = |l: &config::Lockout| UserLockout {
        threshold: Some(l.threshold),
        duration: Some(l.duration as i64),
        counter_reset: Some(l.counter_reset as i64),
        disable: l.disabled,
    };
    config.lockouts.iter().map(|(kind, lockout)| (kind.clone(), rule(lockout))).collect()
}

/// Where the audit log lies: in `audit_dir`, else beside the store; in memory where the store is.
fn audit_medium(config: &ServerConfig) -> Result<Arc<dyn Medium>, StartError> {
    let folder = match (&config.own.audit_dir, &config.storage) {
        (Some(folder), _) => folder.clone(),
        (None, config::Storage::Folder { path, .. }) => path.join("audit"),
        (None, config::Storage::Memory) => {
            return Ok(Arc::new(MemoryMedium::new(MEMORY_AUDIT_BYTES)));
        }
    };
    let reserve = config.own.audit_reserve_bytes;
    let files =
        AuditFiles::open(&folder, reserve).map_err(|e| format!("{}: {e}", folder.display()))?;
    Ok(Arc::new(files))
}

/// The automatic seal, if one is configured.
fn automatic_seal(
    config: &ServerConfig,
    rng: &Arc<dyn Rng>,
    _now: Timestamp,
) -> Result<Option<Arc<dyn Seal>>, StartError> {
    for seal in config.seals.iter().filter(|s| !s.disabled) {
        let SealKind::Static { current, previous } = &seal.kind else { continue };
        let key = |key: &config::StaticKey| {
            NamedKey::new(&key.id, &key.load(&environment)?).map_err(|e| e.to_string())
        };
        let previous = previous.as_ref().map(key).transpose()?;
        return Ok(Some(Arc::new(StaticSeal::new(key(current)?, previous, rng.clone()))));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_fits_the_machine_unless_it_is_told() {
        for (records, memory, bytes) in [
            (None, None, 8 << 20),
            (None, Some(16 << 20), 8 << 20),
            (None, Some(2 << 30), 256 << 20),
            (None, Some(256 << 30), 4 << 30),
            (Some(0), Some(2 << 30), 0),
            (Some(1_000), Some(2 << 30), 2_048_000),
        ] {
            assert_eq!(cache_bytes(records, memory), bytes, "{records:?} {memory:?}");
        }
        assert!(machine::memory_bytes().is_some_and(|bytes| bytes > 32 << 20));
    }
}
