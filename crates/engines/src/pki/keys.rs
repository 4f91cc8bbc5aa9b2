//! Keys: `keys`, `key/REF`, `config/keys`.

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, SecretString, fields};
use strongroom_crypto::keys::PrivateKey;
use strongroom_crypto::x509::{colons, key_id as key_identifier, pem_blocks};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, lists, ops};

use super::authority::{config, find_key, key_id, reference};
use super::import::{QUEUE, new_name};
use super::key_choice::key_type;
use super::stored::{DEFAULT, KeyInfo, KeyName, KeysConfig};
use super::{PkiEngine, bad, crl, damaged};

/// Characters that no key's PEM is shorter than: a path was meant.
const KEY_CHARS_MIN: usize = 64;

fields! {
    /// Lists the keys.
    pub struct ListKeys {
        /// Ids after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}
fields! {
    /// Shows a key, without its private part.
    pub struct ReadKey {
        /// An id, a name, or default.
        key_ref: String,
    }
}
fields! {
    /// Names a key.
    pub struct UpdateKey {
        /// An id, a name, or default.
        key_ref: String,
        /// The new name; none takes it away.
        key_name: Option<String>,
    }
}
fields! {
    /// Removes a key that no issuer uses.
    pub struct DeleteKey {
        /// An id, a name, or default.
        key_ref: String,
    }
}
fields! {
    /// Makes a key.
    pub struct GenerateKey {
        /// internal, or exported: then the answer has it.
        exported: String,
        /// Its name.
        key_name: Option<String>,
        /// rsa, ec or ed25519.
        key_type: Option<String>,
        /// Its size; 0 for the usual one.
        key_bits: Option<i64>,
    }
}
fields! {
    /// Imports a key.
    pub struct ImportKey {
        /// Its name.
        key_name: Option<String>,
        /// The key in PEM.
        pem_bundle: Option<SecretString>,
    }
}
fields! {
    /// Shows which key is the default.
    pub struct ReadKeysConfig {}
}
fields! {
    /// Sets which key is the default.
    pub struct WriteKeysConfig {
        /// An id, or a name.
        default: Option<String>,
    }
}

ops! {
    ListKeys Json, List;
    ReadKey Json, Read;
    UpdateKey Json, Write;
    DeleteKey (), Delete;
    GenerateKey Json, Write;
    ImportKey Json, Write;
    ReadKeysConfig Json, Read;
    WriteKeysConfig Json, Write;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.query::<ListKeys>("keys/")
        .query::<ReadKey>("key/{key_ref}")
        .command::<UpdateKey>("key/{key_ref}")
        .command::<DeleteKey>("key/{key_ref}")
        .command::<GenerateKey>("keys/generate/{exported}")
        .command::<ImportKey>("keys/import")
        .query::<ReadKeysConfig>("config/keys")
        .command::<WriteKeysConfig>("config/keys")
}

fn shown(id: &str, key: &KeyInfo) -> JsonMap {
    let mut data = JsonMap::new();
    data.insert("key_id".to_owned(), id.into());
    data.insert("key_name".to_owned(), key.name.clone().into());
    data.insert("key_type".to_owned(), key.kind.clone().into());
    data
}

impl Query<ListKeys> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ListKeys) -> Result<Reply<Json>> {
        let view = cx.view();
        let names = view.names::<KeyInfo>(0).await?;
        let page = lists::page(&names, op.after.as_deref(), op.limit)?;
        let default = config::<KeysConfig>(&view).await?.default;
        let mut info = JsonMap::new();
        for id in &page.keys {
            if let Some(key) = view.cached::<KeyInfo>(0, id).await? {
                let one = json!({ "key_name": key.name, "is_default": *id == default });
                info.insert(id.clone(), one);
            }
        }
        Ok(Reply::data(json!({ "keys": page.keys, "key_info": info })))
    }
}

impl Query<ReadKey> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadKey) -> Result<Reply<Json>> {
        let (id, key) = find_key(&cx.view(), &op.key_ref).await?;
        let mut data = shown(&id, &key);
        let identifier = key_identifier(&key.spki).map_err(damaged)?;
        data.insert("subject_key_id".to_owned(), colons(&identifier).into());
        Ok(Reply::data(Json::Object(data)))
    }
}

impl Command<UpdateKey> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: UpdateKey) -> Result<Reply<Json>> {
        cx.queue(QUEUE).await;
        let (id, key) = find_key(&cx.view(), &op.key_ref).await?;
        let mut key = (*key).clone();
        let wanted = op.key_name.as_deref().unwrap_or_default().trim();
        if wanted != key.name {
            let name = new_name(cx, "key", Some(wanted)).await?;
            let edit = cx.edit();
            if !key.name.is_empty() {
                edit.delete_named::<KeyName>(0, &key.name);
            }
            if !name.is_empty() {
                edit.put_named(0, &name, &KeyName { id: id.clone() })?;
            }
            key.name = name;
            edit.put_named(0, &id, &key)?;
        }
        let reply = Reply::data(Json::Object(shown(&id, &key)));
        Ok(match key.name.as_str() {
            "" => reply.warn(format!(
                "Name successfully deleted, you will now need to reference this key by it's Id: {id}"
            )),
            _ => reply,
        })
    }
}

