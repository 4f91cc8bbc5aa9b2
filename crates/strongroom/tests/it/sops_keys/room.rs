//! `import` and `export`: files to and from the key-value stores of a running server.

use super::{Desk, Whose};
use crate::live::Dev;

const NESTED: &str = "db:\n    hosts:\n        - a\n        - b\n    port: 5432\n    tls: true\nratio: \
                      0.5\ntoken: hunter2\n";

/// A server, and a desk whose key `.sops.yaml` names.
fn desk() -> (Dev, Desk) {
    let dev = Dev::start();
    dev.ok(&["secrets", "enable", "-path=plain", "kv"]);
    let desk = Desk::new().with("VAULT_TOKEN", "root").with("VAULT_ADDR", dev.address());
    let recipient = desk.age_key();
    desk.write(".sops.yaml", &format!("creation_rules:\n- age: {recipient}\n"));
    (dev, desk)
}

fn encrypted(desk: &Desk, name: &str, text: &str) {
    desk.write("plain", text);
    let args = ["encrypt", "--filename-override", name, "--output", name, "plain"];
    desk.ok(Whose::Ours, &args);
}

fn json(dev: &Dev, path: &str) -> serde_json::Value {
    serde_json::from_str(&dev.ok(&["kv", "get", "-format=json", path])).unwrap()
}

#[test]
fn a_file_becomes_a_secret_and_a_secret_a_file() {
    let (dev, desk) = desk();
    encrypted(&desk, "app.yaml", NESTED);
    for (path, versioned) in [("secret/app/db", true), ("plain/app/db", false)] {
        let said = desk.ok(Whose::Ours, &["import", "app.yaml", path]);
        assert!(said.starts_with(&format!("{path}: 3 values written from ")), "{said}");
        let found = json(&dev, path);
        let found = if versioned { &found["data"]["data"] } else { &found["data"] };
        let expected = serde_json::json!({
            "db": {"hosts": ["a", "b"], "port": 5432, "tls": true}, "ratio": 0.5, "token": "hunter2"
        });
        assert_eq!(found, &expected);
        let out = format!("from-{versioned}.yaml");
        desk.ok(Whose::Ours, &["export", path, &out]);
        assert!(!desk.read(&out).contains("hunter2"));
        // The original reads it.
        assert_eq!(desk.ok(Whose::Original, &["decrypt", &out]), NESTED);
        // What is there stays.
        let before = desk.read(&out);
        let told = desk.refused(Whose::Ours, &["export", path, &out], 3);
        assert!(told.contains("there already"), "{told}");
        assert_eq!(desk.read(&out), before);
        desk.ok(Whose::Ours, &["export", "--force", path, &out]);
        assert_ne!(desk.read(&out), before);
    }
    // Other formats, by the name or the flag; to the standard output by a name alone.
    encrypted(&desk, "flat.env", "A=1\nB=two words\n");
    desk.ok(Whose::Ours, &["import", "flat.env", "secret/flat"]);
    for name in ["o.env", "o.json", "o.ini"] {
        desk.ok(Whose::Ours, &["export", "secret/flat", name]);
        let plain = desk.ok(Whose::Original, &["decrypt", "--output-type", "json", name]);
        assert!(plain.contains("\"B\": \"two words\""), "{name}: {plain}");
    }
    let args = ["export", "--filename-override", "x.env", "secret/flat"];
    let file = desk.ok(Whose::Ours, &args);
    assert!(file.contains("sops_version=") && !file.contains("two words"), "{file}");
    assert!(
        desk.refused(Whose::Ours, &["export", "secret/flat"], 8).contains("--filename-override")
    );
}

#[test]
fn versions_and_dry_runs() {
    let (dev, desk) = desk();
    encrypted(&desk, "app.yaml", "a: 1\n");
    let dry = ["import", "--dry-run", "app.yaml", "secret/app"];
    assert!(desk.ok(Whose::Ours, &dry).contains("would be written"));
    assert_ne!(dev.run(&["kv", "get", "secret/app"]).code, 0);
    desk.ok(Whose::Ours, &["import", "--cas", "0", "app.yaml", "secret/app"]);
    let told = desk.refused(Whose::Ours, &["import", "--cas", "0", "app.yaml", "secret/app"], 1);
    assert!(told.contains("check-and-set"), "{told}");
    desk.ok(Whose::Ours, &["import", "--cas", "1", "app.yaml", "secret/app"]);
    assert_eq!(json(&dev, "secret/app")["data"]["metadata"]["version"], 2);
    let told = desk.refused(Whose::Ours, &["import", "--cas", "0", "app.yaml", "plain/app"], 1);
    assert!(told.contains("needs a store with versions"), "{told}");
    desk.ok(Whose::Ours, &["export", "--dry-run", "secret/app", "dry.yaml"]);
    assert!(!desk.path("dry.yaml").exists());
    for (args, code, text) in [
        (&["import", "app.yaml"][..], 1, "takes a file and a path"),
        (&["import", "nowhere.yaml", "secret/app"], 100, "no such file"),
        (&["import", "app.yaml", "secret/"], 1, "names a store"),
        (&["import", "app.yaml", "nowhere/app"], 1, "nowhere"),
        (&["import", "plain.yaml", "secret/app"], 1, "sops metadata not found"),
        (&["export", "secret/missing", "x.yaml"], 1, "there is no secret at secret/missing"),
    ] {
        let told = desk.refused(Whose::Ours, args, code);
        assert!(told.contains(text), "{args:?}: {told}");
    }
    let without = Desk::new().with("VAULT_TOKEN", "wrong").with("VAULT_ADDR", dev.address());
    let told = without.refused(Whose::Ours, &["export", "secret/app", "x.yaml"], 1);
    assert!(told.contains("denied"), "{told}");
}

