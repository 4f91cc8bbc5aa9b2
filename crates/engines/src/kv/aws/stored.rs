//! What only AWS's door knows of a secret, in its head.

use serde::{Deserialize, Serialize};
use strongroom_base::Timestamp;

use super::parameters::stored::Parameter;

/// What only AWS's door knows of a secret.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct OfAws {
    /// `KmsKeyId` as it was given: shown, and without a meaning here. Empty for none.
    pub kms_key: String,
    /// The tags' keys in the order of their addition. Tags are the secret's labels; those that are
    /// not named here (of other doors) come last.
    pub tag_order: Vec<String>,
    /// Was there ever a tag? Then none are shown as an empty list.
    pub tagged: bool,
    /// The client request token that made the secret, where it made no version.
    pub made_with: String,
    /// The resource policy as it was put; empty for none.
    pub policy: String,
    /// How it is rotated, since a function was named first.
    #[serde(default)]
    pub rotation: Option<Rotation>,
    /// What Parameter Store knows of it.
    #[serde(default)]
    pub parameter: Option<Box<Parameter>>,
}

/// How a secret is rotated by a function.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Rotation {
    /// The function.
    pub function: String,
    /// Days between rotations; 0 for none.
    pub days: i64,
    /// `rate(…)` or `cron(…)`; empty for none.
    pub schedule: String,
    /// `3h`: as it was given; empty for none.
    pub duration: String,
    /// Is it rotated?
    pub enabled: bool,
    /// When it was rotated last.
    pub last: Timestamp,
    /// When it will be.
    pub next: Timestamp,
}

impl OfAws {
    /// Is it rotated by a function?
    pub fn is_rotated(&self) -> bool {
        self.rotation.as_ref().is_some_and(|r| r.enabled)
    }

    /// A copy of a secret is another secret: no request that is sent again means it.
    pub fn forget_origin(&mut self) {
        self.made_with.clear();
        self.rotation = None;
    }
}
