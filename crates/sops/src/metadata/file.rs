//! Metadata to the mapping in a file, and back. Reading is lenient about types, as SOPS is: a number
//! may be written as a text, and what is unknown is passed over.

use super::{
    AgeKey, AzureKvKey, DEFAULT_UNENCRYPTED_SUFFIX, GcpKmsKey, HcKmsKey, HcVaultKey, KeyEntry,
    KeyGroup, KmsKey, Metadata, PgpKey, Rule,
};
use crate::error::{Error, Result};
use crate::numbers::{go_int, plain_float, rfc3339, whole_seconds};
use crate::tree::{Branch, Value};

/// More than one rule in one place.
pub const MANY_RULES: &str = "Cannot use more than one of encrypted_suffix, unencrypted_suffix, \
                              encrypted_regex, unencrypted_regex, encrypted_comment_regex, or \
                              unencrypted_comment_regex in the same file";

/// The lists of keys, in the order in which a group has them.
const KINDS: [&str; 7] = ["kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "pgp", "age"];
/// The same lists, in the order in which they are written.
const KINDS_SORTED: [&str; 7] = ["age", "azure_kv", "gcp_kms", "hc_vault", "hckms", "kms", "pgp"];

/// A field; its name may be written in other cases, too.
fn get<'b>(branch: &'b Branch, field: &str) -> Option<&'b Value> {
    let other = || branch.entries().find(|(name, _)| name.eq_ignore_ascii_case(field));
    branch.get(field).or_else(|| other().map(|(_, value)| value))
}

/// Reads the mapping.
pub fn of_branch(branch: &Branch) -> Result<Metadata> {
    let top = group(branch)?;
    let key_groups = if top.0.is_empty() {
        let groups = list(get(branch, "key_groups"));
        groups.into_iter().map(|value| group(mapping(value)?)).collect::<Result<_>>()?
    } else {
        vec![top]
    };
    let last_modified = time(&text(branch, "lastmodified")?)?;
    if key_groups.is_empty() {
        return Err(Error::general("No keys found in file"));
    }
    Ok(Metadata {
        key_groups,
        shamir_threshold: usize::try_from(number(branch, "shamir_threshold")?).unwrap_or(0),
        last_modified,
        mac: text(branch, "mac")?,
        rule: rule(branch)?,
        mac_only_encrypted: truth(branch, "mac_only_encrypted")?,
        version: text(branch, "version")?,
    })
}

fn rule(branch: &Branch) -> Result<Rule> {
    let texts = Rule::FIELDS.map(|field| text(branch, field));
    let mut given = [const { String::new() }; 6];
    for (place, found) in given.iter_mut().zip(texts) {
        *place = found?;
    }
    match Rule::of_fields(given) {
        Some(Rule::All) => Ok(Rule::UnencryptedSuffix(DEFAULT_UNENCRYPTED_SUFFIX.into())),
        Some(rule) => Ok(rule),
        None => Err(Error::general(MANY_RULES)),
    }
}

fn wrong(field: &str, value: &Value) -> Error {
    Error::general(format!("'{field}' in the metadata cannot be a {}", value.kind()))
}

fn text(branch: &Branch, field: &str) -> Result<String> {
    match get(branch, field) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::Text(text)) => Ok(text.to_string()),
        Some(Value::Int(number)) => Ok(number.to_string()),
        Some(Value::Unsigned(number)) => Ok(number.to_string()),
        Some(Value::Float(number)) => Ok(plain_float(*number)),
        Some(Value::Bool(bool)) => Ok(u8::from(*bool).to_string()),
        Some(Value::Time(time)) => Ok(time.clone()),
        Some(Value::List(list)) if list.is_empty() => Ok(String::new()),
        Some(other) => Err(wrong(field, other)),
    }
}

