//! `rotation`: credentials that the server replaces, and who still holds the old ones.

use serde_json::json;
use strongroom_base::json::Json;
use strongroom_client::{Envelope, Request, join_path};

use super::command::{Command, Fail, Outcome, Prints};
use super::context::Context;
use super::data::clean_path;
use super::flags::Flag;
use super::gotext::go_value;
use super::table::{pairs, table};

/// Where the server keeps them.
const API: &str = "sys/rotation";
/// Folders that a list goes into at most.
const FOLDERS_MAX: usize = 10_000;
/// Ended rotations that are shown.
const OUTCOMES_SHOWN: usize = 5;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::group(
        "rotation",
        "Watch and steer the rotation of credentials",
        "
The server replaces credentials by itself. With two accounts the one before stays good until
every consumer that was seen with it has read the new one, or the deadline has come.

    $ {bin} rotation list
    $ {bin} rotation status database/static-roles/app",
    ),
    Command::new(
        "rotation list",
        "[PREFIX]",
        "List what is rotated",
        "
Lists what is rotated, with its state. Needs sudo, as the list of leases does.

    $ {bin} rotation list
    $ {bin} rotation list database/",
        list,
    )
    .prints(Prints::FORMATS),
    Command::new(
        "rotation status",
        "PATH",
        "Show how far a rotation is, and who holds it up",
        "
Shows what is rotated: its version, the rotation under way, the consumers that have not moved on
to the new version, and how the last rotations ended.

    $ {bin} rotation status database/static-roles/app
    $ {bin} rotation status -limit=1000 -format=json database/static-roles/app",
        status,
    )
    .prints(Prints::FIELDS)
    .flags(&[Flag::text("limit", "Consumers to show at most.").default("100")]),
    Command::new(
        "rotation start",
        "PATH",
        "Rotate a credential now",
        "
Makes, tries and publishes the next credential, and waits for that. One that failed is tried
again at once.

    $ {bin} rotation start database/static-roles/app",
        start,
    ),
    Command::new(
        "rotation force",
        "PATH",
        "Revoke the credential of before, whoever still holds it",
        "
Ends a drain: consumers that have not moved on lose what they hold. A rotation that waits to try
again does so at once; one that cannot take something back outside gives up after one more
attempt, and leaves it behind.

    $ {bin} rotation force database/static-roles/app",
        force,
    ),
    Command::new(
        "rotation abort",
        "PATH",
        "Call off a rotation that is not published",
        "
Rolls back a rotation whose credential is not published yet. The one before stands.

    $ {bin} rotation abort database/static-roles/app",
        abort,
    ),
    Command::new(
        "rotation ack",
        "PATH",
        "Say that a consumer has moved on",
        "
Says that the caller uses the new version, though it did not read it here. With sudo, the same for
all consumers of a login, or for one of them; \"rotation status\" shows their accessors and, as
JSON, their numbers.

    $ {bin} rotation ack database/static-roles/app
    $ {bin} rotation ack -accessor=zR4y… database/static-roles/app",
        ack,
    )
    .flags(&[
        Flag::text("accessor", "Every consumer of the login with this accessor. Needs sudo."),
        Flag::text("consumer", "The consumer with this number. Needs sudo."),
    ]),
];

fn text(value: &Json, name: &str) -> String {
    value.get(name).filter(|value| !value.is_null()).map(go_value).unwrap_or_default()
}

fn number(value: &Json, name: &str) -> u64 {
    value.get(name).and_then(Json::as_u64).unwrap_or(0)
}

fn path(cx: &Context<'_, '_>) -> Result<String, Fail> {
    if cx.args.is_empty() {
        return Err(Fail::usage("Missing PATH!"));
    }
    cx.expect_args(1)?;
    Ok(clean_path(cx.arg(0)))
}

/// The API's path of `what` is done to `path`.
fn api(what: &str, path: &str) -> String {
    join_path(&[API, what, path])
}

