//! The command line, top down: [`run`] finds the command, reads its flags, and prints what it
//! says. One file per group of commands; each lists its [`Command`]s in a table, from which help
//! and shell completion are made too.

mod age;
mod audit;
mod auth;
mod aws_key;
mod command;
mod complete;
mod context;
mod data;
mod deleted;
mod explain;
pub mod flags;
mod git_crypt;
pub mod gotext;
mod help;
mod http;
pub mod input;
mod kv;
mod lease;
mod login;
mod login_aws;
mod mounts;
mod namespace;
mod oidc;
mod operator;
pub mod output;
mod policy;
mod rotation;
mod rotator;
mod secrets;
mod serve;
mod sops;
mod ssh;
mod status;
pub mod table;
mod token;
mod tools;
mod transit;
mod yaml;

pub use command::{Command, Fail, Outcome};
pub use context::{Context, Killed, Program, Terminal, World};
pub use serve::{DevOptions, ServerCommand, ServerOptions};

use output::{Format, Ui};

/// The version people see; also what `sys/health` of the same build says.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// All commands.
pub fn commands() -> Vec<&'static Command> {
    [
        data::COMMANDS,
        kv::COMMANDS,
        kv::METADATA_COMMANDS,
        login::COMMANDS,
        status::COMMANDS,
        secrets::COMMANDS,
        auth::COMMANDS,
        policy::COMMANDS,
        token::COMMANDS,
        lease::COMMANDS,
        rotation::COMMANDS,
        rotator::COMMANDS,
        ssh::COMMANDS,
        transit::COMMANDS,
        audit::COMMANDS,
        aws_key::COMMANDS,
        namespace::COMMANDS,
        operator::COMMANDS,
        operator::RAFT_COMMANDS,
        operator::SHARE_COMMANDS,
        explain::COMMANDS,
        serve::COMMANDS,
        age::COMMANDS,
        git_crypt::COMMANDS,
        sops::COMMANDS,
        complete::COMMANDS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Runs the command line and gives the exit code: 0 done, 1 wrong use or a local failure, 2 the
/// server refused or there is nothing (for `status`: sealed), 127 no such command.
pub fn run(words: Vec<String>, mut world: World<'_>) -> i32 {
    if let Some(line) = (world.env)("COMP_LINE") {
        return complete::answer(&line, world);
    }
    if let Some((tool, words)) = tools::find(&world.program, &words) {
        return tool(words, world);
    }
    let env = strongroom_client::Environment::new(world.env);
    let globals = Globals::read(words, &env);
    let mut ui = Ui::new(Format::Table, world.take_out(), world.take_err());
    ui.colour = world.err_terminal
        && env.get("CLI_NO_COLOR").is_none()
        && env.plain("NO_COLOR").is_none()
        && env.plain("TERM").as_deref() != Some("dumb");
    ui.terminal = world.out_terminal;
    ui.detailed = globals.detailed;
    let Some(format) = Format::parse(&globals.format) else {
        ui.error(&format!("Invalid output format: {}", globals.format));
        return 1;
    };
    ui.format = format;
    let code = dispatch(globals.words, globals.dry, &mut ui, &mut world);
    ui.release();
    code
}

/// What holds for every command and is looked for among all words, as Vault's command line does.
struct Globals {
    words: Vec<String>,
    format: String,
    detailed: bool,
    dry: Option<http::DryRun>,
}

impl Globals {
    fn read(words: Vec<String>, env: &strongroom_client::Environment<'_>) -> Self {
        let mut found = Self {
            words: Vec::new(),
            format: env.get("FORMAT").unwrap_or_else(|| "table".into()),
            detailed: env.get("DETAILED").is_some_and(|v| v == "true" || v == "1"),
            dry: None,
        };
        let mut rest = words.into_iter();
        let mut format_next = false;
        for word in rest.by_ref() {
            if word == "--" {
                found.words.push(word);
                break;
            }
            if std::mem::take(&mut format_next) {
                found.format.clone_from(&word);
            } else if let Some(body) = word.strip_prefix('-') {
                let body = body.strip_prefix('-').unwrap_or(body);
                match body.split_once('=').unwrap_or((body, "")) {
                    ("output-curl-string", "" | "true") => {
                        found.dry = Some(http::DryRun::Curl);
                        continue;
                    }
                    ("output-policy", "" | "true") => {
                        found.dry = Some(http::DryRun::Policy);
                        continue;
                    }
                    ("format", "") => format_next = true,
                    ("format", value) => value.clone_into(&mut found.format),
                    ("detailed", value) => found.detailed = value.is_empty() || value == "true",
                    _ => {}
                }
            }
            found.words.push(word);
        }
        found.words.extend(rest);
        found
    }
}

fn is_help(word: &str) -> bool {
    matches!(word, "-h" | "-help" | "--help")
}

/// The command whose name is the longest run of leading words, and the words after it.
pub fn resolve(words: &[String]) -> Option<(&'static Command, &[String])> {
    let all = commands();
    (1..=words.len().min(4)).rev().find_map(|n| {
        let name = words.get(..n)?.join(" ");
        let command = all.iter().find(|command| command.name == name)?;
        Some((*command, words.get(n..)?))
    })
}

fn dispatch<'w>(
    words: Vec<String>,
    dry: Option<http::DryRun>,
    ui: &mut Ui<'w>,
    world: &mut World<'w>,
) -> i32 {
    let program = world.program.clone();
    let wants_help = words.iter().take_while(|word| *word != "--").any(|word| is_help(word));
    match words.first().map(String::as_str) {
        Some("-v" | "-version" | "--version") => {
            ui.say(&version_line(&program));
            return 0;
        }
        Some("-autocomplete-install" | "--autocomplete-install") => {
            return finish(complete::install(world, ui), ui, &program);
        }
        Some("-autocomplete-uninstall" | "--autocomplete-uninstall") => {
            return finish(complete::uninstall(world, ui), ui, &program);
        }
        Some("help") => {
            let topic = &words[1..];
            let text = match resolve(topic) {
                Some((command, _)) => help::command(command, &program),
                None => help::overview(&program),
            };
            ui.say(&text);
            return 0;
        }
        _ => {}
    }
    let Some((command, rest)) = resolve(&words) else {
        if wants_help {
            ui.say(&help::overview(&program));
            return 0;
        }
        if let Some(word) = words.first() {
            if word.starts_with('-') {
                ui.error("Invalid flags before the subcommand. Put flags after the subcommand.");
                return 1;
            }
            ui.error(&help::unknown(word, &program));
            ui.note(&format!("\"{program} -h\" lists all commands."));
        } else {
            ui.note(&help::overview(&program));
        }
        return 127;
    };
    if wants_help {
        ui.say(&help::command(command, &program));
        return 0;
    }
    let Some(action) = command.run else {
        if let Some(word) = rest.first().filter(|word| !word.starts_with('-')) {
            ui.error(&help::unknown(&format!("{} {word}", command.name), &program));
        }
        ui.note(&help::command(command, &program));
        return 1;
    };
    let table = command.all_flags();
    let (flags, args) = match flags::parse(&table, rest) {
        Ok(parsed) => parsed,
        Err(problem) => {
            ui.error(&problem);
            return 1;
        }
    };
    if ui.format == Format::Raw && !command.takes_raw() {
        ui.error("This command does not support the -format=raw option.");
        return 1;
    }
    warn_of_late_flags(&args, ui);
    ui.hold(dry.is_some());
    let mut context = Context::new(ui, world, flags, args, dry);
    let outcome = action(&mut context);
    if let Some(id) = outcome.as_ref().err().and_then(|fail| fail.explain.as_deref()) {
        context.remember_refusal(id);
    }
    match (dry, context.preview()) {
        (Some(dry), Some((prepared, policy))) => {
            ui.drop_held();
            let told = policy.filter(|_| dry == http::DryRun::Policy);
            ui.say(&told.unwrap_or_else(|| http::show(dry, &prepared, &program)));
            0
        }
        (Some(_), None) => {
            let code = finish(outcome, ui, &program);
            ui.release();
            ui.error("Unable to generate a request from this command");
            code.max(1)
        }
        (None, _) => finish(outcome, ui, &program),
    }
}

