//! age: recipients of all kinds, and identities from every place where SOPS looks for them. All that
//! are found are tried together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::BASE32;
use strongroom_age::{Identity, SharedUi, Ui, files, identities, recipients};
use strongroom_base::{SecretBytes, SecretString};

use super::agent::{self, Question};
use super::{Failure, Machine, MasterKey, Person, process};
use crate::metadata::AgeKey;

/// Bytes of an unwrapped data key or share, at most.
const PART_BYTES_MAX: u64 = 1024;

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
            found.told(&format!(
                "failed to create reader for decrypting sops data key with age: {error}"
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
    let hints = error.hints().iter().map(|hint| format!("; {hint}"));
    Failure(std::iter::once(error.text().to_owned()).chain(hints).collect())
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
struct Found {
    identities: Vec<Identity>,
    /// Places without a key.
    unused: Vec<String>,
    failures: Vec<Failure>,
}

impl Found {
    /// Looks everywhere.
    fn gather(recipient: &str, machine: &Machine) -> Self {
        let mut found = Self { identities: Vec::new(), unused: Vec::new(), failures: Vec::new() };
        found.gather_ssh(recipient, machine);
        found.gather_own(recipient, machine);
        found
    }

    fn gather_ssh(&mut self, recipient: &str, machine: &Machine) {
        const FILE: &str = "SOPS_AGE_SSH_PRIVATE_KEY_FILE";
        const COMMAND: &str = "SOPS_AGE_SSH_PRIVATE_KEY_CMD";
        match machine.variable(FILE) {
            Some(path) => self.take(from_file(Path::new(path), machine)),
            None => self.unused.push(FILE.to_owned()),
        }
        match machine.variable(COMMAND) {
            Some(command) => self.take(from_command(COMMAND, command, recipient, machine)),
            None => self.unused.push(COMMAND.to_owned()),
        }
        let Some(home) = machine.home() else { return };
        for name in ["id_ed25519", "id_rsa"] {
            let path = home.join(".ssh").join(name);
            if path.exists() {
                self.take(from_file(&path, machine));
            } else {
                self.unused.push(path.display().to_string());
            }
        }
    }

    fn gather_own(&mut self, recipient: &str, machine: &Machine) {
        match machine.variable("SOPS_AGE_KEY") {
            Some(text) => {
                let read = from_text("SOPS_AGE_KEY", text, machine);
                self.take_named("SOPS_AGE_KEY", read);
            }
            None => self.unused.push("SOPS_AGE_KEY".to_owned()),
        }
        match machine.variable("SOPS_AGE_KEY_FILE") {
            Some(path) => {
                let read = from_file(Path::new(path), machine);
                let read = read.map_err(|f| f.within("failed to open SOPS_AGE_KEY_FILE file"));
                self.take_named("SOPS_AGE_KEY_FILE", read);
            }
            None => self.unused.push("SOPS_AGE_KEY_FILE".to_owned()),
        }
        match machine.variable("SOPS_AGE_KEY_CMD") {
            Some(command) => {
                let read = from_command("SOPS_AGE_KEY_CMD", command, recipient, machine);
                self.take_named("SOPS_AGE_KEY_CMD", read);
            }
            None => self.unused.push("SOPS_AGE_KEY_CMD".to_owned()),
        }
        let usual = machine.config_folder().map(|folder| folder.join("sops/age/keys.txt"));
        match usual.filter(|path| path.exists()) {
            Some(path) => self.take_named(&path.display().to_string(), from_file(&path, machine)),
            None if self.identities.is_empty() => self.unused.extend(usual_shown(machine)),
            None => {}
        }
    }

    fn take(&mut self, read: Result<Vec<Identity>, Failure>) {
        match read {
            Ok(identities) => self.identities.extend(identities),
            Err(failure) => self.failures.push(failure),
        }
    }

    fn take_named(&mut self, place: &str, read: Result<Vec<Identity>, Failure>) {
        if read.as_ref().is_ok_and(Vec::is_empty) {
            self.unused.push(place.to_owned());
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
        let quoted: Vec<String> = self.unused.iter().map(|place| format!("'{place}'")).collect();
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

fn usual_shown(machine: &Machine) -> Option<String> {
    let path: PathBuf = machine.config_folder()?.join("sops/age/keys.txt");
    Some(path.display().to_string())
}

/// Identities of a file: lines, an SSH key, or what is encrypted with a passphrase.
fn from_file(path: &Path, machine: &Machine) -> Result<Vec<Identity>, Failure> {
    let shown = path.display().to_string();
    let file =
        std::fs::File::open(path).map_err(|error| Failure::new(format!("{shown}: {error}")))?;
    none_is_fine(identities::read(&shown, file, &ui(machine)))
}

/// A place may be there and have nothing in it but comments.
fn none_is_fine(read: strongroom_age::Result<Vec<Identity>>) -> Result<Vec<Identity>, Failure> {
    match read {
        Err(error) if error.text().ends_with("no identities found") => Ok(Vec::new()),
        read => read.map_err(failure),
    }
}

/// Identities of a variable: words, or what is encrypted with a passphrase.
fn from_text(name: &str, text: &str, machine: &Machine) -> Result<Vec<Identity>, Failure> {
    let text = text.trim_start();
    if text.starts_with("age-encryption") || text.starts_with("-----BEGIN") {
        return none_is_fine(identities::read(name, text.as_bytes(), &ui(machine)));
    }
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let words = lines.flat_map(str::split_whitespace);
    words
        .map(|word| identities::parse(word, &ui(machine)))
        .collect::<strongroom_age::Result<_>>()
        .map_err(|e| failure(e).within(format!("failed to parse '{name}' age identities")))
}

/// Identities that a command says. It is told whom the data key was wrapped for.
fn from_command(
    name: &str,
    command: &str,
    recipient: &str,
    machine: &Machine,
) -> Result<Vec<Identity>, Failure> {
    let words = shlex::split(command).filter(|words| !words.is_empty());
    let words = words.ok_or_else(|| Failure::new(format!("failed to parse command of {name}")))?;
    let (program, args) = words.split_first().ok_or_else(|| Failure::new("no command"))?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let told = [("SOPS_AGE_RECIPIENT", recipient)];
    let ended = process::run(program, &args, b"", &told, machine)
        .map_err(|f| f.within(format!("failed to execute command of {name}")))?;
    if !ended.success {
        return Err(Failure::new(format!("failed to execute command of {name}: it failed")));
    }
    none_is_fine(identities::read(name, ended.output.expose_secret().as_slice(), &ui(machine)))
}

#[cfg(test)]
#[path = "age_tests.rs"]
mod tests;
