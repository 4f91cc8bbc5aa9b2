//! The walk over a document that encrypts or decrypts its values and makes the MAC.
//!
//! The path of a value is the keys above it; places in lists are no part of it. A comment has the
//! path of the mapping or list it is in. The path with a `:` behind each key is the additional data
//! of the value, so a value cannot be moved to another key. The MAC is a hash of all values in
//! order, so none can be left out or moved among its equals.

use strongroom_crypto::Sha512;

use crate::cipher::{Cipher, plain};
use crate::error::{Error, Exit, Result};
use crate::metadata::Metadata;
use crate::selector::{Selector, Way};
use crate::tree::{Branch, Comment, Item, Tree, Value};

/// What the hash is fed first where only encrypted values count: SHA-256 of `sops`.
fn mac_only_start() -> [u8; 32] {
    strongroom_crypto::sha256(b"sops")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Encrypt,
    Decrypt,
}

struct Walk<'c, 'a> {
    cipher: &'c mut Cipher<'a>,
    direction: Direction,
    selector: Selector,
    mac_only_encrypted: bool,
    hash: Sha512,
    way: Way,
    path: String,
    /// Comments that were found unencrypted where encrypted ones were expected.
    odd_comments: usize,
}

/// What a walk yields.
#[derive(Debug)]
pub struct Walked {
    /// The MAC, in upper-case hexadecimal digits.
    pub mac: String,
    /// How many comments were not encrypted though they should have been.
    pub odd_comments: usize,
}

/// Encrypts all values of a document where its rule says so.
pub fn encrypt(tree: &mut Tree, cipher: &mut Cipher<'_>) -> Result<Walked> {
    let walked = Walk::new(&tree.metadata, cipher, Direction::Encrypt)
        .and_then(|walk| walk.all(&mut tree.branches));
    walked.map_err(|error| error.within("Error encrypting tree").exiting(Exit::Encrypt))
}

/// Decrypts all values of a document where its rule says so.
pub fn decrypt(tree: &mut Tree, cipher: &mut Cipher<'_>) -> Result<Walked> {
    let walked = Walk::new(&tree.metadata, cipher, Direction::Decrypt)
        .and_then(|walk| walk.all(&mut tree.branches));
    walked.map_err(|error| error.within("Error decrypting tree").exiting(Exit::Decrypt))
}

impl<'c, 'a> Walk<'c, 'a> {
    fn new(metadata: &Metadata, cipher: &'c mut Cipher<'a>, direction: Direction) -> Result<Self> {
        let mut hash = Sha512::new();
        if metadata.mac_only_encrypted {
            hash.update(&mac_only_start());
        }
        Ok(Self {
            cipher,
            direction,
            selector: Selector::new(&metadata.rule)?,
            mac_only_encrypted: metadata.mac_only_encrypted,
            hash,
            way: Way::default(),
            path: String::new(),
            odd_comments: 0,
        })
    }

    fn all(mut self, branches: &mut [Branch]) -> Result<Walked> {
        for branch in branches {
            self.way = Way::default();
            self.path.clear();
            self.branch(branch).map_err(|error| error.within("Error walking tree"))?;
        }
        let mac = self.hash.finish().iter().map(|byte| format!("{byte:02X}")).collect();
        Ok(Walked { mac, odd_comments: self.odd_comments })
    }

    fn branch(&mut self, branch: &mut Branch) -> Result<()> {
        self.selector.enter_level(&mut self.way);
        for item in &mut branch.0 {
            match item {
                Item::Comment(comment) => {
                    self.selector.comment(&mut self.way, &comment.text);
                    let inline = comment.inline;
                    let value = Value::Comment(std::mem::take(comment));
                    *comment = match self.leaf(value)? {
                        Value::Comment(comment) => comment,
                        Value::Text(text) => Comment { text, inline },
                        other => {
                            let text =
                                "walkValue of Comment should be either Comment or string, was";
                            return Err(Error::general(format!("{text} {}", other.kind())));
                        }
                    };
                }
                Item::Entry(key, value) => {
                    let is_comment = self.meet(value);
                    self.selector.enter_key(&mut self.way, key);
                    let length = self.path.len();
                    self.path.push_str(key);
                    self.path.push(':');
                    self.value(value)?;
                    self.path.truncate(length);
                    self.selector.leave_key(&mut self.way);
                    if !is_comment {
                        self.selector.element(&mut self.way);
                    }
                }
                Item::Odd(odd) => {
                    return Err(Error::general(format!(
                        "Tree contains a non-string key (type {}): {}. Only string keys are supported",
                        odd.kind, odd.shown
                    )));
                }
            }
        }
        self.selector.leave_level(&mut self.way);
        Ok(())
    }

    /// Notes a value that is a comment.
    fn meet(&mut self, value: &Value) -> bool {
        let Value::Comment(comment) = value else { return false };
        self.selector.comment(&mut self.way, &comment.text);
        true
    }

