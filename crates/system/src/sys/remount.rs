//! Moving a mount (`sys/remount`), within a namespace or to another one at or below it.
//!
//! A move is one transaction: only the mount's record changes its place, its content stays where
//! it is. So it has succeeded when the answer comes, and the migration that clients ask about
//! afterwards has ended already. Tokens and leases that the mount gave out before no longer count.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result, Timestamp};
use strongroom_kernel::mounts::{Mount, TOP};
use strongroom_kernel::namespaces::Namespace;
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::record::Record;

use super::System;
use super::mounts::{Conflict, PROTECTED, checked, conflict, with_slash};

/// Adds the operations of this file.
pub fn add_remount(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.command::<Remount>("remount").query::<ReadMigration>("remount/status/{migration_id}")
}

/// How long a migration can be asked about, in seconds.
const MIGRATION_KEPT_SECONDS: i64 = 24 * 3_600;

/// What became of a move.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Migration {
    from: String,
    to: String,
    at: Timestamp,
}

impl Record for Migration {
    const KIND: u8 = 209;
}

strongroom_base::fields! {
    /// Moves a secrets engine or an auth method to another path.
    pub struct Remount {
        /// The mount's path.
        from: Option<String>,
        /// The path it shall have; a namespace's path may stand before it.
        to: Option<String>,
    }
}

/// The id by which a move can be asked about.
#[derive(Serialize)]
pub struct Moved {
    migration_id: String,
}

ops! { Remount Moved, Write, Sudo; }

strongroom_base::fields! {
    /// Tells what became of a move.
    pub struct ReadMigration {
        /// The id that the move answered.
        migration_id: String,
    }
}

/// A move.
#[derive(Serialize)]
pub struct MigrationView {
    migration_id: String,
    migration_info: MigrationInfo,
}

#[derive(Serialize)]
struct MigrationInfo {
    source_mount: String,
    target_mount: String,
    status: &'static str,
}

ops! { ReadMigration MigrationView, Read; }

impl Query<ReadMigration> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadMigration) -> Result<Reply<MigrationView>> {
        let view = cx.kernel_tx().read(cx.request.namespace.scope);
        let found = view.named::<Migration>(TOP, &op.migration_id).await?;
        let migration = found.ok_or_else(Error::not_found)?;
        Ok(Reply::data(MigrationView {
            migration_id: op.migration_id,
            migration_info: MigrationInfo {
                source_mount: migration.from,
                target_mount: migration.to,
                status: "success",
            },
        }))
    }
}

/// A mount's path with its namespace.
struct Place {
    namespace: Arc<Namespace>,
    path: String,
}

impl Place {
    fn text(&self) -> String {
        format!("{}{}", self.namespace.path, self.path)
    }
}

impl Command<Remount> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Remount) -> Result<Reply<Moved>> {
        let (Some(from), Some(to)) = (given(op.from), given(op.to)) else {
            return Err(Error::bad_request(
                "both 'from' and 'to' path must be specified as a string",
            ));
        };
        let from = place(cx, "from", &from).await?;
        let to = place(cx, "to", &to).await?;
        check_places(&from, &to)?;
        let tx = cx.kernel_tx();
        let source = tx.write(from.namespace.scope);
        let mut mount = source
            .named::<Mount>(TOP, &from.path)
            .await?
            .ok_or_else(|| Error::bad_request(format!("no matching mount at {:?}", from.path)))?;
        // The mount stands in its own way too: it can't move into itself.
        match conflict(tx, to.namespace.scope, &to.path).await? {
            None => {}
            Some(Conflict::Mount(other)) => {
                let used = format!("{}{}", to.namespace.path, other.path);
                return Err(Error::bad_request(format!("path already in use at {used:?}")));
            }
            Some(Conflict::Namespace(name)) => {
                return Err(Error::bad_request(format!("path already in use at {name:?}")));
            }
        }
        source.delete_named::<Mount>(TOP, &from.path);
        mount.path.clone_from(&to.path);
        mount.renewed = Some(cx.now());
        tx.write(to.namespace.scope).put_named(TOP, &to.path, &mount)?;

        let own = tx.write(cx.request.namespace.scope);
        for (id, old) in own.all::<Migration>(TOP).await? {
            if old.at.plus_seconds(MIGRATION_KEPT_SECONDS) <= cx.now() {
                own.delete_named::<Migration>(TOP, &id);
            }
        }
        let id = cx.rng().uuid();
        let migration = Migration { from: from.text(), to: to.text(), at: cx.now() };
        own.put_named(TOP, &id, &migration)?;
        Ok(Reply::data(Moved { migration_id: id }).flat())
    }
}

fn given(path: Option<String>) -> Option<String> {
    path.filter(|p| !p.is_empty())
}

/// The namespace and path that a text names, seen from the request's namespace.
async fn place(cx: &ReadCx<'_>, name: &str, text: &str) -> Result<Place> {
    if text != text.trim() {
        return Err(Error::bad_request(format!(
            "'{name}' path cannot contain trailing whitespace"
        )));
    }
    let text = with_slash(&checked(text)?);
    let table = cx.kernel().router.table().await?;
    let (namespace, path) = table.namespaces.split(&cx.request.namespace, &text);
    if path.is_empty() || path == "/" {
        return Err(Error::bad_request("invalid destination mount path"));
    }
    Ok(Place { namespace, path: path.to_owned() })
}

/// Auth methods stay auth methods, and what is built in stays where it is.
fn check_places(from: &Place, to: &Place) -> Result<()> {
    let is_auth = |place: &Place| place.path.starts_with("auth/");
    let stays = |place: &Place| {
        if is_auth(place) {
            place.path.starts_with("auth/token/") || place.path == "auth/"
        } else {
            PROTECTED.iter().any(|p| place.path.starts_with(p))
        }
    };
    if stays(from) {
        return Err(Error::bad_request(format!("cannot remount {:?}", from.path)));
    }
    if is_auth(from) && !is_auth(to) {
        return Err(Error::bad_request(format!(
            "cannot remount auth mount to non-auth mount {:?}",
            to.path
        )));
    }
    if stays(to) || is_auth(to) != is_auth(from) {
        return Err(Error::bad_request(format!("cannot remount to destination {:?}", to.path)));
    }
    Ok(())
}
