//! Third step: policy judges the path, then reads the body and judges its parameters.

use std::sync::atomic::Ordering;

use strongroom_base::{Error, ErrorKind, Json, RawFields, Result};

use super::body::read_body;
use super::{Authenticated, Authorised, Refused, Target, policy_prefix, rights};
use crate::plug::{Rights, Rule, Verb};
use crate::policy::{Capability, Denial, denied_by_policy};

impl Authenticated {
    /// Asks policy about the path, then reads the body and asks about its parameters.
    pub(super) async fn authorise(
        mut self: Box<Self>,
    ) -> Result<Box<Authorised>, (Box<Self>, Refused)> {
        let given = self.admitted.call.fields.take();
        match self.judge(given).await {
            Ok((granting, fields, rights)) => match self.limit_by_role(&fields).await {
                Ok(()) => Ok(Box::new(Authorised { caller: self, granting, fields, rights })),
                Err(error) => Err((self, error.into())),
            },
            Err(refused) => Err((self, refused)),
        }
    }

    /// Asks the quotas about a login that waits for its role.
    async fn limit_by_role(&mut self, fields: &RawFields) -> Result<()> {
        if !self.admitted.waits_for_role {
            return Ok(());
        }
        let role = Box::pin(self.role(fields)).await?;
        let verdict = self.admitted.count(role.as_deref()).await?;
        verdict.refused.map_or(Ok(()), Err)
    }

    async fn judge(
        &self,
        given: Option<RawFields>,
    ) -> Result<(Vec<String>, RawFields, Option<Rights>), Refused> {
        let admitted = &self.admitted;
        let route = match &self.target {
            Target::Route { index, .. } => admitted.route(*index),
            _ => None,
        };
        let rule = route.map_or(Rule::Token, |r| r.rule);
        if route.is_some_and(|r| r.root_namespace_only) && !admitted.namespace.is_root() {
            let error = Error::bad_request("operation only available in root namespace");
            return Err(error.into());
        }
        if rule == Rule::Open || self.token.is_some() && admitted.call.wants_help() {
            return Ok((Vec::new(), self.fields(given)?, None));
        }
        let Some(token) = &self.token else { return Err(Error::denied().into()) };
        let acl = rights(&admitted.services, token, self.entity.as_deref()).await?;
        let prefix =
            policy_prefix(&admitted.table, token, &admitted.namespace).ok_or_else(Error::denied)?;
        let path = format!("{prefix}{}", admitted.path);
        let written = admitted.written.as_ref().map(|written| format!("{prefix}{written}"));
        let wrap_ttl = admitted.call.wrap_ttl;
        let mut held = Rights { acl: acl.clone(), prefix, wrap_ttl, filtered: None };
        if rule == Rule::Needs {
            let (granting, fields) = self.judge_needs(&held, &path, given)?;
            return Ok((granting, fields, Some(held)));
        }
        let capability = self.capability().await;
        self.creates.store(capability == Capability::Create, Ordering::Relaxed);
        let ignores_case = route.is_some_and(|r| admitted.ignores_case(r));
        let mut ask = crate::policy::Request {
            path: &path,
            capability,
            needs_sudo: rule == Rule::Sudo,
            wrap_ttl_seconds: admitted.call.wrap_ttl,
            fields: None,
        };
        let mut decision = acl.decide_path(&ask);
        if !decision.allowed
            && decision.denial != Some(Denial::Deny)
            && let Some(written) = &written
        {
            // A policy may spell the name as the caller does. It cannot undo a denial of the one
            // spelling.
            let other = crate::policy::Request { path: written, ..ask };
            let allowed = Some(acl.decide_path(&other)).filter(|d| d.allowed);
            if let Some(allowed) = allowed {
                (ask, decision) = (other, allowed);
            }
        }
        if !decision.allowed {
            return Err(denied_by_policy(&acl, &ask).into());
        }
        if ignores_case {
            // A denial means the name, whatever capitals it is written with.
            let above = path.strip_suffix(admitted.below.as_str()).unwrap_or_default();
            let fixed = above.matches('/').count();
            let named = crate::policy::Request { path: &path, ..ask };
            if let Some(acl) = acl.denies_whatever_case(&named, fixed) {
                return Err(denied_by_policy(&acl, &named).into());
            }
        }
        let mut fields = self.fields(given)?;
        ask.fields = Some(&fields.map.0);
        let decision = acl.decide_parameters(decision, &ask);
        if !decision.allowed {
            return Err(denied_by_policy(&acl, &ask).into());
        }
        let granting =
            acl.granting_policies(&decision, capability).into_iter().map(str::to_owned).collect();
        if let Some(limit) = decision.limit {
            fields.map.0.insert("limit".to_owned(), Json::from(limit));
        }
        if acl.keys_filter(&decision).is_some() {
            held.filtered = Some((decision, path.clone()));
        }
        if matches!(admitted.call.verb, Verb::Write | Verb::Patch) && path.ends_with('/') {
            return Err(Error::bad_request("cannot write to a path ending in '/'").into());
        }
        match self.target {
            Target::Route { .. } => Ok((granting, fields, Some(held))),
            _ if admitted.entry.is_none() => Err(admitted.no_route().into()),
            Target::OtherVerb => Err(Error::unsupported().into()),
            Target::Nothing if admitted.is_of_the_node() => Err(Error::unsupported().into()),
            Target::Nothing => Err(Error::new(ErrorKind::NoRoute, "unsupported path").into()),
        }
    }

