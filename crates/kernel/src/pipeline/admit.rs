//! First step: the namespace, mount and route of a call, and the quotas.

use std::sync::Arc;

use strongroom_base::{Error, ErrorKind, Result};

use super::{Admitted, Answer, Call, LoggedIn, Target};
use crate::flight::Boarded;
use crate::namespaces::canonical;
use crate::node::Services;
use crate::plug::{Handler, Matched, Route, Rule, Verb};
use crate::quotas::{Asked, Verdict};
use crate::record::storage_unavailable;

/// Finds namespace, mount and quota. What fails here names no resource of the store.
pub(super) async fn admit(
    services: Arc<Services>,
    call: Call,
    id: String,
    flight: Boarded,
) -> Result<Box<Admitted>, (String, Error)> {
    let started = services.store.now();
    let found = async {
        let table = services.router.table().await?;
        let header = canonical(&call.namespace)?;
        let root = table.namespaces.get("").cloned().ok_or_else(Error::sealed)?;
        // An unknown namespace is told like any unknown path: only whom policy lets.
        let (namespace, prefix) = table.namespaces.split(&root, &header);
        let (namespace, path) = if prefix.is_empty() {
            let (n, p) = table.namespaces.split(&namespace, call.path.as_str());
            (n, p.to_owned())
        } else {
            (namespace, format!("{prefix}{}", call.path.as_str()))
        };
        Ok::<_, Error>((table, namespace, path, !prefix.is_empty()))
    };
    let (table, namespace, mut path, is_strange) = match found.await {
        Ok(found) => found,
        Err(e) => return Err((id, e)),
    };
    // Lists name folders: policy and engines see one spelling, with the slash.
    if matches!(call.verb, Verb::List | Verb::Scan) && !path.ends_with('/') {
        path.push('/');
    }
    let live = table.namespaces.is_live(namespace.scope);
    let entry = if live { table.find(namespace.scope, &path) } else { None };
    let (entry, below) = match entry {
        Some((entry, below)) => (Some(entry.clone()), below.to_owned()),
        None => (None, String::new()),
    };
    let shown_headers = services.audit.headers();
    Ok(Box::new(Admitted {
        services,
        table,
        call,
        id,
        started,
        namespace,
        path,
        entry,
        below,
        written: None,
        rate: None,
        shown_headers,
        waits_for_role: false,
        flight,
        is_inline_login: false,
        is_strange,
    }))
}

impl Admitted {
    /// Asks the quotas, then goes on.
    pub(super) async fn limit_and_run(mut self: Box<Self>) -> (Answer, LoggedIn) {
        if self.services.is_full() && !self.may_use_reserve() {
            return (Answer::failure(self.id, disk_full()), None);
        }
        if let Some(why) = self.services.store.storage.failure() {
            // Not from what is still in memory either: what it was read from is gone or in doubt.
            let error = storage_unavailable(why);
            self.note_trouble(&Target::Nothing, &error);
            return (Answer::failure(self.id, error), None);
        }
        let answer = match self.limit().await {
            Ok(Verdict { refused: None, .. }) => return self.run().await,
            Ok(Verdict { refused: Some(error), audited: true, .. }) => {
                self.refuse(error.into()).await
            }
            Ok(Verdict { refused: Some(error), .. }) => {
                Answer { rate: self.rate, ..Answer::failure(self.id, error) }
            }
            Err(error) => self.refuse(error.into()).await,
        };
        (answer, None)
    }

    /// Is this served on a full disk?
    pub(super) fn may_use_reserve(&self) -> bool {
        let Target::Route { index, .. } = self.target() else { return false };
        self.route(index).is_some_and(|route| route.on_full_disk)
    }

    /// The refusal of what is asked of a locked namespace, or of one below it.
    pub(super) fn locked(&self) -> Option<Error> {
        let locked = self.table.namespaces.locked(&self.namespace)?;
        let route = match self.target() {
            Target::Route { index, .. } => self.route(index),
            _ => None,
        };
        if route.is_some_and(|route| route.while_locked) {
            return None;
        }
        Some(Error::unavailable(format!(
            "API access to this namespace has been locked by an administrator - {:?} must be \
             unlocked to gain access.",
            locked.path
        )))
    }

    /// Does it lead to a login?
    pub(super) fn is_login(&self) -> bool {
        let Target::Route { index, .. } = self.target() else { return false };
        self.route(index).is_some_and(|r| matches!(r.handler, Handler::Login(_)))
    }

