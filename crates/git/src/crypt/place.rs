//! Files in a working tree that others fill: a link in it never leads a write or a read elsewhere.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use crate::{Error, Result};

/// What stands at a place itself, links not followed.
fn there(path: &Path) -> Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file(path, &error)),
    }
}

fn refused<T>(path: &Path, what: &str) -> Result<T> {
    Err(Error::new(format!("{}: is no {what}", path.display())))
}

/// Is a folder there? A file is none; a link is refused.
pub fn is_folder(path: &Path) -> Result<bool> {
    match there(path)? {
        Some(there) if there.is_symlink() => refused(path, "folder"),
        there => Ok(there.is_some_and(|it| it.is_dir())),
    }
}

/// Is a regular file there? Whatever else stands there is refused.
pub fn is_file(path: &Path) -> Result<bool> {
    match there(path)? {
        Some(there) if !there.is_file() => refused(path, "file"),
        there => Ok(there.is_some()),
    }
}

/// Makes a folder, if it is not there.
pub fn make_folder(path: &Path) -> Result<()> {
    match there(path)? {
        Some(there) if there.is_dir() => Ok(()),
        Some(_) => refused(path, "folder"),
        None => fs::create_dir(path).map_err(|error| Error::file(path, &error)),
    }
}

/// Puts a file in its place: a new one is written beside it and takes its name.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    is_file(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.new"));
    // One that an earlier command left, or a link: it is taken away, not followed.
    let _ = fs::remove_file(&new);
    let written =
        fs::File::options().write(true).create_new(true).open(&new).and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&new, path)
        });
    written.map_err(|error| {
        let _ = fs::remove_file(&new);
        Error::file(path, &error)
    })
}

/// All of a regular file of at most so many bytes.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::file(path, &error);
    // Before it is opened: a pipe would keep us waiting.
    if !is_file(path)? {
        return Err(failed(std::io::ErrorKind::NotFound.into()));
    }
    let mut content = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(bytes_max + 1).read_to_end(&mut content).map_err(failed)?;
    match content.len() as u64 > bytes_max {
        true => Err(Error::new(format!("{}: file too long", path.display()))),
        false => Ok(content),
    }
}
