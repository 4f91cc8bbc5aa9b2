//! The armor of a file (C2SP age.md, "ASCII armor"): lines of 64 characters between a first and a last line.
//!
//! The crate `age` reads armor, too. Here what is wrong is told in the words of the original, and what stands
//! before it is given out.
//!
//! Invariants:
//! * Of each file there is one armor: what is not written as it would be here is refused.
//! * A line is bounded, and so is the space around a file.

use std::io::{self, BufRead, BufReader, Read};

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, DecodeSliceError, Engine as _};

use crate::Error;

/// The first line.
pub(crate) const BEGIN: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const END: &[u8] = b"-----END AGE ENCRYPTED FILE-----";
/// Characters of a full line, and the bytes they stand for.
const COLUMNS: usize = 64;
const LINE_BYTES: usize = 48;
/// Spaces and line ends that may stand before a file, and behind it, as in the original.
pub(crate) const SPACE_BYTES_MAX: usize = 1_024;
/// Bytes that are read at a time: what becomes of them is more than is asked for at a time.
const BUFFER_BYTES: usize = 512 << 10;

/// What comes next.
enum State {
    Begin,
    Body,
    End,
}

/// Takes the armor off.
pub(crate) struct Unarmored<R> {
    input: BufReader<R>,
    state: State,
    line: [u8; LINE_BYTES],
    /// What of the line was not given out yet.
    unread: std::ops::Range<usize>,
    /// What went wrong behind what was given out.
    failed: Option<io::Error>,
}

fn wrong(what: impl std::fmt::Display) -> io::Error {
    Error::new(format!("invalid armor: {what}")).carried()
}

/// Bytes in quotes.
fn quoted(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(bytes))
}

impl<R: Read> Unarmored<R> {
    pub(crate) fn new(input: R) -> Self {
        let input = BufReader::with_capacity(BUFFER_BYTES, input);
        Self { input, state: State::Begin, line: [0; LINE_BYTES], unread: 0..0, failed: None }
    }

    /// A line without its end. One that is far too long is cut.
    fn next_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::with_capacity(COLUMNS + 2);
        let most = SPACE_BYTES_MAX as u64 + 2;
        if self.input.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
            return Err(wrong("unexpected EOF"));
        }
        let end = line.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let length = end.unwrap_or(&line).len();
        line.truncate(length);
        Ok(line)
    }

    fn begin(&mut self) -> io::Result<()> {
        let mut space = 0;
        loop {
            let line = self.next_line()?;
            if line.trim_ascii().is_empty() {
                space += line.len() + 1;
                match space > SPACE_BYTES_MAX {
                    true => return Err(wrong("too much leading whitespace")),
                    false => continue,
                }
            }
            return match line == BEGIN {
                true => Ok(()),
                false => Err(wrong(format_args!("invalid first line: {}", quoted(&line)))),
            };
        }
    }

    /// What stands behind the last line: space, if anything.
    fn end(&mut self) -> io::Result<()> {
        self.state = State::End;
        let mut rest = Vec::new();
        self.input.by_ref().take(SPACE_BYTES_MAX as u64).read_to_end(&mut rest)?;
        if !rest.trim_ascii().is_empty() {
            return Err(wrong("trailing data after armored file"));
        }
        match rest.len() == SPACE_BYTES_MAX {
            true => Err(wrong("too much trailing whitespace")),
            false => Ok(()),
        }
    }

    /// Reads one line of the body. The last line is looked for behind one that is not full.
    fn fill(&mut self) -> io::Result<()> {
        let line = self.next_line()?;
        if line == END {
            return self.end();
        }
        let length = decoded(&line, &mut self.line).map_err(wrong)?;
        if length < LINE_BYTES {
            let last = self.next_line()?;
            if last != END {
                return Err(wrong(format_args!("invalid closing line: {}", quoted(&last))));
            }
            // What is wrong behind the file does not keep its end back.
            self.failed = self.end().err();
        }
        self.unread = 0..length;
        Ok(())
    }

    /// Is there a whole line that need not be waited for?
    fn has_line(&self) -> bool {
        // No line of the body is longer.
        let near = self.input.buffer().iter().take(COLUMNS + 2);
        near.into_iter().any(|byte| *byte == b'\n')
    }
}

