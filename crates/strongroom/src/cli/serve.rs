//! `server`, `up`, `links`: what runs on this machine. The work is done elsewhere; here the words
//! of the command line become a [`ServerCommand`].

use std::path::{Path, PathBuf};

use super::command::{Command, Fail, Outcome};
use super::context::Context;
use super::flags::Flag;
use super::tools;

/// What the command line hands to the server's side.
#[derive(Debug, PartialEq, Eq)]
pub enum ServerCommand {
    /// `server`: run until told to stop.
    Server(ServerOptions),
    /// `up`: run with a durable store that sets itself up.
    Up {
        /// The data folder; the user's own if not given.
        data: Option<PathBuf>,
        /// Where to listen.
        address: Option<String>,
        /// Keep a root token in this file, too.
        root_token_file: Option<PathBuf>,
        /// The log's level.
        log_level: Option<String>,
    },
    /// `audit verify`.
    AuditVerify {
        /// The log's files, oldest first.
        files: Vec<PathBuf>,
        /// The public key's file.
        key: Option<PathBuf>,
    },
    /// `operator diagnose`.
    Diagnose {
        /// Configuration files and folders.
        configs: Vec<PathBuf>,
        /// Checks to leave out.
        skip: Vec<String>,
        /// Answer as JSON.
        json: bool,
    },
}

/// What `server` takes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ServerOptions {
    /// Configuration files and folders, in the order given.
    pub configs: Vec<PathBuf>,
    /// Vault's dev mode: in memory, unsealed, with a root token.
    pub dev: Option<DevOptions>,
    /// The log's level.
    pub log_level: Option<String>,
    /// `standard` or `json`.
    pub log_format: Option<String>,
    /// A file for the log.
    pub log_file: Option<PathBuf>,
    /// Bytes, age and number of the log's files.
    pub log_rotate: LogRotate,
}

/// When the log's file is put aside, over what the configuration says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LogRotate {
    /// Bytes of one file.
    pub bytes: Option<u64>,
    /// Seconds of one file.
    pub seconds: Option<u64>,
    /// Files that are kept aside.
    pub files_max: Option<u64>,
}

/// What dev mode takes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DevOptions {
    /// The root token's text.
    pub root_token: Option<String>,
    /// Where to listen.
    pub address: Option<String>,
    /// Do not keep the token in the user's home.
    pub no_store_token: bool,
    /// Do not mount a key/value store at `secret/`.
    pub no_kv: bool,
    /// Listen with TLS, under a certificate of its own.
    pub tls: bool,
    /// Where that certificate goes.
    pub tls_dir: Option<PathBuf>,
}

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::new(
        "server",
        "",
        "Run a server by its configuration",
        "
Runs a server until it is told to stop (SIGTERM). SIGHUP reads certificates anew.
Configuration is Vault's, in HCL or JSON; -config may be given again and may name a folder.

    $ {bin} server -config=/etc/strongroom/server.hcl

To try things out, without anything being kept:

    $ {bin} server -dev -dev-root-token-id=root",
        server,
    )
    .local()
    .flags(&[
        Flag::list("config", "Configuration file or folder. May be given again."),
        Flag::text("log-level", "trace, debug, info, warn or error.")
            .default("info")
            .env("LOG_LEVEL"),
        Flag::text("log-format", "standard or json.").default("standard").env("LOG_FORMAT"),
        Flag::text("log-file", "File or folder to write the log to, too.").env("LOG_FILE"),
        Flag::bool("recovery", "").hidden(),
        Flag::bool("exit-on-core-shutdown", "").hidden(),
        Flag::bool(
            "dev",
            "Dev mode: everything in memory, unsealed, with a root token. Never for real data.",
        )
        .default("false"),
        Flag::text("dev-root-token-id", "The root token of dev mode.").env("DEV_ROOT_TOKEN_ID"),
        Flag::text("dev-listen-address", "Where dev mode listens.")
            .default("127.0.0.1:8200")
            .env("DEV_LISTEN_ADDRESS"),
        Flag::bool("dev-no-store-token", "Do not keep dev mode's token in the user's home.")
            .default("false"),
        Flag::bool("dev-no-kv", "Do not mount a key/value store at secret/ in dev mode.")
            .default("false"),
        Flag::bool("dev-tls", "Dev mode with TLS, under a certificate it makes.").default("false"),
        Flag::text("dev-tls-cert-dir", "Folder for that certificate."),
        Flag::bool("dev-ha", "").hidden(),
        Flag::bool("dev-transactional", "").hidden(),
        Flag::bool("dev-leased-kv", "").hidden(),
        Flag::text("dev-plugin-dir", "").hidden(),
        Flag::bool("dev-plugin-init", "").hidden(),
        Flag::bool("dev-four-cluster", "").hidden(),
        Flag::int("dev-latency", "").hidden(),
        Flag::int("dev-latency-jitter", "").hidden(),
        Flag::bool("dev-auto-seal", "").hidden(),
        Flag::bool("dev-kv-v1", "").hidden(),
        Flag::bool("dev-consul", "").hidden(),
        Flag::bool("dev-skip-init", "").hidden(),
        Flag::bool("dev-three-node", "").hidden(),
        Flag::text("dev-cluster-json", "").hidden(),
        Flag::bool("combine-logs", "").hidden(),
        Flag::text("log-rotate-bytes", "").hidden(),
        Flag::text("log-rotate-duration", "").hidden(),
        Flag::text("log-rotate-max-files", "").hidden(),
        Flag::bool("disable-self-tests", "").hidden(),
    ]),
    Command::new(
        "up",
        "",
        "Run a server that sets itself up and keeps its data",
        "
Starts a durable server on this machine. The first start initialises it and makes a login
for you, whose password is shown once; every later start resumes where it stopped.

    $ {bin} up
    $ {bin} up -data=/srv/strongroom -address=127.0.0.1:8200",
        up,
    )
    .local()
    .flags(&[
        Flag::text("data", "The data folder. Yours below ~/.local/share if not given.").env("DATA"),
        Flag::text("address", "Where to listen: HOST:PORT.").default("127.0.0.1:8200"),
        Flag::text("root-token-file", "Write a root token to this file, readable for you only."),
        Flag::text("log-level", "trace, debug, info, warn or error.")
            .default("info")
            .env("LOG_LEVEL"),
    ]),
    Command::new(
        "links",
        "DIR",
        "Make links under other tools' names",
        "
Makes links to this program named vault, bao, sops, age and age-keygen. Called by such a name
it behaves as that tool, so scripts need no change.

    $ {bin} links ~/.local/bin",
        links,
    )
    .local()
    .flags(&[Flag::bool("force", "Replace links of that name that point elsewhere.")
        .alias(&["f"])
        .default("false")]),
];

