//! The rules of `.sops.yaml`.

use super::keys::KeyGroups;
use super::{number, text, truth};
use crate::error::{Error, Result};
use crate::expression::compile;
use crate::metadata::Rule;
use crate::publish::{Bucket, Destination, VaultPlace};
use crate::tree::{Branch, Value};

/// More than one rule about values.
const MANY_RULES: &str = "error loading config: cannot use more than one of encrypted_suffix, \
                          unencrypted_suffix, encrypted_regex, unencrypted_regex, \
                          encrypted_comment_regex, or unencrypted_comment_regex for the same rule";

/// What a new file gets.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct CreationRule {
    path_regex: String,
    /// The texts of [`Rule::FIELDS`].
    pub rules: [String; 6],
    /// Do only encrypted values count for the MAC?
    pub mac_only_encrypted: bool,
    /// How many groups give the data key; 0 for all.
    pub shamir_threshold: usize,
    /// The master keys.
    pub keys: KeyGroups,
    /// What is wrong with them. Whoever has no use for the rule need not know.
    wrong: Option<String>,
}

impl CreationRule {
    pub(super) fn of(branch: &Branch) -> Result<Self> {
        let mut rules = [const { String::new() }; 6];
        for (place, field) in rules.iter_mut().zip(Rule::FIELDS) {
            *place = text(branch, field)?;
        }
        let (keys, wrong) = match KeyGroups::of(branch) {
            Ok(keys) => (keys, None),
            Err(error) => (KeyGroups::default(), Some(error.text)),
        };
        Ok(Self {
            path_regex: text(branch, "path_regex")?,
            rules,
            mac_only_encrypted: truth(branch, "mac_only_encrypted")?,
            shamir_threshold: usize::try_from(number(branch, "shamir_threshold")?).unwrap_or(0),
            keys,
            wrong,
        })
    }

    /// The rule, if its keys make sense.
    pub(super) fn checked(&self) -> Result<&Self> {
        match &self.wrong {
            None => Ok(self),
            Some(text) => Err(Error::general(format!("error loading config: {text}"))),
        }
    }

    /// Does the rule hold for a path? One without an expression holds for all.
    pub(super) fn matches(&self, path: &str) -> Result<bool> {
        if self.path_regex.is_empty() {
            return Ok(true);
        }
        let regex = compile(&self.path_regex);
        let regex =
            regex.map_err(|text| Error::general(format!("can not compile regexp: {text}")))?;
        Ok(regex.is_match(path))
    }

    /// The rule about values, of which there may be one.
    pub fn rule(&self) -> Result<Rule> {
        Rule::of_fields(self.rules.clone()).ok_or_else(|| Error::general(MANY_RULES))
    }
}

/// Where a file is published to.
#[derive(Debug, Clone, PartialEq)]
pub struct DestinationRule {
    path_regex: String,
    destination: Vec<Destination>,
    /// Is the end of the name left out?
    pub omit_extensions: bool,
    /// With which keys the file is encrypted for that place; none: as it is.
    pub recreation_rule: CreationRule,
}

impl DestinationRule {
    pub(super) fn of(branch: &Branch) -> Result<Self> {
        let bucket = |bucket: &str, prefix: &str| -> Result<Option<Bucket>> {
            let bucket = text(branch, bucket)?;
            let prefix = text(branch, prefix)?;
            Ok((!bucket.is_empty()).then_some(Bucket { bucket, prefix }))
        };
        let mut destination = Vec::new();
        destination.extend(bucket("s3_bucket", "s3_prefix")?.map(Destination::S3));
        destination.extend(bucket("gcs_bucket", "gcs_prefix")?.map(Destination::Gcs));
        let path = text(branch, "vault_path")?;
        if !path.is_empty() {
            let address = text(branch, "vault_address")?;
            let mount = text(branch, "vault_kv_mount_name")?;
            let version = number(branch, "vault_kv_version")?;
            let place = VaultPlace::new(&address, &path, &mount, version);
            destination.push(Destination::Vault(place));
        }
        let recreation_rule = match branch.get("recreation_rule") {
            Some(Value::Map(rule)) => CreationRule::of(rule)?,
            _ => CreationRule::default(),
        };
        Ok(Self {
            path_regex: text(branch, "path_regex")?,
            destination,
            omit_extensions: truth(branch, "omit_extensions")?,
            recreation_rule,
        })
    }

    /// An expression that makes no sense holds for nothing.
    pub(super) fn matches(&self, path: &str) -> bool {
        self.path_regex.is_empty()
            || compile(&self.path_regex).is_ok_and(|regex| regex.is_match(path))
    }

    /// The one place.
    pub fn destination(&self) -> Result<&Destination> {
        match self.destination.as_slice() {
            [one] => Ok(one),
            [] => Err(Error::general("no destination configured for this file")),
            _ => Err(Error::general(
                "error loading config: more than one destinations were found in a single \
                 destination rule, you can only use one per rule",
            )),
        }
    }
}
