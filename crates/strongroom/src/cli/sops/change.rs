//! `set`, `unset`.

use strongroom_sops::cipher::Nonces;
use strongroom_sops::path::{self, Step, Unset};
use strongroom_sops::stores::json;
use strongroom_sops::{Error, Exit, Result, Value};

use super::crypt::{Target, check_plain, marshal, seal};
use super::{Outcome, Run, fail, files};

/// A value as it was given: JSON.
fn value_of(text: &str) -> Result<Value> {
    json::value(text).ok_or_else(|| Error::new(Exit::Set, "Value for --set is not valid JSON"))
}

impl Run<'_, '_> {
    /// A file in which a value was set; was anything changed?
    pub(super) fn with_value(
        &mut self,
        target: &Target,
        steps: &[Step],
        value: Value,
    ) -> Result<(Vec<u8>, bool)> {
        let keys = self.keys()?;
        let mut nonces = Nonces::default();
        let (mut tree, key) =
            self.open(target.file.as_deref(), target.input, &keys, Some(&mut nonces))?;
        let changed = match tree.branches.first_mut() {
            Some(first) => path::set(first, steps, value)?,
            None => false,
        };
        check_plain(target.output, &tree.branches)?;
        seal(&mut tree, &key, &keys, &mut nonces)?;
        Ok((marshal(target.output, &mut tree)?, changed))
    }
}

/// The old form, `PATH VALUE` in one.
pub fn split(text: &str) -> Result<(Vec<Step>, Value)> {
    let wrong = || Error::new(Exit::Set, "Invalid --set format");
    let (path, value) = text.split_once("] ").ok_or_else(wrong)?;
    let value = value_of(value)?;
    let steps = path::parse(&format!("{}]", path.trim_end())).map_err(|_| wrong())?;
    if steps.is_empty() {
        return Err(wrong());
    }
    Ok((steps, value))
}

/// `set`
pub fn set(run: &mut Run<'_, '_>) -> Outcome {
    let (from_file, from_stdin) = (run.own.is("value-file"), run.own.is("value-stdin"));
    if from_file && from_stdin {
        let text = "Error: cannot use both --value-file and --value-stdin";
        return Err(fail(Exit::General, text));
    }
    if from_stdin && run.args.len() != 2 {
        return Err(fail(
            Exit::NoFile,
            "Error: file specified, or index and value are missing. Need precisely 2 positional \
             arguments since --value-stdin is used.",
        ));
    }
    if !from_stdin && run.args.len() != 3 {
        return Err(fail(
            Exit::NoFile,
            "Error: no file specified, or index and value are missing. Need precisely 3 positional \
             arguments.",
        ));
    }
    let target = run.target()?;
    let steps = path::parse(&run.args[1]).ok().filter(|steps| !steps.is_empty());
    let Some(steps) = steps else { return Err(fail(Exit::Set, "Invalid set index format")) };
    let text = if from_stdin {
        run.read_input(None)?
    } else if from_file {
        let name = run.args[2].clone();
        files::read(std::path::Path::new(&name)).map_err(|error| {
            let reason = crate::cli::command::io_reason(&error);
            fail(Exit::General, format!("open {name}: {reason}"))
        })?
    } else {
        zeroize::Zeroizing::new(run.args[2].clone().into_bytes())
    };
    let text = std::str::from_utf8(&text)
        .map_err(|_| fail(Exit::Set, "Value for --set is not valid JSON"))?;
    let (output, changed) = run.with_value(&target, &steps, value_of(text)?)?;
    match target.file {
        Some(_) if !changed && run.own.is("idempotent") => {
            run.info("File not written due to no change");
            Ok(())
        }
        Some(file) => run.write_in_place(&file, &output),
        None => Ok(()),
    }
}

/// `unset`
pub fn unset(run: &mut Run<'_, '_>) -> Outcome {
    if run.args.len() != 2 {
        return Err(fail(Exit::NoFile, "Error: no file specified, or index is missing"));
    }
    let target = run.target()?;
    let steps = path::parse(&run.args[1]).ok().filter(|steps| !steps.is_empty());
    let Some(steps) = steps else { return Err(fail(Exit::Set, "Invalid unset index format")) };
    let keys = run.keys()?;
    let mut nonces = Nonces::default();
    let (mut tree, key) =
        run.open(target.file.as_deref(), target.input, &keys, Some(&mut nonces))?;
    let first = tree.branches.first_mut();
    let done = first.map_or(Ok(Unset::Done), |first| path::unset(first, &steps))?;
    if let Unset::Missing(text) = done {
        return match run.own.is("idempotent") {
            true => Ok(()),
            false => Err(fail(Exit::General, text)),
        };
    }
    seal(&mut tree, &key, &keys, &mut nonces)?;
    let output = marshal(target.output, &mut tree)?;
    match target.file {
        Some(file) => run.write_in_place(&file, &output),
        None => Ok(()),
    }
}
