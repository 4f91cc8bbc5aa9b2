//! The original SOPS, from Go's modules: what it writes, ours reads, and the other way round. It is
//! built once, into the cache.

use std::{ffi::OsString, fs, path::Path, process::Command};

use crate::{cache, kubernetes, stages::run};

/// What decides what comes out.
const SOURCES: [&str; 2] = [include_str!("../sops/go.mod"), include_str!("../sops/go.sum")];

/// The variable by which tests find the folder with `bin/sops`.
const VARIABLE: &str = "STRONGROOM_TEST_SOPS";

/// Builds what is missing; the variable that tests read.
pub fn install() -> Result<(OsString, OsString), String> {
    let folder = cache::folder().join("sops");
    let variable = (VARIABLE.into(), folder.clone().into_os_string());
    let stamp = folder.join("made-of");
    if fs::read_to_string(&stamp).is_ok_and(|stamp| stamp == SOURCES.concat()) {
        return Ok(variable);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|e| text(&folder, &e))?;
    }
    fs::create_dir_all(&folder).map_err(|e| text(&folder, &e))?;
    let mut go = Command::new(kubernetes::go()?);
    go.args(["install", "-trimpath", "-ldflags", "-s -w", "tool"]);
    go.current_dir(cache::root().join("xtask/sops"));
    go.env("CGO_ENABLED", "0").env("GOWORK", "off").env("GOTOOLCHAIN", "local");
    go.env("GOFLAGS", "-mod=readonly -buildvcs=false").env("GOBIN", folder.join("bin"));
    run(go)?;
    fs::write(&stamp, SOURCES.concat()).map_err(|e| text(&stamp, &e))?;
    Ok(variable)
}

fn text(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
