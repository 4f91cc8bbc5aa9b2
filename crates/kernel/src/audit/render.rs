//! Audit lines, field by field as Vault's (docs page "Audit devices"). Everything secret is HMACed
//! whatever its type (threats: CVE-2025-62513, CVE-2025-62705, CVE-2026-46358, CVE-2024-8365):
//! every string of a request's or answer's data, unless the mount lets the field through.

use std::collections::BTreeMap;

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use strongroom_base::json;
use strongroom_base::{Error, ErrorKind, Json, JsonMap, Timestamp};
use strongroom_crypto::digest::Sha256;
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
    for digest in bytes.chunks(32) {
        let mut text = [0_u8; 64];
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(digest) {
            *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        }
        out.extend_from_slice(&text[..2 * digest.len()]);
    }
}

fn put_hmac(out: &mut Vec<u8>, key: &HmacKey, value: &[u8]) {
    put_digest(out, &key.mac(&[value]));
}

fn put_digest(out: &mut Vec<u8>, digest: &[u8; 32]) {
    out.extend_from_slice(b"hmac-sha256:");
    put_hex(out, digest);
}

/// Both lines of a request, without their closing braces: index and chain follow. What both have in
/// common, which is most of the first, is there once: so it is encrypted and stored once, too.
///
/// In this form the outbox keeps them: where the common part begins, where the first line ends and
/// where the second one's beginning does (three numbers of four bytes, big-endian, counted from after
/// them); the first line; the second one's beginning; its end.
pub(super) struct Lines(Vec<u8>);

/// Bytes of the three numbers.
const PLACES_BYTES: usize = 12;
/// Room for the lines of an ordinary request.
const LINES_BYTES: usize = 2_500;

impl Lines {
    /// Takes back what the outbox kept; `None` where it is damaged.
    pub fn read(body: &[u8]) -> Option<Self> {
        let lines = Self(body.to_vec());
        lines.parts().map(|_| ()).map(|()| lines)
    }

    /// Two lines that have nothing in common.
    pub fn apart(first: &[u8], second: &[u8]) -> Self {
        let mut out = vec![0; PLACES_BYTES];
        out.extend_from_slice(first);
        let end = out.len();
        out.extend_from_slice(second);
        let begun = out.len();
        Self(out).placed([end, end, begun])
    }

    /// Notes the places, given as lengths of the buffer when they were reached.
    fn placed(mut self, ends: [usize; 3]) -> Self {
        let (places, _) = self.0.as_chunks_mut::<4>();
        for (place, at) in places.iter_mut().zip(ends) {
            // The fields of a request are bounded far below four gigabytes.
            *place = u32::try_from(at - PLACES_BYTES).unwrap_or(u32::MAX).to_be_bytes();
        }
        self
    }

    /// What the outbox keeps.
    pub fn body(&self) -> &[u8] {
        &self.0
    }

    fn parts(&self) -> Option<(&[u8], [&[u8]; 3])> {
        let (places, text) = self.0.split_at_checked(PLACES_BYTES)?;
        let place = |i: usize| {
            let (numbers, _) = places.as_chunks::<4>();
            numbers.get(i).map(|number| u32::from_be_bytes(*number) as usize)
        };
        let (common, first, begun) = (place(0)?, place(1)?, place(2)?);
        let second = [text.get(first..begun)?, text.get(common..first)?, text.get(begun..)?];
        Some((text.get(..first)?, second))
    }

    /// The first line, and the parts of the second.
    pub fn both(&self) -> (&[u8], [&[u8]; 3]) {
        self.parts().unwrap_or_default()
    }
}

/// A text that is shown by its HMAC, worked out once.
#[derive(Clone, Copy)]
struct Hashed(Option<[u8; 32]>);

impl Hashed {
    /// Of a text that may be "".
    fn of(key: &HmacKey, text: &str) -> Self {
        Self((!text.is_empty()).then(|| key.mac(&[text.as_bytes()])))
    }
}

/// What stands in both lines by its HMAC.
#[derive(Clone, Copy)]
struct Credentials {
    token: Hashed,
    accessor: Hashed,
}

/// Writes JSON into a buffer.
pub(super) struct Writer<'a> {
    pub out: Vec<u8>,
    key: &'a HmacKey,
}

impl<'a> Writer<'a> {
    pub(super) fn new(key: &'a HmacKey) -> Self {
        Self { out: Vec::with_capacity(LINES_BYTES), key }
    }

