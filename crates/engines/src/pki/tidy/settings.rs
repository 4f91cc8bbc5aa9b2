//! What a run of tidying does, and when one begins by itself.

use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_base::duration::format_go_seconds;
use strongroom_base::{Json, Result, Timestamp, fields, parse_duration};
use strongroom_kernel::record::Record;

use super::super::bad;
use super::super::role::Seconds;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// The longest time that can be set.
const SECONDS_MAX: i64 = 100 * 365 * DAY;
/// Certificates of one piece, at least.
const PAGE_MIN: i64 = 5;

/// What to tidy, and how.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct TidyConfig {
    /// Does a run begin by itself?
    pub enabled: bool,
    /// Seconds between two runs that begin by themselves.
    pub interval: i64,
    /// Expired certificates.
    pub cert_store: bool,
    /// Revocations of expired certificates.
    pub revoked_certs: bool,
    /// Entries without a certificate.
    pub invalid_certs: bool,
    /// Issuers of revocations, where they are not known.
    pub issuer_associations: bool,
    /// Expired issuers.
    pub expired_issuers: bool,
    /// There is no bundle of former times here.
    pub move_legacy_ca_bundle: bool,
    /// Accounts and orders of ACME.
    pub acme: bool,
    /// Seconds that a certificate stays after its end.
    pub safety_buffer: i64,
    /// Seconds that a revocation stays after its certificate's end; none is the same.
    pub revoked_safety_buffer: Option<i64>,
    /// Seconds that an issuer stays after its end.
    pub issuer_safety_buffer: i64,
    /// Seconds that an account of ACME stays.
    pub acme_account_safety_buffer: i64,
    /// Seconds between two certificates.
    pub pause: i64,
    /// Certificates of one piece.
    pub page_size: i64,
    /// Are certificates counted?
    pub maintain_counts: bool,
    /// Are the counts among the metrics?
    pub publish_metrics: bool,
    /// When automatic runs were turned on.
    pub enabled_at: Timestamp,
}

impl Record for TidyConfig {
    const KIND: u8 = 14;
}

impl Default for TidyConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            interval: 12 * HOUR,
            cert_store: false,
            revoked_certs: false,
            invalid_certs: false,
            issuer_associations: false,
            expired_issuers: false,
            move_legacy_ca_bundle: false,
            acme: false,
            safety_buffer: 72 * HOUR,
            revoked_safety_buffer: None,
            issuer_safety_buffer: 365 * DAY,
            acme_account_safety_buffer: 30 * DAY,
            pause: 0,
            page_size: 1_000,
            maintain_counts: false,
            publish_metrics: false,
            enabled_at: Timestamp::ZERO,
        }
    }
}

fields! {
    /// What to tidy, and how.
    pub struct TidyFields {
        /// Expired certificates?
        tidy_cert_store: Option<bool>,
        /// Revocations of expired certificates?
        tidy_revoked_certs (tidy_revocation_list): Option<bool>,
        /// Entries without a certificate?
        tidy_invalid_certs: Option<bool>,
        /// Issuers of revocations, where they are not known?
        tidy_revoked_cert_issuer_associations: Option<bool>,
        /// Expired issuers?
        tidy_expired_issuers: Option<bool>,
        /// There is no bundle of former times here: nothing follows.
        tidy_move_legacy_ca_bundle: Option<bool>,
        /// Accounts and orders of ACME?
        tidy_acme: Option<bool>,
        /// How long a certificate stays after its end.
        safety_buffer: Option<Seconds>,
        /// How long a revocation stays after its certificate's end.
        revoked_safety_buffer: Option<Seconds>,
        /// How long an issuer stays after its end.
        issuer_safety_buffer: Option<Seconds>,
        /// How long an account of ACME stays.
        acme_account_safety_buffer: Option<Seconds>,
        /// How long to wait between two certificates.
        pause_duration: Option<String>,
        /// Certificates of one piece.
        page_size: Option<i64>,
    }
}