    /// Asks the quotas, but for logins whose role decides.
    async fn limit(&mut self) -> Result<Verdict> {
        if let Some(entry) = &self.entry
            && entry.spec.as_ref().is_some_and(|s| s.role.is_some())
            && self.services.quotas.waits_for_role(entry.mount.scope).await?
            && self.is_login()
        {
            self.waits_for_role = true;
            return Ok(Verdict::default());
        }
        self.count(None).await
    }

    /// Has the quotas count the request.
    pub(super) async fn count(&mut self, role: Option<&str>) -> Result<Verdict> {
        let asked = Asked {
            namespaces: &self.table.namespaces,
            namespace: &self.namespace,
            mount: self.entry.as_deref(),
            path: &self.path,
            below: &self.below,
            role,
            peer: &self.call.peer,
        };
        let mut verdict = self.services.quotas.admit(&asked).await?;
        self.rate = verdict.headers;
        if let Some(refused) = &mut verdict.refused {
            let path = self.call.path.as_str();
            refused.public = vec![format!("request path {path:?}: rate limit quota exceeded")];
        }
        Ok(verdict)
    }

    /// Is the path one of the node's own, though not with this verb?
    pub(super) fn is_of_the_node(&self) -> bool {
        let node = self.services.node.upgrade();
        self.namespace.is_root()
            && node.is_some_and(|node| {
                node.registry.node.find(self.call.path.as_str(), self.call.verb).is_some()
            })
    }

    /// What is said of a path that no mount serves.
    pub(super) fn no_route(&self) -> Error {
        if self.is_strange {
            Error::new(ErrorKind::NoRoute, "namespace not found")
        } else {
            Error::no_route(&self.path)
        }
    }

    /// The route of a target.
    pub(super) fn route(&self, index: usize) -> Option<&Route> {
        self.entry.as_ref()?.spec.as_ref()?.routes.get(index)
    }

    /// Finds the route, and brings the path into the one spelling that policy judges and the
    /// operation sees.
    pub(super) fn resolve(&mut self) -> Target {
        let target = self.target();
        let Target::Route { index, captures } = &target else { return target };
        let spec = self.entry.as_ref().and_then(|e| e.spec.clone());
        let route = self.route(*index);
        let folded =
            spec.as_ref().zip(route).and_then(|(s, route)| s.one_spelling(route, &self.below));
        let Some(folded) = folded else { return target };
        let Some(above) = self.path.strip_suffix(&self.below) else { return target };
        let path = format!("{above}{folded}");
        self.written = Some(std::mem::replace(&mut self.path, path));
        self.below = folded;
        let mut resolved = self.target();
        if let (Target::Route { captures: folded, .. }, Some(spec)) = (&mut resolved, &spec) {
            spec.show_case(folded, captures.clone());
        }
        resolved
    }

    /// Does the case of a name in this route's path not matter?
    pub(super) fn ignores_case(&self, route: &Route) -> bool {
        let spec = self.entry.as_ref().and_then(|e| e.spec.as_ref());
        spec.is_some_and(|spec| spec.ignores_case(route))
    }

    /// Is something at `path` (of the request's namespace) root-protected?
    pub(super) fn is_root_protected(&self, path: &str) -> bool {
        let Some((entry, below)) = self.table.find(self.namespace.scope, path) else {
            return false;
        };
        [Verb::Read, Verb::List].into_iter().any(|verb| {
            let found = entry.spec.as_ref().map(|spec| spec.find(below, verb));
            matches!(found, Some(Matched::Route(route, _)) if route.rule == Rule::Sudo)
        })
    }

    fn target(&self) -> Target {
        let spec = self.entry.as_ref().and_then(|e| e.spec.as_ref());
        let Some(spec) = spec else { return Target::Nothing };
        match spec.find_for(self.call.protocol, &self.below, self.call.verb) {
            Matched::Route(route, captures) => {
                let index = spec.routes.iter().position(|r| std::ptr::eq(r, route));
                index.map_or(Target::Nothing, |index| Target::Route { index, captures })
            }
            Matched::OtherVerb => Target::OtherVerb,
            Matched::Nothing => Target::Nothing,
        }
    }
}

/// The refusal of what must not use the room that is kept back.
pub(super) fn disk_full() -> Error {
    Error::unavailable(
        "the disk is full: until there is room, only revocation, sealing and the repair of the \
         audit log are served",
    )
}
