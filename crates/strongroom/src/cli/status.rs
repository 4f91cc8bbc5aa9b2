//! `status`, `version`, `version-history`, `path-help`, `monitor`: what a server says of itself.

use serde_json::json;
use strongroom_base::json::{Json, JsonMap};
use strongroom_client::Request;

use super::command::{Command, Fail, Outcome, Prints};
use super::context::Context;
use super::data::clean_path;
use super::flags::Flag;
use super::gotext::go_value;
use super::output::{Format, to_json};
use super::table::{pairs, table};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::new(
        "status",
        "",
        "Print whether the server is sealed, and its state in a cluster",
        "
Exit code 0: unsealed, 1: an error, 2: sealed.

    $ {bin} status",
        status,
    )
    .prints(Prints::FIELDS),
    Command::new(
        "version",
        "",
        "Print the version of this program",
        "
Prints the version of this program, not that of a server: see \"{bin} status\".",
        version,
    )
    .local(),
    Command::new(
        "version-history",
        "",
        "List the versions the server has run",
        "
Lists each version the server has run and when it was first started.",
        version_history,
    )
    .prints(Prints::FORMATS),
    Command::new(
        "path-help",
        "PATH",
        "Explain what a path of the API takes and does",
        "
Prints the server's own help for a path.

    $ {bin} path-help sys/policies/acl/dev
    $ {bin} path-help secret/",
        path_help,
    )
    .prints(Prints::FORMATS),
    Command::new(
        "monitor",
        "",
        "Follow the server's log",
        "
Prints the server's log lines as they come, until you stop it.

    $ {bin} monitor -log-level=debug",
        monitor,
    )
    .flags(&[
        Flag::text("log-level", "From which level on: trace, debug, info, warn, error.")
            .default("info"),
        Flag::text("log-format", "standard or json.").default("standard"),
    ]),
];

fn status(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let http = cx.http().map_err(|fail| fail.with_code(1))?;
    // The seal belongs to the whole server.
    http.client.set_namespace("");
    let seal = http
        .document(Request::get("sys/seal-status").unwrapped())
        .map_err(|e| Fail::server("Error checking seal status", &e).with_code(1))?;
    let sealed = seal.get("sealed").and_then(Json::as_bool).unwrap_or(true);
    print_seal_status(cx, &seal).map_err(|fail| fail.with_code(1))?;
    if sealed { Err(Fail::quiet(2)) } else { Ok(()) }
}

/// Prints a seal's state, with what the leader says if it says something.
pub fn print_seal_status(cx: &mut Context<'_, '_>, seal: &Json) -> Outcome {
    let leader = match cx.http()?.document(Request::get("sys/leader").unwrapped()) {
        Ok(leader) => leader,
        // A sealed server does not tell; Vault's command line takes it for one of several.
        Err(error) if error.is_sealed() => json!({}),
        Err(error) => return Err(Fail::server("Error checking leader status", &error)),
    };
    if let Some(field) = wanted_field(cx) {
        return cx.ui.member(status_document(seal, &leader).get(&field).cloned(), &field);
    }
    if !cx.ui.is_table() {
        return cx.ui.data(&status_document(seal, &leader));
    }
    let mut rows = seal_rows(seal);
    rows.extend(server_rows(seal));
    rows.extend(leader_rows(&leader, flag(seal, "sealed")));
    cx.ui.say(&pairs(&rows));
    Ok(())
}

/// Prints the state of a seal alone, as for a namespace.
pub fn print_seal_only(cx: &mut Context<'_, '_>, seal: &Json) -> Outcome {
    if let Some(field) = wanted_field(cx) {
        return cx.ui.member(seal.get(&field).cloned(), &field);
    }
    if !cx.ui.is_table() {
        return cx.ui.data(seal);
    }
    cx.ui.say(&pairs(&seal_rows(seal)));
    Ok(())
}

/// The one field that is to be printed.
fn wanted_field(cx: &Context<'_, '_>) -> Option<String> {
    cx.flags.text("field").filter(|field| !field.is_empty()).map(str::to_owned)
}

fn text(json: &Json, name: &str) -> String {
    json.get(name).filter(|value| !value.is_null()).map(go_value).unwrap_or_default()
}

fn flag(json: &Json, name: &str) -> bool {
    json.get(name).and_then(Json::as_bool).unwrap_or_default()
}

fn number(json: &Json, name: &str) -> u64 {
    json.get(name).and_then(Json::as_u64).unwrap_or_default()
}

