//! From an answer to an HTTP response.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use strongroom_base::{Error, ErrorKind, Foreign, Json, json};
use strongroom_kernel::pipeline::Answer;
use strongroom_kernel::plug::{Beyond, Reply, Shape};
use strongroom_kernel::quotas::RateHeaders;

use super::inline;

/// Room for an ordinary answer, a login's too, but for its data.
const ENVELOPE_BYTES: usize = 1_024;
/// The content type of nearly all answers.
const JSON: &str = "application/json";

/// The header with the explain id of a denial.
pub const EXPLAIN_HEADER: &str = "x-strongroom-explain";
/// The header of a failure after which the change may have been made nevertheless. Who repeats the request
/// may do it twice.
pub const IN_DOUBT_HEADER: &str = "x-strongroom-in-doubt";

/// The status of each kind of failure.
fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::BadRequest | ErrorKind::Conflict => StatusCode::BAD_REQUEST,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::NotFound | ErrorKind::NoRoute => StatusCode::NOT_FOUND,
        ErrorKind::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Sealed | ErrorKind::Standby | ErrorKind::Unavailable | ErrorKind::InDoubt => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorKind::Upstream => StatusCode::BAD_GATEWAY,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[derive(Serialize)]
struct Errors<'a> {
    errors: &'a [String],
    /// What goes with a failure that has a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Json>,
}

/// The envelope of an answer (API page "HTTP API", "Responses").
struct Envelope<'a> {
    answer: &'a Answer,
    reply: &'a Reply<Json>,
}

/// Members of the envelope that no member of a flat answer's data replaces.
const TAKEN: [&str; 9] = [
    "request_id",
    "lease_id",
    "renewable",
    "lease_duration",
    "data",
    "wrap_info",
    "warnings",
    "auth",
    "mount_type",
];

impl Envelope<'_> {
    /// Its text. It is put together here and not by serde: the data of most answers is a tree that
    /// the one writer of trees writes fastest.
    fn text(&self) -> Result<Vec<u8>, serde_json::Error> {
        let (answer, reply) = (self.answer, self.reply);
        let lease = answer.lease.as_ref();
        let duration = lease.map_or(reply.lease_duration.unwrap_or(0), |l| l.duration);
        // A buffer that grows would leave a copy of secrets behind.
        let times = if reply.shape == Shape::Flat { 2 } else { 1 };
        let room = times * reply.data.as_ref().map_or(0, json::room_for);
        let mut out = Vec::with_capacity(ENVELOPE_BYTES + room);
        out.extend_from_slice(b"{\"request_id\":");
        json::write_text(&mut out, &answer.request_id);
        out.extend_from_slice(b",\"lease_id\":");
        json::write_text(&mut out, lease.map_or("", |l| l.id.as_str()));
        out.extend_from_slice(b",\"renewable\":");
        serde_json::to_writer(&mut out, &lease.is_some_and(|l| l.renewable))?;
        out.extend_from_slice(b",\"lease_duration\":");
        serde_json::to_writer(&mut out, &duration)?;
        out.extend_from_slice(b",\"data\":");
        json::write_tree(&mut out, reply.data.as_ref().unwrap_or(&Json::Null));
        out.extend_from_slice(b",\"wrap_info\":");
        serde_json::to_writer(&mut out, &reply.wrap_info)?;
        out.extend_from_slice(b",\"warnings\":");
        let warnings = (!reply.warnings.is_empty()).then_some(&reply.warnings);
        serde_json::to_writer(&mut out, &warnings)?;
        out.extend_from_slice(b",\"auth\":");
        serde_json::to_writer(&mut out, &reply.auth)?;
        out.extend_from_slice(b",\"mount_type\":");
        json::write_text(&mut out, &answer.mount_kind);
        if reply.shape == Shape::Flat
            && let Some(Json::Object(data)) = &reply.data
        {
            for (name, value) in data.iter().filter(|(name, _)| !TAKEN.contains(&name.as_str())) {
                out.push(b',');
                json::write_text(&mut out, name);
                out.push(b':');
                json::write_tree(&mut out, value);
            }
        }
        out.extend_from_slice(b"}\n");
        Ok(out)
    }

    fn response(&self, status: StatusCode) -> Response<Bytes> {
        match self.text() {
            Ok(text) => body(status, JSON, text.into()),
            Err(_) => not_serialised(),
        }
    }
}

/// The response for an answer.
pub fn render(answer: &Answer) -> Response<Bytes> {
    let mut response = match &answer.result {
        Err(error) => failed(answer, error),
        Ok(reply) => {
            let mut response = done(answer, reply);
            let headers = reply.headers.iter().map(|h| (h.name, h.value.as_str()));
            set_headers(&mut response, headers);
            response
        }
    };
    if let Some(id) = &answer.explain
        && let Ok(value) = HeaderValue::from_str(id)
    {
        response.headers_mut().insert(EXPLAIN_HEADER, value);
    }
    if answer.of_inline_login {
        response.headers_mut().insert(inline::FAILED, HeaderValue::from_static("true"));
    }
    if let Some(rate) = &answer.rate {
        rate_headers(&mut response, rate);
    }
    response
}

