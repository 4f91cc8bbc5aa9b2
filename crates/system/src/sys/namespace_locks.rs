//! Locks of namespaces (API page "/sys/namespaces", "Lock namespace"): a locked one, and all below
//! it, serve nothing until it is unlocked.
//!
//! Invariants: a lock and its end are seen by every request that begins after they are answered;
//! only a digest of the key is kept.

use serde::Serialize;
use strongroom_base::{Error, Result, SecretString, fields};
use strongroom_crypto::constant_time_eq;
use strongroom_crypto::digest::sha256;
use strongroom_kernel::mounts::TOP;
use strongroom_kernel::namespaces::{Namespace, canonical};
use strongroom_kernel::pipeline::has_sudo;
use strongroom_kernel::plug::{Command, EngineSpec, Reply, WriteCx, ops};
use strongroom_kernel::record::Scope;

use super::namespaces::random_text;
use super::{System, expose};

/// Characters of an unlock key.
const KEY_CHARACTERS: usize = 24;

/// Adds the operations of this file.
pub fn add_namespace_locks(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.command::<LockNamespace>("namespaces/api-lock/lock")
        .command::<LockNamespace>("namespaces/api-lock/lock/{path..}")
        .command::<UnlockNamespace>("namespaces/api-lock/unlock")
        .command::<UnlockNamespace>("namespaces/api-lock/unlock/{path..}")
}

fields! {
    /// Locks a namespace, and all below it.
    pub struct LockNamespace {
        /// Its path below the namespace of the request; none is that itself.
        path: Option<String>,
    }
}
fields! {
    /// Unlocks a namespace.
    pub struct UnlockNamespace {
        /// Its path below the namespace of the request; none is that itself.
        path: Option<String>,
        /// The key that locking it gave. With sudo none is needed.
        unlock_key: Option<SecretString>,
    }
}

/// What opens a lock.
#[derive(Serialize)]
pub struct UnlockKey {
    #[serde(serialize_with = "expose")]
    unlock_key: SecretString,
}

ops! {
    LockNamespace UnlockKey, Write;
    UnlockNamespace (), Write;
}

/// The namespace that is meant, and those above it that are locked, the uppermost first. All are
/// read in this transaction.
async fn meant(cx: &WriteCx<'_>, path: Option<&str>) -> Result<(Namespace, Vec<Namespace>)> {
    let path = format!("{}{}", cx.request.namespace.path, canonical(path.unwrap_or_default())?);
    if path.is_empty() {
        return Err(Error::bad_request("root namespace cannot be locked/unlocked"));
    }
    let missing = || Error::bad_request("requested namespace does not exist");
    let (mut scope, mut line) = (Scope::ROOT, Vec::new());
    for name in path.trim_end_matches('/').split('/') {
        let found = cx.kernel_tx().read(scope).named::<Namespace>(TOP, name).await?;
        let found = found.filter(|namespace| namespace.deleted.is_none()).ok_or_else(missing)?;
        scope = found.scope;
        line.push(found);
    }
    let own = line.pop().ok_or_else(missing)?;
    line.retain(|above| above.lock.is_some());
    Ok((own, line))
}

impl Command<LockNamespace> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: LockNamespace) -> Result<Reply<UnlockKey>> {
        let (mut namespace, above) = meant(cx, op.path.as_deref()).await?;
        let path = &namespace.path;
        if let Some(above) = above.first() {
            return Err(Error::bad_request(format!(
                "cannot lock namespace {path:?}: ancestor namespace {:?} is already locked",
                above.path
            )));
        }
        if namespace.lock.is_some() {
            return Err(Error::bad_request(format!(
                "cannot lock namespace {path:?}: is already locked"
            )));
        }
        let key = random_text(cx.rng(), KEY_CHARACTERS);
        namespace.lock = Some(sha256(key.as_bytes()).to_vec());
        let parent = cx.kernel_tx().write(namespace.parent);
        parent.put_named(TOP, namespace.name(), &namespace)?;
        Ok(Reply::data(UnlockKey { unlock_key: SecretString::new(key) }))
    }
}