fn seal_rows(seal: &Json) -> Vec<(String, String)> {
    let mut rows = vec![("Seal Type".to_owned(), text(seal, "type"))];
    let recovery = flag(seal, "recovery_seal");
    if recovery {
        rows.push(("Recovery Seal Type".to_owned(), text(seal, "recovery_seal_type")));
    }
    let prefix = if recovery { "Recovery " } else { "" };
    rows.extend([
        ("Initialized".to_owned(), flag(seal, "initialized").to_string()),
        ("Sealed".to_owned(), flag(seal, "sealed").to_string()),
        (format!("Total {prefix}Shares"), number(seal, "n").to_string()),
        ("Threshold".to_owned(), number(seal, "t").to_string()),
    ]);
    if flag(seal, "sealed") {
        let progress = format!("{}/{}", number(seal, "progress"), number(seal, "t"));
        rows.push(("Unseal Progress".to_owned(), progress));
        rows.push(("Unseal Nonce".to_owned(), text(seal, "nonce")));
    }
    rows
}

fn server_rows(seal: &Json) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    if flag(seal, "migration") {
        rows.push(("Seal Migration in Progress".to_owned(), "true".to_owned()));
    }
    let mut row = |title: &str, name: &str| {
        let value = text(seal, name);
        if !value.is_empty() {
            rows.push((title.to_owned(), value));
        }
    };
    row("Version", "version");
    row("Build Date", "build_date");
    row("Commit Date", "commit_date");
    row("Storage Type", "storage_type");
    if !text(seal, "cluster_name").is_empty() && !text(seal, "cluster_id").is_empty() {
        row("Cluster Name", "cluster_name");
        row("Cluster ID", "cluster_id");
    }
    rows
}

fn leader_rows(leader: &Json, sealed: bool) -> Vec<(String, String)> {
    if leader.get("ha_enabled").is_none() {
        return Vec::new();
    }
    let enabled = flag(leader, "ha_enabled");
    let mut rows = vec![("HA Enabled".to_owned(), enabled.to_string())];
    if enabled && !sealed {
        let active = flag(leader, "is_self");
        rows.push(("HA Cluster".to_owned(), text(leader, "leader_cluster_address")));
        rows.push(("HA Mode".to_owned(), if active { "active" } else { "standby" }.to_owned()));
        let since = text(leader, "active_time");
        if active && !since.is_empty() && !since.starts_with("0001-01-01") {
            rows.push(("Active Since".to_owned(), since));
        }
        let address = text(leader, "leader_address");
        if !active && !address.is_empty() {
            rows.push(("Active Node Address".to_owned(), address));
        }
    }
    for (title, name) in [
        ("Raft Committed Index", "raft_committed_index"),
        ("Raft Applied Index", "raft_applied_index"),
    ] {
        if number(leader, name) > 0 {
            rows.push((title.to_owned(), number(leader, name).to_string()));
        }
    }
    rows
}

/// Both documents in one, in Vault's order; what is empty is left out where Vault does.
fn status_document(seal: &Json, leader: &Json) -> Json {
    let mut all = JsonMap::new();
    let always = [
        "type",
        "initialized",
        "sealed",
        "t",
        "n",
        "progress",
        "nonce",
        "version",
        "build_date",
        "migration",
    ];
    for name in always {
        all.insert(name.into(), seal.get(name).cloned().unwrap_or_else(|| "".into()));
    }
    let filled = |json: &Json, name: &str| {
        let value = json.get(name)?;
        let empty = value.is_null() || value == "" || value == false || value.as_u64() == Some(0);
        (!empty).then(|| value.clone())
    };
    for name in ["commit_date", "cluster_name", "cluster_id"] {
        all.extend(filled(seal, name).map(|value| (name.to_owned(), value)));
    }
    all.insert("recovery_seal".into(), flag(seal, "recovery_seal").into());
    for name in ["recovery_seal_type", "storage_type"] {
        all.extend(filled(seal, name).map(|value| (name.to_owned(), value)));
    }
    let enabled = leader.get("ha_enabled").and_then(Json::as_bool).unwrap_or(true);
    all.insert("ha_enabled".into(), enabled.into());
    for name in [
        "is_self",
        "active_time",
        "leader_address",
        "leader_cluster_address",
        "raft_committed_index",
        "raft_applied_index",
    ] {
        let value = filled(leader, name);
        // Go's zero time stands for none.
        let value = value.filter(|v| !v.as_str().is_some_and(|t| t.starts_with("0001-01-01")));
        all.extend(value.map(|value| (name.to_owned(), value)));
    }
    Json::Object(all)
}

fn version(cx: &mut Context<'_, '_>) -> Outcome {
    let line = super::version_line(cx.program());
    cx.ui.say(&line);
    Ok(())
}

fn version_history(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let envelope = cx
        .http()?
        .list("sys/version-history")
        .map_err(|e| Fail::server("Error reading version history", &e))?
        .ok_or_else(|| Fail::remote("The server keeps no history of its versions"))?;
    if !cx.ui.is_table() {
        return cx.ui.envelope(&envelope);
    }
    let none = JsonMap::new();
    let info = envelope.datum("key_info").and_then(Json::as_object).unwrap_or(&none);
    let rows: Vec<Vec<String>> = envelope
        .keys()
        .into_iter()
        .flatten()
        .map(|key| {
            let name = go_value(key);
            let of = info.get(&name).cloned().unwrap_or(Json::Null);
            let built = match text(&of, "build_date") {
                none if none.is_empty() => text(&of, "commit_date"),
                date => date,
            };
            vec![name, text(&of, "timestamp_installed"), built]
        })
        .collect();
    cx.ui.say(&table(&["Version", "Installation Time", "Build Date"], &rows));
    Ok(())
}

