//! `secrets`: which engines are mounted where.

use super::command::{Command, Prints};
use super::deleted::{deleted, restore};
use super::flags::Flag;
use super::mounts::*;

const DETAILED: &[Flag] =
    &[Flag::bool("detailed", "Show TTLs, options and versions, too.").default("false")];

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::group(
        "secrets",
        "Mount, move and tune secrets engines",
        "
Secrets engines store, make or encrypt secrets; each is mounted at a path.

    $ {bin} secrets list
    $ {bin} secrets enable -path=team -version=2 kv
    $ {bin} secrets disable team/",
    ),
    Command::new(
        "secrets enable",
        "TYPE",
        "Mount a secrets engine",
        "
Mounts an engine at -path, or at its type's name.

    $ {bin} secrets enable -path=team -version=2 kv
    $ {bin} secrets enable -max-lease-ttl=30m database",
        |cx| enable(cx, Family::Secrets),
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
        Flag::bool("force-no-cache", "Never serve it from a cache.").default("false"),
        PLUGIN_NAME,
        PLUGIN_VERSION,
        OPTIONS,
        LOCAL,
        SEAL_WRAP,
        ENTROPY,
        VERSION,
    ]),
    Command::new(
        "secrets disable",
        "PATH",
        "Unmount a secrets engine and delete its data",
        "
Unmounts an engine, revokes its leases and, after seven days in which \"secrets restore\" brings it
back, deletes what it stored.

    $ {bin} secrets disable team/",
        |cx| disable(cx, Family::Secrets),
    ),
    Command::new(
        "secrets list",
        "",
        "List the mounted secrets engines",
        "
Lists the engines with their paths.

    $ {bin} secrets list
    $ {bin} secrets list -detailed",
        |cx| list(cx, Family::Secrets),
    )
    .prints(Prints::FORMATS)
    .flags(DETAILED),
    Command::new(
        "secrets deleted",
        "",
        "List secrets engines that can be restored",
        "
Lists what was disabled within the last seven days, with the paths and IDs that \"secrets restore\" takes.

    $ {bin} secrets deleted",
        |cx| deleted(cx, Family::Secrets),
    )
    .prints(Prints::FORMATS),
    Command::new(
        "secrets restore",
        "PATH|ID [NEW PATH]",
        "Bring a deleted secrets engine back",
        "
Brings back what was disabled, with all it held, at its old path or at NEW PATH. Tokens and leases
that it had given out stay revoked.

    $ {bin} secrets restore team/
    $ {bin} secrets restore 3f0c2a52-… team-old/",
        |cx| restore(cx, Family::Secrets),
    ),
    Command::new(
        "secrets move",
        "SOURCE DESTINATION",
        "Move a secrets engine to another path",
        "
Moves an engine with its data. Leases are revoked, policies are not rewritten.

    $ {bin} secrets move secret/ kv/",
        |cx| remount(cx, Family::Secrets),
    ),
    Command::new(
        "secrets tune",
        "PATH",
        "Change a secrets engine's settings",
        "
Changes the settings that are given. A negative TTL takes the setting back.

    $ {bin} secrets tune -default-lease-ttl=72h -description=\"orders\" database/",
        |cx| tune(cx, Family::Secrets),
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
        VERSION,
    ]),
];
