//! `read`, `write`, `patch`, `delete`, `list`, `scan`: any path of the API by its verb.

use strongroom_base::json::Json;
use strongroom_client::{Envelope, Error, Request, join_path};

use super::command::{Command, Fail, Outcome, Prints};
use super::context::Context;
use super::flags::Flag;
use super::input;
use super::output::Format;

const FORCE: &[Flag] =
    &[Flag::bool("force", "Send the request without any data, for paths that need none.")
        .alias(&["f"])
        .default("false")];

const PAGE: &[Flag] = &[
    Flag::text("after", "Begin after this name, where the path can give pages."),
    Flag::int("limit", "At most this many names, where the path can give pages."),
];

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::new(
        "read",
        "PATH [K=V...]",
        "Read any path: secrets, credentials, settings",
        "
Reads what is at a path. Pairs after the path go into the query.

    $ {bin} read auth/token/lookup-self
    $ {bin} read -field=password database/creds/reporting
    $ {bin} read -format=raw pki/ca/pem

For secrets of a key/value store use \"{bin} kv get\".",
        read,
    )
    .prints(Prints::RAW),
    Command::new(
        "write",
        "PATH [DATA K=V...]",
        "Write to any path: settings, roles, requests",
        "
Writes data to a path; what it does depends on what is mounted there.

    $ {bin} write auth/userpass/users/kim policies=dev password=-
    $ {bin} write -f transit/keys/orders
    $ {bin} write aws/roles/ops policy=@policy.json
    $ {bin} write sys/policies/acl/dev @policy.json

A value that begins with @ is read from a file, the value - from stdin. A lone
@FILE or - brings a whole JSON object. A key given twice makes a list. Write \\@
for a value that begins with @.",
        write,
    )
    .prints(Prints::FIELDS)
    .flags(FORCE),
    Command::new(
        "patch",
        "PATH [DATA K=V...]",
        "Change parts of what is at a path",
        "
Sends only what shall change, as a JSON merge patch. Data is given as for
\"{bin} write\".

    $ {bin} patch pki/roles/web max_ttl=72h",
        patch,
    )
    .prints(Prints::FIELDS)
    .flags(FORCE),
    Command::new(
        "delete",
        "PATH [K=V...]",
        "Delete what is at a path",
        "
Deletes what is at a path. Pairs after the path go into the query.

    $ {bin} delete auth/userpass/users/kim",
        delete,
    )
    .prints(Prints::FIELDS),
    Command::new(
        "list",
        "PATH",
        "List the names below a path",
        "
Lists names; those with a slash at their end have more below.

    $ {bin} list auth/userpass/users",
        list,
    )
    .prints(Prints::DETAILS)
    .flags(PAGE),
    Command::new(
        "scan",
        "PATH",
        "List all names below a path, however deep",
        "
Lists all names below a path with the folders they are in.

    $ {bin} scan secret/metadata",
        scan,
    )
    .prints(Prints::DETAILS)
    .flags(PAGE),
];

/// A path as given, without slashes at its ends.
pub fn clean_path(text: &str) -> String {
    text.trim().trim_matches('/').to_owned()
}

fn at_least_one(cx: &Context<'_, '_>) -> Outcome {
    cx.expect_args_between(1, usize::MAX, "1")
}

fn read(cx: &mut Context<'_, '_>) -> Outcome {
    at_least_one(cx)?;
    let path = clean_path(cx.arg(0));
    let words = cx.args[1..].to_vec();
    let query = input::parse_query(&mut cx.input(), &words)
        .map_err(|problem| Fail::usage(format!("Failed to parse K=V data: {problem}")))?;
    let mut request = Request::get(&path);
    request.query = query;
    if cx.ui.format == Format::Raw {
        let reply = cx.http()?.send(request).and_then(|reply| reply.ok());
        let body = reply.map_err(|e| Fail::server(format!("Error reading: {path}"), &e))?;
        if body.is_empty() {
            return Err(Fail::remote(format!("No value found at {path}")));
        }
        if let Some(field) = cx.flags.text("field").map(str::to_owned) {
            let envelope = Envelope::parse(&body).ok().flatten().unwrap_or_default();
            return cx.ui.field(&envelope, &field);
        }
        cx.ui.raw(&body);
        if !body.ends_with(b"\n") && cx.ui.terminal {
            cx.ui.raw(b"\n");
        }
        return Ok(());
    }
    let envelope = cx
        .http()?
        .send(request)
        .and_then(strongroom_client::Reply::envelope)
        .map_err(|e| Fail::server(format!("Error reading {path}"), &e))?
        .ok_or_else(|| Fail::remote(format!("No value found at {path}")))?;
    print_answer(cx, &envelope)
}

