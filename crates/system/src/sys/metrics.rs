//! Metrics, in Prometheus' text format and in JSON (API page "/sys/metrics").
//!
//! Invariant: nothing here names a secret, a token or a path of one.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use serde_json::json;
use strongroom_base::{Error, Json, Result, fields};
use strongroom_kernel::lockout::LockoutRule;
use strongroom_kernel::mounts::MountTable;
use strongroom_kernel::node::Services;
use strongroom_kernel::plug::{EngineSpec, Op, Query, ReadCx, Reply, Verb};
use strongroom_kernel::requests::QUANTILES;
use strongroom_kernel::rotation::RotationCounts;

use super::System;

/// Adds the operation of this file.
pub fn add_metrics(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<ReadMetrics>("metrics")
}

/// The content type of Prometheus' text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

fields! {
    /// Gives the server's metrics.
    pub struct ReadMetrics {
        /// `prometheus` for its text format; JSON otherwise.
        format: Option<String>,
    }
}

impl Op for ReadMetrics {
    type Reply = Json;
    const VERB: Verb = Verb::Read;
    const ROOT_NAMESPACE_ONLY: bool = true;
}

/// One number.
struct Metric {
    name: &'static str,
    help: &'static str,
    /// Does it only grow, from the server's start on?
    counter: bool,
    /// Labels' names and values.
    labels: Vec<(&'static str, String)>,
    value: u64,
}

impl Metric {
    fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, counter: false, labels: Vec::new(), value }
    }

    fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { counter: true, ..Self::gauge(name, help, value) }
    }

    fn labelled(mut self, label: &'static str, value: &str) -> Self {
        self.labels.push((label, value.to_owned()));
        self
    }
}

/// All metrics; those of one name stand together.
async fn metrics(services: &Services) -> Result<Vec<Metric>> {
    let table = services.router.table().await?;
    let storage = services.store.storage.counters();
    let last = services.audit.last_index();
    let sinks = services.audit.sinks.statuses();
    let namespaces = table.namespaces.iter().filter(|n| n.deleted.is_none()).count();
    let mut all = vec![
        Metric::gauge("vault_core_unsealed", "1 while the store is open.", 1),
        Metric::gauge("vault_core_active", "1 on the active node.", 1),
        Metric::gauge(
            "strongroom_namespaces",
            "Namespaces, the root's included.",
            namespaces as u64,
        ),
        Metric::gauge(
            "strongroom_mounts",
            "Mounts of all namespaces.",
            table.iter().count() as u64,
        ),
        Metric::counter("strongroom_storage_commits", "Durable transactions.", storage.commits),
        Metric::counter("strongroom_storage_batches", "Syncs of the storage.", storage.batches),
        Metric::counter("strongroom_storage_conflicts", "Refused commits.", storage.conflicts),
        Metric::counter("strongroom_storage_cache_hits", "Cached reads.", storage.cache_hits),
        Metric::counter("strongroom_storage_cache_misses", "Other reads.", storage.cache_misses),
        Metric::gauge("strongroom_storage_disk_bytes", "Bytes on disk.", storage.disk_bytes),
        Metric::gauge(
            "strongroom_audit_log_failing",
            "1 while the audit log cannot be written.",
            u64::from(services.audit.health().is_err()),
        ),
        Metric::gauge(
            "strongroom_disk_full",
            "1 while only the room is left that is kept back for a full disk.",
            u64::from(services.is_full()),
        ),
        Metric::counter(
            "strongroom_audit_unrecorded",
            "Refusals that a full disk kept out of the audit log.",
            services.audit.unrecorded(),
        ),
        Metric::counter("strongroom_audit_lines", "Lines of this node's audit log.", last),
    ];
    all.extend(requests(services).await?);
    all.extend(leases(services, &table).await?);
    all.extend(identity(services, &table).await?);
    for (path, status) in &sinks {
        let lag = last.saturating_sub(status.delivered.load(Ordering::Relaxed));
        let help = "Lines that a device has not got yet.";
        all.push(Metric::gauge("strongroom_audit_sink_lag", help, lag).labelled("device", path));
    }
    for (path, status) in &sinks {
        let failing = u64::from(status.failing.load(Ordering::Relaxed));
        let help = "1 while a device takes no lines.";
        let metric = Metric::gauge("strongroom_audit_sink_failing", help, failing);
        all.push(metric.labelled("device", path));
    }
    all.extend(rotations(services.rotations.counts().await?));
    Ok(all)
}

