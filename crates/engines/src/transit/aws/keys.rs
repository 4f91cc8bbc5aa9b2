//! `CreateKey`, `DescribeKey`, `ListKeys`, `EnableKey`, `DisableKey`, `UpdateKeyDescription` (API pages of
//! those names).
//!
//! What KMS calls disabled is what Vault's door calls soft-deleted: out of use until it is taken back.

use strongroom_base::{Error, Json, JsonMap, RawFields, Result, fields};
use strongroom_crypto::cipher::Cipher;
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{
    Command, EngineSpec, Need, Protocol, Query, ReadCx, Reply, WriteCx, ops,
};
use strongroom_kernel::policy::Capability;

use super::super::Transit;
use super::super::key::{Derivation, Key};
use super::super::keys::{make_as, save};
use super::super::kind::Kind;
use super::super::limits::DESCRIPTION_CHARS_MAX;
use super::super::ring::Ring;
use super::blob::KeyId;
use super::crypt::material;
use super::find::{
    self, CONFIGURE, CREATE, DISABLE, ENABLE, Found, READ, Right, check_stays, find, missing,
};
use super::pages::{Page, marker};
use super::stored::{About, Known, about, put_about};
use super::{policies, tags, time};

fields! {
    /// Makes a symmetric key.
    pub struct CreateKey {
        /// Free text.
        description: Option<String>,
        /// Its key policy.
        policy: Option<String>,
        /// Tags: a list of objects with key and value.
        tags: Option<Json>,
        /// Is it one that AWS calls multi-Region?
        multi_region: Option<bool>,
    }
}
fields! {
    /// Shows a key.
    pub struct DescribeKey {
        /// The key's id, or an alias.
        key: String,
    }
}
fields! {
    /// Lists the keys' ids.
    pub struct ListKeys {
        /// Where the page before ended.
        marker: Option<String>,
        /// How many at most.
        limit: Option<i64>,
    }
}
fields! {
    /// Takes a key into use again.
    pub struct EnableKey {
        /// The key's id.
        key: String,
    }
}
fields! {
    /// Takes a key out of use.
    pub struct DisableKey {
        /// The key's id.
        key: String,
    }
}
fields! {
    /// Changes a key's description.
    pub struct DescribeAs {
        /// The key's id.
        key: String,
        /// Free text.
        description: Option<String>,
    }
}

ops! {
    CreateKey Json, Write, Needs;
    DescribeKey Json, Write, Needs;
    ListKeys Json, Write, Needs;
    EnableKey (), Write, Needs;
    DisableKey (), Write, Needs;
    DescribeAs (), Write, Needs;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.command::<CreateKey>("aws/create-key")
        .only_for(Protocol::Aws)
        .needs("aws/create-key", find::asked_within)
        .query::<DescribeKey>("aws/describe-key/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/describe-key/{key..}", find::asked_within)
        .query::<ListKeys>("aws/list-keys")
        .only_for(Protocol::Aws)
        .needs("aws/list-keys", needs_of_list)
        .command::<EnableKey>("aws/enable-key/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/enable-key/{key..}", find::asked_within)
        .command::<DisableKey>("aws/disable-key/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/disable-key/{key..}", find::asked_within)
        .command::<DescribeAs>("aws/update-description/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/update-description/{key..}", find::asked_within)
}

/// Where Vault's door lists keys.
pub(super) fn keys_folder(mount: &Mount) -> String {
    format!("{}keys/", mount.path)
}

/// What a list of keys needs.
pub(super) fn needs_of_list(
    mount: &Mount,
    _: &[(&'static str, String)],
    _: &RawFields,
) -> Result<Vec<Need>> {
    Ok(vec![Need::new(keys_folder(mount), Capability::List)])
}

/// A key to be changed, with its turn among those who change it.
pub(super) async fn to_change(
    cx: &mut WriteCx<'_>,
    asked: &str,
    right: Right,
) -> Result<(String, Key)> {
    let name = find(cx, asked, right).await?.name;
    // What was read before the turn came is read again with it.
    cx.queue(&name).await;
    let key = cx.edit().named::<Key>(0, &name).await?;
    let key = key.filter(|key| key.is_kms(cx.now())).ok_or_else(|| missing(cx, asked))?;
    Ok((name, key))
}

fn check_description(text: &str) -> Result<()> {
    if text.chars().count() <= DESCRIPTION_CHARS_MAX {
        return Ok(());
    }
    Err(Error::bad_request(format!(
        "1 validation error detected: Value at 'description' failed to satisfy constraint: Member \
         must have length less than or equal to {DESCRIPTION_CHARS_MAX}"
    ))
    .called("ValidationException"))
}

/// A key's state, as KMS names it.
fn state(key: &Key) -> &'static str {
    match (key.deletion.is_zero(), key.soft_deleted) {
        (false, _) => "PendingDeletion",
        (true, true) => "Disabled",
        (true, false) => "Enabled",
    }
}

/// A key as it is described.
fn view(cx: &ReadCx<'_>, key: &Key, about: &About) -> Json {
    let created = key.created(*key.numbers().start());
    let mut shown = JsonMap::from_iter([
        ("key_id".to_owned(), Json::String(key.kms_id().text())),
        ("created".to_owned(), time(created)),
        ("state".to_owned(), Json::from(state(key))),
        ("description".to_owned(), Json::String(about.description.clone())),
        ("is_imported".to_owned(), Json::Bool(key.imported)),
        ("multi_region".to_owned(), Json::Bool(key.multi_region)),
        ("material".to_owned(), Json::String(material(&cx.view(), key, key.latest()))),
    ]);
    if !key.deletion.is_zero() {
        shown.insert("deletion".to_owned(), time(key.deletion));
    }
    Json::Object(shown)
}

impl Command<CreateKey> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: CreateKey) -> Result<Reply<Json>> {
        let id = KeyId::fresh(op.multi_region.unwrap_or(false), cx.rng());
        let name = id.text();
        CREATE.check(cx, &name)?;
        let mut about =
            About { description: op.description.unwrap_or_default(), ..About::default() };
        check_description(&about.description)?;
        tags::put(&mut about.tags, tags::read(op.tags.as_ref())?)?;
        if let Some(policy) = op.policy {
            about.policy = policies::checked(policy)?;
        }
        let mut key = Key::new(Kind::Cipher(Cipher::Aes256Gcm), Derivation::None, false);
        (key.id, key.multi_region) = (id.number, id.multi_region);
        let ring = make_as(cx, &name, key).await?;
        put_about(&cx.edit(), &name, &about)?;
        Ok(Reply::data(view(cx, &ring.key, &about)))
    }
}

