//! Audit lines, field by field as Vault's (docs page "Audit devices"). Everything secret is HMACed
//! whatever its type (threats: CVE-2025-62513, CVE-2025-62705, CVE-2026-46358, CVE-2024-8365):
//! every string of a request's or answer's data, unless the mount lets the field through.

use std::io::Write;

use strongroom_base::{Json, JsonMap};
use strongroom_crypto::hmac::HmacKey;

use super::{Entry, Outcome};
use crate::plug::{AuthBlock, Class, Reply, Verb, WrapInfo};
use crate::tokens::Token;

/// Lists longer than this stand in the log as their length only.
pub const LIST_SHOWN_MAX: usize = 256;

/// The HMAC of a value as the log shows it.
pub fn hmac(key: &HmacKey, value: &[u8]) -> String {
    let mut out = Vec::with_capacity(76);
    put_hmac(&mut out, key, value);
    String::from_utf8(out).unwrap_or_default()
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Bytes as lower-case hex.
pub(super) fn put_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

fn put_hmac(out: &mut Vec<u8>, key: &HmacKey, value: &[u8]) {
    out.extend_from_slice(b"hmac-sha256:");
    put_hex(out, &key.mac(&[value]));
}

/// Writes JSON into a buffer.
pub(super) struct Writer<'a> {
    pub out: Vec<u8>,
    key: &'a HmacKey,
}

impl<'a> Writer<'a> {
    pub(super) fn new(key: &'a HmacKey) -> Self {
        Self { out: Vec::with_capacity(2_048), key }
    }

    pub(super) fn raw(&mut self, text: &str) -> &mut Self {
        self.out.extend_from_slice(text.as_bytes());
        self
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        // Writing into memory does not fail.
        let _ = serde_json::to_writer(&mut self.out, text);
        self
    }

    /// `,"name":` or `"name":` after an opening brace.
    pub(super) fn name(&mut self, name: &str) -> &mut Self {
        if !matches!(self.out.last(), Some(b'{') | None) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.raw(name).raw("\":")
    }

    /// A text member, left out where it is empty.
    pub(super) fn member(&mut self, name: &str, text: &str) -> &mut Self {
        if !text.is_empty() {
            self.name(name).text(text);
        }
        self
    }

    /// A member whose text is HMACed, left out where it is empty.
    fn secret(&mut self, name: &str, text: &str) -> &mut Self {
        if !text.is_empty() {
            self.name(name).out.push(b'"');
            put_hmac(&mut self.out, self.key, text.as_bytes());
            self.out.push(b'"');
        }
        self
    }

    fn number(&mut self, name: &str, number: i64) -> &mut Self {
        self.name(name);
        let _ = write!(self.out, "{number}");
        self
    }

    pub(super) fn flag(&mut self, name: &str, flag: bool) -> &mut Self {
        self.name(name).raw(if flag { "true" } else { "false" })
    }

    fn texts<'t>(&mut self, name: &str, texts: impl Iterator<Item = &'t String>) -> &mut Self {
        self.name(name).raw("[");
        for (i, text) in texts.enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.text(text);
        }
        self.raw("]")
    }

    /// A list of HMACs.
    pub(super) fn hashed_texts(&mut self, texts: &[String]) -> &mut Self {
        self.raw("[");
        for (i, text) in texts.iter().enumerate() {
            self.raw(if i > 0 { ",\"" } else { "\"" });
            put_hmac(&mut self.out, self.key, text.as_bytes());
            self.raw("\"");
        }
        self.raw("]")
    }

    /// A value with every string HMACed. Numbers and booleans stay: they carry no names, and Vault
    /// shows them.
    fn hashed(&mut self, value: &Json) {
        match value {
            Json::String(text) => {
                self.out.push(b'"');
                put_hmac(&mut self.out, self.key, text.as_bytes());
                self.out.push(b'"');
            }
            Json::Array(items) if items.len() > LIST_SHOWN_MAX => {
                let _ = write!(self.out, "{}", items.len());
            }
            Json::Array(items) => {
                self.out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        self.out.push(b',');
                    }
                    self.hashed(item);
                }
                self.out.push(b']');
            }
            Json::Object(map) => self.hashed_map(map, &[]),
            plain => {
                let _ = serde_json::to_writer(&mut self.out, plain);
            }
        }
    }

    fn hashed_map(&mut self, map: &JsonMap, shown: &[String]) {
        self.out.push(b'{');
        for (i, (name, value)) in map.iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.text(name).raw(":");
            if shown.iter().any(|s| s == name) {
                let _ = serde_json::to_writer(&mut self.out, value);
            } else {
                self.hashed(value);
            }
        }
        self.out.push(b'}');
    }
}

