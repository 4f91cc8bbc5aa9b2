//! `config/client`: how to reach AWS, and what a login's request must carry.

use strongroom_base::{Error, JsonMap, Result, SecretString, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Exists, Query, ReadCx, Reply, WriteCx, ops};

use super::Aws;
use super::stored::{self, Client};
use super::sts::is_region;
use crate::endpoints;

fields! {
    /// Configures how to reach AWS.
    pub struct PutClient {
        /// Access key id for calls of our own to IAM and STS.
        access_key: Option<String>,
        /// Its secret; never shown.
        secret_key: Option<SecretString>,
        /// Address of EC2; kept, and not used.
        endpoint: Option<String>,
        /// Address of IAM in place of its own.
        iam_endpoint: Option<String>,
        /// Address of STS in place of its own.
        sts_endpoint: Option<String>,
        /// Region of sts_endpoint.
        sts_region: Option<String>,
        /// Send each login to the STS of the region it is signed for?
        use_sts_region_from_client: Option<bool>,
        /// What the signed header X-Vault-AWS-IAM-Server-ID of a login must say.
        iam_server_id_header_value: Option<String>,
        /// X-Amz headers that a login may have beyond the usual ones.
        allowed_sts_header_values: Option<Vec<String>>,
        /// How often a call to AWS is tried again, at most three times; -1 is the default, once.
        max_retries: Option<i64>,
    }
}
fields! {
    /// Reads how AWS is reached, without the secret.
    pub struct ReadClient {
    }
}
fields! {
    /// Forgets how AWS is reached.
    pub struct DeleteClient {
    }
}

ops! {
    PutClient (), Write;
    ReadClient JsonMap, Read;
    DeleteClient (), Delete;
}

pub(super) fn add(spec: EngineSpec<Aws>) -> EngineSpec<Aws> {
    spec.query::<ReadClient>("config/client")
        .command::<PutClient>("config/client")
        .exists::<PutClient>("config/client")
        .command::<DeleteClient>("config/client")
}

impl Exists<PutClient> for Aws {
    async fn exists(&self, cx: &ReadCx<'_>, _: &[(&'static str, String)]) -> Result<bool> {
        Ok(stored::client(&cx.view()).await?.is_some())
    }
}

impl Command<PutClient> for Aws {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutClient) -> Result<Reply<()>> {
        let mut client = stored::client(&cx.view()).await?.unwrap_or_default();
        let set = |value: &mut String, given: Option<String>| {
            if let Some(given) = given {
                *value = given;
            }
        };
        set(&mut client.access_key, op.access_key);
        set(&mut client.secret_key, op.secret_key.map(|s| s.expose_secret().clone()));
        set(&mut client.server_id, op.iam_server_id_header_value);
        set(&mut client.sts_region, op.sts_region);
        if !client.sts_region.is_empty() && !is_region(&client.sts_region) {
            return Err(Error::bad_request("sts_region is no name of a region"));
        }
        for (field, value, given) in [
            ("endpoint", &mut client.endpoint, op.endpoint),
            ("iam_endpoint", &mut client.iam_endpoint, op.iam_endpoint),
            ("sts_endpoint", &mut client.sts_endpoint, op.sts_endpoint),
        ] {
            if let Some(given) = given {
                *value = endpoints::check_root(field, &given)?;
            }
        }
        if let Some(names) = op.allowed_sts_header_values {
            client.allowed_headers = names.iter().map(|name| canonical(name)).collect();
        }
        client.use_sts_region_from_client =
            op.use_sts_region_from_client.unwrap_or(client.use_sts_region_from_client);
        client.max_retries = op.max_retries.unwrap_or(client.max_retries);
        cx.edit().put_named(0, "", &client)?;
        Ok(Reply::none())
    }
}

/// A header's name as Vault shows it: `X-Custom-Header`.
fn canonical(name: &str) -> String {
    let mut up = true;
    let one = |c: char| {
        let shown = if up { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        up = c == '-';
        shown
    };
    name.chars().map(one).collect()
}

impl Query<ReadClient> for Aws {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadClient) -> Result<Reply<JsonMap>> {
        let client = stored::client(&cx.view()).await?.ok_or_else(Error::not_found)?;
        let mut map = JsonMap::new();
        for (name, value) in [
            ("access_key", client.access_key.as_str().into()),
            ("endpoint", client.endpoint.as_str().into()),
            ("iam_endpoint", client.iam_endpoint.as_str().into()),
            ("sts_endpoint", client.sts_endpoint.as_str().into()),
            ("sts_region", client.sts_region.as_str().into()),
            ("use_sts_region_from_client", client.use_sts_region_from_client.into()),
            ("iam_server_id_header_value", client.server_id.as_str().into()),
            ("max_retries", client.max_retries.into()),
            ("allowed_sts_header_values", super::list_or_null(&client.allowed_headers)),
        ] {
            map.insert(name.to_owned(), value);
        }
        Ok(Reply::data(map))
    }
}

impl Command<DeleteClient> for Aws {
    async fn command(&self, cx: &mut WriteCx<'_>, _: DeleteClient) -> Result<Reply<()>> {
        cx.edit().delete_named::<Client>(0, "");
        Ok(Reply::none())
    }
}
