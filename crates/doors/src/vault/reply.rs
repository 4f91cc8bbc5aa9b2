//! From an answer to an HTTP response.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use strongroom_base::{Error, ErrorKind, Json};
use strongroom_kernel::pipeline::Answer;
use strongroom_kernel::plug::{Reply, Shape};
use strongroom_kernel::quotas::RateHeaders;

/// The header with the explain id of a denial.
pub const EXPLAIN_HEADER: &str = "x-strongroom-explain";

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
        ErrorKind::Sealed | ErrorKind::Standby | ErrorKind::Unavailable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorKind::Upstream => StatusCode::BAD_GATEWAY,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[derive(Serialize)]
struct Errors<'a> {
    errors: &'a [String],
}

/// The envelope of an answer (API page "HTTP API", "Responses").
struct Envelope<'a> {
    answer: &'a Answer,
    reply: &'a Reply<Json>,
}

impl Serialize for Envelope<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (answer, reply) = (self.answer, self.reply);
        let lease = answer.lease.as_ref();
        let duration = lease.map_or(reply.lease_duration.unwrap_or(0), |l| l.duration);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("request_id", &answer.request_id)?;
        map.serialize_entry("lease_id", lease.map_or("", |l| l.id.as_str()))?;
        map.serialize_entry("renewable", &lease.is_some_and(|l| l.renewable))?;
        map.serialize_entry("lease_duration", &duration)?;
        map.serialize_entry("data", &reply.data)?;
        map.serialize_entry("wrap_info", &reply.wrap_info)?;
        let warnings = (!reply.warnings.is_empty()).then_some(&reply.warnings);
        map.serialize_entry("warnings", &warnings)?;
        map.serialize_entry("auth", &reply.auth)?;
        map.serialize_entry("mount_type", &answer.mount_kind)?;
        if reply.shape == Shape::Flat
            && let Some(Json::Object(data)) = &reply.data
        {
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
            for (name, value) in data.iter().filter(|(name, _)| !TAKEN.contains(&name.as_str())) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

/// The response for an answer.
pub fn render(answer: &Answer) -> Response<Bytes> {
    let mut response = match &answer.result {
        Err(error) => failed(answer, error),
        Ok(reply) => done(answer, reply),
    };
    if let Some(id) = &answer.explain
        && let Ok(value) = HeaderValue::from_str(id)
    {
        response.headers_mut().insert(EXPLAIN_HEADER, value);
    }
    if let Some(rate) = &answer.rate {
        rate_headers(&mut response, rate);
    }
    response
}

/// The response for a failure before there was a call.
pub fn failure(error: &Error) -> Response<Bytes> {
    json(status(error.kind), &Errors { errors: &error.public })
}

fn failed(answer: &Answer, error: &Error) -> Response<Bytes> {
    match &error.data {
        None => failure(error),
        Some(data) => {
            let reply = Reply::data((**data).clone());
            json(status(error.kind), &Envelope { answer, reply: &reply })
        }
    }
}

fn done(answer: &Answer, reply: &Reply<Json>) -> Response<Bytes> {
    let given = reply.status.and_then(|s| StatusCode::from_u16(s).ok());
    let ok = given.unwrap_or(StatusCode::OK);
    if let Shape::Raw(content_type) = reply.shape {
        return body(ok, content_type, reply.raw.clone().into());
    }
    if reply.shape == Shape::Bare {
        return json(ok, &reply.data);
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
    json(ok, &Envelope { answer, reply })
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Bytes> {
    let mut text = Vec::with_capacity(512);
    match serde_json::to_writer(&mut text, value) {
        Ok(()) => {
            text.push(b'\n');
            body(status, "application/json", text.into())
        }
        Err(_) => body(
            StatusCode::INTERNAL_SERVER_ERROR,
            "application/json",
            Bytes::from_static(b"{\"errors\":[\"internal error\"]}\n"),
        ),
    }
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
