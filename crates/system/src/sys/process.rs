//! The process and the machine it runs on (API pages "/sys/host-info", "/sys/in-flight-req",
//! "/sys/loggers", "/sys/version-history", "/sys/pprof").
//!
//! Invariant: nothing here shows a body, a query, a token or a variable of the environment.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use strongroom_base::{Error, ErrorKind, Json, JsonMap, Result, fields};
use strongroom_kernel::describe::method_name;
use strongroom_kernel::host::LogLevel;
use strongroom_kernel::plug::{Command, EngineSpec, Op, Query, ReadCx, Reply, Verb, WriteCx, ops};
use strongroom_kernel::versions;

use super::System;

/// Adds the operations of this file.
pub fn add_process(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<ReadHostInfo>("host-info")
        .query::<ReadInFlight>("in-flight-req")
        .query::<ReadLoggers>("loggers")
        .command::<SetLoggers>("loggers")
        .command::<ResetLoggers>("loggers")
        .query::<ReadLogger>("loggers/{name..}")
        .command::<SetLogger>("loggers/{name..}")
        .command::<ResetLogger>("loggers/{name..}")
        .query::<ListVersions>("version-history")
        .query::<CountRequests>("internal/counters/requests")
        .command::<ReloadConfig>("config/reload/{subsystem}")
        .query::<ReadProfile>("pprof")
        .query::<ReadProfile>("pprof/{profile..}")
}

fields! {
    /// Tells of the machine: processors, memory, disks, system.
    pub struct ReadHostInfo {}
}

ops! { ReadHostInfo JsonMap, Read; }

impl Query<ReadHostInfo> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadHostInfo) -> Result<Reply<JsonMap>> {
        let mut machine = cx.kernel().config.host.machine();
        machine.parts.insert("timestamp".to_owned(), cx.now().to_string().into());
        Ok(Reply::data(machine.parts).warnings(machine.missing))
    }
}

fields! {
    /// Lists the requests that are being served.
    pub struct ReadInFlight {}
}

/// One request.
#[derive(Serialize)]
struct FlightView {
    start_time: String,
    client_remote_address: String,
    request_path: String,
    request_method: &'static str,
    client_id: String,
}

ops! { ReadInFlight Json, Read; }

impl Query<ReadInFlight> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadInFlight) -> Result<Reply<Json>> {
        let node = cx.kernel().node.upgrade().ok_or_else(Error::sealed)?;
        Ok(Reply::data(in_flight(&node)?).bare())
    }
}

/// The requests that `node` is serving, by their ids.
pub fn in_flight(node: &strongroom_kernel::node::Node) -> Result<Json> {
    let mut all = BTreeMap::new();
    for flight in node.in_flight.all() {
        let address = flight.peer.ip.map(|ip| std::net::SocketAddr::new(ip, flight.peer.port));
        let view = FlightView {
            start_time: flight.started.to_string(),
            client_remote_address: address.map(|a| a.to_string()).unwrap_or_default(),
            request_path: format!("/v1/{}", flight.path),
            request_method: method_name(flight.verb),
            client_id: flight.client.get().cloned().unwrap_or_default(),
        };
        all.insert(flight.id.clone(), view);
    }
    serde_json::to_value(all).map_err(|_| Error::internal("a view does not serialise"))
}

fields! {
    /// Tells how much each logger logs.
    pub struct ReadLoggers {}
}

ops! { ReadLoggers BTreeMap<String, &'static str>, Read; }

fn loggers(cx: &ReadCx<'_>) -> BTreeMap<String, &'static str> {
    let loggers = cx.kernel().config.host.loggers();
    loggers.into_iter().map(|(name, level)| (name, level.name())).collect()
}

impl Query<ReadLoggers> for System {
    async fn query(
        &self,
        cx: &ReadCx<'_>,
        _: ReadLoggers,
    ) -> Result<Reply<BTreeMap<String, &'static str>>> {
        Ok(Reply::data(loggers(cx)))
    }
}

fields! {
    /// Tells how much a logger logs.
    pub struct ReadLogger {
        /// Its name.
        name: String,
    }
}

ops! { ReadLogger BTreeMap<String, &'static str>, Read; }

impl Query<ReadLogger> for System {
    async fn query(
        &self,
        cx: &ReadCx<'_>,
        op: ReadLogger,
    ) -> Result<Reply<BTreeMap<String, &'static str>>> {
        let mut all = loggers(cx);
        all.retain(|name, _| *name == op.name);
        Ok(Reply::data(all))
    }
}

fields! {
    /// Sets how much all loggers log.
    pub struct SetLoggers {
        /// trace, debug, info, warn or error.
        level: Option<String>,
    }
}
fields! {
    /// Sets how much a logger logs.
    pub struct SetLogger {
        /// Its name.
        name: String,
        /// trace, debug, info, warn or error.
        level: Option<String>,
    }
}
fields! {
    /// Lets all loggers log as much as the configuration says.
    pub struct ResetLoggers {}
}
fields! {
    /// Lets a logger log as much as the configuration says.
    pub struct ResetLogger {
        /// Its name.
        name: String,
    }
}

ops! {
    SetLoggers (), Write;
    SetLogger (), Write;
    ResetLoggers (), Delete;
    ResetLogger (), Delete;
}

fn level(text: Option<String>) -> Result<LogLevel> {
    match text.as_deref() {
        None => Err(Error::bad_request("level is required")),
        Some("") => Err(Error::bad_request("level is empty")),
        Some(text) => LogLevel::parse(text)
            .ok_or_else(|| Error::bad_request("invalid level provided: unknown log level")),
    }
}

/// Changes the log once the request is recorded: an effect has its audit line first.
fn set(cx: &mut WriteCx<'_>, name: Option<String>, level: Option<LogLevel>) -> Result<Reply<()>> {
    if let Some(name) = &name
        && !loggers(cx).contains_key(name)
    {
        return Err(Error::bad_request("logger not found"));
    }
    cx.after_commit(move |services| {
        services.config.host.set_log_level(name.as_deref(), level);
    });
    Ok(Reply::none())
}

impl Command<SetLoggers> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: SetLoggers) -> Result<Reply<()>> {
        let level = level(op.level)?;
        set(cx, None, Some(level))
    }
}

