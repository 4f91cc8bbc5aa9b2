//! `operator rekey`, `operator generate-root`: what several holders of shares do together.

mod rekey;
mod root;

use strongroom_base::SecretString;
use strongroom_base::json::Json;

use self::rekey::{Api, rekey};
use self::root::generate_root;
use crate::cli::command::{Command, Fail, Prints};
use crate::cli::context::Context;
use crate::cli::flags::Flag;
use crate::cli::gotext::go_value;

const NONCE: Flag =
    Flag::text("nonce", "The number of the operation under way, as its start printed it.");

const REKEY_FLAGS: &[Flag] = &[
    Flag::bool("init", "Start.").default("false"),
    Flag::bool("cancel", "Stop and forget the shares given so far.").default("false"),
    Flag::bool("status", "Show how far it is.").default("false"),
    Flag::bool(
        "verify",
        "With -init: the new shares count only once they were given back. Else: act on that \
             check.",
    )
    .default("false"),
    Flag::int("key-shares", "Into how many shares the key is split.").alias(&["n"]).default("5"),
    Flag::int("key-threshold", "How many of them are needed.").alias(&["t"]).default("3"),
    NONCE,
    Flag::text("target", "barrier for unseal shares, recovery for recovery shares.")
        .default("barrier"),
    Flag::text("pgp-keys", "Files with OpenPGP public keys to encrypt the new shares for."),
    Flag::bool("backup", "Let the server keep the encrypted shares.").default("false"),
    Flag::bool("backup-delete", "Delete the shares the server keeps.").default("false"),
    Flag::bool("backup-retrieve", "Print the encrypted shares the server keeps.").default("false"),
];

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::new(
        "operator rekey",
        "[KEY]",
        "Make new unseal shares from the old ones",
        "
Starts with -init; then each holder gives a share of the old key, and the last one gets
the new shares. Without KEY the share is asked for; - reads it from stdin, @FILE from a file.

    $ {bin} operator rekey -init -key-shares=5 -key-threshold=3
    $ {bin} operator rekey
    $ {bin} operator rekey -status
    $ {bin} operator rekey -cancel",
        |cx| rekey(cx, Api::Rekey),
    )
    .prints(Prints::FORMATS)
    .flags(REKEY_FLAGS),
    Command::new(
        "operator rotate-keys",
        "[KEY]",
        "As rekey, by a token that may do so",
        "
The same as \"{bin} operator rekey\" over paths that ask for a token, too; for servers that do
not take shares from strangers.

    $ {bin} operator rotate-keys -init -key-shares=5 -key-threshold=3
    $ {bin} operator rotate-keys",
        |cx| rekey(cx, Api::Rotate),
    )
    .prints(Prints::FORMATS)
    .flags(REKEY_FLAGS),
    Command::new(
        "operator generate-root",
        "[KEY]",
        "Make a root token from unseal shares",
        "
Starts with -init, which prints a one-time password; then each holder gives a share, and
the last one gets the token, encoded. -decode makes it readable.

    $ {bin} operator generate-root -init
    $ {bin} operator generate-root
    $ {bin} operator generate-root -decode=- -otp=@otp < encoded

Without KEY the share is asked for; - reads it from stdin, @FILE from a file.",
        generate_root,
    )
    .prints(Prints::FORMATS)
    .flags(&[
        Flag::bool("init", "Start.").default("false"),
        Flag::bool("cancel", "Stop and forget the shares given so far.").default("false"),
        Flag::bool("status", "Show how far it is.").default("false"),
        Flag::text("decode", "Decode this token; - reads it from stdin, @FILE from a file."),
        Flag::bool("generate-otp", "Print a new one-time password for -init.").default("false"),
        Flag::text("otp", "The one-time password, or @FILE. Asked for by -decode if missing."),
        Flag::text("pgp-key", "File with an OpenPGP public key to encrypt the token for."),
        NONCE,
        Flag::bool("recovery-token", "Make a token for recovery mode.").default("false"),
    ]),
];

/// A share of an operation under way: a number that was given must be the operation's; who is asked
/// for the share and gave none is shown it.
fn share(
    cx: &mut Context<'_, '_>,
    nonce: &str,
    title: &str,
    prompt: &str,
) -> Result<(String, SecretString), Fail> {
    let given = cx.arg(0).to_owned();
    let named = cx.flags.text_or_empty("nonce").to_owned();
    if given.is_empty() {
        let nonce = if named.is_empty() { nonce.to_owned() } else { named };
        cx.ui.say(&format!("{title}: {nonce}"));
        return Ok((nonce, cx.ask(prompt)?));
    }
    let key = cx.secret_argument(&given, prompt)?;
    let nonce = named;
    if nonce.is_empty() {
        return Err(Fail::usage("Missing nonce value: specify it via the -nonce flag"));
    }
    Ok((nonce, key))
}

fn text(json: &Json, name: &str) -> String {
    json.get(name).filter(|value| !value.is_null()).map(go_value).unwrap_or_default()
}

fn flag(json: &Json, name: &str) -> bool {
    json.get(name).and_then(Json::as_bool).unwrap_or_default()
}
