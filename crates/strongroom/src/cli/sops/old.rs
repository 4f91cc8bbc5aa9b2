//! The old spellings: `sops -e FILE`, `-d`, `-r`, `--set`, and `sops FILE`, which edits.

use strongroom_sops::Exit;

use super::crypt::extract_steps;
use super::{Outcome, Run, change, fail, files};

/// Runs what the flags say.
pub fn run(run: &mut Run<'_, '_>) -> Outcome {
    let (encrypt, decrypt) = (run.own.is("encrypt"), run.own.is("decrypt"));
    let (rotate, set) = (run.own.is("rotate"), !run.own.text("set").is_empty());
    let edit = !encrypt && !decrypt && !rotate && !set;
    if run.args.is_empty() {
        return Err(fail(Exit::NoFile, "Error: no file specified"));
    }
    run.check_outputs()?;
    check_file(run, encrypt || decrypt || rotate)?;
    if [encrypt, decrypt, rotate, set].iter().filter(|mode| **mode).count() > 1 {
        run.warn(
            "More than one command (--encrypt, --decrypt, --rotate, --set) has been specified. Only \
             the changes made by the last one will be visible. Note that this behavior is \
             deprecated and will cause an error eventually.",
        );
    }
    // A configuration that makes no sense is refused by all but what only decrypts.
    let mut rule = None;
    if encrypt || rotate || set || edit {
        let name = run.own.text("filename-override");
        let decides = if name.is_empty() { run.args[0].as_str() } else { name };
        let decides = files::absolute(decides)?;
        rule = run.creation_rule(&decides)?;
    }
    let target = run.target()?;
    // The last of several wins, as it always did.
    if set {
        let (steps, value) = change::split(run.own.text("set"))?;
        let (output, _) = run.with_value(&target, &steps, value)?;
        return match &target.file {
            Some(file) => run.write_in_place(file, &output),
            None => Ok(()),
        };
    }
    if edit {
        return super::edit::edit_target(run, &target, rule);
    }
    let mut tree = if rotate {
        run.rotated(&target)?
    } else if decrypt {
        let steps = extract_steps(run.own.text("extract"))?;
        let output = run.decrypted(&target, &steps)?;
        return run.deliver_plain(target.file.as_deref(), &output);
    } else {
        run.encrypted(&target, rule)?
    };
    run.deliver_sealed(target.file.as_deref(), target.output, &mut tree)
}

fn check_file(run: &Run<'_, '_>, must_be_there: bool) -> Outcome {
    let file = files::absolute(&run.args[0])?;
    if file.exists() {
        return Ok(());
    }
    if run.changes_keys() {
        let text = format!(
            "Error: cannot add or remove keys on non-existent file {file:?}, use `--kms` and \
             `--pgp` instead."
        );
        return Err(fail(Exit::KeysOfMissingFile, text));
    }
    if must_be_there { run.check_there() } else { Ok(()) }
}
