//! Typed operations on secrets, apart from any door's wire: each takes a view of one mount's
//! records and works within its transaction. KV's endpoints are built of them, and so are the
//! cloud doors'.

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result, SecretBytes, Timestamp};
use strongroom_kernel::record::{Id, ReadView, Record, WriteView, rows};

use super::aws::rotation;
use super::secret::{Head, NewVersion, Representation, Select, VersionExtra};
use super::tree;

/// Settings of a mount.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Config {
    /// Versions kept of each secret; 0 leaves it to the default.
    pub max_versions: u64,
    /// Must writes name the current version?
    pub cas_required: bool,
    /// Seconds after which a version is deleted; 0 for never, below zero forbids it to secrets too.
    pub delete_version_after: i64,
    /// Must changes of metadata name its version?
    #[serde(default)]
    pub metadata_cas_required: bool,
}

impl Record for Config {
    const KIND: u8 = 2;
}

/// A secret whose deletion can still be taken back, by its head's row in decimal: what the
/// reconciler looks for.
#[derive(Serialize, Deserialize)]
pub struct Scheduled {
    /// When it goes.
    pub due: Timestamp,
    /// Where it stands; a move is refused until it is restored, but its folder may move.
    pub parent: Id,
    /// Its name there.
    pub name: String,
}

impl Record for Scheduled {
    const KIND: u8 = 3;
}

/// A secret with the row of its head.
pub struct Secret {
    /// The head's row.
    pub row: Id,
    /// The head.
    pub head: Head,
}

/// A value to write.
pub struct NewValue<'a> {
    /// The bytes as written.
    pub bytes: &'a [u8],
    /// What they are.
    pub representation: Representation,
    /// Who writes: an entity id, or a display name.
    pub writer: String,
    /// What only some doors know.
    pub extra: Option<Box<VersionExtra>>,
}

/// The mount's settings.
pub async fn config(view: &ReadView<'_>) -> Result<Config> {
    Ok(view.named::<Config>(tree::TOP, "").await?.unwrap_or_default())
}

/// The secret at `path`, whatever its state.
pub async fn find_any(view: &ReadView<'_>, path: &str) -> Result<Option<Secret>> {
    let Some(row) = tree::leaf(view, path).await? else { return Ok(None) };
    let head = view.row::<Head>(rows::HEADS, row).await?;
    let head = head.ok_or_else(|| Error::internal("a secret's head is missing"))?;
    Ok(Some(Secret { row, head }))
}

/// The secret at `path`; one whose deletion is scheduled is hidden.
pub async fn find(view: &ReadView<'_>, path: &str) -> Result<Option<Secret>> {
    Ok(find_any(view, path).await?.filter(|secret| secret.head.deletion.is_none()))
}

/// The secret at `path`, to be written: a new one where there is none. True where it is new.
pub async fn find_or_new(
    edit: &WriteView<'_>,
    path: &str,
    id: impl FnOnce() -> u128,
    now: Timestamp,
) -> Result<(Secret, bool)> {
    match find_any(edit, path).await? {
        Some(secret) if secret.head.deletion.is_some() => {
            Err(Error::bad_request("the secret is scheduled for deletion"))
        }
        Some(secret) => Ok((secret, false)),
        None => Ok((Secret { row: edit.new_id(), head: Head::new(id(), now) }, true)),
    }
}

/// Writes a secret's head, and its name where it is new.
pub async fn save(edit: &WriteView<'_>, path: &str, secret: &Secret, new: bool) -> Result<()> {
    edit.put_row(rows::HEADS, secret.row, &secret.head)?;
    if new {
        tree::insert(edit, path, secret.row).await?;
    }
    Ok(())
}

/// A value's bytes.
pub async fn value(view: &ReadView<'_>, row: Id) -> Result<SecretBytes> {
    let bytes = view.row_bytes(rows::VALUES, row).await?;
    bytes.ok_or_else(|| Error::internal("a secret's value is missing"))
}

impl NewValue<'_> {
    /// The version of it, with its bytes in `row`.
    fn in_row(self, row: Id, id: u128, deletion: Timestamp) -> NewVersion {
        NewVersion {
            id,
            value: row,
            representation: self.representation,
            deletion,
            writer: self.writer,
            extra: self.extra,
        }
    }
}

/// Publishes a value as the secret's next version and removes what is trimmed; gives its number.
/// The caller saves the head.
pub fn publish(
    edit: &WriteView<'_>,
    secret: &mut Secret,
    new: NewValue<'_>,
    id: u128,
    config: &Config,
    now: Timestamp,
) -> Result<u64> {
    let deletion = secret.head.deletion_time(config.delete_version_after, now);
    let keep = secret.head.keep(config.max_versions);
    let (bytes, mut row) = (new.bytes, edit.new_id());
    let version = new.in_row(row, id, deletion);
    let (number, mut freed) = secret.head.publish(version, now, keep);
    // To write over a trimmed value touches fewer pages than to remove it and to append the new one.
    if let Some(trimmed) = freed.pop() {
        row = trimmed;
        secret.head.move_value(number, row);
    }
    edit.put_row_bytes(rows::VALUES, row, bytes)?;
    forget(edit, &freed);
    Ok(number)
}

