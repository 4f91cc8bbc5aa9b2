//! What a running command has at hand: its arguments, the two outputs, and the server.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use strongroom_base::SecretString;
use strongroom_client::{Client, Config, Environment, Prepared, TokenStore};

use super::command::io_reason;
use super::flags::Flags;
use super::http::{DryRun, Http};
use super::input::Input;
use super::output::Ui;
use super::{Fail, ServerCommand};

/// All that the command line asks the machine for; tests bring their own.
pub struct World<'w> {
    /// The name the program was called by.
    pub program: String,
    /// The path the program was called by, for completion scripts.
    pub program_path: PathBuf,
    /// The environment.
    pub env: &'w dyn Fn(&str) -> Option<String>,
    /// The standard input.
    pub stdin: Box<dyn Read + 'w>,
    /// The standard output.
    pub out: Option<Box<dyn Write + 'w>>,
    /// The error output.
    pub err: Option<Box<dyn Write + 'w>>,
    /// A person types the standard input.
    pub in_terminal: bool,
    /// A person reads the standard output.
    pub out_terminal: bool,
    /// A person reads the error output.
    pub err_terminal: bool,
    /// Shows a prompt and reads a line that stays hidden.
    pub ask: &'w dyn Fn(&str) -> std::io::Result<String>,
    /// The terminal, wherever the three streams lead.
    pub terminal: Arc<dyn Terminal>,
    /// Fills a buffer with random bytes.
    pub random: &'w dyn Fn(&mut [u8]) -> std::io::Result<()>,
    /// Runs what belongs to the server.
    pub serve: &'w dyn Fn(ServerCommand) -> i32,
    /// Runs another program with this one's terminal until it ends; its exit code.
    pub run: &'w dyn Fn(Program) -> std::io::Result<i32>,
}

/// The terminal itself: for tools that read and write files by the standard streams, and ask beside
/// them.
pub trait Terminal: Send + Sync {
    /// Shows a prompt and reads a line that stays hidden; never from the standard input.
    fn secret(&self, prompt: &str) -> std::io::Result<SecretString>;
    /// Shows a prompt and reads the standard input to its end, which is the terminal; what is typed
    /// stays hidden. Where nothing can be hidden but a line, that is a line.
    fn typed(&self, prompt: &str) -> std::io::Result<SecretString> {
        self.secret(prompt)
    }
    /// Shows a prompt and reads a line.
    fn line(&self, prompt: &str) -> std::io::Result<String>;
    /// Shows a line there, and nowhere else.
    fn tell(&self, text: &str) -> std::io::Result<()>;
    /// Shows a line on the error output.
    fn note(&self, text: &str);
}

/// What stands for the end of a program by a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Killed {
    /// This exit code.
    Code(i32),
    /// The signal's number, less than zero.
    Number,
}

/// Another program, to be run.
pub struct Program {
    /// Its path, or a name that is looked for.
    pub path: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables of its environment, beside those of this program's own; what is no UTF-8 stands there as
    /// `strongroom_sops::octets` has it.
    pub env: Vec<(String, SecretString)>,
    /// Is there nothing for it to read?
    pub without_input: bool,
    /// Has it those variables only, and none of this program's own?
    pub pristine: bool,
    /// The user it runs as; nobody for this program's own.
    pub user: Option<String>,
    /// Files that are that user's from now on.
    pub owns: Vec<PathBuf>,
    /// Does it take this program's place?
    pub replace: bool,
    /// Does it go on while this program ends?
    pub background: bool,
    /// The exit code that stands for a signal's end.
    pub killed: Killed,
}

impl Default for Program {
    fn default() -> Self {
        Self {
            path: String::new(),
            args: Vec::new(),
            env: Vec::new(),
            without_input: false,
            pristine: false,
            user: None,
            owns: Vec::new(),
            replace: false,
            background: false,
            killed: Killed::Code(2),
        }
    }
}

impl<'w> World<'w> {
    /// The standard output, once.
    pub fn take_out(&mut self) -> Box<dyn Write + 'w> {
        self.out.take().unwrap_or_else(|| Box::new(std::io::sink()))
    }

    /// The error output, once.
    pub fn take_err(&mut self) -> Box<dyn Write + 'w> {
        self.err.take().unwrap_or_else(|| Box::new(std::io::sink()))
    }

    /// Where the id of the last refusal is kept, so that `why` needs no argument.
    fn refusal_file(&self) -> Option<PathBuf> {
        let state = (self.env)("XDG_STATE_HOME").filter(|folder| !folder.is_empty());
        let state = state.map(PathBuf::from).or_else(|| Some(self.home()?.join(".local/state")))?;
        Some(state.join("strongroom/last-refusal"))
    }

    /// The user's home.
    pub fn home(&self) -> Option<PathBuf> {
        (self.env)("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
    }
}

