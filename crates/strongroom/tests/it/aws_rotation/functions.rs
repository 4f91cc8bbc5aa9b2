//! `rotator serve`, and a function that was written for AWS: it rotates the password of a real account,
//! with the server killed at each of its steps.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};
use strongroom_base::{Clock, SecretString};
use strongroom_cloudwire::sigv4;
use strongroom_server::real::RealClock;
use strongroom_testkit::servers::postgresql;

use super::Bed;
use crate::databases::{Database, postgresql_admin};
use crate::product;

/// An address that stays the same while the server behind it comes and goes.
struct Way {
    address: String,
    behind: Arc<Mutex<String>>,
}

impl Way {
    fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let behind = Arc::new(Mutex::new(server.to_owned()));
        let to = behind.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Nobody there: the connection is closed.
                let Ok(server) = TcpStream::connect(&*to.lock().unwrap()) else { continue };
                for (mut from, mut to) in
                    [(stream.try_clone().unwrap(), server.try_clone().unwrap()), (server, stream)]
                {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Both);
                    });
                }
            }
        });
        Self { address, behind }
    }
}

/// A running `rotator serve`.
struct Rotator {
    process: Child,
    url: String,
}

impl Drop for Rotator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Rotator {
    fn start(home: &Path, file: &str, flags: &[&str], more: &[(&str, &str)]) -> Self {
        let mut command = rotator(home, file, flags);
        let mut process =
            command.envs(more.iter().copied()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{line}");
        Self { process, url }
    }

    /// One invocation: status, error header, body.
    fn invoke(&self, name: &str, head: &str, body: &str) -> (u16, Option<String>, Json) {
        let mut wire = product::Wire::open(self.url.strip_prefix("http://").unwrap()).unwrap();
        let path = format!("/2015-03-31/functions/{name}/invocations");
        let length = body.len();
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {length}\r\n\r\n{body}"
        );
        wire.send(text.as_bytes()).unwrap();
        let answer = wire.answer().unwrap();
        assert_eq!(answer.header("x-amzn-requestid").map(str::len), Some(36));
        let error = answer.header("x-amz-function-error").map(str::to_owned);
        (answer.status, error, answer.body)
    }
}