fn finish(outcome: Outcome, ui: &mut Ui<'_>, program: &str) -> i32 {
    let Err(fail) = outcome else { return 0 };
    // What follows a refusal stands one blank line below it, however the server ends its text.
    let text = if fail.explain.is_some() { fail.text.trim_end() } else { &fail.text };
    if !text.is_empty() {
        ui.error(text);
    }
    if let Some(id) = fail.explain {
        ui.note(&format!("\nTo see which rule decided: {program} why {id}"));
    }
    fail.code
}

/// Vault's rule that flags come first surprises people; it gets a remark.
fn warn_of_late_flags(args: &[String], ui: &mut Ui<'_>) {
    let global = ["format", "detailed", "output-curl-string", "output-policy"];
    let late: Vec<&str> = args
        .iter()
        .map(String::as_str)
        .filter(|arg| arg.len() > 1 && arg.starts_with('-'))
        .filter(|arg| {
            let name = arg.trim_start_matches('-').split('=').next().unwrap_or_default();
            !global.contains(&name)
        })
        .map(|arg| arg.split('=').next().unwrap_or_default())
        .collect();
    if !late.is_empty() && ui.is_table() {
        ui.warn(&format!(
            "Command flags must be provided before positional arguments. The following arguments \
             will not be parsed as flags: [{}]",
            late.join(",")
        ));
    }
}

/// What `version` prints. Called as `vault` it names first the version of Vault it stands for, as
/// `sys/health` does: scripts and client libraries take from it what they may ask for.
pub fn version_line(program: &str) -> String {
    match program {
        "vault" => format!("Vault v{} (Strongroom v{VERSION})", strongroom_server::VAULT_VERSION),
        _ => format!("Strongroom v{VERSION}"),
    }
}
