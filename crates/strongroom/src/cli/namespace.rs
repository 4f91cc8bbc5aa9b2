//! `namespace`: rooms within the room, each with its own mounts, policies and identities.

use serde_json::json;
use strongroom_base::json::{Json, JsonMap};
use strongroom_client::{Envelope, Request};

use super::command::{Command, Fail, Outcome, Prints};
use super::context::Context;
use super::data::{clean_path, print_listing};
use super::flags::Flag;
use super::http::unenveloped;
use super::status::print_seal_only;

const CUSTOM: Flag = Flag::map("custom-metadata", "A note of your own. May be given again.");
const DETAILED: &[Flag] = &[Flag::bool("detailed", "Show ids and notes, too.").default("false")];

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::group(
        "namespace",
        "Create, list and delete namespaces",
        "
A namespace has mounts, policies, identities and tokens of its own.

    $ {bin} namespace create team-a
    $ {bin} namespace list
    $ {bin} kv put -ns=team-a secret/app user=kim",
    ),
    Command::new(
        "namespace create",
        "PATH",
        "Create a namespace",
        "
Creates a namespace inside the current one.

    $ {bin} namespace create team-a
    $ {bin} namespace create -ns=team-a -custom-metadata=owner=kim web",
        create,
    )
    .prints(Prints::FIELDS)
    .flags(&[
        CUSTOM,
        Flag::text("seal", "A seal of its own; not built in yet."),
        Flag::text("key-shares", "Shares of such a seal; not built in yet."),
        Flag::text("key-threshold", "Shares that open it; not built in yet."),
        Flag::list("pgp-keys", "Keys to encrypt its shares for; not built in yet."),
    ]),
    Command::new(
        "namespace list",
        "",
        "List the namespaces inside the current one",
        "
Lists one level of namespaces.

    $ {bin} namespace list -detailed",
        list,
    )
    .prints(Prints::FORMATS)
    .flags(DETAILED),
    Command::new(
        "namespace scan",
        "",
        "List all namespaces below the current one",
        "
Lists all levels of namespaces.

    $ {bin} namespace scan",
        scan,
    )
    .prints(Prints::FORMATS)
    .flags(DETAILED),
    Command::new(
        "namespace lookup",
        "PATH",
        "Show a namespace",
        "
Shows a namespace's id, path and notes.

    $ {bin} namespace lookup team-a",
        lookup,
    )
    .prints(Prints::FORMATS),
    Command::new(
        "namespace patch",
        "PATH",
        "Change a namespace's notes",
        "
Changes the notes that are given and leaves the others.

    $ {bin} namespace patch -custom-metadata=owner=kim team-a
    $ {bin} namespace patch -remove-custom-metadata=owner team-a",
        patch,
    )
    .prints(Prints::FIELDS)
    .flags(&[CUSTOM, Flag::list("remove-custom-metadata", "Note to remove. May be given again.")]),
    Command::new(
        "namespace delete",
        "PATH",
        "Delete a namespace with everything in it",
        "
Deletes a namespace with its mounts, policies, identities and tokens. It is refused while
there are namespaces inside.

    $ {bin} namespace delete team-a",
        delete,
    ),
    Command::new(
        "namespace lock",
        "[PATH]",
        "Refuse all requests to a namespace",
        "
Locks the current namespace, or one inside it, and prints the key that unlocks it.

    $ {bin} namespace lock team-a",
        lock,
    )
    .prints(Prints::FORMATS),
    Command::new(
        "namespace unlock",
        "[PATH]",
        "Accept requests to a namespace again",
        "
Unlocks a namespace by its key, or without it by sudo. -unlock-key=- reads the key from
stdin, -unlock-key=@FILE from a file.

    $ {bin} namespace unlock -unlock-key=- team-a",
        unlock,
    )
    .prints(Prints::FORMATS),
    Command::new(
        "namespace seal",
        "PATH",
        "Seal a namespace that has a seal of its own",
        "
Seals a namespace; nothing in it can be read until it is unsealed.

    $ {bin} namespace seal team-a",
        seal,
    ),
    Command::new(
        "namespace unseal",
        "PATH [KEY]",
        "Give a share of a namespace's unseal key",
        "
Gives one share. Without KEY it is asked for; - reads it from stdin, @FILE from a file.

    $ {bin} namespace unseal team-a",
        unseal,
    )
    .prints(Prints::FORMATS)
    .flags(&[Flag::bool("reset", "Forget the shares given so far.").default("false")]),
    Command::new(
        "namespace seal-status",
        "PATH",
        "Show whether a namespace is sealed",
        "
Shows the state of a namespace's own seal.

    $ {bin} namespace seal-status team-a",
        seal_status,
    )
    .prints(Prints::FIELDS),
];

