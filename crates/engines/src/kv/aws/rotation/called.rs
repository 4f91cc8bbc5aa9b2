//! A run by a function: its four calls, made by the steps of the kernel's machine.

use strongroom_base::{Error, ErrorKind, Result};
use strongroom_kernel::plug::ReadCx;

use super::journal::Run;
use super::{functions, of};
use crate::kv::Kv;
use crate::kv::aws::ids;
use crate::kv::secret::AWS_CURRENT;
use crate::kv::store;

/// How far a run got outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Went {
    /// All of it was done.
    Through,
    /// The secret does not want it any more.
    Stopped,
}

impl Kv {
    /// Does the secret still want this run?
    pub(super) async fn is_wanted(&self, cx: &ReadCx<'_>, run: &Run) -> Result<bool> {
        let secret = store::find(&cx.view(), &run.path).await?;
        Ok(secret.is_some_and(|secret| {
            let rotation = of(&secret.head);
            rotation.is_some_and(|rotation| rotation.is_making(&secret.head, &run.token))
                && run.stands_on(&secret.head)
        }))
    }

    /// Is the run's version AWSCURRENT?
    pub(super) async fn is_current(&self, cx: &ReadCx<'_>, run: &Run) -> Result<bool> {
        let secret = store::find(&cx.view(), &run.path).await?;
        Ok(secret.is_some_and(|secret| {
            let version = ids::find(&secret.head, &run.token).map(|version| version.id);
            version.is_some() && secret.head.staged(AWS_CURRENT) == version
        }))
    }

    /// Calls the function for these steps; the secret is looked at before each. What has made its version
    /// the current one is done.
    pub(super) async fn call(&self, cx: &ReadCx<'_>, run: &Run, steps: &[&str]) -> Result<Went> {
        for step in steps {
            if self.is_current(cx, run).await? {
                return Ok(Went::Through);
            }
            if !self.is_wanted(cx, run).await? {
                return Ok(Went::Stopped);
            }
            self.invoke(cx, run, step).await?;
        }
        Ok(Went::Through)
    }

    /// Calls the function for one step. The failure's text tells nothing of the secret.
    pub(super) async fn invoke(&self, cx: &ReadCx<'_>, run: &Run, step: &str) -> Result<()> {
        let outside = self.outside.as_ref().ok_or_else(no_way)?;
        let functions = functions::settings(&cx.view()).await?;
        let called = functions::invoke(&*outside.web, &functions, run, step, cx.now()).await;
        called.map_err(|why| Error::new(ErrorKind::Upstream, format!("{step}: {why}")))
    }
}

/// This server has no way to anything outside.
pub(super) fn no_way() -> Error {
    Error::unavailable("this server reaches nothing that could rotate a secret")
}
