//! Tables that drive the module by its public surface. Rows marked "bao" were observed with
//! OpenBao 2.6.2.

mod deciding;
mod explaining;
mod identity;
mod matching;
mod names;
mod parsing;

use std::sync::Arc;

use strongroom_base::{Json, JsonMap, Timestamp};

use super::*;

/// Some time that all tests share.
const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

fn policy(name: &str, text: &str) -> Arc<Policy> {
    Arc::new(Policy::parse(name, text).unwrap_or_else(|e| panic!("{e}\n{text}")))
}

/// An ACL of policies `p1`, `p2`, … for nobody.
fn acl(texts: &[&str]) -> Acl {
    acl_for(texts, &IdentityView::default())
}

fn acl_for(texts: &[&str], identity: &IdentityView) -> Acl {
    let policies: Vec<Arc<Policy>> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| policy(&format!("p{}", index + 1), text))
        .collect();
    Acl::build(&policies, identity, NOW).unwrap()
}

fn capability(name: &str) -> Capability {
    Capability::parse(name).unwrap()
}

fn fields(text: &str) -> JsonMap {
    match serde_json::from_str(text).unwrap() {
        Json::Object(map) => map,
        _ => panic!("no object: {text}"),
    }
}

/// A short way to write rules: `path=cap,cap` with spaces between.
fn rules(text: &str) -> String {
    text.split_whitespace()
        .map(|rule| {
            let (path, capabilities) = rule.split_once('=').unwrap();
            let names: Vec<String> =
                capabilities.split(',').map(|name| format!("\"{name}\"")).collect();
            format!("path \"{path}\" {{ capabilities = [{}] }}\n", names.join(", "))
        })
        .collect()
}

/// The first error text of a failed parse.
fn parse_error(text: &str) -> String {
    match Policy::parse("t", text) {
        Ok(_) => format!("no error: {text}"),
        Err(error) => error.public.join("|"),
    }
}

/// A small deterministic generator.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A rule path over a small alphabet, so that rules overlap often.
    fn rule_path(&mut self) -> String {
        let count = 1 + self.below(4);
        let segments: Vec<&str> =
            (0..count).map(|_| *self.pick(&["a", "b", "ab", "+", "c"])).collect();
        let mut path = segments.join("/");
        let end = *self.pick(&["", "", "*", "/*", "/", "/a*"]);
        if !(path.ends_with('+') && end == "*") {
            path.push_str(end);
        }
        path
    }

    fn request_path(&mut self) -> String {
        let count = 1 + self.below(4);
        let segments: Vec<&str> =
            (0..count).map(|_| *self.pick(&["a", "b", "ab", "c", "d"])).collect();
        format!("{}{}", segments.join("/"), self.pick(&["", "", "/"]))
    }

    fn policy_text(&mut self) -> String {
        let names = ["create", "read", "update", "delete", "list", "sudo", "patch", "scan"];
        let mut text = String::new();
        for _ in 0..1 + self.below(7) {
            let path = self.rule_path();
            let mut granted: Vec<String> = Vec::new();
            for name in names {
                if self.below(5) < 2 {
                    granted.push(format!("\"{name}\""));
                }
            }
            if self.below(5) == 0 {
                granted = vec!["\"deny\"".to_owned()];
            }
            text.push_str(&format!(
                "path \"{path}\" {{ capabilities = [{}] }}\n",
                granted.join(",")
            ));
        }
        text
    }
}
