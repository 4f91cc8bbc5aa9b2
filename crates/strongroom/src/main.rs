//! The `strongroom` binary: it gives the command line what it needs of the machine, and hands on
//! what belongs to the server.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use strongroom_base::Rng;
use strongroom_cli::cli::{self, Program, ServerCommand, World};
use strongroom_server::dev::DevOptions;
use strongroom_server::real::{RealRng, environment};
use strongroom_server::run::{self, RunOptions};
use strongroom_server::up::{self, UpOptions};

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
        out_terminal: std::io::stdout().is_terminal(),
        err_terminal: std::io::stderr().is_terminal(),
        ask: &ask,
        random: &random,
        serve: &serve,
        run: &run_program,
    };
    std::process::exit(cli::run(words.collect(), world));
}

/// Asks on the terminal. Without one, a line of the standard input is the answer, so that a
/// script can hand a password over without naming it in its arguments.
fn ask(prompt: &str) -> std::io::Result<String> {
    rpassword::prompt_password(prompt).or_else(|error| {
        let stdin = std::io::stdin();
        let mut line = String::new();
        if stdin.is_terminal() || stdin.read_line(&mut line)? == 0 {
            return Err(error);
        }
        Ok(line)
    })
}

/// Another program, with this one's terminal.
fn run_program(program: Program) -> std::io::Result<i32> {
    let mut command = std::process::Command::new(&program.path);
    command.args(&program.args);
    command.envs(program.env.iter().map(|(name, value)| (name, value.expose_secret())));
    if program.without_input {
        command.stdin(std::process::Stdio::null());
    }
    // One that a signal ended has no code.
    Ok(command.status()?.code().unwrap_or(2))
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
