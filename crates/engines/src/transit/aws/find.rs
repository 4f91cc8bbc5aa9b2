//! How a request names a key, and the rights that it needs on what it names.
//!
//! Invariants:
//! * a key is found together with the right to it: no operation gets one otherwise;
//! * who may not do it with a key is told the same where there is no such key;
//! * the IAM documents of a caller are asked about the very key, by its ARN and with its tags, whatever a
//!   request calls it.

use std::sync::Arc;

use strongroom_base::{Error, JsonMap, RawFields, Result};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{About, Need, ReadCx};
use strongroom_kernel::policy::Capability;
use strongroom_kernel::record::ReadView;

use super::super::key::Key;
use super::super::ring::Ring;
use super::blob::KeyId;
use super::stored::{Alias, Known, about};

/// What stands before an alias's name in requests and answers.
pub const ALIAS: &str = "alias/";
/// What stands before a key's id in its ARN.
const KEY: &str = "key/";

/// A right on a key: the path of Vault's door that does the same, and its capability.
#[derive(Clone, Copy)]
pub struct Right {
    /// What stands before the key's name.
    before: &'static str,
    /// What stands behind it.
    after: &'static str,
    capability: Capability,
    /// What AWS calls it, where that is not the request's own action.
    action: Option<&'static str>,
}

const fn right(before: &'static str, after: &'static str, capability: Capability) -> Right {
    Right { before, after, capability, action: None }
}

/// To see what is said of a key.
pub const READ: Right = right("keys/", "", Capability::Read);
/// To make a key.
pub const CREATE: Right = right("keys/", "", Capability::Create);
/// To change what is said of it.
pub const CONFIGURE: Right = right("keys/", "/config", Capability::Update);
/// To delete it.
pub const DELETE: Right = right("keys/", "", Capability::Delete);
/// To take it out of use.
pub const DISABLE: Right = right("keys/", "/soft-delete", Capability::Delete);
/// To take it into use again.
pub const ENABLE: Right = right("keys/", "/soft-delete-restore", Capability::Update);
/// To make its next version.
pub const ROTATE: Right = right("keys/", "/rotate", Capability::Update);
/// To encrypt with it.
pub const ENCRYPT: Right = right("encrypt/", "", Capability::Update);
/// To decrypt with it.
pub const DECRYPT: Right = right("decrypt/", "", Capability::Update);
/// To encrypt anew what it encrypted.
pub const REWRAP: Right = right("rewrap/", "", Capability::Update);
/// To make data keys that are shown.
pub const DATA_KEY: Right = right("datakey/plaintext/", "", Capability::Update);
/// To make data keys that are not shown.
pub const WRAPPED_KEY: Right = right("datakey/wrapped/", "", Capability::Update);
/// To make an alias.
pub const CREATE_ALIAS: Right = right("aliases/", "", Capability::Create);
/// To give an alias another key.
pub const UPDATE_ALIAS: Right = right("aliases/", "", Capability::Update);
/// To remove an alias.
pub const DELETE_ALIAS: Right = right("aliases/", "", Capability::Delete);

impl Right {
    /// The same right, under this action of AWS's.
    pub const fn called(self, action: &'static str) -> Self {
        Self { action: Some(action), ..self }
    }

    fn path(self, mount: &Mount, name: &str) -> String {
        format!("{}{}{name}{}", mount.path, self.before, self.after)
    }

    /// Has the caller this right on what is called `name`?
    pub fn is_held(self, cx: &ReadCx<'_>, name: &str) -> bool {
        // Rules about parameters are judged by a request without any: one that must have some refuses.
        let path = self.path(&cx.request.mount, name);
        cx.request.may(&path, self.capability, Some(&JsonMap::new()))
    }

    /// Refuses a caller who has not this right on what is called `name`.
    pub fn check(self, cx: &ReadCx<'_>, name: &str) -> Result<()> {
        if self.is_held(cx, name) {
            return Ok(());
        }
        let path = self.path(&cx.request.mount, name);
        match &cx.request.rights {
            Some(rights) => Err(rights.denied(&path, self.capability, Some(&JsonMap::new()))),
            None => Err(Error::denied()),
        }
    }
}

/// A key that was found, and that the caller may use as was asked.
pub struct Found {
    /// Its name.
    pub name: String,
    /// The key, ready for use.
    pub ring: Arc<Ring>,
}

impl Found {
    /// The key's settings.
    pub fn key(&self) -> &Key {
        &self.ring.key
    }

    /// Its id.
    pub fn id(&self) -> KeyId {
        self.key().kms_id()
    }
}

/// Why a key is not there: in AWS's words, which name what the request named.
pub fn missing(cx: &ReadCx<'_>, asked: &str) -> Error {
    Error::bad_request(match asked.starts_with(ALIAS) {
        true => format!("Alias {} is not found.", shown(cx, asked)),
        false => format!("Key '{}' does not exist", shown(cx, &format!("{KEY}{asked}"))),
    })
    .called("NotFoundException")
}

/// The ARN of what is called so in the place that the request names; the name alone where it names none.
fn shown(cx: &ReadCx<'_>, resource: &str) -> String {
    let access = cx.request.access.as_ref();
    let arn = access.and_then(|access| arn_of(access.resource(), resource));
    arn.unwrap_or_else(|| resource.to_owned())
}

