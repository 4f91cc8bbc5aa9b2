//! What is encrypted, what the MAC covers, and what it does not.

use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_base::Rng;

use super::*;
use crate::cipher::{Nonces, is_encrypted};
use crate::metadata::Rule;
use crate::stores::{Format, Store};

/// The same bytes in each run.
struct Count(AtomicU64);

impl Rng for Count {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let n = self.0.fetch_add(1, Ordering::Relaxed);
            chunk.copy_from_slice(&strongroom_crypto::sha256(&n.to_be_bytes())[..chunk.len()]);
        }
    }
}

const KEY: [u8; 32] = [9; 32];
const NOW: &str = "2026-01-02T03:04:05Z";

fn tree(format: Format, text: &str, rule: Rule) -> Tree {
    let branches = Store::new(format).load_plain(text.as_bytes()).unwrap();
    Tree { branches, metadata: Metadata { rule, ..Metadata::default() } }
}

fn sealed(mut tree: Tree) -> Tree {
    let rng = Count(AtomicU64::new(1));
    encrypt_and_sign(&mut tree, &mut Cipher::new(&KEY, &rng), NOW).unwrap();
    tree
}

fn open(tree: &mut Tree) -> Result<Walked> {
    let rng = Count(AtomicU64::new(1));
    decrypt_and_verify(tree, &mut Cipher::new(&KEY, &rng), false)
}

fn yaml(tree: &Tree) -> String {
    let text = Store::new(Format::Yaml).emit_plain(&tree.branches).unwrap();
    String::from_utf8(text).unwrap()
}

