//! What only Parameter Store knows of a secret, in its head and its versions.

use serde::{Deserialize, Serialize};

use crate::kv::secret::{Head, Version};

/// A stored enumeration whose values AWS gives names.
macro_rules! named {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[$attr:meta])+ $variant:ident = $n:literal, $text:literal);+ $(;)? }) => {
        stored_enum! { $(#[doc = $doc])+ $name { $($(#[$attr])+ $variant = $n),+ } }
        impl $name {
            /// As AWS calls it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
            /// By the name that AWS gives it.
            pub fn named(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

named! {
    /// A parameter's type.
    Kind {
        /// Text that is a secret: what other doors wrote is that, too.
        #[default]
        SecureString = 0, "SecureString";
        /// Text.
        String = 1, "String";
        /// Texts with commas between them.
        StringList = 2, "StringList";
    }
}

named! {
    /// A parameter's tier.
    Tier {
        /// Up to 4 KiB.
        #[default]
        Standard = 0, "Standard";
        /// Up to 8 KiB.
        Advanced = 1, "Advanced";
    }
}

/// What only Parameter Store knows of a secret.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Parameter {
    /// Its type.
    pub kind: Kind,
    /// Does its name begin with a slash, and has no other? Names in folders all do.
    pub rooted: bool,
}

/// What only Parameter Store knows of a version.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct ParameterVersion {
    /// The parameter's description then.
    pub description: String,
    /// What values must match; empty for none.
    pub pattern: String,
    /// `KeyId` as it was given; empty for the default.
    pub key: String,
    /// The tier.
    pub tier: Tier,
    /// The data type; empty for text.
    pub data_type: String,
    /// The ARN of who wrote it.
    #[serde(default)]
    pub user: String,
}

/// What Parameter Store knows of a secret; nothing was said where another door made it.
pub fn parameter(head: &Head) -> Parameter {
    let of_aws = head.of_aws.as_ref();
    of_aws.and_then(|of_aws| of_aws.parameter.as_deref()).cloned().unwrap_or_default()
}

/// What it knows of a version: what was said of it, or of the last before it of which something was.
pub fn of_version(head: &Head, version: &Version) -> ParameterVersion {
    let said = head.published().filter(|v| v.number <= version.number);
    let said = said.filter_map(|v| v.extra.as_ref()?.parameter.as_deref());
    said.last().cloned().unwrap_or_default()
}
