//! What people and scripts see: tables by default, JSON and YAML on demand. Results go to the
//! standard output, warnings and errors to the error output, exactly as in Vault's command line.

use std::io::Write;

use serde::Serialize;
use strongroom_base::json::{Json, JsonMap};
use strongroom_client::{Auth, Envelope, WrapInfo};

use super::Fail;
use super::gotext::{go_quoted_list, go_value, human_seconds, member_text};
use super::table;
use super::yaml::to_yaml;

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Aligned columns.
    Table,
    /// Indented JSON.
    Json,
    /// YAML.
    Yaml,
    /// A report for people, where a command has one.
    Pretty,
    /// The answer's bytes, for `read` only.
    Raw,
}

impl Format {
    /// Reads a format's name.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "table" => Self::Table,
            "json" => Self::Json,
            "yaml" | "yml" => Self::Yaml,
            "pretty" => Self::Pretty,
            "raw" => Self::Raw,
            _ => return None,
        })
    }
}

/// The two outputs and how to write to them.
pub struct Ui<'w> {
    /// How results are printed.
    pub format: Format,
    /// More columns where a listing has them.
    pub detailed: bool,
    /// Colours warnings and errors.
    pub colour: bool,
    /// The standard output is a terminal.
    pub terminal: bool,
    out: Box<dyn Write + 'w>,
    err: Box<dyn Write + 'w>,
    /// What would go to the error output, while nobody knows yet whether it will.
    held: Option<Vec<u8>>,
}

impl<'w> Ui<'w> {
    /// A user interface over two writers.
    pub fn new(format: Format, out: Box<dyn Write + 'w>, err: Box<dyn Write + 'w>) -> Self {
        Self { format, detailed: false, colour: false, terminal: false, out, err, held: None }
    }

    /// True for the format made for people.
    pub fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// Prints a line of the result.
    pub fn say(&mut self, text: &str) {
        self.raw(text.as_bytes());
        self.raw(b"\n");
    }

    /// Prints bytes of the result as they are. A reader that went away ends the printing, nothing
    /// else: the command's work is done.
    pub fn raw(&mut self, bytes: &[u8]) {
        let _ = self.out.write_all(bytes).and_then(|()| self.out.flush());
    }

    /// Prints a warning.
    pub fn warn(&mut self, text: &str) {
        self.aside(text, "33");
    }

    /// Prints an error.
    pub fn error(&mut self, text: &str) {
        self.aside(text, "31");
    }

    /// Prints a remark that is neither.
    pub fn note(&mut self, text: &str) {
        self.write_err(&format!("{text}\n"));
    }

    /// Keeps what goes to the error output until [`Self::release`] or [`Self::drop_held`].
    pub fn hold(&mut self, hold: bool) {
        self.held = hold.then(Vec::new);
    }

    /// Forgets what was kept.
    pub fn drop_held(&mut self) {
        self.held = None;
    }

    /// Prints what was kept.
    pub fn release(&mut self) {
        if let Some(held) = self.held.take() {
            let _ = self.err.write_all(&held);
        }
        let _ = self.err.flush();
    }

