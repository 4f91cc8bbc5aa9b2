//! What a GitHub mount keeps: its configuration, and the policies of teams and users.

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result};
use strongroom_kernel::record::{Id, ReadView, Record};

use crate::token_params::TokenSettings;

/// The configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Config {
    /// The organisation's name.
    pub organization: String,
    /// Its number.
    pub organization_id: i64,
    /// Where the API is, ending with `/`; empty stands for GitHub's own.
    pub base_url: String,
    /// Parameters of the tokens.
    pub token: TokenSettings,
}

impl Record for Config {
    const KIND: u8 = 1;
}

/// The configuration, if it was written.
pub async fn config(view: &ReadView<'_>) -> Result<Option<Config>> {
    view.named::<Config>(0, "").await
}

/// Whose policies a mapping has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// A team's.
    Team,
    /// A user's.
    User,
}

impl Whose {
    /// Reads the word of a path.
    pub fn parse(word: &str) -> Result<Self> {
        match word {
            "teams" => Ok(Self::Team),
            "users" => Ok(Self::User),
            _ => Err(Error::new(strongroom_base::ErrorKind::NoRoute, "unsupported path")),
        }
    }

    /// The number below which their mappings are.
    pub fn id(self) -> Id {
        match self {
            Self::Team => 1,
            Self::User => 2,
        }
    }
}

/// The policies of a team or user, named in lower case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mapping {
    /// As they were written, separated by commas.
    pub value: String,
}

impl Record for Mapping {
    const KIND: u8 = 2;
}

/// The policies of everyone's mapping and of these names'.
pub async fn policies(view: &ReadView<'_>, whose: Whose, names: &[String]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for name in std::iter::once("default").chain(names.iter().map(String::as_str)) {
        if let Some(mapping) = view.cached::<Mapping>(whose.id(), &name.to_lowercase()).await? {
            let policies = mapping.value.split(',').map(|p| p.trim().to_owned());
            all.extend(policies.filter(|p| !p.is_empty()));
        }
    }
    Ok(all)
}
