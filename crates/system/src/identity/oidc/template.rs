//! What a role adds to its tokens: JSON in which directives (`{{identity.entity.name}}`,
//! `{{time.now}}`) stand for values ("Identity tokens" of the documentation).
//!
//! Invariant: a value comes in as JSON, whole: no name and no metadata brings in a member of its own
//! or ends the text it stands in.

use std::collections::BTreeMap;

use serde::Serialize;
use strongroom_base::json::parse_bounded;
use strongroom_base::{Json, JsonMap, parse_duration};
use strongroom_kernel::policy::{AliasView, EntityView, GroupView, IdentityView};

/// Whose values come in.
pub(super) struct Who<'a> {
    entity: EntityOf<'a>,
    groups: &'a [GroupView],
}

enum EntityOf<'a> {
    Somebody(&'a EntityView),
    /// Every value is empty: to look at a template alone.
    Nobody,
}

impl<'a> Who<'a> {
    /// Nobody.
    pub fn nobody() -> Self {
        Self { entity: EntityOf::Nobody, groups: &[] }
    }

    /// Who is known to identity.
    pub fn of(view: &'a IdentityView) -> Self {
        let entity = view.entity.as_ref().map_or(EntityOf::Nobody, EntityOf::Somebody);
        Self { entity, groups: &view.groups }
    }

    fn entity(&self) -> Option<&'a EntityView> {
        match self.entity {
            EntityOf::Somebody(entity) => Some(entity),
            EntityOf::Nobody => None,
        }
    }
}

const UNBALANCED: &str = "unbalanced templating characters";
const NOT_FOUND: &str = "no value could be found for one of the template directives";

/// The object that a filled template is.
pub(super) fn claims(filled: &str) -> Option<JsonMap> {
    match parse_bounded(filled.as_bytes()) {
        Ok(Json::Object(claims)) => Some(claims),
        _ => None,
    }
}

/// The template with values in the place of its directives; `now` in seconds since 1970.
pub(super) fn fill(template: &str, who: &Who<'_>, now: i64) -> Result<String, &'static str> {
    let mut pieces = template.split("{{");
    let first = pieces.next().unwrap_or_default();
    if first.contains("}}") {
        return Err(UNBALANCED);
    }
    let mut filled = first.to_owned();
    for piece in pieces {
        let (directive, literal) = piece.split_once("}}").ok_or(UNBALANCED)?;
        // Objects end with braces, too: `{"a": {"b": {{time.now}}}}`.
        filled.push_str(&value(directive.trim(), who, now)?);
        filled.push_str(literal);
    }
    Ok(filled)
}

fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, &'static str> {
    serde_json::to_string(value).map_err(|_| NOT_FOUND)
}

fn value(directive: &str, who: &Who<'_>, now: i64) -> Result<String, &'static str> {
    if let Some(rest) = directive.strip_prefix("identity.entity.") {
        return of_entity(rest, who);
    }
    match directive.strip_prefix("time.") {
        Some(rest) => of_time(rest, now),
        None => Err(NOT_FOUND),
    }
}

fn of_entity(name: &str, who: &Who<'_>) -> Result<String, &'static str> {
    let none = EntityView::default();
    let entity = who.entity().unwrap_or(&none);
    if let Some(rest) = name.strip_prefix("aliases.") {
        let (accessor, field) = rest.split_once('.').ok_or("invalid alias selector")?;
        let alias = entity.aliases.iter().find(|alias| alias.mount_accessor == accessor);
        return of_alias(field, alias.unwrap_or(&AliasView::default()));
    }
    match name {
        "id" => json(&entity.id),
        "name" => json(&entity.name),
        "groups.ids" => json(&who.groups.iter().map(|group| &group.id).collect::<Vec<_>>()),
        "groups.names" => json(&who.groups.iter().map(|group| &group.name).collect::<Vec<_>>()),
        _ => of_pairs(name, "metadata", &entity.metadata).ok_or(NOT_FOUND)?,
    }
}

fn of_alias(field: &str, alias: &AliasView) -> Result<String, &'static str> {
    match field {
        "id" => json(&alias.id),
        "name" => json(&alias.name),
        _ => of_pairs(field, "metadata", &alias.metadata)
            .or_else(|| of_pairs(field, "custom_metadata", &alias.custom_metadata))
            .ok_or(NOT_FOUND)?,
    }
}

/// `metadata` as a whole, or the value of `metadata.KEY`; a missing one is empty.
fn of_pairs(
    field: &str,
    called: &str,
    pairs: &BTreeMap<String, String>,
) -> Option<Result<String, &'static str>> {
    let rest = field.strip_prefix(called)?;
    match rest.strip_prefix('.') {
        Some(key) => Some(json(pairs.get(key).map_or("", String::as_str))),
        None if rest.is_empty() => Some(json(pairs)),
        None => None,
    }
}

