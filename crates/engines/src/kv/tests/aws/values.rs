//! Values, their versions and labels.

use super::*;

#[tokio::test]
async fn a_put_is_done_once() {
    let room = Room::new().await;
    let made = room.secret("a", V1, "one").await;
    let suffix = made["suffix"].as_str().unwrap();
    for token in [V2, ODD] {
        let body = json!({"client_request_token": token, "secret_string": token});
        let first = room.aws("put-secret-value", "a", body.clone()).await.unwrap();
        assert_eq!(first["version_id"], token);
        assert_eq!(room.aws("put-secret-value", "a", body.clone()).await.unwrap(), first);
        assert_eq!(room.aws("update-secret", "a", body).await.unwrap()["version_id"], token);
        for other in [
            json!({"client_request_token": token, "secret_string": "other"}),
            json!({"client_request_token": token, "secret_binary": "b25l"}),
        ] {
            let mut other = other;
            other["arn"] = json!("arn:a");
            let said = room.aws("put-secret-value", "a", other).await.unwrap_err();
            let text = format!(
                "You can't use ClientRequestToken {token} because that value is already in use for a \
                 version of secret arn:a-{suffix}."
            );
            assert_eq!(said, ("ResourceExistsException".to_owned(), text));
        }
    }
    let view = room.ok("READ", "secret/metadata/a", json!(null)).await;
    assert_eq!(view["current_version"], 3);
    // The token of a version that is not the current one changes nothing either.
    room.put_text("a", V1, "one").await;
    assert_eq!(room.text("a").await.unwrap(), ODD);
    // What is written by Vault has an id, too, and nobody else's token is that id.
    room.put("a", json!({"k": "v"})).await;
    let read = room.aws("get-secret-value", "a", json!({})).await.unwrap();
    let id = read["version_id"].as_str().unwrap();
    assert_eq!(id.len(), 36);
    let body = json!({"client_request_token": id, "secret_string": r#"{"k":"v"}"#});
    assert_eq!(room.aws("put-secret-value", "a", body).await.unwrap()["version_id"], id);
    let body = json!({"client_request_token": id, "secret_string": "other"});
    assert_eq!(code(room.aws("put-secret-value", "a", body).await), "ResourceExistsException");
    // Without a token one is drawn.
    let body = json!({"secret_string": "drawn"});
    let first = room.aws("put-secret-value", "a", body.clone()).await.unwrap();
    assert_ne!(room.aws("put-secret-value", "a", body).await.unwrap(), first);
}

#[tokio::test]
async fn values_come_back_byte_for_byte() {
    let room = Room::new().await;
    let exact = "x".repeat(VALUE_BYTES_MAX);
    for text in ["plain", "{\"b\": 1.50,\n \"a\":  \"\\u00e9\"}", "[1]", "é\u{0}\r\n ", &exact] {
        let path = "text";
        room.aws("delete-secret", path, json!({"force_delete_without_recovery": true}))
            .await
            .unwrap();
        room.secret(path, V1, text).await;
        assert_eq!(room.text(path).await.unwrap(), text);
        assert_eq!(room.get(path).await, Ok(json!({"value": text})));
    }
    // A KV object is one JSON string here, and text that is an object stays one over it.
    room.put("object", json!({"b": 1, "a": "é"})).await;
    assert_eq!(room.text("object").await.unwrap(), r#"{"b":1,"a":"é"}"#);
    let spaced = "{ \"b\": 2.50 }";
    room.put_text("object", V1, spaced).await;
    assert_eq!(room.text("object").await.unwrap(), spaced);
    let kv = room.call("READ", "secret/data/object", json!(null)).await;
    assert_eq!(kv.data()["data"].to_string(), r#"{"b":2.50}"#);
    room.put_text("object", V2, "no object").await;
    assert_eq!(room.get("object").await, Ok(json!({"value": "no object"})));
    // Over text, an object is text, until KV writes another form.
    room.put_text("object", V3, r#"{"b":3}"#).await;
    assert_eq!(room.get("object").await, Ok(json!({"value": r#"{"b":3}"#})));
    room.put("object", json!({"value": "kept"})).await;
    assert_eq!(room.text("object").await.unwrap(), "kept");
    // Bytes.
    let body = json!({"client_request_token": V1, "secret_binary": "/wB7fQ=="});
    room.aws("create-secret", "bytes", body).await.unwrap();
    let read = room.aws("get-secret-value", "bytes", json!({})).await.unwrap();
    assert_eq!((read.get("secret_string"), &read["secret_binary"]), (None, &json!("/wB7fQ==")));
    assert_eq!(room.get("bytes").await, Ok(json!({"value_base64": "/wB7fQ=="})));
    // What is larger than AWS takes was written by another door and stays readable.
    let large = "y".repeat(2 * VALUE_BYTES_MAX);
    room.put("large", json!({"k": large})).await;
    assert_eq!(room.text("large").await.unwrap().len(), large.len() + 8);
}

#[tokio::test]
async fn labels_follow_the_versions() {
    let room = Room::new().await;
    room.aws("create-secret", "a", json!({})).await.unwrap();
    let put = async |token: &str, stages: Value| {
        let body = json!({"client_request_token": token, "secret_string": token,
            "version_stages": stages});
        room.aws("put-secret-value", "a", body).await.unwrap()["version_stages"].clone()
    };
    // The first value is the current one besides.
    assert_eq!(put(V1, json!(["AWSPENDING"])).await, json!(["AWSPENDING", "AWSCURRENT"]));
    assert_eq!(room.text("a").await.unwrap(), V1);
    // Other labels leave AWSCURRENT where it is, and KV does not see the version.
    assert_eq!(put(V2, json!(["AWSPENDING", "blue"])).await, json!(["AWSPENDING", "blue"]));
    assert_eq!(room.staged("a").await, json!({V1: ["AWSCURRENT"], V2: ["AWSPENDING", "blue"]}));
    assert_eq!(room.get("a").await, Ok(json!({"value": V1})));
    let view = room.ok("READ", "secret/metadata/a", json!(null)).await;
    assert_eq!(view["versions"].as_object().unwrap().len(), 1);
    let get = async |body: Value| {
        let data = room.aws("get-secret-value", "a", body).await?;
        Ok::<_, Failure>(data["secret_string"].as_str().unwrap().to_owned())
    };
    assert_eq!(get(json!({"version_stage": "blue"})).await.unwrap(), V2);
    assert_eq!(get(json!({"version_id": V2})).await.unwrap(), V2);
    assert_eq!(get(json!({"version_id": V2, "version_stage": "blue"})).await.unwrap(), V2);
    let text = "You provided a VersionStage that is not associated to the provided VersionId.";
    let said = get(json!({"version_id": V2, "version_stage": "AWSCURRENT"})).await.unwrap_err();
    assert_eq!(said, ("InvalidRequestException".to_owned(), text.to_owned()));
    let said = get(json!({"version_id": V3})).await.unwrap_err().1;
    assert_eq!(
        said,
        format!("Secrets Manager can't find the specified secret value for VersionId: {V3}")
    );

    // A rotation's last step: the pending version becomes the current one and keeps its label.
    let step = async |stage: &str, from: Value, to: Value| {
        let body = json!({"version_stage": stage, "remove_from_version_id": from,
            "move_to_version_id": to, "arn": "arn"});
        room.aws("update-secret-version-stage", "a", body).await
    };
    let said = step("AWSCURRENT", json!(null), json!(V2)).await.unwrap_err();
    let text = format!(
        "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently \
         attached to version {V1}, so you must explicitly reference that version in \
         RemoveFromVersionId."
    );
    assert_eq!(said, ("InvalidParameterException".to_owned(), text));
    for (stage, from, to, expect) in [
        ("AWSCURRENT", json!(V2), json!(V2), "InvalidParameterException"),
        ("AWSCURRENT", json!(V1), json!(null), "InvalidParameterException"),
        ("AWSCURRENT", json!(V1), json!(V3), "ResourceNotFoundException"),
        ("AWSCURRENT", json!(V3), json!(V2), "ResourceNotFoundException"),
        ("blue", json!(null), json!(V1), "InvalidParameterException"),
        ("green", json!(V1), json!(null), "InvalidParameterException"),
    ] {
        let said = step(stage, from.clone(), to.clone()).await;
        assert_eq!(code(said), expect, "{stage} {from} {to}");
    }
    step("AWSCURRENT", json!(V1), json!(V2)).await.unwrap();
    assert_eq!(
        room.staged("a").await,
        json!({V1: ["AWSPREVIOUS"], V2: ["AWSPENDING", "blue", "AWSCURRENT"]})
    );
    assert_eq!(room.get("a").await, Ok(json!({"value": V2})));
    // Once more is no change.
    step("AWSCURRENT", json!(V2), json!(V2)).await.unwrap();
    step("AWSCURRENT", json!(null), json!(V2)).await.unwrap();
    step("AWSPENDING", json!(V2), json!(null)).await.unwrap();
    step("green", json!(null), json!(V1)).await.unwrap();
    assert_eq!(
        room.staged("a").await,
        json!({V1: ["green", "AWSPREVIOUS"], V2: ["blue", "AWSCURRENT"]})
    );
    // Back again: KV sees a third publication, AWS the same two versions.
    step("AWSCURRENT", json!(V2), json!(V1)).await.unwrap();
    assert_eq!(
        room.staged("a").await,
        json!({V2: ["blue", "AWSPREVIOUS"], V1: ["green", "AWSCURRENT"]})
    );
    let view = room.ok("READ", "secret/metadata/a", json!(null)).await;
    assert_eq!(view["current_version"], 3);
    // AWSPREVIOUS can be taken off, and comes back with the next publication.
    step("AWSPREVIOUS", json!(V2), json!(null)).await.unwrap();
    assert_eq!(
        code(get(json!({"version_stage": "AWSPREVIOUS"})).await),
        "ResourceNotFoundException"
    );
    room.put_text("a", V3, "three").await;
    assert_eq!(get(json!({"version_stage": "AWSPREVIOUS"})).await.unwrap(), V1);
    // So many labels and no more.
    for n in 0..STAGES_MAX - 2 {
        step(&format!("l{n}"), json!(null), json!(V3)).await.unwrap();
    }
    assert_eq!(code(step("more", json!(null), json!(V3)).await), "LimitExceededException");
}
