//! `secrets deleted`, `secrets restore` and their twins for auth methods: what was disabled within
//! the last seven days, and how it comes back.

use serde_json::json;
use strongroom_base::json::Json;
use strongroom_client::Request;

use super::command::{Fail, Outcome};
use super::context::Context;
use super::data::clean_path;
use super::gotext::go_value;
use super::mounts::Family;
use super::table::table;

/// Where the server keeps them.
const API: &str = "sys/strongroom/deleted-mounts";

fn is_of(family: Family, mount: &Json) -> bool {
    let path = mount.get("path").and_then(Json::as_str).unwrap_or_default();
    path.starts_with("auth/") == (family == Family::Auth)
}

fn text(mount: &Json, name: &str) -> String {
    mount.get(name).map(go_value).unwrap_or_default()
}

/// What was disabled and can be restored.
fn find(cx: &mut Context<'_, '_>, family: Family) -> Result<Vec<Json>, Fail> {
    let answer = cx.http()?.send_aside(Request::list(API));
    let answer = answer.and_then(strongroom_client::Reply::envelope);
    let answer = answer.map_err(|e| Fail::server("Error listing deleted mounts", &e))?;
    let info = answer.as_ref().and_then(|envelope| envelope.datum("key_info"));
    let all = info.and_then(Json::as_object).into_iter().flat_map(|map| map.values());
    Ok(all.filter(|mount| is_of(family, mount)).cloned().collect())
}

/// `deleted`.
pub fn deleted(cx: &mut Context<'_, '_>, family: Family) -> Outcome {
    cx.expect_args(0)?;
    let mounts = find(cx, family)?;
    if !cx.ui.is_table() {
        return cx.ui.data(&json!(mounts));
    }
    if mounts.is_empty() {
        cx.ui.say("Nothing that could be restored.");
        return Ok(());
    }
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

/// `restore PATH|ID [NEW PATH]`.
pub fn restore(cx: &mut Context<'_, '_>, family: Family) -> Outcome {
    cx.expect_args_between(1, 2, "1 or 2")?;
    let given = clean_path(cx.arg(0));
    let prefix = if family == Family::Auth { "auth/" } else { "" };
    let found: Vec<Json> = find(cx, family)?
        .into_iter()
        .filter(|mount| {
            let path = text(mount, "path");
            let own = path.strip_prefix(prefix).unwrap_or(&path).trim_end_matches('/');
            text(mount, "uuid") == given || own == given
        })
        .collect();
    let id = match found.as_slice() {
        [mount] => text(mount, "uuid"),
        [] => return Err(Fail::remote("Nothing of that path or ID can be restored")),
        _ => return Err(Fail::usage("Several were disabled at that path: give the ID of one")),
    };
    let path = (cx.args.len() > 1).then(|| cx.arg(1).to_owned());
    let body = path.map_or_else(|| json!({}), |path| json!({ "path": path }));
    let request = Request::post(format!("{API}/{id}/restore"), body);
    let answer = cx.http()?.send(request).and_then(strongroom_client::Reply::written);
    let answer = answer.map_err(|e| Fail::server("Error restoring the mount", &e))?;
    let path = answer.as_ref().and_then(|envelope| envelope.datum("path")).map(go_value);
    cx.ui.say(&format!("Success! Restored at: {}", path.unwrap_or_default()));
    Ok(())
}
