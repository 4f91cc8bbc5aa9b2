//! `code/NAME`: makes the present code of a key, or checks one.

use serde_json::json;
use strongroom_base::duration::format_go_seconds;
use strongroom_base::{Error, ErrorKind, Json, Result, SecretString, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::TotpEngine;
use super::key::{Key, Tries};

/// Wrong codes of one key that an entity gets answers to within the key's window; then it waits.
/// Vault's number for second factors (`max_validation_attempts`).
pub const WRONG_CODES_MAX: u32 = 5;
/// The same of all entities together: who guesses wrong waits by itself, and does not lock others
/// out, unless several guess at once.
pub const WRONG_CODES_OF_ALL_MAX: u32 = 20;

fields! {
    /// Makes the present code.
    pub struct ReadCode {
        /// The key's name.
        name: String,
    }
}
fields! {
    /// Checks a code, which is good once.
    pub struct CheckCode {
        /// The key's name.
        name: String,
        /// The code: its digits and nothing else.
        code: Option<SecretString>,
    }
}

ops! {
    ReadCode Json, Read;
    CheckCode Json, Write;
}

pub(super) fn add(spec: EngineSpec<TotpEngine>) -> EngineSpec<TotpEngine> {
    spec.query::<ReadCode>("code/{name}").command::<CheckCode>("code/{name}")
}

async fn find(cx: &ReadCx<'_>, name: &str) -> Result<Key> {
    let key = cx.view().named::<Key>(0, name).await?;
    key.ok_or_else(|| Error::bad_request(format!("unknown key: {name}")))
}

impl Query<ReadCode> for TotpEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadCode) -> Result<Reply<Json>> {
        let key = find(cx, &op.name).await?;
        let codes = key.codes();
        let step = codes.step(cx.now().seconds());
        let period = i64::try_from(key.period).unwrap_or(i64::MAX);
        Ok(Reply::data(json!({
            "code": codes.code(&key.secret, step).expose_secret(),
            "generated": cx.now().seconds(),
            "expire_time": step.saturating_add(1).saturating_mul(key.period),
            "period": format_go_seconds(period),
        })))
    }
}

impl Command<CheckCode> for TotpEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: CheckCode) -> Result<Reply<Json>> {
        cx.queue(&op.name).await;
        let key = find(cx, &op.name).await?;
        let code = op.code.as_ref().map_or("", |code| code.expose_secret().as_str());
        if code.is_empty() {
            return Err(Error::bad_request("the code value is required"));
        }
        let codes = key.codes();
        if !codes.is_well_formed(code) {
            return Err(Error::bad_request("invalid number of digits for the code"));
        }
        let mut tries = cx.view().named::<Tries>(0, &op.name).await?.unwrap_or_default();
        wait_after_guesses(&mut tries, &key, cx)?;
        let seconds = cx.now().seconds();
        tries.forget(codes.step(seconds));
        let mut fitting = codes.fitting(&key.secret, seconds, code);
        // The same digits may be the code of two steps: they are taken with the first.
        if fitting.iter().any(|step| tries.taken.contains(step)) {
            let text = "code already used; wait until the next time period";
            return Err(Error::bad_request(text));
        }
        let valid = !fitting.is_empty();
        if valid {
            tries.taken.append(&mut fitting);
            let own = tries.wrong_by.remove(cx.request.entity_id()).unwrap_or(0);
            tries.wrong = tries.wrong.saturating_sub(own);
        } else {
            if tries.wrong == 0 {
                tries.since = cx.now();
            }
            tries.wrong += 1;
            *tries.wrong_by.entry(cx.request.entity_id().to_owned()).or_default() += 1;
        }
        cx.edit().put_named(0, &op.name, &tries)?;
        Ok(Reply::data(json!({ "valid": valid })))
    }
}

/// Refuses whoever asks after too many wrong codes. Their count ends when none of the codes that
/// were good at the first of them is any more.
fn wait_after_guesses(tries: &mut Tries, key: &Key, cx: &ReadCx<'_>) -> Result<()> {
    let end = tries.since.plus_seconds(key.codes().good_for());
    if end <= cx.now() {
        tries.wrong = 0;
        tries.wrong_by.clear();
    }
    let own = tries.wrong_by.get(cx.request.entity_id()).copied().unwrap_or(0);
    let most = match (own, tries.wrong) {
        (WRONG_CODES_MAX.., _) => WRONG_CODES_MAX,
        (_, WRONG_CODES_OF_ALL_MAX..) => WRONG_CODES_OF_ALL_MAX,
        _ => return Ok(()),
    };
    let left = cx.now().seconds_until(end);
    Err(Error::new(
        ErrorKind::RateLimited,
        format!("maximum validation attempts {most} exceeded; try again in {left}s"),
    ))
}
