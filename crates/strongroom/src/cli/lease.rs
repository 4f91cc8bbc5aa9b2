//! `lease`: the life of what the server handed out.

use serde_json::json;
use strongroom_client::Request;

use super::command::{Command, Fail, Outcome, Prints};
use super::context::Context;
use super::flags::Flag;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::group(
        "lease",
        "Look up, renew and revoke leases",
        "
A lease says how long a credential that the server made stays good.

    $ {bin} lease renew database/creds/reporting/2f6a…
    $ {bin} lease revoke -prefix database/creds/reporting",
    ),
    Command::new(
        "lease lookup",
        "ID",
        "Show a lease",
        "
Shows when a lease was issued and when it ends.

    $ {bin} lease lookup database/creds/reporting/2f6a…",
        lookup,
    )
    .prints(Prints::FORMATS),
    Command::new(
        "lease renew",
        "ID",
        "Make a lease last longer",
        "
Renews a lease. The server need not grant the whole increment.

    $ {bin} lease renew -increment=3600 database/creds/reporting/2f6a…",
        renew,
    )
    .prints(Prints::FORMATS)
    .flags(&[
        Flag::duration("increment", "How much longer it shall last, from now.").alias(&["i"])
    ]),
    Command::new(
        "lease revoke",
        "ID",
        "End a lease and remove its credential",
        "
Ends a lease, or all that begin with a prefix. One that failed again and again is tried while you
wait, and the failure is told.

    $ {bin} lease revoke database/creds/reporting/2f6a…
    $ {bin} lease revoke -prefix database/creds/reporting",
        revoke,
    )
    .flags(&[
        Flag::bool("prefix", "The argument is the beginning of many ids.").default("false"),
        Flag::bool(
            "force",
            "Forget the leases even if the credentials could not be removed. Needs -prefix.",
        )
        .alias(&["f"])
        .default("false"),
        Flag::bool("sync", "Wait until it is done, and fail if it fails.").default("false"),
    ]),
    Command::new(
        "lease retry",
        "[PREFIX]",
        "Try again what could not be revoked",
        "
Has all leases that could not be revoked tried again at once, or those below a prefix. Without it
each of them is tried again within an hour. See which there are with

    $ {bin} read sys/leases type=irrevocable
    $ {bin} lease retry database/creds/reporting",
        retry,
    ),
];

fn id(cx: &Context<'_, '_>) -> Result<String, Fail> {
    if cx.args.is_empty() {
        return Err(Fail::usage("Missing ID!"));
    }
    cx.expect_args(1)?;
    Ok(cx.arg(0).to_owned())
}

fn lookup(cx: &mut Context<'_, '_>) -> Outcome {
    let id = id(cx)?;
    let request = Request::put("sys/leases/lookup", json!({"lease_id": id}));
    show(cx, request, &format!("error looking up lease id {id}"))
}

fn renew(cx: &mut Context<'_, '_>) -> Outcome {
    let id = id(cx)?;
    let increment = cx.flags.seconds("increment");
    let request = Request::put("sys/leases/renew", json!({"lease_id": id, "increment": increment}));
    show(cx, request, &format!("Error renewing {id}"))
}

fn show(cx: &mut Context<'_, '_>, request: Request, doing: &str) -> Outcome {
    let answer = cx.http()?.send(request).and_then(strongroom_client::Reply::written);
    match answer.map_err(|e| Fail::server(doing, &e))? {
        Some(envelope) => cx.ui.envelope(&envelope),
        None => Ok(()),
    }
}

fn revoke(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let id = cx.arg(0).to_owned();
    let (prefix, force, sync) = (cx.flags.is("prefix"), cx.flags.is("force"), cx.flags.is("sync"));
    if force && !prefix {
        return Err(Fail::usage("Specifying -force requires also specifying -prefix"));
    }
    if force {
        cx.ui.warn(
            "Warning! Forgotten leases may leave working credentials behind in the target system.",
        );
    }
    let body = json!({"sync": sync});
    let (request, doing) = if force {
        let path = format!("sys/leases/revoke-force/{id}");
        (Request::put(path, body), format!("Error force revoking leases with prefix {id}"))
    } else if prefix {
        let path = format!("sys/leases/revoke-prefix/{id}");
        (Request::put(path, body), format!("Error revoking leases with prefix {id}"))
    } else {
        let body = json!({"lease_id": id, "sync": sync});
        (Request::put("sys/leases/revoke", body), format!("Error revoking lease {id}"))
    };
    let answer = cx.http()?.send(request).and_then(strongroom_client::Reply::written);
    answer.map_err(|e| Fail::server(doing, &e))?;
    cx.ui.say(&match (force, sync, prefix) {
        (true, _, _) => format!("Success! Force revoked any leases with prefix: {id}"),
        (_, true, true) => format!("Success! Revoked any leases with prefix: {id}"),
        (_, true, false) => format!("Success! Revoked lease: {id}"),
        (_, false, _) => "All revocation operations queued successfully!".to_owned(),
    });
    Ok(())
}

fn retry(cx: &mut Context<'_, '_>) -> Outcome {
    let prefix = if cx.args.is_empty() {
        String::new()
    } else {
        cx.expect_args(1)?;
        cx.arg(0).to_owned()
    };
    let path = format!("sys/strongroom/leases/retry/{prefix}");
    let request = Request::put(path.trim_end_matches('/'), json!({}));
    let answer = cx.http()?.send(request).and_then(strongroom_client::Reply::written);
    let answer = answer.map_err(|e| Fail::server("Error retrying leases", &e))?;
    let count = answer.and_then(|envelope| envelope.data?.get("lease_count")?.as_u64());
    cx.ui.say(&format!("Leases that are tried again now: {}", count.unwrap_or(0)));
    Ok(())
}
