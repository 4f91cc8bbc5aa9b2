//! Bodies of the content type `application/x-www-form-urlencoded`.

use crate::sigv4::uri_encode;

/// `name=value` pairs, encoded.
pub fn encode(pairs: &[(&str, &str)]) -> String {
    let pairs =
        pairs.iter().map(|(name, value)| format!("{}={}", uri_encode(name), uri_encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_special_is_encoded() {
        let body = super::encode(&[("Action", "GetRole"), ("a b", "c&d=é+")]);
        assert_eq!(body, "Action=GetRole&a%20b=c%26d%3D%C3%A9%2B");
    }
}
