//! Revocation lists.
//!
//! A list is made of records when it is read: [`CrlState`] says its number and until when it knows,
//! and a revocation record says when it happened. So nothing large is written with a revocation,
//! every node has the same list under the same number, and a list that was read once is remembered
//! until its number changes.
//!
//! Invariant: what a list of one number says never changes. A revocation is later than every list
//! there is, and what brings records or issuers away brings a new number.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::json;
use strongroom_base::{Error, Json, Result, Timestamp, fields, parse_duration};
use strongroom_crypto::x509::{CrlEntry, CrlTemplate, Extension, SignatureAlgorithm};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::record::ReadView;

use super::authority::{all_issuers, config, urls_of};
use super::stored::{
    CrlConfig, CrlState, Issuer, IssuersChanged, IssuersConfig, Revoked, Usage, authority_digest,
};
use super::{PkiEngine, bad, certificates};

/// The queue of everything that revokes, or makes lists.
pub const QUEUE: &str = "crl";

/// Revocations that are read at once.
const PAGE: usize = 1_000;
/// Entries of a list that is signed beside other requests.
const LARGE: usize = 1_000;

/// Which list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// All that is revoked.
    Complete,
    /// What was revoked since the complete one.
    Delta,
}

/// A list, and the number it has.
pub struct Built {
    number: u64,
    der: Vec<u8>,
}

fields! {
    /// Makes new complete lists.
    pub struct RotateCrl {}
}
fields! {
    /// Makes new delta lists.
    pub struct RotateDelta {}
}
fields! {
    /// Shows the settings of revocation lists.
    pub struct ReadCrlConfig {}
}
fields! {
    /// Changes the settings of revocation lists. What is not said stays as it was.
    pub struct WriteCrlConfig {
        /// How long a list counts.
        expiry: Option<String>,
        /// No lists at all?
        disable: Option<bool>,
        /// No OCSP?
        ocsp_disable: Option<bool>,
        /// How long an OCSP answer counts.
        ocsp_expiry: Option<String>,
        /// Are lists made in good time, and not with each revocation?
        auto_rebuild: Option<bool>,
        /// How long before its end a list is made anew.
        auto_rebuild_grace_period: Option<String>,
        /// Are there delta lists?
        enable_delta: Option<bool>,
        /// How often delta lists are made.
        delta_rebuild_interval: Option<String>,
        /// May expired certificates be revoked?
        allow_expired_cert_revocation: Option<bool>,
    }
}

ops! {
    RotateCrl Json, Read;
    RotateDelta Json, Read;
    ReadCrlConfig Json, Read;
    WriteCrlConfig Json, Write;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.command::<RotateCrl>("crl/rotate")
        .command::<RotateDelta>("crl/rotate-delta")
        .query::<ReadCrlConfig>("config/crl")
        .command::<WriteCrlConfig>("config/crl")
}

/// A duration of the settings, in seconds.
pub fn seconds(text: &str) -> i64 {
    parse_duration(text).unwrap_or(0)
}

/// There are new complete lists from now on.
pub async fn renew(cx: &WriteCx<'_>) -> Result<()> {
    let edit = cx.edit();
    let mut state = edit.named::<CrlState>(0, "").await?.unwrap_or_default();
    state.last_number += 1;
    state.number = state.last_number;
    state.at = cx.now().max(state.at).max(state.revoked_at);
    // With it begins an empty delta list: those who look for one always find one.
    let deltas = config::<CrlConfig>(&edit).await?.enable_delta;
    state.last_number += u64::from(deltas);
    state.delta_number = if deltas { state.last_number } else { 0 };
    state.delta_at = if deltas { state.at } else { Timestamp::ZERO };
    edit.put_named(0, "", &state)
}

/// Issuers came or went, or are to be used otherwise: their lists are others.
pub async fn issuers_changed(cx: &WriteCx<'_>) -> Result<()> {
    cx.edit().put_named(0, "", &IssuersChanged { at: cx.now() })?;
    renew(cx).await
}

