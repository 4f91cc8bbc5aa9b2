//! From an answer to an HTTP response.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use strongroom_base::{Error, ErrorKind, Json, json};
use strongroom_kernel::pipeline::Answer;

use super::request::{Answering, Form};
use super::{errors, sts};

const JSON: &str = "application/x-amz-json-1.1";
const XML: &str = "text/xml";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// Seconds after which a client may try again what could not be served.
const RETRY_SECONDS: u16 = 1;

/// The response for an answer.
pub fn render(answering: Answering, answer: Answer) -> Response<Bytes> {
    let Answering { form, operation, scope, shape, refusal, asked } = answering;
    let id = &answer.request_id;
    let error = match (answer.result, refusal) {
        (Ok(reply), None) => {
            let data = reply.data.unwrap_or(Json::Null);
            let mut data = match &scope {
                Some(scope) => shape(scope, data),
                None => data,
            };
            let response = done(form, operation, id, &data);
            json::wipe(&mut data);
            return response;
        }
        // Who asks is known: what is wrong with the request may be said.
        (Ok(_), Some(refusal)) => refusal,
        (Err(error), _) => error,
    };
    let error = match error {
        // The token that came in place of a signature was refused by the method that knows it.
        error
            if answer.of_inline_login
                && matches!(error.kind, ErrorKind::BadRequest | ErrorKind::PermissionDenied) =>
        {
            let text = "The web identity token that was passed is not valid for this role.";
            Error::bad_request(text).called("InvalidIdentityToken")
        }
        error if error.kind == ErrorKind::PermissionDenied && error.code.is_none() => {
            let principal = answer.access.as_ref().map(|access| access.principal().to_owned());
            not_authorized(principal.as_deref(), &asked)
        }
        error => error,
    };
    failed(form, &error, id)
}

/// AWS's text for what policy does not allow.
fn not_authorized(principal: Option<&str>, (action, resource): &(String, String)) -> Error {
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
            let mut out = Vec::new();
            match data {
                Json::Null => out.extend_from_slice(b"{}"),
                data => json::write(&mut out, data),
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
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
    }
    response
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
