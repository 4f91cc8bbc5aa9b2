//! `token`: making, looking at, renewing and revoking tokens.

use serde_json::json;
use strongroom_base::json::{Json, JsonMap};
use strongroom_client::Request;

use super::command::{Command, Fail, Outcome, Prints};
use super::context::Context;
use super::data::print_answer;
use super::flags::Flag;
use super::gotext::go_value;

const ACCESSOR: Flag = Flag::bool(
    "accessor",
    "The argument is an accessor, not the token; the answer does not show the token.",
)
.default("false");

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::group(
        "token",
        "Create, look up, renew and revoke tokens",
        "
A token stands for a caller and its policies until it ends.

    $ {bin} token create -policy=dev -ttl=8h
    $ {bin} token lookup
    $ {bin} token revoke -accessor 3pGDZ…

A token given as - is read from stdin, as @FILE from a file.",
    ),
    Command::new(
        "token create",
        "",
        "Create a token",
        "
Creates a token, a child of the current one unless -orphan says otherwise.

    $ {bin} token create -policy=dev -ttl=8h
    $ {bin} token create -orphan -period=24h -metadata=team=web
    $ {bin} token create -field=token -use-limit=1",
        create,
    )
    .prints(Prints::FIELDS)
    .flags(&[
        Flag::text("id", "The token's own text; needs sudo. Made by the server if not given."),
        Flag::text("display-name", "A name for the audit log."),
        Flag::duration("ttl", "How long it lives unless renewed."),
        Flag::duration("explicit-max-ttl", "The end that no renewal passes."),
        Flag::duration("period", "Every renewal gives this long again, without end; needs sudo."),
        Flag::bool("renewable", "Whether it can be renewed.").default("true"),
        Flag::bool("orphan", "Without a parent: it outlives the token that makes it.")
            .default("false"),
        Flag::bool("no-default-policy", "Without the policy \"default\".").default("false"),
        Flag::int("use-limit", "How many requests it is good for; 0 for no limit.").default("0"),
        Flag::text("role", "Create it by a role (auth/token/create/ROLE)."),
        Flag::text("type", "service or batch.").default("service"),
        Flag::map("metadata", "A note for the audit log. May be given again."),
        Flag::list("policy", "A policy it has. May be given again."),
        Flag::text("entity-alias", "The identity's alias to act as; needs -role."),
    ]),
    Command::new(
        "token lookup",
        "[TOKEN | ACCESSOR]",
        "Show a token's properties",
        "
Shows the current token, or the one given.

    $ {bin} token lookup
    $ {bin} token lookup -accessor 3pGDZ…",
        lookup,
    )
    .prints(Prints::FIELDS)
    .flags(&[ACCESSOR]),
    Command::new(
        "token renew",
        "[TOKEN | ACCESSOR]",
        "Make a token live longer",
        "
Renews the current token, or the one given. The server need not grant the whole increment.

    $ {bin} token renew -increment=1h",
        renew,
    )
    .prints(Prints::FORMATS)
    .flags(&[
        ACCESSOR,
        Flag::duration("increment", "How much longer it shall live, from now.").alias(&["i"]),
    ]),
    Command::new(
        "token revoke",
        "[TOKEN | ACCESSOR]",
        "End a token, with its children and leases",
        "
Ends a token at once.

    $ {bin} token revoke -self
    $ {bin} token revoke -accessor 3pGDZ…
    $ {bin} token revoke -mode=path auth/userpass/login/kim",
        revoke,
    )
    .flags(&[
        ACCESSOR,
        Flag::bool("self", "End the current token.").default("false"),
        Flag::text(
            "mode",
            "orphan ends this token only and leaves its children; path ends all tokens of an auth \
             path.",
        ),
    ]),
    Command::new(
        "token capabilities",
        "[TOKEN] PATH",
        "Print what a token may do at a path",
        "
Prints the capabilities of the current token, or of the one given.

    $ {bin} token capabilities secret/data/app",
        capabilities,
    )
    .prints(Prints::FORMATS),
];

fn create(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let flags = &cx.flags;
    let kind = flags.text("type").unwrap_or("service");
    let renewable = kind != "batch" && flags.bool("renewable").unwrap_or(true);
    let mut body = JsonMap::new();
    let mut set = |name: &str, value: Json| body.insert(name.to_owned(), value);
    set("type", kind.into());
    set("renewable", renewable.into());
    for (flag, field) in
        [("id", "id"), ("display-name", "display_name"), ("entity-alias", "entity_alias")]
    {
        if let Some(text) = flags.text(flag).filter(|text| !text.is_empty()) {
            set(field, text.into());
        }
    }
    for (flag, field) in
        [("ttl", "ttl"), ("explicit-max-ttl", "explicit_max_ttl"), ("period", "period")]
    {
        if let Some(duration) = flags.duration(flag) {
            set(field, duration.into());
        }
    }
    if flags.given("policy") {
        set("policies", json!(flags.list("policy")));
    }
    if flags.given("metadata") {
        set("meta", json!(flags.map("metadata")));
    }
    if flags.is("orphan") {
        set("no_parent", true.into());
    }
    if flags.is("no-default-policy") {
        set("no_default_policy", true.into());
    }
    if let Some(uses) = flags.int("use-limit").filter(|uses| *uses != 0) {
        set("num_uses", uses.into());
    }
    let path = match flags.text("role").filter(|role| !role.is_empty()) {
        Some(role) => format!("auth/token/create/{role}"),
        None => "auth/token/create".to_owned(),
    };
    let answer = cx.http()?.send(Request::post(path, Json::Object(body)));
    let envelope = answer
        .and_then(strongroom_client::Reply::written)
        .map_err(|e| Fail::server("Error creating token", &e))?
        .unwrap_or_default();
    print_answer(cx, &envelope)
}