fn number(branch: &Branch, field: &str) -> Result<i64> {
    match get(branch, field) {
        None | Some(Value::Null) => Ok(0),
        Some(Value::Int(number)) => Ok(*number),
        Some(Value::Float(number)) => Ok(*number as i64),
        Some(Value::Bool(bool)) => Ok(i64::from(*bool)),
        Some(Value::Text(text)) if text.is_empty() => Ok(0),
        Some(value @ Value::Text(text)) => {
            let number = go_int(text).and_then(|number| i64::try_from(number).ok());
            number.ok_or_else(|| wrong(field, value))
        }
        Some(other) => Err(wrong(field, other)),
    }
}

fn truth(branch: &Branch, field: &str) -> Result<bool> {
    match get(branch, field) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(bool)) => Ok(*bool),
        Some(Value::Int(number)) => Ok(*number != 0),
        Some(Value::Float(number)) => Ok(*number != 0.0),
        Some(value @ Value::Text(text)) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(wrong(field, value)),
        },
        Some(other) => Err(wrong(field, other)),
    }
}

/// The elements of a list; something else stands for a list of one.
fn list(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None | Some(Value::Null) => vec![],
        Some(Value::List(list)) => {
            list.iter().filter(|value| !matches!(value, Value::Comment(_))).collect()
        }
        Some(Value::Map(branch)) if branch.0.is_empty() => vec![],
        Some(Value::Text(text)) if text.is_empty() => vec![],
        Some(other) => vec![other],
    }
}

fn mapping(value: &Value) -> Result<&Branch> {
    match value {
        Value::Map(branch) => Ok(branch),
        other => {
            Err(Error::general(format!("expected a map in the metadata, got {}", other.kind())))
        }
    }
}

/// A point in time, in whole seconds.
fn time(text: &str) -> Result<String> {
    let time = rfc3339(text).map(|time| whole_seconds(&time));
    time.ok_or_else(|| Error::general("parsing time in the metadata: it is not RFC 3339"))
}

fn group(branch: &Branch) -> Result<KeyGroup> {
    let mut keys = Vec::new();
    for kind in KINDS {
        for value in list(get(branch, kind)) {
            keys.push(key(kind, mapping(value)?)?);
        }
    }
    Ok(KeyGroup(keys))
}

fn key(kind: &str, from: &Branch) -> Result<KeyEntry> {
    let text = |field| text(from, field);
    let created_at = || time(&text("created_at")?);
    let enc = text("enc")?;
    Ok(match kind {
        "kms" => KeyEntry::Kms(KmsKey {
            arn: text("arn")?,
            role: text("role")?,
            context: context(from)?,
            created_at: created_at()?,
            enc,
            aws_profile: text("aws_profile")?,
        }),
        "gcp_kms" => KeyEntry::GcpKms(GcpKmsKey {
            resource_id: text("resource_id")?,
            created_at: created_at()?,
            enc,
        }),
        "hckms" => {
            KeyEntry::HcKms(HcKmsKey { key_id: text("key_id")?, created_at: created_at()?, enc })
        }
        "azure_kv" => KeyEntry::AzureKv(AzureKvKey {
            vault_url: text("vault_url")?,
            name: text("name")?,
            version: text("version")?,
            created_at: created_at()?,
            enc,
        }),
        "hc_vault" => KeyEntry::HcVault(HcVaultKey {
            vault_address: text("vault_address")?,
            engine_path: text("engine_path")?,
            key_name: text("key_name")?,
            created_at: created_at()?,
            enc,
        }),
        "pgp" => KeyEntry::Pgp(PgpKey { fp: text("fp")?, created_at: created_at()?, enc }),
        _ => KeyEntry::Age(AgeKey { recipient: text("recipient")?, enc }),
    })
}

fn context(from: &Branch) -> Result<Vec<(String, String)>> {
    let context = match from.get("context") {
        None | Some(Value::Null) => return Ok(vec![]),
        Some(value) => mapping(value)?,
    };
    let mut pairs = Vec::new();
    for (name, _) in context.entries() {
        pairs.push((name.to_owned(), text(context, name)?));
    }
    pairs.sort();
    Ok(pairs)
}

