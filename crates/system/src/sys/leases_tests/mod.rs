//! Leases of an engine whose outside the tests hold in their hands.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;
use strongroom_base::{Error, Json, Result};
use strongroom_kernel::mounts;
use strongroom_kernel::plug::{
    Class, Command, EngineSpec, LeaseKind, NewLease, Reply, Spec, WriteCx, ops,
};
use strongroom_kernel::record::Scope;
use strongroom_testkit::TestNode;
use tokio::sync::Notify;

use crate::testing::put_policy;

mod lives;
mod revocation;

/// The outside that the test engine gives credentials of.
#[derive(Default)]
struct Outside {
    /// Credentials there are, by number, and the seconds they were last given.
    credentials: BTreeMap<i64, i64>,
    made: i64,
    /// Does it refuse to revoke?
    down: bool,
    /// Does it refuse to revoke for this role?
    refuses: Option<String>,
    /// Whoever revokes of this role waits until it is no more.
    hangs: Option<String>,
    attempts: usize,
}

type Shared = Arc<Mutex<Outside>>;

/// Tells those who wait that [`Outside::hangs`] has changed.
static RELEASED: Notify = Notify::const_new();

struct Giver(Shared);

strongroom_base::fields! {
    /// Gives a credential.
    pub struct Give {
        /// For what.
        role: String,
    }
}

ops! { Give Json, Write; }

impl Command<Give> for Giver {
    async fn command(&self, _: &mut WriteCx<'_>, op: Give) -> Result<Reply<Json>> {
        let mut outside = self.0.lock();
        outside.made += 1;
        let number = outside.made;
        outside.credentials.insert(number, 0);
        let mut reply = Reply::data(json!({ "number": number }));
        reply.lease = Some(Box::new(NewLease {
            ttl_seconds: Some(600),
            max_ttl_seconds: Some(3600),
            renewable: true,
            internal: json!({ "number": number, "role": op.role }),
        }));
        Ok(reply)
    }
}

impl LeaseKind for Giver {
    async fn renew_lease(&self, _: &mut WriteCx<'_>, internal: &Json, ttl: i64) -> Result<i64> {
        let number = internal["number"].as_i64().unwrap_or(0);
        self.0.lock().credentials.insert(number, ttl);
        Ok(ttl)
    }

    async fn revoke_lease(&self, _: &mut WriteCx<'_>, internal: &Json) -> Result<()> {
        loop {
            let released = RELEASED.notified();
            if self.0.lock().hangs.as_deref() != internal["role"].as_str() {
                break;
            }
            released.await;
        }
        let mut outside = self.0.lock();
        outside.attempts += 1;
        if outside.down {
            return Err(Error::unavailable("the outside is down"));
        }
        if outside.refuses.is_some() && outside.refuses.as_deref() == internal["role"].as_str() {
            return Err(Error::bad_request("refused"));
        }
        outside.credentials.remove(&internal["number"].as_i64().unwrap_or(0));
        Ok(())
    }

    fn lease_target<'j>(&self, internal: &'j Json) -> &'j str {
        internal["role"].as_str().unwrap_or_default()
    }
}

fn giver(outside: Shared) -> Spec {
    EngineSpec::new("giver", Class::Secret, move |_| Ok(Giver(outside.clone())))
        .command::<Give>("creds/{role}")
        .leases()
        .build()
}

/// A node with a giver at `db/`.
async fn start() -> (TestNode, Shared) {
    let outside = Shared::default();
    let mut specs = crate::specs();
    specs.push(giver(outside.clone()));
    let node = TestNode::start(specs).await;
    let services = node.services();
    services
        .store
        .transact(|tx| async move {
            let now = tx.store().now();
            let mount = mounts::new_record(&tx, "giver", "db/", Class::Secret, "", now);
            mounts::create(&tx, Scope::ROOT, mount).await
        })
        .await
        .expect("mounts");
    let text = r#"path "*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;
    put_policy(&node, "all", text).await;
    (node, outside)
}

async fn give(node: &TestNode, role: &str, caller: &str) -> String {
    let got = node.call("WRITE", &format!("db/creds/{role}"), caller, json!({})).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(got.body["renewable"], json!(true));
    got.body["lease_id"].as_str().unwrap_or_default().to_owned()
}

async fn lookup(node: &TestNode, id: &str) -> strongroom_testkit::Got {
    node.root("WRITE", "sys/leases/lookup", json!({"lease_id": id})).await
}

/// Disables the giver's mount, as `sys/mounts` does.
async fn disable(node: &TestNode) {
    let services = node.services();
    services
        .store
        .transact(|tx| async move {
            let scope = tx.write(Scope::ROOT);
            let mount = scope.named::<mounts::Mount>(mounts::TOP, "db/").await?;
            let mut mount = mount.ok_or_else(Error::not_found)?;
            mount.deleted = Some(tx.store().now());
            scope.delete_named::<mounts::Mount>(mounts::TOP, "db/");
            scope.put_named(mounts::TOP, mount.record_name(), &mount)
        })
        .await
        .expect("disables");
}
