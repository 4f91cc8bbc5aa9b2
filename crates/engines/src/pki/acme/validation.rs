//! Looking at what was promised, in the background.
//!
//! What is to be validated is on record, with when it is due. Each second the mount's work starts a
//! task for what is due, and writes down what the tasks before found: a task asks the outside and
//! touches no record. So nothing waits for a host that does not answer but its own validation, and a
//! crash loses no more than a look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use strongroom_base::Result;
use strongroom_kernel::plug::WriteCx;
use strongroom_kernel::record::ReadView;

use super::super::PkiEngine;
use super::config::resolver;
use super::limits;
use super::proof::{Claim, Unproved, look};
use super::stored::{
    AcmeConfig, Authorization, AuthorizationStatus, ChallengeKind, ChallengeStatus, Proved,
    Validation,
};

/// Looks at one time, of which a site has a part.
const LOOKS_MAX: usize = 32;
/// Looks that fail before a challenge does.
const FAILURES_MAX: u32 = 7;
/// Seconds until the next look, for each that failed.
const BACK_OFF_SECONDS: i64 = 5;
/// Seconds that what was proved counts.
const PROVED_SECONDS: i64 = 15 * 24 * 3_600;

/// The name of a validation's record.
pub(super) fn name(authorization: &str, kind: ChallengeKind) -> String {
    format!("{authorization}/{}", kind.name())
}

/// Tasks, and what they found.
#[derive(Default)]
pub(super) struct Crew {
    work: Mutex<Work>,
    /// Counted up where there may be something to do.
    calls: AtomicU64,
    /// The call up to which all was done. A new life begins with looking at the records.
    answered: Mutex<Option<u64>>,
}

#[derive(Default)]
struct Work {
    /// Who is being looked at, and for whom: see [`limits::site`].
    busy: BTreeMap<String, u64>,
    /// How many wait, or are looked at, for each site.
    waiting: BTreeMap<u64, usize>,
    /// What was found, until it is on record.
    found: BTreeMap<String, std::result::Result<(), Unproved>>,
}

impl Crew {
    /// There is something to do, for this site.
    pub fn wake(&self, site: u64) {
        *self.work.lock().waiting.entry(site).or_default() += 1;
        self.calls.fetch_add(1, Ordering::SeqCst);
    }

    /// How many wait for this site, as of the last look at all of them.
    pub fn waiting(&self, site: u64) -> usize {
        self.work.lock().waiting.get(&site).copied().unwrap_or(0)
    }

    fn finish(&self, name: &str, found: std::result::Result<(), Unproved>) {
        let mut work = self.work.lock();
        work.busy.remove(name);
        work.found.insert(name.to_owned(), found);
    }

    /// Takes a place for a look; false where somebody looks already, or nobody can. Hosts that do
    /// not answer keep their places for long: they do not get those of others.
    fn take(&self, name: &str, site: u64) -> bool {
        let mut work = self.work.lock();
        let of_site = work.busy.values().filter(|of| **of == site).count();
        if !limits::has_place(LOOKS_MAX, work.busy.len(), of_site)
            || work.found.contains_key(name)
            || work.busy.contains_key(name)
        {
            return false;
        }
        work.busy.insert(name.to_owned(), site);
        true
    }
}

impl PkiEngine {
    /// Starts looks that are due, and writes down what others found.
    pub(in super::super) async fn validate(&self, cx: &mut WriteCx<'_>) -> Result<()> {
        let crew = &self.acme.crew;
        let call = crew.calls.load(Ordering::SeqCst);
        if *crew.answered.lock() == Some(call) {
            return Ok(());
        }
        let found: Vec<(String, std::result::Result<(), Unproved>)> =
            crew.work.lock().found.iter().map(|(name, f)| (name.clone(), f.clone())).collect();
        for (name, found) in &found {
            write_down(cx, name, found).await?;
        }
        let left = self.start_due(cx).await?;
        let crew = crew.clone();
        let names: Vec<String> = found.into_iter().map(|(name, _)| name).collect();
        cx.after_commit(move |_| {
            let mut work = crew.work.lock();
            for name in &names {
                work.found.remove(name);
            }
            if !left && work.busy.is_empty() && work.found.is_empty() {
                *crew.answered.lock() = Some(call);
            }
        });
        Ok(())
    }

