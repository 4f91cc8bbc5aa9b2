//! Encrypted files in real Git repositories.

mod sops;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use strongroom_testkit::servers::guard::program;

use crate::age::{Desk, Whose, content, text};

/// A repository, with a name and a mail address of its own.
struct Copy {
    folder: PathBuf,
    home: PathBuf,
}

impl Copy {
    fn new(desk: &Desk, name: &str) -> Self {
        let copy = Self { folder: desk.path(name), home: desk.path("") };
        std::fs::create_dir_all(&copy.folder).unwrap();
        copy.git(&["init", "--quiet", "-b", "main"]);
        copy
    }

    fn clone_of(desk: &Desk, name: &str, of: &Copy) -> Self {
        let copy = Self { folder: desk.path(name), home: desk.path("") };
        std::fs::create_dir_all(&copy.folder).unwrap();
        copy.git(&["clone", "--quiet", of.folder.to_str().unwrap(), "."]);
        copy
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env("HOME", &self.home).env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Somebody");
            command.env(format!("GIT_{who}_EMAIL"), "somebody@example.org");
        }
        command.stdin(std::process::Stdio::null());
        command
    }

    fn git_output(&self, words: &[&str]) -> Output {
        self.command(program("git", "git")).args(words).output().unwrap()
    }

    fn git(&self, words: &[&str]) -> Vec<u8> {
        let output = self.git_output(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        output.stdout
    }

    fn crypt(&self, words: &[&str]) -> (i32, String) {
        let mut ours = self.command(env!("CARGO_BIN_EXE_strongroom"));
        let output = ours.arg("git-crypt").args(words).output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }

    fn crypt_ok(&self, words: &[&str]) -> String {
        let (code, said) = self.crypt(words);
        assert_eq!(code, 0, "{words:?}: {said}");
        said
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(name)).unwrap()
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", message]);
    }

    fn is_clean(&self) -> bool {
        self.git(&["status", "--porcelain"]).is_empty()
    }
}

const ATTRIBUTES: &[u8] = b"secret/** filter=strongroom-git-crypt diff=strongroom-git-crypt\n";
/// The same, merged by lines.
const MERGED: &[u8] =
    b"secret/** filter=strongroom-git-crypt diff=strongroom-git-crypt merge=strongroom-git-crypt\n";
const MAGIC: &[u8] = b"\0SRGITCRYPT\0";

/// A repository with encrypted files, some with odd names.
fn set_up(desk: &Desk) -> Copy {
    let copy = Copy::new(desk, "origin");
    copy.crypt_ok(&["init"]);
    copy.write(".gitattributes", ATTRIBUTES);
    copy.write("open", b"for everyone\n");
    copy.write("secret/password", b"correct horse\n");
    copy.write("secret/empty", b"");
    copy.write("secret/-x *[a] 'ä\"", b"odd name\n");
    copy.write("secret/large", &content(300_000));
    copy.commit("first");
    copy
}

#[test]
fn blobs_are_encrypted_and_always_the_same() {
    let desk = Desk::new();
    let copy = set_up(&desk);
    // Nothing is encrypted to nothing, so that Git takes it for that everywhere.
    assert_eq!(copy.git(&["cat-file", "blob", "HEAD:secret/empty"]), b"");
    for name in ["password", "-x *[a] 'ä\"", "large"] {
        let blob = copy.git(&["cat-file", "blob", &format!("HEAD:secret/{name}")]);
        assert!(blob.starts_with(MAGIC), "{name}");
        assert!(!blob.windows(5).any(|it| it == b"horse"), "{name}");
    }
    assert_eq!(copy.git(&["cat-file", "blob", "HEAD:open"]), b"for everyone\n");
    assert!(copy.is_clean());
    copy.crypt_ok(&["status"]);
    // Touched, and written anew with the same content: nothing changed for Git.
    let name = |copy: &Copy| copy.git(&["rev-parse", ":secret/password"]);
    let before = name(&copy);
    std::fs::remove_file(copy.folder.join("secret/password")).unwrap();
    copy.write("secret/password", b"correct horse\n");
    assert!(copy.is_clean());
    copy.git(&["add", "--renormalize", "."]);
    assert_eq!(name(&copy), before);
    // A rename is a rename, and a change is shown in plain text.
    copy.git(&["mv", "secret/password", "secret/renamed"]);
    assert!(text(&copy.git(&["diff", "--cached", "--summary"])).contains("(100%)"));
    copy.write("secret/renamed", b"correct horse\nbattery\n");
    let shown = text(&copy.git(&["diff"]));
    assert!(shown.contains("+battery") && shown.contains(" correct horse"), "{shown}");
}

