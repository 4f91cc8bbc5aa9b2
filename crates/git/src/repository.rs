//! A repository, through the `git` program.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use strongroom_base::SecretBytes;

use crate::{Error, Result};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A repository with a working tree.
#[derive(Debug)]
pub struct Repository {
    /// The top of the working tree.
    top: PathBuf,
    /// `.git`, that of the main working tree.
    git: PathBuf,
}

/// Changes a setting of the user, for all repositories.
pub fn set_globally(name: &str, value: &str) -> Result<()> {
    let mut git = Command::new("git");
    git.args(["config", "--global", name, value]);
    finish(git, None).map(drop)
}

/// Merges the lines of three files, as Git does it; true where there are conflicts, which stand in the
/// text.
pub fn merge_file(ours: &Path, base: &Path, theirs: &Path) -> Result<(SecretBytes, bool)> {
    let mut git = Command::new("git");
    git.args(["merge-file", "-p", "-L", "ours", "-L", "base", "-L", "theirs"]);
    git.args([ours, base, theirs]).stdin(Stdio::null());
    let output = git.output().map_err(|error| Error::new(format!("git: {error}")))?;
    let merged = SecretBytes::new(output.stdout);
    match output.status.code() {
        Some(0) => Ok((merged, false)),
        // The number of conflicts.
        Some(1..=127) => Ok((merged, true)),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            // It names the temporary files.
            let binary = said.contains("binary");
            let why = if binary { "binary files are not merged" } else { "git merge-file failed" };
            Err(Error::new(why))
        }
    }
}

impl Repository {
    /// The repository that a folder belongs to.
    pub fn of(folder: &Path) -> Result<Self> {
        let mut git = Command::new("git");
        git.arg("-C").arg(folder).args(["rev-parse", "--path-format=absolute"]);
        git.args(["--show-toplevel", "--git-common-dir"]);
        let printed = finish(git, None)?;
        let mut lines = printed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        match (lines.next(), lines.next(), lines.next()) {
            (Some(top), Some(git), None) => Ok(Self { top: path_of(top), git: path_of(git) }),
            _ => Err(Error::new("not a git repository with a working tree")),
        }
    }

    /// The top of the working tree.
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// The folder that holds what is no part of the repository.
    pub fn git_folder(&self) -> &Path {
        &self.git
    }

    /// `git` with these words, at the top of the tree; what it printed.
    pub fn git<I: AsRef<OsStr>>(&self, words: &[I]) -> Result<Vec<u8>> {
        self.git_with(words, None)
    }

