//! The command line as a whole, in-process: words, environment and stdin go in; stdout, stderr and
//! the exit code come out. A scripted server answers where one is needed.

mod kv;
mod logins;
mod rotation;
mod run;

use strongroom_cli::cli::ServerCommand;

use run::{Run, Script};

const KV2: &str = r#"{"data":{"path":"secret/","options":{"version":"2"}}}"#;

#[test]
fn help_and_unknown_commands() {
    let run = Run::default();
    let none = run.words(&[]);
    assert_eq!((none.code, none.out.as_str()), (127, ""));
    assert!(none.err.starts_with("Usage: strongroom <command> [options] [args]\n"));
    for words in [&["-h"][..], &["--help"], &["help"]] {
        let help = run.words(words);
        assert_eq!((help.code, help.err.as_str()), (0, ""), "{words:?}");
        assert!(help.out.contains("\nCommon commands:\n    kv "), "{}", help.out);
    }
    let typo = run.words(&["stauts"]);
    assert_eq!(typo.code, 127);
    assert!(typo.err.contains("Did you mean \"strongroom status\"?"), "{}", typo.err);
    let group = run.words(&["kv"]);
    assert_eq!(group.code, 1);
    assert!(group.err.contains("Subcommands:\n    cp "), "{}", group.err);
    let deep = run.words(&["kv", "metadata", "get", "-h"]);
    assert_eq!(deep.code, 0);
    assert!(deep.out.contains("  -mount=<string>\n"), "{}", deep.out);
    let early = run.words(&["-address=http://x", "status"]);
    assert_eq!((early.code, early.err.contains("after the subcommand")), (1, true));
    let version = run.words(&["-version"]);
    assert!(version.out.starts_with("Strongroom v"), "{}", version.out);
    let as_vault = Run { program: "vault", ..Run::default() };
    for words in [["-version"], ["version"]] {
        let version = as_vault.words(&words);
        assert!(version.out.starts_with("Vault v1."), "{}", version.out);
    }
}

#[test]
fn wrong_use_is_told_before_anything_is_sent() {
    let nowhere = Run::default().env("VAULT_ADDR", "http://127.0.0.1:9");
    for (words, complaint) in [
        (&["read"][..], "Not enough arguments (expected 1, got 0)\n"),
        (&["write", "a"], "Must supply data or use -force\n"),
        (&["write", "a", "b"], "invalid key/value pair \"b\": format must be key=value\n"),
        (&["kv", "get"], "Not enough arguments (expected 1, got 0)\n"),
        (&["kv", "get", "a", "b"], "Too many arguments (expected 1, got 2)\n"),
        (&["kv", "get", "-nope", "a"], "flag provided but not defined: -nope\n"),
        (&["kv", "put", "a"], "Must supply data\n"),
        (&["kv", "rollback", "a"], "Version flag must be specified\n"),
        (&["kv", "get", "-format=raw", "a"], "does not support the -format=raw option.\n"),
        (&["status", "-format=xml"], "Invalid output format: xml\n"),
        (&["token", "revoke", "-self", "-accessor"], "Cannot use -self with -accessor!\n"),
        (
            &["lease", "revoke", "-force", "x"],
            "Specifying -force requires also specifying -prefix\n",
        ),
        (&["namespace", "create", "-seal=x", "a"], "-seal: namespaces with a seal of their own"),
        (&["namespace", "create", "-pgp-keys=x", "a"], "-pgp-keys: namespaces with a seal of"),
        (&["server"], "Must specify at least one config path using -config"),
        (&["server", "-dev", "-recovery"], "-recovery: there is no recovery mode"),
        (&["server", "-dev-ha"], "-dev-ha: high availability is not built in yet"),
        (&["server", "-dev", "-dev-plugin-dir=x"], "there are no external plugins"),
        (&["server", "-dev", "-dev-latency=5"], "-dev-latency: it is for the tests of another"),
        (&["server", "-config=a", "-dev-root-token-id=x"], "is for dev mode: give -dev, too"),
        (&["server", "-config=a", "-log-rotate-bytes=x"], "-log-rotate-bytes is not a number"),
    ] {
        let ran = nowhere.words(words);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{words:?} {}", ran.err);
        assert!(ran.err.contains(complaint), "{words:?}: {}", ran.err);
    }
}

