//! Mounts: where engines and auth methods stand, their settings, and the table by which a request's
//! path finds its mount.
//!
//! Mount records lie in their namespace's scope, named by class path (`secret/`, `auth/approle/`).
//! The table is derived: the change feed marks it, the next request builds it anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;
use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result, Timestamp};
use strongroom_storage::{Change, Key};

pub use crate::mount::{Mount, MountConfig, UserLockout};
use crate::namespaces::{Namespace, NamespaceTable};
use crate::plug::{Class, Engine, Registry, Spec};
use crate::rebuilt::Rebuilt;
use crate::record::{Id, Record, Scope, Store, WriteView, indexes};
use crate::tokens::Grounds;

/// The next free scope number: one record in the root scope.
#[derive(Serialize, Deserialize)]
struct NextScope(u32);

impl Record for NextScope {
    const KIND: u8 = 203;
}

/// Gives a fresh scope, within the transaction of `root` (a view of [`Scope::ROOT`]).
pub async fn allocate_scope(root: &WriteView<'_>) -> Result<Scope> {
    let NextScope(next) = root.named::<NextScope>(0, "").await?.unwrap_or(NextScope(1));
    if next >= Scope::LIMIT {
        return Err(Error::bad_request("no more mounts or namespaces can be made in this store"));
    }
    root.put_named(0, "", &NextScope(next + 1))?;
    Ok(Scope(next))
}

/// A mount in the table: record, namespace and engine.
pub struct MountEntry {
    /// The record.
    pub mount: Arc<Mount>,
    /// Its namespace.
    pub namespace: Arc<Namespace>,
    /// Its plug-in; none where this binary does not have it.
    pub spec: Option<Arc<Spec>>,
    /// Its engine object.
    pub engine: Option<Engine>,
}

/// All mounts of all namespaces.
#[derive(Default)]
pub struct MountTable {
    /// All namespaces.
    pub namespaces: NamespaceTable,
    by_path: AHashMap<Scope, BTreeMap<String, Arc<MountEntry>>>,
    by_scope: AHashMap<Scope, Arc<MountEntry>>,
    by_accessor: AHashMap<String, Arc<MountEntry>>,
    /// Disabled mounts whose records are still there: they serve nothing, but their leases are
    /// revoked through them.
    disabled: BTreeMap<Scope, Arc<MountEntry>>,
}

impl MountTable {
    /// The mount that serves `path` in a namespace, and the path below it.
    pub fn find<'p>(&self, namespace: Scope, path: &'p str) -> Option<(&Arc<MountEntry>, &'p str)> {
        let mounts = self.by_path.get(&namespace)?;
        // Mounts do not nest, so the first prefix that is one is the only one.
        for (i, byte) in path.bytes().enumerate() {
            if byte == b'/'
                && let Some(entry) = mounts.get(&path[..=i])
            {
                return Some((entry, &path[i + 1..]));
            }
        }
        // `secret` alone names the mount `secret/`.
        mounts.get(&format!("{path}/")).map(|entry| (entry, ""))
    }

    /// A namespace's mounts by path.
    pub fn of(&self, namespace: Scope) -> impl Iterator<Item = &Arc<MountEntry>> {
        self.by_path.get(&namespace).into_iter().flat_map(|m| m.values())
    }

    /// A mount by its exact path.
    pub fn at(&self, namespace: Scope, path: &str) -> Option<&Arc<MountEntry>> {
        self.by_path.get(&namespace)?.get(path)
    }

    /// A mount by its scope.
    pub fn of_scope(&self, scope: Scope) -> Option<&Arc<MountEntry>> {
        self.by_scope.get(&scope)
    }

    /// A mount by its accessor.
    pub fn of_accessor(&self, accessor: &str) -> Option<&Arc<MountEntry>> {
        self.by_accessor.get(accessor)
    }

    /// All mounts.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<MountEntry>> {
        self.by_scope.values()
    }

    /// A mount that serves no requests any more: it is disabled, or its namespace is being deleted.
    pub fn of_gone(&self, scope: Scope) -> Option<&Arc<MountEntry>> {
        self.disabled.get(&scope).or_else(|| {
            self.by_scope.get(&scope).filter(|e| !self.namespaces.is_live(e.namespace.scope))
        })
    }

    /// What no longer counts: mounts, by scope, with the time until which what they gave out has
    /// ended. For those that serve no more it is [`Timestamp::MAX`]; others were moved or brought
    /// back since.
    pub fn ended(&self) -> Vec<(Scope, Timestamp)> {
        let disabled = self.disabled.keys().map(|scope| (*scope, Timestamp::MAX));
        let serving = self.by_scope.values().filter_map(|entry| {
            let until = match self.namespaces.is_live(entry.namespace.scope) {
                true => entry.mount.renewed?,
                false => Timestamp::MAX,
            };
            Some((entry.mount.scope, until))
        });
        let mut ended: Vec<_> = disabled.chain(serving).collect();
        ended.sort_unstable();
        ended
    }

    /// A path in use that `path` would hide or be hidden by.
    pub fn conflict(&self, namespace: Scope, path: &str) -> Option<String> {
        let mounts = self.by_path.get(&namespace)?;
        mounts
            .keys()
            .find(|used| used.starts_with(path) || path.starts_with(used.as_str()))
            .cloned()
    }

    /// Mounts that were disabled and can be brought back, or are on their way out. No request
    /// reaches them; their leases are revoked by them.
    pub fn deleted(&self) -> impl Iterator<Item = &Arc<MountEntry>> {
        self.disabled.values()
    }
}

