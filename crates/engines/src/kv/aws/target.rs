//! Which secret a request means, and whether its caller may do there what it asks for.
//!
//! An ARN ends in the name and six characters; but a name may end so, too. The door hands in both
//! readings; each counts only where the caller has the right to it, so that neither tells of the
//! other.

use strongroom_base::{Error, JsonMap, RawFields, RequestPath, Result, fields};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{About, Need, ReadCx};
use strongroom_kernel::policy::Capability;

use super::value::ReadAs;
use super::{ids, refusals};
use crate::kv::secret::Head;
use crate::kv::store::{self, Secret};

fields! {
    /// Which secret is meant.
    pub struct Target {
        /// The secret's path.
        path: String,
        /// The six characters at the end of its ARN, where the caller named them.
        suffix: Option<String>,
        /// The path that is meant where these six characters belong to the name.
        whole: Option<String>,
        /// Its ARN without the six characters, for messages.
        arn: Option<String>,
    }
}

/// A right: an endpoint of the mount, and what must be allowed there.
pub(super) type Right = (&'static str, Capability);

/// A secret that was found.
pub(super) struct Found {
    /// Its path.
    pub path: String,
    /// Its ARN without the six characters, where the door said it.
    pub arn: Option<String>,
    /// The secret.
    pub secret: Secret,
}

/// What an operation on the secret at the captured path needs. Where it may mean one of two, the
/// operation asks for both itself.
pub(super) fn needs(
    mount: &Mount,
    captures: &[(&'static str, String)],
    raw: &RawFields,
    rights: &[Right],
) -> Vec<Need> {
    if raw.get("suffix").is_some_and(|s| s.is_string()) {
        return Vec::new();
    }
    let path = captures.iter().find(|(n, _)| *n == "path").map_or("", |(_, p)| p.as_str());
    rights.iter().map(|(endpoint, c)| Need::new(at(mount, endpoint, path), *c)).collect()
}

fn at(mount: &Mount, endpoint: &str, path: &str) -> String {
    format!("{}{endpoint}/{path}", mount.path)
}

/// What a rule's constraints on parameters are asked with: what the same deed at Vault's endpoint
/// could not leave out.
fn parameters(endpoint: &str, capability: Capability) -> Option<JsonMap> {
    let member = match (endpoint, capability) {
        ("data", Capability::Create | Capability::Update) => "data",
        ("metadata", Capability::Create | Capability::Update) => "custom_metadata",
        _ => return None,
    };
    Some(JsonMap::from_iter([(member.to_owned(), JsonMap::new().into())]))
}

/// Refuses what the caller may not do at `path`.
pub(super) fn require(cx: &ReadCx<'_>, path: &str, rights: &[Right]) -> Result<()> {
    let held = cx.request.rights.as_ref().ok_or_else(Error::denied)?;
    for (endpoint, capability) in rights {
        let path = at(&cx.request.mount, endpoint, path);
        let fields = parameters(endpoint, *capability);
        if !held.allow(&path, *capability, fields.as_ref()) {
            return Err(held.denied(&path, *capability, fields.as_ref()));
        }
    }
    Ok(())
}

/// One reading of what a request names.
struct Reading {
    path: String,
    suffix: Option<String>,
    /// Its ARN without the six characters.
    arn: Option<String>,
}

impl Target {
    /// The readings, the likelier first.
    fn readings(&self) -> Vec<Reading> {
        let first =
            Reading { path: self.path.clone(), suffix: self.suffix.clone(), arn: self.arn.clone() };
        let mut readings = vec![first];
        if let (Some(suffix), Some(path)) = (&self.suffix, &self.whole)
            && RequestPath::parse(path).is_ok_and(|p| p.as_str() == path)
        {
            let arn = self.arn.as_ref().map(|arn| format!("{arn}-{suffix}"));
            readings.push(Reading { path: path.clone(), suffix: None, arn });
        }
        readings
    }

    /// The secret, whatever its state, if the caller may do with it what `rights` say.
    pub(super) async fn find_any(
        &self,
        cx: &ReadCx<'_>,
        rights: &[Right],
    ) -> Result<Option<Found>> {
        self.find_for(cx, rights, None).await
    }

    /// As [`Target::find_any`], for a value that is read within another request.
    pub(super) async fn find_for(
        &self,
        cx: &ReadCx<'_>,
        rights: &[Right],
        read: Option<&ReadAs<'_>>,
    ) -> Result<Option<Found>> {
        let (mut allowed, mut refused) = (false, None);
        for Reading { path, suffix, arn } in self.readings() {
            if let Err(e) = require(cx, &path, rights) {
                refused = refused.or(Some(e));
                continue;
            }
            allowed = true;
            let Some(secret) = store::find_any(&cx.view(), &path).await? else { continue };
            if suffix.is_none_or(|suffix| suffix == ids::suffix(secret.head.id)) {
                judge(cx, read, arn.as_deref(), Some(&secret.head))?;
                return Ok(Some(Found { path, arn, secret }));
            }
        }
        if let Some(refused) = refused.filter(|_| !allowed) {
            return Err(refused);
        }
        judge(cx, read, self.arn.as_deref(), None)?;
        Ok(None)
    }

    /// The secret, refused where it is not there or its deletion is scheduled.
    pub(super) async fn find(&self, cx: &ReadCx<'_>, rights: &[Right]) -> Result<Found> {
        let found = self.find_any(cx, rights).await?.ok_or_else(refusals::no_secret)?;
        match found.secret.head.deletion {
            None => Ok(found),
            Some(_) => Err(refusals::is_deleted()),
        }
    }
}

/// Asks the IAM documents of the caller and of the secret, where the caller has such. `arn` is that of
/// the secret without its six characters; of one that is not there, only the caller's documents speak.
pub(super) fn judge(
    cx: &ReadCx<'_>,
    read: Option<&ReadAs<'_>>,
    arn: Option<&str>,
    head: Option<&Head>,
) -> Result<()> {
    let Some(access) = &cx.request.access else { return Ok(()) };
    let action = read.map(|_| ReadAs::ACTION);
    let keys = read.map(|read| read.keys(head));
    let keys = keys.as_ref().map_or(&[][..], |keys| keys.as_slice());
    let Some(head) = head else {
        return access.judge(&About { action, resource: arn, keys, ..About::default() });
    };
    let arn = arn.map(|arn| format!("{arn}-{}", ids::suffix(head.id)));
    let tags: Vec<(String, String)> =
        head.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    access.judge(&About {
        action,
        resource: arn.as_deref(),
        policy: policy(head),
        tags: &tags,
        keys,
        ..About::default()
    })
}

/// The policy attached to a secret.
pub(super) fn policy(head: &Head) -> Option<&str> {
    head.of_aws.as_ref().map(|a| a.policy.as_str()).filter(|policy| !policy.is_empty())
}

impl Found {
    /// Its ARN; the path where the door said none.
    pub fn shown(&self) -> String {
        match &self.arn {
            Some(arn) => format!("{arn}-{}", ids::suffix(self.secret.head.id)),
            None => self.path.clone(),
        }
    }

    /// What every answer about one secret begins with.
    pub fn view(&self) -> JsonMap {
        view_of(&self.path, &self.secret.head)
    }
}

/// What every answer about one secret begins with.
pub(super) fn view_of(path: &str, head: &Head) -> JsonMap {
    JsonMap::from_iter([
        ("path".to_owned(), path.into()),
        ("suffix".to_owned(), ids::suffix(head.id).into()),
    ])
}

/// A path as operations take it.
pub(super) fn path(text: &str) -> Result<String> {
    let path = RequestPath::parse(text).map_err(|e| refusals::invalid_parameter(e.to_string()))?;
    match path.as_str() {
        "" => Err(refusals::no_secret()),
        path => Ok(path.to_owned()),
    }
}
