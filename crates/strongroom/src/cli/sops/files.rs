//! Files of the command line: read, and replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use strongroom_base::Rng;
use strongroom_server::real::RealRng;
use strongroom_sops::stores::Store;
use strongroom_sops::{Error, Exit, Result, Tree};
use zeroize::Zeroizing;

use super::private::Passing;
use super::{Outcome, Run, fail};
use crate::cli::command::io_reason;

/// Bytes of a file, at most.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// An absolute path, without `.` and `..`, as Go has it.
pub fn absolute(path: &str) -> Result<PathBuf> {
    let whole = std::path::absolute(if path.is_empty() { "." } else { path });
    let whole = whole.map_err(|error| Error::general(error.to_string()))?;
    let mut clean = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    Ok(clean)
}

/// All of a file.
pub fn read(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    all_of(file, size)
}

/// All of a stream.
pub fn all_of(stream: impl Read, expected: u64) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // With room for all, nothing is left behind where the bytes were before.
    let room = usize::try_from(expected.min(FILE_BYTES_MAX)).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    stream.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other("the file is too large"));
    }
    Ok(bytes)
}

/// Replaces a file: a new one is written beside it and takes its name. Mode and owner stay. What is no
/// file of its own (a pipe, a terminal) is written to.
pub fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    replace_by(path, 0o666, &mut |out| out.write_all(bytes))
}

/// Writes what a file will hold. It may be asked again.
type Fill<'f> = &'f mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>;

/// The same; a new file gets this mode, less the umask.
fn replace_by(path: &Path, new_mode: u32, fill: Fill<'_>) -> std::io::Result<()> {
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let there = fs::metadata(&target).ok();
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        return fill(&mut File::options().write(true).open(&target)?);
    }
    match beside(&target, fill, there.as_ref(), new_mode) {
        // Where nothing may be made beside it, there is only the file itself.
        Err(error) if there.is_some() && error.kind() == std::io::ErrorKind::PermissionDenied => {
            // What cannot be written whole leaves it as it is.
            let mut bytes = Zeroizing::new(Vec::new());
            fill(&mut *bytes)?;
            let mut file = File::options().write(true).truncate(true).open(&target)?;
            file.write_all(&bytes)?;
            file.sync_all()
        }
        done => done,
    }
}

fn beside(
    target: &Path,
    fill: Fill<'_>,
    there: Option<&fs::Metadata>,
    new_mode: u32,
) -> std::io::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("/"));
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let random = u64::from_ne_bytes((&RealRng as &dyn Rng).array());
    let new = folder.join(format!(".{name}.{random:016x}"));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // A file that is there says who may read it; nobody else may, not for a moment.
    options.mode(if there.is_some() { 0o600 } else { new_mode });
    // It may hold what is decrypted: no signal leaves it behind.
    let (passing, file) = Passing::make(&new, || options.open(&new))?;
    let mut file = owned_as(file, there)?;
    fill(&mut file)?;
    file.sync_all()?;
    passing.rename(target)
}

/// With the owner and the mode of the file that was there.
fn owned_as(file: File, there: Option<&fs::Metadata>) -> std::io::Result<File> {
    if let Some(there) = there {
        let ours = file.metadata()?;
        if (ours.uid(), ours.gid()) != (there.uid(), there.gid()) {
            std::os::unix::fs::fchown(&file, Some(there.uid()), Some(there.gid()))?;
        }
        file.set_permissions(fs::Permissions::from_mode(there.mode() & 0o7777))?;
    }
    Ok(file)
}

impl Run<'_, '_> {
    /// The input: a file, or the standard input.
    pub(super) fn read_input(&mut self, path: Option<&Path>) -> Result<Zeroizing<Vec<u8>>> {
        let refused = |text: String| Error::new(Exit::Read, text);
        match path {
            Some(path) => read(path).map_err(|error| {
                let reason = io_reason(&error);
                // A folder can be opened.
                let way = match error.kind() {
                    std::io::ErrorKind::IsADirectory => "read",
                    _ => "open",
                };
                refused(format!("Error reading file: {way} {}: {reason}", path.display()))
            }),
            None => all_of(&mut self.world.stdin, 64 * 1024)
                .map_err(|error| refused(format!("Error reading from stdin: {error}"))),
        }
    }