fn operation(verb: Verb) -> &'static str {
    match verb {
        Verb::Read => "read",
        Verb::Write => "update",
        Verb::List => "list",
        Verb::Delete => "delete",
        Verb::Patch => "patch",
        Verb::Scan => "scan",
    }
}

/// Both lines of a request, without their closing brace: index and chain follow.
pub(super) fn lines(entry: &Entry<'_>, key: &HmacKey, accessor: &str, now: &str) -> [Vec<u8>; 2] {
    let mut common = Writer::new(key);
    auth(&mut common, entry, accessor);
    request(&mut common, entry, accessor);
    let mut first = Writer::new(key);
    first.raw("{\"time\":").text(&entry.started.to_string()).raw(",\"type\":\"request\"");
    first.out.extend_from_slice(&common.out);
    let mut second = Writer::new(key);
    second.raw("{\"time\":").text(now).raw(",\"type\":\"response\"");
    second.out.extend_from_slice(&common.out);
    match &entry.outcome {
        Outcome::Reply(reply) => response(&mut second, entry, reply),
        Outcome::Refused(error) => {
            let text = if error.public.is_empty() {
                format!("{:?}", error.kind)
            } else {
                error.public.join("; ")
            };
            second.name("error").text(&text);
            if let Some(data) = &error.data {
                second.name("response").raw("{\"data\":").hashed(data);
                second.raw("}");
            }
        }
    }
    [first.out, second.out]
}

fn auth(w: &mut Writer<'_>, entry: &Entry<'_>, accessor: &str) {
    let Some(token) = entry.token else {
        // An open path, or a caller who was not found: the token that came is in the request.
        w.raw(",\"auth\":{");
        let allowed = matches!(entry.outcome, Outcome::Reply(_));
        w.name("policy_results").raw("{").flag("allowed", allowed).raw("}}");
        return;
    };
    w.raw(",\"auth\":{");
    if let Some(text) = entry.token_text {
        w.secret("client_token", text.expose_secret());
    }
    w.secret("accessor", accessor);
    w.member("display_name", &token.display_name);
    w.texts("policies", token.policies.iter().chain(entry.identity_policies));
    w.texts("token_policies", token.policies.iter());
    if !entry.identity_policies.is_empty() {
        w.texts("identity_policies", entry.identity_policies.iter());
    }
    let allowed = entry.trace.is_none();
    w.name("policy_results").raw("{").flag("allowed", allowed);
    if !entry.granting.is_empty() {
        w.name("granting_policies").raw("[");
        for (i, name) in entry.granting.iter().enumerate() {
            w.raw(if i > 0 { ",{" } else { "{" });
            w.member("name", name).member("namespace_id", &entry.namespace.id);
            w.member("type", "acl").raw("}");
        }
        w.raw("]");
    }
    w.raw("}");
    token_facts(w, token);
    w.raw("}");
}

fn token_facts(w: &mut Writer<'_>, token: &Token) {
    if !token.metadata.is_empty() {
        w.name("metadata");
        let _ = serde_json::to_writer(&mut w.out, &token.metadata);
    }
    w.member("entity_id", &token.entity_id);
    if token.num_uses > 0 {
        w.number("remaining_uses", token.num_uses - 1);
    }
    w.member("token_type", token.kind());
    if token.ttl > 0 {
        w.number("token_ttl", token.ttl);
    }
    w.member("token_issue_time", &token.created.to_string());
}

