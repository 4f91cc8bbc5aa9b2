//! Accounts that stand in the database once for each host they log in from.

use super::*;

/// A bed on MySQL, or on MariaDB.
async fn bed(engine: &str) -> Bed {
    let bed = Bed::new().await;
    let of = |more: Value| {
        let mut all = json!({ "engine": engine });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let app = value("app", "first", of(json!({"masterarn": "app/master"})));
    let master = value("master", "of-all", of(json!({})));
    for (path, value) in [("app/db", app), ("app/master", master)] {
        let put = json!({ "secret_string": value });
        bed.room.aws("put-secret-value", path, put).await.unwrap();
    }
    bed
}

/// What the next account got for all its hosts is ended for all of them, when it is drained and when it is
/// given up.
#[tokio::test]
async fn a_password_ends_for_each_host_by_the_master_account() {
    for engine in ["mysql", "mariadb"] {
        let bed = bed(engine).await;
        let first = bed.current().await;
        bed.rotate(V2, by(&format!("strongroom-{engine}-multi-user"))).await.unwrap();
        bed.room.reconcile().await;
        bed.room.later(7_201).await;
        assert!(!bed.lets_in(&first), "{engine}");
        assert_eq!(bed.servers.calls(HOST, "end_password"), 1, "{engine}");
        assert_eq!(bed.servers.calls(HOST, "set_credential"), 0, "{engine}");
        // It is set, its answer is lost, and it is called off.
        bed.servers.fail(HOST, &[Fault::None, Fault::None, Fault::AnswerLost]);
        bed.rotate(V3, json!({})).await.unwrap();
        bed.room.reconcile().await;
        let pending = bed.read(&bed.room.node.root, "AWSPENDING").await;
        assert!(bed.lets_in(&pending), "{engine}");
        bed.room.aws("cancel-rotate-secret", "app/db", json!({})).await.unwrap();
        bed.room.later(30).await;
        assert!(!bed.lets_in(&pending), "{engine}");
        assert_eq!(bed.servers.calls(HOST, "end_password"), 2, "{engine}");
    }
}

/// One account changes what it logs in as; no other host's account is touched.
#[tokio::test]
async fn one_account_changes_the_entry_that_it_logs_in_as() {
    let bed = bed("mysql").await;
    bed.rotate(V2, by("strongroom-mysql-single-user")).await.unwrap();
    bed.room.reconcile().await;
    assert!(bed.lets_in(&bed.current().await));
    assert_eq!(bed.servers.calls(HOST, "end_password"), 0);
    assert_eq!(bed.servers.calls(HOST, "set_credential"), 1);
}

/// Without a master the one account that is known ends, and it is said that this is all.
#[tokio::test]
async fn without_a_master_the_known_account_ends_and_that_is_said() {
    let bed = bed("mariadb").await;
    let first = bed.current().await;
    bed.rotate(V2, by("strongroom-mariadb-multi-user")).await.unwrap();
    bed.room.reconcile().await;
    assert_eq!(bed.state().await, "draining");
    bed.allow(json!({"masters": []})).await;
    bed.room.later(7_201).await;
    assert!(!bed.lets_in(&first));
    let error = bed.room.status().await.error;
    assert!(error.contains("and for no other"), "{error}");
    bed.room.later(30).await;
    assert_eq!(bed.state().await, "idle");
}

/// A master that the database does not let in cannot look for the others: what is known ends all the same, at
/// the deadline and by force.
#[tokio::test]
async fn without_a_master_that_logs_in_the_known_account_ends_too() {
    for (force, master) in [(true, "lost"), (false, "lost"), (true, "gone"), (false, "next")] {
        let bed = bed("mariadb").await;
        let first = bed.current().await;
        bed.rotate(V2, by("strongroom-mariadb-multi-user")).await.unwrap();
        bed.room.reconcile().await;
        match master {
            // Its own rotation has set the next password, and has not published it.
            "next" => {
                let next = value("master", "of-all-now", json!({"engine": "mariadb"}));
                let body = json!({"client_request_token": V3, "secret_string": next,
                    "version_stages": ["AWSPENDING"]});
                bed.room.aws("put-secret-value", "app/master", body).await.unwrap();
                bed.servers.put(HOST, "master", "of-all-now");
            }
            "gone" => bed.servers.drop_account(HOST, "master"),
            _ => bed.servers.put(HOST, "master", "changed by hand"),
        }
        if force {
            bed.force().await;
        } else {
            bed.room.later(7_201).await;
        }
        assert!(!bed.lets_in(&first), "{force} {master}");
        let error = bed.room.status().await.error;
        match master {
            "next" => assert_eq!(error, ""),
            _ => assert!(error.contains("and for no other: the account of the master"), "{error}"),
        }
        bed.room.later(30).await;
        assert_eq!(bed.state().await, "idle", "{force} {master}");
        let ended = bed.servers.calls(HOST, "set_credential");
        assert_eq!(ended, u64::from(master != "next"), "{force} {master}");
        assert!(bed.lets_in(&bed.current().await), "{force} {master}");
    }
}

/// A database that is away while a password is to end is asked again.
#[tokio::test]
async fn the_end_of_a_password_is_tried_until_it_comes_off() {
    for fault in [Fault::Unreachable, Fault::Refused, Fault::AnswerLost] {
        let bed = bed("mysql").await;
        let first = bed.current().await;
        bed.rotate(V2, by("strongroom-mysql-multi-user")).await.unwrap();
        bed.room.reconcile().await;
        bed.servers.fail(HOST, &[Fault::None, fault]);
        bed.room.later(7_201).await;
        bed.room.later(30).await;
        assert!(!bed.lets_in(&first), "{fault:?}");
        assert_eq!(bed.state().await, "idle", "{fault:?}");
    }
}
