//! `listener "tcp"` and `listener "unix"`: all documented keys of Vault and OpenBao.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;

use strongroom_base::json::JsonLimits;

use super::stanza::Stanza;
use crate::listen::{
    Bind, CertificateHeader, CorsRules, Deadlines, Decoder, DoorRules, Forwarded, ListenerOptions,
    ProxyPolicy, ResponseHeaders,
    tls::{ClientCertificates, TlsSource, TlsVersion, suite_names},
};

pub(super) fn read_all(top: &Stanza<'_>) -> Vec<ListenerOptions> {
    let mut found = Vec::new();
    for (labels, stanza) in top.blocks("listener", 1) {
        let kind = labels.into_iter().next().or_else(|| stanza.text("type")).unwrap_or_default();
        stanza.accept(&["type", "purpose", "cluster_address", "agent_api", "proxy_api"]);
        found.extend(match kind.to_ascii_lowercase().as_str() {
            "tcp" => read_tcp(&stanza),
            "unix" => read_unix(&stanza),
            _ => {
                stanza.error("a listener is tcp or unix");
                continue;
            }
        });
        stanza.finish();
    }
    found
}

/// A listener of the network, as a stanza says it.
pub(super) fn read_tcp(stanza: &Stanza<'_>) -> Option<ListenerOptions> {
    let address = stanza.text("address").unwrap_or_else(|| "127.0.0.1:8200".to_owned());
    stanza.accept(&["socket_mode", "socket_user", "socket_group"]);
    let bind = tcp_address(stanza, &address);
    let options = ListenerOptions { tls: read_tls(stanza), ..ListenerOptions::plain(&address) };
    let options = read_common(stanza, options);
    Some(ListenerOptions { bind: Bind::Tcp(bind?), ..options })
}

/// `:8200` means every address, as in Go.
fn tcp_address(stanza: &Stanza<'_>, address: &str) -> Option<String> {
    if address.contains("{{") {
        stanza.error_of("address", "must be an address; templates are not supported");
        return None;
    }
    let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(_))) {
        stanza.error_of("address", "must be HOST:PORT");
        return None;
    }
    Some(match address.strip_prefix(':') {
        Some(port) => format!("[::]:{port}"),
        None => address.to_owned(),
    })
}

fn read_unix(stanza: &Stanza<'_>) -> Option<ListenerOptions> {
    let Some(path) = stanza.text("address") else {
        stanza.error("`address` (the socket's path) is missing");
        return None;
    };
    let mode = stanza.text("socket_mode");
    let bits = mode.as_ref().map(|text| u32::from_str_radix(text, 8));
    let mode = match bits {
        Some(Ok(bits)) if bits <= 0o777 => Some(bits),
        None => None,
        Some(_) => {
            stanza.error_of("socket_mode", "must be octal, like \"0660\"");
            None
        }
    };
    let bind = Bind::Unix {
        path: path.clone().into(),
        mode,
        user: stanza.text("socket_user"),
        group: stanza.text("socket_group"),
    };
    // TLS on a unix socket is possible in Vault too; there its default is off.
    let tls = if stanza.has("tls_cert_file") || stanza.flag("tls_disable") == Some(false) {
        read_tls(stanza)
    } else {
        accept_tls_keys(stanza);
        None
    };
    let options = ListenerOptions { bind, tls, ..ListenerOptions::unix(path) };
    Some(read_common(stanza, options))
}

fn read_common(stanza: &Stanza<'_>, options: ListenerOptions) -> ListenerOptions {
    let body_bytes_max = match stanza.count("max_request_size").map(usize::try_from) {
        // As in Vault: 0 is the default.
        None | Some(Ok(0)) => options.body_bytes_max,
        Some(Ok(bytes)) => bytes,
        Some(Err(_)) => usize::MAX,
    };
    ListenerOptions {
        proxy: read_proxy(stanza),
        forwarded: read_forwarded(stanza),
        deadlines: read_deadlines(stanza),
        body_bytes_max,
        response_headers: read_response_headers(stanza, options.tls.is_some()),
        rules: read_rules(stanza),
        ..options
    }
}

/// Of the timeouts 0 means Go's "none"; ours is then the default, since nothing here waits for
/// ever.
fn read_deadlines(stanza: &Stanza<'_>) -> Deadlines {
    let default = Deadlines::default();
    let read = |key: &'static str, default: Duration| {
        stanza.seconds(key).filter(|s| *s > 0).map_or(default, Duration::from_secs)
    };
    Deadlines {
        handshake: default.handshake,
        head: read("http_read_header_timeout", default.head),
        body: read("http_read_timeout", default.body),
        idle: read("http_idle_timeout", default.idle),
        write: read("http_write_timeout", default.write),
    }
}

