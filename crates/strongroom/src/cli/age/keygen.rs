//! `age-keygen`: makes identities, and shows the recipients of those there are.

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use strongroom_age::keys::{self, Kind};
use strongroom_age::{Error, Identity, identities, recipients};
use strongroom_base::{Clock, SecretString, Timestamp};
use strongroom_server::real::{RealClock, RealRng};
use zeroize::Zeroizing;

use super::args::{self, Spec};
use super::{End, FOLLOWED, io_reason, open_file, say, stopped, tell, ui};
use crate::cli::World;

const TOOL: &str = "age-keygen";

const USAGE: &str = "Usage:
    age-keygen [-pq] [-o OUTPUT]
    age-keygen -y [-o OUTPUT] [INPUT]

Options:
    -pq                       Make a hybrid key of ML-KEM-768 and X25519, which a quantum computer
                              is not known to break.
    -o, --output OUTPUT       The file to write. One that is there is not replaced.
    -y                        Show the recipients of a file of identities.
    --version                 Show the version.

Makes a new key and writes it to the standard output or to a file for you alone; its recipient is
shown on the error output, too, unless the key goes to a terminal.

With -y, reads identities of INPUT or the standard input, and writes their recipients, one a line.

Examples:
    $ age-keygen -o key.txt
    Public key: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p

    $ age-keygen -y key.txt
    age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

const SPECS: &[Spec] = &[
    Spec { names: &["version"], takes_value: false },
    Spec { names: &["pq"], takes_value: false },
    Spec { names: &["y"], takes_value: false },
    Spec { names: &["o", "output"], takes_value: true },
];

#[derive(Default)]
struct Options {
    version: bool,
    hybrid: bool,
    convert: bool,
    output: String,
    args: Vec<String>,
}

impl Options {
    fn read(words: &[String]) -> Result<Self, args::Stop> {
        let (given, rest) = args::read(words, SPECS)?;
        let mut it = Self { args: rest.to_vec(), ..Self::default() };
        for flag in given {
            match flag.name {
                "version" => it.version = flag.on,
                "pq" => it.hybrid = flag.on,
                "y" => it.convert = flag.on,
                _ => it.output = flag.value,
            }
        }
        Ok(it)
    }

    fn check(&self) -> Result<(), Error> {
        if self.args.len() > usize::from(self.convert) {
            return Err(Error::new("too many arguments"));
        }
        match self.hybrid && self.convert {
            true => Err(Error::new("-pq cannot be used with -y")),
            false => Ok(()),
        }
    }
}

/// Runs `age-keygen`; its exit code.
pub fn run(words: Vec<String>, mut world: World<'_>) -> i32 {
    let mut err = world.take_err();
    let outcome = match Options::read(&words) {
        Ok(options) => keygen(&options, &mut world, &mut err),
        Err(stop) => Err(stopped(stop, USAGE, &mut err)),
    };
    tell(outcome, TOOL, &mut err)
}

fn keygen(options: &Options, world: &mut World<'_>, err: &mut dyn Write) -> Result<(), End> {
    let failed = |error: std::io::Error| Error::new(io_reason(&error));
    let mut out = world.take_out();
    if options.version {
        writeln!(out, "{FOLLOWED} (Strongroom v{})", crate::cli::VERSION).map_err(failed)?;
        return Ok(());
    }
    options.check()?;
    let terminal = world.terminal.clone();
    let mut shown = world.out_terminal;
    let mut input: Option<Box<dyn Read + '_>> = None;
    if options.convert {
        let name = options.args.first().map(String::as_str).filter(|it| !matches!(*it, "" | "-"));
        input = Some(match name {
            Some(name) => Box::new(open_file(name).map_err(|error| {
                error.within(format_args!("failed to open input file {name:?}"))
            })?),
            None => Box::new(&mut world.stdin),
        });
    }
    if !options.output.is_empty() {
        out = Box::new(create(&options.output)?);
        shown = false;
    }
    let text = match input {
        Some(input) => convert(input, &ui::on(terminal, TOOL))?,
        None => {
            if options.output.is_empty() && !shown && stdout_is_for_all() {
                say(err, "age-keygen: warning: writing secret key to a world-readable file");
            }
            generate(options.hybrid, shown, err)?
        }
    };
    out.write_all(text.expose_secret().as_bytes()).and_then(|()| out.flush()).map_err(failed)?;
    Ok(())
}

fn create(name: &str) -> Result<std::fs::File, Error> {
    let mut file = std::fs::OpenOptions::new();
    file.write(true).create_new(true).mode(0o600);
    file.open(name).map_err(|error| {
        let reason = io_reason(&error);
        Error::new(format!("failed to open output file {name:?}: open {name}: {reason}"))
    })
}

/// Is the standard output a file that everyone may read?
fn stdout_is_for_all() -> bool {
    std::fs::metadata("/dev/stdout").is_ok_and(|it| it.is_file() && it.mode() & 0o004 != 0)
}

/// A new identity as a file; its recipient is told unless the file is seen.
fn generate(hybrid: bool, shown: bool, err: &mut dyn Write) -> Result<SecretString, Error> {
    let kind = if hybrid { Kind::Hybrid } else { Kind::X25519 };
    let pair = keys::generate(kind, &RealRng)?;
    if !shown {
        say(err, &format!("Public key: {}", pair.recipient));
    }
    let now = RealClock::new().now();
    let seconds = Timestamp::from_seconds(now.seconds());
    Ok(SecretString::new(format!(
        "# created: {seconds}\n# public key: {}\n{}\n",
        pair.recipient,
        pair.identity.expose_secret()
    )))
}

/// The recipients of a file of identities.
fn convert(input: impl Read, ui: &strongroom_age::SharedUi) -> Result<SecretString, Error> {
    let mut text = Zeroizing::new(Vec::new());
    let failed = |error: Error| error.within("failed to parse input");
    let read = input.take(recipients::FILE_BYTES_MAX).read_to_end(&mut text);
    read.map_err(|error| failed(Error::new(io_reason(&error))))?;
    let identities = identities::parse_lines(&text, ui).map_err(failed)?;
    let recipients = identities.iter().map(Identity::recipient_text);
    let recipients: Option<Vec<String>> = recipients.collect();
    let recipients = recipients
        .ok_or_else(|| Error::new("the recipient of a plugin's identity is known to the plugin"))?;
    Ok(SecretString::new(recipients.iter().map(|it| format!("{it}\n")).collect()))
}