/// What a running command has at hand.
pub struct Context<'c, 'w> {
    /// The two outputs.
    pub ui: &'c mut Ui<'w>,
    /// The flags that were given.
    pub flags: Flags,
    /// The arguments after the flags.
    pub args: Vec<String>,
    world: &'c mut World<'w>,
    dry: Option<DryRun>,
    http: Option<Http>,
}

impl<'c, 'w> Context<'c, 'w> {
    /// A context; no connection is made yet.
    pub fn new(
        ui: &'c mut Ui<'w>,
        world: &'c mut World<'w>,
        flags: Flags,
        args: Vec<String>,
        dry: Option<DryRun>,
    ) -> Self {
        Self { ui, flags, args, world, dry, http: None }
    }

    /// The name the program was called by.
    pub fn program(&self) -> &str {
        &self.world.program
    }

    /// The machine.
    pub fn world(&mut self) -> &mut World<'w> {
        self.world
    }

    /// The outputs and the machine at once.
    pub fn ui_and_world(&mut self) -> (&mut Ui<'w>, &mut World<'w>) {
        (self.ui, self.world)
    }

    /// Keeps the id of a refusal for the next `why`.
    pub fn remember_refusal(&self, id: &str) {
        let Some(file) = self.world.refusal_file() else { return };
        // It is a convenience: where it cannot be kept, the id on the screen is enough.
        let _ = file.parent().map(std::fs::create_dir_all);
        let _ = std::fs::write(file, id);
    }

    /// The id of the last refusal that this command line met.
    pub fn last_refusal(&self) -> Option<String> {
        let id = std::fs::read_to_string(self.world.refusal_file()?).ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }

    /// The environment.
    pub fn env(&self) -> Environment<'w> {
        Environment::new(self.world.env)
    }

    /// The request a dry run stopped at, and the policy it needs if the command told.
    pub fn preview(self) -> Option<(Prepared, Option<String>)> {
        self.http.and_then(|http| Some((http.preview?, http.policy)))
    }

    /// Complains unless there are exactly `n` arguments.
    pub fn expect_args(&self, n: usize) -> Result<(), Fail> {
        self.expect_args_between(n, n, &n.to_string())
    }

    /// Complains unless the number of arguments lies within bounds.
    pub fn expect_args_between(&self, min: usize, max: usize, said: &str) -> Result<(), Fail> {
        let got = self.args.len();
        let problem = if got < min {
            "Not enough"
        } else if got > max {
            "Too many"
        } else {
            return Ok(());
        };
        Err(Fail::usage(format!("{problem} arguments (expected {said}, got {got})")))
    }

    /// An argument, empty if it is not there.
    pub fn arg(&self, i: usize) -> &str {
        self.args.get(i).map_or("", |arg| arg.trim())
    }

    /// The standard input; empty when nothing may be asked.
    pub fn stdin(&mut self) -> Box<dyn Read + '_> {
        if self.flags.is("non-interactive") {
            return Box::new(std::io::empty());
        }
        Box::new(&mut self.world.stdin)
    }

    /// What stands behind `-` among data: the standard input, or what a person types unseen.
    pub fn input(&mut self) -> Input<'_> {
        let typed = self.world.in_terminal && !self.flags.is("non-interactive");
        let terminal = typed.then(|| self.world.terminal.clone());
        Input::new(self.stdin(), terminal)
    }

    /// All of the standard input as text.
    pub fn stdin_text(&mut self) -> Result<String, Fail> {
        let mut text = String::new();
        self.stdin()
            .read_to_string(&mut text)
            .map_err(|error| Fail::usage(format!("Failed to read from stdin: {error}")))?;
        Ok(text)
    }

    /// A secret given as an argument: `-` reads it from the standard input, `@FILE` from a file,
    /// nothing asks for it on the terminal.
    pub fn secret_argument(&mut self, given: &str, prompt: &str) -> Result<SecretString, Fail> {
        let text = match given.trim() {
            "" => return self.ask(prompt),
            "-" if self.world.in_terminal && !self.flags.is("non-interactive") => {
                let typed = self.world.terminal.typed(prompt);
                let problem = |error| Fail::usage(format!("Failed to read from stdin: {error}"));
                return Ok(SecretString::new(
                    typed.map_err(problem)?.expose_secret().trim().to_owned(),
                ));
            }
            "-" => self.stdin_text()?,
            other => match other.strip_prefix('@') {
                Some(path) => std::fs::read_to_string(path).map_err(|error| {
                    Fail::usage(format!("error reading file {path}: {}", io_reason(&error)))
                })?,
                None => other.to_owned(),
            },
        };
        Ok(SecretString::new(text.trim().to_owned()))
    }

    /// Asks for a secret on the terminal.
    pub fn ask(&mut self, prompt: &str) -> Result<SecretString, Fail> {
        if self.flags.is("non-interactive") {
            return Err(Fail::usage(super::table::wrap(
                "Refusing to ask on the terminal with -non-interactive; give the value as an \
                 argument, as - for stdin or as @FILE",
                0,
            )));
        }
        (self.world.ask)(prompt).map(|text| SecretString::new(text.trim().to_owned())).map_err(
            |error| {
                Fail::usage(super::table::wrap(
                    &format!(
                        "There is no terminal to ask on ({}). Write the value to the standard \
                         input, or give it as @FILE where an argument can stand.",
                        io_reason(&error)
                    ),
                    0,
                ))
            },
        )
    }

    /// The server, with the caller's token.
    pub fn http(&mut self) -> Result<&mut Http, Fail> {
        if self.http.is_none() {
            let mut http = self.http_without_token()?;
            if http.client.token().is_none() {
                let token = self.token_store(http.client.address())?.load();
                let token = token.map_err(|error| Fail::remote(error.to_string()))?;
                http.client.set_token(token);
            }
            self.http = Some(http);
        }
        self.http.as_mut().ok_or_else(|| Fail::remote("no connection"))
    }

    /// The server and the outputs at once, after [`Self::http`].
    pub fn http_and_ui(&mut self) -> Result<(&mut Http, &mut Ui<'w>), Fail> {
        match self.http.as_mut() {
            Some(http) => Ok((http, self.ui)),
            None => Err(Fail::remote("no connection")),
        }
    }

    /// The server, with a token from the environment only.
    pub fn http_without_token(&self) -> Result<Http, Fail> {
        let config = self.client_config()?;
        let client = Client::new(config).map_err(|error| Fail::remote(error.to_string()))?;
        Http::new(client, self.dry)
            .map_err(|error| Fail::remote(format!("failed to create client: {error}")))
    }

    /// Makes a connection the command's own.
    pub fn set_http(&mut self, http: Http) {
        self.http = Some(http);
    }

    /// Where the token stays between two commands.
    pub fn token_store(&self, address: &str) -> Result<TokenStore, Fail> {
        TokenStore::find(&self.env(), self.world.home().as_deref(), address)
            .map_err(|error| Fail::remote(format!("failed to get token helper: {error}")))
    }

    fn client_config(&self) -> Result<Config, Fail> {
        let env = self.env();
        let bad = |error: strongroom_client::Error| Fail::remote(error.to_string());
        let mut config = Config::from_environment(&env).map_err(bad)?;
        // A person at a terminal rather sees the error than waits.
        if env.get("MAX_RETRIES").is_none() {
            config.max_retries = 0;
        }
        config.jitter = u64::from(std::process::id());
        let flags = &self.flags;
        let set = |name: &str, target: &mut Option<PathBuf>| {
            if let Some(path) = flags.text(name).filter(|path| !path.is_empty()) {
                *target = Some(path.into());
            }
        };
        set("ca-cert", &mut config.ca_cert);
        set("ca-path", &mut config.ca_path);
        set("client-cert", &mut config.client_cert);
        set("client-key", &mut config.client_key);
        for name in ["address", "agent-address"] {
            if let Some(address) = flags.text(name).filter(|text| !text.is_empty()) {
                address.clone_into(&mut config.address);
            }
        }
        if let Some(name) = flags.text("tls-server-name") {
            config.tls_server_name = Some(name.to_owned()).filter(|name| !name.is_empty());
        }
        if let Some(skip) = flags.bool("tls-skip-verify") {
            config.danger_skip_verify = skip;
        }
        if let Some(disable) = flags.bool("disable-redirects") {
            config.follow_redirect = !disable;
        }
        if let Some(namespace) = flags.text("ns").or_else(|| flags.text("namespace")) {
            config.namespace = strongroom_client::canonical_namespace(namespace);
        }
        if let Some(ttl) = flags.duration("wrap-ttl") {
            config.wrap_ttl = Some(ttl);
        }
        if flags.given("mfa") {
            config.mfa = flags.list("mfa");
        }
        config.policy_override = flags.is("policy-override");
        for (name, value) in flags.map("header") {
            if name.to_ascii_lowercase().starts_with("x-vault-") {
                return Err(Fail::remote(format!(
                    "failed to setup Headers[{name}]: Header starting by 'X-Vault-' are for \
                     internal usage only"
                )));
            }
            config.headers.push((name, value));
        }
        Ok(config)
    }
}