#[test]
fn a_clone_is_locked_until_a_recipient_unlocks_it() {
    let desk = Desk::new();
    let origin = set_up(&desk);
    let recipient = desk.keygen(Whose::Ours, "key", &[]);
    let hybrid = desk.keygen(Whose::Ours, "hybrid", &["-pq"]);
    let ssh = desk.ssh_keygen("ssh", "ed25519", "", &[]);
    desk.keygen(Whose::Ours, "stranger", &[]);
    desk.write("team", format!("# the team\n{hybrid}\n{ssh}\n").as_bytes());
    origin.crypt_ok(&["add-recipient", &recipient]);
    let team = desk.path("team");
    assert!(origin.crypt_ok(&["add-recipient", "-R", team.to_str().unwrap()]).contains("2 recip"));
    assert!(origin.crypt_ok(&["add-recipient", &recipient]).contains("already"));
    assert!(origin.is_clean());

    let identity = |name: &str| desk.path(name).to_str().unwrap().to_owned();
    for (at, name) in ["key", "hybrid", "ssh"].into_iter().enumerate() {
        let copy = Copy::clone_of(&desk, &format!("clone{at}"), &origin);
        assert!(copy.read("secret/password").starts_with(MAGIC));
        assert!(copy.is_clean());
        let (code, said) = copy.crypt(&["unlock", "-i", &identity("stranger")]);
        assert!(code == 1 && said.contains("none of the identities"), "{said}");
        assert!(copy.read("secret/password").starts_with(MAGIC));
        assert!(copy.crypt_ok(&["unlock", "-i", &identity(name)]).contains("4 encrypted files"));
        for file in ["password", "empty", "-x *[a] 'ä\"", "large"] {
            let file = format!("secret/{file}");
            assert!(copy.read(&file) == origin.read(&file), "{name}: {file}");
        }
        assert!(copy.is_clean());
        // What is written there is encrypted for the others, too.
        copy.write("secret/new", b"of a clone\n");
        copy.commit("new");
        assert!(copy.git(&["cat-file", "blob", "HEAD:secret/new"]).starts_with(MAGIC));
        // And locked again.
        assert!(copy.crypt_ok(&["lock"]).contains("5 encrypted files"));
        assert!(copy.read("secret/new").starts_with(MAGIC) && copy.is_clean());
        assert!(!copy.folder.join(".git/strongroom-git-crypt").exists());
        assert_eq!(copy.crypt(&["lock"]).0, 1);
    }
    // The original opens what wraps the key: it is an age file like any other.
    let keys = origin.folder.join(".strongroom-git-crypt/keys");
    let id = std::fs::read_dir(&keys).unwrap().next().unwrap().unwrap().path();
    let wrapped: Vec<PathBuf> = std::fs::read_dir(&id)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.extension().is_some_and(|it| it == "age"))
        .collect();
    assert_eq!(wrapped.len(), 3);
    let opened = wrapped.iter().filter(|file| {
        let args = ["-d", "-i", "key", file.to_str().unwrap()];
        let output = desk.age(Whose::Debian, &args);
        output.stdout.starts_with(b"strongroom-git-crypt-key-1:")
    });
    assert_eq!(opened.count(), 1);
}

