//! The command line as a whole, in-process: words, environment and stdin go in; stdout, stderr and
//! the exit code come out. A scripted server answers where one is needed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use strongroom_base::SecretString;
use strongroom_cli::cli::{self, ServerCommand, Terminal, World};

/// What a run left behind.
struct Ran {
    code: i32,
    out: String,
    err: String,
    served: Option<ServerCommand>,
}

/// The surroundings of a run.
#[derive(Default)]
struct Run {
    env: Vec<(String, String)>,
    stdin: String,
    typed: Option<String>,
    /// The name the program is called by; empty stands for its own.
    program: &'static str,
}

impl Run {
    fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    fn stdin(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stdin);
        self
    }

    fn typed(mut self, text: &str) -> Self {
        self.typed = Some(text.to_owned());
        self
    }

    fn words(&self, words: &[&str]) -> Ran {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let served = Mutex::new(None);
        let code = {
            let env = |name: &str| {
                self.env.iter().find(|(known, _)| known == name).map(|(_, v)| v.clone())
            };
            let ask = |_: &str| self.typed.clone().ok_or_else(|| std::io::Error::other("no tty"));
            let random = |buffer: &mut [u8]| {
                buffer.fill(7);
                Ok(())
            };
            let serve = |command| {
                *served.lock().unwrap() = Some(command);
                0
            };
            let world = World {
                program: if self.program.is_empty() { "strongroom" } else { self.program }.into(),
                program_path: "/opt/strongroom".into(),
                env: &env,
                stdin: Box::new(self.stdin.as_bytes()),
                out: Some(Box::new(&mut out)),
                err: Some(Box::new(&mut err)),
                in_terminal: false,
                out_terminal: false,
                err_terminal: false,
                ask: &ask,
                terminal: Arc::new(NoTerminal),
                random: &random,
                serve: &serve,
                run: &|_| Err(std::io::Error::other("no programs")),
            };
            cli::run(words.iter().map(|word| (*word).to_owned()).collect(), world)
        };
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code, out: text(out), err: text(err), served: served.into_inner().unwrap() }
    }
}

/// Nobody is there to be asked.
struct NoTerminal;

impl Terminal for NoTerminal {
    fn secret(&self, _: &str) -> std::io::Result<SecretString> {
        Err(std::io::Error::other("no tty"))
    }

    fn line(&self, _: &str) -> std::io::Result<String> {
        Err(std::io::Error::other("no tty"))
    }

    fn tell(&self, _: &str) -> std::io::Result<()> {
        Err(std::io::Error::other("no tty"))
    }

    fn note(&self, text: &str) {
        eprintln!("{text}");
    }
}

/// A server that answers one request after the other from a script and keeps what it was asked.
struct Script {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn new(answers: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        let answers: Vec<(u16, String)> =
            answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        std::thread::spawn(move || {
            for (status, body) in answers {
                let Ok((stream, _)) = listener.accept() else { return };
                let mut reader = BufReader::new(stream);
                let (mut head, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) <= 2 {
                        break;
                    }
                    if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = n.trim().parse().unwrap();
                    }
                    head.push_str(&line);
                }
                let mut content = vec![0; length];
                reader.read_exact(&mut content).unwrap();
                let line = head.lines().next().unwrap_or_default().replace(" HTTP/1.1", "");
                let content = String::from_utf8(content).unwrap();
                kept.lock().unwrap().push(format!("{line} {content}").trim_end().to_owned());
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nX-Strongroom-Explain: {}\r\nConnection: \
                     close\r\nContent-Length: {}\r\n\r\n{body}",
                    if status == 403 { "ex-1" } else { "" },
                    body.len()
                );
                reader.into_inner().write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { address, asked }
    }

