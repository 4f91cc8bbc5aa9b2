//! SSH with OpenSSH's own programs: a server that trusts our authorities, a client that trusts it,
//! and `ssh-keygen`, which reads what we sign.

use std::path::{Path, PathBuf};
use std::process::Command;

use strongroom_testkit::servers::guard::program;
use strongroom_testkit::servers::sshd::{HOST, Prepared, keygen, user};

use crate::databases::Room;

/// A room with `ssh/`, and a folder for keys.
struct Keys {
    room: Room,
    folder: tempfile::TempDir,
}

impl Keys {
    fn new() -> Self {
        let room = Room::new();
        room.ok(&["secrets", "enable", "ssh"]);
        Self { room, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Signs the public key in a file; the certificate's file.
    fn sign(&self, role: &str, key: &Path, more: &[&str]) -> PathBuf {
        let path = format!("ssh/sign/{role}");
        let public = format!("public_key=@{}", key.display());
        let words = [&["write", "-field=signed_key", &path, &public], more].concat();
        self.file("signed-cert.pub", &self.room.ok(&words))
    }
}

/// What `ssh-keygen -L` says of a certificate.
fn read(certificate: &Path) -> String {
    let mut keygen = Command::new(program("ssh-keygen", "openssh-client"));
    let done = keygen.arg("-L").arg("-f").arg(certificate).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn a_real_server_lets_in_whom_we_sign_for_as_long_as_we_said() {
    let mut keys = Keys::new();
    let user = user();
    let authorities = [
        ("ed25519", "0", "ED25519"),
        ("rsa", "2048", "RSA"),
        ("ec", "256", "ECDSA"),
        ("ec", "384", "ECDSA"),
        ("ec", "521", "ECDSA"),
    ];
    let mut trusted = String::new();
    for (n, (kind, bits, _)) in authorities.iter().enumerate() {
        let (name, kind, bits) =
            (format!("ca-{n}"), format!("key_type={kind}"), format!("key_bits={bits}"));
        let path = format!("ssh/issuers/import/{name}");
        trusted += &keys.room.ok(&["write", "-field=public_key", &path, &kind, &bits]);
        let (path, issuer) = (format!("ssh/roles/{name}"), format!("issuer_ref={name}"));
        let users = format!("allowed_users={user},other");
        let default = format!("default_user={user}");
        let role =
            ["write", &path, "key_type=ca", "allow_user_certificates=true", "ttl=1h", &issuer];
        keys.room.ok(&[&role[..], &[&users, &default, "default_extensions=permit-pty="]].concat());
    }
    // The first issuer is the default; its key is there for everybody.
    let open = keys.room.server().ask("GET", "ssh/public_key", "", &serde_json::Value::Null);
    let first = trusted.lines().next().unwrap();
    assert_eq!(open.header("content-type"), Some("text/plain"));
    assert_eq!(open.body.as_str().unwrap().trim_end(), first);
    let domain = format!("allowed_domains={}", HOST.split_once('.').unwrap().1);
    let hosts = ["write", "ssh/roles/hosts", "key_type=ca", "allow_host_certificates=true"];
    keys.room.ok(&[&hosts[..], &["allow_subdomains=true", "ttl=1h", &domain]].concat());
    let prepared = Prepared::new();
    let name = format!("valid_principals={HOST}");
    let host = keys.sign("hosts", &prepared.host_key(), &["cert_type=host", &name]);
    let said = read(&host);
    assert!(said.contains("host certificate") && said.contains(HOST), "{said}");
    let known = keys.file("known", &format!("@cert-authority *.test {first}\n"));
    let sshd = prepared.start(&trusted, &std::fs::read_to_string(&host).unwrap());

    // Each kind of issuer, each kind of key.
    let kinds =
        [("rsa", "3072"), ("ed25519", ""), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521")];
    for (n, (kind, bits)) in kinds.into_iter().enumerate() {
        let key = keys.path(&format!("key-{n}"));
        keygen(&key, kind, bits);
        let certificate = keys.sign(&format!("ca-{n}"), &key.with_extension("pub"), &[]);
        let said = read(&certificate);
        let signing = format!("Signing CA: {}", authorities[n].2);
        for line in ["user certificate", "Key ID: \"vault-root-", &user, "permit-pty", &signing] {
            assert!(said.contains(line), "{line}: {said}");
        }
        assert_eq!(sshd.log_in(&key, &certificate, &known), Ok("in".to_owned()), "{kind} {bits}");
        sshd.await_line(&format!("Accepted publickey for {user}"));
    }

    let key = keys.path("key-1");
    let public = key.with_extension("pub");
    // For somebody else.
    let other = keys.sign("ca-1", &public, &["valid_principals=other"]);
    assert!(sshd.log_in(&key, &other, &known).unwrap_err().contains("Permission denied"));
    sshd.await_line("Certificate invalid: name is not a listed principal");
    // For a while.
    let certificate = keys.sign("ca-1", &public, &["ttl=1s"]);
    keys.room.until("the certificate's end", || sshd.log_in(&key, &certificate, &known).is_err());
    sshd.await_line("Certificate invalid: expired");
    // By an authority that nobody trusts.
    keys.room.ok(&["write", "ssh/config/ca", "key_type=ed25519"]);
    let users = ["key_type=ca", "allow_user_certificates=true", "allowed_users=*"];
    keys.room.ok(&[&["write", "ssh/roles/stranger"], &users[..]].concat());
    let principal = format!("valid_principals={user}");
    let certificate = keys.sign("stranger", &public, &[&principal]);
    assert!(sshd.log_in(&key, &certificate, &known).unwrap_err().contains("Permission denied"));
    // A server whose certificate is another authority's is none that the client knows.
    let known = keys
        .file("known", &format!("@cert-authority *.test {}\n", trusted.lines().last().unwrap()));
    let certificate = keys.sign("ca-1", &public, &[]);
    let refused = sshd.log_in(&key, &certificate, &known).unwrap_err();
    assert!(refused.contains("Host key verification failed"), "{refused}");
}

#[test]
fn keys_that_are_made_here_are_openssh_s() {
    let keys = Keys::new();
    keys.room.ok(&["write", "ssh/config/ca", "key_type=ec"]);
    let users = ["allowed_users=*", "allow_user_certificates=true", "default_user=ann"];
    keys.room.ok(&[&["write", "ssh/roles/r", "key_type=ca"], &users[..]].concat());
    for (kind, bits) in [("rsa", "2048"), ("ec", "256"), ("ec", "521"), ("ed25519", "0")] {
        let (kind, bits) = (format!("key_type={kind}"), format!("key_bits={bits}"));
        let made = keys.room.ok(&["write", "-format=json", "ssh/issue/r", &kind, &bits]);
        let made: serde_json::Value = serde_json::from_str(&made).unwrap();
        let text = |name: &str| made["data"][name].as_str().unwrap();
        let certificate = keys.file("made-cert.pub", text("signed_key"));
        assert!(read(&certificate).contains("ann"));
        let private = keys.file("made", text("private_key"));
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o600)).unwrap();
        // The public half of what `ssh-keygen` reads is the one that was signed.
        let mut keygen = Command::new(program("ssh-keygen", "openssh-client"));
        let done = keygen.arg("-y").arg("-f").arg(&private).output().unwrap();
        assert!(done.status.success(), "{kind}: {}", String::from_utf8_lossy(&done.stderr));
        let public = String::from_utf8(done.stdout).unwrap();
        let again = keys.file("again.pub", &public);
        let mut keygen = Command::new(program("ssh-keygen", "openssh-client"));
        let done = keygen.arg("-l").arg("-f").arg(&again).output().unwrap();
        let print = String::from_utf8(done.stdout).unwrap();
        let print = print.split(' ').nth(1).unwrap();
        assert!(read(&certificate).contains(print), "{kind}: {print}");
    }
}

/// Keys that `ssh-keygen` made are issuers' as they are.
#[test]
fn authorities_are_brought_as_ssh_keygen_makes_them() {
    let keys = Keys::new();
    let users = ["allowed_users=*", "allow_user_certificates=true", "default_user=ann"];
    keys.room.ok(&[&["write", "ssh/roles/r", "key_type=ca"], &users[..]].concat());
    for (n, (kind, bits)) in
        [("ed25519", ""), ("rsa", "2048"), ("ecdsa", "521")].into_iter().enumerate()
    {
        let key = keys.path(&format!("ca-{n}"));
        keygen(&key, kind, bits);
        let private = format!("private_key=@{}", key.display());
        let public = format!("public_key=@{}", key.with_extension("pub").display());
        keys.room.ok(&["write", "ssh/config/ca", &private, &public]);
        let mut keygen = Command::new(program("ssh-keygen", "openssh-client"));
        let print = keygen.arg("-l").arg("-f").arg(&key).output().unwrap();
        let print = String::from_utf8(print.stdout).unwrap();
        let certificate = keys.sign("r", &key.with_extension("pub"), &[]);
        let said = read(&certificate);
        let signing = format!("{} (using", print.split(' ').nth(1).unwrap());
        assert!(said.contains(&signing), "{signing}: {said}");
    }
}

#[test]
fn one_time_passwords_are_for_one_time() {
    let keys = Keys::new();
    let room = &keys.room;
    let role = ["key_type=otp", "default_user=ubuntu", "cidr_list=10.0.0.0/8"];
    room.ok(&[&["write", "ssh/roles/otp"], &role[..]].concat());
    let otp = room.ok(&["write", "-field=key", "ssh/creds/otp", "ip=10.1.2.3"]);
    let otp = format!("otp={}", otp.trim());
    // The helper on the machine has no token.
    let verify = || room.run("", &["write", "-field=username", "ssh/verify", &otp]);
    let done = verify();
    assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), "ubuntu");
    let done = verify();
    assert!(!done.status.success());
    assert!(String::from_utf8_lossy(&done.stderr).contains("OTP not found"));
}

