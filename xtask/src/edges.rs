//! Which crate may know which, and which folder.
//!
//! Server side: base → crypto, cloudwire, web → storage, raft, connectors → kernel → {system, engines,
//! auth, adapters} → doors → server. Client side: client, sops, scan → agent → k8s. `kernel`,
//! `engines` and `doors` never name a client-side crate; inside `engines` and `auth` no folder
//! imports a sibling. The kernel's parts have an order too.

use crate::workspace::{Source, Workspace};

/// Each of our crates, and the ones of ours it may depend on (beside itself). `strongroom-` is
/// left out.
const ALLOWED: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("crypto", &["base"]),
    ("cloudwire", &["base", "crypto"]),
    ("storage", &["base", "crypto"]),
    ("raft", &["base", "crypto", "storage"]),
    ("web", &["base", "crypto"]),
    ("connectors", &["base", "crypto", "cloudwire", "web"]),
    ("kernel", &["base", "crypto", "storage"]),
    ("system", &["base", "crypto", "kernel"]),
    ("engines", &["base", "crypto", "cloudwire", "connectors", "kernel"]),
    ("auth", &["base", "crypto", "cloudwire", "connectors", "client", "kernel"]),
    // Seals speak in the futures of `storage`.
    ("adapters", &["base", "crypto", "cloudwire", "client", "storage", "kernel"]),
    ("doors", &["base", "cloudwire", "kernel", "system", "engines", "auth"]),
    (
        "server",
        &[
            "base",
            "crypto",
            "cloudwire",
            "storage",
            "raft",
            "connectors",
            "kernel",
            "system",
            "engines",
            "auth",
            "adapters",
            "doors",
        ],
    ),
    ("client", &["base"]),
    ("age", &["base", "crypto"]),
    ("git", &["base", "crypto", "age"]),
    ("sops", &["base", "crypto", "cloudwire", "web", "client", "age"]),
    ("scan", &["base"]),
    ("agent", &["base", "client", "sops", "scan"]),
    ("k8s", &["base", "client", "agent"]),
    // The simulator runs the real core without a network.
    ("sim", &["base", "crypto", "storage", "kernel", "system", "engines", "auth", "testkit"]),
    // The bare primitives, to set the engines beside, and AWS's signatures.
    ("bench", &["base", "crypto", "cloudwire"]),
    // A disk that fails on demand: the one crate with `unsafe`, for tests only.
    ("storage-faultvfs", &[]),
    // What tests of plug-ins stand on: an in-process node.
    ("testkit", &["base", "crypto", "cloudwire", "storage", "connectors", "kernel"]),
    // The binary.
    (
        "strongroom",
        &[
            "base",
            "cloudwire",
            "client",
            "crypto",
            "web",
            "age",
            "git",
            "sops",
            "scan",
            "agent",
            "k8s",
            "server",
        ],
    ),
    // In the place of a library of that name.
    ("chrono-tz", &[]),
    ("xtask", &[]),
];

/// Crates that test code may use beside the allowed ones.
const FOR_TESTS: &[(&str, &[&str])] = &[
    ("storage", &["storage", "storage-faultvfs"]),
    ("connectors", &["testkit"]),
    ("kernel", &["testkit"]),
    ("system", &["storage", "connectors", "engines", "auth", "testkit"]),
    ("engines", &["storage", "system", "testkit"]),
    ("auth", &["storage", "system", "testkit"]),
    ("adapters", &["storage", "system", "testkit"]),
    ("doors", &["storage", "crypto", "adapters", "testkit"]),
    ("server", &["testkit", "client"]),
    ("strongroom", &["storage", "kernel", "doors", "testkit"]),
];

/// Outside crates that must not be in the tree at all, with the reason.
const BANNED: &[(&str, &str, &str)] = &[
    ("ring", "", "aws-lc-rs is the one provider of primitives"),
    ("openssl-sys", "", "no OpenSSL"),
    ("native-tls", "", "rustls only"),
    ("hyper", "0.14.", "one hyper"),
    ("rustls", "0.21.", "one rustls"),
    ("rustls", "0.22.", "one rustls"),
];

/// Primitive crypto: only `crypto` names these.
const PRIMITIVES: &[&str] = &[
    "aws-lc-rs",
    "aws-lc-sys",
    "vsss-rs",
    "bcrypt",
    "argon2",
    "scrypt",
    "pgp",
    "rsa",
    "aes",
    "aes-gcm",
    "sha2",
    "sha1",
    "sha3",
    "hmac",
    "hkdf",
    "chacha20poly1305",
    "ml-kem",
    "ed25519-dalek",
    "p256",
    "p384",
    "k256",
    "ssh-key",
    "x509-cert",
    "x509-parser",
    "rand",
];

