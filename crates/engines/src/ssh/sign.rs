//! `sign/ROLE` and `issue/ROLE`: certificates, of a key that is brought or one that is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde_json::json;
use strongroom_base::{Error, Json, Result, Ttl, fields};
use strongroom_crypto::sha256;
use strongroom_crypto::ssh::{Certificate, PublicKey, RsaHash, write_private};
use strongroom_kernel::plug::{EngineSpec, Query, ReadCx, Reply, ops};

use super::grant::{self, Caller};
use super::issuer::{self, Issuer};
use super::role::{self, Role, RoleKind};
use super::{SshEngine, keys};

/// Bits of an RSA key that is made for a caller, unless another number is asked for.
const RSA_BITS: u32 = 2_048;

fields! {
    /// What a certificate is to say.
    pub struct Wanted {
        /// How long it is good.
        ttl: Option<Ttl>,
        /// Users or hosts, comma-separated.
        valid_principals: Option<String>,
        /// user or host.
        cert_type: Option<String>,
        /// What servers log.
        key_id: Option<String>,
        /// Critical options.
        critical_options: BTreeMap<String, String>,
        /// Extensions.
        extensions: BTreeMap<String, String>,
    }
}
fields! {
    /// Signs a public key.
    pub struct Sign {
        ..wanted: Wanted;
        /// The role's name.
        role: String,
        /// The key, as files have it.
        public_key: Option<String>,
    }
}
fields! {
    /// Makes a key and signs it.
    pub struct Issue {
        ..wanted: Wanted;
        /// The role's name.
        role: String,
        /// rsa, ec or ed25519.
        key_type: Option<String>,
        /// Bits of the key; 0 is the usual number.
        key_bits: Option<i64>,
    }
}

ops! {
    Sign Json, Write;
    Issue Json, Write;
}

pub(super) fn add(spec: EngineSpec<SshEngine>) -> EngineSpec<SshEngine> {
    spec.query::<Sign>("sign/{role}").query::<Issue>("issue/{role}")
}

impl Query<Sign> for SshEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: Sign) -> Result<Reply<Json>> {
        let role = role::find(cx, &op.role).await?;
        check_kind(&role)?;
        let text = op.public_key.as_deref().unwrap_or_default();
        if text.is_empty() {
            return Err(Error::bad_request("missing public_key"));
        }
        let key = PublicKey::parse(text)
            .map_err(|e| under("failed to parse public_key as SSH key", &e))?;
        grant::check_key(&role, &key)
            .map_err(|e| under("public_key failed to meet the key requirements", &e))?;
        let granted = granted(cx, &role, op.wanted).await?;
        certify(cx, &op.role, &role, &key, &granted)
    }
}

impl Query<Issue> for SshEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: Issue) -> Result<Reply<Json>> {
        let role = role::find(cx, &op.role).await?;
        check_kind(&role)?;
        let named = op.key_type.as_deref().unwrap_or("rsa");
        let kind = keys::kind(named, op.key_bits.unwrap_or(0), RSA_BITS)?;
        // What is refused is refused before a key is made, which takes a core for a while.
        let granted = granted(cx, &role, op.wanted).await?;
        let refused = |e| under("the key is none of the role's allowed_user_key_lengths", &e);
        grant::check_kind(&role, PublicKey::kind_of(kind)).map_err(refused)?;
        let key = keys::generate(cx, kind).await?;
        let public = PublicKey::of(&key.public()?)?;
        let mut reply = certify(cx, &op.role, &role, &public, &granted)?;
        if let Some(data) = &mut reply.data {
            data["private_key"] = write_private(&key)?.expose_secret().as_str().into();
            data["private_key_type"] = named.into();
        }
        Ok(reply)
    }
}

fn under(doing: &str, e: &Error) -> Error {
    Error::bad_request(format!("{doing}: {}", e.public.join(", ")))
}

fn check_kind(role: &Role) -> Result<()> {
    if role.kind == RoleKind::Ca {
        return Ok(());
    }
    Err(Error::bad_request(format!("role key type '{}' not allowed to sign", role.kind.name())))
}

/// What of a request a role grants, whatever the key.
struct Granted {
    /// The key id that was asked for; none is by the role's format.
    key_id: Option<String>,
    host: bool,
    principals: Vec<String>,
    seconds: i64,
    critical_options: BTreeMap<String, String>,
    extensions: BTreeMap<String, String>,
    /// Were extensions left out for want of an entity?
    left_out: bool,
    issuer: (String, Arc<Issuer>),
}