#[test]
fn a_number_that_was_given_is_the_one_that_is_sent() {
    let rekey = r#"{"started":true,"nonce":"right","t":1,"n":1,"progress":0,"required":1}"#;
    let refused = r#"{"errors":["incorrect nonce supplied"]}"#;
    // How often the state is asked for before.
    for (words, path, looks) in [
        (["operator", "rekey", "-nonce=wrong"], "rekey", 1),
        (["operator", "generate-root", "-nonce=wrong"], "generate-root", 2),
    ] {
        let mut answers = vec![(200, rekey); looks];
        answers.push((400, refused));
        let script = Script::new(&answers);
        let ran = script.run().typed("c2hhcmU=").words(&words);
        assert_eq!(ran.code, 2, "{words:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains("incorrect nonce supplied"), "{}", ran.err);
        let asked = script.asked();
        let last = &asked[looks];
        assert!(last.contains(path) && last.contains(r#""nonce":"wrong""#), "{asked:?}");
        // Without one the operation's own is shown and sent.
        let script = Script::new(&answers);
        let ran = script.run().typed("c2hhcmU=").words(&words[..2]);
        assert!(ran.out.contains("right"), "{}", ran.out);
        assert!(script.asked()[looks].contains(r#""nonce":"right""#));
    }
}

#[test]
fn one_field_of_a_status_and_of_a_token() {
    let seal = r#"{"type":"shamir","initialized":true,"sealed":false,"t":2,"n":3,"progress":0}"#;
    let leader = r#"{"ha_enabled":false}"#;
    let script = Script::new(&[(200, seal), (200, leader)]);
    let ran = script.run().words(&["status", "-field=t"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "2"), "{}", ran.err);
    let token = r#"{"data":{"accessor":"a-1","policies":["root"]}}"#;
    let script = Script::new(&[(200, token), (200, token)]);
    let ran = script.run().words(&["token", "lookup", "-field=accessor"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "a-1"), "{}", ran.err);
    let ran = script.run().words(&["token", "lookup", "-field=nothing"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    let script = Script::new(&[(200, seal)]);
    let ran = script.run().words(&["namespace", "seal-status", "-field=type", "team"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "shamir"), "{}", ran.err);
}

#[test]
fn a_refusal_shows_where_to_ask_why() {
    let script = Script::new(&[(403, r#"{"errors":["permission denied"]}"#)]);
    let ran = script.run().words(&["read", "secret/x"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert_eq!(
        ran.err,
        format!(
            "Error reading secret/x: Error making API request.\n\nURL: GET {}/v1/secret/x\nCode: \
             403. Errors:\n\n* permission denied\n\nTo see which rule decided: strongroom why \
             ex-1\n",
            script.address
        )
    );
}

#[test]
fn nothing_there_is_exit_code_2() {
    let gone = r#"{"errors":[]}"#;
    for (words, err, out) in [
        (&["read", "a"][..], "No value found at a\n", ""),
        (&["list", "a/"], "No value found at a\n", ""),
        (&["list", "-format=json", "a"], "", "{}\n"),
    ] {
        let ran = Script::new(&[(404, gone)]).run().words(words);
        assert_eq!((ran.code, ran.err.as_str(), ran.out.as_str()), (2, err, out), "{words:?}");
    }
}

#[test]
fn status_tells_by_its_exit_code() {
    let seal = |sealed: bool| {
        format!(
            r#"{{"type":"shamir","initialized":true,"sealed":{sealed},"t":3,"n":5,"progress":0,"nonce":"","version":"1"}}"#
        )
    };
    let leader = r#"{"ha_enabled":false}"#;
    for (sealed, code) in [(false, 0), (true, 2)] {
        let seal = seal(sealed);
        let ran = Script::new(&[(200, &seal), (200, leader)]).run().words(&["status"]);
        assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{}", ran.out);
        assert!(ran.out.starts_with("Key "), "{}", ran.out);
    }
    let ran = Run::default()
        .env("VAULT_ADDR", "http://127.0.0.1:9")
        .env("VAULT_TOKEN", "t")
        .words(&["status"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.starts_with(
            "Error checking seal status: Get \"http://127.0.0.1:9/v1/sys/seal-status\": "
        ),
        "{}",
        ran.err
    );
}

#[test]
fn dry_runs_send_nothing_and_hide_the_token() {
    let run = Run::default().env("VAULT_ADDR", "http://127.0.0.1:9").env("VAULT_TOKEN", "canary");
    let ran = run.words(&["write", "-output-curl-string", "a/b", "k=v"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(
        ran.out,
        "curl -X PUT -H \"X-Vault-Request: true\" -H \"X-Vault-Token: $(strongroom print token)\" \
         -d '{\"k\":\"v\"}' \"http://127.0.0.1:9/v1/a/b\"\n"
    );
    let ran = run.words(&["delete", "a/b", "-output-policy"]);
    assert_eq!(ran.out, "path \"a/b\" {\n  capabilities = [\"delete\"]\n}\n");
    let ran = run.words(&["version", "-output-policy"]);
    assert_eq!(ran.code, 1);
}

#[test]
fn what_belongs_to_the_server_is_handed_on() {
    let run = Run::default();
    let ran = run.words(&["server", "-config=a.hcl", "-config", "b", "-log-level=debug"]);
    let Some(ServerCommand::Server(options)) = ran.served else { panic!("{}", ran.err) };
    assert_eq!(options.configs, ["a.hcl", "b"].map(std::path::PathBuf::from));
    assert_eq!((options.log_level.as_deref(), options.dev.is_none()), (Some("debug"), true));
    let ran = run.words(&["server", "-dev", "-dev-root-token-id=root"]);
    let Some(ServerCommand::Server(options)) = ran.served else { panic!("{}", ran.err) };
    assert_eq!(options.dev.unwrap().root_token.as_deref(), Some("root"));
    let ran = run.words(&["up", "-data=/srv/x"]);
    let Some(ServerCommand::Up { data, address, .. }) = ran.served else { panic!("{}", ran.err) };
    assert_eq!((data, address), (Some("/srv/x".into()), None));
    let ran = run.words(&["audit", "verify", "a.log", "b.log"]);
    assert!(
        matches!(ran.served, Some(ServerCommand::AuditVerify { files, .. }) if files.len() == 2)
    );
}

#[test]
fn completion_answers_the_shell() {
    let ran = Run::default().env("COMP_LINE", "strongroom kv un").words(&[]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "undelete\n"));
    let ran = Run::default().words(&["completion", "bash"]);
    assert_eq!(ran.out, "complete -o nospace -C '/opt/strongroom' strongroom\n");
}

/// Threat GHSA-444v-8vxr-p36h: no rendered secret in an error.
#[test]
fn ghsa_444v_8vxr_p36h_errors_hold_no_secret() {
    let refused = r#"{"errors":["bad request"]}"#;
    let long: [&[&str]; 4] = [
        &["write", "a", "password=canary-value"],
        &["login", "-method=userpass", "username=kim", "password=canary-value"],
        &["operator", "unseal", "canary-value"],
        &["unwrap", "canary-value"],
    ];
    for words in long {
        let ran = Script::new(&[(400, refused)]).run().words(words);
        assert_eq!(ran.code, 2, "{words:?}");
        let all = format!("{}{}", ran.out, ran.err);
        assert!(!all.contains("canary-value") && !all.contains("canary-token"), "{all}");
    }
    for words in
        [&["kv", "get", "-version=canary-value", "a"][..], &["write", "a", "x=@canary", "y"]]
    {
        let ran = Run::default().words(words);
        assert!(!ran.err.contains("canary-value"), "{}", ran.err);
    }
}