fn rotator(home: &Path, file: &str, flags: &[&str]) -> Command {
    let python = std::env::var_os("STRONGROOM_TEST_PYTHON").expect("run by `cargo xtask test`");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/aws_rotation");
    let mut command = product::command(home);
    command
        .args(["rotator", "serve", "-listen=127.0.0.1:0"])
        .arg(format!("-python={}", python.to_str().unwrap()))
        .args(flags)
        .arg(folder.join(file))
        .env("NO_PROXY", "127.0.0.1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("HELD_FOLDER", home);
    command
}

/// A secret of a real account, and a function that rotates it.
struct Functions {
    bed: Bed,
    database: postgresql::Server,
    way: Way,
    _rotator: Rotator,
    folder: PathBuf,
}

impl Functions {
    fn new(file: &str) -> Self {
        let database = postgresql::Server::start(&postgresql::Options::default());
        postgresql_admin(&database, "CREATE ROLE app LOGIN PASSWORD 'first-passw0rd'");
        let bed = Bed::new();
        bed.create(
            "app/db",
            &json!({ "engine": "postgres", "host": "127.0.0.1",
            "port": database.port(), "dbname": "postgres", "username": "app",
            "password": "first-passw0rd" }),
        );
        let way = Way::to(bed.room.server().address());
        let url = format!("http://{}", way.address);
        let folder = bed.room.folder().to_owned();
        let function = bed.pair("function", "owner");
        let rotator = Rotator::start(
            &folder,
            file,
            &[],
            &[
                ("AWS_ENDPOINT_URL", &url),
                ("AWS_DEFAULT_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", &function.id),
                ("AWS_SECRET_ACCESS_KEY", &function.secret),
                ("AWS_MAX_ATTEMPTS", "1"),
                ("STRONGROOM_ROTATOR_ACCESS_KEY", "SERVER"),
                ("STRONGROOM_ROTATOR_SECRET_KEY", "the server's own"),
            ],
        );
        let settings = json!({ "endpoint": rotator.url, "access_key": "SERVER",
            "secret_key": "the server's own" });
        bed.must("secret/config/rotation-functions", &settings);
        Self { bed, database, way, _rotator: rotator, folder }
    }

    fn lets_in(&self, (name, password): &(String, String)) -> bool {
        self.database.ask(name, password, "SELECT 1").is_ok()
    }

    fn kill_and_start(&mut self) {
        self.bed.room.kill_and_start();
        *self.way.behind.lock().unwrap() = self.bed.room.server().address().to_owned();
    }
}

#[test]
fn a_function_written_for_aws_rotates_a_password_with_the_server_killed_at_each_step() {
    let mut functions = Functions::new("held.py:lambda_handler");
    let before = functions.bed.login("app/db", "AWSCURRENT");
    let by =
        json!({ "RotationLambdaARN": "arn:aws:lambda:us-east-1:000000000000:function:rotate" });
    functions.bed.rotate("app/db", by);
    let mut current = functions.bed.login("app/db", "AWSCURRENT");
    assert!(functions.lets_in(&current) && !functions.lets_in(&before));
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        for when in ["before", "after"] {
            let at = format!("{when} {step}");
            std::fs::write(functions.folder.join("stop"), &at).unwrap();
            let token = super::token();
            let body = json!({ "SecretId": "app/db", "ClientRequestToken": token });
            functions.bed.aws("RotateSecret", body);
            let marker = functions.folder.join("at");
            functions.bed.room.until(&at, || marker.exists());
            functions.kill_and_start();
            std::fs::remove_file(&marker).unwrap();
            functions.bed.rotated("app/db", &token);
            let next = functions.bed.login("app/db", "AWSCURRENT");
            assert!(functions.lets_in(&next), "{at}");
            assert!(next != current && !functions.lets_in(&current), "{at}");
            assert_eq!(functions.bed.login("app/db", "AWSPREVIOUS"), current, "{at}");
            current = next;
        }
    }
    let described = functions.bed.aws("DescribeSecret", json!({ "SecretId": "app/db" }));
    assert!(described["LastRotatedDate"].is_number(), "{described}");
}

