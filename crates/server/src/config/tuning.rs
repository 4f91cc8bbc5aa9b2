//! The smaller settings: log, telemetry, lockout, our own stanza, and the keys of Vault that say
//! nothing here.

use std::path::PathBuf;

pub use strongroom_kernel::host::LogLevel;

use super::{
    last,
    stanza::{Findings, Stanza},
};
use crate::listen::Limits;

const LEVELS: &[(&str, LogLevel)] = &[
    ("trace", LogLevel::Trace),
    ("debug", LogLevel::Debug),
    ("info", LogLevel::Info),
    ("notice", LogLevel::Info),
    ("warn", LogLevel::Warn),
    ("warning", LogLevel::Warn),
    ("err", LogLevel::Error),
    ("error", LogLevel::Error),
];

/// How a log line is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Standard,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Reads Vault's names.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        FORMATS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, format)| *format)
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Json => "json",
        }
    }
}

const FORMATS: &[(&str, LogFormat)] =
    &[("standard", LogFormat::Standard), ("json", LogFormat::Json)];

/// The log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Absent: info.
    pub level: Option<LogLevel>,
    /// Absent: for people.
    pub format: Option<LogFormat>,
    /// Absent: standard error.
    pub file: Option<PathBuf>,
    /// A new file after so many bytes.
    pub rotate_bytes: Option<u64>,
    /// A new file after so many seconds.
    pub rotate_seconds: Option<u64>,
    /// Old files kept; absent: all.
    pub rotate_files_max: Option<u64>,
}

impl Log {
    pub(super) fn read(&mut self, top: &Stanza<'_>) {
        last(&mut self.level, top.choice("log_level", LEVELS));
        last(&mut self.format, top.choice("log_format", FORMATS));
        last(&mut self.file, top.text("log_file").map(PathBuf::from));
        last(&mut self.rotate_bytes, top.count("log_rotate_bytes").filter(|bytes| *bytes > 0));
        last(&mut self.rotate_seconds, top.seconds("log_rotate_duration"));
        last(&mut self.rotate_files_max, top.count("log_rotate_max_files").filter(|n| *n > 0));
    }

    pub(super) fn read_environment(
        &mut self,
        environment: &dyn Fn(&str) -> Option<String>,
        findings: &Findings,
    ) {
        if let Some(text) = environment("LOG_LEVEL") {
            let level = LogLevel::parse(&text);
            if level.is_none() {
                findings.error("the log level of the environment is unknown");
            }
            last(&mut self.level, level);
        }
        if let Some(text) = environment("LOG_FORMAT") {
            let format = LogFormat::parse(&text);
            if format.is_none() {
                findings.error("the log format of the environment is unknown");
            }
            last(&mut self.format, format);
        }
    }
}

/// The `telemetry` stanza.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// Seconds that Prometheus metrics are kept; 0 turns them off.
    pub prometheus_retention: u64,
    /// Leave the host's name out of gauges.
    pub disable_hostname: bool,
    /// The first part of every metric's name; absent: `vault`.
    pub metrics_prefix: Option<String>,
    /// Seconds between two counts of what is stored; 0: never.
    pub usage_gauge_period: u64,
    /// Distinct label values of such a count.
    pub gauge_cardinality_max: u64,
    /// Prefixes allowed (`+`) and blocked (`-`).
    pub prefix_filter: Vec<String>,
    /// Are metrics allowed that no prefix names?
    pub filter_default: bool,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            prometheus_retention: 24 * 3600,
            disable_hostname: false,
            metrics_prefix: None,
            usage_gauge_period: 600,
            gauge_cardinality_max: 500,
            prefix_filter: Vec::new(),
            filter_default: true,
        }
    }
}

/// Other ways to send metrics: they are read by Prometheus from `sys/metrics`.
const METRIC_SINKS: &[&str] = &[
    "statsite_address",
    "statsd_address",
    "circonus_api_token",
    "circonus_api_app",
    "circonus_api_url",
    "circonus_submission_interval",
    "circonus_submission_url",
    "circonus_check_id",
    "circonus_check_force_metric_activation",
    "circonus_check_instance_id",
    "circonus_check_search_tag",
    "circonus_check_tags",
    "circonus_check_display_name",
    "circonus_broker_id",
    "circonus_broker_select_tag",
    "dogstatsd_addr",
    "dogstatsd_tags",
    "stackdriver_project_id",
    "stackdriver_location",
    "stackdriver_namespace",
    "stackdriver_debug_logs",
];

