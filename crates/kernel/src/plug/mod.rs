//! What a plug-in is: operations with their wire fields, and one `spec()` that shows the whole
//! surface of an engine or auth method.
//!
//! An operation is a *query* (cannot write) or a *command* (may write); the trait it implements
//! says which. A *login* is a command of an auth method that ends in a [`Grant`], of which the
//! kernel makes a token.

mod beyond;
mod context;
mod grant;
mod handler;
pub mod lists;
pub mod names;
mod node_ops;
mod registry;
mod reply;
mod rights;
mod rotation;
mod route;
mod spec;
mod verify;

use std::future::Future;

use serde::Serialize;
use strongroom_base::fields::Fields;
use strongroom_base::{FieldSource, Json, RawFields, Result};

use crate::mount::Mount;
use crate::policy::Capability;
use crate::tokens::Token;

pub use crate::__ops as ops;
pub use crate::identity::GrantAlias;
pub use crate::mount::Class;
pub use crate::tokens::TokenParams;
pub use beyond::{Beyond, Stream, Then, Told, Upload, Uploading};
pub use context::{AfterCommit, Peer, ReadCx, Request, WriteCx};
pub use grant::{Grant, Step};
pub use handler::{AliasFn, Engine, Handler};
pub(crate) use node_ops::NodeFn;
pub use node_ops::{NodeCall, NodeOp, NodeSpec};
pub use registry::{Plugin, Registry};
pub use reply::{AuthBlock, Header, NewLease, Reply, Shape, WrapInfo};
pub use rights::{ListRight, Rights};
pub(crate) use rotation::Rotates;
pub use rotation::{Promotion, RotationKind};
pub use route::{Captures, Matched, Route};
pub use spec::{EngineSpec, Spec};
pub use verify::{About, Access, Asked, Credential, Proof, Signature, Standing, Verified, Verify};

/// Which protocol an operation is for: no other reaches it, whatever path it names (threat
/// GHSA-rh46-vc3j-w2w3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Protocol {
    /// Vault's HTTP API.
    #[default]
    Vault,
    /// AWS's: Secrets Manager, KMS, Parameter Store.
    Aws,
}

/// What a caller wants to do with a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Verb {
    /// GET.
    Read,
    /// POST or PUT: create or update.
    Write,
    /// LIST, or GET with `list=true`.
    List,
    /// DELETE.
    Delete,
    /// PATCH.
    Patch,
    /// SCAN: a recursive list.
    Scan,
}

/// Who may call an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Anyone: no token is looked at.
    Open,
    /// Whom policy allows.
    Token,
    /// Whom policy allows with `sudo` besides.
    Sudo,
    /// Whom policy allows everything that the operation's [`Need`]s name. A denial of the request's
    /// own path holds besides; a grant of it is not asked for.
    Needs,
    /// As [`Rule::Token`]; but the caller may be a wrapping token, and one whose token is not good
    /// is told that, as clients that unwrap expect.
    Wrapping,
}

/// A right that an operation needs, on a path that need not be its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Need {
    /// The path within the request's namespace, the mount's path included.
    pub path: String,
    /// The capability.
    pub capability: Capability,
}

impl Need {
    /// `capability` on `path`.
    pub fn new(path: impl Into<String>, capability: Capability) -> Self {
        Self { path: path.into(), capability }
    }
}