/// `strongroom ssh -mode=ca`: a key is signed, and OpenSSH's client is let in with it, by a server
/// whose own key the authority of another mount has signed.
#[test]
fn the_command_line_opens_a_session_by_a_certificate() {
    let keys = Keys::new();
    let user = user();
    let room = &keys.room;
    room.ok(&["secrets", "enable", "-path=hosts", "ssh"]);
    let trusted = room.ok(&["write", "-field=public_key", "ssh/config/ca", "key_type=ed25519"]);
    room.ok(&["write", "hosts/config/ca", "key_type=ec"]);
    let users = format!("allowed_users={user}");
    let role = ["write", "ssh/roles/dev", "key_type=ca", "allow_user_certificates=true", "ttl=1h"];
    room.ok(&[&role[..], &[&users, "allowed_extensions=*"]].concat());
    let hosts = ["write", "hosts/roles/h", "key_type=ca", "allow_host_certificates=true"];
    room.ok(&[&hosts[..], &["allowed_domains=*", "ttl=1h"]].concat());
    let prepared = Prepared::new();
    let public = format!("public_key=@{}", prepared.host_key().display());
    let name = format!("valid_principals={HOST}");
    let sign = ["write", "-field=signed_key", "hosts/sign/h", "cert_type=host", &name, &public];
    let sshd = prepared.start(&trusted, &room.ok(&sign));
    let key = keys.path("key");
    keygen(&key, "ed25519", "");
    let (private, port) = (key.display().to_string(), sshd.port().to_string());
    let alias = format!("HostKeyAlias={HOST}");
    let target = format!("{user}@127.0.0.1");
    let temporary = tempfile::tempdir().unwrap();
    let ssh = program("ssh", "openssh-client").display().to_string();
    let session = |flags: &[&str]| {
        let own = ["ssh", "-mode=ca", "-private-key-path", &private, "-ssh-executable", &ssh];
        let options = [
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            &alias,
            "-o",
            "GlobalKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
            "-p",
            &port,
            &target,
        ];
        let words = [&own[..], flags, &["--"], &options[..], &["echo in"]].concat();
        let mut command = room.command(&room.root, &words);
        let done = command.env("TMPDIR", temporary.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        (done.status.code(), text(done.stdout), text(done.stderr))
    };
    let trusting = ["-role=dev", "-host-key-mount-point=hosts/"];
    let done = session(&trusting);
    assert_eq!((done.0, done.1.as_str()), (Some(0), "in"), "{}", done.2);
    sshd.await_line(&format!("Accepted publickey for {user}"));
    // A host that another authority signed is none to trust.
    let done = session(&["-role=dev", "-host-key-mount-point=ssh"]);
    assert_eq!(done.0, Some(255), "{done:?}");
    assert!(done.2.contains("Host key verification failed"), "{}", done.2);
    assert!(done.2.contains("failed to run ssh command: exit status 255"), "{}", done.2);
    // As somebody else nobody is signed for.
    let done = session(&[&trusting[..], &["-valid-principals=root"]].concat());
    assert_eq!(done.0, Some(2), "{done:?}");
    assert!(done.2.contains("failed to sign public key"), "{}", done.2);
    // What lets one in alone.
    let done = session(&["-role=dev", "-no-exec", "-field=signed_key"]);
    assert!(
        done.0 == Some(0) && done.1.starts_with("ssh-ed25519-cert-v01@openssh.com "),
        "{done:?}"
    );
    for (flags, why) in [
        (&["-role=dev", "-mode=dynamic"][..], "no longer supported"),
        (&["-role=dev", "-mode=x"], "Unknown SSH mode: x"),
        (&[], "No -role specified"),
        (&["-role=dev", "-private-key-path=/nowhere"], "Could not find an SSH"),
    ] {
        let done = session(flags);
        assert!(done.0 == Some(1) && done.2.contains(why), "{flags:?}: {done:?}");
    }
    let left = std::fs::read_dir(temporary.path()).unwrap();
    assert_eq!(left.count(), 0, "nothing is left behind");
}

/// `strongroom ssh -mode=otp`: the password goes to ssh by `sshpass`, by its environment alone; it is
/// taken back when the session is over.
#[test]
fn the_command_line_opens_a_session_by_a_password() {
    use std::os::unix::fs::PermissionsExt;
    let keys = Keys::new();
    let room = &keys.room;
    room.ok(&[
        "write",
        "ssh/roles/otp",
        "key_type=otp",
        "default_user=ann",
        "cidr_list=10.0.0.0/8",
    ]);
    // A program in its place that writes down what it was given.
    let told = keys.path("told");
    let script = format!("#!/bin/sh\necho \"$SSHPASS $*\" > {}\nexit $CODE\n", told.display());
    let sshpass = keys.file("sshpass", &script);
    std::fs::set_permissions(&sshpass, std::fs::Permissions::from_mode(0o755)).unwrap();
    let own = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(keys.path("")).chain(std::env::split_paths(&own));
    let path = std::env::join_paths(path).unwrap();
    let session = |code: &str, more: &[&str]| {
        let words = [&["ssh", "-mode=otp", "-role=otp"][..], more].concat();
        let done =
            room.command(&room.root, &words).env("PATH", &path).env("CODE", code).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        (done.status.code(), said, std::fs::read_to_string(&told).unwrap_or_default())
    };
    for (code, more) in [("0", &["10.1.2.3"][..]), ("7", &["ann@10.1.2.3", "-p", "2222"])] {
        let (status, said, told) = session(code, more);
        assert_eq!(status.unwrap().to_string(), code, "{said}");
        let (otp, words) = told.trim().split_once(' ').unwrap();
        let port = if more.len() == 1 { "-p 22 " } else { "" };
        let expect = format!("-e ssh {port}-o StrictHostKeyChecking=ask {}", more.join(" "));
        assert_eq!(words, expect);
        assert!(!said.contains(otp), "{said}");
        let body = serde_json::json!({ "otp": otp });
        let answer = room.server().ask("PUT", "ssh/verify", "", &body);
        assert_eq!(answer.status, 400, "it is good no more: {otp}");
    }
    let (status, said, _) = session("0", &["10.999.2.3x"]);
    assert!(status == Some(1) && said.contains("Error resolving the ssh hostname"), "{said}");
    let (status, said, _) = session("0", &["192.0.2.1"]);
    assert!(status == Some(2) && said.contains("IP does not belong to role"), "{said}");
}