    fn write_err(&mut self, text: &str) {
        match &mut self.held {
            Some(held) => held.extend_from_slice(text.as_bytes()),
            None => {
                let _ = self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush());
            }
        }
    }

    fn aside(&mut self, text: &str, colour: &str) {
        if self.colour && !text.is_empty() {
            self.write_err(&format!("\x1b[0;{colour}m{text}\x1b[0m\n"));
        } else {
            self.write_err(&format!("{text}\n"));
        }
    }

    /// Prints one field's value: without a line end where a program reads it.
    pub fn field_value(&mut self, text: &str) {
        self.raw(text.as_bytes());
        if self.terminal {
            self.raw(b"\n");
        }
    }

    /// Prints an answer.
    pub fn envelope(&mut self, envelope: &Envelope) -> Result<(), Fail> {
        if !self.is_table() {
            return self.data(&envelope_json(envelope));
        }
        self.warnings(envelope.warnings());
        let rows = envelope_rows(envelope);
        if !rows.is_empty() {
            self.say(&table::pairs(&rows));
        }
        Ok(())
    }

    /// Prints the server's warnings.
    pub fn warnings(&mut self, warnings: &[String]) {
        if warnings.is_empty() {
            return;
        }
        self.warn("WARNING! The following warnings were returned from Strongroom:\n");
        for warning in warnings {
            self.warn(&table::wrap(&format!("* {warning}"), 2));
            self.warn("");
        }
    }

    /// Prints the names of a listing.
    pub fn listing(&mut self, envelope: &Envelope) -> Result<(), Fail> {
        let keys = envelope.datum("keys").cloned().unwrap_or(Json::Null);
        if !self.is_table() {
            if self.detailed && self.format == Format::Json {
                return self.data(&envelope_json(envelope));
            }
            return self.data(&keys);
        }
        self.warnings(envelope.warnings());
        let mut names: Vec<String> = keys.as_array().into_iter().flatten().map(go_value).collect();
        names.sort();
        if names.is_empty() {
            return Ok(());
        }
        let info = envelope.datum("key_info").and_then(Json::as_object).filter(|_| self.detailed);
        let (headings, rows) = listing_rows(&names, info);
        let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
        self.say(&table::table(&headings, &rows));
        Ok(())
    }

    /// Prints any document.
    pub fn data(&mut self, data: &Json) -> Result<(), Fail> {
        let text = match self.format {
            Format::Table => match data {
                Json::Object(members) => {
                    let rows = map_rows(members);
                    if rows.is_empty() {
                        return Ok(());
                    }
                    table::pairs(&rows)
                }
                Json::Array(items) => {
                    let rows: Vec<Vec<String>> =
                        items.iter().map(|item| vec![go_value(item)]).collect();
                    table::columns(&rows)
                }
                other => go_value(other),
            },
            Format::Json => to_json(data),
            Format::Yaml => to_yaml(data),
            Format::Pretty => return Err(Fail::usage("this command has no pretty format")),
            Format::Raw => {
                return Err(Fail::usage("This command does not support the -format=raw option."));
            }
        };
        self.say(text.trim_end_matches('\n'));
        Ok(())
    }

    /// Prints one field of an answer.
    pub fn field(&mut self, envelope: &Envelope, name: &str) -> Result<(), Fail> {
        self.member(field_of(envelope, name), name)
    }

    /// Prints one member of a document.
    pub fn member(&mut self, value: Option<Json>, name: &str) -> Result<(), Fail> {
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return Err(Fail::usage(format!("Field {name:?} not present in secret")));
        };
        let text = match self.format {
            Format::Table | Format::Raw => go_value(&value),
            Format::Json => to_json(&value),
            Format::Yaml => to_yaml(&value),
            Format::Pretty => return Err(Fail::usage("a field has no pretty format")),
        };
        self.field_value(&text);
        Ok(())
    }
}

/// An answer as JSON: the outer names in Vault's order, those inside sorted.
pub fn envelope_json(envelope: &Envelope) -> Json {
    let mut json = to_value(envelope);
    if let Json::Object(members) = &mut json {
        for value in members.values_mut() {
            if value.get("client_token").is_none() && value.get("creation_path").is_none() {
                *value = sorted(value);
            }
        }
    }
    json
}

/// A typed value as a JSON document.
pub fn to_value(value: &impl Serialize) -> Json {
    serde_json::to_value(value).unwrap_or(Json::Null)
}

/// The same document with the names of every object sorted, as Go prints maps.
pub fn sorted(value: &Json) -> Json {
    match value {
        Json::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            let pairs = names.into_iter().map(|name| (name.clone(), sorted(&members[name])));
            Json::Object(pairs.collect())
        }
        Json::Array(items) => Json::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// Indented JSON.
pub fn to_json(value: &Json) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn map_rows(members: &JsonMap) -> Vec<(String, String)> {
    let mut names: Vec<&String> = members.keys().collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), member_text(name, &members[name]))).collect()
}

fn envelope_rows(envelope: &Envelope) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    if envelope.lease_duration > 0 {
        if envelope.lease_id.is_empty() {
            row("refresh_interval", human_seconds(envelope.lease_duration));
        } else {
            row("lease_id", envelope.lease_id.clone());
            row("lease_duration", human_seconds(envelope.lease_duration));
            row("lease_renewable", envelope.renewable.to_string());
        }
    }
    if let Some(auth) = &envelope.auth {
        rows.extend(auth_rows(auth));
    }
    if let Some(wrap) = &envelope.wrap_info {
        rows.extend(wrap_rows(wrap));
    }
    if let Some(data) = &envelope.data {
        rows.extend(map_rows(data));
    }
    rows
}

fn auth_rows(auth: &Auth) -> Vec<(String, String)> {
    if let Some(mfa) = auth.mfa_requirement.as_ref().filter(|mfa| !mfa.is_null()) {
        return mfa_rows(mfa);
    }
    let duration = match auth.lease_duration {
        0 => "∞".to_owned(),
        seconds => human_seconds(seconds),
    };
    let mut rows = vec![
        ("token".to_owned(), auth.client_token.clone()),
        ("token_accessor".to_owned(), auth.accessor.clone()),
        ("token_duration".to_owned(), duration),
        ("token_renewable".to_owned(), auth.renewable.to_string()),
        ("token_policies".to_owned(), go_quoted_list(auth.token_policies.as_ref())),
        ("identity_policies".to_owned(), go_quoted_list(auth.identity_policies.as_ref())),
        ("policies".to_owned(), go_quoted_list(auth.policies.as_ref())),
    ];
    let mut metadata: Vec<(String, String)> = auth
        .metadata
        .iter()
        .flatten()
        .map(|(name, value)| (format!("token_meta_{name}"), go_value(value)))
        .collect();
    metadata.sort();
    rows.extend(metadata);
    rows
}

