//! Steps on the model and the store, and the comparison of both.

use super::*;

/// One random step on both; panics where they differ.
pub(super) async fn step(room: &Room, model: &mut Model, dice: &Dice, run: u64, n: u64) {
    let path = dice.pick(&PATHS);
    let kv = |endpoint: &str| format!("secret/{endpoint}/{path}");
    let aws = |operation: &str| format!("secret/aws/{operation}/{path}");
    let nothing = |_: &Value| Value::Null;
    let number = dice.roll(5);
    // The first ones are Vault's.
    let (name, want, have) = match dice.roll(if is_parameter(path) { 12 } else { 30 }) {
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
pub(super) async fn compare(room: &Room, model: &mut Model, at: &str) {
    let mut all: Vec<(&String, &Secret)> = model.secrets.iter().collect();
    all.sort_by_key(|(_, s)| s.made);
    let (parameters, all): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(path, _)| is_parameter(path));
    for (path, secret) in parameters {
        let kv = room.call("READ", &format!("secret/data/{path}"), Value::Null).await;
        match secret.current().filter(|v| !v.deleted && !v.destroyed) {
            Some(current) => assert_eq!(kv.data()["data"], in_kv(&current.form), "{at} {path}"),
            None => assert_eq!(kv.status, 404, "{at} {path}"),
        }
    }
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
