//! What only KMS knows of a key, in records of the mount. Its state, its id and the date of its deletion
//! stand in the key's own record, because they bind at every door.
//!
//! Invariants:
//! * a key's id leads to one name, and the key of that name has that id;
//! * what is known of a key goes with the key, whoever deletes it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::{Result, Timestamp};
use strongroom_kernel::plug::WriteCx;
use strongroom_kernel::record::{ReadView, Record, WriteView};

use super::super::key::{Derivation, Key, Settings};
use super::super::keys::save;
use super::super::kind::Kind;
use super::super::limits::{IDS_MAX, ROTATING_PAGE};
use super::blob::KeyId;

/// A key's name, by its id as text.
#[derive(Serialize, Deserialize)]
pub struct Known {
    /// The name.
    pub name: String,
}

impl Record for Known {
    const KIND: u8 = 5;
}

/// What KMS knows of a key beside its state, by the key's name; none where nothing was said.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct About {
    /// Free text.
    pub description: String,
    /// Tags, in the order in which they came.
    pub tags: Vec<(String, String)>,
    /// The names of its aliases, without `alias/`.
    pub aliases: Vec<String>,
    /// Its key policy; empty is the default one.
    pub policy: String,
}

impl Record for About {
    const KIND: u8 = 6;
}

/// An alias, by its name without `alias/`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Alias {
    /// The name of the key that it means.
    pub target: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it got its target.
    pub updated: Timestamp,
}

impl Record for Alias {
    const KIND: u8 = 7;
}

/// A key that is to be deleted, by the key's name: what the reconciler looks through.
#[derive(Serialize, Deserialize)]
pub struct Pending {
    /// When.
    pub due: Timestamp,
}

impl Record for Pending {
    const KIND: u8 = 8;
}

impl Key {
    /// Its id at AWS's door.
    pub fn kms_id(&self) -> KeyId {
        KeyId { number: self.id, multi_region: self.multi_region }
    }

    /// Is it a key of AWS KMS: symmetric, used without a context, and not past its end?
    pub fn is_kms(&self, now: Timestamp) -> bool {
        matches!(self.kind, Kind::Cipher(_))
            && self.derivation == Derivation::None
            && self.id != 0
            && (self.deletion.is_zero() || self.deletion > now)
    }
}

/// What KMS knows of the key of this name.
pub async fn about(view: &ReadView<'_>, name: &str) -> Result<Arc<About>> {
    Ok(view.cached::<About>(0, name).await?.unwrap_or_default())
}

/// Sets what KMS knows of the key of this name.
pub fn put_about(edit: &WriteView<'_>, name: &str, about: &About) -> Result<()> {
    edit.put_named(0, name, about)
}

/// Gives a key its id, and the id its name. An id that another key has is not given again.
pub async fn identify(cx: &WriteCx<'_>, name: &str, key: &mut Key) -> Result<()> {
    let edit = cx.edit();
    if key.id != 0 {
        match edit.named::<Known>(0, &key.kms_id().text()).await? {
            Some(known) if known.name == name => return Ok(()),
            Some(_) => key.id = 0,
            None => {}
        }
    }
    if key.id == 0 {
        key.id = KeyId::fresh(key.multi_region, cx.rng()).number;
    }
    edit.put_named(0, &key.kms_id().text(), &Known { name: name.to_owned() })
}

/// Removes what KMS knows of a key.
pub async fn forget(edit: &WriteView<'_>, name: &str, key: &Key) -> Result<()> {
    if key.id != 0 {
        edit.delete_named::<Known>(0, &key.kms_id().text());
    }
    if !key.deletion.is_zero() {
        edit.delete_named::<Pending>(0, name);
    }
    if let Some(about) = edit.named::<About>(0, name).await? {
        for alias in &about.aliases {
            edit.delete_named::<Alias>(0, alias);
        }
        edit.delete_named::<About>(0, name);
    }
    Ok(())
}

/// Gives ids to keys from before there were any, some at a time; true where more are left.
pub async fn identify_all(cx: &WriteCx<'_>) -> Result<bool> {
    let edit = cx.edit();
    let settings = cx.view().cached::<Settings>(0, "").await?.unwrap_or_default();
    if settings.ids_given {
        return Ok(false);
    }
    let (mut cursor, mut given) = (Vec::new(), 0);
    loop {
        let (page, next) = edit.peek::<Key>(0, &cursor, ROTATING_PAGE).await?;
        for (name, seen) in page {
            if seen.id != 0 {
                continue;
            }
            if given == IDS_MAX {
                return Ok(true);
            }
            if let Some(mut key) = edit.named::<Key>(0, &name).await? {
                save(cx, &name, &mut key).await?;
                given += 1;
            }
        }
        match next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    let mut settings = Settings::clone(&settings);
    settings.ids_given = true;
    edit.put_named(0, "", &settings)?;
    Ok(false)
}
