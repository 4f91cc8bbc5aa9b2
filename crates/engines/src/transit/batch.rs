//! Batches: many inputs in one request, each with an outcome of its own.

use std::collections::BTreeMap;

use strongroom_base::fields::{Field, FieldKind};
use strongroom_base::{Error, ErrorKind, Json, JsonMap, Result};
use strongroom_kernel::plug::Reply;

use super::encoding::Encoded;
use super::limits::QUICK_ITEMS;

/// One input.
#[derive(Default)]
pub struct Item {
    /// The context of a derived key.
    pub context: Option<Encoded>,
    /// What is to be encrypted.
    pub plaintext: Option<Encoded>,
    /// What is to be decrypted.
    pub ciphertext: Option<String>,
    /// What is authenticated with it.
    pub associated_data: Option<Encoded>,
    /// What is to be signed, verified or HMACed.
    pub input: Option<Encoded>,
    /// A signature to verify.
    pub signature: Option<String>,
    /// An HMAC to verify.
    pub hmac: Option<String>,
    /// The version that is asked for; 0 for the latest.
    pub key_version: i64,
    /// The caller's own mark, given back with the outcome.
    pub reference: String,
}

/// The field `batch_input`: its items, or what is wrong with them.
pub struct Batch(Result<Vec<Item>, String>);

impl Field for Batch {
    const KIND: FieldKind = FieldKind::List;
    fn read(value: &Json) -> Result<Self, &'static str> {
        let Json::Array(items) = value else { return Err("a list of objects") };
        Ok(Self(read_all(items)))
    }
}

fn read_all(items: &[Json]) -> Result<Vec<Item>, String> {
    let mut out = Vec::with_capacity(items.len());
    let mut wrong = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let Json::Object(members) = item else {
            return Err(format!("[{at}] expected a map"));
        };
        match read(members) {
            Ok(item) => out.push(item),
            Err((name, kind)) => wrong.push(format!("'[{at}].{name}' expected type '{kind}'")),
        }
    }
    if wrong.is_empty() { Ok(out) } else { Err(wrong.join("\n")) }
}

fn read(members: &JsonMap) -> Result<Item, (&str, &'static str)> {
    let mut item = Item::default();
    for (name, value) in members {
        if value.is_null() {
            continue;
        }
        let text = || value.as_str().ok_or((name.as_str(), "string"));
        match name.as_str() {
            "context" => item.context = Some(Encoded::of(text()?)),
            "plaintext" => item.plaintext = Some(Encoded::of(text()?)),
            "associated_data" => item.associated_data = Some(Encoded::of(text()?)),
            "input" => item.input = Some(Encoded::of(text()?)),
            "ciphertext" => item.ciphertext = Some(text()?.to_owned()),
            "signature" => item.signature = Some(text()?.to_owned()),
            "hmac" => item.hmac = Some(text()?.to_owned()),
            "reference" => item.reference = text()?.to_owned(),
            "key_version" => {
                item.key_version = i64::read(value).map_err(|_| (name.as_str(), "int"))?;
            }
            _ => {}
        }
    }
    Ok(item)
}

/// What a request brings: a batch, or the one item of its own fields.
pub struct Inputs {
    /// The items.
    pub items: Vec<Item>,
    /// Are they a batch?
    pub is_batch: bool,
}

impl Inputs {
    /// The batch, if there is one; else the single item.
    pub fn of(batch: Option<Batch>, single: impl FnOnce() -> Result<Item>) -> Result<Self> {
        let Some(Batch(items)) = batch else {
            return Ok(Self { items: vec![single()?], is_batch: false });
        };
        let items = items
            .map_err(|wrong| Error::bad_request(format!("failed to parse batch input: {wrong}")))?;
        if items.is_empty() {
            return Err(Error::bad_request("missing batch input to process"));
        }
        Ok(Self { items, is_batch: true })
    }

