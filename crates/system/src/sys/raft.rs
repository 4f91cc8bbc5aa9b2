//! The integrated storage's nodes (API page "/sys/storage/raft"). It is a single node here, so
//! what asks for others is refused in words.

use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_base::duration::format_go_seconds;
use strongroom_base::{Error, Json, Result, Ttl, fields};
use strongroom_kernel::node::{RaftNode, VAULT_VERSION};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::record::{Record, Scope};

use super::System;

/// Adds the operations of this file.
pub fn add_raft(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<ReadPeers>("storage/raft/configuration")
        .query::<ReadAutopilotState>("storage/raft/autopilot/state")
        .query::<ReadAutopilot>("storage/raft/autopilot/configuration")
        .command::<PutAutopilot>("storage/raft/autopilot/configuration")
        .command::<RemovePeer>("storage/raft/remove-peer")
        .command::<PromotePeer>("storage/raft/promote")
        .command::<DemotePeer>("storage/raft/demote")
        .command::<Join>("storage/raft/join")
        .command::<Challenge>("storage/raft/bootstrap/challenge")
        .command::<Challenge>("storage/raft/bootstrap/answer")
}

/// This node, where the integrated storage is configured.
fn node<'a>(cx: &ReadCx<'a>) -> Result<&'a RaftNode> {
    let raft = cx.kernel().config.raft.as_ref();
    raft.ok_or_else(|| Error::bad_request("raft storage is not in use"))
}

fields! {
    /// Lists the nodes of the integrated storage.
    pub struct ReadPeers {}
}

ops! { ReadPeers Json, Read; }

impl Query<ReadPeers> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadPeers) -> Result<Reply<Json>> {
        let RaftNode { id, address } = node(cx)?;
        let own = json!({
            "node_id": id, "address": address, "leader": true, "protocol_version": "3",
            "voter": true,
        });
        Ok(Reply::data(json!({ "config": { "servers": [own], "index": 0 } })))
    }
}

fields! {
    /// Tells how the nodes of the integrated storage are.
    pub struct ReadAutopilotState {}
}

ops! { ReadAutopilotState Json, Read; }

impl Query<ReadAutopilotState> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadAutopilotState) -> Result<Reply<Json>> {
        let RaftNode { id, address } = node(cx)?;
        let store = &cx.kernel().store;
        let healthy = store.storage.health().is_ok();
        let own = json!({
            "id": id, "name": id, "address": address, "node_status": "alive",
            "last_contact": "0s", "last_term": 1, "last_index": store.storage.revision(),
            "healthy": healthy, "stable_since": cx.now().to_string(), "status": "leader",
            "version": VAULT_VERSION, "node_type": "voter",
        });
        Ok(Reply::data(json!({
            "healthy": healthy, "failure_tolerance": 0, "leader": id, "voters": [id],
            "servers": { id: own },
        })))
    }
}

/// Autopilot's settings: kept for the clients that write and compare them.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Autopilot {
    cleanup_dead_servers: bool,
    last_contact: i64,
    dead_server: i64,
    max_trailing_logs: i64,
    min_quorum: i64,
    stabilization: i64,
}

impl Record for Autopilot {
    const KIND: u8 = 200;
}

impl Default for Autopilot {
    fn default() -> Self {
        Self {
            cleanup_dead_servers: false,
            last_contact: 10,
            dead_server: 24 * 3_600,
            max_trailing_logs: 1_000,
            min_quorum: 0,
            stabilization: 10,
        }
    }
}

async fn autopilot(cx: &ReadCx<'_>) -> Result<Autopilot> {
    node(cx)?;
    let kept = cx.kernel_tx().read(Scope::ROOT).named::<Autopilot>(0, "").await?;
    Ok(kept.unwrap_or_default())
}

fields! {
    /// Tells autopilot's settings.
    pub struct ReadAutopilot {}
}

ops! { ReadAutopilot Json, Read; }

