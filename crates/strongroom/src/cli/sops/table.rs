//! The commands and their flags, as the original has them (`sops help`, 3.13).

use super::flags::{
    BACKGROUND, CHANGES, COMMENT_RULES, CONTEXT, EXEC_ENV, EXEC_FILE, EXTRACT, FILENAME_OVERRIDE,
    FORCED, GLOBALLY, GROUP_FILE, GROUP_KEYS, IGNORE_MAC, IMPORT, IN_PLACE, IN_TYPE, KEYS,
    KEYSERVICE, MODES, ORDER, OUT_TYPE, OUTPUT, PUBLISH, RULES, SERVICES, SET_IDEMPOTENT,
    SHOW_KEYS, THRESHOLD, TOP, TRANSFER, UNSET_IDEMPOTENT, VALUE, VERBOSE, YES,
};
use super::options::Flag;
use super::{Outcome, Run};

/// A command.
pub struct Entry {
    /// Its name; with a space, where it is one of a group.
    pub name: &'static str,
    /// What it does.
    pub usage: &'static str,
    /// Its arguments.
    pub args: &'static str,
    /// Its flags.
    pub flags: &'static [&'static [Flag]],
    /// What runs it.
    pub run: fn(&mut Run<'_, '_>) -> Outcome,
}

/// The flags before all commands: those of the old spellings, and some that are good for all.
pub const GLOBAL: &[&[Flag]] = &[
    MODES,
    KEYS,
    IN_PLACE,
    EXTRACT,
    IN_TYPE,
    OUT_TYPE,
    SHOW_KEYS,
    CHANGES,
    IGNORE_MAC,
    TOP,
    RULES,
    COMMENT_RULES,
    CONTEXT,
    THRESHOLD,
    VERBOSE,
    OUTPUT,
    FILENAME_OVERRIDE,
    ORDER,
    SERVICES,
];

/// Commands without flags of their own.
const NONE: &[&[Flag]] = &[];

