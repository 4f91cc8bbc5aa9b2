//! ACME (RFC 8555): certificates for whoever proves that a name or address is theirs, without a
//! token of ours. Every request is signed by an account's key.
//!
//! * [`visit`] is a request's way in: the directory it came by, its signature, nonce and account;
//!   [`problem`] is how a failure leaves;
//! * [`config`] is an operator's, [`eab`] the secrets by which operators let accounts in;
//! * [`accounts`], [`orders`], [`authorizations`], [`finalize`] and [`revoke`] are what clients do;
//! * [`validation`] looks at what was promised, in the background; [`proof`] knows what must be
//!   there;
//! * [`expiry`] removes what strangers began and did not end, [`tidy`] what is of no use any more.
//!
//! Invariants:
//! * the directory, with its role and issuer, follows from the path and from nothing in a body;
//! * a request reaches the records of the account that signed it and of no other;
//! * a name gets into a certificate only by an authorization of the account that is valid and not
//!   expired, and only where the directory's role allows it when the order is made and again when it
//!   is fulfilled (threat GHSA-g892-p242-8g86);
//! * nothing outside is asked while a request waits;
//! * what strangers can have us keep is bounded ([`limits`]).

mod accounts;
mod authorizations;
mod config;
mod eab;
pub(super) mod expiry;
mod finalize;
mod identifiers;
mod issuance;
mod key_change;
mod limits;
mod nonces;
mod orders;
mod problem;
mod proof;
mod revoke;
mod stored;
#[cfg(test)]
mod tests;
pub(super) mod tidy;
mod validation;
mod visit;

use std::sync::Arc;

use strongroom_base::{Json, fields};
use strongroom_connectors::acme::Challenges;
use strongroom_kernel::plug::EngineSpec;

use super::PkiEngine;
use limits::Limits;
use nonces::Nonces;
use validation::Crew;

/// What a mount's ACME server has in memory. None of it is missed when it is lost: clients fetch
/// other nonces, and what is to be validated is on record.
pub(super) struct Acme {
    nonces: Nonces,
    limits: Limits,
    crew: Arc<Crew>,
    challenges: Arc<dyn Challenges>,
}

impl Acme {
    pub fn new(challenges: Arc<dyn Challenges>) -> Self {
        Self {
            nonces: Nonces::default(),
            limits: Limits::default(),
            crew: Arc::default(),
            challenges,
        }
    }
}

fields! {
    /// A signed message in its flattened JSON form.
    pub struct Message {
        /// The protected header.
        protected: Option<String>,
        /// The payload.
        payload: Option<String>,
        /// The signature.
        signature: Option<String>,
        /// An unprotected header, which no message may have.
        header: Option<Json>,
        /// Several signatures, which no message may have.
        signatures: Option<Json>,
    }
}

/// Operations whose requests are signed by an account.
macro_rules! signed {
    ($($(#[doc = $help:literal])+ $op:ident { $($(#[doc = $field_help:literal])+ $field:ident),* } => $run:path;)+) => {
        $(
            strongroom_base::fields! {
                $(#[doc = $help])+
                pub struct $op {
                    ..message: super::Message;
                    $($(#[doc = $field_help])+ $field: String),*
                }
            }

            impl strongroom_kernel::plug::Op for $op {
                type Reply = ();
                const VERB: strongroom_kernel::plug::Verb = strongroom_kernel::plug::Verb::Write;
                const RULE: strongroom_kernel::plug::Rule = strongroom_kernel::plug::Rule::Open;
            }

            impl strongroom_kernel::plug::Command<$op> for super::PkiEngine {
                async fn command(
                    &self,
                    cx: &mut strongroom_kernel::plug::WriteCx<'_>,
                    op: $op,
                ) -> strongroom_base::Result<strongroom_kernel::plug::Reply<()>> {
                    let visit = self.visit(cx, &op.message).await?;
                    let outcome = $run(self, cx, &visit, &op).await;
                    self.leave(cx, &visit.directory, outcome)
                }
            }
        )+
    };
}
use signed;

/// Adds an operation to each kind of directory.
macro_rules! directories {
    ($spec:ident, $($kind:ident $op:ty, $path:literal;)+) => {
        $(let $spec = $spec
            .$kind::<$op>(concat!("acme/", $path))
            .$kind::<$op>(concat!("roles/{role}/acme/", $path))
            .$kind::<$op>(concat!("issuer/{issuer_ref}/acme/", $path))
            .$kind::<$op>(concat!("issuer/{issuer_ref}/roles/{role}/acme/", $path));)+
    };
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    let spec = config::add(spec);
    let spec = eab::add(spec);
    directories! { spec,
        command visit::ReadDirectory, "directory";
        command visit::NewNonce, "new-nonce";
        command accounts::NewAccount, "new-account";
        command accounts::UpdateAccount, "account/{kid}";
        command orders::ListOrders, "account/{kid}/orders";
        command orders::ListOwnOrders, "orders";
        command key_change::ChangeKey, "key-change";
        command orders::NewOrder, "new-order";
        command orders::ReadOrder, "order/{order_id}";
        command finalize::Finalize, "order/{order_id}/finalize";
        command finalize::ReadCertificate, "order/{order_id}/cert";
        command authorizations::ReadAuthorization, "authorization/{auth_id}";
        command authorizations::AnswerChallenge, "challenge/{auth_id}/{challenge_type}";
        command revoke::RevokeCertificate, "revoke-cert";
        command eab::NewBinding, "new-eab";
    }
    spec
}
