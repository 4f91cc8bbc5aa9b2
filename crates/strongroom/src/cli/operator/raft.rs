//! `operator raft`: the nodes of the integrated storage, and its backups.

use std::io::Write;

use serde_json::json;
use strongroom_base::json::{Json, JsonMap};
use strongroom_client::{Body, Request};

use crate::cli::command::{Command, Fail, Outcome, Prints, io_reason};
use crate::cli::context::Context;
use crate::cli::flags::Flag;
use crate::cli::gotext::go_value;
use crate::cli::output::Format;
use crate::cli::table::{pairs, table};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::group(
        "operator raft",
        "Nodes and backups of the integrated storage",
        "
The integrated storage keeps its data on several nodes.

    $ {bin} operator raft list-peers
    $ {bin} operator raft snapshot save backup.snap",
    ),
    Command::new(
        "operator raft list-peers",
        "",
        "List the nodes that hold the data",
        "
Lists the nodes, their addresses, and which one leads.

    $ {bin} operator raft list-peers",
        list_peers,
    )
    .prints(Prints::FORMATS),
    Command::new(
        "operator raft join",
        "[LEADER-API-ADDRESS]",
        "Make this node join a cluster",
        "
Sent to the node that shall join. Certificates are given as text or as @FILE.

    $ {bin} operator raft join https://node1:8200",
        join,
    )
    .prints(Prints::FORMATS)
    .flags(&[
        Flag::text("leader-ca-cert", "CA certificate of the leader, or @FILE."),
        Flag::text("leader-client-cert", "Certificate to present to the leader, or @FILE."),
        Flag::text("leader-client-key", "Its key, as @FILE."),
        Flag::bool("retry", "Try until it works.").default("false"),
        Flag::bool("non-voter", "Hold the data without a vote.").default("false"),
        Flag::text("auto-join-scheme", "http or https, with a discovery string.").default("https"),
        Flag::int("auto-join-port", "The port, with a discovery string.").default("8200"),
    ]),
    Command::new(
        "operator raft remove-peer",
        "NODE-ID",
        "Remove a node for good",
        "
The node holds no data of the cluster any more and may not come back under its id.

    $ {bin} operator raft remove-peer node3",
        |cx| on_peer(cx, "remove-peer", "Peer removed successfully!"),
    )
    .prints(Prints::FORMATS),
    Command::new(
        "operator raft promote",
        "NODE-ID",
        "Give a node a vote",
        "
    $ {bin} operator raft promote node3",
        |cx| on_peer(cx, "promote", "Server promoted successfully!"),
    )
    .prints(Prints::FORMATS),
    Command::new(
        "operator raft demote",
        "NODE-ID",
        "Take a node's vote",
        "
    $ {bin} operator raft demote node3",
        |cx| on_peer(cx, "demote", "Server demoted successfully!"),
    )
    .prints(Prints::FORMATS),
    Command::group(
        "operator raft snapshot",
        "Back up and restore all data",
        "
A snapshot is a file with all data, encrypted as the server keeps it.

    $ {bin} operator raft snapshot save backup.snap
    $ {bin} operator raft snapshot restore backup.snap",
    ),
    Command::new(
        "operator raft snapshot save",
        "FILE",
        "Back up all data to a file",
        "
The file appears only when the backup is whole.

    $ {bin} operator raft snapshot save backup.snap",
        save,
    ),
    Command::new(
        "operator raft snapshot restore",
        "FILE",
        "Replace all data by a backup",
        "
Everything written since the backup is lost.

    $ {bin} operator raft snapshot restore backup.snap",
        restore,
    )
    .flags(&[Flag::bool(
        "force",
        "Take a backup made under other keys, too; they are needed to unseal afterwards.",
    )
    .default("false")]),
    Command::group(
        "operator raft autopilot",
        "Care for nodes that come and go",
        "
How the cluster treats nodes that stay away, and how healthy it is.

    $ {bin} operator raft autopilot state",
    ),
    Command::new(
        "operator raft autopilot state",
        "",
        "Show how healthy the cluster is",
        "
    $ {bin} operator raft autopilot state
    $ {bin} operator raft autopilot state -format=json",
        autopilot_state,
    )
    .prints(Prints::FORMATS),
    Command::new(
        "operator raft autopilot get-config",
        "",
        "Show the settings of that care",
        "
    $ {bin} operator raft autopilot get-config",
        autopilot_config,
    )
    .prints(Prints::FORMATS),
    Command::new(
        "operator raft autopilot set-config",
        "",
        "Change the settings of that care",
        "
    $ {bin} operator raft autopilot set-config -cleanup-dead-servers=true -min-quorum=3",
        set_autopilot,
    )
    .prints(Prints::FORMATS)
    .flags(&[
        Flag::bool("cleanup-dead-servers", "Remove nodes that stay away."),
        Flag::duration("last-contact-threshold", "Silence after which a node is unhealthy."),
        Flag::duration("dead-server-last-contact-threshold", "Silence after which it is dead."),
        Flag::int("max-trailing-logs", "How far a healthy node may lag."),
        Flag::int("min-quorum", "How many nodes must stay."),
        Flag::duration("server-stabilization-time", "How long a new node must be healthy first."),
    ]),
];

