//! `operator`: what those do who run a server.

mod init;
mod pgp;
mod raft;
mod shares;

pub use raft::COMMANDS as RAFT_COMMANDS;
pub use shares::COMMANDS as SHARE_COMMANDS;

use serde_json::json;
use strongroom_base::json::Json;
use strongroom_client::Request;

use super::command::{Command, Fail, Outcome, Prints};
use super::context::Context;
use super::flags::Flag;
use super::gotext::go_value;
use super::serve::ServerCommand;
use super::status::print_seal_status;
use super::table::{columns, table};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::group(
        "operator",
        "Initialise, unseal, rotate and back up a server",
        "
For those who run a server.

    $ {bin} operator init
    $ {bin} operator unseal
    $ {bin} operator rotate
    $ {bin} operator raft snapshot save backup.snap",
    ),
    Command::new(
        "operator init",
        "",
        "Initialise a new server and print its keys once",
        "
Makes the keys of a new server. They are shown once and kept nowhere: write them down, or
have them encrypted for their holders with -pgp-keys.

    $ {bin} operator init
    $ {bin} operator init -key-shares=1 -key-threshold=1 -format=json
    $ {bin} operator init -key-shares=3 -key-threshold=2 -pgp-keys=a.asc,b.asc,c.asc

With -status: exit code 0 initialised, 1 an error, 2 not initialised.",
        init::run,
    )
    .prints(Prints::FORMATS)
    .flags(&[
        Flag::bool("status", "Print whether the server is initialised, and change nothing.")
            .default("false"),
        Flag::int("key-shares", "Into how many shares the unseal key is split.")
            .alias(&["n"])
            .default("5"),
        Flag::int("key-threshold", "How many of them unseal the server.")
            .alias(&["t"])
            .default("3"),
        Flag::text(
            "pgp-keys",
            "Files with OpenPGP public keys, separated by commas: one per share, which is \
             encrypted for it.",
        ),
        Flag::text("root-token-pgp-key", "File with the key to encrypt the root token for."),
        Flag::int("recovery-shares", "Shares of the recovery key, where a seal opens by itself.")
            .default("5"),
        Flag::int("recovery-threshold", "How many recovery shares are needed.").default("3"),
        Flag::text("recovery-pgp-keys", "As -pgp-keys, for the recovery shares."),
    ]),
    Command::new(
        "operator unseal",
        "[KEY]",
        "Give a share of the unseal key",
        "
Gives one share. Without KEY it is asked for, which keeps it out of the shell's history;
- reads it from stdin, @FILE from a file.

    $ {bin} operator unseal
    $ {bin} operator unseal - < share",
        unseal,
    )
    .prints(Prints::FORMATS)
    .flags(&[
        Flag::bool("reset", "Forget the shares given so far.").default("false"),
        Flag::bool("migrate", "The share belongs to a move to another seal.").default("false"),
    ]),
    Command::new(
        "operator seal",
        "",
        "Seal the server",
        "
Wipes the keys from the server's memory. It answers nothing more until it is unsealed.

    $ {bin} operator seal",
        seal,
    ),
    Command::new(
        "operator rotate",
        "",
        "Use a new encryption key from now on",
        "
Makes a new key for everything written from now on. Older data stays readable.

    $ {bin} operator rotate",
        rotate,
    )
    .prints(Prints::FORMATS),
    Command::new(
        "operator key-status",
        "",
        "Show the encryption key's number and age",
        "
Shows which key encrypts now, since when, and how often it was used.

    $ {bin} operator key-status",
        key_status,
    )
    .prints(Prints::FORMATS),
    Command::new(
        "operator members",
        "",
        "List the nodes of the cluster",
        "
Lists the nodes that are known, and which one is active.

    $ {bin} operator members",
        members,
    )
    .prints(Prints::FORMATS),
    Command::new(
        "operator step-down",
        "",
        "Make the active node give up its role",
        "
Another node becomes active; this one may become so again later.

    $ {bin} operator step-down",
        step_down,
    ),
    Command::new(
        "operator diagnose",
        "",
        "Check a server's configuration and surroundings",
        "
Reads the configuration as \"{bin} server\" would, and checks files, addresses,
certificates and storage without starting anything.

    $ {bin} operator diagnose -config=/etc/strongroom/server.hcl",
        diagnose,
    )
    .prints(Prints::FORMATS)
    .local()
    .flags(&[
        Flag::list("config", "Configuration file or folder. May be given again."),
        Flag::list("skip", "Check to leave out. May be given again."),
    ]),
];