    /// The same with something to read.
    pub fn git_with<I: AsRef<OsStr>>(&self, words: &[I], input: Option<&[u8]>) -> Result<Vec<u8>> {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.top).arg("--literal-pathspecs").args(words);
        finish(git, input)
    }

    /// A setting of the repository or of the user.
    pub fn setting(&self, name: &str) -> Option<String> {
        let value = self.git(&["config", "--get", name]).ok()?;
        Some(String::from_utf8_lossy(&value).trim_end_matches('\n').to_owned())
    }

    /// Changes a setting of the repository.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        self.git(&["config", "--local", name, value]).map(drop)
    }

    /// Takes a section of settings away, if it is there.
    pub fn unset_section(&self, name: &str) {
        // It fails if there is none.
        let _ = self.git(&["config", "--local", "--remove-section", name]);
    }

    /// Is there a commit?
    pub fn has_commit(&self) -> bool {
        self.git(&["rev-parse", "--verify", "--quiet", "HEAD"]).is_ok()
    }

    /// What differs from the last commit in tracked files, one a line; empty in a clean tree.
    pub fn changes(&self) -> Result<String> {
        let output = self.git(&["status", "--porcelain", "--untracked-files=no"])?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    /// Tracked files, with the name of their blob in the index.
    pub fn tracked(&self) -> Result<Vec<(OsString, String)>> {
        let output = self.git(&["ls-files", "--stage", "-z"])?;
        let entries = output.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
        let mut files: Vec<(OsString, String)> = Vec::new();
        for entry in entries {
            // MODE BLOB STAGE<tab>PATH
            let tab = entry.iter().position(|byte| *byte == b'\t').unwrap_or(entry.len());
            let (head, path) = entry.split_at(tab);
            let head = String::from_utf8_lossy(head).into_owned();
            let mut words = head.split(' ');
            let (mode, blob) = (words.next().unwrap_or_default(), words.next());
            // Regular files only: links and submodules are not filtered.
            if mode.starts_with("100")
                && let (Some(blob), Some(path)) = (blob, path.get(1..))
                && files.last().is_none_or(|(last, _)| last.as_bytes() != path)
            {
                files.push((OsString::from_vec(path.to_vec()), blob.to_owned()));
            }
        }
        Ok(files)
    }

    /// Files that are not tracked and not ignored.
    pub fn untracked(&self) -> Result<Vec<OsString>> {
        let output = self.git(&["ls-files", "--others", "--exclude-standard", "-z"])?;
        let names = output.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| OsString::from_vec(name.to_vec())).collect())
    }

    /// Which of the files have this value of an attribute.
    pub fn with_attribute(
        &self,
        files: &[OsString],
        attribute: &str,
        value: &str,
    ) -> Result<Vec<bool>> {
        let input = joined(files.iter().map(OsString::as_os_str));
        let output = self.git_with(&["check-attr", "--stdin", "-z", attribute], Some(&input))?;
        let fields: Vec<&[u8]> = output.split(|byte| *byte == 0).collect();
        // PATH, ATTRIBUTE, VALUE for each.
        let values = fields.chunks_exact(3).map(|it| it.get(2) == Some(&value.as_bytes()));
        let values: Vec<bool> = values.collect();
        match values.len() == files.len() {
            true => Ok(values),
            false => Err(Error::new("git check-attr answered for other files than asked")),
        }
    }

    /// The first bytes of blobs, in their order.
    pub fn blobs_begin(&self, blobs: &[&str], bytes: usize) -> Result<Vec<Vec<u8>>> {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.top).args(["cat-file", "--batch"]);
        git.stdin(Stdio::piped()).stdout(Stdio::piped());
        let failed = |error: std::io::Error| Error::new(format!("git cat-file: {error}"));
        let mut child = git.spawn().map_err(failed)?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::new("git cat-file: no pipes"));
        };
        let mut output = std::io::BufReader::new(output);
        let mut read = || -> std::io::Result<Vec<Vec<u8>>> {
            let mut begins = Vec::new();
            for blob in blobs {
                // One at a time: more would fill both pipes.
                writeln!(input, "{blob}")?;
                input.flush()?;
                begins.push(next_blob(&mut output, bytes)?);
            }
            Ok(begins)
        };
        let begins = read().map_err(failed);
        drop(input);
        child.wait().map_err(failed)?;
        begins
    }

    /// Writes files of the index into the working tree anew, through the filters.
    pub fn check_out(&self, files: &[OsString]) -> Result<()> {
        let there: Vec<&OsStr> = files.iter().map(OsString::as_os_str).collect();
        if there.is_empty() {
            return Ok(());
        }
        for name in &there {
            // Git leaves alone what is as old and as long as it knows it. That may be what was set here
            // before, where nothing came of it: so it is another time each time.
            let path = self.top.join(name);
            if let Ok(file) = std::fs::File::options().write(true).open(&path) {
                let failed = |error: std::io::Error| Error::file(&path, &error);
                let now = file.metadata().and_then(|it| it.modified()).map_err(failed)?;
                file.set_modified(another_old_time(now)).map_err(failed)?;
            }
        }
        let words = ["checkout", "--force", "--pathspec-from-file=-", "--pathspec-file-nul"];
        self.git_with(&words, Some(&joined(there.into_iter()))).map(drop)
    }
}

/// A time at the beginning of the epoch, behind one that was set before.
fn another_old_time(now: SystemTime) -> SystemTime {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let set_before = since < DAY;
    UNIX_EPOCH + Duration::from_secs(if set_before { since.as_secs() + 1 } else { 1 })
}

/// One answer of `git cat-file --batch`.
fn next_blob(output: &mut impl std::io::BufRead, bytes: usize) -> std::io::Result<Vec<u8>> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    let size = line.trim_end().rsplit(' ').next().and_then(|size| size.parse::<u64>().ok());
    let size = size.ok_or_else(|| std::io::Error::other(line.trim_end().to_owned()))?;
    let mut begin = Vec::new();
    output.by_ref().take(size.min(bytes as u64)).read_to_end(&mut begin)?;
    // The rest, and a line end.
    let rest = size - begin.len() as u64 + 1;
    std::io::copy(&mut output.by_ref().take(rest), &mut std::io::sink())?;
    Ok(begin)
}

fn joined<'n>(names: impl Iterator<Item = &'n OsStr>) -> Vec<u8> {
    let mut all = Vec::new();
    for name in names {
        all.extend_from_slice(name.as_bytes());
        all.push(0);
    }
    all
}

fn path_of(name: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(name))
}

/// Runs a program to its end; what it printed.
fn finish(mut program: Command, input: Option<&[u8]>) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::new(format!("git: {error}"));
    program.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    program.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().map_err(failed)?;
    let pipe = child.stdin.take();
    // Written beside the reading: a program that answers while it is asked would else hang.
    let output: Output = std::thread::scope(|scope| {
        if let (Some(mut pipe), Some(input)) = (pipe, input) {
            // One that ends early says why itself.
            scope.spawn(move || drop(pipe.write_all(input)));
        }
        child.wait_with_output()
    })
    .map_err(failed)?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().strip_prefix("fatal: ").unwrap_or(said.trim());
            Err(Error::new(format!("git: {said}")))
        }
    }
}
