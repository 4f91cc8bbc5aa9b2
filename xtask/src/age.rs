//! The original age in its newest version, and the public test vectors of its format, both from Go's
//! modules: Debian's age is older than the hybrid recipients. They are built once, into the cache.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{cache, kubernetes, stages::run};

/// What decides what comes out.
const SOURCES: [&str; 2] = [include_str!("../age/go.mod"), include_str!("../age/go.sum")];

/// The module with the vectors, and their folder in it.
const VECTORS: (&str, &str) = ("c2sp.org/CCTV/age", "testdata");

/// The variable by which tests find the folder: `bin/` with the programs, `testkit/` with the vectors.
const VARIABLE: &str = "STRONGROOM_TEST_AGE";

/// Builds and copies what is missing; the variable that tests read.
pub fn install() -> Result<(OsString, OsString), String> {
    let folder = cache::folder().join("age");
    let variable = (VARIABLE.into(), folder.clone().into_os_string());
    let stamp = folder.join("made-of");
    if fs::read_to_string(&stamp).is_ok_and(|stamp| stamp == SOURCES.concat()) {
        return Ok(variable);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|e| text(&folder, &e))?;
    }
    fs::create_dir_all(folder.join("testkit")).map_err(|e| text(&folder, &e))?;
    let mut build = go(&["install", "tool"])?;
    build.env("GOBIN", folder.join("bin"));
    run(build)?;
    run(go(&["mod", "download", VECTORS.0])?)?;
    let listed = go(&["list", "-m", "-f", "{{.Dir}}", VECTORS.0])?;
    let listed = { listed }.output().map_err(|e| format!("go list: {e}"))?;
    let module = PathBuf::from(String::from_utf8_lossy(&listed.stdout).trim());
    copy(&module.join(VECTORS.1), &folder.join("testkit"))?;
    fs::write(&stamp, SOURCES.concat()).map_err(|e| text(&stamp, &e))?;
    Ok(variable)
}

fn go(args: &[&str]) -> Result<Command, String> {
    let mut go = Command::new(kubernetes::go()?);
    go.args(args).current_dir(cache::root().join("xtask/age"));
    go.env("CGO_ENABLED", "0").env("GOWORK", "off").env("GOTOOLCHAIN", "local");
    go.env("GOFLAGS", "-mod=readonly -buildvcs=false");
    Ok(go)
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    for file in fs::read_dir(from).map_err(|e| text(from, &e))? {
        let file = file.map_err(|e| text(from, &e))?;
        // By its content: files of the module cache are read-only.
        let content = fs::read(file.path()).map_err(|e| text(&file.path(), &e))?;
        fs::write(to.join(file.file_name()), content).map_err(|e| text(to, &e))?;
    }
    Ok(())
}

fn text(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
