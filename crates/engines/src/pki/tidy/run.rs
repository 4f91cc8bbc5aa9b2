//! A run: which of its parts it is at, and how far it is there.

use serde::{Deserialize, Serialize};
use strongroom_base::{Result, Timestamp};
use strongroom_kernel::plug::WriteCx;
use strongroom_kernel::record::{Record, rows};

use super::super::acme::tidy::{Buffers, Tidied, step as acme_step};
use super::super::authority::config;
use super::super::import::QUEUE;
use super::super::stored::{Issuer, Revoked, Stored};
use super::super::{PkiEngine, crl, issuers};
use super::settings::TidyConfig;

/// Certificates of one transaction, whatever is set.
const PIECE_MAX: i64 = 1_000;

/// What a run is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum State {
    /// There was none.
    #[default]
    Inactive,
    /// It goes on.
    Running,
    /// It is done.
    Finished,
    /// Someone stopped it.
    Cancelled,
}

impl State {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inactive => "Inactive",
            Self::Running => "Running",
            Self::Finished => "Finished",
            Self::Cancelled => "Cancelled",
        }
    }
}

/// The parts of a run, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Part {
    /// Certificates.
    #[default]
    Certificates,
    /// Revocations.
    Revocations,
    /// Issuers.
    Issuers,
    /// Accounts and orders of ACME.
    Acme,
    /// Nothing is left.
    Done,
}

/// The latest run of a mount.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TidyRun {
    pub state: State,
    pub config: TidyConfig,
    pub started: Timestamp,
    pub finished: Timestamp,
    pub part: Part,
    /// How far it is in its part.
    pub cursor: Vec<u8>,
    pub certificates_deleted: u64,
    pub revocations_deleted: u64,
    pub missing_issuers: u64,
    /// Are there to be new lists?
    pub lists_changed: bool,
    /// When a run that began by itself ended last.
    pub auto_finished: Timestamp,
    pub automatic: bool,
    /// What was done of ACME's.
    #[serde(default)]
    pub acme: Tidied,
}

impl Record for TidyRun {
    const KIND: u8 = 15;
}

impl TidyRun {
    /// Begins a new run after this one.
    pub fn begin(&self, config: TidyConfig, now: Timestamp, automatic: bool) -> Self {
        Self {
            state: State::Running,
            config,
            started: now,
            auto_finished: self.auto_finished,
            automatic,
            ..Self::default()
        }
    }
}

/// Does a piece of the run there is, or begins one whose time has come; true where more is left.
pub async fn go_on(engine: &PkiEngine, cx: &mut WriteCx<'_>) -> Result<bool> {
    let mut run: TidyRun = config(&cx.view()).await?;
    if run.state != State::Running {
        let settings: TidyConfig = config(&cx.view()).await?;
        let last = run.started.max(run.finished).max(settings.enabled_at);
        let due = last.plus_seconds(settings.interval.max(1));
        if !settings.enabled || !settings.tidies() || cx.now() < due {
            return Ok(false);
        }
        run = run.begin(settings, cx.now(), true);
    }
    let limit = match run.config.pause {
        0 => run.config.page_size.clamp(1, PIECE_MAX),
        // As many as there are pauses between two looks.
        pause => (super::super::RECONCILE_SECONDS / pause).clamp(1, PIECE_MAX),
    };
    let limit = usize::try_from(limit).unwrap_or(1);
    match run.part {
        Part::Certificates => certificates(cx, &mut run, limit).await?,
        Part::Revocations => revocations(engine, cx, &mut run, limit).await?,
        Part::Issuers => expired_issuers(engine, cx, &mut run).await?,
        Part::Acme => acme(cx, &mut run).await?,
        Part::Done => {}
    }
    if std::mem::take(&mut run.lists_changed) {
        // With each piece: what a list of one number says never changes.
        cx.queue(crl::QUEUE).await;
        crl::renew(cx).await?;
    }
    if run.part == Part::Done {
        run.state = State::Finished;
        run.finished = cx.now();
        if run.automatic {
            run.auto_finished = cx.now();
        }
    }
    let more = run.state == State::Running && run.config.pause == 0;
    cx.edit().put_named(0, "", &run)?;
    Ok(more)
}

fn next(run: &mut TidyRun, cursor: Option<Vec<u8>>, part: Part) {
    match cursor {
        Some(cursor) => run.cursor = cursor,
        None => {
            run.cursor = Vec::new();
            run.part = part;
        }
    }
}

