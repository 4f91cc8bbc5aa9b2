//! The refusal that policy's decision leads to.

use strongroom_base::{Error, ErrorKind, Json};

use super::{Acl, Request, Standing};

/// The 403 of policy, in the form that Vault's clients print, with what the explanation needs.
pub(crate) fn denied_by_policy(acl: &Acl, ask: &Request<'_>) -> Error {
    let error =
        Error::new(ErrorKind::PermissionDenied, "1 error occurred:\n\t* permission denied\n\n");
    let mut trace = acl.explain(ask);
    // The rules for other paths say nothing of this one, and can be many.
    trace.rules.retain(|rule| rule.standing != Standing::PathDiffers);
    match serde_json::to_value(&trace) {
        Ok(trace) => error.because(DeniedTrace(trace)),
        Err(_) => error,
    }
}

/// What an explanation of a denial needs, on its way in the error's cause.
#[derive(Debug)]
pub(crate) struct DeniedTrace(pub Json);

impl std::fmt::Display for DeniedTrace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("denied by policy")
    }
}

impl std::error::Error for DeniedTrace {}