fn read_rules(stanza: &Stanza<'_>) -> DoorRules {
    let mut rules = DoorRules {
        disable_unauthed_rekey: stanza.flag("disable_unauthed_rekey_endpoints").unwrap_or(false),
        disable_unauthed_generate_root: stanza
            .flag("disable_unauthed_generate_root_endpoints")
            .unwrap_or(false),
        require_request_header: stanza.flag("require_request_header").unwrap_or(false),
        redact_addresses: stanza.flag("redact_addresses").unwrap_or(false),
        redact_cluster_name: stanza.flag("redact_cluster_name").unwrap_or(false),
        redact_version: stanza.flag("redact_version").unwrap_or(false),
        max_request_duration: stanza
            .seconds("max_request_duration")
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs),
        json: read_json_limits(stanza),
        token_bytes_max: count(stanza, "max_token_header_size"),
        cors: read_cors(stanza),
        ..DoorRules::default()
    };
    // There is no replication to tell of.
    stanza.accept(&["disable_replication_status_endpoints"]);
    if stanza.has("chroot_namespace") {
        stanza.error_of("chroot_namespace", "is not built in yet");
    }
    if let Some(inner) = stanza.block("telemetry") {
        rules.unauthenticated_metrics_access =
            inner.flag("unauthenticated_metrics_access").unwrap_or(false);
        rules.disallow_metrics = inner.flag("disallow_metrics").unwrap_or(false);
        rules.metrics_only = inner.flag("metrics_only").unwrap_or(false);
        inner.accept(&["metrics_path"]);
        if rules.disallow_metrics && (rules.metrics_only || rules.unauthenticated_metrics_access) {
            inner.error_of("disallow_metrics", "contradicts the other settings");
        }
        inner.finish();
    }
    if let Some(inner) = stanza.block("profiling") {
        rules.unauthenticated_pprof_access =
            inner.flag("unauthenticated_pprof_access").unwrap_or(false);
        inner.finish();
    }
    if let Some(inner) = stanza.block("inflight_requests_logging") {
        rules.unauthenticated_in_flight_access =
            inner.flag("unauthenticated_in_flight_requests_access").unwrap_or(false);
        inner.finish();
    }
    let role = stanza.choice("role", &[("default", false), ("metrics_only", true)]);
    rules.metrics_only |= role.unwrap_or(false);
    rules
}

/// Limits narrow what nobody may pass; 0 and more than that are the default.
fn read_json_limits(stanza: &Stanza<'_>) -> JsonLimits {
    let mut limits = JsonLimits::default();
    for (limit, key) in [
        (&mut limits.memory, "max_request_json_memory"),
        (&mut limits.strings, "max_request_json_strings"),
        (&mut limits.depth, "max_json_depth"),
        (&mut limits.string_bytes, "max_json_string_value_length"),
        (&mut limits.members, "max_json_object_entry_count"),
        (&mut limits.elements, "max_json_array_element_count"),
    ] {
        *limit = (*limit).min(count(stanza, key).unwrap_or(usize::MAX));
    }
    limits
}

fn count(stanza: &Stanza<'_>, key: &'static str) -> Option<usize> {
    stanza.count(key).filter(|n| *n > 0).map(|n| usize::try_from(n).unwrap_or(usize::MAX))
}

fn read_cors(stanza: &Stanza<'_>) -> Option<CorsRules> {
    let enabled = stanza.flag("cors_enabled").unwrap_or(false);
    let rules = CorsRules {
        allowed_origins: stanza.list("cors_allowed_origins").unwrap_or_default(),
        allowed_headers: stanza.list("cors_allowed_headers").unwrap_or_default(),
        allow_credentials: stanza.flag("cors_allow_credentials").unwrap_or(false),
    };
    if rules.allowed_origins.len() > 1 && rules.allowed_origins.iter().any(|o| o == "*") {
        stanza.error_of("cors_allowed_origins", "must hold either * alone or no *");
    }
    enabled.then_some(rules)
}

/// An address, a network, or (as in Vault's own dev configuration) an address with a port.
fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| IpNet::from(address.ip())))
}

fn networks(stanza: &Stanza<'_>, key: &'static str) -> Option<Vec<IpNet>> {
    stanza.parsed(key, "addresses or networks (10.0.0.0/8)", network)
}