fn unseal(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args_between(0, 1, "0-1")?;
    let (body, doing) = if cx.flags.is("reset") {
        (json!({"reset": true}), "Error resetting unseal process")
    } else {
        let given = cx.arg(0).to_owned();
        let key = cx.secret_argument(&given, "Unseal Key (will be hidden): ")?;
        let migrate = cx.flags.is("migrate");
        (json!({"key": key.expose_secret(), "migrate": migrate}), "Error unsealing")
    };
    let answer = cx.http()?.document(Request::put("sys/unseal", body));
    let status = answer.map_err(|e| Fail::server(doing, &e))?;
    print_seal_status(cx, &status)
}

fn seal(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let answer = cx.http()?.write("sys/seal", json!({}));
    answer.map_err(|e| Fail::server("Error sealing", &e))?;
    cx.ui.say("Success! The server is sealed.");
    Ok(())
}

fn step_down(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let answer = cx.http()?.write("sys/step-down", json!({}));
    answer.map_err(|e| Fail::server("Error stepping down", &e))?;
    let address = cx.http()?.client.address().to_owned();
    cx.ui.say(&format!("Success! Stepped down: {address}"));
    Ok(())
}

fn rotate(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let answer = cx.http()?.send(Request::post("sys/rotate", json!({})));
    let answer = answer.and_then(strongroom_client::Reply::written);
    answer.map_err(|e| Fail::server("Error rotating key", &e))?;
    let status = read_key_status(cx)?;
    if cx.ui.is_table() {
        cx.ui.say("Success! Rotated key");
        cx.ui.say("");
    }
    print_key_status(cx, &status)
}

fn key_status(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let status = read_key_status(cx)?;
    print_key_status(cx, &status)
}

fn read_key_status(cx: &mut Context<'_, '_>) -> Result<Json, Fail> {
    let answer = cx.http()?.document(Request::get("sys/key-status"));
    answer.map_err(|e| Fail::server("Error reading key status", &e))
}

fn print_key_status(cx: &mut Context<'_, '_>, status: &Json) -> Outcome {
    let text = |name: &str| {
        status.get(name).filter(|value| !value.is_null()).map(go_value).unwrap_or_default()
    };
    if !cx.ui.is_table() {
        let document = json!({
            "term": status.get("term"),
            "install_time": status.get("install_time"),
            "encryptions": status.get("encryptions"),
        });
        return cx.ui.data(&document);
    }
    let rows = [
        vec!["Key Term".to_owned(), text("term")],
        vec!["Install Time".to_owned(), short_time(&text("install_time"))],
        vec!["Encryption Count".to_owned(), text("encryptions")],
    ];
    cx.ui.say(&columns(&rows));
    Ok(())
}

/// `02 Jan 26 03:04 UTC`, as Vault's tables show it.
fn short_time(time: &str) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parse = || {
        let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
        let mut parts = date.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
        Some(format!("{day} {month} {} {} UTC", year.get(2..4)?, clock.get(..5)?))
    };
    parse().unwrap_or_else(|| time.to_owned())
}

fn members(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let answer = cx.http()?.document(Request::get("sys/ha-status"));
    let document = answer.map_err(|e| Fail::server("Error reading the cluster's nodes", &e))?;
    if !cx.ui.is_table() {
        return cx.ui.data(&json!({"Nodes": document.get("nodes").or(document.get("Nodes"))}));
    }
    let nodes = document.get("nodes").or(document.get("Nodes")).and_then(Json::as_array);
    let fields = [
        "hostname",
        "api_address",
        "cluster_address",
        "active_node",
        "version",
        "upgrade_version",
        "last_echo",
    ];
    let rows: Vec<Vec<String>> = nodes
        .into_iter()
        .flatten()
        .map(|node| {
            let cell = |name: &&str| {
                node.get(*name).filter(|value| !value.is_null()).map(go_value).unwrap_or_default()
            };
            fields.iter().map(cell).collect()
        })
        .collect();
    let headings = [
        "Host Name",
        "API Address",
        "Cluster Address",
        "Active Node",
        "Version",
        "Upgrade Version",
        "Last Echo",
    ];
    cx.ui.say(&table(&headings, &rows));
    Ok(())
}

fn diagnose(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let configs = cx.flags.list("config").into_iter().map(Into::into).collect();
    let (skip, json) = (cx.flags.list("skip"), !cx.ui.is_table());
    super::serve::hand_over(cx, ServerCommand::Diagnose { configs, skip, json })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_in_tables() {
        assert_eq!(short_time("2026-11-05T09:52:22.5Z"), "05 Nov 26 09:52 UTC");
        assert_eq!(short_time("soon"), "soon");
    }
}