fn api(path: &str) -> String {
    format!("sys/namespaces/{}", clean_path(path))
}

fn notes(cx: &Context<'_, '_>) -> JsonMap {
    cx.flags.map("custom-metadata").into_iter().map(|(k, v)| (k, Json::String(v))).collect()
}

/// Prints what the server says of a namespace.
fn print(cx: &mut Context<'_, '_>, envelope: Option<Envelope>) -> Outcome {
    let data = Json::Object(envelope.and_then(|envelope| envelope.data).unwrap_or_default());
    match cx.flags.text("field").filter(|field| !field.is_empty()).map(str::to_owned) {
        Some(field) => cx.ui.member(data.get(&field).cloned(), &field),
        None => cx.ui.data(&data),
    }
}

fn create(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let of_a_seal = ["seal", "key-shares", "key-threshold"].into_iter();
    let given = of_a_seal.filter(|name| !cx.flags.text_or_empty(name).is_empty());
    let given = given.chain((!cx.flags.list("pgp-keys").is_empty()).then_some("pgp-keys"));
    if let Some(flag) = given.into_iter().next() {
        return Err(Fail::usage(format!(
            "-{flag}: namespaces with a seal of their own are not built in yet. Without these flags \
             the namespace is under the server's seal."
        )));
    }
    let path = api(cx.arg(0));
    let body = json!({"custom_metadata": notes(cx)});
    let answer = cx.http()?.send(Request::post(path, body));
    let answer = answer
        .and_then(strongroom_client::Reply::written)
        .map_err(|e| Fail::server("Error creating namespace", &e))?;
    print(cx, answer)
}

fn list(cx: &mut Context<'_, '_>) -> Outcome {
    names(cx, Request::list("sys/namespaces"), "listing")
}

fn scan(cx: &mut Context<'_, '_>) -> Outcome {
    names(cx, Request::scan("sys/namespaces"), "scanning")
}

fn names(cx: &mut Context<'_, '_>, request: Request, doing: &str) -> Outcome {
    cx.expect_args(0)?;
    let answer = cx
        .http()?
        .send(request)
        .and_then(strongroom_client::Reply::envelope)
        .map_err(|e| Fail::server(format!("Error {doing} namespaces"), &e))?;
    let Some(envelope) = answer.filter(|envelope| envelope.keys().is_some()) else {
        if cx.ui.is_table() {
            return Err(Fail::remote("No namespaces found"));
        }
        return print_listing(cx, None, "sys/namespaces");
    };
    if cx.flags.is("detailed") {
        cx.ui.detailed = true;
        if !cx.ui.is_table() {
            return cx.ui.data(envelope.datum("key_info").unwrap_or(&Json::Null));
        }
    }
    print_listing(cx, Some(envelope), "sys/namespaces")
}

fn lookup(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let path = api(cx.arg(0));
    let answer = cx.http()?.read(&path);
    let answer = answer.map_err(|e| Fail::server("Error looking up namespace", &e))?;
    if answer.is_none() {
        return Err(Fail::remote("Namespace not found"));
    }
    print(cx, answer)
}

fn patch(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let mut notes = notes(cx);
    notes.extend(cx.flags.list("remove-custom-metadata").into_iter().map(|k| (k, Json::Null)));
    if notes.is_empty() {
        return Err(Fail::usage(
            "Must supply at least one of -custom-metadata or -remove-custom-metadata",
        ));
    }
    let request = Request::patch(api(cx.arg(0)), json!({"custom_metadata": notes}));
    let answer = cx.http()?.send(request).and_then(strongroom_client::Reply::written);
    let answer = answer.map_err(|error| match error.status() {
        Some(404) => Fail::remote("Namespace not found"),
        _ => Fail::server("Error patching namespace", &error),
    })?;
    print(cx, answer)
}

