//! `CreateAlias`, `UpdateAlias`, `DeleteAlias`, `ListAliases` (API pages of those names).
//!
//! Policy judges an alias by the path `aliases/NAME` of the mount, at which Vault's door has nothing. Who
//! gives an alias a key, or takes it away, needs besides what changing that key's settings needs: others
//! encrypt with what the alias says.

use strongroom_base::{Error, Json, JsonMap, RawFields, Result, fields};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{
    Command, EngineSpec, Need, Protocol, Query, ReadCx, Reply, WriteCx, ops,
};
use strongroom_kernel::policy::Capability;

use super::super::Transit;
use super::super::key::Key;
use super::super::limits::{ALIAS_CHARS_MAX, ALIASES_MAX};
use super::super::ring::Ring;
use super::find::{
    self, ALIAS, CONFIGURE, CREATE_ALIAS, DELETE_ALIAS, UPDATE_ALIAS, check_stays, judge,
    judge_request, missing,
};
use super::keys::{change, found_about, to_change};
use super::pages::{Page, marker};
use super::stored::{About, Alias};
use super::time;

fields! {
    /// Names a key.
    pub struct CreateAlias {
        /// The alias, without `alias/`.
        alias: String,
        /// The key's id.
        target: Option<String>,
    }
}
fields! {
    /// Gives an alias another key.
    pub struct UpdateAlias {
        /// The alias, without `alias/`.
        alias: String,
        /// The key's id.
        target: Option<String>,
    }
}
fields! {
    /// Removes an alias.
    pub struct DeleteAlias {
        /// The alias, without `alias/`.
        alias: String,
    }
}
fields! {
    /// Lists aliases: all, or those of a key.
    pub struct ListAliases {
        /// The key's id.
        key: Option<String>,
        /// Where the page before ended.
        marker: Option<String>,
        /// How many at most.
        limit: Option<i64>,
    }
}

ops! {
    CreateAlias (), Write, Needs;
    UpdateAlias (), Write, Needs;
    DeleteAlias (), Write, Needs;
    ListAliases Json, Write, Needs;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.command::<CreateAlias>("aws/create-alias/{alias..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/create-alias/{alias..}", find::asked_within)
        .command::<UpdateAlias>("aws/update-alias/{alias..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/update-alias/{alias..}", find::asked_within)
        .command::<DeleteAlias>("aws/delete-alias/{alias..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/delete-alias/{alias..}", find::asked_within)
        .query::<ListAliases>("aws/list-aliases")
        .only_for(Protocol::Aws)
        .needs("aws/list-aliases", needs_of_list)
        .query::<ListAliases>("aws/list-aliases/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/list-aliases/{key..}", find::asked_within)
}

fn folder(mount: &Mount) -> String {
    format!("{}aliases/", mount.path)
}

fn needs_of_list(mount: &Mount, _: &[(&'static str, String)], _: &RawFields) -> Result<Vec<Need>> {
    Ok(vec![Need::new(folder(mount), Capability::List)])
}

/// Refuses a name that AWS does not allow, and those that it keeps for itself.
fn check_name(alias: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_-".contains(&b);
    if alias.is_empty() || !alias.bytes().all(plain) || alias.len() + ALIAS.len() > ALIAS_CHARS_MAX
    {
        return Err(Error::bad_request(
            "an alias has up to 250 letters, digits, slashes, underscores and dashes behind alias/",
        )
        .called("InvalidAliasNameException"));
    }
    if alias.starts_with("aws/") {
        return Err(Error::bad_request("aliases that begin with alias/aws/ are reserved")
            .called("NotAuthorizedException"));
    }
    Ok(())
}

/// Why an alias is not there.
fn no_alias(cx: &ReadCx<'_>, alias: &str) -> Error {
    missing(cx, &format!("{ALIAS}{alias}"))
}

/// The name of the key that an alias is to mean.
async fn target(cx: &mut WriteCx<'_>, asked: Option<&str>) -> Result<(String, Key)> {
    let asked = asked.unwrap_or_default();
    if asked.starts_with(ALIAS) {
        return Err(Error::bad_request("Aliases must refer to keys. Not aliases")
            .called("ValidationException"));
    }
    let (name, key) = to_change(cx, asked, CONFIGURE).await?;
    check_stays(cx, &key)?;
    Ok((name, key))
}

fn add_to(about: &mut About, alias: &str) -> Result<()> {
    if about.aliases.len() >= ALIASES_MAX {
        return Err(Error::bad_request(format!("a key has at most {ALIASES_MAX} aliases"))
            .called("LimitExceededException"));
    }
    about.aliases.push(alias.to_owned());
    Ok(())
}

impl Command<CreateAlias> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: CreateAlias) -> Result<Reply<()>> {
        CREATE_ALIAS.check(cx, &op.alias)?;
        judge_request(cx, None, &[])?;
        let (name, _) = target(cx, op.target.as_deref()).await?;
        check_name(&op.alias)?;
        let edit = cx.edit();
        if edit.named::<Alias>(0, &op.alias).await?.is_some() {
            return Err(Error::bad_request("an alias of this name already exists")
                .called("AlreadyExistsException"));
        }
        let now = cx.now();
        let alias = Alias { target: name.clone(), created: now, updated: now };
        edit.put_named(0, &op.alias, &alias)?;
        change(cx, &name, |about| add_to(about, &op.alias)).await
    }
}

