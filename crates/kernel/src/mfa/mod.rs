//! Second factors of logins ("Login MFA"): which logins need one, and whether what came is one.
//!
//! * [`stored`] is what is kept: methods and enforcements;
//! * [`credentials`] reads what a request brings;
//! * [`check`] judges it; [`attempts`] counts the tries;
//! * [`pending`] has the logins that wait for it.
//!
//! Where a login ends in a token, [`crate::pipeline`] asks this module first.
//!
//! Invariants:
//! * enforcements hold in their namespace and all below it; each that holds must be satisfied;
//! * what cannot be found out, or satisfied, refuses the login;
//! * a code is good once, also after a restart: that it was taken is part of the transaction that
//!   makes the token (threats: CVE-2025-6014, CVE-2025-6015);
//! * tries are limited by entity and method.

pub mod attempts;
mod check;
mod credentials;
pub mod pending;
mod stored;

pub use check::{Check, Passed, Refusal};
pub use credentials::Credentials;
pub use stored::{Enforcement, Enforcements, Method, MethodOfName, TotpSettings};

use std::sync::Arc;

use serde_json::json;
use strongroom_base::{Json, JsonMap, Result};
use strongroom_storage::{Change, Key};

use self::attempts::Attempts;
use self::pending::PendingLogins;
use crate::identity::LoggedIn;
use crate::mount::Mount;
use crate::namespaces::{Namespace, NamespaceTable};
use crate::record::{Derived, Record, Scope, Store, Tx, indexes};

/// Namespaces whose enforcements are remembered.
const RULES_MAX: usize = 10_000;

/// The second factors of all namespaces.
pub struct Mfa {
    store: Arc<Store>,
    rules: Arc<Derived<Scope, Vec<Arc<Enforcement>>>>,
    /// The tries of entities.
    pub attempts: Attempts,
    /// Logins that wait.
    pub pending: PendingLogins,
}

/// A method, and the namespace it is of.
pub struct Found {
    /// The method.
    pub method: Arc<Method>,
    /// Its namespace.
    pub namespace: Arc<Namespace>,
}

/// An enforcement that a login must satisfy.
pub struct Required {
    /// The enforcement.
    pub enforcement: Arc<Enforcement>,
    /// Its namespace.
    pub namespace: Arc<Namespace>,
    /// Its methods that are there.
    pub methods: Vec<Found>,
}

/// Whose login it is.
pub struct Subject<'a> {
    /// The namespace of the login.
    pub namespace: &'a Namespace,
    /// Its auth mount.
    pub mount: &'a Mount,
    /// Whom it speaks for.
    pub who: &'a LoggedIn,
}

impl Mfa {
    /// The second factors in `store`.
    pub fn new(store: Arc<Store>) -> Self {
        let rules = Arc::new(Derived::new(RULES_MAX));
        let weak = Arc::downgrade(&rules);
        store.derived.listen(move |change| {
            let Some(rules): Option<Arc<Derived<Scope, Vec<Arc<Enforcement>>>>> = weak.upgrade()
            else {
                return;
            };
            match change {
                Change::Put(Key::Index(table, key), _) | Change::Delete(Key::Index(table, key))
                    if *table == indexes::NAMES =>
                {
                    if key.get(4) == Some(&Enforcements::KIND)
                        && let Some(scope) = key.get(..4).and_then(|s| s.try_into().ok())
                    {
                        rules.remove(&Scope(u32::from_be_bytes(scope)));
                    }
                }
                Change::DeleteIndexRange { table, .. } if *table == indexes::NAMES => rules.clear(),
                Change::Everything => rules.clear(),
                _ => {}
            }
        });
        let (attempts, pending) = (Attempts::default(), PendingLogins::default());
        Self { store, rules, attempts, pending }
    }

    /// The enforcements of one namespace.
    async fn rules(&self, scope: Scope) -> Result<Arc<Vec<Arc<Enforcement>>>> {
        let fill = || async {
            let tx = self.store.begin();
            let all = tx.read(scope).named::<Enforcements>(0, "").await?;
            Ok(Some(all.map_or_else(Vec::new, |all| all.0.into_iter().map(Arc::new).collect())))
        };
        Ok(self.rules.get_or_fill(&scope, fill).await?.unwrap_or_default())
    }

    /// The enforcements that a login must satisfy, those of the uppermost namespace last.
    pub async fn required(
        &self,
        tx: &Tx,
        table: &NamespaceTable,
        subject: &Subject<'_>,
    ) -> Result<Vec<Required>> {
        let mut required = Vec::new();
        for namespace in table.upward(subject.namespace.scope) {
            for enforcement in self.rules(namespace.scope).await?.iter() {
                if !enforcement.holds_for(subject) {
                    continue;
                }
                let mut methods = Vec::new();
                for id in &enforcement.methods {
                    methods.extend(find_method(tx, table, namespace.scope, id).await?);
                }
                let (enforcement, namespace) = (enforcement.clone(), namespace.clone());
                required.push(Required { enforcement, namespace, methods });
            }
        }
        Ok(required)
    }
}

impl Enforcement {
    fn holds_for(&self, subject: &Subject<'_>) -> bool {
        let Subject { mount, who, .. } = subject;
        self.accessors.contains(&mount.accessor)
            || self.kinds.contains(&mount.kind)
            || who.is_one_of(&self.entities)
            || self.groups.iter().any(|id| who.is_in_group(id))
    }
}

/// The method with this id, of a namespace or of one above it.
pub async fn find_method(
    tx: &Tx,
    table: &NamespaceTable,
    scope: Scope,
    id: &str,
) -> Result<Option<Found>> {
    for namespace in table.upward(scope) {
        if let Some(method) = tx.read(namespace.scope).cached::<Method>(0, id).await? {
            return Ok(Some(Found { method, namespace: namespace.clone() }));
        }
    }
    Ok(None)
}

/// What a login's answer says of the second factors it needs: `mfa_requirement`.
pub fn requirement(request_id: &str, required: &[Required]) -> Json {
    let mut constraints = JsonMap::new();
    for Required { enforcement, namespace, methods } in required {
        let any = methods.iter().map(|Found { method, .. }| {
            json!({
                "type": Method::KIND_NAME,
                "id": method.id,
                "uses_passcode": true,
                "name": method.name,
            })
        });
        let any = json!({ "any": any.collect::<Vec<_>>() });
        // Two namespaces may have enforcements of one name.
        let name = match constraints.contains_key(&enforcement.name) {
            true if namespace.is_root() => format!("root/{}", enforcement.name),
            true => format!("{}{}", namespace.path, enforcement.name),
            false => enforcement.name.clone(),
        };
        constraints.insert(name, any);
    }
    json!({ "mfa_request_id": request_id, "mfa_constraints": constraints })
}
