//! Which policies teams and users have: `map/teams/…` and `map/users/…`, as Vault has them. The
//! mapping called `default` holds for everyone.

use strongroom_base::{Json, Result, capture, fields};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{
    Command, EngineSpec, Exists, Query, ReadCx, Reply, WriteCx, names, ops,
};

use super::Github;
use super::stored::{Mapping, Whose};

fields! {
    /// Gives a team or a user policies.
    pub struct PutMapping {
        /// `teams` or `users`.
        kind: String,
        /// The team's slug or the user's name; its case does not matter.
        key: String,
        /// Policies, separated by commas.
        value: Option<String>,
    }
}
fields! {
    /// Reads the policies of a team or user.
    pub struct ReadMapping {
        /// `teams` or `users`.
        kind: String,
        /// The team's slug or the user's name.
        key: String,
    }
}
fields! {
    /// Takes the policies of a team or user from it.
    pub struct DeleteMapping {
        /// `teams` or `users`.
        kind: String,
        /// The team's slug or the user's name.
        key: String,
    }
}
fields! {
    /// Lists the teams or users that have policies.
    pub struct ListMappings {
        /// `teams` or `users`.
        kind: String,
        /// List names after this one.
        after: Option<String>,
        /// At most so many names.
        limit: Option<i64>,
    }
}
fields! {
    /// Lists the teams or users that have policies, by reading.
    pub struct ReadMappings {
        /// `teams` or `users`.
        kind: String,
    }
}

ops! {
    PutMapping (), Write;
    ReadMapping Json, Read;
    DeleteMapping (), Delete;
    ListMappings Keys, List;
    ReadMappings Keys, Read;
}

pub(super) fn add(spec: EngineSpec<Github>) -> EngineSpec<Github> {
    spec.query::<ListMappings>("map/{kind}/")
        .query::<ReadMappings>("map/{kind}")
        .query::<ReadMapping>("map/{kind}/{key}")
        .command::<PutMapping>("map/{kind}/{key}")
        .exists::<PutMapping>("map/{kind}/{key}")
        .command::<DeleteMapping>("map/{kind}/{key}")
}

/// Whose mapping it is, and its name.
fn place(kind: &str, key: &str) -> Result<(Whose, String)> {
    let whose = Whose::parse(kind)?;
    let key = key.to_lowercase();
    names::check(&key)?;
    Ok((whose, key))
}

impl Exists<PutMapping> for Github {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let captured = |name| capture(captures, name).unwrap_or_default();
        let (whose, key) = place(captured("kind"), captured("key"))?;
        Ok(cx.view().cached::<Mapping>(whose.id(), &key).await?.is_some())
    }
}

impl Command<PutMapping> for Github {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutMapping) -> Result<Reply<()>> {
        let (whose, key) = place(&op.kind, &op.key)?;
        let mapping = Mapping { value: op.value.unwrap_or_default() };
        cx.edit().put_named(whose.id(), &key, &mapping)?;
        Ok(Reply::none())
    }
}

impl Query<ReadMapping> for Github {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadMapping) -> Result<Reply<Json>> {
        let (whose, key) = place(&op.kind, &op.key)?;
        let mapping = cx.view().cached::<Mapping>(whose.id(), &key).await?;
        // What is not there reads as nothing, with status 200, as in Vault.
        Ok(Reply::data(mapping.map_or(
            Json::Null,
            |mapping| serde_json::json!({ "key": key, "value": mapping.value }),
        )))
    }
}

impl Command<DeleteMapping> for Github {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteMapping) -> Result<Reply<()>> {
        let (whose, key) = place(&op.kind, &op.key)?;
        cx.edit().delete_named::<Mapping>(whose.id(), &key);
        Ok(Reply::none())
    }
}

impl Query<ListMappings> for Github {
    async fn query(&self, cx: &ReadCx<'_>, op: ListMappings) -> Result<Reply<Keys>> {
        lists::of_records::<Mapping>(
            cx,
            Whose::parse(&op.kind)?.id(),
            op.after.as_deref(),
            op.limit,
        )
        .await
    }
}

impl Query<ReadMappings> for Github {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadMappings) -> Result<Reply<Keys>> {
        lists::of_records::<Mapping>(cx, Whose::parse(&op.kind)?.id(), None, None).await
    }
}
