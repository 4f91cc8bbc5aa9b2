//! Who calls: the token's check, its address, its entity, its uses.

use std::sync::Arc;

use strongroom_base::{Error, ErrorKind, FieldSource, Json, RawFields, Result, SecretString};

use super::body::read_body;
use super::{Admitted, Authenticated, InlineLogin, Refused, Target};
use crate::plug::{ReadCx, Rule};
use crate::tokens::Token;

impl Admitted {
    /// Finds the caller. On open paths a token is neither needed nor looked at.
    pub(super) async fn authenticate(
        mut self: Box<Self>,
    ) -> Result<Box<Authenticated>, (Box<Self>, Refused)> {
        let target = self.resolve();
        let rule = match &target {
            Target::Route { index, .. } => self.route(*index).map_or(Rule::Token, |r| r.rule),
            _ => Rule::Token,
        };
        let text = self.call.token.take().map(Arc::new);
        let inline = self.call.inline.take();
        let credential = self.call.credential.take();
        let mut caller = Box::new(Authenticated {
            admitted: self,
            target,
            token: None,
            entity: None,
            token_text: text,
            access: None,
            last_use: false,
            creates: Default::default(),
        });
        if rule == Rule::Open {
            return Ok(caller);
        }
        if let Some(credential) = credential {
            return match Box::pin(caller.verify(&credential)).await {
                Ok(()) => Ok(caller),
                Err(refused) => Err((caller.admitted, refused)),
            };
        }
        if let Some(login) = inline {
            return match Box::pin(caller.log_in_inline(*login)).await {
                Ok(()) => Ok(caller),
                Err(error) => {
                    let refused = Refused { of_inline_login: true, ..error.into() };
                    Err((caller.admitted, refused))
                }
            };
        }
        match caller.identify().await {
            Ok(()) => Ok(caller),
            Err(e) if rule == Rule::Wrapping && e.kind == ErrorKind::PermissionDenied => {
                let own = caller.token_text.as_deref();
                let refusal = Box::pin(caller.admitted.refuse_unwrapping(own)).await;
                Err((caller.admitted, refusal.into()))
            }
            Err(e) => Err((caller.admitted, e.into())),
        }
    }
}

impl Admitted {
    /// What is told to whom unwraps without a token that is good: whether the wrapping token is,
    /// which anybody who has it may ask anyway (observed: bao 2.6.2).
    async fn refuse_unwrapping(&self, own: Option<&SecretString>) -> Error {
        let fields = match read_body(&self.call) {
            Ok(fields) => fields,
            Err(e) => return e,
        };
        let given = fields.get("token").and_then(Json::as_str).filter(|text| !text.is_empty());
        let given = given.map(|text| SecretString::new(text.to_owned()));
        let Some(text) = given.as_ref().or(own) else {
            let text = "error validating wrapping token: token is empty";
            return Error::new(ErrorKind::PermissionDenied, text);
        };
        match self.services.tokens.check(&self.table, text, self.started).await {
            Ok(Some(token)) if !token.wraps.is_empty() => Error::denied(),
            Ok(_) => Error::bad_request("wrapping token is not valid or does not exist"),
            Err(e) => e,
        }
    }
}

impl Authenticated {
    async fn identify(&mut self) -> Result<()> {
        let services = &self.admitted.services;
        let now = self.admitted.started;
        let text = self.token_text.clone().ok_or_else(Error::denied)?;
        let table = &self.admitted.table;
        let token = services.tokens.check(table, &text, now).await?.ok_or_else(Error::denied)?;
        self.act_as(token).await
    }

    /// Logs in by what the request brought along.
    pub(super) async fn log_in_inline(&mut self, login: InlineLogin) -> Result<()> {
        if self.token_text.is_some() {
            let text = "cannot layer inline authentication with token authentication";
            return Err(Error::bad_request(text));
        }
        let token = super::inline::log_in(&self.admitted, login).await?;
        self.act_as(token).await
    }

