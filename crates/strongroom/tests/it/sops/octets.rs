//! Files that are no UTF-8 are kept byte by byte, as the original keeps them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{BOTH, Bench, Who, said};

const INI: &[u8] = b"; c\xe9\n[s\xe9]\n; d\xe9\na\xe9        = caf\xe9\n; i\xe9\nlong_name = x\n";
const ENV: &[u8] = b"#c\xe9\nk\xe9=v\xe9\n";

fn bench(name: &str, bytes: &[u8], who: Who) -> Bench {
    let bench = Bench::new();
    bench.write(name, bytes);
    bench.encrypt(who, name, &[]);
    bench
}

#[test]
fn bytes_come_back_whoever_encrypts_and_decrypts() {
    for (name, bytes) in [("f.ini", INI), ("f.env", ENV)] {
        for encrypts in BOTH {
            let bench = bench(name, bytes, encrypts);
            for decrypts in BOTH {
                let output = bench.run(decrypts, &["decrypt", name]);
                assert!(output.status.success(), "{encrypts:?} {decrypts:?} {}", said(&output));
                assert_eq!(output.stdout, bytes, "{encrypts:?} {decrypts:?} {name}");
            }
            assert_eq!(bench.same(&["decrypt", "--output-type", "json", name]), 0);
            // Rotated, too, and in an editor.
            bench.good(Who::Ours, &["rotate", "-i", name]);
            bench.write(
                "editor",
                "#!/bin/sh\nsed 's/x$/y/; s/v/w/' \"$1\" > new && cat new > \"$1\"\n",
            );
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(bench.path("editor"), mode).unwrap();
            let mut edit = bench.command(Who::Ours, &["edit", name]);
            let output =
                edit.env("LC_ALL", "C").env("EDITOR", bench.path("editor")).output().unwrap();
            assert!(output.status.success(), "{}", said(&output));
            let output = bench.run(Who::Original, &["decrypt", name]);
            let edited: Vec<u8> = match name {
                "f.ini" => [&bytes[..bytes.len() - 2], b"y\n"].concat(),
                _ => b"#c\xe9\nk\xe9=w\xe9\n".to_vec(),
            };
            assert_eq!(output.stdout, edited, "{}", said(&output));
        }
    }
}

#[test]
fn programs_get_the_bytes() {
    let bench = bench("f.env", ENV, Who::Original);
    for who in BOTH {
        // What the shell was given: it hands on no name that it could not have itself.
        let args = ["exec-env", "f.env", r"tr '\0' '\n' < /proc/$$/environ | grep -a ^k"];
        let output = bench.run(who, &args);
        assert_eq!(output.stdout, b"k\xe9=v\xe9\n", "{who:?} {}", said(&output));
        let output = bench.run(who, &["exec-file", "f.env", "cat {}"]);
        assert_eq!(output.stdout, ENV, "{who:?} {}", said(&output));
    }
}

#[test]
fn a_format_that_cannot_have_them_changes_nothing_in_silence() {
    let bench = bench("f.ini", INI, Who::Ours);
    // The original panics: a comment cannot be said.
    let output = bench.run(Who::Ours, &["decrypt", "--output-type", "yaml", "f.ini"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(output.stdout.is_empty() && said(&output).contains("no UTF-8"), "{}", said(&output));
    let bench = self::bench("f.ini", b"[s\xe9]\na\xe9=caf\xe9\n", Who::Ours);
    assert_eq!(bench.same(&["decrypt", "--output-type", "yaml", "f.ini"]), 0);
}
