//! `kv`, and which requests its commands make.

use super::KV2;
use super::run::Script;

#[test]
fn kv_get_prints_path_metadata_and_data() {
    let secret = r#"{"data":{"data":{"user":"kim","n":1.50},"metadata":
        {"created_time":"2026-01-02T03:04:05Z","custom_metadata":null,"deletion_time":"",
         "destroyed":false,"version":2}}}"#;
    let script = Script::new(&[(200, KV2), (200, secret), (200, KV2), (200, secret)]);
    let ran = script.run().words(&["kv", "get", "-mount=secret", "team/app"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(
        ran.out,
        "==== Secret Path ====\nsecret/data/team/app\n\n======= Metadata =======\n\
         Key                Value\n---                -----\n\
         created_time       2026-01-02T03:04:05Z\ncustom_metadata    <nil>\n\
         deletion_time      n/a\ndestroyed          false\nversion            2\n\n\
         ==== Data ====\nKey     Value\n---     -----\nn       1.50\nuser    kim\n"
    );
    let ran = script.run().words(&["kv", "get", "-version=1", "-field=user", "secret/team/app"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "kim"));
    assert_eq!(
        script.asked(),
        [
            "GET /v1/sys/internal/ui/mounts/secret",
            "GET /v1/secret/data/team/app",
            "GET /v1/sys/internal/ui/mounts/secret/team/app",
            "GET /v1/secret/data/team/app?version=1",
        ]
    );
}

#[test]
fn kv_put_keeps_the_order_of_fields_and_reads_stdin() {
    let script = Script::new(&[(200, KV2), (200, r#"{"data":{"version":1}}"#)]);
    let ran = script.run().stdin("pw\n").words(&[
        "kv",
        "put",
        "-cas=0",
        "secret/app",
        "z=1",
        "password=-",
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with("= Secret Path =\nsecret/data/app\n"), "{}", ran.out);
    assert_eq!(
        script.asked()[1],
        r#"PUT /v1/secret/data/app {"data":{"z":"1","password":"pw\n"},"options":{"cas":0}}"#
    );
}

#[test]
fn kv_patch_falls_back_where_the_server_or_the_policy_does_not_merge() {
    let now = r#"{"data":{"data":{"a":"1","b":"2"},"metadata":{"version":3}}}"#;
    let refused = r#"{"errors":["permission denied"]}"#;
    for (status, warns) in [(403, true), (405, false)] {
        let script = Script::new(&[
            (200, KV2),
            (status, refused),
            (200, now),
            (200, r#"{"data":{"version":4}}"#),
        ]);
        let ran = script.run().words(&["kv", "patch", "-remove-data=b", "secret/app", "a=x"]);
        assert_eq!((ran.code, ran.err.contains("\"patch\" capability")), (0, warns), "{}", ran.err);
        let asked = script.asked();
        assert_eq!(
            asked[1],
            r#"PATCH /v1/secret/data/app {"data":{"a":"x","b":null},"options":{}}"#
        );
        assert_eq!(asked[3], r#"PUT /v1/secret/data/app {"data":{"a":"x"},"options":{"cas":3}}"#);
    }
}