impl Command<UnlockNamespace> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: UnlockNamespace) -> Result<Reply<()>> {
        let key = op.unlock_key.filter(|key| !key.expose_secret().is_empty());
        if key.is_none() && !has_sudo(cx).await? {
            return Err(Error::bad_request("provided empty key"));
        }
        let (mut namespace, above) = meant(cx, op.path.as_deref()).await?;
        let path = &namespace.path;
        let Some(lock) = namespace.lock.take() else {
            return Err(Error::bad_request(format!("namespace {path:?} is not locked")));
        };
        if let Some(above) = above.first() {
            return Err(Error::bad_request(format!(
                "cannot unlock {path:?} with namespace {:?} being locked",
                above.path
            )));
        }
        if let Some(key) = &key
            && !constant_time_eq(&sha256(key.expose_secret().as_bytes()), &lock)
        {
            return Err(Error::bad_request("incorrect unlock key"));
        }
        let parent = cx.kernel_tx().write(namespace.parent);
        parent.put_named(TOP, namespace.name(), &namespace)?;
        let reply = Reply::none();
        Ok(match key {
            Some(_) => reply,
            None => reply.warn("Namespace unlocked using sudo capabilities"),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use strongroom_testkit::{Got, TestNode};

    use crate::testing;

    async fn in_ns(node: &TestNode, ns: &str, verb: &str, path: &str, body: Value) -> Got {
        node.call_in(ns, verb, path, &node.root, body).await
    }

    async fn start() -> TestNode {
        let node = testing::node().await;
        for (ns, name) in [("", "a"), ("a", "b"), ("", "c")] {
            let got = in_ns(&node, ns, "WRITE", &format!("sys/namespaces/{name}"), json!({})).await;
            assert_eq!(got.status, 200, "{got:?}");
        }
        node
    }

    async fn lock(node: &TestNode, ns: &str, path: &str) -> String {
        let path = format!("sys/namespaces/api-lock/lock{path}");
        let got = in_ns(node, ns, "WRITE", &path, Value::Null).await;
        assert_eq!(got.status, 200, "{got:?}");
        got.data()["unlock_key"].as_str().expect("a key").to_owned()
    }

    async fn unlock(node: &TestNode, ns: &str, path: &str, key: &str) -> Got {
        let path = format!("sys/namespaces/api-lock/unlock{path}");
        in_ns(node, ns, "WRITE", &path, json!({ "unlock_key": key })).await
    }

    #[tokio::test]
    async fn a_locked_one_and_all_below_serve_nothing() {
        let node = start().await;
        let policy = json!({ "policy": "path \"*\" { capabilities = [\"read\", \"update\"] }" });
        let got = in_ns(&node, "a", "WRITE", "sys/policies/acl/all", policy).await;
        assert_eq!(got.status, 204, "{got:?}");
        let made = json!({ "policies": ["all"] });
        let made = in_ns(&node, "a", "WRITE", "auth/token/create", made).await;
        let own = made.body["auth"]["client_token"].as_str().expect("a token").to_owned();
        let key = lock(&node, "", "/a").await;
        assert_eq!(key.len(), 24);
        let refusal = "API access to this namespace has been locked by an administrator - \"a/\" \
                       must be unlocked to gain access.";
        for ns in ["a", "a/b"] {
            for (verb, path, token) in [
                ("READ", "sys/mounts", &node.root),
                ("READ", "auth/token/lookup-self", &own),
                ("WRITE", "auth/token/revoke-self", &own),
                ("READ", "no/such/mount", &node.root),
            ] {
                let got = node.call_in(ns, verb, path, token, json!({})).await;
                assert_eq!((got.status, got.errors().as_str()), (503, refusal), "{ns} {path}");
            }
            // A stranger learns nothing of a lock.
            let got = node.call_in(ns, "READ", "sys/mounts", "hvs.nobody", Value::Null).await;
            assert_eq!(got.status, 403, "{got:?}");
        }
        for ns in ["", "c"] {
            assert_eq!(in_ns(&node, ns, "READ", "sys/mounts", Value::Null).await.status, 200);
        }
        let view = in_ns(&node, "", "READ", "sys/namespaces/a", Value::Null).await;
        assert_eq!(view.data()["locked"], true);

        // From outside by anyone whom policy allows, from inside at its own path alone.
        let got = unlock(&node, "a/b", "", &key).await;
        assert!(got.errors().contains("\"a/b/\" is not locked"), "{got:?}");
        let got = unlock(&node, "a", "/b", &key).await;
        assert_eq!(got.status, 503, "{got:?}");
        for wrong in ["wrong", &key[1..], &key.to_uppercase()] {
            let got = unlock(&node, "a", "", wrong).await;
            assert_eq!((got.status, got.errors().as_str()), (400, "incorrect unlock key"));
        }
        let path = "sys/namespaces/api-lock/unlock";
        let got = node.call_in("a", "WRITE", path, &own, json!({})).await;
        assert_eq!((got.status, got.errors().as_str()), (400, "provided empty key"));
        let got = node.call_in("a", "WRITE", path, &own, json!({ "unlock_key": key })).await;
        assert_eq!(got.status, 204, "{got:?}");
        let got = node.call_in("a", "READ", "auth/token/lookup-self", &own, json!({})).await;
        assert_eq!(got.status, 200, "{got:?}");
        let view = in_ns(&node, "", "READ", "sys/namespaces/a", Value::Null).await;
        assert_eq!(view.data()["locked"], false);
    }

    #[tokio::test]
    async fn locks_above_and_below() {
        let node = start().await;
        let below = lock(&node, "a", "/b").await;
        assert_eq!(in_ns(&node, "a", "READ", "sys/mounts", Value::Null).await.status, 200);
        let above = lock(&node, "a", "").await;
        for (ns, path, why) in [
            ("", "/a", "cannot lock namespace \"a/\": is already locked"),
            (
                "",
                "/a/b",
                "cannot lock namespace \"a/b/\": ancestor namespace \"a/\" is already locked",
            ),
            ("", "", "root namespace cannot be locked/unlocked"),
            ("", "/x", "requested namespace does not exist"),
        ] {
            let path = format!("sys/namespaces/api-lock/lock{path}");
            let got = in_ns(&node, ns, "WRITE", &path, Value::Null).await;
            assert_eq!((got.status, got.errors().as_str()), (400, why), "{path}");
        }
        let got = unlock(&node, "", "/a/b", &below).await;
        assert_eq!(got.errors(), "cannot unlock \"a/b/\" with namespace \"a/\" being locked");
        // With sudo no key is needed, and the answer says so.
        let got = in_ns(&node, "", "WRITE", "sys/namespaces/api-lock/unlock/a", json!({})).await;
        assert_eq!(
            got.body["warnings"][0], "Namespace unlocked using sudo capabilities",
            "{got:?}"
        );
        let got = unlock(&node, "", "/a", &above).await;
        assert_eq!(got.errors(), "namespace \"a/\" is not locked");
        assert_eq!(in_ns(&node, "a/b", "READ", "sys/mounts", Value::Null).await.status, 503);
        assert_eq!(unlock(&node, "a", "/b", &below).await.status, 204);
        assert_eq!(in_ns(&node, "a/b", "READ", "sys/mounts", Value::Null).await.status, 200);
    }
}