    /// Acts for a token that is good.
    pub(super) async fn act_as(&mut self, token: Arc<Token>) -> Result<()> {
        let services = self.admitted.services.clone();
        let table = &self.admitted.table;
        if !token.allows_address(self.admitted.call.peer.ip) {
            return Err(Error::denied());
        }
        let caller = services.caller(table, token).await?;
        let crate::caller::Caller { token, entity } = caller.ok_or_else(Error::denied)?;
        self.entity = entity;
        if token.num_uses > 0 {
            Box::pin(self.take_use(&token)).await?;
        }
        let client = match token.entity_id.as_str() {
            "" => &token.accessor,
            entity => entity,
        };
        self.admitted.flight.of_client(client);
        self.token = Some(token);
        Ok(())
    }

    /// Takes one use of a use-limited token, durably, before anything is done with it: two
    /// requests can't share the last one.
    async fn take_use(&mut self, token: &Arc<Token>) -> Result<()> {
        let services = &self.admitted.services;
        let left = services
            .store
            .transact(|tx| {
                let tokens = &services.tokens;
                let id = token.id;
                async move {
                    let Some(mut token) = tokens.read(&tx, id).await? else {
                        return Err(Error::denied());
                    };
                    if token.num_uses <= 0 {
                        return Err(Error::denied());
                    }
                    // Below zero: used up, and on its way out.
                    token.num_uses = if token.num_uses == 1 { -1 } else { token.num_uses - 1 };
                    let expires = token.expires;
                    tokens.update(&tx, &token, expires)?;
                    Ok(token.num_uses)
                }
            })
            .await?;
        self.last_use = left < 0;
        Ok(())
    }

    /// Revokes a token whose last use this was. It is refused already; a failure here is left to
    /// expiry.
    pub(super) async fn finish_uses(&self) {
        let (true, Some(token)) = (self.last_use, &self.token) else { return };
        let services = &self.admitted.services;
        let revoked = services
            .store
            .transact(|tx| async move {
                if let Some(token) = services.tokens.read(&tx, token.id).await? {
                    services.tokens.revoke(&tx, &token);
                }
                Ok(())
            })
            .await;
        if let Err(e) = revoked {
            tracing::warn!(error = %e, "a used-up token could not be revoked yet");
        }
    }

    /// The role of a login, as its auth method tells it.
    pub(super) async fn role(&self, fields: &RawFields) -> Result<Option<String>> {
        let Target::Route { index, captures } = &self.target else { return Ok(None) };
        let Some(entry) = self.admitted.entry.as_ref() else { return Ok(None) };
        let (Some(spec), Some(engine)) = (&entry.spec, &entry.engine) else { return Ok(None) };
        let (Some(route), Some(role)) = (spec.routes.get(*index), &spec.role) else {
            return Ok(None);
        };
        let request = super::execute::request_of(self, entry);
        let services = &self.admitted.services;
        let tx = services.store.begin();
        let cx = ReadCx::new(&tx, services, &request);
        role(&**engine, &cx, FieldSource::new(captures, fields, route.fields)).await
    }

    /// Is there something where the call wants to write? What can't be found out counts as yes.
    pub(super) async fn exists(&self) -> bool {
        let Target::Route { index, captures } = &self.target else { return true };
        let Some(entry) = self.admitted.entry.as_ref() else { return true };
        let (Some(spec), Some(engine)) = (&entry.spec, &entry.engine) else { return true };
        let Some(route) = spec.routes.get(*index) else { return true };
        let Some(exists) = spec.exists_for(route) else { return true };
        let request = super::execute::request_of(self, entry);
        let services = &self.admitted.services;
        let tx = services.store.begin();
        let cx = ReadCx::new(&tx, services, &request);
        exists(&**engine, &cx, captures).await.unwrap_or(true)
    }
}
