//! `kv get`, `kv list`, `kv scan`.

use strongroom_base::json::{Json, JsonMap};
use strongroom_client::{Envelope, Request, join_path};

use super::target::Target;
use crate::cli::command::{Fail, Outcome};
use crate::cli::context::Context;
use crate::cli::data::list_and_print;
use crate::cli::table::{banner, banner_over};

pub fn get(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let target = Target::find(cx)?;
    let path = target.data();
    let mut request = Request::get(&path);
    if let Some(version) = cx.flags.int("version").filter(|v| *v > 0 && target.versioned) {
        request = request.query("version", version.to_string());
    }
    let envelope = cx
        .http()?
        .send(request)
        .and_then(strongroom_client::Reply::envelope)
        .map_err(|e| Fail::server(format!("Error reading {path}"), &e))?
        .ok_or_else(|| Fail::remote(format!("No value found at {path}")))?;
    if let Some(field) = cx.flags.text("field").filter(|f| !f.is_empty()).map(str::to_owned) {
        return field_of(cx, &envelope, &field, target.versioned, &path);
    }
    if envelope.wrap_info.is_some() || !cx.ui.is_table() {
        return cx.ui.envelope(&envelope);
    }
    cx.ui.warnings(envelope.warnings());
    if !target.versioned {
        let data = envelope.data.unwrap_or_default();
        return titled(cx, "Data", &data);
    }
    path_heading(cx, "Secret Path", &path);
    if let Some(metadata) = envelope.datum("metadata").and_then(Json::as_object) {
        titled(cx, "Metadata", metadata)?;
        cx.ui.say("");
    }
    match envelope.datum("data").and_then(Json::as_object) {
        Some(data) => titled(cx, "Data", data),
        None => Ok(()),
    }
}

fn field_of(
    cx: &mut Context<'_, '_>,
    envelope: &Envelope,
    field: &str,
    versioned: bool,
    path: &str,
) -> Outcome {
    if !versioned || envelope.wrap_info.is_some() {
        return cx.ui.field(envelope, field);
    }
    let Some(data) = envelope.datum("data") else {
        return Err(Fail::remote(format!("No data found at {path}")));
    };
    // A field of that name goes before the whole.
    if field == "data" && data.get("data").is_none() {
        return cx.ui.member(Some(data.clone()), field);
    }
    cx.ui.member(data.get(field).cloned(), field)
}

/// A heading with the path under it, as wide as the path.
pub fn path_heading(cx: &mut Context<'_, '_>, title: &str, path: &str) {
    cx.ui.say(&banner(title, path.chars().count()));
    cx.ui.say(path);
    cx.ui.say("");
}

/// A heading with a table under it.
pub fn titled(cx: &mut Context<'_, '_>, title: &str, members: &JsonMap) -> Outcome {
    cx.ui.say(&banner_over(title, members.keys()));
    cx.ui.data(&Json::Object(members.clone()))
}

pub fn list(cx: &mut Context<'_, '_>) -> Outcome {
    names(cx, Request::list, "listing")
}

pub fn scan(cx: &mut Context<'_, '_>) -> Outcome {
    names(cx, Request::scan, "scanning")
}

fn names(cx: &mut Context<'_, '_>, request: fn(String) -> Request, doing: &str) -> Outcome {
    let fewest = usize::from(cx.flags.text_or_empty("mount").is_empty());
    cx.expect_args_between(fewest, 1, "1")?;
    let target = Target::find(cx)?;
    let path = join_path(&[&target.names()]);
    list_and_print(cx, request(path), doing)
}
