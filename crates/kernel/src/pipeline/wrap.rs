//! Response wrapping: the answer goes into the cubbyhole of a fresh single-use token, within the
//! operation's own transaction.

use serde_json::json;
use strongroom_base::{Error, Result, SecretBytes};

use super::Authenticated;
use super::execute::Done;
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
    let wrapped_accessor =
        done.reply.auth.as_ref().map_or_else(String::new, |a| a.accessor.clone());
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
    let info = store(caller, request, &done.tx, &text, ttl, wrapped_accessor)?;
    done.reply = Reply { wrap_info: Some(info), ..Reply::none() };
    Ok(())
}

/// Puts `text` into the cubbyhole of a fresh wrapping token.
fn store(
    caller: &Authenticated,
    request: &Request,
    tx: &Tx,
    text: &SecretBytes,
    ttl: i64,
    wrapped_accessor: String,
) -> Result<WrapInfo> {
    let cubbyhole = caller
        .admitted
        .table
        .at(request.namespace.scope, "cubbyhole/")
        .map(|e| e.mount.scope)
        .ok_or_else(|| Error::internal("the namespace has no cubbyhole"))?;
    let services = &caller.admitted.services;
    wrap_text(services, request, cubbyhole, tx, text, ttl, wrapped_accessor)
}

/// Makes a wrapping token that holds `text`: also `sys/wrapping/wrap` and `rewrap`.
pub fn wrap_text(
    services: &crate::node::Services,
    request: &Request,
    cubbyhole: Scope,
    tx: &Tx,
    text: &SecretBytes,
    ttl: i64,
    wrapped_accessor: String,
) -> Result<WrapInfo> {
    let new = NewToken {
        display_name: "response-wrapping".to_owned(),
        policies: vec![POLICY.to_owned()],
        params: TokenParams { num_uses: 1, explicit_max_ttl: ttl, ..TokenParams::default() },
        namespace: request.namespace.scope,
        mount: Scope::ROOT,
        path: request.full_path.clone(),
        ttl,
        wraps: request.full_path.clone(),
        ..NewToken::default()
    };
    let created = services.tokens.create(tx, new, &suffix(&request.namespace), request.now)?;
    let data = String::from_utf8(text.expose_secret().clone())
        .map_err(|_| Error::internal("an answer is no text"))?;
    tx.write(cubbyhole).put_named(created.token.id, RESPONSE, &CubbyholeEntry { data })?;
    Ok(WrapInfo {
        token: created.text,
        accessor: created.accessor,
        ttl,
        creation_time: request.now.to_string(),
        creation_path: request.full_path.clone(),
        wrapped_accessor,
    })
}
