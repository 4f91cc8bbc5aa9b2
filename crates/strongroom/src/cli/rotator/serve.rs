//! The Lambda API's `Invoke` (POST /2015-03-31/functions/NAME/invocations), for one function.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use strongroom_base::json::Json;
use strongroom_base::{Clock, Rng, percent};
use strongroom_server::real::{RealClock, RealRng};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use super::caller::{Caller, Refused};
use super::worker::{Event, Outcome, Workers};

/// Bytes of an event: as much as Lambda takes.
const EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;
/// How long a client may take to say what it wants.
const HEAD: Duration = Duration::from_secs(10);
/// Connections at a time.
const CONNECTIONS_MAX: usize = 64;
/// The version that ran.
const LATEST: &str = "$LATEST";

/// One function.
pub struct Function {
    /// What it is called; anything where it is empty.
    pub name: String,
    /// Who may call it; everybody where there is none.
    pub caller: Option<Caller>,
    /// Its processes.
    pub workers: Arc<Workers>,
    /// Events at a time; more wait.
    pub places: Semaphore,
}

/// Serves until this program is told to stop.
pub async fn serve(listener: TcpListener, function: Arc<Function>) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        };
        let (Ok((stream, _)), Ok(place)) = (accepted, connections.clone().acquire_owned().await)
        else {
            continue;
        };
        let function = function.clone();
        tokio::spawn(async move {
            connection(stream, function).await;
            drop(place);
        });
    }
    function.workers.stop();
    Ok(())
}

async fn connection(stream: TcpStream, function: Arc<Function>) {
    let service = service_fn(|request| {
        let function = function.clone();
        async move { Ok::<_, Infallible>(function.answer(request).await) }
    });
    // Who goes away needs no answer.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// The name in the path of an invocation.
fn name(path: &str) -> Option<String> {
    let name = path.strip_prefix("/2015-03-31/functions/")?.strip_suffix("/invocations")?;
    let name = percent::decode(name)?;
    (!name.is_empty() && !name.contains('/')).then(|| name.to_string())
}

/// The plain name of a function that is named by its ARN, or with a qualifier.
fn plain(name: &str) -> &str {
    let after = name.split_once(":function:").map_or(name, |(_, after)| after);
    after.split(':').next().unwrap_or(after)
}

fn respond(
    status: StatusCode,
    id: &str,
    error: Option<&'static str>,
    body: &Json,
) -> Response<Full<Bytes>> {
    let text =
        if status == StatusCode::OK || !body.is_null() { body.to_string() } else { String::new() };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-amzn-requestid", id);
    }
    if status == StatusCode::OK {
        headers.insert("x-amz-executed-version", HeaderValue::from_static(LATEST));
    }
    if let Some(error) = error {
        headers.insert("x-amz-function-error", HeaderValue::from_static(error));
    }
    response
}

/// A refusal, boxed: it is seldom.
type Refusal = Box<Response<Full<Bytes>>>;

fn refuse(status: StatusCode, id: &str, kind: &'static str, text: &str) -> Refusal {
    let body = json!({ "Type": "User", "Message": text });
    let mut response = respond(status, id, None, &body);
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(kind));
    Box::new(response)
}

/// Refuses who did not sign as he must.
fn forbid(id: &str, (kind, text): Refused) -> Refusal {
    let mut response = respond(StatusCode::FORBIDDEN, id, None, &json!({ "message": text }));
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(kind));
    Box::new(response)
}

