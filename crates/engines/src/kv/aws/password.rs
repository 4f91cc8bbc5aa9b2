//! GetRandomPassword.

use strongroom_base::{Json, RawFields, Result, Rng, SecretString, fields};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Need, Query, ReadCx, Reply, ops};
use strongroom_kernel::policy::Capability;
use zeroize::Zeroize;

use super::limits::{PASSWORD_CHARS_DEFAULT, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN};
use super::refusals;
use crate::kv::Kv;

/// The 32 signs of ASCII.
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
const LOWERCASE: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPERCASE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const NUMBERS: &str = "0123456789";
/// Characters of `ExcludeCharacters`.
const EXCLUDED_CHARS_MAX: usize = 4_096;

fields! {
    /// Draws a password.
    pub struct RandomPassword {
        /// Its length; 32 where nothing is said.
        password_length: Option<i64>,
        /// Characters that it may not have.
        exclude_characters: Option<String>,
        /// May it have no digits?
        exclude_numbers: Option<bool>,
        /// May it have no signs?
        exclude_punctuation: Option<bool>,
        /// May it have no capitals?
        exclude_uppercase: Option<bool>,
        /// May it have no small letters?
        exclude_lowercase: Option<bool>,
        /// May it have the space?
        include_space: Option<bool>,
        /// Must it have each kind that it may have? So it is where nothing is said.
        require_each_included_type: Option<bool>,
    }
}

ops! { RandomPassword Json, Write, Needs; }

/// What Vault's own source of random texts needs.
pub(super) fn needs(_: &Mount, _: &[(&'static str, String)], _: &RawFields) -> Result<Vec<Need>> {
    Ok(vec![Need::new("sys/tools/random", Capability::Update)])
}

/// A number below `end`, all equally likely.
fn below(end: usize, rng: &dyn Rng) -> usize {
    let end = u32::try_from(end).unwrap_or(u32::MAX).max(1);
    let fair = u32::MAX - u32::MAX % end;
    loop {
        let drawn = u32::from_le_bytes(rng.array());
        if drawn < fair {
            return (drawn % end) as usize;
        }
    }
}

fn pick(of: &[u8], rng: &dyn Rng) -> u8 {
    of.get(below(of.len(), rng)).copied().unwrap_or_default()
}

/// The kinds of characters that a password may have; none is empty.
fn kinds(op: &RandomPassword) -> Vec<Vec<u8>> {
    let excluded = op.exclude_characters.as_deref().unwrap_or_default();
    [
        (LOWERCASE, !op.exclude_lowercase.unwrap_or(false)),
        (UPPERCASE, !op.exclude_uppercase.unwrap_or(false)),
        (NUMBERS, !op.exclude_numbers.unwrap_or(false)),
        (PUNCTUATION, !op.exclude_punctuation.unwrap_or(false)),
        (" ", op.include_space.unwrap_or(false)),
    ]
    .into_iter()
    .filter(|(_, included)| *included)
    .map(|(signs, _)| signs.bytes().filter(|b| !excluded.contains(char::from(*b))).collect())
    .filter(|kind: &Vec<u8>| !kind.is_empty())
    .collect()
}

/// A password as AWS's rotation functions draw it: without the signs that databases' addresses cannot
/// have.
pub(super) fn for_databases(rng: &dyn Rng) -> Result<SecretString> {
    let op = RandomPassword {
        password_length: None,
        exclude_characters: Some("/@\"'\\:`".to_owned()),
        exclude_numbers: None,
        exclude_punctuation: None,
        exclude_uppercase: None,
        exclude_lowercase: None,
        include_space: None,
        require_each_included_type: None,
    };
    draw(&op, rng)
}

fn draw(op: &RandomPassword, rng: &dyn Rng) -> Result<SecretString> {
    let length = op.password_length.unwrap_or(PASSWORD_CHARS_DEFAULT as i64);
    if !(PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&length) {
        return Err(refusals::invalid_parameter(format!(
            "Password length must be between {PASSWORD_CHARS_MIN} and {PASSWORD_CHARS_MAX}."
        )));
    }
    if op.exclude_characters.as_ref().is_some_and(|e| e.chars().count() > EXCLUDED_CHARS_MAX) {
        return Err(refusals::too_long("excludeCharacters", EXCLUDED_CHARS_MAX));
    }
    let kinds = kinds(op);
    let all: Vec<u8> = kinds.concat();
    if all.is_empty() {
        return Err(refusals::invalid_parameter(
            "No characters are left to make a password of: too many are excluded.",
        ));
    }
    let length = usize::try_from(length).unwrap_or(PASSWORD_CHARS_DEFAULT);
    let each = op.require_each_included_type.unwrap_or(true);
    if each && kinds.len() > length {
        return Err(refusals::invalid_parameter(format!(
            "Password length must be at least {} based on the required types.",
            kinds.len()
        )));
    }
    let mut signs = vec![0; length];
    if each {
        for (slot, kind) in signs.iter_mut().zip(&kinds) {
            *slot = pick(kind, rng);
        }
    }
    let required = if each { kinds.len() } else { 0 };
    signs.iter_mut().skip(required).for_each(|slot| *slot = pick(&all, rng));
    for i in (1..signs.len()).rev() {
        signs.swap(i, below(i + 1, rng));
    }
    let text = signs.iter().map(|b| char::from(*b)).collect();
    signs.zeroize();
    Ok(SecretString::new(text))
}

impl Query<RandomPassword> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: RandomPassword) -> Result<Reply<Json>> {
        let password = draw(&op, cx.rng())?;
        Ok(Reply::data(serde_json::json!({ "random_password": password.expose_secret() })))
    }
}
