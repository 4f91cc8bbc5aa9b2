//! `sops`: the command line of the original (its README and `sops help`, 3.13), with its flags,
//! messages, exit codes and variables.
//!
//! Invariants:
//! * a file is replaced as a whole, or not at all; on a failure nothing is written anywhere;
//! * what is decrypted for an editor or a program lies in a private folder that goes with the command,
//!   also when a signal ends it;
//! * nobody is asked for a newer version.

mod change;
mod completion;
mod crypt;
mod edit;
mod exec;
mod export;
mod files;
mod flags;
mod git;
mod groups;
mod help;
mod import;
mod log;
mod machine;
mod old;
mod options;
pub(super) mod private;
mod publish;
mod room;
mod service;
mod settings;
mod status;
mod table;

use std::io::Write;

use strongroom_sops::keys::Told;
use strongroom_sops::{Error, Exit};

use super::command::Command;
use super::context::World;
use options::{Options, Stop};

/// The commands of this folder, for help and completion. They are run as a tool: `tools.rs`.
pub const COMMANDS: &[Command] = &[Command {
    run: None,
    args: "[COMMAND] [FLAGS] FILE",
    ..Command::group(
        "sops",
        "Keep secrets in files whose values are encrypted",
        "
Encrypts the values of a YAML, JSON, ENV or INI file, or a file of anything as a whole, and edits
it. Commands, flags, messages and exit codes are those of sops.

    $ {bin} sops encrypt --age age1… -i secrets.yaml
    $ {bin} sops edit secrets.yaml
    $ {bin} sops decrypt secrets.yaml

All commands and flags: {bin} sops help",
    )
}];

/// How a command ends that does not just succeed.
pub enum End {
    /// All is said; the exit code.
    Code(i32),
    /// A failure to be told.
    Failed(Error),
}

/// How a command ends.
pub type Outcome = Result<(), End>;

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A running command.
pub struct Run<'m, 'w> {
    world: &'m mut World<'w>,
    /// The flags before the command.
    global: Options,
    /// The flags of the command; with the old spellings they are the same.
    own: Options,
    args: Vec<String>,
    /// Does Git call the command by itself, on files that nobody named?
    unattended: bool,
    /// Was it said already that a file is not read?
    config_warned: bool,
    /// Does the command heed `--verbose` before it, too?
    heeds_verbose: bool,
}

/// The exit code where nobody reads on: that of the signal SIGPIPE.
pub(super) const BROKEN_PIPE: i32 = 141;
/// The exit code where there is no help for something.
const NO_TOPIC: i32 = 3;

/// A line of the command line's own, as the original's log has it.
fn log_line(level: &'static str, text: &str) -> String {
    log::line(&Told::new("CMD", level, text))
}

/// What is said where there is no help for something.
fn no_topic(world: &mut World<'_>, name: &str) -> Outcome {
    if let Some(err) = &mut world.err {
        // Whoever closed it does not want to know.
        drop(writeln!(err, "No help topic for '{name}'"));
    }
    Err(End::Code(NO_TOPIC))
}

fn fail(exit: Exit, text: impl Into<String>) -> End {
    End::Failed(Error::new(exit, text))
}

/// A failure that the original has in its log.
fn fatal(error: Error) -> End {
    match error.exit {
        Exit::General => fail(Exit::General, log_line("fatal", &error.text)),
        _ => End::Failed(error),
    }
}

impl<'m, 'w> Run<'m, 'w> {
    fn new(world: &'m mut World<'w>, global: Options, own: Options, args: Vec<String>) -> Self {
        let (unattended, config_warned, heeds_verbose) = (false, false, false);
        Self { world, global, own, args, unattended, config_warned, heeds_verbose }
    }

    /// Tells people something.
    fn warn(&mut self, text: &str) {
        self.log(&Told::new("CMD", "warning", text));
    }

    /// Tells what happened, where that was asked for.
    fn info(&mut self, text: &str) {
        self.log(&Told::new("CMD", "info", text));
    }

    /// Is what happens told?
    fn is_verbose(&self) -> bool {
        // Before most commands the flag means nothing to them, as in the original.
        self.own.is("verbose") || (self.heeds_verbose && self.global.is("verbose"))
    }

