//! `config/ca`, `issuers`, `issuer/REF`, `config/issuers`, `public_key`: the authority's keys.

use serde::Serialize;
use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, SecretString, fields};
use strongroom_crypto::keys::{KeyType, PrivateKey};
use strongroom_crypto::ssh::{PublicKey, read_private};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, lists, ops};

use super::SshEngine;
use super::issuer::{self, DEFAULT};
use super::{keys, roles};

/// Bits of an RSA key that is made for an authority, unless another number is asked for.
const RSA_BITS: u32 = 4_096;

fields! {
    /// A key, or what to make one of.
    pub struct NewKey {
        /// The private key.
        private_key: Option<SecretString>,
        /// The public key that belongs to it.
        public_key: Option<String>,
        /// Is the key made here?
        generate_signing_key: Option<bool>,
        /// The kind of a key that is made here: rsa, ec, ed25519, or OpenSSH's name of one.
        key_type: Option<String>,
        /// Bits of a key that is made here; 0 is the usual number.
        key_bits: Option<i64>,
    }
}
fields! {
    /// Makes or takes a key, which is the default issuer's from then on.
    pub struct PutCa {
        ..key: NewKey;
    }
}
fields! {
    /// Shows the default issuer.
    pub struct ReadCa {}
}
fields! {
    /// Removes all issuers.
    pub struct DeleteCa {}
}
fields! {
    /// Makes or takes a key of an issuer.
    pub struct ImportIssuer {
        ..key: NewKey;
        /// The issuer's name.
        issuer_name: Option<String>,
        /// Is it the default from then on? The first one is in any case.
        set_default: Option<bool>,
    }
}
fields! {
    /// Lists the issuers.
    pub struct ListIssuers {
        /// Ids after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}
fields! {
    /// Shows an issuer.
    pub struct ReadIssuer {
        /// Its id or name, or default.
        issuer_ref: String,
    }
}
fields! {
    /// Gives an issuer another name.
    pub struct UpdateIssuer {
        /// Its id or name, or default.
        issuer_ref: String,
        /// The new name.
        issuer_name: Option<String>,
    }
}
fields! {
    /// Gives an issuer another name.
    pub struct PatchIssuer {
        /// Its id or name, or default.
        issuer_ref: String,
        /// The new name.
        issuer_name: Option<String>,
    }
}
fields! {
    /// Removes an issuer.
    pub struct DeleteIssuer {
        /// Its id or name, or default.
        issuer_ref: String,
    }
}
fields! {
    /// Shows which issuer is the default.
    pub struct ReadDefault {}
}
fields! {
    /// Says which issuer is the default.
    pub struct PutDefault {
        /// Its id or name.
        default: Option<String>,
    }
}
fields! {
    /// The default issuer's public key, for anybody.
    pub struct ReadPublicKey {}
}
fields! {
    /// An issuer's public key, for anybody.
    pub struct ReadIssuerKey {
        /// Its id or name, or default.
        issuer_ref: String,
    }
}

ops! {
    ReadPublicKey (), Read, Open;
    ReadIssuerKey (), Read, Open;
    PutCa Json, Write;
    ReadCa Json, Read;
    DeleteCa (), Delete;
    ImportIssuer Json, Write;
    ListIssuers Issuers, List;
    ReadIssuer Json, Read;
    UpdateIssuer Json, Write;
    PatchIssuer Json, Patch;
    DeleteIssuer (), Delete;
    ReadDefault Json, Read;
    PutDefault Json, Write;
}

/// The answer of a list.
#[derive(Serialize)]
pub struct Issuers {
    keys: Vec<String>,
    key_info: JsonMap,
}

pub(super) fn add(spec: EngineSpec<SshEngine>) -> EngineSpec<SshEngine> {
    spec.command::<PutCa>("config/ca")
        .query::<ReadCa>("config/ca")
        .command::<DeleteCa>("config/ca")
        .command::<ImportIssuer>("issuers/import")
        .command::<ImportIssuer>("issuers/import/{issuer_name}")
        .query::<ListIssuers>("issuers/")
        .query::<ReadIssuer>("issuer/{issuer_ref}")
        .command::<UpdateIssuer>("issuer/{issuer_ref}")
        .command::<PatchIssuer>("issuer/{issuer_ref}")
        .command::<DeleteIssuer>("issuer/{issuer_ref}")
        .query::<ReadDefault>("config/issuers")
        .command::<PutDefault>("config/issuers")
        .query::<ReadPublicKey>("public_key")
        .query::<ReadIssuerKey>("issuer/{issuer_ref}/public_key")
}

/// The key that a request brings or asks for, and whether it was made here.
async fn new_key(cx: &ReadCx<'_>, op: &NewKey) -> Result<(PrivateKey, bool)> {
    let refuse = |text: &str| Err(Error::bad_request(text));
    let private = op.private_key.as_ref().map_or("", |key| key.expose_secret());
    let public = op.public_key.as_deref().unwrap_or_default();
    match (op.generate_signing_key, private.is_empty(), public.is_empty()) {
        (Some(true), true, true) | (None, true, true) => {
            let kind = op.key_type.as_deref().unwrap_or("ssh-rsa");
            let kind = keys::kind(kind, op.key_bits.unwrap_or(0), RSA_BITS)?;
            Ok((keys::generate(cx, kind).await?, true))
        }
        (Some(true), ..) => refuse(
            "public_key and private_key must not be set when generate_signing_key is set to true",
        ),
        (_, false, false) => Ok((given_key(private, public)?, false)),
        (Some(false), true, true) => refuse("missing public_key"),
        _ => refuse(
            "only one of public_key and private_key set; both must be set to use, or both must be \
             blank to auto-generate",
        ),
    }
}

/// A key that a request brings: both halves, which must be of one key.
fn given_key(private: &str, public: &str) -> Result<PrivateKey> {
    let wrong = |field: &str, e: &Error| {
        let why = e.public.join(", ");
        Error::bad_request(format!("could not parse {field} provided value: {why}"))
    };
    let public = PublicKey::parse(public).map_err(|e| wrong("public_key", &e))?;
    let key = read_private(private).map_err(|e| wrong("private_key", &e))?;
    if matches!(key.key_type(), KeyType::Rsa(bits) if bits < 2_048) {
        return Err(Error::bad_request("refusing a weak RSA key: it has less than 2048 bits"));
    }
    if PublicKey::of(&key.public()?)?.wire() != public.wire() {
        return Err(Error::bad_request("public_key does not belong to private_key"));
    }
    Ok(key)
}

/// Stores the key of a request and answers its issuer. One that is there already stays as it is.
async fn import(
    cx: &mut WriteCx<'_>,
    op: &NewKey,
    name: &str,
    set_default: bool,
) -> Result<Reply<Json>> {
    let (key, made) = new_key(cx, op).await?;
    cx.queue("issuers").await;
    let public = PublicKey::of(&key.public()?)?;
    let first = issuer::ids(cx).await?.is_empty();
    let mut warning = None;
    let id = match issuer::of_key(cx, &public).await? {
        Some((id, _)) if !made => {
            warning = Some(
                "An issuer with the provided public key already exists, returning the existing \
                 issuer",
            );
            id
        }
        _ => {
            if !name.is_empty() {
                issuer::check_name(cx, name, None).await?;
            }
            issuer::add(cx, name, &key).await?
        }
    };
    if set_default || first {
        issuer::set_default(cx, &id)?;
    }
    let issuer = issuer::of_id(cx, &id).await?.ok_or_else(Error::not_found)?;
    let reply = Reply::data(issuer.shown(&id));
    Ok(match warning {
        Some(warning) => reply.warn(warning),
        None => reply,
    })
}

impl Command<PutCa> for SshEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutCa) -> Result<Reply<Json>> {
        import(cx, &op.key, "", true).await
    }
}