/// The bytes of a line; how many they are.
fn decoded(line: &[u8], into: &mut [u8; LINE_BYTES]) -> Result<usize, String> {
    if line.is_empty() {
        return Err("empty line in armored data".into());
    }
    if line.contains(&b'\r') {
        return Err("unexpected newline character".into());
    }
    if line.len() > COLUMNS {
        return Err("column limit exceeded".into());
    }
    STANDARD.decode_slice(line, into).map_err(|error| {
        // Where the original's reader is when it notices.
        let at = match error {
            DecodeSliceError::DecodeError(DecodeError::InvalidByte(at, _)) => at,
            DecodeSliceError::DecodeError(DecodeError::InvalidLastSymbol { .. }) => line.len() - 1,
            _ => line.len() - line.len() % 4,
        };
        format!("illegal base64 data at input byte {at}")
    })
}

impl<R: Read> Read for Unarmored<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if matches!(self.state, State::Begin) {
            self.begin()?;
            self.state = State::Body;
        }
        if self.unread.is_empty()
            && let Some(error) = self.failed.take()
        {
            self.state = State::End;
            return Err(error);
        }
        let mut put = 0;
        while put < room.len() {
            if self.unread.is_empty() {
                let goes_on = matches!(self.state, State::Body) && (put == 0 || self.has_line());
                if !goes_on {
                    break;
                }
                match self.fill() {
                    Ok(()) => continue,
                    // What was good goes first.
                    Err(error) if put == 0 => return Err(error),
                    Err(error) => {
                        self.failed = Some(error);
                        break;
                    }
                }
            }
            let some = self.line.get(self.unread.clone()).unwrap_or_default();
            let some = some.get(..room.len() - put).unwrap_or(some);
            if let Some(room) = room.get_mut(put..put + some.len()) {
                room.copy_from_slice(some);
            }
            put += some.len();
            self.unread.start += some.len();
        }
        Ok(put)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<u8>, Result<(), String>) {
        let mut bytes = Vec::new();
        let mut reader = Unarmored::new(text.as_bytes());
        let told = |error: io::Error| Error::from(age::DecryptError::Io(error)).text().to_owned();
        let done = reader.read_to_end(&mut bytes).map(drop).map_err(told);
        (bytes, done)
    }

    fn armored(body: &str) -> String {
        format!("-----BEGIN AGE ENCRYPTED FILE-----\n{body}-----END AGE ENCRYPTED FILE-----\n")
    }

    #[test]
    fn what_is_armored_comes_back() {
        for length in [0, 1, 47, 48, 49, 96, 100_000] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let text = STANDARD.encode(&bytes);
            let lines = text.as_bytes().chunks(COLUMNS).map(|it| std::str::from_utf8(it).unwrap());
            let body: String = lines.map(|line| format!("{line}\n")).collect();
            for whole in
                [armored(&body), format!(" \r\n\n{}\n \n", armored(&body).replace('\n', "\r\n"))]
            {
                assert_eq!(read(&whole), (bytes.clone(), Ok(())), "{length}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_as_the_original_does_and_what_stands_before_is_given_out() {
        let line = "A".repeat(64);
        let many = format!("{}\n", " ".repeat(200)).repeat(6);
        for (text, given, told) in [
            (armored(&format!("{line}\n\n")), 48, "empty line in armored data"),
            (armored(&format!("{line}A\n")), 0, "column limit exceeded"),
            (armored(&format!("{}\n", "A".repeat(5_000))), 0, "column limit exceeded"),
            (armored("AA\rAA\n"), 0, "unexpected newline character"),
            (armored("AA*A\n"), 0, "illegal base64 data at input byte 2"),
            (armored("AAAAAAA\n"), 0, "illegal base64 data at input byte 4"),
            (armored("QUF=\n"), 0, "illegal base64 data at input byte 3"),
            (armored(&format!("AAAA\n{line}\n")), 0, "invalid closing line: \"AAAA"),
            (format!("-----BEGIN AGE ENCRYPTED FILE-----\n{line}\n"), 48, "unexpected EOF"),
            (armored("AAAA\n") + "x", 3, "trailing data after armored file"),
            (armored(&format!("{line}\n")) + "x", 48, "trailing data after armored file"),
            (armored("AAAA\n") + &many, 3, "too much trailing whitespace"),
            (many.clone() + &armored("AAAA\n"), 0, "too much leading whitespace"),
            ("-----BEGIN AGE\n".to_owned(), 0, "invalid first line: \"-----BEGIN AGE\""),
        ] {
            let (bytes, done) = read(&text);
            let done = done.unwrap_err();
            assert!(done.starts_with(&format!("invalid armor: {told}")), "{told}: {done}");
            assert_eq!(bytes.len(), given, "{told}");
        }
    }
}
