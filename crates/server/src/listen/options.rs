//! What a listener is told: the typed form of a `listener` stanza, and the bounds over all of
//! them. The configuration builds these; nothing here reads a file.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use strongroom_base::json::JsonLimits;
use strongroom_base::limits::{BODY_BYTES_MAX, HEADER_BYTES_MAX};

use super::{forwarded::Forwarded, proxy::ProxyPolicy, tls::TlsSource};

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// `host:port`; a name is resolved once, when binding.
    Tcp(String),
    /// A unix socket.
    Unix {
        /// Its path. A socket left there by an earlier run is replaced, any other file is not.
        path: PathBuf,
        /// Permission bits (`socket_mode`).
        mode: Option<u32>,
        /// Owner, by name or number (`socket_user`).
        user: Option<String>,
        /// Group, by name or number (`socket_group`).
        group: Option<String>,
    },
}

/// How long each phase of a connection may last. Vault's defaults, where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// PROXY header and TLS handshake together.
    pub handshake: Duration,
    /// From the first byte (or the opening) to the end of a head (`http_read_header_timeout`).
    pub head: Duration,
    /// From the end of the head to the end of the body (`http_read_timeout`).
    pub body: Duration,
    /// Between two requests (`http_idle_timeout`).
    pub idle: Duration,
    /// Without any progress of a write (`http_write_timeout`; Vault's default is none, ours is
    /// half a minute, because a client that does not read must not hold its answer for ever).
    pub write: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(300),
            write: Duration::from_secs(30),
        }
    }
}

/// Bounds over all listeners together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections.
    pub connections_max: usize,
    /// Open connections of one address (IPv6: one /64).
    pub per_peer_max: usize,
    /// Bytes of one request's head.
    pub head_bytes_max: usize,
    /// Requests at once on one HTTP/2 connection.
    pub streams_max: u32,
    /// Flow-control window of one HTTP/2 stream.
    pub window_bytes: u32,
    /// Bytes of bodies in memory that came without a known credential.
    pub stranger_bytes_max: usize,
    /// Bytes of bodies in memory of known callers.
    pub known_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            per_peer_max: 2048,
            head_bytes_max: HEADER_BYTES_MAX,
            streams_max: 32,
            window_bytes: 64 * 1024,
            stranger_bytes_max: 64 * 1024 * 1024,
            known_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// Which protocol a listener serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// Vault's API, and AWS's where that door has no listener of its own.
    #[default]
    Vault,
    /// AWS's APIs and nothing else.
    Aws,
}

/// Settings of a listener that the doors obey; the accept loop only carries them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoorRules {
    /// What is served.
    pub door: Door,
    /// `telemetry { unauthenticated_metrics_access }`.
    pub unauthenticated_metrics_access: bool,
    /// `telemetry { disallow_metrics }`.
    pub disallow_metrics: bool,
    /// `telemetry { metrics_only }`: nothing but the metrics is served here.
    pub metrics_only: bool,
    /// `inflight_requests_logging { unauthenticated_in_flight_requests_access }`.
    pub unauthenticated_in_flight_access: bool,
    /// `profiling { unauthenticated_pprof_access }`.
    pub unauthenticated_pprof_access: bool,
    /// The share-authorised rekey endpoints are not served (threats CVE-2026-5807,
    /// CVE-2025-52894). Vault serves them unless told otherwise.
    pub disable_unauthed_rekey: bool,
    /// The same for generate-root.
    pub disable_unauthed_generate_root: bool,
    /// Requests without `X-Vault-Request: true` are refused (server-side request forgery).
    pub require_request_header: bool,
    /// Longest time for one request, if the listener sets one.
    pub max_request_duration: Option<Duration>,
    /// What a JSON body may hold.
    pub json: JsonLimits,
    /// Bytes of a token in its header, if the listener narrows it.
    pub token_bytes_max: Option<usize>,
    /// Leave addresses out of unauthenticated answers.
    pub redact_addresses: bool,
    /// Leave the cluster's name out of unauthenticated answers.
    pub redact_cluster_name: bool,
    /// Leave the version out of unauthenticated answers.
    pub redact_version: bool,
    /// CORS of this listener, if it sets one.
    pub cors: Option<CorsRules>,
}

/// A listener's own CORS settings.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CorsRules {
    /// Origins; a single `*` is all.
    pub allowed_origins: Vec<String>,
    /// Headers beyond the standard ones.
    pub allowed_headers: Vec<String>,
    /// May browsers send credentials?
    pub allow_credentials: bool,
}

/// `custom_response_headers`: for all answers, for a class (`4xx`), for one status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHeaders {
    /// By `default`, `1xx`…`5xx` or a status; each with its headers.
    pub rules: BTreeMap<String, Vec<(HeaderName, HeaderValue)>>,
}

impl ResponseHeaders {
    /// Adds the headers for `status`, the more specific rule winning.
    pub fn apply(&self, status: http::StatusCode, headers: &mut HeaderMap) {
        if self.rules.is_empty() {
            return;
        }
        let code = status.as_str();
        let class = format!("{}xx", code.get(..1).unwrap_or_default());
        for rule in ["default", &class, code] {
            for (name, value) in self.rules.get(rule).into_iter().flatten() {
                headers.insert(name.clone(), value.clone());
            }
        }
    }
}

/// One listener.
#[derive(Clone, Debug)]
pub struct ListenerOptions {
    /// For logs and errors: `tcp 127.0.0.1:8200`.
    pub name: String,
    /// Where.
    pub bind: Bind,
    /// Certificates; none = plain text (`tls_disable`).
    pub tls: Option<TlsSource>,
    /// The PROXY protocol.
    pub proxy: ProxyPolicy,
    /// `X-Forwarded-For`, where proxies are trusted.
    pub forwarded: Option<Forwarded>,
    /// Times.
    pub deadlines: Deadlines,
    /// Bytes of one request's body.
    pub body_bytes_max: usize,
    /// Headers for every answer.
    pub response_headers: ResponseHeaders,
    /// What the doors obey.
    pub rules: DoorRules,
}

impl ListenerOptions {
    /// A listener on `address` (`host:port`) in plain text, with all defaults.
    pub fn plain(address: &str) -> Self {
        Self {
            name: format!("tcp {address}"),
            bind: Bind::Tcp(address.to_owned()),
            tls: None,
            proxy: ProxyPolicy::Off,
            forwarded: None,
            deadlines: Deadlines::default(),
            body_bytes_max: BODY_BYTES_MAX,
            response_headers: ResponseHeaders::default(),
            rules: DoorRules::default(),
        }
    }

    /// A listener on a unix socket with all defaults.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            name: format!("unix {}", path.display()),
            bind: Bind::Unix { path, mode: None, user: None, group: None },
            ..Self::plain("")
        }
    }
}
