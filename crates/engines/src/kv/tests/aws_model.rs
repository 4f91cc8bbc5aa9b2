//! Random sequences of operations at Vault's and AWS's doors, on one store, against one plain model:
//! the laws of the mapping (docs/doors/aws-secrets-manager.md), which no sequence may break.

use std::collections::BTreeMap;

use super::*;
use strongroom_base::Rng;
use strongroom_testkit::SimRng;

/// Steps of all runs together.
const STEPS: u64 = 100_000;
/// Runs, each with a store of its own.
const RUNS: u64 = 50;

/// A value, as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Form {
    Object(String),
    Text(String),
    Binary(String),
}

/// A version; one that was published again is there once for each publication.
#[derive(Clone, Debug)]
struct Version {
    /// Which value it is: the same for all its publications.
    value: u64,
    /// AWS's id, where AWS made it.
    token: Option<String>,
    /// 0 while nothing was published.
    number: u64,
    form: Form,
    deleted: bool,
    destroyed: bool,
}

#[derive(Clone, Default, Debug)]
struct Secret {
    /// The order of creation.
    made: u64,
    current: u64,
    oldest: u64,
    max_versions: u64,
    cas_required: bool,
    description: String,
    labels: BTreeMap<String, String>,
    versions: Vec<Version>,
    /// Labels that were put on by hand; none for AWSPREVIOUS taken off.
    stages: Vec<(String, Option<u64>)>,
    scheduled: bool,
    /// The token of a creation without value.
    made_with: Option<String>,
}

#[derive(Default)]
struct Model {
    secrets: BTreeMap<String, Secret>,
    counter: u64,
}

/// What is said of a request: `Ok` with what counts of the answer, or the status or AWS's name of the
/// failure.
type Said = Result<Value, String>;

fn fails<T>(name: &str) -> Result<T, String> {
    Err(name.to_owned())
}

impl Secret {
    fn current(&self) -> Option<&Version> {
        self.versions.iter().find(|v| v.number == self.current && v.number > 0)
    }

    /// The publication that stands for a value: the newest.
    fn newest(&self, value: u64) -> Option<&Version> {
        self.versions.iter().filter(|v| v.value == value).max_by_key(|v| v.number)
    }

    fn staged(&self, stage: &str) -> Option<u64> {
        if stage == "AWSCURRENT" {
            return self.current().map(|v| v.value);
        }
        if let Some((_, value)) = self.stages.iter().find(|(name, _)| name == stage) {
            return *value;
        }
        let current = self.current()?.value;
        let before = self.versions.iter().filter(|v| v.number > 0 && v.value != current);
        before.max_by_key(|v| v.number).filter(|_| stage == "AWSPREVIOUS").map(|v| v.value)
    }

    fn labels_of(&self, value: u64) -> Vec<String> {
        let named = self.stages.iter().filter(|(_, at)| *at == Some(value));
        let mut labels: Vec<String> = named.map(|(name, _)| name.clone()).collect();
        for stage in ["AWSCURRENT", "AWSPREVIOUS"] {
            if self.staged(stage) == Some(value) && !labels.contains(&stage.to_owned()) {
                labels.push(stage.to_owned());
            }
        }
        labels
    }

    fn set_stage(&mut self, stage: &str, value: Option<u64>) {
        self.stages.retain(|(name, _)| name != stage);
        if value.is_some() || stage == "AWSPREVIOUS" {
            self.stages.push((stage.to_owned(), value));
        }
    }

    fn is_labelled(stages: &[(String, Option<u64>)], value: u64) -> bool {
        stages.iter().any(|(_, at)| *at == Some(value))
    }

    fn publish(&mut self, version: Version) {
        self.current += 1;
        self.stages.retain(|(name, _)| name != "AWSPREVIOUS");
        self.versions.push(Version { number: self.current, deleted: false, ..version });
        let keep = if self.max_versions == 0 { 10 } else { self.max_versions };
        if self.current - self.oldest >= keep {
            let last = self.current - keep;
            self.oldest = last + 1;
            let stages = self.stages.clone();
            self.versions.retain(|v| {
                v.number == 0 || v.number > last || Self::is_labelled(&stages, v.value)
            });
        }
    }

