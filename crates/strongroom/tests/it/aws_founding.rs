//! The commands and programs that people have from guides to AWS: `aws` in a shell, AWS's cache for Python,
//! references in task definitions, roles of CI jobs.

use std::path::Path;

use crate::aws_ready::{Ready, python, script};

#[test]
fn commands_and_programs_of_guides() {
    let ready = Ready::new();
    let mut command = ready.client(python());
    let ours = Path::new(env!("CARGO_BIN_EXE_strongroom")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(ours).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(all).unwrap();
    command
        .arg(script("founding.py"))
        .env("PATH", path)
        .env("VAULT_ADDR", ready.url())
        .env("VAULT_TOKEN", &ready.keys.root)
        .env("CI_TOKEN", ready.token("repo:shop"));
    let done = command.output().unwrap();
    let text = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{text}");
    assert_eq!(String::from_utf8_lossy(&done.stdout).trim_end(), "done", "{text}");
}
