//! PutParameter.

use regex::RegexBuilder;
use serde_json::json;
use strongroom_base::{Error, Json, RawFields, Result, SecretString, fields, json};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Command, Need, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;

use super::super::refusals::{constraint, too_long};
use super::super::{tags as secret_tags, target};
use super::find::{self, renamed};
use super::judge::{One, deeds};
use super::limits::{
    ADVANCED_BYTES_MAX, DESCRIPTION_CHARS_MAX, PATTERN_BYTES_MAX, PATTERN_CHARS_MAX,
    STANDARD_BYTES_MAX, VERSIONS_KEPT,
};
use super::stored::{Kind, Parameter, ParameterVersion, Tier, of_version};
use crate::kv::secret::{Head, Representation, Select, Settings, VersionExtra};
use crate::kv::store::{self, Config, NewValue, Secret};
use crate::kv::{Kv, new_id, writer};

fields! {
    /// Makes a parameter, or writes its next version.
    pub struct Put {
        ..one: One;
        /// Does its name begin with a slash, and has no other?
        rooted: Option<bool>,
        /// The value.
        value: Option<SecretString>,
        /// String, StringList or SecureString; may be left out where there is one.
        r#type: Option<String>,
        /// May there be one?
        overwrite: Option<bool>,
        /// Free text.
        description: Option<String>,
        /// A key's name, which is kept and shown.
        key: Option<String>,
        /// What the value must match.
        pattern: Option<String>,
        /// Standard, Advanced or Intelligent-Tiering.
        tier: Option<String>,
        /// text, or another data type.
        data_type: Option<String>,
        /// Tags: a list of keys and values.
        tags: Option<Json>,
    }
}

ops! { Put Json, Write, Needs; }

