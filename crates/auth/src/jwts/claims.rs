//! What the registered claims of a token say (RFC 7519 §4.1).

use strongroom_base::{Json, JsonMap, Timestamp};

/// Seconds that a token without `exp` or `nbf` is taken to live after or before its other times.
pub const DEFAULT_LEEWAY: i64 = 150;
/// Seconds that clocks may differ.
pub const DEFAULT_SKEW: i64 = 60;

/// Seconds of leeway; 0 stands for the default, a negative number for none (OpenBao's
/// `expiration_leeway`, `not_before_leeway` and `clock_skew_leeway`).
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Leeways {
    /// For tokens without `exp`.
    pub expiration: i64,
    /// For tokens without `nbf` and `iat`.
    pub not_before: i64,
    /// On each comparison.
    pub clock_skew: i64,
}

fn or_default(seconds: i64, default: i64) -> i64 {
    match seconds {
        0 => default,
        seconds => seconds.max(0),
    }
}

/// A time of a token, in whole seconds (RFC 7519 §2, NumericDate); `Err` if it is no number.
pub fn time(claims: &JsonMap, name: &str) -> Result<Option<i64>, &'static str> {
    match claims.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(value) => {
            let number = value.as_i64().or_else(|| value.as_f64().map(|f| f as i64));
            number.map(Some).ok_or("a time of the token is no number")
        }
    }
}

/// Does the token live at `now`?
pub fn check_times(claims: &JsonMap, now: Timestamp, leeways: Leeways) -> Result<(), &'static str> {
    let given = |name| time(claims, name).map(|seconds| seconds.filter(|s| *s != 0));
    let (exp, nbf, iat) = (given("exp")?, given("nbf")?, given("iat")?);
    if exp.is_none() && nbf.is_none() && iat.is_none() {
        return Err(
            "no issued at (iat), not before (nbf), or expiration time (exp) claims in token",
        );
    }
    let before = or_default(leeways.not_before, DEFAULT_LEEWAY);
    let after = or_default(leeways.expiration, DEFAULT_LEEWAY);
    let skew = or_default(leeways.clock_skew, DEFAULT_SKEW);
    let latest = iat.unwrap_or(0).max(nbf.unwrap_or(0));
    let exp = exp.unwrap_or_else(|| latest.saturating_add(after));
    let nbf = nbf.or(iat).unwrap_or_else(|| exp.saturating_sub(before));
    let now = now.seconds();
    if now.saturating_add(skew) < nbf {
        return Err("invalid not before (nbf) claim: token not yet valid");
    }
    if now.saturating_sub(skew) > exp {
        return Err("invalid expiration time (exp) claim: token is expired");
    }
    if iat.is_some_and(|iat| now.saturating_add(skew) < iat) {
        return Err("invalid issued at (iat) claim: token issued in the future");
    }
    Ok(())
}

/// The audiences of a token: one text, or a list of texts.
pub fn audiences(claims: &JsonMap) -> Vec<&str> {
    match claims.get("aud") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(all)) => all.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A claim that is a text.
pub fn text<'a>(claims: &'a JsonMap, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Json::as_str)
}

#[cfg(test)]
mod tests {
    use strongroom_base::Timestamp;

    use super::{Leeways, audiences, check_times};

    fn check(claims: serde_json::Value, leeways: Leeways) -> Result<(), &'static str> {
        let serde_json::Value::Object(claims) = claims else { panic!("no object") };
        check_times(&claims, Timestamp::from_seconds(1_000_000), leeways)
    }

    #[test]
    fn a_token_lives_between_its_times() {
        let none = Leeways { expiration: -1, not_before: -1, clock_skew: -1 };
        let usual = Leeways::default();
        for (claims, leeways, lives) in [
            (serde_json::json!({}), usual, false),
            (serde_json::json!({"exp": 1_000_001}), none, false),
            (serde_json::json!({"exp": 1_000_000}), none, true),
            (serde_json::json!({"exp": 999_999}), none, false),
            (serde_json::json!({"exp": 999_940}), usual, true),
            (serde_json::json!({"exp": 999_939}), usual, false),
            (serde_json::json!({"exp": 2_000_000}), usual, false),
            (serde_json::json!({"exp": 2_000_000, "iat": 999_999}), usual, true),
            (serde_json::json!({"nbf": 1_000_060}), usual, true),
            (serde_json::json!({"nbf": 1_000_061}), usual, false),
            (serde_json::json!({"iat": 999_790}), usual, true),
            (serde_json::json!({"iat": 999_789}), usual, false),
            (serde_json::json!({"iat": 999_999}), none, false),
            (serde_json::json!({"exp": 2_000_000, "nbf": 1, "iat": 1_000_061}), usual, false),
            (serde_json::json!({"exp": "soon"}), usual, false),
            (serde_json::json!({"exp": 1e300, "iat": 1}), usual, true),
            (serde_json::json!({"exp": -1e300, "iat": 1}), usual, false),
        ] {
            assert_eq!(check(claims.clone(), leeways).is_ok(), lives, "{claims}");
        }
    }

    #[test]
    fn an_audience_is_one_or_many() {
        let of = |claims: serde_json::Value| {
            audiences(claims.as_object().unwrap())
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(of(serde_json::json!({"aud": "a"})), ["a"]);
        assert_eq!(of(serde_json::json!({"aud": ["a", 1, "b"]})), ["a", "b"]);
        assert!(of(serde_json::json!({"aud": {"a": 1}})).is_empty());
    }
}
