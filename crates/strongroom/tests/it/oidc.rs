//! Logins by a provider: a certified OpenID provider of other people, its pages walked through as a
//! browser does, by code, on another device, and by its ID token; and tokens as CI services and SPIFFE
//! sign them, by the recipes of the guide as they stand there.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};
use strongroom_crypto::jws::{Algorithm, Jwk, sign_compact};
use strongroom_crypto::keys::{Hash, KeyType, PrivateKey};
use strongroom_testkit::servers::guard::free_port;
use strongroom_testkit::servers::oidc::{CLIENT_ID, CLIENT_SECRET, Provider};

use crate::databases::Room;
use crate::product;

/// A page as curl got it.
struct Page {
    status: u16,
    location: String,
    body: String,
}

/// Somebody's browser: curl, with cookies.
struct Browser {
    folder: tempfile::TempDir,
    /// Who logs in by it.
    name: &'static str,
}

impl Browser {
    fn of(name: &'static str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), name }
    }

    fn open(&self, url: &str, form: &[(String, String)]) -> Page {
        let jar = self.folder.path().join("cookies");
        let mut curl = Command::new("curl");
        curl.args(["-s", "-S", "-i", "--noproxy", "*", "--max-time", "60"]);
        curl.arg("-b").arg(&jar).arg("-c").arg(&jar);
        for (name, value) in form {
            curl.arg("--data-urlencode").arg(format!("{name}={value}"));
        }
        let done = curl.arg(url).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success(), "{url}: {}", String::from_utf8_lossy(&done.stderr));
        // A POST may be answered by `100 Continue` first.
        let (mut head, mut body) = text.split_once("\r\n\r\n").unwrap();
        if head.contains(" 100 ") {
            (head, body) = body.split_once("\r\n\r\n").unwrap();
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let location = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
        });
        Page { status, location: location.unwrap_or_default(), body: body.to_owned() }
    }

    /// Goes on from `url` through whatever the provider shows, as its user; where the provider sends
    /// the browser in the end, or its last page.
    fn walk(&self, issuer: &str, url: &str) -> Result<String, String> {
        let (mut url, mut form) = (url.to_owned(), Vec::new());
        for _ in 0..20 {
            if !url.starts_with(issuer) {
                return Ok(url);
            }
            let page = self.open(&url, &form);
            form.clear();
            let from = match page.status {
                300..400 => page.location,
                200 if page.body.contains("<form") => {
                    (url, form) = self.filled(&url, &page.body);
                    continue;
                }
                _ => return Err(page.body),
            };
            url = if from.starts_with('/') { format!("{issuer}{from}") } else { from };
        }
        panic!("the provider goes round in circles: {url}");
    }

    /// Where a page's form goes, and what is in it.
    fn filled(&self, at: &str, page: &str) -> (String, Vec<(String, String)>) {
        let form = &page[page.find("<form").unwrap()..];
        let attribute = |tag: &str, name: &str| {
            let from = tag.find(&format!("{name}=\""))? + name.len() + 2;
            let value = &tag[from..];
            Some(value[..value.find('"')?].replace("&amp;", "&"))
        };
        let head = &form[..form.find('>').unwrap()];
        let action = attribute(head, "action").filter(|a| !a.is_empty());
        let action = action.unwrap_or_else(|| at.to_owned());
        let inputs = form.split("<input").skip(1).filter_map(|tag| {
            let tag = &tag[..tag.find('>').unwrap_or(tag.len())];
            let name = attribute(tag, "name")?;
            let value = match name.as_str() {
                "login" => self.name.to_owned(),
                "password" => "whatever".to_owned(),
                _ => attribute(tag, "value").unwrap_or_default(),
            };
            Some((name, value))
        });
        (action, inputs.collect())
    }
}

/// A server that knows a provider, and people in it.
struct World {
    room: Room,
    provider: Provider,
}

const CALLBACK: &str = "http://localhost:8250/oidc/callback";

impl World {
    fn new() -> Self {
        let direct = "http://127.0.0.1/v1/auth/oidc/oidc/callback";
        let groups: &[(&str, &[&str])] = &[("kim", &["operators", "staff"]), ("lee", &["staff"])];
        let provider = Provider::start(&[CALLBACK, direct], groups);
        let room = Room::new();
        room.ok(&["auth", "enable", "oidc"]);
        let world = Self { room, provider };
        let body = json!({
            "oidc_discovery_url": world.provider.issuer, "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": CLIENT_SECRET, "default_role": "dev",
        });
        world.write("auth/oidc/config", &body);
        world.write(
            "auth/oidc/role/dev",
            &json!({
                "user_claim": "sub", "groups_claim": "groups", "oidc_scopes": "email,groups",
                "allowed_redirect_uris": CALLBACK, "claim_mappings": {"email": "mail"},
                "token_policies": "dev", "oauth2_metadata": "id_token", "max_age": "1h",
            }),
        );
        world
    }

