//! age: recipients of all kinds, and identities from every place where SOPS looks for them. All that
//! are found are tried together.

use std::path::Path;
use std::sync::Arc;

use data_encoding::BASE32;
use strongroom_age::{Identity, SharedUi, Ui, files, identities, recipients};
use strongroom_base::{SecretBytes, SecretString};

use super::agent::{self, Question};
use super::{Failure, Machine, MasterKey, Person, process, reason};
use crate::metadata::AgeKey;

/// Bytes of an unwrapped data key or share, at most.
const PART_BYTES_MAX: u64 = 1024;

/// What is told where the only identity is not the recipient's.
const NOT_THIS_ONE: &str = "identity did not match any of the recipients: incorrect identity for \
                            recipient block";

impl MasterKey for AgeKey {
    fn shown(&self) -> String {
        self.recipient.clone()
    }

    fn encrypt(&self, part: &SecretBytes, machine: &Machine) -> Result<String, Failure> {
        let recipient = recipients::parse(&self.recipient, &ui(machine)).map_err(failure)?;
        let armored = files::encrypt_all(&[recipient], true, part.expose_secret());
        let armored = armored
            .map_err(|error| failure(error).within("failed to encrypt sops data key with age"))?;
        String::from_utf8(armored).map_err(|_| Failure::new("an armoured file is no text"))
    }

    fn decrypt(&self, enc: &str, machine: &Machine) -> Result<SecretBytes, Failure> {
        let found = Found::gather(&self.recipient, machine);
        if found.identities.is_empty() {
            return Err(found.told("failed to load age identities"));
        }
        let identities: Vec<&dyn ::age::Identity> =
            found.identities.iter().map(|identity| identity as &dyn ::age::Identity).collect();
        files::decrypt_all(&identities, enc.as_bytes(), PART_BYTES_MAX).map_err(|error| {
            let why = match (error.text(), identities.len()) {
                (files::NO_MATCH, 1) => NOT_THIS_ONE,
                (text, _) => text,
            };
            found.told(&format!(
                "failed to create reader for decrypting sops data key with age: {why}"
            ))
        })
    }
}

/// Is this a recipient?
pub fn check_recipient(text: &str) -> Result<(), Failure> {
    let silent: SharedUi = Arc::new(strongroom_age::Silent);
    recipients::parse(text, &silent).map(drop).map_err(failure)
}

fn failure(error: strongroom_age::Error) -> Failure {
    let before = match error.text().starts_with("unknown recipient type") {
        true => "failed to parse input, ",
        false => "",
    };
    let hints = error.hints().iter().map(|hint| format!("; {hint}"));
    Failure(std::iter::once(format!("{before}{}", error.text())).chain(hints).collect())
}

/// The person of the machine, as the crate of age files asks for it.
struct Asked {
    person: Arc<dyn Person>,
    agent: agent::Place,
}

impl Ui for Asked {
    fn secret(&self, prompt: &str) -> std::io::Result<SecretString> {
        self.person.secret(prompt).ok_or_else(nobody)
    }

    fn file_passphrase(&self, name: &str, contents: &[u8]) -> std::io::Result<SecretString> {
        let words = format!("Enter passphrase for identity '{name}':");
        let Some(mut agent) = self.agent.agent() else { return self.secret(&words) };
        let remembered = remembered(contents);
        let question = Question { name: &remembered, description: &words };
        let passphrase = agent.passphrase(&question).map_err(|failure| {
            std::io::Error::other(format!("gpg-agent passphrase request errored: {failure}"))
        })?;
        if passphrase.expose_secret().is_empty() {
            agent.forget(&remembered);
        }
        Ok(passphrase)
    }

    fn wrong_file_passphrase(&self, contents: &[u8]) {
        if let Some(mut agent) = self.agent.agent() {
            agent.forget(&remembered(contents));
        }
    }

    fn line(&self, prompt: &str) -> std::io::Result<String> {
        self.person.line(prompt).ok_or_else(nobody)
    }

    fn say(&self, text: &str) {
        self.person.tell(text);
    }

