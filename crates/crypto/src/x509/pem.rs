//! PEM (RFC 7468), leniently: text between blocks is skipped, as tools of others write it there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Malformed, Result};

/// One block. Its bytes are wiped: it may be a key.
pub struct PemBlock {
    /// What stands behind `BEGIN`.
    pub label: String,
    /// Its bytes.
    pub der: Zeroizing<Vec<u8>>,
    /// The block as it was written.
    pub text: Zeroizing<String>,
}

/// All blocks of a text, and whether anything but blank space follows the last one.
pub fn pem_blocks(text: &str) -> Result<(Vec<PemBlock>, bool)> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        let (label, body) =
            begun.split_once("-----").ok_or(Malformed("a PEM block has no head"))?;
        if label.contains('\n') || label.len() > 64 {
            return Err(Malformed("a PEM block has no head"));
        }
        let end = format!("-----END {label}-----");
        let (encoded, after) =
            body.split_once(end.as_str()).ok_or(Malformed("a PEM block has no end"))?;
        // Headers as older tools wrote them end at an empty line.
        let encoded = match encoded.contains(':') {
            true => encoded.split_once("\n\n").or_else(|| encoded.split_once("\r\n\r\n")),
            false => Some(("", encoded)),
        };
        let (_, encoded) = encoded.ok_or(Malformed("a PEM block's headers have no end"))?;
        let compact: Zeroizing<String> =
            Zeroizing::new(encoded.chars().filter(|c| !c.is_ascii_whitespace()).collect());
        let der = STANDARD.decode(compact.as_bytes());
        let der = Zeroizing::new(der.map_err(|_| Malformed("a PEM block is no base64"))?);
        let text = Zeroizing::new(format!("-----BEGIN {label}-----{encoded}{end}\n"));
        blocks.push(PemBlock { label: label.to_owned(), der, text });
        rest = after;
    }
    Ok((blocks, !rest.trim().is_empty()))
}

/// A block in lines of 64 characters, without a line break at its end.
pub fn to_pem(label: &str, der: &[u8]) -> String {
    let encoded = Zeroizing::new(STANDARD.encode(der));
    let mut out = String::with_capacity(encoded.len() + encoded.len() / 64 + 64);
    out.push_str("-----BEGIN ");
    out.push_str(label);
    out.push_str("-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----");
    out
}