fn list(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args_between(0, 1, "at most 1")?;
    let prefix = if cx.args.is_empty() { String::new() } else { clean_path(cx.arg(0)) };
    let mut folders = vec![prefix];
    let mut found: Vec<(String, Json)> = Vec::new();
    let mut looked = 0;
    while let Some(folder) = folders.pop() {
        looked += 1;
        if looked > FOLDERS_MAX {
            return Err(Fail::usage("Too many folders: give a longer prefix"));
        }
        let answer = cx.http()?.list(&api("subjects", &folder));
        let answer = answer.map_err(|e| Fail::server("Error listing rotations", &e))?;
        let Some(envelope) = answer else { continue };
        for key in envelope.keys().into_iter().flatten().filter_map(Json::as_str) {
            let path = join_path(&[&folder, key]);
            match key.ends_with('/') {
                true => folders.push(path),
                false => {
                    let info = envelope.datum("key_info").and_then(|all| all.get(key));
                    found.push((path, info.cloned().unwrap_or_else(|| json!({}))));
                }
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    if !cx.ui.is_table() {
        let all: serde_json::Map<String, Json> = found.into_iter().collect();
        return cx.ui.data(&Json::Object(all));
    }
    if found.is_empty() {
        cx.ui.say("Nothing is rotated here.");
        return Ok(());
    }
    let row = |(path, info): &(String, Json)| {
        let note = match text(info, "progress") {
            progress if progress.is_empty() => text(info, "last_error"),
            progress => progress,
        };
        let [state, version, last, next] =
            ["state", "version", "last_rotation", "next_rotation"].map(|name| text(info, name));
        vec![path.clone(), state, version, last, next, note]
    };
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    let headings = ["Path", "State", "Version", "Last rotation", "Next rotation", "Note"];
    cx.ui.say(&table(&headings, &rows));
    Ok(())
}

fn status(cx: &mut Context<'_, '_>) -> Outcome {
    let path = path(cx)?;
    let limit = cx.flags.text("limit").unwrap_or("100").to_owned();
    let request = Request::get(api("subjects", &path)).query("limit", limit);
    let answer = cx.http()?.send(request).and_then(strongroom_client::Reply::envelope);
    let doing = format!("Error reading the rotation of {path}");
    let answer = answer.map_err(|e| Fail::server(doing, &e))?;
    let Some(envelope) = answer else {
        return Err(Fail::remote(format!("Nothing is rotated at {path}")));
    };
    if let Some(field) = cx.flags.text("field") {
        let field = field.to_owned();
        return cx.ui.field(&envelope, &field);
    }
    if !cx.ui.is_table() {
        return cx.ui.envelope(&envelope);
    }
    cx.ui.warnings(envelope.warnings());
    let data = envelope.data.clone().map_or_else(|| json!({}), Json::Object);
    cx.ui.say(&pairs(&summary(&data)));
    let rotation = data.get("rotation").cloned().unwrap_or_default();
    let consumers = rotation.get("consumers").cloned().unwrap_or_default();
    let holding = consumers.get("holding").and_then(Json::as_array);
    if let Some(holding) = holding.filter(|holding| !holding.is_empty()) {
        let version = text(&rotation, "old_version");
        cx.ui.say(&format!("\nStill at version {version}:\n"));
        let rows: Vec<Vec<String>> = holding.iter().map(holder).collect();
        let headings = ["Consumer", "From", "Since", "Accessor", "Note"];
        cx.ui.say(&table(&headings, &rows));
        let more = number(&consumers, "left").saturating_sub(holding.len() as u64);
        if more > 0 {
            cx.ui.say(&format!("\n… and {more} more; -limit shows them."));
        }
    }
    let outcomes = data.get("last_outcomes").and_then(Json::as_array);
    if let Some(outcomes) = outcomes.filter(|outcomes| !outcomes.is_empty()) {
        cx.ui.say("\nLast rotations:\n");
        let rows: Vec<Vec<String>> = outcomes.iter().take(OUTCOMES_SHOWN).map(outcome).collect();
        cx.ui.say(&table(&["Ended", "How", "Version", "Cause", "Consumers", "Note"], &rows));
    }
    Ok(())
}

/// What is said first. What is not there is left out.
fn summary(data: &Json) -> Vec<(String, String)> {
    let rotation = data.get("rotation").cloned().unwrap_or_default();
    let consumers = rotation.get("consumers").cloned().unwrap_or_default();
    let draining = text(&rotation, "state") == "draining";
    let schedule = match (text(data, "rotation_schedule"), text(data, "rotation_period")) {
        (schedule, _) if !schedule.is_empty() => format!("{schedule} (UTC)"),
        (_, period) if !period.is_empty() => format!("every {period} seconds"),
        _ => "on request".to_owned(),
    };
    let removed = data.get("removed").and_then(Json::as_bool).unwrap_or(false);
    let rows = [
        ("Path", text(data, "path")),
        ("State", text(data, "state")),
        ("Since", text(&rotation, "since")),
        (
            "Removed",
            if removed { "yes; it goes with this rotation".to_owned() } else { String::new() },
        ),
        ("Version", text(data, "version")),
        ("Last rotation", text(data, "last_rotation")),
        ("Rotates", schedule),
        ("Next rotation", text(data, "next_rotation")),
        ("Consumers", if draining { text(&consumers, "progress") } else { String::new() }),
        ("Deadline", if draining { text(&rotation, "deadline") } else { String::new() }),
        ("Last error", text(data, "last_error")),
        ("Next attempt", text(data, "next_attempt")),
    ];
    let rows = rows.into_iter().filter(|(_, value)| !value.is_empty());
    rows.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn holder(holder: &Json) -> Vec<String> {
    let from = match (text(holder, "pod_uid"), text(holder, "certificate_serial")) {
        (pod, _) if !pod.is_empty() => format!("pod {pod}"),
        (_, serial) if !serial.is_empty() => format!("certificate {serial}"),
        _ => text(holder, "remote_address"),
    };
    let [name, since, accessor, note] =
        ["display_name", "since", "accessor", "note"].map(|name| text(holder, name));
    vec![name, from, since, accessor, note]
}

fn outcome(outcome: &Json) -> Vec<String> {
    let [moved, ended, left] =
        ["consumers_moved", "consumers_ended", "consumers_left"].map(|name| number(outcome, name));
    let consumers = match (moved, ended, left) {
        (0, 0, 0) => String::new(),
        (_, 0, 0) => format!("{moved} moved"),
        (_, _, 0) => format!("{moved} moved, {ended} ended"),
        _ => format!("{moved} moved, {ended} ended, {left} left"),
    };
    let names = outcome.get("left").and_then(Json::as_array).into_iter().flatten();
    let names: Vec<&str> = names.filter_map(Json::as_str).collect();
    let note = match (text(outcome, "error"), names.is_empty()) {
        (error, true) => error,
        (error, false) if error.is_empty() => format!("left: {}", names.join(", ")),
        (error, false) => format!("{error}; left: {}", names.join(", ")),
    };
    let [when, ending, version, cause] =
        ["ended", "ending", "version", "cause"].map(|name| text(outcome, name));
    vec![when, ending, version, cause, consumers, note]
}

fn write(
    cx: &mut Context<'_, '_>,
    what: &str,
    path: &str,
    body: Json,
    doing: &str,
) -> Result<Option<Envelope>, Fail> {
    let answer = cx.http()?.send(Request::put(api(what, path), body));
    let answer = answer.and_then(strongroom_client::Reply::written);
    answer.map_err(|e| Fail::server(format!("Error {doing} {path}"), &e))
}

fn start(cx: &mut Context<'_, '_>) -> Outcome {
    let path = path(cx)?;
    write(cx, "start", &path, json!({}), "rotating")?;
    cx.ui.say(&format!("Success! Rotated: {path}"));
    Ok(())
}

fn force(cx: &mut Context<'_, '_>) -> Outcome {
    let path = path(cx)?;
    let answer = write(cx, "force", &path, json!({}), "forcing the rotation of")?;
    let datum = |name: &str| answer.as_ref().and_then(|envelope| envelope.datum(name)).cloned();
    let left = datum("consumers_left").and_then(|left| left.as_u64()).unwrap_or(0);
    let state = datum("state").map(|state| go_value(&state)).unwrap_or_default();
    cx.ui.say(&match state.as_str() {
        "draining" => format!("Success! Ended the drain of {path}; consumers left: {left}"),
        "revoke" | "undo" => {
            format!("Success! {path} takes back what it can, and gives up if that fails")
        }
        state => format!("Success! {path} goes on at once, with: {state}"),
    });
    Ok(())
}

fn abort(cx: &mut Context<'_, '_>) -> Outcome {
    let path = path(cx)?;
    write(cx, "abort", &path, json!({}), "calling off the rotation of")?;
    cx.ui.say(&format!("Success! Called off the rotation of: {path}"));
    Ok(())
}

fn ack(cx: &mut Context<'_, '_>) -> Outcome {
    let path = path(cx)?;
    let mut body = json!({});
    for name in ["accessor", "consumer"] {
        if let Some(value) = cx.flags.text(name).filter(|value| !value.is_empty()) {
            body[name] = json!(value);
        }
    }
    let answer = write(cx, "ack", &path, body, "acknowledging")?;
    if let Some(envelope) = &answer {
        cx.ui.warnings(envelope.warnings());
    }
    let count = answer.as_ref().and_then(|envelope| envelope.datum("acknowledged"));
    let count = count.and_then(Json::as_u64).unwrap_or(0);
    cx.ui.say(&format!("Consumers acknowledged: {count}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_leaves_out_what_is_not_there() {
        let idle = json!({
            "path": "db/a", "state": "idle", "version": 3, "removed": false,
            "last_rotation": "2026-01-01T00:00:00Z", "next_rotation": null,
            "rotation_schedule": null, "rotation_period": null, "last_error": "",
        });
        let names: Vec<String> = summary(&idle).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Path", "State", "Version", "Last rotation", "Rotates"]);
        let draining = json!({
            "path": "db/a", "state": "draining", "version": 4, "rotation_period": 60,
            "rotation": {
                "state": "draining", "since": "S", "deadline": "D",
                "consumers": { "progress": "37/40 moved, 3 left" },
            },
        });
        let rows = summary(&draining);
        let of = |wanted: &str| {
            rows.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
        };
        assert_eq!(of("Consumers"), Some("37/40 moved, 3 left"));
        assert_eq!(of("Deadline"), Some("D"));
        assert_eq!(of("Rotates"), Some("every 60 seconds"));
    }

    #[test]
    fn an_outcome_says_what_became_of_the_consumers() {
        for (moved, ended, left, error, expect) in [
            (0, 0, 0, "", ["", ""]),
            (3, 0, 0, "", ["3 moved", ""]),
            (3, 1, 0, "", ["3 moved, 1 ended", ""]),
            (3, 0, 1, "", ["3 moved, 0 ended, 1 left", "left: kim at ::1"]),
            (0, 0, 1, "down", ["0 moved, 0 ended, 1 left", "down; left: kim at ::1"]),
        ] {
            let names = if left > 0 { json!(["kim at ::1"]) } else { json!([]) };
            let row = outcome(&json!({
                "ended": "E", "ending": "done", "version": 2, "cause": "schedule", "error": error,
                "consumers_moved": moved, "consumers_ended": ended, "consumers_left": left,
                "left": names,
            }));
            assert_eq!(row[..4], ["E", "done", "2", "schedule"]);
            assert_eq!(row[4..], expect);
        }
    }
}
