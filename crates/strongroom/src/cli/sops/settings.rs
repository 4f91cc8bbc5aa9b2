//! What flags and `.sops.yaml` say together: formats, master keys and rules.

use std::path::{Path, PathBuf};

use strongroom_sops::config::{self, Config, CreationRule, Indents};
use strongroom_sops::keys::{Keys, Order, named};
use strongroom_sops::metadata::{
    DEFAULT_UNENCRYPTED_SUFFIX, KeyEntry, KeyGroup, Metadata, Rule, VERSION,
};
use strongroom_sops::stores::{Format, Store};
use strongroom_sops::{Error, Exit, Result};

use super::{Run, files, machine};

/// The flags that name keys, in the order in which a group has them.
const KEY_FLAGS: [&str; 7] =
    ["kms", "gcp-kms", "hckms", "azure-kv", "pgp", "hc-vault-transit", "age"];

/// Where a machine says that all uses of SOPS are noted in databases.
const AUDIT: &str = "/etc/sops/audit.yaml";

/// More than one rule at once.
const MANY_RULES: &str = "Error: cannot use more than one of encrypted_suffix, unencrypted_suffix, \
                          encrypted_regex, unencrypted_regex, encrypted_comment_regex, or \
                          unencrypted_comment_regex in the same file";

impl Run<'_, '_> {
    /// `.sops.yaml`: the one that is named, or the nearest.
    pub(super) fn config_path(&mut self) -> Result<Option<PathBuf>> {
        let named = self.global.text("config");
        if !named.is_empty() {
            return files::absolute(named).map(Some);
        }
        let found = config::find(&files::absolute("")?);
        if let Some(warning) = found.warning
            && !std::mem::replace(&mut self.config_warned, true)
        {
            self.warn(&warning);
        }
        Ok(found.path)
    }

    /// The same, where it has to be there.
    pub(super) fn needed_config_path(&mut self) -> Result<PathBuf> {
        self.config_path()?.ok_or_else(|| Error::general("config file not found"))
    }

    /// The configuration of a file.
    pub(super) fn config_at(&self, path: &Path) -> Result<Config> {
        let bytes = files::read(path).map_err(|error| {
            let reason = crate::cli::command::io_reason(&error);
            Error::general(format!("could not read config file: open {}: {reason}", path.display()))
        })?;
        Config::parse(&bytes)
    }

    fn config(&mut self) -> Result<Option<(PathBuf, Config)>> {
        let Some(path) = self.config_path()? else { return Ok(None) };
        let config = self.config_at(&path)?;
        Ok(Some((path, config)))
    }

    /// The rule for a new file at this path.
    pub(super) fn creation_rule(&mut self, file: &Path) -> Result<Option<CreationRule>> {
        let Some((path, config)) = self.config()? else { return Ok(None) };
        let rule = config.creation_rule(&path, file)?.cloned();
        if let Some(rule) = &rule {
            // What is wrong with it is said whether it is needed or not.
            rule.rule()?;
            rule.keys.records(&[])?;
        }
        Ok(rule)
    }

    /// The format of the input.
    pub(super) fn input_store(&mut self, file: &Path) -> Result<Store> {
        let indents = self.config()?.map_or_else(Indents::default, |(_, config)| config.indents);
        Ok(indents.store(format(self.own.text("input-type"), file)))
    }

    /// The format of the output.
    pub(super) fn output_store(&mut self, file: &Path) -> Result<Store> {
        let mut indents =
            self.config()?.map_or_else(Indents::default, |(_, config)| config.indents);
        if self.global.given("indent") {
            indents = Indents::all(self.global.int("indent"));
        }
        Ok(indents.store(format(self.own.text("output-type"), file)))
    }

    /// Who wraps and unwraps data keys.
    pub(super) fn keys(&mut self) -> Result<Keys> {
        // Where the original would note each use, and fail if it could not, nothing goes unnoted.
        if Path::new(AUDIT).exists() {
            let text = format!("{AUDIT} asks for an audit of all uses, which is not kept here");
            return Err(Error::general(text));
        }
        let order = Order::parse(self.own.text("decryption-order"))?;
        let machine = machine::machine(self);
        let local = self.own.is_not_off("enable-local-keyservice");
        let uris = self.own.list("keyservice").to_vec();
        let (keys, wrong) = Keys::with_services(machine, order, local, &uris);
        for text in wrong {
            self.warn(&text);
        }
        Ok(keys)
    }

    fn context(&self) -> Result<Vec<(String, String)>> {
        named::encryption_context(self.own.text("encryption-context"))
    }