fn read_proxy(stanza: &Stanza<'_>) -> ProxyPolicy {
    let key = "proxy_protocol_authorized_addrs";
    let nets = networks(stanza, key).unwrap_or_default();
    let behaviour = stanza.choice(
        "proxy_protocol_behavior",
        &[("use_always", 0), ("allow_authorized", 1), ("deny_unauthorized", 2)],
    );
    match behaviour {
        None => ProxyPolicy::Off,
        Some(0) => ProxyPolicy::UseAlways,
        Some(_) if nets.is_empty() => {
            stanza.error_of("proxy_protocol_behavior", format!("needs `{key}`"));
            ProxyPolicy::Off
        }
        Some(1) => ProxyPolicy::AllowAuthorized(nets),
        Some(_) => ProxyPolicy::DenyUnauthorized(nets),
    }
}

fn read_forwarded(stanza: &Stanza<'_>) -> Option<Forwarded> {
    let authorized = networks(stanza, "x_forwarded_for_authorized_addrs").unwrap_or_default();
    let hop_skips = count(stanza, "x_forwarded_for_hop_skips").unwrap_or(0);
    let reject_not_present = stanza.flag("x_forwarded_for_reject_not_present").unwrap_or(true);
    let reject_not_authorized =
        stanza.flag("x_forwarded_for_reject_not_authorized").unwrap_or(true);
    let certificate = read_certificate_header(stanza);
    for key in [
        "x_forwarded_for_client_cert_keep_not_forwarded",
        "x_forwarded_for_client_cert_keep_unauthorized",
    ] {
        if stanza.flag(key) == Some(true) {
            stanza.error_of(key, "is not supported: anybody could claim any certificate");
        }
    }
    if authorized.is_empty() {
        if certificate.is_some() {
            stanza.error_of(
                "x_forwarded_for_client_cert_header",
                "needs `x_forwarded_for_authorized_addrs`: anybody could claim any certificate",
            );
        }
        return None;
    }
    Some(Forwarded {
        authorized,
        hop_skips,
        reject_not_present,
        reject_not_authorized,
        certificate,
    })
}

fn read_certificate_header(stanza: &Stanza<'_>) -> Option<CertificateHeader> {
    let decoders = stanza
        .parsed("x_forwarded_for_client_cert_decoders", "RFC9440, URL or PEM", |text| match text {
            "RFC9440" => Some(Decoder::Rfc9440),
            "URL" => Some(Decoder::Url),
            "PEM" => Some(Decoder::Pem),
            _ => None,
        })
        .unwrap_or_default();
    let key = "x_forwarded_for_client_cert_header";
    match HeaderName::try_from(stanza.text(key)?) {
        Ok(name) => Some(CertificateHeader { name, decoders }),
        Err(_) => {
            stanza.error_of(key, "is no header's name");
            None
        }
    }
}

fn read_response_headers(stanza: &Stanza<'_>, tls: bool) -> ResponseHeaders {
    let mut headers = ResponseHeaders::default();
    if tls {
        let name = HeaderName::from_static("strict-transport-security");
        let value = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        headers.rules.insert("default".to_owned(), vec![(name, value)]);
    }
    for (labels, rule) in stanza.blocks("custom_response_headers", 1) {
        let which = labels.into_iter().next().unwrap_or_default();
        let class = ["default", "1xx", "2xx", "3xx", "4xx", "5xx"].contains(&which.as_str());
        let status = which.parse::<u16>().is_ok_and(|code| (100..600).contains(&code));
        if !class && !status {
            rule.error("is no status: default, 1xx to 5xx, or a number");
            continue;
        }
        for (name, values, place) in rule.headers() {
            let joined = values.join("; ");
            match (HeaderName::try_from(&name), HeaderValue::try_from(joined)) {
                (Ok(name), Ok(value)) => {
                    let rules = headers.rules.entry(which.clone()).or_default();
                    rules.retain(|(known, _)| *known != name);
                    rules.push((name, value));
                }
                _ => rule.error_in(place, format!("`{name}` is no valid header")),
            }
        }
    }
    headers
}

const TLS_KEYS: &[&str] = &[
    "tls_cert_file",
    "tls_key_file",
    "tls_min_version",
    "tls_max_version",
    "tls_cipher_suites",
    "tls_prefer_server_cipher_suites",
    "tls_require_and_verify_client_cert",
    "tls_client_ca_file",
    "tls_disable_client_certs",
];