/// Moves AWSCURRENT to an older or a pending version. The caller saves the head.
pub fn publish_again(
    edit: &WriteView<'_>,
    secret: &mut Secret,
    id: u128,
    config: &Config,
    now: Timestamp,
) -> Result<u64> {
    let keep = secret.head.keep(config.max_versions);
    let (number, freed) = secret.head.publish_again(id, now, keep)?;
    forget(edit, &freed);
    Ok(number)
}

/// Makes a version under an AWS stage that is not published. The caller saves the head.
pub fn add_pending(
    edit: &WriteView<'_>,
    secret: &mut Secret,
    new: NewValue<'_>,
    id: u128,
    stage: &str,
    config: &Config,
    now: Timestamp,
) -> Result<()> {
    let row = edit.new_id();
    edit.put_row_bytes(rows::VALUES, row, new.bytes)?;
    let version = new.in_row(row, id, Timestamp::ZERO);
    let keep = secret.head.keep(config.max_versions);
    let freed = secret.head.add_pending(version, stage, now, keep);
    forget(edit, &freed);
    Ok(())
}

/// Destroys a version. The caller saves the head.
pub fn destroy(edit: &WriteView<'_>, secret: &mut Secret, select: Select<'_>) {
    if let Some(row) = secret.head.destroy(select) {
        forget(edit, &[row]);
    }
}

/// Removes the rows of values.
pub fn forget(edit: &WriteView<'_>, values: &[Id]) {
    for row in values {
        edit.delete_row(rows::VALUES, *row);
    }
}

/// Removes a secret with all its versions: for good, unless it sets a recovery window.
pub async fn delete(edit: &WriteView<'_>, path: &str, now: Timestamp) -> Result<()> {
    let Some(secret) = find(edit, path).await? else { return Ok(()) };
    match secret.head.settings.recovery_seconds {
        0 => purge(edit, path, &secret, now).await,
        seconds => schedule_deletion(edit, path, secret, seconds, now).await,
    }
}

/// Removes a secret with all its versions for good.
pub async fn purge(
    edit: &WriteView<'_>,
    path: &str,
    secret: &Secret,
    now: Timestamp,
) -> Result<()> {
    forget(edit, &secret.head.rows());
    edit.delete_row(rows::HEADS, secret.row);
    if secret.head.deletion.is_some() {
        edit.delete_named::<Scheduled>(tree::TOP, &secret.row.to_string());
    }
    rotation::end(edit, secret.row, &secret.head, now).await?;
    super::aws::accessed::forget(edit, secret.row).await?;
    tree::remove(edit, path).await
}

/// Hides a secret from every door, and has it removed after `seconds`.
pub async fn schedule_deletion(
    edit: &WriteView<'_>,
    path: &str,
    mut secret: Secret,
    seconds: i64,
    now: Timestamp,
) -> Result<()> {
    let due = now.plus_seconds(seconds);
    rotation::hold_up(edit, &secret.head, now).await?;
    secret.head.deletion = Some(super::secret::ScheduledDeletion { requested: now, due });
    edit.put_row(rows::HEADS, secret.row, &secret.head)?;
    let (folder, name) = tree::split(path);
    let parent = tree::folder(edit, folder).await?.ok_or_else(Error::not_found)?;
    let scheduled = Scheduled { due, parent, name: name.to_owned() };
    edit.put_named(tree::TOP, &secret.row.to_string(), &scheduled)
}

/// Takes a scheduled deletion back; false where there is none.
pub async fn restore(edit: &WriteView<'_>, path: &str, now: Timestamp) -> Result<bool> {
    let Some(mut secret) = find_any(edit, path).await? else { return Ok(false) };
    if secret.head.deletion.take().is_none() {
        return Ok(false);
    }
    edit.delete_named::<Scheduled>(tree::TOP, &secret.row.to_string());
    rotation::go_on(edit, &secret.head, now).await?;
    edit.put_row(rows::HEADS, secret.row, &secret.head)?;
    Ok(true)
}

/// Carries out scheduled deletions whose time has come, `most` at a time; true where more are left.
pub async fn purge_due(edit: &WriteView<'_>, now: Timestamp, most: usize) -> Result<bool> {
    let mut left = most;
    for (key, scheduled) in edit.all::<Scheduled>(tree::TOP).await? {
        if scheduled.due > now {
            continue;
        }
        if left == 0 {
            return Ok(true);
        }
        left -= 1;
        edit.delete_named::<Scheduled>(tree::TOP, &key);
        let Ok(row) = key.parse::<Id>() else { continue };
        let Some(head) = edit.row::<Head>(rows::HEADS, row).await? else { continue };
        forget(edit, &head.rows());
        rotation::end(edit, row, &head, now).await?;
        super::aws::accessed::forget(edit, row).await?;
        edit.delete_row(rows::HEADS, row);
        tree::remove_at(edit, scheduled.parent, &scheduled.name).await?;
    }
    Ok(false)
}
