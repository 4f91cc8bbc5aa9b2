//! `backup` and `restore`: a key as a text, in plain, for another mount or another server.
//!
//! The text is OpenBao's and Vault's, so that keys move between all three: base64 of a JSON object
//! whose member `policy` has the settings and the versions in use, and `archived_keys` all versions
//! that there are, [`form`] has the details.

mod form;

use strongroom_base::limits::JSON_STRING_BYTES_MAX;
use strongroom_base::{Error, ErrorKind, Json, Result, SecretBytes, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Reply, WriteCx, names, ops};
use strongroom_kernel::record::{WriteView, rows};

use super::Transit;
use super::batch::members;
use super::encoding::{Encoded, encode};
use super::key::{Event, Key};
use super::keys::{remove, save, to_change};
use super::ring::{Ring, stored};

fields! {
    /// Shows a key with all its versions and settings as one text, if the key allows it.
    pub struct Backup {
        /// The key's name.
        name: String,
    }
}
fields! {
    /// Makes a key of what backup gave.
    pub struct Restore {
        /// The key's name, where it is to have another one.
        name: Option<String>,
        /// What backup gave.
        backup: Option<Encoded>,
        /// Is a key of this name overwritten?
        force: Option<bool>,
    }
}

ops! {
    Backup Json, Read;
    Restore (), Write;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.command::<Backup>("backup/{name}")
        .command::<Restore>("restore")
        .command::<Restore>("restore/{name}")
}

/// A refusal that clients of the peers expect with the status 500.
fn refused(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Internal, text)
}

impl Command<Backup> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Backup) -> Result<Reply<Json>> {
        let missing = Error::bad_request(format!("key {:?} not found", op.name));
        let mut key = to_change(cx, &op.name, missing).await?;
        Ring::new(key.clone()).in_use()?;
        if !key.exportable {
            return Err(refused("exporting is disallowed on the policy"));
        }
        if !key.allow_plaintext_backup {
            return Err(refused("plaintext backup is disallowed on the policy"));
        }
        key.backup = Some(Event { time: cx.now(), version: key.latest() });
        save(cx, &op.name, &mut key).await?;
        let mut versions = Vec::new();
        for number in key.numbers() {
            versions.push((number, stored(&cx.view(), &key, number).await?));
        }
        let text = SecretBytes::new(form::write(&op.name, &key, &versions)?);
        let backup = encode(text.expose_secret());
        if backup.len() > JSON_STRING_BYTES_MAX {
            return Err(Error::bad_request(
                "the backup would be too long to be restored: trim the key",
            ));
        }
        let backup = Json::String(backup);
        Ok(Reply::data(Json::Object(members([("backup", backup)]))))
    }
}

/// Makes room for a key that comes in the place of `old`. What AWS's door knows of the name goes with
/// the key that it was said of, unless that is the one that comes.
async fn replace(edit: &WriteView<'_>, name: &str, old: &Key, new: &mut Key) -> Result<()> {
    if new.id != 0 && new.id != old.id {
        return remove(edit, name, old).await;
    }
    (new.id, new.multi_region) = (old.id, old.multi_region);
    for row in old.rows() {
        edit.delete_row(rows::VALUES, row);
    }
    Ok(())
}

impl Command<Restore> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Restore) -> Result<Reply<()>> {
        let backup = op.backup.as_ref().filter(|backup| !backup.is_empty());
        let backup = backup.ok_or_else(|| Error::bad_request("'backup' must be supplied"))?;
        let text = backup.bytes().map_err(Error::bad_request)?;
        let mut restored = form::read(text, cx.rng())?;
        let name = op.name.filter(|name| !name.is_empty()).unwrap_or(restored.name);
        if name.contains('/') {
            return Err(Error::bad_request("key names cannot be paths"));
        }
        names::check(&name).map_err(|_| Error::bad_request("the backup's name is no key's"))?;
        cx.queue(&name).await;
        let edit = cx.edit();
        if let Some(old) = edit.named::<Key>(0, &name).await? {
            if !op.force.unwrap_or(false) {
                return Err(refused(format!("key {name:?} already exists")));
            }
            replace(&edit, &name, &old, &mut restored.key).await?;
        }
        let mut key = restored.key;
        for version in &restored.versions {
            let row = edit.new_id();
            edit.put_row(rows::VALUES, row, version)?;
            key.push(row, version.created)?;
        }
        key.restore = Some(Event { time: cx.now(), version: key.latest() });
        save(cx, &name, &mut key).await?;
        Ok(Reply::none())
    }
}
