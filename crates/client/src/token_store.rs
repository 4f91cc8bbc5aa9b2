//! Where a login's token stays between two commands: a file in the user's home, or a program the
//! user has named in `~/.vault` (Vault's "token helper" protocol: `PROGRAM get|store|erase`).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use strongroom_base::SecretString;

use crate::config::Environment;
use crate::error::Error;
use crate::limits::TOKEN_BYTES_MAX;

/// Where the token stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenStore {
    /// A file only its owner can read.
    File(PathBuf),
    /// A program, and the server's address that it is told.
    Program(PathBuf, String),
}

impl TokenStore {
    /// Finds the store: the program of the settings file, else `TOKEN_PATH`, else
    /// `~/.vault-token`, which all tools of this family share.
    pub fn find(env: &Environment<'_>, home: Option<&Path>, address: &str) -> Result<Self, Error> {
        if let Some(program) = settings_program(env, home)? {
            let program = if program.is_absolute() {
                program
            } else {
                return Err(Error::Config(format!(
                    "token_helper must be an absolute path, not {}",
                    program.display()
                )));
            };
            return Ok(Self::Program(program, address.to_owned()));
        }
        if let Some(path) = env.get("TOKEN_PATH") {
            return Ok(Self::File(expand_home(&path, home)));
        }
        let home = home.ok_or_else(|| {
            Error::Config("the home folder is unknown: set HOME or STRONGROOM_TOKEN_PATH".into())
        })?;
        Ok(Self::File(home.join(".vault-token")))
    }

    /// The stored token.
    pub fn load(&self) -> Result<Option<SecretString>, Error> {
        let text = match self {
            Self::File(path) => match read_bounded(path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => {
                    return Err(Error::Config(format!(
                        "could not read {}: {error}",
                        path.display()
                    )));
                }
                Ok(text) => text,
            },
            Self::Program(program, address) => run(program, address, "get", None)?,
        };
        let token = zeroize::Zeroizing::new(text);
        let trimmed = token.trim();
        Ok((!trimmed.is_empty()).then(|| SecretString::new(trimmed.to_owned())))
    }

    /// Keeps a token. The file appears whole or not at all, readable for its owner only.
    pub fn store(&self, token: &str) -> Result<(), Error> {
        match self {
            Self::File(path) => write_private(path, token.as_bytes())
                .map_err(|e| Error::Config(format!("could not write {}: {e}", path.display()))),
            Self::Program(program, address) => {
                run(program, address, "store", Some(token)).map(drop)
            }
        }
    }

    /// Forgets the token.
    pub fn erase(&self) -> Result<(), Error> {
        match self {
            Self::File(path) => match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::Config(format!("could not remove {}: {error}", path.display())))
                }
                _ => Ok(()),
            },
            Self::Program(program, address) => run(program, address, "erase", None).map(drop),
        }
    }
}

fn expand_home(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

/// The `token_helper` of the settings file. Of that file only this one key is known.
fn settings_program(env: &Environment<'_>, home: Option<&Path>) -> Result<Option<PathBuf>, Error> {
    let candidates: Vec<PathBuf> = match env.get("CONFIG_PATH") {
        Some(path) => vec![expand_home(&path, home)],
        None => home
            .map(|home| [".strongroom", ".bao", ".vault"].map(|name| home.join(name)).to_vec())
            .unwrap_or_default(),
    };
    for path in candidates {
        // A folder of that name is somebody else's.
        let Ok(text) = read_bounded(&path) else { continue };
        return parse_settings(&text)
            .map(|program| program.map(|p| expand_home(&p, home)))
            .map_err(|line| {
                Error::Config(format!(
                    "error parsing config file at {}, line {line}: only token_helper = \"…\" is \
                     known here (Ansible Vault uses the same file name)",
                    path.display()
                ))
            });
    }
    Ok(None)
}

/// Reads `token_helper = "…"`, or the same as JSON. The error is the number of the bad line.
fn parse_settings(text: &str) -> Result<Option<String>, usize> {
    if text.trim_start().starts_with('{') {
        let json: serde_json::Value = serde_json::from_str(text).map_err(|e| e.line())?;
        return Ok(json.get("token_helper").and_then(|v| v.as_str()).map(str::to_owned));
    }
    let mut program = None;
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line.starts_with("//") {
            continue;
        }
        let (key, value) = line.split_once('=').ok_or(i + 1)?;
        if key.trim().trim_matches('"') != "token_helper" {
            return Err(i + 1);
        }
        let value = value.trim().strip_prefix('"').ok_or(i + 1)?;
        let (value, _) = value.split_once('"').ok_or(i + 1)?;
        program = Some(value.to_owned());
    }
    Ok(program.filter(|p| !p.is_empty()))
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let limit = u64::try_from(TOKEN_BYTES_MAX).unwrap_or(u64::MAX);
    std::fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = path.with_file_name(name);
    let result = (|| {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    })();
    if result.is_err() {
        // Whatever was made of it must not stay; the first error is the one to report.
        let _ = std::fs::remove_file(&fresh);
    }
    result
}

