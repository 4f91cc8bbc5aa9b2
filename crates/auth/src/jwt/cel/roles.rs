//! Roles that are programs: create, change, read, delete, list.

use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::names;
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::super::Jwt;
use super::super::roles::{Leeway, Object};
use super::super::stored::{self, CelRole};
use super::program::{Program, Source};
use crate::jwts::claims::{DEFAULT_LEEWAY, DEFAULT_SKEW};

fields! {
    /// What a role is.
    pub struct CelRoleFields {
        /// The role's name; its case does not matter.
        name: String,
        /// Variables and an expression over a token's claims.
        cel_program: Option<Object>,
        /// What a caller is told whom the program answers `false`.
        message: Option<String>,
        /// Seconds that a token without `exp` lives; 150 if not given, -1 for none.
        expiration_leeway: Option<Leeway>,
        /// Seconds before its other times that a token without `nbf` lives; 150 if not given, -1 for
        /// none.
        not_before_leeway: Option<Leeway>,
        /// Seconds that clocks may differ; 60 if not given, -1 for none.
        clock_skew_leeway: Option<Leeway>,
        /// Audiences, one of which must be in `aud`.
        bound_audiences: Option<Vec<String>>,
    }
}
fields! {
    /// Creates or replaces a role. What is not given is at its default.
    pub struct PutCelRole {
        ..role: CelRoleFields;
    }
}
fields! {
    /// Changes what is given of a role.
    pub struct PatchCelRole {
        ..role: CelRoleFields;
    }
}
fields! {
    /// Reads a role.
    pub struct ReadCelRole {
        /// The role's name.
        name: String,
    }
}
fields! {
    /// Deletes a role.
    pub struct DeleteCelRole {
        /// The role's name.
        name: String,
    }
}
fields! {
    /// Lists the roles.
    pub struct ListCelRoles {
        /// List names after this one.
        after: Option<String>,
        /// At most so many names.
        limit: Option<i64>,
    }
}

ops! {
    PutCelRole JsonMap, Write;
    PatchCelRole JsonMap, Patch;
    ReadCelRole JsonMap, Read;
    DeleteCelRole (), Delete;
    ListCelRoles Keys, List;
}

pub(super) fn add(spec: EngineSpec<Jwt>) -> EngineSpec<Jwt> {
    spec.query::<ListCelRoles>("cel/role/")
        .query::<ReadCelRole>("cel/role/{name}")
        .command::<PutCelRole>("cel/role/{name}")
        .command::<PatchCelRole>("cel/role/{name}")
        .command::<DeleteCelRole>("cel/role/{name}")
}

/// A program as a request gives it.
fn source(given: Object) -> Result<Source> {
    let bad = |_| Error::bad_request("failed to decode 'cel_program'");
    serde_json::from_value(Json::Object(given.0)).map_err(bad)
}

fn shown(name: &str, role: &CelRole) -> Result<JsonMap> {
    let mut program = serde_json::to_value(&role.program).map_err(Error::internal)?;
    if let Some(members) = program.as_object_mut().filter(|_| role.program.variables.is_empty()) {
        members.remove("variables");
    }
    let mut map = JsonMap::new();
    for (field, value) in [
        ("name", Json::from(name)),
        ("cel_program", program),
        ("message", role.message.clone().into()),
        ("expiration_leeway", role.expiration_leeway.into()),
        ("not_before_leeway", role.not_before_leeway.into()),
        ("clock_skew_leeway", role.clock_skew_leeway.into()),
        ("bound_audiences", role.bound_audiences.clone().into()),
    ] {
        map.insert(field.to_owned(), value);
    }
    Ok(map)
}

/// Writes a role that can be run, and shows it.
fn put(cx: &mut WriteCx<'_>, name: &str, role: &CelRole) -> Result<Reply<JsonMap>> {
    Program::new(&role.program)?;
    cx.edit().put_named(0, name, role)?;
    Ok(Reply::data(shown(name, role)?))
}

impl Command<PutCelRole> for Jwt {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutCelRole) -> Result<Reply<JsonMap>> {
        let op = op.role;
        let name = op.name.to_lowercase();
        names::check(&name)?;
        let missing = || Error::bad_request("missing required field 'cel_program'");
        let or = |given: Option<Leeway>, default: i64| given.map_or(default, |leeway| leeway.0);
        let role = CelRole {
            program: source(op.cel_program.ok_or_else(missing)?)?,
            message: op.message.unwrap_or_default(),
            expiration_leeway: or(op.expiration_leeway, DEFAULT_LEEWAY),
            not_before_leeway: or(op.not_before_leeway, DEFAULT_LEEWAY),
            clock_skew_leeway: or(op.clock_skew_leeway, DEFAULT_SKEW),
            bound_audiences: op.bound_audiences.unwrap_or_default(),
        };
        put(cx, &name, &role)
    }
}

impl Command<PatchCelRole> for Jwt {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PatchCelRole) -> Result<Reply<JsonMap>> {
        let op = op.role;
        let name = op.name.to_lowercase();
        cx.queue(&name).await;
        let old = stored::cel_role(&cx.view(), &name).await?;
        let gone = || Error::bad_request("Unable to fetch cel role entry to patch");
        let old = &old.ok_or_else(gone)?.record;
        let or = |given: Option<Leeway>, old: i64| given.map_or(old, |leeway| leeway.0);
        let role = CelRole {
            program: match op.cel_program {
                Some(given) => source(given)?,
                None => old.program.clone(),
            },
            message: op.message.unwrap_or_else(|| old.message.clone()),
            expiration_leeway: or(op.expiration_leeway, old.expiration_leeway),
            not_before_leeway: or(op.not_before_leeway, old.not_before_leeway),
            clock_skew_leeway: or(op.clock_skew_leeway, old.clock_skew_leeway),
            bound_audiences: op.bound_audiences.unwrap_or_else(|| old.bound_audiences.clone()),
        };
        put(cx, &name, &role)
    }
}

impl Query<ReadCelRole> for Jwt {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadCelRole) -> Result<Reply<JsonMap>> {
        let name = op.name.to_lowercase();
        let role = stored::cel_role(&cx.view(), &name).await?.ok_or_else(Error::not_found)?;
        Ok(Reply::data(shown(&name, &role.record)?))
    }
}

impl Command<DeleteCelRole> for Jwt {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteCelRole) -> Result<Reply<()>> {
        cx.edit().delete_named::<CelRole>(0, &op.name.to_lowercase());
        Ok(Reply::none())
    }
}

impl Query<ListCelRoles> for Jwt {
    async fn query(&self, cx: &ReadCx<'_>, op: ListCelRoles) -> Result<Reply<Keys>> {
        lists::of_records::<CelRole>(cx, 0, op.after.as_deref(), op.limit).await
    }
}
