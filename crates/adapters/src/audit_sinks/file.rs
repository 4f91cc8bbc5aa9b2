//! The `file` sink. No call of the API may write what it likes to a file of the host (threat
//! CVE-2025-6000): it makes its own regular file, never executable, never a link, never one that
//! holds something else.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use strongroom_base::{Error, Result};
use strongroom_kernel::audit::sinks::Sink;
use strongroom_kernel::audit::verify::index_of;

/// Bytes from the end in which the last line is looked for.
const TAIL_BYTES: u64 = 1 << 20;

enum Target {
    Discard,
    Stdout,
    File(PathBuf, u32),
}

/// Appends lines to a file; it opens the file anew for each piece, so that rotation by renaming
/// needs no signal.
pub(super) struct FileSink {
    target: Target,
}

impl FileSink {
    pub(super) fn open(options: &BTreeMap<String, String>, folders: &[PathBuf]) -> Result<Self> {
        super::only(options, &["file_path", "path", "mode"])?;
        let path = options.get("file_path").or_else(|| options.get("path"));
        let path = match path.map(|p| p.trim()) {
            None | Some("") => return Err(Error::bad_request("file_path is required")),
            Some("discard") => return Ok(Self { target: Target::Discard }),
            Some("stdout") => return Ok(Self { target: Target::Stdout }),
            Some(path) => PathBuf::from(path),
        };
        let mode = match options.get("mode").map(String::as_str) {
            None | Some("" | "0" | "0000") => 0o600,
            Some(text) => u32::from_str_radix(text, 8)
                .ok()
                .filter(|m| m & !0o666 == 0)
                .ok_or_else(|| Error::bad_request("mode must be octal, without execute bits"))?,
        };
        if !path.is_absolute() || path.components().any(|c| c == Component::ParentDir) {
            return Err(Error::bad_request("file_path must be absolute and without \"..\""));
        }
        if !folders.is_empty() && !folders.iter().any(|f| path.starts_with(f)) {
            return Err(Error::bad_request("file_path lies outside of the configured folders"));
        }
        let sink = Self { target: Target::File(path, mode) };
        sink.file().map_err(|e| {
            Error::bad_request("sanity check failed; unable to open the file for writing")
                .because(e)
        })?;
        Ok(sink)
    }

    fn file(&self) -> io::Result<Option<File>> {
        let Target::File(path, mode) = &self.target else { return Ok(None) };
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(*mode)
            .custom_flags(
                (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32
            )
            .open(path)?;
        check_own(&file, path)?;
        Ok(Some(file))
    }
}

/// A regular file of ours that is empty or holds audit lines.
fn check_own(file: &File, path: &Path) -> io::Result<()> {
    let refuse = |why: &str| Err(io::Error::other(format!("{}: {why}", path.display())));
    let meta = file.metadata()?;
    if !meta.is_file() {
        return refuse("is no regular file");
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return refuse("belongs to another user");
    }
    if meta.permissions().mode() & 0o111 != 0 {
        return refuse("is executable");
    }
    if meta.nlink() > 1 {
        return refuse("has another name");
    }
    if meta.len() > 0 {
        let mut first = [0; 9];
        let mut reader = file;
        reader.seek(SeekFrom::Start(0))?;
        reader.read_exact(&mut first)?;
        if &first != b"{\"time\":\"" {
            return refuse("holds something else than audit lines");
        }
    }
    Ok(())
}

impl Sink for FileSink {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match &self.target {
            Target::Discard => Ok(()),
            Target::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
            Target::File(..) => {
                let Some(mut file) = self.file()? else { return Ok(()) };
                let before = file.metadata()?.len();
                file.write_all(lines).inspect_err(|_| {
                    // No torn line stays; what fails here too is cut by the next attempt's reader.
                    let _ = file.set_len(before);
                })
            }
        }
    }

    fn last_index(&mut self) -> Option<u64> {
        let mut file = self.file().ok()??;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).ok()?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail).ok()?;
        tail.split(|b| *b == b'\n').rev().find_map(index_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path, folders: &[PathBuf]) -> Result<FileSink> {
        let options = BTreeMap::from([("file_path".to_owned(), path.display().to_string())]);
        FileSink::open(&options, folders)
    }

    #[test]
    fn writes_only_files_of_its_own() {
        // threat CVE-2025-6000
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut sink = open(&at("a.log"), &[]).unwrap();
        sink.write(b"{\"time\":\"x\"}\n").unwrap();
        assert_eq!(std::fs::metadata(at("a.log")).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(open(&at("a.log"), &[]).is_ok(), "its own file goes on");

        std::fs::write(at("foreign"), "ssh-rsa AAAA").unwrap();
        assert!(open(&at("foreign"), &[]).is_err());
        std::os::unix::fs::symlink(at("a.log"), at("link")).unwrap();
        assert!(open(&at("link"), &[]).is_err());
        std::fs::hard_link(at("a.log"), at("hard")).unwrap();
        assert!(open(&at("hard"), &[]).is_err());
        std::fs::write(at("run"), "").unwrap();
        std::fs::set_permissions(at("run"), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(open(&at("run"), &[]).is_err());
        assert!(open(folder.path(), &[]).is_err());
        assert!(open(Path::new("relative.log"), &[]).is_err());
        assert!(open(&at("x/../b.log"), &[]).is_err());
        assert!(open(&at("b.log"), &[PathBuf::from("/var/log/strongroom")]).is_err());
        assert!(open(&at("b.log"), &[folder.path().to_owned()]).is_ok());
        for (name, value) in [("mode", "0755"), ("mode", "9"), ("nonsense", "1")] {
            let options = BTreeMap::from([
                ("file_path".to_owned(), at("c.log").display().to_string()),
                (name.to_owned(), value.to_owned()),
            ]);
            assert!(FileSink::open(&options, &[]).is_err(), "{name}={value}");
        }
    }
}
