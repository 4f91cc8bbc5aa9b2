//! Key pairs of a role: made or brought along, listed, described, switched off and on, rotated, deleted.

use serde::Serialize;
use strongroom_base::{Error, Result, SecretString, Timestamp, Ttl, fields};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::stored::{self, KeyOfRole, KeyPair, Role};
use super::{AwsDoor, arns};

/// Key pairs of one role.
const KEYS_MAX: usize = 100;
/// Characters of an access key that is brought along (API page "AccessKey"), and of its secret key.
const ACCESS_KEY_CHARS: std::ops::RangeInclusive<usize> = 16..=128;
const SECRET_KEY_CHARS: std::ops::RangeInclusive<usize> = 16..=128;
/// Characters of a description.
const DESCRIPTION_CHARS_MAX: usize = 256;
/// Seconds that the old key stays good after a rotation, at most: four weeks.
const GRACE_SECONDS_MAX: i64 = 28 * 24 * 3_600;

fields! {
    /// Makes a key pair of a role, or takes one that exists.
    pub struct CreateKey {
        /// The role's name.
        role: String,
        /// The access key of a key pair that exists; both or none.
        access_key: Option<String>,
        /// The secret key of a key pair that exists; both or none.
        secret_key: Option<SecretString>,
        /// What it is for.
        description: Option<String>,
        /// Seconds after which it ends; 0 is never.
        ttl: Option<Ttl>,
    }
}
fields! {
    /// Lists the access keys of a role.
    pub struct ListKeys {
        /// The role's name.
        role: String,
        /// List keys after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}
fields! {
    /// Describes a key pair, without its secret key.
    pub struct ReadKey {
        /// The role's name.
        role: String,
        /// The access key.
        access_key: String,
    }
}
fields! {
    /// Switches a key pair off or on, or describes it anew.
    pub struct PutKey {
        /// The role's name.
        role: String,
        /// The access key.
        access_key: String,
        /// Is it off?
        disabled: Option<bool>,
        /// What it is for.
        description: Option<String>,
        /// Seconds from now after which it ends; 0 is never.
        ttl: Option<Ttl>,
    }
}
fields! {
    /// Deletes a key pair.
    pub struct DeleteKey {
        /// The role's name.
        role: String,
        /// The access key.
        access_key: String,
    }
}
fields! {
    /// Makes a new key pair in the place of one that is switched off, at once or after a while.
    pub struct RotateKey {
        /// The role's name.
        role: String,
        /// The access key of the old pair.
        access_key: String,
        /// Seconds that the old pair stays good; without it, it is off at once.
        grace: Option<Ttl>,
    }
}

/// A fresh key pair: shown once.
#[derive(Serialize)]
pub struct NewKey {
    /// The access key.
    pub access_key: String,
    /// The secret key.
    #[serde(serialize_with = "expose")]
    pub secret_key: SecretString,
    /// The role.
    pub role: String,
}

fn expose<S: serde::Serializer>(secret: &SecretString, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(secret.expose_secret())
}

/// A key pair without its secret key.
#[derive(Serialize)]
pub struct KeyView {
    /// The access key.
    pub access_key: String,
    /// The role.
    pub role: String,
    /// What it is for.
    pub description: String,
    /// `active`, `disabled` or `expired`.
    pub status: &'static str,
    /// When it was made.
    pub created: String,
    /// When it ends; none is never.
    pub expires: Option<String>,
}

ops! {
    CreateKey NewKey, Write;
    ListKeys Keys, List;
    ReadKey KeyView, Read;
    PutKey (), Write;
    DeleteKey (), Delete;
    RotateKey NewKey, Write;
}

pub(super) fn add(spec: EngineSpec<AwsDoor>) -> EngineSpec<AwsDoor> {
    spec.command::<CreateKey>("role/{role}/key")
        .query::<ListKeys>("role/{role}/key/")
        .query::<ReadKey>("role/{role}/key/{access_key}")
        .command::<PutKey>("role/{role}/key/{access_key}")
        .command::<DeleteKey>("role/{role}/key/{access_key}")
        .command::<RotateKey>("role/{role}/key/{access_key}/rotate")
}

/// The role and its name in the one spelling.
async fn role(cx: &ReadCx<'_>, name: &str) -> Result<(String, Role)> {
    let name = name.to_lowercase();
    let found = stored::role(&cx.view(), &name).await?.ok_or_else(Error::not_found)?;
    Ok((name, found.role.clone()))
}

/// The role's own key pair with this access key.
async fn own(cx: &ReadCx<'_>, role: &Role, access_key: &str) -> Result<KeyPair> {
    let found = cx.view().named::<KeyPair>(0, access_key).await?;
    found.filter(|pair| pair.role_id == role.id).ok_or_else(Error::not_found)
}

fn end(cx: &ReadCx<'_>, ttl: Option<Ttl>) -> Result<Timestamp> {
    match ttl {
        None | Some(Ttl(0)) => Ok(Timestamp::ZERO),
        Some(Ttl(seconds)) if seconds > 0 => Ok(cx.now().plus_seconds(seconds)),
        Some(_) => Err(Error::bad_request("ttl cannot be negative")),
    }
}

fn described(text: Option<String>) -> Result<String> {
    let text = text.unwrap_or_default();
    let long = text.chars().count() > DESCRIPTION_CHARS_MAX;
    if long {
        Err(Error::bad_request("description is longer than 256 characters"))
    } else {
        Ok(text)
    }
}

/// A key pair that the caller brings along.
fn brought(access_key: String, secret_key: SecretString) -> Result<(String, SecretString)> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if !ACCESS_KEY_CHARS.contains(&access_key.len()) || !access_key.bytes().all(word) {
        return Err(Error::bad_request("access_key must be 16 to 128 letters, digits or _"));
    }
    if access_key.starts_with("ASIA") {
        return Err(Error::bad_request(
            "access_key must not begin with ASIA: such keys are temporary",
        ));
    }
    let secret = secret_key.expose_secret();
    if !SECRET_KEY_CHARS.contains(&secret.len()) || !secret.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Error::bad_request("secret_key must be 16 to 128 characters without spaces"));
    }
    Ok((access_key, secret_key))
}

