//! Policy texts to rules. The error texts are OpenBao's (observed: bao 2.6.2), because people
//! search for them; none repeats a parameter's value.

use std::collections::BTreeMap;
use std::sync::Arc;

use strongroom_base::hcl::{self, Body, Item, Value};
use strongroom_base::limits::POLICY_BYTES_MAX;
use strongroom_base::{Error, Json, Result, Timestamp};

use super::capability::{Capabilities, Capability};
use super::keys_filter::KeysFilter;
use super::name::PolicyName;
use super::pattern::Pattern;
use super::template::{Template, TemplateAllowance};

/// Values that a rule allows or denies, by the parameter's name in lower case. An empty list means
/// any value; the name `*` means any parameter.
pub type Parameters = BTreeMap<String, Vec<Json>>;

/// A policy, read once. It holds no text; who stores it keeps that.
#[derive(Debug)]
pub struct Policy {
    name: PolicyName,
    rules: Vec<Rule>,
    templated: bool,
    allowance: TemplateAllowance,
    warnings: Vec<String>,
    root: bool,
}

/// What one rule grants.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Permissions {
    pub(super) capabilities: Capabilities,
    /// Seconds; zero is no limit, here and in the next.
    pub(super) min_wrapping_ttl: i64,
    pub(super) max_wrapping_ttl: i64,
    pub(super) allowed: Option<Parameters>,
    pub(super) denied: Option<Parameters>,
    pub(super) required: Vec<String>,
    /// Zero is no limit.
    pub(super) pagination_limit: i64,
    pub(super) keys_filter: Option<Arc<KeysFilter>>,
}

/// One `path` block.
#[derive(Debug)]
pub(super) struct Rule {
    /// The path as it was written.
    pub(super) path: String,
    pub(super) line: u32,
    pub(super) template: Option<Template>,
    pub(super) permissions: Arc<Permissions>,
    pub(super) expiration: Option<Timestamp>,
}

const RULE_KEYS: [&str; 12] = [
    "comment",
    "policy",
    "capabilities",
    "allowed_parameters",
    "denied_parameters",
    "required_parameters",
    "min_wrapping_ttl",
    "max_wrapping_ttl",
    "mfa_methods",
    "pagination_limit",
    "expiration",
    "list_scan_response_keys_filter_path",
];

/// Keys that Vault's policies may hold and that no server of this family without Vault Enterprise
/// enforces. They are taken, so that a policy can be brought along, and warned about.
const UNENFORCED_KEYS: [&str; 3] = ["control_group", "mfa_methods", "subscribe_event_types"];

fn failed(problem: impl std::fmt::Display) -> Error {
    Error::bad_request(format!("failed to parse policy: {problem}"))
}

