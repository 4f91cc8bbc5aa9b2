//! What tests need beside Rust and a C compiler: Debian packages; Python packages in a virtual
//! environment in the cache, by the exact versions of `python.txt`; and npm packages beside it, by
//! the digests of `node/package-lock.json`.
//!
//! Tests find them by environment variables; what can't be installed is said here, and the tests
//! that need it fail with the same words, never pass in silence.

use std::{ffi::OsString, fs, path::PathBuf, process::Command};

use crate::{cache, stages::run};

/// Programs that tests start, and the Debian packages that bring them.
const PROGRAMS: &[(&str, &str)] = &[
    ("python3", "python3"),
    ("curl", "curl"),
    ("git", "git"),
    // The server alone, without the package that runs one on this machine.
    ("mariadb-install-db", "mariadb-server-core"),
    ("my_print_defaults", "mariadb-client-core"),
    ("mariadb", "mariadb-client-core"),
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("psql", "postgresql-client"),
    ("ssh", "openssh-client"),
    ("oathtool", "oathtool"),
    ("certbot", "certbot"),
    ("openssl", "openssl"),
    ("gpg", "gpg"),
    ("gpgconf", "gpgconf"),
    ("gpg-agent", "gpg-agent"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("age", "age"),
    ("ssh-keygen", "openssh-client"),
];

/// Servers that tests start themselves, whose programs are not on the search path: a folder with a
/// folder for each version, a program in there, the Debian package. That the package starts a server
/// of its own does no harm: tests take free ports and temporary folders.
const SERVERS: &[(&str, &str, &str)] = &[
    ("/usr/lib/postgresql", "bin/initdb", "postgresql"),
    ("/usr", "sbin/sshd", "openssh-server"),
    ("/usr", "sbin/slapd", "slapd"),
];

/// The npm packages, and all that they need, pinned by digests.
const NODE_PACKAGES: [(&str, &str); 2] = [
    ("package.json", include_str!("../node/package.json")),
    ("package-lock.json", include_str!("../node/package-lock.json")),
];

/// The pinned Python packages.
const PYTHON_PACKAGES: &str = include_str!("../python.txt");

/// Installs what is missing; the variables that tests read.
pub fn install() -> Result<Vec<(OsString, OsString)>, String> {
    install_packages()?;
    let python = python()?;
    let node = node()?;
    Ok(vec![
        ("STRONGROOM_TEST_PYTHON".into(), python.into_os_string()),
        ("STRONGROOM_TEST_NODE".into(), node.into_os_string()),
    ])
}

/// Is a program on the search path?
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Is a program in one of the versions below a folder?
fn has_version(folder: &str, program: &str) -> bool {
    let versions = fs::read_dir(folder).into_iter().flatten().flatten();
    versions.into_iter().any(|version| version.path().join(program).is_file())
}

fn install_packages() -> Result<(), String> {
    let mut missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !has(program)).map(|(_, package)| *package).collect();
    missing.dedup();
    let servers = SERVERS.iter().filter(|(folder, program, _)| !has_version(folder, program));
    missing.extend(servers.map(|(_, _, package)| *package));
    // Debian's Python comes without the module that makes environments.
    let can_venv = Command::new("python3").args(["-c", "import ensurepip, venv"]).output();
    if !can_venv.is_ok_and(|output| output.status.success()) {
        missing.push("python3-venv");
    }
    if missing.is_empty() {
        return Ok(());
    }
    if !has("apt-get") {
        return Err(format!("please install {}", missing.join(", ")));
    }
    let apt = |args: &[&str]| {
        let mut apt = if has("sudo") { Command::new("sudo") } else { Command::new("apt-get") };
        if has("sudo") {
            apt.args(["-n", "apt-get"]);
        }
        // In runlevel 1 a package's installation starts no service of its.
        apt.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").args(args);
        run(apt)
    };
    let install = [&["install", "-y", "--no-install-recommends"], missing.as_slice()].concat();
    apt(&install).or_else(|_| apt(&["update"]).and_then(|()| apt(&install)))
}

/// The interpreter of the tests' environment.
fn python() -> Result<PathBuf, String> {
    Ok(environment("python", PYTHON_PACKAGES)?.join("bin/python"))
}

/// The folder of a virtual environment called `name` with these packages. It is made anew when the
/// list of packages has changed.
pub fn environment(name: &str, packages: &str) -> Result<PathBuf, String> {
    let folder = cache::folder().join(name);
    let stamp = folder.join("packages");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == packages) {
        return Ok(folder);
    }
    let text = |e: std::io::Error| format!("{}: {e}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(text)?;
    }
    fs::create_dir_all(&folder).map_err(text)?;
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&folder);
    run(venv)?;
    let list = folder.join("to-install");
    fs::write(&list, packages).map_err(text)?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&list);
    run(pip)?;
    fs::rename(&list, &stamp).map_err(text)?;
    Ok(folder)
}

/// The folder with the npm packages. It is made anew when their list has changed.
fn node() -> Result<std::path::PathBuf, String> {
    let folder = cache::folder().join("node");
    let is_kept = |(name, text): &(&str, &str)| {
        fs::read_to_string(folder.join(name)).is_ok_and(|kept| kept == *text)
    };
    let done = folder.join("done");
    if NODE_PACKAGES.iter().all(is_kept) && done.exists() {
        return Ok(folder);
    }
    let text = |e: std::io::Error| format!("{}: {e}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(text)?;
    }
    fs::create_dir_all(&folder).map_err(text)?;
    for (name, content) in NODE_PACKAGES {
        fs::write(folder.join(name), content).map_err(text)?;
    }
    let mut npm = Command::new("npm");
    // Nothing of a package runs when it is installed.
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    run({
        npm.current_dir(&folder);
        npm
    })?;
    fs::write(done, "").map_err(text)?;
    Ok(folder)
}
