//! `kv mv` and `kv cp`: secrets and folders to another path, in one request of the server's. No
//! value passes through here.

use serde_json::json;
use strongroom_base::json::Json;

use super::target::Target;
use crate::cli::command::{Fail, Outcome};
use crate::cli::context::Context;
use crate::cli::http::rules;

/// The words of one of the two commands.
struct Words {
    /// The store's branch.
    branch: &'static str,
    doing: &'static str,
    done: &'static str,
}

pub fn mv(cx: &mut Context<'_, '_>) -> Outcome {
    relocate(cx, &Words { branch: "move", doing: "moving", done: "Moved" })
}

pub fn cp(cx: &mut Context<'_, '_>) -> Outcome {
    relocate(cx, &Words { branch: "copy", doing: "copying", done: "Copied" })
}

fn relocate(cx: &mut Context<'_, '_>, words: &Words) -> Outcome {
    cx.expect_args(2)?;
    let recursive = cx.flags.is("recursive");
    if !recursive && cx.arg(0).ends_with('/') {
        return Err(Fail::usage(format!(
            "{} is a folder: use -recursive for all that is in it",
            cx.arg(0)
        )));
    }
    if cx.flags.given("to-mount") && !cx.flags.given("mount") {
        return Err(Fail::usage(
            "-to-mount needs -mount: without, both paths begin with the mount",
        ));
    }
    let from = Target::find(cx)?;
    from.need_versions("K/V engine mount must be version 2 to move or copy its secrets", 2)?;
    let (to, to_mount) = destination(cx, &from)?;
    cx.http()?.policy = Some(policy(&from, (&to_mount, &to), recursive, words));
    let mut body = json!({"to": to, "recursive": recursive});
    if to_mount != from.mount_path() {
        body["to_mount"] = to_mount.into();
    }
    let whole = from.whole();
    let answer = cx.http()?.write(&from.branch(words.branch), body);
    let answer = answer.map_err(|error| match error.status() {
        Some(404) if recursive => Fail::remote(format!("No folder found at {whole}")),
        Some(404) => Fail::remote(format!(
            "No secret found at {whole}. For a folder with all that is in it use -recursive."
        )),
        _ => Fail::server(format!("Error {} {whole}", words.doing), &error),
    })?;
    let Some(envelope) = answer else { return Ok(()) };
    if envelope.is_wrapped() || !cx.ui.is_table() {
        return cx.ui.envelope(&envelope);
    }
    cx.ui.warnings(envelope.warnings());
    let text = |name: &str| envelope.datum(name).and_then(Json::as_str).unwrap_or_default();
    let (source, place) = (text("from"), text("to"));
    let count = envelope.datum("secrets").and_then(Json::as_u64).unwrap_or_default();
    let what = match (recursive, count) {
        (false, _) => String::new(),
        (true, 1) => "1 secret from ".to_owned(),
        (true, n) => format!("{n} secrets from "),
    };
    cx.ui.say(&format!("Success! {} {what}{source} to {place}", words.done));
    Ok(())
}

/// The path within the mount that takes the secret, and that mount.
fn destination(cx: &mut Context<'_, '_>, from: &Target) -> Result<(String, String), Fail> {
    let given = cx.arg(1).trim_start_matches('/').to_owned();
    let (within, mount) = if cx.flags.given("mount") {
        let other = cx.flags.text_or_empty("to-mount").trim_matches('/').to_owned();
        let mount = if other.is_empty() { from.mount_path() } else { format!("{other}/") };
        (given, mount)
    } else {
        let to = Target::find_path(cx, &given)?;
        to.need_versions("K/V engine mount must be version 2 to take other secrets", 2)?;
        let folder = given.ends_with('/') && !to.within().is_empty();
        (format!("{}{}", to.within(), if folder { "/" } else { "" }), to.mount_path())
    };
    // The top of a mount takes a secret under its own name.
    let own_name = || from.within().rsplit('/').next().unwrap_or_default().to_owned();
    Ok((if within.is_empty() { own_name() } else { within }, mount))
}

/// The policy that `-output-policy` shows: the rights are those on the secrets themselves, none on
/// the branch that the request goes to.
fn policy(from: &Target, to: (&str, &str), recursive: bool, words: &Words) -> String {
    let below = if recursive { "/*" } else { "" };
    let source = |branch| format!("{}{below}", from.branch(branch));
    let name = if to.1.ends_with('/') && !recursive {
        format!("{}{}", to.1, from.within().rsplit('/').next().unwrap_or_default())
    } else {
        to.1.trim_end_matches('/').to_owned()
    };
    let place = |branch| format!("{}{below}", Target::place(to.0, branch, &name));
    let names: &[&str] = match (recursive, words.branch) {
        (true, "move") => &["list", "delete"],
        (true, _) => &["list"],
        (false, "move") => &["delete"],
        (false, _) => &[],
    };
    let mut all: Vec<(String, &[&str])> = vec![(source("data"), &["read"])];
    if !names.is_empty() {
        all.push((source("metadata"), names));
    }
    all.push((place("data"), &["create"]));
    all.push((place("metadata"), &["create"]));
    rules(&all)
}
