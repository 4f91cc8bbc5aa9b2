//! KV: versioned secrets (version 2) and plain ones (version 1), on the union model of a secret
//! that the cloud doors share.
//!
//! * [`secret`] holds the rules of the model, [`tree`] the names, [`store`] the typed operations;
//! * [`aws`] holds AWS Secrets Manager's operations;
//! * the other files are Vault's endpoints, one file for each noun.
//!
//! Invariants:
//! * values are appended and never rewritten; a change of settings or state writes the small head
//!   alone;
//! * what a caller may not read is not shown by moving, copying or searching it;
//! * version 1 is version 2 with one version, so an upgrade changes no record.
//!
//! It knows no door, token or lease; of policy it asks only what a move, copy or search needs.

/// A byte on disk for each of some values.
macro_rules! stored_enum {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[$vattr:meta])+ $variant:ident = $n:literal),+ $(,)? }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
        #[serde(into = "u8", try_from = "u8")]
        pub enum $name {
            $($(#[$vattr])+ $variant = $n),+
        }
        impl From<$name> for u8 {
            fn from(value: $name) -> u8 {
                value as u8
            }
        }
        impl TryFrom<u8> for $name {
            type Error = &'static str;
            fn try_from(value: u8) -> Result<Self, &'static str> {
                match value {
                    $($n => Ok(Self::$variant),)+
                    _ => Err("an unknown byte"),
                }
            }
        }
    };
}

pub mod aws;
mod config;
mod data;
mod hints;
mod labels;
pub mod limits;
mod list;
mod metadata;
mod relocate;
mod search;
pub mod secret;
pub mod store;
mod subkeys;
#[cfg(test)]
mod tests;
pub mod tree;
mod v1;
mod value;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;

use strongroom_base::{Error, Json, JsonMap, Result, Timestamp};
use strongroom_connectors::database::Databases;
use strongroom_connectors::web::Web;
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Class, EngineSpec, ReadCx, Reconcile, Spec, WriteCx};

use aws::accessed::Accessed;
use aws::rotation::{databases, functions};
use secret::Version;

/// Seconds between two looks at what is due.
const RECONCILE_SECONDS: i64 = 5;

/// The engine of a mount. What it knows is in the mount's records.
pub struct Kv {
    outside: Option<Outside>,
    /// Reads that are not stored yet.
    accessed: Arc<Accessed>,
}

/// What rotations reach for.
#[derive(Clone)]
pub struct Outside {
    /// The way to rotation functions.
    pub web: Arc<dyn Web>,
    /// The databases of those that are built in.
    pub databases: Arc<dyn Databases>,
}

/// The surface of `kv` that rotates nothing, for want of a way.
pub fn spec() -> Spec {
    spec_of(None)
}

/// The surface of `kv`, which rotates secrets outside.
pub fn spec_with(outside: Outside) -> Spec {
    spec_of(Some(outside))
}

/// The surface of `kv`: version 1, or with the option `version=2` version 2.
fn spec_of(outside: Option<Outside>) -> Spec {
    let own = outside.clone();
    EngineSpec::new("kv", Class::Secret, move |mount| open(mount, &own))
        .query::<v1::ReadTop>("")
        .query::<v1::Read>("{path..}")
        .command::<v1::Write>("{path..}")
        .exists::<v1::Write>("{path..}")
        .command::<v1::Delete>("{path..}")
        .query::<list::List>("{path..}")
        .query::<list::Scan>("{path..}")
        .docs("Keeps plain secrets: a write replaces what was there.")
        .variant("version", "2", versioned(outside))
        .build()
}

