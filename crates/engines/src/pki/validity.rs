//! When certificates begin and end.

use strongroom_base::duration::format_go_seconds;
use strongroom_base::{Result, Timestamp};
use strongroom_crypto::x509::{Certificate, rfc3339, rfc3339_seconds};

use super::bad;
use super::plan::Asked;
use super::role::Role;
use super::stored::NotAfter;

/// Seconds before now that certificates begin, where nothing else is said.
const BACKDATED_SECONDS: i64 = 30;

/// First and last second of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub not_before: i64,
    pub not_after: i64,
}

/// What bounds a certificate besides its role.
pub struct Bounds<'a> {
    /// Now.
    pub now: Timestamp,
    /// The mount's default and maximum, in seconds.
    pub ttls: (i64, i64),
    /// The issuer's certificate, and what becomes of what would outlive it; none where it is made
    /// for a root.
    pub issuer: Option<(&'a Certificate, NotAfter)>,
}

/// A time as requests write it.
fn time(text: &str) -> Result<i64> {
    rfc3339_seconds(text).ok_or_else(|| bad("a time is not of the form YYYY-MM-DDTHH:MM:SSZ"))
}

/// Refuses a role whose bounds are none.
pub fn check_bounds(role: &Role) -> Result<()> {
    let bound = role.not_after_bound.as_str();
    if !matches!(bound, "permit" | "ttl-limited" | "forbid") && time(bound).is_err() {
        return Err(bad(
            "Unknown value for field `not_after_bound`. Possible values are `permit`, \
             `ttl-limited`, `forbid`, or an explicit timestamp.",
        ));
    }
    if !matches!(role.not_before_bound.as_str(), "permit" | "duration" | "forbid") {
        return Err(bad(
            "Unknown value for field `not_before_bound`. Possible values are `permit` `duration` \
             or `forbid`",
        ));
    }
    for time_of_role in [&role.not_before, &role.not_after] {
        if !time_of_role.is_empty() {
            time(time_of_role)?;
        }
    }
    Ok(())
}

/// The validity that a role gives what was asked for, with warnings.
pub fn of(role: &Role, asked: &Asked, bounds: &Bounds<'_>) -> Result<(Validity, Vec<String>)> {
    let mut warnings = Vec::new();
    let not_before = not_before(role, asked, bounds)?;
    let not_after = not_after(role, asked, bounds, &mut warnings)?;
    let both = (rfc3339(not_before), rfc3339(not_after));
    if not_before > not_after {
        return Err(bad(format!(
            "The certificate's Not Before ({}) is later than the certificate's Not After ({})",
            both.0, both.1
        )));
    }
    if not_before == not_after {
        return Err(bad(format!(
            "The certificate's Not Before ({}) is equal to the certificate's Not After ({})",
            both.0, both.1
        )));
    }
    Ok((Validity { not_before, not_after }, warnings))
}

fn not_before(role: &Role, asked: &Asked, bounds: &Bounds<'_>) -> Result<i64> {
    let now = bounds.now.seconds();
    let usual = match role.not_before_duration.0 {
        seconds if seconds > 0 => now - seconds,
        _ => now - BACKDATED_SECONDS,
    };
    if !role.not_before.is_empty() {
        return time(&role.not_before);
    }
    let Some(wanted) = asked.not_before.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(usual);
    };
    match role.not_before_bound.as_str() {
        "forbid" => Err(bad("not_before_bound is set to forbid. not_before cannot be provided.")),
        "duration" => {
            let wanted = time(wanted)?;
            if wanted < now - role.not_before_duration.0 {
                return Err(bad(format!(
                    "not_before_bound is set to duration. Cannot satisfy request as it would \
                     result in notBefore of {} that is older than the allowed not_before_duration \
                     of {}",
                    rfc3339(wanted),
                    format_go_seconds(role.not_before_duration.0)
                )));
            }
            Ok(wanted)
        }
        _ => time(wanted),
    }
}

fn not_after(
    role: &Role,
    asked: &Asked,
    bounds: &Bounds<'_>,
    warnings: &mut Vec<String>,
) -> Result<i64> {
    let now = bounds.now.seconds();
    let bound = role.not_after_bound.as_str();
    let asked_end = asked.not_after.as_deref().filter(|text| !text.is_empty());
    let end = match (role.not_after.as_str(), asked_end) {
        ("", None) => None,
        ("", Some(_)) if bound == "forbid" => {
            return Err(bad("not_after_bound is set to forbid. not_after cannot be provided."));
        }
        ("", Some(asked)) => Some(time(asked)?),
        (of_role, _) => Some(time(of_role)?),
    };
    let wanted = asked.ttl.unwrap_or(0);
    if wanted < 0 {
        return Err(bad("ttl must not be below zero"));
    }
    if wanted > 0 && end.is_some() {
        return Err(bad(
            "Either ttl or not_after should be provided. Both should not be provided in the same \
             request.",
        ));
    }
    let ttl = ttl(role, wanted, bounds.ttls, warnings);
    if let (Some(end), "ttl-limited", "") = (end, bound, role.not_after.as_str())
        && end > now.saturating_add(ttl)
    {
        return Err(bad(format!(
            "not_after_bound is set to ttl-limited. Cannot satisfy request as that would result in \
             notAfter of {} that is beyond the TTL of {}",
            rfc3339(end),
            format_go_seconds(ttl)
        )));
    }
    let end = end.unwrap_or_else(|| now.saturating_add(ttl));
    let end = within_issuer(end, bounds)?;
    if let Ok(latest) = time(bound)
        && end > latest
    {
        return Err(bad(format!(
            "not_after_bound is set to {}. Cannot satisfy request as that would result in notAfter \
             of {} that is beyond it",
            rfc3339(latest),
            rfc3339(end)
        )));
    }
    Ok(end)
}

/// The lifetime, in seconds: what was asked for, the role's or the mount's, within the maximum of
/// the role or the mount.
fn ttl(role: &Role, wanted: i64, mount: (i64, i64), warnings: &mut Vec<String>) -> i64 {
    let first = |all: &[i64]| all.iter().copied().find(|ttl| *ttl > 0).unwrap_or(0);
    let ttl = first(&[wanted, role.ttl.0, mount.0]);
    let most = first(&[role.max_ttl.0, mount.1]);
    if most > 0 && ttl > most {
        warnings.push(format!(
            "TTL \"{}\" is longer than permitted maxTTL \"{}\", so maxTTL is being used",
            format_go_seconds(ttl),
            format_go_seconds(most)
        ));
        return most;
    }
    ttl
}

fn within_issuer(end: i64, bounds: &Bounds<'_>) -> Result<i64> {
    let Some((issuer, behaviour)) = bounds.issuer else { return Ok(end) };
    let now = bounds.now.seconds();
    if issuer.not_after <= now {
        return Err(bad(format!(
            "cannot satisfy request, as the CA certificate expired at {}",
            rfc3339(issuer.not_after)
        )));
    }
    if end <= issuer.not_after {
        return Ok(end);
    }
    match behaviour {
        NotAfter::Permit => Ok(end),
        NotAfter::Truncate => Ok(issuer.not_after),
        NotAfter::Err => Err(bad(format!(
            "cannot satisfy request, as TTL would result in notAfter of {} that is beyond the \
             expiration of the CA certificate at {}",
            rfc3339(end),
            rfc3339(issuer.not_after)
        ))),
    }
}
