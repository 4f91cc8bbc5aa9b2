//! Which secret a request means, and whether its caller may do there what it asks for.
//!
//! An ARN ends in the name and six characters; but a name may end so, too. The door hands in both
//! readings; each counts only where the caller has the right to it, so that neither tells of the
//! other. Of two secrets, the one counts whose name is written out.
//!
//! Invariant: whom nothing would allow what he asks of a secret that is not there, is told the very same of
//! one that is.

use strongroom_base::{Error, JsonMap, RawFields, RequestPath, Result, capture, fields};
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
    needs_of_path(mount, captures, rights)
}

/// The rights to what is at the captured path.
pub(super) fn needs_of_path(
    mount: &Mount,
    captures: &[(&'static str, String)],
    rights: &[Right],
) -> Vec<Need> {
    let path = capture(captures, "path").unwrap_or_default();
    rights.iter().map(|(endpoint, c)| Need::new(at(mount, endpoint, path), *c)).collect()
}

fn at(mount: &Mount, endpoint: &str, path: &str) -> String {
    [&*mount.path, endpoint, "/", path].concat()
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

/// What came of a reading.
enum Read {
    Found(Found),
    /// Nothing is there, and the caller may know that.
    Missing,
    /// It is not for the caller, who may know that it is there: or else he would have been told that it is not.
    Known(Error),
    /// It is not for the caller, whether it is there or not.
    Unknown(Error),
}

impl Target {
    /// The readings. The whole name comes first: it is that of a secret as it is written, where the other is
    /// what is left of it.
    fn readings(&self) -> Vec<Reading> {
        let mut readings = Vec::with_capacity(2);
        if let (Some(suffix), Some(path)) = (&self.suffix, &self.whole)
            && RequestPath::parse(path).is_ok_and(|p| p.as_str() == path)
        {
            let arn = self.arn.as_ref().map(|arn| format!("{arn}-{suffix}"));
            readings.push(Reading { path: path.clone(), suffix: None, arn });
        }
        let (path, suffix) = (self.path.clone(), self.suffix.clone());
        readings.push(Reading { path, suffix, arn: self.arn.clone() });
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
        let (mut missing, mut known, mut unknown) = (false, None, None);
        for reading in self.readings() {
            match self.read(cx, reading, rights, read).await? {
                Read::Found(found) => return Ok(Some(found)),
                Read::Missing => missing = true,
                Read::Known(error) => known = Some(error),
                Read::Unknown(error) => unknown = Some(error),
            }
        }
        match known.or_else(|| unknown.filter(|_| !missing)) {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }

    async fn read(
        &self,
        cx: &ReadCx<'_>,
        reading: Reading,
        rights: &[Right],
        read: Option<&ReadAs<'_>>,
    ) -> Result<Read> {
        let Reading { path, suffix, arn } = reading;
        if let Err(error) = require(cx, &path, rights) {
            return Ok(Read::Unknown(error));
        }
        let about = Named { arn: arn.as_deref(), called: self.arn.as_deref() };
        let secret = store::find_any(&cx.view(), &path).await?;
        let is_meant = |secret: &Secret| {
            suffix.as_ref().is_none_or(|suffix| *suffix == ids::suffix(secret.head.id))
        };
        let Some(secret) = secret.filter(is_meant) else {
            let judged = about.judge_missing(cx, read);
            return Ok(judged.map_or_else(Read::Unknown, |()| Read::Missing));
        };
        Ok(match about.judge(cx, read, &secret.head) {
            Ok(()) => Read::Found(Found { path, arn, secret }),
            Err(error) => match about.judge_missing(cx, read) {
                Ok(()) => Read::Known(error),
                Err(error) => Read::Unknown(error),
            },
        })
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

/// A secret by the names that documents and refusals call it.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    /// Its ARN without the six characters.
    pub arn: Option<&'a str>,
    /// What a refusal calls it; its whole ARN where nothing is said.
    pub called: Option<&'a str>,
}

impl Named<'_> {
    /// Asks the IAM documents of the caller and of the secret, where the caller has such.
    pub fn judge(self, cx: &ReadCx<'_>, read: Option<&ReadAs<'_>>, head: &Head) -> Result<()> {
        let Some(access) = &cx.request.access else { return Ok(()) };
        if !access.has_documents() && policy(head).is_none() {
            return Ok(());
        }
        let keys = read.map(|read| read.keys(Some(head)));
        let arn = self.arn.map(|arn| format!("{arn}-{}", ids::suffix(head.id)));
        access.judge(&About {
            action: read.map(|_| ReadAs::ACTION),
            resource: arn.as_deref(),
            called: self.called,
            policy: policy(head),
            tags: &tags(head),
            keys: keys.as_ref().map_or(&[][..], |keys| keys.as_slice()),
            ..About::default()
        })
    }

    /// Asks about one that is not there: only the caller's documents speak of it.
    pub fn judge_missing(self, cx: &ReadCx<'_>, read: Option<&ReadAs<'_>>) -> Result<()> {
        let Some(access) = &cx.request.access else { return Ok(()) };
        let keys = read.map(|read| read.keys(None));
        access.judge(&About {
            action: read.map(|_| ReadAs::ACTION),
            resource: self.arn,
            called: self.called,
            keys: keys.as_ref().map_or(&[][..], |keys| keys.as_slice()),
            ..About::default()
        })
    }
}

/// A secret's tags, as documents see them.
pub(super) fn tags(head: &Head) -> Vec<(String, String)> {
    head.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
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