/// Requests by what they asked and what came of it, and how long they took; Vault's names where it has
/// such.
async fn requests(services: &Services) -> Result<Vec<Metric>> {
    let Some(node) = services.node.upgrade() else { return Ok(Vec::new()) };
    let took = node.requests.took(node.clock.monotonic_nanos());
    let mut all = vec![
        Metric::gauge(
            "vault_core_in_flight_requests",
            "Requests that are being served.",
            node.in_flight.count() as u64,
        ),
        Metric::counter(
            "vault_core_handle_request_count",
            "Requests that were handled since the server's start.",
            took.count,
        ),
        Metric::counter(
            "vault_core_handle_request_sum",
            "Milliseconds that these requests took, all together.",
            took.nanos / 1_000_000,
        ),
    ];
    for (quantile, micros) in QUANTILES.iter().zip(took.quantiles) {
        let help = "Microseconds within which requests of the last minutes were answered.";
        let metric = Metric::gauge("strongroom_request_microseconds", help, micros);
        all.push(metric.labelled("quantile", quantile));
    }
    for (kind, class, count) in node.requests.counts() {
        let help = "Requests, by the type of mount and the class of the status.";
        let metric = Metric::counter("strongroom_requests", help, count);
        all.push(metric.labelled("mount_type", &kind).labelled("status", class));
    }
    for (name, count) in services.quotas.violations().await? {
        let help = "Requests that a rate limit refused, by quota.";
        let metric = Metric::counter("vault_quota_rate_limit_violation", help, count);
        all.push(metric.labelled("name", &name));
    }
    let usage = services.usage.get().await?;
    let help = "Service tokens, counted some minutes ago at most.";
    all.push(Metric::gauge("vault_token_count", help, usage.tokens));
    let help = "Leases, counted some minutes ago at most.";
    all.push(Metric::gauge("vault_expire_num_leases", help, usage.leases));
    Ok(all)
}

/// Entities, their aliases by mount, and logins, by Vault's names.
async fn identity(services: &Services, table: &MountTable) -> Result<Vec<Metric>> {
    let live = table.namespaces.iter().filter(|n| table.namespaces.is_live(n.scope));
    let live: Vec<_> = live.collect();
    let scopes: Vec<_> = live.iter().map(|namespace| namespace.scope).collect();
    let usage = services.identity.usage(&scopes).await?;
    let tally = &services.identity.tally;
    let (logins, milliseconds) = tally.logins();
    let waiting = services.mfa.pending.count(services.store.now());
    let mut all = vec![
        Metric::counter(
            "vault_core_handle_login_request_count",
            "Logins that were handled since the store was opened.",
            logins,
        ),
        Metric::counter(
            "vault_core_handle_login_request_sum",
            "Milliseconds that these logins took, all together.",
            milliseconds,
        ),
        Metric::counter(
            "vault_identity_entity_creation",
            "Entities that logins made since the store was opened.",
            tally.entities(),
        ),
        Metric::gauge(
            "vault_identity_num_entities",
            "Entities of all namespaces, counted some minutes ago at most.",
            usage.entities.values().sum(),
        ),
        Metric::gauge(
            "strongroom_mfa_logins_waiting",
            "Logins that wait for their second factors.",
            waiting as u64,
        ),
    ];
    for namespace in live {
        let count = usage.entities.get(&namespace.scope).copied().unwrap_or_default();
        let metric = Metric::gauge("vault_identity_entity_count", "Entities, by namespace.", count);
        let name = if namespace.is_root() { "root" } else { &namespace.path };
        all.push(metric.labelled("namespace", name));
    }
    for (accessor, count) in &usage.aliases {
        // Those of mounts that are gone are nobody's.
        let Some(entry) = table.of_accessor(accessor) else { continue };
        let path = format!("{}{}", entry.namespace.path, entry.mount.path);
        let help = "Aliases of entities, by auth mount.";
        let metric = Metric::gauge("vault_identity_entity_alias_count", help, *count);
        all.push(metric.labelled("mount_point", &path));
    }
    Ok(all)
}

/// What is known of rotations of credentials, as numbers.
fn rotations(counts: RotationCounts) -> Vec<Metric> {
    let RotationCounts { running, draining, failing, overdue, .. } = counts;
    let RotationCounts { published, rolled_back, failed, .. } = counts;
    vec![
        Metric::gauge("strongroom_rotations_running", "Rotations under way.", running),
        Metric::gauge(
            "strongroom_rotations_draining",
            "Rotations that wait for consumers to move on.",
            draining,
        ),
        Metric::gauge(
            "strongroom_rotations_failing",
            "Rotations whose last attempt failed.",
            failing,
        ),
        Metric::gauge(
            "strongroom_rotations_overdue",
            "Rotations past their deadline whose credential of before is not gone.",
            overdue,
        ),
        Metric::counter(
            "strongroom_rotations_published",
            "Credentials published since the store was opened.",
            published,
        ),
        Metric::counter(
            "strongroom_rotations_rolled_back",
            "Rotations rolled back since the store was opened.",
            rolled_back,
        ),
        Metric::counter(
            "strongroom_rotations_failed_attempts",
            "Failed attempts since the store was opened.",
            failed,
        ),
    ]
}

