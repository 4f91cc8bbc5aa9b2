//! What answers requests: the doors before the kernel.

mod aws;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use strongroom_base::Error;
use strongroom_doors::vault;
use strongroom_kernel::node::Node;
use strongroom_kernel::pipeline::{Answer, Bounds, handle};
use strongroom_kernel::plug::{self, Beyond, Reply, Upload, Verb};
use strongroom_kernel::web::Cors;
use strongroom_system::sys::{in_flight, open_metrics};

use parking_lot::Mutex;
use strongroom_storage::BoxFuture;
use tokio::time::Instant;

use crate::cors;
use crate::listen::fair::{Crowded, Gate};
use crate::listen::{
    Away, DoorRules, HeldBody, Peer, Pieces, ReplyBody, RequestBody, Service, Standing, Streamed,
};
use crate::real::thread_cpu_nanos;

pub use aws::AwsSettings;

/// Bodies up to this many bytes are read without asking whether the token is good.
const SMALL_BODY_BYTES: u64 = 64 * 1024;

/// What the user interface's answers carry unless something else is set.
const UI_HEADERS: &[(&str, &str)] = &[
    ("service-worker-allowed", "/"),
    ("x-content-type-options", "nosniff"),
    (
        "content-security-policy",
        "default-src 'none'; connect-src 'self'; img-src 'self' data:; script-src 'self'; \
         style-src 'unsafe-inline' 'self'; form-action 'none'; frame-ancestors 'none'; \
         font-src 'self'",
    ),
];

/// The service of all listeners.
pub struct Doors {
    node: Arc<Node>,
    gate: Gate,
    settings: DoorSettings,
}

/// What all listeners' doors are told.
pub struct DoorSettings {
    /// Requests that may be worked on at once.
    pub places: usize,
    /// Requests that may wait for that.
    pub waiting_max: usize,
    /// The longest time for one request, where its listener says nothing.
    pub max_request_duration: Duration,
    /// Headers of every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The AWS door, if it is served.
    pub aws: Option<AwsSettings>,
}

impl Doors {
    /// Doors to `node`.
    pub fn new(node: Arc<Node>, settings: DoorSettings) -> Self {
        let gate = Gate::new(settings.places, settings.waiting_max, thread_cpu_nanos);
        Self { node, gate, settings }
    }

    async fn answer(&self, request: Request<RequestBody>, peer: &Peer) -> Response<ReplyBody> {
        let (parts, body) = request.into_parts();
        let rules = &peer.listener.rules;
        let cross_origin = match self.cors(rules, &parts).await {
            cors::Verdict::Silent => HeaderMap::new(),
            cors::Verdict::Allowed(headers) => headers,
            cors::Verdict::Answered(response) => return response.map(ReplyBody::from),
        };
        let (response, beyond) = self.serve(&parts, body, peer).await;
        let mut response = response.map(|bytes| match beyond {
            Some(Beyond::Stream(stream)) => ReplyBody::Stream(Streamed::new(stream.pieces)),
            Some(Beyond::Told(told)) => {
                ReplyBody::Told(Some(bytes), Away::new(move || told.is_sent()))
            }
            _ => bytes.into(),
        });
        response.headers_mut().extend(cross_origin);
        response.headers_mut().extend(self.settings.headers.iter().cloned());
        response
    }

    /// What the settings say of a request by a page of another origin.
    async fn cors(&self, rules: &DoorRules, parts: &Parts) -> cors::Verdict {
        if !parts.headers.contains_key(header::ORIGIN) {
            return cors::Verdict::Silent;
        }
        let judge = |cors: &Cors| cors::judge(cors, &parts.method, &parts.headers);
        if let Some(own) = &rules.cors {
            return judge(&cors::of_listener(own));
        }
        // A sealed store's settings are not known; then no answer carries a header.
        let Ok(services) = self.node.active() else { return cors::Verdict::Silent };
        match strongroom_kernel::web::cors(&services.store).await {
            Ok(cors) => judge(&cors),
            Err(e) => cors::Verdict::Answered(vault::failure(&e)),
        }
    }