/// There are new delta lists from now on, if there is anything for them.
pub async fn renew_delta(cx: &WriteCx<'_>) -> Result<()> {
    let edit = cx.edit();
    let mut state = edit.named::<CrlState>(0, "").await?.unwrap_or_default();
    state.last_number += 1;
    state.delta_number = state.last_number;
    state.delta_at = cx.now().max(state.at).max(state.revoked_at);
    edit.put_named(0, "", &state)
}

/// What makes itself: lists before they end, delta lists when something was revoked.
pub async fn keep(cx: &mut WriteCx<'_>) -> Result<()> {
    let settings: CrlConfig = config(&cx.view()).await?;
    if !settings.auto_rebuild || settings.disable {
        return Ok(());
    }
    let state: CrlState = config(&cx.view()).await?;
    let now = cx.now();
    let grace = seconds(&settings.auto_rebuild_grace_period);
    let due = state.at.plus_seconds((seconds(&settings.expiry) - grace).max(1));
    if now >= due {
        cx.queue(QUEUE).await;
        return renew(cx).await;
    }
    let known = state.delta_at.max(state.at);
    let delta_due = known.plus_seconds(seconds(&settings.delta_rebuild_interval).max(1));
    if settings.enable_delta && state.revoked_at > known && now >= delta_due {
        cx.queue(QUEUE).await;
        return renew_delta(cx).await;
    }
    Ok(())
}

impl PkiEngine {
    /// An issuer's list, in DER. None where it has none: lists are off, the issuer may not sign
    /// them or has no key, or there is no delta list.
    pub(super) async fn list(
        &self,
        cx: &ReadCx<'_>,
        id: &str,
        issuer: &Issuer,
        kind: Kind,
    ) -> Result<Option<Vec<u8>>> {
        let view = cx.view();
        let state: CrlState = config(&view).await?;
        let number = match kind {
            Kind::Complete => state.number,
            Kind::Delta => state.delta_number,
        };
        if number == 0 {
            return Ok(None);
        }
        if issuer.key_id.is_empty() || !issuer.may(Usage::SignLists) {
            // One with the same key and name makes the same list.
            let Some((twin, record)) = self.twin(&view, id, issuer).await? else { return Ok(None) };
            return Box::pin(self.list(cx, &twin, &record, kind)).await;
        }
        let key = (id.to_owned(), kind);
        let known = || self.lists.get(&key).filter(|built| built.number == number);
        if let Some(built) = known() {
            return Ok(Some(built.der.clone()));
        }
        // One of many that ask at once makes it; the others wait for that.
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let at = hasher.finish() as usize % self.makers.len();
        let Some(maker) = self.makers.get(at) else { return Ok(None) };
        let _turn = maker.lock().await;
        if let Some(built) = known() {
            return Ok(Some(built.der.clone()));
        }
        self.lists.remove(&key);
        let fill = async || {
            let der = self.build(cx, id, issuer, kind, &state).await?;
            Ok(Some(Built { number, der }))
        };
        match self.lists.get_or_fill(&key, fill).await? {
            Some(built) if built.number == number => Ok(Some(built.der.clone())),
            // Another request, of another number, was faster.
            _ => self.build(cx, id, issuer, kind, &state).await.map(Some),
        }
    }

    /// Another issuer with the same key and name, that signs lists.
    async fn twin(
        &self,
        view: &ReadView<'_>,
        id: &str,
        issuer: &Issuer,
    ) -> Result<Option<(String, Arc<Issuer>)>> {
        let own = self.certificate(id, issuer).await?;
        let own = authority_digest(&own);
        for (other, record) in all_issuers(view).await? {
            if other == id || record.key_id.is_empty() || !record.may(Usage::SignLists) {
                continue;
            }
            let certificate = self.certificate(&other, &record).await?;
            if authority_digest(&certificate) == own {
                return Ok(Some((other, record)));
            }
        }
        Ok(None)
    }