/// Revocations and what became of them. Leases that could not be revoked are told by mount, so that
/// an alarm says where to look.
async fn leases(services: &Services, table: &MountTable) -> Result<Vec<Metric>> {
    let leases = &services.leases;
    let (tally, stuck) = (leases.tally(), leases.count_irrevocable().await?);
    let mut all = vec![
        Metric::counter(
            "strongroom_leases_revoked",
            "Leases whose credentials were taken back.",
            tally.revoked,
        ),
        Metric::counter(
            "strongroom_lease_revocation_failures",
            "Attempts to revoke a lease that failed.",
            tally.failed,
        ),
        Metric::counter(
            "strongroom_leases_dropped_unrevoked",
            "Leases that were forced to go though their credentials may live on.",
            tally.forced,
        ),
        Metric::gauge(
            "strongroom_leases_being_revoked",
            "Leases whose revocation is due and that are waited for or worked on.",
            leases.being_revoked() as u64,
        ),
        Metric::gauge(
            "vault_expire_num_irrevocable_leases",
            "Leases that could not be revoked.",
            stuck.iter().map(|stuck| stuck.leases).sum(),
        ),
    ];
    let path_of = |mount| {
        let entry = table.of_scope(mount).or_else(|| table.of_gone(mount));
        entry.map_or_else(String::new, |entry| {
            format!("{}{}", entry.namespace.path, entry.mount.path)
        })
    };
    for stuck in &stuck {
        let path = path_of(stuck.mount);
        let help = "Leases that could not be revoked, by mount.";
        let metric = Metric::gauge("strongroom_leases_irrevocable", help, stuck.leases);
        all.push(metric.labelled("mount", &path));
    }
    let logins = services.logins.all();
    for (mount, tally) in &logins {
        let (name, help) = ("strongroom_logins_succeeded", "Logins that gave a token, by mount.");
        let metric = Metric::counter(name, help, tally.succeeded);
        all.push(metric.labelled("mount", &path_of(*mount)));
    }
    for (mount, tally) in &logins {
        let (name, help) = ("strongroom_logins_refused", "Logins that were refused, by mount.");
        let metric = Metric::counter(name, help, tally.refused);
        all.push(metric.labelled("mount", &path_of(*mount)));
    }
    let rule = |mount| LockoutRule::of(&table.of_scope(mount)?.mount, &services.config);
    let locked = services.lockouts.count_locked(rule, services.store.now());
    let help = "Users that are locked out.";
    all.push(Metric::gauge("vault_core_locked_users", help, locked as u64));
    Ok(all)
}

/// Prometheus' text format: labels' values have `\`, `"` and newlines escaped.
fn prometheus(metrics: &[Metric]) -> String {
    let mut out = String::new();
    let mut last = "";
    for metric in metrics {
        let Metric { name, help, value, .. } = metric;
        let kind = if metric.counter { "counter" } else { "gauge" };
        // Writing into memory does not fail.
        if *name != last {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            last = name;
        }
        out.push_str(name);
        for (i, (label, text)) in metric.labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let before = if i == 0 { '{' } else { ',' };
            let _ = write!(out, "{before}{label}=\"{text}\"");
        }
        let _ = writeln!(out, "{} {value}", if metric.labels.is_empty() { "" } else { "}" });
    }
    out
}

/// The form of Vault's JSON metrics.
fn in_json(metrics: &[Metric], now: &str) -> Json {
    let of = |counter: bool| -> Vec<Json> {
        metrics
            .iter()
            .filter(|metric| metric.counter == counter)
            .map(|metric| {
                let labels: serde_json::Map<String, Json> =
                    metric.labels.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
                json!({ "Name": metric.name, "Value": metric.value, "Labels": labels })
            })
            .collect()
    };
    json!({ "Timestamp": now, "Gauges": of(false), "Counters": of(true), "Points": [],
            "Samples": [] })
}

/// The metrics without asking who wants them: for listeners that are configured so.
pub async fn open_metrics(services: &Services, format: Option<&str>) -> Result<Reply<Json>> {
    let metrics = metrics(services).await?;
    let now = services.store.now().to_string();
    match format {
        Some("prometheus") => Ok(Reply::raw(PROMETHEUS, prometheus(&metrics).into_bytes())),
        None | Some("") => Ok(Reply::data(in_json(&metrics, &now)).bare()),
        Some(_) => Err(Error::bad_request("metric response format is not supported")),
    }
}

impl Query<ReadMetrics> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadMetrics) -> Result<Reply<Json>> {
        open_metrics(cx.kernel(), op.format.as_deref()).await
    }
}
