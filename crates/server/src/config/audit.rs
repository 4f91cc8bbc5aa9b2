//! `audit "TYPE" "PATH" { … }`: audit devices that the configuration keeps (OpenBao's declarative
//! devices). They come and go with their stanzas and cannot be changed by the API.

use std::collections::BTreeMap;

use super::stanza::{Findings, Stanza};

/// One audit device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditDevice {
    /// `file`, `http`, `syslog` or `socket`.
    pub kind: String,
    /// Its path below `sys/audit/`, without a slash at the end.
    pub path: String,
    /// For lists.
    pub description: String,
    /// What the device itself is told.
    pub options: BTreeMap<String, String>,
}

pub(super) fn read_all(top: &Stanza<'_>) -> Vec<AuditDevice> {
    let mut found = Vec::new();
    for (labels, stanza) in top.blocks("audit", 2) {
        let mut labels = labels.into_iter();
        let kind = labels.next().or_else(|| stanza.text("type")).unwrap_or_default();
        let path = labels.next().or_else(|| stanza.text("path")).unwrap_or_default();
        stanza.accept(&["type", "path", "local"]);
        let description = stanza.text("description").unwrap_or_default();
        let options = stanza.texts("options").into_iter().collect();
        let path = path.trim_matches('/').to_owned();
        if path.is_empty() {
            stanza.error("the audit device needs a path: `audit \"file\" \"NAME\" { … }`");
        }
        match kind.as_str() {
            "file" | "http" | "syslog" | "socket" => {
                found.push(AuditDevice { kind, path, description, options });
            }
            _ => stanza.error("the audit device's type must be file, http, syslog or socket"),
        }
        stanza.finish();
    }
    found
}

pub(super) fn check(audits: &[AuditDevice], findings: &Findings) {
    for (i, audit) in audits.iter().enumerate() {
        if audits.iter().take(i).any(|other| other.path == audit.path) {
            findings.error(format!("two `audit` stanzas have the path {:?}", audit.path));
        }
    }
}
