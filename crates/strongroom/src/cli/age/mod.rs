//! `age` and `age-keygen`: the command lines of the original (its manual pages age.1 and
//! age-keygen.1; observed: 1.1.1 and 1.3.2), with its messages and exit codes: 0 done, 1 failed, 2 for
//! flags that do not exist.
//!
//! Invariants:
//! * A passphrase comes from the terminal, never from arguments, variables or the standard input.
//! * What is written is begun only once it is sure what: a file that cannot be opened leaves none.
//! * Bytes that a terminal would take for orders are not written to it.

mod args;
mod decrypt;
mod encrypt;
mod keygen;
mod options;
mod output;
pub mod ui;

use std::cell::Cell;
use std::io::{Read, Write};
use std::path::Path;
use std::rc::Rc;

use strongroom_age::{Error, Result, SharedUi};

use super::command::{Command, Fail, io_reason};
use super::context::World;
use options::Options;

pub use keygen::run as keygen;

/// The version of the original that is followed; scripts look at it.
const FOLLOWED: &str = "v1.3.2";

/// The commands of this folder, for help and completion. They are run as tools: `tools.rs`.
pub const COMMANDS: &[Command] = &[
    Command {
        run: None,
        args: "[-d] (-r RECIPIENT | -R PATH | -i PATH | -p)... [-a] [-o OUTPUT] [INPUT]",
        ..Command::group(
            "age",
            "Encrypt and decrypt files with age",
            "
Encrypts a file for recipients, or with a passphrase, and decrypts it. Arguments, messages and
exit codes are those of age.

    $ {bin} age keygen -o key.txt
    $ {bin} age -r age1… -o notes.age notes.txt
    $ {bin} age -d -i key.txt notes.age

All flags: {bin} age -h",
        )
    },
    Command::new(
        "age keygen",
        "[-pq] [-o OUTPUT] | -y [-o OUTPUT] [INPUT]",
        "Make a key for age, or show its recipient",
        "
Makes a new identity, or with -y shows the recipients of those in a file. Arguments, messages
and exit codes are those of age-keygen.

    $ {bin} age keygen -o key.txt
    $ {bin} age keygen -y key.txt",
        |_| Err(Fail::usage("age keygen is a tool with its own command line")),
    )
    .local(),
];

/// How a command line ends that does not just succeed.
enum End {
    /// All is said; the exit code.
    Code(i32),
    /// A failure to be told.
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What runs of a command share: the machine, and who is asked.
struct Run<'m, 'w> {
    world: &'m mut World<'w>,
    ui: SharedUi,
    /// The standard input is one file only.
    stdin_taken: bool,
}

impl<'w> Run<'_, 'w> {
    /// The standard input, once.
    fn take_stdin(&mut self) -> Result<Box<dyn Read + 'w>> {
        if std::mem::replace(&mut self.stdin_taken, true) {
            return Err(Error::new("standard input is used for multiple purposes"));
        }
        Ok(std::mem::replace(&mut self.world.stdin, Box::new(std::io::empty())))
    }

    /// A file to read; `-` is the standard input.
    fn open(&mut self, name: &str) -> Result<Box<dyn Read + 'w>> {
        match name {
            "-" => self.take_stdin(),
            _ => Ok(Box::new(open_file(name)?)),
        }
    }
}

fn open_file(name: &str) -> Result<std::fs::File> {
    let failed = |error: std::io::Error| Error::new(format!("open {name}: {}", io_reason(&error)));
    let file = std::fs::File::open(name).map_err(failed)?;
    match file.metadata().map_err(failed)?.is_dir() {
        true => Err(Error::new(format!("read {name}: is a directory"))),
        false => Ok(file),
    }
}

/// An output that notes when nobody reads on.
struct Watched<'w> {
    out: Box<dyn Write + 'w>,
    broken: Rc<Cell<bool>>,
}

impl Watched<'_> {
    fn noted<T>(&self, outcome: std::io::Result<T>) -> std::io::Result<T> {
        let kind = outcome.as_ref().err().map(std::io::Error::kind);
        if kind == Some(std::io::ErrorKind::BrokenPipe) {
            self.broken.set(true);
        }
        outcome
    }
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes);
        self.noted(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let flushed = self.out.flush();
        self.noted(flushed)
    }
}

/// Runs `age`; its exit code.
pub fn run(words: Vec<String>, mut world: World<'_>) -> i32 {
    let broken = Rc::new(Cell::new(false));
    let out = world.take_out();
    world.out = Some(Box::new(Watched { out, broken: broken.clone() }));
    let mut err = world.take_err();
    let called = match world.program.as_str() {
        "age" => "age".to_owned(),
        ours => format!("{ours} age"),
    };
    let outcome = if words.is_empty() {
        say(&mut err, options::USAGE);
        Err(End::Code(1))
    } else {
        match Options::read(&words, &called) {
            Ok(options) => age(&options, &mut world),
            Err(stop) => Err(stopped(stop, options::USAGE, &mut err)),
        }
    };
    if broken.get() {
        // As a signal would end it: `| head` is no failure to be told.
        return super::sops::BROKEN_PIPE;
    }
    tell(outcome, "age", &mut err)
}

fn age(options: &Options, world: &mut World<'_>) -> Result<(), End> {
    if options.version {
        let line = format!("{FOLLOWED} (Strongroom v{})\n", super::VERSION);
        let failed = |error: std::io::Error| Error::new(io_reason(&error));
        world.take_out().write_all(line.as_bytes()).map_err(failed)?;
        return Ok(());
    }
    options.check()?;
    let ui = ui::of(world, "age");
    for (what, twice) in options.duplicates() {
        ui.warn(&format!("duplicate {what} {twice:?}"));
    }
    let mut run = Run { world, ui, stdin_taken: false };
    match options.decrypt {
        true => decrypt::run(options, &mut run)?,
        false => encrypt::run(options, &mut run)?,
    }
    Ok(())
}

/// What ends a command line before it began.
fn stopped(stop: args::Stop, usage: &str, err: &mut dyn Write) -> End {
    match stop {
        args::Stop::Help => {
            say(err, usage);
            End::Code(0)
        }
        args::Stop::Wrong(what) => {
            say(err, &what);
            say(err, usage);
            End::Code(2)
        }
    }
}

/// Tells how it ended; the exit code.
fn tell(outcome: Result<(), End>, tool: &str, err: &mut dyn Write) -> i32 {
    match outcome {
        Ok(()) => 0,
        Err(End::Code(code)) => code,
        Err(End::Failed(error)) => {
            say(err, &format!("{tool}: error: {error}"));
            for hint in error.hints() {
                say(err, &format!("{tool}: hint: {hint}"));
            }
            1
        }
    }
}

fn say(err: &mut dyn Write, text: &str) {
    // Where nobody can be told, the exit code is left.
    let _ = writeln!(err, "{text}").and_then(|()| err.flush());
}

/// Do both names lead to one file, by whatever way?
fn is_same_file(a: &str, b: &str) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |name: &str| std::fs::metadata(name).map(|it| (it.dev(), it.ino())).ok();
    let absolute = |name: &str| std::path::absolute(Path::new(name)).ok();
    absolute(a) == absolute(b) || place(a).is_some_and(|it| Some(it) == place(b))
}
