//! The `strongroom` binary: it gives the command line what it needs of the machine, and hands on
//! what belongs to the server.

mod hidden;

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom_base::{Rng, SecretString};
use strongroom_cli::cli::{self, Killed, Program, ServerCommand, Terminal, World};
use strongroom_server::dev::DevOptions;
use strongroom_server::real::{RealRng, environment};
use strongroom_server::run::{self, RunOptions};
use strongroom_server::up::{self, UpOptions};

use crate::hidden::terminal;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let called = words.next().unwrap_or_else(|| "strongroom".into());
    let program = Path::new(&called)
        .file_name()
        .map_or_else(|| "strongroom".to_owned(), |name| name.to_string_lossy().into_owned());
    let world = World {
        program,
        program_path: std::env::current_exe().unwrap_or_else(|_| PathBuf::from(&called)),
        env: &environment,
        stdin: Box::new(std::io::stdin()),
        out: Some(Box::new(std::io::stdout())),
        err: Some(Box::new(std::io::stderr())),
        in_terminal: std::io::stdin().is_terminal(),
        out_terminal: std::io::stdout().is_terminal(),
        err_terminal: std::io::stderr().is_terminal(),
        ask: &ask,
        terminal: Arc::new(Tty),
        random: &random,
        serve: &serve,
        run: &run_program,
    };
    std::process::exit(cli::run(words.collect(), world));
}

/// Asks on the terminal. Without one, a line of the standard input is the answer, so that a
/// script can hand a password over without naming it in its arguments.
fn ask(prompt: &str) -> std::io::Result<String> {
    hidden::line(prompt).map(|line| line.expose_secret().clone()).or_else(|error| {
        let stdin = std::io::stdin();
        let mut line = String::new();
        if stdin.is_terminal() || stdin.read_line(&mut line)? == 0 {
            return Err(error);
        }
        Ok(line)
    })
}

/// The terminal of this program, whatever its standard streams are.
struct Tty;

impl Terminal for Tty {
    fn secret(&self, prompt: &str) -> std::io::Result<SecretString> {
        hidden::line(prompt)
    }

    fn typed(&self, prompt: &str) -> std::io::Result<SecretString> {
        hidden::all(prompt)
    }

    fn line(&self, prompt: &str) -> std::io::Result<String> {
        let mut tty = terminal()?;
        tty.write_all(prompt.as_bytes())?;
        let mut line = String::new();
        match std::io::BufReader::new(tty).read_line(&mut line)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    }

    fn tell(&self, text: &str) -> std::io::Result<()> {
        writeln!(terminal()?, "{text}")
    }

    fn note(&self, text: &str) {
        eprintln!("{text}");
    }
}

/// Another program, with this one's terminal.
fn run_program(program: Program) -> std::io::Result<i32> {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::process::CommandExt;
    use strongroom_sops::octets;
    let mut command = std::process::Command::new(&program.path);
    command.args(&program.args);
    if program.pristine {
        command.env_clear();
    }
    let bytes = |text: &str| OsString::from_vec(octets::bytes_of(text).into_owned());
    let variables = program.env.iter();
    command.envs(variables.map(|(name, value)| (bytes(name), bytes(value.expose_secret()))));
    if let Some(name) = &program.user {
        let user = user(name)?;
        for path in &program.owns {
            std::os::unix::fs::chown(path, Some(user.id), Some(user.group))?;
        }
        command.env("HOME", user.home).env("USER", name).env("LOGNAME", name);
        // Its groups beside that one are not taken on; ours are left.
        command.gid(user.group).uid(user.id);
    }
    if program.without_input {
        command.stdin(std::process::Stdio::null());
    }
    if program.replace {
        return Err(command.exec());
    }
    if program.background {
        use std::process::Stdio;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        return command.spawn().map(|_| 0);
    }
    // One that a signal ended has no code.
    let status = command.status()?;
    let signal = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or_default();
    Ok(status.code().unwrap_or(match program.killed {
        Killed::Code(code) => code,
        Killed::Number => -signal,
    }))
}

/// A user of this machine.
struct User {
    id: u32,
    group: u32,
    home: String,
}

/// Looks a user up among those of the machine's own file.
fn user(name: &str) -> std::io::Result<User> {
    let unknown = || std::io::Error::other(format!("user: unknown user {name}"));
    let users = std::fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find(|line| line.split(':').next() == Some(name));
    let fields: Vec<&str> = line.ok_or_else(unknown)?.split(':').collect();
    let [_, _, id, group, _, home, ..] = fields.as_slice() else { return Err(unknown()) };
    let number = |text: &str| text.parse().map_err(|_| unknown());
    Ok(User { id: number(id)?, group: number(group)?, home: (*home).to_owned() })
}

fn random(buffer: &mut [u8]) -> std::io::Result<()> {
    RealRng.fill(buffer);
    Ok(())
}

/// What belongs to the server.
fn serve(command: ServerCommand) -> i32 {
    match command {
        ServerCommand::Server(options) => run::server(RunOptions {
            configs: options.configs,
            dev: options.dev.map(dev_options),
            log_level: options.log_level,
            log_format: options.log_format,
            log_file: options.log_file,
            log_rotate: (
                options.log_rotate.bytes,
                options.log_rotate.seconds,
                options.log_rotate.files_max,
            ),
        }),
        ServerCommand::Up { data, address, root_token_file, log_level } => {
            up::up(UpOptions { data, address, root_token_file, log_level })
        }
        ServerCommand::AuditVerify { files, key } => {
            strongroom_server::audit_verify::audit_verify(&files, key.as_deref())
        }
        ServerCommand::Diagnose { configs, skip, json } => {
            strongroom_server::diagnose::diagnose(&configs, &skip, json)
        }
    }
}

fn dev_options(options: cli::DevOptions) -> DevOptions {
    // Dev mode keeps its token where the next command finds it, as Vault's does.
    let kept = || environment("HOME").map(|home| Path::new(&home).join(".vault-token"));
    DevOptions {
        root_token: options.root_token,
        address: options.address,
        no_kv: options.no_kv,
        tls: options.tls,
        tls_dir: options.tls_dir,
        token_file: if options.no_store_token { None } else { kept() },
    }
}
