//! Namespaces (API page "/sys/namespaces"): tenants with mounts, policies, identities and quotas of
//! their own. A request is about the children of the namespace that it addresses.
//!
//! Invariants:
//! * a namespace's name hides no mount and no mount hides it; the check and the write are one
//!   transaction;
//! * no namespace is made in one that is being deleted, and none is deleted that has children;
//! * deletion is a tombstone that every look-up sees at once; what the namespace held is removed
//!   afterwards, and its name is free again when nothing is left.

use std::collections::BTreeMap;

use serde::Serialize;
use strongroom_base::fields::Patch;
use strongroom_base::limits::NAMESPACE_DEPTH_MAX;
use strongroom_base::{Error, ErrorKind, Json, JsonMap, Result, Rng, fields};
use strongroom_kernel::mounts::{Mount, TOP, allocate_scope, create_builtin};
use strongroom_kernel::namespaces::{Namespace, check_name};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::policies::PolicyRecord;
use strongroom_kernel::policy::{DEFAULT, DEFAULT_TEXT};
use strongroom_kernel::record::Scope;

use super::System;

/// Adds the operations of this file.
pub fn add_namespaces(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<ListNamespaces>("namespaces")
        .query::<ScanNamespaces>("namespaces")
        .query::<ReadNamespace>("namespaces/{path..}")
        .command::<PutNamespace>("namespaces/{path..}")
        .command::<PatchNamespace>("namespaces/{path..}")
        .command::<DeleteNamespace>("namespaces/{path..}")
}

/// Characters of a namespace's short id.
const ID_CHARACTERS: usize = 6;
/// Notes of one namespace.
const METADATA_ENTRIES_MAX: usize = 64;
/// Bytes of a note's name.
const METADATA_NAME_BYTES_MAX: usize = 128;
/// Bytes of a note's value.
const METADATA_VALUE_BYTES_MAX: usize = 512;

/// A namespace as clients see it.
#[derive(Serialize)]
pub struct NamespaceView {
    uuid: String,
    path: String,
    id: String,
    tainted: bool,
    locked: bool,
    custom_metadata: BTreeMap<String, String>,
}

impl From<&Namespace> for NamespaceView {
    fn from(namespace: &Namespace) -> Self {
        Self {
            uuid: namespace.uuid.clone(),
            path: namespace.path.clone(),
            id: namespace.id.clone(),
            tainted: namespace.deleted.is_some(),
            locked: namespace.lock.is_some(),
            custom_metadata: namespace.custom_metadata.clone(),
        }
    }
}

/// Namespaces by their paths below the one that was asked.
#[derive(Serialize)]
pub struct Listing {
    keys: Vec<String>,
    key_info: BTreeMap<String, NamespaceView>,
}

fields! {
    /// Lists the namespaces one level below.
    pub struct ListNamespaces {}
}
fields! {
    /// Lists the namespaces of all levels below.
    pub struct ScanNamespaces {}
}

ops! {
    ListNamespaces Listing, List;
    ScanNamespaces Listing, Scan;
}

/// The namespaces below this one for which `shown` holds, by relative path.
async fn listing(cx: &ReadCx<'_>, shown: impl Fn(&str) -> bool) -> Result<Reply<Listing>> {
    let table = cx.kernel().router.table().await?;
    let own = &cx.request.namespace.path;
    let mut keys = Vec::new();
    let mut key_info = BTreeMap::new();
    for namespace in table.namespaces.iter() {
        let Some(path) = namespace.path.strip_prefix(own.as_str()) else { continue };
        if !path.is_empty() && shown(path) {
            keys.push(path.to_owned());
            key_info.insert(path.to_owned(), NamespaceView::from(&**namespace));
        }
    }
    if keys.is_empty() {
        return Err(Error::not_found());
    }
    Ok(Reply::data(Listing { keys, key_info }))
}

impl Query<ListNamespaces> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ListNamespaces) -> Result<Reply<Listing>> {
        listing(cx, |path| path.matches('/').count() == 1).await
    }
}

impl Query<ScanNamespaces> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ScanNamespaces) -> Result<Reply<Listing>> {
        listing(cx, |_| true).await
    }
}

fields! {
    /// Reads a namespace.
    pub struct ReadNamespace {
        /// Its name.
        path: String,
    }
}

ops! { ReadNamespace NamespaceView, Read; }

