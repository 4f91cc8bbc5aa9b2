//! `kv search`: secrets by a part of their path, or of a field's name.

use serde_json::json;
use strongroom_base::json::{Json, JsonMap};
use strongroom_client::{Request, join_path};

use super::target::Target;
use crate::cli::command::{Fail, Outcome};
use crate::cli::context::Context;
use crate::cli::gotext::go_value;
use crate::cli::http::rules;
use crate::cli::table::table;

/// Where to search: the paths of the API, and what stands before each answer.
struct Place {
    api: String,
    /// The path that listing its names needs a right on.
    names: String,
    prefix: String,
}

/// What one place answered.
struct Found {
    /// The full path and the names of the fields that match.
    matches: Vec<(String, Vec<String>)>,
    warnings: Vec<String>,
}

pub fn search(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args_between(1, 2, "1 or 2")?;
    let query = cx.args.first().cloned().unwrap_or_default();
    let everywhere = cx.args.len() == 1 && !cx.flags.given("mount");
    let places = if everywhere { all_mounts(cx)? } else { vec![one_place(cx)?] };
    let mut matches = Vec::new();
    let mut warnings: Vec<String> = Vec::new();
    let mut last_refusal = None;
    let mut answered = false;
    for place in &places {
        match ask(cx, place, &query) {
            Ok(found) => {
                answered = true;
                matches.extend(found.matches);
                warnings.extend(found.warnings);
            }
            // Of several mounts, those that this token may not search are passed over.
            Err(fail) if everywhere && fail.explain.is_some() => last_refusal = Some(fail),
            Err(fail) => return Err(fail),
        }
    }
    if let Some(refusal) = last_refusal.filter(|_| !answered) {
        return Err(refusal);
    }
    // Several stores say the same.
    warnings.sort();
    warnings.dedup();
    cx.ui.warnings(&warnings);
    matches.sort();
    print(cx, &matches)
}

/// The mount and folder that are named.
fn one_place(cx: &mut Context<'_, '_>) -> Result<Place, Fail> {
    let folder = cx.arg(1).to_owned();
    let target = Target::find_path(cx, &folder)?;
    target.need_versions("K/V engine mount must be version 2 to be searched", 2)?;
    let prefix = match target.whole() {
        whole if whole.is_empty() || whole.ends_with('/') => whole,
        whole => format!("{whole}/"),
    };
    let names = format!("{}/*", target.branch("metadata"));
    Ok(Place { api: target.branch("search"), names, prefix })
}

/// All versioned stores that the token may know of.
fn all_mounts(cx: &mut Context<'_, '_>) -> Result<Vec<Place>, Fail> {
    let answer = cx
        .http()?
        .send_aside(Request::get("sys/internal/ui/mounts"))
        .and_then(strongroom_client::Reply::envelope)
        .map_err(|e| Fail::server("Error listing mounts", &e))?;
    let mounts = answer.as_ref().and_then(|envelope| envelope.datum("secret"));
    let versioned = |mount: &Json| {
        mount.get("type").and_then(Json::as_str) == Some("kv")
            && mount.pointer("/options/version").and_then(Json::as_str) == Some("2")
    };
    let mut paths: Vec<&String> = mounts
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .filter(|(_, mount)| versioned(mount))
        .map(|(path, _)| path)
        .collect();
    paths.sort();
    if paths.is_empty() {
        return Err(Fail::remote("No versioned K/V store that this token may use was found"));
    }
    let place = |path: &String| Place {
        api: join_path(&[path, "search"]),
        names: join_path(&[path, "metadata/*"]),
        prefix: path.clone(),
    };
    Ok(paths.into_iter().map(place).collect())
}

fn ask(cx: &mut Context<'_, '_>, place: &Place, query: &str) -> Result<Found, Fail> {
    let mut request = Request::get(&place.api).query("query", query);
    if cx.flags.is("fields") {
        request = request.query("fields", "true");
    }
    if let Some(limit) = cx.flags.int("limit").filter(|limit| *limit > 0) {
        request = request.query("limit", limit.to_string());
    }
    let http = cx.http()?;
    http.policy = Some(rules(&[(place.names.clone(), &["list"])]));
    let answer = http.send(request).and_then(strongroom_client::Reply::envelope);
    let answer =
        answer.map_err(|e| Fail::server(format!("Error searching {}", place.prefix), &e))?;
    let Some(envelope) = answer else {
        return Ok(Found { matches: Vec::new(), warnings: Vec::new() });
    };
    let info = envelope.datum("key_info").and_then(Json::as_object);
    let keys = envelope.keys().into_iter().flatten().filter_map(Json::as_str);
    let matches = keys.map(|key| (format!("{}{key}", place.prefix), fields_of(info, key)));
    Ok(Found { matches: matches.collect(), warnings: envelope.warnings().to_vec() })
}

fn fields_of(info: Option<&JsonMap>, key: &str) -> Vec<String> {
    let fields = info.and_then(|info| info.get(key)).and_then(|one| one.get("fields"));
    fields.and_then(Json::as_array).into_iter().flatten().map(go_value).collect()
}

fn print(cx: &mut Context<'_, '_>, matches: &[(String, Vec<String>)]) -> Outcome {
    let with_fields = cx.flags.is("fields");
    if !cx.ui.is_table() {
        let row = |(path, fields): &(String, Vec<String>)| match with_fields {
            true => json!({"path": path, "fields": fields}),
            false => json!({"path": path}),
        };
        cx.ui.data(&Json::Array(matches.iter().map(row).collect()))?;
        return if matches.is_empty() { Err(Fail::quiet(2)) } else { Ok(()) };
    }
    if matches.is_empty() {
        return Err(Fail::remote("Nothing found"));
    }
    let rows: Vec<Vec<String>> = matches
        .iter()
        .map(|(path, fields)| match with_fields {
            true => vec![path.clone(), fields.join(", ")],
            false => vec![path.clone()],
        })
        .collect();
    let headings: &[&str] = if with_fields { &["Path", "Fields"] } else { &["Path"] };
    cx.ui.say(&table(headings, &rows));
    Ok(())
}