    /// The answer, and what is sent as its body where that is made meanwhile.
    async fn serve(
        &self,
        parts: &Parts,
        body: RequestBody,
        peer: &Peer,
    ) -> (Response<Bytes>, Option<Beyond>) {
        let rules = &peer.listener.rules;
        if let Some(regions) = self.aws_regions(rules, parts) {
            return Box::pin(self.handle_aws(regions, parts, body, peer)).await;
        }
        if let Some(response) = self.by_rule(rules, parts).await {
            return (response, None);
        }
        if !parts.uri.path().starts_with("/v1/") {
            let mut response = outside(&parts.method, parts.uri.path());
            if parts.uri.path().starts_with("/ui") {
                Box::pin(self.add_ui_headers(response.headers_mut())).await;
            }
            return (response, None);
        }
        match self.head(parts, peer) {
            Ok(head) => self.handle(head, body, peer).await,
            Err(error) => (vault::failure(&error), None),
        }
    }

    /// The request without its body, if its head is in order.
    fn head(&self, parts: &Parts, peer: &Peer) -> strongroom_base::Result<vault::Head> {
        let rules = &peer.listener.rules;
        if rules.require_request_header
            && parts.headers.get("x-vault-request").is_none_or(|v| v != "true")
        {
            return Err(Error::bad_request("missing required 'X-Vault-Request' header"));
        }
        if let Some(refused) = refuse_head(rules, parts) {
            return Err(refused);
        }
        let mut head = vault::parse_head(parts, kernel_peer(peer))?;
        let limit = rules.max_request_duration.unwrap_or(self.settings.max_request_duration);
        let deadline = Instant::now() + limit;
        head.call.bounds = Bounds { deadline: Some(deadline), json: rules.json };
        Ok(head)
    }

    async fn handle(
        &self,
        mut head: vault::Head,
        body: RequestBody,
        peer: &Peer,
    ) -> (Response<Bytes>, Option<Beyond>) {
        let rules = &peer.listener.rules;
        // The place in the budget is held until the answer: the body lives as long.
        let mut _held = HeldBody::default();
        if head.call.verb == Verb::Write && UPLOADS.contains(&head.call.path.as_str()) {
            // Whether it is read at all, the operation says, once policy has allowed it.
            let upload: Box<dyn Upload> = Box::new(Arriving(body.into_pieces()));
            head.call.upload = Some(Arc::new(Mutex::new(Some(upload))));
        } else if !body.is_empty() {
            let small = body.declared_bytes().is_some_and(|n| n <= SMALL_BODY_BYTES);
            let standing = if small || Box::pin(self.knows(&head)).await {
                Standing::Known
            } else {
                Standing::Stranger
            };
            match body.read(standing).await {
                Ok(held) => {
                    head.call.body = held.bytes().clone();
                    _held = held;
                }
                Err(e) => return (vault::failure(&e.into()), None),
            }
        }
        let head_only = head.head_only;
        let redacts = self.redacts(rules, &head).await;
        let work = pin!(async {
            let mut answer = handle(&self.node, head.call).await;
            if redacts {
                redact(rules, &mut answer);
            }
            (vault::render(&answer), answer)
        });
        let (mut response, answer) = match self.gate.run(&peer.flow, work).await {
            Ok(both) => both,
            Err(Crowded) => {
                let crowded = Error::unavailable("too many requests wait; try again");
                return (vault::failure(&crowded), None);
            }
        };
        if head_only {
            *response.body_mut() = Bytes::new();
            return (response, None);
        }
        (response, answer.result.ok().and_then(|reply| reply.beyond).map(|beyond| *beyond))
    }

    /// What a listener serves, or does not, whoever asks.
    async fn by_rule(&self, rules: &DoorRules, parts: &Parts) -> Option<Response<Bytes>> {
        let metrics = parts.uri.path() == "/v1/sys/metrics";
        if metrics && rules.disallow_metrics || !metrics && rules.metrics_only {
            return Some(outside(&parts.method, "/"));
        }
        if parts.method != Method::GET {
            return None;
        }
        let open = if metrics && (rules.unauthenticated_metrics_access || rules.metrics_only) {
            let format = parts.uri.query().unwrap_or_default().split('&');
            let format = format.filter_map(|pair| pair.strip_prefix("format=")).next();
            match self.node.active() {
                Ok(services) => open_metrics(&services, format).await,
                Err(e) => Err(e),
            }
        } else if rules.unauthenticated_in_flight_access
            && parts.uri.path() == "/v1/sys/in-flight-req"
        {
            in_flight(&self.node).map(|all| plug::Reply::data(all).bare())
        } else {
            return None;
        };
        Some(vault::render(&Answer {
            request_id: String::new(),
            mount_kind: "system".to_owned(),
            result: open,
            lease: None,
            explain: None,
            rate: None,
            of_inline_login: false,
            access: None,
        }))
    }

