//! Fields that say more of the body than one member's value: that it is not there, what else there is, the
//! body as it came.

use super::{Field, FieldError, FieldKind, FieldSource};
use crate::json::{Json, SecretMap};

/// A field that tells an absent value from an explicit null (merge patches need to).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Patch<T> {
    /// Not in the body.
    #[default]
    Absent,
    /// Explicitly null.
    Null,
    /// A value.
    Value(T),
}

impl<T: Field> Field for Patch<T> {
    const KIND: FieldKind = T::KIND;
    const REQUIRED: bool = false;
    fn read(value: &Json) -> Result<Self, &'static str> {
        T::read(value).map(Patch::Value)
    }
    fn take(
        source: &FieldSource<'_>,
        name: &'static str,
        aliases: &'static [&'static str],
    ) -> Result<Self, FieldError> {
        match source.value(name, aliases) {
            None => Ok(Patch::Absent),
            Some(Json::Null) => Ok(Patch::Null),
            Some(value) => Self::read(value).map_err(|problem| FieldError { name, problem }),
        }
    }
}

/// All members of the body that no other field names, as they came.
#[derive(Default)]
pub struct Rest(pub SecretMap);

impl Field for Rest {
    const KIND: FieldKind = FieldKind::Object;
    const REQUIRED: bool = false;
    const REST: bool = true;
    fn read(value: &Json) -> Result<Self, &'static str> {
        SecretMap::read(value).map(Rest)
    }
    fn take(
        source: &FieldSource<'_>,
        _: &'static str,
        _: &'static [&'static str],
    ) -> Result<Self, FieldError> {
        let members = source
            .raw
            .map
            .0
            .iter()
            .filter(|(key, _)| !source.is_known(key))
            .map(|(key, value)| (key.clone(), value.clone()));
        Ok(Rest(SecretMap(members.collect())))
    }
}

/// The body as it came, of operations whose route takes one that is not JSON.
#[derive(Default)]
pub struct RawBody(pub crate::SecretBytes);

impl Field for RawBody {
    const KIND: FieldKind = FieldKind::Text;
    const REQUIRED: bool = false;
    fn read(_: &Json) -> Result<Self, &'static str> {
        Err("no member of a JSON body")
    }
    fn take(
        source: &FieldSource<'_>,
        _: &'static str,
        _: &'static [&'static str],
    ) -> Result<Self, FieldError> {
        Ok(Self(source.raw.raw_body.expose_secret().clone().into()))
    }
}
