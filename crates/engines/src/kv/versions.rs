//! `delete/…`, `undelete/…`, `destroy/…`: the state of versions by number.

use strongroom_base::{Error, Json, Result, fields};
use strongroom_kernel::plug::{Command, Reply, WriteCx, ops};

use super::Kv;
use super::secret::Select;
use super::store::{self, Secret};

fields! {
    /// Deletes versions; they can be brought back by `undelete`.
    pub struct Delete {
        /// The secret's path.
        path: String,
        /// The versions' numbers.
        versions: Vec<i64>,
    }
}

fields! {
    /// Brings deleted versions back.
    pub struct Undelete {
        /// The secret's path.
        path: String,
        /// The versions' numbers.
        versions: Vec<i64>,
    }
}

fields! {
    /// Removes the values of versions for good.
    pub struct Destroy {
        /// The secret's path.
        path: String,
        /// The versions' numbers.
        versions: Vec<i64>,
    }
}

ops! {
    Delete Json, Write;
    Undelete Json, Write;
    Destroy Json, Write;
}

/// Does `change` to each of the versions and saves the secret. A secret that is not there is left
/// alone, as Vault does.
async fn change(
    cx: &mut WriteCx<'_>,
    path: &str,
    versions: &[i64],
    none: &'static str,
    mut change: impl FnMut(&mut Secret, Select<'_>),
) -> Result<Reply<Json>> {
    if versions.is_empty() {
        return Err(Error::bad_request(none));
    }
    cx.queue(path).await;
    let edit = cx.edit();
    let Some(mut secret) = store::find(&edit, path).await? else { return Ok(Reply::none()) };
    for number in versions {
        // 0 is no publication, and must not mean the current one.
        if let Some(number) = u64::try_from(*number).ok().filter(|n| *n > 0) {
            change(&mut secret, Select::Number(number));
        }
    }
    store::save(&edit, path, &secret, false).await?;
    Ok(Reply::none())
}

impl Command<Delete> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Delete) -> Result<Reply<Json>> {
        let now = cx.now();
        change(cx, &op.path, &op.versions, "No version number provided", |secret, select| {
            secret.head.delete(select, now);
        })
        .await
    }
}

impl Command<Undelete> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Undelete) -> Result<Reply<Json>> {
        let now = cx.now();
        if !op.versions.is_empty() {
            cx.queue(&op.path).await;
        }
        let config = store::config(&cx.view()).await?;
        change(cx, &op.path, &op.versions, "No version number provided", |secret, select| {
            let deletion = secret.head.deletion_time(config.delete_version_after, now);
            secret.head.undelete(select, deletion);
        })
        .await
    }
}

impl Command<Destroy> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Destroy) -> Result<Reply<Json>> {
        let edit = cx.edit();
        change(cx, &op.path, &op.versions, "no version number provided", |secret, select| {
            store::destroy(&edit, secret, select);
        })
        .await
    }
}
