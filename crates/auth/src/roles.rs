//! Roles, as every method that has them keeps them: named in lower case, read, listed and deleted by
//! the same operations, and written in the same steps. A method gives its own fields, and what of a role
//! is shown.
//!
//! [`operations!`] makes the operations `ReadRole`, `DeleteRole` and `ListRoles` of an engine, and
//! whether its `PutRole` makes or changes one: the compiler wants these written for each engine.

use std::sync::Arc;

use strongroom_base::duration::format_go_seconds;
use strongroom_base::{Error, JsonMap, Result};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{ReadCx, Reply, WriteCx, names};
use strongroom_kernel::record::{ReadView, Record};

use crate::token_params::TokenSettings;

/// A role's record.
pub trait Role: Record + Clone {
    /// Parameters of its tokens.
    fn token(&self) -> &TokenSettings;

    /// Adds what of it is shown.
    fn show(&self, into: &mut JsonMap);

    /// The words of the refusal of a period that is longer than the mount allows, both as Go writes
    /// them.
    fn period_beyond(period: &str, most: &str) -> String;
}

/// The role called `name`, in whatever case.
pub async fn find<R: Role>(view: &ReadView<'_>, name: &str) -> Result<Option<Arc<R>>> {
    view.cached::<R>(0, &name.to_lowercase()).await
}

/// Begins to write the role called `name`: its name as it is kept, and the role as it is.
pub async fn begin<R: Role>(cx: &mut WriteCx<'_>, name: &str) -> Result<(String, Option<Arc<R>>)> {
    let name = name.to_lowercase();
    names::check(&name)?;
    cx.queue(&name).await;
    let old = find::<R>(&cx.view(), &name).await?;
    Ok((name, old))
}

/// Refuses what the mount does not allow, and adds to the warnings what it cuts short.
pub fn check<R: Role>(cx: &WriteCx<'_>, role: &R, warnings: &mut Vec<String>) -> Result<()> {
    let (_, max_ttl) = cx.ttls();
    let period = role.token().params.period;
    if max_ttl > 0 && period > max_ttl {
        let (period, most) = (format_go_seconds(period), format_go_seconds(max_ttl));
        return Err(Error::bad_request(R::period_beyond(&period, &most)));
    }
    warnings.extend(role.token().beyond_mount(max_ttl).map(str::to_owned));
    Ok(())
}

/// Writes a role that is all right.
pub fn put<R: Role>(
    cx: &WriteCx<'_>,
    name: &str,
    role: &R,
    warnings: Vec<String>,
) -> Result<Reply<()>> {
    cx.edit().put_named(0, name, role)?;
    Ok(Reply::none().warnings(warnings))
}

/// Shows the role called `name`.
pub async fn read<R: Role>(cx: &ReadCx<'_>, name: &str) -> Result<Reply<JsonMap>> {
    let role = find::<R>(&cx.view(), name).await?.ok_or_else(Error::not_found)?;
    let mut map = JsonMap::new();
    role.show(&mut map);
    Ok(Reply::data(map))
}

/// Deletes the role called `name`; where there is none that is no failure.
pub fn delete<R: Role>(cx: &WriteCx<'_>, name: &str) -> Result<Reply<()>> {
    cx.edit().delete_named::<R>(0, &name.to_lowercase());
    Ok(Reply::none())
}

/// The names of the roles after `after`, at most `limit`.
pub async fn list<R: Role>(
    cx: &ReadCx<'_>,
    after: Option<&str>,
    limit: Option<i64>,
) -> Result<Reply<Keys>> {
    lists::of_records::<R>(cx, 0, after, limit).await
}

/// The operations on the roles `$role` of the engine `$engine` that every method has, and `$add`, which
/// registers them with its `PutRole`. `$name` is what a role's name is called in paths.
macro_rules! operations {
    ($engine:ty, $role:ty, $name:ident) => {
        strongroom_base::fields! {
            /// Reads a role.
            pub struct ReadRole {
                /// The role's name.
                $name: String,
            }
        }
        strongroom_base::fields! {
            /// Deletes a role.
            pub struct DeleteRole {
                /// The role's name.
                $name: String,
            }
        }
        strongroom_base::fields! {
            /// Lists the roles.
            pub struct ListRoles {
                /// List names after this one.
                after: Option<String>,
                /// At most so many names.
                limit: Option<i64>,
            }
        }

        strongroom_kernel::plug::ops! {
            PutRole (), Write;
            ReadRole strongroom_base::JsonMap, Read;
            DeleteRole (), Delete;
            ListRoles strongroom_kernel::plug::lists::Keys, List;
        }

        /// Registers the operations on roles.
        pub(super) fn add(
            spec: strongroom_kernel::plug::EngineSpec<$engine>,
        ) -> strongroom_kernel::plug::EngineSpec<$engine> {
            const ONE: &str = concat!("role/{", stringify!($name), "}");
            spec.query::<ListRoles>("role/")
                .query::<ReadRole>(ONE)
                .command::<PutRole>(ONE)
                .exists::<PutRole>(ONE)
                .command::<DeleteRole>(ONE)
        }

        impl strongroom_kernel::plug::Exists<PutRole> for $engine {
            async fn exists(
                &self,
                cx: &strongroom_kernel::plug::ReadCx<'_>,
                captures: &[(&'static str, String)],
            ) -> strongroom_base::Result<bool> {
                let name = captures.first().map_or("", |(_, name)| name);
                Ok($crate::roles::find::<$role>(&cx.view(), name).await?.is_some())
            }
        }

        impl strongroom_kernel::plug::Query<ReadRole> for $engine {
            async fn query(
                &self,
                cx: &strongroom_kernel::plug::ReadCx<'_>,
                op: ReadRole,
            ) -> strongroom_base::Result<strongroom_kernel::plug::Reply<strongroom_base::JsonMap>>
            {
                $crate::roles::read::<$role>(cx, &op.$name).await
            }
        }

        impl strongroom_kernel::plug::Command<DeleteRole> for $engine {
            async fn command(
                &self,
                cx: &mut strongroom_kernel::plug::WriteCx<'_>,
                op: DeleteRole,
            ) -> strongroom_base::Result<strongroom_kernel::plug::Reply<()>> {
                $crate::roles::delete::<$role>(cx, &op.$name)
            }
        }

        impl strongroom_kernel::plug::Query<ListRoles> for $engine {
            async fn query(
                &self,
                cx: &strongroom_kernel::plug::ReadCx<'_>,
                op: ListRoles,
            ) -> strongroom_base::Result<
                strongroom_kernel::plug::Reply<strongroom_kernel::plug::lists::Keys>,
            > {
                $crate::roles::list::<$role>(cx, op.after.as_deref(), op.limit).await
            }
        }
    };
}

pub(crate) use operations;