fn run(program: &Path, address: &str, verb: &str, input: Option<&str>) -> Result<String, Error> {
    let shown = program.display();
    let failed = |what: String| Error::Config(format!("token helper {shown} {verb}: {what}"));
    let mut child = Command::new(program)
        .arg(verb)
        .env("STRONGROOM_ADDR", address)
        .env("BAO_ADDR", address)
        .env("VAULT_ADDR", address)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        pipe.write_all(input.as_bytes()).map_err(|e| failed(e.to_string()))?;
    }
    let output = child.wait_with_output().map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        // Its own words may hold the token only if the helper itself puts it there.
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!("{}: {}", output.status, words.trim())));
    }
    String::from_utf8(output.stdout).map_err(|_| failed("the answer is not UTF-8".into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn no_env(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn the_token_file_is_private_and_replaced_whole() {
        let home = tempfile::tempdir().unwrap();
        let store =
            TokenStore::find(&Environment::new(&no_env), Some(home.path()), "http://h").unwrap();
        assert_eq!(store, TokenStore::File(home.path().join(".vault-token")));
        assert!(store.load().unwrap().is_none());
        for token in ["first", "second"] {
            store.store(token).unwrap();
            assert_eq!(store.load().unwrap().unwrap().expose_secret(), token);
        }
        let mode = std::fs::metadata(home.path().join(".vault-token")).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
        store.erase().unwrap();
        store.erase().unwrap();
        assert!(store.load().unwrap().is_none());
    }

    #[test]
    fn a_program_can_keep_the_token() {
        let home = tempfile::tempdir().unwrap();
        let program = home.path().join("helper");
        let script = "#!/bin/sh\nd=$(dirname \"$0\")/kept\ncase $1 in get) cat \"$d\" 2>/dev/null;; \
             store) { printf '%s ' \"$VAULT_ADDR\"; cat; } > \"$d\";; erase) rm -f \"$d\";; esac\n\
             exit 0\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let line = format!("# mine\ntoken_helper = \"{}\"\n", program.display());
        std::fs::write(home.path().join(".vault"), line).unwrap();
        let store =
            TokenStore::find(&Environment::new(&no_env), Some(home.path()), "http://h").unwrap();
        assert_eq!(store, TokenStore::Program(program, "http://h".into()));
        store.store("hidden").unwrap();
        assert_eq!(store.load().unwrap().unwrap().expose_secret(), "http://h hidden");
        store.erase().unwrap();
        assert!(store.load().unwrap().is_none());
    }

    #[test]
    fn settings_name_the_bad_line() {
        assert_eq!(parse_settings("token_helper = \"/x\" # c\n"), Ok(Some("/x".into())));
        assert_eq!(parse_settings("{\"token_helper\": \"/x\"}"), Ok(Some("/x".into())));
        assert_eq!(parse_settings("\n# nothing\n"), Ok(None));
        assert_eq!(parse_settings("# a\ncolour = \"red\"\n"), Err(2));
        assert_eq!(parse_settings("$ANSIBLE_VAULT;1.1;AES256\n"), Err(1));
    }
}