/// Hands a command to the server's side; its exit code becomes ours.
pub fn hand_over(cx: &mut Context<'_, '_>, command: ServerCommand) -> Outcome {
    match (cx.world().serve)(command) {
        0 => Ok(()),
        code => Err(Fail::quiet(code)),
    }
}

/// A flag's text, else its variable's.
fn setting(cx: &Context<'_, '_>, flag: &str, variable: &str) -> Option<String> {
    let given = cx.flags.text(flag).map(str::to_owned);
    given.or_else(|| cx.env().get(variable)).filter(|text| !text.is_empty())
}

/// Flags of Vault's that this server does not have, and what to do instead. They are refused: a
/// flag without effect would be worse than none.
const ABSENT: &[(&[&str], &str)] = &[
    (
        &["recovery"],
        "there is no recovery mode: the store is repaired at its start, and \
         `operator diagnose` tells what keeps it from starting",
    ),
    (&["dev-ha", "dev-consul"], "high availability is not built in yet"),
    (&["dev-three-node", "dev-four-cluster", "dev-cluster-json"], "clusters are not built in yet"),
    (
        &["dev-plugin-dir", "dev-plugin-init"],
        "there are no external plugins; all engines and methods are built in",
    ),
    (
        &[
            "dev-transactional",
            "dev-leased-kv",
            "dev-latency",
            "dev-latency-jitter",
            "dev-auto-seal",
            "dev-kv-v1",
            "dev-skip-init",
        ],
        "it is for the tests of another server",
    ),
    (&["combine-logs"], "the log goes to the error output, and to the file of -log-file"),
    (&["disable-self-tests"], "there are no self-tests to leave out"),
    (&["exit-on-core-shutdown"], "a sealed server stays, to be unsealed"),
];

fn refuse_absent(cx: &Context<'_, '_>) -> Outcome {
    for (names, why) in ABSENT {
        for name in *names {
            let off = cx.flags.bool(name) == Some(false);
            if cx.flags.given(name) && !off {
                return Err(Fail::usage(format!("-{name}: {why}")));
            }
        }
    }
    Ok(())
}

/// Flags that need dev mode.
const DEV_ONLY: &[&str] = &[
    "dev-root-token-id",
    "dev-listen-address",
    "dev-no-store-token",
    "dev-no-kv",
    "dev-tls-cert-dir",
];

