//! A plug-in's whole surface.

use std::sync::Arc;

use strongroom_base::{Error, Result};

use super::handler::{
    AnyEngine, CommandFn, Engine, ExistsFn, Handler, LeaseRenewFn, LeaseRevokeFn, LeaseTargetFn,
    LoginFn, QueryFn, ReconcileFn, RenewFn, RoleFn, VerifyFn,
};
use super::{
    AliasFn, Captures, Command, Exists, LeaseKind, Login, LoginStep, Matched, NeedsFn, Op,
    Protocol, Query, Reconcile, Renew, ResolveRole, Rotates, RotationKind, Route, Rule, Step, Verb,
    Verify,
};
use crate::mount::{Class, Mount};

/// A plug-in's whole surface, erased.
pub struct Spec {
    /// The type's name on the wire (`kv`, `approle`).
    pub kind: &'static str,
    /// Its class.
    pub class: Class,
    /// All routes.
    pub routes: Vec<Route>,
    /// Help for the mount.
    pub docs: &'static str,
    exists: Vec<(&'static str, ExistsFn)>,
    /// Captures whose case does not matter: policy sees them in lower case.
    case_insensitive: Vec<&'static str>,
    /// Those of them that operations see as they were written.
    case_shown: Vec<&'static str>,
    /// The role of a login.
    pub role: Option<RoleFn>,
    /// Verification of credentials that come with the request they are for.
    pub verify: Option<VerifyFn>,
    /// Renewal of its tokens.
    pub renew: Option<RenewFn>,
    /// Renewal of its leases.
    pub renew_lease: Option<LeaseRenewFn>,
    /// Revocation of its leases.
    pub revoke_lease: Option<LeaseRevokeFn>,
    /// Where in its outside a lease's credential lies.
    pub lease_target: Option<LeaseTargetFn>,
    /// Rotation of its credentials.
    pub(crate) rotates: Option<Box<dyn Rotates>>,
    /// Its background work, and how many seconds lie between two runs.
    pub reconcile: Option<(i64, ReconcileFn)>,
    /// Names of plug-ins of its own, for the catalog (`database`).
    pub plugins: Vec<&'static str>,
    /// Surfaces that other options of a mount choose: option, value, surface.
    variants: Vec<(&'static str, &'static str, Arc<Spec>)>,
    open: Box<dyn Fn(&Mount) -> Result<Engine> + Send + Sync>,
}

impl Spec {
    /// Makes the engine object of a mount; refuses options that the type does not take.
    pub fn open(&self, mount: &Mount) -> Result<Engine> {
        match self.variant(mount) {
            Some(variant) => variant.open(mount),
            None => (self.open)(mount),
        }
    }

    /// The surface that a mount's options choose, where it is another one than this.
    pub fn variant(&self, mount: &Mount) -> Option<&Arc<Spec>> {
        let chosen = |(option, value, _): &&(&str, &str, _)| {
            mount.options.get(*option).is_some_and(|v| v == value)
        };
        self.variants.iter().find(chosen).map(|(_, _, spec)| spec)
    }

    /// Surfaces that a mount's options choose in place of this one.
    pub fn variants(&self) -> impl Iterator<Item = (&'static str, &'static str, &Arc<Spec>)> {
        self.variants.iter().map(|(option, value, spec)| (*option, *value, spec))
    }

    /// Finds the operation of Vault's API for a path and verb.
    pub fn find(&self, path: &str, verb: Verb) -> Matched<'_> {
        self.find_for(Protocol::Vault, path, verb)
    }