    fn warn(&self, text: &str) {
        self.person.tell(text);
    }
}

/// The name under which the agent keeps the passphrase of a file, as SOPS has it.
fn remembered(contents: &[u8]) -> String {
    let hash = strongroom_crypto::sha256(contents);
    format!("SopsAge{}", BASE32.encode(hash.get(..25).unwrap_or_default()))
}

fn nobody() -> std::io::Error {
    std::io::Error::other("nobody can be asked")
}

fn ui(machine: &Machine) -> SharedUi {
    Arc::new(Asked { person: machine.person.clone(), agent: agent::Place::of(machine) })
}

/// What was found, what was not, and what went wrong.
#[derive(Default)]
struct Found {
    identities: Vec<Identity>,
    /// Places that are not there.
    unused: Vec<String>,
    /// Places that are there and have no key.
    empty: Vec<String>,
    failures: Vec<Failure>,
}

impl Found {
    /// Looks everywhere.
    fn gather(recipient: &str, machine: &Machine) -> Self {
        let mut found = Self::default();
        found.gather_ssh(recipient, machine);
        found.gather_own(recipient, machine);
        found
    }

    fn gather_ssh(&mut self, recipient: &str, machine: &Machine) {
        const FILE: &str = "SOPS_AGE_SSH_PRIVATE_KEY_FILE";
        const COMMAND: &str = "SOPS_AGE_SSH_PRIVATE_KEY_CMD";
        match machine.variable(FILE) {
            Some(path) => self.take(ssh_key(Path::new(path), machine)),
            None => self.unused.push(FILE.to_owned()),
        }
        match machine.variable(COMMAND) {
            Some(command) => {
                let said = said_by(COMMAND, command, recipient, machine);
                self.take(
                    said.and_then(|said| read(COMMAND, said.expose_secret().as_slice(), machine)),
                );
            }
            None => self.unused.push(COMMAND.to_owned()),
        }
        let Some(home) = machine.home() else { return };
        for name in ["id_ed25519", "id_rsa"] {
            let path = home.join(".ssh").join(name);
            if path.exists() {
                self.take(ssh_key(&path, machine));
            } else {
                self.unused.push(path.display().to_string());
            }
        }
    }

    fn gather_own(&mut self, recipient: &str, machine: &Machine) {
        const TEXT: &str = "SOPS_AGE_KEY";
        const FILE: &str = "SOPS_AGE_KEY_FILE";
        const COMMAND: &str = "SOPS_AGE_KEY_CMD";
        let mut places = self.identities.len();
        match machine.variable(TEXT) {
            Some(text) => {
                places += 1;
                self.take_of(TEXT, words(TEXT, text, machine));
            }
            None => self.unused.push(TEXT.to_owned()),
        }
        match machine.variable(FILE).map(|path| opened(Path::new(path))) {
            Some(Ok(file)) => {
                places += 1;
                self.take_of(FILE, read(FILE, file, machine));
            }
            Some(Err(failure)) => {
                self.failures.push(failure.within(format!("failed to open {FILE} file")));
            }
            None => self.unused.push(FILE.to_owned()),
        }
        match machine.variable(COMMAND).map(|said| said_by(COMMAND, said, recipient, machine)) {
            Some(Ok(said)) => {
                places += 1;
                self.take_of(COMMAND, read(COMMAND, said.expose_secret().as_slice(), machine));
            }
            Some(Err(failure)) => self.failures.push(failure),
            None => self.unused.push(COMMAND.to_owned()),
        }
        let Some(path) = machine.config_folder().map(|it| it.join("sops/age/keys.txt")) else {
            return;
        };
        let shown = path.display().to_string();
        match (path.try_exists(), places) {
            (Ok(false), 0) => self.unused.push(shown),
            (Ok(false), _) => {}
            _ => match opened(&path) {
                Ok(file) => self.take_of(&shown, read(&shown, file, machine)),
                Err(failure) => self.failures.push(failure.within("failed to open file")),
            },
        }
    }

