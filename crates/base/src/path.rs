//! Request paths, checked once at the edge: the path that policy judges is the very path that is
//! executed (threat: CVE-2026-3605).

use std::fmt;

use crate::limits::{PATH_BYTES_MAX, PATH_SEGMENTS_MAX};

/// A decoded request path below `/v1/`, without a leading slash. It has no `.` or `..` segment, no
/// empty segment inside, no control character. A trailing slash is kept: it means a folder.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RequestPath(String);

/// Why a path was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadPath {
    /// Longer than [`PATH_BYTES_MAX`] or with more than [`PATH_SEGMENTS_MAX`] segments.
    TooLong,
    /// A `.` or `..` segment.
    Relative,
    /// An empty segment inside the path.
    EmptySegment,
    /// A slash as `%2f`: it would make two readings of one path.
    EncodedSlash,
    /// A NUL or another control character, or bytes that are no UTF-8.
    Character,
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "path is too long",
            Self::Relative => "path cannot contain relative segments",
            Self::EmptySegment => "path cannot contain empty segments",
            Self::EncodedSlash => "path cannot contain an encoded slash",
            Self::Character => "path cannot contain control characters",
        })
    }
}

impl RequestPath {
    /// Checks an already percent-decoded path.
    pub fn parse(text: &str) -> Result<Self, BadPath> {
        let text = text.strip_prefix('/').unwrap_or(text);
        if text.len() > PATH_BYTES_MAX {
            return Err(BadPath::TooLong);
        }
        let body = text.strip_suffix('/').unwrap_or(text);
        if !body.is_empty() {
            let mut count = 0;
            for segment in body.split('/') {
                count += 1;
                match segment {
                    "" => return Err(BadPath::EmptySegment),
                    "." | ".." => return Err(BadPath::Relative),
                    _ => {}
                }
            }
            if count > PATH_SEGMENTS_MAX {
                return Err(BadPath::TooLong);
            }
        } else if text == "/" {
            return Err(BadPath::EmptySegment);
        }
        if text.chars().any(char::is_control) {
            return Err(BadPath::Character);
        }
        Ok(Self(text.to_owned()))
    }

    /// Decodes percent-encoding exactly once, then checks as [`RequestPath::parse`] does. An
    /// encoded slash is refused: it would make two readings of one path.
    pub fn parse_encoded(raw: &str) -> Result<Self, BadPath> {
        if !raw.contains('%') {
            return Self::parse(raw);
        }
        let bytes = raw.as_bytes();
        let mut out = Vec::with_capacity(bytes.len());
        let mut i = 0;
        while i < bytes.len() {
            if bytes[i] == b'%' {
                let hex = bytes.get(i + 1..i + 3).ok_or(BadPath::Character)?;
                let hi = (hex[0] as char).to_digit(16).ok_or(BadPath::Character)?;
                let lo = (hex[1] as char).to_digit(16).ok_or(BadPath::Character)?;
                let byte = (hi * 16 + lo) as u8;
                if byte == b'/' {
                    return Err(BadPath::EncodedSlash);
                }
                out.push(byte);
                i += 3;
            } else {
                out.push(bytes[i]);
                i += 1;
            }
        }
        Self::parse(std::str::from_utf8(&out).map_err(|_| BadPath::Character)?)
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Does the path name a folder (end with a slash)?
    pub fn is_folder(&self) -> bool {
        self.0.ends_with('/')
    }
}

impl AsRef<str> for RequestPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_could_be_read_in_two_ways() {
        // threat CVE-2026-3605
        for (bad, why) in [
            ("secret/../sys/raw", BadPath::Relative),
            ("secret/./a", BadPath::Relative),
            ("..", BadPath::Relative),
            ("a//b", BadPath::EmptySegment),
            ("//a", BadPath::EmptySegment),
            ("a\0b", BadPath::Character),
            ("a\nb", BadPath::Character),
        ] {
            assert_eq!(RequestPath::parse(bad), Err(why), "{bad:?}");
        }
        for bad in ["a/%2e%2e/b", "a%2Fb", "a%00b", "a%zzb", "a%", "%ff"] {
            assert!(RequestPath::parse_encoded(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keeps_the_rest() {
        for good in ["", "a", "a/b/", "secret/data/a b+*", "..a/b..", "é"] {
            assert_eq!(RequestPath::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(RequestPath::parse_encoded("a%20b/%25").unwrap().as_str(), "a b/%");
        assert_eq!(RequestPath::parse_encoded("/sys/mounts").unwrap().as_str(), "sys/mounts");
    }

    #[test]
    fn bounds() {
        assert!(RequestPath::parse(&"a".repeat(PATH_BYTES_MAX)).is_ok());
        assert!(RequestPath::parse(&"a".repeat(PATH_BYTES_MAX + 1)).is_err());
    }
}
