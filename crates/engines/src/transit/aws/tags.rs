//! `TagResource`, `UntagResource`, `ListResourceTags` (API pages of those names).

use strongroom_base::{Error, Json, Result, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Protocol, Query, ReadCx, Reply, WriteCx, ops};

use super::super::Transit;
use super::super::limits::{TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX};
use super::find::{self, CONFIGURE, check_stays};
use super::keys::{change, found_about, to_change};
use super::pages::{Page, marker};

fields! {
    /// Puts tags on a key.
    pub struct Tag {
        /// The key's id.
        key: String,
        /// A list of objects with key and value.
        tags: Option<Json>,
    }
}
fields! {
    /// Takes tags off a key.
    pub struct Untag {
        /// The key's id.
        key: String,
        /// A list of tags' keys.
        tags: Option<Json>,
    }
}
fields! {
    /// Lists a key's tags.
    pub struct ListTags {
        /// The key's id.
        key: String,
        /// Where the page before ended.
        marker: Option<String>,
        /// How many at most.
        limit: Option<i64>,
    }
}

ops! {
    Tag (), Write, Needs;
    Untag (), Write, Needs;
    ListTags Json, Write, Needs;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.command::<Tag>("aws/tag/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/tag/{key..}", find::asked_within)
        .command::<Untag>("aws/untag/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/untag/{key..}", find::asked_within)
        .query::<ListTags>("aws/list-tags/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/list-tags/{key..}", find::asked_within)
}

fn wrong(text: &str) -> Error {
    Error::bad_request(text).called("TagException")
}

/// Tags of a request: objects with key and value.
pub(super) fn read(tags: Option<&Json>) -> Result<Vec<(String, String)>> {
    let none = Vec::new();
    let list = match tags {
        None => &none,
        Some(tags) => tags.as_array().ok_or_else(|| wrong("tags are a list"))?,
    };
    let member = |tag: &Json, name: &str| tag.get(name).and_then(Json::as_str).map(str::to_owned);
    let pair = |tag: &Json| member(tag, "key").zip(member(tag, "value"));
    let tags: Option<Vec<_>> = list.iter().map(pair).collect();
    let tags = tags.ok_or_else(|| wrong("a tag has a key and a value"))?;
    for (at, (key, value)) in tags.iter().enumerate() {
        if !(1..=TAG_KEY_CHARS_MAX).contains(&key.chars().count())
            || value.chars().count() > TAG_VALUE_CHARS_MAX
        {
            return Err(wrong("a tag's key has 1 to 128 characters, its value up to 256"));
        }
        if key.starts_with("aws:") {
            return Err(wrong("tags that begin with aws: are reserved"));
        }
        if tags.iter().take(at).any(|(other, _)| other == key) {
            return Err(wrong("two tags have one key"));
        }
    }
    Ok(tags)
}

/// Puts tags to those that are there: a known key keeps its place and gets the new value.
pub(super) fn put(known: &mut Vec<(String, String)>, tags: Vec<(String, String)>) -> Result<()> {
    for (key, value) in tags {
        match known.iter_mut().find(|(other, _)| *other == key) {
            Some((_, old)) => *old = value,
            None => known.push((key, value)),
        }
    }
    if known.len() > TAGS_MAX {
        return Err(Error::bad_request(format!("a key has at most {TAGS_MAX} tags"))
            .called("LimitExceededException"));
    }
    Ok(())
}

impl Command<Tag> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Tag) -> Result<Reply<()>> {
        let (name, key) = to_change(cx, &op.key, CONFIGURE).await?;
        check_stays(cx, &key)?;
        let tags = read(op.tags.as_ref())?;
        change(cx, &name, |about| put(&mut about.tags, tags)).await
    }
}

impl Command<Untag> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Untag) -> Result<Reply<()>> {
        let (name, key) = to_change(cx, &op.key, CONFIGURE).await?;
        check_stays(cx, &key)?;
        let none = Vec::new();
        let gone = op.tags.as_ref().and_then(Json::as_array).unwrap_or(&none);
        change(cx, &name, |about| {
            about.tags.retain(|(key, _)| !gone.iter().any(|gone| gone.as_str() == Some(key)));
            Ok(())
        })
        .await
    }
}

impl Query<ListTags> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: ListTags) -> Result<Reply<Json>> {
        let (_, about) = found_about(cx, &op.key).await?;
        let page = Page::asked(op.marker.as_deref(), op.limit, 50)?;
        // The places of the tags, so that they keep their order.
        let places: Vec<String> = (0..about.tags.len()).map(|at| format!("{at:04}")).collect();
        let rest = page.rest(&places);
        let from = places.len() - rest.len();
        let count = (0..rest.len()).take_while(|at| !page.is_full(*at)).count();
        let shown = about.tags.iter().skip(from).take(count);
        let tags: Vec<Json> =
            shown.map(|(key, value)| serde_json::json!({ "key": key, "value": value })).collect();
        let next = rest.get(..count).and_then(<[String]>::last).filter(|_| count < rest.len());
        let next = next.map(|place| marker(place));
        Ok(Reply::data(serde_json::json!({ "tags": tags, "next": next })))
    }
}