/// Holds a request to its role.
async fn granted(cx: &ReadCx<'_>, role: &Role, wanted: Wanted) -> Result<Granted> {
    let key_id = wanted.key_id.filter(|asked| !asked.is_empty());
    if key_id.is_some() && !role.allow_user_key_ids {
        return Err(Error::bad_request("setting key_id is not allowed by role"));
    }
    let host = host(role, wanted.cert_type.as_deref())?;
    let caller = Caller::of(cx).await?;
    let asked = wanted.valid_principals.as_deref().unwrap_or_default();
    let principals = grant::principals(role, asked, host, &caller)?;
    let seconds = grant::seconds(role, wanted.ttl.map(|Ttl(seconds)| seconds), cx.ttls())?;
    let critical_options = grant::critical_options(role, wanted.critical_options)?;
    let (extensions, left_out) = grant::extensions(role, wanted.extensions, &caller)?;
    let issuer = issuer::find(cx, &role.issuer_ref).await?;
    Ok(Granted {
        key_id,
        host,
        principals,
        seconds,
        critical_options,
        extensions,
        left_out,
        issuer,
    })
}

/// Signs a key with what was granted.
fn certify(
    cx: &ReadCx<'_>,
    name: &str,
    role: &Role,
    key: &PublicKey,
    granted: &Granted,
) -> Result<Reply<Json>> {
    let (id, issuer) = &granted.issuer;
    let key_id = match &granted.key_id {
        Some(asked) => asked.clone(),
        None => key_id(cx, name, role, key),
    };
    let time = |seconds: i64| u64::try_from(seconds).unwrap_or_default();
    let now = cx.now().seconds();
    let serial = u64::from_be_bytes(cx.rng().array());
    let certificate = Certificate {
        nonce: cx.rng().array(),
        key,
        serial,
        host: granted.host,
        key_id: &key_id,
        principals: &granted.principals,
        valid_after: time(now.saturating_sub(role.not_before_duration)),
        valid_before: time(now.saturating_add(granted.seconds)),
        critical_options: &granted.critical_options,
        extensions: &granted.extensions,
    };
    let hash = match role.algorithm_signer.as_str() {
        "rsa-sha2-256" => Some(RsaHash::Sha256),
        "rsa-sha2-512" => Some(RsaHash::Sha512),
        _ => None,
    };
    let signed = certificate.sign(&issuer.key, &issuer.public, hash)?;
    let reply = Reply::data(json!({
        "serial_number": format!("{serial:x}"),
        "signed_key": signed,
        "issuer_id": id,
    }));
    Ok(match granted.left_out {
        true => reply.warn(
            "default_extension templating enabled with at least one extension requiring identity \
             templating. However, this request lacked identity entity information, causing one or \
             more extensions to be skipped from the generated certificate.",
        ),
        false => reply,
    })
}

/// Is a host's certificate asked for?
fn host(role: &Role, asked: Option<&str>) -> Result<bool> {
    let (host, allowed) = match asked.unwrap_or("user") {
        "user" => (false, role.allow_user_certificates),
        "host" => (true, role.allow_host_certificates),
        _ => return Err(Error::bad_request("cert_type must be either 'user' or 'host'")),
    };
    if allowed {
        return Ok(host);
    }
    let asked = if host { "host" } else { "user" };
    Err(Error::bad_request(format!("cert_type '{asked}' is not allowed by role")))
}

/// The key id by the role's format, into which values are put once.
fn key_id(cx: &ReadCx<'_>, name: &str, role: &Role, key: &PublicKey) -> String {
    let display_name = cx.request.display_name();
    let hash = HEXLOWER.encode(&sha256(key.wire()));
    let format = match (role.key_id_format.as_str(), display_name) {
        ("", "") => "vault-{{public_key_hash}}",
        ("", _) => "vault-{{token_display_name}}-{{public_key_hash}}",
        (format, _) => format,
    };
    let mut out = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let (variable, after) = after.split_once("}}").unwrap_or((after, ""));
        match variable.trim() {
            "token_display_name" => out.push_str(display_name),
            "role_name" => out.push_str(name),
            "public_key_hash" => out.push_str(&hash),
            // As it was written: it is none of the variables.
            _ => {
                out.push_str("{{");
                rest = rest.get(before.len() + 2..).unwrap_or_default();
                continue;
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out
}
