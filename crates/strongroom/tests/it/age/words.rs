//! Messages and exit codes are the original's: people search for them, scripts branch on them.

use super::{Desk, Whose, text};

/// What is compared of a message: without the line where to report, and of usage the first line.
fn told(stderr: &[u8]) -> String {
    let text = text(stderr);
    let lines = text.lines().take_while(|line| *line != "Usage:");
    lines.filter(|line| !line.contains("report unexpected")).collect::<Vec<_>>().join("\n")
}

#[test]
fn failures_are_told_as_by_the_original() {
    let desk = Desk::new();
    let recipient = desk.keygen(Whose::Ours, "key", &[]);
    let hybrid = desk.keygen(Whose::Ours, "hybrid", &["-pq"]);
    desk.write("plain", b"hi\n");
    desk.write("empty", b"");
    desk.write("recipients", recipient.as_bytes());
    desk.write("foreign", b"ssh-rsa AAAA somebody\n");
    desk.ok(Whose::Ours, &["-r", &recipient, "-o", "file.age", "plain"]);
    let file = desk.read("file.age");
    desk.write("cut.age", &file[..file.len() - 3]);
    let mac = file.windows(4).position(|it| it == b"--- ").unwrap() + 10;
    let mut changed = file.clone();
    changed[mac] = if changed[mac] == b'A' { b'B' } else { b'A' };
    desk.write("mac.age", &changed);
    desk.write("windows.age", b"age-encryption.org/v1\r\nrest");
    desk.write("other.age", b"age-encryption.org/v12\n");
    desk.write("short.age", b"age-encryption.org");
    let nonce = changed.iter().skip(mac).position(|it| *it == b'\n').unwrap() + mac + 1;
    desk.write("nonce.age", &file[..nonce]);
    desk.write("noncecut.age", &file[..nonce + 5]);
    desk.write("long.age", &[&file[..], b"more"].concat());
    desk.ok(Whose::Ours, &["-a", "-r", &recipient, "-o", "armor.age", "plain"]);
    let armored = text(&desk.read("armor.age"));
    let second = armored.lines().nth(2).unwrap();
    for (name, broken) in [
        ("a-behind.age", format!("{armored}more\n")),
        ("a-cut.age", armored.replace("-----END", "")),
        ("a-end.age", armored.replace("-----END AGE ENCRYPTED FILE-----\n", "")),
        ("a-empty.age", armored.replacen(second, "", 1)),
        (
            "a-letter.age",
            armored.replacen(second, &second.replacen(char::is_alphabetic, "*", 1), 1),
        ),
        ("a-long.age", armored.replacen(second, &format!("{second}A"), 1)),
        ("a-space.age", format!("{}{armored}", "\n".repeat(1_100))),
    ] {
        desk.write(name, broken.as_bytes());
    }
    let r = recipient.as_str();
    let cases: &[&[&str]] = &[
        &[],
        &["-x"],
        &["-r"],
        &["-d=maybe"],
        &["plain"],
        &["-d", "-e", "file.age"],
        &["-d", "-a", "file.age"],
        &["-d", "-p", "file.age"],
        &["-d", "-r", r, "file.age"],
        &["-d", "-R", "recipients", "file.age"],
        &["-i", "key", "plain"],
        &["-p", "-r", r, "plain"],
        &["-p", "-R", "recipients", "plain"],
        &["-e", "-p", "-i", "key", "plain"],
        &["-r", r, "plain", "key"],
        &["-r", r, "-o", "plain", "plain"],
        &["-r", "foo", "plain"],
        &["-r", "github:somebody", "plain"],
        &["-r", r, "-r", &hybrid, "plain"],
        &["-r", r, "missing"],
        &["-R", "missing", "plain"],
        &["-R", "plain", "plain"],
        &["-R", "key", "plain"],
        &["-R", "empty", "plain"],
        &["-R", "foreign", "plain"],
        &["-d", "-i", "missing", "file.age"],
        &["-d", "-i", "plain", "file.age"],
        &["-d", "-i", "recipients", "file.age"],
        &["-d", "-i", "empty", "file.age"],
        &["-d", "-i", "key", "other.age"],
        &["-d", "-i", "key", "short.age"],
        &["-d", "-i", "key", "nonce.age"],
        &["-d", "-i", "key", "noncecut.age"],
        &["-d", "-i", "key", "long.age"],
        &["-d", "-i", "key", "a-behind.age"],
        &["-d", "-i", "key", "a-cut.age"],
        &["-d", "-i", "key", "a-end.age"],
        &["-d", "-i", "key", "a-empty.age"],
        &["-d", "-i", "key", "a-letter.age"],
        &["-d", "-i", "key", "a-long.age"],
        &["-d", "-i", "key", "a-space.age"],
        &["-d", "-i", "key", "missing"],
        &["-d", "-i", "key", "empty"],
        &["-d", "-i", "key", "windows.age"],
        &["-d", "-i", "key", "mac.age"],
        &["-d", "-i", "key", "-o", "out", "cut.age"],
        &["-d", "-i", "hybrid", "file.age"],
        &["-d", "file.age"],
        &["-d", "-j", "nowhere", "file.age"],
        &["-d", "-i", "key", "-o", "missing/out", "file.age"],
    ];
    for args in cases {
        let ours = desk.age(Whose::Ours, args);
        assert!(!desk.path("out").exists(), "{args:?}");
        let theirs = desk.age(Whose::Newest, args);
        assert_eq!(told(&ours.stderr), told(&theirs.stderr), "{args:?}");
        assert_eq!(ours.status.code(), theirs.status.code(), "{args:?}");
        assert_eq!(ours.stdout, theirs.stdout, "{args:?}");
    }
}

#[test]
fn failures_of_keygen_are_told_as_by_the_original() {
    let desk = Desk::new();
    desk.keygen(Whose::Ours, "key", &[]);
    desk.write("plain", b"hi\n");
    let cases: &[&[&str]] = &[
        &["-x"],
        &["a"],
        &["-y", "a", "b"],
        &["-pq", "-y", "key"],
        &["-o", "key"],
        &["-o", "missing/key"],
        &["-y", "missing"],
        &["-y", "plain"],
        &["-y", "key"],
    ];
    for args in cases {
        let run = |whose| desk.command(whose, "age-keygen").args(*args).output().unwrap();
        let (ours, theirs) = (run(Whose::Ours), run(Whose::Newest));
        assert_eq!(told(&ours.stderr), told(&theirs.stderr), "{args:?}");
        assert_eq!(ours.status.code(), theirs.status.code(), "{args:?}");
        assert_eq!(ours.stdout, theirs.stdout, "{args:?}");
    }
}

#[test]
fn what_is_given_twice_is_told_once() {
    let desk = Desk::new();
    let recipient = desk.keygen(Whose::Ours, "key", &[]);
    desk.write("plain", b"hi\n");
    let run = |whose| {
        let mut args = ["-r", recipient.as_str()].repeat(3);
        args.extend(["-o", "out", "plain"]);
        let output = desk.age(whose, &args);
        assert!(output.status.success());
        text(&output.stderr)
    };
    assert_eq!(run(Whose::Ours), run(Whose::Newest));
    let behind = desk.age(Whose::Ours, &["-r", &recipient, "plain", "-o", "out"]);
    let told = text(&behind.stderr);
    assert!(told.contains("the input file must be specified after all flags"), "{told}");
    assert!(told.contains(&format!("age -r {recipient} -o out plain")), "{told}");
}