/// The document with `E` for each encrypted value.
fn outline(tree: &Tree) -> String {
    let text = yaml(tree);
    let lines = text.lines().map(|line| match line.find("ENC[") {
        Some(at) => format!("{}E", &line[..at]),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn usual() -> Rule {
    Rule::UnencryptedSuffix("_unencrypted".into())
}

const DOCUMENT: &str = "# about\na: text\nb:\n    - 1\n    - 2.5\n    # in the list\n    - true\nc: null\nd: \"\"\ne:\n    f: 2020-01-02T00:00:00Z\n    g_unencrypted:\n        - h\n";

#[test]
fn what_was_encrypted_comes_back() {
    for (format, text) in [
        (Format::Yaml, DOCUMENT),
        (Format::Yaml, "a: 1\n---\n# second\nb: x\n"),
        (Format::Json, "{\"a\": [1, {\"b\": null}], \"c\": 1e21}"),
        (Format::Dotenv, "# c\nA=1\nB=\n"),
        (Format::Ini, "; c\n[s]\na = 1\n"),
        (Format::Binary, "\u{0}any\n"),
    ] {
        let plain = tree(format, text, usual());
        let expected = Store::new(format).emit_plain(&plain.branches).unwrap();
        let mut tree = sealed(plain);
        open(&mut tree).unwrap();
        assert_eq!(Store::new(format).emit_plain(&tree.branches).unwrap(), expected, "{text}");
    }
}

#[test]
fn what_is_encrypted_and_what_is_not() {
    assert_eq!(
        outline(&sealed(tree(Format::Yaml, DOCUMENT, usual()))),
        "#E\na: E\nb:\n    - E\n    - E\n    - E\n    - E\nc: null\nd: \"\"\ne:\n    f: E\n    g_unencrypted:\n        - h"
    );
    let text = "a: 1\nsecret_a: 2\nm:\n    # mark\n    b: 3\n    c: 4\n# mark\nq:\n    - 5\no: 6\n";
    let comments = |text: &str| text.to_owned();
    for (rule, expected) in [
        (Rule::All, "a: E\nsecret_a: E\nm:\n    #E\n    b: E\n    c: E\n#E\nq:\n    - E\no: E"),
        (
            Rule::EncryptedSuffix("_a".into()),
            "a: 1\nsecret_a: E\nm:\n    # mark\n    b: 3\n    c: 4\n# mark\nq:\n    - 5\no: 6",
        ),
        (
            Rule::EncryptedRegex("^m$".into()),
            "a: 1\nsecret_a: 2\nm:\n    #E\n    b: E\n    c: E\n# mark\nq:\n    - 5\no: 6",
        ),
        (
            Rule::UnencryptedRegex("^m$|e".into()),
            "a: E\nsecret_a: 2\nm:\n    # mark\n    b: 3\n    c: 4\n#E\nq:\n    - E\no: E",
        ),
        (
            Rule::EncryptedCommentRegex(comments("mark")),
            "a: 1\nsecret_a: 2\nm:\n    # mark\n    b: E\n    c: 4\n# mark\nq:\n    - E\no: 6",
        ),
        (
            Rule::UnencryptedCommentRegex(comments("mark")),
            "a: E\nsecret_a: E\nm:\n    # mark\n    b: 3\n    c: E\n# mark\nq:\n    - 5\no: E",
        ),
    ] {
        let mut sealed = sealed(tree(Format::Yaml, text, rule.clone()));
        assert_eq!(outline(&sealed), expected, "{rule:?}");
        open(&mut sealed).unwrap();
        assert_eq!(yaml(&sealed), text, "{rule:?}");
    }
    // A second comment behind the one that marks is encrypted.
    let two = "# mark\n# more\na: 1\n";
    let rule = Rule::EncryptedCommentRegex("mark".into());
    assert_eq!(outline(&sealed(tree(Format::Yaml, two, rule))), "# mark\n#E\na: E");
}

#[test]
fn changes_of_an_encrypted_file_are_refused() {
    let text = "a: one\nb: one\nl:\n    - x\n    - y\nplain_unencrypted: p\n";
    let fresh = || sealed(tree(Format::Yaml, text, usual()));
    let entries =
        |tree: &mut Tree, change: &dyn Fn(&mut Vec<Item>)| change(&mut tree.branches[0].0);
    let changes: [(&str, Exit, &dyn Fn(&mut Vec<Item>)); 6] = [
        ("a renamed key", Exit::Decrypt, &|items| {
            let Item::Entry(key, _) = &mut items[0] else { panic!() };
            *key = "c".into();
        }),
        ("two swapped values", Exit::Decrypt, &|items| {
            let value = |item: &Item| match item {
                Item::Entry(_, value) => value.clone(),
                _ => panic!(),
            };
            let (a, b) = (value(&items[0]), value(&items[1]));
            items[0] = Item::Entry("a".into(), b);
            items[1] = Item::Entry("b".into(), a);
        }),
        ("a readable value", Exit::MacMismatch, &|items| {
            items[3] = Item::Entry("plain_unencrypted".into(), Value::text("q"));
        }),
        ("a missing value", Exit::MacMismatch, &|items| drop(items.remove(0))),
        ("another order in a list", Exit::MacMismatch, &|items| {
            let Item::Entry(_, Value::List(list)) = &mut items[2] else { panic!() };
            list.reverse();
        }),
        ("a value that is not encrypted", Exit::Decrypt, &|items| {
            items[0] = Item::Entry("a".into(), Value::text("hunter2"));
        }),
    ];
    for (what, exit, change) in changes {
        let mut tree = fresh();
        entries(&mut tree, change);
        let error = open(&mut tree).unwrap_err();
        assert_eq!(error.exit, exit, "{what}: {error}");
        assert!(!error.text.contains("hunter2") && !error.text.contains("one"), "{what}: {error}");
    }
    for (mac, time) in [("", NOW), ("ENC[x]", NOW), ("keep", "2026-01-02T03:04:06Z")] {
        let mut tree = fresh();
        if mac != "keep" {
            tree.metadata.mac = mac.into();
        }
        tree.metadata.last_modified = time.into();
        assert_eq!(open(&mut tree).unwrap_err().exit, Exit::MacMismatch);
        // What is asked for is done: the values are still authentic each for itself.
        let mut tree = Tree { metadata: tree.metadata.clone(), ..fresh() };
        let rng = Count(AtomicU64::new(1));
        decrypt_and_verify(&mut tree, &mut Cipher::new(&KEY, &rng), true).unwrap();
    }
    let mut tree = fresh();
    let rng = Count(AtomicU64::new(1));
    let other = decrypt_and_verify(&mut tree, &mut Cipher::new(&[8; 32], &rng), true);
    assert_eq!(other.unwrap_err().exit, Exit::Decrypt);
}

#[test]
fn the_mac_is_a_hash_of_all_values() {
    // SHA-512 of "text12.5TrueFalse2020-01-02T00:00:00Zh", as sha512sum has it.
    let text = "a: text\nb: [1, 2.5, true, false]\n# c\nc: null\nd: \"\"\ne:\n  f: 2020-01-02\n  g_unencrypted: [h]\n";
    let rng = Count(AtomicU64::new(1));
    let mut whole = tree(Format::Yaml, text, usual());
    let mac = encrypt(&mut whole, &mut Cipher::new(&KEY, &rng)).unwrap().mac;
    let mut hash = Sha512::new();
    hash.update(b"text12.5TrueFalse2020-01-02T00:00:00Zh");
    let expected: String = hash.finish().iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(mac, expected);
    // Only encrypted ones: readable ones may change, and the start is another.
    let mut some = tree(Format::Yaml, text, usual());
    some.metadata.mac_only_encrypted = true;
    let mut some = sealed(some);
    let Some(Item::Entry(_, Value::Map(inner))) = some.branches[0].0.last_mut() else { panic!() };
    *inner.0.last_mut().unwrap() = Item::Entry("g_unencrypted".into(), Value::text("other"));
    open(&mut some).unwrap();
    let mut some = tree(Format::Yaml, text, usual());
    some.metadata.mac_only_encrypted = true;
    let mut some = sealed(some);
    some.metadata.mac_only_encrypted = false;
    assert_eq!(open(&mut some).unwrap_err().exit, Exit::MacMismatch);
}

#[test]
fn what_did_not_change_stays_the_same_in_the_file() {
    let rng = Count(AtomicU64::new(1));
    let before = sealed(tree(Format::Yaml, "a: x\nb: [y, z]\nc: 1\n", usual()));
    let text = yaml(&before);
    let mut nonces = Nonces::default();
    let mut tree = before;
    let mut cipher = Cipher::new(&KEY, &rng).with_nonces(&mut nonces);
    decrypt(&mut tree, &mut cipher).unwrap();
    tree.branches[0].0[2] = Item::Entry("c".into(), Value::text("1"));
    encrypt(&mut tree, &mut cipher).unwrap();
    let after = yaml(&tree);
    let same: Vec<bool> = text.lines().zip(after.lines()).map(|(a, b)| a == b).collect();
    // The text 1 is another value than the number 1.
    assert_eq!(same, [true, true, true, true, false]);
}

#[test]
fn odd_things_are_refused_with_their_code() {
    let rng = Count(AtomicU64::new(1));
    for text in ["1: a\n", "a: 9223372036854775808\n"] {
        let mut tree = tree(Format::Yaml, text, usual());
        let error = encrypt(&mut tree, &mut Cipher::new(&KEY, &rng)).unwrap_err();
        assert_eq!(error.exit, Exit::Encrypt, "{error}");
    }
    let mut broken = tree(Format::Yaml, "a: 1\n", Rule::EncryptedRegex("(".into()));
    assert_eq!(encrypt(&mut broken, &mut Cipher::new(&KEY, &rng)).unwrap_err().exit, Exit::Encrypt);
    let all = Rule::UnencryptedCommentRegex("ENC".into());
    let mut confusing = tree(Format::Yaml, "# x\na: 1\n", all);
    assert!(encrypt(&mut confusing, &mut Cipher::new(&KEY, &rng)).is_err());
    // A type that nobody knows, a number that is none.
    let sealed = sealed(tree(Format::Yaml, "a: x\n", usual()));
    for kind in ["int", "bool", "time", "float", "other"] {
        let mut tree =
            Tree { branches: sealed.branches.clone(), metadata: sealed.metadata.clone() };
        let Item::Entry(_, Value::Text(text)) = &mut tree.branches[0].0[0] else { panic!() };
        assert!(is_encrypted(text));
        **text = text.replace("type:str", &format!("type:{kind}"));
        let error = open(&mut tree).unwrap_err();
        assert_eq!(error.exit, Exit::Decrypt, "{kind}");
    }
}

#[test]
fn an_unencrypted_comment_is_kept() {
    let mut tree = sealed(tree(Format::Yaml, "a: 1\n", usual()));
    tree.branches[0].0.insert(0, Item::Comment(Comment::new(" by hand")));
    assert_eq!(open(&mut tree).unwrap().odd_comments, 1);
    assert_eq!(yaml(&tree), "# by hand\na: 1\n");
}

/// Observed: `sops encrypt` 3.13.3 with the data key that an age key unwrapped.
#[test]
fn a_file_of_the_original_is_read() {
    let text = include_str!("../testdata/original.yaml");
    let key = include_str!("../testdata/original.key").trim();
    let key: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&key[2 * at..2 * at + 2], 16).unwrap()).collect();
    let key: [u8; 32] = key.try_into().unwrap();
    let mut tree = Store::new(Format::Yaml).load_encrypted(text.as_bytes()).unwrap();
    let rng = Count(AtomicU64::new(1));
    decrypt_and_verify(&mut tree, &mut Cipher::new(&key, &rng), false).unwrap();
    assert_eq!(yaml(&tree), include_str!("../testdata/original.plain.yaml"));
}