/// All commands.
pub const ENTRIES: &[Entry] = &[
    Entry {
        name: "completion bash",
        usage: "Generate bash completions. To load completions: `$ source <(sops completion bash)`",
        args: "",
        flags: NONE,
        run: super::completion::bash,
    },
    Entry {
        name: "completion zsh",
        usage: "Generate zsh completions. To load completions: `$ source <(sops completion zsh)`",
        args: "",
        flags: NONE,
        run: super::completion::zsh,
    },
    Entry {
        name: "exec-env",
        usage: "execute a command with decrypted values inserted into the environment",
        args: "[file to decrypt] [command to run]",
        flags: &[BACKGROUND, EXEC_ENV, IN_TYPE, IGNORE_MAC, ORDER, SERVICES],
        run: super::exec::exec_env,
    },
    Entry {
        name: "exec-file",
        usage: "execute a command with the decrypted contents as a temporary file",
        args: "[file to decrypt] [command to run]",
        flags: &[BACKGROUND, EXEC_FILE, IN_TYPE, OUT_TYPE, IGNORE_MAC, ORDER, SERVICES],
        run: super::exec::exec_file,
    },
    Entry {
        name: "publish",
        usage: "Publish sops file or directory to a configured destination",
        args: "file",
        flags: &[YES, PUBLISH, VERBOSE, ORDER, SERVICES],
        run: super::publish::publish,
    },
    Entry {
        name: "keyservice",
        usage: "start a SOPS key service server",
        args: "",
        flags: &[KEYSERVICE, VERBOSE],
        run: super::service::keyservice,
    },
    Entry {
        name: "filestatus",
        usage: "check the status of the file, returning encryption status",
        args: "file",
        flags: &[IN_TYPE],
        run: super::service::filestatus,
    },
    Entry {
        name: "groups add",
        usage: "add a new group to a SOPS file",
        args: "",
        flags: &[GROUP_FILE, GROUP_KEYS, IN_PLACE, THRESHOLD, CONTEXT, SERVICES],
        run: super::groups::add,
    },
    Entry {
        name: "groups delete",
        usage: "delete a key group from a SOPS file",
        args: "[index]",
        flags: &[GROUP_FILE, IN_PLACE, THRESHOLD, SERVICES],
        run: super::groups::delete,
    },
    Entry {
        name: "updatekeys",
        usage: "update the keys of SOPS files using the config file",
        args: "file",
        flags: &[YES, IN_TYPE, THRESHOLD, ORDER, SERVICES],
        run: super::groups::updatekeys,
    },
    Entry {
        name: "decrypt",
        usage: "decrypt a file, and output the results to stdout. If no filename is provided, stdin \
                will be used.",
        args: "[file]",
        flags: &[
            IN_PLACE,
            EXTRACT,
            OUTPUT,
            IN_TYPE,
            OUT_TYPE,
            IGNORE_MAC,
            FILENAME_OVERRIDE,
            ORDER,
            SERVICES,
        ],
        run: super::crypt::decrypt,
    },
    Entry {
        name: "encrypt",
        usage: "encrypt a file, and output the results to stdout. If no filename is provided, stdin \
                will be used.",
        args: "[file]",
        flags: &[
            IN_PLACE,
            OUTPUT,
            KEYS,
            IN_TYPE,
            OUT_TYPE,
            RULES,
            CONTEXT,
            THRESHOLD,
            FILENAME_OVERRIDE,
            SERVICES,
        ],
        run: super::crypt::encrypt,
    },
    Entry {
        name: "rotate",
        usage: "generate a new data encryption key and reencrypt all values with the new key",
        args: "file",
        flags: &[
            IN_PLACE,
            OUTPUT,
            IN_TYPE,
            OUT_TYPE,
            CONTEXT,
            CHANGES,
            IGNORE_MAC,
            FILENAME_OVERRIDE,
            ORDER,
            SERVICES,
        ],
        run: super::crypt::rotate,
    },
    Entry {
        name: "edit",
        usage: "edit an encrypted file",
        args: "file",
        flags: &[
            KEYS, IN_TYPE, OUT_TYPE, RULES, CONTEXT, THRESHOLD, SHOW_KEYS, IGNORE_MAC, ORDER,
            SERVICES,
        ],
        run: super::edit::edit,
    },
    Entry {
        name: "set",
        usage: "set a specific key or branch in the input document. value must be a JSON encoded \
                string, for example '/path/to/file [\"somekey\"][0] {\"somevalue\":true}', or a \
                path if --value-file is used, or omitted if --value-stdin is used",
        args: "file index [ value ]",
        flags: &[IN_TYPE, OUT_TYPE, VALUE, THRESHOLD, IGNORE_MAC, ORDER, SET_IDEMPOTENT, SERVICES],
        run: super::change::set,
    },
    Entry {
        name: "unset",
        usage: "unset a specific key or branch in the input document.",
        args: "file index",
        flags: &[IN_TYPE, OUT_TYPE, THRESHOLD, IGNORE_MAC, ORDER, UNSET_IDEMPOTENT, SERVICES],
        run: super::change::unset,
    },
    // From here on: what the original does not have.
    Entry {
        name: "merge-driver",
        usage: "merge two changed versions of an encrypted file by key; Git calls it",
        args: "base ours theirs path",
        flags: &[IN_TYPE, ORDER, SERVICES],
        run: super::git::merge_driver,
    },
    Entry {
        name: "textconv",
        usage: "show a file decrypted; Git calls it",
        args: "file",
        flags: &[IN_TYPE, OUT_TYPE, ORDER, SERVICES],
        run: super::git::textconv,
    },
    Entry {
        name: "install-git",
        usage: "make both known to Git, in this repository or for all of yours",
        args: "",
        flags: &[GLOBALLY],
        run: super::git::install_git,
    },
    Entry {
        name: "import",
        usage: "decrypt a file, or the files of a folder, and write the values to the server's \
                key-value store",
        args: "file path",
        flags: &[IMPORT, TRANSFER, IN_TYPE, ORDER, SERVICES],
        run: super::import::import,
    },
    Entry {
        name: "export",
        usage: "write a secret of the server's key-value store, or a folder of them, to encrypted \
                files",
        args: "path [ file ]",
        flags: &[
            TRANSFER,
            FORCED,
            OUTPUT,
            KEYS,
            OUT_TYPE,
            RULES,
            CONTEXT,
            THRESHOLD,
            FILENAME_OVERRIDE,
            SERVICES,
        ],
        run: super::export::export,
    },
    Entry {
        name: "status",
        usage: "tell who can open the encrypted files of a tree, what differs from .sops.yaml, and \
                whose data key somebody who left still has",
        args: "[ directory ]",
        flags: &[IN_TYPE],
        run: super::status::status,
    },
    Entry {
        name: "rotate-leaver",
        usage: "take a key from all files of a repository, with a new data key for each it knew",
        args: "key [ directory ]",
        flags: &[IN_TYPE, ORDER, SERVICES],
        run: super::status::rotate_leaver,
    },
];

/// The command that words begin with, and the words behind it.
pub fn find(words: &[String]) -> Option<(&'static Entry, &[String])> {
    ENTRIES.iter().find_map(|entry| {
        let name: Vec<&str> = entry.name.split(' ').collect();
        let (first, rest) = words.split_at_checked(name.len())?;
        first.iter().map(String::as_str).eq(name).then_some((entry, rest))
    })
}
