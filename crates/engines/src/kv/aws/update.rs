//! UpdateSecret.

use strongroom_base::{Json, RawFields, Result, SecretString, fields};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Command, Need, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;

use super::given::{self, Given};
use super::put::{Put, Written, shown_id};
use super::target::{self, Target};
use super::{ids, tags};
use crate::kv::Kv;
use crate::kv::store;

fields! {
    /// Changes a secret's description, key or value.
    pub struct Update {
        ..target: Target;
        /// The id of the version that a value makes.
        client_request_token: Option<String>,
        /// Free text.
        description: Option<String>,
        /// A key's name, which is kept and shown.
        kms_key_id: Option<String>,
        /// The value, as text.
        secret_string: Option<SecretString>,
        /// The value, as bytes in base64.
        secret_binary: Option<SecretString>,
    }
}

ops! { Update Json, Write, Needs; }

pub(super) fn needs(
    mount: &Mount,
    captures: &[(&'static str, String)],
    raw: &RawFields,
) -> Result<Vec<Need>> {
    let rights = Written::of(raw).rights(Capability::Update);
    Ok(target::needs(mount, captures, raw, &rights))
}

impl Command<Update> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Update) -> Result<Reply<Json>> {
        let token = given::token(cx, op.client_request_token)?;
        given::check_texts(op.description.as_deref(), op.kms_key_id.as_deref())?;
        let given = Given::take(op.secret_string, op.secret_binary)?;
        let described = op.description.is_some() || op.kms_key_id.is_some();
        cx.queue(&op.target.path).await;
        let written = Written { value: given.is_some(), described };
        let mut found = op.target.find(cx, &written.rights(Capability::Update)).await?;
        let mut view = found.view();
        if let Some(given) = &given {
            let is_new = ids::find(&found.secret.head, &token).is_none();
            let shown = found.shown();
            let put = Put { given, token: &token, stages: &[], shown: &shown };
            let id = put.run(cx, &mut found.secret).await?;
            view.insert("version_id".to_owned(), shown_id(&found.secret.head, id)?.into());
            if !is_new && !described {
                return Ok(Reply::data(Json::Object(view)));
            }
        }
        let head = &mut found.secret.head;
        if described {
            tags::check_cas(cx, head).await?;
            head.metadata_version += 1;
        }
        if let Some(description) = op.description {
            head.description = description;
        }
        if let Some(kms_key) = op.kms_key_id {
            head.of_aws.get_or_insert_default().kms_key = kms_key;
        }
        head.updated = cx.now();
        store::save(&cx.edit(), &found.path, &found.secret, false).await?;
        Ok(Reply::data(Json::Object(view)))
    }
}