/// A new one needs what creating a secret needs. Whether there is one, and so whether an overwriting
/// request creates or updates, is known to the operation alone, which asks then.
pub(super) fn needs(
    mount: &Mount,
    captures: &[(&'static str, String)],
    raw: &RawFields,
) -> Result<Vec<Need>> {
    if raw.get("overwrite").and_then(Json::as_bool) == Some(true) {
        return Ok(Vec::new());
    }
    Ok(find::needs(mount, captures, raw, rights(raw.get("tags").is_some(), Capability::Create)))
}

fn rights(tagged: bool, capability: Capability) -> &'static [target::Right] {
    match (capability, tagged) {
        (Capability::Create, true) => {
            &[("data", Capability::Create), ("metadata", Capability::Create)]
        }
        (Capability::Create, false) => &[("data", Capability::Create)],
        _ => &[("data", Capability::Update)],
    }
}

fn invalid(text: impl Into<String>) -> Error {
    Error::bad_request(text).called("ValidationException")
}

/// What a request says, checked by itself.
fn check(op: &Put) -> Result<()> {
    let long = |text: Option<&String>, most| text.is_some_and(|t| t.chars().count() > most);
    if long(op.description.as_ref(), DESCRIPTION_CHARS_MAX) {
        return Err(too_long("description", DESCRIPTION_CHARS_MAX));
    }
    if long(op.pattern.as_ref(), PATTERN_CHARS_MAX) {
        return Err(too_long("allowedPattern", PATTERN_CHARS_MAX));
    }
    if op.overwrite == Some(true) && op.tags.is_some() {
        return Err(invalid(
            "Invalid request: tags and overwrite can't be used together. To create a parameter with \
             tags, please remove overwrite flag. To update tags for an existing parameter, please use \
             AddTagsToResource or RemoveTagsFromResource.",
        ));
    }
    let value = op.value.as_ref().map(|value| value.expose_secret().as_str()).unwrap_or_default();
    if value.is_empty() {
        return Err(constraint("value", "have length greater than or equal to 1"));
    }
    if value.trim_start().starts_with("{{") && value.trim_end().ends_with("}}") {
        return Err(invalid(
            "Parameter value can't nest another parameter. Do not use \"{{}}\" in the value.",
        ));
    }
    Ok(())
}

/// The tier of the new version.
fn tier(op: &Put, before: Option<Tier>) -> Result<Tier> {
    let bytes = op.value.as_ref().map_or(0, |value| value.expose_secret().len());
    let before = before.unwrap_or_default();
    let tier = match op.tier.as_deref() {
        None | Some("") => before,
        Some("Intelligent-Tiering") if bytes > STANDARD_BYTES_MAX => Tier::Advanced,
        Some("Intelligent-Tiering") => before,
        Some(name) => Tier::named(name).ok_or_else(|| {
            constraint("tier", "satisfy enum value set: [Standard, Advanced, Intelligent-Tiering]")
        })?,
    };
    if before == Tier::Advanced && tier == Tier::Standard {
        return Err(invalid(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the \
             advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the \
             advanced parameter and recreate it as a standard parameter.",
        ));
    }
    match tier {
        Tier::Standard if bytes > STANDARD_BYTES_MAX => Err(invalid(format!(
            "Standard tier parameters support a maximum parameter value of {STANDARD_BYTES_MAX} \
             characters. To create a larger parameter value, upgrade the parameter to use the \
             advanced-parameter tier."
        ))),
        Tier::Advanced if bytes > ADVANCED_BYTES_MAX => Err(invalid(format!(
            "Advanced tier parameters support a maximum parameter value of {ADVANCED_BYTES_MAX} \
             characters."
        ))),
        tier => Ok(tier),
    }
}

/// The type of the parameter: it is said once, and stays. `usual` is that of one of which nothing was said.
fn kind(asked: Option<&str>, before: Option<Kind>, usual: Option<Kind>) -> Result<Kind> {
    let asked = asked.filter(|name| !name.is_empty()).map(|name| {
        Kind::named(name).ok_or_else(|| {
            constraint("type", "satisfy enum value set: [SecureString, StringList, String]")
        })
    });
    match (asked.transpose()?, before) {
        (Some(asked), Some(before)) if asked != before => Err(Error::bad_request(
            "Parameter Store doesn't support changing a parameter type in a hierarchy. You must create \
             a new, unique parameter.",
        )
        .called("HierarchyTypeMismatchException")),
        (asked, before) => asked
            .or(before)
            .or(usual)
            .ok_or_else(|| invalid("A parameter type is required when you create a parameter.")),
    }
}

/// Does the value match what was said of values?
fn check_pattern(pattern: &str, value: &str) -> Result<()> {
    if pattern.is_empty() {
        return Ok(());
    }
    let pattern =
        RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build().map_err(|_| {
            Error::bad_request("The pattern is no regular expression, or one that is too large.")
                .called("InvalidAllowedPatternException")
        })?;
    if pattern.is_match(value) {
        return Ok(());
    }
    Err(Error::bad_request("Parameter value can't be validated against the allowed pattern.")
        .called("ParameterPatternMismatchException"))
}

/// Refuses a data type that is none, and a value that is not of it.
fn check_data_type(name: &str, value: &str) -> Result<()> {
    let fits = match name {
        "" | "text" | "aws:ssm:integration" => true,
        "aws:ec2:image" => {
            let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            value.strip_prefix("ami-").is_some_and(|id| id.len() >= 8 && id.bytes().all(hex))
        }
        "boolean" => matches!(value, "true" | "false"),
        "integer" => value.parse::<i64>().is_ok(),
        "float" => value.parse::<f64>().is_ok_and(f64::is_finite),
        "json" => json::parse_bounded(value.as_bytes()).map(|mut v| json::wipe(&mut v)).is_ok(),
        _ => {
            return Err(invalid(
                "The following data type is not supported: use one of text, aws:ec2:image, \
                 aws:ssm:integration, boolean, integer, float, json",
            ));
        }
    };
    if fits { Ok(()) } else { Err(invalid("The parameter's value is not of its data type.")) }
}

/// Refuses a publication that would drop a version which has a label.
fn check_labels(head: &Head, config: &Config) -> Result<()> {
    let keep = head.keep(config.max_versions);
    let goes = (head.current + 1).saturating_sub(keep);
    if head.aliases.iter().any(|(_, number)| *number <= goes) {
        return Err(Error::bad_request(
            "You attempted to create a new version of a parameter by calling the PutParameter API with \
             the overwrite flag. The oldest version can't be deleted because it has a label associated \
             with it. Move the label to another version of the parameter, and try again.",
        )
        .called("ParameterMaxVersionLimitExceeded"));
    }
    Ok(())
}

/// The secret that is written: a new one where there is none. True where it is new.
async fn secret(cx: &WriteCx<'_>, op: &Put) -> Result<(Secret, bool)> {
    let edit = cx.edit();
    let known = store::find_any(&edit, &op.one.path).await?;
    let overwrites = op.overwrite == Some(true);
    let capability = match known.is_some() && overwrites {
        true => Capability::Update,
        false => Capability::Create,
    };
    target::require(cx, &op.one.path, rights(op.tags.is_some(), capability))?;
    op.one.of(deeds::WRITE).judge(cx, known.as_ref().map(|secret| &secret.head))?;
    check(op)?;
    match known {
        Some(secret) if overwrites && secret.head.deletion.is_none() => Ok((secret, false)),
        Some(_) => Err(Error::bad_request(
            "The parameter already exists. To overwrite this value, set the overwrite option in the \
             request to true.",
        )
        .called("ParameterAlreadyExists")),
        None => {
            let mut head = Head::new(new_id(cx), cx.now());
            head.settings = Settings { max_versions: VERSIONS_KEPT, ..Settings::default() };
            Ok((Secret { row: edit.new_id(), head }, true))
        }
    }
}

/// The new version's form: an object stays one, so that who reads it at Vault's door finds it so.
fn representation(head: &Head, value: &str) -> Representation {
    let over = head.version(Select::Current).map(|version| version.representation);
    if over != Some(Representation::Object) {
        return Representation::Text;
    }
    let Ok(mut parsed) = json::parse_bounded(value.as_bytes()) else { return Representation::Text };
    json::wipe(&mut parsed);
    if parsed.is_object() { Representation::Object } else { Representation::Text }
}

/// What the parameter and its new version are, with what was said before of what this request does not say.
fn described(op: &Put, head: &Head) -> Result<(Parameter, ParameterVersion)> {
    let before = head.version(Select::Current).map(|version| of_version(head, version));
    let said = head.of_aws.as_ref().and_then(|of_aws| of_aws.parameter.as_deref());
    // Of what another door made, nobody said what type it is.
    let known = said.map(|parameter| parameter.kind);
    let usual = before.as_ref().map(|_| Kind::default());
    let kind = kind(op.r#type.as_deref(), known, usual)?;
    if kind != Kind::SecureString && op.key.is_some() {
        return Err(invalid("KeyId can be specified for a SecureString parameter only."));
    }
    let tier = tier(op, before.as_ref().map(|before| before.tier))?;
    let before = before.unwrap_or_default();
    let or = |said: &Option<String>, before: String| said.clone().unwrap_or(before);
    let about = ParameterVersion {
        description: or(&op.description, before.description),
        pattern: or(&op.pattern, before.pattern),
        key: or(&op.key, before.key),
        tier,
        data_type: or(&op.data_type, before.data_type),
        user: String::new(),
    };
    let rooted = match (said, head.current) {
        (Some(parameter), _) => parameter.rooted,
        (None, 0) => op.rooted.unwrap_or(false),
        (None, _) => false,
    };
    Ok((Parameter { kind, rooted }, about))
}

impl Command<Put> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Put) -> Result<Reply<Json>> {
        cx.queue(&op.one.path).await;
        let (mut secret, new) = secret(cx, &op).await?;
        let config = store::config(&cx.view()).await?;
        super::super::put::check_cas(&config, &secret.head).map_err(renamed)?;
        let head = &mut secret.head;
        let (parameter, mut about) = described(&op, head)?;
        if let Some(access) = &cx.request.access {
            access.principal().clone_into(&mut about.user);
        }
        let value = op.value.as_ref().map(|value| value.expose_secret().as_str());
        let value = value.unwrap_or_default();
        check_data_type(&about.data_type, value)?;
        check_pattern(&about.pattern, value)?;
        check_labels(head, &config)?;
        head.of_aws.get_or_insert_default().parameter = Some(Box::new(parameter));
        head.description.clone_from(&about.description);
        if let Some(tags) = &op.tags {
            let tags = secret_tags::read(tags).map_err(renamed)?;
            secret_tags::add(head, tags).map_err(renamed)?;
        }
        let form = representation(head, value);
        let tier = about.tier.name();
        let number = publish(cx, &mut secret, (value, form), about, &config)?;
        store::save(&cx.edit(), &op.one.path, &secret, new).await?;
        Ok(Reply::data(json!({ "version": number, "tier": tier })))
    }
}

fn publish(
    cx: &WriteCx<'_>,
    secret: &mut Secret,
    (value, representation): (&str, Representation),
    about: ParameterVersion,
    config: &Config,
) -> Result<u64> {
    let extra = VersionExtra { parameter: Some(Box::new(about)), ..VersionExtra::default() };
    let new = NewValue {
        bytes: value.as_bytes(),
        representation,
        writer: writer(cx),
        extra: Some(Box::new(extra)),
    };
    store::publish(&cx.edit(), secret, new, new_id(cx), config, cx.now())
}