    fn add_pending(&mut self, version: Version, stages: &[&str]) {
        let value = version.value;
        self.versions.push(version);
        self.set_stage(stages[0], Some(value));
        let keep = if self.max_versions == 0 { 10 } else { self.max_versions } as usize;
        let lost = |v: &Version, stages: &[(String, Option<u64>)]| {
            v.number == 0 && !Self::is_labelled(stages, v.value)
        };
        let all = self.versions.iter().filter(|v| lost(v, &self.stages)).count();
        let mut over = all.saturating_sub(keep);
        let stages_now = self.stages.clone();
        self.versions.retain(|v| {
            let goes = over > 0 && lost(v, &stages_now);
            over -= usize::from(goes);
            !goes
        });
        for stage in &stages[1..] {
            self.set_stage(stage, Some(value));
        }
    }

    /// What an object, written by KV, is kept as.
    fn of_kv(&self, object: Value) -> Form {
        let only = |member: &str| {
            let map = object.as_object().unwrap();
            map.get(member).and_then(Value::as_str).filter(|_| map.len() == 1).map(str::to_owned)
        };
        let kept = match self.current().map(|v| &v.form) {
            Some(Form::Text(_)) => only("value").map(Form::Text),
            Some(Form::Binary(_)) => only("value_base64").map(Form::Binary),
            _ => None,
        };
        kept.unwrap_or_else(|| Form::Object(object.to_string()))
    }

    /// What text, written by AWS, is kept as.
    fn of_aws(&self, text: &str) -> Form {
        let over = matches!(self.current().map(|v| &v.form), Some(Form::Object(_)));
        let object = serde_json::from_str::<Value>(text).is_ok_and(|v| v.is_object());
        if over && object { Form::Object(text.to_owned()) } else { Form::Text(text.to_owned()) }
    }
}

fn in_kv(form: &Form) -> Value {
    match form {
        Form::Object(text) => serde_json::from_str(text).unwrap(),
        Form::Text(text) => json!({ "value": text }),
        Form::Binary(base64) => json!({ "value_base64": base64 }),
    }
}

fn in_aws(form: &Form) -> Value {
    match form {
        Form::Object(text) | Form::Text(text) => json!({ "secret_string": text }),
        Form::Binary(base64) => json!({ "secret_binary": base64 }),
    }
}

impl Model {
    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// The secret, unless its deletion is scheduled.
    fn open(&mut self, path: &str) -> Option<&mut Secret> {
        self.secrets.get_mut(path).filter(|s| !s.scheduled)
    }

    fn of_aws(&mut self, path: &str) -> Result<&mut Secret, String> {
        match self.secrets.get_mut(path) {
            None => fails("ResourceNotFoundException"),
            Some(secret) if secret.scheduled => fails("InvalidRequestException"),
            Some(secret) => Ok(secret),
        }
    }

    fn kv_write(&mut self, path: &str, object: Value, cas: Option<u64>) -> Said {
        let (made, value) = (self.next(), self.next());
        let secret = self.secrets.get(path).cloned();
        let mut secret = secret.unwrap_or(Secret { made, ..Secret::default() });
        let bad = match cas {
            _ if secret.scheduled => true,
            Some(cas) => cas != secret.current,
            None => secret.cas_required,
        };
        if bad {
            return fails("400");
        }
        let form = secret.of_kv(object);
        let version =
            Version { value, token: None, number: 0, form, deleted: false, destroyed: false };
        secret.publish(version);
        let number = secret.current;
        self.secrets.insert(path.to_owned(), secret);
        Ok(json!(number))
    }

    fn kv_read(&mut self, path: &str, number: u64) -> Said {
        let Some(secret) = self.open(path) else { return fails("404") };
        let number = if number == 0 { secret.current } else { number };
        match secret.versions.iter().find(|v| v.number == number && number > 0) {
            Some(v) if !v.deleted && !v.destroyed => Ok(in_kv(&v.form)),
            _ => fails("404"),
        }
    }

    fn kv_change(&mut self, path: &str, number: u64, change: impl Fn(&mut Version)) {
        let Some(secret) = self.open(path) else { return };
        let number = if number == 0 { secret.current } else { number };
        let found = secret.versions.iter_mut().find(|v| v.number == number && number > 0);
        if let Some(version) = found.filter(|v| !v.destroyed) {
            change(version);
        }
    }

