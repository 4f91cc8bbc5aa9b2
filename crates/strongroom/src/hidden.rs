//! What is typed unseen.
//!
//! While the terminal hides, its keys for ending a program end a line instead (Ctrl-C, most often): a program that
//! their signal ended would leave a terminal that shows nothing, and people would type blindly in their shell. So
//! the terminal is put back first, and then the program gets the signal, with whatever it has for it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex as Code, Termios, tcgetattr, tcsetattr,
};
use strongroom_base::SecretString;
use zeroize::Zeroizing;

/// Bytes taken at a time.
const PART: usize = 4096;

/// How long a signal is waited for that this program sent itself.
const SIGNAL_WAIT: Duration = Duration::from_secs(1);

/// The terminal of this program, whatever its standard streams are.
pub fn terminal() -> io::Result<File> {
    let file = File::options().read(true).write(true).open("/dev/tty");
    file.map_err(|error| io::Error::new(error.kind(), format!("/dev/tty: {error}")))
}

/// Shows a prompt on the terminal and reads a line that stays hidden, without its end.
pub fn line(prompt: &str) -> io::Result<SecretString> {
    let tty = terminal()?;
    let hidden = Hidden::begin(&tty)?;
    (&tty).write_all(prompt.as_bytes())?;
    let text = hidden.read(&mut &tty, |text| text.ends_with(b"\n"))?;
    let line = text.strip_suffix('\n').ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(SecretString::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

/// Shows a prompt and reads the standard input to its end, which is a terminal that hides what is typed.
pub fn all(prompt: &str) -> io::Result<SecretString> {
    let hidden = Hidden::begin(io::stdin())?;
    eprint!("{prompt}");
    let text = hidden.read(&mut io::stdin(), |_| false);
    // The end that was typed was not shown either.
    eprintln!();
    text.map(|text| SecretString::new(text.to_string()))
}

/// While it lives, a terminal does not show what is typed.
struct Hidden<T: AsFd> {
    terminal: T,
    before: Termios,
}

impl<T: AsFd> Hidden<T> {
    fn begin(terminal: T) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        // A line's end is shown, or lines would stand on the prompt's.
        silent.local_modes.insert(LocalModes::ECHONL);
        silent.special_codes[Code::VEOL] = before.special_codes[Code::VINTR];
        silent.special_codes[Code::VEOL2] = before.special_codes[Code::VQUIT];
        tcsetattr(&terminal, OptionalActions::Now, &silent)?;
        Ok(Self { terminal, before })
    }

    /// Reads until it `is_whole`, or to the end.
    fn read(
        self,
        from: &mut impl Read,
        is_whole: impl Fn(&[u8]) -> bool,
    ) -> io::Result<Zeroizing<String>> {
        let mut text = Zeroizing::new(Vec::new());
        let mut part = Zeroizing::new([0; PART]);
        while !is_whole(&text) {
            let taken = match from.read(&mut part[..]) {
                Ok(0) => break,
                Ok(n) => &part[..n],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if let Some(signal) = taken.last().and_then(|key| self.signal(*key)) {
                drop(self);
                kill_process(getpid(), signal)?;
                // Another thread may be the one that takes it, a moment later.
                let (_kept, never) = mpsc::channel::<()>();
                let _ = never.recv_timeout(SIGNAL_WAIT);
                // Whoever has a handler for it goes on.
                return Err(io::Error::other("interrupted"));
            }
            // Nothing of it stays behind where it grows.
            let mut longer = Zeroizing::new(Vec::with_capacity(text.len() + taken.len()));
            longer.extend_from_slice(&text);
            longer.extend_from_slice(taken);
            text = longer;
        }
        let text = std::str::from_utf8(&text).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// What a key would have sent.
    fn signal(&self, key: u8) -> Option<Signal> {
        let code = |index| self.before.special_codes[index];
        let is_on = self.before.local_modes.contains(LocalModes::ISIG) && key != 0;
        match key {
            _ if !is_on => None,
            key if key == code(Code::VINTR) => Some(Signal::INT),
            key if key == code(Code::VQUIT) => Some(Signal::QUIT),
            _ => None,
        }
    }
}

impl<T: AsFd> Drop for Hidden<T> {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