#[test]
fn what_is_not_committed_is_not_lost() {
    let desk = Desk::new();
    let copy = set_up(&desk);
    copy.write("secret/password", b"changed\n");
    let (code, said) = copy.crypt(&["lock"]);
    assert!(code == 1 && said.contains("not committed"), "{said}");
    assert_eq!(copy.read("secret/password"), b"changed\n");
    // Staged is not committed either.
    copy.git(&["add", "secret/password"]);
    assert_eq!(copy.crypt(&["lock"]).0, 1);
    copy.commit("changed");
    let spare = desk.path("spare");
    copy.crypt_ok(&["export-key", spare.to_str().unwrap()]);
    assert_eq!(copy.crypt(&["export-key", spare.to_str().unwrap()]).0, 1, "none is replaced");
    copy.crypt_ok(&["lock"]);
    // An untracked file is nobody's, and stays.
    copy.write("secret/untracked", b"mine\n");
    copy.write("open", b"changed\n");
    let (code, said) = copy.crypt(&["unlock", spare.to_str().unwrap()]);
    assert!(code == 1 && said.contains("not committed"), "{said}");
    copy.git(&["checkout", "open"]);
    copy.crypt_ok(&["unlock", spare.to_str().unwrap()]);
    assert_eq!(copy.read("secret/password"), b"changed\n");
    assert_eq!(copy.read("secret/untracked"), b"mine\n");
    // Forced, it is lost: it was said.
    copy.write("secret/password", b"lost\n");
    copy.crypt_ok(&["lock", "-f"]);
    assert!(copy.read("secret/password").starts_with(MAGIC));
}