impl Command<SetLogger> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: SetLogger) -> Result<Reply<()>> {
        let level = level(op.level)?;
        set(cx, Some(op.name), Some(level))
    }
}

impl Command<ResetLoggers> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, _: ResetLoggers) -> Result<Reply<()>> {
        set(cx, None, None)
    }
}

impl Command<ResetLogger> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ResetLogger) -> Result<Reply<()>> {
        set(cx, Some(op.name), None)
    }
}

fields! {
    /// Lists the versions of Strongroom that have opened this store, oldest first.
    pub struct ListVersions {}
}

/// `sys/version-history`.
#[derive(Serialize)]
pub struct VersionList {
    keys: Vec<String>,
    key_info: BTreeMap<String, Json>,
}

impl Op for ListVersions {
    type Reply = VersionList;
    const VERB: Verb = Verb::List;
    const ROOT_NAMESPACE_ONLY: bool = true;
}

impl Query<ListVersions> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ListVersions) -> Result<Reply<VersionList>> {
        let mut list = VersionList { keys: Vec::new(), key_info: BTreeMap::new() };
        for (version, first) in versions::history(cx.kernel_tx()).await? {
            let info = json!({
                "previous_version": list.keys.last(),
                "timestamp_installed": first.to_string(),
                "build_date": "",
                "commit_date": "",
            });
            list.key_info.insert(version.clone(), info);
            list.keys.push(version);
        }
        Ok(Reply::data(list))
    }
}

fields! {
    /// Counted requests once; the figures are among the metrics.
    pub struct CountRequests {}
}

ops! { CountRequests (), Read; }

impl Query<CountRequests> for System {
    async fn query(&self, _: &ReadCx<'_>, _: CountRequests) -> Result<Reply<()>> {
        let text = "The functionality has been removed on this path";
        Err(Error::new(ErrorKind::NotFound, text))
    }
}

fields! {
    /// Rereads a part of the configuration; none can be reread this way.
    pub struct ReloadConfig {
        /// The part.
        subsystem: String,
    }
}

ops! { ReloadConfig (), Write; }

impl Command<ReloadConfig> for System {
    async fn command(&self, _: &mut WriteCx<'_>, _: ReloadConfig) -> Result<Reply<()>> {
        let text = "unsupported path: SIGHUP has the server reread certificates and the log level";
        Err(Error::new(ErrorKind::NotFound, text))
    }
}

fields! {
    /// Gave profiles of a Go program; this is none.
    pub struct ReadProfile {
        /// The profile.
        profile: Option<String>,
    }
}

ops! { ReadProfile (), Read; }