impl Function {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let id = (&RealRng as &dyn Rng).uuid();
        self.invoke(request, &id).await.unwrap_or_else(|refusal| *refusal)
    }

    async fn invoke(
        self: Arc<Self>,
        request: Request<Incoming>,
        id: &str,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let (head, body) = request.into_parts();
        let now = RealClock::new().now();
        let claim = self
            .caller
            .as_ref()
            .map(|caller| caller.claim(&head.headers, now).map(|claim| (caller, claim)));
        let claim = claim.transpose().map_err(|refused| forbid(id, refused))?;
        let body = match Limited::new(body, EVENT_BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => {
                let text = "The event is too large, or did not come to its end.";
                let kind = "RequestTooLargeException";
                return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, id, kind, text));
            }
        };
        if let Some((caller, claim)) = claim {
            caller.verify(&head, &claim, &body).map_err(|refused| forbid(id, refused))?;
        }
        let called = self.called(&head, id)?;
        let body = serde_json::from_slice(if body.is_empty() { b"{}" } else { &body });
        let body = body.map_err(|_| {
            let text = "Could not parse request body into json.";
            refuse(StatusCode::BAD_REQUEST, id, "InvalidRequestContentException", text)
        })?;
        let event = Event {
            body,
            name: plain(&called).to_owned(),
            arn: match called.starts_with("arn:") {
                true => called,
                false => format!("arn:aws:lambda:us-east-1:000000000000:function:{called}"),
            },
            request_id: id.to_owned(),
        };
        let kind = head.headers.get("x-amz-invocation-type");
        match kind.map_or(b"RequestResponse".as_slice(), HeaderValue::as_bytes) {
            b"RequestResponse" => Ok(self.run(event).await),
            b"DryRun" => Ok(respond(StatusCode::NO_CONTENT, id, None, &Json::Null)),
            b"Event" => {
                tokio::spawn(async move { self.run(event).await });
                Ok(respond(StatusCode::ACCEPTED, id, None, &Json::Null))
            }
            _ => {
                let text = "The invocation type is none.";
                Err(refuse(StatusCode::BAD_REQUEST, id, "InvalidParameterValueException", text))
            }
        }
    }

    /// What the path calls the function.
    fn called(&self, head: &Parts, id: &str) -> Result<String, Refusal> {
        let Some(called) = name(head.uri.path()) else {
            let text = "There is nothing at this address but invocations.";
            return Err(refuse(StatusCode::NOT_FOUND, id, "ResourceNotFoundException", text));
        };
        if head.method != Method::POST {
            let (status, text) = (StatusCode::METHOD_NOT_ALLOWED, "Functions are invoked by POST.");
            return Err(refuse(status, id, "InvalidRequestContentException", text));
        }
        if !self.name.is_empty() && plain(&called) != self.name {
            let text = format!("Function not found: {called}");
            return Err(refuse(StatusCode::NOT_FOUND, id, "ResourceNotFoundException", &text));
        }
        Ok(called)
    }

    async fn run(&self, event: Event) -> Response<Full<Bytes>> {
        let id = event.request_id.clone();
        let _place = self.places.acquire().await;
        match self.workers.handle(event).await {
            Outcome::Done(result) => respond(StatusCode::OK, &id, None, &result),
            Outcome::Raised(error) => respond(StatusCode::OK, &id, Some("Unhandled"), &error),
            Outcome::Lost(why) => {
                eprintln!("request {id}: {why}");
                let error = json!({ "errorMessage": format!("{id} {why}") });
                respond(StatusCode::OK, &id, Some("Unhandled"), &error)
            }
        }
    }
}

/// Binds the address; it must be one of this machine.
pub async fn bind(address: &str) -> Result<(TcpListener, SocketAddr), String> {
    let found = tokio::net::lookup_host(address).await;
    let found = found.map_err(|_| "-listen must be an address and a port".to_owned())?;
    let all: Vec<SocketAddr> = found.collect();
    if all.is_empty() || all.iter().any(|address| !address.ip().is_loopback()) {
        return Err("-listen must be a loopback address: whoever reaches it has the function \
                    called"
            .to_owned());
    }
    let listener = TcpListener::bind(all.as_slice()).await;
    let listener = listener.map_err(|e| format!("cannot listen there: {}", e.kind()))?;
    let local = listener.local_addr().map_err(|e| e.kind().to_string())?;
    Ok((listener, local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_by_their_names_in_paths() {
        for (path, expected) in [
            ("/2015-03-31/functions/f/invocations", Some("f")),
            (
                "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Af%3A2/invocations",
                Some("f"),
            ),
            ("/2015-03-31/functions/f:live/invocations", Some("f")),
            ("/2015-03-31/functions//invocations", None),
            ("/2015-03-31/functions/a%2Fb/invocations", None),
            ("/2015-03-31/functions/%zz/invocations", None),
            ("/2015-03-31/functions/f", None),
            ("/", None),
        ] {
            let name = name(path);
            assert_eq!(name.as_deref().map(plain), expected, "{path}");
        }
    }
}