/// A namespace's name, as it stands in a request's path. Reserved names are refused in every
/// spelling (threat GHSA-mwr2-wmgp-crj6).
fn name(path: &str) -> Result<&str> {
    let name = path.trim_matches('/');
    if name.is_empty() {
        return Err(Error::bad_request("namespace name cannot be empty"));
    }
    if name.contains('/') {
        return Err(Error::bad_request("namespace name cannot contain /"));
    }
    check_name(name)?;
    Ok(name)
}

impl Query<ReadNamespace> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadNamespace) -> Result<Reply<NamespaceView>> {
        let view = cx.kernel_tx().read(cx.request.namespace.scope);
        let found = view.named::<Namespace>(TOP, name(&op.path)?).await?;
        let namespace = found.ok_or_else(Error::not_found)?;
        Ok(Reply::data(NamespaceView::from(&namespace)))
    }
}

fields! {
    /// Creates a namespace, or replaces the notes of one.
    pub struct PutNamespace {
        /// Its name.
        path: String,
        /// Notes: names and texts.
        custom_metadata: Option<JsonMap>,
        /// A seal of its own.
        seal: Option<Json>,
    }
}

ops! { PutNamespace NamespaceView, Write; }

/// Checks notes as they would be stored.
fn check_metadata(notes: &BTreeMap<String, String>) -> Result<()> {
    if notes.len() > METADATA_ENTRIES_MAX {
        return Err(Error::bad_request(format!(
            "custom_metadata can have {METADATA_ENTRIES_MAX} entries at most"
        )));
    }
    for (name, value) in notes {
        if name.is_empty() || name.len() > METADATA_NAME_BYTES_MAX {
            return Err(Error::bad_request(format!(
                "the names of custom_metadata have 1 to {METADATA_NAME_BYTES_MAX} bytes"
            )));
        }
        if value.len() > METADATA_VALUE_BYTES_MAX {
            return Err(Error::bad_request(format!(
                "the values of custom_metadata have {METADATA_VALUE_BYTES_MAX} bytes at most"
            )));
        }
    }
    Ok(())
}

fn notes(given: JsonMap) -> Result<BTreeMap<String, String>> {
    let mut notes = BTreeMap::new();
    for (name, value) in given {
        let Json::String(value) = value else {
            return Err(Error::bad_request("custom_metadata values must be strings"));
        };
        notes.insert(name, value);
    }
    check_metadata(&notes)?;
    Ok(notes)
}

/// So many letters and digits.
pub(super) fn random_text(rng: &dyn Rng, characters: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(characters);
    while text.len() < characters {
        // 248 = 4 · 62: what lies above would make the first letters likelier.
        let [byte] = rng.array::<1>();
        if byte < 248
            && let Some(letter) = ALPHABET.get(usize::from(byte) % ALPHABET.len())
        {
            text.push(char::from(*letter));
        }
    }
    text
}

/// A short id that no namespace has.
async fn free_id(cx: &ReadCx<'_>) -> Result<String> {
    let table = cx.kernel().router.table().await?;
    loop {
        let id = random_text(cx.rng(), ID_CHARACTERS);
        if table.namespaces.iter().all(|n| n.id != id) {
            return Ok(id);
        }
    }
}

/// Refuses what would be made in a namespace that is being deleted. Reading its record makes this
/// transaction and the deletion exclude each other.
async fn check_parent(cx: &ReadCx<'_>, parent: &Namespace) -> Result<()> {
    if parent.is_root() {
        return Ok(());
    }
    let record = cx.kernel_tx().read(parent.parent).named::<Namespace>(TOP, parent.name()).await?;
    match record {
        Some(record) if record.deleted.is_none() => Ok(()),
        _ => Err(Error::not_found()),
    }
}

async fn create(
    cx: &WriteCx<'_>,
    name: &str,
    custom_metadata: BTreeMap<String, String>,
) -> Result<Namespace> {
    let parent = &cx.request.namespace;
    check_parent(cx, parent).await?;
    let path = format!("{}{name}/", parent.path);
    if path.matches('/').count() > NAMESPACE_DEPTH_MAX {
        return Err(Error::bad_request("namespaces are nested too deeply"));
    }
    let tx = cx.kernel_tx();
    let own = format!("{name}/");
    for (_, mount) in tx.read(parent.scope).all::<Mount>(TOP).await? {
        if mount.deleted.is_none() && mount.path.starts_with(&own) {
            let used = &mount.path;
            return Err(Error::bad_request(format!(
                "new namespace conflicts with existing mount: {used}"
            )));
        }
    }
    let namespace = Namespace {
        scope: allocate_scope(&tx.write(Scope::ROOT)).await?,
        parent: parent.scope,
        path,
        id: free_id(cx).await?,
        uuid: cx.rng().uuid(),
        custom_metadata,
        deleted: None,
        lock: None,
    };
    create_builtin(tx, namespace.scope, cx.now()).await?;
    let policy = PolicyRecord {
        text: DEFAULT_TEXT.to_owned(),
        written: cx.now(),
        version: 1,
        settings: BTreeMap::new(),
    };
    tx.write(namespace.scope).put_named(TOP, DEFAULT, &policy)?;
    Ok(namespace)
}