    /// Starts what is due; answers whether anything waits or is under way.
    async fn start_due(&self, cx: &WriteCx<'_>) -> Result<bool> {
        let view = cx.view();
        let names = view.names::<Validation>(0).await?;
        let mut waiting = BTreeMap::new();
        if names.is_empty() {
            self.acme.crew.work.lock().waiting = waiting;
            return Ok(false);
        }
        let config: Arc<AcmeConfig> = view.cached(0, "").await?.unwrap_or_default();
        let resolver = resolver(&config);
        for name in names.iter() {
            let Some(validation) = view.named::<Validation>(0, name).await? else { continue };
            *waiting.entry(validation.site).or_default() += 1;
            if validation.due > cx.now() || !self.acme.crew.take(name, validation.site) {
                continue;
            }
            let Some(authorization) = authorization(&view, &validation).await? else {
                self.acme.crew.finish(name, Ok(()));
                continue;
            };
            let claim = Claim {
                identifier: authorization.identifier,
                kind: validation.kind,
                key_authorization: validation.key_authorization,
                resolver,
            };
            let (crew, challenges) = (self.acme.crew.clone(), self.acme.challenges.clone());
            let name = name.clone();
            tokio::spawn(async move {
                let found = look(&*challenges, &claim).await;
                crew.finish(&name, found);
            });
        }
        self.acme.crew.work.lock().waiting = waiting;
        Ok(true)
    }
}

/// The authorization that a validation is of.
async fn authorization(
    view: &ReadView<'_>,
    validation: &Validation,
) -> Result<Option<Authorization>> {
    view.named::<Authorization>(validation.account, &validation.authorization).await
}

/// Writes down what a look found. What is over meanwhile stays as it is.
async fn write_down(
    cx: &mut WriteCx<'_>,
    name: &str,
    found: &std::result::Result<(), Unproved>,
) -> Result<()> {
    let view = cx.view();
    let Some(mut validation) = view.named::<Validation>(0, name).await? else { return Ok(()) };
    let edit = cx.edit();
    let authorization = authorization(&view, &validation).await?;
    let open = authorization.filter(|a| a.status == AuthorizationStatus::Pending);
    let Some(mut authorization) = open else {
        edit.delete_named::<Validation>(0, name);
        return Ok(());
    };
    let now = cx.now();
    for challenge in authorization.challenges.iter_mut().filter(|c| c.kind == validation.kind) {
        match found {
            Ok(()) => {
                challenge.status = ChallengeStatus::Valid;
                challenge.validated = Some(now);
                challenge.error = None;
                authorization.status = AuthorizationStatus::Valid;
                let expires = now.plus_seconds(PROVED_SECONDS);
                authorization.expires = Some(expires);
                let proved = Proved { authorization: validation.authorization.clone(), expires };
                let identifier = authorization.identifier.value();
                edit.put_named(validation.account, identifier, &proved)?;
            }
            Err((problem, detail)) => {
                challenge.error = Some((problem.name(), detail.clone()));
                if validation.failures + 1 >= FAILURES_MAX {
                    challenge.status = ChallengeStatus::Invalid;
                    authorization.status = AuthorizationStatus::Invalid;
                }
            }
        }
    }
    if authorization.status == AuthorizationStatus::Pending {
        validation.failures += 1;
        let wait = BACK_OFF_SECONDS * i64::from(validation.failures);
        validation.due = now.plus_seconds(wait);
        edit.put_named(0, name, &validation)?;
    } else {
        edit.delete_named::<Validation>(0, name);
        cx.effect("validate", format!("acme/authorization/{}", validation.authorization));
    }
    edit.put_named(validation.account, &validation.authorization, &authorization)
}