impl Query<ReadAutopilot> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadAutopilot) -> Result<Reply<Json>> {
        let set = autopilot(cx).await?;
        Ok(Reply::data(json!({
            "cleanup_dead_servers": set.cleanup_dead_servers,
            "last_contact_threshold": format_go_seconds(set.last_contact),
            "dead_server_last_contact_threshold": format_go_seconds(set.dead_server),
            "max_trailing_logs": set.max_trailing_logs,
            "min_quorum": set.min_quorum,
            "server_stabilization_time": format_go_seconds(set.stabilization),
            "disable_upgrade_migration": false,
        })))
    }
}

fields! {
    /// Sets autopilot's settings; they have no effect on a single node.
    pub struct PutAutopilot {
        /// Remove dead nodes?
        cleanup_dead_servers: Option<bool>,
        /// Without contact for longer, a node is unhealthy.
        last_contact_threshold: Option<Ttl>,
        /// Without contact for longer, a node is dead.
        dead_server_last_contact_threshold: Option<Ttl>,
        /// Log entries that a healthy node may be behind.
        max_trailing_logs: Option<i64>,
        /// Nodes that stay.
        min_quorum: Option<i64>,
        /// Healthy for that long, a node gets its vote.
        server_stabilization_time: Option<Ttl>,
        /// Accepted and without effect.
        disable_upgrade_migration: Option<bool>,
    }
}

ops! { PutAutopilot (), Write; }

impl Command<PutAutopilot> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutAutopilot) -> Result<Reply<()>> {
        let mut set = autopilot(cx).await?;
        let numbers = [
            (&mut set.last_contact, op.last_contact_threshold.map(|Ttl(s)| s)),
            (&mut set.dead_server, op.dead_server_last_contact_threshold.map(|Ttl(s)| s)),
            (&mut set.stabilization, op.server_stabilization_time.map(|Ttl(s)| s)),
            (&mut set.max_trailing_logs, op.max_trailing_logs),
            (&mut set.min_quorum, op.min_quorum),
        ];
        for (at, new) in numbers {
            match new {
                Some(new) if new < 0 => {
                    return Err(Error::bad_request("a setting must not be negative"));
                }
                Some(new) => *at = new,
                None => {}
            }
        }
        set.cleanup_dead_servers = op.cleanup_dead_servers.unwrap_or(set.cleanup_dead_servers);
        if set.cleanup_dead_servers && set.min_quorum < 3 {
            return Err(Error::bad_request(
                "min_quorum must be set when cleanup_dead_servers is set and it should at least \
                 be 3; cleanup_dead_servers: true, min_quorum: below 3",
            ));
        }
        if set.dead_server < 60 {
            return Err(Error::bad_request(
                "dead_server_last_contact_threshold should not be set to less than 1m",
            ));
        }
        cx.kernel_tx().write(Scope::ROOT).put_named(0, "", &set)?;
        Ok(Reply::none())
    }
}

/// Defines an operation on a node.
macro_rules! on_peer {
    ($name:ident, $help:literal, $own:literal) => {
        fields! {
            #[doc = $help]
            pub struct $name {
                /// The node.
                server_id: Option<String>,
            }
        }
        ops! { $name (), Write; }
        impl Command<$name> for System {
            async fn command(&self, cx: &mut WriteCx<'_>, op: $name) -> Result<Reply<()>> {
                let id = op.server_id.unwrap_or_default();
                if id.is_empty() {
                    return Err(Error::bad_request("no server id provided"));
                }
                match id == node(cx)?.id {
                    true => Err(Error::bad_request($own)),
                    false => {
                        Err(Error::bad_request("no node of the integrated storage has this id"))
                    }
                }
            }
        }
    };
}

on_peer!(
    RemovePeer,
    " Removes a node from the integrated storage.",
    "this is the only node: without it there is no storage"
);
on_peer!(PromotePeer, " Gives a node a vote.", "server is not a non-voter");
on_peer!(DemotePeer, " Takes a node's vote.", "this is the only node: its vote can't be taken");

/// The refusal of what needs more than one node.
fn alone() -> Error {
    Error::bad_request("this server runs alone: its storage joins no others and lets none join")
}

fields! {
    /// Has this node join others.
    pub struct Join {
        /// The address of their leader.
        leader_api_addr: Option<String>,
        /// Try again until it works?
        retry: Option<bool>,
        /// Hold data without a vote?
        non_voter: Option<bool>,
    }
}
fields! {
    /// Lets a node join.
    pub struct Challenge {
        /// Its name.
        server_id: Option<String>,
    }
}