impl Query<DescribeKey> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: DescribeKey) -> Result<Reply<Json>> {
        let found = find(cx, &op.key, READ).await?;
        let about = about(&cx.view(), &found.name).await?;
        Ok(Reply::data(view(cx, found.key(), &about)))
    }
}

/// The keys of a page that the caller may see, and the marker of the next page.
async fn page_of_keys(cx: &ReadCx<'_>, page: &Page) -> Result<(Vec<Json>, Option<String>)> {
    let view = cx.view();
    let folder = keys_folder(&cx.request.mount);
    let rights = cx.request.rights.as_ref();
    let right = rights.and_then(|rights| rights.list(&folder, Capability::List, None));
    let right = right.ok_or_else(Error::denied)?;
    let ids = view.names::<Known>(0).await?;
    let mut shown: Vec<Json> = Vec::new();
    let mut last: Option<&str> = None;
    for id in page.rest(&ids) {
        let Some(known) = view.cached::<Known>(0, id).await? else { continue };
        let ring = Ring::find(&view, &known.name).await?;
        if !ring.is_some_and(|ring| ring.key.is_kms(cx.now())) || !right.may_show(&known.name) {
            continue;
        }
        if page.is_full(shown.len()) {
            return Ok((shown, last.map(marker)));
        }
        shown.push(Json::String(id.clone()));
        last = Some(id);
    }
    Ok((shown, None))
}

impl Query<ListKeys> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: ListKeys) -> Result<Reply<Json>> {
        let page = Page::asked(op.marker.as_deref(), op.limit, 100)?;
        let (keys, next) = page_of_keys(cx, &page).await?;
        Ok(Reply::data(serde_json::json!({ "keys": keys, "next": next })))
    }
}

/// Takes a key into use or out of it.
async fn set_disabled(
    cx: &mut WriteCx<'_>,
    asked: &str,
    right: Right,
    disabled: bool,
) -> Result<Reply<()>> {
    let (name, mut key) = to_change(cx, asked, right).await?;
    check_stays(cx, &key)?;
    if key.soft_deleted != disabled {
        key.soft_deleted = disabled;
        save(cx, &name, &mut key).await?;
    }
    Ok(Reply::none())
}

impl Command<EnableKey> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: EnableKey) -> Result<Reply<()>> {
        set_disabled(cx, &op.key, ENABLE, false).await
    }
}

impl Command<DisableKey> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DisableKey) -> Result<Reply<()>> {
        set_disabled(cx, &op.key, DISABLE, true).await
    }
}

impl Command<DescribeAs> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DescribeAs) -> Result<Reply<()>> {
        let (name, key) = to_change(cx, &op.key, CONFIGURE).await?;
        check_stays(cx, &key)?;
        let description = op.description.unwrap_or_default();
        check_description(&description)?;
        change(cx, &name, |about| {
            about.description = description;
            Ok(())
        })
        .await
    }
}

/// Changes what KMS knows of a key beside its state.
pub(super) async fn change(
    cx: &WriteCx<'_>,
    name: &str,
    change: impl FnOnce(&mut About) -> Result<()>,
) -> Result<Reply<()>> {
    let edit = cx.edit();
    let mut about = edit.named::<About>(0, name).await?.unwrap_or_default();
    change(&mut about)?;
    put_about(&edit, name, &about)?;
    Ok(Reply::none())
}

/// What only keys that are used can be asked: what is said of one.
pub(super) async fn found_about(
    cx: &ReadCx<'_>,
    asked: &str,
) -> Result<(Found, std::sync::Arc<About>)> {
    let found = find(cx, asked, READ).await?;
    let about = about(&cx.view(), &found.name).await?;
    Ok((found, about))
}
