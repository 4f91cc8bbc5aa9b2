//! `tidy`, `tidy-status`, `tidy-cancel`, and `config/auto-tidy`.

use serde_json::json;
use strongroom_base::duration::format_go_seconds;
use strongroom_base::{Json, Result, Timestamp, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::super::authority::config;
use super::super::role::Seconds;
use super::super::stored::{Revoked, Stored};
use super::super::{PkiEngine, bad};
use super::run::{State, TidyRun};
use super::settings::{TidyConfig, TidyFields};

fields! {
    /// Begins a run.
    pub struct Tidy {
        ..settings: TidyFields;
    }
}
fields! {
    /// Shows the latest run.
    pub struct TidyStatus {}
}
fields! {
    /// Stops the run that goes on.
    pub struct CancelTidy {}
}
fields! {
    /// Shows the settings of runs that begin by themselves.
    pub struct ReadAutoTidy {}
}
fields! {
    /// Changes the settings of runs that begin by themselves. What is not said stays as it was.
    pub struct WriteAutoTidy {
        ..settings: TidyFields;
        /// Do runs begin by themselves?
        enabled: Option<bool>,
        /// How long after one run the next begins.
        interval_duration: Option<Seconds>,
        /// Are certificates counted?
        maintain_stored_certificate_counts: Option<bool>,
        /// Are the counts among the metrics?
        publish_stored_certificate_count_metrics: Option<bool>,
    }
}

ops! {
    Tidy (), Write;
    TidyStatus Json, Read;
    CancelTidy Json, Write;
    ReadAutoTidy Json, Read;
    WriteAutoTidy Json, Write;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.command::<Tidy>("tidy")
        .query::<TidyStatus>("tidy-status")
        .command::<CancelTidy>("tidy-cancel")
        .query::<ReadAutoTidy>("config/auto-tidy")
        .command::<WriteAutoTidy>("config/auto-tidy")
}

impl Command<Tidy> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Tidy) -> Result<Reply<()>> {
        let mut settings = TidyConfig { enabled: true, interval: 0, ..TidyConfig::default() };
        settings.apply(op.settings)?;
        let run: TidyRun = config(&cx.view()).await?;
        if run.state == State::Running {
            return Ok(Reply::none().status(200).warn("Tidy operation already in progress."));
        }
        let tidies = settings.tidies();
        cx.edit().put_named(0, "", &run.begin(settings, cx.now(), false))?;
        Ok(Reply::none().status(202).warn(match tidies {
            true => "Tidy operation successfully started. Its progress is shown by tidy-status."
                .to_owned(),
            false => format!(
                "Manual tidy requested but no tidy operations were set. Enable at least one tidy \
                 operation to be run ({}).",
                TidyConfig::WHAT
            ),
        }))
    }
}

impl Query<TidyStatus> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: TidyStatus) -> Result<Reply<Json>> {
        Ok(Reply::data(status(cx).await?))
    }
}

impl Command<CancelTidy> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, _: CancelTidy) -> Result<Reply<Json>> {
        let mut run: TidyRun = config(&cx.view()).await?;
        if run.state != State::Running {
            return Ok(Reply::none()
                .status(200)
                .warn("Tidy operation cannot be cancelled as none is currently running."));
        }
        run.state = State::Cancelled;
        run.finished = cx.now();
        cx.edit().put_named(0, "", &run)?;
        Ok(Reply::data(status(cx).await?))
    }
}

