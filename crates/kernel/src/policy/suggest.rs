//! The smallest rule that would allow a denied request and change no other decision.
//!
//! Where the deciding rule is for this very path, adding a capability to it is enough, since rules
//! for the same path are merged. Where a wider rule decided, a rule for the path alone is
//! suggested; because from then on it decides alone, it repeats what the wider rule grants there.
//! A rule for `a/b` also catches LIST and SCAN of `a/b/`, so what these had is repeated too, in a
//! second rule if another rule had given it.
//!
//! Invariant: a suggestion has been tried on the caller's own policies before it is shown.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;
use strongroom_base::Json;

use super::acl::{Acl, Compiled, NoTrace};
use super::capability::{Capabilities, Capability};
use super::decide::{Decision, Denial, Request};
use super::parameters;
use super::parse::{Parameters, Permissions, Policy};

/// What would make a denied request allowed.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Suggestion {
    /// Rule text to add to one of the caller's policies; absent where no rule helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What else to know or to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

pub(super) fn suggest(acl: &Acl, request: &Request<'_>, decision: &Decision) -> Option<Suggestion> {
    let denial = decision.denial.as_ref()?;
    if let Some(note) = change_of_request(denial) {
        return Some(Suggestion { rule: None, note: Some(note) });
    }
    let decider = decision.rule.and_then(|rule| acl.rules.get(rule));
    let path = request.judged_path();
    if denial == &Denial::Deny
        && decider.is_some_and(|rule| rule.pattern.is_exact() && rule.pattern.text == *path)
    {
        let note = format!("a rule for {path} itself denies it; no added rule can allow it");
        return Some(Suggestion { rule: None, note: Some(note) });
    }
    let rule = match decider.filter(|rule| rule.pattern.is_exact()) {
        Some(rule) if denial != &Denial::Deny => addition(request, rule),
        _ => exception(acl, request, &path),
    };
    Some(tried(acl, request, denial, rule))
}

/// Keeps a rule only if it helps, and says what it leaves to do.
fn tried(acl: &Acl, request: &Request<'_>, denial: &Denial, rule: Option<String>) -> Suggestion {
    let after = rule.as_ref().and_then(|text| {
        let extra = Policy::parse("suggested", text).ok()?;
        Some(acl.with_extra(Arc::new(extra)).decide(request))
    });
    let allowed = after.as_ref().is_some_and(|after| after.allowed);
    let left = after.and_then(|after| change_of_request(&after.denial?));
    let useful = allowed || left.is_some();
    let note = match (useful, left) {
        (false, _) => Some("no rule for this path alone allows the request".to_owned()),
        (true, Some(left)) => Some(format!("besides the rule: {left}")),
        (true, None) if denial == &Denial::Deny => {
            Some("the rule is an exception from a denial".to_owned())
        }
        (true, None) => None,
    };
    Suggestion { rule: rule.filter(|_| useful), note }
}

/// Denials that the caller can avoid without any new right.
fn change_of_request(denial: &Denial) -> Option<String> {
    Some(match denial {
        Denial::WrappingRequired => "ask for a wrapped answer".to_owned(),
        Denial::WrappingTtlTooLong { max_seconds } => {
            format!("ask for a wrapping TTL of at most {max_seconds} seconds")
        }
        Denial::WrappingTtlTooShort { min_seconds } => {
            format!("ask for a wrapping TTL of at least {min_seconds} seconds")
        }
        Denial::WrappingLimitsContradict => {
            "make min_wrapping_ttl and max_wrapping_ttl of the path's rules agree".to_owned()
        }
        Denial::ParameterRequired { parameter } => format!("send the parameter {parameter}"),
        Denial::AllParametersDenied => "send no parameters".to_owned(),
        Denial::ParameterDenied { parameter } => format!("leave out the parameter {parameter}"),
        Denial::ValueDenied { parameter } => {
            format!("leave out the parameter {parameter}, or send another value")
        }
        Denial::LimitRequired => "send the parameter limit".to_owned(),
        Denial::LimitNotANumber => "send a number, or max, as limit".to_owned(),
        Denial::LimitOutOfRange { max } => format!("send a limit between 0 and {max}"),
        Denial::NoRule
        | Denial::Deny
        | Denial::CapabilityMissing { .. }
        | Denial::SudoMissing
        | Denial::ParameterNotAllowed { .. }
        | Denial::ValueNotAllowed { .. } => return None,
    })
}

/// What the denied request lacks.
fn wanted(request: &Request<'_>) -> Capabilities {
    let set = Capabilities::NONE.with(request.capability);
    if request.needs_sudo { set.with(Capability::Sudo) } else { set }
}

/// The rule's parameters, widened by those of the request that it does not allow.
fn widened(
    request: &Request<'_>,
    permissions: &Permissions,
    start: Option<Parameters>,
) -> Option<Parameters> {
    let mut allowed = start;
    for name in parameters::not_allowed(permissions, request.capability, request.fields) {
        allowed.get_or_insert_default().insert(name, vec![]);
    }
    allowed
}

/// A rule to merge with the one that is there for the same path.
fn addition(request: &Request<'_>, there: &Compiled) -> Option<String> {
    let permissions = Permissions {
        capabilities: wanted(request),
        allowed: widened(request, &there.permissions, None),
        ..Permissions::default()
    };
    rule_text(&there.pattern.text, &permissions)
}

