//! `kv put`, `patch`, `delete`, `undelete`, `destroy`, `rollback`, `enable-versioning`.

use serde_json::json;
use strongroom_base::json::{Json, JsonMap};
use strongroom_client::{Envelope, Request};

use super::read::{path_heading, titled};
use super::target::Target;
use crate::cli::command::{Fail, Outcome};
use crate::cli::context::Context;
use crate::cli::data::{clean_path, deleted};
use crate::cli::input;

fn read_data(cx: &mut Context<'_, '_>) -> Result<JsonMap, Fail> {
    let words = cx.args[1..].to_vec();
    input::parse_data(&mut cx.input(), &words)
        .map_err(|problem| Fail::usage(format!("Failed to parse K=V data: {problem}")))
}

pub fn put(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args_between(1, usize::MAX, ">1")?;
    if cx.args.len() == 1 {
        return Err(Fail::usage("Must supply data"));
    }
    let data = read_data(cx)?;
    let target = Target::find(cx)?;
    let path = target.data();
    let body = if target.versioned {
        let mut options = JsonMap::new();
        if let Some(cas) = cx.flags.int("cas").filter(|cas| *cas > -1) {
            options.insert("cas".into(), cas.into());
        }
        json!({"data": data, "options": options})
    } else {
        Json::Object(data)
    };
    let answer = cx.http()?.write(&path, body);
    let answer = answer.map_err(|e| Fail::server(format!("Error writing data to {path}"), &e))?;
    report_version(cx, &path, answer)
}

/// Prints what the server says of the version it wrote.
fn report_version(cx: &mut Context<'_, '_>, path: &str, answer: Option<Envelope>) -> Outcome {
    let Some(envelope) = answer else { return success(cx, path) };
    if let Some(field) = cx.flags.text("field").filter(|f| !f.is_empty()).map(str::to_owned) {
        return cx.ui.field(&envelope, &field);
    }
    if envelope.is_wrapped() || !cx.ui.is_table() {
        return cx.ui.envelope(&envelope);
    }
    cx.ui.warnings(envelope.warnings());
    path_heading(cx, "Secret Path", path);
    titled(cx, "Metadata", &envelope.data.unwrap_or_default())
}

/// A line for people; other formats print nothing where there is nothing.
pub fn success(cx: &mut Context<'_, '_>, path: &str) -> Outcome {
    if cx.ui.is_table() {
        cx.ui.say(&format!("Success! Data written to: {path}"));
    }
    Ok(())
}

pub fn patch(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args_between(1, usize::MAX, ">1")?;
    let removed = cx.flags.list("remove-data");
    if removed.is_empty() && cx.args.len() == 1 {
        return Err(Fail::usage("Must supply data"));
    }
    let mut data = read_data(cx)?;
    let target = Target::find(cx)?;
    target.need_versions("K/V engine mount must be version 2 for patch support", 2)?;
    let path = target.data();
    // A null removes the field in a merge patch.
    data.extend(removed.into_iter().map(|name| (name, Json::Null)));
    let answer = match cx.flags.text_or_empty("method") {
        "rw" => read_then_write(cx, &path, data)?,
        "patch" => merge(cx, &path, &data, false)?,
        "" => merge(cx, &path, &data, true)?,
        _ => {
            return Err(Fail::remote(
                "Unsupported method provided to -method flag: use patch or rw",
            ));
        }
    };
    report_version(cx, &path, answer)
}

fn merge(
    cx: &mut Context<'_, '_>,
    path: &str,
    data: &JsonMap,
    fall_back: bool,
) -> Result<Option<Envelope>, Fail> {
    let mut options = JsonMap::new();
    if let Some(cas) = cx.flags.int("cas").filter(|cas| *cas > 0) {
        options.insert("cas".into(), cas.into());
    }
    let request = Request::patch(path, json!({"data": data, "options": options}));
    let answer = cx.http()?.send(request).and_then(strongroom_client::Reply::written);
    match answer {
        Ok(answer) => Ok(answer),
        Err(error) if fall_back && error.status() == Some(405) => {
            read_then_write(cx, path, data.clone())
        }
        Err(error) if fall_back && error.status() == Some(403) => {
            let answer = read_then_write(cx, path, data.clone())?;
            cx.ui.warn(&format!(
                "Data was written to {path} by reading and writing it whole. Add the \"patch\" \
                 capability to your policy to let the server change only the given fields."
            ));
            Ok(answer)
        }
        Err(error) => Err(Fail::server(format!("Error writing data to {path}"), &error)),
    }
}

fn read_then_write(
    cx: &mut Context<'_, '_>,
    path: &str,
    changes: JsonMap,
) -> Result<Option<Envelope>, Fail> {
    let (mut data, version) = current(cx, path, None, "patch")?;
    for (name, value) in changes {
        if value.is_null() {
            data.remove(&name);
        } else {
            data.insert(name, value);
        }
    }
    let body = json!({"data": data, "options": {"cas": version}});
    let answer = cx.http()?.write(path, body);
    answer.map_err(|e| Fail::server(format!("Error writing data to {path}"), &e))
}