fn delete(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let path = clean_path(cx.arg(0));
    let answer = cx.http()?.delete(&api(&path));
    let answer = answer.map_err(|e| Fail::server("Error deleting namespace", &e))?;
    let scheduled = answer.as_ref().is_some_and(|envelope| envelope.datum("status").is_some());
    if let Some(envelope) = answer.filter(|_| !scheduled) {
        for warning in envelope.warnings() {
            cx.ui.warn(warning);
        }
        return Ok(());
    }
    cx.ui.say(&if scheduled {
        format!("Success! Namespace deletion scheduled: {path}/")
    } else {
        format!("Success! Namespace deleted (if it existed) at: {path}/")
    });
    Ok(())
}

fn lock_path(cx: &Context<'_, '_>, verb: &str) -> Result<String, Fail> {
    cx.expect_args_between(0, 1, "0 or 1")?;
    Ok(match clean_path(cx.arg(0)) {
        none if none.is_empty() => format!("sys/namespaces/api-lock/{verb}"),
        path => format!("sys/namespaces/api-lock/{verb}/{path}"),
    })
}

fn lock(cx: &mut Context<'_, '_>) -> Outcome {
    let path = lock_path(cx, "lock")?;
    let answer = cx.http()?.write(&path, json!({}));
    let answer = answer.map_err(|e| Fail::server("Error locking namespace", &e))?;
    let data = Json::Object(answer.and_then(|envelope| envelope.data).unwrap_or_default());
    if !cx.ui.is_table() {
        return cx.ui.data(&data);
    }
    let key = data.get("unlock_key").and_then(Json::as_str).unwrap_or_default();
    cx.ui.say(&format!("Unlock Key: {key}"));
    cx.ui.say(
        "\nThe namespace is locked. Keep the key: without it only a token with sudo can unlock.",
    );
    Ok(())
}

fn unlock(cx: &mut Context<'_, '_>) -> Outcome {
    let path = lock_path(cx, "unlock")?;
    let mut body = json!({});
    if let Some(given) = cx.flags.text("unlock-key").map(str::to_owned) {
        let key = cx.secret_argument(&given, "Unlock key (will be hidden): ")?;
        body["unlock_key"] = key.expose_secret().as_str().into();
    }
    let answer = cx.http()?.write(&path, body);
    let answer = answer.map_err(|e| Fail::server("Error unlocking namespace", &e))?;
    match answer.as_ref().and_then(|envelope| envelope.warnings().first()) {
        Some(warning) => cx.ui.warn(warning),
        None => cx.ui.say("Namespace unlocked successfully!"),
    }
    Ok(())
}

fn seal(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let path = clean_path(cx.arg(0));
    let answer = cx.http()?.write(&format!("{}/seal", api(&path)), json!({}));
    answer.map_err(|e| Fail::server("Error sealing", &e))?;
    cx.ui.say(&format!("Success! Namespace \"{path}\" is sealed."));
    Ok(())
}

fn unseal(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args_between(1, 2, "1-2")?;
    let path = format!("{}/unseal", api(cx.arg(0)));
    let body = if cx.flags.is("reset") {
        json!({"reset": true})
    } else {
        let given = cx.arg(1).to_owned();
        let key = cx.secret_argument(&given, "Unseal Key (will be hidden): ")?;
        json!({"key": key.expose_secret()})
    };
    let answer = cx.http()?.document(Request::put(path, body));
    let status = answer.map_err(|e| Fail::server("Error unsealing", &e))?;
    print_seal_only(cx, &seal_of(status))
}

fn seal_status(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let path = format!("{}/seal-status", api(cx.arg(0)));
    let answer = cx.http()?.document(Request::get(path));
    let status = answer.map_err(|e| Fail::server("Error reading seal status", &e))?;
    print_seal_only(cx, &seal_of(status))
}

/// The status lies one level deeper in some answers.
fn seal_of(status: Json) -> Json {
    match status.get("seal_status") {
        Some(inner) => inner.clone(),
        None => unenveloped(status),
    }
}
