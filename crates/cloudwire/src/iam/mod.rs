//! IAM's policy documents: what they may say here, and what they say of a request (AWS, "IAM JSON
//! policy elements reference", "Policy evaluation logic").
//!
//! Invariants:
//! * a document is understood wholly or refused: nothing in it is stored and then passed over;
//! * an explicit deny wins over every allow;
//! * the document of a session must allow in any case: neither a resource's policy nor its trust stands in
//!   for it;
//! * names of roles have no case and no path: a document that spells one otherwise means the same role, or
//!   is refused;
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

use std::borrow::Cow;

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

/// Why a document was refused: a text without anything of it but the name of an unknown element.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed(pub Cow<'static, str>);

impl Malformed {
    const fn new(why: &'static str) -> Self {
        Self(Cow::Borrowed(why))
    }
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
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

/// The documents that a request is judged by; what is not there says nothing.
#[derive(Clone, Copy, Default)]
pub struct Documents<'a> {
    /// The role's own.
    pub identity: Option<&'a Document>,
    /// The one that narrows the session.
    pub session: Option<&'a Document>,
    /// The policy of the resource.
    pub resource: Option<&'a Document>,
    /// Does the resource trust the caller otherwise?
    pub trusted: bool,
}

/// Do the documents allow the request? The session's must; the role's own must, or the resource's policy or
/// trust in its place; nothing may deny it. Without any there is nothing to ask.
pub fn decide(request: &Request<'_>, documents: &Documents<'_>) -> Result<(), Refusal> {
    let verdict = |document: &Document| document.judge(request);
    let (own, session) = (documents.identity.map(verdict), documents.session.map(verdict));
    if [own, session].contains(&Some(Verdict::Denied)) {
        return Err(Refusal::DeniedToIdentity);
    }
    let of_resource = documents.resource.map_or(Verdict::Silent, verdict);
    if of_resource == Verdict::Denied {
        return Err(Refusal::DeniedByResource);
    }
    let allows = |verdict: Option<Verdict>| verdict.is_none_or(|v| v == Verdict::Allowed);
    let granted = documents.trusted || of_resource == Verdict::Allowed;
    if allows(session) && (allows(own) || granted) { Ok(()) } else { Err(Refusal::NotAllowed) }
}