fn text(json: &Json, name: &str) -> String {
    json.get(name).filter(|value| !value.is_null()).map(go_value).unwrap_or_default()
}

fn list_peers(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let envelope = cx
        .http()?
        .read("sys/storage/raft/configuration")
        .map_err(|e| Fail::server("Error reading the raft cluster configuration", &e))?
        .ok_or_else(|| Fail::remote("No raft cluster configuration found"))?;
    if !cx.ui.is_table() {
        return cx.ui.envelope(&envelope);
    }
    let servers = envelope.datum("config").and_then(|config| config.get("servers"));
    let rows: Vec<Vec<String>> = servers
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .map(|server| {
            let leads = server.get("leader").and_then(Json::as_bool).unwrap_or_default();
            vec![
                text(server, "node_id"),
                text(server, "address"),
                if leads { "leader" } else { "follower" }.to_owned(),
                text(server, "voter"),
            ]
        })
        .collect();
    cx.ui.say(&table(&["Node", "Address", "State", "Voter"], &rows));
    Ok(())
}

fn text_or_file(given: &str) -> Result<String, Fail> {
    match given.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            Fail::usage(format!("error reading file {path}: {}", io_reason(&error)))
        }),
        None => Ok(given.to_owned()),
    }
}

fn join(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args_between(0, 1, "0-1")?;
    let scheme = cx.flags.text("auto-join-scheme").unwrap_or("https");
    if scheme != "http" && scheme != "https" {
        return Err(Fail::usage("invalid scheme; must either be http or https"));
    }
    let mut body = json!({
        "leader_ca_cert": text_or_file(cx.flags.text_or_empty("leader-ca-cert"))?,
        "leader_client_cert": text_or_file(cx.flags.text_or_empty("leader-client-cert"))?,
        "leader_client_key": text_or_file(cx.flags.text_or_empty("leader-client-key"))?,
        "retry": cx.flags.is("retry"),
        "non_voter": cx.flags.is("non-voter"),
    });
    let leader = cx.arg(0);
    if leader.contains("provider=") {
        body["auto_join"] = leader.into();
        body["auto_join_scheme"] = scheme.into();
        body["auto_join_port"] = cx.flags.int("auto-join-port").unwrap_or(8200).into();
    } else {
        body["leader_api_addr"] = leader.into();
    }
    let answer = cx.http()?.document(Request::post("sys/storage/raft/join", body));
    let answer =
        answer.map_err(|e| Fail::server("Error joining the node to the Raft cluster", &e))?;
    if !cx.ui.is_table() {
        return cx.ui.data(&answer);
    }
    cx.ui.say(&pairs(&[("Joined".to_owned(), text(&answer, "joined"))]));
    Ok(())
}

fn on_peer(cx: &mut Context<'_, '_>, verb: &str, success: &str) -> Outcome {
    cx.expect_args(1)?;
    let id = cx.arg(0).to_owned();
    if id.is_empty() {
        return Err(Fail::usage("Server id is required"));
    }
    let path = format!("sys/storage/raft/{verb}");
    let answer = cx.http()?.write(&path, json!({"server_id": id}));
    answer.map_err(|e| Fail::server(format!("Error: {verb} {id}"), &e))?;
    cx.ui.say(success);
    Ok(())
}

fn save(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let path = std::path::PathBuf::from(cx.arg(0));
    let failed = |what: String| Fail::remote(format!("Error taking the snapshot: {what}"));
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = path.with_file_name(name);
    let mut file: Option<std::fs::File> = None;
    let mut problem: Option<std::io::Error> = None;
    let sent = cx.http()?.stream(Request::get("sys/storage/raft/snapshot").unlimited(), |bytes| {
        let written = match &mut file {
            Some(file) => file.write_all(bytes),
            None => private_file(&part).and_then(|fresh| file.insert(fresh).write_all(bytes)),
        };
        problem = written.err();
        problem.is_none()
    });
    let finished = match (sent, problem, file) {
        (Err(error), _, _) => Err(Fail::server("Error taking the snapshot", &error)),
        (Ok(()), Some(error), _) => Err(failed(format!("{}: {error}", part.display()))),
        (Ok(()), None, None) => Err(failed("the server sent nothing".into())),
        (Ok(()), None, Some(file)) => file
            .sync_all()
            .and_then(|()| std::fs::rename(&part, &path))
            .map_err(|error| failed(format!("{}: {error}", path.display()))),
    };
    if finished.is_err() {
        // A half backup must not be taken for a whole one.
        let _ = std::fs::remove_file(&part);
    }
    finished
}

