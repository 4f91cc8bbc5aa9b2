//! `audit`: where the audit log goes besides the node's own, and whether that one is whole.

use serde_json::json;
use strongroom_base::json::{Json, JsonMap};

use super::command::{Command, Fail, Outcome, Prints};
use super::context::Context;
use super::data::clean_path;
use super::flags::Flag;
use super::gotext::go_value;
use super::input;
use super::mounts::mounts;
use super::output::sorted;
use super::serve::ServerCommand;
use super::table::table;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::group(
        "audit",
        "Send the audit log elsewhere, and verify it",
        "
Every node keeps an audit log of its own. Devices get copies of it.

    $ {bin} audit list
    $ {bin} audit enable file file_path=/var/log/strongroom/audit.log
    $ {bin} audit verify /var/lib/strongroom/audit",
    ),
    Command::new(
        "audit enable",
        "TYPE [CONFIG K=V...]",
        "Send a copy of the audit log to a device",
        "
Types: file, syslog, socket.

    $ {bin} audit enable file file_path=/var/log/strongroom/audit.log
    $ {bin} audit enable -path=siem socket address=10.0.0.5:9090 socket_type=tcp",
        enable,
    )
    .flags(&[
        Flag::text("description", "What it is for, in words for people."),
        Flag::text("path", "Its name. The type's name if not given."),
        Flag::bool("local", "Keep it out of replication.").default("false"),
    ]),
    Command::new(
        "audit disable",
        "PATH",
        "Stop sending to a device",
        "
Stops sending. What the device has got stays there.

    $ {bin} audit disable file/",
        disable,
    ),
    Command::new(
        "audit list",
        "",
        "List the devices",
        "
Lists the audit devices. Exit code 2 if there are none.

    $ {bin} audit list -detailed",
        list,
    )
    .prints(Prints::FORMATS)
    .flags(&[Flag::bool("detailed", "Show the devices' options, too.").default("false")]),
    Command::new(
        "audit verify",
        "FILE|FOLDER...",
        "Check that an audit log is whole and unchanged",
        "
Checks the chain of hashes and the signatures of a node's own audit log. It needs no
server, only the public key that belongs to the log. A folder stands for the files of the
log in it.

    $ {bin} audit verify /var/lib/strongroom/audit
    $ {bin} audit verify -key=public-key audit-0000000000000001.log",
        verify,
    )
    .local()
    .flags(&[Flag::text("key", "File with the public key. The one beside the log if not given.")]),
];

fn enable(cx: &mut Context<'_, '_>) -> Outcome {
    if cx.args.is_empty() {
        return Err(Fail::usage(
            "Error enabling audit device: audit type missing. Valid types include 'file', \
             'socket' and 'syslog'.",
        ));
    }
    let kind = cx.arg(0).to_owned();
    let path = match clean_path(cx.flags.text_or_empty("path")) {
        none if none.is_empty() => format!("{kind}/"),
        given => format!("{given}/"),
    };
    let words = cx.args[1..].to_vec();
    let options = input::parse_texts(&mut cx.input(), &words)
        .map_err(|problem| Fail::usage(format!("Failed to parse K=V data: {problem}")))?;
    let options: JsonMap = options.into_iter().map(|(k, v)| (k, Json::String(v))).collect();
    let body = json!({
        "type": kind,
        "description": cx.flags.text_or_empty("description"),
        "options": options,
        "local": cx.flags.is("local"),
    });
    let answer = cx.http()?.write(&format!("sys/audit/{path}"), body);
    answer.map_err(|e| Fail::server("Error enabling audit device", &e))?;
    cx.ui.say(&format!("Success! Enabled the {kind} audit device at: {path}"));
    Ok(())
}

fn disable(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let path = format!("{}/", clean_path(cx.arg(0)));
    let answer = cx.http()?.delete(&format!("sys/audit/{path}"));
    answer.map_err(|e| Fail::server("Error disabling audit device", &e))?;
    cx.ui.say(&format!("Success! Disabled audit device (if it was enabled) at: {path}"));
    Ok(())
}

fn list(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let devices = mounts(cx, "sys/audit", "Error listing audits")?;
    if !cx.ui.is_table() {
        return cx.ui.data(&sorted(&Json::Object(devices)));
    }
    if devices.is_empty() {
        cx.ui.say("No audit devices are enabled.");
        return Err(Fail::quiet(2));
    }
    let detailed = cx.flags.is("detailed") || cx.ui.detailed;
    let mut paths: Vec<&String> = devices.keys().collect();
    paths.sort();
    let rows: Vec<Vec<String>> =
        paths.iter().map(|path| device_row(path, &devices[*path], detailed)).collect();
    let headings = ["Path", "Type", "Description", "Replication", "Options"];
    cx.ui.say(&table(if detailed { &headings } else { &headings[..3] }, &rows));
    Ok(())
}

fn device_row(path: &str, device: &Json, detailed: bool) -> Vec<String> {
    let text = |name: &str| {
        device.get(name).filter(|value| !value.is_null()).map(go_value).unwrap_or_default()
    };
    let mut row = vec![path.to_owned(), text("type"), text("description")];
    if detailed {
        let local = device.get("local").and_then(Json::as_bool).unwrap_or_default();
        row.push(if local { "local" } else { "replicated" }.to_owned());
        let options = device.get("options").and_then(Json::as_object);
        let mut options: Vec<String> = options
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("{name}={}", go_value(value)))
            .collect();
        options.sort();
        row.push(options.join(" "));
    }
    row
}

fn verify(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args_between(1, usize::MAX, "at least 1")?;
    let files = cx.args.iter().map(std::path::PathBuf::from).collect();
    let key = cx.flags.text("key").map(std::path::PathBuf::from);
    super::serve::hand_over(cx, ServerCommand::AuditVerify { files, key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_show_their_options_sorted() {
        let device = json!({
            "type": "file", "description": "", "local": false,
            "options": {"mode": "0600", "file_path": "/a"}
        });
        assert_eq!(
            device_row("file/", &device, true),
            ["file/", "file", "", "replicated", "file_path=/a mode=0600"]
        );
        assert_eq!(device_row("file/", &device, false).len(), 3);
    }
}
