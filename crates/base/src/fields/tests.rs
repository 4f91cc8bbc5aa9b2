use std::collections::BTreeMap;

use super::*;
use crate::Ttl;

crate::fields! {
    /// An operation with every kind of field.
    pub struct Everything {
        /// Text.
        name: String,
        /// A number.
        count: Option<i64>,
        /// A switch.
        on: Option<bool>,
        /// A duration.
        token_ttl (ttl): Option<Ttl>,
        /// A list.
        policies: Option<Vec<String>>,
        /// Pairs.
        meta: BTreeMap<String, String>,
        /// A reserved word.
        r#type: Option<String>,
    }
}

fn read(json: &str) -> Result<Everything, FieldError> {
    let Json::Object(map) = serde_json::from_str(json).unwrap() else { panic!() };
    let raw = RawFields::from_map(map);
    Everything::decode(&FieldSource::new(&[], &raw, Everything::SPECS))
}

#[test]
fn coercion_table() {
    let e = read(
        r#"{"name":5,"count":"7","on":"true","ttl":"1h","policies":"a, b,,c",
            "meta":["k=v"],"type":"x"}"#,
    )
    .unwrap();
    assert_eq!(e.name, "5");
    assert_eq!(e.count, Some(7));
    assert_eq!(e.on, Some(true));
    assert_eq!(e.token_ttl, Some(Ttl(3600)));
    assert_eq!(e.policies.unwrap(), ["a", "b", "c"]);
    assert_eq!(e.meta["k"], "v");
    assert_eq!(e.r#type.as_deref(), Some("x"));
    let e = read(r#"{"name":"n","token_ttl":60,"ttl":5,"meta":{"a":1},"on":null}"#).unwrap();
    assert_eq!(e.token_ttl, Some(Ttl(60)), "the new name wins");
    assert_eq!(e.meta["a"], "1");
    assert_eq!(e.on, None);
}

crate::fields! {
    /// Fields that operations share.
    pub struct Shared {
        /// A duration.
        token_ttl (ttl): Option<Ttl>,
    }
}

crate::fields! {
    /// An operation with fields of its own and shared ones.
    pub struct Sharing {
        ..token: Shared;
        /// Text.
        name: String,
    }
}

#[test]
fn shared_fields_are_read_and_known() {
    let raw =
        RawFields::from_map(serde_json::from_str(r#"{"name":"n","ttl":"1m","other":1}"#).unwrap());
    let source = FieldSource::new(&[], &raw, Sharing::SPECS);
    let op = Sharing::decode(&source).unwrap();
    assert_eq!((op.name.as_str(), op.token.token_ttl), ("n", Some(Ttl(60))));
    assert_eq!(source.unknown_names(), ["other"]);
    assert_eq!(Sharing::SPECS.iter().map(|s| s.name).collect::<Vec<_>>(), ["name", "token_ttl"]);
}

#[test]
fn errors_name_the_field_and_not_the_value() {
    // threats CVE-2025-4166, CVE-2025-52893
    let e = read(r#"{"name":"n","count":"hunter2"}"#).map(|_| ()).unwrap_err();
    let public = crate::Error::from(e).public.join(" ");
    assert!(public.contains("count") && !public.contains("hunter2"), "{public}");
    assert_eq!(read("{}").map(|_| ()).unwrap_err().problem, "missing");
}

#[test]
fn captures_win_over_the_body() {
    let raw = RawFields::from_map(serde_json::from_str(r#"{"name":"evil","zzz":1}"#).unwrap());
    let captures = [("name", "good".to_owned())];
    let source = FieldSource::new(&captures, &raw, Everything::SPECS);
    assert_eq!(Everything::decode(&source).unwrap().name, "good");
    assert_eq!(source.unknown_names(), ["zzz"]);
}
