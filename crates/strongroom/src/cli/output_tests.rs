use serde_json::json;

use super::*;

/// What a call prints to the two outputs.
fn printed(format: Format, call: impl FnOnce(&mut Ui<'_>) -> Result<(), Fail>) -> (String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    {
        let mut ui = Ui::new(format, Box::new(&mut out), Box::new(&mut err));
        if let Err(fail) = call(&mut ui) {
            ui.error(&fail.text);
        }
    }
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn envelope(json: Json) -> Envelope {
    serde_json::from_value(json).unwrap()
}

#[test]
fn answers_become_tables() {
    let leased = envelope(json!({
        "lease_id": "db/creds/a/1", "lease_duration": 3600, "renewable": true,
        "data": {"username": "u", "password": "p", "max_ttl": 86400, "tags": ["a", "b"]}
    }));
    let (out, err) = printed(Format::Table, |ui| ui.envelope(&leased));
    assert_eq!(
        out,
        "Key                Value\n---                -----\nlease_id           db/creds/a/1\n\
         lease_duration     1h\nlease_renewable    true\nmax_ttl            24h\n\
         password           p\ntags               [a b]\nusername           u\n"
    );
    assert_eq!(err, "");
    let v1 = envelope(json!({"lease_duration": 2_764_800, "data": {"a": "1"}}));
    let (out, _) = printed(Format::Table, |ui| ui.envelope(&v1));
    assert_eq!(
        out,
        "Key                 Value\n---                 -----\nrefresh_interval    768h\n\
         a                   1\n"
    );
}

#[test]
fn logins_and_wrappings_become_tables() {
    let login = envelope(json!({"auth": {
        "client_token": "hvs.x", "accessor": "acc", "lease_duration": 0, "renewable": false,
        "token_policies": ["root"], "identity_policies": null, "policies": ["root"],
        "metadata": {"username": "kim"}
    }}));
    let (out, _) = printed(Format::Table, |ui| ui.envelope(&login));
    assert_eq!(
        out,
        "Key                    Value\n---                    -----\ntoken                  hvs.x\n\
         token_accessor         acc\ntoken_duration         ∞\ntoken_renewable        false\n\
         token_policies         [\"root\"]\nidentity_policies      []\n\
         policies               [\"root\"]\ntoken_meta_username    kim\n"
    );
    let wrapped = envelope(json!({"wrap_info": {
        "token": "hvs.w", "accessor": "a", "ttl": 60,
        "creation_time": "2026-01-02T03:04:05.6Z", "creation_path": "secret/data/a"
    }}));
    let (out, _) = printed(Format::Table, |ui| ui.envelope(&wrapped));
    assert!(out.contains("wrapping_token_ttl:              1m\n"), "{out}");
    assert!(out.contains("creation_time:    2026-01-02 03:04:05.6 +0000 UTC\n"), "{out}");
}

#[test]
fn warnings_go_to_the_error_output() {
    let warned = envelope(json!({"warnings": ["one thing"], "data": {"a": 1}}));
    let (out, err) = printed(Format::Table, |ui| ui.envelope(&warned));
    assert!(out.starts_with("Key    Value\n"));
    assert_eq!(
        err,
        "WARNING! The following warnings were returned from Strongroom:\n\n  * one thing\n\n"
    );
    let (_, err) = printed(Format::Json, |ui| ui.envelope(&warned));
    assert_eq!(err, "");
}

#[test]
fn documents_are_sorted_inside_and_ordered_outside() {
    let answer = envelope(json!({
        "request_id": "r", "lease_id": "", "renewable": false, "lease_duration": 0,
        "data": {"b": 1.50, "a": {"y": null, "x": "<&>"}}, "warnings": null
    }));
    let (out, _) = printed(Format::Json, |ui| ui.envelope(&answer));
    let names: Vec<&str> =
        out.lines().filter_map(|line| line.trim().strip_prefix('"')?.split('"').next()).collect();
    assert_eq!(
        names,
        [
            "request_id",
            "lease_id",
            "lease_duration",
            "renewable",
            "data",
            "a",
            "x",
            "y",
            "b",
            "warnings"
        ]
    );
    assert!(out.contains("\"x\": \"<&>\""));
    let (out, _) = printed(Format::Yaml, |ui| ui.data(&json!({"b": [1, 2.5], "a": "true"})));
    assert_eq!(out, "a: \"true\"\nb:\n- 1\n- 2.5\n");
}

#[test]
fn listings_show_names_and_on_demand_their_details() {
    let list = envelope(json!({"data": {
        "keys": ["b/", "a"], "key_info": {"a": {"ttl": 60, "id": "1"}, "gone": {"z": 1}}
    }}));
    let (out, _) = printed(Format::Table, |ui| ui.listing(&list));
    assert_eq!(out, "Keys\n----\na\nb/\n");
    let (out, _) = printed(Format::Table, |ui| {
        ui.detailed = true;
        ui.listing(&list)
    });
    assert_eq!(
        out,
        "Keys    id     ttl\n----    --     ---\na       1      1m\nb/      n/a    n/a\n"
    );
    let (out, _) = printed(Format::Json, |ui| ui.listing(&list));
    assert_eq!(out, "[\n  \"b/\",\n  \"a\"\n]\n");
}

#[test]
fn a_field_has_no_line_end_unless_a_person_reads_it() {
    let answer = envelope(json!({"data": {"a": "x", "l": [1, 2], "n": null}}));
    for (format, field, out) in [
        (Format::Table, "a", "x"),
        (Format::Raw, "a", "x"),
        (Format::Json, "a", "\"x\""),
        (Format::Table, "l", "[1 2]"),
        (Format::Json, "l", "[\n  1,\n  2\n]"),
        (Format::Yaml, "l", "- 1\n- 2"),
    ] {
        assert_eq!(printed(format, |ui| ui.field(&answer, field)).0, out, "{format:?} {field}");
    }
    let (out, _) = printed(Format::Table, |ui| {
        ui.terminal = true;
        ui.field(&answer, "a")
    });
    assert_eq!(out, "x\n");
    for absent in ["b", "n"] {
        let (out, err) = printed(Format::Table, |ui| ui.field(&answer, absent));
        assert_eq!((out.as_str(), err), ("", format!("Field {absent:?} not present in secret\n")));
    }
}
