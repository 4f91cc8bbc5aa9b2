//! A request before it is sent, and the exact form in which it would go out.

use strongroom_base::json::Json;
use strongroom_base::percent;
use zeroize::Zeroizing;

/// What a request carries.
pub enum Body {
    /// Nothing.
    Empty,
    /// A JSON document.
    Json(Json),
    /// Bytes as they are, such as a snapshot.
    Bytes(bytes::Bytes),
    /// A file that is read while it is sent.
    File(std::fs::File),
}

/// A request to one path of the API.
pub struct Request {
    /// The HTTP verb.
    pub method: &'static str,
    /// The path below `/v1/`.
    pub path: String,
    /// The query's parameters.
    pub query: Vec<(String, String)>,
    /// What it carries.
    pub body: Body,
    /// The media type of the body, where it is not JSON's.
    pub content_type: Option<&'static str>,
    /// Wraps the answer; `None` leaves it to the client's settings.
    pub wrap_ttl: Option<String>,
    /// Sends this token instead of the client's.
    pub token: Option<Zeroizing<String>>,
    /// False for answers that come over a long time.
    pub limited_in_time: bool,
}

impl Request {
    fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: Body::Empty,
            content_type: None,
            wrap_ttl: None,
            token: None,
            limited_in_time: true,
        }
    }

    /// A read.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// A listing, in the form that passes every proxy.
    pub fn list(path: impl Into<String>) -> Self {
        Self::get(path).query("list", "true")
    }

    /// A recursive listing.
    pub fn scan(path: impl Into<String>) -> Self {
        Self::get(path).query("scan", "true")
    }

    /// A write.
    pub fn put(path: impl Into<String>, body: Json) -> Self {
        Self { body: Body::Json(body), ..Self::new("PUT", path) }
    }

    /// A write by POST.
    pub fn post(path: impl Into<String>, body: Json) -> Self {
        Self { body: Body::Json(body), ..Self::new("POST", path) }
    }

    /// A change of parts.
    pub fn patch(path: impl Into<String>, body: Json) -> Self {
        Self {
            body: Body::Json(body),
            content_type: Some("application/merge-patch+json"),
            ..Self::new("PATCH", path)
        }
    }

    /// A deletion.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path)
    }

    /// With a parameter in the query.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// With this token instead of the client's.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(Zeroizing::new(token.to_owned()));
        self
    }

    /// Never wrapped, whatever the settings say.
    #[must_use]
    pub fn unwrapped(mut self) -> Self {
        self.wrap_ttl = Some(String::new());
        self
    }

    /// Without a limit in time.
    #[must_use]
    pub fn unlimited(mut self) -> Self {
        self.limited_in_time = false;
        self
    }
}

/// A request in the form in which it goes out; what a dry run shows.
pub struct Prepared {
    /// The HTTP verb.
    pub method: &'static str,
    /// The whole address.
    pub url: String,
    /// The path below `/v1/`.
    pub path: String,
    /// True for a listing.
    pub lists: bool,
    /// All headers. The token's is among them.
    pub headers: Vec<(String, Zeroizing<String>)>,
    /// The JSON body.
    pub json: Option<Zeroizing<String>>,
}

/// Joins path parts and cleans the result as Go's `path.Join` does: no doubled or trailing slash,
/// `.` and `..` resolved. (The server refuses such segments; the well-known tools never send them.)
pub fn join_path(parts: &[&str]) -> String {
    let joined = parts.iter().filter(|p| !p.is_empty()).copied().collect::<Vec<_>>().join("/");
    let rooted = joined.starts_with('/');
    let mut out: Vec<&str> = Vec::new();
    for segment in joined.split('/') {
        match segment {
            "" | "." => {}
            ".." if out.last().is_some_and(|last| *last != "..") => {
                out.pop();
            }
            ".." if rooted => {}
            other => out.push(other),
        }
    }
    format!("{}{}", if rooted { "/" } else { "" }, out.join("/"))
}

/// Percent-encodes a path: what a URL's path may hold stays, all else is escaped.
pub fn escape_path(path: &str) -> String {
    percent::encode_but(path, b"-_.~$&+,/:;=@")
}

/// Percent-encodes one part of a query.
pub(crate) fn escape_query(text: &str) -> String {
    percent::encode(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_as_go_joins_them() {
        for (parts, joined) in [
            (&["secret/", "data", "a/b"][..], "secret/data/a/b"),
            (&["secret/", "data", "/a//b/"], "secret/data/a/b"),
            (&["a", "..", "b"], "b"),
            (&["/v1", "../../x"], "/x"),
            (&["a/./b"], "a/b"),
            (&["", ""], ""),
        ] {
            assert_eq!(join_path(parts), joined, "{parts:?}");
        }
    }

    #[test]
    fn paths_are_escaped_byte_by_byte() {
        assert_eq!(escape_path("a b/ü?#%2e"), "a%20b/%C3%BC%3F%23%252e");
        assert_eq!(escape_query("a=b&c/"), "a%3Db%26c%2F");
    }
}