/// Expired certificates, and entries without one. A revoked one stays as long as revocations do.
async fn certificates(cx: &WriteCx<'_>, run: &mut TidyRun, limit: usize) -> Result<()> {
    if !run.config.cert_store && !run.config.invalid_certs {
        next(run, None, Part::Revocations);
        return Ok(());
    }
    let edit = cx.edit();
    let now = cx.now().seconds();
    let (page, cursor) = edit.peek::<Stored>(0, &run.cursor, limit).await?;
    for (serial, _) in page {
        let Some(stored) = edit.named::<Stored>(0, &serial).await? else { continue };
        let over = |buffer: i64| stored.not_after.saturating_add(buffer) < now;
        let expired = run.config.cert_store
            && (over(run.config.safety_buffer) || over(run.config.revoked_buffer()))
            && match edit.named::<Revoked>(0, &serial).await? {
                Some(_) => over(run.config.revoked_buffer()),
                None => over(run.config.safety_buffer),
            };
        let invalid =
            run.config.invalid_certs && edit.row_bytes(rows::VALUES, stored.row).await?.is_none();
        if !expired && !invalid {
            continue;
        }
        edit.delete_row(rows::VALUES, stored.row);
        edit.delete_named::<Stored>(0, &serial);
        run.certificates_deleted += 1;
    }
    next(run, cursor, Part::Revocations);
    Ok(())
}

/// Revocations of expired certificates; and issuers of those that lack one.
async fn revocations(
    engine: &PkiEngine,
    cx: &WriteCx<'_>,
    run: &mut TidyRun,
    limit: usize,
) -> Result<()> {
    if !run.config.revoked_certs && !run.config.issuer_associations {
        next(run, None, Part::Issuers);
        return Ok(());
    }
    let edit = cx.edit();
    let now = cx.now().seconds();
    let (page, cursor) = edit.peek::<Revoked>(0, &run.cursor, limit).await?;
    for (serial, _) in page {
        let Some(mut revoked) = edit.named::<Revoked>(0, &serial).await? else { continue };
        if run.config.revoked_certs
            && revoked.not_after.saturating_add(run.config.revoked_buffer()) < now
        {
            if let Some(stored) = edit.named::<Stored>(0, &serial).await? {
                edit.delete_row(rows::VALUES, stored.row);
                edit.delete_named::<Stored>(0, &serial);
            }
            edit.delete_named::<Revoked>(0, &serial);
            run.revocations_deleted += 1;
            run.lists_changed = true;
            continue;
        }
        let known = edit.cached::<Issuer>(0, &revoked.issuer).await?.is_some();
        if !run.config.issuer_associations || known {
            continue;
        }
        let certificate = super::super::certificates::find(&edit, &serial).await?;
        let issuer = match certificate {
            Some(certificate) => engine.issuer_of(cx, &certificate).await?,
            None => None,
        };
        match issuer {
            Some((issuer, authority)) => {
                revoked.issuer = issuer;
                revoked.authority = authority;
                edit.put_named(0, &serial, &revoked)?;
                run.lists_changed = true;
            }
            None => run.missing_issuers += 1,
        }
    }
    next(run, cursor, Part::Issuers);
    Ok(())
}

/// Issuers that expired long ago, but for the default one. Their keys stay.
async fn expired_issuers(
    engine: &PkiEngine,
    cx: &mut WriteCx<'_>,
    run: &mut TidyRun,
) -> Result<()> {
    if run.config.expired_issuers {
        cx.queue(QUEUE).await;
        let edit = cx.edit();
        let latest = cx.now().seconds().saturating_sub(run.config.issuer_safety_buffer);
        let mut roster = engine.roster(&edit).await?;
        let expired: Vec<String> = roster
            .links
            .iter()
            .filter(|link| link.certificate.not_after < latest)
            .filter(|link| link.id != roster.issuers.default)
            .map(|link| link.id.clone())
            .collect();
        for id in &expired {
            issuers::delete(cx, &mut roster, id).await?;
            run.lists_changed = true;
        }
        roster.save(&edit)?;
    }
    next(run, None, Part::Acme);
    Ok(())
}

/// Orders that are over, and accounts that nobody uses.
async fn acme(cx: &WriteCx<'_>, run: &mut TidyRun) -> Result<()> {
    let mut cursor = None;
    if run.config.acme {
        let buffers = Buffers {
            orders: run.config.safety_buffer,
            accounts: run.config.acme_account_safety_buffer,
        };
        let (next, done) = acme_step(cx, &run.cursor, buffers).await?;
        run.acme.add(done);
        cursor = next;
    }
    next(run, cursor, Part::Done);
    Ok(())
}
