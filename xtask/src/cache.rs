//! Where tools and build products live between runs, and how cargo is called.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// `${XDG_CACHE_HOME:-~/.cache}/strongroom`.
pub fn folder() -> PathBuf {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(env::var_os("HOME").unwrap_or_else(|| ".".into())).join(".cache"),
    };
    base.join("strongroom")
}

/// The build folder: the caller's `CARGO_TARGET_DIR`, or one in the cache, so that a new clone
/// builds on what an old one has built.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .filter(|value| !value.is_empty())
        .map_or_else(|| folder().join("target"), PathBuf::from)
}

/// The workspace's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The file that says which clone was built last.
const NOTE: &str = "built-from";

/// Has the workspace's own packages built anew where another clone was built last: cargo takes a package
/// for fresh by the times of its files alone, and tests have the path of their clone in them.
pub fn take_over() -> Result<(), String> {
    take_over_at(&target(), root()).map_err(|e| format!("{}: {e}", target().display()))
}

/// As if another clone were built last: for what builds something else than this clone.
pub fn disown() -> Result<(), String> {
    match fs::remove_file(target().join(NOTE)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(format!("{}: {e}", target().display()))
        }
        _ => Ok(()),
    }
}

fn take_over_at(target: &Path, root: &Path) -> io::Result<()> {
    let note = target.join(NOTE);
    let root = root.as_os_str().as_encoded_bytes();
    if fs::read(&note).is_ok_and(|last| last == root) {
        return Ok(());
    }
    let built = target.join("debug/.fingerprint");
    fs::create_dir_all(&built)?;
    for package in fs::read_dir(built)? {
        let package = package?;
        let name = package.file_name();
        let own = |prefix: &str| name.as_encoded_bytes().starts_with(prefix.as_bytes());
        if own("strongroom") || own("xtask") {
            fs::remove_dir_all(package.path())?;
        }
    }
    fs::write(note, root)
}

/// Cargo at the workspace's root with the cached build folder.
pub fn cargo(args: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(args).env("CARGO_TARGET_DIR", target());
    // Incremental products of a clean clone are never used again; they only fill the cache.
    if env::var_os("CARGO_INCREMENTAL").is_none() {
        cargo.env("CARGO_INCREMENTAL", "0");
    }
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_clone_builds_its_own_packages_anew_and_no_others() {
        let target = tempfile::tempdir().unwrap();
        let built = |name: &str| target.path().join("debug/.fingerprint").join(name);
        for (root, anew) in [("/one", true), ("/one", false), ("/other", true), ("/other", false)] {
            for name in ["strongroom-base-1", "xtask-1", "serde-1"] {
                fs::create_dir_all(built(name)).unwrap();
            }
            take_over_at(target.path(), Path::new(root)).unwrap();
            assert_eq!(!built("strongroom-base-1").exists(), anew, "{root}");
            assert_eq!(!built("xtask-1").exists(), anew, "{root}");
            assert!(built("serde-1").exists());
        }
    }
}
