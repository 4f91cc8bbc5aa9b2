//! Last step: what was done or refused is recorded, with its effects, before it is answered.

use std::sync::atomic::{AtomicBool, Ordering};

use strongroom_base::{ErrorKind, Json, RawFields};

use super::{Admitted, Answer, Authenticated, Authorised, Executed, Refused, Target};
use crate::audit::{Entry, Outcome};
use crate::plug::{Handler, Route};

impl Admitted {
    /// Records a refusal before the caller was known.
    pub(super) async fn refuse(self: Box<Self>, refused: Refused) -> Answer {
        self.by_nobody().refuse(refused, &RawFields::default()).await
    }

    /// With no caller, and nothing it leads to.
    pub(super) fn by_nobody(self: Box<Self>) -> Box<Authenticated> {
        Box::new(Authenticated {
            admitted: self,
            target: Target::Nothing,
            token: None,
            entity: None,
            token_text: None,
            access: None,
            last_use: false,
            creates: AtomicBool::new(false),
        })
    }
}

impl Authenticated {
    /// Records a refusal; the answer's own failure is what recording says, if it fails. But whoever may have
    /// changed something learns that, whatever else goes wrong.
    pub(super) async fn refuse(
        self: Box<Self>,
        mut refused: Refused,
        fields: &RawFields,
    ) -> Answer {
        let services = self.admitted.services.clone();
        // Whose policies they were decides who may read their rules.
        let namespaces = &self.admitted.table.namespaces;
        let home = self.token.as_ref().and_then(|t| namespaces.of_scope(t.namespace));
        if let (Some(trace), Some(home)) = (&mut refused.trace, home) {
            trace["policy_namespace"] = home.path.as_str().into();
        }
        let entry =
            self.entry(fields, &[], refused.trace.as_deref(), Outcome::Refused(&refused.error));
        let recorded = services.audit.record(&entry).await;
        self.count_login(false);
        self.admitted.note_trouble(&self.target, &refused.error);
        if let Err(error) = &recorded {
            self.admitted.note_trouble(&self.target, error);
        }
        self.finish_uses().await;
        let rate = self.admitted.rate;
        let of_inline_login = refused.of_inline_login;
        let mount_kind = self.admitted.mount_kind();
        let (result, explain) = match recorded {
            Ok(explain) => {
                let denied = refused.error.kind == ErrorKind::PermissionDenied;
                (Err(refused.error), Some(explain).filter(|id| denied && !id.is_empty()))
            }
            Err(_) if refused.error.kind == ErrorKind::InDoubt => (Err(refused.error), None),
            Err(e) => (Err(e), None),
        };
        let (request_id, access) = (self.admitted.id, self.access);
        Answer {
            request_id,
            mount_kind,
            result,
            lease: None,
            explain,
            rate,
            of_inline_login,
            access,
        }
    }

    /// The id of the token's namespace.
    fn home(&self) -> &str {
        let namespaces = &self.admitted.table.namespaces;
        let home = self.token.as_ref().and_then(|token| namespaces.of_scope(token.namespace));
        home.map_or("", |namespace| &namespace.id)
    }

    /// Counts the end of a login.
    fn count_login(&self, succeeded: bool) {
        let Target::Route { index, .. } = &self.target else { return };
        let is_login = |route: &Route| matches!(route.handler, Handler::Login(_));
        if let Some(entry) = &self.admitted.entry
            && self.admitted.route(*index).is_some_and(is_login)
        {
            self.admitted.services.logins.count(entry.mount.scope, succeeded);
        }
    }

    /// What the audit log gets to see.
    fn entry<'a>(
        &'a self,
        fields: &'a RawFields,
        granting: &'a [String],
        trace: Option<&'a Json>,
        outcome: Outcome<'a>,
    ) -> Entry<'a> {
        let admitted = &self.admitted;
        Entry {
            id: &admitted.id,
            started: admitted.started,
            verb: admitted.call.verb,
            creates: self.creates.load(Ordering::Relaxed),
            namespace: &admitted.namespace,
            mount: admitted.entry.as_ref().map(|e| &*e.mount),
            path: &admitted.path,
            peer: &admitted.call.peer,
            headers: &admitted.call.headers,
            shown_headers: &self.admitted.shown_headers.0,
            accessor: self.token.as_ref().map_or("", |t| &t.accessor),
            token: self.token.as_deref(),
            home: self.home(),
            token_text: self.token_text.as_deref(),
            identity_policies: self.entity.as_ref().map_or(&[], |e| &e.policies),
            fields,
            wrap_ttl: admitted.call.wrap_ttl,
            granting,
            trace,
            lease_id: "",
            outcome,
        }
    }
}

impl Executed {
    /// Records and commits; on failure nothing of it was done.
    pub(super) async fn record(self) -> Result<Answer, (Box<Authorised>, Refused)> {
        let Self { authorised, done } = self;
        let caller = &authorised.caller;
        let services = caller.admitted.services.clone();
        let outcome = Outcome::Reply(&done.reply);
        let lease_id = done.lease.as_ref().map_or("", |lease| &lease.id);
        let entry = Entry {
            lease_id,
            ..caller.entry(&authorised.fields, &authorised.granting, None, outcome)
        };
        let recorded = if done.tx.has_changes() {
            match services.audit.record_in(&done.tx, &entry) {
                Ok(recorded) => match done.tx.commit().await {
                    Ok(_) => {
                        services.audit.committed(recorded).await;
                        Ok(())
                    }
                    Err(e) => {
                        recorded.failed(&e);
                        Err(e)
                    }
                },
                Err(e) => Err(e),
            }
        } else {
            match done.tx.commit().await {
                Ok(_) => match services.audit.record(&entry).await {
                    Err(e) if !done.reply.recorded => Err(e),
                    _ => Ok(()),
                },
                Err(e) => Err(e),
            }
        };
        match recorded {
            Ok(()) => {
                for action in done.after {
                    action(&services);
                }
                let mount_kind = caller.admitted.mount_kind();
                let rate = caller.admitted.rate;
                caller.count_login(true);
                caller.finish_uses().await;
                Ok(Answer {
                    request_id: authorised.caller.admitted.id,
                    mount_kind,
                    result: Ok(done.reply),
                    lease: done.lease,
                    explain: None,
                    rate,
                    of_inline_login: false,
                    access: authorised.caller.access,
                })
            }
            // Its turn among the commands on one record ends here: the next run asks for one again,
            // and would wait for itself.
            Err(e) => Err((authorised, e.into())),
        }
    }
}