impl Command<ImportIssuer> for SshEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ImportIssuer) -> Result<Reply<Json>> {
        let name = op.issuer_name.as_deref().map_or("", str::trim);
        import(cx, &op.key, name, op.set_default.unwrap_or(false)).await
    }
}

impl Query<ReadCa> for SshEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadCa) -> Result<Reply<Json>> {
        let (id, issuer) = issuer::find(cx, DEFAULT).await?;
        Ok(Reply::data(issuer.shown(&id)))
    }
}

impl Command<DeleteCa> for SshEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, _: DeleteCa) -> Result<Reply<()>> {
        cx.queue("issuers").await;
        for id in issuer::ids(cx).await?.iter() {
            if let Some(found) = issuer::of_id(cx, id).await? {
                issuer::remove(cx, id, &found).await?;
            }
        }
        Ok(Reply::none())
    }
}

impl Query<ListIssuers> for SshEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ListIssuers) -> Result<Reply<Issuers>> {
        let ids = issuer::ids(cx).await?;
        let keys = lists::page(&ids, op.after.as_deref(), op.limit)?.keys;
        let default = issuer::default_id(cx).await?;
        let mut key_info = JsonMap::new();
        for id in &keys {
            let Some(found) = issuer::of_id(cx, id).await? else { continue };
            let info = json!({
                "issuer_name": found.name,
                "is_default": default.as_ref() == Some(id),
                "public_key": found.public.line(),
            });
            key_info.insert(id.clone(), info);
        }
        Ok(Reply::data(Issuers { keys, key_info }))
    }
}