impl Command<UpdateAlias> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: UpdateAlias) -> Result<Reply<()>> {
        UPDATE_ALIAS.check(cx, &op.alias)?;
        judge_request(cx, None, &[])?;
        let (name, _) = target(cx, op.target.as_deref()).await?;
        check_name(&op.alias)?;
        let edit = cx.edit();
        let mut alias =
            edit.named::<Alias>(0, &op.alias).await?.ok_or_else(|| no_alias(cx, &op.alias))?;
        CONFIGURE.check(cx, &alias.target)?;
        judge(cx, &alias.target, None, &[]).await?;
        if alias.target == name {
            return Ok(Reply::none());
        }
        let before = std::mem::replace(&mut alias.target, name.clone());
        alias.updated = cx.now();
        edit.put_named(0, &op.alias, &alias)?;
        remove_from(cx, &before, &op.alias).await?;
        change(cx, &name, |about| add_to(about, &op.alias)).await
    }
}

/// A key has an alias no more.
async fn remove_from(cx: &WriteCx<'_>, name: &str, alias: &str) -> Result<Reply<()>> {
    change(cx, name, |about| {
        about.aliases.retain(|known| known != alias);
        Ok(())
    })
    .await
}

impl Command<DeleteAlias> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteAlias) -> Result<Reply<()>> {
        DELETE_ALIAS.check(cx, &op.alias)?;
        judge_request(cx, None, &[])?;
        let edit = cx.edit();
        let alias =
            edit.named::<Alias>(0, &op.alias).await?.ok_or_else(|| no_alias(cx, &op.alias))?;
        CONFIGURE.check(cx, &alias.target)?;
        judge(cx, &alias.target, None, &[]).await?;
        edit.delete_named::<Alias>(0, &op.alias);
        remove_from(cx, &alias.target, &op.alias).await
    }
}

/// An alias as a list shows it; `None` where its key is not to be seen.
async fn shown(cx: &ReadCx<'_>, name: &str) -> Result<Option<Json>> {
    let view = cx.view();
    let Some(alias) = view.cached::<Alias>(0, name).await? else { return Ok(None) };
    let ring = Ring::find(&view, &alias.target).await?;
    let Some(ring) = ring.filter(|ring| ring.key.is_kms(cx.now())) else { return Ok(None) };
    Ok(Some(Json::Object(JsonMap::from_iter([
        ("alias".to_owned(), Json::from(name)),
        ("key_id".to_owned(), Json::String(ring.key.kms_id().text())),
        ("created".to_owned(), time(alias.created)),
        ("updated".to_owned(), time(alias.updated)),
    ]))))
}

/// The names of the aliases that the caller may list, sorted.
async fn listed(cx: &ReadCx<'_>, key: Option<&str>) -> Result<Vec<String>> {
    if let Some(asked) = key {
        if asked.starts_with(ALIAS) {
            return Err(missing(cx, asked));
        }
        let (_, about) = found_about(cx, asked).await?;
        let mut names = about.aliases.clone();
        names.sort_unstable();
        return Ok(names);
    }
    let folder = folder(&cx.request.mount);
    let rights = cx.request.rights.as_ref();
    let right = rights.and_then(|rights| rights.list(&folder, Capability::List, None));
    let right = right.ok_or_else(Error::denied)?;
    let names = cx.view().names::<Alias>(0).await?;
    Ok(names.iter().filter(|name| right.may_show(name)).cloned().collect())
}

impl Query<ListAliases> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: ListAliases) -> Result<Reply<Json>> {
        let names = listed(cx, op.key.as_deref()).await?;
        let page = Page::asked(op.marker.as_deref(), op.limit, 50)?;
        let (mut aliases, mut next, mut last) = (Vec::new(), None, None);
        for name in page.rest(&names) {
            let Some(alias) = shown(cx, name).await? else { continue };
            if page.is_full(aliases.len()) {
                next = last.map(marker);
                break;
            }
            aliases.push(alias);
            last = Some(name.as_str());
        }
        Ok(Reply::data(serde_json::json!({ "aliases": aliases, "next": next })))
    }
}
