//! `merge-driver`, `textconv`, `install-git`, `status`, `rotate-leaver`: encrypted files in Git. The
//! original has none of these.

use std::path::{Path, PathBuf};

use strongroom_git::Repository;
use strongroom_sops::merge::{Files, merge_files};
use strongroom_sops::metadata::KeyEntry;
use strongroom_sops::stores::Store;
use strongroom_sops::tenure::{self, Tenure};
use strongroom_sops::{Error, Exit, Result, Tree};

use super::crypt::{marshal, new_data_key, now, seal};
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
    for key in &merged.conflicts {
        run.tell(&format!("CONFLICT (sops): {path}: both changed {key}; ours stands"));
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
            run.tell(&format!("sops textconv: {}", error.text.lines().next().unwrap_or_default()));
            let bytes = run.read_input(Some(&file))?;
            run.write_out(&bytes)
        }
    }
}

/// `install-git`: the settings by which Git finds both drivers.
pub fn install_git(run: &mut Run<'_, '_>) -> Outcome {
    let failed = |error: strongroom_git::Error| fail(Exit::General, error.to_string());
    let repository = Repository::of(Path::new(".")).map_err(failed)?;
    let program = run.world.program_path.to_string_lossy().replace('\'', "'\\''");
    let program = format!("'{program}' sops");
    let scope = if run.own.is("global") { "--global" } else { "--local" };
    for (name, value) in [
        (format!("merge.{DRIVER}.name"), "merges by key, and signs anew".to_owned()),
        (format!("merge.{DRIVER}.driver"), format!("{program} merge-driver -- %O %A %B %P")),
        (format!("diff.{DRIVER}.textconv"), format!("{program} textconv --")),
    ] {
        repository.git(&["config", scope, &name, &value]).map_err(failed)?;
    }
    run.write_out(
        b"Say in .gitattributes which files are encrypted, for instance:\n\
          secrets/*.yaml merge=sops diff=sops\n",
    )
}

/// An encrypted file of a tree.
struct Found {
    path: PathBuf,
    /// From the top of the repository.
    name: String,
    store: Store,
    tree: Tree,
}

/// The encrypted files of a repository, or below a folder of it.
fn find(
    run: &mut Run<'_, '_>,
    repository: &Repository,
    below: Option<&Path>,
) -> Result<Vec<Found>> {
    let tracked = repository.tracked().map_err(|error| Error::general(error.to_string()))?;
    let mut all = Vec::new();
    for (name, _) in tracked {
        let path = repository.top().join(&name);
        if below.is_some_and(|below| !path.starts_with(below)) {
            continue;
        }
        let Ok(bytes) = files::read(&path) else { continue };
        let store = run.input_store(&path)?;
        // What does not parse is no encrypted file.
        if let Ok(Some(tree)) = store.load_if_encrypted(&bytes)
            && !tree.metadata.mac.is_empty()
        {
            let name = name.to_string_lossy().into_owned();
            all.push(Found { path, name, store, tree });
        }
    }
    Ok(all)
}

fn keys_of(tree: &Tree) -> impl Iterator<Item = &KeyEntry> {
    tree.metadata.key_groups.iter().flat_map(|group| &group.0)
}

/// Who left a file since its data key was made: read from its history.
fn tenure(repository: &Repository, found: &Found) -> Result<Tenure> {
    let failed = |error: strongroom_git::Error| Error::general(error.to_string());
    let mut tenure = Tenure::of(&found.tree);
    let commits = repository
        .git(&["log", "--format=%H", &format!("-{}", tenure::COMMITS_MAX), "--", &found.name])
        .map_err(failed)?;
    for commit in String::from_utf8_lossy(&commits).lines() {
        let object = format!("{commit}:{}", found.name);
        // A commit that removed it has none.
        let Ok(bytes) = repository.git(&["cat-file", "blob", &object]) else { continue };
        if let Ok(Some(old)) = found.store.load_if_encrypted(&bytes)
            && !tenure.add(&old)
        {
            break;
        }
    }
    Ok(tenure)
}

fn place(run: &Run<'_, '_>, at: usize) -> Result<(Repository, Option<PathBuf>)> {
    let below = run.args.get(at).map(|name| files::absolute(name)).transpose()?;
    let from = below.as_deref().unwrap_or(Path::new("."));
    let folder = if from.is_dir() { from } else { from.parent().unwrap_or(from) };
    let repository = Repository::of(folder).map_err(|error| Error::general(error.to_string()))?;
    Ok((repository, below))
}

/// `status [DIR]`
pub fn status(run: &mut Run<'_, '_>) -> Outcome {
    let (repository, below) = place(run, 0)?;
    let all = find(run, &repository, below.as_deref())?;
    let mut text = String::new();
    let mut stale = 0;
    for found in &all {
        text.push_str(&format!("{}\n", found.name));
        for key in keys_of(&found.tree) {
            text.push_str(&format!("    {}\n", key.shown()));
        }
        let tenure = tenure(&repository, found)?;
        for who in tenure.unknown() {
            text.push_str(&format!(
                "  ? {who} could open an older version; whether the data key is another since is \
                 unknown\n"
            ));
        }
        let left = tenure.left();
        stale += usize::from(!left.is_empty());
        for who in left {
            text.push_str(&format!("  ! {who} left, and the data key is still theirs\n"));
        }
    }
    run.write_out(text.as_bytes())?;
    match stale {
        0 => Ok(()),
        count => Err(fail(
            Exit::General,
            format!(
                "{} a data key of somebody who left (sops rotate-leaver)",
                if count == 1 {
                    "1 file still has".into()
                } else {
                    format!("{count} files still have")
                }
            ),
        )),
    }
}

/// `rotate-leaver RECIPIENT [DIR]`: takes a key from all files, with a new data key for each that it
/// knew.
pub fn rotate_leaver(run: &mut Run<'_, '_>) -> Outcome {
    let Some(leaver) = run.args.first().cloned() else {
        return Err(fail(Exit::General, "Error: no recipient specified"));
    };
    let (repository, below) = place(run, 1)?;
    let keys = run.keys()?;
    let mut count = 0;
    for mut found in find(run, &repository, below.as_deref())? {
        let has = keys_of(&found.tree).any(|key| key.shown() == leaver);
        if !has && !tenure(&repository, &found)?.left().contains(&leaver) {
            continue;
        }
        let groups = &mut found.tree.metadata.key_groups;
        for group in groups.iter_mut() {
            group.0.retain(|key| key.shown() != leaver);
        }
        if groups.iter().any(|group| group.0.is_empty()) {
            let text = format!("{}: nobody else could open it; add another key first", found.name);
            return Err(fail(Exit::NoKey, text));
        }
        let groups = groups.clone();
        let mut nonces = strongroom_sops::cipher::Nonces::default();
        let (mut tree, _) = run.open(Some(&found.path), found.store, &keys, Some(&mut nonces))?;
        tree.metadata.key_groups = groups;
        let key = new_data_key(&mut tree, &keys)?;
        seal(&mut tree, &key, &keys, &mut Default::default())?;
        let bytes = marshal(found.store, &mut tree)?;
        files::replace(&found.path, &bytes).map_err(|error| {
            let reason = crate::cli::command::io_reason(&error);
            fail(Exit::Write, format!("{}: {reason}", found.path.display()))
        })?;
        run.write_out(format!("{}: new data key\n", found.name).as_bytes())?;
        count += 1;
    }
    if count == 0 {
        return run.write_out(b"No file has or had that key.\n");
    }
    run.tell(&format!(
        "What these files hold was known to {leaver}: change it, and take the key out of .sops.yaml."
    ));
    Ok(())
}
