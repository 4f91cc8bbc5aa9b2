//! What answers requests: the doors before the kernel.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use strongroom_base::Error;
use strongroom_doors::vault;
use strongroom_kernel::node::Node;
use strongroom_kernel::pipeline::handle;
use strongroom_kernel::plug;

use crate::listen::{HeldBody, Peer, ReplyBody, RequestBody, Service, Standing};

/// Bodies up to this many bytes are read without asking whether the token is good.
const SMALL_BODY_BYTES: u64 = 64 * 1024;

/// The service of all listeners.
pub struct Doors {
    node: Arc<Node>,
}

impl Doors {
    /// Doors to `node`.
    pub fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    async fn answer(&self, request: Request<RequestBody>, peer: &Peer) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        if !parts.uri.path().starts_with("/v1/") {
            return outside(&parts.method, parts.uri.path());
        }
        let rules = &peer.listener.rules;
        if rules.require_request_header
            && parts.headers.get("x-vault-request").is_none_or(|v| v != "true")
        {
            return vault::failure(&Error::bad_request(
                "missing required 'X-Vault-Request' header",
            ));
        }
        let mut head = match vault::parse_head(&parts, kernel_peer(peer)) {
            Ok(head) => head,
            Err(e) => return vault::failure(&e),
        };
        // The place in the budget is held until the answer: the body lives as long.
        let mut _held = HeldBody::default();
        if !body.is_empty() {
            let small = body.declared_bytes().is_some_and(|n| n <= SMALL_BODY_BYTES);
            let standing =
                if small || self.knows(&head).await { Standing::Known } else { Standing::Stranger };
            match body.read(standing).await {
                Ok(held) => {
                    head.call.body = held.bytes().clone();
                    _held = held;
                }
                Err(e) => return vault::failure(&e.into()),
            }
        }
        let head_only = head.head_only;
        let mut response = vault::render(&handle(&self.node, head.call).await);
        if head_only {
            *response.body_mut() = Bytes::new();
        }
        response
    }

    /// Does the request carry a token that is good now?
    async fn knows(&self, head: &vault::Head) -> bool {
        let (Some(token), Ok(services)) = (&head.call.token, self.node.active()) else {
            return false;
        };
        let now = self.node.clock.now();
        matches!(services.tokens.check(token, now).await, Ok(Some(_)))
    }
}

impl Service for Doors {
    async fn call(&self, request: Request<RequestBody>, peer: Arc<Peer>) -> Response<ReplyBody> {
        self.answer(request, &peer).await.map(ReplyBody::from)
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