    /// The headers of the user interface's answers: its own, and those that are set beside or in
    /// place of them.
    async fn add_ui_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in UI_HEADERS {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        let Ok(services) = self.node.active() else { return };
        let Ok(set) = strongroom_kernel::web::ui_headers(&services.store).await else { return };
        for (name, values) in &set.headers {
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
            headers.remove(&name);
            for value in values.iter().filter_map(|value| HeaderValue::from_str(value).ok()) {
                headers.append(name.clone(), value);
            }
        }
    }

    /// Is the answer one that tells strangers of this server, and is something of it left out?
    async fn redacts(&self, rules: &DoorRules, head: &vault::Head) -> bool {
        (rules.redact_addresses || rules.redact_cluster_name || rules.redact_version)
            && OPEN_STATUS.contains(&head.call.path.as_str())
            && !Box::pin(self.knows(head)).await
    }

    /// Does the request carry a token that is good now?
    async fn knows(&self, head: &vault::Head) -> bool {
        let (Some(token), Ok(services)) = (&head.call.token, self.node.active()) else {
            return false;
        };
        let now = self.node.clock.now();
        let Ok(table) = services.router.table().await else { return false };
        matches!(services.tokens.check(&table, token, now).await, Ok(Some(_)))
    }
}

impl Service for Doors {
    async fn call(&self, request: Request<RequestBody>, peer: Arc<Peer>) -> Response<ReplyBody> {
        self.answer(request, &peer).await
    }
}

/// Paths whose body is a file: it is read while it comes, and only if policy allows the path.
const UPLOADS: &[&str] = &["sys/storage/raft/snapshot", "sys/storage/raft/snapshot-force"];

/// A body that is read while it comes.
struct Arriving(Pieces);

impl Upload for Arriving {
    fn next(&mut self) -> BoxFuture<'_, strongroom_base::Result<Option<Bytes>>> {
        Box::pin(async move { self.0.next().await.map_err(Error::from) })
    }
}

/// What a listener refuses before anything is made of it.
fn refuse_head(rules: &DoorRules, parts: &Parts) -> Option<Error> {
    let token = parts.headers.get("x-vault-token");
    let max = rules.token_bytes_max?;
    token
        .is_some_and(|token| token.len() > max)
        .then(|| Error::bad_request("the token is too long"))
}

/// Answers that name the server to strangers.
const OPEN_STATUS: &[&str] = &["sys/health", "sys/leader", "sys/seal-status"];

/// Empties what the listener does not tell strangers.
fn redact(rules: &DoorRules, answer: &mut Answer) {
    let Ok(Reply { data: Some(data), .. }) = &mut answer.result else { return };
    for (on, names) in [
        (rules.redact_addresses, &["leader_address", "leader_cluster_address"][..]),
        (rules.redact_cluster_name, &["cluster_name"]),
        (rules.redact_version, &["version", "build_date"]),
    ] {
        for name in names.iter().filter(|_| on) {
            if let Some(value) = data.get_mut(name) {
                *value = "".into();
            }
        }
    }
}

/// The kernel's view of a peer.
fn kernel_peer(peer: &Peer) -> plug::Peer {
    let certificates = peer
        .tls
        .as_ref()
        .map(|tls| tls.certificates.iter().map(|c| c.as_ref().to_vec()).collect())
        .unwrap_or_default();
    let (ip, port) = match peer.address {
        crate::listen::PeerAddress::Ip(address) => (Some(address.ip()), address.port()),
        crate::listen::PeerAddress::Unix => (None, 0),
    };
    plug::Peer { ip, port, certificates: Arc::new(certificates) }
}

/// Paths outside of the API.
fn outside(method: &Method, path: &str) -> Response<Bytes> {
    if path == "/robots.txt" && method == Method::GET {
        let mut response = Response::new(Bytes::from_static(b"User-agent: *\nDisallow: /\n"));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        return response;
    }
    let mut response = Response::new(Bytes::from_static(b"{\"errors\":[]}\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
