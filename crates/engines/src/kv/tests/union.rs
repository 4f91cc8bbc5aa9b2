//! The union model's laws, which every door relies on.

use strongroom_base::Timestamp;
use strongroom_kernel::record::Tx;

use super::*;
use crate::kv::secret::{
    AWS_CURRENT, AWS_PENDING, AWS_PREVIOUS, Head, NewVersion, Representation, Select, State,
    VersionExtra,
};
use crate::kv::store;

const T: Timestamp = Timestamp(1_000_000_000);

fn new(id: u128) -> NewVersion {
    NewVersion {
        id,
        value: id as u64,
        representation: Representation::Text,
        deletion: Timestamp::ZERO,
        writer: String::new(),
        extra: None,
    }
}

/// The numbers and ids of the publications kept.
fn published(head: &Head) -> Vec<(u64, u128)> {
    head.published().map(|v| (v.number, v.id)).collect()
}

#[test]
fn publications_move_the_stages() {
    let mut head = Head::new(9, T);
    assert_eq!(head.staged(AWS_CURRENT), None);
    head.publish(new(1), T, 10);
    assert_eq!((head.staged(AWS_CURRENT), head.staged(AWS_PREVIOUS)), (Some(1), None));
    head.publish(new(2), T, 10);
    assert_eq!((head.staged(AWS_CURRENT), head.staged(AWS_PREVIOUS)), (Some(2), Some(1)));
    // A pending version has no number and is invisible until it is published.
    head.add_pending(new(3), AWS_PENDING, T, 10);
    assert_eq!(published(&head), [(1, 1), (2, 2)]);
    assert_eq!(head.staged(AWS_PENDING), Some(3));
    assert_eq!(head.current, 2);
    head.publish_again(3, T, 10).unwrap();
    assert_eq!(published(&head), [(1, 1), (2, 2), (3, 3)]);
    assert_eq!((head.staged(AWS_CURRENT), head.staged(AWS_PREVIOUS)), (Some(3), Some(2)));
    // Moving AWSCURRENT back publishes the old value under the next number.
    head.publish_again(1, T, 10).unwrap();
    assert_eq!(published(&head), [(1, 1), (2, 2), (3, 3), (4, 1)]);
    assert_eq!((head.staged(AWS_CURRENT), head.staged(AWS_PREVIOUS)), (Some(1), Some(3)));
    // What is current already is not published again.
    assert_eq!(head.publish_again(1, T, 10).unwrap().0, 4);
    // A stage set by hand holds until the next publication.
    head.set_stage(AWS_PREVIOUS, Some(2));
    assert_eq!(head.staged(AWS_PREVIOUS), Some(2));
    head.publish(new(5), T, 10);
    assert_eq!(head.staged(AWS_PREVIOUS), Some(1));
    assert!(head.publish_again(77, T, 10).is_err());
}

#[test]
fn trimming_spares_what_a_stage_names() {
    let mut head = Head::new(9, T);
    head.publish(new(1), T, 2);
    head.set_stage("keep", Some(1));
    head.add_pending(new(50), AWS_PENDING, T, 2);
    for id in 2..=5 {
        head.publish(new(id), T, 2);
    }
    assert_eq!(published(&head), [(1, 1), (4, 4), (5, 5)]);
    assert!(head.version(Select::Id(50)).is_some());
    head.set_stage("keep", None);
    let (_, freed) = head.publish(new(6), T, 2);
    assert_eq!(published(&head), [(5, 5), (6, 6)]);
    assert_eq!(freed, [1, 4]);
}

#[test]
fn a_shared_value_goes_with_its_last_publication() {
    let mut head = Head::new(9, T);
    head.publish(new(1), T, 10);
    head.publish(new(2), T, 10);
    head.publish_again(1, T, 10).unwrap();
    assert_eq!(head.destroy(Select::Number(1)), None, "number 3 still shows it");
    assert_eq!(head.version(Select::Current).unwrap().readable(T), Some(1));
    assert_eq!(head.destroy(Select::Number(3)), Some(1));
    assert_eq!(head.destroy(Select::Number(3)), None);
    assert!(head.publish_again(1, T, 10).is_err(), "destroyed is for good");
    assert_eq!(head.rows(), [2]);
}

#[test]
fn versions_are_found_by_every_doors_name() {
    let mut head = Head::new(9, T);
    let extra = VersionExtra { client_token: Some("tok".to_owned()), ..Default::default() };
    head.publish(NewVersion { extra: Some(Box::new(extra)), ..new(1) }, T, 10);
    head.publish(new(2), T, 10);
    head.aliases.push(("stable".to_owned(), 1));
    for (select, number) in [
        (Select::Current, Some(2)),
        (Select::Number(1), Some(1)),
        (Select::Number(0), None),
        (Select::Number(3), None),
        (Select::Id(2), Some(2)),
        (Select::Stage(AWS_PREVIOUS), Some(1)),
        (Select::Stage("none"), None),
        (Select::Alias("stable"), Some(1)),
        (Select::Alias("none"), None),
        (Select::ClientToken("tok"), Some(1)),
        (Select::ClientToken("none"), None),
    ] {
        assert_eq!(head.version(select).map(|v| v.number), number, "{select:?}");
    }
}