/// Writes the mapping, sorted by name.
pub fn to_branch(metadata: &Metadata) -> Branch {
    let mut fields: Vec<(&str, Value)> = Vec::new();
    match metadata.key_groups.as_slice() {
        [one] => {
            for kind in KINDS_SORTED {
                let keys = keys_of(one, kind);
                if !keys.is_empty() {
                    fields.push((kind, Value::List(keys)));
                }
            }
        }
        [] => {}
        many => {
            let groups = many.iter().map(|group| Value::Map(group_branch(group)));
            fields.push(("key_groups", Value::List(groups.collect())));
        }
    }
    fields.push(("lastmodified", Value::text(&metadata.last_modified)));
    fields.push(("mac", Value::text(&metadata.mac)));
    fields.push(("version", Value::text(&metadata.version)));
    if let Some((field, text)) = metadata.rule.field() {
        fields.push((field, Value::text(text)));
    }
    if metadata.mac_only_encrypted {
        fields.push(("mac_only_encrypted", Value::Bool(true)));
    }
    if metadata.shamir_threshold > 0 {
        let threshold = i64::try_from(metadata.shamir_threshold).unwrap_or(i64::MAX);
        fields.push(("shamir_threshold", Value::Int(threshold)));
    }
    fields.sort_by_key(|(field, _)| *field);
    branch_of(fields)
}

fn branch_of(fields: Vec<(&str, Value)>) -> Branch {
    let mut branch = Branch::default();
    for (field, value) in fields {
        branch.push(field, value);
    }
    branch
}

/// Of several groups each says if it has no keys of these two kinds.
fn group_branch(group: &KeyGroup) -> Branch {
    let mut branch = Branch::default();
    for kind in KINDS_SORTED {
        let keys = keys_of(group, kind);
        if !keys.is_empty() || matches!(kind, "hc_vault" | "age") {
            branch.push(kind, Value::List(keys));
        }
    }
    branch
}

fn keys_of(group: &KeyGroup, kind: &str) -> Vec<Value> {
    let keys = group.0.iter().filter(|key| key.kind() == kind);
    keys.map(|key| Value::Map(key_branch(key))).collect()
}

fn key_branch(key: &KeyEntry) -> Branch {
    let texts = |fields: &[(&'static str, &String)]| {
        let mut fields: Vec<_> =
            fields.iter().map(|(field, text)| (*field, Value::text(text.as_str()))).collect();
        fields.sort_by_key(|(field, _)| *field);
        fields
    };
    branch_of(match key {
        KeyEntry::Kms(key) => {
            let mut fields = texts(&[
                ("arn", &key.arn),
                ("aws_profile", &key.aws_profile),
                ("created_at", &key.created_at),
                ("enc", &key.enc),
            ]);
            if !key.context.is_empty() {
                let mut context = Branch::default();
                for (name, value) in &key.context {
                    context.push(name, Value::text(value));
                }
                fields.push(("context", Value::Map(context)));
            }
            if !key.role.is_empty() {
                fields.push(("role", Value::text(&key.role)));
            }
            fields.sort_by_key(|(field, _)| *field);
            fields
        }
        KeyEntry::GcpKms(key) => texts(&[
            ("created_at", &key.created_at),
            ("enc", &key.enc),
            ("resource_id", &key.resource_id),
        ]),
        KeyEntry::HcKms(key) => {
            texts(&[("created_at", &key.created_at), ("enc", &key.enc), ("key_id", &key.key_id)])
        }
        KeyEntry::AzureKv(key) => texts(&[
            ("created_at", &key.created_at),
            ("enc", &key.enc),
            ("name", &key.name),
            ("vault_url", &key.vault_url),
            ("version", &key.version),
        ]),
        KeyEntry::HcVault(key) => texts(&[
            ("created_at", &key.created_at),
            ("enc", &key.enc),
            ("engine_path", &key.engine_path),
            ("key_name", &key.key_name),
            ("vault_address", &key.vault_address),
        ]),
        KeyEntry::Pgp(key) => {
            texts(&[("created_at", &key.created_at), ("enc", &key.enc), ("fp", &key.fp)])
        }
        KeyEntry::Age(key) => texts(&[("enc", &key.enc), ("recipient", &key.recipient)]),
    })
}
