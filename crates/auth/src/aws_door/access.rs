//! What limits a caller beside its policies: the IAM documents of its role and session, and the policy of
//! the resource.

use std::sync::Arc;

use strongroom_base::{Error, Result, Timestamp};
use strongroom_cloudwire::iam::{Context, Document, Documents, Kind, Refusal, Request, decide};
use strongroom_kernel::plug::{About, Access, Asked, Peer};

use super::caller::Caller;

/// A verified caller, and what it asks.
pub struct Limits {
    pub caller: Arc<Caller>,
    /// The document that narrows the session: it must allow what is asked, whoever else does.
    pub session: Option<Document>,
    pub asked: Arc<Asked>,
    pub peer: Peer,
    pub now: Timestamp,
}

impl Limits {
    /// What conditions see of the request.
    fn context(&self) -> Context {
        let mut context = Context::default();
        for (key, values) in &self.asked.keys {
            context.set(key.clone(), values.clone());
        }
        let mut one = |key: &str, value: String| context.set(key, vec![value]);
        // For a session it is the role's.
        let Caller { principal, user_id, user_name, source_identity, .. } = &*self.caller;
        let arn = principal.role_arn.as_ref().unwrap_or(&principal.arn);
        one("aws:PrincipalArn", arn.clone());
        one("aws:PrincipalAccount", principal.account.clone());
        one("aws:userid", user_id.clone());
        if let Some(name) = user_name {
            one("aws:username", name.clone());
        }
        if let Some(source) = source_identity {
            one("aws:SourceIdentity", source.clone());
        }
        one("aws:CurrentTime", Timestamp::from_seconds(self.now.seconds()).to_string());
        one("aws:EpochTime", self.now.seconds().to_string());
        if let Some(ip) = self.peer.ip {
            one("aws:SourceIp", ip.to_canonical().to_string());
        }
        context
    }
}

impl Access for Limits {
    fn principal(&self) -> &str {
        &self.caller.principal.arn
    }

    fn resource(&self) -> &str {
        &self.asked.resource
    }

    fn has_documents(&self) -> bool {
        self.caller.role.document.is_some() || self.session.is_some()
    }

    fn judge(&self, about: &About<'_>) -> Result<()> {
        if !self.has_documents() && about.policy.is_none() {
            return Ok(());
        }
        let action = about.action.unwrap_or(&self.asked.action);
        let resource = about.resource.unwrap_or(&self.asked.resource);
        let policy = about.policy.map(|text| Document::parse(text, Kind::Resource));
        // It was read when it was written. One that cannot be read any more lets nobody in.
        let policy = policy.transpose().map_err(Error::internal)?;
        let mut context = self.context();
        for (name, value) in about.tags {
            for prefix in ["aws:ResourceTag", "secretsmanager:ResourceTag"] {
                context.set(format!("{prefix}/{name}"), vec![value.clone()]);
            }
        }
        for (key, values) in about.keys {
            context.set(*key, values.clone());
        }
        let principal = &self.caller.principal;
        let request = Request { action, resource, principal, context: &context };
        let own = !about.policy_alone;
        let documents = Documents {
            identity: self.caller.role.document.as_deref().filter(|_| own),
            session: self.session.as_ref().filter(|_| own),
            resource: policy.as_ref(),
            trusted: about.trusted || about.policy_alone,
        };
        decide(&request, &documents).map_err(|refusal| {
            let called = about.called.unwrap_or(resource);
            denied(&principal.arn, action, called, refusal)
        })
    }
}

/// AWS's refusal.
fn denied(principal: &str, action: &str, resource: &str, refusal: Refusal) -> Error {
    let why = match refusal {
        Refusal::DeniedToIdentity => "with an explicit deny in an identity-based policy".to_owned(),
        Refusal::DeniedByResource => "with an explicit deny in a resource-based policy".to_owned(),
        Refusal::NotAllowed => {
            format!("because no identity-based policy allows the {action} action")
        }
    };
    let mut error = Error::denied();
    error.public = vec![format!(
        "User: {principal} is not authorized to perform: {action} on resource: {resource} {why}"
    )];
    error.called(if action.starts_with("sts:") { "AccessDenied" } else { "AccessDeniedException" })
}
