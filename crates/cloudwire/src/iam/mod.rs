//! IAM's policy documents: what they may say here, and what they say of a request (AWS, "IAM JSON
//! policy elements reference", "Policy evaluation logic").
//!
//! Invariants:
//! * a document is understood wholly or refused: nothing in it is stored and then passed over;
//! * an explicit deny wins over every allow;
//! * a document is read in one way: a member that is there twice refuses it.
//!
//! Deliberately outside, and so refused: policy variables (`${aws:username}`), principals of other kinds
//! than `AWS`, and condition keys that nothing here can tell (`conditions::is_known`).

mod conditions;
mod matching;
mod parse;
mod statement;
mod strict;
#[cfg(test)]
mod tests;

pub use conditions::is_known;
pub use statement::{Context, Principal, Request};

use statement::{Effect, Statement};

/// Bytes of a document (Secrets Manager, "PutResourcePolicy").
pub const DOCUMENT_BYTES_MAX: usize = 20_480;

/// What a document is attached to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A role: its statements name resources, and no principals.
    Identity,
    /// A resource: each statement names its principals.
    Resource,
}

/// Why a document was refused: a text without anything of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed(pub &'static str);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// What one document says of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// A statement denies it.
    Denied,
    /// A statement allows it, and none denies it.
    Allowed,
    /// No statement is about it.
    Silent,
}

/// A document that was understood.
#[derive(Clone, PartialEq, Debug)]
pub struct Document {
    statements: Vec<Statement>,
}

impl Document {
    /// Reads a document of `kind`.
    pub fn parse(text: &str, kind: Kind) -> Result<Self, Malformed> {
        parse::document(text, kind).map(|statements| Self { statements })
    }

    /// What it says of `request`.
    pub fn judge(&self, request: &Request<'_>) -> Verdict {
        let mut verdict = Verdict::Silent;
        for statement in &self.statements {
            match statement.effect {
                Effect::Allow if verdict == Verdict::Allowed => {}
                effect if statement.is_about(request) => match effect {
                    Effect::Deny => return Verdict::Denied,
                    Effect::Allow => verdict = Verdict::Allowed,
                },
                _ => {}
            }
        }
        verdict
    }

    /// Does it allow something to everybody, whoever they are? (Secrets Manager, "BlockPublicPolicy")
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(Statement::is_public)
    }
}

/// Who says no, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// A statement of a document attached to the caller denies it.
    DeniedToIdentity,
    /// A statement of the resource's policy denies it.
    DeniedByResource,
    /// Nothing allows it.
    NotAllowed,
}

/// Do the documents allow the request? Each of those attached to the caller must, or the resource's own
/// policy in their place; nothing may deny it. Without any there is nothing to ask.
pub fn decide(
    request: &Request<'_>,
    identity: &[&Document],
    resource: Option<&Document>,
) -> Result<(), Refusal> {
    let own: Vec<Verdict> = identity.iter().map(|document| document.judge(request)).collect();
    if own.contains(&Verdict::Denied) {
        return Err(Refusal::DeniedToIdentity);
    }
    let of_resource = resource.map_or(Verdict::Silent, |document| document.judge(request));
    match of_resource {
        Verdict::Denied => Err(Refusal::DeniedByResource),
        Verdict::Allowed => Ok(()),
        Verdict::Silent if own.iter().all(|verdict| *verdict == Verdict::Allowed) => Ok(()),
        Verdict::Silent => Err(Refusal::NotAllowed),
    }
}