/// Refuses a key that is out of use.
pub fn in_use(cx: &ReadCx<'_>, key: &Key) -> Result<()> {
    key.in_use().map_err(|error| in_words(cx, key, error))
}

/// Refuses a key that is soon to be deleted.
pub fn check_stays(cx: &ReadCx<'_>, key: &Key) -> Result<()> {
    if key.deletion.is_zero() {
        return Ok(());
    }
    Err(in_words(cx, key, key.is_to_be_deleted()))
}

/// The failure of a key's state in AWS's words, which clients read.
fn in_words(cx: &ReadCx<'_>, key: &Key, error: Error) -> Error {
    let arn = shown(cx, &format!("{KEY}{}", key.kms_id().text()));
    let state = if key.deletion.is_zero() { "disabled" } else { "pending deletion" };
    Error { public: vec![format!("{arn} is {state}.")], ..error }
}

/// The failure of taking back a deletion that is not scheduled.
pub fn stays(cx: &ReadCx<'_>, key: &Key) -> Error {
    let arn = shown(cx, &format!("{KEY}{}", key.kms_id().text()));
    Error::bad_request(format!("{arn} is not pending deletion.")).called("KMSInvalidStateException")
}

/// The name of the key that is called `asked`: an id, or an alias with its `alias/`.
async fn name_of(view: &ReadView<'_>, asked: &str) -> Result<Option<String>> {
    Ok(match asked.strip_prefix(ALIAS) {
        Some(alias) => view.cached::<Alias>(0, alias).await?.map(|alias| alias.target.clone()),
        None => view.cached::<Known>(0, asked).await?.map(|known| known.name.clone()),
    })
}

/// The ARN of `named`: `resource` is what the door knows of the request, which names region and account.
fn arn_of(resource: &str, named: &str) -> Option<String> {
    let parts: Vec<&str> = resource.splitn(6, ':').collect();
    let (_, place) = parts.split_last().filter(|_| parts.len() == 6)?;
    Some(format!("{}:{named}", place.join(":")))
}

/// What conditions see of a request, besides what the door said of it.
pub type Keys = [(String, Vec<String>)];

/// As [`About::keys`] has them.
fn lent(keys: &Keys) -> Vec<(&str, Vec<String>)> {
    keys.iter().map(|(name, values)| (name.as_str(), values.clone())).collect()
}

/// Asks the IAM documents of the caller about the key of this name, where he has such.
pub async fn judge(cx: &ReadCx<'_>, name: &str, action: Option<&str>, seen: &Keys) -> Result<()> {
    let access = cx.request.access.as_ref().filter(|access| access.has_documents());
    let Some(access) = access else { return Ok(()) };
    let view = cx.view();
    let about = about(&view, name).await?;
    let ring = Ring::find(&view, name).await?;
    let arn = ring.map(|ring| {
        // Without its ARN nothing that is said of the very key would be asked.
        let arn = arn_of(access.resource(), &format!("{KEY}{}", ring.key.kms_id().text()));
        arn.ok_or_else(|| Error::denied().called("AccessDeniedException"))
    });
    let (arn, keys) = (arn.transpose()?, lent(seen));
    let (resource, tags) = (arn.as_deref(), about.tags.as_slice());
    // Which key an alias means is not told to who may not use it.
    let called = Some(access.resource());
    access.judge(&About { action, resource, called, tags, keys: &keys, ..About::default() })
}

/// Asks them about what the request itself names.
pub fn judge_request(cx: &ReadCx<'_>, action: Option<&str>, seen: &Keys) -> Result<()> {
    let keys = &lent(seen);
    match &cx.request.access {
        Some(access) => access.judge(&About { action, keys, ..About::default() }),
        None => Ok(()),
    }
}

/// The key that is called `asked`, if the caller has `right` to it.
pub async fn find(cx: &ReadCx<'_>, asked: &str, right: Right) -> Result<Found> {
    find_any(cx, asked, right).await?.ok_or_else(|| missing(cx, asked))
}

/// The same; `None` where the caller has the right and there is no such key.
pub async fn find_any(cx: &ReadCx<'_>, asked: &str, right: Right) -> Result<Option<Found>> {
    find_seen(cx, asked, right, &[]).await
}

/// The same, for a right that conditions see more of.
pub async fn find_seen(
    cx: &ReadCx<'_>,
    asked: &str,
    right: Right,
    seen: &Keys,
) -> Result<Option<Found>> {
    let view = cx.view();
    let name = name_of(&view, asked).await?;
    right.check(cx, name.as_deref().unwrap_or(asked))?;
    let Some(name) = name else {
        judge_request(cx, right.action, seen)?;
        return Ok(None);
    };
    if let Err(refused) = judge(cx, &name, right.action, seen).await {
        // Whom nothing would allow it of a key that is not there, is told the same.
        judge_request(cx, right.action, seen)?;
        return Err(refused);
    }
    let ring = Ring::find(&view, &name).await?.filter(|ring| ring.key.is_kms(cx.now()));
    Ok(ring.map(|ring| Found { name, ring }))
}

/// What operations on a key need: it is asked about with the key ([`find`]), which only a record can
/// tell from its id or alias.
pub fn asked_within(_: &Mount, _: &[(&'static str, String)], _: &RawFields) -> Result<Vec<Need>> {
    Ok(Vec::new())
}
