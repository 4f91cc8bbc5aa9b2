//! The public test vectors of the format, whole (C2SP/CCTV, age/README.md says how they are read):
//! files that have to open, and files that have to be refused, with all that may be given out before.

// A test that cannot be set up fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use strongroom_age::{Error, Identity, Passphrase, SharedUi, Ui, files, identities};
use strongroom_base::SecretString;

/// Somebody who knows one passphrase.
struct Knows(String);

impl Ui for Knows {
    fn secret(&self, _: &str) -> std::io::Result<SecretString> {
        Ok(SecretString::new(self.0.clone()))
    }
    fn line(&self, _: &str) -> std::io::Result<String> {
        Err(std::io::Error::other("nothing else is asked"))
    }
    fn say(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}

/// One vector.
struct Vector {
    name: String,
    expect: String,
    payload: Option<String>,
    identities: Vec<String>,
    passphrases: Vec<String>,
    file: Vec<u8>,
}

impl Vector {
    fn read(path: PathBuf) -> Self {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(path).unwrap();
        let end = bytes.windows(2).position(|it| it == b"\n\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut file = bytes[end + 2..].to_vec();
        let mut keys: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for line in head.lines() {
            let (key, value) = line.split_once(": ").unwrap();
            keys.entry(key).or_default().push(value.to_owned());
        }
        let mut take = |key| keys.remove(key).unwrap_or_default();
        if let [how] = take("compressed").as_slice() {
            assert_eq!(how, "zlib");
            let mut plain = Vec::new();
            flate2::read::ZlibDecoder::new(&file[..]).read_to_end(&mut plain).unwrap();
            file = plain;
        }
        Self {
            expect: take("expect").remove(0),
            payload: take("payload").pop(),
            identities: take("identity"),
            passphrases: take("passphrase"),
            name,
            file,
        }
    }

    /// All that was given out, and how it ended.
    fn decrypt(&self) -> (Vec<u8>, Result<(), Error>) {
        let known = self.passphrases.first().cloned().unwrap_or_default();
        let ui: SharedUi = Arc::new(Knows(known));
        let parsed: Vec<Identity> =
            self.identities.iter().map(|it| identities::parse(it, &ui).unwrap()).collect();
        let passphrase = Passphrase::new(ui, "?");
        let mut all: Vec<&dyn age::Identity> = parsed.iter().map(|it| it as _).collect();
        if !self.passphrases.is_empty() {
            all.push(&passphrase);
        }
        let given_out = std::cell::RefCell::new(Vec::new());
        let outcome = files::decrypt(&all, self.file.as_slice(), &mut || {
            Ok(Box::new(Into(&given_out)) as Box<dyn std::io::Write>)
        });
        (given_out.into_inner(), outcome)
    }
}

struct Into<'a>(&'a std::cell::RefCell<Vec<u8>>);

impl std::io::Write for Into<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Does the failure fit what is expected? Where the format's library does not tell two kinds apart,
/// both are taken.
fn fits(vector: &Vector, error: &Error) -> bool {
    let text = error.text();
    let header = text.starts_with("failed to read header")
        || text.starts_with("failed to read nonce")
        || text.starts_with("scrypt work factor")
        || text == "invalid header intro";
    match vector.expect.as_str() {
        "no match" => text == files::NO_MATCH || text == "incorrect passphrase",
        "HMAC failure" => text == "bad header MAC",
        "header failure" => header,
        "armor failure" => header || text.starts_with("invalid armor: "),
        "payload failure" => {
            // A nonce that is cut off still belongs to what is read with the header.
            ["payload", "unexpected EOF", "chunk", "trailing data"]
                .iter()
                .any(|it| text.contains(it))
        }
        other => panic!("{}: {other:?}", vector.name),
    }
}

#[test]
fn all_vectors_end_as_they_must() {
    let folder = std::env::var_os("STRONGROOM_TEST_AGE").expect(
        "STRONGROOM_TEST_AGE names a folder with the vectors: run the tests by `cargo xtask test`",
    );
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for entry in std::fs::read_dir(PathBuf::from(folder).join("testkit")).unwrap() {
        let vector = Vector::read(entry.unwrap().path());
        *counts.entry(vector.expect.clone()).or_default() += 1;
        let (given_out, outcome) = vector.decrypt();
        let hash = hex::encode(strongroom_crypto::sha256(&given_out));
        let ends_well = match &outcome {
            Ok(()) => vector.expect == "success",
            Err(error) => vector.expect != "success" && fits(&vector, error),
        };
        // Where nothing is authenticated, nothing is given out.
        let payload_fits = match &vector.payload {
            Some(expected) => *expected == hash,
            None => given_out.is_empty(),
        };
        if !ends_well || !payload_fits {
            let Vector { name, expect, .. } = &vector;
            wrong.push(format!("{name}: {expect}: {outcome:?}, payload fits: {payload_fits}"));
        }
    }
    assert!(wrong.is_empty(), "{counts:?}\n{}", wrong.join("\n"));
    assert!(counts.values().sum::<u32>() >= 143 && counts["success"] >= 26, "{counts:?}");
}