    fn list(&mut self, list: &mut [Value]) -> Result<()> {
        self.selector.enter_level(&mut self.way);
        for value in list {
            let is_comment = self.meet(value);
            self.value(value)?;
            if !is_comment {
                self.selector.element(&mut self.way);
            }
        }
        self.selector.leave_level(&mut self.way);
        Ok(())
    }

    fn value(&mut self, value: &mut Value) -> Result<()> {
        match value {
            Value::Null => Ok(()),
            Value::Map(branch) => self.branch(branch),
            Value::List(list) => self.list(list),
            Value::Unsigned(_) => Err(Error::general("Cannot walk value, unknown type: uint64")),
            leaf => {
                *leaf = self.leaf(std::mem::take(leaf))?;
                Ok(())
            }
        }
    }

    fn leaf(&mut self, value: Value) -> Result<Value> {
        let is_comment = matches!(value, Value::Comment(_));
        let encrypted = self.selector.encrypts(&self.way, is_comment);
        let counts = !is_comment && (encrypted || !self.mac_only_encrypted);
        match self.direction {
            Direction::Encrypt => {
                if counts {
                    self.count(&value);
                }
                if encrypted { self.encrypt(&value) } else { Ok(value) }
            }
            Direction::Decrypt => {
                let value = if encrypted { self.decrypt(value)? } else { value };
                // An encrypted comment of a list stands there as a text: it did not count when it
                // was encrypted.
                if counts && !matches!(value, Value::Comment(_)) {
                    self.count(&value);
                }
                Ok(value)
            }
        }
    }

    fn count(&mut self, value: &Value) {
        match value {
            Value::Text(text) => {
                self.hash.update(text.as_bytes());
            }
            other => {
                if let Some((_, bytes)) = plain(other) {
                    self.hash.update(&bytes);
                }
            }
        }
    }

    fn aad(&self) -> &str {
        if self.path.is_empty() { ":" } else { &self.path }
    }

    fn encrypt(&mut self, value: &Value) -> Result<Value> {
        let Some(text) = self.cipher.encrypt(value, self.aad()) else {
            let text = format!("Value to encrypt has unsupported type {}", value.kind());
            return Err(Error::general(format!("Could not encrypt value: {text}")));
        };
        let confusing = |regex: &regex::Regex| regex.is_match(&text);
        if matches!(value, Value::Comment(_))
            && self.selector.readable_comments().is_some_and(confusing)
        {
            return Err(Error::general(
                "Encrypted comment matches UnencryptedCommentRegex! Make sure that \
                 UnencryptedCommentRegex cannot match an encrypted comment.",
            ));
        }
        Ok(Value::text(text))
    }

    fn decrypt(&mut self, value: Value) -> Result<Value> {
        let aad = if self.path.is_empty() { ":" } else { self.path.as_str() };
        match value {
            Value::Comment(comment) => match self.cipher.decrypt(&comment.text, aad) {
                Ok(value) => Ok(value),
                Err(_) => {
                    self.odd_comments += 1;
                    Ok(Value::Comment(comment))
                }
            },
            Value::Text(text) => self
                .cipher
                .decrypt(&text, aad)
                .map_err(|text| Error::general(format!("Could not decrypt value: {text}"))),
            other => Err(Error::general(format!(
                "Expected encrypted value as string, but got {}",
                go_kind(&other)
            ))),
        }
    }
}

/// A kind of value as Go names it.
fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Float(_) => "float64",
        Value::Time(_) => "time.Time",
        other => other.kind(),
    }
}

/// Decrypts a document and compares its MAC.
pub fn decrypt_and_verify(
    tree: &mut Tree,
    cipher: &mut Cipher<'_>,
    ignore_mac: bool,
) -> Result<Walked> {
    let walked = decrypt(tree, cipher)?;
    if ignore_mac {
        return Ok(walked);
    }
    let refused = |text: String| Err(Error::new(Exit::MacMismatch, text));
    let found = match cipher.decrypt(&tree.metadata.mac, &tree.metadata.last_modified) {
        Ok(found) => found,
        Err(text) => return refused(format!("Cannot decrypt MAC: {text}")),
    };
    let found = found.as_text().unwrap_or_default().to_owned();
    if !strongroom_crypto::constant_time_eq(found.as_bytes(), walked.mac.as_bytes()) {
        // The hash is not shown: whoever knows the other values could try the one that is secret.
        return refused(match found.as_str() {
            "" => "MAC mismatch. File has no MAC".into(),
            _ => "MAC mismatch. The file is not as it was encrypted".into(),
        });
    }
    Ok(walked)
}

/// Encrypts a document and puts time and MAC into its metadata.
pub fn encrypt_and_sign(tree: &mut Tree, cipher: &mut Cipher<'_>, now: &str) -> Result<()> {
    let walked = encrypt(tree, cipher)?;
    now.clone_into(&mut tree.metadata.last_modified);
    let mac = cipher.encrypt_text(&walked.mac, now);
    tree.metadata.mac = mac.ok_or_else(|| Error::new(Exit::EncryptMac, "Could not encrypt MAC"))?;
    Ok(())
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
