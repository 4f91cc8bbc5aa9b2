//! What one writes, the other reads.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use super::{Desk, Whose, content, newest, text};

#[test]
fn what_one_encrypts_the_other_decrypts() {
    let desk = Desk::new();
    let x25519 = desk.keygen(Whose::Ours, "x25519", &[]);
    let theirs = desk.keygen(Whose::Debian, "theirs", &[]);
    let hybrid = desk.keygen(Whose::Ours, "hybrid", &["-pq"]);
    let newer = desk.keygen(Whose::Newest, "newer", &["-pq"]);
    let ed25519 = desk.ssh_keygen("ed25519", "ed25519", "", &[]);
    let rsa = desk.ssh_keygen("rsa", "rsa", "", &["-b", "2048"]);
    let pkcs1 = desk.ssh_keygen("pkcs1", "rsa", "", &["-b", "3072", "-m", "PEM"]);
    let pkcs8 = desk.ssh_keygen("pkcs8", "rsa", "", &["-b", "2048", "-m", "PKCS8"]);
    let mut sizes = [0, 1, 65_535, 65_536, 65_537, 200_000].into_iter().cycle();
    for (identity, recipient, other) in [
        ("x25519", x25519, Whose::Debian),
        ("theirs", theirs, Whose::Debian),
        ("hybrid", hybrid, Whose::Newest),
        ("newer", newer, Whose::Newest),
        ("ed25519", ed25519, Whose::Debian),
        ("rsa", rsa, Whose::Debian),
        ("pkcs1", pkcs1, Whose::Debian),
        ("pkcs8", pkcs8, Whose::Newest),
    ] {
        for armor in [&[][..], &["-a"]] {
            for (from, to) in
                [(Whose::Ours, other), (other, Whose::Ours), (Whose::Ours, Whose::Ours)]
            {
                let plain = content(sizes.next().unwrap());
                let args = [&["-r", &recipient], armor].concat();
                let file = desk.ok_with(from, &args, &plain);
                assert_eq!(file.starts_with(b"-----BEGIN AGE"), !armor.is_empty());
                let opened = desk.ok_with(to, &["-d", "-i", identity], &file);
                assert!(opened == plain, "{identity} {from:?} {to:?} {}", plain.len());
            }
        }
    }
}

#[test]
fn recipients_and_identities_come_from_files_too() {
    let desk = Desk::new();
    let first = desk.keygen(Whose::Ours, "first", &[]);
    let second = desk.keygen(Whose::Ours, "second", &[]);
    desk.write("all", format!("# both\n{first}\n\n{second}\n").as_bytes());
    desk.write("plain", b"for all");
    desk.ok(Whose::Ours, &["-R", "all", "-o", "file.age", "plain"]);
    for (whose, identity) in [(Whose::Ours, "first"), (Whose::Debian, "second")] {
        assert_eq!(desk.ok(whose, &["-d", "-i", identity, "file.age"]), b"for all");
    }
    // From the standard input, while the file is named; and for the owner of an identity.
    let file = desk.ok_with(Whose::Ours, &["-R", "-", "plain"], second.as_bytes());
    assert_eq!(desk.ok_with(Whose::Debian, &["-d", "-i", "second"], &file), b"for all");
    let file = desk.ok(Whose::Ours, &["-e", "-i", "first", "plain"]);
    assert_eq!(
        desk.ok_with(Whose::Ours, &["-d", "-i", "second", "-i", "first"], &file),
        b"for all"
    );
    desk.write("symmetric.age", &file);
    let identity = desk.read("first");
    let opened = desk.ok_with(Whose::Ours, &["-d", "-i", "-", "symmetric.age"], &identity);
    assert_eq!(opened, b"for all");
    let twice = desk.age(Whose::Ours, &["-d", "-i", "-"]);
    assert!(text(&twice.stderr).contains("standard input is used for multiple purposes"));
}