/// The argument as a field of the request: a token stays out of the path and so out of logs.
fn subject(cx: &mut Context<'_, '_>) -> Result<Option<(&'static str, String)>, Fail> {
    let accessor = cx.flags.is("accessor");
    match cx.arg(0).to_owned().as_str() {
        "" => Ok(None),
        given if accessor => Ok(Some(("accessor", given.to_owned()))),
        given => {
            let token = cx.secret_argument(given, "")?;
            Ok(Some(("token", token.expose_secret().clone())))
        }
    }
}

fn lookup(cx: &mut Context<'_, '_>) -> Outcome {
    if cx.flags.is("accessor") && cx.args.len() != 1 {
        let short = if cx.args.is_empty() { "Not enough" } else { "Too many" };
        return Err(Fail::usage(format!(
            "{short} arguments with -accessor (expected 1, got {})",
            cx.args.len()
        )));
    }
    cx.expect_args_between(0, 1, "0-1")?;
    let request = match subject(cx)? {
        None => Request::get("auth/token/lookup-self"),
        Some(("accessor", id)) => {
            Request::post("auth/token/lookup-accessor", json!({"accessor": id}))
        }
        Some((_, token)) => Request::post("auth/token/lookup", json!({"token": token})),
    };
    show(cx, request, "Error looking up token")
}

fn show(cx: &mut Context<'_, '_>, request: Request, doing: &str) -> Outcome {
    let answer = cx.http()?.send(request).and_then(strongroom_client::Reply::written);
    match answer.map_err(|e| Fail::server(doing, &e))? {
        Some(envelope) => print_answer(cx, &envelope),
        None => Ok(()),
    }
}

fn renew(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args_between(0, 1, "0-1")?;
    let increment = cx.flags.seconds("increment");
    let (path, mut body) = match subject(cx)? {
        None => ("auth/token/renew-self", json!({})),
        Some(("accessor", id)) => ("auth/token/renew-accessor", json!({"accessor": id})),
        Some((_, token)) => ("auth/token/renew", json!({"token": token})),
    };
    if increment > 0 {
        body["increment"] = increment.into();
    }
    show(cx, Request::put(path, body), "Error renewing token")
}

fn revoke(cx: &mut Context<'_, '_>) -> Outcome {
    let own = cx.flags.is("self");
    let accessor = cx.flags.is("accessor");
    let mode = cx.flags.text_or_empty("mode").to_owned();
    if !["", "orphan", "path"].contains(&mode.as_str()) {
        return Err(Fail::usage("Invalid mode: use orphan or path"));
    }
    let count = cx.args.len();
    let conflict = match (own, accessor, mode.as_str()) {
        (true, _, _) if count > 0 => {
            Some(format!("Too many arguments with -self (expected 0, got {count})"))
        }
        (false, _, _) if count > 1 => {
            Some(format!("Too many arguments (expected 1 or -self, got {count})"))
        }
        (false, _, _) if count < 1 => {
            Some(format!("Not enough arguments (expected 1 or -self, got {count})"))
        }
        (true, true, _) => Some("Cannot use -self with -accessor!".to_owned()),
        (true, _, "orphan" | "path") => Some("Cannot use -self with -mode!".to_owned()),
        (_, true, "orphan" | "path") => Some(format!("Cannot use -accessor with -mode={mode}!")),
        _ => None,
    };
    if let Some(conflict) = conflict {
        return Err(Fail::usage(conflict));
    }
    let request = if own {
        Request::put("auth/token/revoke-self", json!({}))
    } else if mode == "path" {
        Request::put(format!("sys/leases/revoke-prefix/{}", cx.arg(0)), json!({}))
    } else {
        match subject(cx)? {
            Some(("accessor", id)) => {
                Request::post("auth/token/revoke-accessor", json!({"accessor": id}))
            }
            Some((_, token)) if mode == "orphan" => {
                Request::put("auth/token/revoke-orphan", json!({"token": token}))
            }
            Some((_, token)) => Request::put("auth/token/revoke", json!({"token": token})),
            None => return Err(Fail::usage("The token is empty")),
        }
    };
    let answer = cx.http()?.send(request).and_then(strongroom_client::Reply::written);
    answer.map_err(|e| Fail::server("Error revoking token", &e))?;
    cx.ui.say("Success! Revoked token (if it existed)");
    Ok(())
}

fn capabilities(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args_between(1, 2, "1-2")?;
    let request = if cx.args.len() == 1 {
        let body = json!({"path": cx.arg(0), "paths": [cx.arg(0)]});
        Request::post("sys/capabilities-self", body)
    } else {
        let path = cx.arg(1).to_owned();
        let given = cx.arg(0).to_owned();
        let token = cx.secret_argument(&given, "")?;
        let body = json!({"token": token.expose_secret(), "path": path, "paths": [path]});
        Request::post("sys/capabilities", body)
    };
    let answer = cx.http()?.document(request);
    let document = answer.map_err(|e| Fail::server("Error listing capabilities", &e))?;
    let Some(found) = document.get("capabilities").and_then(Json::as_array) else {
        return Err(Fail::usage("No capabilities found"));
    };
    if !cx.ui.is_table() {
        return cx.ui.data(&Json::Array(found.clone()));
    }
    let mut names: Vec<String> = found.iter().map(go_value).collect();
    names.sort();
    cx.ui.say(&names.join(", "));
    Ok(())
}
