//! The master keys of a rule: in groups, or flat as one group.

use super::{mappings, text, texts, unfit};
use crate::error::{Error, Result};
use crate::keys::named;
use crate::metadata::{GcpKmsKey, KeyEntry, KeyGroup, KmsKey};
use crate::tree::{Branch, Value};

/// The keys of a rule as they stand in the file.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct KeyGroups {
    groups: Vec<Group>,
    flat: Flat,
}

/// `key_groups[]`.
#[derive(Debug, Default, Clone, PartialEq)]
struct Group {
    merge: Vec<Group>,
    age: Vec<String>,
    pgp: Vec<String>,
    kms: Vec<KmsKey>,
    gcp_kms: Vec<String>,
    hckms: Vec<String>,
    azure: Vec<[String; 3]>,
    hc_vault: Vec<String>,
}

/// Keys beside each other.
#[derive(Debug, Default, Clone, PartialEq)]
struct Flat {
    age: Vec<String>,
    pgp: Vec<String>,
    kms: Vec<String>,
    aws_profile: String,
    gcp_kms: Vec<String>,
    hckms: Vec<String>,
    azure: Vec<String>,
    hc_vault: Vec<String>,
}

/// How deep groups may be merged into each other.
const MERGE_DEPTH_MAX: usize = 32;

impl KeyGroups {
    pub(super) fn of(branch: &Branch) -> Result<Self> {
        let groups = match branch.get("key_groups") {
            None | Some(Value::Null) => vec![],
            Some(value) => mappings(value, "key_groups")?
                .map(|group| Group::of(group?, 0))
                .collect::<Result<_>>()?,
        };
        let flat = Flat {
            age: keys(branch, "age")?,
            pgp: keys(branch, "pgp")?,
            kms: keys(branch, "kms")?,
            aws_profile: text(branch, "aws_profile")?,
            gcp_kms: keys(branch, "gcp_kms")?,
            hckms: texts(branch, "hckms")?,
            azure: keys(branch, "azure_keyvault")?,
            hc_vault: keys(branch, "hc_vault_transit_uri")?,
        };
        Ok(Self { groups, flat })
    }

    /// The records of the keys; groups win over flat ones. The encryption context is for flat keys:
    /// those of groups have their own.
    pub fn records(&self, context: &[(String, String)]) -> Result<Vec<KeyGroup>> {
        if self.groups.is_empty() {
            return Ok(vec![self.flat.records(context)?]);
        }
        self.groups.iter().map(Group::records).collect()
    }
}

/// A list, or a text with commas.
fn keys(branch: &Branch, field: &str) -> Result<Vec<String>> {
    match branch.get(field) {
        None | Some(Value::Null) => Ok(vec![]),
        Some(Value::Text(text)) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Ok(parts.map(str::to_owned).collect())
        }
        Some(Value::List(list)) => {
            let values = list.iter().filter(|value| !matches!(value, Value::Comment(_)));
            values
                .map(|value| match value {
                    Value::Text(text) => Ok(text.to_string()),
                    other => Err(Error::general(format!(
                        "invalid {field} key configuration: expected string in list, got {}",
                        other.kind()
                    ))),
                })
                .collect()
        }
        Some(other) => Err(Error::general(format!(
            "invalid {field} key configuration: expected string, []string, or nil, got {}",
            other.kind()
        ))),
    }
}

impl Group {
    fn of(branch: &Branch, depth: usize) -> Result<Self> {
        if depth > MERGE_DEPTH_MAX {
            return Err(Error::general("key groups are merged too deep"));
        }
        let inner = |field: &'static str| -> Result<Vec<&Branch>> {
            match branch.get(field) {
                None | Some(Value::Null) => Ok(vec![]),
                Some(value) => mappings(value, field)?.collect(),
            }
        };
        let kms = inner("kms")?.into_iter().map(kms_key).collect::<Result<_>>()?;
        let azure = inner("azure_keyvault")?
            .into_iter()
            .map(|key| Ok([text(key, "vaultUrl")?, text(key, "key")?, text(key, "version")?]));
        Ok(Self {
            merge: inner("merge")?
                .into_iter()
                .map(|group| Self::of(group, depth + 1))
                .collect::<Result<_>>()?,
            age: texts(branch, "age")?,
            pgp: texts(branch, "pgp")?,
            kms,
            gcp_kms: inner("gcp_kms")?
                .into_iter()
                .map(|key| text(key, "resource_id"))
                .collect::<Result<_>>()?,
            hckms: inner("hckms")?
                .into_iter()
                .map(|key| text(key, "key_id"))
                .collect::<Result<_>>()?,
            azure: azure.collect::<Result<_>>()?,
            hc_vault: texts(branch, "hc_vault")?,
        })
    }

    fn records(&self) -> Result<KeyGroup> {
        let mut found = Vec::new();
        for group in &self.merge {
            found.extend(group.records()?.0);
        }
        for recipients in &self.age {
            found.extend(named::age(recipients)?);
        }
        for fingerprint in &self.pgp {
            found.extend(named::pgp(fingerprint));
        }
        found.extend(self.kms.iter().cloned().map(KeyEntry::Kms));
        for id in &self.gcp_kms {
            let resource_id = id.replace(' ', "");
            found.push(KeyEntry::GcpKms(GcpKmsKey { resource_id, ..GcpKmsKey::default() }));
        }
        for id in &self.hckms {
            found.extend(named::hckms(id)?);
        }
        for [vault, key, version] in &self.azure {
            let vault = vault.trim_end_matches('/');
            found.extend(named::azure_kv(&format!("{vault}/keys/{key}/{version}"))?);
        }
        for uri in &self.hc_vault {
            found.extend(named::hc_vault(uri)?);
        }
        Ok(KeyGroup(without_doubles(found)))
    }
}

fn kms_key(branch: &Branch) -> Result<KmsKey> {
    let mut context = Vec::new();
    match branch.get("context") {
        None | Some(Value::Null) => {}
        Some(Value::Map(map)) => {
            for (name, _) in map.entries() {
                context.push((name.to_owned(), text(map, name)?));
            }
        }
        Some(other) => return Err(unfit("context", other)),
    }
    context.sort();
    Ok(KmsKey {
        arn: text(branch, "arn")?,
        role: text(branch, "role")?,
        context,
        aws_profile: text(branch, "aws_profile")?,
        ..KmsKey::default()
    })
}

fn without_doubles(keys: Vec<KeyEntry>) -> Vec<KeyEntry> {
    let mut kept: Vec<KeyEntry> = Vec::with_capacity(keys.len());
    for key in keys {
        if !kept.iter().any(|other| other.kind() == key.kind() && other.is_same_key(&key)) {
            kept.push(key);
        }
    }
    kept
}

impl Flat {
    fn records(&self, context: &[(String, String)]) -> Result<KeyGroup> {
        let mut found = named::age(&self.age.join(","))?;
        found.extend(named::pgp(&self.pgp.join(",")));
        found.extend(named::kms(&self.kms.join(","), context, &self.aws_profile));
        found.extend(named::gcp_kms(&self.gcp_kms.join(",")));
        found.extend(named::hckms(&self.hckms.join(","))?);
        found.extend(named::azure_kv(&self.azure.join(","))?);
        found.extend(named::hc_vault(&self.hc_vault.join(","))?);
        Ok(KeyGroup(found))
    }
}
