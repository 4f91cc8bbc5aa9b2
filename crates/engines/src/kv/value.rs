//! A secret's value as KV shows it: objects as they are, what other doors wrote as text or bytes
//! inside an object of one member. Writing exactly such an object over such a version keeps its
//! representation, so that a client that reads and writes back changes nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_base::fields::FieldError;
use strongroom_base::fields::{Field, FieldKind, FieldSource};
use strongroom_base::{Error, Json, JsonMap, Result, SecretBytes, json};

use super::secret::Representation;

/// The member that holds text.
const TEXT: &str = "value";
/// The member that holds bytes, in base64.
const BINARY: &str = "value_base64";

/// A JSON object as text: taken from the wire without a copy of its tree.
pub struct ObjectText(pub SecretBytes);

fn text_of(map: &JsonMap) -> SecretBytes {
    let mut out = Vec::with_capacity(json::room_for_map(map));
    json::write_map(&mut out, map);
    SecretBytes::new(out)
}

impl Field for ObjectText {
    const KIND: FieldKind = FieldKind::Object;
    fn read(value: &Json) -> Result<Self, &'static str> {
        match value {
            Json::Object(map) => Ok(Self(text_of(map))),
            _ => Err("an object"),
        }
    }
}

/// The whole body as text: what KV v1 stores, whatever the names of its members.
pub struct BodyText {
    /// The text.
    pub text: SecretBytes,
    /// Has it no member?
    pub is_empty: bool,
}

impl Field for BodyText {
    const KIND: FieldKind = FieldKind::Object;
    const REQUIRED: bool = false;
    const REST: bool = true;
    fn read(value: &Json) -> Result<Self, &'static str> {
        let ObjectText(text) = ObjectText::read(value)?;
        Ok(Self { text, is_empty: false })
    }
    fn take(
        source: &FieldSource<'_>,
        _: &'static str,
        _: &'static [&'static str],
    ) -> Result<Self, FieldError> {
        let map = &source.raw().map.0;
        Ok(Self { text: text_of(map), is_empty: map.is_empty() })
    }
}

/// Whatever the body holds: for operations that only say that there is nothing here.
pub struct Anything;

impl Field for Anything {
    const KIND: FieldKind = FieldKind::Object;
    const REQUIRED: bool = false;
    const REST: bool = true;
    fn read(_: &Json) -> Result<Self, &'static str> {
        Ok(Self)
    }
    fn take(
        _: &FieldSource<'_>,
        _: &'static str,
        _: &'static [&'static str],
    ) -> Result<Self, FieldError> {
        Ok(Self)
    }
}

/// The object that KV shows for a value.
pub fn to_object(representation: Representation, bytes: &[u8]) -> Result<Json> {
    let damaged = || Error::internal("a stored value is not what it is marked as");
    let member = |name: &str, text: String| {
        Json::Object(JsonMap::from_iter([(name.to_owned(), Json::String(text))]))
    };
    Ok(match representation {
        Representation::Object => serde_json::from_slice(bytes).map_err(|_| damaged())?,
        Representation::Text => {
            member(TEXT, std::str::from_utf8(bytes).map_err(|_| damaged())?.to_owned())
        }
        Representation::Binary => member(BINARY, STANDARD.encode(bytes)),
    })
}

/// What to store for an object that is written over a version of representation `over`.
pub fn from_object(
    object: SecretBytes,
    over: Option<Representation>,
) -> (SecretBytes, Representation) {
    let kept = match over {
        None | Some(Representation::Object) => None,
        Some(Representation::Text) => only_member(&object, TEXT)
            .map(|text| (SecretBytes::new(text.into_bytes()), Representation::Text)),
        Some(Representation::Binary) => only_member(&object, BINARY)
            .and_then(|text| STANDARD.decode(text).ok())
            .map(|bytes| (SecretBytes::new(bytes), Representation::Binary)),
    };
    kept.unwrap_or((object, Representation::Object))
}

