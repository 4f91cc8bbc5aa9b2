//! Random sequences of operations against a simple model of KV v2.

use std::collections::BTreeMap;

use super::*;

/// A version in the model.
#[derive(Clone)]
struct Version {
    value: Value,
    deleted: bool,
    destroyed: bool,
}

/// A secret in the model.
#[derive(Clone, Default)]
struct Secret {
    current: u64,
    oldest: u64,
    max_versions: u64,
    cas_required: bool,
    labels: BTreeMap<String, String>,
    versions: BTreeMap<u64, Version>,
}

/// The whole mount in the model.
#[derive(Default)]
struct Model {
    secrets: BTreeMap<String, Secret>,
}

/// What the model says of a request: the status, and the data where it matters.
type Said = (u16, Option<Value>);

impl Model {
    fn put(&mut self, path: &str, value: Value, cas: Option<u64>) -> Said {
        let mut secret = self.secrets.get(path).cloned().unwrap_or_default();
        match cas {
            Some(cas) if cas != secret.current => return (400, None),
            None if secret.cas_required => return (400, None),
            _ => {}
        }
        secret.current += 1;
        let version = Version { value, deleted: false, destroyed: false };
        secret.versions.insert(secret.current, version);
        let keep = if secret.max_versions == 0 { 10 } else { secret.max_versions };
        if secret.current - secret.oldest >= keep {
            let last = secret.current - keep;
            secret.versions.retain(|number, _| *number > last);
            secret.oldest = last + 1;
        }
        let number = secret.current;
        self.secrets.insert(path.to_owned(), secret);
        (200, Some(json!(number)))
    }

    fn get(&self, path: &str, number: u64) -> Said {
        let Some(secret) = self.secrets.get(path) else { return (404, None) };
        let number = if number == 0 { secret.current } else { number };
        match secret.versions.get(&number) {
            Some(v) if !v.deleted && !v.destroyed => (200, Some(v.value.clone())),
            _ => (404, None),
        }
    }

    fn patch(&mut self, path: &str, key: &str, value: Value) -> Said {
        let Some(secret) = self.secrets.get(path) else { return (404, None) };
        // A check-and-set that is required is asked for before the version is looked at.
        if secret.cas_required {
            return (400, None);
        }
        let (200, Some(mut object)) = self.get(path, 0) else { return (404, None) };
        let map = object.as_object_mut().unwrap();
        match value {
            Value::Null => map.shift_remove(key),
            value => map.insert(key.to_owned(), value),
        };
        self.put(path, object, None)
    }

    fn change(&mut self, path: &str, number: u64, change: impl Fn(&mut Version)) -> Said {
        if let Some(secret) = self.secrets.get_mut(path) {
            let number = if number == 0 { secret.current } else { number };
            if let Some(version) = secret.versions.get_mut(&number).filter(|v| !v.destroyed) {
                change(version);
            }
        }
        (204, None)
    }

    fn list(&self, folder: &str) -> Said {
        let mut names: Vec<String> = self
            .secrets
            .keys()
            .filter_map(|path| path.strip_prefix(folder))
            .map(|rest| match rest.split_once('/') {
                Some((head, _)) => format!("{head}/"),
                None => rest.to_owned(),
            })
            .collect();
        names.sort();
        names.dedup();
        if names.is_empty() { (404, None) } else { (200, Some(json!(names))) }
    }

    fn rename(&mut self, from: &str, to: &str) -> Said {
        if self.secrets.contains_key(to) || !self.secrets.contains_key(from) {
            return (if self.secrets.contains_key(from) { 400 } else { 404 }, None);
        }
        let secret = self.secrets.remove(from).unwrap();
        self.secrets.insert(to.to_owned(), secret);
        (200, None)
    }
}

const PATHS: [&str; 7] = ["a", "a/b", "a/b/c", "a/d", "e/f", "g", "g/a"];