const ACME_KEYS: &[&str] = &[
    "tls_acme_cache_path",
    "tls_acme_ca_directory",
    "tls_acme_test_ca_directory",
    "tls_acme_ca_root",
    "tls_acme_eab_key_id",
    "tls_acme_eab_mac_key",
    "tls_acme_key_type",
    "tls_acme_email",
    "tls_acme_domains",
    "tls_acme_disable_http_challenge",
    "tls_acme_disable_alpn_challenge",
];

fn accept_tls_keys(stanza: &Stanza<'_>) {
    stanza.accept(&["tls_disable"]);
    stanza.accept(TLS_KEYS);
    stanza.accept(ACME_KEYS);
}

fn read_tls(stanza: &Stanza<'_>) -> Option<TlsSource> {
    if stanza.flag("tls_disable").unwrap_or(false) {
        let unused: Vec<&&str> = TLS_KEYS.iter().filter(|key| stanza.has(key)).collect();
        if !unused.is_empty() {
            stanza.warn("`tls_disable` leaves the other tls_ settings without effect");
        }
        accept_tls_keys(stanza);
        return None;
    }
    for key in ACME_KEYS {
        if stanza.has(key) {
            stanza.error_of(key, "is not built in yet");
        }
    }
    stanza.accept(&["tls_prefer_server_cipher_suites"]);
    let versions = [
        ("tls10", TlsVersion::Tls12),
        ("tls11", TlsVersion::Tls12),
        ("tls12", TlsVersion::Tls12),
        ("tls13", TlsVersion::Tls13),
    ];
    let version_min = stanza.choice("tls_min_version", &versions).unwrap_or(TlsVersion::Tls12);
    let version_max = stanza.choice("tls_max_version", &versions).unwrap_or(TlsVersion::Tls13);
    if version_min > version_max {
        stanza.error_of("tls_max_version", "is below `tls_min_version`");
    }
    let files = (stanza.text("tls_cert_file"), stanza.text("tls_key_file"));
    let clients = read_clients(stanza);
    let suites = read_suites(stanza);
    let (Some(certificate), Some(key)) = files else {
        stanza.error("needs `tls_cert_file` and `tls_key_file`, or `tls_disable = true`");
        return None;
    };
    let source = TlsSource::new(certificate, key);
    Some(TlsSource { version_min, version_max, suites, clients, ..source })
}

fn read_clients(stanza: &Stanza<'_>) -> ClientCertificates {
    let require = stanza.flag("tls_require_and_verify_client_cert").unwrap_or(false);
    let never = stanza.flag("tls_disable_client_certs").unwrap_or(false);
    let authority = stanza.text("tls_client_ca_file");
    match (require, never, authority) {
        (true, true, _) => {
            stanza.error_of(
                "tls_disable_client_certs",
                "and `tls_require_and_verify_client_cert` are mutually exclusive",
            );
            ClientCertificates::Never
        }
        (true, _, Some(authority)) => ClientCertificates::Require(authority.into()),
        (true, _, None) => {
            stanza.error_of("tls_require_and_verify_client_cert", "needs `tls_client_ca_file`");
            ClientCertificates::Never
        }
        (_, true, _) => ClientCertificates::Never,
        _ => ClientCertificates::Ask,
    }
}

/// Suites that Go knows and that are not offered here: no forward secrecy, or CBC.
fn is_weak_suite(name: &str) -> bool {
    name.starts_with("TLS_RSA_") || name.contains("_CBC_") || name.contains("_RC4_")
}

fn read_suites(stanza: &Stanza<'_>) -> Option<Vec<String>> {
    let key = "tls_cipher_suites";
    let names = stanza.list(key)?;
    let offered: Vec<String> = suite_names().collect();
    // The suites of TLS 1.3 are always on, so naming one of them asks for nothing.
    let modern = |name: &str| name.starts_with("TLS_AES_") || name.starts_with("TLS_CHACHA20_");
    // Go's older names of these two leave the hash out.
    let full = |name: &String| match name.as_str() {
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305" | "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305" => {
            format!("{name}_SHA256")
        }
        _ => name.clone(),
    };
    let names: Vec<String> = names.iter().map(full).collect();
    if names.iter().any(|name| !offered.contains(name) && !modern(name) && !is_weak_suite(name)) {
        stanza.error_of(key, "holds a name that is no cipher suite");
    }
    if names.iter().any(|name| is_weak_suite(name)) {
        stanza.warn_of(key, "holds suites without forward secrecy or with CBC; they stay off");
    }
    let chosen: Vec<String> = names.into_iter().filter(|name| offered.contains(name)).collect();
    if chosen.is_empty() {
        stanza.warn_of(key, "leaves no suite for TLS 1.2; clients need TLS 1.3");
    }
    Some(chosen)
}
