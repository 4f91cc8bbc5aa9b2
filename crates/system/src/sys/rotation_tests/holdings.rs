//! What is kept of who holds a version: as long as their logins live, and within bounds.

use strongroom_base::{RequestPath, Timestamp};
use strongroom_kernel::due::{due_until, kinds};
use strongroom_kernel::pipeline::InlineLogin;
use strongroom_kernel::plug::{Grant, Login};
use strongroom_kernel::record::indexes;
use strongroom_kernel::tokens::TokenParams;
use strongroom_storage::{IndexKey, Storage};

use super::*;

/// The kind of records that say who holds a version.
const HOLDING: u8 = 225;

/// The keys of all holders.
async fn holders(node: &TestNode) -> Vec<IndexKey> {
    let names = node.storage.scan_index(indexes::NAMES, &[], &[0xff; 64], usize::MAX).done().await;
    let all = names.expect("readable").into_iter().map(|(key, _)| key);
    all.filter(|key| key.get(4) == Some(&HOLDING)).collect()
}

/// How many are still to be looked at.
async fn looks(node: &TestNode) -> usize {
    let (from, to) = due_until(kinds::HOLDING, Timestamp(i64::MAX - 1));
    let page = node.storage.scan_index(indexes::DUE, &from, &to, usize::MAX).done().await;
    page.expect("readable").len()
}

async fn token(node: &TestNode, fields: Value) -> String {
    let mut all = json!({ "policies": ["read"] });
    all.as_object_mut().expect("an object").extend(fields.as_object().expect("one").clone());
    crate::testing::token(node, all).await
}

/// Between two rotations, which may be months, what ended is forgotten, and nothing else.
#[tokio::test]
async fn what_is_noted_of_a_login_goes_with_it() {
    let (node, world) = start().await;
    role(&node, "app", json!({ "drain": 100_000 })).await;
    for round in 0..3 {
        for fields in [
            json!({ "ttl": "1h" }),
            json!({ "ttl": "1h", "no_parent": true, "type": "batch" }),
            json!({ "ttl": "1h", "type": "batch" }),
        ] {
            creds(&node, "app", &token(&node, fields).await).await;
        }
        // The batch token of the root token counts until it ends, and the others do.
        assert_eq!(holders(&node).await.len(), 3, "round {round}");
        node.clock.advance(3_599);
        crate::testing::settle(&node).await;
        assert_eq!(holders(&node).await.len(), 3, "round {round}");
        node.clock.advance(1);
        crate::testing::settle(&node).await;
        assert_eq!(holders(&node).await.len(), 0, "round {round}");
    }
    assert_eq!(looks(&node).await, 0);
    let long = token(&node, json!({ "ttl": "2h" })).await;
    let first = creds(&node, "app", &long).await;
    node.clock.advance(7_199);
    crate::testing::settle(&node).await;
    drain(&node, "app").await;
    assert_eq!(progress(&node, "app").await, "0/1 moved, 1 left");
    assert!(world.logs_in(&first));
    // A drain counts who ends meanwhile.
    node.clock.advance(2);
    crate::testing::settle(&node).await;
    assert!(!world.logs_in(&first));
    let last = status(&node, "app").await.expect("there").outcomes.pop().expect("one");
    assert_eq!((last.drained.ended, last.drained.left), (1, 0));
}

/// Who lives longer than it was to holds on.
#[tokio::test]
async fn a_login_that_is_renewed_is_noted_on() {
    let (node, _world) = start().await;
    role(&node, "app", json!({})).await;
    let renewed = token(&node, json!({ "period": "1h" })).await;
    creds(&node, "app", &renewed).await;
    for _ in 0..4 {
        node.clock.advance(3_000);
        let body = json!({ "token": renewed });
        assert_eq!(node.root("WRITE", "auth/token/renew", body).await.status, 200);
        crate::testing::settle(&node).await;
        assert_eq!(holders(&node).await.len(), 1);
        assert_eq!(looks(&node).await, 1);
    }
    node.clock.advance(3_600);
    crate::testing::settle(&node).await;
    assert_eq!((holders(&node).await.len(), looks(&node).await), (0, 0));
}