#[test]
fn a_tampered_file_writes_nothing() {
    let (dev, desk) = desk();
    std::fs::create_dir(desk.path("all")).unwrap();
    encrypted(&desk, "all/a.yaml", "password: hunter2\n");
    encrypted(&desk, "all/b.yaml", "password: hunter2\n");
    let broken = desk.read("all/b.yaml").replacen("password: ENC", "other: ENC", 1);
    desk.write("all/b.yaml", &broken);
    for args in [
        &["import", "all/b.yaml", "secret/all/b"][..],
        &["import", "--recursive", "all", "secret/all"],
    ] {
        let done = desk.run(Whose::Ours, args);
        let told = super::text(&done.stderr);
        assert!(!done.status.success() && !told.contains("hunter2"), "{told}");
        assert_ne!(dev.run(&["kv", "list", "secret/all"]).code, 0, "{args:?}");
    }
}

#[test]
fn folders_go_both_ways() {
    let (dev, desk) = desk();
    std::fs::create_dir_all(desk.path("all/deep")).unwrap();
    encrypted(&desk, "all/a.yaml", "password: one\n");
    encrypted(&desk, "all/deep/b.json", "{\"password\": \"two\"}");
    desk.write("all/readme", "for people");
    // What Git keeps is not looked at, nor told of.
    for folder in ["all/.git", "all/deep/.git"] {
        std::fs::create_dir(desk.path(folder)).unwrap();
        encrypted(&desk, &format!("{folder}/c.yaml"), "password: three\n");
        desk.write(&format!("{folder}/config"), "[core]\n");
    }
    let args = ["import", "--recursive", "all", "secret/team"];
    let done = desk.run(Whose::Ours, &args);
    let told = super::text(&done.stdout) + &super::text(&done.stderr);
    assert!(told.contains("readme: passed over") && !told.contains(".git"), "{told}");
    for folder in ["secret/team", "secret/team/deep"] {
        assert!(!dev.ok(&["kv", "list", folder]).contains(".git"));
    }
    assert_eq!(dev.ok(&["kv", "get", "-field=password", "secret/team/a"]), "one");
    assert_eq!(dev.ok(&["kv", "get", "-field=password", "secret/team/deep/b"]), "two");
    desk.ok(Whose::Ours, &["export", "--recursive", "secret/team", "back"]);
    assert_eq!(desk.ok(Whose::Original, &["decrypt", "back/a.yaml"]), "password: one\n");
    assert_eq!(desk.ok(Whose::Original, &["decrypt", "back/deep/b.yaml"]), "password: two\n");
    // All or nothing, where one file is there.
    std::fs::remove_file(desk.path("back/a.yaml")).unwrap();
    desk.refused(Whose::Ours, &["export", "--recursive", "secret/team", "back"], 3);
    assert!(!desk.path("back/a.yaml").exists());
    // Two files cannot be one secret.
    encrypted(&desk, "all/a.json", "{\"password\": \"three\"}");
    let told = desk.refused(Whose::Ours, &args, 1);
    assert!(told.contains("would both be secret/team/a"), "{told}");
    assert!(desk.refused(Whose::Ours, &["import", "all", "secret/x"], 1).contains("--recursive"));
}

#[test]
fn secrets_that_would_be_in_each_others_place_are_not_exported() {
    let (dev, desk) = desk();
    for path in ["secret/team/a", "secret/team/a.yaml/b", "secret/team/c"] {
        dev.ok(&["kv", "put", path, "password=hunter2"]);
    }
    let args = ["export", "--recursive", "secret/team", "out"];
    let told = desk.refused(Whose::Ours, &args, 1);
    assert!(
        told.contains("secret/team/a would be a file where secret/team/a.yaml/b needs a folder")
    );
    assert!(!desk.path("out").exists());
    let args = ["export", "--recursive", "--output-type", "json", "secret/team", "out"];
    desk.ok(Whose::Ours, &args);
    for file in ["out/a.json", "out/a.yaml/b.json", "out/c.json"] {
        assert!(desk.ok(Whose::Original, &["decrypt", file]).contains("hunter2"));
    }
}

#[test]
fn a_key_that_is_no_text_is_not_published_as_a_secret() {
    let (dev, desk) = desk();
    let rules = desk.read(".sops.yaml");
    let rules =
        format!("{rules}destination_rules:\n- vault_path: team/\n  vault_kv_mount_name: secret/\n");
    desk.write(".sops.yaml", &rules);
    std::fs::write(desk.path("plain"), b"password=hunter2\nna\xefve=x\n").unwrap();
    let args = ["encrypt", "--filename-override", "a.env", "--output", "a.env", "plain"];
    desk.ok(Whose::Ours, &args);
    let told = desk.refused(Whose::Ours, &["publish", "--yes", "a.env"], 1);
    assert!(told.contains("is no UTF-8") && !told.contains("hunter2"), "{told}");
    assert_ne!(dev.run(&["kv", "get", "secret/team/a.env"]).code, 0);
    encrypted(&desk, "a.env", "password=hunter2\n");
    desk.ok(Whose::Ours, &["publish", "--yes", "a.env"]);
    assert_eq!(dev.ok(&["kv", "get", "-field=password", "secret/team/a.env"]), "hunter2");
}