    fn create(&mut self, path: &str, token: &str, text: Option<&str>) -> Said {
        let (made, value) = (self.next(), self.next());
        if let Some(secret) = self.secrets.get(path) {
            if secret.scheduled {
                return fails("InvalidRequestException");
            }
            let same = match text {
                None => secret.made_with.as_deref() == Some(token),
                Some(text) => secret.versions.iter().any(|v| {
                    v.token.as_deref() == Some(token) && !v.destroyed && is_text(&v.form, text)
                }),
            };
            return if same {
                Ok(json!(text.map(|_| token)))
            } else {
                fails("ResourceExistsException")
            };
        }
        let mut secret = Secret { made, max_versions: 100, ..Secret::default() };
        match text {
            None => secret.made_with = Some(token.to_owned()),
            Some(text) => {
                let version = made_by_aws(value, token, secret.of_aws(text));
                secret.publish(version);
            }
        }
        self.secrets.insert(path.to_owned(), secret);
        Ok(json!(text.map(|_| token)))
    }

    fn put(&mut self, path: &str, token: &str, given: &Form, stages: &[&str]) -> Said {
        let value = self.next();
        let secret = self.of_aws(path)?;
        let known = secret.versions.iter().find(|v| v.token.as_deref() == Some(token)).cloned();
        if let Some(known) = known {
            let newest = secret.newest(known.value).unwrap();
            let same = match given {
                Form::Text(text) => is_text(&newest.form, text),
                given => newest.form == *given,
            };
            return match same && !newest.destroyed {
                true => Ok(json!(secret.labels_of(known.value))),
                false => fails("ResourceExistsException"),
            };
        }
        let form = match given {
            Form::Text(text) => secret.of_aws(text),
            other => other.clone(),
        };
        let version = made_by_aws(value, token, form);
        if stages.is_empty() || stages.contains(&"AWSCURRENT") || secret.current == 0 {
            if secret.cas_required {
                return fails("InvalidRequestException");
            }
            secret.publish(version);
            for stage in stages.iter().filter(|s| **s != "AWSCURRENT") {
                secret.set_stage(stage, Some(value));
            }
        } else {
            secret.add_pending(version, stages);
        }
        Ok(json!(secret.labels_of(value)))
    }

    fn move_stage(
        &mut self,
        path: &str,
        stage: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Said {
        let secret = self.of_aws(path)?;
        let find = |secret: &Secret, token: &str| {
            let found = secret.versions.iter().find(|v| v.token.as_deref() == Some(token));
            found.map(|v| v.value).ok_or("ResourceNotFoundException".to_owned())
        };
        let to = to.map(|t| find(secret, t)).transpose()?;
        let from = from.map(|t| find(secret, t)).transpose()?;
        let holder = secret.staged(stage);
        if !(from == holder || from.is_none() && holder == to) {
            return fails("InvalidParameterException");
        }
        match to {
            None if stage == "AWSCURRENT" => return fails("InvalidParameterException"),
            Some(to) if stage == "AWSCURRENT" => {
                let version = secret.newest(to).cloned().unwrap();
                if version.deleted || version.destroyed {
                    return fails("InvalidRequestException");
                }
                if version.number != secret.current {
                    secret.versions.retain(|v| v.value != to || v.number > 0);
                    secret.publish(version);
                }
            }
            to => secret.set_stage(stage, to),
        }
        Ok(Value::Null)
    }

    fn get(&mut self, path: &str, stage: &str) -> Said {
        let secret = self.of_aws(path)?;
        let value = secret.staged(stage);
        match value.and_then(|value| secret.newest(value)) {
            Some(v) if !v.deleted && !v.destroyed => {
                let mut view = in_aws(&v.form);
                view["version_stages"] = json!(secret.labels_of(v.value));
                Ok(view)
            }
            _ => fails("ResourceNotFoundException"),
        }
    }

    fn delete(&mut self, path: &str, force: bool) -> Said {
        match self.secrets.get_mut(path) {
            _ if force => {
                self.secrets.remove(path);
            }
            None => return fails("ResourceNotFoundException"),
            Some(secret) if secret.scheduled => return fails("InvalidRequestException"),
            Some(secret) => secret.scheduled = true,
        }
        Ok(Value::Null)
    }
}

fn is_text(form: &Form, given: &str) -> bool {
    matches!(form, Form::Text(text) | Form::Object(text) if text == given)
}

fn made_by_aws(value: u64, token: &str, form: Form) -> Version {
    let token = Some(token.to_owned());
    Version { value, token, number: 0, form, deleted: false, destroyed: false }
}

/// A source of small random numbers.
struct Dice(Arc<SimRng>);

impl Dice {
    fn roll(&self, sides: u64) -> u64 {
        u64::from_le_bytes(self.0.bytes()) % sides
    }

