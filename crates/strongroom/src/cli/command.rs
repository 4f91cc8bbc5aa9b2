//! What a command is: one entry in a table.

use super::Context;
use super::flags::Flag;

/// How a command ends.
pub type Outcome = Result<(), Fail>;

/// Why a command failed, and with which exit code.
#[derive(Debug)]
pub struct Fail {
    /// The exit code.
    pub code: i32,
    /// What to print; empty where all is said already.
    pub text: String,
    /// The id under which the server explains a refusal.
    pub explain: Option<String>,
}

impl Fail {
    /// Wrong use, or a failure on this side: exit code 1.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into(), explain: None }
    }

    /// Nothing there, or a failure on the other side: exit code 2.
    pub fn remote(text: impl Into<String>) -> Self {
        Self { code: 2, text: text.into(), explain: None }
    }

    /// The server's refusal, after a word on what was tried: exit code 2.
    pub fn server(what: impl std::fmt::Display, error: &strongroom_client::Error) -> Self {
        Self {
            code: 2,
            text: format!("{what}: {error}"),
            explain: error.explain().map(str::to_owned),
        }
    }

    /// An exit code without a word.
    pub fn quiet(code: i32) -> Self {
        Self { code, text: String::new(), explain: None }
    }

    /// The same failure under another exit code.
    #[must_use]
    pub fn with_code(mut self, code: i32) -> Self {
        self.code = code;
        self
    }
}

/// What the system says of a failed file operation, without its error number.
pub fn io_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

/// What a command can print, and so which output flags it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prints(u8);

impl Prints {
    /// Plain lines only.
    pub const LINES: Self = Self(0);
    /// Documents in the usual formats.
    pub const FORMATS: Self = Self(1);
    /// Documents, and single fields of them.
    pub const FIELDS: Self = Self(1 | 2);
    /// Documents with more columns on demand.
    pub const DETAILS: Self = Self(1 | 4);
    /// Documents, fields, and the answer's bytes.
    pub const RAW: Self = Self(1 | 2 | 8);

    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

/// One command.
pub struct Command {
    /// Its words, such as `kv get`.
    pub name: &'static str,
    /// Its arguments for the usage line.
    pub args: &'static str,
    /// One line for the overview.
    pub synopsis: &'static str,
    /// What it does, with examples. `{bin}` stands for the program's name.
    pub about: &'static str,
    /// What it can print.
    pub prints: Prints,
    /// Its own flags.
    pub flags: &'static [Flag],
    /// False for commands that never ask a server.
    pub remote: bool,
    /// What it does; `None` for a group of commands.
    pub run: Option<fn(&mut Context<'_, '_>) -> Outcome>,
}

impl Command {
    /// A command that prints plain lines and has no flags of its own.
    pub const fn new(
        name: &'static str,
        args: &'static str,
        synopsis: &'static str,
        about: &'static str,
        run: fn(&mut Context<'_, '_>) -> Outcome,
    ) -> Self {
        Self {
            name,
            args,
            synopsis,
            about,
            prints: Prints::LINES,
            flags: &[],
            remote: true,
            run: Some(run),
        }
    }

    /// A group of commands.
    pub const fn group(name: &'static str, synopsis: &'static str, about: &'static str) -> Self {
        Self {
            name,
            args: "<subcommand> [options] [args]",
            synopsis,
            about,
            prints: Prints::LINES,
            flags: &[],
            remote: false,
            run: None,
        }
    }

    /// With output flags.
    #[must_use]
    pub const fn prints(mut self, prints: Prints) -> Self {
        self.prints = prints;
        self
    }

    /// With flags of its own.
    #[must_use]
    pub const fn flags(mut self, flags: &'static [Flag]) -> Self {
        self.flags = flags;
        self
    }

    /// Without the flags of requests.
    #[must_use]
    pub const fn local(mut self) -> Self {
        self.remote = false;
        self
    }

    /// True if it can print an answer's bytes.
    pub fn takes_raw(&self) -> bool {
        self.prints.has(8) || self.prints == Prints::LINES
    }

    /// The output flags.
    pub fn output_flags(&self) -> Vec<&'static Flag> {
        let mut flags = Vec::new();
        if self.prints.has(2) {
            flags.push(&FIELD);
        }
        if self.prints.has(1) {
            flags.push(&FORMAT);
        }
        if self.prints.has(4) {
            flags.push(&DETAILED);
        }
        flags
    }

    /// All flags it takes: its own, the output's, the requests'. The first of a name counts.
    pub fn all_flags(&self) -> Vec<&'static Flag> {
        let mut all: Vec<&'static Flag> = self.flags.iter().collect();
        all.extend(self.output_flags());
        // Vault takes -format and the flags of requests everywhere.
        if self.remote {
            all.extend(HTTP_FLAGS);
        }
        all.push(&FORMAT);
        all
    }
}

static FIELD: Flag = Flag::text(
    "field",
    "Print only this field's value, without a line end when the output is not a terminal.",
);
static FORMAT: Flag = Flag::text(
    "format",
    "How to print: table, json, yaml, or where a command says so pretty or raw.",
)
.default("table")
.env("FORMAT");
static DETAILED: Flag = Flag::bool("detailed", "Show what else the server says of each entry.")
    .default("false")
    .env("DETAILED");

/// The flags of every command that sends requests.
pub static HTTP_FLAGS: &[Flag] = &[
    Flag::text("address", "The server: http://HOST:PORT, https://HOST:PORT or unix:///SOCKET.")
        .default("https://127.0.0.1:8200")
        .env("ADDR"),
    Flag::text("agent-address", "A local agent to send requests through, instead of -address.")
        .env("AGENT_ADDR"),
    Flag::text("ca-cert", "File of PEM certificates that the server's certificate must lead to.")
        .env("CACERT"),
    Flag::text("ca-path", "Folder of such files; -ca-cert goes before it.").env("CAPATH"),
    Flag::text("client-cert", "PEM certificate to present to the server. Needs -client-key.")
        .env("CLIENT_CERT"),
    Flag::text("client-key", "PEM key of -client-cert.").env("CLIENT_KEY"),
    Flag::bool("disable-redirects", "Do not follow a redirect, for instance to the active node.")
        .default("false")
        .env("DISABLE_REDIRECTS"),
    Flag::map(
        "header",
        "A further HTTP header. May be given again. Names that begin with X-Vault- are refused.",
    ),
    Flag::text("mfa", "Credentials of a second factor. May be given again.").env("MFA"),
    Flag::text("namespace", "The namespace to act in; -ns for short.").env("NAMESPACE"),
    Flag::text("ns", "").hidden(),
    Flag::bool("non-interactive", "Never ask on the terminal; fail instead.").default("false"),
    Flag::bool(
        "output-curl-string",
        "Send nothing; print the curl command that would send the same request.",
    ),
    Flag::bool("output-policy", "Send nothing; print the policy the request would need."),
    Flag::bool("policy-override", "Pass over a soft-mandatory policy.").default("false"),
    Flag::text("tls-server-name", "The name to ask for and expect in the server's certificate.")
        .env("TLS_SERVER_NAME"),
    Flag::bool("tls-skip-verify", "Take any certificate. Whoever sits between can read all of it.")
        .default("false")
        .env("SKIP_VERIFY"),
    Flag::text("unlock-key", "Key that unlocks a locked namespace, or @FILE, or - for stdin."),
    Flag::duration("wrap-ttl", "Wrap the answer in a single-use token that lives this long.")
        .env("WRAP_TTL"),
];