fn of_time(name: &str, now: i64) -> Result<String, &'static str> {
    if name == "now" {
        return Ok(now.to_string());
    }
    let rest = name.strip_prefix("now.").ok_or("invalid time selector")?;
    let (operator, duration) = rest.split_once('.').ok_or("missing time operand")?;
    let seconds = parse_duration(duration).ok_or("invalid duration")?;
    match operator {
        "plus" => Ok(now.saturating_add(seconds).to_string()),
        "minus" => Ok(now.saturating_sub(seconds).to_string()),
        _ => Err("invalid time operator"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pairs(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn view() -> IdentityView {
        let group = |id: &str, name: &str| GroupView {
            id: id.to_owned(),
            name: name.to_owned(),
            metadata: BTreeMap::new(),
        };
        IdentityView {
            entity: Some(EntityView {
                id: "e1".to_owned(),
                name: "Jo \"x\"".to_owned(),
                metadata: pairs(&[
                    ("color", "green"),
                    ("bad", "\", \"sub\": \"root"),
                    ("a.b", "c"),
                ]),
                aliases: vec![AliasView {
                    mount_accessor: "up_1".to_owned(),
                    id: "a1".to_owned(),
                    name: "jo".to_owned(),
                    metadata: pairs(&[("service", "x")]),
                    custom_metadata: pairs(&[("team", "y")]),
                }],
            }),
            groups: vec![group("g1", "web"), group("g2", "ops\n")],
        }
    }

    #[test]
    fn every_directive() {
        let view = view();
        for (directive, expect) in [
            ("identity.entity.id", json!("e1")),
            ("identity.entity.name", json!("Jo \"x\"")),
            ("identity.entity.metadata.color", json!("green")),
            ("identity.entity.metadata.a.b", json!("c")),
            ("identity.entity.metadata.none", json!("")),
            ("identity.entity.groups.ids", json!(["g1", "g2"])),
            ("identity.entity.groups.names", json!(["web", "ops\n"])),
            ("identity.entity.aliases.up_1.id", json!("a1")),
            ("identity.entity.aliases.up_1.name", json!("jo")),
            ("identity.entity.aliases.up_1.metadata", json!({ "service": "x" })),
            ("identity.entity.aliases.up_1.metadata.service", json!("x")),
            ("identity.entity.aliases.up_1.custom_metadata", json!({ "team": "y" })),
            ("identity.entity.aliases.up_1.custom_metadata.team", json!("y")),
            ("identity.entity.aliases.none.name", json!("")),
            ("identity.entity.aliases.none.metadata", json!({})),
            ("identity.entity.aliases.none.metadata.x", json!("")),
            ("time.now", json!(1_000)),
            ("time.now.plus.1h", json!(4_600)),
            ("time.now.plus.90", json!(1_090)),
            ("time.now.minus.1m30s", json!(910)),
        ] {
            for template in [
                format!("{{\"a\": {{{{{directive}}}}}}}"),
                format!("{{ \"a\" : {{{{ {directive} }}}} }}"),
            ] {
                let filled = fill(&template, &Who::of(&view), 1_000).unwrap();
                assert_eq!(Json::Object(claims(&filled).unwrap()), json!({ "a": expect }));
            }
        }
        let whole = fill("{\"m\":{{identity.entity.metadata}}}", &Who::of(&view), 0).unwrap();
        assert_eq!(claims(&whole).unwrap()["m"]["color"], "green");
    }

    #[test]
    fn no_value_brings_in_a_member() {
        let view = view();
        let filled = fill("{\"a\": {{identity.entity.metadata.bad}}}", &Who::of(&view), 0).unwrap();
        let claims = claims(&filled).unwrap();
        assert_eq!((claims.len(), &claims["a"]), (1, &json!("\", \"sub\": \"root")));
    }

    #[test]
    fn what_is_none() {
        for (template, why) in [
            ("}}", UNBALANCED),
            ("{\"a\": {{identity.entity.id}", UNBALANCED),
            ("{\"a\": {{identity.entity.nope}}}", NOT_FOUND),
            ("{\"a\": {{identity.entity.metadatax}}}", NOT_FOUND),
            ("{\"a\": {{identity.groups.names.web.id}}}", NOT_FOUND),
            ("{\"a\": {{}}}", NOT_FOUND),
            ("{\"a\": {{identity.entity.aliases.x}}}", "invalid alias selector"),
            ("{\"a\": {{time.then}}}", "invalid time selector"),
            ("{\"a\": {{time.now.plus}}}", "missing time operand"),
            ("{\"a\": {{time.now.plus.soon}}}", "invalid duration"),
            ("{\"a\": {{time.now.times.1h}}}", "invalid time operator"),
        ] {
            assert_eq!(fill(template, &Who::nobody(), 0), Err(why), "{template}");
        }
        for bad in ["", "[]", "{", "{\"a\":}", "1"] {
            assert!(claims(bad).is_none(), "{bad}");
        }
    }
}