/// The data and the number of a version.
fn current(
    cx: &mut Context<'_, '_>,
    path: &str,
    version: Option<i64>,
    doing: &str,
) -> Result<(JsonMap, Json), Fail> {
    let mut request = Request::get(path);
    if let Some(version) = version {
        request = request.query("version", version.to_string());
    }
    let envelope = cx
        .http()?
        .send_aside(request)
        .and_then(strongroom_client::Reply::envelope)
        .map_err(|e| Fail::server(format!("Error doing pre-read at {path}"), &e))?
        .ok_or_else(|| Fail::remote(format!("No value found at {path}")))?;
    let missing = |what: &str| {
        Fail::remote(format!("No {what} found at {path}; {doing} only works on existing data"))
    };
    let metadata = envelope.datum("metadata").ok_or_else(|| missing("metadata"))?;
    let number = metadata.get("version").cloned().ok_or_else(|| missing("metadata"))?;
    let data = envelope.datum("data").and_then(Json::as_object);
    Ok((data.cloned().ok_or_else(|| missing("data"))?, number))
}

pub fn delete(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let target = Target::find(cx)?;
    let path = target.data();
    let versions = versions(cx);
    let answer = if target.versioned && !versions.is_empty() {
        cx.http()?.write(&target.branch("delete"), json!({"versions": versions}))
    } else {
        cx.http()?.delete(&path)
    };
    let answer = answer.map_err(|e| Fail::server(format!("Error deleting {path}"), &e))?;
    deleted(cx, &path, answer)
}

fn versions(cx: &Context<'_, '_>) -> Vec<String> {
    let given = cx.flags.list("versions");
    let parts = given.iter().flat_map(|list| list.split(','));
    parts.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

pub fn undelete(cx: &mut Context<'_, '_>) -> Outcome {
    on_versions(cx, "undelete", "Undelete not supported on KV Version 1")
}

pub fn destroy(cx: &mut Context<'_, '_>) -> Outcome {
    on_versions(cx, "destroy", "Destroy not supported on KV Version 1")
}

fn on_versions(cx: &mut Context<'_, '_>, branch: &str, complaint: &str) -> Outcome {
    cx.expect_args(1)?;
    let versions = versions(cx);
    if versions.is_empty() {
        return Err(Fail::usage(format!(
            "No versions provided, use the \"-versions\" flag to specify the version to {branch}."
        )));
    }
    let target = Target::find(cx)?;
    target.need_versions(complaint, 1)?;
    let path = target.branch(branch);
    let answer = cx.http()?.write(&path, json!({"versions": versions}));
    match answer.map_err(|e| Fail::server(format!("Error writing data to {path}"), &e))? {
        Some(envelope) => cx.ui.envelope(&envelope),
        None => success(cx, &path),
    }
}

pub fn rollback(cx: &mut Context<'_, '_>) -> Outcome {
    if cx.args.len() != 1 {
        return Err(Fail::usage(format!(
            "Invalid number of arguments (expected 1, got {})",
            cx.args.len()
        )));
    }
    let version =
        cx.flags.int("version").ok_or_else(|| Fail::usage("Version flag must be specified"))?;
    if version <= 0 {
        return Err(Fail::usage(format!("Invalid value {version} for the version flag")));
    }
    let target = Target::find(cx)?;
    target.need_versions("K/V engine mount must be version 2 for rollback support", 2)?;
    let path = target.data();
    let cas = newest(cx, &path)?;
    let (data, found) = current(cx, &path, Some(version), "rollback")?;
    if found.as_i64() != Some(version) {
        return Err(Fail::remote(format!("Version {version} not found at {path}")));
    }
    let body = json!({"data": data, "options": {"cas": cas}});
    let answer = cx.http()?.write(&path, body);
    match answer.map_err(|e| Fail::server(format!("Error writing data to {path}"), &e))? {
        Some(envelope) => cx.ui.envelope(&envelope),
        None => success(cx, &path),
    }
}

/// The number of the newest version, deleted or not.
fn newest(cx: &mut Context<'_, '_>, path: &str) -> Result<Json, Fail> {
    let envelope = cx
        .http()?
        .send_aside(Request::get(path))
        .and_then(strongroom_client::Reply::envelope)
        .map_err(|e| Fail::server(format!("Error doing pre-read at {path}"), &e))?
        .ok_or_else(|| Fail::remote(format!("No value found at {path}")))?;
    envelope
        .datum("metadata")
        .and_then(|metadata| metadata.get("version"))
        .cloned()
        .ok_or_else(|| Fail::remote(format!("No metadata found at {path}")))
}

pub fn enable_versioning(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let path = clean_path(cx.arg(0));
    let answer =
        cx.http()?.write(&format!("sys/mounts/{path}/tune"), json!({"options": {"version": "2"}}));
    answer.map_err(|e| Fail::server(format!("Error tuning secrets engine {path}/"), &e))?;
    cx.ui.say(&format!("Success! Tuned the secrets engine at: {path}/"));
    Ok(())
}