/// The response for a failure before there was a call.
pub fn failure(error: &Error) -> Response<Bytes> {
    if let Some(words) = &error.foreign {
        return foreign(words);
    }
    let data = error.data.as_deref();
    let mut response = rendered(status(error.kind), &Errors { errors: &error.public, data });
    if error.kind == ErrorKind::InDoubt {
        response.headers_mut().insert(IN_DOUBT_HEADER, HeaderValue::from_static("true"));
    }
    response
}

/// Headers of an operation, in place of the door's own of the same name.
fn set_headers<'a>(
    response: &mut Response<Bytes>,
    headers: impl Iterator<Item = (&'static str, &'a str)> + Clone,
) {
    let all = response.headers_mut();
    for (name, _) in headers.clone() {
        all.remove(name);
    }
    for (name, value) in headers {
        // What is no header value an operation does not send.
        if let Ok(value) = HeaderValue::from_str(value) {
            all.append(name, value);
        }
    }
}

/// A failure in another protocol's words.
fn foreign(foreign: &Foreign) -> Response<Bytes> {
    let status = StatusCode::from_u16(foreign.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = body(status, foreign.content_type, foreign.body.clone().into());
    set_headers(&mut response, foreign.headers.iter().map(|(name, value)| (*name, value.as_str())));
    response
}

fn failed(answer: &Answer, error: &Error) -> Response<Bytes> {
    if let Some(words) = &error.foreign {
        return foreign(words);
    }
    match &error.data {
        // A soft-deleted secret is 404 with an answer as any other.
        Some(data) if error.public.is_empty() => {
            let reply = Reply::data((**data).clone());
            Envelope { answer, reply: &reply }.response(status(error.kind))
        }
        _ => failure(error),
    }
}

fn done(answer: &Answer, reply: &Reply<Json>) -> Response<Bytes> {
    if let Some(Beyond::Stream(stream)) = reply.beyond.as_deref() {
        let mut response = body(StatusCode::OK, stream.content_type, Bytes::new());
        if stream.attachment {
            let value = HeaderValue::from_static("attachment");
            response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
        }
        return response;
    }
    let given = reply.status.and_then(|s| StatusCode::from_u16(s).ok());
    let ok = given.unwrap_or(StatusCode::OK);
    if let Shape::Raw(content_type) = reply.shape {
        return body(ok, content_type, reply.raw.clone().into());
    }
    if reply.shape == Shape::Bare {
        let data = reply.data.as_ref().unwrap_or(&Json::Null);
        let mut text = Vec::with_capacity(json::room_for(data) + 1);
        json::write_tree(&mut text, data);
        text.push(b'\n');
        return body(ok, JSON, text.into());
    }
    let empty = reply.data.is_none()
        && reply.auth.is_none()
        && reply.wrap_info.is_none()
        && reply.warnings.is_empty()
        && answer.lease.is_none();
    if empty {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = given.unwrap_or(StatusCode::NO_CONTENT);
        no_store(&mut response);
        return response;
    }
    Envelope { answer, reply }.response(ok)
}

fn rendered<T: Serialize>(status: StatusCode, value: &T) -> Response<Bytes> {
    let mut text = Vec::with_capacity(ENVELOPE_BYTES);
    match serde_json::to_writer(&mut text, value) {
        Ok(()) => {
            text.push(b'\n');
            body(status, JSON, text.into())
        }
        Err(_) => not_serialised(),
    }
}

/// Some serialiser failed, which none of ours does.
fn not_serialised() -> Response<Bytes> {
    let text = Bytes::from_static(b"{\"errors\":[\"internal error\"]}\n");
    body(StatusCode::INTERNAL_SERVER_ERROR, JSON, text)
}

fn body(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Response<Bytes> {
    let mut response = Response::new(bytes);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    no_store(&mut response);
    response
}

fn no_store(response: &mut Response<Bytes>) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000; includeSubDomains"),
    );
}

fn rate_headers(response: &mut Response<Bytes>, rate: &RateHeaders) {
    let headers = response.headers_mut();
    for (name, value) in [
        ("x-ratelimit-limit", rate.limit),
        ("x-ratelimit-remaining", rate.remaining),
        ("x-ratelimit-reset", rate.reset),
    ] {
        headers.insert(name, HeaderValue::from(value));
    }
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(rate.retry_after.unwrap_or(rate.reset)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_doubt_is_marked_so() {
        for (kind, marked) in [(ErrorKind::InDoubt, true), (ErrorKind::Unavailable, false)] {
            let mut error = Error::unavailable("away");
            error.kind = kind;
            let response = failure(&error);
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers().contains_key(IN_DOUBT_HEADER), marked, "{kind:?}");
        }
    }
}
