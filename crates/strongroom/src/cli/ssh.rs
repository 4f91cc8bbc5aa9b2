//! `ssh`: a session on a machine, let in by a certificate or a one-time password of an `ssh` mount.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use strongroom_base::SecretString;
use strongroom_client::{Envelope, Request};

use super::command::{Command, Fail, Outcome, Prints, io_reason};
use super::context::{Context, Program};
use super::data::{clean_path, print_answer};
use super::flags::Flag;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command::new(
    "ssh",
    "[USER@]HOST [SSH OPTIONS...]",
    "Open a session on a machine by SSH",
    "
Has the server let you in, and then runs ssh with the arguments as they are. With -mode=ca your
public key is signed; with -mode=otp the machine's helper is told a password that is good once.

    $ {bin} ssh -mode=ca -role=dev ubuntu@10.1.2.3
    $ {bin} ssh -mode=otp -role=otp ubuntu@10.1.2.3 -p 2222
    $ {bin} ssh -mode=ca -role=dev -host-key-mount-point=hosts ubuntu@web.example.com

The password is typed by sshpass, where that is installed; else it is shown.",
    ssh,
)
.prints(Prints::FIELDS)
.flags(&[
    Flag::text("mode", "How to be let in: ca or otp."),
    Flag::text("role", "The role that says what you may."),
    Flag::bool("no-exec", "Print what lets you in, and open no session.").default("false"),
    Flag::text("mount-point", "Where the engine is mounted.").default("ssh/"),
    Flag::text("strict-host-key-checking", "OpenSSH's StrictHostKeyChecking.")
        .default("ask")
        .env("SSH_STRICT_HOST_KEY_CHECKING"),
    Flag::text("user-known-hosts-file", "OpenSSH's UserKnownHostsFile.")
        .env("SSH_USER_KNOWN_HOSTS_FILE"),
    Flag::text(
        "public-key-path",
        "The public key to be signed; else the first of id_ed25519, id_ecdsa and id_rsa in ~/.ssh.",
    ),
    Flag::text("private-key-path", "Its private key, where it is not the same name without .pub."),
    Flag::text(
        "host-key-mount-point",
        "The mount whose authority signs hosts' keys: it alone is trusted then.",
    )
    .env("SSH_HOST_KEY_MOUNT_POINT"),
    Flag::text("host-key-hostnames", "The hosts for which it is trusted, comma-separated.")
        .default("*")
        .env("SSH_HOST_KEY_HOSTNAMES"),
    Flag::text("valid-principals", "Names to be in the certificate; the user where none are said."),
    Flag::text("ssh-executable", "The ssh to run.").default("ssh").env("SSH_EXECUTABLE"),
])];

/// Extensions that a session at a terminal needs, as the peers ask for them.
const EXTENSIONS: [&str; 5] = [
    "permit-X11-forwarding",
    "permit-agent-forwarding",
    "permit-port-forwarding",
    "permit-pty",
    "permit-user-rc",
];
/// Options of ssh that take a value.
const WITH_VALUE: &str = "BbcDEeFIiJLlmOopPQRSWw";

/// Whom the arguments for ssh name.
#[derive(Default, PartialEq, Eq, Debug)]
struct Target {
    host: String,
    user: Option<String>,
    port: Option<String>,
}