    /// Finds the operation of a protocol for a path and verb.
    pub fn find_for(&self, protocol: Protocol, path: &str, verb: Verb) -> Matched<'_> {
        let mut best: Option<(&Route, Captures, u64)> = None;
        let mut other = false;
        for route in &self.routes {
            if route.protocol != protocol || route.verb != verb && other {
                continue;
            }
            let Some((captures, rank)) = route.matches(path) else { continue };
            if route.verb != verb {
                other = true;
            } else if best.as_ref().is_none_or(|(_, _, r)| rank > *r) {
                best = Some((route, captures, rank));
            }
        }
        match best {
            Some((route, captures, _)) => Matched::Route(route, captures),
            None if other => Matched::OtherVerb,
            None => Matched::Nothing,
        }
    }

    /// The routes of Vault's API: what help and OpenAPI show.
    pub fn of_vault(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| route.protocol == Protocol::Vault)
    }

    /// `path`, which leads to `route`, in the one spelling that policy judges; `None` where it has
    /// it already.
    pub fn one_spelling(&self, route: &Route, path: &str) -> Option<String> {
        if self.case_insensitive.is_empty() || !path.chars().any(char::is_uppercase) {
            return None;
        }
        route.fold_case(path, &self.case_insensitive)
    }

    /// Are there names in the route's paths whose case does not matter?
    pub fn ignores_case(&self, route: &Route) -> bool {
        !self.case_insensitive.is_empty()
            && route.capture_names().iter().any(|name| self.case_insensitive.contains(name))
    }

    /// Gives `folded` the captures of `written` whose case operations show.
    pub fn show_case(&self, folded: &mut Captures, written: Captures) {
        for (folded, written) in folded.iter_mut().zip(written) {
            if self.case_shown.contains(&folded.0) {
                *folded = written;
            }
        }
    }

    /// Does it have credentials that are rotated?
    pub fn has_rotations(&self) -> bool {
        self.rotates.is_some()
    }

    /// The existence check for a route's path.
    pub fn exists_for(&self, route: &Route) -> Option<&ExistsFn> {
        self.exists.iter().find(|(pattern, _)| *pattern == route.pattern).map(|(_, f)| f)
    }
}

/// Builds a [`Spec`]; `E` is the engine's type.
pub struct EngineSpec<E> {
    spec: Spec,
    _engine: std::marker::PhantomData<fn() -> E>,
}

fn engine<E: 'static>(any: &AnyEngine) -> Result<&E> {
    any.downcast_ref::<E>().ok_or_else(|| Error::internal("an engine has another type"))
}