async fn status(cx: &ReadCx<'_>) -> Result<Json> {
    let view = cx.view();
    let run: TidyRun = config(&view).await?;
    let settings: TidyConfig = config(&view).await?;
    let counts = match settings.maintain_counts {
        true => (
            Json::from(view.names::<Stored>(0).await?.len()),
            Json::from(view.names::<Revoked>(0).await?.len()),
        ),
        false => (Json::Null, Json::Null),
    };
    let began = run.state != State::Inactive;
    let when = |shown: Json| if began { shown } else { Json::Null };
    let time = |at: Timestamp| if at.is_zero() { Json::Null } else { at.to_string().into() };
    Ok(json!({
        "safety_buffer": when(run.config.safety_buffer.into()),
        "revoked_safety_buffer": when(run.config.revoked_buffer().into()),
        "issuer_safety_buffer": when(run.config.issuer_safety_buffer.into()),
        "acme_account_safety_buffer": when(run.config.acme_account_safety_buffer.into()),
        "tidy_cert_store": when(run.config.cert_store.into()),
        "tidy_revoked_certs": when(run.config.revoked_certs.into()),
        "tidy_invalid_certs": when(run.config.invalid_certs.into()),
        "tidy_revoked_cert_issuer_associations": when(run.config.issuer_associations.into()),
        "tidy_expired_issuers": when(run.config.expired_issuers.into()),
        "tidy_move_legacy_ca_bundle": when(run.config.move_legacy_ca_bundle.into()),
        "tidy_acme": when(run.config.acme.into()),
        "pause_duration": when(format_go_seconds(run.config.pause).into()),
        "page_size": when(run.config.page_size.into()),
        "state": run.state.name(),
        "error": Json::Null,
        "time_started": time(run.started),
        "time_finished": time(run.finished),
        "message": Json::Null,
        "cert_store_deleted_count": when(run.certificates_deleted.into()),
        "revoked_cert_deleted_count": when(run.revocations_deleted.into()),
        "missing_issuer_cert_count": when(run.missing_issuers.into()),
        "current_cert_store_count": counts.0,
        "current_revoked_cert_count": counts.1,
        "internal_backend_uuid": cx.request.mount.uuid,
        "last_auto_tidy_finished": run.auto_finished.to_go_string(),
        "total_acme_account_count": when(run.acme.accounts.into()),
        "acme_account_deleted_count": when(run.acme.deleted_accounts.into()),
        "acme_account_revoked_count": when(run.acme.revoked_accounts.into()),
        "acme_orders_deleted_count": when(run.acme.deleted_orders.into()),
    }))
}

impl Query<ReadAutoTidy> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadAutoTidy) -> Result<Reply<Json>> {
        Ok(Reply::data(config::<TidyConfig>(&cx.view()).await?.shown()))
    }
}

impl Command<WriteAutoTidy> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: WriteAutoTidy) -> Result<Reply<Json>> {
        let mut settings: TidyConfig = config(&cx.view()).await?;
        settings.apply(op.settings)?;
        if let Some(Seconds(interval)) = op.interval_duration {
            if interval < 0 {
                return Err(bad(
                    "given interval_duration must be greater than or equal to zero seconds",
                ));
            }
            settings.interval = interval;
        }
        let enabled = op.enabled.unwrap_or(settings.enabled);
        if enabled && !settings.enabled {
            settings.enabled_at = cx.now();
        }
        settings.enabled = enabled;
        if settings.enabled && !settings.tidies() {
            return Err(bad(format!(
                "Auto-tidy enabled but no tidy operations were requested. Enable at least one tidy \
                 operation to be run ({}).",
                TidyConfig::WHAT
            )));
        }
        let (maintain, publish) =
            (op.maintain_stored_certificate_counts, op.publish_stored_certificate_count_metrics);
        settings.maintain_counts = maintain.unwrap_or(settings.maintain_counts);
        settings.publish_metrics = publish.unwrap_or(settings.publish_metrics);
        if settings.publish_metrics && !settings.maintain_counts {
            return Err(bad(
                "Can not publish a running storage metrics count to metrics without first \
                 maintaining that count.  Enable `maintain_stored_certificate_counts` to enable \
                 `publish_stored_certificate_count_metrics`.",
            ));
        }
        cx.edit().put_named(0, "", &settings)?;
        Ok(Reply::data(settings.shown()))
    }
}
