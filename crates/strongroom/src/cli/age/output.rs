//! Where the result goes.

use std::fs::File;
use std::io::{self, Write};

use strongroom_age::{Error, Result};
use zeroize::Zeroize;

use super::options::Options;
use super::{Run, io_reason, is_same_file};

/// Bytes that are held back for a terminal until all of them are known to be text.
const TERMINAL_BYTES_MAX: usize = 16 << 20;

/// Where the result goes, not begun yet.
pub enum Output<'w> {
    /// A file, made when there is something to write.
    File(String),
    /// The standard output.
    Stdout(Box<dyn Write + 'w>),
    /// The terminal, as text only, and at the end only: a person may still be typing the input.
    Terminal {
        /// The standard output.
        out: Box<dyn Write + 'w>,
        /// Is it asked for, whatever it is?
        forced: bool,
    },
}

impl<'w> Output<'w> {
    /// What the options say. A file that is read is not written.
    pub fn of(options: &Options, run: &mut Run<'_, 'w>, typed: bool) -> Result<Self> {
        let name = options.output.as_str();
        if !matches!(name, "" | "-") {
            return match options.files_read().find(|read| is_same_file(read, name)) {
                Some(_) => Err(Error::new(format!("input and output file are the same: {name:?}"))),
                None => Ok(Self::File(name.to_owned())),
            };
        }
        if !run.world.out_terminal {
            return Ok(Self::Stdout(run.world.take_out()));
        }
        let forced = name == "-";
        if !forced && !options.decrypt && !options.armor {
            return Err(binary().hint("did you mean to use -a/--armor?").hint(FORCE));
        }
        Ok(match (forced || !options.decrypt) && !typed {
            true => Self::Stdout(run.world.take_out()),
            false => {
                Self::Terminal { out: run.world.take_out(), forced: forced || !options.decrypt }
            }
        })
    }

    /// Begins to write.
    pub fn open(self) -> Result<Box<dyn Write + 'w>> {
        Ok(match self {
            Self::File(name) => Box::new(create(&name)?),
            Self::Stdout(out) => out,
            Self::Terminal { out, forced } => Box::new(Held { out, forced, held: Vec::new() }),
        })
    }
}

const FORCE: &str = "force anyway with \"-o -\"";

fn binary() -> Error {
    Error::new("refusing to output binary to the terminal")
}

fn create(name: &str) -> Result<File> {
    File::create(name).map_err(|error| Error::new(format!("open {name}: {}", io_reason(&error))))
}

/// Holds all back until it is flushed, and shows it if it is text.
struct Held<'w> {
    out: Box<dyn Write + 'w>,
    forced: bool,
    held: Vec<u8>,
}

impl Write for Held<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.held.len() + bytes.len() > TERMINAL_BYTES_MAX {
            return Err(io::Error::other("too much for a terminal; name a file with -o"));
        }
        self.held.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        let text = String::from_utf8_lossy(&held);
        let is_order = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        if !self.forced && text.contains(is_order) {
            return Err(io::Error::other(
                "refusing to output binary to the terminal (force anyway with \"-o -\")",
            ));
        }
        self.out.write_all(&held)?;
        self.out.flush()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.held.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8], forced: bool) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut held = Held { out: Box::new(&mut out), forced, held: Vec::new() };
        held.write_all(bytes).and_then(|()| held.flush())?;
        drop(held);
        Ok(out)
    }

    #[test]
    fn a_terminal_gets_text_only() {
        assert_eq!(shown("tält\r\n\t".as_bytes(), false).unwrap(), "tält\r\n\t".as_bytes());
        for binary in [&b"\x1b[2J"[..], b"a\0", "\u{9b}".as_bytes()] {
            assert!(shown(binary, false).is_err());
            assert_eq!(shown(binary, true).unwrap(), binary);
        }
        assert!(shown(&vec![b'a'; TERMINAL_BYTES_MAX], false).is_ok());
        assert!(shown(&vec![b'a'; TERMINAL_BYTES_MAX + 1], true).is_err());
    }
}
