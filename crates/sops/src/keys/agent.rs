//! GnuPG's agent as a keeper of passphrases: it asks for one in its own window, and remembers it for a
//! while (GnuPG's manual, "Agent's Assuan protocol", `GET_PASSPHRASE`). SOPS has it ask for those of
//! identity files of age, and of keys in an old ring of secret keys; the names under which they are
//! remembered are SOPS's.
//!
//! Invariant: an agent that is not running is not started, and nothing is asked for without one.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use strongroom_base::{SecretString, percent};
use zeroize::Zeroizing;

use super::{Failure, Machine};

/// Bytes of a line of the agent's, at most (Assuan has 1,000).
const LINE_BYTES_MAX: u64 = 4_096;
/// How long the agent may take to answer where nobody is asked.
const PROMPT_ANSWER: Duration = Duration::from_secs(10);
/// How long a person may take.
const PERSON: Duration = Duration::from_secs(600);
const SOCKET: &str = "S.gpg-agent";

/// Where the user's agent is looked for, and what it is told of the user's terminal.
#[derive(Clone, Default)]
pub struct Place {
    /// `GPG_AGENT_INFO`, which alone holds where it is set.
    info: Option<String>,
    sockets: Vec<PathBuf>,
    options: Vec<String>,
}

/// A conversation with the agent.
pub struct Agent {
    lines: BufReader<UnixStream>,
    options: Vec<String>,
}

/// What is to be asked.
pub struct Question<'a> {
    /// Under which name the passphrase is remembered.
    pub name: &'a str,
    /// What the window says.
    pub description: &'a str,
}

impl Place {
    /// What the variables say.
    pub fn of(machine: &Machine) -> Self {
        let folders = [
            machine.filled("GNUPGHOME").map(PathBuf::from),
            machine.home().map(|home| home.join(".gnupg")),
            machine.filled("XDG_RUNTIME_DIR").map(|folder| Path::new(folder).join("gnupg")),
        ];
        let option = |(variable, name)| Some(format!("{name}={}", machine.filled(variable)?));
        Self {
            info: machine.variable("GPG_AGENT_INFO").map(str::to_owned),
            sockets: folders.into_iter().flatten().map(|folder| folder.join(SOCKET)).collect(),
            options: [("DISPLAY", "display"), ("TERM", "ttytype")]
                .into_iter()
                .filter_map(option)
                .collect(),
        }
    }

    fn socket(&self) -> Option<PathBuf> {
        if let Some(said) = &self.info {
            return said.split(':').next().filter(|path| !path.is_empty()).map(PathBuf::from);
        }
        let is_socket = |path: &&PathBuf| {
            std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
        };
        self.sockets.iter().find(is_socket).cloned()
    }

    /// The agent, if it runs.
    pub fn agent(&self) -> Option<Agent> {
        let stream = UnixStream::connect(self.socket()?).ok()?;
        stream.set_read_timeout(Some(PROMPT_ANSWER)).ok()?;
        stream.set_write_timeout(Some(PROMPT_ANSWER)).ok()?;
        let mut options = self.options.clone();
        if let Ok(terminal) = std::fs::read_link("/proc/self/fd/0") {
            options.push(format!("ttyname={}", terminal.display()));
        }
        let mut agent = Agent { lines: BufReader::new(stream), options };
        agent.line().ok().filter(|line| line.starts_with("OK"))?;
        Some(agent)
    }
}

impl Agent {
    /// The passphrase: remembered, or asked for now.
    pub fn passphrase(&mut self, question: &Question<'_>) -> Result<SecretString, Failure> {
        for option in std::mem::take(&mut self.options) {
            if option.contains(['\n', '\r']) {
                continue;
            }
            let answer = self.ask(&format!("OPTION {option}"))?;
            if !answer.starts_with("OK") {
                return Err(Failure::new(format!("response to OPTION was {:?}", *answer)));
            }
        }
        let _ = self.lines.get_ref().set_read_timeout(Some(PERSON));
        let (name, description) = (escaped(question.name), escaped(question.description));
        let answer = self.ask(&format!("GET_PASSPHRASE {name} X Passphrase {description}"))?;
        let Some(hex) = answer.strip_prefix("OK") else {
            // The agent's own words, without what it may have been told.
            let code = answer.strip_prefix("ERR ").and_then(|rest| rest.split(' ').next());
            return Err(Failure::new(match code {
                Some("67108922") => "no passphrase is remembered".to_owned(),
                Some("83886179") => "the question was cancelled".to_owned(),
                code => format!("error {}", code.unwrap_or("unknown")),
            }));
        };
        let bytes = hex::decode(hex.trim()).map(Zeroizing::new).ok();
        let text = bytes.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        let text = text.ok_or_else(|| Failure::new("what the agent says is no passphrase"))?;
        Ok(SecretString::new(text.to_owned()))
    }