    pub(super) fn raw(&mut self, text: &str) -> &mut Self {
        self.out.extend_from_slice(text.as_bytes());
        self
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        json::write_text(&mut self.out, text);
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

    /// As [`Writer::secret`], of a text that was hashed before.
    fn hashed_member(&mut self, name: &str, hashed: Hashed) -> &mut Self {
        if let Hashed(Some(digest)) = hashed {
            self.name(name).out.push(b'"');
            put_digest(&mut self.out, &digest);
            self.out.push(b'"');
        }
        self
    }

    fn number(&mut self, name: &str, number: i64) -> &mut Self {
        self.name(name);
        // Writing into memory does not fail.
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
            plain => json::write(&mut self.out, plain),
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
                json::write_tree(&mut self.out, value);
            } else {
                self.hashed(value);
            }
        }
        self.out.push(b'}');
    }
}

fn operation(entry: &Entry<'_>) -> &'static str {
    match entry.verb {
        Verb::Read => "read",
        Verb::Write if entry.creates => "create",
        Verb::Write => "update",
        Verb::List => "list",
        Verb::Delete => "delete",
        Verb::Patch => "patch",
        Verb::Scan => "scan",
    }
}

/// Both lines of a request.
pub(super) fn lines(entry: &Entry<'_>, key: &HmacKey, now: Timestamp) -> Lines {
    let token = entry.token_text.map_or("", |text| text.expose_secret());
    let shown =
        Credentials { token: Hashed::of(key, token), accessor: Hashed::of(key, entry.accessor) };
    let mut w = Writer::new(key);
    w.out.extend_from_slice(&[0; PLACES_BYTES]);
    w.raw("{\"time\":").text(&entry.started.to_string()).raw(",\"type\":\"request\"");
    if let Outcome::Refused(error) = &entry.outcome
        && error.kind == ErrorKind::PermissionDenied
    {
        put_error(&mut w, error);
    }
    let login = login(entry);
    let mut common = w.out.len();
    auth(&mut w, entry, shown);
    if login.is_some() {
        common = w.out.len();
    }
    request(&mut w, entry, shown);
    let first = w.out.len();
    w.raw("{\"time\":").text(&now.to_string()).raw(",\"type\":\"response\"");
    if let Some(login) = login {
        // Whose the request was is known by its answer.
        response_auth(&mut w, login, Some(true));
    }
    let begun = w.out.len();
    outcome(&mut w, entry);
    Lines(w.out).placed([common, first, begun])
}

/// The token that a login gave.
fn login<'a>(entry: &Entry<'a>) -> Option<&'a AuthBlock> {
    match &entry.outcome {
        Outcome::Reply(reply) if entry.token.is_none() => {
            reply.auth.as_deref().filter(|auth| auth.mfa_requirement.is_none())
        }
        _ => None,
    }
}

fn put_error(w: &mut Writer<'_>, error: &Error) {
    match error.public.as_slice() {
        [] => w.name("error").text(&format!("{:?}", error.kind)),
        [text] => w.name("error").text(text),
        texts => w.name("error").text(&texts.join("; ")),
    };
}

fn outcome(w: &mut Writer<'_>, entry: &Entry<'_>) {
    match &entry.outcome {
        Outcome::Reply(reply) => response(w, entry, reply),
        Outcome::Refused(error) => {
            put_error(w, error);
            if let Some(data) = &error.data {
                w.name("response").raw("{\"data\":").hashed(data);
                w.raw("}");
            }
        }
    }
}

fn auth(w: &mut Writer<'_>, entry: &Entry<'_>, shown: Credentials) {
    let Some(token) = entry.token else {
        // An open path, or a caller who was not found: the token that came is in the request.
        w.raw(",\"auth\":{");
        let allowed = matches!(entry.outcome, Outcome::Reply(_));
        w.name("policy_results").raw("{").flag("allowed", allowed).raw("}}");
        return;
    };
    w.raw(",\"auth\":{");
    w.hashed_member("client_token", shown.token).hashed_member("accessor", shown.accessor);
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
            w.member("namespace_path", &entry.namespace.path);
            w.member("type", "acl").raw("}");
        }
        w.raw("]");
    }
    w.raw("}");
    token_facts(w, token);
    w.raw("}");
}

/// What names of metadata begin with whose values are a provider's tokens (the `oauth2_metadata` of a
/// role): they are secrets, and others are not.
const SECRET_METADATA: &str = "oauth2_";

