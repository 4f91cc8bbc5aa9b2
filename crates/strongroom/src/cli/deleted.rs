//! `secrets deleted`, `secrets restore` and their twins for auth methods: what was disabled within
//! the last seven days, and how it comes back.

use serde_json::json;
use strongroom_base::json::Json;
use strongroom_client::Request;

use super::command::{Fail, Outcome};
use super::context::Context;
use super::gotext::go_value;
use super::mounts::Family;
use super::table::table;

/// Where the server keeps them.
const API: &str = "sys/strongroom/deleted-mounts";

fn is_of(family: Family, mount: &Json) -> bool {
    let path = mount.get("path").and_then(Json::as_str).unwrap_or_default();
    path.starts_with("auth/") == (family == Family::Auth)
}

/// `deleted`.
pub fn deleted(cx: &mut Context<'_, '_>, family: Family) -> Outcome {
    cx.expect_args(0)?;
    let answer = cx.http()?.list(API);
    let answer = answer.map_err(|e| Fail::server("Error listing deleted mounts", &e))?;
    let info = answer.as_ref().and_then(|envelope| envelope.datum("key_info"));
    let mounts: Vec<&Json> = info
        .and_then(Json::as_object)
        .into_iter()
        .flat_map(|map| map.values())
        .filter(|mount| is_of(family, mount))
        .collect();
    if !cx.ui.is_table() {
        return cx.ui.data(&json!(mounts));
    }
    if mounts.is_empty() {
        cx.ui.say("Nothing that could be restored.");
        return Ok(());
    }
    let text = |mount: &Json, name: &str| mount.get(name).map(go_value).unwrap_or_default();
    let rows: Vec<Vec<String>> = mounts
        .iter()
        .map(|mount| {
            ["path", "type", "deleted_time", "removal_time", "uuid"]
                .into_iter()
                .map(|name| text(mount, name))
                .collect()
        })
        .collect();
    cx.ui.say(&table(&["Path", "Type", "Deleted", "Gone for good", "ID"], &rows));
    Ok(())
}

/// `restore ID [PATH]`.
pub fn restore(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args_between(1, 2, "1 or 2")?;
    let id = cx.arg(0).to_owned();
    let path = (cx.args.len() > 1).then(|| cx.arg(1).to_owned());
    let body = path.map_or_else(|| json!({}), |path| json!({ "path": path }));
    let request = Request::post(format!("{API}/{id}/restore"), body);
    let answer = cx.http()?.send(request).and_then(strongroom_client::Reply::written);
    let answer = answer.map_err(|error| match error.status() {
        Some(404) => Fail::remote("No deleted mount with this ID can be restored"),
        _ => Fail::server("Error restoring the mount", &error),
    })?;
    let path = answer.as_ref().and_then(|envelope| envelope.datum("path")).map(go_value);
    cx.ui.say(&format!("Success! Restored at: {}", path.unwrap_or_default()));
    Ok(())
}