    async fn build(
        &self,
        cx: &ReadCx<'_>,
        id: &str,
        issuer: &Issuer,
        kind: Kind,
        state: &CrlState,
    ) -> Result<Vec<u8>> {
        let view = cx.view();
        let settings: CrlConfig = config(&view).await?;
        let (from, to) = match kind {
            Kind::Complete => (Timestamp::ZERO, state.at),
            Kind::Delta => (state.at, state.delta_at),
        };
        let entries = match settings.disable {
            true => Vec::new(),
            false => self.entries(&view, id, issuer, (from, to)).await?,
        };
        let key = self.private_key(&view, &issuer.key_id).await?;
        let certificate = self.certificate(id, issuer).await?;
        let authority_id = match certificate.subject_key_id() {
            Some(id) => id.to_vec(),
            None => strongroom_crypto::x509::key_id(&certificate.spki).map_err(super::damaged)?,
        };
        let mut extensions = vec![Extension::authority_key_id(&authority_id)];
        match kind {
            Kind::Complete => {
                extensions.push(Extension::crl_number(state.number));
                let urls = urls_of(&view, id, issuer).await.unwrap_or_default();
                if !urls.delta_crl_distribution_points.is_empty() {
                    let points = Extension::freshest_crl(&urls.delta_crl_distribution_points);
                    extensions.push(points.map_err(super::plan::malformed)?);
                }
            }
            Kind::Delta => {
                extensions.push(Extension::crl_number(state.delta_number));
                extensions.push(Extension::delta_indicator(state.number));
            }
        }
        let usual = SignatureAlgorithm::for_key(key.key_type(), 0, false);
        let chosen = SignatureAlgorithm::by_name(&issuer.revocation_algorithm);
        let algorithm = chosen.filter(|a| a.fits(key.key_type())).unwrap_or(usual);
        let large = entries.len() > LARGE;
        let template = CrlTemplate {
            issuer: certificate.subject.clone(),
            this_update: to.seconds(),
            next_update: to.seconds() + seconds(&settings.expiry).max(1),
            entries,
            extensions,
        };
        match large {
            // Writing and hashing it takes a core for a while.
            true => cx.heavy(move || template.sign(&key, algorithm)).await?,
            false => template.sign(&key, algorithm),
        }
    }

    /// What is revoked of an issuer, and of those with the same key and name. The default issuer's
    /// list has also what no issuer is known of.
    async fn entries(
        &self,
        view: &ReadView<'_>,
        id: &str,
        issuer: &Issuer,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<CrlEntry>> {
        let within = |at: Timestamp| at > from && at <= to;
        let own = self.certificate(id, issuer).await?;
        let (own_digest, is_root) = (authority_digest(&own), own.is_self_signed());
        let default = config::<IssuersConfig>(view).await?.default;
        let mut known = Vec::new();
        let mut default_is_same = false;
        let mut entries = Vec::new();
        for (other, record) in all_issuers(view).await? {
            let certificate = self.certificate(&other, &record).await?;
            let digest = authority_digest(&certificate);
            if digest == own_digest {
                default_is_same |= other == default;
            } else if let Some(at) = record.revoked.filter(|at| within(*at))
                && certificate.is_issued_by(&own)
            {
                entries.push(CrlEntry::new(certificate.serial().to_vec(), at.seconds()));
            }
            known.push(digest);
        }
        let issuers = entries.len();
        let mut cursor = Some(Vec::new());
        // Not noted as read: what is revoked meanwhile is on the next list.
        while let Some(at) = cursor {
            let (page, next) = view.peek::<Revoked>(0, &at, PAGE).await?;
            cursor = next;
            for (name, revoked) in page {
                let orphan = !known.contains(&revoked.authority);
                let ours = revoked.authority == own_digest || orphan && default_is_same;
                if !ours || !within(revoked.at) {
                    continue;
                }
                let serial = hex_bytes(certificates::serial_of(&name))
                    .ok_or_else(|| Error::internal("a serial number"))?;
                // No root is on its own list (RFC 5280 §5: it could not be believed), and an issuer
                // that was also revoked by its number is there already. An intermediate's own number
                // is its parent's, and may be one of its own as well.
                let is_own = is_root && serial == own.serial();
                if !is_own && !entries.iter().take(issuers).any(|e| e.serial == serial) {
                    entries.push(CrlEntry::new(serial, revoked.at.seconds()));
                }
            }
        }
        Ok(entries)
    }
}

/// Bytes of a serial number in its text form.
fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    text.split(':').map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

impl Command<RotateCrl> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, _: RotateCrl) -> Result<Reply<Json>> {
        cx.queue(QUEUE).await;
        renew(cx).await?;
        Ok(Reply::data(json!({ "success": true })))
    }
}

