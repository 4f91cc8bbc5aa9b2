//! A login that comes along with the request that it is for (OpenBao's "inline authentication").
//!
//! Invariants:
//! * the login is carried out like any other, before anything of the request itself is: quotas and
//!   lockout count it, its failure is recorded, and so is its success;
//! * only a login can be asked for so;
//! * the token that comes of it is good for this request alone. It is written nowhere and shown to
//!   nobody, so no lease, token or cubbyhole can hang on it.

use std::sync::Arc;

use bytes::Bytes;
use strongroom_base::{Error, ErrorKind, RequestPath, Result};
use strongroom_storage::BoxFuture;

use super::{Admitted, Call, admit};
use crate::plug::Verb;
use crate::tokens::Token;

/// A login that a request brings along.
pub struct InlineLogin {
    /// The namespace that it is asked of, as its header has it; the request's own without one.
    pub namespace: Option<String>,
    /// The path of the login.
    pub path: RequestPath,
    /// Its verb.
    pub verb: Verb,
    /// Its body, JSON.
    pub body: Bytes,
}

/// Logs in; the answer is for `request` alone.
pub(super) fn log_in(request: &Admitted, login: InlineLogin) -> BoxFuture<'_, Result<Arc<Token>>> {
    Box::pin(async move {
        let services = request.services.clone();
        let id = services.store.rng.uuid();
        let flight = request.flight.before(id.clone(), login.path.as_str().to_owned(), login.verb);
        let call = Call {
            namespace: login.namespace.unwrap_or_else(|| request.call.namespace.clone()),
            path: login.path,
            verb: login.verb,
            protocol: crate::plug::Protocol::Vault,
            head: false,
            token: None,
            inline: None,
            credential: None,
            body: login.body,
            fields: None,
            upload: None,
            query: Vec::new(),
            wrap_ttl: None,
            headers: request.call.headers.clone(),
            peer: request.call.peer.clone(),
            bounds: request.call.bounds,
        };
        let admitted = admit::admit(services, call, id, flight).await;
        let mut admitted = admitted.map_err(|(_, error)| error)?;
        if !admitted.is_login() {
            return Err(Error::new(
                ErrorKind::NoRoute,
                "specified authentication path was not found",
            ));
        }
        admitted.is_inline_login = true;
        let (answer, token) = admitted.limit_and_run().await;
        answer.result?;
        token.ok_or_else(|| Error::bad_request("the login has not come to its end"))
    })
}
