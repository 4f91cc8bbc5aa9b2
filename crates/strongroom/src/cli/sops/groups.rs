//! `updatekeys`, `groups`: which master keys a file has.

use std::io::Read as _;
use std::path::Path;

use strongroom_sops::keys::{Told, named};
use strongroom_sops::metadata::KeyGroup;
use strongroom_sops::stores::Store;
use strongroom_sops::update::{self, Plan};
use strongroom_sops::{Error, Exit, Result, Tree};

use super::crypt::marshal;
use super::log::stamped;
use super::{End, Outcome, Run, fail, fatal, files};

/// Bytes of an answer that are looked at.
const ANSWER_BYTES_MAX: usize = 64;

/// `updatekeys`
pub fn updatekeys(run: &mut Run<'_, '_>) -> Outcome {
    let config = run.needed_config_path()?;
    if run.args.is_empty() {
        return Err(fail(Exit::NoFile, "Error: no file specified"));
    }
    let names = run.args.clone();
    if let [one] = names.as_slice() {
        return Ok(update_keys(run, one, &config)?);
    }
    let mut failed = 0;
    for name in &names {
        if let Err(error) = update_keys(run, name, &config) {
            failed += 1;
            run.log(&Told::new("CMD", "error", &error.text));
        }
    }
    if failed > 0 {
        return Err(fail(Exit::General, format!("failed updating {failed} key(s)")));
    }
    Ok(())
}

fn update_keys(run: &mut Run<'_, '_>, name: &str, config_path: &Path) -> Result<()> {
    let file = files::absolute(name)?;
    let there = std::fs::metadata(&file).map_err(|error| {
        let reason = crate::cli::command::io_reason(&error);
        Error::general(format!("stat {}: {reason}", file.display()))
    })?;
    if there.is_dir() {
        return Err(Error::general("can't operate on a directory"));
    }
    let store = run.input_store(&file)?;
    run.tell(&stamped(&format!("Syncing keys for file {}", file.display())));
    let bytes = run.read_input(Some(&file))?;
    let mut tree = store.load_encrypted(&bytes)?;
    let config = run.config_at(config_path)?;
    let Some(rule) = config.creation_rule(config_path, &file)? else {
        return Err(Error::general(format!(
            "The config file {} does not contain any creation rule",
            config_path.display()
        )));
    };
    rule.rule()?;
    let mut groups = rule.keys.records(&[])?;
    let keys = run.keys()?;
    named::complete(&mut groups, &keys.machine)?;
    let asked = usize::try_from(run.own.int("shamir-secret-sharing-threshold")).unwrap_or(0);
    let plan = Plan::new(&tree.metadata, &groups, asked);
    if !plan.changes() {
        run.tell(&stamped(&format!("File {} already up to date", file.display())));
        return Ok(());
    }
    let mut text = "The following changes will be made to the file's groups:\n".to_owned();
    for (colour, line) in plan.lines() {
        let line = if run.world.out_terminal { colour.paint(&line) } else { line };
        text.push_str(&line);
        text.push('\n');
    }
    said(run.write_out(text.as_bytes()))?;
    if !run.own.is("yes") && !agreed(run, "Is this okay? (y/n):")? {
        run.tell(&stamped(&format!("File {} left unchanged", file.display())));
        return Ok(());
    }
    plan.apply(&mut tree.metadata, groups, &keys)?;
    let output = marshal(store, &mut tree)?;
    files::replace(&file, &output)
        .map_err(|error| Error::general(format!("could not open file for writing: {error}")))?;
    run.tell(&stamped(&format!("File {} synced with new keys", file.display())));
    Ok(())
}

fn said(outcome: Outcome) -> Result<()> {
    match outcome {
        Err(End::Failed(error)) => Err(error),
        _ => Ok(()),
    }
}