/// The text of an object's only member, if that is called `name`.
fn only_member(object: &SecretBytes, name: &str) -> Option<String> {
    let map: JsonMap = serde_json::from_slice(object.expose_secret()).ok()?;
    let mut members = map.into_iter();
    match (members.next(), members.next()) {
        (Some((key, Json::String(text))), None) if key == name => Some(text),
        _ => None,
    }
}

/// Applies a JSON merge patch (RFC 7396). Members keep their places.
pub fn merge(target: &mut Json, patch: Json) {
    let Json::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Json::Object(JsonMap::new());
    }
    let Json::Object(map) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            map.shift_remove(&name);
        } else {
            merge(map.entry(name).or_insert(Json::Null), value);
        }
    }
}

/// An object's names without its values (KV's subkeys): every leaf is null, and so is what lies
/// deeper than `depth` (0 for no limit).
pub fn without_values(value: &mut Json, depth: u64) {
    let Json::Object(map) = value else { return };
    for member in map.values_mut() {
        match member {
            Json::Object(inner) if !inner.is_empty() && depth != 1 => {
                without_values(member, depth.saturating_sub(1));
            }
            _ => *member = Json::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merge_patch_is_that_of_rfc_7396() {
        // The examples of RFC 7396, appendix A.
        for (original, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut target = original;
            merge(&mut target, patch);
            assert_eq!(target, result);
        }
        let mut ordered: Json = serde_json::from_str(r#"{"z":1,"m":2,"a":3}"#).unwrap();
        merge(&mut ordered, json!({"z":null,"n":4}));
        assert_eq!(ordered.to_string(), r#"{"m":2,"a":3,"n":4}"#, "members keep their order");
    }

    #[test]
    fn what_other_doors_wrote_keeps_its_form() {
        let write = |text: &str, over| {
            let (bytes, representation) =
                from_object(SecretBytes::new(text.as_bytes().to_vec()), over);
            (String::from_utf8(bytes.expose_secret().clone()).unwrap(), representation)
        };
        use Representation::{Binary, Object, Text};
        for (text, over, stored, representation) in [
            (r#"{"value":"x"}"#, None, r#"{"value":"x"}"#, Object),
            (r#"{"value":"x"}"#, Some(Object), r#"{"value":"x"}"#, Object),
            (r#"{"value":"x"}"#, Some(Text), "x", Text),
            (r#"{"value":1}"#, Some(Text), r#"{"value":1}"#, Object),
            (r#"{"value":"x","b":1}"#, Some(Text), r#"{"value":"x","b":1}"#, Object),
            (r#"{"value_base64":"aGk="}"#, Some(Binary), "hi", Binary),
            (r#"{"value_base64":"?"}"#, Some(Binary), r#"{"value_base64":"?"}"#, Object),
            (r#"{"value":"x"}"#, Some(Binary), r#"{"value":"x"}"#, Object),
        ] {
            assert_eq!(write(text, over), (stored.to_owned(), representation), "{text} {over:?}");
        }
        assert_eq!(to_object(Text, b"x").unwrap(), json!({"value":"x"}));
        assert_eq!(to_object(Binary, b"hi").unwrap(), json!({"value_base64":"aGk="}));
        assert!(to_object(Text, b"\xff").is_err());
    }

    #[test]
    fn subkeys_hide_every_value() {
        let value = json!({"l":[1],"x":{"e":{},"y":{"z":1}}});
        for (depth, shown) in [
            (0, json!({"l":null,"x":{"e":null,"y":{"z":null}}})),
            (1, json!({"l":null,"x":null})),
            (2, json!({"l":null,"x":{"e":null,"y":null}})),
            (3, json!({"l":null,"x":{"e":null,"y":{"z":null}}})),
        ] {
            let mut got = value.clone();
            without_values(&mut got, depth);
            assert_eq!(got, shown, "depth {depth}");
        }
    }
}
