//! What somebody publishes by hand while a rotation is under way, or fails.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use strongroom_testkit::databases::{Came, Pause, Weather};

use super::*;

const SINGLE: &str = "strongroom-postgresql-single-user";

impl Bed {
    /// Somebody writes another value.
    async fn publish(&self, username: &str, password: &str) {
        let more = json!({"masterarn": "app/master", "by": "hand"});
        let put = json!({"secret_string": value(username, password, more)});
        self.room.aws("put-secret-value", "app/db", put).await.unwrap();
    }

    /// Is AWSCURRENT a value that somebody wrote, or was made from one?
    async fn is_by_hand(&self) -> bool {
        let got = self.room.aws("get-secret-value", "app/db", json!({})).await.unwrap();
        got["secret_string"].as_str().unwrap().contains(r#""by":"hand""#)
    }
}

/// A run that does not come off because nothing logs in begins anew when somebody has written what does.
#[tokio::test]
async fn a_failing_run_goes_on_from_what_was_published_by_hand() {
    let bed = Bed::new().await;
    bed.servers.put(HOST, "app", "changed by hand");
    bed.rotate(V2, by(SINGLE)).await.unwrap();
    bed.room.reconcile().await;
    assert!(bed.room.status().await.error.contains("nor AWSPREVIOUS"));
    bed.publish("app", "changed by hand").await;
    assert!(bed.lets_in(&bed.current().await));
    for _ in 0..3 {
        bed.room.later(40).await;
        assert!(bed.lets_in(&bed.current().await));
    }
    let described = bed.room.described().await;
    assert_eq!(described["version_ids_to_stages"][V2], json!(["AWSCURRENT"]));
    assert!(bed.is_by_hand().await, "it is made from the value that was written");
    assert_ne!(bed.current().await.1, "changed by hand");
}

/// Neither is it replaced by what a run has chosen before, nor is the account set back to what it was then.
#[tokio::test]
async fn a_run_replaces_and_restores_nothing_but_what_it_began_with() {
    for rotator in [SINGLE, "strongroom-postgresql-multi-user"] {
        let bed = Bed::new().await;
        // The password is set, and then the database is away.
        let mut faults = vec![Fault::None; 3];
        faults.push(Fault::Unreachable);
        bed.servers.fail(HOST, &faults);
        bed.rotate(V2, by(rotator)).await.unwrap();
        bed.room.reconcile().await;
        let made = bed.read(&bed.room.node.root, "AWSPENDING").await;
        assert!(bed.lets_in(&made), "{rotator}");
        bed.publish("app", "by hand").await;
        bed.room.later(11).await;
        bed.room.later(1).await;
        let current = bed.current().await;
        assert_eq!(current, ("app".to_owned(), "by hand".to_owned()), "{rotator}");
        match rotator {
            SINGLE => assert!(bed.lets_in(&current), "the account has what is published"),
            _ => bed.servers.put(HOST, "app", "by hand"),
        }
        assert!(!bed.lets_in(&made), "{rotator}");
        let last = bed.room.status().await.outcomes.pop().unwrap();
        assert_eq!((last.version, last.ending.name()), (0, "rolled back"), "{rotator}");
        // From there it is rotated.
        for _ in 0..3 {
            bed.room.later(40).await;
        }
        let described = bed.room.described().await;
        assert_eq!(described["version_ids_to_stages"][V2], json!(["AWSCURRENT"]), "{rotator}");
        assert!(bed.lets_in(&bed.current().await), "{rotator}");
        assert!(bed.is_by_hand().await, "{rotator}");
    }
}

/// Something happens on the way back of a call's answer, once.
struct After {
    /// How many calls come before it.
    calls: Mutex<usize>,
    happens: Box<dyn Fn() -> Pause + Send + Sync>,
}

impl Weather for After {
    fn pause(&self) -> Pause {
        let mut calls = self.calls.lock();
        // There is one before the call, and one after it.
        *calls = calls.wrapping_sub(1);
        if *calls == 0 { (self.happens)() } else { Box::pin(async {}) }
    }
    fn fault(&self, _: &'static str) -> Fault {
        Fault::None
    }
    fn came(&self, _: &Came<'_>) {}
}

/// What comes after the test and before the promotion counts, too.
#[tokio::test]
async fn what_is_published_at_the_last_moment_stays() {
    let bed = Bed::new().await;
    let (node, done) = (bed.room.node.clone(), Arc::new(AtomicBool::new(false)));
    let is_done = done.clone();
    let happens = move || -> Pause {
        let (node, done) = (node.clone(), done.clone());
        Box::pin(async move {
            let body = json!({"secret_string": value("app", "by hand", json!({"by": "hand"}))});
            let got = node.root("AWS", "secret/aws/put-secret-value/app/db", body).await;
            assert_eq!(got.status, 200, "{got:?}");
            done.store(true, Ordering::Relaxed);
        })
    };
    // Three calls set it: does the next log in, does the current one, change. The fourth is the test.
    let weather = After { calls: Mutex::new(8), happens: Box::new(happens) };
    bed.servers.set_weather(Arc::new(weather));
    bed.rotate(V2, by(SINGLE)).await.unwrap();
    bed.room.reconcile().await;
    assert!(is_done.load(Ordering::Relaxed));
    let current = bed.current().await;
    assert_eq!(current.1, "by hand");
    assert!(bed.lets_in(&current), "the account has what is published");
    let status = bed.room.status().await;
    assert_eq!(status.outcomes.last().unwrap().error, "another version was published meanwhile");
}

/// What somebody publishes by hand is in use, whatever a rotation meant to take back.
#[tokio::test]
async fn what_is_published_by_hand_is_not_taken_back() {
    let bed = Bed::new().await;
    let publish = async |to: &str, from: &str| {
        let body = json!({"version_stage": "AWSCURRENT", "move_to_version_id": to,
            "remove_from_version_id": from});
        bed.room.aws("update-secret-version-stage", "app/db", body).await.unwrap();
    };
    // While the account before drains, an operator goes back to it.
    bed.rotate(V2, by("strongroom-postgresql-multi-user")).await.unwrap();
    bed.room.reconcile().await;
    publish(V1, V2).await;
    bed.room.later(7_201).await;
    assert_eq!(bed.state().await, "idle");
    assert_eq!(bed.current().await.0, "app");
    assert!(bed.lets_in(&bed.current().await));
    // One whose test does not come to its end is published, and then the rotation is called off.
    for rotator in ["strongroom-postgresql-single-user", "strongroom-postgresql-multi-user"] {
        let bed = Bed::new().await;
        bed.servers.fail(HOST, &[Fault::None, Fault::None, Fault::None, Fault::AnswerLost]);
        bed.rotate(V2, by(rotator)).await.unwrap();
        bed.room.reconcile().await;
        let made = bed.read(&bed.room.node.root, "AWSPENDING").await;
        let body = json!({"version_stage": "AWSCURRENT", "move_to_version_id": V2,
            "remove_from_version_id": V1});
        bed.room.aws("update-secret-version-stage", "app/db", body).await.unwrap();
        let works = bed.lets_in(&made);
        bed.room.aws("cancel-rotate-secret", "app/db", json!({})).await.unwrap();
        bed.room.later(3_600).await;
        assert_eq!(bed.current().await, made, "{rotator}");
        assert_eq!(bed.lets_in(&made), works, "{rotator}");
    }
}
