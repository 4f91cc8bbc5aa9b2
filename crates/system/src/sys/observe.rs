//! What operators look at: the configuration without its secrets, the nodes, and counts (API pages
//! "/sys/config/state", "/sys/ha-status", "/sys/internal/counters").
//!
//! Invariant: nothing here names a secret, a token or a path of one; numbers and settings only.

use serde::Serialize;
use serde_json::json;
use strongroom_base::{Json, Result, fields};
use strongroom_kernel::identity::Directory;
use strongroom_kernel::node::VAULT_VERSION;
use strongroom_kernel::plug::{EngineSpec, Op, Query, ReadCx, Reply, Verb, ops};

use super::System;

/// Adds the operations of this file.
pub fn add_observe(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<ReadSanitized>("config/state/sanitized")
        .query::<ReadHaStatus>("ha-status")
        .query::<CountTokens>("internal/counters/tokens")
        .query::<CountEntities>("internal/counters/entities")
}

/// Tokens looked at in one step of counting.
const TOKENS_PAGE: usize = 4_096;

fields! {
    /// Gives the server's configuration without its secrets.
    pub struct ReadSanitized {}
}

impl Op for ReadSanitized {
    type Reply = Json;
    const VERB: Verb = Verb::Read;
    const ROOT_NAMESPACE_ONLY: bool = true;
}

impl Query<ReadSanitized> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadSanitized) -> Result<Reply<Json>> {
        let config = match &cx.kernel().config.sanitized {
            Json::Null => json!({}),
            config => config.clone(),
        };
        Ok(Reply::data(config).flat())
    }
}

fields! {
    /// Lists the nodes.
    pub struct ReadHaStatus {}
}

/// A node.
#[derive(Serialize)]
pub struct NodeView {
    hostname: String,
    api_address: String,
    cluster_address: String,
    active_node: bool,
    last_echo: Option<String>,
    version: &'static str,
}

/// The nodes.
#[derive(Serialize)]
pub struct HaStatus {
    nodes: Vec<NodeView>,
}

impl Op for ReadHaStatus {
    type Reply = HaStatus;
    const VERB: Verb = Verb::Read;
    const ROOT_NAMESPACE_ONLY: bool = true;
}

impl Query<ReadHaStatus> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadHaStatus) -> Result<Reply<HaStatus>> {
        let config = &cx.kernel().config;
        let own = NodeView {
            hostname: String::new(),
            api_address: config.api_addr.clone(),
            cluster_address: config.cluster_addr.clone(),
            active_node: true,
            last_echo: None,
            version: VAULT_VERSION,
        };
        Ok(Reply::data(HaStatus { nodes: vec![own] }).flat())
    }
}

fields! {
    /// Counts the service tokens.
    pub struct CountTokens {}
}
fields! {
    /// Counts the entities of this namespace.
    pub struct CountEntities {}
}

impl Op for CountTokens {
    type Reply = Json;
    const VERB: Verb = Verb::Read;
    const ROOT_NAMESPACE_ONLY: bool = true;
}
ops! { CountEntities Json, Read; }

impl Query<CountTokens> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: CountTokens) -> Result<Reply<Json>> {
        let tokens = &cx.kernel().tokens;
        let (mut total, mut after) = (0, 0);
        loop {
            let page = tokens.page(after, TOKENS_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            total += page.iter().filter(|token| !token.is_expired(cx.now())).count();
        }
        Ok(Reply::data(json!({ "counters": { "service_tokens": { "total": total } } })))
    }
}

impl Query<CountEntities> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: CountEntities) -> Result<Reply<Json>> {
        let directory = Directory::new(cx.kernel_tx(), cx.request.namespace.scope);
        let total = directory.entities().await?.len();
        Ok(Reply::data(json!({ "counters": { "entities": { "total": total } } })))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing;

    #[tokio::test]
    async fn numbers_for_operators_alone() {
        let node = testing::node().await;
        let none = testing::token_of(&node, "none").await;
        node.root("WRITE", "sys/namespaces/team", json!({})).await;
        for path in [
            "sys/metrics",
            "sys/config/state/sanitized",
            "sys/ha-status",
            "sys/internal/counters/tokens",
            "sys/internal/counters/entities",
        ] {
            assert_eq!(node.call("READ", path, "", Value::Null).await.status, 403, "{path}");
            assert_eq!(node.call("READ", path, &none, Value::Null).await.status, 403, "{path}");
            assert_eq!(node.root("READ", path, Value::Null).await.status, 200, "{path}");
            // What concerns the whole server is no tenant's business.
            let status = if path.ends_with("entities") { 200 } else { 400 };
            let got = node.call_in("team", "READ", path, &node.root, Value::Null).await;
            assert_eq!(got.status, status, "{path}");
        }
        let got = node.root("READ", "sys/metrics?format=xml", Value::Null).await;
        assert_eq!(got.status, 400);
        let got = node.root("READ", "sys/metrics?format=prometheus", Value::Null).await;
        let text = got.body.as_str().expect("a text");
        assert!(text.contains("# TYPE strongroom_namespaces gauge\nstrongroom_namespaces 2\n"));
        assert!(text.contains("vault_identity_num_entities 0\n"));
        // Nobody but root, and the token of `none`.
        assert!(text.contains("vault_token_count 2\n"), "{text}");
        assert!(text.contains("vault_expire_num_leases 0\n"), "{text}");
        // The request itself is not over.
        assert!(text.contains("vault_core_in_flight_requests 1\n"), "{text}");
        assert!(
            text.contains("strongroom_requests{mount_type=\"system\",status=\"4xx\"} "),
            "{text}"
        );
        assert!(text.contains("strongroom_request_microseconds{quantile=\"0.99\"} "), "{text}");
        let count = |text: &str| {
            let line = text.lines().find(|l| l.starts_with("vault_core_handle_request_count "));
            line.and_then(|l| l.rsplit(' ').next()?.parse::<u64>().ok()).expect("a count")
        };
        let again = node.root("READ", "sys/metrics?format=prometheus", Value::Null).await;
        assert_eq!(count(again.body.as_str().expect("a text")), count(text) + 1);
        assert!(text.contains("vault_identity_entity_count{namespace=\"team/\"} 0\n"));
        let got = node.root("READ", "sys/metrics", Value::Null).await;
        assert_eq!(got.body["Gauges"][0]["Name"], "vault_core_unsealed");
        let got = node.root("READ", "sys/ha-status", Value::Null).await;
        assert_eq!(got.data()["nodes"][0]["active_node"], true);

        let count = async || {
            let got = node.root("READ", "sys/internal/counters/tokens", Value::Null).await;
            got.data()["counters"]["service_tokens"]["total"].as_u64().expect("a number")
        };
        let before = count().await;
        testing::token_of(&node, "none").await;
        assert_eq!(count().await, before + 1);
        node.clock.advance(3_601);
        assert_eq!(count().await, 1, "the root token");
    }
}
