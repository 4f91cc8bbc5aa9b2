//! The union model of a secret: what Vault's KV, AWS Secrets Manager, GCP Secret Manager and Azure
//! Key Vault know of one, in a single small record. This file is the rules alone: no storage, no
//! clock, no wire.
//!
//! Invariants:
//! * a *number* is a publication: given when a version becomes current, dense from 1;
//! * `current` is the highest number, and 0 only before the first publication;
//! * published versions stand in the order of their numbers, pending ones (number 0) after them;
//! * AWSCURRENT is always the version that `current` names; AWSPREVIOUS is the one before unless
//!   it was moved by hand since the last publication;
//! * publications may share one value (an older version published again); the value's row goes
//!   with the last of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result, Timestamp};
use strongroom_kernel::record::Id;

use super::aws::parameters::stored::ParameterVersion;
use super::aws::stored::OfAws;
use super::limits::{VERSIONS_DEFAULT, VERSIONS_MAX};

/// AWS's label of the current version. Never stored: `current` is the truth.
pub const AWS_CURRENT: &str = "AWSCURRENT";
/// AWS's label of the version before.
pub const AWS_PREVIOUS: &str = "AWSPREVIOUS";
/// AWS's label of a version in the making.
pub const AWS_PENDING: &str = "AWSPENDING";
/// The id of no version: a stage that was taken off by hand points there.
const NOBODY: u128 = 0;

stored_enum! {
    /// What a version's bytes are.
    Representation {
        /// A JSON object, as text in the order and with the numbers it was written.
        #[default]
        Object = 0,
        /// UTF-8 text.
        Text = 1,
        /// Any bytes.
        Binary = 2,
    }
}

stored_enum! {
    /// The state of a version. *Deleted* is no state but a time, so that it needs no clean-up.
    State {
        /// Readable, unless its deletion time has come.
        #[default]
        Enabled = 0,
        /// Kept, and readable nowhere until it is enabled (GCP, Azure).
        Disabled = 1,
        /// Its value is gone for good.
        Destroyed = 2,
    }
}

/// One version.
#[derive(Clone, Serialize, Deserialize)]
pub struct Version {
    /// Its publication number; 0 while it is pending.
    pub number: u64,
    /// Its id, the same for each publication of one value (Azure shows it in hex).
    pub id: u128,
    /// When it was published, or made if it is pending.
    pub created: Timestamp,
    /// From when on it is deleted; zero for never.
    pub deletion: Timestamp,
    /// Its state.
    pub state: State,
    /// What its bytes are.
    pub representation: Representation,
    /// The row of its value; none once destroyed.
    pub value: Option<Id>,
    /// Who wrote it: an entity id, or the display name of a token without entity.
    pub writer: String,
    /// What only some doors know; none for most.
    #[serde(default)]
    pub extra: Option<Box<VersionExtra>>,
}

/// What only some doors know of a version.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct VersionExtra {
    /// AWS's `ClientRequestToken`, which is its VersionId, where that is not the version's id as a
    /// UUID.
    pub client_token: Option<String>,
    /// Azure's content type.
    pub content_type: String,
    /// Azure's tags.
    pub tags: BTreeMap<String, String>,
    /// Azure's `nbf`.
    pub not_before: Timestamp,
    /// Azure's `exp`.
    pub expires: Timestamp,
    /// When its value was written, where it was published later.
    #[serde(default)]
    pub made: Timestamp,
    /// What AWS's Parameter Store knows of it.
    #[serde(default)]
    pub parameter: Option<Box<ParameterVersion>>,
}

/// Settings of a secret; zero and false leave it to the mount.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Versions kept.
    pub max_versions: u64,
    /// Must writes name the current version?
    pub cas_required: bool,
    /// Seconds after which a version is deleted.
    pub delete_version_after: i64,
    /// Must changes of metadata name its version?
    pub metadata_cas_required: bool,
    /// Seconds between a deletion and the end, in which it can be taken back.
    #[serde(default)]
    pub recovery_seconds: i64,
}

impl Settings {
    /// Does it leave everything to the mount?
    pub fn is_default(&self) -> bool {
        self.max_versions == 0
            && !self.cas_required
            && self.delete_version_after == 0
            && !self.metadata_cas_required
            && self.recovery_seconds == 0
    }
}

/// A deletion that can still be taken back.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct ScheduledDeletion {
    /// When it was asked for.
    pub requested: Timestamp,
    /// When the secret goes for good.
    pub due: Timestamp,
}