impl<E: Send + Sync + 'static> EngineSpec<E> {
    /// A plug-in called `kind`, whose objects `open` makes.
    pub fn new(
        kind: &'static str,
        class: Class,
        open: impl Fn(&Mount) -> Result<E> + Send + Sync + 'static,
    ) -> Self {
        Self {
            spec: Spec {
                kind,
                class,
                routes: Vec::new(),
                docs: "",
                exists: Vec::new(),
                case_insensitive: Vec::new(),
                case_shown: Vec::new(),
                role: None,
                verify: None,
                renew: None,
                renew_lease: None,
                revoke_lease: None,
                lease_target: None,
                rotates: None,
                reconcile: None,
                plugins: Vec::new(),
                variants: Vec::new(),
                open: Box::new(move |mount| Ok(Arc::new(open(mount)?))),
            },
            _engine: std::marker::PhantomData,
        }
    }

    /// Adds a query.
    pub fn query<O: Op>(mut self, pattern: &'static str) -> Self
    where
        E: Query<O>,
    {
        let run: QueryFn = Box::new(|any, cx, source| {
            Box::pin(async move {
                let op = O::decode(&source)?;
                engine::<E>(any)?.query(cx, op).await?.into_json()
            })
        });
        self.spec.routes.push(Route::new::<O>(pattern, Handler::Query(run)));
        self
    }

    /// Adds a command.
    pub fn command<O: Op>(mut self, pattern: &'static str) -> Self
    where
        E: Command<O>,
    {
        let run: CommandFn = Box::new(|any, cx, source| {
            Box::pin(async move {
                let op = O::decode(&source)?;
                engine::<E>(any)?.command(cx, op).await?.into_json()
            })
        });
        self.spec.routes.push(Route::new::<O>(pattern, Handler::Command(run)));
        self
    }

    /// Adds a login. Its rule is [`Rule::Open`].
    pub fn login<O: Op>(mut self, pattern: &'static str) -> Self
    where
        E: Login<O>,
    {
        let run: LoginFn = Box::new(|any, cx, source| {
            Box::pin(async move {
                let op = O::decode(&source)?;
                let grant = engine::<E>(any)?.login(cx, op).await?;
                Ok(Step::Token(Box::new(grant)))
            })
        });
        self.add_login::<O>(pattern, run);
        self
    }

    /// Adds a step of a login. Its rule is [`Rule::Open`].
    pub fn login_step<O: Op>(mut self, pattern: &'static str) -> Self
    where
        E: LoginStep<O>,
    {
        let run: LoginFn = Box::new(|any, cx, source| {
            Box::pin(async move {
                let op = O::decode(&source)?;
                engine::<E>(any)?.step(cx, op).await
            })
        });
        self.add_login::<O>(pattern, run);
        self
    }

    fn add_login<O: Op>(&mut self, pattern: &'static str, run: LoginFn) {
        let mut route = Route::new::<O>(pattern, Handler::Login(run));
        route.rule = Rule::Open;
        self.spec.routes.push(route);
    }

    /// The login added last names whom `alias` says, in one spelling: the lockout counts by it.
    pub fn counts_failures_of(mut self, alias: AliasFn) -> Self {
        if let Some(route) = self.spec.routes.last_mut() {
            route.alias = Some(alias);
        }
        self
    }

    /// The operation added last is for `protocol` and no other.
    pub fn only_for(mut self, protocol: Protocol) -> Self {
        if let Some(route) = self.spec.routes.last_mut() {
            route.protocol = protocol;
        }
        self
    }

    /// The operation added last asks [`super::Access`] itself, about the resource that it finds.
    pub fn judges_access(mut self) -> Self {
        if let Some(route) = self.spec.routes.last_mut() {
            route.judges_access = true;
        }
        self
    }

    /// It verifies credentials that come with the request they are for.
    pub fn verifies(mut self) -> Self
    where
        E: Verify,
    {
        self.spec.verify = Some(Box::new(|any, cx, credential| {
            Box::pin(async move { engine::<E>(any)?.verify(cx, credential).await })
        }));
        self
    }

    /// The operation added last takes a body of up to `bytes` as it comes, and no JSON
    /// ([`strongroom_base::RawBody`]).
    pub fn raw_body(mut self, bytes: usize) -> Self {
        if let Some(route) = self.spec.routes.last_mut() {
            route.raw_body_max = Some(bytes);
        }
        self
    }

    /// The case of captures called `name` does not matter, but operations show it as it was
    /// written.
    pub fn case_shown(mut self, name: &'static str) -> Self {
        self.spec.case_shown.push(name);
        self.case_insensitive(name)
    }

    /// The case of captures called `name` does not matter: policy and operations see them in lower
    /// case.
    pub fn case_insensitive(mut self, name: &'static str) -> Self {
        self.spec.case_insensitive.push(name);
        self
    }

    /// Its logins have roles, which quotas can name.
    pub fn resolves_roles(mut self) -> Self
    where
        E: ResolveRole,
    {
        self.spec.role = Some(Box::new(|any, cx, source| {
            Box::pin(async move { engine::<E>(any)?.role(cx, &source).await })
        }));
        self
    }

    /// Decides between create and update for writes to `pattern`.
    pub fn exists<O: Op>(mut self, pattern: &'static str) -> Self
    where
        E: Exists<O>,
    {
        let run: ExistsFn = Box::new(|any, cx, captures| {
            Box::pin(async move { engine::<E>(any)?.exists(cx, captures).await })
        });
        self.spec.exists.push((pattern, run));
        self
    }

    /// Its tokens' renewal asks [`Renew`].
    pub fn renews(mut self) -> Self
    where
        E: Renew,
    {
        self.spec.renew = Some(Box::new(|any, cx, token| {
            Box::pin(async move { engine::<E>(any)?.renew(cx, token).await })
        }));
        self
    }

    /// It has leases.
    pub fn leases(mut self) -> Self
    where
        E: LeaseKind,
    {
        self.spec.renew_lease = Some(Box::new(|any, cx, internal, seconds| {
            Box::pin(async move { engine::<E>(any)?.renew_lease(cx, internal, seconds).await })
        }));
        self.spec.revoke_lease = Some(Box::new(|any, cx, internal| {
            Box::pin(async move { engine::<E>(any)?.revoke_lease(cx, internal).await })
        }));
        self.spec.lease_target =
            Some(Box::new(|any, internal| Ok(engine::<E>(any)?.lease_target(internal))));
        self
    }

    /// It has credentials that are rotated.
    pub fn rotates(mut self) -> Self
    where
        E: RotationKind,
    {
        self.spec.rotates = Some(Box::new(super::rotation::Of::<E>(std::marker::PhantomData)));
        self
    }

    /// It has background work, done every `seconds`.
    pub fn reconciles(mut self, seconds: i64) -> Self
    where
        E: Reconcile,
    {
        let run: ReconcileFn =
            Box::new(|any, cx| Box::pin(async move { engine::<E>(any)?.reconcile(cx).await }));
        self.spec.reconcile = Some((seconds, run));
        self
    }

    /// It has plug-ins of its own of these names.
    pub fn plugins(mut self, names: Vec<&'static str>) -> Self {
        self.spec.plugins = names;
        self
    }

    /// What the operations of [`Rule::Needs`] at `pattern` need.
    pub fn needs(mut self, pattern: &'static str, needs: NeedsFn) -> Self {
        for route in self.spec.routes.iter_mut().filter(|r| r.pattern == pattern) {
            if route.rule == Rule::Needs {
                route.needs = Some(needs);
            }
        }
        self
    }

    /// Mounts whose `option` is `value` have another surface.
    pub fn variant(mut self, option: &'static str, value: &'static str, spec: Spec) -> Self {
        self.spec.variants.push((option, value, Arc::new(spec)));
        self
    }

    /// All routes at or below these paths are about the whole server: every namespace but the root
    /// refuses them.
    pub fn root_namespace_only(mut self, paths: &[&str]) -> Self {
        for route in self.at_or_below(paths) {
            route.root_namespace_only = true;
        }
        self
    }

    /// All routes at or below these paths are served on a full disk, too: they take something away,
    /// or repair.
    pub fn on_full_disk(mut self, paths: &[&str]) -> Self {
        for route in self.at_or_below(paths) {
            route.on_full_disk = true;
        }
        self
    }

    /// Queries at or below these paths are carried out to their end, however long that takes: they change
    /// more than their transaction.
    pub fn to_the_end(mut self, paths: &[&str]) -> Self {
        for route in self.at_or_below(paths) {
            route.to_the_end = true;
        }
        self
    }

    /// The routes with this very pattern are served in a locked namespace, too.
    pub fn while_locked(mut self, pattern: &str) -> Self {
        for route in self.spec.routes.iter_mut().filter(|route| route.pattern == pattern) {
            route.while_locked = true;
        }
        self
    }

    fn at_or_below(&mut self, paths: &[&str]) -> impl Iterator<Item = &mut Route> {
        self.spec.routes.iter_mut().filter(move |route| {
            paths.iter().any(|path| {
                let rest = route.pattern.strip_prefix(path);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        })
    }

    /// Help text of the mount.
    pub fn docs(mut self, docs: &'static str) -> Self {
        self.spec.docs = docs;
        self
    }

    /// The erased specification.
    pub fn build(self) -> Spec {
        self.spec
    }
}

#[cfg(test)]
mod tests {
    use strongroom_base::Json;

    use super::super::{ReadCx, Reply};
    use super::*;

    strongroom_base::fields! {
        /// Reads something.
        struct ReadIt {
            /// Its name.
            name: String,
        }
    }

    impl Op for ReadIt {
        type Reply = Json;
        const VERB: Verb = Verb::Read;
    }

    impl Query<ReadIt> for () {
        async fn query(&self, _: &ReadCx<'_>, op: ReadIt) -> Result<Reply<Json>> {
            Ok(Reply::data(Json::String(op.name)))
        }
    }

    #[test]
    fn captures_without_case_have_one_spelling() {
        let spec = EngineSpec::new("x", Class::Auth, |_| Ok(()))
            .query::<ReadIt>("role/{name}/Field")
            .query::<ReadIt>("Other/{what}")
            .query::<ReadIt>("all/{name..}")
            .case_insensitive("name")
            .build();
        for (path, expect) in [
            ("role/MyRole/Field", Some("role/myrole/Field")),
            ("role/ÄB/Field", Some("role/äb/Field")),
            ("role/myrole/Field", None),
            ("Other/Thing", None),
            ("all/A/b/C", Some("all/a/b/c")),
        ] {
            let Matched::Route(route, _) = spec.find(path, Verb::Read) else { panic!("{path}") };
            assert_eq!(spec.one_spelling(route, path).as_deref(), expect, "{path}");
        }
    }

    #[test]
    fn a_protocol_reaches_its_own_operations_alone() {
        // threat GHSA-rh46-vc3j-w2w3
        let spec = EngineSpec::new("x", Class::Secret, |_| Ok(()))
            .query::<ReadIt>("mine/{name}")
            .query::<ReadIt>("mine/{name}/of-aws")
            .only_for(Protocol::Aws)
            .build();
        let finds = |protocol, path| {
            matches!(spec.find_for(protocol, path, Verb::Read), Matched::Route(..))
        };
        assert!(finds(Protocol::Vault, "mine/a") && !finds(Protocol::Aws, "mine/a"));
        assert!(finds(Protocol::Aws, "mine/a/of-aws") && !finds(Protocol::Vault, "mine/a/of-aws"));
        assert!(matches!(spec.find("mine/a/of-aws", Verb::Write), Matched::Nothing));
    }
}
