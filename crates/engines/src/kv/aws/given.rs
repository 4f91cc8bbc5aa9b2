//! What requests give: values, tokens, labels, texts, each checked against AWS's bounds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_base::{Error, Result, SecretBytes, SecretString, json};
use strongroom_kernel::plug::ReadCx;

use super::limits::{
    DESCRIPTION_CHARS_MAX, KMS_KEY_CHARS_MAX, STAGE_CHARS_MAX, STAGES_MAX, TOKEN_CHARS_MAX,
    TOKEN_CHARS_MIN, VALUE_BYTES_MAX,
};
use super::refusals::{constraint, invalid_parameter, too_long};
use crate::kv::secret::Representation;

/// A value as a request gives it.
pub(super) struct Given {
    /// Its bytes.
    pub bytes: SecretBytes,
    /// Did it come as bytes, not as text?
    pub binary: bool,
}

impl Given {
    /// The value of a request, if it has one.
    pub fn take(text: Option<SecretString>, binary: Option<SecretString>) -> Result<Option<Self>> {
        let (bytes, member, binary) = match (text, binary) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(invalid_parameter(
                    "You can't specify both a binary secret value and a string secret value in the \
                     same secret.",
                ));
            }
            (Some(text), None) => {
                (SecretBytes::new(text.expose_secret().as_bytes().to_vec()), "secretString", false)
            }
            (None, Some(base64)) => {
                let bytes = STANDARD.decode(base64.expose_secret().as_bytes()).map_err(|_| {
                    Error::bad_request("SecretBinary is no base64").called("SerializationException")
                })?;
                (SecretBytes::new(bytes), "secretBinary", true)
            }
        };
        match bytes.expose_secret().len() {
            0 => Err(constraint(member, "have length greater than or equal to 1")),
            1..=VALUE_BYTES_MAX => Ok(Some(Self { bytes, binary })),
            _ => Err(too_long(member, VALUE_BYTES_MAX)),
        }
    }

    /// What its bytes are, over a current version of the form `over`: text over a KV object stays an
    /// object where it is one.
    pub fn representation(&self, over: Option<Representation>) -> Representation {
        if self.binary {
            return Representation::Binary;
        }
        let object = over == Some(Representation::Object) && is_object(self.bytes.expose_secret());
        if object { Representation::Object } else { Representation::Text }
    }

    /// Is this the value that is stored so?
    pub fn is(&self, stored: &SecretBytes, representation: Representation) -> bool {
        let same = stored.constant_time_eq(self.bytes.expose_secret());
        same && self.binary == (representation == Representation::Binary)
    }
}

/// Is it the text of a JSON object?
fn is_object(bytes: &[u8]) -> bool {
    let Ok(mut value) = json::parse_bounded(bytes) else { return false };
    json::wipe(&mut value);
    value.is_object()
}

/// The client request token of a request. Clients that AWS makes always send one; for others it is
/// drawn.
pub(super) fn token(cx: &ReadCx<'_>, given: Option<String>) -> Result<String> {
    let Some(token) = given else { return Ok(cx.rng().uuid()) };
    match token.chars().count() {
        TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX => Ok(token),
        _ => Err(invalid_parameter(format!(
            "ClientRequestToken must be {TOKEN_CHARS_MIN}-{TOKEN_CHARS_MAX} characters long."
        ))),
    }
}

/// The labels of a request, each once; none where it names none.
pub(super) fn stages(given: Option<Vec<String>>) -> Result<Vec<String>> {
    let Some(given) = given else { return Ok(Vec::new()) };
    if given.is_empty() {
        return Err(constraint("versionStages", "have length greater than or equal to 1"));
    }
    if given.len() > STAGES_MAX {
        return Err(too_long("versionStages", STAGES_MAX));
    }
    let mut stages: Vec<String> = Vec::with_capacity(given.len());
    for stage in given {
        check_stage(&stage, "versionStages")?;
        if !stages.contains(&stage) {
            stages.push(stage);
        }
    }
    Ok(stages)
}

/// Checks one label.
pub(super) fn check_stage(stage: &str, member: &str) -> Result<()> {
    match stage.chars().count() {
        0 => Err(constraint(member, "have length greater than or equal to 1")),
        1..=STAGE_CHARS_MAX => Ok(()),
        _ => Err(too_long(member, STAGE_CHARS_MAX)),
    }
}

/// Checks a description and a key's name.
pub(super) fn check_texts(description: Option<&str>, kms_key: Option<&str>) -> Result<()> {
    let long = |text: Option<&str>, most| text.is_some_and(|t| t.chars().count() > most);
    if long(description, DESCRIPTION_CHARS_MAX) {
        return Err(too_long("description", DESCRIPTION_CHARS_MAX));
    }
    if long(kms_key, KMS_KEY_CHARS_MAX) {
        return Err(too_long("kmsKeyId", KMS_KEY_CHARS_MAX));
    }
    Ok(())
}