/// A secret: everything of it but its values.
#[derive(Clone, Serialize, Deserialize)]
pub struct Head {
    /// Its id, which no move changes.
    pub id: u128,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// The newest publication; 0 before the first.
    pub current: u64,
    /// The oldest publication kept, as Vault counts: 0 until the first trim.
    pub oldest: u64,
    /// Counts changes of the metadata.
    pub metadata_version: u64,
    /// Its settings.
    pub settings: Settings,
    /// Labels: KV's `custom_metadata`, the clouds' tags and labels.
    pub labels: BTreeMap<String, String>,
    /// Its versions.
    pub versions: Vec<Version>,
    /// AWS stages that say more than the order of publications: label and version id.
    #[serde(default)]
    pub stages: Vec<(String, u128)>,
    /// GCP aliases: name and number.
    #[serde(default)]
    pub aliases: Vec<(String, u64)>,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// When it expires (GCP); zero for never.
    #[serde(default)]
    pub expires: Timestamp,
    /// Its owner, as a rotation names it.
    #[serde(default)]
    pub owner: String,
    /// Set while a deletion can be taken back: every door hides the secret then.
    #[serde(default)]
    pub deletion: Option<ScheduledDeletion>,
    /// What only AWS's door knows; none for most.
    #[serde(default)]
    pub of_aws: Option<Box<OfAws>>,
}

