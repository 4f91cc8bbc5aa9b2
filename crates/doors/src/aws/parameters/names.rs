//! Names of parameters: their rules, and where the parameters lie.

use strongroom_base::{Error, RequestPath, Result};

use super::super::{Arn, Scope, names};

/// The service's name in ARNs.
const SERVICE: &str = "ssm";
/// The folder of parameters in a region's place.
const FOLDER: &str = names::PARAMETERS;
/// What stands before a parameter's name, without its first slash, in an ARN.
const PARAMETER: &str = "parameter/";
/// What stands before the name of a secret of Secrets Manager.
const REFERENCE: &str = "/aws/reference/secretsmanager/";
/// Levels of a name.
const LEVELS_MAX: usize = 15;
/// Characters of a name, those of its ARN left out.
const NAME_CHARS_MAX: usize = 1_011;

/// A parameter as a request names it.
pub struct Named {
    /// Its path in the region's kv mount.
    pub path: String,
    /// Its ARN.
    pub arn: String,
    /// Does its name begin with a slash, and has no other?
    pub rooted: bool,
    /// What stands behind a colon: a version's number or label.
    pub selector: Option<String>,
    /// Is it a secret of Secrets Manager?
    pub reference: bool,
    /// The ARN of the secret that is meant, without the six characters. Of a parameter, or what stands before
    /// the names in a folder of parameters, the one by which resource policies knew it that were stored while
    /// parameters were secrets of Secrets Manager, too.
    pub secret_arn: String,
}

/// There is no such parameter.
pub fn not_found() -> Error {
    Error::bad_request("The parameter couldn't be found.").called("ParameterNotFound")
}

fn invalid(text: &str) -> Error {
    Error::bad_request(text).called("ValidationException")
}

fn arn(scope: &Scope, bare: &str) -> String {
    scope.arn(SERVICE, &format!("{PARAMETER}{bare}"))
}

/// The path of a name without its first slash.
fn path(scope: &Scope, bare: &str) -> Option<String> {
    if bare.is_empty() || bare.split('/').any(str::is_empty) {
        return None;
    }
    Some(format!("{}{FOLDER}/{}", scope.place.prefix, names::to_path(bare)?))
}

/// The folder of all parameters.
pub fn top(scope: &Scope) -> String {
    format!("{}{FOLDER}", scope.place.prefix)
}

/// The parameter that a request wants to read or change: a name or an ARN, and a selector.
pub fn to_read(scope: &Scope, text: &str) -> Result<Named> {
    let name = match text.starts_with("arn:") {
        false => text,
        true => {
            let parsed = Arn::parse(text).filter(|arn| arn.is_of(SERVICE, scope));
            let resource = parsed.and_then(|arn| arn.resource.strip_prefix(PARAMETER));
            resource.ok_or_else(not_found)?
        }
    };
    let (name, selector) = match name.split_once(':') {
        Some((name, selector)) if !selector.is_empty() => (name, Some(selector.to_owned())),
        Some(_) => return Err(not_found()),
        None => (name, None),
    };
    let reference = name.strip_prefix(REFERENCE).or_else(|| {
        let of_arn = REFERENCE.strip_prefix('/').unwrap_or(REFERENCE);
        text.starts_with("arn:").then(|| name.strip_prefix(of_arn)).flatten()
    });
    if let Some(secret) = reference {
        let path = scope.kv_path(secret).map_err(|_| not_found())?;
        let arn = arn(scope, name.strip_prefix('/').unwrap_or(name));
        let secret_arn = scope.secret_arn(secret, None);
        return Ok(Named { path, arn, rooted: true, selector, reference: true, secret_arn });
    }
    let bare = name.strip_prefix('/').unwrap_or(name);
    let path = path(scope, bare).ok_or_else(not_found)?;
    if RequestPath::parse(&path).is_err() {
        return Err(not_found());
    }
    let rooted = name.starts_with('/') && !bare.contains('/');
    let (arn, secret_arn) = (arn(scope, bare), as_secret(scope, &path));
    Ok(Named { path, arn, rooted, selector, reference: false, secret_arn })
}

/// What Secrets Manager called the parameter at `path`.
fn as_secret(scope: &Scope, path: &str) -> String {
    let below = path.strip_prefix(scope.place.prefix.as_str()).unwrap_or(path);
    scope.secret_arn(&names::to_name(below), None)
}

/// The parameter that a request wants to make or overwrite.
pub fn to_make(scope: &Scope, name: &str) -> Result<Named> {
    let lower = name.to_ascii_lowercase();
    let bare = lower.strip_prefix('/').unwrap_or(&lower);
    if bare == "aws" || bare.starts_with("aws/") {
        return Err(Error::bad_request("No access to reserved parameter name")
            .called("AccessDeniedException"));
    }
    let is_sign = |b: u8| b.is_ascii_alphanumeric() || b"_.-/".contains(&b);
    if bare.starts_with("aws") || bare.starts_with("ssm") || !name.bytes().all(is_sign) {
        return Err(invalid(
            "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). If formed \
             as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be \
             formed as a mix of letters, numbers and the following 3 symbols .-_",
        ));
    }
    if name.contains('/') && !name.starts_with('/') {
        return Err(invalid("Parameter name must be a fully qualified name."));
    }
    if name.len() > NAME_CHARS_MAX {
        return Err(invalid("Parameter name is too long."));
    }
    if bare.split('/').count() > LEVELS_MAX {
        return Err(Error::bad_request(
            "Parameter hierarchies are limited to a maximum depth of 15 levels.",
        )
        .called("HierarchyLevelLimitExceededException"));
    }
    let named = to_read(scope, name);
    named.map_err(|_| invalid("Parameter name has an empty part."))
}

/// The folder that a request lists.
pub fn folder(scope: &Scope, name: &str) -> Result<Named> {
    let wrong = || {
        invalid(
            "The parameter path doesn't meet requirements. The parameter path must begin with a forward \
             slash /. It can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). It must use only \
             letters, numbers, or the following symbols: . (period), - (hyphen), _ (underscore). Special \
             characters are not allowed. All sub-paths, if specified, must use the forward slash symbol \
             /. Valid example: /get/parameters2-/by1./path0_.",
        )
    };
    let name = name.strip_suffix('/').unwrap_or(name);
    if name.is_empty() {
        let (arn, path) = (arn(scope, ""), top(scope));
        let secret_arn = format!("{}/", as_secret(scope, &path));
        let (rooted, reference, selector) = (true, false, None);
        return Ok(Named { path, arn, rooted, selector, reference, secret_arn });
    }
    if !name.starts_with('/') || name.contains(':') {
        return Err(wrong());
    }
    let mut named = to_read(scope, name).map_err(|_| wrong())?;
    named.secret_arn.push('/');
    if named.reference { Err(wrong()) } else { Ok(named) }
}

/// The name of the parameter at `path`, with its first slash or without, and its ARN.
pub fn shown(scope: &Scope, path: &str, rooted: bool, reference: bool) -> (String, String) {
    if reference {
        let name = format!("{REFERENCE}{}", scope.name_of(path).unwrap_or_default());
        let arn = arn(scope, name.strip_prefix('/').unwrap_or(&name));
        return (name, arn);
    }
    let below = path.strip_prefix(&format!("{}/", top(scope))).unwrap_or(path);
    let bare = names::to_name(below);
    let arn = arn(scope, &bare);
    let slash = rooted || bare.contains('/');
    (if slash { format!("/{bare}") } else { bare }, arn)
}
