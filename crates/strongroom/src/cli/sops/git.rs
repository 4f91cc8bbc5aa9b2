//! `merge-driver`, `textconv`, `install-git`: encrypted files in Git. The original has none of these.

use std::path::{Path, PathBuf};

use strongroom_git::Repository;
use strongroom_sops::merge::{Files, merge_files};
use strongroom_sops::{Error, Exit};

use super::crypt::now;
use super::{End, Outcome, Run, fail, files};

/// The name of the merge and textconv drivers.
const DRIVER: &str = "sops";

/// `merge-driver BASE OURS THEIRS PATH`, as Git calls it with `-- %O %A %B %P`.
pub fn merge_driver(run: &mut Run<'_, '_>) -> Outcome {
    let [base, ours, theirs, path] = run.args.as_slice() else {
        return Err(fail(
            Exit::NoFile,
            "Error: merge-driver takes BASE OURS THEIRS PATH (%O %A %B %P)",
        ));
    };
    run.unattended = true;
    let names = [base, ours, theirs].map(PathBuf::from);
    let path = path.clone();
    let store = run.input_store(&files::absolute(&path)?)?;
    let read = |name: &Path| {
        files::read(name).map_err(|error| {
            let reason = crate::cli::command::io_reason(&error);
            Error::new(Exit::Read, format!("open {}: {reason}", name.display()))
        })
    };
    let [base, ours, theirs] = [read(&names[0])?, read(&names[1])?, read(&names[2])?];
    let keys = run.keys()?;
    let sides = Files { base: &base, ours: &ours, theirs: &theirs };
    let merged = merge_files(&store, &sides, &keys, &now(&keys))
        .map_err(|error| error.within(&format!("{path} is not merged")).exiting(Exit::General))?;
    files::replace(&names[1], &merged.bytes).map_err(|error| {
        fail(
            Exit::Write,
            format!("{}: {}", names[1].display(), crate::cli::command::io_reason(&error)),
        )
    })?;
    if merged.conflicts.is_empty() && merged.refused.is_empty() {
        return Ok(());
    }
    for key in &merged.refused {
        run.tell(&format!(
            "CONFLICT (sops): {path}: theirs adds the key {key}, which ours did not have: it is not \
             taken. If it may open the file, say so in .sops.yaml, and sops updatekeys."
        ));
    }
    for conflict in &merged.conflicts {
        run.tell(&format!("CONFLICT (sops): {path}: {conflict}"));
    }
    run.tell(&format!(
        "Theirs: git show :3:{path} | sops decrypt --filename-override {path}. Put it right with sops \
         edit, then git add."
    ));
    Err(End::Code(1))
}

/// `textconv FILE`: the plain text, or the file as it is where no key opens it.
pub fn textconv(run: &mut Run<'_, '_>) -> Outcome {
    let Some(name) = run.args.first().cloned() else {
        return Err(fail(Exit::NoFile, "Error: no file specified"));
    };
    run.unattended = true;
    let file = files::absolute(&name)?;
    let target = run.target()?;
    match run.decrypted(&target, &[]) {
        Ok(plain) => run.write_out(&plain),
        Err(error) => {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let why = error.text.lines().next().unwrap_or_default();
            run.tell(&format!("sops textconv: {name} is shown as it is: {why}"));
            let bytes = run.read_input(Some(&file))?;
            run.write_out(&bytes)
        }
    }
}

/// `install-git`: the settings by which Git finds both drivers.
pub fn install_git(run: &mut Run<'_, '_>) -> Outcome {
    let failed = |error: strongroom_git::Error| fail(Exit::General, error.to_string());
    let program = run.world.program_path.to_string_lossy().replace('\'', "'\\''");
    let program = format!("'{program}' sops");
    let settings = [
        (format!("merge.{DRIVER}.name"), "merges by key, and signs anew".to_owned()),
        (format!("merge.{DRIVER}.driver"), format!("{program} merge-driver -- %O %A %B %P")),
        (format!("diff.{DRIVER}.textconv"), format!("{program} textconv --")),
    ];
    if run.own.is("global") {
        // For all repositories: none needs to be here.
        for (name, value) in &settings {
            strongroom_git::set_globally(name, value).map_err(failed)?;
        }
    } else {
        let repository = Repository::of(Path::new(".")).map_err(failed)?;
        for (name, value) in &settings {
            repository.set(name, value).map_err(failed)?;
        }
    }
    run.write_out(
        b"Say in .gitattributes which files are encrypted, for instance:\n\
          secrets/*.yaml merge=sops diff=sops\n",
    )
}