fn versioned(outside: Option<Outside>) -> Spec {
    let spec = EngineSpec::new("kv", Class::Secret, move |mount| open(mount, &outside))
        .query::<config::ReadConfig>("config")
        .command::<config::WriteConfig>("config")
        .query::<functions::ReadFunctions>("config/rotation-functions")
        .command::<functions::WriteFunctions>("config/rotation-functions")
        .command::<functions::DeleteFunctions>("config/rotation-functions")
        .query::<databases::ReadDatabases>("config/rotation-databases")
        .command::<databases::WriteDatabases>("config/rotation-databases")
        .command::<databases::DeleteDatabases>("config/rotation-databases")
        .query::<data::ReadData>("data/{path..}")
        .command::<data::WriteData>("data/{path..}")
        .exists::<data::WriteData>("data/{path..}")
        .command::<data::PatchData>("data/{path..}")
        .command::<data::DeleteData>("data/{path..}")
        .query::<metadata::ReadMetadata>("metadata/{path..}")
        .command::<metadata::WriteMetadata>("metadata/{path..}")
        .exists::<metadata::WriteMetadata>("metadata/{path..}")
        .command::<metadata::PatchMetadata>("metadata/{path..}")
        .command::<metadata::DeleteMetadata>("metadata/{path..}")
        .query::<list::List>("metadata/{path..}")
        .query::<list::Scan>("metadata/{path..}")
        .query::<list::DetailedList>("detailed-metadata/{path..}")
        .query::<list::DetailedScan>("detailed-metadata/{path..}")
        .command::<versions::Delete>("delete/{path..}")
        .command::<versions::Undelete>("undelete/{path..}")
        .command::<versions::Destroy>("destroy/{path..}")
        .query::<subkeys::ReadSubkeys>("subkeys/{path..}")
        .command::<relocate::Move>("move/{path..}")
        .needs("move/{path..}", relocate::needs_of_move)
        .command::<relocate::Copy>("copy/{path..}")
        .needs("copy/{path..}", relocate::needs_of_copy)
        .query::<search::Search>("search")
        .needs("search", list::needs)
        .query::<search::Search>("search/{path..}")
        .needs("search/{path..}", list::needs)
        .query::<hints::Read>("{path..}")
        .command::<hints::Write>("{path..}")
        .command::<hints::Patch>("{path..}")
        .command::<hints::Delete>("{path..}")
        .query::<hints::List>("{path..}")
        .query::<hints::Scan>("{path..}")
        .reconciles(RECONCILE_SECONDS)
        .rotates()
        .docs("Keeps secrets with their versions, settings and labels.");
    aws::parameters::operations(aws::operations(spec)).build()
}

fn open(mount: &Mount, outside: &Option<Outside>) -> Result<Kv> {
    match mount.options.get("version").map(String::as_str) {
        None | Some("" | "1" | "2") => {
            Ok(Kv { outside: outside.clone(), accessed: Arc::default() })
        }
        Some(_) => Err(Error::bad_request("the option version of kv must be 1 or 2")),
    }
}

impl Reconcile for Kv {
    async fn reconcile(&self, cx: &mut WriteCx<'_>) -> Result<bool> {
        let noted = self.accessed.store(cx).await?;
        let edit = cx.edit();
        let left = store::purge_due(&edit, cx.now(), limits::PURGES_MAX).await?;
        Ok(left || noted)
    }
}

/// Who is named as a version's writer.
fn writer(cx: &ReadCx<'_>) -> String {
    match cx.request.entity_id() {
        "" => cx.request.display_name().to_owned(),
        id => id.to_owned(),
    }
}

/// A fresh id of a secret or a version.
fn new_id(cx: &ReadCx<'_>) -> u128 {
    u128::from_be_bytes(cx.rng().array())
}

/// A time as KV shows it: "" where there is none.
fn shown_time(time: Timestamp) -> Json {
    Json::String(if time.is_zero() { String::new() } else { time.to_string() })
}

/// `custom_metadata` as KV shows it: null where there is none.
fn shown_labels(labels: &BTreeMap<String, String>) -> Json {
    if labels.is_empty() {
        return Json::Null;
    }
    Json::Object(labels.iter().map(|(k, v)| (k.clone(), Json::String(v.clone()))).collect())
}

/// The `metadata` of one version in the answers about it.
fn version_view(version: &Version, labels: &BTreeMap<String, String>) -> JsonMap {
    let mut view = JsonMap::with_capacity(5);
    view.insert("created_time".to_owned(), shown_time(version.created));
    view.insert("custom_metadata".to_owned(), shown_labels(labels));
    view.insert("deletion_time".to_owned(), shown_time(version.deletion));
    view.insert("destroyed".to_owned(), Json::Bool(version.is_destroyed()));
    view.insert("version".to_owned(), Json::from(version.number));
    view
}

/// What every endpoint below a path says of one that is not there, or that names a folder.
fn no_folder(path: &str) -> Result<()> {
    if path.ends_with('/') { Err(Error::not_found()) } else { Ok(()) }
}