    fn write(&self, path: &str, body: &Json) -> Json {
        self.room.server().must("POST", path, &self.room.root, body)
    }

    fn begin(&self, role: &str, redirect_uri: &str) -> Json {
        let body = json!({"role": role, "redirect_uri": redirect_uri, "client_nonce": "n"});
        self.room.server().must("POST", "auth/oidc/oidc/auth_url", "", &body)["data"].clone()
    }

    /// Ends a login by what the provider added to the redirect URI.
    fn end(&self, back: &str, nonce: &str) -> product::Answer {
        let query = back.split_once('?').unwrap().1;
        let path = format!("auth/oidc/oidc/callback?{query}&client_nonce={nonce}");
        self.room.server().ask("GET", &path, "", &Json::Null)
    }

    /// Logs somebody in by a browser.
    fn log_in(&self, browser: &Browser) -> Json {
        let begun = self.begin("dev", CALLBACK);
        let url = begun["auth_url"].as_str().unwrap();
        let back = browser.walk(&self.provider.issuer, url).unwrap();
        assert!(back.starts_with(CALLBACK), "{back}");
        let answer = self.end(&back, "n");
        assert_eq!(answer.status, 200, "{}", answer.body);
        // A replay.
        let again = self.end(&back, "n");
        assert!(again.status == 400 && again.errors().contains("Expired or missing"), "{again:?}");
        answer.body["auth"].clone()
    }

    /// Makes the provider's `operators` worth the policy `ops`.
    fn operators(&self) {
        let mounts = self.room.server().must("GET", "sys/auth", &self.room.root, &Json::Null);
        let accessor = &mounts["data"]["oidc/"]["accessor"];
        let group = json!({"name": "operators", "type": "external", "policies": "ops"});
        let group = self.write("identity/group", &group)["data"]["id"].clone();
        let alias = json!({
            "name": "operators", "mount_accessor": accessor, "canonical_id": group,
        });
        self.write("identity/group-alias", &alias);
    }
}

#[test]
fn people_log_in_in_a_browser() {
    let world = World::new();
    world.operators();
    let (kim, lee) = (Browser::of("kim"), Browser::of("lee"));
    let auth = world.log_in(&kim);
    assert_eq!(auth["token_policies"], json!(["default", "dev"]));
    assert_eq!(auth["identity_policies"], json!(["ops"]));
    assert_eq!(auth["metadata"]["mail"], "kim@idp.example");
    // The provider knows her by now and asks nothing; she is one entity.
    assert_eq!(world.log_in(&kim)["entity_id"], auth["entity_id"]);
    let other = world.log_in(&lee);
    assert!(other["identity_policies"].is_null(), "{other}");
    assert_ne!(other["entity_id"], auth["entity_id"]);
    // Whoever did not begin a login does not end it.
    let begun = world.begin("dev", CALLBACK);
    let url = begun["auth_url"].as_str().unwrap();
    let back = kim.walk(&world.provider.issuer, url).unwrap();
    assert!(world.end(&back, "other").errors().contains("invalid client_nonce"));
    assert!(world.end(&back, "n").errors().contains("Expired or missing"));
    // A foreign address gets nothing.
    assert_eq!(world.begin("dev", "https://evil.example/oidc/callback")["auth_url"], "");
    // Her token is renewed while the role is there.
    let server = world.room.server();
    let token = auth["client_token"].as_str().unwrap();
    server.must("POST", "auth/token/renew-self", token, &json!({}));
    // Programs can log in by the ID token that the provider gave her.
    let id_token = auth["metadata"]["oauth2_id_token"].as_str().unwrap();
    world.room.ok(&["auth", "enable", "jwt"]);
    let issuer = format!("oidc_discovery_url={}", world.provider.issuer);
    world.room.ok(&["write", "auth/jwt/config", &issuer]);
    for (role, audience) in [("mine", CLIENT_ID), ("others", "other")] {
        let audience = format!("bound_audiences={audience}");
        let role = format!("auth/jwt/role/{role}");
        world.room.ok(&["write", &role, "role_type=jwt", "user_claim=sub", &audience]);
    }
    let log_in = |role: &str| {
        let body = json!({"role": role, "jwt": id_token});
        server.ask("POST", "auth/jwt/login", "", &body)
    };
    assert_eq!(log_in("mine").body["auth"]["metadata"]["role"], "mine");
    let refused = log_in("others");
    assert!(refused.status == 400 && refused.errors().contains("audience"), "{refused:?}");
    world.room.ok(&["delete", "auth/oidc/role/dev"]);
    let renewed = server.ask("POST", "auth/token/renew-self", token, &json!({}));
    assert!(renewed.errors().contains("does not exist during renewal"), "{renewed:?}");
}