/// Prints an answer, or the one field that was asked for.
pub fn print_answer(cx: &mut Context<'_, '_>, envelope: &Envelope) -> Outcome {
    match cx.flags.text("field").filter(|field| !field.is_empty()).map(str::to_owned) {
        Some(field) => cx.ui.field(envelope, &field),
        None => cx.ui.envelope(envelope),
    }
}

fn write_body(cx: &mut Context<'_, '_>) -> Result<(String, Json), Fail> {
    at_least_one(cx)?;
    if cx.args.len() == 1 && !cx.flags.is("force") {
        return Err(Fail::usage("Must supply data or use -force"));
    }
    let path = clean_path(cx.arg(0));
    let words = cx.args[1..].to_vec();
    let data = input::parse_data(&mut cx.input(), &words)
        .map_err(|problem| Fail::usage(format!("Failed to parse K=V data: {problem}")))?;
    Ok((path, Json::Object(data)))
}

fn write(cx: &mut Context<'_, '_>) -> Outcome {
    let (path, body) = write_body(cx)?;
    let answer = cx.http()?.write(&path, body);
    written(cx, &path, answer)
}

fn patch(cx: &mut Context<'_, '_>) -> Outcome {
    let (path, body) = write_body(cx)?;
    let answer = cx.http()?.send(Request::patch(&path, body)).and_then(|reply| reply.written());
    written(cx, &path, answer)
}

/// Reports a write: the answer if there is one, else a line for people.
pub fn written(
    cx: &mut Context<'_, '_>,
    path: &str,
    answer: Result<Option<Envelope>, Error>,
) -> Outcome {
    let answer = answer.map_err(|e| Fail::server(format!("Error writing data to {path}"), &e))?;
    let Some(mut envelope) = answer else {
        if cx.ui.is_table() {
            cx.ui.say(&format!("Success! Data written to: {path}"));
        }
        return Ok(());
    };
    if let Some(validated) = super::login::second_factor(cx, &envelope)? {
        envelope = validated;
    }
    print_answer(cx, &envelope)
}

fn delete(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args_between(1, usize::MAX, "at least 1")?;
    let path = clean_path(cx.arg(0));
    let words = cx.args[1..].to_vec();
    let query = input::parse_query(&mut cx.input(), &words)
        .map_err(|problem| Fail::usage(format!("Failed to parse string list data: {problem}")))?;
    let mut request = Request::delete(&path);
    request.query = query;
    let answer = cx
        .http()?
        .send(request)
        .and_then(strongroom_client::Reply::written)
        .map_err(|e| Fail::server(format!("Error deleting {path}"), &e))?;
    deleted(cx, &path, answer)
}

/// Reports a deletion.
pub fn deleted(cx: &mut Context<'_, '_>, path: &str, answer: Option<Envelope>) -> Outcome {
    match answer {
        Some(envelope) => print_answer(cx, &envelope),
        None => {
            if cx.ui.is_table() {
                cx.ui.say(&format!("Success! Data deleted (if it existed) at: {path}"));
            }
            Ok(())
        }
    }
}

fn list(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let path = clean_path(cx.arg(0));
    let request = paged(cx, Request::list(&path));
    list_and_print(cx, request, "listing")
}

fn scan(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let path = clean_path(cx.arg(0));
    let request = paged(cx, Request::scan(&path));
    list_and_print(cx, request, "scanning")
}

fn paged(cx: &Context<'_, '_>, mut request: Request) -> Request {
    if let Some(after) = cx.flags.text("after").filter(|after| !after.is_empty()) {
        request = request.query("after", after);
    }
    if let Some(limit) = cx.flags.int("limit").filter(|limit| *limit > 0) {
        request = request.query("limit", limit.to_string());
    }
    request
}

/// Sends a listing and prints the names.
pub fn list_and_print(cx: &mut Context<'_, '_>, request: Request, doing: &str) -> Outcome {
    let path = join_path(&[&request.path]);
    let answer = cx
        .http()?
        .send(request)
        .and_then(strongroom_client::Reply::envelope)
        .map_err(|e| Fail::server(format!("Error {doing} {path}"), &e))?;
    print_listing(cx, answer, &path)
}

/// Prints the names of a listing, or says that there are none (exit code 2).
pub fn print_listing(cx: &mut Context<'_, '_>, answer: Option<Envelope>, path: &str) -> Outcome {
    if let Some(envelope) = answer.as_ref().filter(|envelope| envelope.is_wrapped()) {
        return cx.ui.envelope(envelope);
    }
    match answer {
        Some(envelope) if envelope.keys().is_some() => cx.ui.listing(&envelope),
        _ if !cx.ui.is_table() => {
            cx.ui.data(&Json::Object(serde_json::Map::new()))?;
            Err(Fail::quiet(2))
        }
        Some(envelope) if envelope.data.is_some() => {
            Err(Fail::remote(format!("No entries found at {path}")))
        }
        Some(envelope) => cx.ui.envelope(&envelope),
        None => Err(Fail::remote(format!("No value found at {path}"))),
    }
}