fn server(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    refuse_absent(cx)?;
    let options = server_options(cx)?;
    if options.dev.is_none()
        && let Some(name) = DEV_ONLY.iter().find(|name| cx.flags.given(name))
    {
        return Err(Fail::usage(format!("-{name} is for dev mode: give -dev, too")));
    }
    if options.dev.is_none() && options.configs.is_empty() {
        return Err(Fail::usage(
            "Must specify at least one config path using -config, or -dev for a server that keeps \
             nothing",
        ));
    }
    hand_over(cx, ServerCommand::Server(options))
}

/// A number in a flag that Vault takes as a text.
fn number(
    cx: &Context<'_, '_>,
    flag: &str,
    read: impl Fn(&str) -> Option<u64>,
) -> Result<Option<u64>, Fail> {
    match cx.flags.text(flag).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => match read(text) {
            Some(number) => Ok(Some(number)),
            None => Err(Fail::usage(format!("-{flag} is not a number or time"))),
        },
    }
}

fn server_options(cx: &Context<'_, '_>) -> Result<ServerOptions, Fail> {
    let flags = &cx.flags;
    let count = |text: &str| text.parse().ok();
    let seconds = |text: &str| strongroom_base::parse_duration(text)?.try_into().ok();
    // As in Vault, a dev-only flag turns dev mode on by itself.
    let wants_dev = flags.is("dev") || flags.is("dev-tls");
    let dev = wants_dev.then(|| DevOptions {
        root_token: setting(cx, "dev-root-token-id", "DEV_ROOT_TOKEN_ID"),
        address: setting(cx, "dev-listen-address", "DEV_LISTEN_ADDRESS"),
        no_store_token: flags.is("dev-no-store-token"),
        no_kv: flags.is("dev-no-kv"),
        tls: flags.is("dev-tls"),
        tls_dir: flags.text("dev-tls-cert-dir").map(PathBuf::from),
    });
    Ok(ServerOptions {
        configs: flags.list("config").into_iter().map(PathBuf::from).collect(),
        dev,
        log_level: setting(cx, "log-level", "LOG_LEVEL"),
        log_format: setting(cx, "log-format", "LOG_FORMAT"),
        log_file: setting(cx, "log-file", "LOG_FILE").map(PathBuf::from),
        log_rotate: LogRotate {
            bytes: number(cx, "log-rotate-bytes", count)?,
            seconds: number(cx, "log-rotate-duration", seconds)?,
            files_max: number(cx, "log-rotate-max-files", count)?,
        },
    })
}

fn up(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let command = ServerCommand::Up {
        data: setting(cx, "data", "DATA").map(PathBuf::from),
        address: cx.flags.text("address").map(str::to_owned),
        root_token_file: cx.flags.text("root-token-file").map(PathBuf::from),
        log_level: setting(cx, "log-level", "LOG_LEVEL"),
    };
    hand_over(cx, command)
}

fn links(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let folder = PathBuf::from(cx.arg(0));
    let force = cx.flags.is("force");
    let target = cx.world().program_path.clone();
    std::fs::create_dir_all(&folder)
        .map_err(|error| Fail::usage(format!("{}: {error}", folder.display())))?;
    for tool in tools::TOOLS {
        let link = folder.join(tool.name);
        make_link(&target, &link, force)
            .map_err(|problem| Fail::usage(format!("{}: {problem}", link.display())))?;
        cx.ui.say(&format!("{} -> {}", link.display(), target.display()));
    }
    Ok(())
}

/// Makes a link. What is no link of ours is never touched unless it is a link and `force` is set.
fn make_link(target: &Path, link: &Path, force: bool) -> Result<(), String> {
    match std::fs::symlink_metadata(link) {
        Ok(there) if there.file_type().is_symlink() => {
            if std::fs::read_link(link).is_ok_and(|to| to == target) {
                return Ok(());
            }
            if !force {
                return Err("is a link to something else; -force replaces it".into());
            }
            std::fs::remove_file(link).map_err(|error| error.to_string())?;
        }
        Ok(_) => return Err("exists and is not a link".into()),
        Err(_) => {}
    }
    std::os::unix::fs::symlink(target, link).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_never_replace_what_is_not_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let (target, other) = (folder.path().join("strongroom"), folder.path().join("other"));
        let link = folder.path().join("vault");
        make_link(&target, &link, false).unwrap();
        make_link(&target, &link, false).unwrap();
        assert!(make_link(&other, &link, false).unwrap_err().contains("-force"));
        make_link(&other, &link, true).unwrap();
        assert_eq!(std::fs::read_link(&link).unwrap(), other);
        std::fs::remove_file(&link).unwrap();
        std::fs::write(&link, "a real program").unwrap();
        assert_eq!(make_link(&target, &link, true).unwrap_err(), "exists and is not a link");
    }
}
