//! Public keys for `-pgp-keys`: read from files, sent as base64 of the binary form.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::cli::command::{Fail, io_reason};

/// Reads a list of key files.
pub fn read_keys(list: &str) -> Result<Vec<String>, Fail> {
    list.split(',').map(str::trim).filter(|path| !path.is_empty()).map(read_key).collect()
}

/// Reads one key file: armoured, binary, or base64.
pub fn read_key(path: &str) -> Result<String, Fail> {
    if path.starts_with("keybase:") {
        return Err(Fail::usage(
            "keys are read from files only: fetch the Keybase user's public key to a file first",
        ));
    }
    let path = path.strip_prefix('@').unwrap_or(path);
    let bytes = std::fs::read(path).map_err(|error| {
        Fail::usage(format!("error reading key file {path}: {}", io_reason(&error)))
    })?;
    let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(STANDARD.encode(&bytes)) };
    if text.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
        let binary = dearmour(text)
            .ok_or_else(|| Fail::usage(format!("{path} holds no readable OpenPGP key")))?;
        return Ok(STANDARD.encode(binary));
    }
    let joined: String = text.split_whitespace().collect();
    match STANDARD.decode(&joined) {
        Ok(_) => Ok(joined),
        Err(_) => Err(Fail::usage(format!("{path} holds no readable OpenPGP key"))),
    }
}

/// The bytes inside an ASCII armour (RFC 9580 section 6.2); the checksum is the server's business.
fn dearmour(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once("-----BEGIN PGP PUBLIC KEY BLOCK-----")?;
    let (block, _) = rest.split_once("-----END PGP PUBLIC KEY BLOCK-----")?;
    // Headers end at the first empty line.
    let mut lines = block.lines().skip(1).map(str::trim);
    let body: String = lines
        .by_ref()
        .skip_while(|line| line.contains(": "))
        .filter(|line| !line.is_empty() && !line.starts_with('='))
        .collect();
    STANDARD.decode(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_three_forms() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.display().to_string()
        };
        let binary: Vec<u8> = (0..=255).collect();
        let text = STANDARD.encode(&binary);
        let armour = format!(
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: x\n\n{}\n{}\n=abcd\n\
             -----END PGP PUBLIC KEY BLOCK-----\n",
            &text[..64],
            &text[64..]
        );
        let paths = [
            write("a", &binary),
            write("b", format!("{text}\n").as_bytes()),
            write("c", armour.as_bytes()),
        ];
        assert_eq!(read_keys(&paths.join(",")).unwrap(), [text.clone(), text.clone(), text]);
        let bad = write("d", b"not a key");
        assert!(read_key(&bad).unwrap_err().text.contains("no readable OpenPGP key"));
        assert!(read_key("keybase:kim").unwrap_err().text.contains("Keybase"));
    }
}
