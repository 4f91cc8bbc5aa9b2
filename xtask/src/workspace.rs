//! The workspace as `cargo metadata` and git see it: packages, edges, tracked files.

use std::{collections::HashSet, fs, path::PathBuf, process::Command};

use serde_json::Value;

use crate::cache;

/// One package, ours or not.
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence expression, if it states one.
    pub licence: Option<String>,
    /// Does it belong to this workspace?
    pub ours: bool,
    /// Names of its direct dependencies that get into the product, with `dev` for those of tests.
    pub dependencies: Vec<(String, bool)>,
}

/// A tracked text file.
pub struct Source {
    /// Its path below the root, with slashes.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What the checks look at.
pub struct Workspace {
    /// All packages that some build of ours uses; the lock file also holds optional ones that no
    /// build does.
    pub packages: Vec<Package>,
    /// All tracked text files (and new ones that git does not ignore).
    pub sources: Vec<Source>,
}

impl Workspace {
    /// Asks cargo and git.
    pub fn load() -> Result<Self, String> {
        let mut cargo = cache::cargo(&["metadata", "--format-version=1", "--locked"]);
        let output = cargo.output().map_err(|e| format!("cargo metadata: {e}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let metadata: Value =
            serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
        let ours: Vec<&Value> = items(&metadata["workspace_members"]).collect();
        let used = used()?;
        let packages = items(&metadata["packages"])
            .filter(|package| {
                let (name, version) = (&package["name"], &package["version"]);
                used.contains(&format!("{} v{}", text(name), text(version)))
            })
            .map(|package| Package {
                name: text(&package["name"]),
                version: text(&package["version"]),
                licence: package["license"].as_str().map(str::to_owned),
                ours: ours.contains(&&package["id"]),
                dependencies: items(&package["dependencies"])
                    .map(|edge| (text(&edge["name"]), edge["kind"] == "dev"))
                    .collect(),
            })
            .collect();
        Ok(Self { packages, sources: sources()? })
    }

    /// Our own packages.
    pub fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.ours)
    }
}

/// What some build of ours compiles, as `name vVERSION`. The lock file and `cargo metadata` also
/// hold optional packages that no build uses.
fn used() -> Result<HashSet<String>, String> {
    let tree = ["tree", "--workspace", "--target", "all", "--prefix", "none", "--locked"];
    let output = cache::cargo(&tree).output().map_err(|e| format!("cargo tree: {e}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(lines.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect())
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn sources() -> Result<Vec<Source>, String> {
    let output = Command::new("git")
        .current_dir(cache::root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .map_err(|e| format!("git ls-files: {e}"))?;
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut found = Vec::new();
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        let path: PathBuf = cache::root().join(name);
        // Neither pictures nor files that are deleted but still tracked.
        if let Ok(text) = fs::read_to_string(path) {
            found.push(Source { path: name.to_owned(), text });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup_by(|a, b| a.path == b.path);
    Ok(found)
}
