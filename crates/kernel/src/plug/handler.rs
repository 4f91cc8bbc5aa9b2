//! Operations with their types erased.

use std::any::Any;
use std::sync::Arc;

use strongroom_base::{FieldSource, Json, Result};
use strongroom_storage::BoxFuture;

use super::{Credential, ReadCx, Reply, Step, TokenParams, Verified, WriteCx};
use crate::tokens::Token;

/// An engine object, erased.
pub type Engine = Arc<dyn Any + Send + Sync>;
pub(super) type AnyEngine = dyn Any + Send + Sync;
pub(super) type QueryFn = Box<
    dyn for<'a> Fn(
            &'a AnyEngine,
            &'a ReadCx<'a>,
            FieldSource<'a>,
        ) -> BoxFuture<'a, Result<Reply<Json>>>
        + Send
        + Sync,
>;
pub(super) type CommandFn = Box<
    dyn for<'a, 'b> Fn(
            &'a AnyEngine,
            &'a mut WriteCx<'b>,
            FieldSource<'a>,
        ) -> BoxFuture<'a, Result<Reply<Json>>>
        + Send
        + Sync,
>;
pub(super) type LoginFn = Box<
    dyn for<'a, 'b> Fn(
            &'a AnyEngine,
            &'a mut WriteCx<'b>,
            FieldSource<'a>,
        ) -> BoxFuture<'a, Result<Step>>
        + Send
        + Sync,
>;
pub(super) type ExistsFn = Box<
    dyn for<'a> Fn(
            &'a AnyEngine,
            &'a ReadCx<'a>,
            &'a [(&'static str, String)],
        ) -> BoxFuture<'a, Result<bool>>
        + Send
        + Sync,
>;
pub(super) type RoleFn = Box<
    dyn for<'a> Fn(
            &'a AnyEngine,
            &'a ReadCx<'a>,
            FieldSource<'a>,
        ) -> BoxFuture<'a, Result<Option<String>>>
        + Send
        + Sync,
>;
pub(super) type VerifyFn = Box<
    dyn for<'a> Fn(&'a AnyEngine, &'a ReadCx<'a>, &'a Credential) -> BoxFuture<'a, Result<Verified>>
        + Send
        + Sync,
>;
/// Who a login's captures and fields name.
pub type AliasFn = fn(&FieldSource<'_>) -> Option<String>;
pub(super) type RenewFn = Box<
    dyn for<'a, 'b> Fn(
            &'a AnyEngine,
            &'a mut WriteCx<'b>,
            &'a Token,
        ) -> BoxFuture<'a, Result<TokenParams>>
        + Send
        + Sync,
>;
pub(super) type LeaseRenewFn = Box<
    dyn for<'a, 'b> Fn(
            &'a AnyEngine,
            &'a mut WriteCx<'b>,
            &'a Json,
            i64,
        ) -> BoxFuture<'a, Result<i64>>
        + Send
        + Sync,
>;
pub(super) type LeaseRevokeFn = Box<
    dyn for<'a, 'b> Fn(&'a AnyEngine, &'a mut WriteCx<'b>, &'a Json) -> BoxFuture<'a, Result<()>>
        + Send
        + Sync,
>;
pub(super) type LeaseTargetFn =
    Box<dyn for<'j> Fn(&AnyEngine, &'j Json) -> Result<&'j str> + Send + Sync>;
pub(super) type ReconcileFn = Box<
    dyn for<'a, 'b> Fn(&'a AnyEngine, &'a mut WriteCx<'b>) -> BoxFuture<'a, Result<bool>>
        + Send
        + Sync,
>;

/// How an operation runs.
pub enum Handler {
    /// It cannot write.
    Query(QueryFn),
    /// It may write.
    Command(CommandFn),
    /// It ends in a token, or is a step towards one.
    Login(LoginFn),
}
