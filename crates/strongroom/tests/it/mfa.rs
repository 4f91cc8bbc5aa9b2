//! Second factors of logins through the built server and the command line, with the codes of
//! `oathtool`, which makes them by itself.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value as Json, json};
use strongroom_testkit::servers::guard::program;

use crate::databases::Room;
use crate::product;

/// The code of `oathtool` some steps from now.
fn code(secret: &str, steps: i64) -> String {
    let mut tool = Command::new(program("oathtool", "oathtool"));
    tool.args(["--totp", "-b", &format!("--now={} seconds", 30 * steps), secret]);
    let done = tool.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

fn read(done: &Output) -> Json {
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

struct Users {
    room: Room,
    method: String,
}

impl Users {
    fn json(&self, words: &[&str]) -> Json {
        let words = [&words[..1], &["-format=json"], &words[1..]].concat();
        serde_json::from_str(&self.room.ok(&words)).unwrap()
    }

    /// Makes a user who is enrolled; answers the secret that the telephone would have.
    fn enrol(&self, name: &str) -> String {
        self.room.ok(&["write", &format!("auth/userpass/users/{name}"), "password=horse"]);
        let first = self.log_in(name, &[]);
        let entity = first["auth"]["entity_id"].as_str().unwrap();
        let path = "identity/mfa/method/totp/admin-generate";
        let (method, entity) =
            (format!("method_id={}", self.method), format!("entity_id={entity}"));
        let made = self.json(&["write", path, &method, &entity]);
        let url = made["data"]["url"].as_str().unwrap();
        url.split("secret=").nth(1).unwrap().to_owned()
    }

    fn try_log_in(&self, name: &str, flags: &[&str]) -> Output {
        let name = format!("username={name}");
        let words = ["login", "-format=json", "-method=userpass", "-no-store"];
        self.room.run("", &[&words[..], flags, &[&name, "password=horse"]].concat())
    }

    fn log_in(&self, name: &str, flags: &[&str]) -> Json {
        read(&self.try_log_in(name, flags))
    }

    /// Sends what a terminal cannot, by the standard input.
    fn validate(&self, id: &Json, code: &str) -> Output {
        let payload = json!({ "mfa_request_id": id, "mfa_payload": { &self.method: [code] } });
        let mut command = product::command(self.room.folder());
        command.args(["write", "-format=json", "sys/mfa/validate", "-"]);
        command.env("VAULT_ADDR", format!("http://{}", self.room.server().address()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(payload.to_string().as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn is_good(&self, auth: &Json) -> bool {
        let token = auth["auth"]["client_token"].as_str().unwrap();
        self.room.run(token, &["token", "lookup"]).status.success()
    }
}

#[test]
fn a_password_and_a_telephone() {
    let room = Room::new();
    room.ok(&["auth", "enable", "userpass"]);
    let made: Json = serde_json::from_str(&room.ok(&[
        "write",
        "-format=json",
        "identity/mfa/method/totp",
        "method_name=phone",
        "issuer=Us",
    ]))
    .unwrap();
    let method = made["data"]["method_id"].as_str().unwrap().to_owned();
    let mut users = Users { room, method };
    let (bob, ann) = (users.enrol("bob"), users.enrol("ann"));
    let methods = format!("mfa_method_ids={}", users.method);
    users.room.ok(&[
        "write",
        "identity/mfa/login-enforcement/people",
        &methods,
        "auth_method_types=userpass",
    ]);

    // In two steps, for programs: what is needed, then the code.
    let waits = users.log_in("bob", &["-non-interactive"]);
    let needs = &waits["auth"]["mfa_requirement"];
    assert_eq!(waits["auth"]["client_token"], "");
    assert_eq!(needs["mfa_constraints"]["people"]["any"][0]["name"], "phone");
    let first = code(&bob, 0);
    let auth = read(&users.validate(&needs["mfa_request_id"], &first));
    assert!(users.is_good(&auth), "{auth}");
    // The code of now was taken.
    let waits = users.log_in("bob", &["-non-interactive"]);
    let id = &waits["auth"]["mfa_requirement"]["mfa_request_id"];
    let again = users.validate(id, &first);
    let told = String::from_utf8_lossy(&again.stderr);
    assert!(!again.status.success() && told.contains("credentials not supplied or incorrect"));

    // In one step.
    let header = format!("-mfa=phone:{}", code(&bob, 1));
    let auth = users.log_in("bob", &[&header]);
    assert!(users.is_good(&auth), "{auth}");
    let refused = users.try_log_in("bob", &["-mfa=phone:12345"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("permission denied"), "{told}");
    // Who it was does not learn why; who may read what the audit log has does.
    let why = users.room.ok(&["why"]);
    assert!(why.contains("does not satisfy the enforcement \"people\""), "{why}");

    // A person at a terminal is asked for the password, then for the code.
    let server = format!("http://{}", users.room.server().address());
    let command = "strongroom login -method=userpass -no-store -token-only username=ann";
    let binary = product::command(users.room.folder()).get_program().to_owned();
    let command = command.replacen("strongroom", binary.to_str().unwrap(), 1);
    let mut script = Command::new(program("script", "bsdutils"));
    script.args(["-q", "-e", "-c", &command, "/dev/null"]);
    script.env("VAULT_ADDR", &server).env_remove("VAULT_TOKEN").env("HOME", users.room.folder());
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = script.spawn().unwrap();
    let typed = format!("horse\n{}\n", code(&ann, 0));
    let mut keyboard = child.stdin.take().unwrap();
    keyboard.write_all(typed.as_bytes()).unwrap();
    let seen = child.wait_with_output().unwrap();
    drop(keyboard);
    let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
    assert!(seen.contains("Code of the second factor (totp)"), "{seen}");
    let token = seen.split_whitespace().find(|word| word.starts_with("hvs.")).expect(&seen);
    assert!(users.room.run(token, &["token", "lookup"]).status.success(), "{seen}");

    // A restart ends what waits, and makes no code good again.
    users.room.kill_and_start();
    let gone = users.validate(id, &code(&bob, 0));
    let told = String::from_utf8_lossy(&gone.stderr);
    assert!(!gone.status.success() && told.contains("invalid request ID"), "{told}");
    let waits = users.log_in("bob", &["-non-interactive"]);
    let again = users.validate(&waits["auth"]["mfa_requirement"]["mfa_request_id"], &first);
    assert!(!again.status.success());
}
