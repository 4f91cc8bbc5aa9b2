//! How requests name keys, and how keys and aliases are called in answers.

use strongroom_base::{Error, Result};

use super::super::{Arn, Scope};
use super::SERVICE;

/// What stands before an alias's name.
pub const ALIAS: &str = "alias/";
/// What stands before a key's id in an ARN.
const KEY: &str = "key/";

/// A key as a request names it.
pub struct Named {
    /// The end of an operation's path: an id, or an alias with its `alias/`.
    pub path: String,
    /// The ARN; that of the alias where an alias was said.
    pub arn: String,
}

/// A key's ARN.
pub fn key_arn(scope: &Scope, id: &str) -> String {
    scope.arn(SERVICE, &format!("{KEY}{id}"))
}

/// An alias's ARN; the name without its `alias/`.
pub fn alias_arn(scope: &Scope, alias: &str) -> String {
    scope.arn(SERVICE, &format!("{ALIAS}{alias}"))
}

fn not_found(text: &str) -> Error {
    Error::bad_request(text).called("NotFoundException")
}

/// The resource of an ARN of this region and account.
fn resource_of<'a>(scope: &Scope, arn: &'a str) -> Result<&'a str> {
    let parsed = Arn::parse(arn).filter(|arn| arn.service == SERVICE);
    let parsed =
        parsed.ok_or_else(|| Error::bad_request("Invalid arn").called("InvalidArnException"))?;
    if parsed.is_of(SERVICE, scope) {
        return Ok(parsed.resource);
    }
    Err(not_found("Invalid arn: it is of another region or account"))
}

/// The key that a request names.
pub fn key(scope: &Scope, asked: &str) -> Result<Named> {
    let resource = match asked.starts_with("arn:") {
        false => asked,
        true => match resource_of(scope, asked)? {
            resource if resource.starts_with(ALIAS) => resource,
            resource => resource
                .strip_prefix(KEY)
                .ok_or_else(|| Error::bad_request("Invalid arn").called("InvalidArnException"))?,
        },
    };
    if let Some(alias) = resource.strip_prefix(ALIAS) {
        check_alias(alias).map_err(|_| not_found("the alias is not found"))?;
        return Ok(Named { path: resource.to_owned(), arn: alias_arn(scope, alias) });
    }
    let is_id = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if resource.is_empty() || !is_id(resource) {
        return Err(not_found("Invalid keyId"));
    }
    Ok(Named { path: resource.to_owned(), arn: key_arn(scope, resource) })
}

/// The key that a request manages: by its id or ARN (`KeyId` on the API page of each such operation).
pub fn managed(scope: &Scope, asked: &str) -> Result<Named> {
    let named = key(scope, asked)?;
    match named.path.starts_with(ALIAS) {
        true => Err(not_found(&format!("Invalid keyId {}", named.path))),
        false => Ok(named),
    }
}

/// The key that an alias is to mean.
pub fn key_alone(scope: &Scope, asked: &str) -> Result<Named> {
    let named = key(scope, asked)?;
    if named.path.starts_with(ALIAS) {
        return Err(Error::bad_request("Aliases must refer to keys. Not aliases")
            .called("ValidationException"));
    }
    Ok(named)
}

/// The name of a request's alias, without its `alias/`.
pub fn alias(name: &str) -> Result<String> {
    let invalid = |text: &str| Error::bad_request(text).called("ValidationException");
    let alias = name
        .strip_prefix(ALIAS)
        .ok_or_else(|| invalid("Invalid identifier: the name of an alias begins with alias/"))?;
    check_alias(alias)?;
    Ok(alias.to_owned())
}

/// Is it what an alias may be called here? An empty part between two slashes is in no path.
fn check_alias(alias: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_-".contains(&b);
    if !alias.is_empty() && alias.bytes().all(plain) && alias.split('/').all(|p| !p.is_empty()) {
        return Ok(());
    }
    Err(Error::bad_request(
        "an alias has letters, digits, underscores, dashes and single slashes behind alias/",
    )
    .called("InvalidAliasNameException"))
}