#[test]
fn what_should_be_encrypted_and_is_not_is_told() {
    let desk = Desk::new();
    let copy = Copy::new(&desk, "origin");
    copy.write("secret/early", b"committed before\n");
    copy.commit("plain");
    copy.crypt_ok(&["init"]);
    copy.write(".gitattributes", ATTRIBUTES);
    copy.write("secret/late", b"committed after\n");
    copy.git(&["add", ".gitattributes", "secret/late"]);
    copy.git(&["commit", "--quiet", "-m", "attributes"]);
    let (code, said) = copy.crypt(&["status"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("    encrypted: secret/early  *** its blob is NOT encrypted ***\n"));
    assert!(said.contains("    encrypted: secret/late\n"), "{said}");
    assert!(said.contains("not encrypted: .gitattributes\n"), "{said}");
    assert!(copy.crypt(&["status", "-u"]).1.lines().all(|line| !line.contains("    encrypted")));
    copy.crypt_ok(&["status", "-f"]);
    copy.commit("fixed");
    assert!(copy.git(&["cat-file", "blob", "HEAD:secret/early"]).starts_with(MAGIC));
    assert_eq!(copy.crypt(&["status"]).0, 0);
    assert_eq!(copy.read("secret/early"), b"committed before\n");
}

#[test]
fn the_name_of_the_originals_filter_commits_nothing_plain() {
    let desk = Desk::new();
    let copy = set_up(&desk);
    copy.write(".gitattributes", b"plain/* filter=git-crypt diff=git-crypt\n");
    copy.write("plain/file", b"meant to be secret\n");
    let added = copy.git_output(&["add", "plain/file"]);
    assert!(!added.status.success());
    let (code, said) = copy.crypt(&["status"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("not encrypted: plain/file  *** the attributes name"), "{said}");
    // Where the original is at work, its files are its own.
    copy.git(&["config", "filter.git-crypt.clean", "cat"]);
    copy.git(&["add", "plain/file"]);
    assert_eq!(copy.crypt(&["status"]).0, 0);
}

#[test]
fn texts_are_merged_by_lines() {
    let desk = Desk::new();
    let copy = set_up(&desk);
    copy.write(".gitattributes", MERGED);
    copy.write("secret/list", b"one\ntwo\nthree\nfour\nfive\n");
    copy.commit("a list");
    copy.git(&["checkout", "--quiet", "-b", "theirs"]);
    copy.write("secret/list", b"ONE\ntwo\nthree\nfour\nfive\n");
    copy.write("secret/empty", b"no more\n");
    copy.write("secret/large", &content(10));
    copy.commit("theirs");
    copy.git(&["checkout", "--quiet", "main"]);
    copy.write("secret/list", b"one\ntwo\nthree\nfour\nFIVE\n");
    copy.commit("ours");
    copy.git(&["merge", "--quiet", "--no-edit", "theirs"]);
    assert_eq!(copy.read("secret/list"), b"ONE\ntwo\nthree\nfour\nFIVE\n");
    assert_eq!(copy.read("secret/empty"), b"no more\n");
    assert!(copy.git(&["cat-file", "blob", "HEAD:secret/list"]).starts_with(MAGIC));
    assert!(copy.is_clean());
    // The same line on both sides is a conflict, with both in the file.
    copy.git(&["checkout", "--quiet", "-b", "again"]);
    copy.write("secret/list", b"theirs\n");
    copy.commit("theirs again");
    copy.git(&["checkout", "--quiet", "main"]);
    copy.write("secret/list", b"ours\n");
    copy.commit("ours again");
    assert!(!copy.git_output(&["merge", "--no-edit", "again"]).status.success());
    let both = text(&copy.read("secret/list"));
    assert!(both.contains("<<<<<<< ours\nours\n") && both.contains("theirs\n>>>>>>>"), "{both}");
    assert!(copy.git(&["cat-file", "blob", ":2:secret/list"]).starts_with(MAGIC));
    copy.write("secret/list", b"both\n");
    copy.commit("merged");
    assert!(copy.git(&["cat-file", "blob", "HEAD:secret/list"]).starts_with(MAGIC));
}

#[test]
fn where_nothing_can_be_encrypted_nothing_is_committed() {
    let desk = Desk::new();
    let copy = set_up(&desk);
    assert_eq!(copy.crypt(&["init"]).0, 1);
    let key = copy.folder.join(".git/strongroom-git-crypt/key");
    std::fs::rename(&key, desk.path("aside")).unwrap();
    copy.write("secret/password", b"must not be seen\n");
    let added = copy.git_output(&["add", "secret/password"]);
    assert!(!added.status.success(), "{}", text(&added.stderr));
    assert!(copy.git(&["cat-file", "blob", ":secret/password"]).starts_with(MAGIC));
    std::fs::rename(desk.path("aside"), &key).unwrap();
    copy.git(&["add", "secret/password"]);
    // A blob that was changed is refused at checkout.
    copy.commit("changed");
    let mut blob = copy.git(&["cat-file", "blob", "HEAD:secret/password"]);
    *blob.last_mut().unwrap() ^= 1;
    copy.write("broken", &blob);
    let broken = text(&copy.git(&["hash-object", "-w", "--no-filters", "broken"]));
    let entry = format!("100644,{},secret/password", broken.trim());
    copy.git(&["update-index", "--cacheinfo", &entry]);
    let checked_out = copy.git_output(&["checkout", "--force", "--", "secret/password"]);
    assert!(!checked_out.status.success());
    assert!(text(&checked_out.stderr).contains("was changed or cut off"));
    // A link that leads elsewhere is no place for keys.
    let recipient = desk.keygen(Whose::Ours, "someone", &[]);
    std::fs::create_dir(desk.path("elsewhere")).unwrap();
    let link = copy.folder.join(".strongroom-git-crypt");
    std::os::unix::fs::symlink(desk.path("elsewhere"), link).unwrap();
    let (code, said) = copy.crypt(&["add-recipient", &recipient]);
    assert!(code == 1 && said.contains("is no folder"), "{said}");
    // And outside of a repository there is nothing.
    let outside = Copy { folder: desk.path("outside"), home: desk.path("") };
    std::fs::create_dir_all(&outside.folder).unwrap();
    let (code, said) = outside.crypt(&["status"]);
    assert!(code == 1 && said.contains("not a git repository"), "{said}");
}

#[test]
fn a_locked_copy_commits_nothing_plain() {
    let desk = Desk::new();
    let copy = set_up(&desk);
    let spare = desk.path("spare");
    copy.crypt_ok(&["export-key", spare.to_str().unwrap()]);
    copy.crypt_ok(&["lock"]);
    copy.write("secret/new", b"must not be seen\n");
    let added = copy.git_output(&["add", "--all"]);
    assert!(!added.status.success(), "{}", text(&added.stderr));
    assert!(copy.git(&["ls-files", "secret/new"]).is_empty());
    std::fs::remove_file(copy.folder.join("secret/new")).unwrap();
    // What is there already goes on: touched, added again, checked out again.
    let blob = copy.read("secret/password");
    copy.write("secret/password", &blob);
    assert!(copy.is_clean());
    copy.git(&["add", "--renormalize", "."]);
    assert!(copy.is_clean());
    std::fs::remove_file(copy.folder.join("secret/password")).unwrap();
    copy.git(&["checkout", "--", "secret/password"]);
    assert_eq!(copy.read("secret/password"), blob);
    copy.write("open", b"changed\n");
    copy.commit("others go on");
    copy.crypt_ok(&["unlock", spare.to_str().unwrap()]);
    assert_eq!(copy.read("secret/password"), b"correct horse\n");
    assert!(copy.is_clean());
    // A key that is not the files' leaves it locked as it was.
    copy.crypt_ok(&["lock"]);
    let other = Copy::new(&desk, "other");
    other.crypt_ok(&["init"]);
    let wrong = desk.path("wrong");
    other.crypt_ok(&["export-key", wrong.to_str().unwrap()]);
    assert_eq!(copy.crypt(&["unlock", wrong.to_str().unwrap()]).0, 1);
    assert_eq!(copy.read("secret/password"), blob);
    copy.write("secret/new", b"must not be seen\n");
    assert!(!copy.git_output(&["add", "secret/new"]).status.success());
}

#[test]
fn a_lock_that_failed_leaves_the_key_and_is_done_again() {
    let desk = Desk::new();
    let copy = set_up(&desk);
    let key = copy.folder.join(".git/strongroom-git-crypt/key");
    // Git cannot check anything out.
    let busy = copy.folder.join(".git/index.lock");
    std::fs::write(&busy, "").unwrap();
    assert_eq!(copy.crypt(&["lock"]).0, 1);
    assert!(key.exists());
    std::fs::remove_file(&busy).unwrap();
    // As if it had come half way.
    let blob = copy.git(&["cat-file", "blob", "HEAD:secret/password"]);
    copy.write("secret/password", &blob);
    assert!(copy.crypt_ok(&["lock"]).contains("4 encrypted files"));
    assert!(!key.exists());
    for name in ["secret/password", "secret/large"] {
        assert!(copy.read(name).starts_with(MAGIC), "{name}");
    }
    // Nothing is encrypted as nothing.
    assert!(copy.read("secret/empty").is_empty());
    assert!(copy.is_clean());
}

#[test]
fn the_program_s_path_may_have_spaces() {
    let desk = Desk::new();
    let folder = desk.path("a folder with 'quotes'");
    std::fs::create_dir_all(&folder).unwrap();
    let program: PathBuf = folder.join("strongroom");
    std::fs::copy(Path::new(env!("CARGO_BIN_EXE_strongroom")), &program).unwrap();
    let copy = Copy::new(&desk, "origin");
    let output = copy.command(&program).args(["git-crypt", "init"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    copy.write(".gitattributes", ATTRIBUTES);
    copy.write("secret/password", b"correct horse\n");
    copy.commit("first");
    assert!(copy.git(&["cat-file", "blob", "HEAD:secret/password"]).starts_with(MAGIC));
}
