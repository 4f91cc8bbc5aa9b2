//! What goes wrong between Strongroom and a database leaves no account, and loses none.

use serde_json::{Value, json};
use strongroom_testkit::databases::Fault;

use super::{ADMIN, Room};

#[tokio::test]
async fn an_account_nobody_got_is_taken_back() {
    for (fault, status) in
        [(Fault::Refused, 502), (Fault::AnswerLost, 502), (Fault::Unreachable, 502)]
    {
        let room = Room::new().await;
        room.role("app", json!({})).await;
        room.servers.fail("db", &[fault]);
        let got = room.call("READ", "database/creds/app", Value::Null).await;
        assert_eq!(got.status, status, "{fault:?}: {got:?}");
        assert!(got.errors().starts_with("failed to create the account: "), "{got:?}");
        assert_eq!(room.accounts().len(), usize::from(fault == Fault::AnswerLost));
        room.settle().await;
        assert!(room.accounts().is_empty(), "{fault:?}");
        // What the server did late is taken back once more.
        room.later(301).await;
        assert_eq!(room.call("LIST", "sys/leases/lookup/", Value::Null).await.status, 404);
    }
}

/// A server was given up, and makes the account after somebody revoked all of the prefix.
#[tokio::test]
async fn an_account_that_comes_late_is_taken_back_whoever_revoked_it_before() {
    for (how, forced) in [("revoke-prefix", false), ("revoke-force", true)] {
        let room = Room::new().await;
        room.role("app", json!({})).await;
        room.servers.fail("db", &[Fault::Late]);
        let got = room.call("READ", "database/creds/app", Value::Null).await;
        assert_eq!(got.status, 502, "{got:?}");
        let path = format!("sys/leases/{how}/database/creds/app");
        room.call("WRITE", &path, json!({ "sync": true })).await;
        room.settle().await;
        room.servers.arrive();
        assert_eq!(room.accounts().len(), 1, "it came");
        room.later(301).await;
        // By force it is dropped without asking anybody, as the operator wanted.
        assert_eq!(room.accounts().len(), usize::from(forced), "{how}");
        assert_eq!(room.call("LIST", "sys/leases/lookup/", Value::Null).await.status, 404);
    }
}

#[tokio::test]
async fn nothing_is_taken_back_where_nobody_was_asked() {
    let room = Room::new().await;
    room.role("app", json!({})).await;
    // Somebody changed the administrator's password by hand.
    room.servers.put("db", "admin", "another");
    let got = room.call("READ", "database/creds/app", Value::Null).await;
    assert_eq!(got.status, 502, "{got:?}");
    assert!(!got.errors().contains(ADMIN), "{got:?}");
    room.settle().await;
    assert_eq!(room.servers.calls("db", "remove"), 0);
    assert_eq!(room.call("LIST", "sys/leases/lookup/", Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_lease_stays_until_its_account_is_gone() {
    let room = Room::new().await;
    room.role("app", json!({ "default_ttl": 60 })).await;
    let account = room.account("app").await;
    room.servers.set_down("db", true);
    room.later(61).await;
    let lookup = json!({ "lease_id": account.lease });
    room.ok("WRITE", "sys/leases/lookup", lookup.clone()).await;
    let got = room.call("WRITE", "sys/leases/revoke", lookup.clone()).await;
    assert_eq!(got.status, 502, "{got:?}");
    assert!(got.errors().contains("failed to revoke the account: "), "{got:?}");
    assert_eq!(room.accounts(), std::slice::from_ref(&account.name));
    room.servers.set_down("db", false);
    room.later(3_600).await;
    assert!(room.accounts().is_empty());
    assert_eq!(room.call("WRITE", "sys/leases/lookup", lookup).await.status, 400);
}

#[tokio::test]
async fn an_account_that_is_gone_already_is_revoked() {
    let room = Room::new().await;
    room.role("app", json!({})).await;
    let account = room.account("app").await;
    room.servers.drop_account("db", &account.name);
    let lease = json!({ "lease_id": account.lease });
    let got = room.call("WRITE", "sys/leases/renew", lease.clone()).await;
    assert_eq!(got.status, 502, "renewing it says so: {got:?}");
    room.ok("WRITE", "sys/leases/revoke", lease).await;
}

#[tokio::test]
async fn accounts_outlive_their_role_and_wait_for_their_connection() {
    let room = Room::new().await;
    room.role("app", json!({ "default_ttl": 60, "revocation_statements": "NOTHING" })).await;
    let (one, other) = (room.account("app").await, room.account("app").await);
    // The role's statements as they are now, not as they were.
    room.role("app", json!({ "revocation_statements": "DROP" })).await;
    room.ok("WRITE", "sys/leases/revoke", json!({ "lease_id": one.lease })).await;
    assert_eq!(room.accounts(), std::slice::from_ref(&other.name));
    room.role("app", json!({ "revocation_statements": "FAIL" })).await;
    room.ok("DELETE", "database/roles/app", Value::Null).await;
    let config = super::connection("db", &["*"]);
    room.ok("DELETE", "database/config/main", Value::Null).await;
    room.later(61).await;
    assert_eq!(room.accounts(), std::slice::from_ref(&other.name));
    let got = room.call("WRITE", "sys/leases/revoke", json!({ "lease_id": other.lease })).await;
    assert!(got.errors().contains("connection with name: \"main\""), "{got:?}");
    room.ok("WRITE", "database/config/main", config).await;
    // Without the role, the statements of the time it was made count: these do nothing.
    room.ok("WRITE", "sys/leases/revoke", json!({ "lease_id": other.lease })).await;
    assert_eq!(room.accounts(), [other.name]);
}

#[tokio::test]
async fn an_account_is_taken_back_where_it_was_made_though_its_role_went_elsewhere() {
    let room = Room::new().await;
    room.servers.put("other", "admin", ADMIN);
    room.ok("WRITE", "database/config/other", super::connection("other", &["*"])).await;
    room.role("app", json!({ "revocation_statements": "DROP" })).await;
    let (one, two) = (room.account("app").await, room.account("app").await);
    room.role("app", json!({ "db_name": "other", "revocation_statements": "FAIL" })).await;
    let renew = json!({ "lease_id": one.lease });
    room.ok("WRITE", "sys/leases/renew", renew).await;
    room.ok("WRITE", "sys/leases/revoke", json!({ "lease_id": one.lease })).await;
    assert_eq!(room.accounts(), [two.name]);
    room.ok("WRITE", "sys/leases/revoke", json!({ "lease_id": two.lease })).await;
    assert!(room.accounts().is_empty());
    assert_eq!(room.servers.calls("other", "remove"), 0);
}