impl Query<ReadIssuer> for SshEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadIssuer) -> Result<Reply<Json>> {
        let (id, issuer) = issuer::find(cx, &op.issuer_ref).await?;
        Ok(Reply::data(issuer.shown(&id)))
    }
}

/// Gives an issuer another name; warns of roles that name it by the old one.
async fn rename(cx: &mut WriteCx<'_>, reference: &str, name: Option<&str>) -> Result<Reply<Json>> {
    cx.queue("issuers").await;
    let (id, found) = issuer::find(cx, reference).await?;
    let name = name.map_or("", str::trim);
    issuer::check_name(cx, name, Some(&id)).await?;
    if found.name == name {
        return Ok(Reply::data(found.shown(&id)));
    }
    issuer::rename(cx, &id, name).await?;
    let mut shown = found.shown(&id);
    shown["issuer_name"] = name.into();
    let reply = Reply::data(shown);
    let warning = match found.name.as_str() {
        "" => None,
        old => roles::naming(cx, old).await?,
    };
    Ok(reply.warnings(warning.into_iter().collect()))
}

impl Command<UpdateIssuer> for SshEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: UpdateIssuer) -> Result<Reply<Json>> {
        rename(cx, &op.issuer_ref, op.issuer_name.as_deref()).await
    }
}

impl Command<PatchIssuer> for SshEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PatchIssuer) -> Result<Reply<Json>> {
        rename(cx, &op.issuer_ref, op.issuer_name.as_deref()).await
    }
}

impl Command<DeleteIssuer> for SshEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteIssuer) -> Result<Reply<()>> {
        cx.queue("issuers").await;
        let found = issuer::lookup(cx, &op.issuer_ref).await?;
        let Some((id, found)) = found else { return Ok(Reply::none()) };
        let mut warnings = Vec::new();
        let named = if found.name.is_empty() { None } else { Some(found.name.as_str()) };
        for reference in named.into_iter().chain([id.as_str()]) {
            warnings.extend(roles::naming(cx, reference).await?);
        }
        if issuer::remove(cx, &id, &found).await? {
            warnings.push(format!(
                "Deleted issuer {id}; it was the default issuer. Operations without an explicit \
                 issuer will not work until a new default is configured."
            ));
            warnings.extend(roles::naming(cx, DEFAULT).await?);
        }
        Ok(Reply::none().warnings(warnings))
    }
}

impl Query<ReadDefault> for SshEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadDefault) -> Result<Reply<Json>> {
        let id = issuer::default_id(cx).await?;
        let none = || Error::bad_request("no default issuer currently configured");
        Ok(Reply::data(json!({ "default": id.ok_or_else(none)? })))
    }
}

impl Command<PutDefault> for SshEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutDefault) -> Result<Reply<Json>> {
        let reference = op.default.as_deref().map_or("", str::trim);
        if reference.is_empty() || reference.eq_ignore_ascii_case(DEFAULT) {
            let text = "invalid issuer specification; must be non-empty and can't be 'default'.";
            return Err(Error::bad_request(text));
        }
        cx.queue("issuers").await;
        let (id, _) = issuer::find(cx, reference).await?;
        let before = issuer::default_id(cx).await?;
        issuer::set_default(cx, &id)?;
        let reply = Reply::data(json!({ "default": id }));
        Ok(match before {
            Some(before) if before == id => {
                reply.warn("The default issuer is already set to the specified issuer.")
            }
            Some(before) => {
                reply.warn(format!("The default issuer was {before} before, and is {id} now"))
            }
            None => reply,
        })
    }
}

impl Query<ReadPublicKey> for SshEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadPublicKey) -> Result<Reply<()>> {
        let (_, issuer) = issuer::find(cx, DEFAULT).await?;
        Ok(Reply::raw("text/plain", issuer.public.line().into_bytes()))
    }
}

impl Query<ReadIssuerKey> for SshEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadIssuerKey) -> Result<Reply<()>> {
        let (_, issuer) = issuer::find(cx, &op.issuer_ref).await?;
        Ok(Reply::raw("text/plain", issuer.public.line().into_bytes()))
    }
}
