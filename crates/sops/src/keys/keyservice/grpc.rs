//! As much of gRPC as one call with one answer needs (gRPC over HTTP/2, "PROTOCOL-HTTP2.md"): the frame
//! of a message, and the status.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt, Limited};
use strongroom_base::percent;
use zeroize::Zeroizing;

/// Bytes of a message, at most: a wrapped data key with its key's name.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes before a message: a flag, and its length.
const PREFIX_BYTES: usize = 5;
/// Bytes of a status's words, at most.
const WORDS_BYTES_MAX: usize = 4 * 1024;

/// The content type of calls and answers.
pub const CONTENT_TYPE: &str = "application/grpc";

/// How a call ended, where it did not end well ("Status codes and their use in gRPC").
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// Its number.
    pub code: u32,
    /// Words for people.
    pub words: String,
}

/// A failure without a name of its own.
pub const UNKNOWN: u32 = 2;
/// What was asked for is not there.
pub const NOT_FOUND: u32 = 5;
/// The caller may not.
pub const PERMISSION_DENIED: u32 = 7;
/// There is no such method.
pub const UNIMPLEMENTED: u32 = 12;
/// What came is no message of this protocol.
pub const INTERNAL: u32 = 13;
/// The other side is not there.
pub const UNAVAILABLE: u32 = 14;

impl Status {
    /// A status.
    pub fn new(code: u32, words: impl Into<String>) -> Self {
        Self { code, words: words.into() }
    }

    /// The status in an answer's headers or trailers; `None` where there is none.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
        let words = headers.get("grpc-message").map(HeaderValue::as_bytes).unwrap_or_default();
        let words = words.get(..words.len().min(WORDS_BYTES_MAX)).unwrap_or_default();
        Some(Self { code, words: percent::decode_lossy(words) })
    }

    /// The headers that say it.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", HeaderValue::from(self.code));
        if !self.words.is_empty()
            && let Ok(words) = HeaderValue::from_str(&encoded(&self.words))
        {
            headers.insert("grpc-message", words);
        }
        headers
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.code {
            UNKNOWN => "Unknown",
            NOT_FOUND => "NotFound",
            PERMISSION_DENIED => "PermissionDenied",
            UNIMPLEMENTED => "Unimplemented",
            INTERNAL => "Internal",
            UNAVAILABLE => "Unavailable",
            code => return write!(f, "rpc error: code = Code({code}) desc = {}", self.words),
        };
        write!(f, "rpc error: code = {name} desc = {}", self.words)
    }
}

/// Words as a header carries them.
fn encoded(words: &str) -> String {
    let mut out = String::new();
    for byte in words.bytes().take(WORDS_BYTES_MAX) {
        match byte {
            b'%' => out.push_str("%25"),
            b' '..=b'~' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A message in its frame.
pub fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

/// Reads a body that is one frame, and the trailers behind it.
pub async fn read<B>(body: B) -> Result<(Option<Zeroizing<Vec<u8>>>, HeaderMap), Status>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let limited = Limited::new(body, MESSAGE_BYTES_MAX + PREFIX_BYTES);
    let collected = limited.collect().await;
    let collected =
        collected.map_err(|_| Status::new(INTERNAL, "the body broke off or is too long"))?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let mut bytes = collected.aggregate();
    if !bytes.has_remaining() {
        return Ok((None, trailers));
    }
    let wrong = |words| Status::new(INTERNAL, words);
    if bytes.remaining() < PREFIX_BYTES {
        return Err(wrong("the body is no message"));
    }
    // Nobody was told that compression is understood.
    if bytes.get_u8() != 0 {
        return Err(Status::new(UNIMPLEMENTED, "compressed messages are not understood"));
    }
    let length = bytes.get_u32() as usize;
    if length != bytes.remaining() {
        return Err(wrong("the body is not one message"));
    }
    let mut message = Zeroizing::new(vec![0; length]);
    bytes.copy_to_slice(&mut message);
    Ok((Some(message), trailers))
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[test]
    fn words_survive_a_header() {
        for words in ["", "plain words", "100 % \u{e4}\n\ttail", "%41"] {
            let status = Status::new(UNKNOWN, words);
            assert_eq!(Status::of(&status.headers()), Some(status));
        }
        assert_eq!(Status::of(&HeaderMap::new()), None);
        let shown = Status::new(NOT_FOUND, "x").to_string();
        assert_eq!(shown, "rpc error: code = NotFound desc = x");
    }

    #[tokio::test]
    async fn a_body_is_one_frame_or_nothing() {
        let body = |bytes: Vec<u8>| Full::new(Bytes::from(bytes));
        let (message, _) = read(body(framed(b"abc").to_vec())).await.unwrap();
        assert_eq!(message.unwrap().as_slice(), b"abc");
        assert!(read(body(Vec::new())).await.unwrap().0.is_none());
        for (bytes, code) in [
            (b"\0\0\0".to_vec(), INTERNAL),
            (b"\x01\0\0\0\x01a".to_vec(), UNIMPLEMENTED),
            (b"\0\0\0\0\x02a".to_vec(), INTERNAL),
            ([framed(b"a"), framed(b"b")].concat(), INTERNAL),
            (vec![0; MESSAGE_BYTES_MAX + PREFIX_BYTES + 1], INTERNAL),
        ] {
            assert_eq!(read(body(bytes)).await.unwrap_err().code, code);
        }
    }
}
