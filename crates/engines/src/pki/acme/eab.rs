//! External account binding (RFC 8555 §7.3.4): an operator, or whoever has a token of ours, makes a
//! secret that lets one new account into one directory.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use strongroom_base::{Json, JsonMap, Result, SecretBytes, Timestamp, fields};
use strongroom_crypto::jws;
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::super::{PkiEngine, bad};
use super::problem::Problem;
use super::stored::Binding;
use super::visit::{Directory, carried, directory_name};

/// Random bytes of a secret.
const KEY_BYTES: usize = 32;
/// What each secret begins with, so that its text begins with `vault-eab-0-` (and never with a dash,
/// which programs take for an option of theirs).
const PREFIX: &[u8] = b"\xbd\xab\xa5\xb7\xe7\x9a\x6f\xed\x3e";

fields! {
    /// Makes a secret that lets one new account into this directory.
    pub struct NewBinding {}
}
fields! {
    /// Lists secrets that nobody used yet.
    pub struct ListBindings {
        /// Names after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}
fields! {
    /// Removes a secret that nobody used yet.
    pub struct DeleteBinding {
        /// Its id.
        key_id: String,
    }
}

ops! {
    NewBinding Json, Write;
    ListBindings Json, List;
    DeleteBinding (), Delete;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.query::<ListBindings>("eab/").command::<DeleteBinding>("eab/{key_id}")
}

impl Command<NewBinding> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, _: NewBinding) -> Result<Reply<Json>> {
        let directory = directory_name(cx)?;
        let id = cx.rng().uuid();
        let mut key = PREFIX.to_vec();
        key.extend(cx.rng().array::<KEY_BYTES>());
        let binding = Binding { key, directory, created: cx.now() };
        cx.edit().put_named(0, &id, &binding)?;
        let mut data = facts(&binding);
        data["id"] = id.into();
        data["key"] = URL_SAFE_NO_PAD.encode(&binding.key).into();
        Ok(Reply::data(data))
    }
}

fn facts(binding: &Binding) -> Json {
    json!({
        "acme_directory": format!("{}directory", binding.directory),
        "created_on": Timestamp::from_seconds(binding.created.seconds()).to_string(),
        "key_type": "hs",
    })
}

impl Query<ListBindings> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ListBindings) -> Result<Reply<Json>> {
        let view = cx.view();
        let names = view.names::<Binding>(0).await?;
        let page = strongroom_kernel::plug::lists::page(&names, op.after.as_deref(), op.limit)?;
        let mut info = JsonMap::new();
        for id in &page.keys {
            if let Some(binding) = view.named::<Binding>(0, id).await? {
                info.insert(id.clone(), facts(&binding));
            }
        }
        Ok(Reply::data(json!({ "keys": page.keys, "key_info": info })))
    }
}

impl Command<DeleteBinding> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteBinding) -> Result<Reply<()>> {
        if !is_uuid(&op.key_id) {
            return Err(bad("badly formatted key_id field"));
        }
        let there = cx.view().named::<Binding>(0, &op.key_id).await?.is_some();
        cx.edit().delete_named::<Binding>(0, &op.key_id);
        let reply = Reply::none();
        Ok(if there { reply } else { reply.warn("No key id found with this id") })
    }
}

/// The form of an id.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}

/// Uses the secret that a new account shows, once; answers its id. Whatever is wrong with it, the
/// answer is the same.
pub(super) async fn redeem(
    cx: &WriteCx<'_>,
    directory: &Directory,
    shown: &JsonMap,
    account_key: &jws::Jwk,
) -> Result<String> {
    let malformed = |text: &str| Problem::Malformed.says(format!("externalAccountBinding: {text}"));
    let (parts, header) = carried("externalAccountBinding", shown, directory, cx)?;
    if header.jwk.is_some() {
        return Err(malformed("its header has a 'jwk'"));
    }
    let id = header.kid.as_deref().ok_or_else(|| malformed("its header has no 'kid'"))?;
    let wrong = || Problem::Unauthorized.says("the external account binding does not verify");
    let view = cx.view();
    // One that is not there takes as long as one that is wrong.
    let binding = view.named::<Binding>(0, id).await?;
    let there = binding.as_ref().is_some_and(|binding| binding.directory == directory.name);
    let key = match &binding {
        Some(binding) if there => SecretBytes::new(binding.key.clone()),
        _ => SecretBytes::new(cx.rng().array::<KEY_BYTES>().to_vec()),
    };
    let payload = jws::verify_binding(parts, &header, key.expose_secret()).map_err(|_| wrong())?;
    if !there {
        return Err(wrong());
    }
    let bound = strongroom_base::json::parse_bounded(&payload).ok();
    let bound = bound.and_then(|json| jws::Jwk::parse(&json).ok());
    if bound.is_none_or(|bound| bound.canonical() != account_key.canonical()) {
        return Err(malformed("it is of another key than the account's"));
    }
    cx.edit().delete_named::<Binding>(0, id);
    Ok(id.to_owned())
}