impl Telemetry {
    pub(super) fn read(stanza: Stanza<'_>) -> Self {
        let default = Self::default();
        stanza.without_effect(METRIC_SINKS, "metrics are read from sys/metrics");
        stanza.accept(&[
            "enable_hostname_label",
            "lease_metrics_epsilon",
            "num_lease_metrics_buckets",
            "add_lease_metrics_namespace_labels",
            "add_mount_point_rollback_metrics",
        ]);
        let telemetry = Self {
            prometheus_retention: stanza
                .seconds("prometheus_retention_time")
                .unwrap_or(default.prometheus_retention),
            disable_hostname: stanza.flag("disable_hostname").unwrap_or(false),
            metrics_prefix: stanza.text("metrics_prefix"),
            usage_gauge_period: stanza
                .seconds_or_none("usage_gauge_period")
                .unwrap_or(default.usage_gauge_period),
            gauge_cardinality_max: stanza
                .count("maximum_gauge_cardinality")
                .unwrap_or(default.gauge_cardinality_max),
            prefix_filter: stanza.list("prefix_filter").unwrap_or_default(),
            filter_default: stanza.flag("filter_default").unwrap_or(true),
        };
        stanza.without_effect(
            &["metrics_prefix", "prefix_filter", "filter_default"],
            "all metrics are always served, under their own names",
        );
        if telemetry.prefix_filter.iter().any(|rule| !rule.starts_with(['+', '-'])) {
            stanza.error_of("prefix_filter", "rules begin with + or -");
        }
        stanza.finish();
        telemetry
    }
}

/// When a user is locked out of logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lockout {
    /// Wrong passwords until then.
    pub threshold: u64,
    /// Seconds it lasts.
    pub duration: u64,
    /// Seconds without a failure after which the count begins anew.
    pub counter_reset: u64,
    /// Never.
    pub disabled: bool,
}

impl Default for Lockout {
    fn default() -> Self {
        Self { threshold: 5, duration: 900, counter_reset: 900, disabled: false }
    }
}

pub(super) fn read_lockouts(top: &Stanza<'_>) -> Vec<(String, Lockout)> {
    let mut found = Vec::new();
    for (labels, stanza) in top.blocks("user_lockout", 1) {
        let kind = labels.into_iter().next().or_else(|| stanza.text("type")).unwrap_or_default();
        stanza.accept(&["type"]);
        let kind = kind.to_ascii_lowercase();
        if !["all", "userpass", "approle", "ldap"].contains(&kind.as_str()) {
            stanza.error("lockout is for all, userpass, approle or ldap");
        }
        let default = Lockout::default();
        let lockout = Lockout {
            threshold: stanza.count("lockout_threshold").unwrap_or(default.threshold),
            duration: stanza.seconds("lockout_duration").unwrap_or(default.duration),
            counter_reset: stanza.seconds("lockout_counter_reset").unwrap_or(default.counter_reset),
            disabled: stanza.flag("disable_lockout").unwrap_or(false),
        };
        stanza.finish();
        found.push((kind, lockout));
    }
    found
}

/// The `strongroom` stanza: what the peers do not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSettings {
    /// Where the node's own audit log lies; absent: `audit/` in the storage's folder.
    pub audit_dir: Option<PathBuf>,
    /// Is an answer held back until its audit line is on disk? Writes always are.
    pub audit_sync_reads: bool,
    /// Seconds that closed audit files are kept; absent: for ever.
    pub audit_retention: Option<u64>,
    /// Bytes of one audit file before the next begins.
    pub audit_file_bytes: u64,
    /// Bytes of disk kept free for the audit log's end on a full disk.
    pub audit_reserve_bytes: u64,
    /// Bytes of disk kept free for the storage on a full disk.
    pub storage_reserve_bytes: u64,
    /// Folders below which file audit devices may be enabled by API; absent: everywhere.
    pub audit_file_dirs: Vec<PathBuf>,
    /// May recovery shares open the store beside an automatic seal?
    pub recovery_opens: bool,
    /// Seconds for which a deleted mount can be brought back.
    pub mount_undelete: u64,
    /// Seconds that requests in flight get to end at a shutdown.
    pub drain: u64,
}