/// Asks on the standard input until the answer is one.
pub fn agreed(run: &mut Run<'_, '_>, question: &str) -> Result<bool> {
    loop {
        said(run.write_out(question.as_bytes()))?;
        let (line, ended) = answer(run);
        let line = String::from_utf8_lossy(&line);
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (_, Some(_)) => return Err(Error::general("expected newline")),
            (Some("y"), _) => return Ok(true),
            (Some("n"), _) => return Ok(false),
            (None, _) if ended => return Err(Error::general("EOF")),
            (None, _) => return Err(Error::general("unexpected newline")),
            _ => {}
        }
    }
}

/// A line of the standard input, of which more than is needed is passed over; is it the last?
fn answer(run: &mut Run<'_, '_>) -> (Vec<u8>, bool) {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        match run.world.stdin.read(&mut byte) {
            Ok(1) if byte == *b"\n" => return (line, false),
            Ok(1) if line.len() < ANSWER_BYTES_MAX => line.extend_from_slice(&byte),
            Ok(1) => {}
            _ => return (line, true),
        }
    }
}

/// The file of `--file`, and how it is read and written.
fn opened(run: &mut Run<'_, '_>) -> Result<(std::path::PathBuf, Store, Tree)> {
    let name = run.own.text("file").to_owned();
    let file = files::absolute(&name)?;
    let (input, output) = (run.input_store(&file)?, run.output_store(&file)?);
    // Named as it was given.
    let bytes = run.read_input(Some(Path::new(&name)))?;
    Ok((file, output, input.load_encrypted(&bytes)?))
}

fn threshold(run: &Run<'_, '_>) -> usize {
    usize::try_from(run.own.int("shamir-secret-sharing-threshold")).unwrap_or(0)
}

/// These commands have no exit code of their own for what goes wrong: it is in the log.
fn logged(error: Error) -> End {
    fatal(error.exiting(Exit::General))
}

/// `groups add`
pub fn add(run: &mut Run<'_, '_>) -> Outcome {
    if !run.args.is_empty() {
        return Err(fail(Exit::General, "error: no positional arguments allowed"));
    }
    let context = named::encryption_context(run.own.text("encryption-context"))?;
    let profile = run.own.text("aws-profile").to_owned();
    let listed = |run: &Run<'_, '_>, name: &str| run.own.list(name).join(",");
    let mut group = KeyGroup(named::pgp(&listed(run, "pgp")));
    group.0.extend(named::kms(&listed(run, "kms"), &context, &profile));
    group.0.extend(named::gcp_kms(&listed(run, "gcp-kms")));
    group.0.extend(named::hckms(&listed(run, "hckms"))?);
    group.0.extend(named::hc_vault(&listed(run, "hc-vault-transit"))?);
    group.0.extend(named::azure_kv(&listed(run, "azure-kv"))?);
    group.0.extend(named::age(&listed(run, "age"))?);
    let (file, store, mut tree) = opened(run).map_err(fatal)?;
    let keys = run.keys()?;
    let mut groups = [group];
    named::complete(&mut groups, &keys.machine)?;
    let [group] = groups;
    update::add_group(&mut tree.metadata, group, threshold(run), &keys).map_err(logged)?;
    let output = marshal(store, &mut tree)?;
    run.deliver(Some(&file), &output)
}

/// `groups delete`
pub fn delete(run: &mut Run<'_, '_>) -> Outcome {
    let [index] = run.args.as_slice() else {
        let text = "error: exactly one positional argument (index) required";
        return Err(fail(Exit::General, text));
    };
    let at: u32 = index.parse().map_err(|_| {
        logged(Error::general(format!("failed to parse [index] argument: {index:?}")))
    })?;
    let (file, store, mut tree) = opened(run).map_err(fatal)?;
    let keys = run.keys()?;
    update::delete_group(&mut tree.metadata, at as usize, threshold(run), &keys).map_err(logged)?;
    let output = marshal(store, &mut tree)?;
    run.deliver(Some(&file), &output)
}
