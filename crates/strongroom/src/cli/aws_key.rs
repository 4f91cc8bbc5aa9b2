//! `aws-key`: key pairs with which clients of AWS's APIs call the AWS door.

use serde_json::json;
use strongroom_base::json::Json;
use strongroom_client::{Envelope, Request, join_path};

use super::command::{Command, Fail, Outcome, Prints};
use super::context::Context;
use super::flags::Flag;

const MOUNT: Flag =
    Flag::text("mount", "Path of the auth method, without auth/.").default("aws-door");

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::group(
        "aws-key",
        "Manage key pairs for clients of AWS's APIs",
        "
Clients of AWS's APIs sign their requests to the AWS door with key pairs. A pair belongs to a role of
the auth method aws-door, which says what it may do.

    $ {bin} auth enable aws-door
    $ {bin} write auth/aws-door/role/ci token_policies=app
    $ {bin} aws-key create ci",
    ),
    Command::new(
        "aws-key create",
        "ROLE",
        "Make a key pair of a role",
        "
Makes a key pair and shows it, once. With -access-key a pair that exists is taken: its secret key is
read from -secret-key (- for stdin, @FILE for a file), or asked for.

    $ {bin} aws-key create ci
    $ {bin} aws-key create -description=\"build server\" -ttl=2160h ci
    $ {bin} aws-key create -access-key=AKIAIOSFODNN7EXAMPLE -secret-key=@key.txt ci",
        create,
    )
    .prints(Prints::FIELDS)
    .flags(&[
        MOUNT,
        Flag::text("access-key", "The access key of a pair that exists."),
        Flag::text("secret-key", "Where its secret key is: - or @FILE."),
        Flag::text("description", "What the pair is for."),
        Flag::duration("ttl", "Time after which it ends."),
    ]),
    Command::new(
        "aws-key list",
        "ROLE",
        "List the access keys of a role",
        "
Lists the access keys of a role.

    $ {bin} aws-key list ci",
        list,
    )
    .prints(Prints::FORMATS)
    .flags(&[MOUNT]),
    Command::new(
        "aws-key read",
        "ROLE ACCESS_KEY",
        "Describe a key pair",
        "
Describes a key pair, without its secret key.

    $ {bin} aws-key read ci AKIAIOSFODNN7EXAMPLE",
        read,
    )
    .prints(Prints::FIELDS)
    .flags(&[MOUNT]),
    Command::new(
        "aws-key disable",
        "ROLE ACCESS_KEY",
        "Switch a key pair off",
        "
Switches a key pair off, and all temporary keys that came from it.

    $ {bin} aws-key disable ci AKIAIOSFODNN7EXAMPLE",
        disable,
    )
    .flags(&[MOUNT]),
    Command::new(
        "aws-key enable",
        "ROLE ACCESS_KEY",
        "Switch a key pair on again",
        "
Switches a key pair on again.

    $ {bin} aws-key enable ci AKIAIOSFODNN7EXAMPLE",
        enable,
    )
    .flags(&[MOUNT]),
    Command::new(
        "aws-key rotate",
        "ROLE ACCESS_KEY",
        "Make a new key pair in the place of one",
        "
Makes a new key pair of the role and shows it, once. The old one is off at once, or good for -grace.

    $ {bin} aws-key rotate -grace=24h ci AKIAIOSFODNN7EXAMPLE",
        rotate,
    )
    .prints(Prints::FIELDS)
    .flags(&[MOUNT, Flag::duration("grace", "Time that the old pair stays good.")]),
    Command::new(
        "aws-key delete",
        "ROLE ACCESS_KEY",
        "Delete a key pair",
        "
Deletes a key pair, and with it all temporary keys that came from it.

    $ {bin} aws-key delete ci AKIAIOSFODNN7EXAMPLE",
        delete,
    )
    .flags(&[MOUNT]),
];

/// The API's path of a role's keys, of one of them, or of what is done with it.
fn api(cx: &Context<'_, '_>, what: &[&str]) -> String {
    let mount = cx.flags.text("mount").unwrap_or("aws-door").trim_matches('/');
    let mount = mount.strip_prefix("auth/").unwrap_or(mount);
    join_path(&[&["auth", mount, "role", cx.arg(0), "key"], what].concat())
}