impl Default for OwnSettings {
    fn default() -> Self {
        Self {
            audit_dir: None,
            audit_sync_reads: false,
            audit_retention: None,
            audit_file_bytes: 64 * 1024 * 1024,
            audit_reserve_bytes: 16 * 1024 * 1024,
            storage_reserve_bytes: 16 * 1024 * 1024,
            audit_file_dirs: Vec::new(),
            recovery_opens: true,
            mount_undelete: 7 * 24 * 3600,
            drain: 30,
        }
    }
}

impl OwnSettings {
    pub(super) fn read(&mut self, stanza: Stanza<'_>, limits: &mut Limits) {
        last(&mut self.audit_dir, stanza.text("audit_dir").map(PathBuf::from));
        let sync = stanza.choice("audit_sync", &[("writes", false), ("all", true)]);
        self.audit_sync_reads = sync.unwrap_or(self.audit_sync_reads);
        last(&mut self.audit_retention, stanza.seconds("audit_retention"));
        for (setting, key) in [
            (&mut self.audit_file_bytes, "audit_file_bytes"),
            (&mut self.audit_reserve_bytes, "audit_reserve_bytes"),
            (&mut self.storage_reserve_bytes, "storage_reserve_bytes"),
        ] {
            *setting = stanza.count(key).unwrap_or(*setting);
        }
        if let Some(folders) = stanza.list("audit_file_dirs") {
            self.audit_file_dirs = folders.into_iter().map(PathBuf::from).collect();
        }
        self.recovery_opens = stanza.flag("recovery_opens").unwrap_or(self.recovery_opens);
        for (setting, key) in
            [(&mut self.mount_undelete, "mount_undelete"), (&mut self.drain, "drain_timeout")]
        {
            *setting = stanza.seconds(key).unwrap_or(*setting);
        }
        for (limit, key) in [
            (&mut limits.connections_max, "connections_max"),
            (&mut limits.per_peer_max, "connections_per_peer_max"),
            (&mut limits.stranger_bytes_max, "stranger_body_bytes_max"),
            (&mut limits.known_bytes_max, "body_bytes_max"),
        ] {
            match stanza.count(key).map(usize::try_from) {
                Some(Ok(0) | Err(_)) => stanza.error_of(key, "is out of range"),
                Some(Ok(count)) => *limit = count,
                None => {}
            }
        }
        stanza.finish();
    }
}

/// Keys of Vault's top level that are known and do nothing here.
pub(super) fn read_without_effect(top: &Stanza<'_>) {
    // These tune what does not exist here, or is always on.
    top.accept(&[
        "disable_printable_check",
        "disable_clustering",
        "disable_performance_standby",
        "disable_sealwrap",
        "disable_indexing",
        "disable_sentinel_trace",
        "disable_ssctokens",
        "cluster_cipher_suites",
        "imprecise_lease_role_tracking",
        "detect_deadlocks",
        "log_requests_level",
        "disable_standby_reads",
        "allow_unauthenticated_workflows",
        "enable_raw_endpoint",
        "experiments",
        "administrative_namespace_path",
    ]);
    let plugins = "there are no external plugins; all engines and methods are built in";
    top.without_effect(
        &[
            "plugin_directory",
            "plugin_tmpdir",
            "plugin_file_uid",
            "plugin_file_permissions",
            "plugin_auto_download",
            "plugin_auto_register",
            "plugin_download_behavior",
            "plugin_download_max_size",
            "plugin",
        ],
        plugins,
    );
    top.without_effect(
        &["license_path", "license", "reporting", "censusing", "replication", "hcp_link"],
        "it belongs to a licensed edition",
    );
    top.without_effect(&["service_registration"], "registration is not built in yet");
    for (key, why) in [
        ("initialize", "(declarative initialisation) is not built in yet"),
        ("entropy", "is not built in: the kernel's generator is the only source of keys"),
        ("unsafe_cross_namespace_identity", "is not supported"),
        ("unsafe_relative_paths", "is not supported: paths with `..` are always refused"),
    ] {
        if top.has(key) {
            top.error_of(key, why);
        }
    }
}
