//! Tests of the whole surface: every operation of every plug-in of the binary, with who may call it
//! and what it tells. They are generated from the specifications, so an operation cannot be left
//! out; what is decided about each one stands in `operations.txt`.

mod authorisation;
mod canary;
mod golden;

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_kernel::plug::{
    Class, Handler, Plugin, Protocol, Registry, Route, Rule, Spec, Verb,
};
use strongroom_testkit::TestNode;
use strongroom_testkit::challenges::SimChallenges;
use strongroom_testkit::databases::SimServers;
use strongroom_testkit::web::SimWeb;

use crate::testing::put_policy;

/// All plug-ins, as the binary has them.
fn plugins() -> Vec<Plugin> {
    crate::testing::with_auth()
        .into_iter()
        .chain(strongroom_engines::registry::plugins(
            SimServers::default().databases(),
            SimChallenges::new(),
            SimWeb::new(),
        ))
        .collect()
}

/// One operation at a mount.
struct Operation {
    spec: Arc<Spec>,
    route: usize,
    /// The mount's path.
    mount: String,
}

impl Operation {
    fn route(&self) -> &Route {
        &self.spec.routes[self.route]
    }

    /// A path of the operation, with `x` for each capture.
    fn path(&self) -> String {
        let segments = self.route().pattern.trim_end_matches('/').split('/');
        let filled = segments.map(|s| if s.starts_with('{') { "x" } else { s });
        format!("{}{}", self.mount, filled.collect::<Vec<_>>().join("/"))
    }

    /// `AWS` for what only that protocol reaches.
    fn verb(&self) -> String {
        match self.route().protocol {
            Protocol::Vault => verb_name(self.route().verb),
            Protocol::Aws => "AWS".to_owned(),
        }
    }

    fn rule(&self) -> &'static str {
        match (&self.route().handler, self.route().rule) {
            (Handler::Login(_), _) => "login",
            (_, Rule::Open) => "open",
            (_, Rule::Token) => "token",
            (_, Rule::Sudo) => "sudo",
            (_, Rule::Needs) => "needs",
            (_, Rule::Wrapping) => "wrapping",
        }
    }

    fn name(&self) -> String {
        format!("{} {}", self.verb(), self.path())
    }
}

fn verb_name(verb: Verb) -> String {
    format!("{verb:?}").to_uppercase()
}

/// Where a plug-in of this kind is mounted for these tests.
fn mount_path(class: Class, kind: &str) -> String {
    match (class, kind) {
        (Class::System, "system") => "sys/".to_owned(),
        (Class::System, "token") => "auth/token/".to_owned(),
        (Class::System, kind) => format!("{kind}/"),
        (Class::Auth, "token") => "auth/token/".to_owned(),
        (Class::Auth, kind) => format!("auth/{kind}/"),
        (Class::Secret, "cubbyhole" | "identity") => format!("{kind}/"),
        (Class::Secret, kind) => format!("{kind}/"),
    }
}

/// Every operation of every plug-in and of its variants.
fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    let registry = Registry::new(plugins());
    for class in [Class::System, Class::Auth, Class::Secret] {
        for spec in registry.of_class(class) {
            let mut surfaces = vec![(mount_path(class, spec.kind), spec.clone())];
            for (option, value, variant) in spec.variants() {
                let mount = format!("{}-{option}-{value}/", spec.kind);
                surfaces.push((mount, variant.clone()));
            }
            for (mount, spec) in surfaces {
                for route in 0..spec.routes.len() {
                    all.push(Operation { spec: spec.clone(), route, mount: mount.clone() });
                }
            }
        }
    }
    all
}

/// A node with all of it mounted, and the policies `everything` (all capabilities but sudo),
/// `sudo` (with it), `nothing` and `denied`.
async fn node() -> TestNode {
    let node = TestNode::start(plugins()).await;
    for operation in operations() {
        let at = operation.mount.trim_end_matches('/');
        let (kind, mut options) = (operation.spec.kind, json!({}));
        if let Some(variant) = at.strip_prefix(&format!("{kind}-"))
            && let Some((option, value)) = variant.split_once('-')
        {
            options = json!({ option: value });
        }
        let (path, name) = match at.strip_prefix("auth/") {
            Some(at) => ("auth", at),
            None => ("mounts", at),
        };
        let body = json!({ "type": kind, "options": options });
        let got = node.root("WRITE", &format!("sys/{path}/{name}"), body).await;
        // What is built in is there already, and each mount comes up once for each of its routes.
        assert!(matches!(got.status, 204 | 400), "{kind} at {at}: {got:?}");
    }
    let all = r#""create", "read", "update", "delete", "list", "patch", "scan", "move""#;
    let path = |caps: &str| format!("path \"*\" {{ capabilities = [{caps}] }}");
    put_policy(&node, "everything", &path(all)).await;
    put_policy(&node, "sudo", &path(&format!("{all}, \"sudo\""))).await;
    put_policy(&node, "denied", &path("\"deny\"")).await;
    put_policy(&node, "nothing", "").await;
    node.root("WRITE", "sys/namespaces/other", json!({})).await;
    node.call_in(
        "other",
        "WRITE",
        "sys/policies/acl/everything",
        &node.root,
        json!({
            "policy": path(&format!("{all}, \"sudo\"")),
        }),
    )
    .await;
    node
}

/// A fresh token with only this policy.
async fn token(node: &TestNode, namespace: &str, policy: &str) -> String {
    let fields = json!({ "policies": [policy], "no_default_policy": true, "ttl": "1h" });
    let got = node.call_in(namespace, "WRITE", "auth/token/create", &node.root, fields).await;
    assert_eq!(got.status, 200, "{got:?}");
    got.token()
}

/// Opens the store again, if the last operation sealed it.
async fn reopen(node: &TestNode) {
    if node.node.active().is_err() {
        node.unseal().await;
    }
}

/// The text of an answer's failure, or "" of a success.
fn failure(status: u16, body: &Value) -> String {
    if status < 400 { String::new() } else { body.to_string() }
}