/// Prints a pair that was made.
fn made(cx: &mut Context<'_, '_>, answer: Option<Envelope>) -> Outcome {
    let envelope = answer.ok_or_else(|| Fail::remote("The server answered nothing"))?;
    if let Some(field) = cx.flags.text("field").map(str::to_owned) {
        return cx.ui.field(&envelope, &field);
    }
    cx.ui.envelope(&envelope)?;
    cx.ui.note("The secret key is not shown again.");
    Ok(())
}

fn write(
    cx: &mut Context<'_, '_>,
    what: &[&str],
    body: Json,
    doing: &str,
) -> Result<Option<Envelope>, Fail> {
    let path = api(cx, what);
    let answer = cx.http()?.send(Request::post(path, body));
    let answer = answer.and_then(strongroom_client::Reply::written);
    answer.map_err(|e| Fail::server(format!("Error {doing}"), &e))
}

fn create(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let mut body = json!({});
    let given = |cx: &Context<'_, '_>, name: &str| {
        cx.flags.text(name).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    if let Some(description) = given(cx, "description") {
        body["description"] = json!(description);
    }
    if let Some(ttl) = cx.flags.duration("ttl") {
        body["ttl"] = json!(ttl);
    }
    let secret = given(cx, "secret-key");
    match given(cx, "access-key") {
        Some(access_key) => {
            let from = secret.unwrap_or_default();
            if !from.is_empty() && from != "-" && !from.starts_with('@') {
                return Err(Fail::usage(
                    "-secret-key takes - or @FILE: others of the machine can see arguments",
                ));
            }
            let secret = cx.secret_argument(&from, "Secret key (will be hidden): ")?;
            body["access_key"] = json!(access_key);
            body["secret_key"] = json!(secret.expose_secret());
        }
        None if secret.is_some() => return Err(Fail::usage("-secret-key needs -access-key")),
        None => {}
    }
    let answer = write(cx, &[], body, "making a key pair")?;
    made(cx, answer)
}

fn list(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let path = api(cx, &[]);
    let answer = cx.http()?.list(&path).map_err(|e| Fail::server("Error listing key pairs", &e))?;
    match answer {
        Some(envelope) => cx.ui.listing(&envelope),
        None => Err(Fail::remote(format!("No key pairs of the role {}", cx.arg(0)))),
    }
}

fn read(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(2)?;
    let path = api(cx, &[cx.arg(1)]);
    let answer = cx.http()?.send(Request::get(path)).and_then(strongroom_client::Reply::envelope);
    let answer = answer.map_err(|e| Fail::server("Error reading a key pair", &e))?;
    let Some(envelope) = answer else { return Err(Fail::remote("No such key pair of this role")) };
    match cx.flags.text("field").map(str::to_owned) {
        Some(field) => cx.ui.field(&envelope, &field),
        None => cx.ui.envelope(&envelope),
    }
}

fn switch(cx: &mut Context<'_, '_>, off: bool) -> Outcome {
    cx.expect_args(2)?;
    let key = cx.arg(1).to_owned();
    write(cx, &[&key], json!({ "disabled": off }), "switching a key pair")?;
    cx.ui.say(&format!("Success! The key pair {key} is {}", if off { "off" } else { "on" }));
    Ok(())
}

fn disable(cx: &mut Context<'_, '_>) -> Outcome {
    switch(cx, true)
}

fn enable(cx: &mut Context<'_, '_>) -> Outcome {
    switch(cx, false)
}

fn rotate(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(2)?;
    let key = cx.arg(1).to_owned();
    let mut body = json!({});
    if let Some(grace) = cx.flags.duration("grace") {
        body["grace"] = json!(grace);
    }
    let answer = write(cx, &[&key, "rotate"], body, "rotating a key pair")?;
    made(cx, answer)
}

fn delete(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(2)?;
    let key = cx.arg(1).to_owned();
    let path = api(cx, &[&key]);
    let answer = cx.http()?.send(Request::delete(path));
    let answer = answer.and_then(strongroom_client::Reply::written);
    answer.map_err(|e| Fail::server("Error deleting a key pair", &e))?;
    cx.ui.say(&format!("Success! Deleted the key pair {key}"));
    Ok(())
}