fn path_help(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let path = clean_path(cx.arg(0));
    let answer = cx.http()?.document(Request::get(path).query("help", "1"));
    let help = answer.map_err(|error| {
        if error.is_sealed() {
            Fail::remote(
                "Error: the server is sealed, and so it does not know yet what is mounted where.",
            )
        } else {
            Fail::server("Error retrieving help", &error)
        }
    })?;
    match cx.ui.format {
        Format::Json => {
            let openapi = help.get("openapi").cloned().unwrap_or(Json::Null);
            cx.ui.say(&to_json(&openapi));
        }
        Format::Yaml => {
            let openapi = help.get("openapi").cloned().unwrap_or(Json::Null);
            cx.ui.data(&openapi)?;
        }
        Format::Table | Format::Pretty | Format::Raw => {
            let words = text(&help, "help");
            cx.ui.say(words.trim_end());
        }
    }
    Ok(())
}

fn monitor(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let level = cx.flags.text("log-level").unwrap_or("info").to_ascii_lowercase();
    if !["trace", "debug", "info", "warn", "error"].contains(&level.as_str()) {
        return Err(Fail::usage(
            "unknown log level. Valid log levels are: [trace debug info warn error]",
        ));
    }
    let format = cx.flags.text("log-format").unwrap_or("standard").to_ascii_lowercase();
    if !["standard", "json"].contains(&format.as_str()) {
        return Err(Fail::usage("unknown log format. Valid log formats are: [standard json]"));
    }
    let request = Request::get("sys/monitor")
        .query("log_format", format)
        .query("log_level", level)
        .unlimited();
    cx.http()?;
    let mut lines: Vec<u8> = Vec::new();
    let (http, ui) = cx.http_and_ui()?;
    http.stream(request, |part| {
        lines.extend_from_slice(part);
        if let Some(end) = lines.iter().rposition(|byte| *byte == b'\n') {
            let whole: Vec<u8> = lines.drain(..=end).collect();
            ui.raw(&whole);
        }
        true
    })
    .map_err(|e| Fail::server("Error starting monitor", &e).with_code(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(seal: &Json, leader: &Json) -> String {
        let mut rows = seal_rows(seal);
        rows.extend(server_rows(seal));
        rows.extend(leader_rows(leader, flag(seal, "sealed")));
        let lines: Vec<String> = rows.iter().map(|(k, v)| format!("{k}={v}")).collect();
        lines.join("|")
    }

    #[test]
    fn a_sealed_server_shows_its_progress() {
        let seal = json!({
            "type": "shamir", "initialized": true, "sealed": true, "t": 3, "n": 5, "progress": 1,
            "nonce": "abc", "version": "1.0", "storage_type": "file", "recovery_seal": false
        });
        assert_eq!(
            rows(&seal, &json!({"ha_enabled": true})),
            "Seal Type=shamir|Initialized=true|Sealed=true|Total Shares=5|Threshold=3|\
             Unseal Progress=1/3|Unseal Nonce=abc|Version=1.0|Storage Type=file|HA Enabled=true"
        );
        assert!(!rows(&seal, &json!({})).contains("HA Enabled"), "a sealed server does not tell");
    }

    #[test]
    fn an_active_node_shows_its_cluster() {
        let seal = json!({
            "type": "static", "initialized": true, "sealed": false, "t": 1, "n": 1,
            "recovery_seal": true, "recovery_seal_type": "shamir", "cluster_name": "c",
            "cluster_id": "i"
        });
        let leader = json!({
            "ha_enabled": true, "is_self": true, "leader_cluster_address": "https://h:8201",
            "active_time": "2026-01-01T00:00:00Z", "leader_address": "https://h:8200",
            "raft_committed_index": 7
        });
        assert_eq!(
            rows(&seal, &leader),
            "Seal Type=static|Recovery Seal Type=shamir|Initialized=true|Sealed=false|\
             Total Recovery Shares=1|Threshold=1|Cluster Name=c|Cluster ID=i|HA Enabled=true|\
             HA Cluster=https://h:8201|HA Mode=active|Active Since=2026-01-01T00:00:00Z|\
             Raft Committed Index=7"
        );
        let names: Vec<String> =
            status_document(&seal, &leader).as_object().unwrap().keys().cloned().collect();
        assert_eq!(names[..3], ["type", "initialized", "sealed"]);
        assert!(!names.contains(&"raft_applied_index".to_owned()));
    }
}
