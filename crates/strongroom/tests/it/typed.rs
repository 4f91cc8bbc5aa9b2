//! Values that a person types at a terminal: asked for, hidden, and without the line's end.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::live::Dev;

/// Types at a command that ends well; what the terminal showed.
fn type_at(dev: &Dev, typed: &str, words: &[&str]) -> String {
    let (code, shown) = typed_at(dev, typed, words);
    assert_eq!(code, Some(0), "{shown}");
    shown
}

/// Types at a command; its exit code and what the terminal showed.
fn typed_at(dev: &Dev, typed: &str, words: &[&str]) -> (Option<i32>, String) {
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
    (output.status.code(), shown + &told)
}

#[test]
fn a_terminal_shows_again_what_is_typed_after_an_interruption() {
    let dev = Dev::start();
    for words in [&["kv", "put", "secret/typed", "password=-"][..], &["login"]] {
        let (code, shown) = typed_at(&dev, "hunt\\x03", words);
        // Ended by the signal: less 2, as the script answers it.
        assert_eq!(code, Some(254), "{shown}");
        assert!(shown.contains("[it echoes]"), "{words:?}: {shown}");
        assert!(!shown.contains("hunt"), "{words:?}: {shown}");
    }
    let (_, shown) = typed_at(&dev, "x\\n\\x04", &["kv", "put", "secret/typed", "password=-"]);
    assert!(shown.contains("[it echoes]"), "{shown}");
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
