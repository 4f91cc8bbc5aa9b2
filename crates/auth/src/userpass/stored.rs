//! What userpass keeps: users, and the highest cost of their hashes.

use serde::{Deserialize, Serialize};
use strongroom_base::Result;
use strongroom_crypto::password;
use strongroom_kernel::record::{ReadView, Record};

use crate::token_params::TokenSettings;

/// A user, named in lower case.
#[derive(Serialize, Deserialize)]
pub struct User {
    /// The bcrypt hash of the password.
    pub password_hash: String,
    /// Parameters of its tokens.
    pub token: TokenSettings,
}

impl Record for User {
    const KIND: u8 = 1;
}

impl Drop for User {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.password_hash);
    }
}

/// The highest bcrypt cost of any hash that this mount was given: every login costs as much, so
/// that its time tells nothing about the user (threat: CVE-2025-6011).
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct HighestCost(pub u32);

impl Record for HighestCost {
    const KIND: u8 = 2;
}

/// What a login of this mount costs.
pub async fn highest_cost(view: &ReadView<'_>) -> Result<u32> {
    Ok(view.cached::<HighestCost>(0, "").await?.map_or(password::COST, |c| c.0.max(password::COST)))
}

/// The user called `name`.
pub async fn user(view: &ReadView<'_>, name: &str) -> Result<Option<User>> {
    view.named::<User>(0, &name.to_lowercase()).await
}