    fn run(&self) -> Run {
        Run::default().env("VAULT_ADDR", &self.address).env("VAULT_TOKEN", "canary-token")
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

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
fn kv_get_prints_path_metadata_and_data() {
    let secret = r#"{"data":{"data":{"user":"kim","n":1.50},"metadata":
        {"created_time":"2026-01-02T03:04:05Z","custom_metadata":null,"deletion_time":"",
         "destroyed":false,"version":2}}}"#;
    let script = Script::new(&[(200, KV2), (200, secret), (200, KV2), (200, secret)]);
    let ran = script.run().words(&["kv", "get", "-mount=secret", "team/app"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(
        ran.out,
        "==== Secret Path ====\nsecret/data/team/app\n\n======= Metadata =======\n\
         Key                Value\n---                -----\n\
         created_time       2026-01-02T03:04:05Z\ncustom_metadata    <nil>\n\
         deletion_time      n/a\ndestroyed          false\nversion            2\n\n\
         ==== Data ====\nKey     Value\n---     -----\nn       1.50\nuser    kim\n"
    );
    let ran = script.run().words(&["kv", "get", "-version=1", "-field=user", "secret/team/app"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "kim"));
    assert_eq!(
        script.asked(),
        [
            "GET /v1/sys/internal/ui/mounts/secret",
            "GET /v1/secret/data/team/app",
            "GET /v1/sys/internal/ui/mounts/secret/team/app",
            "GET /v1/secret/data/team/app?version=1",
        ]
    );
}

#[test]
fn kv_put_keeps_the_order_of_fields_and_reads_stdin() {
    let script = Script::new(&[(200, KV2), (200, r#"{"data":{"version":1}}"#)]);
    let ran = script.run().stdin("pw\n").words(&[
        "kv",
        "put",
        "-cas=0",
        "secret/app",
        "z=1",
        "password=-",
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with("= Secret Path =\nsecret/data/app\n"), "{}", ran.out);
    assert_eq!(
        script.asked()[1],
        r#"PUT /v1/secret/data/app {"data":{"z":"1","password":"pw\n"},"options":{"cas":0}}"#
    );
}

#[test]
fn kv_patch_falls_back_where_the_server_or_the_policy_does_not_merge() {
    let now = r#"{"data":{"data":{"a":"1","b":"2"},"metadata":{"version":3}}}"#;
    let refused = r#"{"errors":["permission denied"]}"#;
    for (status, warns) in [(403, true), (405, false)] {
        let script = Script::new(&[
            (200, KV2),
            (status, refused),
            (200, now),
            (200, r#"{"data":{"version":4}}"#),
        ]);
        let ran = script.run().words(&["kv", "patch", "-remove-data=b", "secret/app", "a=x"]);
        assert_eq!((ran.code, ran.err.contains("\"patch\" capability")), (0, warns), "{}", ran.err);
        let asked = script.asked();
        assert_eq!(
            asked[1],
            r#"PATCH /v1/secret/data/app {"data":{"a":"x","b":null},"options":{}}"#
        );
        assert_eq!(asked[3], r#"PUT /v1/secret/data/app {"data":{"a":"x"},"options":{"cas":3}}"#);
    }
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
fn login_keeps_the_token_and_never_takes_it_from_argv_only() {
    let home = tempfile::tempdir().unwrap();
    let answer = r#"{"auth":{"client_token":"hvs.new","accessor":"a","policies":["default"],
        "token_policies":["default"],"lease_duration":3600,"renewable":true}}"#;
    let script = Script::new(&[(200, answer)]);
    let run = Run::default()
        .env("VAULT_ADDR", &script.address)
        .env("HOME", home.path().display().to_string())
        .typed("canary-password");
    let ran = run.words(&["login", "-method=userpass", "username=kim"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with("Success! You are now authenticated."), "{}", ran.out);
    assert!(!ran.out.contains("canary-password"));
    assert_eq!(
        script.asked()[0],
        r#"PUT /v1/auth/userpass/login/kim {"password":"canary-password"}"#
    );
    let kept = std::fs::read_to_string(home.path().join(".vault-token")).unwrap();
    assert_eq!(kept, "hvs.new");
    assert_eq!(run.words(&["print", "token"]).out, "hvs.new\n");
}

#[test]
fn what_a_login_lacks_is_in_the_environment_or_asked_for() {
    let answer = r#"{"auth":{"client_token":"hvs.new","policies":["default"]}}"#;
    for (variable, words, typed, asked) in [
        (
            "BAO_LDAP_PASSWORD",
            &["-method=ldap", "-path=corp", "username=kim"][..],
            "",
            r#"PUT /v1/auth/corp/login/kim {"password":"from the environment"}"#,
        ),
        (
            "VAULT_LDAP_PASSWORD",
            &["-method=ldap", "username=a/b, c", "password=given"],
            "",
            r#"PUT /v1/auth/ldap/login/a/b,%20c {"password":"given"}"#,
        ),
        (
            "VAULT_OTHER",
            &["-method=ldap", "username=kim"],
            "typed",
            r#"PUT /v1/auth/ldap/login/kim {"password":"typed"}"#,
        ),
        (
            "VAULT_AUTH_GITHUB_TOKEN",
            &["-method=github"],
            "",
            r#"PUT /v1/auth/github/login {"token":"from the environment"}"#,
        ),
        (
            "VAULT_OTHER",
            &["-method=github"],
            "typed",
            r#"PUT /v1/auth/github/login {"token":"typed"}"#,
        ),
    ] {
        let script = Script::new(&[(200, answer)]);
        let run = Run::default()
            .env("VAULT_ADDR", &script.address)
            .env(variable, "from the environment")
            .typed(typed);
        let ran = run.words(&[&["login", "-no-store", "-token-only"], words].concat());
        assert_eq!((ran.code, ran.out.as_str()), (0, "hvs.new"), "{}", ran.err);
        assert_eq!(script.asked()[0], asked);
    }
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

#[test]
fn rotations_are_shown_as_people_ask_for_them() {
    let top = r#"{"data":{"keys":["db/"],"key_info":{}}}"#;
    let mount = r#"{"data":{"keys":["static-roles/"],"key_info":{}}}"#;
    let roles = r#"{"data":{"keys":["app","web"],"key_info":{
        "app":{"state":"draining","version":4,"last_rotation":"2026-01-02T00:00:00Z",
               "next_rotation":"2026-02-01T00:00:00Z","progress":"1/2 moved, 1 left",
               "last_error":""},
        "web":{"state":"idle","version":1,"last_rotation":null,"next_rotation":null,"progress":"",
               "last_error":"it is down"}}}}"#;
    let script = Script::new(&[(200, top), (200, mount), (200, roles)]);
    let ran = script.run().words(&["rotation", "list"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(
        ran.out,
        "Path                   State       Version    Last rotation           Next rotation      \
         \x20    Note\n----                   -----       -------    -------------           \
         -------------           ----\ndb/static-roles/app    draining    4          \
         2026-01-02T00:00:00Z    2026-02-01T00:00:00Z    1/2 moved, 1 left\ndb/static-roles/web    \
         idle        1          n/a                     n/a                     it is down\n"
    );
    assert_eq!(
        script.asked(),
        [
            "GET /v1/sys/rotation/subjects?list=true",
            "GET /v1/sys/rotation/subjects/db?list=true",
            "GET /v1/sys/rotation/subjects/db/static-roles?list=true",
        ]
    );

    let status = r#"{"data":{"path":"db/static-roles/app","state":"draining","removed":false,
        "version":4,"last_rotation":"2026-01-02T00:00:00Z","next_rotation":"2026-02-01T00:00:00Z",
        "rotation_period":2592000,"rotation_schedule":null,"rotation_window":null,
        "two_accounts":true,"drain_seconds":3600,"attempts":0,"last_error":"","next_attempt":null,
        "rotation":{"state":"draining","since":"2026-01-02T00:00:01Z",
            "started":"2026-01-02T00:00:00Z","cause":"schedule","old_version":3,
            "deadline":"2026-01-02T01:00:01Z",
            "consumers":{"total":40,"moved":37,"ended":0,"left":3,"progress":"37/40 moved, 3 left",
                "holding":[{"consumer":"00ff","accessor":"acc","display_name":"approle",
                    "remote_address":"10.0.0.7","since":"2026-01-01T00:00:00Z"}]}},
        "last_outcomes":[{"ending":"done","version":3,"cause":"schedule",
            "started":"2025-12-01T00:00:00Z","ended":"2025-12-01T01:00:00Z","error":"",
            "consumers_moved":39,"consumers_ended":0,"consumers_left":1,
            "left":["approle at 10.0.0.7"]}]}}"#;
    let script = Script::new(&[(200, status), (200, status), (404, r#"{"errors":[]}"#)]);
    let ran = script.run().words(&["rotation", "status", "db/static-roles/app"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for line in [
        "State            draining\n",
        "Consumers        37/40 moved, 3 left\n",
        "Deadline         2026-01-02T01:00:01Z\n",
        "\nStill at version 3:\n\nConsumer    From        Since                   Accessor    Note\n",
        "approle     10.0.0.7    2026-01-01T00:00:00Z    acc         n/a\n",
        "\n… and 2 more; -limit shows them.\n",
        "39 moved, 0 ended, 1 left    left: approle at 10.0.0.7\n",
    ] {
        assert!(ran.out.contains(line), "{line}:\n{}", ran.out);
    }
    let ran = script.run().words(&["rotation", "status", "-field=version", "db/static-roles/app"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "4"));
    let ran = script.run().words(&["rotation", "status", "db/none"]);
    assert_eq!((ran.code, ran.err.as_str()), (2, "Nothing is rotated at db/none\n"));

    let forced = r#"{"data":{"state":"draining","consumers_left":3}}"#;
    let acked = r#"{"data":{"acknowledged":2}}"#;
    let down = r#"{"errors":["the database is not there"]}"#;
    let answers = [(200, forced), (200, acked), (204, ""), (204, ""), (502, down)];
    let script = Script::new(&answers);
    for (words, code, said) in [
        (&["force", "db/a"][..], 0, "Success! Ended the drain of db/a; consumers left: 3\n"),
        (&["ack", "-accessor=acc", "db/a"], 0, "Consumers acknowledged: 2\n"),
        (&["start", "db/a"], 0, "Success! Rotated: db/a\n"),
        (&["abort", "/db/a/"], 0, "Success! Called off the rotation of: db/a\n"),
        (&["start", "db/a"], 2, "the database is not there"),
        (&["start"], 1, "Missing PATH!"),
    ] {
        let ran = script.run().words(&[&["rotation"], words].concat());
        assert_eq!(ran.code, code, "{words:?}: {}", ran.err);
        assert!(format!("{}{}", ran.out, ran.err).contains(said), "{words:?}: {}", ran.err);
    }
    assert_eq!(
        script.asked(),
        [
            "PUT /v1/sys/rotation/force/db/a {}",
            r#"PUT /v1/sys/rotation/ack/db/a {"accessor":"acc"}"#,
            "PUT /v1/sys/rotation/start/db/a {}",
            "PUT /v1/sys/rotation/abort/db/a {}",
            "PUT /v1/sys/rotation/start/db/a {}",
        ]
    );
}
