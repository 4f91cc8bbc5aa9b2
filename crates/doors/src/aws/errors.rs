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
        ErrorKind::TooLarge => match service {
            "sts" => ("ValidationError", wrong),
            _ => ("ValidationException", wrong),
        },
        ErrorKind::PermissionDenied => match service {
            "sts" => ("AccessDenied", StatusCode::FORBIDDEN),
            _ => ("AccessDeniedException", wrong),
        },
        ErrorKind::NotFound => match service {
            "kms" => ("NotFoundException", wrong),
            "ssm" => ("ParameterNotFound", wrong),
            _ => ("ResourceNotFoundException", wrong),
        },
        // The mount of the region does not serve this: it is not there, or of another kind or version.
        ErrorKind::NoRoute | ErrorKind::Unsupported => match service {
            "secretsmanager" => ("InvalidRequestException", wrong),
            "kms" | "ssm" => ("UnsupportedOperationException", wrong),
            _ => ("ValidationError", wrong),
        },
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
        | ErrorKind::Unavailable
        | ErrorKind::InDoubt => match service {
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
    let own = match error.kind {
        _ if error.code.is_some() => None,
        ErrorKind::NoRoute | ErrorKind::Unsupported => Some(
            "This server has no storage for the request's region: an operator has to enable the \
             mount that the door's settings name for it (kv of version 2, or transit).",
        ),
        ErrorKind::RateLimited => Some("Rate exceeded"),
        ErrorKind::Sealed | ErrorKind::Standby | ErrorKind::PreconditionFailed => {
            Some("The service is temporarily unavailable. Try again.")
        }
        _ => None,
    };
    if let Some(text) = own {
        return text.to_owned();
    }
    match error.public.as_slice() {
        [] if error.kind == ErrorKind::NotFound => "The resource was not found.".to_owned(),
        [] => "The request failed.".to_owned(),
        texts => texts.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_speaks_of_what_clients_of_aws_do_not_know() {
        let quota = Error::new(ErrorKind::RateLimited, "request path \"secret/x\": quota exceeded");
        assert_eq!(text_of(&quota), "Rate exceeded");
        for error in [Error::sealed(), Error::new(ErrorKind::Standby, "Vault is in standby mode")] {
            assert_eq!(text_of(&error), "The service is temporarily unavailable. Try again.");
        }
        let route = Error::no_route("secret-eu-west-1/aws/list-secrets");
        for service in ["secretsmanager", "kms", "ssm", "sts"] {
            let (code, status) = code_of(service, &route);
            assert!(code != "UnknownOperationException" && status == 400, "{service}");
            let large = Error::new(ErrorKind::TooLarge, "http: request body too large");
            let (code, status) = code_of(service, &large);
            assert!(code.starts_with("Validation") && status == 400, "{service}");
        }
        assert!(!text_of(&route).contains("eu-west-1"));
        // What an operation says itself stays.
        let own = Error::bad_request("a text").called("LimitExceededException");
        assert_eq!(text_of(&own), "a text");
    }
}