fn put_metadata(w: &mut Writer<'_>, metadata: &BTreeMap<String, String>) {
    w.name("metadata");
    if !metadata.keys().any(|name| name.starts_with(SECRET_METADATA)) {
        let _ = serde_json::to_writer(&mut w.out, metadata);
        return;
    }
    let shown = metadata.iter().map(|(name, value)| {
        if !name.starts_with(SECRET_METADATA) {
            return (name, value.clone());
        }
        let mut digest = Vec::new();
        put_hmac(&mut digest, w.key, value.as_bytes());
        (name, String::from_utf8(digest).unwrap_or_default())
    });
    let shown: BTreeMap<&String, String> = shown.collect();
    let _ = serde_json::to_writer(&mut w.out, &shown);
}

fn token_facts(w: &mut Writer<'_>, token: &Token) {
    if !token.metadata.is_empty() {
        put_metadata(w, &token.metadata);
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

fn request(w: &mut Writer<'_>, entry: &Entry<'_>, shown: Credentials) {
    w.name("request").raw("{");
    w.member("id", entry.id);
    client_id(w, entry);
    w.member("operation", operation(entry));
    mount(w, entry);
    w.hashed_member("client_token", shown.token);
    w.hashed_member("client_token_accessor", shown.accessor);
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

/// The entity, or what stands for one: a digest of the token's policies and namespace, as Vault
/// makes it (sorted policies with 0x7f between them, NUL, the namespace's id).
fn client_id(w: &mut Writer<'_>, entry: &Entry<'_>) {
    let Some(token) = entry.token else { return };
    if !token.entity_id.is_empty() {
        w.member("client_id", &token.entity_id);
        return;
    }
    let mut hash = Sha256::new();
    for (i, policy) in token.policies.iter().enumerate() {
        if i > 0 {
            hash.update(b"\x7f");
        }
        hash.update(policy.as_bytes());
    }
    hash.update(b"\0").update(entry.home.as_bytes());
    let digest = hash.finish();
    let mut text = [0; 44];
    if let Ok(length) = STANDARD.encode_slice(digest, &mut text)
        && let Some(Ok(text)) = text.get(..length).map(std::str::from_utf8)
    {
        w.member("client_id", text);
    }
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
        response_auth(w, auth, None);
    }
    if !entry.lease_id.is_empty() {
        w.name("secret").raw("{").member("lease_id", entry.lease_id).raw("}");
    }
    if let Some(info) = &reply.wrap_info {
        wrap_info(w, info);
    }
    if !reply.warnings.is_empty() {
        w.texts("warnings", reply.warnings.iter());
    }
    w.raw("}");
}

/// The token of an answer; `allowed` where it stands for the caller.
fn response_auth(w: &mut Writer<'_>, auth: &AuthBlock, allowed: Option<bool>) {
    w.name("auth").raw("{");
    if let Some(requirement) = &auth.mfa_requirement {
        // By its HMAC, as the request that validates it has it.
        w.name("mfa_requirement").hashed(requirement);
        w.raw("}");
        return;
    }
    w.secret("client_token", auth.client_token.expose_secret());
    w.secret("accessor", &auth.accessor);
    w.member("display_name", &auth.display_name);
    w.texts("policies", auth.policies.iter().flatten());
    w.texts("token_policies", auth.token_policies.iter().flatten());
    if !auth.identity_policies.is_empty() {
        w.texts("identity_policies", auth.identity_policies.iter());
    }
    if let Some(allowed) = allowed {
        w.name("policy_results").raw("{").flag("allowed", allowed).raw("}");
    }
    if let Some(metadata) = &auth.metadata {
        put_metadata(w, metadata);
    }
    if auth.num_uses > 0 {
        w.number("num_uses", auth.num_uses);
    }
    w.member("entity_id", &auth.entity_id).member("token_type", auth.token_type);
    w.number("token_ttl", auth.lease_duration);
    if !auth.issued.is_zero() {
        w.member("token_issue_time", &auth.issued.to_string());
    }
    w.raw("}");
}

fn wrap_info(w: &mut Writer<'_>, info: &WrapInfo) {
    w.name("wrap_info").raw("{").number("ttl", info.ttl);
    w.secret("token", info.token.expose_secret()).secret("accessor", &info.accessor);
    w.member("creation_time", &info.creation_time);
    w.member("creation_path", &info.creation_path);
    w.secret("wrapped_accessor", &info.wrapped_accessor).raw("}");
}
