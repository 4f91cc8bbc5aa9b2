//! What is known of a verified caller while its one request is carried out.

use std::collections::BTreeMap;

use strongroom_base::{Error, Result};
use strongroom_kernel::plug::ReadCx;

use super::sessions::Origin;

/// What a token of this door has in `internal`.
pub const DOOR: &str = "aws-door";

/// What is known of a verified caller, kept with its token for the one request.
pub struct Known {
    pub arn: String,
    pub user_id: String,
    pub account: String,
    pub role: String,
    /// The key pair that it all came from.
    pub key: Option<String>,
    /// Its entity, or "": of a verified caller, as the kernel found it.
    pub entity: String,
    /// The session by whose keys it calls, if it does so by such.
    pub origin: Option<Origin>,
}

impl Known {
    /// For [`strongroom_kernel::plug::Grant::internal`].
    pub fn into_map(self) -> Result<BTreeMap<String, String>> {
        let mut map: BTreeMap<String, String> = [
            ("arn", self.arn),
            ("user_id", self.user_id),
            ("account", self.account),
            ("role", self.role),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        map.extend(self.key.map(|key| ("key".to_owned(), key)));
        if let Some(origin) = &self.origin {
            let origin = serde_json::to_string(origin).map_err(Error::internal)?;
            map.insert("origin".to_owned(), origin);
        }
        Ok(map)
    }

    /// The caller of a request, if this door verified it.
    pub fn of(cx: &ReadCx<'_>) -> Result<Self> {
        let token = cx.request.token.as_ref().filter(|t| t.mount == cx.request.mount.scope);
        let token = token.filter(|t| t.internal.contains_key(DOOR)).ok_or_else(Error::denied)?;
        let text = |name: &str| token.internal.get(name).cloned().unwrap_or_default();
        Ok(Self {
            arn: text("arn"),
            user_id: text("user_id"),
            account: text("account"),
            role: text("role"),
            key: token.internal.get("key").cloned(),
            entity: token.entity_id.clone(),
            origin: token
                .internal
                .get("origin")
                .map(|text| serde_json::from_str(text).map_err(Error::internal))
                .transpose()?,
        })
    }
}
