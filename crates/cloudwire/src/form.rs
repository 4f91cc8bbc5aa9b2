//! Bodies of the content type `application/x-www-form-urlencoded`.

use strongroom_base::percent;

use crate::sigv4::uri_encode;

/// Pairs of a form.
const PAIRS_MAX: usize = 256;

/// `name=value` pairs, encoded.
pub fn encode(pairs: &[(&str, &str)]) -> String {
    let pairs =
        pairs.iter().map(|(name, value)| format!("{}={}", uri_encode(name), uri_encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// The pairs of a form; `None` where one is not well encoded, or there are too many.
pub fn decode(form: &str) -> Option<Vec<(String, String)>> {
    let decoded = |text| percent::decode_query(text).map(|text| (*text).clone());
    let mut pairs = Vec::new();
    for pair in form.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((decoded(name)?, decoded(value)?));
        if pairs.len() > PAIRS_MAX {
            return None;
        }
    }
    Some(pairs)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_was_encoded_is_read() {
        let pairs = super::decode("Action=GetRole&a%20b=c%26d+%3D&x").unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("Action", "GetRole"), ("a b", "c&d ="), ("x", "")]);
        assert_eq!(super::decode("a=%zz"), None);
        assert_eq!(super::decode(&"a&".repeat(super::PAIRS_MAX + 1)), None);
    }

    #[test]
    fn what_is_special_is_encoded() {
        let body = super::encode(&[("Action", "GetRole"), ("a b", "c&d=é+")]);
        assert_eq!(body, "Action=GetRole&a%20b=c%26d%3D%C3%A9%2B");
    }
}