/// What an operation of [`Rule::Needs`] needs, from its mount, captures and fields alone: it is
/// asked before any record is read.
pub type NeedsFn = fn(&Mount, &[(&'static str, String)], &RawFields) -> Result<Vec<Need>>;

/// An operation.
pub trait Op: Fields + Send + 'static {
    /// What it answers.
    type Reply: Serialize + Send + 'static;
    /// Its verb.
    const VERB: Verb;
    /// Who may call it.
    const RULE: Rule = Rule::Token;
    /// Is it about the whole server, and so refused in every namespace but the root?
    const ROOT_NAMESPACE_ONLY: bool = false;
}

/// What operations answer, their verbs, and who may call them where that is not [`Rule::Token`]:
/// `ReadRole Json, Read;` or `FetchCa (), Read, Open;`. To be imported as `plug::ops`.
#[macro_export]
#[doc(hidden)]
macro_rules! __ops {
    ($($op:ident $reply:ty, $verb:ident $(, $rule:ident)?;)+) => {
        $(impl $crate::plug::Op for $op {
            type Reply = $reply;
            const VERB: $crate::plug::Verb = $crate::plug::Verb::$verb;
            $(const RULE: $crate::plug::Rule = $crate::plug::Rule::$rule;)?
        })+
    };
}

/// An operation that cannot write.
pub trait Query<O: Op>: Send + Sync {
    /// Answers it.
    fn query(&self, cx: &ReadCx<'_>, op: O)
    -> impl Future<Output = Result<Reply<O::Reply>>> + Send;
}

/// An operation that may write. It may be run again when another transaction got in between, so
/// it has no effect but through its context.
pub trait Command<O: Op>: Send + Sync {
    /// Carries it out.
    fn command(
        &self,
        cx: &mut WriteCx<'_>,
        op: O,
    ) -> impl Future<Output = Result<Reply<O::Reply>>> + Send;
}

/// A login of an auth method.
pub trait Login<O: Op>: Send + Sync {
    /// Verifies the caller.
    fn login(&self, cx: &mut WriteCx<'_>, op: O) -> impl Future<Output = Result<Grant>> + Send;
}

/// A step of a login of an auth method, for logins that take several.
pub trait LoginStep<O: Op>: Send + Sync {
    /// Takes the step.
    fn step(&self, cx: &mut WriteCx<'_>, op: O) -> impl Future<Output = Result<Step>> + Send;
}

/// Decides between create and update, by the path alone.
pub trait Exists<O: Op>: Send + Sync {
    /// Is there something at the path that `captures` describe?
    fn exists(
        &self,
        cx: &ReadCx<'_>,
        captures: &[(&'static str, String)],
    ) -> impl Future<Output = Result<bool>> + Send;
}

/// Tells the role of a login, for quotas that name one.
pub trait ResolveRole: Send + Sync {
    /// The role's name; `None` where the login names none that exists.
    fn role(
        &self,
        cx: &ReadCx<'_>,
        source: &FieldSource<'_>,
    ) -> impl Future<Output = Result<Option<String>>> + Send;
}

/// Renews a login's token: the role may have changed, or be gone.
pub trait Renew: Send + Sync {
    /// The token parameters that hold now; an error refuses the renewal.
    fn renew(
        &self,
        cx: &mut WriteCx<'_>,
        token: &Token,
    ) -> impl Future<Output = Result<TokenParams>> + Send;
}

/// What a plug-in does with leases of its own.
pub trait LeaseKind: Send + Sync {
    /// Extends the credential; answers the seconds that hold.
    fn renew_lease(
        &self,
        cx: &mut WriteCx<'_>,
        internal: &Json,
        seconds: i64,
    ) -> impl Future<Output = Result<i64>> + Send;
    /// Takes the credential back. It is asked again about one that is gone already when another
    /// transaction got in the way of the commit, or the server died before it: that is no error.
    fn revoke_lease(
        &self,
        cx: &mut WriteCx<'_>,
        internal: &Json,
    ) -> impl Future<Output = Result<()>> + Send;
    /// Which of the places that a mount reaches (the connections of a `database`) a lease's
    /// credential lies in: revocations queue for each of them by itself, so that one that does not
    /// answer holds up no other.
    fn lease_target<'j>(&self, internal: &'j Json) -> &'j str {
        let _ = internal;
        ""
    }
}

/// Work of a mount without a request: bounded, idempotent, on the active node only.
pub trait Reconcile: Send + Sync {
    /// Does some of it; answers whether more is left.
    fn reconcile(&self, cx: &mut WriteCx<'_>) -> impl Future<Output = Result<bool>> + Send;
}

/// Raw fields of an operation run by the kernel itself.
pub fn no_fields() -> RawFields {
    RawFields::default()
}