impl Grounds for MountTable {
    fn serves(&self, namespace: Scope, mount: Scope, created: Timestamp) -> bool {
        self.namespaces.is_live(namespace)
            && (mount == Scope::ROOT
                || self.by_scope.get(&mount).is_some_and(|e| e.mount.honours(created)))
    }
}

/// Holds the mount table and builds it anew when mounts or namespaces change.
pub struct Router {
    store: Arc<Store>,
    registry: Arc<Registry>,
    table: Rebuilt<MountTable>,
}

/// Is it a change of a mount or namespace record?
fn concerns(change: &Change) -> bool {
    let key = match change {
        Change::Put(Key::Index(table, key), _) | Change::Delete(Key::Index(table, key))
            if *table == indexes::NAMES =>
        {
            key
        }
        Change::DeleteIndexRange { table, from, .. } if *table == indexes::NAMES => from,
        Change::Everything => return true,
        _ => return false,
    };
    let kind = key.get(4).copied();
    let parent_is_zero = key.get(5..13).is_some_and(|p| p.iter().all(|b| *b == 0));
    parent_is_zero && (kind == Some(Namespace::KIND) || kind == Some(Mount::KIND))
}

impl Router {
    /// A router over `store`; the first request builds its table.
    pub fn new(store: Arc<Store>, registry: Arc<Registry>) -> Self {
        let table = Rebuilt::new(&store, concerns);
        Self { store, registry, table }
    }

    /// The plug-ins of this binary.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The table as of the last acknowledged commit.
    pub async fn table(&self) -> Result<Arc<MountTable>> {
        self.table.table(|old| self.build(old)).await
    }

    async fn build(&self, old: Arc<MountTable>) -> Result<MountTable> {
        let tx = self.store.begin();
        let mut all = vec![Namespace::root()];
        let mut next = 0;
        while let Some(namespace) = all.get(next) {
            let children = tx.read(namespace.scope).all::<Namespace>(0).await?;
            all.extend(children.into_iter().map(|(_, n)| n));
            next += 1;
        }
        let namespaces = NamespaceTable::new(all);
        let mut table = MountTable::default();
        for namespace in namespaces.iter() {
            let mut by_path = BTreeMap::new();
            for (_, mount) in tx.read(namespace.scope).all::<Mount>(0).await? {
                let disabled = mount.deleted.is_some();
                let entry = self.entry(&old, namespace, mount)?;
                if disabled {
                    table.disabled.insert(entry.mount.scope, entry);
                    continue;
                }
                by_path.insert(entry.mount.path.clone(), entry.clone());
                table.by_scope.insert(entry.mount.scope, entry.clone());
                table.by_accessor.insert(entry.mount.accessor.clone(), entry);
            }
            table.by_path.insert(namespace.scope, by_path);
        }
        table.namespaces = namespaces;
        Ok(table)
    }