/// Looks at versions that were replaced meanwhile are gone in a day, however long logins live.
#[tokio::test]
async fn looks_do_not_gather_with_versions() {
    let (node, _world) = start().await;
    role(&node, "app", json!({})).await;
    let long = token(&node, json!({ "ttl": "700h" })).await;
    for _ in 0..5 {
        creds(&node, "app", &long).await;
        assert_eq!(rotate(&node, "app").await.status, 204);
        settle(&node).await;
        creds(&node, "app", &long).await;
        settle(&node).await;
        assert_eq!(state(&node, "app").await, "");
    }
    assert_eq!((holders(&node).await.len(), looks(&node).await), (1, 6));
    for _ in 0..3 {
        node.clock.advance(86_400);
        crate::testing::settle(&node).await;
        assert_eq!((holders(&node).await.len(), looks(&node).await), (1, 1));
    }
}

/// A child that outlives its login holds what it read, and then that is forgotten as well.
#[tokio::test]
async fn an_orphaned_child_is_noted_until_it_ends() {
    let (node, _world) = start().await;
    role(&node, "app", json!({})).await;
    node.policy(
        "parent",
        "path \"db/creds/*\" { capabilities = [\"read\"] }
         path \"auth/token/create\" { capabilities = [\"update\", \"sudo\"] }",
    )
    .await;
    let login = token(&node, json!({ "policies": ["parent"], "ttl": "1h" })).await;
    let body = json!({ "policies": ["read"], "ttl": "50m" });
    let child = node.call("WRITE", "auth/token/create", &login, body).await.token();
    creds(&node, "app", &child).await;
    node.clock.advance(1_000);
    let body = json!({ "token": login });
    assert_eq!(node.root("WRITE", "auth/token/revoke-orphan", body).await.status, 204);
    let body = json!({ "token": child, "increment": "3h" });
    assert_eq!(node.root("WRITE", "auth/token/renew", body).await.status, 200);
    node.clock.advance(3_000);
    crate::testing::settle(&node).await;
    assert_eq!(holders(&node).await.len(), 1);
    node.clock.advance(8_000);
    crate::testing::settle(&node).await;
    assert_eq!((holders(&node).await.len(), looks(&node).await), (0, 0));
}

/// An auth method for keys that end at a time of their own.
struct Temporary;

strongroom_base::fields! {
    /// Logs in by keys that end then.
    pub struct Enter {
        /// Seconds since 1970.
        ends: i64,
    }
}

impl Op for Enter {
    type Reply = ();
    const VERB: Verb = Verb::Write;
}

impl Login<Enter> for Temporary {
    async fn login(&self, _: &mut WriteCx<'_>, op: Enter) -> Result<Grant> {
        let token = TokenParams { policies: vec!["read".to_owned()], ..TokenParams::default() };
        let ends = Timestamp::from_seconds(op.ends);
        Ok(Grant { token, ends, display_name: "session".to_owned(), ..Grant::default() })
    }
}

fn temporary() -> Spec {
    EngineSpec::new("temporary", Class::Auth, |_| Ok(Temporary)).login::<Enter>("login").build()
}

