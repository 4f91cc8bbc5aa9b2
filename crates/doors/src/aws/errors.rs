//! What AWS calls each failure.

use http::StatusCode;
use strongroom_base::{Error, ErrorKind};

/// The name of a failure at `service`, and its status. What an operation named itself stays so.
pub fn code_of(service: &str, error: &Error) -> (&'static str, StatusCode) {
    let (code, status) = of_kind(service, error.kind);
    let code = error.code.unwrap_or(code);
    if service == "sts" { (of_sts(code), status) } else { (code, status) }
}

/// STS has its own names for what is wrong with a signature.
fn of_sts(code: &'static str) -> &'static str {
    match code {
        "MissingAuthenticationTokenException" => "MissingAuthenticationToken",
        "IncompleteSignatureException" => "IncompleteSignature",
        "UnrecognizedClientException" => "InvalidClientTokenId",
        "InvalidSignatureException" => "SignatureDoesNotMatch",
        "ExpiredTokenException" => "ExpiredToken",
        "AccessDeniedException" => "AccessDenied",
        code => code,
    }
}

fn of_kind(service: &str, kind: ErrorKind) -> (&'static str, StatusCode) {
    let wrong = StatusCode::BAD_REQUEST;
    match kind {
        ErrorKind::BadRequest => match service {
            "secretsmanager" => ("InvalidParameterException", wrong),
            "sts" => ("ValidationError", wrong),
            _ => ("ValidationException", wrong),
        },
        ErrorKind::TooLarge => ("ValidationException", StatusCode::PAYLOAD_TOO_LARGE),
        ErrorKind::PermissionDenied => match service {
            "sts" => ("AccessDenied", StatusCode::FORBIDDEN),
            _ => ("AccessDeniedException", wrong),
        },
        ErrorKind::NotFound => match service {
            "kms" => ("NotFoundException", wrong),
            "ssm" => ("ParameterNotFound", wrong),
            _ => ("ResourceNotFoundException", wrong),
        },
        // The mount of the region does not serve this: it is of another kind or version.
        ErrorKind::NoRoute | ErrorKind::Unsupported => ("UnknownOperationException", wrong),
        // By its name clients slow down. AWS answers it with 400, which its caching clients take for an answer
        // about the secret, and so throw away a value that they have; by its status they keep that.
        ErrorKind::RateLimited => match service {
            "sts" => ("Throttling", StatusCode::SERVICE_UNAVAILABLE),
            _ => ("ThrottlingException", StatusCode::SERVICE_UNAVAILABLE),
        },
        // Failures of the server by the names that the models know, so that clients have a class for them.
        ErrorKind::PreconditionFailed
        | ErrorKind::Sealed
        | ErrorKind::Standby
        | ErrorKind::Unavailable => match service {
            "kms" => ("DependencyTimeoutException", StatusCode::SERVICE_UNAVAILABLE),
            "sts" => ("ServiceUnavailable", StatusCode::SERVICE_UNAVAILABLE),
            service => (of_server(service), StatusCode::SERVICE_UNAVAILABLE),
        },
        ErrorKind::Conflict | ErrorKind::Upstream | ErrorKind::Internal => {
            (of_server(service), StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// What each service calls a failure of its own.
fn of_server(service: &str) -> &'static str {
    match service {
        "kms" => "KMSInternalException",
        "ssm" => "InternalServerError",
        "sts" => "InternalFailure",
        _ => "InternalServiceError",
    }
}

/// Text for a caller: what the failure says, or a word where it says nothing.
pub fn text_of(error: &Error) -> String {
    if matches!(error.kind, ErrorKind::NoRoute | ErrorKind::Unsupported) && error.code.is_none() {
        return "The mount of this region is not there, or does not serve the operation."
            .to_owned();
    }
    match error.public.as_slice() {
        [] if error.kind == ErrorKind::NotFound => "The resource was not found.".to_owned(),
        [] => "The request failed.".to_owned(),
        texts => texts.join(" "),
    }
}