fn mfa_rows(mfa: &Json) -> Vec<(String, String)> {
    let id = mfa.get("mfa_request_id").map(go_value).unwrap_or_default();
    let mut rows = vec![("mfa_request_id".to_owned(), id)];
    let constraints = mfa.get("mfa_constraints").and_then(Json::as_object);
    for (name, set) in constraints.into_iter().flatten() {
        for one in set.get("any").and_then(Json::as_array).into_iter().flatten() {
            let kind = one.get("type").map(go_value).unwrap_or_default();
            for part in ["id", "uses_passcode", "name"] {
                if let Some(value) = one.get(part) {
                    rows.push((format!("mfa_constraint_{name}_{kind}_{part}"), go_value(value)));
                }
            }
        }
    }
    rows
}

fn wrap_rows(wrap: &WrapInfo) -> Vec<(String, String)> {
    let mut rows = vec![
        ("wrapping_token:".to_owned(), wrap.token.clone()),
        ("wrapping_accessor:".to_owned(), wrap.accessor.clone()),
        ("wrapping_token_ttl:".to_owned(), human_seconds(wrap.ttl)),
        ("wrapping_token_creation_time:".to_owned(), spaced_time(&wrap.creation_time)),
        ("wrapping_token_creation_path:".to_owned(), wrap.creation_path.clone()),
    ];
    if !wrap.wrapped_accessor.is_empty() {
        rows.push(("wrapped_accessor:".to_owned(), wrap.wrapped_accessor.clone()));
    }
    rows
}

/// `2026-01-02 03:04:05.6 +0000 UTC`, Go's own form, which Vault's tables show here.
fn spaced_time(time: &str) -> String {
    match (time.split_once('T'), time.strip_suffix('Z')) {
        (Some((day, _)), Some(whole)) => {
            format!("{day} {} +0000 UTC", &whole[day.len() + 1..])
        }
        _ => time.to_owned(),
    }
}

fn field_of(envelope: &Envelope, name: &str) -> Option<Json> {
    let datum = || envelope.datum(name).cloned();
    if let Some(auth) = &envelope.auth {
        return match name {
            "token" => Some(auth.client_token.as_str().into()),
            "token_accessor" => Some(auth.accessor.as_str().into()),
            "token_duration" => Some(auth.lease_duration.into()),
            "token_renewable" => Some(auth.renewable.into()),
            "token_policies" => Some(to_value(&auth.token_policies.clone().unwrap_or_default())),
            "identity_policies" => {
                Some(to_value(&auth.identity_policies.clone().unwrap_or_default()))
            }
            "policies" => Some(to_value(&auth.policies.clone().unwrap_or_default())),
            _ => datum(),
        };
    }
    if let Some(wrap) = &envelope.wrap_info {
        return match name {
            "wrapping_token" => Some(wrap.token.as_str().into()),
            "wrapping_accessor" => Some(wrap.accessor.as_str().into()),
            "wrapping_token_ttl" => Some(wrap.ttl.into()),
            "wrapping_token_creation_time" => Some(wrap.creation_time.as_str().into()),
            "wrapping_token_creation_path" => Some(wrap.creation_path.as_str().into()),
            "wrapped_accessor" => Some(wrap.wrapped_accessor.as_str().into()),
            _ => datum(),
        };
    }
    match name {
        "lease_duration" | "refresh_interval" => Some(envelope.lease_duration.into()),
        "lease_id" => Some(envelope.lease_id.as_str().into()),
        "request_id" => Some(envelope.request_id.as_str().into()),
        "renewable" => Some(envelope.renewable.into()),
        "data" => datum().or_else(|| envelope.data.clone().map(Json::Object)),
        _ => datum(),
    }
}

fn listing_rows(names: &[String], info: Option<&JsonMap>) -> (Vec<String>, Vec<Vec<String>>) {
    let mut extra: Vec<String> = info
        .into_iter()
        .flatten()
        .filter(|(name, _)| names.contains(name))
        .filter_map(|(_, value)| value.as_object())
        .flat_map(|members| members.keys().cloned())
        .collect();
    extra.sort();
    extra.dedup();
    let rows = names
        .iter()
        .map(|name| {
            let members = info.and_then(|info| info.get(name)).and_then(Json::as_object);
            let cells = extra.iter().map(|column| {
                members
                    .and_then(|members| members.get(column))
                    .map(|value| member_text(column, value))
                    .unwrap_or_default()
            });
            std::iter::once(name.clone()).chain(cells).collect()
        })
        .collect();
    let headings = std::iter::once("Keys".to_owned()).chain(extra).collect();
    (headings, rows)
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
