//! `age -d`.

use std::io::{BufRead, BufReader, Cursor, Read};

use strongroom_age::{Error, Identity, Passphrase, RefusePassphrase, Result, files};

use super::options::Options;
use super::output::Output;
use super::{Run, encrypt, io_reason, open_file};

/// The last line of an armored file.
const END: &str = "-----END AGE ENCRYPTED FILE-----";
/// Bytes that are typed or pasted at most.
const TYPED_BYTES_MAX: u64 = 16 << 20;

pub fn run(options: &Options, run: &mut Run<'_, '_>) -> Result<()> {
    let (input, typed) = input(options, run)?;
    let output = Output::of(options, run, typed)?;
    let mut all: Vec<Identity> = Vec::new();
    for source in &options.identities {
        all.extend(encrypt::read_identities(source, run)?);
    }
    let passphrase = Passphrase::new(run.ui.clone(), "Enter passphrase:");
    let mut identities: Vec<&dyn age::Identity> =
        all.iter().map(|it| it as &dyn age::Identity).collect();
    identities.push(match all.is_empty() {
        true => &passphrase,
        false => &RefusePassphrase,
    });
    let mut output = Some(output);
    let mut open = || match output.take() {
        Some(output) => output.open(),
        None => Err(Error::new("the output is open already")),
    };
    files::decrypt(&identities, input, &mut open).map_err(|error| {
        match all.is_empty() && error.text() == files::NO_MATCH {
            true => Error::new("the file is not passphrase-encrypted, identities are required")
                .hint("specify identities with -i/--identity or -j to decrypt this file"),
            false => error,
        }
    })
}

/// The input, and whether it is typed by a person.
pub fn input<'w>(options: &Options, run: &mut Run<'_, 'w>) -> Result<(Box<dyn Read + 'w>, bool)> {
    if let Some(name) = options.input() {
        let failed =
            |error: Error| error.within(format_args!("failed to open input file {name:?}"));
        return Ok((Box::new(open_file(name).map_err(failed)?), false));
    }
    let typed = run.world.in_terminal;
    let stdin = run.take_stdin()?;
    match typed && options.decrypt {
        // All of it first, so that neither a prompt nor the output comes into its way.
        true => Ok((Box::new(Cursor::new(until_end(stdin)?)), true)),
        false => Ok((stdin, typed)),
    }
}

/// What is typed, up to the last line of an armored file.
fn until_end(input: impl Read) -> Result<Vec<u8>> {
    let mut input = BufReader::new(input.take(TYPED_BYTES_MAX));
    let mut all = Vec::new();
    loop {
        let from = all.len();
        let read = input.read_until(b'\n', &mut all).map_err(|error| {
            Error::new(format!("failed to buffer terminal input: {}", io_reason(&error)))
        })?;
        let line = all.get(from..).unwrap_or_default();
        if read == 0 || line.trim_ascii_end().ends_with(END.as_bytes()) {
            return Ok(all);
        }
    }
}
