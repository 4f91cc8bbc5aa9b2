//! AWS's protocol: JSON 1.1 for Secrets Manager, KMS and Parameter Store, the query protocol for STS,
//! both signed with Signature Version 4 (contracts: "AWS JSON 1.1 protocol", "Query protocol",
//! "Signing AWS API requests").
//!
//! Invariants:
//! * a request is translated to one operation of one mount; what it may do, the kernel decides;
//! * who signed is verified before anything of what the request says is answered;
//! * a failure has the name that AWS gives it, and its text holds no secret, no signature and nothing
//!   that was signed.
//!
//! A service is one file: a table of [`Operation`]s, each with the function that plans it. The door
//! knows no secret, key or parameter.

#[cfg(test)]
mod documents_tests;
mod errors;
#[cfg(test)]
mod fuzz_tests;
mod input;
mod kms;
pub mod names;
mod parameters;
mod reply;
mod request;
mod scope;
mod secrets;
mod signed;
mod sts;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use strongroom_base::{Error, Json, JsonMap, Result};

pub use errors::code_of;
pub use reply::{failure, render};
pub use request::{
    Answering, BODY_BYTES_MAX, Form, Prepared, Received, Refusal, form_of, is_for_us, refused,
};
pub use scope::{Arn, Place, REGION_SLOT, Regions, Scope, is_region};

/// Bytes of one text that conditions see: more than any service allows for it.
const KEY_BYTES_MAX: usize = 8_320;
/// Bytes of all of them: more than the tags of one request may have.
const KEYS_BYTES_MAX: usize = 128 * 1_024;

/// One operation of a service.
#[derive(Clone, Copy)]
pub struct Operation {
    /// Its name, as in `X-Amz-Target` after the dot, and in policies after the colon.
    pub name: &'static str,
    /// What it asks of which mount. It is asked only about members of the request, before any right is
    /// known: it must tell nothing of what is stored. Its failures are `Error::bad_request(…)
    /// .called("…Exception")`.
    pub plan: fn(&Scope, JsonMap) -> Result<Planned>,
}

/// How AWS's answer is made of an operation's reply. Members without a value are to be left out.
#[derive(Clone, Copy)]
pub enum Shape {
    /// It is made of it.
    Made(Make),
    /// It is written as it is made, for what is asked often or is long.
    Written(fn(&Scope, &Json, &mut Vec<u8>)),
}

impl Shape {
    /// The reply as it is.
    pub const SAME: Self = Self::Made(|_, json| json);

    /// The answer of a reply.
    #[cfg(test)]
    fn answer(self, scope: &Scope, reply: Json) -> Json {
        match self {
            Self::Made(make) => make(scope, reply),
            Self::Written(write) => {
                let mut out = Vec::new();
                write(scope, &reply, &mut out);
                serde_json::from_slice(&out).unwrap()
            }
        }
    }
}

/// Makes an answer of a reply.
pub type Make = fn(&Scope, Json) -> Json;

/// A key that conditions see, and its values.
pub type Key = (Cow<'static, str>, Vec<String>);

/// What a request asks of the kernel.
pub struct Planned {
    /// The operation's path below the namespace (`secret/aws/get-value/app/db`).
    pub path: String,
    /// Its fields.
    pub body: JsonMap,
    /// Makes the answer.
    pub shape: Shape,
    /// The ARN that it is about, for IAM documents and refusals; `*` where it is about none. The ARN of
    /// a secret stands here without its six characters: its engine adds them.
    pub resource: String,
    /// What conditions of IAM documents see of the request (`secretsmanager:VersionStage`,
    /// `aws:RequestTag/K`), beside what the door adds itself (`aws:SourceIp`, `aws:CurrentTime`, …).
    pub keys: Vec<Key>,
}

impl Planned {
    /// An operation about no single resource.
    pub fn new(path: String, body: JsonMap, make: Make) -> Self {
        Self::shaped(path, body, Shape::Made(make))
    }

    /// The same, whose answer may be written as it is made.
    pub fn shaped(path: String, body: JsonMap, shape: Shape) -> Self {
        Self { path, body, shape, resource: "*".to_owned(), keys: Vec::new() }
    }

    /// It is about the resource of this ARN.
    pub fn about(mut self, arn: String) -> Self {
        self.resource = arn;
        self
    }

    /// Refuses what conditions could not see in one way, or only at a price: keys that differ in nothing but
    /// their case, which conditions do not tell apart, and values beyond all bounds of the services.
    fn check_keys(&self) -> Result<()> {
        let mut names: Vec<&str> = self.keys.iter().map(|(key, _)| &**key).collect();
        names.sort_unstable_by(|a, b| {
            let lower = |b: u8| b.to_ascii_lowercase();
            a.bytes().map(lower).cmp(b.bytes().map(lower))
        });
        let differ = |two: &[&str]| two[0] != two[1] && two[0].eq_ignore_ascii_case(two[1]);
        if names.windows(2).any(differ) {
            return Err(Error::bad_request(
                "The request has two tags, or two members of a context, whose names differ in \
                 nothing but their case.",
            )
            .called("ValidationException"));
        }
        let mut total = 0_usize;
        for (key, values) in &self.keys {
            let texts = || values.iter().map(String::as_str).chain([&**key]);
            total = texts().fold(total, |total, text| total.saturating_add(text.len()));
            if texts().any(|text| text.len() > KEY_BYTES_MAX) || total > KEYS_BYTES_MAX {
                return Err(Error::bad_request("A member of the request is too long.")
                    .called("ValidationException"));
            }
        }
        Ok(())
    }

    /// Conditions see this key of the request.
    pub fn key(mut self, name: impl Into<Cow<'static, str>>, values: Vec<String>) -> Self {
        self.keys.push((name.into(), values));
        self
    }
}

/// A service that speaks JSON 1.1.
pub struct Service {
    /// Its name in the scope of signatures, and before the colon of policies' actions.
    pub name: &'static str,
    /// What stands before the dot of `X-Amz-Target`.
    pub target: &'static str,
    /// Its operations.
    pub operations: &'static [Operation],
}

/// The services that speak JSON 1.1.
pub const SERVICES: &[Service] = &[
    Service { name: "kms", target: "TrentService", operations: kms::OPERATIONS },
    Service { name: "secretsmanager", target: "secretsmanager", operations: secrets::OPERATIONS },
    Service { name: "ssm", target: "AmazonSSM", operations: parameters::OPERATIONS },
];

/// Every operation of every service, by the service's name: tests of clients are held to it.
pub fn operations() -> impl Iterator<Item = (&'static str, &'static str)> {
    let named = |service: &'static Service| {
        service.operations.iter().map(|operation| (service.name, operation.name))
    };
    let sts = sts::OPERATIONS.iter().map(|operation| ("sts", operation.name));
    SERVICES.iter().flat_map(named).chain(sts)
}

/// The service and operation of a target (`secretsmanager.GetSecretValue`).
fn find(target: &str) -> Option<(&'static Service, Option<&'static Operation>)> {
    let (prefix, name) = target.split_once('.')?;
    let service = SERVICES.iter().find(|service| service.target == prefix)?;
    Some((service, service.operations.iter().find(|operation| operation.name == name)))
}
