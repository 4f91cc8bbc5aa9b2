//! What `age` is asked to do.

use strongroom_age::{Error, Result};

use super::args::{self, Spec, Stop};

/// What is shown of it.
pub const USAGE: &str = "Usage:
    age [-e] (-r RECIPIENT | -R PATH)... [-a] [-o OUTPUT] [INPUT]
    age [-e] -p [-a] [-o OUTPUT] [INPUT]
    age -d [-i PATH]... [-o OUTPUT] [INPUT]

Options:
    -e, --encrypt               Encrypt. What happens if nothing else is said.
    -d, --decrypt               Decrypt.
    -o, --output OUTPUT         The file to write; what is there is replaced.
    -a, --armor                 Write text (PEM) instead of bytes.
    -p, --passphrase            Encrypt with a passphrase, which the terminal asks for.
    -r, --recipient RECIPIENT   Encrypt for RECIPIENT. May be given again.
    -R, --recipients-file PATH  Encrypt for the recipients in a file. May be given again.
    -i, --identity PATH         A file of identities. May be given again.
    -j PLUGIN                   A plugin that needs no identity file. May be given again.
    --version                   Show the version.

INPUT is the standard input and OUTPUT the standard output if they are not given.

RECIPIENT is a public key that age-keygen shows (\"age1...\"), of an SSH key (\"ssh-ed25519 AAAA...\",
\"ssh-rsa AAAA...\"), or of a plugin.

A file of recipients holds one a line; empty lines and lines that begin with \"#\" are passed over.
\"-\" reads them from the standard input.

A file of identities holds secret keys (\"AGE-SECRET-KEY-1...\"), one a line, or one SSH key. It may
itself be encrypted by age with a passphrase. Those that do not fit a file are passed over. \"-\" reads
them from the standard input.

With -e said, -i encrypts for the identities of a file.

Example:
    $ age-keygen -o key.txt
    $ tar cz ~/data | age -r age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p > data.tar.gz.age
    $ age -d -i key.txt -o data.tar.gz data.tar.gz.age";

const SPECS: &[Spec] = &[
    Spec { names: &["version"], takes_value: false },
    Spec { names: &["d", "decrypt"], takes_value: false },
    Spec { names: &["e", "encrypt"], takes_value: false },
    Spec { names: &["p", "passphrase"], takes_value: false },
    Spec { names: &["a", "armor"], takes_value: false },
    Spec { names: &["o", "output"], takes_value: true },
    Spec { names: &["r", "recipient"], takes_value: true },
    Spec { names: &["R", "recipients-file"], takes_value: true },
    Spec { names: &["i", "identity"], takes_value: true },
    Spec { names: &["j"], takes_value: true },
];

/// Where identities come from.
pub enum Source {
    /// A file.
    File(String),
    /// A plugin without data.
    Plugin(String),
}

/// What it is asked to do.
#[derive(Default)]
pub struct Options {
    pub version: bool,
    pub decrypt: bool,
    pub encrypt: bool,
    pub passphrase: bool,
    pub armor: bool,
    /// `-o`; empty like none.
    pub output: String,
    pub recipients: Vec<String>,
    pub recipient_files: Vec<String>,
    /// In the order given: which is asked first matters.
    pub identities: Vec<Source>,
    pub args: Vec<String>,
    /// The words as they should have been, where a flag stands behind the input.
    reordered: String,
}

impl Options {
    /// Reads the words; `called` is the program's name.
    pub fn read(words: &[String], called: &str) -> Result<Self, Stop> {
        let (given, rest) = args::read(words, SPECS)?;
        let mut it = Self { args: rest.to_vec(), ..Self::default() };
        for flag in given {
            let value = flag.value;
            match flag.name {
                "version" => it.version = flag.on,
                "d" => it.decrypt = flag.on,
                "e" => it.encrypt = flag.on,
                "p" => it.passphrase = flag.on,
                "a" => it.armor = flag.on,
                "o" => it.output = value,
                "r" => it.recipients.push(value),
                "R" => it.recipient_files.push(value),
                "i" => it.identities.push(Source::File(value)),
                _ => it.identities.push(Source::Plugin(value)),
            }
        }
        let before = words.get(..words.len() - rest.len()).unwrap_or_default();
        if let Some((first, after)) = rest.split_first() {
            let words = before.iter().chain(after).chain([first]).map(String::as_str);
            it.reordered = std::iter::once(called).chain(words).collect::<Vec<_>>().join(" ");
        }
        Ok(it)
    }

    /// The input's name; `None` is the standard input.
    pub fn input(&self) -> Option<&str> {
        self.args.first().map(String::as_str).filter(|name| !matches!(*name, "" | "-"))
    }

    /// Complains of what does not go together.
    pub fn check(&self) -> Result<()> {
        self.check_args()?;
        match self.decrypt {
            true => self.check_decryption(),
            false => self.check_encryption(),
        }
    }

    fn check_args(&self) -> Result<()> {
        let [_, second, ..] = self.args.as_slice() else { return Ok(()) };
        let quoted: Vec<String> = self.args.iter().map(|arg| format!("{arg:?}")).collect();
        let error = Error::new(format!("too many INPUT arguments: {}", quoted.join(" ")));
        if !second.starts_with('-') {
            return Err(error.hint("only a single input file may be specified at a time"));
        }
        let error = error.hint("the input file must be specified after all flags");
        // Words that a shell would take apart are not proposed.
        let plain = |c: char| c.is_alphanumeric() || " _@%+=:,./-".contains(c);
        Err(match self.reordered.chars().all(plain) {
            true => error.hint("did you mean:").hint(format!("    {}", self.reordered)),
            false => error,
        })
    }

    fn check_decryption(&self) -> Result<()> {
        let private = "did you mean to use -i/--identity to specify a private key?";
        let error = if self.encrypt {
            Error::new("-e/--encrypt can't be used with -d/--decrypt")
        } else if self.armor {
            Error::new("-a/--armor can't be used with -d/--decrypt").hint(
                "note that armored files are detected automatically, try again without -a/--armor",
            )
        } else if self.passphrase {
            Error::new("-p/--passphrase can't be used with -d/--decrypt")
                .hint("note that password protected files are detected automatically")
        } else if !self.recipients.is_empty() {
            Error::new("-r/--recipient can't be used with -d/--decrypt").hint(private)
        } else if !self.recipient_files.is_empty() {
            Error::new("-R/--recipients-file can't be used with -d/--decrypt").hint(private)
        } else {
            return Ok(());
        };
        Err(error)
    }

    fn check_encryption(&self) -> Result<()> {
        let (r, files, i) = (
            !self.recipients.is_empty(),
            !self.recipient_files.is_empty(),
            !self.identities.is_empty(),
        );
        Err(match (r, files, i, self.passphrase) {
            (_, _, true, _) if !self.encrypt => Error::new(
                "-i/--identity and -j can't be used in encryption mode unless symmetric encryption \
                 is explicitly selected with -e/--encrypt",
            )
            .hint("did you forget to specify -d/--decrypt?"),
            (false, false, false, false) => Error::new("missing recipients").hint(
                "did you forget to specify -r/--recipient, -R/--recipients-file or \
                 -p/--passphrase?",
            ),
            (true, _, _, true) => {
                Error::new("-p/--passphrase can't be combined with -r/--recipient")
            }
            (_, true, _, true) => {
                Error::new("-p/--passphrase can't be combined with -R/--recipients-file")
            }
            (_, _, true, true) => {
                Error::new("-p/--passphrase can't be combined with -i/--identity and -j")
            }
            _ => return Ok(()),
        })
    }

    /// What was given twice, each once: what it is, and its text.
    pub fn duplicates(&self) -> Vec<(&'static str, &str)> {
        let files = self.identities.iter().filter_map(|source| match source {
            Source::File(name) => Some(name.as_str()),
            Source::Plugin(_) => None,
        });
        let all = self.recipients.iter().map(|it| ("recipient", it.as_str()));
        let all = all.chain(self.recipient_files.iter().map(|it| ("recipients file", it.as_str())));
        let all: Vec<_> = all.chain(files.map(|it| ("identity file", it))).collect();
        let mut twice = Vec::new();
        for (at, it) in all.iter().enumerate() {
            if all.iter().take(at).any(|before| before == it) && !twice.contains(it) {
                twice.push(*it);
            }
        }
        twice
    }

    /// The files that are read.
    pub fn files_read(&self) -> impl Iterator<Item = &str> {
        let identities = self.identities.iter().filter_map(|source| match source {
            Source::File(name) => Some(name.as_str()),
            Source::Plugin(_) => None,
        });
        let files = self.recipient_files.iter().map(String::as_str);
        identities.chain(files).chain(self.input())
    }
}
