//! Judges what a request brings as second factors. The texts of refusals are Vault's, as clients
//! look into them.

use strongroom_base::{Result, SecretString, Timestamp};

use super::attempts::Try;
use super::credentials::passcode;
use super::{Credentials, Found, Mfa, Required};
use crate::identity::{Directory, Entity};
use crate::record::Id;

/// What is said of a code that is none, or was taken: one text for both.
const BAD: &str = "MFA credentials not supplied or incorrect";

/// Whose second factors are judged, and in which transaction.
pub struct Check<'a> {
    /// The entities of the login's namespace.
    pub directory: Directory<'a>,
    /// The login's entity.
    pub entity: &'a Entity,
    /// The id of the request that brings them.
    pub request: &'a str,
    /// Guarded time.
    pub now: Timestamp,
}

/// The numbers of the methods that were passed, and by whom: once the transaction is durable, their
/// tries are forgotten.
pub struct Passed {
    methods: Vec<Id>,
    entity: String,
}

/// Which enforcement is not satisfied, and why.
#[derive(Debug)]
pub struct Refusal {
    /// The enforcement's name.
    pub enforcement: String,
    /// Why.
    pub why: String,
}

/// Several failures, in the form that Go programs give them.
fn joined(problems: &[String]) -> String {
    let count = problems.len();
    let mut text = format!("{count} error{} occurred:\n", if count == 1 { "" } else { "s" });
    for problem in problems {
        text.push_str("\t* ");
        text.push_str(problem);
        text.push('\n');
    }
    text.push('\n');
    text
}

impl Passed {
    /// Forgets the tries.
    pub fn forget_tries(&self, mfa: &Mfa) {
        for method in &self.methods {
            mfa.attempts.forget(*method, &self.entity);
        }
    }
}

impl Mfa {
    /// Are all of `required` satisfied? A code that was good is taken with that, in the transaction of
    /// `check`.
    pub async fn satisfy(
        &self,
        check: &Check<'_>,
        required: &[Required],
        credentials: &Credentials,
    ) -> Result<Result<Passed, Refusal>> {
        let mut passed = Passed { methods: Vec::new(), entity: check.entity.id.clone() };
        for one in required {
            if let Err(why) = self.satisfy_one(check, one, credentials, &mut passed).await? {
                let enforcement = one.enforcement.name.clone();
                return Ok(Err(Refusal { enforcement, why }));
            }
        }
        Ok(Ok(passed))
    }

    async fn satisfy_one(
        &self,
        check: &Check<'_>,
        required: &Required,
        credentials: &Credentials,
        passed: &mut Passed,
    ) -> Result<Result<(), String>> {
        let mut problems = Vec::new();
        let mut given = false;
        for found in &required.methods {
            // What one enforcement took satisfies the next one, too: the code is good only once.
            if passed.methods.contains(&found.method.at) {
                return Ok(Ok(()));
            }
            let Some(values) = credentials.of(found) else { continue };
            given = true;
            match self.pass(check, found, values).await? {
                Ok(()) => {
                    passed.methods.push(found.method.at);
                    return Ok(Ok(()));
                }
                Err(problem) => problems.push(problem),
            }
        }
        if !given {
            let missing = required.methods.iter().map(|Found { method, namespace }| {
                format!(
                    "failed to find MFA credentials associated with an MFA method ID {}, method \
                     name {}{}",
                    method.id, namespace.path, method.name
                )
            });
            let missing: Vec<String> = missing.collect();
            return Ok(Err(format!("failed to sanitize MFA creds, {}", joined(&missing))));
        }
        let ids = required.enforcement.methods.join(" ");
        problems.push(format!("login MFA validation failed for methodID: [{ids}]"));
        Ok(Err(joined(&problems)))
    }

    /// Is one of the values a code of the entity's that is good now and was not taken?
    async fn pass(
        &self,
        check: &Check<'_>,
        found: &Found,
        values: &[SecretString],
    ) -> Result<Result<(), String>> {
        let Check { directory, entity, request, now } = check;
        let code = match passcode(values) {
            Ok(code) => code.unwrap_or_default(),
            Err(why) => return Ok(Err(format!("failed to parse MFA factor, {why}"))),
        };
        let method = &found.method;
        let Some(secret) = directory.factor_secret(method.at, &entity.id).await? else {
            return Ok(Err(format!(
                "MFA secret for method name {:?} not present in entity {:?}",
                method.name, entity.id
            )));
        };
        let codes = secret.codes;
        if !codes.is_well_formed(code) {
            return Ok(Err(BAD.to_owned()));
        }
        let most = method.totp.attempts_max;
        let counted =
            Try { method: method.at, entity: &entity.id, request, seconds: codes.good_for(), most };
        if let Err((tries, seconds)) = self.attempts.count(&counted, *now) {
            return Ok(Err(format!(
                "maximum TOTP validation attempts {tries} exceeded the allowed attempts {most}. \
                 Please try again in {seconds} seconds"
            )));
        }
        let mut taken = directory.taken_codes(method.at, &entity.id).await?;
        let window = codes.window(now.seconds());
        taken.steps.retain(|step| window.contains(step));
        let mut fitting = codes.fitting(&secret.key, now.seconds(), code);
        // The same digits may be the code of two steps: they are taken with the first.
        if fitting.is_empty() || fitting.iter().any(|step| taken.steps.contains(step)) {
            return Ok(Err(BAD.to_owned()));
        }
        taken.steps.append(&mut fitting);
        directory.put_taken_codes(method.at, &entity.id, &taken)?;
        Ok(Ok(()))
    }
}