    fn pick<'a>(&self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len() as u64) as usize]
    }
}

const PATHS: [&str; 5] = ["a", "a/b", "~/c", "d", "e/f"];
const STAGES: [&str; 5] = ["AWSCURRENT", "AWSPREVIOUS", "AWSPENDING", "blue", "AWSPENDING"];
const TEXTS: [&str; 4] = ["text", r#"{ "a": 1.0 }"#, r#"{"value":"in"}"#, "[1]"];

/// One of a few tokens, in both of their forms.
fn token(dice: &Dice) -> String {
    match dice.roll(12) {
        n @ 0..9 => format!("00000000-0000-4000-8000-00000000000{}", n + 1),
        n => format!("a token that is no uuid at all, the {n}th"),
    }
}

/// What the store says, as the model says it.
fn said(got: &Got, part: impl FnOnce(&Value) -> Value) -> Said {
    match (got.status, &got.body["code"]) {
        (200 | 204, _) => Ok(part(got.data())),
        (_, Value::String(code)) => Err(code.clone()),
        (status, _) => Err(status.to_string()),
    }
}

/// One random step on both; panics where they differ.
async fn step(room: &Room, model: &mut Model, dice: &Dice, run: u64, n: u64) {
    let path = dice.pick(&PATHS);
    let kv = |endpoint: &str| format!("secret/{endpoint}/{path}");
    let aws = |operation: &str| format!("secret/aws/{operation}/{path}");
    let nothing = |_: &Value| Value::Null;
    let number = dice.roll(5);
    let (name, want, have) = match dice.roll(30) {
        0..=3 => {
            let object = match dice.roll(5) {
                0 => json!({"value": "x"}),
                1 => json!({"value_base64": "eA=="}),
                _ => json!({"n": n}),
            };
            let cas = if dice.roll(3) == 0 { Some(dice.roll(4)) } else { None };
            let mut body = json!({ "data": object });
            if let Some(cas) = cas {
                body["options"] = json!({ "cas": cas });
            }
            let want = model.kv_write(path, object, cas);
            let got = room.call("WRITE", &kv("data"), body).await;
            ("kv write", want, said(&got, |d| d["version"].clone()))
        }
        4 | 5 => {
            let want = model.kv_read(path, number);
            let got =
                room.call("READ", &format!("{}?version={number}", kv("data")), Value::Null).await;
            ("kv read", want, said(&got, |d| d["data"].clone()))
        }
        6 => {
            model.kv_change(path, 0, |v| v.deleted = true);
            let got = room.call("DELETE", &kv("data"), Value::Null).await;
            ("kv delete", Ok(Value::Null), said(&got, nothing))
        }
        7 | 8 => {
            let number = number + 1;
            model.kv_change(path, number, |v| v.deleted = false);
            let got = room.call("WRITE", &kv("undelete"), json!({"versions": [number]})).await;
            ("kv undelete", Ok(Value::Null), said(&got, nothing))
        }
        9 => {
            let number = number + 1;
            model.kv_change(path, number, |v| v.destroyed = true);
            let got = room.call("WRITE", &kv("destroy"), json!({"versions": [number]})).await;
            ("kv destroy", Ok(Value::Null), said(&got, nothing))
        }
        10 => {
            let made = model.next();
            let secret = model.secrets.entry(path.to_owned());
            let secret = secret.or_insert(Secret { made, ..Secret::default() });
            let (most, cas) = (dice.roll(6), dice.roll(8) == 0);
            let body =
                json!({"max_versions": most, "cas_required": cas, "custom_metadata": {"n": n}});
            let want = if secret.scheduled { fails("400") } else { Ok(Value::Null) };
            if want.is_ok() {
                (secret.max_versions, secret.cas_required) = (most, cas);
                secret.labels = BTreeMap::from([("n".to_owned(), n.to_string())]);
            }
            let got = room.call("WRITE", &kv("metadata"), body).await;
            ("kv metadata", want, said(&got, nothing))
        }
        11 => {
            if model.open(path).is_some() && dice.roll(3) == 0 {
                model.secrets.remove(path);
                let got = room.call("DELETE", &kv("metadata"), Value::Null).await;
                ("kv remove", Ok(Value::Null), said(&got, nothing))
            } else {
                return;
            }
        }
        12..=14 => {
            let (token, text) = (token(dice), dice.pick(&TEXTS));
            let text = (dice.roll(3) > 0).then_some(text);
            let want = model.create(path, &token, text);
            let body = json!({"client_request_token": token, "secret_string": text});
            let got = room.call("AWS", &aws("create-secret"), body).await;
            ("create", want, said(&got, |d| d["version_id"].clone()))
        }
        15..=18 => {
            let token = token(dice);
            let given = match dice.roll(5) {
                0 => Form::Binary("AAE=".to_owned()),
                _ => Form::Text(dice.pick(&TEXTS).to_owned()),
            };
            let stages: Vec<&str> = match dice.roll(4) {
                0 => vec![dice.pick(&STAGES)],
                1 => vec!["AWSPENDING", "green"],
                _ => vec![],
            };
            let want = model.put(path, &token, &given, &stages);
            let mut body = in_aws(&given);
            body["client_request_token"] = json!(token);
            if !stages.is_empty() {
                body["version_stages"] = json!(stages);
            }
            let got = room.call("AWS", &aws("put-secret-value"), body).await;
            ("put", want, said(&got, |d| d["version_stages"].clone()))
        }
        19 | 20 => {
            let stage = dice.pick(&STAGES);
            let (a, b) = (token(dice), token(dice));
            // Most of the time the one who has the label is named.
            let holder = model.secrets.get(path).and_then(|s| {
                let value = s.staged(stage)?;
                s.newest(value)?.token.clone()
            });
            let from = if dice.roll(4) == 0 { Some(a) } else { holder };
            let to = (dice.roll(4) > 0).then_some(b);
            if from.is_none() && to.is_none() {
                return;
            }
            let want = model.move_stage(path, stage, from.as_deref(), to.as_deref());
            let body = json!({"version_stage": stage, "remove_from_version_id": from,
                "move_to_version_id": to});
            let got = room.call("AWS", &aws("update-secret-version-stage"), body).await;
            ("move stage", want, said(&got, nothing))
        }
        21..=24 => {
            let stage = dice.pick(&STAGES);
            let want = model.get(path, stage);
            let got =
                room.call("AWS", &aws("get-secret-value"), json!({"version_stage": stage})).await;
            let view = |data: &Value| {
                let mut data = data.as_object().unwrap().clone();
                for other in ["path", "suffix", "version_id", "created_date"] {
                    data.shift_remove(other);
                }
                Value::Object(data)
            };
            ("get", want, said(&got, view))
        }
        25 => {
            let force = dice.roll(2) == 0;
            let want = model.delete(path, force);
            let body = json!({"force_delete_without_recovery": force});
            let got = room.call("AWS", &aws("delete-secret"), body).await;
            ("delete", want, said(&got, nothing))
        }
        26 | 27 => {
            let want = match model.secrets.get_mut(path) {
                Some(secret) => {
                    secret.scheduled = false;
                    Ok(Value::Null)
                }
                None => fails("ResourceNotFoundException"),
            };
            let got = room.call("AWS", &aws("restore-secret"), json!({})).await;
            ("restore", want, said(&got, nothing))
        }
        28 => {
            let text = n.to_string();
            let want = model.of_aws(path).map(|secret| {
                secret.labels.insert("t".to_owned(), text.clone());
                Value::Null
            });
            let body = json!({"tags": [{"key": "t", "value": text}]});
            let got = room.call("AWS", &aws("tag-resource"), body).await;
            ("tag", want, said(&got, nothing))
        }
        _ => {
            let text = n.to_string();
            let want = model.of_aws(path).map(|secret| {
                secret.description = text.clone();
                Value::Null
            });
            let got = room.call("AWS", &aws("update-secret"), json!({"description": text})).await;
            ("update", want, said(&got, nothing))
        }
    };
    assert_eq!(have, want, "run {run}, step {n}: {name} {path}");
}

/// All that both doors tell, against the model.
async fn compare(room: &Room, model: &mut Model, at: &str) {
    let mut all: Vec<(&String, &Secret)> = model.secrets.iter().collect();
    all.sort_by_key(|(_, s)| s.made);
    let names: Vec<&String> = all.iter().map(|(path, _)| *path).collect();
    let body = json!({"include_planned_deletion": true});
    let listed = room.call("AWS", "secret/aws/list-secrets", body).await;
    let listed = listed.data()["secrets"].as_array().unwrap().clone();
    let paths: Vec<&str> = listed.iter().map(|s| s["path"].as_str().unwrap()).collect();
    assert_eq!(paths, names, "{at}: the order of creation");
    for ((path, secret), shown) in all.into_iter().zip(&listed) {
        let mut stages = BTreeMap::new();
        for version in secret.versions.iter().filter(|v| v.token.is_some()) {
            let labels = secret.labels_of(version.value);
            if !labels.is_empty() {
                stages.insert(version.token.clone().unwrap(), json!(labels));
            }
        }
        for (token, labels) in stages {
            assert_eq!(shown["version_ids_to_stages"][&token], labels, "{at} {path} {token}");
        }
        let tags: BTreeMap<String, String> = shown["tags"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|t| {
                (t["key"].as_str().unwrap().to_owned(), t["value"].as_str().unwrap().to_owned())
            })
            .collect();
        assert_eq!(tags, secret.labels, "{at} {path}");
        assert_eq!(
            shown["description"].as_str().unwrap_or_default(),
            secret.description,
            "{at} {path}"
        );
        assert_eq!(shown.get("deleted_date").is_some(), secret.scheduled, "{at} {path}");
        let got = room.call("READ", &format!("secret/metadata/{path}"), Value::Null).await;
        if secret.scheduled {
            assert_eq!(got.status, 404, "{at} {path}");
            continue;
        }
        let view = got.data();
        assert_eq!(view["current_version"], json!(secret.current), "{at} {path}");
        assert_eq!(view["oldest_version"], json!(secret.oldest), "{at} {path}");
        let mut numbers: Vec<u64> =
            secret.versions.iter().map(|v| v.number).filter(|n| *n > 0).collect();
        numbers.sort_unstable();
        let have = view["versions"].as_object().unwrap().keys();
        assert_eq!(have.map(|k| k.parse().unwrap()).collect::<Vec<u64>>(), numbers, "{at} {path}");
        // The one law above all: what is current at one door is current at each.
        let kv = room.call("READ", &format!("secret/data/{path}"), Value::Null).await;
        let aws = room.call("AWS", &format!("secret/aws/get-secret-value/{path}"), json!({})).await;
        match secret.current().filter(|v| !v.deleted && !v.destroyed) {
            Some(current) => {
                assert_eq!(kv.data()["data"], in_kv(&current.form), "{at} {path}");
                for (member, value) in in_aws(&current.form).as_object().unwrap() {
                    assert_eq!(&aws.data()[member], value, "{at} {path}");
                }
            }
            None => assert_eq!((kv.status, aws.status), (404, 404), "{at} {path}"),
        }
    }
}

async fn run(seed: u64) {
    let room = Room::new().await;
    let mut model = Model::default();
    let dice = Dice(SimRng::new(seed));
    for n in 0..STEPS / RUNS {
        step(&room, &mut model, &dice, seed, n).await;
        if n % 200 == 199 {
            compare(&room, &mut model, &format!("run {seed}, after step {n}")).await;
        }
    }
}

#[test]
fn both_doors_agree_with_one_model() {
    let next = std::sync::atomic::AtomicU64::new(1);
    let worker = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        loop {
            let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if seed > RUNS {
                return;
            }
            runtime.block_on(run(seed));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(worker);
        }
    });
}
