//! Password policies (`sys/policies/password`): what a generated password must look like. Engines
//! that make passwords ask [`ReadCx::password`](crate::plug::ReadCx::password).
//!
//! A policy is HCL or JSON: `length`, and `rule "charset" { charset = "…", min-chars = n }` blocks.
//! A password's characters come from all charsets together; of each at least `min-chars` are there.

use serde::{Deserialize, Serialize};
use strongroom_base::hcl::{self, Body, Item};
use strongroom_base::{Error, Result, Rng, SecretString};
use zeroize::Zeroize;

use crate::record::{ReadView, Record};

/// Characters of a password that a policy may ask for.
pub const LENGTH_MIN: usize = 4;
/// As [`LENGTH_MIN`], at most.
pub const LENGTH_MAX: usize = 100;
/// Characters of all charsets together.
const CHARSET_MAX: usize = 10_000;
/// Candidates drawn until one fits; then one is put together.
const DRAWS_MAX: usize = 1_000;

/// Vault's policy where an operator names none: 20 characters, at least one of each kind.
pub const DEFAULT_TEXT: &str = r#"
length = 20
rule "charset" { charset = "abcdefghijklmnopqrstuvwxyz" min-chars = 1 }
rule "charset" { charset = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" min-chars = 1 }
rule "charset" { charset = "0123456789" min-chars = 1 }
rule "charset" { charset = "-" min-chars = 1 }
"#;

/// A stored password policy: its text as written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PasswordPolicyRecord {
    /// The text.
    pub text: String,
}

impl Record for PasswordPolicyRecord {
    const KIND: u8 = 208;
}

/// A password policy, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PasswordPolicy {
    length: usize,
    rules: Vec<Rule>,
    /// All characters, each once, sorted.
    characters: Vec<char>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Rule {
    charset: Vec<char>,
    min_chars: usize,
}

fn invalid(problem: impl std::fmt::Display) -> Error {
    Error::bad_request(format!("invalid password policy: {problem}"))
}

impl PasswordPolicy {
    /// Reads a policy.
    pub fn parse(text: &str) -> Result<Self> {
        let body = hcl::parse(text).map_err(|e| invalid(format_args!("unable to decode: {e}")))?;
        let mut policy = Self { length: 0, rules: Vec::new(), characters: Vec::new() };
        if let Some(item) = body.get("length") {
            let length = item.integer().map_err(invalid)?;
            policy.length = usize::try_from(length).unwrap_or(0);
        }
        for block in body.blocks("rule").map_err(invalid)? {
            if block.label != "charset" {
                let problem = format!("unrecognized rule type {}", block.label);
                return Err(invalid(format_args!("unable to parse rules: {problem}")));
            }
            policy.rules.push(Rule::parse(block.body).map_err(invalid)?);
        }
        policy.characters = policy.rules.iter().flat_map(|r| r.charset.iter().copied()).collect();
        policy.characters.sort_unstable();
        policy.characters.dedup();
        policy.check()?;
        Ok(policy)
    }

    fn check(&self) -> Result<()> {
        if self.length == 0 {
            return Err(invalid("length must be > 0"));
        }
        if self.characters.is_empty() {
            return Err(invalid("no charset specified"));
        }
        if self.characters.iter().any(|c| c.is_control()) {
            return Err(invalid("non-printable character in charset"));
        }
        if self.characters.len() > CHARSET_MAX {
            return Err(invalid("charset has too many characters"));
        }
        let least = self.rules.iter().fold(0_usize, |sum, r| sum.saturating_add(r.min_chars));
        if least > self.length {
            return Err(invalid(format_args!(
                "specified rules require at least {least} characters but {} is specified",
                self.length
            )));
        }
        if !(LENGTH_MIN..=LENGTH_MAX).contains(&self.length) {
            return Err(Error::bad_request(format!(
                "passwords must be between {LENGTH_MIN} and {LENGTH_MAX} characters"
            )));
        }
        Ok(())
    }

    /// A password. All that the policy allows are equally likely, except under rules so strict
    /// that hardly a random string keeps them.
    pub fn generate(&self, rng: &dyn Rng) -> SecretString {
        let mut candidate = vec!['\0'; self.length];
        for _ in 0..DRAWS_MAX {
            candidate.fill_with(|| pick(&self.characters, rng));
            if self.rules.iter().all(|rule| rule.is_kept_by(&candidate)) {
                return take(candidate);
            }
        }
        let required = self.rules.iter().flat_map(|r| std::iter::repeat_n(r, r.min_chars));
        for (slot, rule) in candidate.iter_mut().zip(required) {
            *slot = pick(&rule.charset, rng);
        }
        for i in (1..candidate.len()).rev() {
            candidate.swap(i, below(i + 1, rng));
        }
        take(candidate)
    }
}

