//! Failures by the names that AWS gives them.

use strongroom_base::Error;

pub(super) fn invalid_parameter(text: impl Into<String>) -> Error {
    Error::bad_request(text).called("InvalidParameterException")
}

pub(super) fn invalid_request(text: impl Into<String>) -> Error {
    Error::bad_request(text).called("InvalidRequestException")
}

pub(super) fn exists(text: impl Into<String>) -> Error {
    Error::bad_request(text).called("ResourceExistsException")
}

pub(super) fn over_limit(text: impl Into<String>) -> Error {
    Error::bad_request(text).called("LimitExceededException")
}

/// A member that breaks a constraint of the model; its value is not repeated.
pub(super) fn constraint(member: &str, must: &str) -> Error {
    Error::bad_request(format!(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must \
         {must}"
    ))
    .called("ValidationException")
}

/// A text that is longer than `most` characters.
pub(super) fn too_long(member: &str, most: usize) -> Error {
    constraint(member, &format!("have length less than or equal to {most}"))
}

pub(super) fn missing(text: impl Into<String>) -> Error {
    Error { public: vec![text.into()], ..Error::not_found() }.called("ResourceNotFoundException")
}

/// There is no such secret.
pub(super) fn no_secret() -> Error {
    missing("Secrets Manager can't find the specified secret.")
}

/// The secret's deletion is scheduled.
pub(super) fn is_deleted() -> Error {
    invalid_request(
        "You can't perform this operation on the secret because it was marked for deletion.",
    )
}

pub(super) fn bad_next_token() -> Error {
    Error::bad_request("The NextToken value is invalid.").called("InvalidNextTokenException")
}
