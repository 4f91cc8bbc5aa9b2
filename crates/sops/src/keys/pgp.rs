//! OpenPGP: the `gpg` program, which has the keys, the agent and the cards.
//!
//! Where its home still has rings in the format of before GnuPG 2.1, the data key is encrypted by our
//! own hands to a key in `pubring.gpg`, and decrypted by one in `secring.gpg`, as SOPS does it: the
//! program need not be there.

use std::io::Read;

use strongroom_base::{SecretBytes, SecretString};
use strongroom_crypto::pgp::{self, Recipient};
use strongroom_crypto::pgp_ring;
use zeroize::Zeroizing;

use super::agent::{Place, Question};
use super::process::{Ended, run};
use super::{Failure, Machine, MasterKey};
use crate::metadata::PgpKey;

/// Digits of a fingerprint that GnuPG takes for a key's id.
const ID_DIGITS: usize = 16;
/// Bytes of an old ring, at most.
const RING_BYTES_MAX: u64 = 64 * 1024 * 1024;

impl MasterKey for PgpKey {
    fn shown(&self) -> String {
        self.fp.clone()
    }

    fn encrypt(&self, part: &SecretBytes, machine: &Machine) -> Result<String, Failure> {
        let Some(recipient) = in_old_ring(&self.fp, machine) else {
            return self.encrypt_by_gpg(part, machine);
        };
        recipient
            .encrypt_armored(part.expose_secret(), &*machine.rng)
            .map_err(|e| Failure::new(e.public.join("; ")))
    }

    fn decrypt(&self, enc: &str, machine: &Machine) -> Result<SecretBytes, Failure> {
        if let Some(opened) = by_old_ring(enc, machine) {
            return Ok(opened);
        }
        let ended = gpg(&["-d"], enc.as_bytes(), machine)?;
        let failed =
            |why: &str| Failure::new(format!("failed to decrypt sops data key with pgp: {why}"));
        if !ended.success {
            return Err(failed(&ended.complaint));
        }
        // Some versions drop packets of ciphers they lack, say nothing, and succeed.
        if ended.output.expose_secret().is_empty() {
            return Err(failed("zero bytes returned"));
        }
        Ok(ended.output)
    }
}

impl PgpKey {
    fn encrypt_by_gpg(&self, part: &SecretBytes, machine: &Machine) -> Result<String, Failure> {
        // What begins with a dash would be read as an option.
        if self.fp.starts_with('-') || self.fp.is_empty() {
            return Err(Failure::new("no OpenPGP fingerprint"));
        }
        let id = last_digits(&self.fp);
        let args = [
            "--no-default-recipient",
            "--yes",
            "--encrypt",
            "-a",
            "-r",
            &self.fp,
            "--trusted-key",
            id,
            "--no-encrypt-to",
        ];
        let ended = gpg(&args, part.expose_secret(), machine)?;
        if !ended.success {
            let why = &ended.complaint;
            return Err(Failure::new(format!("failed to encrypt sops data key with pgp: {why}")));
        }
        let text = String::from_utf8_lossy(ended.output.expose_secret()).trim().to_owned();
        if text.is_empty() {
            return Err(Failure::new(
                "failed to encrypt sops data key with pgp: nothing came back",
            ));
        }
        Ok(text)
    }
}

fn gpg(args: &[&str], input: &[u8], machine: &Machine) -> Result<Ended, Failure> {
    let program = machine.filled("SOPS_GPG_EXEC").unwrap_or("gpg");
    run(program, args, input, &[], machine)
}

/// The end of a fingerprint by which GnuPG knows the key; a `!` at its end stays (it names this very
/// subkey).
fn last_digits(fingerprint: &str) -> &str {
    let digits = ID_DIGITS + usize::from(fingerprint.ends_with('!'));
    fingerprint
        .len()
        .checked_sub(digits)
        .and_then(|at| fingerprint.get(at..))
        .unwrap_or(fingerprint)
}

/// The key in `pubring.gpg`, if that is there and has it.
fn in_old_ring(fingerprint: &str, machine: &Machine) -> Option<Recipient> {
    pgp::in_ring(&old_ring("pubring.gpg", machine)?, fingerprint, machine.now())
}

/// The message, opened by a key of `secring.gpg`.
fn by_old_ring(message: &str, machine: &Machine) -> Option<SecretBytes> {
    let ring = old_ring("secring.gpg", machine)?;
    pgp_ring::open(&ring, message, &mut |id| passphrase(id, machine))
}

fn old_ring(name: &str, machine: &Machine) -> Option<Zeroizing<Vec<u8>>> {
    let home = machine.filled("GNUPGHOME").map(std::path::PathBuf::from);
    let home = home.or_else(|| Some(machine.home()?.join(".gnupg")))?;
    let file = std::fs::File::open(home.join(name)).ok()?;
    let size = file.metadata().ok()?.len().min(RING_BYTES_MAX);
    // With room for all: what grows leaves copies behind.
    let mut ring = Zeroizing::new(Vec::with_capacity(usize::try_from(size).ok()? + 1));
    file.take(RING_BYTES_MAX).read_to_end(&mut ring).ok()?;
    Some(ring)
}

/// The passphrase of a key: from the agent, or else from the terminal.
fn passphrase(id: &str, machine: &Machine) -> Option<SecretString> {
    let Some(mut agent) = Place::of(machine).agent() else {
        return machine.person.secret("Enter PGP key passphrase:");
    };
    let description = format!("Unlock key {id} to decrypt sops's key");
    agent.passphrase(&Question { name: id, description: &description }).ok()
}

#[cfg(test)]
#[path = "pgp_tests.rs"]
mod tests;