    fn take(&mut self, read: Result<Vec<Identity>, Failure>) {
        match read {
            Ok(identities) => self.identities.extend(identities),
            Err(failure) => self.failures.push(failure),
        }
    }

    fn take_of(&mut self, place: &str, read: Result<Vec<Identity>, Failure>) {
        if read.as_ref().is_ok_and(Vec::is_empty) {
            self.empty.push(place.to_owned());
        }
        self.take(read);
    }

    /// What happened, what went wrong on the way, and where nothing was.
    fn told(&self, what: &str) -> Failure {
        let mut text = what.to_owned();
        if !self.failures.is_empty() {
            let failures: Vec<&str> = self.failures.iter().map(|f| f.0.as_str()).collect();
            text.push_str(". Errors while loading age identities: ");
            text.push_str(&failures.join("; "));
        }
        let places = self.unused.iter().chain(&self.empty);
        let quoted: Vec<String> = places.map(|place| format!("'{place}'")).collect();
        let places = match quoted.as_slice() {
            [] => return Failure(text),
            [only] => format!(" {only}"),
            [first, second] => format!("s {first} and {second}"),
            [most @ .., last] => format!("s {}, and {last}", most.join(", ")),
        };
        text.push_str(&format!(". Did not find keys in location{places}."));
        Failure(text)
    }
}

fn opened(path: &Path) -> Result<std::fs::File, Failure> {
    std::fs::File::open(path)
        .map_err(|error| Failure::new(format!("open {}: {}", path.display(), reason(&error))))
}

/// The key of a file that is SSH's own; it is called by its path.
fn ssh_key(path: &Path, machine: &Machine) -> Result<Vec<Identity>, Failure> {
    let shown = path.display().to_string();
    read(&shown, opened(path)?, machine)
}

/// Identities: lines, an SSH key, or what is encrypted with a passphrase. A place may have nothing but
/// comments.
fn read(
    place: &str,
    input: impl std::io::Read,
    machine: &Machine,
) -> Result<Vec<Identity>, Failure> {
    let read = identities::read(place, input, &ui(machine));
    read.map_or_else(|error| none_is_fine(place, error), Ok)
}

fn none_is_fine(place: &str, error: strongroom_age::Error) -> Result<Vec<Identity>, Failure> {
    let text = error.text();
    match text.strip_prefix(&format!("failed to read {place:?}: ")) {
        Some("no identities found") => Ok(Vec::new()),
        Some(what) => {
            Err(Failure::new(format!("failed to parse '{place}' age identities: {what}")))
        }
        None => Err(failure(error)),
    }
}

/// Identities of a variable: words, or what is encrypted with a passphrase.
fn words(name: &str, text: &str, machine: &Machine) -> Result<Vec<Identity>, Failure> {
    let text = text.trim_start();
    if text.starts_with("age-encryption") || text.starts_with("-----BEGIN") {
        return read(name, text.as_bytes(), machine);
    }
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let words = lines.flat_map(str::split_whitespace);
    words
        .map(|word| identities::parse(word, &ui(machine)))
        .collect::<strongroom_age::Result<_>>()
        .map_err(|e| failure(e).within(format!("failed to parse '{name}' age identities")))
}

/// What a command says. It is told whom the data key was wrapped for. Its words are not shown: they may
/// be the secret itself.
fn said_by(
    name: &str,
    command: &str,
    recipient: &str,
    machine: &Machine,
) -> Result<SecretBytes, Failure> {
    let words = shlex::split(command).filter(|words| !words.is_empty());
    let words = words.ok_or_else(|| Failure::new(format!("failed to parse command of {name}")))?;
    let (program, args) = words.split_first().ok_or_else(|| Failure::new("no command"))?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let told = [("SOPS_AGE_RECIPIENT", recipient)];
    let failed = |failure: Failure| failure.within(format!("failed to execute command of {name}"));
    let ended = process::run(program, &args, b"", &told, machine).map_err(failed)?;
    match ended.success {
        true => Ok(ended.output),
        false => Err(failed(Failure::new(ended.how))),
    }
}

#[cfg(test)]
#[path = "age_tests.rs"]
mod tests;