impl Target {
    /// Reads the arguments as ssh does: options may stand before and behind the host.
    fn of(words: &[String]) -> Result<Self, Fail> {
        let mut target = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some(options) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
                if !target.host.is_empty() {
                    // What is run there.
                    break;
                }
                let word = word.strip_prefix("ssh://").unwrap_or(word);
                let (user, host) = match word.rsplit_once('@') {
                    Some((user, host)) => (Some(user), host),
                    None => (None, word),
                };
                host.clone_into(&mut target.host);
                // What stands before a host counts before -l.
                target.user = user.map(str::to_owned).or(target.user);
                continue;
            };
            if options == "-" {
                continue;
            }
            let Some(at) = options.find(|option| WITH_VALUE.contains(option)) else { continue };
            let (option, value) = options.split_at(at).1.split_at(1);
            let value = match value {
                "" => words.next().map(String::as_str).unwrap_or_default(),
                value => value,
            };
            target.option(option, value);
        }
        if target.host.is_empty() {
            return Err(Fail::usage("Error parsing the ssh command: no host was named"));
        }
        Ok(target)
    }

    fn option(&mut self, option: &str, value: &str) {
        let set = |place: &mut Option<String>, value: &str| {
            place.get_or_insert_with(|| value.trim().to_owned());
        };
        match option {
            "l" => set(&mut self.user, value),
            "p" => set(&mut self.port, value),
            "o" => {
                let (name, value) = value.split_once(['=', ' ']).unwrap_or((value, ""));
                match name.trim().to_lowercase().as_str() {
                    "user" => set(&mut self.user, value),
                    "port" => set(&mut self.port, value),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

fn ssh(cx: &mut Context<'_, '_>) -> Outcome {
    if cx.args.is_empty() {
        return Err(Fail::usage("Not enough arguments, (expected 1-n, got 0)"));
    }
    let mut target = Target::of(&cx.args)?;
    if target.user.is_none() {
        let env = cx.env();
        let user = ["USER", "LOGNAME"].into_iter().find_map(|name| env.plain(name));
        target.user = user.filter(|user| !user.is_empty());
    }
    if cx.flags.text_or_empty("role").is_empty() {
        return Err(Fail::usage(
            "No -role specified. Use -role to tell which ssh role to use for authentication.",
        ));
    }
    let mode = cx.flags.text_or_empty("mode").to_lowercase();
    match mode.as_str() {
        "ca" => with_certificate(cx, &target),
        "otp" => with_password(cx, &target),
        "" => Err(Fail::usage(
            "No -mode specified. Use -mode to tell which ssh authentication mode to use: ca or otp.",
        )),
        "dynamic" => Err(Fail::usage("dynamic keys are no longer supported: use ca or otp")),
        _ => Err(Fail::usage(format!("Unknown SSH mode: {mode}"))),
    }
}

/// A flag, else its variable, else what holds otherwise.
fn setting(cx: &Context<'_, '_>, flag: &str, variable: &str, otherwise: &str) -> String {
    let given = cx.flags.text(flag).map(str::to_owned).or_else(|| cx.env().get(variable));
    given.filter(|text| !text.is_empty()).unwrap_or_else(|| otherwise.to_owned())
}

/// A file that was named, with `~` as the user's home.
fn file(cx: &mut Context<'_, '_>, text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), cx.world().home()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    }
}

/// The public and the private key.
fn keys(cx: &mut Context<'_, '_>) -> Result<(PathBuf, PathBuf), Fail> {
    let public = cx.flags.text_or_empty("public-key-path").to_owned();
    let private = cx.flags.text_or_empty("private-key-path").to_owned();
    let (public, private) = match (public.as_str(), private.as_str()) {
        ("", "") => {
            let folder = cx.world().home().map(|home| home.join(".ssh")).unwrap_or_default();
            let pairs = ["id_ed25519", "id_ecdsa", "id_rsa"]
                .into_iter()
                .map(|name| (folder.join(format!("{name}.pub")), folder.join(name)));
            let found = pairs.into_iter().find(|(public, key)| public.exists() && key.exists());
            found.unwrap_or_default()
        }
        ("", private) => {
            let private = file(cx, private);
            let mut public = private.clone().into_os_string();
            public.push(".pub");
            (PathBuf::from(public), private)
        }
        (public, "") => {
            let public = file(cx, public);
            let private = public.to_str().and_then(|text| text.strip_suffix(".pub"));
            let private = private.map(PathBuf::from).unwrap_or_default();
            (public, private)
        }
        (public, private) => (file(cx, public), file(cx, private)),
    };
    for (path, what, flag) in
        [(&public, "public", "-public-key-path"), (&private, "private", "-private-key-path")]
    {
        if !path.exists() {
            return Err(Fail::usage(format!(
                "Could not find an SSH {what} key. Specify with {flag}."
            )));
        }
    }
    Ok((public, private))
}

/// A folder of our own for what ssh reads, gone when the session is over.
struct Folder(PathBuf);

impl Folder {
    fn new(cx: &mut Context<'_, '_>) -> Result<Self, Fail> {
        let mut name = [0; 16];
        (cx.world().random)(&mut name)
            .map_err(|e| Fail::usage(format!("no randomness: {}", io_reason(&e))))?;
        let parent = cx.env().plain("TMPDIR").filter(|folder| !folder.is_empty());
        let parent = parent.unwrap_or_else(|| "/tmp".to_owned());
        let path = Path::new(&parent).join(format!("strongroom-ssh-{}", hex::encode(name)));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(|e| failed("creating a temporary folder", &e))?;
        Ok(Self(path))
    }

    fn put(&self, name: &str, text: &str) -> Result<String, Fail> {
        let path = self.0.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(|e| failed("writing a temporary file", &e))?;
        file.write_all(text.as_bytes()).map_err(|e| failed("writing a temporary file", &e))?;
        Ok(path.display().to_string())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left holds no secret: a certificate, and an authority's public key.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn failed(doing: &str, error: &std::io::Error) -> Fail {
    Fail::usage(format!("{doing}: {}", io_reason(error)))
}

fn text_of(envelope: &Envelope, name: &str) -> Option<String> {
    let value = envelope.data.as_ref()?.get(name)?;
    value.as_str().map(str::to_owned).filter(|text| !text.is_empty())
}

fn with_certificate(cx: &mut Context<'_, '_>, target: &Target) -> Outcome {
    let (public, private) = keys(cx)?;
    let key = std::fs::read_to_string(&public)
        .map_err(|e| failed(&format!("failed to read public key {}", public.display()), &e))?;
    let user = target.user.clone().unwrap_or_default();
    let principals = cx.flags.text_or_empty("valid-principals").to_owned();
    let principals = if principals.is_empty() { user } else { principals };
    let extensions: serde_json::Map<_, _> =
        EXTENSIONS.iter().map(|name| ((*name).to_owned(), json!(""))).collect();
    let mount = setting(cx, "mount-point", "", "ssh/");
    let path = format!("{}/sign/{}", clean_path(&mount), cx.flags.text_or_empty("role"));
    let body = json!({
        "public_key": key, "valid_principals": principals, "cert_type": "user",
        "extensions": extensions,
    });
    let answer = cx.http()?.write(&path, body);
    let failed_to_sign = format!("failed to sign public key {}", public.display());
    let answer = answer.map_err(|e| Fail::server(&failed_to_sign, &e))?;
    let answer = answer.ok_or_else(|| Fail::remote("missing signed key"))?;
    if cx.flags.is("no-exec") {
        return print_answer(cx, &answer);
    }
    let signed =
        text_of(&answer, "signed_key").ok_or_else(|| Fail::remote("signed key is empty"))?;
    let folder = Folder::new(cx)?;
    let certificate = folder.put("signed-cert.pub", &signed)?;
    let mut words = vec![
        "-i".to_owned(),
        private.display().to_string(),
        "-o".to_owned(),
        format!("CertificateFile={certificate}"),
    ];
    let hosts = setting(cx, "host-key-mount-point", "SSH_HOST_KEY_MOUNT_POINT", "");
    let known = match hosts.as_str() {
        "" => None,
        mount => {
            let path = format!("{}/config/ca", clean_path(mount));
            let answer = cx.http()?.read(&path);
            let answer = answer.map_err(|e| Fail::server("failed to get host signing key", &e))?;
            let key = answer.as_ref().and_then(|answer| text_of(answer, "public_key"));
            let key = key.ok_or_else(|| Fail::remote("missing host signing key"))?;
            let names = setting(cx, "host-key-hostnames", "SSH_HOST_KEY_HOSTNAMES", "*");
            let line = format!("@cert-authority {names} {}\n", key.trim_end());
            Some(folder.put("known_hosts", &line)?)
        }
    };
    words.extend(host_keys(cx, known));
    run(cx, words, Vec::new(), None)
}

/// How the host's key is checked; by an authority alone where there is a file of it.
fn host_keys(cx: &mut Context<'_, '_>, authority: Option<String>) -> Vec<String> {
    let strict = match &authority {
        Some(_) => "yes".to_owned(),
        None => setting(cx, "strict-host-key-checking", "SSH_STRICT_HOST_KEY_CHECKING", "ask"),
    };
    let mut words = vec!["-o".to_owned(), format!("StrictHostKeyChecking={strict}")];
    let known = authority.or_else(|| {
        let named = setting(cx, "user-known-hosts-file", "SSH_USER_KNOWN_HOSTS_FILE", "");
        (!named.is_empty()).then(|| file(cx, &named).display().to_string())
    });
    if let Some(known) = known {
        words.extend(["-o".to_owned(), format!("UserKnownHostsFile={known}")]);
    }
    words
}

/// The address of a host, which one-time passwords are for.
fn address(host: &str) -> Result<String, Fail> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(bare.to_owned());
    }
    let found = (bare, 22).to_socket_addrs();
    let found = found.map_err(|e| failed("Error resolving the ssh hostname", &e))?;
    let mut found = found.map(|address| address.ip().to_string());
    found.next().ok_or_else(|| Fail::usage("Error resolving the ssh hostname: it has no address"))
}

fn with_password(cx: &mut Context<'_, '_>, target: &Target) -> Outcome {
    let mount = setting(cx, "mount-point", "", "ssh/");
    let path = format!("{}/creds/{}", clean_path(&mount), cx.flags.text_or_empty("role"));
    let mut body = json!({ "ip": address(&target.host)? });
    if let Some(user) = &target.user {
        body["username"] = user.as_str().into();
    }
    let answer = cx.http()?.write(&path, body);
    let answer = answer.map_err(|e| Fail::server("failed to generate credential", &e))?;
    let answer = answer.ok_or_else(|| Fail::remote("the server answered without a credential"))?;
    if cx.flags.is("no-exec") {
        return print_answer(cx, &answer);
    }
    let otp = text_of(&answer, "key").map(SecretString::new);
    let otp = otp.ok_or_else(|| Fail::remote("the server answered without a credential"))?;
    let mut words = Vec::new();
    if target.port.is_none()
        && let Some(port) = answer.data.as_ref().and_then(|data| data.get("port"))
    {
        words.extend(["-p".to_owned(), port.to_string().trim_matches('"').to_owned()]);
    }
    words.extend(host_keys(cx, None));
    let typist = sshpass(cx);
    if typist.is_none() {
        cx.ui.warn(
            "sshpass is not installed: type the password at ssh's prompt. With sshpass it is typed \
             for you.",
        );
        cx.ui.say(&format!("OTP for the session is: {}", otp.expose_secret()));
    }
    let env = typist.iter().map(|_| ("SSHPASS".to_owned(), otp.duplicate())).collect();
    let outcome = run(cx, words, env, typist);
    if !answer.lease_id.is_empty() {
        let request = Request::put("sys/leases/revoke", json!({ "lease_id": answer.lease_id }));
        let revoked = cx.http()?.send(request).and_then(strongroom_client::Reply::written);
        if let Err(e) = revoked {
            // The session's own failure is what matters then.
            outcome?;
            return Err(Fail::server("failed to revoke the password", &e));
        }
    }
    outcome
}

/// Where `sshpass` is, if it is installed.
fn sshpass(cx: &Context<'_, '_>) -> Option<PathBuf> {
    let folders = cx.env().plain("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join("sshpass")).find(|path| path.is_file())
}

/// Runs ssh with these words before those of the command line.
fn run(
    cx: &mut Context<'_, '_>,
    words: Vec<String>,
    env: Vec<(String, SecretString)>,
    typist: Option<PathBuf>,
) -> Outcome {
    let ssh = setting(cx, "ssh-executable", "SSH_EXECUTABLE", "ssh");
    let (path, mut args) = match typist {
        Some(typist) => (typist.display().to_string(), vec!["-e".to_owned(), ssh]),
        None => (ssh, Vec::new()),
    };
    args.extend(words);
    args.extend(cx.args.iter().cloned());
    let without_input = cx.flags.is("non-interactive");
    let code = (cx.world().run)(Program { path, args, env, without_input, ..Program::default() });
    let code = code.map_err(|e| failed("failed to run ssh command", &e).with_code(2))?;
    match code {
        0 => Ok(()),
        code => Err(Fail {
            code,
            text: format!("failed to run ssh command: exit status {code}"),
            explain: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_as_ssh_reads_them() {
        for (words, host, user, port) in [
            ("h", "h", None, None),
            ("u@h", "h", Some("u"), None),
            ("u@x@h", "h", Some("u@x"), None),
            ("ssh://u@h", "h", Some("u"), None),
            ("-p 2222 u@h", "h", Some("u"), Some("2222")),
            ("-p2222 -l w h", "h", Some("w"), Some("2222")),
            ("-l w u@h", "h", Some("u"), None),
            ("h -v -l w -p 3", "h", Some("w"), Some("3")),
            ("-vvp 4 h", "h", None, Some("4")),
            ("-o Port=5 -o User=w -oPort=6 h", "h", Some("w"), Some("5")),
            ("-L 8080:a:80 -i key h ls -l x -p 7", "h", None, None),
            ("-A -- h", "h", None, None),
        ] {
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            let expect = Target {
                host: host.to_owned(),
                user: user.map(str::to_owned),
                port: port.map(str::to_owned),
            };
            assert_eq!(Target::of(&words).map_err(|e| e.text), Ok(expect), "{words:?}");
        }
        for none in ["-p 22", "-i h", "-v"] {
            let words: Vec<String> = none.split(' ').map(str::to_owned).collect();
            assert!(Target::of(&words).is_err(), "{none}");
        }
    }
}