impl Policy {
    /// Reads a policy in HCL or JSON. `name` is normalised; `root` and the other built-in names
    /// that no caller may write are refused by [`PolicyName::check_writable`], not here, since the
    /// built-in policies come through here too — but no text ever becomes the root policy.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        Self::parse_with(name, text, TemplateAllowance::default())
    }

    /// As [`Policy::parse`], with the author's switches for template values.
    pub fn parse_with(name: &str, text: &str, allowance: TemplateAllowance) -> Result<Self> {
        let name = PolicyName::parse(name)?;
        if name.is_root() {
            name.check_writable()?;
        }
        if text.len() > POLICY_BYTES_MAX {
            return Err(failed(format_args!("text is longer than {POLICY_BYTES_MAX} bytes")));
        }
        let body = hcl::parse(text).map_err(failed)?;
        invalid_keys(&body, &["name", "path"], &[], "")?;
        let mut policy = Self {
            name,
            rules: vec![],
            templated: false,
            allowance,
            warnings: vec![],
            root: false,
        };
        for block in body.blocks("path").map_err(failed)? {
            let rule = policy.rule(block.label, block.position.line, block.body)?;
            policy.templated |= rule.template.is_some();
            policy.rules.push(rule);
        }
        Ok(policy)
    }

    /// The policy that allows everything. It has no text.
    pub fn root() -> Self {
        Self {
            name: PolicyName::root(),
            rules: vec![],
            templated: false,
            allowance: TemplateAllowance::default(),
            warnings: vec![],
            root: true,
        }
    }

    /// Its name.
    pub fn name(&self) -> &PolicyName {
        &self.name
    }

    /// Is it the root policy?
    pub fn is_root(&self) -> bool {
        self.root
    }

    /// Does any rule ask about the caller's identity? If none does, one [`super::Acl`] serves all
    /// callers with the same policies.
    pub fn is_templated(&self) -> bool {
        self.templated
    }

    /// What its author should know (keys that are taken but not enforced).
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn allowance(&self) -> TemplateAllowance {
        self.allowance
    }

    fn rule(&mut self, path: &str, line: u32, body: &Body) -> Result<Rule> {
        let template = Template::parse(path).map_err(|_| {
            failed("failed to validate policy templating: unbalanced templating characters")
        })?;
        invalid_keys(body, &RULE_KEYS, &UNENFORCED_KEYS, path)?;
        for item in &body.items {
            if UNENFORCED_KEYS.contains(&item.key.as_str()) {
                self.warnings.push(format!("path \"{path}\": {} is not enforced", item.key));
            }
        }
        let at_path = |e: hcl::Error| failed(format_args!("path \"{path}\": {e}"));
        let raw = RawRule::read(body).map_err(at_path)?;
        let expiration = match &raw.expiration {
            None => None,
            Some(text) => Some(Timestamp::parse(text).ok_or_else(|| {
                failed(format_args!(
                    "path \"{path}\": invalid expiration time: could not parse string as date \
                     and time"
                ))
            })?),
        };
        if Pattern::parse(path).is_none() {
            return Err(failed(format_args!(
                "path \"{}\": invalid use of wildcards ('+*' is forbidden)",
                path.strip_prefix('/').unwrap_or(path)
            )));
        }
        let permissions = Arc::new(raw.permissions(path)?);
        Ok(Rule { path: path.to_owned(), line, template, permissions, expiration })
    }
}

/// All keys of `body` that are in neither list, in the form of Go's error lists.
fn invalid_keys(body: &Body, known: &[&str], also: &[&str], path: &str) -> Result<()> {
    let prefix = if path.is_empty() { String::new() } else { format!("path \"{path}\": ") };
    let problems: Vec<String> = body
        .unknown(known)
        .filter(|item| !also.contains(&item.key.as_str()))
        .map(|item| format!("\t* {prefix}invalid key \"{}\" on line {}\n", item.key, item.line))
        .collect();
    match problems.len() {
        0 => Ok(()),
        1 => Err(failed(format_args!("1 error occurred:\n{}\n", problems.concat()))),
        n => Err(failed(format_args!("{n} errors occurred:\n{}\n", problems.concat()))),
    }
}

/// A rule's keys as they stand, repetitions joined the way OpenBao joins them: lists grow, of
/// scalars the last one counts.
#[derive(Default)]
struct RawRule {
    legacy: String,
    capabilities: Vec<String>,
    allowed: Option<Parameters>,
    denied: Option<Parameters>,
    required: Vec<String>,
    min_wrapping_ttl: Option<Value>,
    max_wrapping_ttl: Option<Value>,
    pagination_limit: i64,
    expiration: Option<String>,
    keys_filter: String,
}

impl RawRule {
    fn read(body: &Body) -> Result<Self, hcl::Error> {
        let mut raw = Self::default();
        for item in &body.items {
            match item.key.as_str() {
                "policy" => raw.legacy = item.text()?.to_owned(),
                "capabilities" => raw.capabilities.extend(list(item)?),
                "allowed_parameters" => parameters(item, &mut raw.allowed)?,
                "denied_parameters" => parameters(item, &mut raw.denied)?,
                "required_parameters" => raw.required.extend(list(item)?),
                "min_wrapping_ttl" => raw.min_wrapping_ttl = Some(item.value.clone()),
                "max_wrapping_ttl" => raw.max_wrapping_ttl = Some(item.value.clone()),
                "pagination_limit" => raw.pagination_limit = item.integer()?,
                "expiration" => raw.expiration = Some(item.text()?.to_owned()),
                "list_scan_response_keys_filter_path" => {
                    raw.keys_filter = item.text()?.to_owned();
                }
                "comment" => _ = item.text()?,
                _ => {}
            }
        }
        raw.expiration = raw.expiration.filter(|text| !text.is_empty());
        Ok(raw)
    }