ops! {
    Join (), Write, Open;
    Challenge (), Write, Open;
}

// Strangers may ask; nothing is made for them (threats: CVE-2024-8185, CVE-2024-6468).
impl Command<Join> for System {
    async fn command(&self, _: &mut WriteCx<'_>, _: Join) -> Result<Reply<()>> {
        Err(alone())
    }
}
impl Command<Challenge> for System {
    async fn command(&self, _: &mut WriteCx<'_>, _: Challenge) -> Result<Reply<()>> {
        Err(alone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use strongroom_kernel::node::{KernelConfig, RaftNode};
    use strongroom_testkit::TestNode;

    use crate::testing;

    const AT: &str = "sys/storage/raft";

    async fn node() -> TestNode {
        let own = RaftNode { id: "n1".to_owned(), address: "127.0.0.1:8201".to_owned() };
        let config = KernelConfig { raft: Some(own), ..KernelConfig::default() };
        TestNode::start_with(crate::specs(), config).await
    }

    #[tokio::test]
    async fn one_node_that_leads() {
        let node = node().await;
        let got = node.root("READ", &format!("{AT}/configuration"), Value::Null).await;
        assert_eq!(
            got.data(),
            &json!({ "config": { "index": 0, "servers": [{
                "node_id": "n1", "address": "127.0.0.1:8201", "leader": true, "voter": true,
                "protocol_version": "3",
            }] } })
        );
        let got = node.root("READ", &format!("{AT}/autopilot/state"), Value::Null).await;
        assert_eq!(got.data()["servers"]["n1"]["status"], "leader");
        assert_eq!(got.data()["voters"], json!(["n1"]));
        for what in ["remove-peer", "promote", "demote"] {
            for body in [json!({}), json!({ "server_id": "n1" }), json!({ "server_id": "n2" })] {
                let got = node.root("WRITE", &format!("{AT}/{what}"), body).await;
                assert_eq!(got.status, 400, "{what}");
            }
        }
    }

    #[tokio::test]
    async fn autopilot_settings_are_kept() {
        let node = node().await;
        let at = format!("{AT}/autopilot/configuration");
        let got = node.root("READ", &at, Value::Null).await;
        assert_eq!(got.data()["dead_server_last_contact_threshold"], "24h0m0s");
        for bad in [
            json!({ "cleanup_dead_servers": true }),
            json!({ "max_trailing_logs": -1 }),
            json!({ "dead_server_last_contact_threshold": "5s" }),
        ] {
            assert_eq!(node.root("WRITE", &at, bad).await.status, 400);
        }
        let set = json!({ "cleanup_dead_servers": true, "min_quorum": 3,
                          "last_contact_threshold": "5s" });
        assert_eq!(node.root("WRITE", &at, set).await.status, 204);
        let got = node.root("READ", &at, Value::Null).await;
        assert_eq!(got.data()["min_quorum"], 3);
        assert_eq!(got.data()["last_contact_threshold"], "5s");
        assert_eq!(got.data()["max_trailing_logs"], 1_000);
    }

    #[tokio::test]
    async fn other_storage_has_no_nodes() {
        let node = testing::node().await;
        for path in ["configuration", "autopilot/state", "autopilot/configuration"] {
            let got = node.root("READ", &format!("{AT}/{path}"), Value::Null).await;
            assert_eq!((got.status, got.errors().as_str()), (400, "raft storage is not in use"));
        }
    }

    /// Threats CVE-2024-8185, CVE-2024-6468: a handshake by strangers leaves nothing behind.
    #[tokio::test]
    async fn strangers_that_join_cost_nothing() {
        let node = node().await;
        let before = testing::records(&node).await;
        for path in ["join", "bootstrap/challenge", "bootstrap/answer"] {
            for n in 0..10 {
                let body = json!({ "server_id": format!("x{n}") });
                let got = node.call("WRITE", &format!("{AT}/{path}"), "", body).await;
                assert_eq!(got.status, 400, "{path}");
            }
        }
        assert_eq!(testing::records(&node).await, before);
    }
}