impl TidyConfig {
    /// Is there anything to tidy?
    pub fn tidies(&self) -> bool {
        self.cert_store
            || self.revoked_certs
            || self.invalid_certs
            || self.issuer_associations
            || self.expired_issuers
            || self.move_legacy_ca_bundle
            || self.acme
    }

    /// What [`TidyConfig::tidies`] asks about, for texts.
    pub const WHAT: &'static str = "tidy_cert_store / tidy_revoked_certs / tidy_invalid_certs / \
                                    tidy_revoked_cert_issuer_associations / tidy_expired_issuers / \
                                    tidy_move_legacy_ca_bundle / tidy_acme";

    /// Applies what was said.
    pub fn apply(&mut self, given: TidyFields) -> Result<()> {
        for (given, own) in [
            (given.tidy_cert_store, &mut self.cert_store),
            (given.tidy_revoked_certs, &mut self.revoked_certs),
            (given.tidy_invalid_certs, &mut self.invalid_certs),
            (given.tidy_revoked_cert_issuer_associations, &mut self.issuer_associations),
            (given.tidy_expired_issuers, &mut self.expired_issuers),
            (given.tidy_move_legacy_ca_bundle, &mut self.move_legacy_ca_bundle),
            (given.tidy_acme, &mut self.acme),
        ] {
            *own = given.unwrap_or(*own);
        }
        for (name, given, own) in [
            ("safety_buffer", given.safety_buffer, &mut self.safety_buffer),
            ("issuer_safety_buffer", given.issuer_safety_buffer, &mut self.issuer_safety_buffer),
            (
                "acme_account_safety_buffer",
                given.acme_account_safety_buffer,
                &mut self.acme_account_safety_buffer,
            ),
        ] {
            if let Some(Seconds(seconds)) = given {
                *own = positive(name, seconds)?;
            }
        }
        if let Some(Seconds(seconds)) = given.revoked_safety_buffer {
            self.revoked_safety_buffer = Some(positive("revoked_safety_buffer", seconds)?);
        }
        if let Some(text) = given.pause_duration.filter(|text| !text.is_empty()) {
            let pause = parse_duration(&text);
            self.pause = pause.ok_or_else(|| bad("unable to parse given pause_duration"))?;
            if self.pause < 0 {
                return Err(bad("received invalid, negative pause_duration"));
            }
        }
        if let Some(size) = given.page_size {
            if size < PAGE_MIN {
                return Err(bad(format!("page_size must be at least {PAGE_MIN}")));
            }
            self.page_size = size;
        }
        Ok(())
    }

    /// Seconds that a revocation stays after its certificate's end.
    pub fn revoked_buffer(&self) -> i64 {
        self.revoked_safety_buffer.unwrap_or(self.safety_buffer)
    }

    /// As answers show it.
    pub fn shown(&self) -> Json {
        json!({
            "enabled": self.enabled,
            "interval_duration": self.interval,
            "tidy_cert_store": self.cert_store,
            "tidy_revoked_certs": self.revoked_certs,
            "tidy_invalid_certs": self.invalid_certs,
            "tidy_revoked_cert_issuer_associations": self.issuer_associations,
            "tidy_expired_issuers": self.expired_issuers,
            "tidy_move_legacy_ca_bundle": self.move_legacy_ca_bundle,
            "tidy_acme": self.acme,
            "safety_buffer": self.safety_buffer,
            "revoked_safety_buffer": self.revoked_buffer(),
            "issuer_safety_buffer": self.issuer_safety_buffer,
            "acme_account_safety_buffer": self.acme_account_safety_buffer,
            "pause_duration": format_go_seconds(self.pause),
            "page_size": self.page_size,
            "publish_stored_certificate_count_metrics": self.publish_metrics,
            "maintain_stored_certificate_counts": self.maintain_counts,
        })
    }
}

fn positive(name: &str, seconds: i64) -> Result<i64> {
    if seconds < 1 {
        return Err(bad(format!("{name} must be greater than zero")));
    }
    if seconds > SECONDS_MAX {
        return Err(bad(format!("{name} must be a hundred years at most")));
    }
    Ok(seconds)
}