/// A rule for a path that wider rules (or none) decided about so far.
fn exception(acl: &Acl, request: &Request<'_>, path: &str) -> Option<String> {
    let entry = found(acl, path, false);
    let mut permissions = copied(entry);
    let folder = if path.ends_with('/') { path.to_owned() } else { format!("{path}/") };
    // LIST and SCAN of the folder: the new rule will decide about them too, unless a rule for
    // exactly the folder is there.
    let list = found(acl, &folder, true).filter(|rule| rule_grants_folder_wide(rule));
    let mut lists = Capabilities::NONE;
    let mut second = String::new();
    match list {
        Some(rule) if same(entry, list) => lists = rule.permissions.capabilities,
        Some(rule) if rule.pattern.is_exact() && rule.pattern.text == folder => {}
        Some(rule) if folder == path => {
            if permissions.capabilities.grants() {
                return None; // Two different rules would have to become one.
            }
            permissions = (*rule.permissions).clone();
            lists = permissions.capabilities;
            permissions.capabilities = Capabilities::NONE;
        }
        Some(rule) => second = folder_rule(acl, &folder, rule)?,
        None => {}
    }
    permissions.capabilities = permissions
        .capabilities
        .without(Capabilities::FOLDER_WIDE)
        .union(lists.intersection(Capabilities::FOLDER_WIDE))
        .union(wanted(request));
    if !permissions.capabilities.has(Capability::List) {
        permissions.keys_filter = None;
    }
    permissions.allowed = widened(request, &permissions, permissions.allowed.clone());
    let mut text = rule_text(path, &permissions)?;
    text.push_str(&second);
    Some(text)
}

fn found<'a>(acl: &'a Acl, path: &str, folder: bool) -> Option<&'a Compiled> {
    acl.find(path, folder, &mut NoTrace).and_then(|rule| acl.rules.get(rule))
}

fn same(a: Option<&Compiled>, b: Option<&Compiled>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if std::ptr::eq(a, b))
}

fn rule_grants_folder_wide(rule: &Compiled) -> bool {
    let set = rule.permissions.capabilities;
    set.grants() && set.intersection(Capabilities::FOLDER_WIDE) != Capabilities::NONE
}

/// What a rule gives, to be repeated in a narrower one; a denial gives nothing.
fn copied(rule: Option<&Compiled>) -> Permissions {
    rule.filter(|rule| rule.permissions.capabilities.grants())
        .map_or_else(Permissions::default, |rule| (*rule.permissions).clone())
}

/// A rule that keeps everything at `folder` as it is: what decides about it there, or, where that
/// grants nothing, the LIST and SCAN that `list` gives.
fn folder_rule(acl: &Acl, folder: &str, list: &Compiled) -> Option<String> {
    let own = found(acl, folder, false);
    let mut permissions = copied(own);
    if !same(own, Some(list)) {
        if permissions.capabilities.grants() {
            return None;
        }
        permissions = (*list.permissions).clone();
        permissions.capabilities = permissions.capabilities.intersection(Capabilities::FOLDER_WIDE);
    }
    rule_text(folder, &permissions)
}

/// A rule as a policy writes it; `None` where the path would not mean itself there.
fn rule_text(path: &str, permissions: &Permissions) -> Option<String> {
    let special = path.ends_with('*')
        || path.split('/').any(|segment| segment.starts_with('+'))
        || path.contains("{{")
        || path.contains("}}")
        || path.contains("${");
    if special || path.is_empty() {
        return None;
    }
    let names: Vec<String> =
        permissions.capabilities.names().into_iter().map(|name| format!("\"{name}\"")).collect();
    let mut text = format!("path {} {{\n  capabilities = [{}]\n", quote(path), names.join(", "));
    for (key, map) in
        [("allowed_parameters", &permissions.allowed), ("denied_parameters", &permissions.denied)]
    {
        let Some(map) = map.as_ref().filter(|map| !map.is_empty()) else { continue };
        _ = writeln!(text, "  {key} = {{");
        for (name, values) in map {
            let values: Vec<String> = values.iter().map(json_as_hcl).collect::<Option<_>>()?;
            _ = writeln!(text, "    {} = [{}]", quote(name), values.join(", "));
        }
        text.push_str("  }\n");
    }
    if !permissions.required.is_empty() {
        let names: Vec<String> = permissions.required.iter().map(|name| quote(name)).collect();
        _ = writeln!(text, "  required_parameters = [{}]", names.join(", "));
    }
    for (key, value) in [
        ("min_wrapping_ttl", permissions.min_wrapping_ttl),
        ("max_wrapping_ttl", permissions.max_wrapping_ttl),
        ("pagination_limit", permissions.pagination_limit),
    ] {
        if value != 0 {
            _ = writeln!(text, "  {key} = {value}");
        }
    }
    if let Some(filter) = &permissions.keys_filter {
        let filter = quote(filter.text());
        _ = writeln!(text, "  list_scan_response_keys_filter_path = {filter}");
    }
    text.push_str("}\n");
    Some(text)
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A parameter's allowed value as HCL; `None` for what HCL cannot say.
fn json_as_hcl(value: &Json) -> Option<String> {
    match value {
        Json::String(text) if !text.contains("${") => Some(quote(text)),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}
