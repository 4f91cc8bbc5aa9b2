//! What `sops help` says.

use std::io::Write;

use strongroom_sops::Exit;
use strongroom_sops::metadata::VERSION;

use super::options::{Flag, Kind};
use super::table::{ENTRIES, GLOBAL};
use super::{Outcome, fail};
use crate::cli::context::World;

const ABOUT: &str = "encrypted file editor with AWS KMS, GCP KMS, Azure Key Vault, Vault, age, and GPG \
                     support";

fn say(world: &mut World<'_>, text: &str) -> Outcome {
    let Some(out) = &mut world.out else { return Ok(()) };
    let said = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    said.map_err(|error| fail(Exit::General, error.to_string()))
}

/// The version that is followed stands first: scripts look at it.
pub fn version(world: &mut World<'_>) -> Outcome {
    say(world, &format!("sops {VERSION} (Strongroom v{})\n", crate::cli::VERSION))
}

/// Help for all, a group or a command.
pub fn show(world: &mut World<'_>, command: Option<&str>) -> Outcome {
    let text = match command {
        Some(name) => of_command(name),
        None => overview(),
    };
    match text {
        Some(text) => say(world, &text),
        None => Err(fail(Exit::General, format!("No help topic for '{}'", command.unwrap_or("")))),
    }
}

/// Help behind what is wrong.
pub fn wrong(world: &mut World<'_>, command: Option<&str>, text: &str) -> Outcome {
    let help = command.and_then(of_command).or_else(overview).unwrap_or_default();
    say(world, &format!("Incorrect Usage: {text}\n\n{help}"))
}

/// Is there help for it?
pub fn is_topic(name: &str) -> bool {
    of_command(name).is_some()
}

fn overview() -> Option<String> {
    let mut text = format!(
        "NAME:\n   sops - {ABOUT}\n\nUSAGE:\n   sops [global options] command [command options] \
         FILE\n   sops [-e|-d|-r|--set PATH-AND-VALUE] [-i|--output FILE] FILE\n\n   Flags stand \
         before the file. Without a command or a mode, the file is edited.\n\nVERSION:\n   \
         {VERSION}\n\nCOMMANDS:\n"
    );
    let mut last = "";
    for entry in ENTRIES {
        let name = entry.name.split(' ').next().unwrap_or_default();
        if name == last {
            continue;
        }
        last = name;
        let usage = match name {
            "completion" => "Generate shell completion scripts",
            "groups" => "modify the groups on a SOPS file",
            _ => entry.usage,
        };
        text.push_str(&format!("   {name:<11} {usage}\n"));
    }
    text.push_str("   help, h     Shows a list of commands or help for one command\n");
    text.push_str("\nGLOBAL OPTIONS:\n");
    flags(&mut text, GLOBAL);
    text.push_str(
        "   --help, -h\n        show help\n   --version, -v\n        print the version\n",
    );
    Some(text)
}

fn of_command(name: &str) -> Option<String> {
    let inner: Vec<_> =
        ENTRIES.iter().filter(|entry| entry.name.starts_with(&format!("{name} "))).collect();
    if !inner.is_empty() {
        let mut text = format!("NAME:\n   sops {name}\n\nCOMMANDS:\n");
        for entry in inner {
            text.push_str(&format!("   {:<16} {}\n", entry.name, entry.usage));
        }
        return Some(text);
    }
    let entry = ENTRIES.iter().find(|entry| entry.name == name)?;
    let mut text = format!(
        "NAME:\n   sops {name} - {}\n\nUSAGE:\n   sops {name} [command options] {}\n\nOPTIONS:\n",
        entry.usage, entry.args
    );
    flags(&mut text, entry.flags);
    Some(text)
}

fn flags(text: &mut String, flags: &[&[Flag]]) {
    for flag in flags.iter().copied().flatten() {
        let value = if matches!(flag.kind, Kind::Bool | Kind::BoolTrue) { "" } else { " value" };
        let names: Vec<String> = flag
            .names
            .iter()
            .map(|name| format!("{}{name}{value}", if name.len() == 1 { "-" } else { "--" }))
            .collect();
        text.push_str(&format!("   {}\n        {}", names.join(", "), flag.usage));
        if !flag.default.is_empty() {
            text.push_str(&format!(" (default: {:?})", flag.default));
        }
        if !flag.variable.is_empty() {
            text.push_str(&format!(" [${}]", flag.variable));
        }
        text.push('\n');
    }
}
