//! The outer shape of an answer, field by field in the order in which Vault's tools print it.

use serde::{Deserialize, Deserializer, Serialize};
use strongroom_base::json::{Json, JsonMap};

/// An answer of the API.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Envelope {
    /// The request's id, as it stands in the audit log.
    #[serde(default, deserialize_with = "null_as_default")]
    pub request_id: String,
    /// The lease that comes with the answer.
    #[serde(default, deserialize_with = "null_as_default")]
    pub lease_id: String,
    /// Its duration in seconds.
    #[serde(default, deserialize_with = "null_as_default")]
    pub lease_duration: i64,
    /// Whether it can be renewed.
    #[serde(default, deserialize_with = "null_as_default")]
    pub renewable: bool,
    /// The answer proper.
    #[serde(default)]
    pub data: Option<JsonMap>,
    /// What the server wants the caller to know.
    #[serde(default)]
    pub warnings: Option<Vec<String>>,
    /// The result of a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Where a wrapped answer lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrap_info: Option<WrapInfo>,
}

/// The result of a login or of a token's creation.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Auth {
    /// The token.
    #[serde(default, deserialize_with = "null_as_default")]
    pub client_token: String,
    /// Its accessor.
    #[serde(default, deserialize_with = "null_as_default")]
    pub accessor: String,
    /// All its policies.
    #[serde(default)]
    pub policies: Option<Vec<String>>,
    /// Those of the token itself.
    #[serde(default)]
    pub token_policies: Option<Vec<String>>,
    /// Those that come from the identity.
    #[serde(default)]
    pub identity_policies: Option<Vec<String>>,
    /// What the auth method says about the caller.
    #[serde(default)]
    pub metadata: Option<JsonMap>,
    /// Whether the token has no parent.
    #[serde(default, deserialize_with = "null_as_default")]
    pub orphan: bool,
    /// The identity behind it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub entity_id: String,
    /// Seconds until it expires; 0 for never.
    #[serde(default, deserialize_with = "null_as_default")]
    pub lease_duration: i64,
    /// Whether it can be renewed.
    #[serde(default, deserialize_with = "null_as_default")]
    pub renewable: bool,
    /// A second factor that is still asked for.
    #[serde(default)]
    pub mfa_requirement: Option<Json>,
}

/// Where a wrapped answer lies.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct WrapInfo {
    /// The wrapping token.
    #[serde(default, deserialize_with = "null_as_default")]
    pub token: String,
    /// Its accessor.
    #[serde(default, deserialize_with = "null_as_default")]
    pub accessor: String,
    /// Seconds until the answer is gone.
    #[serde(default, deserialize_with = "null_as_default")]
    pub ttl: i64,
    /// When it was wrapped.
    #[serde(default, deserialize_with = "null_as_default")]
    pub creation_time: String,
    /// Which request was wrapped.
    #[serde(default, deserialize_with = "null_as_default")]
    pub creation_path: String,
    /// The accessor of the token inside, if there is one.
    #[serde(default, deserialize_with = "null_as_default")]
    pub wrapped_accessor: String,
}

impl Envelope {
    /// Reads an answer. An empty body is no answer, and neither is a list of errors. A document of
    /// its own (`sys/health`) becomes the data, as in Vault's tools.
    pub fn parse(body: &[u8]) -> Result<Option<Self>, crate::Error> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let unreadable = |_| crate::Error::Protocol("the server's answer is not valid JSON".into());
        let members: JsonMap = serde_json::from_slice(body).map_err(unreadable)?;
        const OUTER: [&str; 8] = [
            "request_id",
            "lease_id",
            "lease_duration",
            "renewable",
            "data",
            "warnings",
            "auth",
            "wrap_info",
        ];
        if OUTER.iter().any(|name| members.contains_key(*name)) {
            return serde_json::from_value(Json::Object(members)).map(Some).map_err(unreadable);
        }
        if members.keys().all(|name| name == "errors") {
            return Ok(None);
        }
        Ok(Some(Self { data: Some(members), ..Self::default() }))
    }

    /// The warnings, none being the same as no list.
    pub fn warnings(&self) -> &[String] {
        self.warnings.as_deref().unwrap_or_default()
    }

    /// One member of the data; JSON's null counts as absent.
    pub fn datum(&self, name: &str) -> Option<&Json> {
        self.data.as_ref()?.get(name).filter(|value| !value.is_null())
    }

    /// The names of a listing.
    pub fn keys(&self) -> Option<&Vec<Json>> {
        self.datum("keys")?.as_array()
    }

    /// True if the real answer lies behind a wrapping token.
    pub fn is_wrapped(&self) -> bool {
        self.wrap_info.as_ref().is_some_and(|wrap| wrap.ttl != 0)
    }

    /// True if there is something in it beside ids: Vault's tools take such a 404 for an answer.
    pub fn has_content(&self) -> bool {
        !self.warnings().is_empty() || self.data.as_ref().is_some_and(|data| !data.is_empty())
    }
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_nulls_and_keeps_vaults_order() {
        let body = br#"{"request_id":"r","lease_id":null,"renewable":false,"lease_duration":0,
            "data":{"keys":["a"]},"wrap_info":null,"warnings":null,"auth":null,"extra":1}"#;
        let envelope = Envelope::parse(body).unwrap().unwrap();
        assert_eq!(envelope.keys().map(Vec::len), Some(1));
        assert!(envelope.has_content() && !envelope.is_wrapped());
        assert_eq!(
            serde_json::to_string(&envelope).unwrap(),
            r#"{"request_id":"r","lease_id":"","lease_duration":0,"renewable":false,"data":{"keys":["a"]},"warnings":null}"#
        );
        assert!(Envelope::parse(b" \n").unwrap().is_none());
        assert!(Envelope::parse(b"<html>").is_err());
        assert!(Envelope::parse(br#"{"errors":[]}"#).unwrap().is_none());
        let health = Envelope::parse(br#"{"sealed":false}"#).unwrap().unwrap();
        assert_eq!(health.datum("sealed"), Some(&Json::Bool(false)));
    }
}