#[test]
fn people_log_in_on_another_device() {
    let world = World::new();
    world.write(
        "auth/oidc/role/remote",
        &json!({"user_claim": "sub", "callback_mode": "device", "token_policies": "dev"}),
    );
    let begun = world.begin("remote", "");
    let poll = |server: &product::Server| {
        let body = json!({"state": begun["state"], "client_nonce": "n"});
        server.ask("POST", "auth/oidc/oidc/poll", "", &body)
    };
    assert_eq!(poll(world.room.server()).errors(), "authorization_pending");
    let url = begun["auth_url"].as_str().unwrap();
    let last = Browser::of("kim").walk(&world.provider.issuer, url).unwrap_err();
    assert!(last.contains("Sign-in Success"), "{last}");
    // Polls within one second are one poll of the provider.
    let mut world = world;
    let auth = world.room.server.as_mut().unwrap().until("a token", |server| {
        let got = poll(server);
        assert!(got.status == 200 || got.errors() == "slow_down", "{got:?}");
        (got.status == 200).then(|| got.body["auth"].clone())
    });
    assert_eq!(auth["token_policies"], json!(["default", "dev"]));
}

#[test]
fn the_provider_sends_the_browser_to_the_server() {
    let world = World::new();
    let address = world.room.server().address().to_owned();
    let direct = format!("http://{address}/v1/auth/oidc/oidc/callback");
    world.write(
        "auth/oidc/role/direct",
        &json!({
            "user_claim": "sub", "callback_mode": "direct", "allowed_redirect_uris": direct,
            "token_policies": "dev",
        }),
    );
    let begun = world.begin("direct", &direct);
    let kim = Browser::of("kim");
    let back = kim.walk(&world.provider.issuer, begun["auth_url"].as_str().unwrap()).unwrap();
    assert!(back.starts_with(&direct), "{back}");
    let poll = || {
        let body = json!({"state": begun["state"], "client_nonce": "n"});
        world.room.server().ask("POST", "auth/oidc/oidc/poll", "", &body)
    };
    let asked = kim.open(&back, &[]);
    assert!(
        asked.body.contains("Was it you?") && asked.body.contains("127.0.0.1"),
        "{}",
        asked.body
    );
    assert_eq!(poll().errors(), "authorization_pending");
    // She agrees: the form goes back to where it came from.
    let (_, fields) = kim.filled(&back, &asked.body);
    let query: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let page = kim.open(&format!("{direct}?{}", query.join("&")), &[]);
    assert!(page.body.contains("Signed in"), "{}", page.body);
    assert_eq!(poll().body["auth"]["token_policies"], json!(["default", "dev"]));
    assert!(poll().errors().contains("Expired or missing"));
}

/// `login -method=oidc` as a person has it: the address is printed, the browser comes back to the
/// listener.
#[test]
fn the_command_line_logs_people_in() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut login = product::command(home.path());
    login
        .args(["login", "-method=oidc", "role=dev", "skip_browser=true"])
        .arg(format!("port={port}"));
    login.env("VAULT_ADDR", format!("http://{}", world.room.server().address()));
    let mut login = login.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(login.stderr.take().unwrap()).lines().map_while(Result::ok);
    let url = lines.find(|line| line.trim().starts_with("http")).unwrap();
    let kim = Browser::of("kim");
    let back = kim.walk(&world.provider.issuer, url.trim()).unwrap();
    assert!(back.starts_with(&format!("http://localhost:{port}/oidc/callback?")), "{back}");
    assert_eq!(kim.open(&format!("http://localhost:{port}/favicon.ico"), &[]).status, 404);
    let page = kim.open(&back, &[]);
    assert!(page.status == 200 && page.body.contains("Signed in"), "{}", page.body);
    let mut out = String::new();
    login.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert!(login.wait().unwrap().success());
    assert!(out.contains("You are now authenticated") && out.contains("kim@idp.example"), "{out}");
    let kept = std::fs::read_to_string(home.path().join(".vault-token")).unwrap();
    let server = world.room.server();
    let who = server.must("GET", "auth/token/lookup-self", &kept, &Json::Null);
    assert_eq!(who["data"]["display_name"], "oidc-kim");
    // A role for another mode.
    let mut login = product::command(home.path());
    login.args(["login", "-method=oidc", "role=dev", "callbackmode=device", "skip_browser=true"]);
    login.env("VAULT_ADDR", format!("http://{}", server.address()));
    let done = login.output().unwrap();
    let err = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success() && err.contains("another callbackmode"), "{err}");
}

