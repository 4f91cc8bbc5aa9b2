//! Which secret a `SecretId` means.

use strongroom_base::{Error, JsonMap, Result};

use super::super::{Arn, Scope};

/// Characters at the end of a secret's ARN, behind a hyphen.
const SUFFIX_CHARS: usize = 6;

/// A secret as a request names it.
pub(super) struct Target {
    /// Its kv path.
    pub path: String,
    /// The six characters at the end of its ARN.
    suffix: Option<String>,
    /// The kv path that is meant where these belong to the name.
    whole: Option<String>,
    /// Its ARN without the six characters.
    arn: String,
}

fn not_found() -> Error {
    let text = "Secrets Manager can't find the specified secret.";
    Error { public: vec![text.to_owned()], ..Error::not_found() }
        .called("ResourceNotFoundException")
}

/// The secret that a `SecretId` means.
pub(super) fn named(scope: &Scope, id: &str) -> Result<Target> {
    let Some(arn) = Arn::parse(id) else { return plain(scope, id) };
    let resource = arn.resource.strip_prefix("secret:").ok_or_else(not_found)?;
    // Another account's or region's secrets are not here.
    if !arn.is_of("secretsmanager", scope) {
        return Err(not_found());
    }
    let at = resource.len().checked_sub(SUFFIX_CHARS + 1).filter(|at| *at > 0);
    let split = at.and_then(|at| resource.split_at_checked(at));
    let split = split.and_then(|(name, end)| Some((name, end.strip_prefix('-')?)));
    match split {
        Some((name, suffix)) if suffix.bytes().all(|b| b.is_ascii_alphanumeric()) => Ok(Target {
            suffix: Some(suffix.to_owned()),
            whole: scope.kv_path(resource).ok(),
            ..plain(scope, name)?
        }),
        _ => plain(scope, resource),
    }
}

fn plain(scope: &Scope, name: &str) -> Result<Target> {
    let path = scope.kv_path(name)?;
    Ok(Target { path, suffix: None, whole: None, arn: scope.secret_arn(name, None) })
}

/// Says in `body` which secret is meant, and gives its ARN.
pub(super) fn about(body: &mut JsonMap, target: Target) -> String {
    let members =
        [("suffix", target.suffix), ("whole", target.whole), ("arn", Some(target.arn.clone()))];
    for (name, value) in members {
        if let Some(value) = value {
            body.insert(name.to_owned(), value.into());
        }
    }
    target.arn
}