/// Which version is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Select<'a> {
    /// The current one.
    Current,
    /// By publication number.
    Number(u64),
    /// By version id: its newest publication.
    Id(u128),
    /// By AWS stage.
    Stage(&'a str),
    /// By GCP alias.
    Alias(&'a str),
    /// By AWS client token.
    ClientToken(&'a str),
}

/// A version to add.
pub struct NewVersion {
    /// Its id.
    pub id: u128,
    /// The row of its value.
    pub value: Id,
    /// What its bytes are.
    pub representation: Representation,
    /// From when on it is deleted; zero for never.
    pub deletion: Timestamp,
    /// Who wrote it.
    pub writer: String,
    /// What only some doors know.
    pub extra: Option<Box<VersionExtra>>,
}

impl NewVersion {
    /// It as a version that is not published yet.
    fn version(self, now: Timestamp) -> Version {
        Version {
            number: 0,
            id: self.id,
            created: now,
            deletion: self.deletion,
            state: State::Enabled,
            representation: self.representation,
            value: Some(self.value),
            writer: self.writer,
            extra: self.extra,
        }
    }
}

impl Version {
    /// Is it deleted at `now`?
    pub fn is_deleted(&self, now: Timestamp) -> bool {
        !self.deletion.is_zero() && self.deletion <= now
    }

    /// The row of its value, if KV may show it at `now`.
    pub fn readable(&self, now: Timestamp) -> Option<Id> {
        if self.state != State::Enabled || self.is_deleted(now) {
            return None;
        }
        self.value
    }

    /// When its value was written.
    pub fn made(&self) -> Timestamp {
        let made = self.extra.as_ref().map(|e| e.made).filter(|made| !made.is_zero());
        made.unwrap_or(self.created)
    }

    /// Is its value still to come? So is that of a version that a rotation began.
    pub fn is_awaited(&self) -> bool {
        self.number == 0 && self.value.is_none() && self.state == State::Enabled
    }

    /// Is its value gone for good?
    pub fn is_destroyed(&self) -> bool {
        self.state == State::Destroyed
    }
}

impl Head {
    /// A secret without a version.
    pub fn new(id: u128, now: Timestamp) -> Self {
        Self {
            id,
            created: now,
            updated: now,
            current: 0,
            oldest: 0,
            metadata_version: 0,
            settings: Settings::default(),
            labels: BTreeMap::new(),
            versions: Vec::new(),
            stages: Vec::new(),
            aliases: Vec::new(),
            description: String::new(),
            expires: Timestamp::ZERO,
            owner: String::new(),
            deletion: None,
            of_aws: None,
        }
    }

    fn index(&self, select: Select<'_>) -> Option<usize> {
        let position = |wanted: u64| {
            // Nearly always the last, and else a few before it.
            (wanted > 0).then(|| self.versions.iter().rposition(|v| v.number == wanted)).flatten()
        };
        match select {
            Select::Current => position(self.current),
            Select::Number(number) => position(number),
            Select::Id(id) => {
                let published = self.versions.iter().rposition(|v| v.id == id && v.number > 0);
                published.or_else(|| self.versions.iter().rposition(|v| v.id == id))
            }
            Select::Stage(stage) => self.index(Select::Id(self.staged(stage)?)),
            Select::Alias(alias) => {
                let (_, number) = self.aliases.iter().find(|(name, _)| name == alias)?;
                position(*number)
            }
            Select::ClientToken(token) => self.versions.iter().rposition(|v| {
                v.extra.as_ref().is_some_and(|e| e.client_token.as_deref() == Some(token))
            }),
        }
    }

    /// A version.
    pub fn version(&self, select: Select<'_>) -> Option<&Version> {
        self.versions.get(self.index(select)?)
    }

    /// A version, to change.
    pub fn version_mut(&mut self, select: Select<'_>) -> Option<&mut Version> {
        let index = self.index(select)?;
        self.versions.get_mut(index)
    }

    /// Published versions, oldest first.
    pub fn published(&self) -> impl Iterator<Item = &Version> {
        self.versions.iter().filter(|v| v.number > 0)
    }

    /// The id of the version that carries an AWS stage.
    pub fn staged(&self, stage: &str) -> Option<u128> {
        if stage == AWS_CURRENT {
            return self.version(Select::Current).map(|v| v.id);
        }
        if let Some((_, id)) = self.stages.iter().find(|(name, _)| name == stage) {
            return Some(*id).filter(|id| *id != NOBODY);
        }
        if stage != AWS_PREVIOUS {
            return None;
        }
        let current = self.version(Select::Current)?.id;
        self.published().filter(|v| v.id != current).max_by_key(|v| v.number).map(|v| v.id)
    }

    /// Publishes a new version and trims to `keep` versions; gives its number and the value rows
    /// that nothing names any more.
    pub fn publish(&mut self, new: NewVersion, now: Timestamp, keep: u64) -> (u64, Vec<Id>) {
        self.push(new.version(now), now, keep)
    }

    /// Makes a version that is not published: its only sign is its stage. Of those that lost theirs,
    /// the newest `keep` stay; gives the value rows that nothing names any more.
    pub fn add_pending(
        &mut self,
        new: NewVersion,
        stage: &str,
        now: Timestamp,
        keep: u64,
    ) -> Vec<Id> {
        let id = new.id;
        self.versions.push(new.version(now));
        self.set_stage(stage, Some(id));
        self.updated = now;
        self.trim_unstaged(keep)
    }

    /// Makes a version that is to get its value later ([`Head::fill`]); gives the value rows that
    /// nothing names any more.
    pub fn add_awaited(
        &mut self,
        id: u128,
        extra: Option<Box<VersionExtra>>,
        stage: &str,
        now: Timestamp,
        keep: u64,
    ) -> Vec<Id> {
        self.versions.push(Version {
            number: 0,
            id,
            created: now,
            deletion: Timestamp::ZERO,
            state: State::Enabled,
            representation: Representation::Text,
            value: None,
            writer: String::new(),
            extra,
        });
        self.set_stage(stage, Some(id));
        self.trim_unstaged(keep)
    }

    /// Drops a version that still waits for its value, with its stages. One that has got a value is
    /// pending no more.
    pub fn drop_awaited(&mut self, id: u128) {
        let before = self.versions.len();
        self.versions.retain(|v| v.id != id || !v.is_awaited());
        let is_gone = self.versions.len() < before;
        self.stages.retain(|(name, at)| *at != id || !is_gone && name != AWS_PENDING);
    }

    /// Drops the oldest of the versions without number and stage, so that `keep` are left.
    fn trim_unstaged(&mut self, keep: u64) -> Vec<Id> {
        let stages = &self.stages;
        let lost = |v: &Version| v.number == 0 && !stages.iter().any(|(_, id)| *id == v.id);
        let most = usize::try_from(keep.clamp(1, VERSIONS_MAX)).unwrap_or(usize::MAX);
        let mut over = self.versions.iter().filter(|v| lost(v)).count().saturating_sub(most);
        let mut rows = Vec::new();
        self.versions.retain(|v| {
            let goes = over > 0 && lost(v);
            if goes {
                over -= 1;
                rows.extend(v.value);
            }
            !goes
        });
        self.unreferenced(rows)
    }

    /// Gives a version that was made without a value the one that it waits for.
    pub fn fill(&mut self, id: u128, value: Id, representation: Representation, writer: String) {
        if let Some(version) = self.version_mut(Select::Id(id)) {
            version.value = Some(value);
            version.representation = representation;
            version.writer = writer;
        }
    }

    /// Names another row as the one with a published version's value.
    pub fn move_value(&mut self, number: u64, row: Id) {
        if let Some(version) = self.version_mut(Select::Number(number)) {
            version.value = Some(row);
        }
    }

    /// Moves AWSCURRENT to a version: it is published, again if it was before.
    pub fn publish_again(&mut self, id: u128, now: Timestamp, keep: u64) -> Result<(u64, Vec<Id>)> {
        let index = self.index(Select::Id(id)).ok_or_else(Error::not_found)?;
        let Some(found) = self.versions.get(index).filter(|v| !v.is_destroyed()) else {
            return Err(Error::bad_request("the version is destroyed"));
        };
        if found.number == self.current && self.current > 0 {
            return Ok((self.current, Vec::new()));
        }
        let made = found.made();
        let mut version = Version { created: now, deletion: Timestamp::ZERO, ..found.clone() };
        version.extra.get_or_insert_default().made = made;
        if version.number == 0 {
            self.versions.remove(index);
        }
        Ok(self.push(version, now, keep))
    }

    fn push(&mut self, version: Version, now: Timestamp, keep: u64) -> (u64, Vec<Id>) {
        self.current += 1;
        let number = self.current;
        // Any publication moves AWSCURRENT and AWSPREVIOUS: what was said by hand is over.
        self.stages.retain(|(name, _)| name != AWS_PREVIOUS);
        let at = self.versions.iter().rposition(|v| v.number > 0).map_or(0, |i| i + 1);
        self.versions.insert(at, Version { number, ..version });
        self.updated = now;
        (number, self.trim(keep))
    }

    /// Drops what is older than the newest `keep` publications, as Vault counts, but nothing that
    /// a stage names.
    fn trim(&mut self, keep: u64) -> Vec<Id> {
        let keep = keep.clamp(1, VERSIONS_MAX);
        if self.current - self.oldest < keep {
            return Vec::new();
        }
        let last_out = self.current - keep;
        self.oldest = last_out + 1;
        let stages = &self.stages;
        let mut rows = Vec::new();
        self.versions.retain(|v| {
            let stays =
                v.number == 0 || v.number > last_out || stages.iter().any(|(_, id)| *id == v.id);
            if !stays {
                rows.extend(v.value);
            }
            stays
        });
        let numbers: Vec<u64> = self.versions.iter().map(|v| v.number).collect();
        self.aliases.retain(|(_, number)| numbers.contains(number));
        self.unreferenced(rows)
    }

    /// Of `rows`, those that no version names.
    pub fn unreferenced(&self, mut rows: Vec<Id>) -> Vec<Id> {
        rows.retain(|row| !self.versions.iter().any(|v| v.value == Some(*row)));
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// Deletes a version so that it can be taken back; false where there is nothing to delete.
    pub fn delete(&mut self, select: Select<'_>, now: Timestamp) -> bool {
        let Some(version) = self.version_mut(select) else { return false };
        if version.is_destroyed() || version.is_deleted(now) {
            return false;
        }
        version.deletion = now;
        true
    }

    /// Takes a deletion (or a disabling) back; from `deletion` on it is deleted again.
    pub fn undelete(&mut self, select: Select<'_>, deletion: Timestamp) -> bool {
        let Some(version) = self.version_mut(select) else { return false };
        if version.is_destroyed() {
            return false;
        }
        version.deletion = deletion;
        version.state = State::Enabled;
        true
    }

    /// Destroys a version; gives the value's row if nothing names it any more.
    pub fn destroy(&mut self, select: Select<'_>) -> Option<Id> {
        let version = self.version_mut(select)?;
        version.state = State::Destroyed;
        let row = version.value.take()?;
        self.unreferenced(vec![row]).pop()
    }

    /// Puts an AWS stage on a version, or takes it off all. AWSCURRENT moves by
    /// [`Head::publish_again`] alone.
    pub fn set_stage(&mut self, stage: &str, id: Option<u128>) {
        self.stages.retain(|(name, _)| name != stage);
        // AWSPREVIOUS follows from the order of publications unless something is said of it.
        if let Some(id) = id.or((stage == AWS_PREVIOUS).then_some(NOBODY)) {
            self.stages.push((stage.to_owned(), id));
        }
    }

    /// The rows of all values.
    pub fn rows(&self) -> Vec<Id> {
        let mut rows: Vec<Id> = self.versions.iter().filter_map(|v| v.value).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// How many versions are kept, with the mount's setting: the larger of both, as Vault has it.
    pub fn keep(&self, mount_max_versions: u64) -> u64 {
        match self.settings.max_versions.max(mount_max_versions) {
            0 => VERSIONS_DEFAULT,
            most => most,
        }
    }

    /// When a version that is readable from `now` on is deleted, with the mount's setting: after
    /// the shorter of both; a negative one of the mount turns all off. Zero for never.
    pub fn deletion_time(&self, mount_seconds: i64, now: Timestamp) -> Timestamp {
        if mount_seconds < 0 {
            return Timestamp::ZERO;
        }
        let both = [mount_seconds, self.settings.delete_version_after];
        match both.into_iter().filter(|s| *s > 0).min() {
            Some(seconds) => now.plus_seconds(seconds),
            None => Timestamp::ZERO,
        }
    }
}
