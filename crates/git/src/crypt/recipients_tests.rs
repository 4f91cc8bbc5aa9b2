//! Repositories that others filled.

use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;

use age::secrecy::ExposeSecret;
use strongroom_age::{Silent, identities};

use super::*;

struct Case {
    folder: tempfile::TempDir,
    repository: Repository,
    identities: Vec<Identity>,
    recipient: String,
}

fn ui() -> SharedUi {
    Arc::new(Silent)
}

fn key(byte: u8) -> Key {
    Key::of([byte; 32]).unwrap()
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("r");
        fs::create_dir(&top).unwrap();
        let made = Command::new("git").arg("init").arg("--quiet").current_dir(&top).status();
        assert!(made.unwrap().success());
        let repository = Repository::of(&top).unwrap();
        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public().to_string();
        let identity = identities::parse(identity.to_string().expose_secret(), &ui()).unwrap();
        Self { folder, repository, identities: vec![identity], recipient }
    }

    fn add(&self, byte: u8) -> Result<Vec<PathBuf>> {
        add(&self.repository, &key(byte), &self.recipient, &ui())
    }

    fn unwrap(&self) -> Result<Key> {
        unwrap(&self.repository, &self.identities)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.repository.top().join(FOLDER).join(name)
    }

    fn keys(&self, byte: u8) -> PathBuf {
        self.at("keys").join(key(byte).id())
    }
}

#[test]
fn a_key_is_written_once_and_opened_again() {
    let case = Case::new();
    assert_eq!(case.add(1).unwrap().len(), 3);
    assert_eq!(case.add(1).unwrap().len(), 0);
    assert_eq!(case.unwrap().unwrap().id(), key(1).id());
    assert_eq!(list(&case.repository).unwrap(), [(key(1).id(), vec![case.recipient.clone()])]);
    assert_eq!(fs::read_dir(case.keys(1)).unwrap().count(), 2);
}

#[test]
fn a_link_leads_no_write_elsewhere() {
    let name = |case: &Case, ending: &str| {
        case.keys(1).join(format!("{}.{ending}", name_of(&case.recipient)))
    };
    for at in 0..6 {
        let case = Case::new();
        let place = match at {
            0 => case.repository.top().join(FOLDER),
            1 => case.at("keys"),
            2 => case.keys(1),
            3 => case.at(".gitattributes"),
            4 => name(&case, "age"),
            _ => name(&case, "recipient"),
        };
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let elsewhere = case.folder.path().join("elsewhere");
        if at < 3 {
            fs::create_dir(&elsewhere).unwrap();
        } else {
            fs::write(&elsewhere, "mine").unwrap();
        }
        symlink(&elsewhere, &place).unwrap();
        let told = case.add(1).unwrap_err().to_string();
        assert!(told.ends_with("is no folder") || told.ends_with("is no file"), "{told}");
        match at < 3 {
            true => assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0),
            false => assert_eq!(fs::read(&elsewhere).unwrap(), b"mine"),
        }
    }
}

#[test]
fn a_key_under_another_s_id_is_not_believed() {
    let case = Case::new();
    case.add(2).unwrap();
    fs::rename(case.keys(2), case.keys(1)).unwrap();
    let told = case.unwrap().unwrap_err().to_string();
    assert!(told.contains(&format!("holds the key {}", key(2).id())), "{told}");
}

#[test]
fn one_bad_file_keeps_nobody_out() {
    let case = Case::new();
    case.add(1).unwrap();
    fs::write(case.keys(1).join("0.age"), "no age file").unwrap();
    fs::write(case.keys(1).join("1.age"), vec![b'x'; 2 << 20]).unwrap();
    symlink("/dev/zero", case.keys(1).join("2.age")).unwrap();
    fs::create_dir(case.keys(1).join("3.age")).unwrap();
    fs::write(case.at("keys").join("README"), "no folder").unwrap();
    assert_eq!(case.unwrap().unwrap().id(), key(1).id());
    // Where nothing opens, the first reason is told.
    let name = format!("{}.age", name_of(&case.recipient));
    fs::remove_file(case.keys(1).join(name)).unwrap();
    let told = case.unwrap().unwrap_err().to_string();
    assert!(told.contains("none of the identities") && told.contains("0.age"), "{told}");
}

#[test]
fn of_several_keys_the_one_that_the_files_have_is_taken() {
    let case = Case::new();
    case.add(1).unwrap();
    case.add(2).unwrap();
    let told = case.unwrap().unwrap_err().to_string();
    assert!(told.contains(&key(1).id()) && told.contains("export-key"), "{told}");
    let top = case.repository.top();
    let committed = |byte: u8, name: &str| {
        fs::write(top.join(".gitattributes"), format!("*.s filter={}\n", super::super::FILTER))
            .unwrap();
        fs::write(top.join(name), key(byte).encrypt(b"x").unwrap()).unwrap();
        case.repository.git(&["add", "--", name]).unwrap();
    };
    committed(2, "a.s");
    assert_eq!(case.unwrap().unwrap().id(), key(2).id());
    committed(1, "b.s");
    assert!(case.unwrap().is_err());
}