    /// The keys that flags with this prefix name.
    fn named_keys(&self, prefix: &str) -> Result<Vec<KeyEntry>> {
        let context = self.context()?;
        let profile = self.own.text("aws-profile");
        let mut keys = Vec::new();
        for flag in KEY_FLAGS {
            let text = self.own.text(&format!("{prefix}{flag}"));
            keys.extend(match flag {
                "kms" => named::kms(text, &context, profile),
                "gcp-kms" => named::gcp_kms(text),
                "hckms" => named::hckms(text)?,
                "azure-kv" => named::azure_kv(text)?,
                "pgp" => named::pgp(text),
                "hc-vault-transit" => named::hc_vault(text)?,
                _ => named::age(text)?,
            });
        }
        Ok(keys)
    }

    /// The keys that a rotation adds, and those it takes away.
    pub(super) fn changed_keys(&self) -> Result<(Vec<KeyEntry>, Vec<KeyEntry>)> {
        Ok((self.named_keys("add-")?, self.named_keys("rm-")?))
    }

    /// Does a flag add or remove keys?
    pub(super) fn changes_keys(&self) -> bool {
        let given = |prefix: &str| {
            KEY_FLAGS.iter().any(|flag| !self.own.text(&format!("{prefix}{flag}")).is_empty())
        };
        given("add-") || given("rm-")
    }

    /// What a new file gets: its rule, keys and threshold.
    pub(super) fn new_metadata(
        &mut self,
        file: &Path,
        input: Store,
        rule: Option<CreationRule>,
    ) -> Result<Metadata> {
        let rule = match rule {
            Some(rule) => Some(rule),
            None => self.creation_rule(file)?,
        };
        let (selection, mac_only_encrypted) = self.selection(input, rule.as_ref())?;
        let key_groups = self.key_groups(rule.as_ref())?;
        let threshold = match self.own.int("shamir-secret-sharing-threshold") {
            0 => rule.map_or(0, |rule| rule.shamir_threshold),
            given => usize::try_from(given).unwrap_or(0),
        };
        Ok(Metadata {
            key_groups,
            shamir_threshold: threshold,
            rule: selection,
            mac_only_encrypted,
            version: VERSION.into(),
            ..Metadata::default()
        })
    }

    /// Which values are encrypted: each flag replaces the configuration's setting of that name.
    fn selection(&mut self, input: Store, rule: Option<&CreationRule>) -> Result<(Rule, bool)> {
        let mut texts =
            Rule::FIELDS.map(|field| self.own.text(&field.replace('_', "-")).to_owned());
        let mut mac_only = self.global.is("mac-only-encrypted");
        if let Some(rule) = rule {
            for (text, other) in texts.iter_mut().zip(&rule.rules) {
                if text.is_empty() {
                    text.clone_from(other);
                }
            }
            mac_only |= rule.mac_only_encrypted;
        }
        if input.has_one_value() {
            for (field, text) in Rule::FIELDS.iter().zip(&texts) {
                // That comment rule alone has no effect in any case.
                if !text.is_empty() && *field != "unencrypted_comment_regex" {
                    self.warn(&format!(
                        "Using {} does not make sense with the input store (the binary store \
                         produces one key that should always be encrypted) and will be ignored.",
                        field.replace('_', " ")
                    ));
                }
            }
            return Ok((Rule::All, false));
        }
        let many = || Error::new(Exit::Conflict, MANY_RULES);
        Ok(match Rule::of_fields(texts).ok_or_else(many)? {
            Rule::All => (Rule::UnencryptedSuffix(DEFAULT_UNENCRYPTED_SUFFIX.into()), mac_only),
            given => (given, mac_only),
        })
    }

    /// The master keys: those of the flags, or else those of the configuration.
    fn key_groups(&mut self, rule: Option<&CreationRule>) -> Result<Vec<KeyGroup>> {
        let context = self.context()?;
        let mut groups = if KEY_FLAGS.iter().any(|flag| !self.own.text(flag).is_empty()) {
            vec![KeyGroup(self.named_keys("")?)]
        } else if let Some(rule) = rule {
            rule.keys.records(&context)?
        } else {
            return Err(Error::general(
                "config file not found, or has no creation rules, and no keys provided through \
                 command line options",
            ));
        };
        let needs =
            |key: &KeyEntry| matches!(key, KeyEntry::AzureKv(key) if key.version.is_empty());
        if groups.iter().flat_map(|group| &group.0).any(needs) {
            let keys = self.keys()?;
            named::complete(&mut groups, &keys.machine)?;
        }
        Ok(groups)
    }
}

/// By name, or else by the file's end.
fn format(name: &str, file: &Path) -> Format {
    Format::of_name(name).unwrap_or_else(|| Format::of_path(&file.to_string_lossy()))
}
