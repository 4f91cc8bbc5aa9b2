//! What a request brings as second factors: headers (`X-Vault-MFA: METHOD[:PASSCODE]`), or the
//! payload of a validation. A method is named by its id, or by its name with its namespace's path.

use std::collections::BTreeMap;

use strongroom_base::{Error, Json, JsonMap, Result, SecretString};

use super::Found;

/// Methods named in one request.
const METHODS_MAX: usize = 64;
/// Values given for one method.
const VALUES_MAX: usize = 8;
/// The header.
const HEADER: &str = "x-vault-mfa";

/// Second factors, by the name or id of their methods.
#[derive(Default)]
pub struct Credentials(BTreeMap<String, Vec<SecretString>>);

fn invalid(text: &str) -> Error {
    Error::bad_request(text)
}

impl Credentials {
    /// Those of a login's headers; `None` where it has none.
    pub fn of_headers(headers: &[(String, String)]) -> Result<Option<Self>> {
        let mut all = Self::default();
        let values = headers.iter().filter(|(name, _)| name == HEADER).map(|(_, value)| value);
        for value in values.filter(|value| !value.is_empty()) {
            let (method, passcode) = match value.split_once(':') {
                Some((method, passcode)) => (method, Some(passcode)),
                None => (value.as_str(), None),
            };
            if method.is_empty() || passcode == Some("") {
                return Err(invalid(
                    "failed to parse X-Vault-MFA header: it is METHOD or METHOD:PASSCODE",
                ));
            }
            let passcode = passcode.map(|text| SecretString::new(text.to_owned()));
            all.insert(method, passcode.into_iter().collect())?;
        }
        Ok((!all.0.is_empty()).then_some(all))
    }

    /// Those of a validation: from method to a list of texts.
    pub fn of_payload(payload: &JsonMap) -> Result<Self> {
        let text = |value: &Json| value.as_str().map(|text| SecretString::new(text.to_owned()));
        let mut all = Self::default();
        for (method, values) in payload {
            let values = match values {
                Json::Array(values) => values.iter().map(text).collect(),
                Json::Null => Some(Vec::new()),
                value => text(value).map(|text| vec![text]),
            };
            all.insert(method, values.ok_or_else(|| invalid("invalid mfa payload"))?)?;
        }
        Ok(all)
    }

    fn insert(&mut self, method: &str, values: Vec<SecretString>) -> Result<()> {
        let own = self.0.entry(method.to_owned()).or_default();
        own.extend(values);
        if own.len() > VALUES_MAX || self.0.len() > METHODS_MAX {
            return Err(invalid("too many credentials of second factors"));
        }
        Ok(())
    }

    /// Those of a method.
    pub(super) fn of(&self, found: &Found) -> Option<&[SecretString]> {
        let name = || format!("{}{}", found.namespace.path, found.method.name);
        let by_name = || self.0.get(&name()).filter(|_| !found.method.name.is_empty());
        self.0.get(&found.method.id).or_else(by_name).map(Vec::as_slice)
    }
}

/// The one passcode of a method's values: `CODE` or `passcode=CODE`.
pub(super) fn passcode(values: &[SecretString]) -> Result<Option<&str>, &'static str> {
    let mut found = None;
    for value in values.iter().map(|value| value.expose_secret().as_str()) {
        let code = match value.split_once('=') {
            _ if value.is_empty() => continue,
            None => value,
            Some(("passcode", "")) => return Err("invalid passcode"),
            Some(("passcode", code)) => code,
            Some(_) => return Err("found an invalid MFA cred"),
        };
        if found.replace(code).is_some() {
            return Err("found multiple passcodes for the same MFA method");
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers(values: &[&str]) -> Result<Option<Credentials>> {
        let headers: Vec<_> = values.iter().map(|v| (HEADER.to_owned(), (*v).to_owned())).collect();
        Credentials::of_headers(&headers)
    }

    #[test]
    fn of_headers() {
        assert!(headers(&[]).unwrap().is_none());
        assert!(headers(&[""]).unwrap().is_none());
        let all = headers(&["id:123", "ns/name:passcode=4:5", "push"]).unwrap().unwrap();
        let of = |name: &str| passcode(&all.0[name]).unwrap().map(str::to_owned);
        assert_eq!(of("id").as_deref(), Some("123"));
        assert_eq!(of("ns/name").as_deref(), Some("4:5"));
        assert_eq!(of("push"), None);
        for bad in [":1", ":", "id:"] {
            assert!(headers(&[bad]).is_err(), "{bad}");
        }
        assert!(headers(&["a:1"; VALUES_MAX + 1]).is_err());
        let many: Vec<String> = (0..=METHODS_MAX).map(|i| format!("m{i}")).collect();
        assert!(headers(&many.iter().map(String::as_str).collect::<Vec<_>>()).is_err());
    }

    #[test]
    fn of_payloads() {
        let read = |json: Json| Credentials::of_payload(json.as_object().unwrap());
        for (json, expect) in [
            (json!({ "m": ["123"] }), Ok(Some("123"))),
            (json!({ "m": "123" }), Ok(Some("123"))),
            (json!({ "m": ["passcode=123", ""] }), Ok(Some("123"))),
            (json!({ "m": [""] }), Ok(None)),
            (json!({ "m": [] }), Ok(None)),
            (json!({ "m": null }), Ok(None)),
            (json!({ "m": ["1", "2"] }), Err("found multiple passcodes for the same MFA method")),
            (json!({ "m": ["passcode="] }), Err("invalid passcode")),
            (json!({ "m": ["push=1"] }), Err("found an invalid MFA cred")),
        ] {
            let all = read(json.clone()).unwrap();
            assert_eq!(passcode(&all.0["m"]), expect, "{json}");
        }
        for bad in [json!({ "m": 1 }), json!({ "m": [1] }), json!({ "m": { "a": "b" } })] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