impl Rule {
    fn parse(body: &Body) -> Result<Self, hcl::Error> {
        let mut rule = Self { charset: Vec::new(), min_chars: 0 };
        if let Some(item) = body.get("charset") {
            rule.charset = item.text()?.chars().collect();
        }
        if let Some(item) = body.get("min-chars") {
            rule.min_chars = min_chars(item)?;
        }
        if rule.min_chars > 0 && rule.charset.is_empty() {
            let at = hcl::Position { line: 1, column: 1 };
            return Err(hcl::Error::new(at, "no charset specified"));
        }
        Ok(rule)
    }

    fn is_kept_by(&self, candidate: &[char]) -> bool {
        candidate.iter().filter(|c| self.charset.contains(c)).count() >= self.min_chars
    }
}

fn min_chars(item: &Item) -> Result<usize, hcl::Error> {
    Ok(usize::try_from(item.integer()?).unwrap_or(0))
}

fn take(mut candidate: Vec<char>) -> SecretString {
    let text = candidate.iter().collect();
    candidate.zeroize();
    SecretString::new(text)
}

fn pick(characters: &[char], rng: &dyn Rng) -> char {
    characters.get(below(characters.len(), rng)).copied().unwrap_or('\0')
}

/// A number below `end`, each equally likely: draws above the last multiple of `end` are dropped.
fn below(end: usize, rng: &dyn Rng) -> usize {
    let end = end.max(1) as u32;
    let limit = u32::MAX - u32::MAX % end;
    loop {
        let draw = u32::from_be_bytes(rng.array());
        if draw < limit {
            return (draw % end) as usize;
        }
    }
}

/// The password policy called `name` of the namespace that `view` shows.
pub async fn read(view: &ReadView<'_>, name: &str) -> Result<Option<PasswordPolicy>> {
    let record = view.named::<PasswordPolicyRecord>(0, name).await?;
    record.map(|r| PasswordPolicy::parse(&r.text)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts up: enough to be different, not random.
    struct Counter(std::sync::atomic::AtomicU64);
    impl Rng for Counter {
        fn fill(&self, out: &mut [u8]) {
            for byte in out {
                let n = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                *byte = (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8;
            }
        }
    }

    #[test]
    fn refuses_what_no_password_can_be() {
        for (text, problem) in [
            ("", "length must be > 0"),
            ("length = 20", "no charset specified"),
            ("length = -1\nrule \"charset\" { charset = \"a\" }", "length must be > 0"),
            ("length = 20\nrule \"charset\" { charset = \"\" min-chars = 1 }", "no charset"),
            ("length = 20\nrule \"charset\" { charset = \"a\" min-chars = 21 }", "at least 21"),
            ("length = 20\nrule \"words\" { charset = \"a\" }", "unrecognized rule type words"),
            ("length = 3\nrule \"charset\" { charset = \"a\" }", "between 4 and 100"),
            ("length = 101\nrule \"charset\" { charset = \"a\" }", "between 4 and 100"),
            ("length = 20\nrule \"charset\" { charset = \"a\\n\" }", "non-printable"),
            ("{{{", "unable to decode"),
            ("length = \"x\"", "invalid password policy"),
        ] {
            let e = PasswordPolicy::parse(text).map(|_| ()).unwrap_err();
            assert!(e.public[0].contains(problem), "{text}: {:?}", e.public);
        }
    }

    #[test]
    fn passwords_keep_their_rules() {
        let rng = Counter(1.into());
        for (text, length, check) in [
            (
                "length = 4\nrule \"charset\" { charset = \"abc\" }",
                4,
                (|p: &str| p.chars().all(|c| "abc".contains(c))) as fn(&str) -> bool,
            ),
            (
                r#"{"length": 100, "rule": [{"charset": {"charset": "ab", "min-chars": 1}},
                    {"charset": {"charset": "é9", "min-chars": 2}}]}"#,
                100,
                |p| p.contains(['a', 'b']) && p.chars().filter(|c| "é9".contains(*c)).count() >= 2,
            ),
            // So strict that drawing hardly ever finds one.
            (
                "length = 30\nrule \"charset\" { charset = \"abcdefghijklmnopqrstuvwxyz\" }
                 rule \"charset\" { charset = \"0\" min-chars = 30 }",
                30,
                |p| p == "0".repeat(30),
            ),
        ] {
            let policy = PasswordPolicy::parse(text).unwrap();
            for _ in 0..20 {
                let password = policy.generate(&rng);
                let password = password.expose_secret();
                assert_eq!(password.chars().count(), length, "{text}");
                assert!(check(password), "{text}");
            }
        }
    }
}
