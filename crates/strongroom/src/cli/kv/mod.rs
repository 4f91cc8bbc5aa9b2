//! `kv`: secrets of a key/value store, whichever version it is. Each command first asks the server
//! which mount owns the path and of which version it is.

mod metadata;
mod read;
mod relocate;
mod search;
mod target;
mod write;

pub use metadata::COMMANDS as METADATA_COMMANDS;
pub use target::Target;

use super::command::{Command, Prints};
use super::flags::Flag;

const MOUNT: Flag = Flag::text(
    "mount",
    "Where the store is mounted. With it, the argument is the secret's own path; without it, the \
     argument begins with the mount, as in secret/my/app.",
);
const MOUNT_ONLY: &[Flag] = &[MOUNT];
const RELOCATE: &[Flag] = &[
    MOUNT,
    Flag::bool("recursive", "Take a folder with all that is in it.").alias(&["r"]).default("false"),
    Flag::text("to-mount", "The store that the destination is in, if not that of -mount."),
];

/// The commands of this folder.
pub const COMMANDS: &[Command] = &[
    Command::group(
        "kv",
        "Put, get, list and delete versioned secrets",
        "
Secrets of a key/value store.

    $ {bin} kv put -mount=secret app user=kim password=-
    $ {bin} kv get -mount=secret app
    $ {bin} kv get -mount=secret -field=password -version=1 app
    $ {bin} kv list secret/
    $ {bin} kv metadata get secret/app

Both \"-mount=secret app\" and \"secret/app\" name the same secret.",
    ),
    Command::new(
        "kv get",
        "KEY",
        "Get a secret",
        "
Prints a secret's current version, or the one asked for.

    $ {bin} kv get -mount=secret app
    $ {bin} kv get -mount=secret -version=2 app
    $ {bin} kv get -mount=secret -field=password app",
        read::get,
    )
    .prints(Prints::FIELDS)
    .flags(&[MOUNT, Flag::int("version", "Print this version instead of the current one.")]),
    Command::new(
        "kv put",
        "KEY [DATA]",
        "Write a new version of a secret",
        "
Writes a whole secret; what it held before stays as an older version.

    $ {bin} kv put -mount=secret app user=kim password=-
    $ {bin} kv put -mount=secret app @secret.json
    $ {bin} kv put -mount=secret -cas=3 app user=kim

Data is given as for \"{bin} write\": @FILE, key=@FILE, - and key=- keep values out of
the process list and the shell's history.",
        write::put,
    )
    .prints(Prints::FIELDS)
    .flags(&[
        MOUNT,
        Flag::int(
            "cas",
            "Write only if the current version is this one; 0 writes only if there is none.",
        ),
    ]),
    Command::new(
        "kv patch",
        "KEY [DATA]",
        "Change some fields of a secret",
        "
Writes a new version that differs from the current one in the given fields only.

    $ {bin} kv patch -mount=secret app password=-
    $ {bin} kv patch -mount=secret -remove-data=user app",
        write::patch,
    )
    .prints(Prints::FIELDS)
    .flags(&[
        MOUNT,
        Flag::int("cas", "Write only if the current version is this one."),
        Flag::text(
            "method",
            "patch lets the server merge; rw reads, merges here and writes. By default patch, and \
             rw where the server or the policy does not allow it.",
        ),
        Flag::list("remove-data", "Field to remove. May be given again."),
    ]),
    Command::new(
        "kv delete",
        "KEY",
        "Delete versions; they can be brought back",
        "
Deletes the current version, or those named. Nothing is lost yet: \"{bin} kv undelete\"
brings it back, \"{bin} kv destroy\" removes it for good.

    $ {bin} kv delete -mount=secret app
    $ {bin} kv delete -mount=secret -versions=1,2 app",
        write::delete,
    )
    .prints(Prints::FIELDS)
    .flags(&[MOUNT, Flag::list("versions", "Versions to delete, separated by commas.")]),
    Command::new(
        "kv undelete",
        "KEY",
        "Bring deleted versions back",
        "
Makes deleted versions readable again.

    $ {bin} kv undelete -mount=secret -versions=3 app",
        write::undelete,
    )
    .prints(Prints::FORMATS)
    .flags(&[MOUNT, Flag::list("versions", "Versions to bring back, separated by commas.")]),
    Command::new(
        "kv destroy",
        "KEY",
        "Remove versions for good",
        "
Removes the data of versions for ever.

    $ {bin} kv destroy -mount=secret -versions=1,2 app",
        write::destroy,
    )
    .prints(Prints::FORMATS)
    .flags(&[MOUNT, Flag::list("versions", "Versions to destroy, separated by commas.")]),
    Command::new(
        "kv rollback",
        "KEY",
        "Make an older version the current one",
        "
Writes a copy of an older version as the newest one.

    $ {bin} kv rollback -mount=secret -version=2 app",
        write::rollback,
    )
    .prints(Prints::FORMATS)
    .flags(&[MOUNT, Flag::int("version", "The version to bring back.")]),
    Command::new(
        "kv list",
        "PATH",
        "List secrets",
        "
Lists the secrets and folders at a path.

    $ {bin} kv list secret/
    $ {bin} kv list -mount=secret team/",
        read::list,
    )
    .prints(Prints::FORMATS)
    .flags(MOUNT_ONLY),
    Command::new(
        "kv scan",
        "PATH",
        "List secrets, however deep",
        "
Lists all secrets below a path.

    $ {bin} kv scan secret/",
        read::scan,
    )
    .prints(Prints::FORMATS)
    .flags(MOUNT_ONLY),
    Command::new(
        "kv mv",
        "SOURCE DESTINATION",
        "Move a secret, or a folder",
        "
Moves a secret with all its versions, settings and labels; with -recursive a folder and all that
is in it. Nothing is overwritten, and the secret is at one place or the other at any moment. A
destination that ends with a slash is the folder that takes the secret under its own name.

    $ {bin} kv mv secret/app/db secret/app/postgres
    $ {bin} kv mv secret/app/db archive/2025/
    $ {bin} kv mv -mount=secret -recursive app shop
    $ {bin} kv mv -mount=secret -to-mount=archive app/db old/db

It needs \"read\" (or the capability \"move\") and \"delete\" on the source, and \"create\" on the
destination.",
        relocate::mv,
    )
    .prints(Prints::FORMATS)
    .flags(RELOCATE),
    Command::new(
        "kv cp",
        "SOURCE DESTINATION",
        "Copy a secret, or a folder",
        "
Copies a secret with all its versions, settings and labels; with -recursive a folder and all that
is in it. Nothing is overwritten. The copy is a secret of its own from then on. A destination that
ends with a slash is the folder that takes the copy under the same name.

    $ {bin} kv cp secret/app/db secret/app/db-before
    $ {bin} kv cp secret/app/db archive/2025/
    $ {bin} kv cp -mount=secret -recursive app app-staging

It needs \"read\" (or the capability \"move\") on the source, and \"create\" on the destination.",
        relocate::cp,
    )
    .prints(Prints::FORMATS)
    .flags(RELOCATE),
    Command::new(
        "kv search",
        "TEXT [PATH]",
        "Find secrets by a part of their path or field names",
        "
Finds the secrets whose path contains a text, whatever its case; with -fields also those that
have a field of such a name. Values are never searched. Without PATH and -mount it looks into
every versioned store that your token may search.

    $ {bin} kv search postgres
    $ {bin} kv search -fields passw secret/shop
    $ {bin} kv search -mount=secret db

A path is shown only if you may list its folder, a field's name only if you may read the secret.",
        search::search,
    )
    .prints(Prints::FORMATS)
    .flags(&[
        MOUNT,
        Flag::bool("fields", "Look at the names of fields, too.").default("false"),
        Flag::int("limit", "At most this many matches of each store."),
    ]),
    Command::new(
        "kv enable-versioning",
        "PATH",
        "Make a version 1 store a versioned one",
        "
Turns a store without versions into one with versions. Existing secrets become
version 1 of themselves.

    $ {bin} kv enable-versioning secret",
        write::enable_versioning,
    ),
    Command::group(
        "kv metadata",
        "See and change what is kept beside a secret's data",
        "
Versions, limits and your own notes of a secret.

    $ {bin} kv metadata get -mount=secret app
    $ {bin} kv metadata put -mount=secret -max-versions=5 app
    $ {bin} kv metadata delete -mount=secret app",
    ),
];
