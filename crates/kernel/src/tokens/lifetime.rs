//! How long tokens and leases live.

use strongroom_base::Timestamp;
use strongroom_base::time::NANOS_PER_SECOND;

/// What bounds a token's or lease's life, in seconds; 0 is "not set".
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// What the caller asked for.
    pub asked: i64,
    /// Period of a periodic token.
    pub period: i64,
    /// The role's TTL.
    pub ttl: i64,
    /// The role's maximum.
    pub max_ttl: i64,
    /// The hard maximum.
    pub explicit_max_ttl: i64,
    /// The mount's default.
    pub mount_ttl: i64,
    /// The mount's maximum.
    pub mount_max_ttl: i64,
}

/// How long something made or renewed now lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Seconds from now.
    pub ttl: i64,
    /// When it ends: never after its maximum.
    pub expires: Timestamp,
    /// What was capped.
    pub warnings: Vec<String>,
}

/// The life that a token or lease made at `created` gets at `now`. Never beyond a maximum, and
/// never a second rounded down to zero, which would read as "forever" (threat CVE-2021-32923): what
/// is past its maximum gives `None`.
pub fn lifetime(bounds: Bounds, created: Timestamp, now: Timestamp) -> Option<Lifetime> {
    let least = |a: i64, b: i64| if a > 0 && (b <= 0 || a < b) { a } else { b };
    let max = least(bounds.explicit_max_ttl, least(bounds.max_ttl, bounds.mount_max_ttl));
    let mut warnings = Vec::new();
    let (mut ttl, limit) = if bounds.period > 0 {
        // A periodic token has no end but its explicit one.
        if max > 0 && bounds.period > max {
            warnings.push(format!(
                "period of \"{}\" exceeded the effective max_ttl of \"{}\"; period value is \
                 capped accordingly",
                human(bounds.period),
                human(max)
            ));
        }
        (least(bounds.period, max), bounds.explicit_max_ttl)
    } else {
        let asked = [bounds.asked, bounds.ttl, bounds.mount_ttl].into_iter().find(|ttl| *ttl > 0);
        (asked.unwrap_or(max), max)
    };
    if limit <= 0 {
        return (ttl > 0).then(|| Lifetime { ttl, expires: now.plus_seconds(ttl), warnings });
    }
    let age = (now.0 - created.0).max(0) / NANOS_PER_SECOND;
    let left = limit - age;
    let end = created.plus_seconds(limit);
    if left <= 0 || end <= now {
        return None;
    }
    if ttl > left {
        warnings.push(format!(
            "TTL of \"{}\" exceeded the effective max_ttl of \"{}\"; TTL value is capped \
             accordingly",
            human(ttl),
            human(left)
        ));
        ttl = left;
    }
    Some(Lifetime { ttl, expires: now.plus_seconds(ttl).min(end), warnings })
}

/// Go's text of a duration without its zero parts: `768h`, `1h30m`, `90s` as `1m30s`.
fn human(seconds: i64) -> String {
    let text = strongroom_base::duration::format_go_seconds(seconds);
    let text = match text.strip_suffix("m0s") {
        Some(rest) => format!("{rest}m"),
        None => text,
    };
    match text.find("h0m") {
        Some(at) => format!("{}{}", &text[..=at], &text[at + 3..]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp(0);

    fn at(bounds: Bounds, seconds: i64) -> Option<i64> {
        lifetime(bounds, T0, Timestamp::from_seconds(seconds)).map(|l| l.ttl)
    }

    #[test]
    fn a_life_never_passes_its_maximum() {
        // threat CVE-2021-32923
        let b = Bounds { asked: 7200, mount_ttl: 100, mount_max_ttl: 3600, ..Bounds::default() };
        let life = lifetime(b, T0, T0).unwrap();
        assert_eq!(life.ttl, 3600);
        assert_eq!(
            life.warnings,
            ["TTL of \"2h\" exceeded the effective max_ttl of \"1h\"; TTL value is capped \
              accordingly"]
        );
        for (seconds, ttl) in [(1, Some(3599)), (3599, Some(1)), (3600, None), (9999, None)] {
            assert_eq!(at(b, seconds), ttl, "after {seconds} s");
        }
        for asked in [3601, 3660, i64::MAX] {
            assert_eq!(at(Bounds { asked, ..b }, 0), Some(3600), "{asked} s asked for");
        }
        // Parts of a second do not add up beyond the maximum either.
        let late = lifetime(b, T0, Timestamp(3_599_400_000_000)).unwrap();
        assert_eq!((late.ttl, late.expires), (1, Timestamp::from_seconds(3600)));
    }

    #[test]
    fn the_least_maximum_counts() {
        for (max_ttl, explicit_max_ttl, mount_max_ttl, ttl) in
            [(10, 20, 30, 10), (20, 10, 30, 10), (30, 20, 10, 10), (0, 0, 10, 10), (0, 10, 0, 10)]
        {
            let b = Bounds { asked: 99, max_ttl, explicit_max_ttl, mount_max_ttl, ..b0() };
            assert_eq!(at(b, 0), Some(ttl), "{max_ttl} {explicit_max_ttl} {mount_max_ttl}");
        }
        // What asks for nothing and has no default gets its maximum; without one, nothing.
        assert_eq!(at(Bounds { mount_max_ttl: 5, ..b0() }, 0), Some(5));
        assert_eq!(at(b0(), 0), None);
    }

    fn b0() -> Bounds {
        Bounds::default()
    }

    #[test]
    fn periodic_tokens_have_no_maximum_but_the_explicit_one() {
        let b = Bounds { period: 60, mount_ttl: 10, mount_max_ttl: 3600, ..b0() };
        assert_eq!(at(b, 1_000_000), Some(60));
        let b = Bounds { explicit_max_ttl: 90, ..b };
        assert_eq!(at(b, 60), Some(30));
        assert_eq!(at(b, 90), None);
        let b = Bounds { period: 7200, mount_max_ttl: 3600, ..b0() };
        let life = lifetime(b, T0, T0).unwrap();
        assert_eq!((life.ttl, life.warnings.len()), (3600, 1));
    }

    #[test]
    fn durations_read_as_go_writes_them_short() {
        for (seconds, text) in
            [(0, "0s"), (90, "1m30s"), (60, "1m"), (3600, "1h"), (5400, "1h30m"), (3601, "1h1s")]
        {
            assert_eq!(human(seconds), text);
        }
    }
}
