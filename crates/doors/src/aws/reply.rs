//! From an answer to an HTTP response.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use strongroom_base::{Error, ErrorKind, Json, json};
use strongroom_kernel::pipeline::Answer;
use strongroom_kernel::plug::Asked;

use super::request::{Answering, Form};
use super::{Shape, errors, sts};
use crate::vault::IN_DOUBT_HEADER;

const JSON: &str = "application/x-amz-json-1.1";
const XML: &str = "text/xml";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// Seconds after which a client may try again what could not be served.
const RETRY_SECONDS: u16 = 1;
/// The same in milliseconds, for clients that know this header: each is told another time between these, so
/// that they do not all come back at once.
const RETRY_AFTER_MILLIS: HeaderName = HeaderName::from_static("x-amz-retry-after");
const RETRY_MILLIS: std::ops::Range<u64> = 250..2_000;

/// The response for an answer.
pub fn render(answering: Answering, answer: Answer) -> Response<Bytes> {
    let Answering { form, operation, scope, shape, refusal, asked } = answering;
    let id = &answer.request_id;
    let error = match (answer.result, refusal) {
        (Ok(reply), None) => {
            let mut data = reply.data.unwrap_or(Json::Null);
            let response = match (shape, &scope) {
                (Shape::Written(write), Some(scope)) => {
                    // An ARN says the name again. A buffer that grows would leave a copy of secrets behind.
                    let mut out = Vec::with_capacity(2 * json::room_for(&data) + 256);
                    write(scope, &data, &mut out);
                    body(StatusCode::OK, JSON, out, id)
                }
                (Shape::Made(make), Some(scope)) => {
                    data = make(scope, data);
                    done(form, operation, id, &data)
                }
                (_, None) => done(form, operation, id, &data),
            };
            json::wipe(&mut data);
            return response;
        }
        // Who asks is known: what is wrong with the request may be said.
        (Ok(_), Some(refusal)) => refusal,
        (Err(error), _) => error,
    };
    let error = match error {
        // What the method says to which the role sends the token is no stranger's to know: with a role that is
        // not there it would not have been asked.
        error if answer.of_inline_login => of_web_identity(error),
        error if error.kind == ErrorKind::PermissionDenied && error.code.is_none() => {
            let principal = answer.access.as_ref().map(|access| access.principal().to_owned());
            not_authorized(principal.as_deref(), &asked)
        }
        error => error,
    };
    failed(form, &error, id)
}

/// What a stranger is told whose token did not come through: the same as where there is no such role. That
/// the server cannot tell now, he is told.
fn of_web_identity(error: Error) -> Error {
    match error.kind {
        ErrorKind::Upstream => {
            Error::bad_request("The identity provider could not be reached. Try again.")
                .called("IDPCommunicationError")
        }
        ErrorKind::RateLimited
        | ErrorKind::PreconditionFailed
        | ErrorKind::Sealed
        | ErrorKind::Standby
        | ErrorKind::Unavailable
        | ErrorKind::InDoubt
        | ErrorKind::Conflict
        | ErrorKind::Internal => error,
        ErrorKind::BadRequest
        | ErrorKind::TooLarge
        | ErrorKind::PermissionDenied
        | ErrorKind::NotFound
        | ErrorKind::NoRoute
        | ErrorKind::Unsupported => {
            let text = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
            Error::new(ErrorKind::PermissionDenied, text).called("AccessDenied")
        }
    }
}

/// AWS's text for what policy does not allow.
fn not_authorized(principal: Option<&str>, Asked { action, resource, .. }: &Asked) -> Error {
    let mut error = Error::denied();
    let who = principal.map_or_else(|| "User".to_owned(), |arn| format!("User: {arn}"));
    error.public = vec![format!(
        "{who} is not authorized to perform: {action} on resource: {resource} because no \
         identity-based policy allows the {action} action"
    )];
    error
}

/// The response for a failure before there was a call; `request_id` is a fresh one.
pub fn failure(form: Form, error: &Error, request_id: &str) -> Response<Bytes> {
    failed(form, error, request_id)
}

fn done(form: Form, operation: &str, id: &str, data: &Json) -> Response<Bytes> {
    match form {
        Form::Json(_) => {
            let mut out = Vec::with_capacity(json::room_for(data));
            match data {
                Json::Null => out.extend_from_slice(b"{}"),
                data => json::write_tree(&mut out, data),
            }
            body(StatusCode::OK, JSON, out, id)
        }
        Form::Query => {
            let xml = sts::answer(operation, id, data);
            body(StatusCode::OK, XML, xml.into_bytes(), id)
        }
    }
}

fn failed(form: Form, error: &Error, id: &str) -> Response<Bytes> {
    let (code, status) = errors::code_of(form.service(), error);
    let text = errors::text_of(error);
    let mut response = match form {
        Form::Json(_) => {
            let mut out = Vec::new();
            json::write(&mut out, &serde_json::json!({ "__type": code, "Message": text }));
            body(status, JSON, out, id)
        }
        Form::Query => {
            let xml = sts::failure(code, &text, id, status.is_client_error());
            body(status, XML, xml.into_bytes(), id)
        }
    };
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
        headers.insert(RETRY_AFTER_MILLIS, HeaderValue::from(retry_millis(id)));
    }
    if error.kind == ErrorKind::InDoubt {
        response.headers_mut().insert(IN_DOUBT_HEADER, HeaderValue::from_static("true"));
    }
    response
}

/// When to try again, spread by the request's random id.
fn retry_millis(id: &str) -> u64 {
    let digits = id.bytes().filter_map(|b| char::from(b).to_digit(16)).take(8);
    let spread = digits.fold(0_u64, |all, digit| all * 16 + u64::from(digit));
    RETRY_MILLIS.start + spread % (RETRY_MILLIS.end - RETRY_MILLIS.start)
}

fn body(status: StatusCode, kind: &'static str, bytes: Vec<u8>, id: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_doubt_is_marked_so() {
        for (kind, marked) in [(ErrorKind::InDoubt, true), (ErrorKind::Unavailable, false)] {
            let mut error = Error::unavailable("away");
            error.kind = kind;
            let response = failed(Form::Query, &error, "0123456789abcdef");
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers().contains_key(IN_DOUBT_HEADER), marked, "{kind:?}");
        }
    }
}