impl Command<RotateDelta> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, _: RotateDelta) -> Result<Reply<Json>> {
        cx.queue(QUEUE).await;
        let reply = Reply::data(json!({ "success": true }));
        if config::<CrlConfig>(&cx.view()).await?.enable_delta {
            renew_delta(cx).await?;
            return Ok(reply);
        }
        Ok(reply
            .warn("requested rebuild of delta CRL when delta CRL is not enabled; this is a no-op"))
    }
}

fn shown(settings: &CrlConfig) -> Json {
    json!({
        "expiry": settings.expiry,
        "disable": settings.disable,
        "ocsp_disable": settings.ocsp_disable,
        "ocsp_expiry": settings.ocsp_expiry,
        "auto_rebuild": settings.auto_rebuild,
        "auto_rebuild_grace_period": settings.auto_rebuild_grace_period,
        "enable_delta": settings.enable_delta,
        "delta_rebuild_interval": settings.delta_rebuild_interval,
        "allow_expired_cert_revocation": settings.allow_expired,
    })
}

impl Query<ReadCrlConfig> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadCrlConfig) -> Result<Reply<Json>> {
        Ok(Reply::data(shown(&config(&cx.view()).await?)))
    }
}

impl Command<WriteCrlConfig> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: WriteCrlConfig) -> Result<Reply<Json>> {
        cx.queue(QUEUE).await;
        let old: CrlConfig = config(&cx.view()).await?;
        let mut new = old.clone();
        for (name, given, own) in [
            ("expiry", op.expiry, &mut new.expiry),
            ("ocsp_expiry", op.ocsp_expiry, &mut new.ocsp_expiry),
            (
                "auto_rebuild_grace_period",
                op.auto_rebuild_grace_period,
                &mut new.auto_rebuild_grace_period,
            ),
            ("delta_rebuild_interval", op.delta_rebuild_interval, &mut new.delta_rebuild_interval),
        ] {
            let Some(given) = given else { continue };
            match parse_duration(&given) {
                Some(seconds) if seconds >= 0 => *own = given,
                _ => return Err(bad(format!("given {name} could not be decoded"))),
            }
        }
        for (given, own) in [
            (op.disable, &mut new.disable),
            (op.ocsp_disable, &mut new.ocsp_disable),
            (op.auto_rebuild, &mut new.auto_rebuild),
            (op.enable_delta, &mut new.enable_delta),
            (op.allow_expired_cert_revocation, &mut new.allow_expired),
        ] {
            *own = given.unwrap_or(*own);
        }
        check(&new)?;
        cx.edit().put_named(0, "", &new)?;
        let others = old.disable != new.disable
            || old.auto_rebuild && !new.auto_rebuild
            || old.enable_delta != new.enable_delta
            || old.expiry != new.expiry;
        if others {
            renew(cx).await?;
        }
        Ok(Reply::data(shown(&new)))
    }
}

fn check(settings: &CrlConfig) -> Result<()> {
    let expiry = seconds(&settings.expiry);
    if settings.auto_rebuild && seconds(&settings.auto_rebuild_grace_period) >= expiry {
        return Err(bad(
            "CRL auto-rebuilding grace period must be strictly shorter than CRL expiry value when \
             auto-rebuilding of CRLs is enabled",
        ));
    }
    if settings.enable_delta && seconds(&settings.delta_rebuild_interval) >= expiry {
        return Err(bad(
            "CRL delta rebuild window must be strictly shorter than CRL expiry value when delta \
             CRLs are enabled",
        ));
    }
    if settings.enable_delta && !settings.auto_rebuild {
        return Err(bad(
            "Delta CRLs cannot be enabled when auto rebuilding is disabled as the complete CRL is \
             always regenerated!",
        ));
    }
    Ok(())
}