    /// Writes a file back to where it came from.
    pub(super) fn write_in_place(&mut self, path: &Path, bytes: &[u8]) -> Outcome {
        self.write_in_place_by(path, &mut |out| out.write_all(bytes))
    }

    fn write_in_place_by(&mut self, path: &Path, fill: Fill<'_>) -> Outcome {
        replace_by(path, 0o666, fill).map_err(|error| {
            let reason = io_reason(&error);
            let text = format!(
                "Could not open in-place file for writing: open {}: {reason}",
                path.display()
            );
            Error::new(Exit::Write, text)
        })?;
        self.info("File written successfully");
        Ok(())
    }

    /// Writes an encrypted document: in place, to the file that was named, or to the standard output.
    pub(super) fn deliver_sealed(
        &mut self,
        path: Option<&Path>,
        store: Store,
        tree: &mut Tree,
    ) -> Outcome {
        let mut refused = None;
        let outcome = self.deliver_by(path, 0o666, &mut |out| {
            store.emit_encrypted_to(tree, out).unwrap_or_else(|error| {
                refused = Some(error);
                Err(std::io::Error::other("it cannot be written"))
            })
        });
        match refused {
            Some(error) => Err(error.within("Could not marshal tree").exiting(Exit::Emit).into()),
            None => outcome,
        }
    }

    /// Writes what came out: in place, to the file that was named, or to the standard output.
    pub(super) fn deliver(&mut self, path: Option<&Path>, bytes: &[u8]) -> Outcome {
        self.deliver_by(path, 0o666, &mut |out| out.write_all(bytes))
    }

    /// The same with what is decrypted: a new file is for its owner only.
    pub(super) fn deliver_plain(&mut self, path: Option<&Path>, bytes: &[u8]) -> Outcome {
        self.deliver_by(path, 0o600, &mut |out| out.write_all(bytes))
    }

    fn deliver_by(&mut self, path: Option<&Path>, new_mode: u32, fill: Fill<'_>) -> Outcome {
        if let Some(path) = path.filter(|_| self.own.is("in-place")) {
            return self.write_in_place_by(path, fill);
        }
        let output = self.own.text("output").to_owned();
        if output.is_empty() {
            return self.write_out_by(fill);
        }
        replace_by(Path::new(&output), new_mode, fill).map_err(|error| {
            let reason = io_reason(&error);
            // It was opened, and could not take all.
            if error.kind() == std::io::ErrorKind::StorageFull {
                return fail(Exit::General, format!("write {output}: {reason}"));
            }
            let text = format!("Could not open output file for writing: open {output}: {reason}");
            Error::new(Exit::Write, text).into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_keeps_its_mode_and_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("l");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        replace(&folder.path().join("fresh"), b"x").unwrap();
        let plain = folder.path().join("plain");
        replace_by(&plain, 0o600, &mut |out| out.write_all(b"x")).unwrap();
        // What cannot be written whole changes nothing.
        let half = |out: &mut dyn Write| {
            out.write_all(b"half")?;
            Err(std::io::Error::other("refused"))
        };
        assert!(replace_by(&plain, 0o600, &mut { half }).is_err());
        assert_eq!(fs::metadata(&plain).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::read(&plain).unwrap(), b"x");
        assert!(replace(&folder.path().join("no/folder"), b"x").is_err());
        replace(Path::new("/dev/null"), b"x").unwrap();
    }

    #[test]
    fn paths_are_cleaned() {
        assert_eq!(absolute("/a/./b/../c").unwrap(), Path::new("/a/c"));
        assert!(absolute("x").unwrap().is_absolute());
    }
}
