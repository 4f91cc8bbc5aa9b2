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

/// Functions of an engine, a context and what else they take.
macro_rules! erased {
    ($($name:ident($cx:ty $(, $of:ty)*) -> $answer:ty;)+) => {
        $(pub(super) type $name = Box<
            dyn for<'a> Fn(&'a AnyEngine, $cx $(, $of)*) -> BoxFuture<'a, Result<$answer>>
                + Send
                + Sync,
        >;)+
    };
}

erased! {
    QueryFn(&'a ReadCx<'a>, FieldSource<'a>) -> Reply<Json>;
    CommandFn(&'a mut WriteCx<'_>, FieldSource<'a>) -> Reply<Json>;
    LoginFn(&'a mut WriteCx<'_>, FieldSource<'a>) -> Step;
    ExistsFn(&'a ReadCx<'a>, &'a [(&'static str, String)]) -> bool;
    RoleFn(&'a ReadCx<'a>, FieldSource<'a>) -> Option<String>;
    VerifyFn(&'a ReadCx<'a>, &'a Credential) -> Verified;
    RenewFn(&'a mut WriteCx<'_>, &'a Token) -> TokenParams;
    LeaseRenewFn(&'a mut WriteCx<'_>, &'a Json, i64) -> i64;
    LeaseRevokeFn(&'a mut WriteCx<'_>, &'a Json) -> ();
    ReconcileFn(&'a mut WriteCx<'_>) -> bool;
}

/// Who a login's captures and fields name.
pub type AliasFn = fn(&FieldSource<'_>) -> Option<String>;
pub(super) type LeaseTargetFn =
    Box<dyn for<'j> Fn(&AnyEngine, &'j Json) -> Result<&'j str> + Send + Sync>;

/// How an operation runs.
pub enum Handler {
    /// It cannot write.
    Query(QueryFn),
    /// It may write.
    Command(CommandFn),
    /// It ends in a token, or is a step towards one.
    Login(LoginFn),
}
