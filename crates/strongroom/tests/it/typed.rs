//! Values that a person types at a terminal: asked for, hidden, and without the line's end.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::live::Dev;

/// Types at a command; what the terminal showed.
fn type_at(dev: &Dev, typed: &str, words: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/typed.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(typed)
        .arg(env!("CARGO_BIN_EXE_strongroom"))
        .args(words)
        .env("VAULT_ADDR", dev.address())
        .env("VAULT_TOKEN", "root")
        .stdin(Stdio::null())
        .output()
        .expect("Python, as other tests need it");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{shown}{told}");
    shown
}

#[test]
fn what_is_typed_is_hidden_and_loses_its_line_end() {
    let dev = Dev::start();
    let put = ["kv", "put", "secret/typed", "password=-"];
    let shown = type_at(&dev, "hunter2\\n\\x04", &put);
    assert!(shown.contains("password (Ctrl-D ends it): "), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(dev.ok(&["kv", "get", "-field=password", "secret/typed"]), "hunter2");
    // Several lines stay as they are.
    let shown = type_at(&dev, "-----BEGIN X-----\\nabc\\n\\x04", &put);
    assert!(!shown.contains("BEGIN"), "{shown}");
    let kept = dev.ok(&["kv", "get", "-field=password", "secret/typed"]);
    assert_eq!(kept, "-----BEGIN X-----\nabc\n");
    // Not only secrets of a store.
    let shown = type_at(&dev, "b25l\\n\\x04", &["write", "sys/tools/hash", "input=-"]);
    assert!(shown.contains("sum") && !shown.contains("b25l"), "{shown}");
}