    /// Has a passphrase forgotten that was wrong.
    pub fn forget(&mut self, name: &str) {
        // What is not forgotten is asked for again by whoever sits there.
        let _ = self.ask(&format!("CLEAR_PASSPHRASE {}", escaped(name)));
    }

    fn ask(&mut self, line: &str) -> Result<Zeroizing<String>, Failure> {
        let stream = self.lines.get_mut();
        stream.write_all(format!("{line}\n").as_bytes()).map_err(failed)?;
        self.line()
    }

    /// The next line that is an answer.
    fn line(&mut self) -> Result<Zeroizing<String>, Failure> {
        loop {
            // With room for all, nothing of it is left behind.
            let mut bytes = Zeroizing::new(Vec::with_capacity(LINE_BYTES_MAX as usize));
            let mut bounded = self.lines.by_ref().take(LINE_BYTES_MAX);
            bounded.read_until(b'\n', &mut bytes).map_err(failed)?;
            if bytes.last() != Some(&b'\n') {
                return Err(Failure::new("gpg-agent: it hung up"));
            }
            let text = std::str::from_utf8(bytes.trim_ascii_end());
            let text = text.map_err(|_| Failure::new("gpg-agent: what it says is no text"))?;
            // Remarks and news of what it is doing.
            if !text.starts_with('#') && !text.starts_with("S ") {
                return Ok(Zeroizing::new(text.to_owned()));
            }
        }
    }
}

fn failed(error: std::io::Error) -> Failure {
    Failure::new(format!("gpg-agent: {error}"))
}

/// A word of the protocol: spaces are `+`, whatever else is no letter or digit is `%XX`.
fn escaped(text: &str) -> String {
    percent::encode(text).replace("%20", "+")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::keys::testing::machine;

    /// An agent that says these lines, one to each it is told; what it was told.
    fn told(answers: &'static [&'static str], talk: impl FnOnce(&mut Agent)) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let serving = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream);
            lines.get_mut().write_all(b"OK Pleased to meet you\n").unwrap();
            let mut told = Vec::new();
            for answer in answers {
                let mut line = String::new();
                lines.read_line(&mut line).unwrap();
                told.push(line.trim_end().to_owned());
                lines.get_mut().write_all(format!("{answer}\n").as_bytes()).unwrap();
            }
            told
        });
        let info = format!("{}:1:1", path.display());
        let machine = machine(&[("GPG_AGENT_INFO", &info), ("TERM", "dumb")]).build();
        talk(&mut Place::of(&machine).agent().unwrap());
        serving.join().unwrap()
    }

    const QUESTION: Question<'_> =
        Question { name: "SopsAgeABC", description: "Enter passphrase for identity 'a b':" };

    #[test]
    fn a_passphrase_is_got_and_forgotten() {
        let told = told(&["OK", "OK", "S PROGRESS\nOK 68756e74657232", "OK"], |agent| {
            let said = agent.passphrase(&QUESTION).unwrap();
            assert_eq!(said.expose_secret(), "hunter2");
            agent.forget(QUESTION.name);
        });
        assert_eq!(told[0], "OPTION ttytype=dumb");
        assert!(told[1].starts_with("OPTION ttyname="), "{told:?}");
        let asked = "GET_PASSPHRASE SopsAgeABC X Passphrase \
                     Enter+passphrase+for+identity+%27a+b%27%3A";
        assert_eq!(told[2], asked);
        assert_eq!(told[3], "CLEAR_PASSPHRASE SopsAgeABC");
    }

    #[test]
    fn an_agent_that_refuses_is_told_without_what_it_said() {
        for (answer, words) in [
            ("ERR 83886179 Operation cancelled <Pinentry>", "the question was cancelled"),
            ("ERR 67108922 No data", "no passphrase is remembered"),
            ("ERR 1 hunter2", "error 1"),
            ("OK hunter2", "what the agent says is no passphrase"),
        ] {
            let answers: &'static [&'static str] = Vec::leak(vec!["OK", "OK", answer]);
            told(answers, |agent| {
                let failure = agent.passphrase(&QUESTION).unwrap_err();
                assert_eq!(failure.0, words);
            });
        }
    }

    #[test]
    fn where_no_agent_runs_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().display().to_string();
        std::fs::create_dir(folder.path().join(".gnupg")).unwrap();
        std::fs::write(folder.path().join(".gnupg/S.gpg-agent"), "no socket").unwrap();
        for variables in [
            &[("HOME", home.as_str())][..],
            &[("GPG_AGENT_INFO", "")],
            &[("GPG_AGENT_INFO", "/no/x")],
        ] {
            assert!(Place::of(&machine(variables).build()).agent().is_none(), "{variables:?}");
        }
        let path = folder.path().join("gnupg");
        std::fs::create_dir(&path).unwrap();
        let _listener = UnixListener::bind(path.join(SOCKET)).unwrap();
        let machine = machine(&[("HOME", &home), ("XDG_RUNTIME_DIR", &home)]).build();
        let found = Place::of(&machine).socket();
        assert_eq!(found, Some(path.join(SOCKET)));
    }
}
