//! Originals that are built from Go's modules, once, into the cache: what they write, ours reads, and the
//! other way round.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{cache, kubernetes, stages::run};

/// A module's tools.
pub struct Original {
    /// The name of its folders, in `xtask` and in the cache.
    name: &'static str,
    /// The variable by which tests find the folder in the cache, with `bin/` in it.
    variable: &'static str,
    /// What decides what comes out.
    sources: [&'static str; 2],
    /// Flags of the build.
    flags: &'static [&'static str],
    /// A module with test vectors, and their folder in it, which becomes `testkit/`.
    vectors: Option<(&'static str, &'static str)>,
}

/// SOPS.
pub const SOPS: Original = Original {
    name: "sops",
    variable: "STRONGROOM_TEST_SOPS",
    sources: [include_str!("../sops/go.mod"), include_str!("../sops/go.sum")],
    flags: &["-trimpath", "-ldflags", "-s -w"],
    vectors: None,
};

/// age in its newest version (Debian's is older than the hybrid recipients), and the public test vectors of
/// its format.
pub const AGE: Original = Original {
    name: "age",
    variable: "STRONGROOM_TEST_AGE",
    sources: [include_str!("../age/go.mod"), include_str!("../age/go.sum")],
    flags: &[],
    vectors: Some(("c2sp.org/CCTV/age", "testdata")),
};

impl Original {
    /// Builds and copies what is missing; the variable that tests read.
    pub fn install(&self) -> Result<(OsString, OsString), String> {
        let folder = cache::folder().join(self.name);
        let variable = (self.variable.into(), folder.clone().into_os_string());
        let (stamp, sources) = (folder.join("made-of"), self.sources.concat());
        if fs::read_to_string(&stamp).is_ok_and(|stamp| stamp == sources) {
            return Ok(variable);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|e| text(&folder, &e))?;
        }
        fs::create_dir_all(&folder).map_err(|e| text(&folder, &e))?;
        let mut build = self.go(&["install"])?;
        build.args(self.flags).arg("tool").env("GOBIN", folder.join("bin"));
        run(build)?;
        if let Some((module, vectors)) = self.vectors {
            run(self.go(&["mod", "download", module])?)?;
            let listed = self.go(&["list", "-m", "-f", "{{.Dir}}", module])?.output();
            let listed = listed.map_err(|e| format!("go list: {e}"))?;
            let module = PathBuf::from(String::from_utf8_lossy(&listed.stdout).trim());
            copy(&module.join(vectors), &folder.join("testkit"))?;
        }
        fs::write(&stamp, sources).map_err(|e| text(&stamp, &e))?;
        Ok(variable)
    }

    fn go(&self, args: &[&str]) -> Result<Command, String> {
        let mut go = Command::new(kubernetes::go()?);
        go.args(args).current_dir(cache::root().join("xtask").join(self.name));
        go.env("CGO_ENABLED", "0").env("GOWORK", "off").env("GOTOOLCHAIN", "local");
        go.env("GOFLAGS", "-mod=readonly -buildvcs=false");
        Ok(go)
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::create_dir_all(to).map_err(|e| text(to, &e))?;
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