/// One random step on both; panics where they differ.
async fn step(room: &Room, model: &mut Model, dice: &Dice, n: u64) {
    let path = dice.pick(&PATHS);
    let number = dice.roll(4);
    let at = |endpoint: &str| format!("secret/{endpoint}/{path}");
    let versions = json!({"versions": [number]});
    let (said, got) = match dice.roll(14) {
        0..=3 => {
            let cas = [None, None, Some(dice.roll(3)), Some(0)][dice.roll(4) as usize];
            let value = json!({"n": n, "k": dice.roll(3)});
            let mut body = json!({"data": value});
            if let Some(cas) = cas {
                body["options"] = json!({"cas": cas});
            }
            let said = model.put(path, value, cas);
            let got = room.call("WRITE", &at("data"), body).await;
            (said, (got.status, (got.status == 200).then(|| got.data()["version"].clone())))
        }
        4 | 5 => {
            let said = model.get(path, number);
            let got =
                room.call("READ", &format!("{}?version={number}", at("data")), json!(null)).await;
            (said, (got.status, (got.status == 200).then(|| got.data()["data"].clone())))
        }
        6 => {
            let key = dice.pick(&["n", "k", "new"]);
            let value = if dice.roll(2) == 0 { json!(null) } else { json!(n) };
            let said = model.patch(path, key, value.clone());
            let got = room.call("PATCH", &at("data"), json!({"data": {key: value}})).await;
            (said, (got.status, (got.status == 200).then(|| got.data()["version"].clone())))
        }
        7 => {
            let said = model.change(path, 0, |v| v.deleted = true);
            (said, (room.call("DELETE", &at("data"), json!(null)).await.status, None))
        }
        8 if number > 0 => {
            let said = model.change(path, number, |v| v.deleted = false);
            (said, (room.call("WRITE", &at("undelete"), versions).await.status, None))
        }
        9 if number > 0 => {
            let said = model.change(path, number, |v| v.destroyed = true);
            (said, (room.call("WRITE", &at("destroy"), versions).await.status, None))
        }
        10 => {
            let secret = model.secrets.entry(path.to_owned()).or_default();
            secret.max_versions = dice.roll(4);
            secret.cas_required = dice.roll(5) == 0;
            secret.labels.insert("n".to_owned(), n.to_string());
            let body = json!({"max_versions": secret.max_versions,
                "cas_required": secret.cas_required, "custom_metadata": {"n": n}});
            ((204, None), (room.call("WRITE", &at("metadata"), body).await.status, None))
        }
        11 => {
            model.secrets.remove(path);
            ((204, None), (room.call("DELETE", &at("metadata"), json!(null)).await.status, None))
        }
        12 => {
            let folder = dice.pick(&["", "a/", "a/b/", "e/", "g/"]);
            let said = model.list(folder);
            let got = room.call("LIST", &format!("secret/metadata/{folder}"), json!(null)).await;
            (said, (got.status, (got.status == 200).then(|| got.data()["keys"].clone())))
        }
        13 => {
            let to = dice.pick(&PATHS);
            if to == path {
                return;
            }
            let said = model.rename(path, to);
            (said, (room.call("WRITE", &at("move"), json!({"to": to})).await.status, None))
        }
        _ => return,
    };
    assert_eq!(got, said, "step {n} at {path}");
}

#[tokio::test]
async fn random_sequences_agree_with_the_model() {
    for seed in 1..=6 {
        let room = Room::new().await;
        let mut model = Model::default();
        let dice = Dice(SimRng::new(seed));
        for n in 0..250 {
            step(&room, &mut model, &dice, n).await;
        }
        // At the end all is alike.
        let scanned = room.keys("SCAN", "secret/metadata").await;
        assert_eq!(scanned, model.secrets.keys().cloned().collect::<Vec<_>>(), "seed {seed}");
        for (path, secret) in &model.secrets {
            let view = room.ok("READ", &format!("secret/metadata/{path}"), json!(null)).await;
            assert_eq!(view["current_version"], json!(secret.current), "{path}");
            assert_eq!(view["oldest_version"], json!(secret.oldest), "{path}");
            let labels = if secret.labels.is_empty() { Value::Null } else { json!(secret.labels) };
            assert_eq!(view["custom_metadata"], labels, "{path}");
            let numbers: Vec<u64> = secret.versions.keys().copied().collect();
            let shown = view["versions"].as_object().unwrap().keys();
            assert_eq!(shown.map(|k| k.parse().unwrap()).collect::<Vec<u64>>(), numbers, "{path}");
            for number in numbers {
                let (status, value) = model.get(path, number);
                let path = format!("secret/data/{path}?version={number}");
                let got = room.call("READ", &path, json!(null)).await;
                assert_eq!(got.status, status, "seed {seed} {path}");
                assert_eq!(got.data()["data"], value.unwrap_or(Value::Null), "seed {seed} {path}");
            }
        }
    }
}
