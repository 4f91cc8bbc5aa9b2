//! Second factors that a login still needs.

use serde_json::json;
use strongroom_base::SecretString;
use strongroom_base::json::Json;
use strongroom_client::Envelope;

use super::super::command::Fail;
use super::super::context::Context;
use super::super::table::wrap;

/// Does a login need one?
pub fn is_needed(envelope: &Envelope) -> bool {
    envelope
        .auth
        .as_ref()
        .and_then(|auth| auth.mfa_requirement.as_ref())
        .is_some_and(|requirement| !requirement.is_null())
}

/// Asks for the one second factor a login still needs. Nothing if none is needed, or if it cannot
/// be asked for here; then the caller is told what to do.
pub fn second_factor(
    cx: &mut Context<'_, '_>,
    envelope: &Envelope,
) -> Result<Option<Envelope>, Fail> {
    let requirement = envelope.auth.as_ref().and_then(|auth| auth.mfa_requirement.as_ref());
    let Some(requirement) = requirement.filter(|requirement| !requirement.is_null()) else {
        return Ok(None);
    };
    let methods: Vec<&Json> = requirement
        .get("mfa_constraints")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .flat_map(|(_, set)| set.get("any").and_then(Json::as_array).into_iter().flatten())
        .collect();
    let id = requirement.get("mfa_request_id").and_then(Json::as_str).unwrap_or_default();
    let ([method], false) = (methods.as_slice(), cx.flags.is("non-interactive")) else {
        cx.ui.warn(&format!(
            "{}\n",
            wrap(
                "This login needs a second factor. Send it to sys/mfa/validate together with the \
                 request id shown below.",
                0
            )
        ));
        return Ok(None);
    };
    let method_id = method.get("id").and_then(Json::as_str).unwrap_or_default();
    let kind = method.get("type").and_then(Json::as_str).unwrap_or_default();
    let code = if method.get("uses_passcode").and_then(Json::as_bool) == Some(true) {
        cx.ask(&format!("Code of the second factor ({kind}): "))?
    } else {
        cx.ui.warn("Confirm the login on your device…");
        SecretString::new(String::new())
    };
    let body = json!({"mfa_request_id": id, "mfa_payload": {method_id: [code.expose_secret()]}});
    let answer = cx.http()?.write("sys/mfa/validate", body);
    answer.map_err(|e| Fail::server("Error validating the second factor", &e))
}
