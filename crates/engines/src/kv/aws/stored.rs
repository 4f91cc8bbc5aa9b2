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

/// How a secret is rotated.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Rotation {
    /// The function, as it was named.
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
    /// The built-in rotator in place of a function; empty for none.
    #[serde(default)]
    pub rotator: String,
    /// What the kernel's rotations call it.
    #[serde(default)]
    pub subject: String,
    /// Its ARN, for functions.
    #[serde(default)]
    pub arn: String,
    /// Its region.
    #[serde(default)]
    pub region: String,
    /// The id of the version in the making, until that is the current one; empty for none.
    #[serde(default)]
    pub token: String,
    /// The id of a version that is made to try a function; empty for none.
    #[serde(default)]
    pub probe: String,
    /// For how many seconds the account of before stays good at most, where two take turns.
    #[serde(default)]
    pub drain: i64,
    /// What was published last, where two accounts take turns.
    #[serde(default)]
    pub published: Option<Published>,
    /// What was published before that.
    #[serde(default)]
    pub previous: Option<Published>,
}

/// A version as the kernel's rotations count it.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Published {
    /// Its number there.
    pub version: u64,
    /// Its id.
    pub id: u128,
}

impl OfAws {
    /// Is it rotated?
    pub fn is_rotated(&self) -> bool {
        self.rotation.as_ref().is_some_and(|r| r.enabled)
    }

    /// A copy of a secret is another secret: no request that is sent again means it.
    pub fn forget_origin(&mut self) {
        self.made_with.clear();
        self.rotation = None;
    }
}
