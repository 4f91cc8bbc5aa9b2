//! The pages that a browser sees at the end of a login.
//!
//! Invariants:
//! * whatever comes from outside is escaped for where it stands (threat CVE-2026-33758);
//! * a page runs no script but its own, is in no frame, and is kept by no cache.

use std::fmt::Write as _;

use strongroom_base::{Error, ErrorKind, Foreign, Json, Rng};
use strongroom_kernel::plug::Reply;

use super::flows::random;

/// The content type of pages.
const HTML: &str = "text/html; charset=utf-8";

/// Text for between tags and within quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A text as a script has it, within a script element.
fn script_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ' ') => {
                out.push(c)
            }
            c => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
    out
}

/// A page and its headers; `nonce` names its one script.
struct Page {
    body: String,
    headers: Vec<(&'static str, String)>,
}

fn page(title: &str, content: &str, nonce: &str, form: &str) -> Page {
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta \
         name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\
         \n<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:4em auto;padding:0 \
         1em}}button{{font:inherit;padding:.4em 1em}}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         {content}\n</body>\n</html>\n"
    );
    let script = match nonce {
        "" => String::new(),
        nonce => format!("; script-src 'nonce-{nonce}'"),
    };
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; form-action {form}; base-uri 'none'; \
         frame-ancestors 'none'{script}"
    );
    let headers = vec![
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff".to_owned()),
        ("x-frame-options", "DENY".to_owned()),
        ("referrer-policy", "no-referrer".to_owned()),
        ("cache-control", "no-store".to_owned()),
    ];
    Page { body, headers }
}

impl Page {
    fn reply(self) -> Reply<Json> {
        let reply = Reply::raw(HTML, self.body.into_bytes());
        self.headers.into_iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    }
}

/// The login is done; the caller gets its token elsewhere.
pub fn success() -> Reply<Json> {
    let content = "<p>You can close this window now.</p>";
    page("Signed in", content, "", "'none'").reply()
}

/// Asks whether it was this person who began the login. `fields` go along with the answer.
pub fn confirm(requester: &str, role: &str, fields: &[(&str, &str)]) -> Reply<Json> {
    let mut content = format!(
        "<p>Somebody began a login at <strong>{}</strong> for the role <strong>{}</strong>. It will \
         be finished as you.</p>\n<p>Go on only if that was you, just now. If it was not, close this \
         window: whoever sent you here wants to act in your name.</p>\n<form method=\"get\">\n",
        escape(requester),
        escape(role)
    );
    for (name, value) in fields {
        let (name, value) = (escape(name), escape(value));
        let _ = writeln!(content, "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">");
    }
    content.push_str("<button>Yes, sign me in</button>\n</form>");
    page("Was it you?", &content, "", "'self'").reply()
}

/// Hands a form's outcome on to the window that opened this one.
pub fn posted(mount: &str, state: &str, rng: &dyn Rng) -> Reply<Json> {
    let nonce = random(rng);
    let (mount, state) = (script_text(mount), script_text(state));
    let content = format!(
        "<p>This window closes by itself.</p>\n<script nonce=\"{nonce}\">if (window.opener) \
         window.opener.postMessage({{source: \"oidc-callback\", path: {mount}, code: \"{NO_CODE}\", \
         state: {state}}}, window.origin);</script>"
    );
    page("Finishing the login", &content, &nonce, "'none'").reply()
}

/// What stands for a code that was sent by a form.
pub const NO_CODE: &str = "no_code";

/// A refusal as a page.
pub fn failure(error: Error) -> Error {
    if !matches!(
        error.kind,
        ErrorKind::BadRequest | ErrorKind::PermissionDenied | ErrorKind::Upstream
    ) {
        return error;
    }
    let status = match error.kind {
        ErrorKind::PermissionDenied => 403,
        ErrorKind::Upstream => 502,
        _ => 400,
    };
    let content = format!("<p>{}</p>", escape(&error.public.join("; ")));
    let Page { body, headers } = page("The login failed", &content, "", "'none'");
    let body = body.into_bytes();
    error.in_words(Foreign { status, content_type: HTML, body, headers })
}

#[cfg(test)]
mod tests {
    use strongroom_testkit::SimRng;

    use super::*;

    /// Threat CVE-2026-33758.
    #[test]
    fn nothing_from_outside_is_markup() {
        let evil = "\"><script>alert('x')</script>&</script>\u{2028}";
        let text = |reply: Reply<Json>| String::from_utf8(reply.raw).unwrap();
        let page = text(confirm(evil, evil, &[("code", evil)]));
        assert!(!page.contains("<script"), "{page}");
        assert_eq!(page.matches('"').count() % 2, 0);
        let page = text(posted(evil, evil, &*SimRng::new(1)));
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert_eq!(page.matches("</script>").count(), 1, "{page}");
        assert!(!page.contains('\u{2028}'));
        let error = failure(Error::bad_request(evil));
        let page = String::from_utf8(error.foreign.unwrap().body).unwrap();
        assert!(!page.contains("<script"), "{page}");
    }

    #[test]
    fn pages_are_in_no_frame() {
        let reply = success();
        let header = |name: &str| {
            reply.headers.iter().find(|h| h.name == name).map(|h| h.value.clone()).unwrap()
        };
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(header("cache-control"), "no-store");
    }
}
