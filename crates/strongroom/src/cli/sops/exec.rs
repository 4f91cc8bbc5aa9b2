//! `exec-env`, `exec-file`: a program gets what is decrypted, and nobody else.

use std::path::Path;

use strongroom_base::{Rng, SecretString};
use strongroom_server::real::RealRng;
use strongroom_sops::keys::Told;
use strongroom_sops::stores::shown;
use strongroom_sops::{Exit, Item, Value, octets};

use super::crypt::Target;
use super::private::Folder;
use super::{End, Outcome, Run, fail, log};
use crate::cli::context::{Killed, Program};

/// The name of the file where none is asked for; one that is no pipe has digits behind it.
const FILE_NAME: &str = "tmp-file";
/// The exit code of a program that a signal ended.
const KILLED: i32 = 255;

/// The file and the command.
fn arguments(run: &mut Run<'_, '_>) -> Result<(Target, String), End> {
    if run.args.len() != 2 {
        return Err(fail(Exit::General, "error: missing file to decrypt"));
    }
    let command = run.args[1].clone();
    Ok((run.target()?, command))
}

fn warn_of_background(run: &mut Run<'_, '_>, name: &str) {
    if run.own.is("background") {
        run.warn(&format!(
            "{name}'s --background option is deprecated and will be removed in a future version of \
             sops"
        ));
    }
}

fn shell(run: &Run<'_, '_>, command: String) -> Program {
    let user = run.own.text("user");
    Program {
        path: "/bin/sh".into(),
        args: vec!["-c".into(), command],
        user: (!user.is_empty()).then(|| user.to_owned()),
        background: run.own.is("background"),
        killed: Killed::Number,
        ..Program::default()
    }
}

fn start(run: &Run<'_, '_>, program: Program) -> Outcome {
    match (run.world.run)(program) {
        Ok(0) => Ok(()),
        Ok(signal) if signal < 0 => {
            run_told(run, &format!("signal: {}", signal_name(-signal)));
            Err(End::Code(KILLED))
        }
        Ok(code) => {
            run_told(run, &format!("exit status {code}"));
            Err(End::Code(code))
        }
        Err(error) if !run.own.text("user").is_empty() => {
            let text = error.to_string();
            Err(fail(Exit::General, log::line(&Told::new("EXEC", "fatal", &text))))
        }
        Err(error) => Err(fail(Exit::General, error.to_string())),
    }
}

/// A signal as Go names it.
fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        number => return format!("signal {number}"),
    };
    name.to_owned()
}

fn run_told(run: &Run<'_, '_>, text: &str) {
    run.world.terminal.note(text);
}

/// `exec-env`
pub fn exec_env(run: &mut Run<'_, '_>) -> Outcome {
    let (target, command) = arguments(run)?;
    warn_of_background(run, "exec-env");
    let same_process = run.own.is("same-process");
    if run.own.is("background") && same_process {
        let text = "Error: The --same-process flag cannot be used with --background";
        return Err(fail(Exit::Conflict, text));
    }
    let keys = run.keys()?;
    let (tree, _) = run.open(target.file.as_deref(), target.input, &keys, None)?;
    let mut program = shell(run, command);
    program.pristine = run.own.is("pristine");
    program.replace = same_process;
    for item in tree.branches.first().map(|branch| branch.0.as_slice()).unwrap_or_default() {
        let Item::Entry(key, value) = item else { continue };
        program.env.push((key.clone(), variable(key, value)?));
    }
    drop(tree);
    start(run, program)
}

fn variable(key: &str, value: &Value) -> Result<SecretString, End> {
    if value.is_complex() {
        let text = format!("cannot use complex value in environment; offending key {key}");
        return Err(fail(Exit::General, text));
    }
    if key.contains('=') {
        let text = format!("cannot use keys with '=' in environment: {key}");
        return Err(fail(Exit::General, text));
    }
    let text = SecretString::new(octets::text_of(&shown(value)));
    if key.is_empty() || key.contains('\0') || text.expose_secret().contains('\0') {
        let text = format!("cannot use empty keys or null characters in environment: {key:?}");
        return Err(fail(Exit::General, text));
    }
    Ok(text)
}

/// `exec-file`
pub fn exec_file(run: &mut Run<'_, '_>) -> Outcome {
    let (target, command) = arguments(run)?;
    warn_of_background(run, "exec-file");
    let fifo = !run.own.is("no-fifo");
    let name = match run.own.text("filename") {
        "" if fifo => FILE_NAME.to_owned(),
        "" => format!("{FILE_NAME}{}", u32::from_ne_bytes((&RealRng as &dyn Rng).array())),
        name => name.to_owned(),
    };
    // A name of its own folder: neither a way out of it nor into another.
    if name.contains('/') || name == "." || name == ".." {
        return Err(fail(Exit::General, "The provided filename is not a local path."));
    }
    let output = run.decrypted(&target, &[])?;
    let made = |error: std::io::Error| fail(Exit::General, error.to_string());
    let folder = Folder::make(run.world.env, ".sops").map_err(made)?;
    let path = if fifo {
        let path = folder.path().join(&name);
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
            .map_err(|error| made(error.into()))?;
        path
    } else {
        folder.write(&name, &output).map_err(made)?
    };
    let mut program = shell(run, command.replace("{}", &path.to_string_lossy()));
    program.owns = vec![folder.path().to_owned(), path.clone()];
    if fifo {
        // Opening it waits for the reader, which may never come.
        std::thread::spawn(move || drop(write_pipe(&path, &output)));
    }
    let outcome = start(run, program);
    drop(folder);
    outcome
}

fn write_pipe(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    std::fs::File::options().write(true).open(path)?.write_all(bytes)
}
