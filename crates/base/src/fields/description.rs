//! The macro that describes an operation's fields, and what it is made with.

use super::{FieldError, FieldKind, FieldSource, FieldSpec};

/// A struct made by [`fields!`](crate::fields).
pub trait Fields: Sized {
    /// Its fields, in the order of the struct.
    const SPECS: &'static [FieldSpec];
    /// What the operation does: the struct's doc comment.
    const HELP: &'static str;
    /// Reads all fields.
    fn decode(source: &FieldSource<'_>) -> Result<Self, FieldError>;
}

/// Defines the wire fields of an operation:
///
/// ```
/// strongroom_base::fields! {
///     /// Creates or changes a user.
///     pub struct PutUser {
///         /// The user's name.
///         username: String,
///         /// Policies of its tokens. The older name `policies` still works.
///         token_policies (policies): Option<Vec<String>>,
///         /// A raw identifier's wire name drops the `r#`.
///         r#type: Option<String>,
///     }
/// }
/// ```
///
/// Fields that several operations share stand in a struct of their own, which the first member
/// takes in: `..token: TokenFields;`.
#[macro_export]
macro_rules! fields {
    (
        $(#[doc = $help:literal])+
        $vis:vis struct $name:ident {
            $( ..$shared:ident : $shared_ty:ty; )?
            $(
                $(#[doc = $field_help:literal])+
                $field:ident $( ( $($alias:ident),+ ) )? : $ty:ty
            ),* $(,)?
        }
    ) => {
        $(#[doc = $help])+
        $vis struct $name {
            $( $(#[doc = $field_help])+ pub $field: $ty, )*
            $( /// Fields shared with other operations.
               pub $shared: $shared_ty, )?
        }

        impl $crate::fields::Fields for $name {
            const HELP: &'static str = concat!($($help, "\n"),+);
            const SPECS: &'static [$crate::fields::FieldSpec] = {
                const PARTS: &[&[$crate::fields::FieldSpec]] = &[
                    &[ $( $crate::fields::FieldSpec {
                        name: $crate::fields::wire_name(stringify!($field)),
                        aliases: &[ $( $(stringify!($alias)),+ )? ],
                        kind: <$ty as $crate::fields::Field>::KIND,
                        help: concat!($($field_help, "\n"),+),
                        required: <$ty as $crate::fields::Field>::REQUIRED,
                        rest: <$ty as $crate::fields::Field>::REST,
                    }, )* ],
                    $( <$shared_ty as $crate::fields::Fields>::SPECS, )?
                ];
                const JOINED: [$crate::fields::FieldSpec; $crate::fields::length(PARTS)] =
                    $crate::fields::join(PARTS);
                &JOINED
            };
            #[allow(unused_variables)]
            fn decode(
                source: &$crate::fields::FieldSource<'_>,
            ) -> ::std::result::Result<Self, $crate::fields::FieldError> {
                Ok(Self {
                    $( $field: <$ty as $crate::fields::Field>::take(
                        source,
                        $crate::fields::wire_name(stringify!($field)),
                        &[ $( $(stringify!($alias)),+ )? ],
                    )?, )*
                    $( $shared: <$shared_ty as $crate::fields::Fields>::decode(source)?, )?
                })
            }
        }
    };
}

/// How many fields `parts` have together.
pub const fn length(parts: &[&[FieldSpec]]) -> usize {
    let (mut total, mut i) = (0, 0);
    while i < parts.len() {
        total += parts[i].len();
        i += 1;
    }
    total
}

/// All fields of `parts`, which are `N`.
pub const fn join<const N: usize>(parts: &[&[FieldSpec]]) -> [FieldSpec; N] {
    const NONE: FieldSpec = FieldSpec {
        name: "",
        aliases: &[],
        kind: FieldKind::Any,
        help: "",
        required: false,
        rest: false,
    };
    let mut out = [NONE; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let mut i = 0;
        while i < parts[part].len() {
            out[at] = parts[part][i];
            at += 1;
            i += 1;
        }
        part += 1;
    }
    out
}

/// A field identifier's wire name: without the `r#` of a raw identifier.
pub const fn wire_name(identifier: &'static str) -> &'static str {
    let bytes = identifier.as_bytes();
    if bytes.len() > 2 && bytes[0] == b'r' && bytes[1] == b'#' {
        return identifier.split_at(2).1;
    }
    identifier
}