/// Temporary keys, with each request: their holding ends with them, and not with what a token of the mount
/// would have.
#[tokio::test]
async fn what_temporary_keys_hold_ends_with_them() {
    let world = Shared::default();
    let all = || specs(&world).into_iter().chain([temporary()]);
    let node = TestNode::start(all()).await;
    node.mount("accounts", "db/").await;
    node.mount("temporary", "auth/temporary/").await;
    node.policy("read", r#"path "db/creds/*" { capabilities = ["read"] }"#).await;
    role(&node, "app", json!({ "drain": 100_000 })).await;
    let now = || node.services().store.now().seconds();
    let read = async |ends: i64| {
        let path = RequestPath::parse("auth/temporary/login").expect("a path");
        let body = json!({ "ends": ends }).to_string().into();
        let login = InlineLogin { namespace: None, path, verb: Verb::Write, body };
        let got = node.call_inline("READ", "db/creds/app", Value::Null, login).await;
        assert_eq!(got.status, 200, "{got:?}");
        got.data().clone()
    };
    let commits = || node.services().store.storage.counters().commits;
    let first_ends = now() + 900;
    let first = read(first_ends).await;
    assert_eq!(holders(&node).await.len(), 1);
    node.clock.advance(600);
    let before = commits();
    read(first_ends).await;
    assert_eq!(commits(), before, "the same keys cost no write");
    // The next ones, a little later: it is noted when these end.
    let second_ends = now() + 500;
    read(second_ends).await;
    node.clock.advance(300);
    crate::testing::settle(&node).await;
    assert_eq!((holders(&node).await.len(), looks(&node).await), (1, 1));
    drain(&node, "app").await;
    assert!(world.logs_in(&first));
    node.clock.advance(199);
    settle(&node).await;
    assert!(world.logs_in(&first));
    node.clock.advance(1);
    settle(&node).await;
    assert!(!world.logs_in(&first), "nobody has them any more");
    read(now() + 60).await;
    node.clock.advance(60);
    crate::testing::settle(&node).await;
    assert_eq!((holders(&node).await.len(), looks(&node).await), (0, 0));
}

/// Threat "what strangers can make the server hold is bounded in total": however many read a version, a
/// bounded number is noted one by one, and the rest is waited for until the deadline.
#[tokio::test]
async fn holders_are_bounded_and_the_rest_counts_until_the_deadline() {
    let (node, world) = start().await;
    role(&node, "app", json!({ "drain": 3_600 })).await;
    let one = consumer(&node, "one").await;
    let first = creds(&node, "app", &one).await;
    // Each part of the holders' range of keys is full.
    let services = node.services();
    let prefix = holders(&node).await.pop().expect("one")[..13].to_vec();
    let filler: Vec<Vec<u8>> = (0..1_024_u32 * 128)
        .map(|n| {
            let part = u16::try_from(n / 128 * 64).expect("within the parts");
            let digest = [&part.to_be_bytes()[..], &n.to_be_bytes(), &[0; 10]].concat();
            [prefix.as_slice(), &digest].concat()
        })
        .collect();
    let tx = services.store.begin();
    filler.iter().for_each(|key| tx.put_index(indexes::NAMES, key, b"full"));
    tx.commit().await.expect("full");
    let before = holders(&node).await.len();
    let commits = || services.store.storage.counters().commits;
    let mut costs = Vec::new();
    for name in ["two", "three", "four"] {
        let token = consumer(&node, name).await;
        let at = commits();
        creds(&node, "app", &token).await;
        costs.push(commits() - at);
    }
    assert_eq!(holders(&node).await.len(), before + 1, "all the others are noted as one");
    assert_eq!((costs[1], costs[2]), (0, 0), "{costs:?}");
    let tx = services.store.begin();
    filler.iter().for_each(|key| tx.delete_index(indexes::NAMES, key));
    tx.commit().await.expect("there is room");
    // Who is noted moves on; who is not is waited for.
    drain(&node, "app").await;
    creds(&node, "app", &one).await;
    settle(&node).await;
    let shown = shown(&node, "app").await["rotation"]["consumers"].clone();
    assert_eq!(shown["progress"], "1/2 moved, 1 left");
    assert_eq!(shown["holding"][0]["note"], "more consumers than are noted");
    assert!(world.logs_in(&first));
    node.clock.advance(3_600);
    settle(&node).await;
    assert!(!world.logs_in(&first));
}