    /// An entry with the engine object it had, as long as what the object was made from stands.
    fn entry(
        &self,
        old: &MountTable,
        namespace: &Arc<Namespace>,
        mount: Mount,
    ) -> Result<Arc<MountEntry>> {
        let spec = self.registry.get(mount.class, &mount.kind);
        let spec = spec.map(|spec| spec.variant(&mount).unwrap_or(spec).clone());
        let kept = old
            .by_scope
            .get(&mount.scope)
            .or_else(|| old.disabled.get(&mount.scope))
            .filter(|e| e.mount.options == mount.options && e.mount.kind == mount.kind)
            .and_then(|e| e.engine.clone());
        let engine = match (&spec, kept) {
            (Some(_), Some(engine)) => Some(engine),
            (Some(spec), None) => Some(spec.open(&mount)?),
            (None, _) => None,
        };
        Ok(Arc::new(MountEntry {
            mount: Arc::new(mount),
            namespace: namespace.clone(),
            spec,
            engine,
        }))
    }
}

/// A mount for tests.
#[cfg(test)]
pub(crate) fn test_mount(kind: &str) -> Mount {
    Mount {
        scope: Scope(7),
        class: Class::Auth,
        kind: kind.to_owned(),
        path: format!("auth/{kind}/"),
        accessor: format!("auth_{kind}_0"),
        uuid: String::new(),
        description: String::new(),
        config: MountConfig::default(),
        options: BTreeMap::new(),
        local: false,
        seal_wrap: false,
        external_entropy_access: false,
        created: Timestamp::ZERO,
        deleted: None,
        plugin_version: String::new(),
        renewed: None,
    }
}

/// Where the rows of a mount's named records hang: the top.
pub const TOP: Id = 0;

/// Makes a mount's record in the transaction of `tx`; the caller has checked the path.
pub async fn create(tx: &crate::record::Tx, namespace: Scope, mut mount: Mount) -> Result<Mount> {
    mount.scope = allocate_scope(&tx.write(Scope::ROOT)).await?;
    tx.write(namespace).put_named(TOP, &mount.path, &mount)?;
    Ok(mount)
}

/// The built-in mounts that every namespace has.
pub async fn create_builtin(
    tx: &crate::record::Tx,
    namespace: Scope,
    now: Timestamp,
) -> Result<()> {
    for (kind, path, class, description) in [
        (
            "system",
            "sys/",
            Class::System,
            "system endpoints used for control, policy and debugging",
        ),
        ("identity", "identity/", Class::System, "identity store"),
        ("cubbyhole", "cubbyhole/", Class::System, "per-token private secret storage"),
        ("token", "auth/token/", Class::Auth, "token based credentials"),
    ] {
        let mount = new_record(tx, kind, path, class, description, now);
        create(tx, namespace, mount).await?;
    }
    Ok(())
}

/// A mount record with a fresh accessor and UUID and default settings.
pub fn new_record(
    tx: &crate::record::Tx,
    kind: &str,
    path: &str,
    class: Class,
    description: &str,
    now: Timestamp,
) -> Mount {
    let rng = &*tx.store().rng;
    let prefix = if class == Class::Auth { "auth_" } else { "" };
    Mount {
        scope: Scope::ROOT,
        class,
        kind: kind.to_owned(),
        path: path.to_owned(),
        accessor: format!("{prefix}{kind}_{}", hex::encode(rng.array::<4>())),
        uuid: rng.uuid(),
        description: description.to_owned(),
        config: MountConfig::default(),
        options: BTreeMap::new(),
        local: kind == "cubbyhole",
        seal_wrap: false,
        external_entropy_access: false,
        created: now,
        deleted: None,
        plugin_version: String::new(),
        renewed: None,
    }
}