    fn capabilities(&self, path: &str) -> Result<Capabilities> {
        let legacy = match self.legacy.as_str() {
            "" => "",
            "deny" => return Ok(Capabilities::DENY),
            "read" => "read list",
            "write" => "create read update delete list",
            "sudo" => "create read update delete list sudo",
            other => {
                return Err(failed(format_args!("path \"{path}\": invalid policy \"{other}\"")));
            }
        };
        let mut set = Capabilities::NONE;
        let names = self.capabilities.iter().map(String::as_str);
        for name in names.chain(legacy.split_whitespace()) {
            match Capability::parse(name) {
                Some(Capability::Deny) => return Ok(Capabilities::DENY),
                Some(capability) => set = set.with(capability),
                None => {
                    return Err(failed(format_args!(
                        "path \"{path}\": invalid capability \"{name}\""
                    )));
                }
            }
        }
        Ok(set)
    }

    fn permissions(self, path: &str) -> Result<Permissions> {
        let capabilities = self.capabilities(path)?;
        if capabilities.is_deny() {
            return Ok(Permissions { capabilities, ..Permissions::default() });
        }
        let min_wrapping_ttl = wrapping_ttl("min_wrapping_ttl", self.min_wrapping_ttl)?;
        let max_wrapping_ttl = wrapping_ttl("max_wrapping_ttl", self.max_wrapping_ttl)?;
        if min_wrapping_ttl != 0 && max_wrapping_ttl != 0 && max_wrapping_ttl < min_wrapping_ttl {
            return Err(failed("max_wrapping_ttl cannot be less than min_wrapping_ttl"));
        }
        let keys_filter = match self.keys_filter.as_str() {
            "" => None,
            _ if !capabilities.has(Capability::List) => {
                return Err(failed(
                    "list_scan_response_keys_filter_path needs to be used on a path with the list \
                     capability",
                ));
            }
            text => Some(Arc::new(KeysFilter::parse(text).map_err(failed)?)),
        };
        Ok(Permissions {
            capabilities,
            min_wrapping_ttl,
            max_wrapping_ttl,
            allowed: self.allowed,
            denied: self.denied,
            required: self.required,
            pagination_limit: self.pagination_limit,
            keys_filter,
        })
    }
}

/// A list of strings that must be written as a list.
fn list(item: &Item) -> Result<Vec<String>, hcl::Error> {
    match &item.value {
        Value::List(_) => Ok(item.texts()?.into_iter().map(str::to_owned).collect()),
        other => Err(item.wrong("a list of strings", other)),
    }
}

fn parameters(item: &Item, into: &mut Option<Parameters>) -> Result<(), hcl::Error> {
    let map = into.get_or_insert_default();
    for parameter in &item.object()?.items {
        let Value::List(values) = &parameter.value else {
            return Err(parameter.wrong("a list of values", &parameter.value));
        };
        if !parameter.labels.is_empty() {
            return Err(parameter.error(format!("`{}` takes no label", parameter.key)));
        }
        map.entry(parameter.key.to_lowercase())
            .or_default()
            .extend(values.iter().map(Value::to_json));
    }
    Ok(())
}

fn wrapping_ttl(key: &str, value: Option<Value>) -> Result<i64> {
    let Some(value) = value else { return Ok(0) };
    let item = Item { key: key.to_owned(), labels: vec![], value, line: 0, column: 0 };
    match item.seconds() {
        Ok(seconds) if seconds >= 0 => Ok(seconds),
        Ok(_) => Err(failed(format_args!("error parsing {key}: must not be negative"))),
        Err(_) => Err(failed(format_args!("error parsing {key}: invalid duration"))),
    }
}
