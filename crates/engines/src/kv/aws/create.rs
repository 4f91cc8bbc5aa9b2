//! CreateSecret.

use strongroom_base::{Json, RawFields, Result, SecretString, fields};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Command, Need, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;

use super::given::{self, Given};
use super::limits::VERSIONS_KEPT;
use super::put::{Put, Written, shown_id};
use super::stored::OfAws;
use super::target::{self, Found, Target};
use super::{ids, refusals, tags};
use crate::kv::secret::{Head, Settings, Version};
use crate::kv::store::{self, Secret};
use crate::kv::{Kv, new_id};

fields! {
    /// Makes a secret, with its first value if there is one.
    pub struct Create {
        ..target: Target;
        /// Its name, for messages.
        name: Option<String>,
        /// The first version's id; the same request again is done once.
        client_request_token: Option<String>,
        /// Free text.
        description: Option<String>,
        /// A key's name, which is kept and shown.
        kms_key_id: Option<String>,
        /// The value, as text.
        secret_string: Option<SecretString>,
        /// The value, as bytes in base64.
        secret_binary: Option<SecretString>,
        /// Tags: a list of keys and values.
        tags: Option<Json>,
        /// Other regions, which are refused.
        add_replica_regions: Option<Json>,
        /// The secret's own region.
        region: Option<String>,
    }
}

ops! { Create Json, Write, Needs; }

pub(super) fn needs(
    mount: &Mount,
    captures: &[(&'static str, String)],
    raw: &RawFields,
) -> Result<Vec<Need>> {
    let rights = Written::of(raw).rights(Capability::Create);
    Ok(target::needs(mount, captures, raw, &rights))
}

impl Command<Create> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Create) -> Result<Reply<Json>> {
        let described = op.description.is_some() || op.kms_key_id.is_some() || op.tags.is_some();
        let sent = op.client_request_token.clone();
        let token = given::token(cx, op.client_request_token)?;
        given::check_texts(op.description.as_deref(), op.kms_key_id.as_deref())?;
        let given = Given::take(op.secret_string, op.secret_binary)?;
        let tags = op.tags.as_ref().map(tags::read).transpose()?.unwrap_or_default();
        if let Some(regions) = &op.add_replica_regions {
            return Err(super::replicas::refused(regions, op.region.as_deref()));
        }
        let path = op.target.path.clone();
        cx.queue(&path).await;
        let written = Written { value: given.is_some(), described };
        target::require(cx, &path, &written.rights(Capability::Create))?;
        if let Some(secret) = store::find_any(&cx.view(), &path).await? {
            let found = Found { path, arn: op.target.arn, secret };
            return again(cx, Again { found, given, token: sent, name: op.name }).await;
        }
        let edit = cx.edit();
        let mut head = Head::new(new_id(cx), cx.now());
        head.settings = Settings { max_versions: VERSIONS_KEPT, ..Settings::default() };
        head.description = op.description.unwrap_or_default();
        if op.kms_key_id.is_some() || given.is_none() {
            let made_with = if given.is_none() { token.clone() } else { String::new() };
            let kms_key = op.kms_key_id.unwrap_or_default();
            head.of_aws = Some(Box::new(OfAws { kms_key, made_with, ..OfAws::default() }));
        }
        tags::add(&mut head, tags)?;
        let secret = Secret { row: edit.new_id(), head };
        let mut found = Found { path, arn: op.target.arn, secret };
        let mut view = found.view();
        if let Some(given) = &given {
            let shown = found.shown();
            let put = Put { given, token: &token, stages: &[], shown: &shown };
            let id = put.run(cx, &mut found.secret).await?;
            view.insert("version_id".to_owned(), shown_id(&found.secret.head, id)?.into());
        }
        store::save(&edit, &found.path, &found.secret, true).await?;
        Ok(Reply::data(Json::Object(view)))
    }
}

/// A request for a name that is taken.
struct Again {
    found: Found,
    given: Option<Given>,
    token: Option<String>,
    name: Option<String>,
}

/// The name is taken: by this very request that was sent before, or by another secret.
async fn again(cx: &WriteCx<'_>, again: Again) -> Result<Reply<Json>> {
    let Again { mut found, given, token, name } = again;
    if found.secret.head.deletion.is_some() {
        return Err(refusals::invalid_request(
            "You can't create this secret because a secret with this name is already scheduled for \
             deletion.",
        ));
    }
    let name = name.unwrap_or_else(|| found.path.clone());
    let taken = || {
        refusals::exists(format!("The operation failed because the secret {name} already exists."))
    };
    let Some(token) = token else { return Err(taken()) };
    let mut view = found.view();
    let head = &found.secret.head;
    match &given {
        None => {
            let made_with = head.of_aws.as_ref().map_or("", |a| a.made_with.as_str());
            if made_with != token {
                return Err(taken());
            }
        }
        Some(given) => {
            if ids::find(head, &token).is_none_or(Version::is_awaited) {
                return Err(taken());
            }
            let shown = found.shown();
            let put = Put { given, token: &token, stages: &[], shown: &shown };
            let id = put.run(cx, &mut found.secret).await?;
            view.insert("version_id".to_owned(), shown_id(&found.secret.head, id)?.into());
        }
    }
    Ok(Reply::data(Json::Object(view)))
}
