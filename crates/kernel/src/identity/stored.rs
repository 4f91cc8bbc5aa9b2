//! What identity keeps, per namespace: entities with their aliases, groups with theirs, and the
//! indexes that lead to them.
//!
//! An entity knows the groups it is in directly, a group its parents: who a caller is takes one
//! read per entity and per group.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_base::Timestamp;
use strongroom_crypto::totp::Codes;
use zeroize::Zeroize;

use crate::record::{Id, Record};

/// An entity: somebody, however he logs in. Named by its id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// A UUID, with the namespace's suffix outside of the root.
    pub id: String,
    /// Its name as written; unique whatever the case.
    pub name: String,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// Its own policies.
    pub policies: Vec<String>,
    /// Are its tokens refused?
    pub disabled: bool,
    /// Its aliases.
    pub aliases: Vec<Alias>,
    /// Ids of the entities that were merged into it.
    pub merged: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed last.
    pub updated: Timestamp,
    /// Ids of the groups it is in directly.
    pub groups: Vec<String>,
    /// The second factors it has.
    #[serde(default)]
    pub factors: Vec<Factor>,
}

impl Record for Entity {
    const KIND: u8 = 210;
}

/// A second factor that an entity has a secret of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Factor {
    /// The id of its method.
    pub method: String,
    /// Where the method's secrets hang.
    pub at: Id,
}

/// The secret that an entity shares with a telephone, as it was made. Named by the entity's id, below
/// the number of its method, in the entity's namespace.
#[derive(Default, Serialize, Deserialize)]
pub struct FactorSecret {
    /// The key of its codes.
    pub key: Vec<u8>,
    /// How they are made.
    pub codes: Codes,
}

impl Drop for FactorSecret {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Record for FactorSecret {
    const KIND: u8 = 235;
}

/// The codes of an entity that were taken: none is good twice. Named as its secret.
#[derive(Default, Serialize, Deserialize)]
pub struct TakenCodes {
    /// Steps whose codes were taken, of those that are good still.
    pub steps: Vec<u64>,
}

impl Record for TakenCodes {
    const KIND: u8 = 236;
}

/// How an auth mount names an entity or a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Alias {
    /// A UUID.
    pub id: String,
    /// Its entity or group.
    pub canonical_id: String,
    /// The accessor of its mount.
    pub mount_accessor: String,
    /// The name in that mount; its case does not matter.
    pub name: String,
    /// Metadata that the last login gave.
    pub metadata: BTreeMap<String, String>,
    /// Metadata that an operator gave.
    pub custom_metadata: BTreeMap<String, String>,
    /// Entities it came from by merging.
    pub merged_from: Vec<String>,
    /// Is its mount local?
    pub local: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed last.
    pub updated: Timestamp,
}

/// A group of entities and groups. Named by its id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// A UUID, with the namespace's suffix outside of the root.
    pub id: String,
    /// Its name as written; unique whatever the case.
    pub name: String,
    /// Do logins decide who is in it?
    pub external: bool,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// Policies of its members.
    pub policies: Vec<String>,
    /// Ids of the entities in it, where they stand in the record itself: in groups that were written
    /// by the first versions only (`at` is 0 then).
    pub members: Vec<String>,
    /// Ids of the groups in it.
    pub member_groups: Vec<String>,
    /// Ids of the groups it is in.
    pub parents: Vec<String>,
    /// The alias of an external group.
    pub alias: Option<Alias>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed last.
    pub updated: Timestamp,
    /// Counts its changes. What logins change of its members is not counted.
    pub modify_index: u64,
    /// The number below which its members hang.
    #[serde(default)]
    pub at: Id,
}

impl Record for Group {
    const KIND: u8 = 214;
}

/// That an entity is in a group. Named by the entity, below the group's number: who is in a group,
/// and who comes into it, reads and writes nothing of its other members.
#[derive(Serialize, Deserialize)]
pub struct GroupMember;

impl Record for GroupMember {
    const KIND: u8 = 219;
}

macro_rules! indexes {
    ($( $(#[$doc:meta])+ $name:ident = $kind:literal; )+) => { $(
        $(#[$doc])+
        #[derive(Serialize, Deserialize)]
        pub struct $name(pub String);
        impl Record for $name {
            const KIND: u8 = $kind;
        }
    )+ };
}

indexes! {
    /// From an entity's name in lower case to its id.
    EntityOfName = 211;
    /// From an alias' id to its entity.
    EntityOfAliasId = 212;
    /// From mount accessor and name of an alias to its entity.
    EntityOfAlias = 213;
    /// From a group's name in lower case to its id.
    GroupOfName = 215;
    /// From an alias' id to its group.
    GroupOfAliasId = 216;
    /// From mount accessor and name of an alias to its group.
    GroupOfAlias = 217;
    /// From the id of an entity that was merged away to the one it became part of.
    MergedInto = 218;
}

/// The name of an alias' index entry.
pub fn alias_key(mount_accessor: &str, name: &str) -> String {
    format!("{mount_accessor}/{}", name.to_lowercase())
}