fn request(w: &mut Writer<'_>, entry: &Entry<'_>, accessor: &str) {
    w.name("request").raw("{");
    w.member("id", entry.id);
    let client = entry.token.map_or("", |t| t.entity_id.as_str());
    w.member("client_id", client);
    w.member("operation", operation(entry.verb));
    mount(w, entry);
    if let Some(text) = entry.token_text {
        w.secret("client_token", text.expose_secret());
    }
    w.secret("client_token_accessor", accessor);
    w.name("namespace").raw("{").member("id", &entry.namespace.id);
    w.member("path", &entry.namespace.path).raw("}");
    w.member("path", entry.path);
    let fields = &entry.fields.map.0;
    if !fields.is_empty() {
        let shown = entry.mount.map_or(&[][..], |m| &m.config.audit_non_hmac_request_keys);
        w.name("data").hashed_map(fields, shown);
    } else if !entry.fields.raw_body.expose_secret().is_empty() {
        w.name("data").raw("{\"raw_body\":\"");
        put_hmac(&mut w.out, w.key, entry.fields.raw_body.expose_secret());
        w.raw("\"}");
    }
    if let Some(ip) = entry.peer.ip {
        w.member("remote_address", &ip.to_string());
        w.number("remote_port", i64::from(entry.peer.port));
    }
    if let Some(ttl) = entry.wrap_ttl {
        w.number("wrap_ttl", ttl);
    }
    if !entry.shown_headers.is_empty() {
        w.name("headers").raw("{");
        for (name, hashed) in entry.shown_headers {
            let Some((_, value)) = entry.headers.iter().find(|(n, _)| n == name) else { continue };
            w.name(name).raw("[");
            if *hashed {
                w.out.push(b'"');
                put_hmac(&mut w.out, w.key, value.as_bytes());
                w.out.push(b'"');
            } else {
                w.text(value);
            }
            w.raw("]");
        }
        w.raw("}");
    }
    w.raw("}");
}

fn mount(w: &mut Writer<'_>, entry: &Entry<'_>) {
    let Some(mount) = entry.mount else { return };
    w.member("mount_point", &mount.path).member("mount_type", &mount.kind);
    w.member("mount_accessor", &mount.accessor);
    let class = if mount.class == Class::Auth { "auth" } else { "secret" };
    w.member("mount_class", class);
    if mount.local {
        w.flag("mount_is_local", true);
    }
}

fn response(w: &mut Writer<'_>, entry: &Entry<'_>, reply: &Reply<Json>) {
    w.name("response").raw("{");
    mount(w, entry);
    match &reply.data {
        Some(Json::Object(map)) => {
            let shown = entry.mount.map_or(&[][..], |m| &m.config.audit_non_hmac_response_keys);
            w.name("data").hashed_map(map, shown);
        }
        Some(other) => w.name("data").hashed(other),
        None => {}
    }
    if let Some(auth) = &reply.auth {
        response_auth(w, auth);
    }
    if let Some(info) = &reply.wrap_info {
        wrap_info(w, info);
    }
    if !reply.warnings.is_empty() {
        w.texts("warnings", reply.warnings.iter());
    }
    w.raw("}");
}

fn response_auth(w: &mut Writer<'_>, auth: &AuthBlock) {
    w.name("auth").raw("{");
    w.secret("client_token", auth.client_token.expose_secret());
    w.secret("accessor", &auth.accessor);
    w.texts("policies", auth.policies.iter());
    w.texts("token_policies", auth.token_policies.iter());
    if !auth.identity_policies.is_empty() {
        w.texts("identity_policies", auth.identity_policies.iter());
    }
    if let Some(metadata) = &auth.metadata {
        w.name("metadata");
        let _ = serde_json::to_writer(&mut w.out, metadata);
    }
    w.member("entity_id", &auth.entity_id).member("token_type", auth.token_type);
    w.number("token_ttl", auth.lease_duration).raw("}");
}

fn wrap_info(w: &mut Writer<'_>, info: &WrapInfo) {
    w.name("wrap_info").raw("{").number("ttl", info.ttl);
    w.secret("token", info.token.expose_secret()).secret("accessor", &info.accessor);
    w.member("creation_time", &info.creation_time);
    w.member("creation_path", &info.creation_path);
    w.secret("wrapped_accessor", &info.wrapped_accessor).raw("}");
}