impl Query<ReadProfile> for System {
    async fn query(&self, _: &ReadCx<'_>, _: ReadProfile) -> Result<Reply<()>> {
        let text =
            "this server is no Go program and has no pprof profiles; sys/metrics has figures";
        Err(Error::new(ErrorKind::NotFound, text))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::{Value, json};
    use strongroom_kernel::host::{Host, LogLevel, MachineView};
    use strongroom_kernel::node::KernelConfig;
    use strongroom_testkit::TestNode;

    use crate::testing;

    /// A process with two loggers.
    #[derive(Debug, Default)]
    struct Process(Mutex<BTreeMap<&'static str, LogLevel>>);

    const LOGGERS: [&str; 2] = ["kernel", "server"];

    impl Host for Process {
        fn machine(&self) -> MachineView {
            let mut machine = MachineView::default();
            machine.parts.insert("host".to_owned(), json!({ "hostname": "here" }));
            machine.missing.push("no disks".to_owned());
            machine
        }

        fn loggers(&self) -> Vec<(String, LogLevel)> {
            let set = self.0.lock();
            let level = |name| set.get(name).copied().unwrap_or(LogLevel::Info);
            LOGGERS.iter().map(|name| ((*name).to_owned(), level(name))).collect()
        }

        fn set_log_level(&self, logger: Option<&str>, level: Option<LogLevel>) -> bool {
            let mut set = self.0.lock();
            for name in LOGGERS.iter().filter(|name| logger.is_none_or(|l| l == **name)) {
                match level {
                    Some(level) => set.insert(name, level),
                    None => set.remove(name),
                };
            }
            true
        }
    }

    #[tokio::test]
    async fn loggers_are_set_and_set_back() {
        let config = KernelConfig { host: Arc::new(Process::default()), ..Default::default() };
        let node = TestNode::start_with(crate::specs(), config).await;
        let read = async |path: &str| {
            let got = node.root("READ", path, Value::Null).await;
            assert_eq!(got.status, 200);
            got.data().clone()
        };
        assert_eq!(read("sys/loggers").await, json!({ "kernel": "info", "server": "info" }));
        for (path, body) in [
            ("sys/loggers", json!({})),
            ("sys/loggers", json!({ "level": "" })),
            ("sys/loggers", json!({ "level": "loud" })),
            ("sys/loggers/nope", json!({ "level": "debug" })),
        ] {
            assert_eq!(node.root("WRITE", path, body).await.status, 400);
        }
        let set = json!({ "level": "DEBUG" });
        assert_eq!(node.root("WRITE", "sys/loggers/kernel", set).await.status, 204);
        assert_eq!(read("sys/loggers").await, json!({ "kernel": "debug", "server": "info" }));
        assert_eq!(read("sys/loggers/kernel").await, json!({ "kernel": "debug" }));
        assert_eq!(read("sys/loggers/nope").await, json!({}));
        node.root("WRITE", "sys/loggers", json!({ "level": "error" })).await;
        assert_eq!(read("sys/loggers").await, json!({ "kernel": "error", "server": "error" }));
        assert_eq!(node.root("DELETE", "sys/loggers/server", Value::Null).await.status, 204);
        assert_eq!(read("sys/loggers").await, json!({ "kernel": "error", "server": "info" }));
        assert_eq!(node.root("DELETE", "sys/loggers", Value::Null).await.status, 204);
        assert_eq!(read("sys/loggers").await, json!({ "kernel": "info", "server": "info" }));
        let got = node.root("READ", "sys/host-info", Value::Null).await;
        assert_eq!(got.data()["host"]["hostname"], "here");
        assert!(got.data()["timestamp"].as_str().is_some_and(|t| t.starts_with("2026-01-01T")));
        assert_eq!(got.body["warnings"], json!(["no disks"]));
    }

    #[tokio::test]
    async fn requests_in_flight_show_themselves() {
        let node = testing::node().await;
        let token = testing::token_of(&node, "all").await;
        let lookup = node.call("READ", "auth/token/lookup-self", &token, Value::Null).await;
        let got = node.call("READ", "sys/in-flight-req", &token, Value::Null).await;
        let all = got.body.as_object().expect("an object");
        assert_eq!(all.len(), 1);
        let own = all.values().next().expect("one");
        assert_eq!(own["request_path"], "/v1/sys/in-flight-req");
        assert_eq!(own["request_method"], "GET");
        assert_eq!(own["client_id"], lookup.data()["accessor"]);
        assert_eq!(own["client_remote_address"], "127.0.0.1:0");
        assert!(node.node.in_flight.all().is_empty(), "answered requests are off the list");
    }

    #[tokio::test]
    async fn the_first_start_of_a_version_is_kept() {
        let node = testing::node().await;
        let read = async || {
            let got = node.root("LIST", "sys/version-history", Value::Null).await;
            assert_eq!(got.status, 200);
            got.data().clone()
        };
        let first = read().await;
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(first["keys"], json!([version]));
        assert_eq!(first["key_info"][version]["previous_version"], Value::Null);
        node.clock.advance(1_000);
        node.node.seal();
        node.unseal().await;
        assert_eq!(read().await, first);
    }

    #[tokio::test]
    async fn what_is_not_there_says_so() {
        let node = testing::node().await;
        for (verb, path, says) in [
            ("READ", "sys/pprof", "pprof"),
            ("READ", "sys/pprof/heap", "pprof"),
            ("READ", "sys/internal/counters/requests", "removed"),
            ("WRITE", "sys/config/reload/license", "unsupported path"),
        ] {
            let got = node.root(verb, path, Value::Null).await;
            assert_eq!(got.status, 404, "{path}");
            assert!(got.errors().contains(says), "{path}: {}", got.errors());
        }
    }
}