/// Folders of `engines` and `auth` that hold what several plug-ins share. They know no plug-in.
const SHARED: &[&str] = &["google", "jwts"];

/// The kernel's folders, lowest first; those of one line may know each other.
const KERNEL_LAYERS: &[&[&str]] = &[
    &["record", "barrier"],
    &["seal"],
    &["namespaces"],
    &["mount"],
    &["policy"],
    &["identity"],
    &["policies"],
    &["tokens"],
    &["plug"],
    &["mounts"],
    &["mfa"],
    &["audit", "quotas", "key_rotation"],
    &["leases", "rotation", "ha", "pipeline", "node", "snapshot"],
];

/// Files that name a higher part, which part, and why.
const KERNEL_EXCEPTIONS: &[(&str, &str)] = &[
    // An operation's context stands for the whole node that runs it.
    ("plug/context.rs", "node"),
    ("plug/node_ops.rs", "node"),
    // An answer may leave work on the whole node.
    ("plug/beyond.rs", "node"),
    // An answer may carry a lease.
    ("plug/reply.rs", "leases"),
    // A command holds the intent of its lease until it is committed.
    ("plug/context.rs", "leases"),
    // A command asks for rotations of its mount's subjects.
    ("plug/rotation.rs", "rotation"),
    // What hangs on a revoked token (leases, a cubbyhole) goes with it.
    ("tokens/clean.rs", "audit"),
    ("tokens/clean.rs", "mounts"),
    ("tokens/clean.rs", "node"),
    ("tokens/clean.rs", "pipeline"),
];

/// What is wrong.
pub fn check(workspace: &Workspace) -> Vec<String> {
    let mut wrong = dependencies(workspace);
    wrong.extend(banned(workspace));
    for source in &workspace.sources {
        wrong.extend(imports(source));
        wrong.extend(siblings(source));
    }
    wrong
}

fn short(name: &str) -> &str {
    name.strip_prefix("strongroom-").unwrap_or(name)
}

fn list(table: &'static [(&str, &[&str])], name: &str) -> Option<&'static [&'static str]> {
    table.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, allowed)| *allowed)
}

fn dependencies(workspace: &Workspace) -> Vec<String> {
    let ours: Vec<&str> = workspace.ours().map(|package| package.name.as_str()).collect();
    let mut wrong = Vec::new();
    for package in workspace.ours() {
        let name = short(&package.name);
        let Some(allowed) = list(ALLOWED, name) else {
            wrong.push(format!("{name}: a new crate needs its line in xtask/src/edges.rs"));
            continue;
        };
        let for_tests = list(FOR_TESTS, name).unwrap_or_default();
        for (dependency, dev) in &package.dependencies {
            if ours.contains(&dependency.as_str()) {
                let other = short(dependency);
                let fine = allowed.contains(&other) || (*dev && for_tests.contains(&other));
                if !fine {
                    wrong.push(format!("{name} must not depend on {other}"));
                }
            } else if PRIMITIVES.contains(&dependency.as_str()) && name != "crypto" && !dev {
                wrong.push(format!("{name}: only `crypto` may depend on {dependency}"));
            }
        }
    }
    wrong
}

fn banned(workspace: &Workspace) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in &workspace.packages {
        for (name, version, reason) in BANNED {
            if package.name == *name && package.version.starts_with(version) {
                wrong.push(format!("{name} {} is in the tree: {reason}", package.version));
            }
        }
    }
    wrong
}

/// Is the line code, not a comment?
fn is_code(line: &str) -> bool {
    !line.trim_start().starts_with("//")
}

/// `strongroom_x` in the sources of a crate that may not know x.
fn imports(source: &Source) -> Vec<String> {
    let mut parts = source.path.split('/');
    let (Some("crates"), Some(name), Some(kind)) = (parts.next(), parts.next(), parts.next())
    else {
        return Vec::new();
    };
    if !source.path.ends_with(".rs") {
        return Vec::new();
    }
    let allowed = list(ALLOWED, name).unwrap_or_default();
    let for_tests = list(FOR_TESTS, name).unwrap_or_default();
    let test = kind == "tests" || source.path.contains("test");
    let mut wrong = Vec::new();
    for (number, line) in source.text.lines().enumerate().filter(|(_, line)| is_code(line)) {
        for piece in line.split("strongroom_").skip(1) {
            let end = piece.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(piece.len());
            let (other, rest) = piece.split_at(end);
            // A path (`strongroom_x::`), not a word that begins alike.
            let known = rest.starts_with("::") && list(ALLOWED, other).is_some();
            let fine = other == name
                || allowed.contains(&other)
                // Unit tests stand in the same file as the code.
                || for_tests.contains(&other) && (test || source.text.contains("#[cfg(test)]"));
            if known && !fine {
                wrong.push(format!("{}:{}: uses {other}", source.path, number + 1));
            }
        }
    }
    wrong
}

