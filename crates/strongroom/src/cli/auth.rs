//! `auth`: which auth methods are mounted where.

use super::command::{Command, Fail, Outcome, Prints};
use super::context::Context;
use super::data::clean_path;
use super::deleted::{deleted, restore};
use super::flags::Flag;
use super::login::method_help;
use super::mounts::*;

const DETAILED: &[Flag] =
    &[Flag::bool("detailed", "Show TTLs, options and versions, too.").default("false")];

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::group(
        "auth",
        "Mount, move and tune auth methods",
        "
Auth methods turn what a caller can prove into a token; each is mounted at a path.

    $ {bin} auth list
    $ {bin} auth enable userpass
    $ {bin} auth help userpass

To log in use \"{bin} login\".",
    ),
    Command::new(
        "auth enable",
        "TYPE",
        "Mount an auth method",
        "
Mounts an auth method at -path, or at its type's name.

    $ {bin} auth enable userpass
    $ {bin} auth enable -path=corp ldap",
        |cx| enable(cx, Family::Auth),
    )
    .flags(&[
        DESCRIPTION,
        PATH,
        DEFAULT_TTL,
        MAX_TTL,
        REQUEST_KEYS,
        RESPONSE_KEYS,
        VISIBILITY,
        REQUEST_HEADERS,
        RESPONSE_HEADERS,
        PLUGIN_NAME,
        PLUGIN_VERSION,
        OPTIONS,
        LOCAL,
        SEAL_WRAP,
        ENTROPY,
        TOKEN_TYPE,
        VERSION,
    ]),
    Command::new(
        "auth disable",
        "PATH",
        "Unmount an auth method and revoke its tokens",
        "
Unmounts an auth method. Every token it issued is revoked.

    $ {bin} auth disable userpass/",
        |cx| disable(cx, Family::Auth),
    ),
    Command::new(
        "auth list",
        "",
        "List the mounted auth methods",
        "
Lists the auth methods with their paths.

    $ {bin} auth list
    $ {bin} auth list -detailed",
        |cx| list(cx, Family::Auth),
    )
    .prints(Prints::FORMATS)
    .flags(DETAILED),
    Command::new(
        "auth deleted",
        "",
        "List auth methods that can be restored",
        "
Lists what was disabled within the last seven days, with the paths and IDs that \"auth restore\" takes.

    $ {bin} auth deleted",
        |cx| deleted(cx, Family::Auth),
    )
    .prints(Prints::FORMATS),
    Command::new(
        "auth restore",
        "PATH|ID [NEW PATH]",
        "Bring a deleted auth method back",
        "
Brings back what was disabled, with all it held, at its old path or at NEW PATH. Tokens and leases
that it had given out stay revoked.

    $ {bin} auth restore userpass/
    $ {bin} auth restore 3f0c2a52-… userpass-old/",
        |cx| restore(cx, Family::Auth),
    ),
    Command::new(
        "auth move",
        "SOURCE DESTINATION",
        "Move an auth method to another path",
        "
Moves an auth method with its settings. Its tokens are revoked.

    $ {bin} auth move auth/ldap/ auth/corp/",
        |cx| remount(cx, Family::Auth),
    ),
    Command::new(
        "auth tune",
        "PATH",
        "Change an auth method's settings",
        "
Changes the settings that are given. A negative TTL takes the setting back.

    $ {bin} auth tune -default-lease-ttl=72h userpass/
    $ {bin} auth tune -user-lockout-threshold=10 userpass/",
        |cx| tune(cx, Family::Auth),
    )
    .flags(&[
        DESCRIPTION,
        DEFAULT_TTL,
        MAX_TTL,
        REQUEST_KEYS,
        RESPONSE_KEYS,
        VISIBILITY,
        REQUEST_HEADERS,
        RESPONSE_HEADERS,
        PLUGIN_VERSION,
        OPTIONS,
        TOKEN_TYPE,
        VERSION,
        Flag::int("user-lockout-threshold", "Failed logins after which a user is locked out."),
        Flag::duration("user-lockout-duration", "How long a user stays locked out."),
        Flag::duration(
            "user-lockout-counter-reset-duration",
            "After how long without a failure the count begins anew.",
        ),
        Flag::bool("user-lockout-disable", "Never lock users out."),
    ]),
    Command::new(
        "auth help",
        "TYPE | PATH",
        "Explain what a kind of login takes",
        "
Tells what \"{bin} login -method=TYPE\" takes. A path asks the server for its type.

    $ {bin} auth help userpass
    $ {bin} auth help corp/",
        help,
    ),
];

fn help(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let name = clean_path(cx.arg(0));
    if let Some(text) = method_help(&name) {
        cx.ui.say(text);
        return Ok(());
    }
    let mounts = mounts(cx, "sys/auth", "Error listing auth methods")?;
    let Some(mount) = mounts.get(&format!("{name}/")) else {
        return Err(Fail::usage(format!("No auth method available on the server at \"{name}/\"")));
    };
    let kind = mount.get("type").and_then(|kind| kind.as_str()).unwrap_or_default();
    let text = method_help(kind).ok_or_else(|| {
        Fail::remote(format!("\"login\" does not know the type {kind:?}; use it through the API"))
    })?;
    cx.ui.say(text);
    Ok(())
}