#[test]
fn a_head_survives_its_encoding() {
    let mut head = Head::new(u128::MAX - 5, T);
    let extra = VersionExtra { content_type: "text/plain".to_owned(), ..Default::default() };
    head.publish(NewVersion { extra: Some(Box::new(extra)), ..new(u128::MAX) }, T, 10);
    head.labels.insert("k".to_owned(), "v".to_owned());
    head.version_mut(Select::Current).unwrap().state = State::Disabled;
    let bytes = strongroom_kernel::record::encode(&head).unwrap();
    let back: Head = strongroom_kernel::record::decode(&bytes).unwrap();
    assert_eq!(strongroom_kernel::record::encode(&back).unwrap(), bytes);
    let version = back.version(Select::Id(u128::MAX)).unwrap();
    assert_eq!((version.state, version.readable(T)), (State::Disabled, None));
    assert!(bytes.len() < 200, "a head of one version is small: {} bytes", bytes.len());
}

/// Runs `body` on the records of `secret/`.
async fn on_records<T>(room: &Room, body: impl AsyncFnOnce(&Tx, Scope) -> T) -> T {
    let services = room.node.services();
    let table = services.router.table().await.unwrap();
    let scope = table.at(Scope::ROOT, "secret/").unwrap().mount.scope;
    let tx = services.store.begin();
    let out = body(&tx, scope).await;
    tx.commit().await.unwrap();
    out
}

#[tokio::test]
async fn kv_shows_and_keeps_what_other_doors_wrote() {
    let room = Room::new().await;
    on_records(&room, async |tx, scope| {
        let edit = tx.write(scope);
        for (path, bytes, representation) in [
            ("text", &b"hello"[..], Representation::Text),
            ("binary", &[0xff, 0x00][..], Representation::Binary),
        ] {
            let (mut secret, _) = store::find_or_new(&edit, path, || 7, T).await.unwrap();
            let value =
                store::NewValue { bytes, representation, writer: String::new(), extra: None };
            let config = store::Config::default();
            store::publish(&edit, &mut secret, value, 1, &config, T).unwrap();
            store::save(&edit, path, &secret, true).await.unwrap();
        }
    })
    .await;
    for (path, shown) in
        [("text", json!({"value": "hello"})), ("binary", json!({"value_base64": "/wA="}))]
    {
        assert_eq!(room.get(path).await, Ok(shown.clone()));
        room.put(path, shown.clone()).await;
        assert_eq!(room.get(path).await, Ok(shown));
    }
    let forms = on_records(&room, async |tx, scope| {
        let mut forms = Vec::new();
        for path in ["text", "binary"] {
            let secret = store::find(&tx.read(scope), path).await.unwrap().unwrap();
            forms.push(secret.head.version(Select::Current).unwrap().representation);
        }
        forms
    })
    .await;
    assert_eq!(forms, [Representation::Text, Representation::Binary]);
}

#[tokio::test]
async fn a_scheduled_deletion_hides_the_secret_and_then_takes_it() {
    let room = Room::new().await;
    for path in ["t/a", "t/b", "c"] {
        room.put(path, json!({"x": 1})).await;
    }
    on_records(&room, async |tx, scope| {
        let edit = tx.write(scope);
        for path in ["t/a", "t/b", "c"] {
            let mut secret = store::find(&edit, path).await.unwrap().unwrap();
            secret.head.settings.recovery_seconds = 60;
            store::save(&edit, path, &secret, false).await.unwrap();
        }
    })
    .await;
    for path in ["t/a", "t/b", "c"] {
        room.ok("DELETE", &format!("secret/metadata/{path}"), json!(null)).await;
        assert_eq!(room.get(path).await, Err(404));
        let got = room.call("READ", &format!("secret/metadata/{path}"), json!(null)).await;
        assert_eq!(got.status, 404);
        let got = room.call("WRITE", &format!("secret/data/{path}"), json!({"data": {}})).await;
        assert_eq!(got.status, 400, "it can neither be read nor replaced");
    }
    let now = || room.node.services().store.now();
    let restored = on_records(&room, async |tx, scope| {
        let edit = tx.write(scope);
        assert!(!store::purge_due(&edit, now(), 10).await.unwrap());
        store::restore(&edit, "c", now()).await.unwrap()
    })
    .await;
    assert!(restored);
    assert_eq!(room.get("c").await, Ok(json!({"x": 1})));
    // A folder on the way may move meanwhile.
    room.ok("WRITE", "secret/move/t", json!({"to": "u/t", "recursive": true})).await;
    room.node.clock.advance(60);
    let more = on_records(&room, async |tx, scope| {
        store::purge_due(&tx.write(scope), now(), 1).await.unwrap()
    })
    .await;
    assert!(more, "one at a time");
    on_records(&room, async |tx, scope| {
        assert!(!store::purge_due(&tx.write(scope), now(), 10).await.unwrap());
    })
    .await;
    assert_eq!(room.keys("SCAN", "secret/metadata").await, ["c"]);
    assert_eq!(room.keys("LIST", "secret/metadata").await, ["c"]);
}
