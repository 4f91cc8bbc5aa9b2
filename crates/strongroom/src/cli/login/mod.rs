//! `login`, `unwrap`, `print token`: how a person becomes known to the server, and stays so until
//! the token ends.

mod methods;
mod second_factor;
mod token;

use std::collections::BTreeMap;

use strongroom_base::json::Json;
use strongroom_client::{Envelope, Request};

use super::command::{Command, Fail, Outcome, Prints};
use super::context::Context;
use super::data::{clean_path, print_answer};
use super::flags::Flag;
use super::input;
use super::table::wrap;
use methods::METHODS;
use token::{print_token, unwrap};

pub(super) use methods::{Given, method_help, post};
pub(super) use second_factor::second_factor;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::new(
        "login",
        "[AUTH K=V...]",
        "Log in and keep the token for later commands",
        "
Logs in and keeps the token in ~/.vault-token, where all tools of this family look
for it. Without -method a token is asked for and checked.

    $ {bin} login
    $ {bin} login -method=userpass username=kim
    $ {bin} login -method=ldap -path=corp username=kim
    $ {bin} login -method=approle role_id=web secret_id=@/run/secret-id
    $ {bin} login -method=oidc role=dev

What is secret and missing is asked for on the terminal. key=@FILE, key=- and a lone -
keep it out of the process list. Methods: token, userpass, ldap, radius, okta,
approle, github, cert, aws, gcp, azure, kubernetes, jwt, oidc; \"{bin} auth help TYPE\" tells what
each takes.",
        login,
    )
    .prints(Prints::FIELDS)
    .flags(&[
        Flag::text("method", "The kind of login. Where it is mounted is -path's business.")
            .default("token"),
        Flag::text("path", "Where the auth method is mounted. The kind's name if not given."),
        Flag::bool("no-store", "Do not keep the token; only print it.").default("false"),
        Flag::bool("no-print", "Do not print the token; only keep it.").default("false"),
        Flag::bool("token-only", "Print nothing but the token, and do not keep it.")
            .default("false"),
    ]),
    Command::new(
        "unwrap",
        "[TOKEN]",
        "Take a wrapped answer out of its wrapping",
        "
Prints what a wrapping token holds; it can be done once. Without an argument the
current token is taken for the wrapping one. - reads it from stdin.

    $ {bin} unwrap hvs.CAESI…
    $ {bin} unwrap - < wrapped-token",
        unwrap,
    )
    .prints(Prints::FIELDS),
    Command::group(
        "print",
        "Print what the command line itself uses",
        "
Prints what later commands would use.

    $ {bin} print token",
    ),
    Command::new(
        "print token",
        "",
        "Print the current token",
        "
Prints the token that the next command would send: from the environment, else the
one that \"{bin} login\" kept.",
        print_token,
    ),
];

