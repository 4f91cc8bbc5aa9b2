//! A credential that is verified with the request that it is for.
//!
//! Invariants:
//! * verification reads and does not write: the caller's entity is found, never made;
//! * the token that comes of it is written nowhere and shown to nobody;
//! * a caller is refused with the entity of whoever it was made for;
//! * who must have second factors is refused: such a request has no place for them;
//! * what another method is to say is a login like any other, counted and recorded
//!   ([`super::inline`]).

use strongroom_base::{Error, ErrorKind, Result};

use super::inner::background_of;
use super::{Authenticated, InlineLogin, Refused};
use crate::identity::LoggedIn;
use crate::mfa::Subject;
use crate::plug::{Credential, ReadCx, Request, Standing, Verb, Verified};
use crate::record::Tx;

impl Authenticated {
    /// Acts as whom the credential proves the caller to be.
    pub(super) async fn verify(&mut self, credential: &Credential) -> Result<(), Refused> {
        let admitted = &self.admitted;
        let services = admitted.services.clone();
        let namespace = admitted.namespace.clone();
        let entry = admitted.table.at(namespace.scope, &credential.mount).cloned();
        let spec = entry.as_ref().and_then(|entry| entry.spec.clone());
        let (Some(entry), Some(spec)) = (entry, spec) else { return Err(nobody_to_ask().into()) };
        let (Some(verify), Some(engine)) = (&spec.verify, &entry.engine) else {
            return Err(nobody_to_ask().into());
        };
        let path = credential.mount.as_str();
        let request = Request {
            peer: admitted.call.peer.clone(),
            ..background_of(admitted.id.clone(), &entry, path, admitted.started)
        };
        let tx = services.store.begin();
        let cx = ReadCx::new(&tx, &services, &request);
        match verify(&**engine, &cx, credential).await? {
            Verified::Caller { standing, access } => {
                let token = self.token_of(&tx, &request, &standing).await?;
                self.act_as(token).await?;
                self.access = Some(access);
                Ok(())
            }
            Verified::LogIn { path, fields } => {
                let body = fields.to_string().into();
                let login = InlineLogin { namespace: None, path, verb: Verb::Write, body };
                let done = Box::pin(self.log_in_inline(login)).await;
                done.map_err(|error| Refused { of_inline_login: true, ..error.into() })
            }
        }
    }

    /// The token of a verified caller, for this request.
    async fn token_of(
        &self,
        tx: &Tx,
        request: &Request,
        standing: &Standing,
    ) -> Result<std::sync::Arc<crate::tokens::Token>> {
        let services = &self.admitted.services;
        let (namespace, mount) = (&request.namespace, &request.mount);
        let who = match &standing.grant.alias {
            Some(alias) => services.identity.find(tx, namespace, mount, alias).await?,
            None => LoggedIn::default(),
        };
        let table = &self.admitted.table;
        for id in &standing.behind {
            services.live_entity(table, id).await?.ok_or_else(Error::denied)?;
        }
        let subject = Subject { namespace, mount, who: &who };
        if !services.mfa.required(tx, &table.namespaces, &subject).await?.is_empty() {
            return Err(Error::denied());
        }
        standing.token(mount, &who.id, request.now, || {
            super::login::token_for_request(
                services,
                request,
                standing.grant.clone(),
                who.id.clone(),
            )
        })
    }
}

/// The door's auth mount is not there, or verifies nothing: nobody's key is known.
fn nobody_to_ask() -> Error {
    let text = "The security token included in the request is invalid.";
    Error::new(ErrorKind::PermissionDenied, text).called("UnrecognizedClientException")
}