#[test]
fn a_plugin_encrypts_and_decrypts() {
    let desk = Desk::new();
    desk.write("plain", b"by a plugin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(newest()).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(folders).unwrap();
    let run = |whose, args: &[&str]| {
        let mut command = desk.command(whose, "age");
        command.env("PATH", &path).env("AGE_PASSPHRASE", "open sesame");
        command.env("AGE_PASSPHRASE_WORK_FACTOR", "10").args(args);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        output.stdout
    };
    for (from, to) in [(Whose::Ours, Whose::Newest), (Whose::Newest, Whose::Ours)] {
        run(from, &["-e", "-j", "batchpass", "-o", "file.age", "plain"]);
        assert_eq!(run(to, &["-d", "-j", "batchpass", "file.age"]), b"by a plugin");
    }
    let missing = desk.age(Whose::Ours, &["-d", "-j", "nowhere", "file.age"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("you might want to install the \"nowhere\" plugin"));
}

#[test]
fn a_file_that_cannot_be_opened_leaves_none() {
    let desk = Desk::new();
    let recipient = desk.keygen(Whose::Ours, "key", &[]);
    desk.keygen(Whose::Ours, "other", &[]);
    let plain = content(300_000);
    let file = desk.ok_with(Whose::Ours, &["-r", &recipient], &plain);
    desk.write("file.age", &file);
    let header = file.windows(3).position(|it| it == b"---").unwrap() + 60;
    desk.write("cut-header.age", &file[..header - 20]);
    desk.write("cut.age", &file[..header + 1_000]);
    for (identity, name) in [
        ("other", "file.age"),
        ("key", "cut-header.age"),
        ("key", "cut.age"),
        ("key", "key"),
        ("key", "missing"),
    ] {
        let failed = desk.age(Whose::Ours, &["-d", "-i", identity, "-o", "out", name]);
        assert_eq!(failed.status.code(), Some(1), "{name}");
        assert!(!desk.path("out").exists(), "{name}: {}", text(&failed.stderr));
    }
    // What is whole before a broken chunk is given out, and the failure told.
    let mut broken = file;
    let at = broken.len() - 10;
    broken[at] ^= 1;
    desk.write("broken.age", &broken);
    let failed = desk.age(Whose::Ours, &["-d", "-i", "key", "-o", "out", "broken.age"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(plain.starts_with(&desk.read("out")));
    // Nor is what is read written over, whatever way leads there.
    desk.write("plain", b"keep me");
    std::os::unix::fs::symlink("plain", desk.path("link")).unwrap();
    for name in ["plain", "./plain", "link"] {
        let refused = desk.age(Whose::Ours, &["-r", &recipient, "-o", name, "plain"]);
        assert_eq!(refused.status.code(), Some(1), "{name}");
        assert!(text(&refused.stderr).contains("input and output file are the same"), "{name}");
        assert_eq!(desk.read("plain"), b"keep me");
    }
}

#[test]
fn keys_are_their_owner_s_and_never_replaced() {
    let desk = Desk::new();
    for (more, prefix) in [(&[][..], "AGE-SECRET-KEY-1"), (&["-pq"], "AGE-SECRET-KEY-PQ-1")] {
        let recipient = desk.keygen(Whose::Ours, "key", more);
        let file = desk.read("key");
        let mode = std::fs::metadata(desk.path("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let lines: Vec<String> = text(&file).lines().map(str::to_owned).collect();
        assert!(lines[0].starts_with("# created: 2") && lines[0].ends_with('Z'), "{lines:?}");
        assert_eq!(lines[1], format!("# public key: {recipient}"));
        assert!(lines[2].starts_with(prefix) && lines.len() == 3);
        let again = desk.command(Whose::Ours, "age-keygen").args(["-o", "key"]).output().unwrap();
        assert_eq!(again.status.code(), Some(1));
        assert!(text(&again.stderr).contains("open key: file exists"), "{}", text(&again.stderr));
        assert_eq!(desk.read("key"), file);
        // What both make of it.
        for whose in [Whose::Ours, Whose::Newest] {
            let shown = desk.command(whose, "age-keygen").args(["-y", "key"]).output().unwrap();
            assert_eq!(text(&shown.stdout).trim(), recipient, "{whose:?}");
        }
        std::fs::remove_file(desk.path("key")).unwrap();
    }
}

#[test]
fn called_by_another_name_it_is_that_tool() {
    let desk = Desk::new();
    let strongroom = || std::process::Command::new(env!("CARGO_BIN_EXE_strongroom"));
    assert!(strongroom().arg("links").arg(desk.path("bin")).output().unwrap().status.success());
    let run = |tool: &str, args: &[&str]| {
        let mut command = std::process::Command::new(desk.path("bin").join(tool));
        let output = command.args(args).current_dir(desk.folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        output
    };
    let recipient = text(&run("age-keygen", &["-o", "key"]).stderr);
    let recipient = recipient.trim().strip_prefix("Public key: ").unwrap();
    // A file by the name of a sub-command of ours is a file.
    desk.write("keygen", b"plain");
    run("age", &["-r", recipient, "-o", "file.age", "keygen"]);
    assert_eq!(run("age", &["-d", "-i", "key", "file.age"]).stdout, b"plain");
    assert!(text(&run("age", &["--version"]).stdout).starts_with("v1."));
}

/// A file larger than what is held: memory must not grow with it.
#[test]
fn memory_does_not_grow_with_a_file() {
    const BYTES: usize = 192 << 20;
    let desk = Desk::new();
    let recipient = desk.keygen(Whose::Ours, "key", &[]);
    let block = content(1 << 20);
    let run = |args: &[&str], output: &str, feed: &mut dyn FnMut(&mut dyn Write)| -> usize {
        let mut command = desk.command(Whose::Ours, "age");
        let out = std::fs::File::create(desk.path(output)).unwrap();
        let mut child = command.args(args).stdin(Stdio::piped()).stdout(out).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        feed(&mut pipe);
        // All but the last bytes were taken; it waits for more.
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        drop(pipe);
        assert!(child.wait().unwrap().success());
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    };
    let peak = run(&["-r", &recipient], "file.age", &mut |pipe| {
        for _ in 0..BYTES / block.len() {
            pipe.write_all(&block).unwrap();
        }
    });
    assert!(peak < 100_000, "{peak} KiB to encrypt");
    let peak = run(&["-d", "-i", "key"], "plain", &mut |pipe| {
        let mut file = std::fs::File::open(desk.path("file.age")).unwrap();
        std::io::copy(&mut file, pipe).unwrap();
    });
    assert!(peak < 100_000, "{peak} KiB to decrypt");
    let mut plain = std::fs::File::open(desk.path("plain")).unwrap();
    let mut read = vec![0; block.len()];
    for _ in 0..BYTES / block.len() {
        plain.read_exact(&mut read).unwrap();
        assert!(read == block);
    }
    assert_eq!(plain.read(&mut read).unwrap(), 0);
}
