//! `config`: credentials for calls of our own, addresses, what names a login.

use std::collections::BTreeMap;

use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::{Gcp, stored};
use crate::endpoints;
use crate::google::key_file::Credentials;
use crate::login_metadata::Choices;

/// Facts of a service account's login.
pub(super) const IAM: Choices = Choices {
    field: "iam_metadata",
    default: &["project_id", "role", "service_account_email", "service_account_id"],
    more: &[],
};

/// Facts of an instance's login.
pub(super) const GCE: Choices = Choices {
    field: "gce_metadata",
    default: &[
        "instance_creation_timestamp",
        "instance_id",
        "instance_name",
        "project_id",
        "project_number",
        "role",
        "service_account_email",
        "service_account_id",
        "zone",
    ],
    more: &[],
};

fields! {
    /// Configures how Google is reached.
    pub struct PutConfig {
        /// The JSON file of a service account's key; never shown.
        credentials: Option<Json>,
        /// `role_id` (the default) or `unique_id`.
        iam_alias: Option<String>,
        /// Facts that logins of service accounts tell as metadata.
        iam_metadata: Option<Vec<String>>,
        /// `role_id` (the default) or `instance_id`.
        gce_alias: Option<String>,
        /// Facts that logins of instances tell as metadata.
        gce_metadata: Option<Vec<String>>,
        /// Addresses in place of Google's own: `api`, `iam`, `crm`, `compute`.
        custom_endpoint: Option<BTreeMap<String, String>>,
        /// Without effect, as in Vault.
        google_certs_endpoint: Option<String>,
    }
}
fields! {
    /// Reads how Google is reached, without secrets.
    pub struct ReadConfig {
    }
}

ops! {
    PutConfig (), Write;
    ReadConfig JsonMap, Read;
}

pub(super) fn add(spec: EngineSpec<Gcp>) -> EngineSpec<Gcp> {
    spec.query::<ReadConfig>("config").command::<PutConfig>("config")
}

fn choose(what: &str, value: &mut String, given: Option<String>, of: &[&str]) -> Result<()> {
    let Some(given) = given else { return Ok(()) };
    if !given.is_empty() && !of.contains(&given.as_str()) {
        let of = of.join(", ");
        return Err(Error::bad_request(format!("invalid {what} alias type: must be one of: {of}")));
    }
    *value = given;
    Ok(())
}

impl Command<PutConfig> for Gcp {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutConfig) -> Result<Reply<()>> {
        let mut config = stored::config(&cx.view()).await?;
        let given = op.credentials.is_some();
        match op.credentials {
            None | Some(Json::Null) => {}
            Some(Json::String(text)) => config.credentials = text,
            Some(object) => config.credentials = object.to_string(),
        }
        if !config.credentials.is_empty() {
            Credentials::parse(&config.credentials)?;
        }
        choose("IAM", &mut config.iam_alias, op.iam_alias, &["role_id", "unique_id"])?;
        choose("GCE", &mut config.gce_alias, op.gce_alias, &["instance_id", "role_id"])?;
        IAM.choose(&mut config.iam_metadata, op.iam_metadata)?;
        GCE.choose(&mut config.gce_metadata, op.gce_metadata)?;
        for (name, value) in op.custom_endpoint.unwrap_or_default() {
            let slot = match name.as_str() {
                "api" => &mut config.endpoints.api,
                "iam" => &mut config.endpoints.iam,
                "crm" => &mut config.endpoints.crm,
                "compute" => &mut config.endpoints.compute,
                _ => {
                    return Err(Error::bad_request(
                        "invalid custom endpoint type. Available types are: 'api', 'iam', 'crm', \
                         'compute'",
                    ));
                }
            };
            let value = endpoints::check("custom_endpoint", &value)?;
            // Who may not read the credentials may not have what they give sent to an address of his
            // own.
            if value != *slot && name != "api" && !given && !config.credentials.is_empty() {
                return Err(Error::bad_request(
                    "another custom_endpoint takes the credentials in the same request",
                ));
            }
            *slot = value;
        }
        cx.edit().put_named(0, "", &config)?;
        Ok(Reply::none())
    }
}

impl Query<ReadConfig> for Gcp {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadConfig) -> Result<Reply<JsonMap>> {
        let config = stored::config(&cx.view()).await?;
        let mut map = JsonMap::new();
        map.insert("iam_metadata".to_owned(), IAM.names(&config.iam_metadata).into());
        map.insert("gce_metadata".to_owned(), GCE.names(&config.gce_metadata).into());
        let show = |into: &mut JsonMap, name: &str, value: &str| {
            if !value.is_empty() {
                into.insert(name.to_owned(), value.into());
            }
        };
        if !config.credentials.is_empty() {
            let credentials = Credentials::parse(&config.credentials)?;
            show(&mut map, "client_email", &credentials.client_email);
            show(&mut map, "client_id", &credentials.client_id);
            show(&mut map, "private_key_id", &credentials.private_key_id);
            show(&mut map, "project_id", &credentials.project_id);
        }
        show(&mut map, "iam_alias", &config.iam_alias);
        show(&mut map, "gce_alias", &config.gce_alias);
        let mut addresses = JsonMap::new();
        let endpoints = &config.endpoints;
        for (name, value) in [
            ("api", &endpoints.api),
            ("iam", &endpoints.iam),
            ("crm", &endpoints.crm),
            ("compute", &endpoints.compute),
        ] {
            show(&mut addresses, name, value);
        }
        if !addresses.is_empty() {
            map.insert("custom_endpoint".to_owned(), addresses.into());
        }
        Ok(Reply::data(map))
    }
}