fn login(cx: &mut Context<'_, '_>) -> Outcome {
    let token_only = cx.flags.is("token-only");
    let no_store = token_only || cx.flags.is("no-store");
    let no_print = cx.flags.is("no-print");
    if no_store && no_print {
        return Err(Fail::usage("-no-store and -no-print cannot be used together"));
    }
    let kind = clean_path(cx.flags.text("method").unwrap_or("token"));
    let kind = if kind.is_empty() { "token".to_owned() } else { kind };
    let Some(method) = METHODS.iter().find(|method| method.name == kind) else {
        return Err(Fail::usage(wrap(
            &format!(
                "Unknown auth method: {kind}. \"{} login -h\" lists those this command knows; all \
                 others can be used through the API, for instance by \"write\".",
                cx.program()
            ),
            0,
        )));
    };
    let given = given(cx, &kind)?;
    let mut http = cx.http_without_token()?;
    if kind != "token" {
        http.client.set_token(None);
    }
    let answer = (method.log_in)(cx, &mut http, &given);
    let answer = match answer {
        Ok(answer) => answer,
        Err(fail) => {
            // A dry run needs the request that was not sent.
            cx.set_http(http);
            return Err(fail);
        }
    };
    let Some(mut envelope) = answer else {
        return Err(Fail::remote("Error authenticating: empty response from the server"));
    };
    if second_factor::is_needed(&envelope) {
        match second_factor(cx, &envelope)? {
            Some(validated) => envelope = validated,
            None => return cx.ui.envelope(&envelope),
        }
    }
    if let Some(wrapped) = envelope.wrap_info.clone() {
        if wrapped.wrapped_accessor.is_empty() {
            return Err(Fail::remote(
                "Error extracting token: wrapped response does not contain a token",
            ));
        }
        if no_store {
            let field = token_only.then_some("wrapping_token");
            return match field {
                Some(field) => cx.ui.field(&envelope, field),
                None => cx.ui.envelope(&envelope),
            };
        }
        let request = Request::put("sys/wrapping/unwrap", Json::Null).with_token(&wrapped.token);
        envelope = http
            .send_aside(request)
            .and_then(strongroom_client::Reply::envelope)
            .map_err(|e| Fail::server("Error extracting token", &e))?
            .unwrap_or_default();
    }
    if envelope.auth.is_none() {
        return Err(Fail::remote("The answer holds no token. The server broke its own protocol."));
    }
    let address = http.client.address().to_owned();
    keep_and_print(cx, &envelope, &address, no_store, token_only)
}

fn given(cx: &mut Context<'_, '_>, kind: &str) -> Result<Given, Fail> {
    let mut words = cx.args.clone();
    if kind == "token"
        && let Some(first) = words.first_mut()
        && !first.contains('=')
    {
        *first = format!("token={first}");
    }
    let pairs = input::parse_texts(&mut cx.input(), &words)
        .map_err(|problem| Fail::usage(format!("Error parsing configuration: {problem}")))?;
    let values: BTreeMap<String, String> = pairs.into_iter().collect();
    let path = cx.flags.text("path").map(clean_path).filter(|path| !path.is_empty());
    let mount = values.get("mount").map(|mount| clean_path(mount)).or(path);
    Ok(Given { mount: mount.unwrap_or_else(|| kind.to_owned()), values })
}

fn keep_and_print(
    cx: &mut Context<'_, '_>,
    envelope: &Envelope,
    address: &str,
    no_store: bool,
    token_only: bool,
) -> Outcome {
    let token = envelope.auth.as_ref().map(|auth| auth.client_token.as_str()).unwrap_or_default();
    if no_store {
        if !token_only {
            cx.ui.warn(&format!(
                "{}\n",
                wrap(
                    "The token was not kept. Pass it to later commands by the environment \
                     variable STRONGROOM_TOKEN or VAULT_TOKEN.",
                    0
                )
            ));
        }
    } else {
        let stored = cx.token_store(address).map_err(|fail| fail.with_code(1))?.store(token);
        if let Err(error) = stored {
            cx.ui.error(&format!("Error storing token: {error}"));
            cx.ui.error("You are logged in, but the token is kept nowhere but here:\n");
            cx.ui.envelope(envelope)?;
            return Err(Fail::quiet(2));
        }
        if let Some((name, _)) = cx.env().find("TOKEN") {
            cx.ui.warn(&format!(
                "{}\n",
                wrap(
                    &format!(
                        "WARNING! {name} is set in the environment. Its token goes before the one \
                         just kept; unset it to use the new one."
                    ),
                    0
                )
            ));
        }
    }
    if cx.flags.is("no-print") {
        return Ok(());
    }
    if token_only {
        return cx.ui.field(envelope, "token");
    }
    if cx.flags.text_or_empty("field").is_empty() && cx.ui.is_table() {
        let kept = if no_store { "" } else { " Later commands use this token by themselves." };
        cx.ui.say(&format!("Success! You are now authenticated.{kept}\n"));
    }
    print_answer(cx, envelope)
}
