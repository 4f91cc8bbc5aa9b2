//! `kv metadata`: versions, limits and notes of a secret.

use strongroom_base::json::{Json, JsonMap};
use strongroom_client::Request;

use super::MOUNT;
use super::read::{path_heading, titled};
use super::target::Target;
use super::write::success;
use crate::cli::command::{Command, Fail, Outcome, Prints};
use crate::cli::context::Context;
use crate::cli::data::print_answer;
use crate::cli::flags::Flag;

const MAX_VERSIONS: Flag =
    Flag::int("max-versions", "How many versions to keep. The store's setting if not given.");
const CAS_REQUIRED: Flag =
    Flag::bool("cas-required", "Refuse writes that do not name the version they replace.");
const DELETE_AFTER: Flag = Flag::duration(
    "delete-version-after",
    "Delete each version this long after it was written, such as 30s or 3h25m19s.",
);
const CUSTOM: Flag = Flag::map("custom-metadata", "A note of your own. May be given again.");

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::new(
        "kv metadata get",
        "KEY",
        "Show a secret's versions and settings",
        "
Shows when each version was written, deleted or destroyed.

    $ {bin} kv metadata get -mount=secret app",
        get,
    )
    .prints(Prints::FIELDS)
    .flags(&[MOUNT]),
    Command::new(
        "kv metadata put",
        "KEY",
        "Set a secret's settings and notes",
        "
Sets what is given; notes given replace all notes there are.

    $ {bin} kv metadata put -mount=secret -max-versions=5 -cas-required app
    $ {bin} kv metadata put -mount=secret -custom-metadata=owner=kim app",
        put,
    )
    .prints(Prints::FORMATS)
    .flags(&[MOUNT, MAX_VERSIONS, CAS_REQUIRED, DELETE_AFTER, CUSTOM]),
    Command::new(
        "kv metadata patch",
        "KEY",
        "Change some of a secret's settings and notes",
        "
Changes what is given and leaves the rest.

    $ {bin} kv metadata patch -mount=secret -custom-metadata=owner=kim app
    $ {bin} kv metadata patch -mount=secret -remove-custom-metadata=owner app",
        patch,
    )
    .prints(Prints::FORMATS)
    .flags(&[
        MOUNT,
        MAX_VERSIONS,
        CAS_REQUIRED,
        DELETE_AFTER,
        CUSTOM,
        Flag::list("remove-custom-metadata", "Note to remove. May be given again."),
    ]),
    Command::new(
        "kv metadata delete",
        "KEY",
        "Remove a secret with all its versions",
        "
Removes the secret, every version and all notes. Nothing can be brought back.

    $ {bin} kv metadata delete -mount=secret app",
        delete,
    )
    .flags(&[MOUNT]),
];

const NOT_VERSIONED: &str = "Metadata not supported on KV Version 1";

fn find(cx: &mut Context<'_, '_>) -> Result<String, Fail> {
    cx.expect_args(1)?;
    let target = Target::find(cx)?;
    target.need_versions(NOT_VERSIONED, 1)?;
    Ok(target.branch("metadata"))
}

fn get(cx: &mut Context<'_, '_>) -> Outcome {
    let path = find(cx)?;
    let mut envelope = cx
        .http()?
        .read(&path)
        .map_err(|e| Fail::server(format!("Error reading {path}"), &e))?
        .ok_or_else(|| Fail::remote(format!("No value found at {path}")))?;
    let field = !cx.flags.text_or_empty("field").is_empty();
    if field || envelope.wrap_info.is_some() || !cx.ui.is_table() {
        return print_answer(cx, &envelope);
    }
    let Some(data) = envelope.data.as_mut() else {
        return Err(Fail::remote(format!("No value found at {path}")));
    };
    let versions = match data.remove("versions") {
        Some(Json::Object(versions)) => versions,
        _ => return Err(Fail::remote(format!("No versions found at {path}"))),
    };
    let data = data.clone();
    path_heading(cx, "Metadata Path", &path);
    cx.ui.warnings(envelope.warnings());
    titled(cx, "Metadata", &data)?;
    let mut numbers: Vec<u64> = versions.keys().filter_map(|key| key.parse().ok()).collect();
    numbers.sort_unstable();
    for number in numbers {
        if let Some(version) = versions.get(&number.to_string()).and_then(Json::as_object) {
            cx.ui.say("");
            titled(cx, &format!("Version {number}"), version)?;
        }
    }
    Ok(())
}

fn settings(cx: &Context<'_, '_>) -> JsonMap {
    let mut data = JsonMap::new();
    if let Some(max) = cx.flags.int("max-versions").filter(|max| *max >= 0) {
        data.insert("max_versions".into(), max.into());
    }
    if let Some(required) = cx.flags.bool("cas-required") {
        data.insert("cas_required".into(), required.into());
    }
    if cx.flags.nanos("delete-version-after").is_some_and(|nanos| nanos >= 0)
        && let Some(after) = cx.flags.duration("delete-version-after")
    {
        data.insert("delete_version_after".into(), after.into());
    }
    data
}

fn notes(cx: &Context<'_, '_>) -> JsonMap {
    cx.flags.map("custom-metadata").into_iter().map(|(k, v)| (k, Json::String(v))).collect()
}

fn put(cx: &mut Context<'_, '_>) -> Outcome {
    let path = find(cx)?;
    let mut data = settings(cx);
    let notes = notes(cx);
    if !notes.is_empty() {
        data.insert("custom_metadata".into(), Json::Object(notes));
    }
    send(cx, Request::put(path, Json::Object(data)))
}

fn patch(cx: &mut Context<'_, '_>) -> Outcome {
    let path = find(cx)?;
    let mut data = settings(cx);
    let mut notes = notes(cx);
    notes.extend(cx.flags.list("remove-custom-metadata").into_iter().map(|k| (k, Json::Null)));
    data.insert("custom_metadata".into(), Json::Object(notes));
    send(cx, Request::patch(path, Json::Object(data)))
}

fn send(cx: &mut Context<'_, '_>, request: Request) -> Outcome {
    let path = request.path.clone();
    let answer = cx.http()?.send(request).and_then(strongroom_client::Reply::written);
    match answer.map_err(|e| Fail::server(format!("Error writing data to {path}"), &e))? {
        Some(envelope) => cx.ui.envelope(&envelope),
        None => success(cx, &path),
    }
}

fn delete(cx: &mut Context<'_, '_>) -> Outcome {
    let path = find(cx)?;
    let answer = cx.http()?.delete(&path);
    answer.map_err(|e| Fail::server(format!("Error deleting {path}"), &e))?;
    cx.ui.say(&format!("Success! Data deleted (if it existed) at: {path}"));
    Ok(())
}
