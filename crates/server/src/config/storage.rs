//! The `storage` stanza (or `backend`, its old name).

use std::path::PathBuf;

use super::stanza::Stanza;

/// Where records lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory; gone at the end.
    Memory,
    /// In SQLite files in a folder: `file`, and `raft` with a single node.
    Folder {
        /// `file` or `raft`, as clients are told.
        kind: &'static str,
        /// The folder.
        path: PathBuf,
        /// The node's name.
        node_id: Option<String>,
    },
}

/// Settings of Raft's own log and timing, of which a single node on SQLite has none.
const RAFT_TUNING: &[&str] = &[
    "performance_multiplier",
    "trailing_logs",
    "snapshot_threshold",
    "snapshot_interval",
    "max_entry_size",
    "max_transaction_size",
    "max_mount_and_namespace_table_entry_size",
    "retry_join_as_non_voter",
    "autopilot_reconcile_interval",
    "autopilot_update_interval",
    "autopilot_upgrade_version",
    "autopilot_redundancy_zone",
    "raft_wal",
    "raft_log_verifier_enabled",
    "raft_log_verification_interval",
];

impl Storage {
    /// The name of its type, as clients are told.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Memory => "inmem",
            Self::Folder { kind, .. } => kind,
        }
    }

    /// `…_RAFT_PATH` and `…_RAFT_NODE_ID` win over the file.
    pub(super) fn read_environment(&mut self, environment: &dyn Fn(&str) -> Option<String>) {
        if let Self::Folder { kind: "raft", path, node_id } = self {
            if let Some(value) = environment("RAFT_PATH") {
                *path = value.into();
            }
            if let Some(value) = environment("RAFT_NODE_ID") {
                *node_id = Some(value);
            }
        }
    }
}

pub(super) fn read(top: &Stanza<'_>) -> Option<Storage> {
    for key in ["ha_storage", "ha_backend"] {
        if top.has(key) {
            top.error_of(key, "is not built in: storage and coordination are one here");
        }
    }
    let mut stanzas = top.blocks("storage", 1);
    let old_name = top.blocks("backend", 1);
    if !stanzas.is_empty() && !old_name.is_empty() {
        top.error_of("backend", "is the old name of `storage`; only one of them may be there");
    }
    stanzas.extend(old_name);
    if let Some((_, second)) = stanzas.get(1) {
        second.error("only one storage is permitted");
    }
    let (labels, stanza) = stanzas.into_iter().next()?;
    let kind = labels.first().cloned().or_else(|| stanza.text("type")).unwrap_or_default();
    stanza.accept(&["redirect_addr", "advertise_addr", "cluster_addr", "disable_clustering"]);
    let storage = match kind.to_ascii_lowercase().as_str() {
        "inmem" | "inmem_transactional" => Some(Storage::Memory),
        "file" => {
            stanza.without_effect(&["max_parallel"], "the file storage has its own writer");
            folder("file", &stanza)
        }
        "raft" => {
            stanza.without_effect(RAFT_TUNING, "it tunes Raft, and this node is alone");
            if stanza.has("retry_join") {
                stanza.error_of(
                    "retry_join",
                    "is not built in yet: Raft runs as a single node, which can't join others",
                );
            }
            folder("raft", &stanza)
        }
        "" => {
            stanza.error("the storage needs a type: `storage \"file\" { … }`");
            return None;
        }
        _ => {
            stanza
                .error("this storage is not built in yet; there are file, raft (one node), inmem");
            return None;
        }
    };
    stanza.finish();
    storage
}

fn folder(kind: &'static str, stanza: &Stanza<'_>) -> Option<Storage> {
    let node_id = if kind == "raft" { stanza.text("node_id") } else { None };
    let Some(path) = stanza.text("path") else {
        stanza.error("`path` is missing");
        return None;
    };
    Some(Storage::Folder { kind, path: path.into(), node_id })
}
