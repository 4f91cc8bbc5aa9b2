//! How transit's inputs and outputs are written: base64 as Go reads it, and `vault:vN:…`.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{
    GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE_NO_PAD,
};
use base64::{DecodeError, DecodeSliceError};
use strongroom_base::fields::{Field, FieldKind};
use strongroom_base::{Error, Json, Result, SecretBytes};
use zeroize::Zeroize;

/// Go's decoder takes whatever stands in the bits that a last character has too many.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// What stands before the number of a version.
const PREFIX: &str = "vault:v";

/// The bytes of a base64 text; the error says where it is none, as Go does.
pub fn decode(text: &str) -> Result<SecretBytes, String> {
    let mut out = vec![0; base64::decoded_len_estimate(text.len())];
    let first = match LENIENT.decode_slice(text, &mut out) {
        Ok(length) => {
            out.truncate(length);
            return Ok(SecretBytes::new(out));
        }
        Err(e) => e,
    };
    out.zeroize();
    if text.contains(['\n', '\r']) {
        // Go passes line ends over; they are rare enough to be looked for only here.
        let mut joined: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
        let again = LENIENT.decode(&joined);
        joined.zeroize();
        return again.map(SecretBytes::new).map_err(|e| place(e, text.len()));
    }
    Err(match first {
        DecodeSliceError::DecodeError(e) => place(e, text.len()),
        DecodeSliceError::OutputSliceTooSmall => place(DecodeError::InvalidPadding, text.len()),
    })
}

fn place(e: DecodeError, length: usize) -> String {
    let at = match e {
        DecodeError::InvalidByte(at, _) => at,
        DecodeError::InvalidLastSymbol { offset, .. } => offset,
        DecodeError::InvalidLength(at) => at.saturating_sub(at % 4),
        DecodeError::InvalidPadding => length.saturating_sub(length % 4),
    };
    format!("illegal base64 data at input byte {at}")
}

/// A field in base64: decoded where it lies, without a copy of the text. What is wrong with it is told
/// by the operation, which knows whether it was needed.
pub struct Encoded(pub Result<SecretBytes, String>);

impl Encoded {
    /// Of a text.
    pub fn of(text: &str) -> Self {
        Self(decode(text))
    }

    /// Is it empty?
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Ok(bytes) if bytes.expose_secret().is_empty())
    }

    /// Its bytes, or what is wrong with it.
    pub fn bytes(&self) -> Result<&[u8], &str> {
        match &self.0 {
            Ok(bytes) => Ok(bytes.expose_secret()),
            Err(wrong) => Err(wrong),
        }
    }
}

impl Field for Encoded {
    const KIND: FieldKind = FieldKind::Text;
    fn read(value: &Json) -> Result<Self, &'static str> {
        match value {
            Json::String(text) => Ok(Self::of(text)),
            Json::Number(number) => Ok(Self::of(&number.to_string())),
            _ => Err("a string"),
        }
    }
}

/// The bytes of an optional field; none where it is empty.
pub fn given(field: Option<&Encoded>) -> Result<Option<&[u8]>, &str> {
    field.filter(|field| !field.is_empty()).map(Encoded::bytes).transpose()
}

/// How a signature's bytes are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Text {
    /// Base64 with padding.
    Standard,
    /// The URL-safe alphabet without padding, as JOSE has it.
    UrlSafe,
}

/// `bytes` as base64.
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// `bytes` behind the number of the version that made them.
pub fn versioned(number: u64, bytes: &[u8], text: Text) -> String {
    let mut out = String::with_capacity(PREFIX.len() + 8 + bytes.len().div_ceil(3) * 4);
    out.push_str(PREFIX);
    out.push_str(&number.to_string());
    out.push(':');
    match text {
        Text::Standard => STANDARD.encode_string(bytes, &mut out),
        Text::UrlSafe => URL_SAFE_NO_PAD.encode_string(bytes, &mut out),
    }
    out
}

/// The number and the rest of what [`versioned`] writes; `what` names it in errors.
pub fn split<'t>(text: &'t str, what: &str) -> Result<(i64, &'t str)> {
    let wrong = |why: &str| Error::bad_request(format!("invalid {what}: {why}"));
    let rest = text.strip_prefix(PREFIX).ok_or_else(|| wrong("no prefix"))?;
    let (number, rest) = rest.split_once(':').ok_or_else(|| wrong("wrong number of fields"))?;
    let number = number.parse().map_err(|_| wrong("version number could not be decoded"))?;
    Ok((number, rest))
}

/// The bytes of a text written as [`versioned`] does.
pub fn decode_as(rest: &str, text: Text) -> Option<Vec<u8>> {
    match text {
        Text::Standard => decode(rest).ok().map(|bytes| bytes.expose_secret().clone()),
        Text::UrlSafe => {
            const LENIENT_URL: GeneralPurpose = GeneralPurpose::new(
                &alphabet::URL_SAFE,
                GeneralPurposeConfig::new()
                    .with_decode_allow_trailing_bits(true)
                    .with_encode_padding(false)
                    .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
            );
            LENIENT_URL.decode(rest).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_go_does() {
        for (text, bytes) in [
            ("", Some("")),
            ("aGVsbG8=", Some("hello")),
            ("aGVs\nbG8=\r\n", Some("hello")),
            // Bits too many.
            ("aGVsbG9=", Some("hello")),
            ("aGVsbG8", None),
            ("aGVsbG8==", None),
            ("aGVsb*8=", None),
            ("aGVsbG8=\n*", None),
            ("hello", None),
        ] {
            let read = decode(text).ok().map(|bytes| bytes.expose_secret().clone());
            assert_eq!(read.as_deref(), bytes.map(str::as_bytes), "{text:?}");
        }
        assert_eq!(decode("aGVsb*8=").err().unwrap(), "illegal base64 data at input byte 5");
    }

    #[test]
    fn versions_are_read_back() {
        let text = versioned(12, b"\xff\xfe", Text::Standard);
        assert_eq!(text, "vault:v12://4=");
        assert_eq!(split(&text, "ciphertext").unwrap(), (12, "//4="));
        assert_eq!(versioned(1, b"\xff\xfe", Text::UrlSafe), "vault:v1:__4");
        assert_eq!(decode_as("__4", Text::UrlSafe).unwrap(), b"\xff\xfe");
        assert_eq!(decode_as("__4=", Text::UrlSafe), None);
        for (text, why) in [
            ("", "no prefix"),
            ("vault:1:x", "no prefix"),
            ("vault:v1", "wrong number of fields"),
            ("vault:vx:y", "version number could not be decoded"),
            ("vault:v99999999999999999999:y", "version number could not be decoded"),
        ] {
            let e = split(text, "ciphertext").unwrap_err();
            assert_eq!(e.public, [format!("invalid ciphertext: {why}")], "{text}");
        }
    }
}