    /// A line of the log. What is no matter is told only where that was asked for.
    fn log(&mut self, told: &Told<'_>) {
        if !matches!(told.level, "info" | "debug") || self.is_verbose() {
            self.tell(&log::line(told));
        }
    }

    /// A line on the error output.
    fn tell(&mut self, text: &str) {
        if let Some(err) = &mut self.world.err {
            // Whoever closed it does not want to know.
            drop(writeln!(err, "{text}"));
            drop(err.flush());
        }
    }

    /// Bytes to the standard output.
    fn write_out(&mut self, bytes: &[u8]) -> Outcome {
        self.write_out_by(&mut |out| out.write_all(bytes))
    }

    /// What `fill` writes, to the standard output.
    fn write_out_by(
        &mut self,
        fill: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
    ) -> Outcome {
        let Some(out) = &mut self.world.out else { return Ok(()) };
        let written = fill(out).and_then(|()| out.flush());
        written.map_err(|error| match error.kind() {
            // As a signal would end it: `| head` is no failure to be told.
            std::io::ErrorKind::BrokenPipe => End::Code(BROKEN_PIPE),
            _ => {
                let reason = super::command::io_reason(&error);
                fail(Exit::General, format!("write /dev/stdout: {reason}"))
            }
        })
    }

    /// One argument is taken, and others are remarked.
    fn warn_of_more(&mut self) {
        if self.args.len() < 2 {
            return;
        }
        self.warn("More than one positional argument provided. Only the first one will be used!");
        let flag = self.args.iter().skip(1).rfind(|arg| arg.starts_with('-')).cloned();
        if let Some(flag) = flag {
            self.warn(&format!(
                "Note that one of the ignored positional argument is {flag:?}, which looks like a \
                 flag. Flags must always be provided before the first positional argument!"
            ));
        }
    }
}

/// Runs `sops`; its exit code.
pub fn run(words: Vec<String>, mut world: World<'_>) -> i32 {
    if let Some(code) = completion::answer(&words, &mut world) {
        return code;
    }
    let outcome = dispatch(&words, &mut world);
    let mut err = world.take_err();
    match outcome {
        Ok(()) => 0,
        Err(End::Code(code)) => code,
        Err(End::Failed(error)) => {
            drop(writeln!(err, "{}", error.text));
            error.exit as i32
        }
    }
}

fn dispatch(words: &[String], world: &mut World<'_>) -> Outcome {
    let (global, rest) = match Options::parse(table::GLOBAL, words, world.env) {
        Ok(parsed) => parsed,
        Err(stop) => return stopped(stop, None, world),
    };
    match rest.first().map(String::as_str) {
        Some("help" | "h") => {
            let name = rest.get(1..).unwrap_or_default().join(" ");
            return match name.as_str() {
                "" => help::show(world, None),
                name if help::is_topic(name) => help::show(world, Some(name)),
                name => no_topic(world, name),
            };
        }
        Some(group @ ("groups" | "completion")) if table::find(&rest).is_none() => {
            return match rest.get(1).map(String::as_str) {
                None | Some("help" | "h") => help::show(world, Some(group)),
                Some(flag) if flag.starts_with('-') => help::show(world, Some(group)),
                Some(name) => no_topic(world, name),
            };
        }
        _ => {}
    }
    let Some((entry, rest)) = table::find(&rest) else {
        let own = global.clone();
        return old::run(&mut Run::new(world, global, own, rest));
    };
    let rest = options::in_front(entry.flags, rest);
    let (own, args) = match Options::parse(entry.flags, &rest, world.env) {
        Ok(parsed) => parsed,
        Err(stop) => return stopped(stop, Some(entry.name), world),
    };
    let mut run = Run::new(world, global, own, args);
    run.heeds_verbose = matches!(entry.name, "publish" | "keyservice");
    (entry.run)(&mut run)
}

fn stopped(stop: Stop, command: Option<&str>, world: &mut World<'_>) -> Outcome {
    match stop {
        Stop::Help => help::show(world, command),
        Stop::Version => help::version(world),
        Stop::Wrong(text) => {
            help::wrong(world, command, &text)?;
            Err(fail(Exit::General, log_line("fatal", &text)))
        }
    }
}
