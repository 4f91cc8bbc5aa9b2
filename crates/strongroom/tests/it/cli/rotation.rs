//! `rotation`.

use super::run::Script;

#[test]
fn rotations_are_shown_as_people_ask_for_them() {
    let top = r#"{"data":{"keys":["db/"],"key_info":{}}}"#;
    let mount = r#"{"data":{"keys":["static-roles/"],"key_info":{}}}"#;
    let roles = r#"{"data":{"keys":["app","web"],"key_info":{
        "app":{"state":"draining","version":4,"last_rotation":"2026-01-02T00:00:00Z",
               "next_rotation":"2026-02-01T00:00:00Z","progress":"1/2 moved, 1 left",
               "last_error":""},
        "web":{"state":"idle","version":1,"last_rotation":null,"next_rotation":null,"progress":"",
               "last_error":"it is down"}}}}"#;
    let script = Script::new(&[(200, top), (200, mount), (200, roles)]);
    let ran = script.run().words(&["rotation", "list"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(
        ran.out,
        "Path                   State       Version    Last rotation           Next rotation      \
         \x20    Note\n----                   -----       -------    -------------           \
         -------------           ----\ndb/static-roles/app    draining    4          \
         2026-01-02T00:00:00Z    2026-02-01T00:00:00Z    1/2 moved, 1 left\ndb/static-roles/web    \
         idle        1          n/a                     n/a                     it is down\n"
    );
    assert_eq!(
        script.asked(),
        [
            "GET /v1/sys/rotation/subjects?list=true",
            "GET /v1/sys/rotation/subjects/db?list=true",
            "GET /v1/sys/rotation/subjects/db/static-roles?list=true",
        ]
    );

    let status = r#"{"data":{"path":"db/static-roles/app","state":"draining","removed":false,
        "version":4,"last_rotation":"2026-01-02T00:00:00Z","next_rotation":"2026-02-01T00:00:00Z",
        "rotation_period":2592000,"rotation_schedule":null,"rotation_window":null,
        "two_accounts":true,"drain_seconds":3600,"attempts":0,"last_error":"","next_attempt":null,
        "rotation":{"state":"draining","since":"2026-01-02T00:00:01Z",
            "started":"2026-01-02T00:00:00Z","cause":"schedule","old_version":3,
            "deadline":"2026-01-02T01:00:01Z",
            "consumers":{"total":40,"moved":37,"ended":0,"left":3,"progress":"37/40 moved, 3 left",
                "holding":[{"consumer":"00ff","accessor":"acc","display_name":"approle",
                    "remote_address":"10.0.0.7","since":"2026-01-01T00:00:00Z"}]}},
        "last_outcomes":[{"ending":"done","version":3,"cause":"schedule",
            "started":"2025-12-01T00:00:00Z","ended":"2025-12-01T01:00:00Z","error":"",
            "consumers_moved":39,"consumers_ended":0,"consumers_left":1,
            "left":["approle at 10.0.0.7"]}]}}"#;
    let script = Script::new(&[(200, status), (200, status), (404, r#"{"errors":[]}"#)]);
    let ran = script.run().words(&["rotation", "status", "db/static-roles/app"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for line in [
        "State            draining\n",
        "Consumers        37/40 moved, 3 left\n",
        "Deadline         2026-01-02T01:00:01Z\n",
        "\nStill at version 3:\n\nConsumer    From        Since                   Accessor    Note\n",
        "approle     10.0.0.7    2026-01-01T00:00:00Z    acc         n/a\n",
        "\n… and 2 more; -limit shows them.\n",
        "39 moved, 0 ended, 1 left    left: approle at 10.0.0.7\n",
    ] {
        assert!(ran.out.contains(line), "{line}:\n{}", ran.out);
    }
    let ran = script.run().words(&["rotation", "status", "-field=version", "db/static-roles/app"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "4"));
    let ran = script.run().words(&["rotation", "status", "db/none"]);
    assert_eq!((ran.code, ran.err.as_str()), (2, "Nothing is rotated at db/none\n"));

    let forced = r#"{"data":{"state":"draining","consumers_left":3}}"#;
    let acked = r#"{"data":{"acknowledged":2}}"#;
    let down = r#"{"errors":["the database is not there"]}"#;
    let answers = [(200, forced), (200, acked), (204, ""), (204, ""), (502, down)];
    let script = Script::new(&answers);
    for (words, code, said) in [
        (&["force", "db/a"][..], 0, "Success! Ended the drain of db/a; consumers left: 3\n"),
        (&["ack", "-accessor=acc", "db/a"], 0, "Consumers acknowledged: 2\n"),
        (&["start", "db/a"], 0, "Success! Rotated: db/a\n"),
        (&["abort", "/db/a/"], 0, "Success! Called off the rotation of: db/a\n"),
        (&["start", "db/a"], 2, "the database is not there"),
        (&["start"], 1, "Missing PATH!"),
    ] {
        let ran = script.run().words(&[&["rotation"], words].concat());
        assert_eq!(ran.code, code, "{words:?}: {}", ran.err);
        assert!(format!("{}{}", ran.out, ran.err).contains(said), "{words:?}: {}", ran.err);
    }
    assert_eq!(
        script.asked(),
        [
            "PUT /v1/sys/rotation/force/db/a {}",
            r#"PUT /v1/sys/rotation/ack/db/a {"accessor":"acc"}"#,
            "PUT /v1/sys/rotation/start/db/a {}",
            "PUT /v1/sys/rotation/abort/db/a {}",
            "PUT /v1/sys/rotation/start/db/a {}",
        ]
    );
}