/// A folder of `engines`, `auth` that names a sibling, or a folder of the kernel that names a
/// higher one.
fn siblings(source: &Source) -> Vec<String> {
    let parts: Vec<&str> = source.path.split('/').collect();
    let (crate_name, folder) = match parts.as_slice() {
        ["crates", name @ ("engines" | "auth" | "kernel"), "src", folder, ..] => (*name, *folder),
        _ => return Vec::new(),
    };
    let folder = folder.strip_suffix(".rs").unwrap_or(folder);
    if !source.path.ends_with(".rs") || ["lib", "registry", "tests"].contains(&folder) {
        return Vec::new();
    }
    let layer = |name: &str| KERNEL_LAYERS.iter().position(|layer| layer.contains(&name));
    let mut wrong = Vec::new();
    // What stands below the tests' mark may look anywhere.
    let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
    if source.path.ends_with("tests.rs") || source.path.contains("/tests/") {
        return wrong;
    }
    for (number, line) in code.lines().enumerate().filter(|(_, line)| is_code(line)) {
        for piece in line.split("crate::").skip(1) {
            let end = piece.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            let other = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
            let bad = match crate_name {
                "kernel" => match (layer(folder), layer(other)) {
                    (Some(own), Some(higher)) if higher > own => {
                        let file = parts.get(3..).unwrap_or_default().join("/");
                        !KERNEL_EXCEPTIONS.contains(&(file.as_str(), other))
                    }
                    _ => false,
                },
                // Shared things mostly have no folder: limits, errors, and the like stay in files.
                _ => other != folder && is_folder(crate_name, other) && !SHARED.contains(&other),
            };
            if bad {
                wrong.push(format!("{}:{}: names {other}", source.path, number + 1));
            }
        }
    }
    wrong
}

fn is_folder(crate_name: &str, name: &str) -> bool {
    let folder = crate::cache::root().join("crates").join(crate_name).join("src").join(name);
    !name.is_empty() && folder.is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn the_workspace_keeps_its_edges() {
        let wrong = check(&Workspace::load().unwrap());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_check_itself_sees_what_is_forbidden() {
        for (path, text, count) in [
            ("crates/kernel/src/node.rs", "use strongroom_server::real;", 1),
            ("crates/engines/src/kv/mod.rs", "use strongroom_client::x;", 1),
            ("crates/engines/src/kv/mod.rs", "use strongroom_kernel::{plug};", 0),
            ("crates/base/src/lib.rs", "// strongroom_server::x", 0),
            ("crates/doors/src/vault/mod.rs", "let strongroom_server = 1;", 0),
        ] {
            assert_eq!(imports(&source(path, text)).len(), count, "{path}: {text}");
        }
        for (path, text, count) in [
            ("crates/kernel/src/barrier.rs", "use crate::tokens::Token;", 1),
            ("crates/kernel/src/tokens.rs", "use crate::barrier::Barrier;", 0),
            ("crates/kernel/src/pipeline/run.rs", "use crate::node::Node;", 0),
            ("crates/kernel/src/barrier.rs", "#[cfg(test)] use crate::tokens::Token;", 0),
        ] {
            assert_eq!(siblings(&source(path, text)).len(), count, "{path}: {text}");
        }
    }

    #[test]
    fn each_exception_of_the_kernel_is_needed() {
        for (file, higher) in KERNEL_EXCEPTIONS {
            let path = crate::cache::root().join("crates/kernel/src").join(file);
            let text = std::fs::read_to_string(path).unwrap();
            assert!(text.contains(&format!("crate::{higher}::")), "{file}: {higher}");
        }
    }

    #[test]
    fn nobody_names_a_crate_that_is_not_in_the_table() {
        for (name, allowed) in ALLOWED.iter().chain(FOR_TESTS) {
            assert!(list(ALLOWED, name).is_some(), "{name}");
            assert!(allowed.iter().all(|other| list(ALLOWED, other).is_some()), "{name}");
        }
    }
}
