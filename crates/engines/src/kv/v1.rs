//! Version 1: a write replaces what was there. The records are those of version 2 with one version,
//! so that a mount becomes versioned by its option alone.

use strongroom_base::fields::Field;
use strongroom_base::{Error, Json, Result, Ttl, fields};
use strongroom_kernel::plug::{Command, Exists, Query, ReadCx, Reply, WriteCx, ops};

use super::secret::{Head, Representation, Select};
use super::store::{self, NewValue};
use super::value::{BodyText, to_object};
use super::{Kv, data, new_id, no_folder, writer};

fields! {
    /// Reads a secret.
    pub struct Read {
        /// The secret's path.
        path: String,
    }
}

fields! {
    /// Reads the top folder, where no secret can be.
    pub struct ReadTop {}
}

fields! {
    /// Writes a secret: the body is the secret, and replaces what was there.
    pub struct Write {
        /// The secret's path.
        path: String,
        /// The body, whatever its members are called. `ttl` (or `lease`) is what readers are told
        /// as `lease_duration`.
        body: BodyText,
    }
}

fields! {
    /// Removes a secret.
    pub struct Delete {
        /// The secret's path.
        path: String,
    }
}

ops! {
    Read Json, Read;
    Write Json, Write;
    Delete Json, Delete;
    ReadTop Json, Read;
}

/// The seconds that a secret says its readers may keep it; `None` leaves it to the mount.
fn lifetime(value: &Json) -> Option<i64> {
    let said = value.get("ttl").or_else(|| value.get("lease"))?;
    match said {
        Json::Number(_) | Json::String(_) => Ttl::read(said).ok().map(|Ttl(seconds)| seconds),
        _ => None,
    }
}

impl Query<ReadTop> for Kv {
    async fn query(&self, _: &ReadCx<'_>, _: ReadTop) -> Result<Reply<Json>> {
        Err(Error::not_found())
    }
}

impl Query<Read> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: Read) -> Result<Reply<Json>> {
        let view = cx.view();
        let secret = store::find(&view, &op.path).await?.ok_or_else(Error::not_found)?;
        let version = secret.head.version(Select::Current).ok_or_else(Error::not_found)?;
        let row = version.readable(cx.now()).ok_or_else(Error::not_found)?;
        let bytes = store::value(&view, row).await?;
        let value = to_object(version.representation, bytes.expose_secret())?;
        let seconds = lifetime(&value).unwrap_or_else(|| cx.ttls().0);
        Ok(Reply { lease_duration: Some(seconds), ..Reply::data(value) })
    }
}

impl Exists<Write> for Kv {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        data::exists(&cx.view(), captures).await
    }
}

impl Command<Write> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Write) -> Result<Reply<Json>> {
        if op.body.is_empty {
            return Err(Error::bad_request("missing data fields"));
        }
        cx.queue(&op.path).await;
        let edit = cx.edit();
        let now = cx.now();
        let (mut secret, new) = store::find_or_new(&edit, &op.path, || new_id(cx), now).await?;
        // What was there goes, so the version that takes its place is the first again.
        store::forget(&edit, &secret.head.rows());
        secret.head = Head { created: secret.head.created, ..Head::new(secret.head.id, now) };
        let value = NewValue {
            bytes: op.body.text.expose_secret(),
            representation: Representation::Object,
            writer: writer(cx),
            extra: None,
        };
        let config = store::Config { max_versions: 1, ..store::Config::default() };
        store::publish(&edit, &mut secret, value, new_id(cx), &config, now)?;
        store::save(&edit, &op.path, &secret, new).await?;
        Ok(Reply::none())
    }
}

impl Command<Delete> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Delete) -> Result<Reply<Json>> {
        if no_folder(&op.path).is_ok() {
            cx.queue(&op.path).await;
            store::delete(&cx.edit(), &op.path, cx.now()).await?;
        }
        Ok(Reply::none())
    }
}