fn private_file(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn restore(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let path = cx.arg(0).to_owned();
    let file = std::fs::File::open(&path).map_err(|error| {
        Fail::remote(format!("Error opening snapshot file {path}: {}", io_reason(&error)))
    })?;
    let api = if cx.flags.is("force") { "snapshot-force" } else { "snapshot" };
    let mut request = Request::post(format!("sys/storage/raft/{api}"), Json::Null).unlimited();
    request.body = Body::File(file);
    let answer = cx.http()?.send(request).and_then(strongroom_client::Reply::written);
    answer.map_err(|e| Fail::server("Error installing the snapshot", &e))?;
    Ok(())
}

fn autopilot_state(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let answer = cx.http()?.read("sys/storage/raft/autopilot/state");
    let answer = answer.map_err(|e| Fail::server("Error checking autopilot state", &e))?;
    let Some(data) = answer.and_then(|envelope| envelope.data) else { return Ok(()) };
    let state = Json::Object(data);
    if !matches!(cx.ui.format, Format::Table | Format::Pretty) {
        return cx.ui.data(&state);
    }
    cx.ui.say(&describe_state(&state));
    Ok(())
}

fn describe_state(state: &Json) -> String {
    let mut lines = vec![
        format!("{:32} {}", "Healthy:", text(state, "healthy")),
        format!("{:32} {}", "Failure Tolerance:", text(state, "failure_tolerance")),
        format!("{:32} {}", "Leader:", text(state, "leader")),
    ];
    for (title, name) in [("Voters:", "voters"), ("Non Voters:", "non_voters")] {
        let list = state.get(name).and_then(Json::as_array).filter(|list| !list.is_empty());
        if let Some(list) = list {
            lines.push(title.to_owned());
            lines.extend(list.iter().map(|id| format!("   {}", go_value(id))));
        }
    }
    lines.push("Servers:".to_owned());
    let servers = state.get("servers").and_then(Json::as_object);
    let mut ids: Vec<&String> = servers.into_iter().flat_map(JsonMap::keys).collect();
    ids.sort();
    for id in ids {
        let server = servers.and_then(|servers| servers.get(id)).unwrap_or(&Json::Null);
        lines.push(format!("   {id}"));
        for (title, name) in [
            ("Name:", "name"),
            ("Address:", "address"),
            ("Status:", "status"),
            ("Node Status:", "node_status"),
            ("Healthy:", "healthy"),
            ("Last Contact:", "last_contact"),
            ("Last Term:", "last_term"),
            ("Last Index:", "last_index"),
            ("Version:", "version"),
            ("Node Type:", "node_type"),
        ] {
            let value = text(server, name);
            if !value.is_empty() {
                lines.push(format!("      {title:18} {value}"));
            }
        }
    }
    lines.join("\n")
}

fn autopilot_config(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let answer = cx.http()?.read("sys/storage/raft/autopilot/configuration");
    let answer = answer.map_err(|e| Fail::server("Error reading the autopilot settings", &e))?;
    let Some(data) = answer.and_then(|envelope| envelope.data) else { return Ok(()) };
    let config = Json::Object(data);
    if !cx.ui.is_table() {
        return cx.ui.data(&config);
    }
    let rows: Vec<(String, String)> = [
        ("Cleanup Dead Servers", "cleanup_dead_servers"),
        ("Last Contact Threshold", "last_contact_threshold"),
        ("Dead Server Last Contact Threshold", "dead_server_last_contact_threshold"),
        ("Server Stabilization Time", "server_stabilization_time"),
        ("Min Quorum", "min_quorum"),
        ("Max Trailing Logs", "max_trailing_logs"),
    ]
    .iter()
    .map(|(title, name)| ((*title).to_owned(), text(&config, name)))
    .collect();
    cx.ui.say(&pairs(&rows));
    Ok(())
}

fn set_autopilot(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let mut body = JsonMap::new();
    if let Some(clean) = cx.flags.bool("cleanup-dead-servers") {
        body.insert("cleanup_dead_servers".into(), clean.into());
    }
    for name in ["max-trailing-logs", "min-quorum"] {
        if let Some(number) = cx.flags.int(name).filter(|number| *number > 0) {
            body.insert(name.replace('-', "_"), number.into());
        }
    }
    for name in [
        "last-contact-threshold",
        "dead-server-last-contact-threshold",
        "server-stabilization-time",
    ] {
        if let Some(duration) = cx.flags.duration(name) {
            body.insert(name.replace('-', "_"), duration.into());
        }
    }
    let answer = cx.http()?.write("sys/storage/raft/autopilot/configuration", Json::Object(body));
    match answer.map_err(|e| Fail::server("Error changing the autopilot settings", &e))? {
        Some(envelope) => cx.ui.envelope(&envelope),
        None => Ok(()),
    }
}