impl Command<PutNamespace> for System {
    async fn command(
        &self,
        cx: &mut WriteCx<'_>,
        op: PutNamespace,
    ) -> Result<Reply<NamespaceView>> {
        let name = name(&op.path)?;
        if op.seal.is_some() {
            return Err(Error::bad_request(
                "namespaces with a seal of their own are not supported",
            ));
        }
        let metadata = notes(op.custom_metadata.unwrap_or_default())?;
        let view = cx.kernel_tx().write(cx.request.namespace.scope);
        let namespace = match view.named::<Namespace>(TOP, name).await? {
            Some(there) if there.deleted.is_some() => return Err(in_deletion()),
            Some(there) => Namespace { custom_metadata: metadata, ..there },
            None => create(cx, name, metadata).await?,
        };
        view.put_named(TOP, name, &namespace)?;
        Ok(Reply::data(NamespaceView::from(&namespace)))
    }
}

fn in_deletion() -> Error {
    Error::bad_request("namespace with that name exists and is currently being deleted")
}

fields! {
    /// Changes single notes of a namespace.
    pub struct PatchNamespace {
        /// Its name.
        path: String,
        /// Notes: names and texts; null removes one, or all.
        custom_metadata: Patch<JsonMap>,
    }
}

ops! { PatchNamespace NamespaceView, Patch; }

impl Command<PatchNamespace> for System {
    async fn command(
        &self,
        cx: &mut WriteCx<'_>,
        op: PatchNamespace,
    ) -> Result<Reply<NamespaceView>> {
        let name = name(&op.path)?;
        let view = cx.kernel_tx().write(cx.request.namespace.scope);
        let found = view.named::<Namespace>(TOP, name).await?;
        let mut namespace =
            found.ok_or_else(|| Error::new(ErrorKind::NotFound, "namespace not found"))?;
        if namespace.deleted.is_some() {
            return Err(in_deletion());
        }
        match op.custom_metadata {
            Patch::Absent => {
                return Err(Error::bad_request("missing required field \"custom_metadata\""));
            }
            Patch::Null => namespace.custom_metadata.clear(),
            Patch::Value(changes) => {
                for (note, value) in changes {
                    match value {
                        Json::Null => namespace.custom_metadata.remove(&note),
                        Json::String(text) => namespace.custom_metadata.insert(note, text),
                        _ => {
                            return Err(Error::bad_request(
                                "metadata patch can only have string or null values",
                            ));
                        }
                    };
                }
                check_metadata(&namespace.custom_metadata)?;
            }
        }
        view.put_named(TOP, name, &namespace)?;
        Ok(Reply::data(NamespaceView::from(&namespace)))
    }
}

fields! {
    /// Deletes a namespace with all that it holds. Refused while it has namespaces of its own.
    pub struct DeleteNamespace {
        /// Its name.
        path: String,
    }
}

/// How far a deletion is.
#[derive(Serialize)]
pub struct Deletion {
    status: &'static str,
}

ops! { DeleteNamespace Deletion, Delete; }

impl Command<DeleteNamespace> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteNamespace) -> Result<Reply<Deletion>> {
        let name = name(&op.path)?;
        let tx = cx.kernel_tx();
        let view = tx.write(cx.request.namespace.scope);
        let Some(mut namespace) = view.named::<Namespace>(TOP, name).await? else {
            return Ok(Reply::none().warn("requested namespace does not exist"));
        };
        if namespace.deleted.is_none() {
            if tx.read(namespace.scope).any::<Namespace>(TOP).await? {
                return Err(Error::bad_request(
                    "unable to delete namespace containing child namespaces",
                ));
            }
            namespace.deleted = Some(cx.now());
            view.put_named(TOP, name, &namespace)?;
        }
        Ok(Reply::data(Deletion { status: "in-progress" }))
    }
}