#[test]
fn what_handlers_do_wrong_is_told_as_lambda_tells_it() {
    let home = tempfile::tempdir().unwrap();
    let more = [("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
    let flags = ["-timeout=2s", "-workers=2", "-name=odd"];
    let mut rotator = Rotator::start(home.path(), "held.py:odd", &flags, &more);
    let event = |what: &str| json!({ "what": what }).to_string();
    let ask = |what: &str| rotator.invoke("odd", "", &event(what));
    let (status, error, first) = ask("SECRETS_MANAGER_ENDPOINT");
    assert_eq!((status, error), (200, None));
    assert_eq!((&first["name"], &first["env"]), (&json!("odd"), &json!("http://127.0.0.1:1")));
    assert_eq!(ask("x").2["pid"], first["pid"], "the process is used again");
    for (what, kind) in [("raise", "KeyError"), ("exit", "SystemExit"), ("set", "TypeError")] {
        let (status, error, body) = ask(what);
        assert_eq!((status, error.as_deref()), (200, Some("Unhandled")), "{what}");
        assert_eq!(body["errorType"], kind, "{what}");
        assert!(body["requestId"].is_string() && body["stackTrace"].is_array(), "{body}");
    }
    assert_eq!(ask("x").2["pid"], first["pid"], "a failure is not the process's end");
    for what in ["die", "hang"] {
        let (status, error, body) = ask(what);
        assert_eq!((status, error.as_deref()), (200, Some("Unhandled")), "{what}: {body}");
        assert_ne!(ask("x").2["pid"], first["pid"], "{what}");
    }
    let kind = |kind: &str| format!("X-Amz-Invocation-Type: {kind}\r\n");
    assert_eq!(rotator.invoke("odd", &kind("DryRun"), "{}").0, 204);
    assert_eq!(rotator.invoke("odd", &kind("Event"), &event("x")).0, 202);
    assert_eq!(rotator.invoke("odd", &kind("Other"), "{}").0, 400);
    assert_eq!(rotator.invoke("odd", "", "no JSON").0, 400);
    assert_eq!(rotator.invoke("other", "", "{}").0, 404);
    let arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Aodd";
    assert_eq!(rotator.invoke(arn, "", &event("x")).0, 200);
    let pid = ask("x").2["pid"].as_u64().unwrap();
    // It ends in order, and its processes with it.
    let own = rustix::process::Pid::from_child(&rotator.process);
    rustix::process::kill_process(own, rustix::process::Signal::TERM).unwrap();
    assert!(rotator.process.wait().unwrap().success());
    let gone = !Path::new(&format!("/proc/{pid}/cmdline")).exists();
    assert!(gone, "the process goes on");
}

#[test]
fn who_does_not_sign_with_the_pair_has_nothing_called() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("key");
    std::fs::write(&file, "s3cret\n").unwrap();
    let flag = format!("-secret-key-file={}", file.display());
    let by_file = Rotator::start(home.path(), "held.py:odd", &["-access-key=SERVER", &flag], &[]);
    let pair =
        [("STRONGROOM_ROTATOR_ACCESS_KEY", "SERVER"), ("STRONGROOM_ROTATOR_SECRET_KEY", "s3cret")];
    let by_variables = Rotator::start(home.path(), "held.py:odd", &[], &pair);
    let event = json!({ "what": "STRONGROOM_ROTATOR_SECRET_KEY" }).to_string();
    for rotator in [&by_file, &by_variables] {
        for head in ["", "Authorization: AWS4-HMAC-SHA256 x\r\n"] {
            let (status, _, body) = rotator.invoke("odd", head, &event);
            assert_eq!(status, 403);
            assert!(body["message"].is_string() && body.get("pid").is_none(), "{body}");
        }
        let path = "/2015-03-31/functions/odd/invocations";
        let signed = |secret: &str| signed_head("SERVER", secret, path, &event);
        assert_eq!(rotator.invoke("odd", &signed("other"), &event).0, 403);
        assert_eq!(rotator.invoke("odd", &signed("s3cret"), "{}").0, 403, "another body");
        assert_eq!(rotator.invoke("other", &signed("s3cret"), &event).0, 403, "another function");
        let (status, error, body) = rotator.invoke("odd", &signed("s3cret"), &event);
        assert_eq!((status, error), (200, None), "{body}");
        assert!(body["pid"].is_u64() && body["env"].is_null(), "{body}");
    }
}

/// The headers of a call of Lambda that is signed, for the host `x`.
fn signed_head(id: &str, secret: &str, path: &str, body: &str) -> String {
    let headers = [("Host".to_owned(), "x".to_owned())];
    let payload = sigv4::hash_of(body.as_bytes());
    let credentials = sigv4::Credentials {
        access_key: id.to_owned(),
        secret_key: SecretString::new(secret.to_owned()),
        session_token: None,
    };
    let request = sigv4::Request::post(path, &headers, &payload);
    let now = RealClock::new().now();
    let signed = sigv4::sign(request, &credentials, "us-east-1", "lambda", now);
    signed.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

#[test]
fn what_cannot_be_served_is_said() {
    let home = tempfile::tempdir().unwrap();
    let fails = |file: &str, flags: &[&str], text: &str| {
        let mut command = rotator(home.path(), file, flags);
        let mut process = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut said = String::new();
        process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(!process.wait().unwrap().success());
        assert!(said.contains(text), "{file} {flags:?}: {said}");
    };
    fails("held.py:nobody", &[], "can't be loaded");
    fails("nothing.py", &[], "can't be loaded");
    fails("held.py", &["-listen=0.0.0.0:0"], "loopback");
    fails("held.py", &["-workers=0"], "-workers");
    fails("held.py", &["-timeout=0s"], "-timeout");
    fails("held.py", &["-access-key=SERVER"], "go together");
    fails("held.py", &["-secret-key-file=/nowhere"], "can't be read");
    fails("held.py", &["-python=/nowhere/python"], "does not start");
}
