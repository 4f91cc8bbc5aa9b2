//! `updatekeys`, `groups`: which master keys a file has.

use std::io::Read as _;
use std::path::Path;

use strongroom_sops::keys::named;
use strongroom_sops::metadata::KeyGroup;
use strongroom_sops::stores::Store;
use strongroom_sops::update::{self, Plan};
use strongroom_sops::{Error, Exit, Result, Tree};

use super::crypt::marshal;
use super::{Outcome, Run, fail, files};

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
            run.log("error", &error.text);
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
    run.tell(&format!("Syncing keys for file {}", file.display()));
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
        run.tell(&format!("File {} already up to date", file.display()));
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
        run.tell(&format!("File {} left unchanged", file.display()));
        return Ok(());
    }
    plan.apply(&mut tree.metadata, groups, &keys)?;
    let output = marshal(store, &mut tree)?;
    files::replace(&file, &output)
        .map_err(|error| Error::general(format!("could not open file for writing: {error}")))?;
    run.tell(&format!("File {} synced with new keys", file.display()));
    Ok(())
}

fn said(outcome: Outcome) -> Result<()> {
    match outcome {
        Err(super::End::Failed(error)) => Err(error),
        _ => Ok(()),
    }
}

/// Asks on the standard input until the answer is one.
pub fn agreed(run: &mut Run<'_, '_>, question: &str) -> Result<bool> {
    loop {
        said(run.write_out(question.as_bytes()))?;
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            match run.world.stdin.read(&mut byte) {
                Ok(1) if byte == *b"\n" => break,
                Ok(1) if line.len() < 64 => line.extend_from_slice(&byte),
                Ok(1) => {}
                _ if line.is_empty() => return Err(Error::general("unexpected newline")),
                _ => break,
            }
        }
        match String::from_utf8_lossy(&line).trim() {
            "y" => return Ok(true),
            "n" => return Ok(false),
            "" => return Err(Error::general("unexpected newline")),
            _ => {}
        }
    }
}

/// The file of `--file`, and how it is read and written.
fn opened(run: &mut Run<'_, '_>) -> Result<(std::path::PathBuf, Store, Tree)> {
    let name = run.own.text("file").to_owned();
    let file = files::absolute(&name)?;
    let (input, output) = (run.input_store(&file)?, run.output_store(&file)?);
    let bytes = run.read_input(Some(&file))?;
    Ok((file, output, input.load_encrypted(&bytes)?))
}

fn threshold(run: &Run<'_, '_>) -> usize {
    usize::try_from(run.own.int("shamir-secret-sharing-threshold")).unwrap_or(0)
}

/// These commands have no exit code of their own for a data key that cannot be had.
fn plain_exit(error: Error) -> Error {
    error.exiting(Exit::General)
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
    let (file, store, mut tree) = opened(run)?;
    let keys = run.keys()?;
    let mut groups = [group];
    named::complete(&mut groups, &keys.machine)?;
    let [group] = groups;
    update::add_group(&mut tree.metadata, group, threshold(run), &keys).map_err(plain_exit)?;
    let output = marshal(store, &mut tree)?;
    run.deliver(Some(&file), &output)
}

/// `groups delete`
pub fn delete(run: &mut Run<'_, '_>) -> Outcome {
    let [index] = run.args.as_slice() else {
        let text = "error: exactly one positional argument (index) required";
        return Err(fail(Exit::General, text));
    };
    let at: u32 = index
        .parse()
        .map_err(|_| fail(Exit::General, format!("failed to parse [index] argument: {index:?}")))?;
    let (file, store, mut tree) = opened(run)?;
    let keys = run.keys()?;
    update::delete_group(&mut tree.metadata, at as usize, threshold(run), &keys)
        .map_err(plain_exit)?;
    let output = marshal(store, &mut tree)?;
    run.deliver(Some(&file), &output)
}