/// Stores a key pair of `role`.
async fn store(
    cx: &mut WriteCx<'_>,
    (name, role): (String, Role),
    (access_key, secret_key): (String, SecretString),
    description: String,
    expires: Timestamp,
) -> Result<Reply<NewKey>> {
    let view = cx.view();
    if view.named::<KeyPair>(0, &access_key).await?.is_some() {
        return Err(Error::bad_request("the access key is taken"));
    }
    if view.names::<KeyOfRole>(role.id).await?.len() >= KEYS_MAX {
        return Err(Error::bad_request("a role has at most 100 key pairs"));
    }
    let pair = KeyPair {
        secret_key: secret_key.expose_secret().clone(),
        role_id: role.id,
        role: name.clone(),
        description,
        disabled: false,
        created: cx.now(),
        expires,
    };
    cx.edit().put_named(0, &access_key, &pair)?;
    cx.edit().put_named(role.id, &access_key, &KeyOfRole)?;
    Ok(Reply::data(NewKey { access_key, secret_key, role: name }))
}

fn made(cx: &ReadCx<'_>) -> (String, SecretString) {
    (arns::access_key(cx.rng(), "AKIA"), arns::secret_key(cx.rng()))
}

impl Command<CreateKey> for AwsDoor {
    async fn command(&self, cx: &mut WriteCx<'_>, op: CreateKey) -> Result<Reply<NewKey>> {
        cx.queue(&op.role.to_lowercase()).await;
        let role = role(cx, &op.role).await?;
        let pair = match (op.access_key, op.secret_key) {
            (None, None) => made(cx),
            (Some(access_key), Some(secret_key)) => brought(access_key, secret_key)?,
            _ => return Err(Error::bad_request("access_key and secret_key go together")),
        };
        let (description, expires) = (described(op.description)?, end(cx, op.ttl)?);
        store(cx, role, pair, description, expires).await
    }
}

impl Query<ListKeys> for AwsDoor {
    async fn query(&self, cx: &ReadCx<'_>, op: ListKeys) -> Result<Reply<Keys>> {
        let (_, role) = role(cx, &op.role).await?;
        lists::of_records::<KeyOfRole>(cx, role.id, op.after.as_deref(), op.limit).await
    }
}

impl Query<ReadKey> for AwsDoor {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadKey) -> Result<Reply<KeyView>> {
        let (name, role) = role(cx, &op.role).await?;
        let pair = own(cx, &role, &op.access_key).await?;
        let status = match pair.is_good(cx.now()) {
            true => "active",
            false if pair.disabled => "disabled",
            false => "expired",
        };
        Ok(Reply::data(KeyView {
            access_key: op.access_key,
            role: name,
            description: pair.description.clone(),
            status,
            created: pair.created.to_go_string(),
            expires: (!pair.expires.is_zero()).then(|| pair.expires.to_go_string()),
        }))
    }
}

impl Command<PutKey> for AwsDoor {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutKey) -> Result<Reply<()>> {
        cx.queue(&op.role.to_lowercase()).await;
        let (_, role) = role(cx, &op.role).await?;
        let mut pair = own(cx, &role, &op.access_key).await?;
        pair.disabled = op.disabled.unwrap_or(pair.disabled);
        if op.description.is_some() {
            pair.description = described(op.description)?;
        }
        if op.ttl.is_some() {
            pair.expires = end(cx, op.ttl)?;
        }
        cx.edit().put_named(0, &op.access_key, &pair)?;
        Ok(Reply::none())
    }
}

impl Command<DeleteKey> for AwsDoor {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteKey) -> Result<Reply<()>> {
        cx.queue(&op.role.to_lowercase()).await;
        let (_, role) = role(cx, &op.role).await?;
        own(cx, &role, &op.access_key).await?;
        cx.edit().delete_named::<KeyPair>(0, &op.access_key);
        cx.edit().delete_named::<KeyOfRole>(role.id, &op.access_key);
        Ok(Reply::none())
    }
}

impl Command<RotateKey> for AwsDoor {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RotateKey) -> Result<Reply<NewKey>> {
        cx.queue(&op.role.to_lowercase()).await;
        let role = role(cx, &op.role).await?;
        let mut old = own(cx, &role.1, &op.access_key).await?;
        match op.grace {
            None | Some(Ttl(0)) => old.disabled = true,
            Some(Ttl(seconds)) if (1..=GRACE_SECONDS_MAX).contains(&seconds) => {
                let until = cx.now().plus_seconds(seconds);
                // An end that comes earlier stays.
                if old.expires.is_zero() || until < old.expires {
                    old.expires = until;
                }
            }
            Some(_) => return Err(Error::bad_request("grace must be at most four weeks")),
        }
        cx.edit().put_named(0, &op.access_key, &old)?;
        let pair = made(cx);
        store(cx, role, pair, old.description.clone(), Timestamp::ZERO).await
    }
}
