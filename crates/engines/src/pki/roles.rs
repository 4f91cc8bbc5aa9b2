//! `roles/NAME`.

use strongroom_base::{Error, Json, Result, fields};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{
    Command, EngineSpec, Exists, Query, ReadCx, Reply, WriteCx, names, ops,
};

use super::authority::{issuer_id, reference};
use super::role::{Role, RoleFields};
use super::stored::DEFAULT;
use super::{PkiEngine, bad};

fields! {
    /// Lists the roles.
    pub struct ListRoles {
        /// Names after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}
fields! {
    /// Shows a role.
    pub struct ReadRole {
        /// The role's name.
        name: String,
    }
}
fields! {
    /// Creates a role, or replaces it: what is not said has its default.
    pub struct PutRole {
        ..settings: RoleFields;
        /// The role's name.
        name: String,
    }
}
fields! {
    /// Changes a role. What is not said stays as it was.
    pub struct PatchRole {
        ..settings: RoleFields;
        /// The role's name.
        name: String,
    }
}
fields! {
    /// Removes a role. Certificates that were issued by it count on.
    pub struct DeleteRole {
        /// The role's name.
        name: String,
    }
}

ops! {
    ListRoles Keys, List;
    ReadRole Json, Read;
    PutRole Json, Write;
    PatchRole Json, Patch;
    DeleteRole (), Delete;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.query::<ListRoles>("roles/")
        .query::<ReadRole>("roles/{name}")
        .command::<PutRole>("roles/{name}")
        .exists::<PutRole>("roles/{name}")
        .command::<PatchRole>("roles/{name}")
        .command::<DeleteRole>("roles/{name}")
}

impl Query<ListRoles> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ListRoles) -> Result<Reply<Keys>> {
        lists::of_records::<Role>(cx, 0, op.after.as_deref(), op.limit).await
    }
}

impl Query<ReadRole> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadRole) -> Result<Reply<Json>> {
        let role = cx.view().cached::<Role>(0, &op.name).await?.ok_or_else(Error::not_found)?;
        Ok(Reply::data(Json::Object(role.shown())))
    }
}

impl Exists<PutRole> for PkiEngine {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let name = captures.first().map_or("", |(_, name)| name);
        Ok(cx.view().cached::<Role>(0, name).await?.is_some())
    }
}

impl Command<PutRole> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRole) -> Result<Reply<Json>> {
        names::check(&op.name)?;
        put(cx, &op.name, Role::default(), op.settings).await
    }
}

impl Command<PatchRole> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PatchRole) -> Result<Reply<Json>> {
        let old = cx.view().named::<Role>(0, &op.name).await?;
        let old = old.ok_or_else(|| bad("Unable to fetch role entry to patch"))?;
        put(cx, &op.name, old, op.settings).await
    }
}

impl Command<DeleteRole> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteRole) -> Result<Reply<()>> {
        cx.edit().delete_named::<Role>(0, &op.name);
        Ok(Reply::none())
    }
}

async fn put(
    cx: &WriteCx<'_>,
    name: &str,
    mut role: Role,
    given: RoleFields,
) -> Result<Reply<Json>> {
    role.apply(given);
    let both = role.no_store && role.generate_lease;
    role.settle()?;
    let mut warnings = Vec::new();
    if both {
        warnings.push(
            "mutually exclusive values no_store=true and generate_lease=true were both specified; \
             no_store=true takes priority"
                .to_owned(),
        );
    }
    if role.generate_lease {
        warnings.push(
            "generate_lease gives every certificate a lease; where nothing needs it, revoking by \
             serial number and tidying are cheaper"
                .to_owned(),
        );
    }
    if issuer_id(&cx.view(), &role.issuer_ref).await?.is_none() {
        warnings.push(match reference(&role.issuer_ref) {
            DEFAULT => {
                "Issuing Certificate was set to default, but no default issuing certificate \
                        (configurable at /config/issuers) is currently set"
                    .to_owned()
            }
            other => format!(
                "Issuing Certificate was set to {other} but no issuing certificate currently has \
                 that name"
            ),
        });
    }
    cx.edit().put_named(0, name, &role)?;
    Ok(Reply::data(Json::Object(role.shown())).warnings(warnings))
}