    /// Asks policy about all that an operation needs elsewhere, and whether its own path is denied.
    fn judge_needs(
        &self,
        rights: &Rights,
        path: &str,
        given: Option<RawFields>,
    ) -> Result<(Vec<String>, RawFields), Refused> {
        let admitted = &self.admitted;
        let (Target::Route { index, captures }, Some(entry)) = (&self.target, &admitted.entry)
        else {
            return Err(Error::denied().into());
        };
        let needs = admitted.route(*index).and_then(|r| r.needs).ok_or_else(Error::denied)?;
        let acl = &rights.acl;
        let own = crate::policy::Request::new(path, Capability::Update);
        if acl.decide_path(&own).denial == Some(Denial::Deny) {
            return Err(denied_by_policy(acl, &own).into());
        }
        let fields = self.fields(given)?;
        let mut granting: Vec<String> = Vec::new();
        for need in needs(&entry.mount, captures, &fields)? {
            let path = format!("{}{}", rights.prefix, need.path);
            let mut ask = crate::policy::Request::new(&path, need.capability);
            ask.wrap_ttl_seconds = admitted.call.wrap_ttl;
            let decision = acl.decide_path(&ask);
            if !decision.allowed {
                return Err(denied_by_policy(acl, &ask).into());
            }
            for name in acl.granting_policies(&decision, need.capability) {
                if !granting.iter().any(|n| n == name) {
                    granting.push(name.to_owned());
                }
            }
        }
        Ok((granting, fields))
    }

    /// The fields that the door has read, or the body and query, as the route takes them.
    fn fields(&self, given: Option<RawFields>) -> Result<RawFields> {
        if let Some(fields) = given {
            return Ok(fields);
        }
        let call = &self.admitted.call;
        let route = match &self.target {
            Target::Route { index, .. } => self.admitted.route(*index),
            _ => None,
        };
        match route.and_then(|route| route.raw_body_max) {
            None => read_body(call),
            Some(max) if call.body.len() > max => {
                Err(Error::new(ErrorKind::TooLarge, "the body is too large"))
            }
            Some(_) => {
                Ok(RawFields { raw_body: call.body.to_vec().into(), ..RawFields::default() })
            }
        }
    }

    async fn capability(&self) -> Capability {
        match self.admitted.call.verb {
            Verb::Read => Capability::Read,
            Verb::List => Capability::List,
            Verb::Delete => Capability::Delete,
            Verb::Patch => Capability::Patch,
            Verb::Scan => Capability::Scan,
            Verb::Write => Capability::of_write(self.exists().await),
        }
    }
}
