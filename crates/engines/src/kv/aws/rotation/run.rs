//! What the kernel's rotation machine asks for.

use strongroom_base::{Error, Json, Result};
use strongroom_kernel::plug::{Promotion, ReadCx, RotationKind, WriteCx};
use strongroom_kernel::record::rows;

use super::called::Went;
use super::journal::Run;
use super::{begin, of_mut};
use crate::kv::Kv;
use crate::kv::aws::ids;
use crate::kv::aws::stored::Published;
use crate::kv::secret::{AWS_CURRENT, AWS_PENDING};
use crate::kv::store::{self, Secret};

/// What a subject's name means.
enum Subject<'s> {
    /// The rotation of the secret at this path.
    Rotation(&'s str),
    /// The trial of its function.
    Probe(&'s str),
}

impl<'s> Subject<'s> {
    fn read(name: &'s str) -> Result<Self> {
        match name.split_once('/') {
            Some(("data", path)) => Ok(Self::Rotation(path)),
            Some(("probe", path)) => Ok(Self::Probe(path)),
            _ => Err(Error::internal("a rotation's subject is none of this engine's")),
        }
    }
}

/// A secret that is to be rotated.
async fn wanted(cx: &WriteCx<'_>, path: &str) -> Result<Secret> {
    let secret = store::find(&cx.edit(), path).await?;
    let secret = secret.ok_or_else(|| Error::bad_request("the secret is not there"))?;
    match super::of(&secret.head) {
        Some(rotation) if rotation.enabled => Ok(secret),
        _ => Err(Error::bad_request("the secret is not rotated")),
    }
}

impl RotationKind for Kv {
    async fn prepare(&self, cx: &mut WriteCx<'_>, subject: &str) -> Result<Json> {
        let path = match Subject::read(subject)? {
            Subject::Rotation(path) => path,
            Subject::Probe(path) => return self.prepare_probe(cx, path).await,
        };
        let mut secret = wanted(cx, path).await?;
        if super::is_tried(cx, path).await? {
            return Err(Error::unavailable("the trial of its function is not over"));
        }
        let edit = cx.edit();
        let config = store::config(&edit).await?;
        let keep = secret.head.keep(config.max_versions);
        let head = &mut secret.head;
        let token = super::of(head).map(|rotation| rotation.token.as_str()).unwrap_or_default();
        // What a run that was called off has published nevertheless is not made again.
        let is_made =
            ids::find(head, token).is_some_and(|v| head.staged(AWS_CURRENT) == Some(v.id));
        let is_new = token.is_empty() || is_made;
        let rotation = of_mut(head).ok_or_else(super::damaged)?;
        if is_new {
            rotation.token = cx.rng().uuid();
        }
        let mut run = Run {
            path: path.to_owned(),
            function: rotation.function.clone(),
            arn: rotation.arn.clone(),
            region: rotation.region.clone(),
            token: rotation.token.clone(),
            probe: false,
            account: None,
        };
        let rotator = rotation.rotator.clone();
        let freed = begin(cx, head, &run.token, keep);
        store::forget(&edit, &freed);
        if !rotator.is_empty() {
            run.account = Some(self.next_account(cx, &mut secret, &rotator, &run.token).await?);
        }
        edit.put_row(rows::HEADS, secret.row, &secret.head)?;
        run.write()
    }

    async fn set(&self, cx: &ReadCx<'_>, _: &str, next: &Json) -> Result<()> {
        let run = Run::read(next)?;
        match &run.account {
            _ if run.probe => {
                if !self.is_trial_wanted(cx, &run).await? {
                    return Ok(());
                }
                if let Err(error) = self.invoke(cx, &run, "testSecret").await {
                    tracing::warn!(%error, "the trial of a rotation function failed");
                }
                Ok(())
            }
            None => self.call(cx, &run, &["createSecret", "setSecret"]).await.map(|_| ()),
            Some(account) if self.is_wanted(cx, &run).await? => self.set_account(cx, account).await,
            // The test finds it out, and it is rolled back.
            Some(_) => Ok(()),
        }
    }

    async fn test(&self, cx: &ReadCx<'_>, _: &str, next: &Json) -> Result<bool> {
        let run = Run::read(next)?;
        match &run.account {
            _ if run.probe => Ok(false),
            None => {
                let went = self.call(cx, &run, &["testSecret", "finishSecret"]).await?;
                Ok(went == Went::Through && self.is_current(cx, &run).await?)
            }
            Some(account) => {
                Ok(self.is_wanted(cx, &run).await?
                    && self.takes(cx, account, &account.login).await?)
            }
        }
    }

    async fn promote(
        &self,
        cx: &mut WriteCx<'_>,
        _: &str,
        version: u64,
        next: &Json,
    ) -> Result<Promotion> {
        let mut run = Run::read(next)?;
        let mut secret = wanted(cx, &run.path).await?;
        let (edit, now) = (cx.edit(), cx.now());
        if run.account.is_some() {
            let making = super::of(&secret.head)
                .is_some_and(|rotation| rotation.is_making(&secret.head, &run.token));
            if !making || !run.stands_on(&secret.head) {
                return Ok(Promotion::Refused("another version was published meanwhile"));
            }
        }
        let made = ids::find(&secret.head, &run.token).map(|version| version.id);
        let made = made.ok_or_else(|| Error::bad_request("the version of the run is gone"))?;
        let before = secret.head.staged(AWS_CURRENT);
        let mut old = None;
        if let Some(account) = run.account.take() {
            old = self.account_of_before(cx, &secret, &account).await?;
            let config = store::config(&edit).await?;
            store::publish_again(&edit, &mut secret, made, &config, now)?;
            secret.head.set_stage(AWS_PENDING, None);
        } else if secret.head.staged(AWS_PENDING) != Some(made) {
            // AWSPENDING stays on no version that did not become the current one.
            secret.head.set_stage(AWS_PENDING, None);
        }
        let alternates = super::of(&secret.head).is_some_and(|rotation| rotation.alternates());
        if let Some(rotation) = of_mut(&mut secret.head) {
            rotation.last = now;
            rotation.next = rotation.next_after(now, now)?;
            rotation.token.clear();
            rotation.previous = before
                .filter(|_| alternates)
                .map(|id| Published { version: version.saturating_sub(1), id });
            rotation.published = alternates.then_some(Published { version, id: made });
        }
        edit.put_row(rows::HEADS, secret.row, &secret.head)?;
        let old = old.map(|account| Run { account: Some(account), ..run }.write());
        Ok(old.transpose()?.into())
    }

    async fn revoke(&self, cx: &ReadCx<'_>, _: &str, old: &Json) -> Result<()> {
        let run = Run::read(old)?;
        match &run.account {
            // Somebody has published it again meanwhile.
            Some(account) if self.is_in_use(cx, &run.path, account).await? => Ok(()),
            Some(account) => self.end_account(cx, account).await,
            None => Ok(()),
        }
    }

    async fn refused(&self, cx: &ReadCx<'_>, _: &str, old: &Json) -> Result<bool> {
        let run = Run::read(old)?;
        match &run.account {
            Some(account) => Ok(self.is_in_use(cx, &run.path, account).await?
                || !self.takes(cx, account, &account.login).await?),
            None => Ok(true),
        }
    }

    async fn undo(&self, cx: &ReadCx<'_>, _: &str, next: &Json) -> Result<()> {
        // What a function has done is the function's.
        let run = Run::read(next)?;
        match &run.account {
            // Somebody has published it by hand.
            Some(account) if self.is_in_use(cx, &run.path, account).await? => Ok(()),
            Some(account) => self.restore_account(cx, &run.path, account).await,
            None => Ok(()),
        }
    }

    async fn unmake(&self, cx: &mut WriteCx<'_>, subject: &str) -> Result<()> {
        let Subject::Probe(path) = Subject::read(subject)? else { return Ok(()) };
        let edit = cx.edit();
        let Some(mut secret) = store::find_any(&edit, path).await? else { return Ok(()) };
        super::forget_trial(&mut secret.head);
        edit.put_row(rows::HEADS, secret.row, &secret.head)
    }
}

impl Kv {
    /// Is the trial of a function still to be made?
    async fn is_trial_wanted(&self, cx: &ReadCx<'_>, run: &Run) -> Result<bool> {
        let secret = store::find(&cx.view(), &run.path).await?;
        Ok(secret.is_some_and(|secret| {
            let version = ids::find(&secret.head, &run.token).map(|version| version.id);
            let tried = super::of(&secret.head)
                .is_some_and(|rotation| rotation.enabled && rotation.probe == run.token);
            tried && version.is_some() && secret.head.staged(AWS_PENDING) == version
        }))
    }

    /// A trial: a version that is made for it and goes again.
    async fn prepare_probe(&self, cx: &mut WriteCx<'_>, path: &str) -> Result<Json> {
        let mut secret = wanted(cx, path).await?;
        let edit = cx.edit();
        let config = store::config(&edit).await?;
        let keep = secret.head.keep(config.max_versions);
        let rotation = of_mut(&mut secret.head).ok_or_else(super::damaged)?;
        let mut run = Run {
            path: path.to_owned(),
            function: rotation.function.clone(),
            arn: rotation.arn.clone(),
            region: rotation.region.clone(),
            token: rotation.probe.clone(),
            probe: true,
            account: None,
        };
        // A rotation that began meanwhile tells more than a trial, and needs AWSPENDING for itself.
        if super::is_rotating(cx, path).await? {
            run.token.clear();
            return run.write();
        }
        let freed = begin(cx, &mut secret.head, &run.token, keep);
        store::forget(&edit, &freed);
        edit.put_row(rows::HEADS, secret.row, &secret.head)?;
        run.write()
    }
}