    /// Refuses items of which some have a context and others have none.
    pub fn check_contexts(&self) -> Result<()> {
        let has = |item: &Item| item.context.as_ref().is_some_and(|context| !context.is_empty());
        let first = self.items.first().is_some_and(has);
        if self.items.iter().all(|item| has(item) == first) {
            return Ok(());
        }
        Err(Error::bad_request("context should be set either in all the request blocks or in none"))
    }

    /// Has the first item a context, and so each?
    pub fn have_context(&self) -> bool {
        let first = self.items.first().and_then(|item| item.context.as_ref());
        first.is_some_and(|context| !context.is_empty())
    }

    /// What comes of each item, in order. Others have their turn in the middle of a long batch.
    pub async fn outcomes<'i, F: Future<Output = Outcome>>(
        &'i self,
        is_quick: bool,
        mut outcome_of: impl FnMut(&'i Item) -> F,
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(self.items.len());
        for (done, item) in self.items.iter().enumerate() {
            if done > 0 && (!is_quick || done.is_multiple_of(QUICK_ITEMS)) {
                tokio::task::yield_now().await;
            }
            outcomes.push(outcome_of(item).await);
        }
        outcomes
    }

    /// The references, in order.
    fn references(&mut self) -> Vec<String> {
        self.items.iter_mut().map(|item| std::mem::take(&mut item.reference)).collect()
    }
}

/// What came of one item.
pub type Outcome = Result<JsonMap>;

/// What a request is answered whose items fail.
pub struct Failing {
    /// Does a failure in a batch fail the request?
    pub fails_request: bool,
    /// The status of a request that fails in part.
    pub partial_status: Option<i64>,
    /// Members that an item has in any case, and their values where it fails.
    pub members: &'static [(&'static str, fn() -> Json)],
}

/// The answer of all outcomes.
pub fn answer(
    mut inputs: Inputs,
    mut outcomes: Vec<Outcome>,
    failing: &Failing,
) -> Result<Reply<Json>> {
    if !inputs.is_batch {
        let only = outcomes.pop().ok_or_else(|| Error::internal("an item has no outcome"))?;
        return only.map(|members| Reply::data(Json::Object(members)));
    }
    let failures = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    let all_failed = failures == outcomes.len();
    let mut results = Vec::with_capacity(outcomes.len());
    for (outcome, reference) in outcomes.into_iter().zip(inputs.references()) {
        let mut members = match outcome {
            Ok(members) => members,
            // What is not the item's fault is the whole request's.
            Err(e) if e.kind != ErrorKind::BadRequest => return Err(e),
            Err(e) => {
                let given = failing.members.iter();
                let mut members: JsonMap =
                    given.map(|(name, value)| ((*name).to_owned(), value())).collect();
                members.insert("error".to_owned(), Json::String(e.public.join("; ")));
                members
            }
        };
        members.insert("reference".to_owned(), Json::String(reference));
        results.push(Json::Object(members));
    }
    let mut data = JsonMap::with_capacity(1);
    data.insert("batch_results".to_owned(), Json::Array(results));
    let reply = Reply::data(Json::Object(data));
    if failures == 0 || !failing.fails_request {
        return Ok(reply);
    }
    match failing.partial_status.filter(|_| !all_failed) {
        Some(status) => match u16::try_from(status).ok().filter(has_body) {
            Some(status) => Ok(reply.status(status)),
            None => Ok(reply.status(400).warn(
                "invalid HTTP response code override from partial_failure_response_code, \
                 reverting to 400",
            )),
        },
        None => Ok(reply.status(400)),
    }
}

/// May an answer with this status have a body?
fn has_body(status: &u16) -> bool {
    (200..=599).contains(status) && !matches!(status, 204 | 205 | 304)
}

/// An outcome's members, in their order.
pub fn members<const N: usize>(all: [(&str, Json); N]) -> JsonMap {
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Keys of versions, as text in numeric order.
pub fn by_version<V: Into<Json>>(all: BTreeMap<u64, V>) -> Json {
    Json::Object(all.into_iter().map(|(n, value)| (n.to_string(), value.into())).collect())
}