/// An issuer as a CI service is one: an OpenID configuration, keys, and whatever it signs.
pub struct Issuer {
    url: String,
    key: PrivateKey,
}

impl Issuer {
    /// Starts one on a port of its own.
    pub fn start() -> Self {
        let key = PrivateKey::generate(KeyType::Rsa(2048)).unwrap();
        let jwk = Jwk::of(key.public().unwrap()).unwrap_or_else(|e| panic!("{e:?}"));
        let mut jwk: Json = serde_json::from_str(jwk.canonical()).unwrap();
        (jwk["kid"], jwk["alg"], jwk["use"]) = (json!("ci"), json!("RS256"), json!("sig"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let configuration = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
        let answers = HashMap::from([
            ("/.well-known/openid-configuration", configuration.to_string()),
            ("/keys", json!({ "keys": [jwk] }).to_string()),
        ]);
        // It ends with the process.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut head = String::new();
                let mut lines = BufReader::new(&mut stream);
                while lines.read_line(&mut head).is_ok_and(|n| n > 2) {}
                let path = head.split(' ').nth(1).unwrap_or_default();
                let (status, body) = match answers.get(path) {
                    Some(body) => ("200 OK", body.as_str()),
                    None => ("404 Not Found", ""),
                };
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
            }
        });
        Self { url, key }
    }

    /// Its key as PEM.
    pub fn public_key(&self) -> String {
        self.key.public().unwrap().to_pem()
    }

    /// A token with these claims beside those that all of them have.
    pub fn sign(&self, claims: &Json) -> String {
        let now = Command::new("date").arg("+%s").output().unwrap();
        let now: i64 = text(now.stdout).trim().parse().unwrap();
        let mut all = json!({
            "iss": self.url, "aud": "https://vault.example.com", "iat": now, "exp": now + 300,
        });
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        let all = all.to_string();
        let algorithm = Algorithm::Rs(Hash::Sha256);
        sign_compact(algorithm, "ci", all.as_bytes(), &self.key).unwrap()
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Runs the commands of a section of the guide as they stand there, but for the issuer's address.
fn follow_the_guide(room: &Room, section: &str, address: &str, issuer: &str) {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/auth-jwt.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let section = guide.split_once(&format!("\n## {section}\n")).unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    let commands = section.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0;
    assert!(commands.contains(address), "{commands}");
    let home = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_strongroom");
    let commands =
        format!("strongroom() {{ {program} \"$@\"; }}\n{}", commands.replace(address, issuer));
    let done = Command::new("sh")
        .args(["-e", "-c", &commands])
        .env("HOME", home.path())
        .env("VAULT_ADDR", format!("http://{}", room.server().address()))
        .env("VAULT_TOKEN", &room.root)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(done.status.success(), "{commands}\n{}", String::from_utf8_lossy(&done.stderr));
}

/// Logs in as a job does: by the command line, with the token from the standard input. What it printed
/// if it was content.
fn log_in(room: &Room, mount: &str, role: &str, jwt: &str) -> Result<String, String> {
    let home = tempfile::tempdir().unwrap();
    let mut login = product::command(home.path());
    login.args(["login", "-method=jwt", "-token-only"]).arg(format!("-path={mount}"));
    login.arg(format!("role={role}")).arg("jwt=-").stdin(Stdio::piped());
    login.env("VAULT_ADDR", format!("http://{}", room.server().address()));
    let mut login = login.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    login.stdin.take().unwrap().write_all(jwt.as_bytes()).unwrap();
    let done = login.wait_with_output().unwrap();
    if done.status.success() { Ok(text(done.stdout)) } else { Err(text(done.stderr)) }
}

#[test]
fn jobs_and_workloads_log_in_by_the_guide() {
    let (room, issuer) = (Room::new(), Issuer::start());
    for (section, address, at, mount, role, good, policy, bad) in [
        (
            "GitHub Actions",
            "https://token.actions.githubusercontent.com",
            issuer.url.clone(),
            "github",
            "web-deploy",
            json!({
                "sub": "repo:acme/web:ref:refs/heads/main", "repository": "acme/web",
                "repository_id": "1296269", "ref": "refs/heads/main", "actor": "kim", "run_id": "7",
            }),
            "web-deploy",
            vec![
                ("a fork", json!({"repository": "mallory/web", "repository_id": "666"})),
                ("its name taken over", json!({"repository_id": "666"})),
                ("another branch", json!({"ref": "refs/heads/evil"})),
                ("a pull request", json!({"ref": "refs/pull/1/merge"})),
                ("another audience", json!({"aud": "https://github.com/mallory"})),
                ("another issuer", json!({"iss": "https://evil.example"})),
                ("long ago", json!({"iat": 1_000_000, "exp": 1_000_300})),
            ],
        ),
        (
            "GitLab CI",
            "https://gitlab.com",
            issuer.url.clone(),
            "gitlab",
            "web-deploy",
            json!({
                "sub": "project_path:acme/web:ref_type:branch:ref:main", "project_path": "acme/web",
                "project_id": "22", "ref_type": "branch", "ref": "main", "ref_protected": "true",
            }),
            "web-deploy",
            vec![
                ("a fork", json!({"project_id": "23", "project_path": "mallory/web"})),
                ("a tag", json!({"ref_type": "tag"})),
                ("no protection", json!({"ref_protected": "false"})),
            ],
        ),
        (
            "SPIFFE",
            "https://oidc.spire.example.org/keys",
            format!("{}/keys", issuer.url),
            "spiffe",
            "web",
            json!({"sub": "spiffe://example.org/ns/web/sa/api"}),
            "web",
            vec![
                ("another workload", json!({"sub": "spiffe://example.org/ns/db/sa/api"})),
                ("another domain", json!({"sub": "spiffe://evil.example/ns/web/sa/api"})),
            ],
        ),
    ] {
        follow_the_guide(&room, section, address, &at);
        let token = log_in(&room, mount, role, &issuer.sign(&good)).unwrap();
        let server = room.server();
        let who = server.must("GET", "auth/token/lookup-self", token.trim(), &Json::Null);
        let policies = json!(["default", policy]);
        assert_eq!(who["data"]["policies"], policies, "{section}");
        for (what, other) in bad {
            let mut claims = good.clone();
            for (name, value) in other.as_object().unwrap() {
                claims[name] = value.clone();
            }
            let jwt = issuer.sign(&claims);
            let refused = log_in(&room, mount, role, &jwt).unwrap_err();
            assert!(refused.contains("Code: 400"), "{section}, {what}: {refused}");
            assert!(!refused.contains(&jwt), "{section}, {what}");
        }
        // Another's key.
        let stranger = Issuer { key: Issuer::start().key, url: issuer.url.clone() };
        let refused = log_in(&room, mount, role, &stranger.sign(&good)).unwrap_err();
        assert!(refused.contains("no known key"), "{refused}");
    }
    // The job of GitLab's again, judged by a program.
    let same = "https://vault.example.com";
    follow_the_guide(&room, "Roles that are programs", same, same);
    let judged = |other: Json| {
        let mut claims = json!({
            "sub": "job", "project_path": "acme/web", "project_id": "22", "ref": "refs/heads/main",
            "ref_protected": "true",
        });
        for (name, value) in other.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let body = json!({"role": "teams", "jwt": issuer.sign(&claims)});
        room.server().ask("POST", "auth/gitlab/cel/login", "", &body)
    };
    let good = judged(json!({}));
    assert_eq!(good.status, 200, "{}", good.errors());
    for (other, why) in [
        (json!({"ref": "refs/heads/evil"}), "ask the platform team"),
        (json!({"ref_protected": "false"}), "ask the platform team"),
        (json!({"project_id": 22}), "the program failed"),
        (json!({"project_id": "*"}), "a name in policies is none"),
        (json!({"aud": "https://github.com/mallory"}), "invalid audience"),
    ] {
        let refused = judged(other);
        assert_eq!(refused.status, 400, "{why}");
        assert!(refused.errors().contains(why), "{why}: {}", refused.errors());
    }
}
