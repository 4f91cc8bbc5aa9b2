//! Many writers of one secret at once.

use super::*;

/// Runs `body` for each of `count` writers on threads of their own.
async fn together<F, Fut>(count: u64, body: F) -> Vec<Fut::Output>
where
    F: Fn(u64) -> Fut,
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|n| tokio::spawn(body(n))).collect();
    let mut out = Vec::new();
    for task in tasks {
        out.push(task.await.unwrap());
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_version_is_lost() {
    let room = Room::new().await;
    room.ok("WRITE", "secret/config", json!({"max_versions": 1000})).await;
    let (writers, each) = (8_u64, 15_u64);
    let node = room.node.clone();
    let versions = together(writers, |writer| {
        let node = node.clone();
        async move {
            let mut versions = Vec::new();
            for n in 0..each {
                let body = json!({"data": {"writer": writer, "n": n}});
                let got = node.root("WRITE", "secret/data/team/a", body).await;
                assert_eq!(got.status, 200, "{got:?}");
                versions.push(got.data()["version"].as_u64().unwrap());
            }
            versions
        }
    })
    .await;
    let mut all: Vec<u64> = versions.concat();
    all.sort_unstable();
    assert_eq!(all, (1..=writers * each).collect::<Vec<_>>(), "each write has its own number");
    // Each number still holds what its writer wrote, in the order in which it wrote.
    for (writer, versions) in versions.iter().enumerate() {
        for (n, version) in versions.iter().enumerate() {
            let path = format!("secret/data/team/a?version={version}");
            let got = room.ok("READ", &path, json!(null)).await;
            assert_eq!(got["data"], json!({"writer": writer, "n": n}));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn check_and_set_is_exact() {
    let room = Room::new().await;
    room.put("counter", json!({"n": 0})).await;
    let node = room.node.clone();
    let (writers, each) = (8_u64, 10_u64);
    together(writers, |_| {
        let node = node.clone();
        async move {
            let mut done = 0;
            while done < each {
                let got = node.root("READ", "secret/data/counter", json!(null)).await;
                assert_eq!(got.status, 200, "{got:?}");
                let n = got.data()["data"]["n"].as_u64().unwrap();
                let version = &got.data()["metadata"]["version"];
                let body = json!({"data": {"n": n + 1}, "options": {"cas": version}});
                let got = node.root("WRITE", "secret/data/counter", body).await;
                match got.status {
                    200 => done += 1,
                    400 => assert!(got.errors().contains("did not match"), "{got:?}"),
                    _ => panic!("{got:?}"),
                }
            }
        }
    })
    .await;
    let total = writers * each;
    assert_eq!(room.get("counter").await, Ok(json!({"n": total})), "no increment was lost");
    let view = room.ok("READ", "secret/metadata/counter", json!(null)).await;
    assert_eq!(view["current_version"], json!(total + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_one_can_be_the_first() {
    let room = Room::new().await;
    let node = room.node.clone();
    let statuses = together(8, |writer| {
        let node = node.clone();
        async move {
            let body = json!({"data": {"writer": writer}, "options": {"cas": 0}});
            node.root("WRITE", "secret/data/new/one", body).await.status
        }
    })
    .await;
    assert_eq!(statuses.iter().filter(|s| **s == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|s| **s == 400).count(), 7, "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_folder_does_not_go_under_a_new_secret() {
    let room = Room::new().await;
    let node = room.node.clone();
    // Removing the last secret of a folder and writing another into it, again and again.
    together(4, |writer| {
        let node = node.clone();
        async move {
            for n in 0..10 {
                let path = format!("team/{writer}-{n}");
                let data = format!("secret/data/{path}");
                let got = node.root("WRITE", &data, json!({"data": {"n": n}})).await;
                assert_eq!(got.status, 200, "{got:?}");
                let got = node.root("READ", &data, json!(null)).await;
                assert_eq!(got.status, 200, "{path} went under: {got:?}");
                let metadata = format!("secret/metadata/{path}");
                assert_eq!(node.root("DELETE", &metadata, json!(null)).await.status, 204);
            }
        }
    })
    .await;
    assert!(room.keys("LIST", "secret/metadata").await.is_empty(), "and no empty folder stays");
}

/// A new value is written over the trimmed one: who reads an old version meanwhile sees it, or that it is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_number_never_shows_another_versions_value() {
    let room = Room::new().await;
    room.ok("WRITE", "secret/metadata/turn", json!({"max_versions": 2})).await;
    room.put("turn", json!({"n": 1})).await;
    let node = room.node.clone();
    let last = 300_u64;
    together(4, |who| {
        let node = node.clone();
        async move {
            let mut at = 1;
            while at < last {
                if who == 0 {
                    at += 1;
                    let body = json!({"data": {"n": at}});
                    let got = node.root("WRITE", "secret/data/turn", body).await;
                    assert_eq!(got.data()["version"], json!(at), "{got:?}");
                    continue;
                }
                let current = node.root("READ", "secret/data/turn", json!(null)).await;
                at = current.data()["metadata"]["version"].as_u64().unwrap();
                assert_eq!(current.data()["data"]["n"], json!(at));
                let old = format!("secret/data/turn?version={}", at - 1);
                let got = node.root("READ", &old, json!(null)).await;
                match got.status {
                    200 if at > 1 => assert_eq!(got.data()["data"]["n"], json!(at - 1)),
                    200 => assert_eq!(got.data()["data"]["n"], got.data()["metadata"]["version"]),
                    _ => assert_eq!(got.status, 404, "{got:?}"),
                }
            }
        }
    })
    .await;
    let storage = &room.node.services().store.storage;
    let values = storage.count_rows(strongroom_kernel::record::rows::VALUES).await.unwrap();
    assert_eq!(values, 2, "nothing is left of what was trimmed");
}
