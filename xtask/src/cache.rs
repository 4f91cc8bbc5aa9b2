//! Where tools and build products live between runs, and how cargo is called.

use std::{
    env,
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
