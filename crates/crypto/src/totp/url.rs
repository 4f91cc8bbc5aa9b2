//! `otpauth://totp/ISSUER:ACCOUNT?secret=…`: the form in which keys travel ("Key Uri Format" of
//! Google Authenticator's wiki).

use data_encoding::BASE32_NOPAD;
use strongroom_base::{Error, Result, SecretString, percent};
use zeroize::Zeroizing;

use super::Codes;

/// What a URL says.
#[derive(Default)]
pub struct Parsed {
    /// Whose service, or "".
    pub issuer: String,
    /// Whose account, or "".
    pub account_name: String,
    /// The key in base32, or "".
    pub secret: SecretString,
    /// `SHA1`, …
    pub algorithm: Option<String>,
    /// Of a code.
    pub digits: Option<i64>,
    /// Seconds of a step.
    pub period: Option<i64>,
}

/// Reads a URL. Its parameters win over its label.
pub fn parse(text: &str) -> Result<Parsed> {
    let refused = || Error::bad_request("an error occurred while parsing url string");
    let scheme = text.get(..10).filter(|scheme| scheme.eq_ignore_ascii_case("otpauth://"));
    let rest = scheme.and(text.get(10..)).ok_or_else(refused)?;
    let rest = rest.split('#').next().unwrap_or_default();
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (kind, label) = path.split_once('/').unwrap_or((path, ""));
    if !kind.eq_ignore_ascii_case("totp") {
        let text = "only otpauth://totp/ urls are keys of codes by time";
        return Err(Error::bad_request(text));
    }
    let mut parsed = Parsed::default();
    // A colon that is written as such parts issuer and account; else an escaped one does.
    let (issuer, account) = match label.split_once(':') {
        Some((issuer, account)) => (percent::decode(issuer), percent::decode(account)),
        None => {
            let whole = percent::decode(label).ok_or_else(refused)?;
            let (issuer, account) = whole.split_once(':').unwrap_or(("", &whole));
            let kept = |part: &str| Some(Zeroizing::new(part.to_owned()));
            (kept(issuer), kept(account))
        }
    };
    parsed.issuer = issuer.ok_or_else(refused)?.to_string();
    parsed.account_name = account.ok_or_else(refused)?.trim_start().to_owned();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent::decode_query(value).ok_or_else(refused)?;
        if value.is_empty() {
            continue;
        }
        let number = |what: &str| {
            value.parse::<i64>().map(Some).map_err(|_| {
                let text = format!("an error occurred while parsing {what} value in url");
                Error::bad_request(text)
            })
        };
        match name {
            "secret" => parsed.secret = SecretString::new(value.to_string()),
            "issuer" => parsed.issuer = value.to_string(),
            "algorithm" => parsed.algorithm = Some(value.to_string()),
            "digits" => parsed.digits = number("digits")?,
            "period" => parsed.period = number("period")?,
            _ => {}
        }
    }
    Ok(parsed)
}

/// Writes a key as a URL, its parameters in order of their names.
pub fn write(issuer: &str, account_name: &str, key: &[u8], codes: Codes) -> SecretString {
    let secret = Zeroizing::new(BASE32_NOPAD.encode(key));
    SecretString::new(format!(
        "otpauth://totp/{issuer}:{account}?algorithm={algorithm}&digits={digits}&issuer={issuer}\
         &period={period}&secret={secret}",
        issuer = encode(issuer),
        account = encode(account_name),
        algorithm = codes.hash.name(),
        digits = codes.digits,
        period = codes.period,
        secret = secret.as_str(),
    ))
}

/// Escapes all but what RFC 3986 leaves unreserved, and `@`, which stands in every second account.
fn encode(text: &str) -> String {
    percent::encode_but(text, b"-._~@")
}

#[cfg(test)]
mod tests {
    use super::super::OtpHash;
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (issuer, account) in [
            ("Google", "test@gmail.com"),
            ("A B&C=D", "x y"),
            ("Ünï:code/slash", "a:b?c#d"),
            ("100%", "+1 555"),
        ] {
            let codes = Codes { period: 60, hash: OtpHash::Sha512, digits: 8, skew: 1 };
            let url = write(issuer, account, b"12345678901234567890", codes);
            let parsed = parse(url.expose_secret()).unwrap();
            assert_eq!((parsed.issuer.as_str(), parsed.account_name.as_str()), (issuer, account));
            assert_eq!((parsed.digits, parsed.period), (Some(8), Some(60)));
            assert_eq!(parsed.algorithm.as_deref(), Some("SHA512"));
            assert_eq!(parsed.secret.expose_secret(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        }
    }

    #[test]
    fn urls_of_others() {
        for (url, issuer, account) in [
            ("otpauth://totp/Google:a@b.c?secret=AA", "Google", "a@b.c"),
            ("otpauth://totp/Google%3Aa@b.c?secret=AA", "Google", "a@b.c"),
            ("otpauth://totp/Google:%20a@b.c?secret=AA", "Google", "a@b.c"),
            ("otpauth://totp/a@b.c?secret=AA&issuer=Big+Corp", "Big Corp", "a@b.c"),
            ("otpauth://totp/One:a?secret=AA&issuer=Two%20", "Two ", "a"),
            ("OTPAUTH://TOTP/a?secret=AA&period=&digits=", "", "a"),
            ("otpauth://totp/?secret=AA#x", "", ""),
            ("otpauth://totp?secret=AA", "", ""),
        ] {
            let parsed = parse(url).unwrap();
            assert_eq!((parsed.issuer.as_str(), parsed.account_name.as_str()), (issuer, account));
            assert_eq!(parsed.secret.expose_secret(), "AA", "{url}");
        }
        for url in [
            "",
            "x",
            "https://totp/a?secret=AA",
            "otpauth://hotp/a?secret=AA&counter=1",
            "otpauth://totp/a?secret=AA&period=soon",
            "otpauth://totp/a?secret=AA&digits=six",
            "otpauth://totp/a%zz?secret=AA",
            "otpauth://totp/a?secret=%",
            "otpauth://totp/%ff?secret=AA",
            "otpauthä//totp/a",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
