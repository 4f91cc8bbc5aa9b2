//! Response wrapping: the answer goes into the cubbyhole of a fresh single-use token, within the
//! operation's own transaction.

use std::collections::BTreeMap;

use serde_json::json;
use strongroom_base::{Error, Result, SecretBytes, Timestamp};

use super::Authenticated;
use super::execute::Done;
use crate::namespaces::Namespace;
use crate::node::Services;
use crate::plug::{Reply, Request, Shape, TokenParams, WrapInfo};
use crate::record::{Record, Scope, Tx};
use crate::tokens::{NewToken, suffix};

/// The name under which a wrapped answer lies in its token's cubbyhole.
pub const RESPONSE: &str = "response";
/// The policy of wrapping tokens.
pub const POLICY: &str = "response-wrapping";

/// What a cubbyhole holds: below the token's id, by path.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct CubbyholeEntry {
    /// The data, as JSON text.
    pub data: String,
}

impl Record for CubbyholeEntry {
    const KIND: u8 = 1;
}

impl Drop for CubbyholeEntry {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.data);
    }
}

/// Replaces the reply by a `wrap_info`.
pub(super) async fn wrap(
    caller: &Authenticated,
    request: &Request,
    done: &mut Done,
    ttl: i64,
) -> Result<()> {
    if done.reply.wrap_info.is_some() || matches!(done.reply.shape, Shape::Raw(_) | Shape::Bare) {
        return Ok(());
    }
    if done.reply.data.is_none() && done.reply.auth.is_none() {
        return Ok(());
    }
    let lease = done.lease.take();
    let wrapped_accessor = match (&done.reply.auth, &done.reply.data) {
        (Some(auth), _) => auth.accessor.clone(),
        // A credential that is looked up by its accessor later, as a login's is.
        (None, Some(data)) => {
            data.get("secret_id_accessor").and_then(|a| a.as_str()).unwrap_or("").to_owned()
        }
        (None, None) => String::new(),
    };
    let body = json!({
        "request_id": request.id,
        "lease_id": lease.as_ref().map_or("", |l| l.id.as_str()),
        "renewable": lease.as_ref().is_some_and(|l| l.renewable),
        "lease_duration": lease.as_ref().map_or(
            done.reply.lease_duration.unwrap_or(0), |l| l.duration),
        "data": done.reply.data.take(),
        "wrap_info": null,
        "warnings": if done.reply.warnings.is_empty() { None } else { Some(&done.reply.warnings) },
        "auth": done.reply.auth.take(),
        "mount_type": request.mount.kind,
    });
    let text = SecretBytes::new(
        serde_json::to_vec(&body).map_err(|_| Error::internal("an answer does not serialise"))?,
    );
    let mut body = body;
    strongroom_base::json::wipe(&mut body);
    let cubbyhole = caller
        .admitted
        .table
        .at(request.namespace.scope, "cubbyhole/")
        .map(|e| e.mount.scope)
        .ok_or_else(|| Error::internal("the namespace has no cubbyhole"))?;
    let new = NewWrapping {
        cubbyhole,
        namespace: &request.namespace,
        ttl,
        path: &request.full_path,
        wrapped_accessor,
    };
    let services = &caller.admitted.services;
    let info = wrap_text(services, &done.tx, request.now, new, &text)?;
    done.reply = Reply { wrap_info: Some(Box::new(info)), ..Reply::none() };
    Ok(())
}

/// A wrapping token to be made.
pub struct NewWrapping<'a> {
    /// The cubbyhole of its namespace.
    pub cubbyhole: Scope,
    /// Its namespace.
    pub namespace: &'a Namespace,
    /// Seconds to live.
    pub ttl: i64,
    /// The path whose answer it holds.
    pub path: &'a str,
    /// The accessor of the token in the answer, or "".
    pub wrapped_accessor: String,
}

/// The name in a wrapping token's internals under which the accessor stands.
pub const WRAPPED_ACCESSOR: &str = "wrapped_accessor";

/// Makes a wrapping token that holds `text`: also for `sys/wrapping/rewrap`.
pub fn wrap_text(
    services: &Services,
    tx: &Tx,
    now: Timestamp,
    new: NewWrapping<'_>,
    text: &SecretBytes,
) -> Result<WrapInfo> {
    let NewWrapping { cubbyhole, namespace, ttl, path, wrapped_accessor } = new;
    let mut internal = BTreeMap::new();
    if !wrapped_accessor.is_empty() {
        internal.insert(WRAPPED_ACCESSOR.to_owned(), wrapped_accessor.clone());
    }
    let token = NewToken {
        policies: vec![POLICY.to_owned()],
        params: TokenParams { num_uses: 1, explicit_max_ttl: ttl, ..TokenParams::default() },
        namespace: namespace.scope,
        mount: Scope::ROOT,
        path: path.to_owned(),
        ttl,
        wraps: path.to_owned(),
        internal,
        ..NewToken::default()
    };
    let created = services.tokens.create(tx, token, &suffix(namespace), now)?;
    let data = String::from_utf8(text.expose_secret().clone())
        .map_err(|_| Error::internal("an answer is no text"))?;
    tx.write(cubbyhole).put_named(created.token.id, RESPONSE, &CubbyholeEntry { data })?;
    Ok(WrapInfo {
        token: created.text,
        accessor: created.accessor,
        ttl,
        creation_time: now.to_string(),
        creation_path: path.to_owned(),
        wrapped_accessor,
    })
}
