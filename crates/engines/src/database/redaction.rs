//! What answers show of a connection's address: never a password that an operator wrote into it.
//!
//! Three forms of addresses are known: URLs, `name=value` pairs as libpq takes them, and MySQL's
//! `user:password@tcp(host)/name?…`. What could be a password in any of them is taken for one.

use std::ops::Range;

use strongroom_base::percent;

/// Stands where a password stood.
const HIDDEN: &str = "xxxxx";
/// What an address has where it has no password of its own.
const TEMPLATE: &str = "{{password}}";

/// An address without the passwords that may stand in it.
pub fn redacted(address: &str) -> String {
    let mut shown = match user_password(address) {
        Some(at) => replaced(address, &[at]),
        None => address.to_owned(),
    };
    let more = match shown.split_once("://") {
        Some(_) => in_query(&shown),
        None => in_pairs(&shown),
    };
    if !more.is_empty() {
        shown = replaced(&shown, &more);
    }
    shown
}

fn replaced(text: &str, places: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for place in places {
        out.push_str(&text[from..place.start]);
        out.push_str(HIDDEN);
        from = place.end;
    }
    out.push_str(&text[from..]);
    out
}

fn is_template(value: &str) -> bool {
    value.is_empty() || value == TEMPLATE || value == "'{{password}}'"
}

/// The password before the `@`.
fn user_password(address: &str) -> Option<Range<usize>> {
    let start = address.find("://").map_or(0, |at| at + 3);
    let rest = &address[start..];
    let user = &rest[..rest.rfind('@')?];
    let (name, password) = user.split_once(':')?;
    let from = start + name.len() + 1;
    // What comes after the template is the address; another `@` in it makes it no password.
    let shown = is_template(password) || password.starts_with("{{password}}@");
    (!shown).then_some(from..start + user.len())
}

/// The passwords in a URL's query. A name may be written with percent signs.
fn in_query(url: &str) -> Vec<Range<usize>> {
    let Some(start) = url.find('?') else { return Vec::new() };
    let mut at = start + 1;
    let mut found = Vec::new();
    for pair in url[at..].split('&') {
        if let Some((name, value)) = pair.split_once('=') {
            let from = at + name.len() + 1;
            if is_password(&percent::decode_lossy(name.as_bytes())) && !is_template(value) {
                found.push(from..from + value.len());
            }
        }
        at += pair.len() + 1;
    }
    found
}

fn is_password(name: &str) -> bool {
    let name = name.trim();
    ["password", "sslpassword"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The passwords in pairs: a name, spaces perhaps, `=`, spaces perhaps, and a value up to the next
/// space or in single quotes, with backslashes that escape in both.
fn in_pairs(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(equals) = text[at..].find('=').map(|offset| at + offset) {
        let name = text[at..equals].trim_end();
        let name = name.rsplit(char::is_whitespace).next().unwrap_or(name);
        let value = &text[equals + 1..];
        let from = equals + 1 + (value.len() - value.trim_start().len());
        let end = from + value_length(&text[from..]);
        if is_password(name) && !is_template(&text[from..end]) {
            found.push(from..end);
        }
        at = end;
    }
    found
}

fn value_length(text: &str) -> usize {
    let quoted = text.starts_with('\'');
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '\'' if quoted => return at + 1,
            c if c.is_whitespace() && !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_shows_a_password_of_an_address() {
        for (address, shown) in [
            ("postgresql://root:s3cr@t@h:1/d", "postgresql://root:xxxxx@h:1/d"),
            ("postgresql://:s3cret@h:1/d", "postgresql://:xxxxx@h:1/d"),
            ("root:s3cret@tcp(h:1)/", "root:xxxxx@tcp(h:1)/"),
            ("root:{{password}}s3cret@tcp(h:1)/", "root:xxxxx@tcp(h:1)/"),
            ("host=h password=s3cret user=root", "host=h password=xxxxx user=root"),
            ("host=h password='s3 cret' user=root", "host=h password=xxxxx user=root"),
            ("host=h password = s3cret user=root", "host=h password = xxxxx user=root"),
            (r"password='it\'s s3cret' host=h", "password=xxxxx host=h"),
            (r"password=s3\ cret host=h", "password=xxxxx host=h"),
            ("password='s3cret", "password=xxxxx"),
            ("password=a host=h password=s3cret", "password=xxxxx host=h password=xxxxx"),
            ("sslpassword=s3cret password=s3cret", "sslpassword=xxxxx password=xxxxx"),
            (
                "postgresql://h/d?user=u&password=s3cret&x=y",
                "postgresql://h/d?user=u&password=xxxxx&x=y",
            ),
            ("postgresql://h/d?pass%77ord=s3cret", "postgresql://h/d?pass%77ord=xxxxx"),
            (
                "postgresql://u:s3cret@h/d?password=s3cret",
                "postgresql://u:xxxxx@h/d?password=xxxxx",
            ),
        ] {
            assert_eq!(redacted(address), shown, "{address}");
        }
    }

    #[test]
    fn an_address_without_a_password_is_shown_as_it_is() {
        for address in [
            "",
            "host=h",
            "=",
            "%",
            "postgresql://h?%zz=%",
            "postgresql://{{username}}:{{password}}@h:1/d",
            "postgresql://{{username}}:{{password}}@h/d?application_name=a@b",
            "postgresql://u@h:1/d?passfile=x",
            "{{username}}:{{password}}@tcp(h:1)/d?parseTime=true",
            "host=h password={{password}} user={{username}}",
            "host=h password='{{password}}'",
            "sim://h/",
        ] {
            assert_eq!(redacted(address), address, "{address}");
        }
    }
}