impl Command<DeleteKey> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteKey) -> Result<Reply<()>> {
        cx.queue(QUEUE).await;
        let edit = cx.edit();
        let Some(id) = key_id(&edit, &op.key_ref).await? else { return Ok(Reply::none()) };
        let mut roster = self.roster(&edit).await?;
        if let Some(link) = roster.links.iter().find(|link| link.issuer.key_id == id) {
            let issuer = &link.id;
            return Err(bad(format!("Failed to Delete Key.  Key in Use by Issuer: {issuer}")));
        }
        let was_default = roster.default_key == id;
        roster.remove_key(&edit, &id);
        roster.save(&edit)?;
        let (keys, gone) = (self.keys.clone(), id.clone());
        cx.after_commit(move |_| keys.remove(&gone));
        if !was_default {
            return Ok(Reply::none());
        }
        Ok(Reply::none().warn(format!(
            "Deleted key {id}; this was configured as the default key. Operations without an \
             explicit key will not work until a new default is configured."
        )))
    }
}

impl Command<GenerateKey> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: GenerateKey) -> Result<Reply<Json>> {
        let exported = match op.exported.as_str() {
            "internal" => false,
            "exported" => true,
            "kms" => return Err(bad("keys of a KMS are not supported")),
            _ => return Err(bad("Unknown type of key to generate")),
        };
        let kind = key_type(op.key_type.as_deref().unwrap_or("rsa"), op.key_bits.unwrap_or(0))
            .map_err(|e| {
                let why = e.public.join("; ");
                bad(format!("Validation for key_type, key_bits failed: {why}"))
            })?;
        let key = self.generate(cx, kind).await?;
        cx.queue(QUEUE).await;
        let name = new_name(cx, "key", op.key_name.as_deref()).await?;
        let mut roster = self.roster(&cx.edit()).await?;
        let (id, _) = roster.bring_key(cx, &key, &name)?;
        let info = roster.key(&id).ok_or_else(|| Error::internal("a new key is gone"))?;
        let mut data = shown(&id, info);
        roster.save(&cx.edit())?;
        if exported {
            let pem = key.to_traditional_pem()?.expose_secret().trim_end().to_owned();
            data.insert("private_key".to_owned(), pem.into());
        }
        Ok(Reply::data(Json::Object(data)))
    }
}

impl Command<ImportKey> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ImportKey) -> Result<Reply<Json>> {
        cx.queue(QUEUE).await;
        let name = new_name(cx, "key", op.key_name.as_deref()).await?;
        let bundle = op.pem_bundle.unwrap_or_default();
        let text = bundle.expose_secret();
        if text.len() < KEY_CHARS_MIN {
            return Err(bad(
                "provided data for import was too short; perhaps a path was passed to the API \
                 rather than the contents of a PEM file",
            ));
        }
        let (mut blocks, _) =
            pem_blocks(text).map_err(|e| bad(format!("invalid PEM data: {e}")))?;
        blocks.retain(|block| !matches!(block.label.as_str(), "EC PARAMS" | "EC PARAMETERS"));
        let [block] = blocks.as_slice() else {
            return Err(bad(
                "only a single key can be present within the pem_bundle for importing",
            ));
        };
        let key = PrivateKey::from_pem(&block.text)?;
        let mut roster = self.roster(&cx.edit()).await?;
        let (id, existed) = roster.bring_key(cx, &key, &name)?;
        let info = roster.key(&id).ok_or_else(|| Error::internal("a new key is gone"))?;
        let reply = Reply::data(Json::Object(shown(&id, info)));
        if roster.save(&cx.edit())? {
            crl::issuers_changed(cx).await?;
        }
        Ok(match existed {
            true => reply.warn("Key already imported, use key/ endpoint to update name."),
            false => reply,
        })
    }
}

impl Query<ReadKeysConfig> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadKeysConfig) -> Result<Reply<Json>> {
        let settings: KeysConfig = config(&cx.view()).await?;
        Ok(Reply::data(json!({ "default": settings.default })))
    }
}

impl Command<WriteKeysConfig> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: WriteKeysConfig) -> Result<Reply<Json>> {
        let wanted = op.default.unwrap_or_default();
        if matches!(reference(&wanted), "" | DEFAULT) {
            return Err(bad(
                "Invalid key specification; must be non-empty and can't be 'default'.",
            ));
        }
        let (id, _) = find_key(&cx.view(), &wanted).await?;
        cx.edit().put_named(0, "", &KeysConfig { default: id.clone() })?;
        Ok(Reply::data(json!({ "default": id })))
    }
}
