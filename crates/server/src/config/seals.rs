//! `seal` stanzas: shares (Shamir), or a static key from a file or the environment.

use std::path::PathBuf;

use base64::Engine;
use strongroom_base::{Secret, SecretBytes, SecretString};

use super::{
    Environment,
    stanza::{Findings, Stanza},
};

/// One way to wrap the store's root key.
#[derive(Debug)]
pub struct Seal {
    /// Which.
    pub kind: SealKind,
    /// On the way out: used to open the store, not for new wraps.
    pub disabled: bool,
}

/// The kinds of seals.
#[derive(Debug)]
pub enum SealKind {
    /// Key shares.
    Shamir,
    /// A key that lies beside the server.
    Static {
        /// Used for new wraps.
        current: StaticKey,
        /// Still opens what it wrapped.
        previous: Option<StaticKey>,
    },
}

impl SealKind {
    /// The name that clients see.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Shamir => "shamir",
            Self::Static { .. } => "static",
        }
    }
}

/// A static key: its name, and where it is.
#[derive(Debug)]
pub struct StaticKey {
    /// Stored beside what the key wraps.
    pub id: String,
    /// Where it is.
    pub source: StaticKeySource,
}

/// Where a static key is.
#[derive(Debug)]
pub enum StaticKeySource {
    /// In a file (`file://…`).
    File(PathBuf),
    /// In a variable of the environment (`env://…`).
    Environment(String),
    /// In the configuration itself, as Base64 or hex.
    Inline(SecretString),
}

/// Bytes of a static key.
const KEY_BYTES: usize = 32;

impl StaticKey {
    /// Reads the key: 32 bytes as they are (files only), as Base64 or as hex.
    pub fn load(&self, environment: Environment<'_>) -> Result<SecretBytes, String> {
        let id = &self.id;
        let raw: SecretBytes = match &self.source {
            StaticKeySource::File(path) => {
                let bytes = std::fs::read(path)
                    .map_err(|e| format!("static key {id:?}: {}: {e}", path.display()))?;
                Secret::new(bytes)
            }
            StaticKeySource::Environment(name) => {
                let value = environment(name)
                    .ok_or_else(|| format!("static key {id:?}: {name} is not set"))?;
                Secret::new(value.into_bytes())
            }
            StaticKeySource::Inline(text) => Secret::new(text.expose_secret().clone().into_bytes()),
        };
        decode(raw.expose_secret())
            .ok_or_else(|| format!("static key {id:?} must be 32 bytes, raw, Base64 or hex"))
    }
}

fn decode(raw: &[u8]) -> Option<SecretBytes> {
    if raw.len() == KEY_BYTES {
        return Some(Secret::new(raw.to_vec()));
    }
    let text = std::str::from_utf8(raw).ok()?.trim();
    let bytes = if text.len() == KEY_BYTES {
        text.as_bytes().to_vec()
    } else if text.len() == 2 * KEY_BYTES {
        (0..KEY_BYTES)
            .map(|i| u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok())
            .collect::<Option<Vec<u8>>>()?
    } else {
        use base64::engine::general_purpose::{STANDARD, URL_SAFE};
        STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()?
    };
    let key = Secret::new(bytes);
    (key.expose_secret().len() == KEY_BYTES).then_some(key)
}

pub(super) fn read_all(top: &Stanza<'_>) -> Vec<Seal> {
    if top.has("hsm") {
        top.error_of("hsm", "is not built in yet");
    }
    let stanzas = ["seal", "kms"].into_iter().flat_map(|key| top.blocks(key, 1));
    let mut found = Vec::new();
    for (labels, stanza) in stanzas {
        let kind = labels.into_iter().next().or_else(|| stanza.text("type")).unwrap_or_default();
        stanza.accept(&["type", "purpose", "priority", "name"]);
        let disabled = stanza.flag("disabled").unwrap_or(false);
        let kind = match kind.to_ascii_lowercase().as_str() {
            "shamir" => Some(SealKind::Shamir),
            "static" => read_static(&stanza),
            _ => {
                stanza.error("this seal is not built in yet; there are shamir and static");
                continue;
            }
        };
        stanza.finish();
        found.extend(kind.map(|kind| Seal { kind, disabled }));
    }
    found
}

fn read_static(stanza: &Stanza<'_>) -> Option<SealKind> {
    let current = read_key(stanza, "current_key_id", "current_key");
    let previous = read_key(stanza, "previous_key_id", "previous_key");
    if current.is_none() {
        stanza.error("`current_key_id` and `current_key` are both needed");
    }
    if previous.is_none() && (stanza.has("previous_key_id") || stanza.has("previous_key")) {
        stanza.error("`previous_key_id` and `previous_key` go together");
    }
    let current = current?;
    if previous.as_ref().is_some_and(|previous| previous.id == current.id) {
        stanza.error("`current_key_id` and `previous_key_id` must differ");
    }
    Some(SealKind::Static { current, previous })
}

fn read_key(stanza: &Stanza<'_>, id: &'static str, key: &'static str) -> Option<StaticKey> {
    // Both are asked for, or the one beside a missing one would be told as unknown, too.
    let (id, text) = (stanza.text(id), stanza.text(key));
    let (id, text) = (id?, text?);
    let source = if let Some(path) = text.strip_prefix("file://") {
        StaticKeySource::File(path.into())
    } else if let Some(name) = text.strip_prefix("env://") {
        StaticKeySource::Environment(name.to_owned())
    } else {
        StaticKeySource::Inline(Secret::new(text))
    };
    Some(StaticKey { id, source })
}

pub(super) fn check(seals: &[Seal], findings: &Findings) {
    let kinds: Vec<&str> = seals.iter().map(|seal| seal.kind.name()).collect();
    for kind in ["shamir", "static"] {
        if kinds.iter().filter(|name| **name == kind).count() > 1 {
            findings.error(format!("only one `seal \"{kind}\"` is permitted"));
        }
    }
    if !seals.is_empty() && seals.iter().all(|seal| seal.disabled) {
        findings.error("every `seal` is disabled, so nothing could open the store");
    }
}
