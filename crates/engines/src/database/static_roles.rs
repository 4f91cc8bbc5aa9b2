//! `static-roles/NAME`, `static-creds/NAME` and `rotate-role/NAME`: accounts that stay, with a
//! password that changes.

use std::collections::BTreeMap;

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, Ttl, fields};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{
    Command, EngineSpec, Exists, Query, ReadCx, Reply, WriteCx, names, ops,
};

use super::connection;
use super::role::Role;
use super::rotation::Subject;
use super::static_role::{StaticRole, Timing};
use super::{DatabaseEngine, Statements};

fields! {
    /// Lists the static roles.
    pub struct ListStaticRoles {
        /// Names after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}
fields! {
    /// Shows a static role.
    pub struct ReadStaticRole {
        /// The role's name.
        name: String,
    }
}
fields! {
    /// Creates or changes a static role. A new one takes its account over: the password is changed
    /// at once. What is not said stays as it was.
    pub struct PutStaticRole {
        /// The role's name.
        name: String,
        /// The name of the connection its account is in.
        db_name: Option<String>,
        /// The account, which is there already.
        username: Option<String>,
        /// In place of username: two accounts that take turns, so that the password before stays
        /// good until everybody has the new one.
        usernames: Option<Vec<String>>,
        /// How long after a rotation the next one is due.
        rotation_period: Option<Ttl>,
        /// In place of the period: a cron schedule in UTC.
        rotation_schedule: Option<String>,
        /// How long after a time of the schedule the rotation may come off.
        rotation_window: Option<Ttl>,
        /// With two accounts: for how long the one before stays good at most. A day where nothing is
        /// said.
        drain_deadline: Option<Ttl>,
        /// Statements that change the password.
        rotation_statements: Option<Statements>,
        /// With two accounts: statements that make one that is not there.
        creation_statements: Option<Statements>,
        /// password or rsa_private_key.
        credential_type: Option<String>,
        /// Settings of the credential.
        credential_config: Option<BTreeMap<String, String>>,
    }
}
fields! {
    /// Removes a static role. Its accounts stay as they are.
    pub struct DeleteStaticRole {
        /// The role's name.
        name: String,
    }
}
fields! {
    /// Shows a static role's account with its present credential.
    pub struct ReadStaticCreds {
        /// The role's name.
        name: String,
    }
}
fields! {
    /// Changes a static role's credential now.
    pub struct RotateRole {
        /// The role's name.
        name: String,
    }
}

ops! {
    ListStaticRoles Keys, List;
    ReadStaticRole Json, Read;
    PutStaticRole (), Write;
    DeleteStaticRole (), Delete;
    ReadStaticCreds JsonMap, Read;
    RotateRole (), Write;
}

pub(super) fn add(spec: EngineSpec<DatabaseEngine>) -> EngineSpec<DatabaseEngine> {
    spec.query::<ListStaticRoles>("static-roles/")
        .query::<ReadStaticRole>("static-roles/{name}")
        .command::<PutStaticRole>("static-roles/{name}")
        .exists::<PutStaticRole>("static-roles/{name}")
        .command::<DeleteStaticRole>("static-roles/{name}")
        .command::<ReadStaticCreds>("static-creds/{name}")
        .command::<RotateRole>("rotate-role/{name}")
}

async fn find(cx: &ReadCx<'_>, name: &str) -> Result<Option<StaticRole>> {
    cx.view().named::<StaticRole>(0, name).await
}

impl Query<ListStaticRoles> for DatabaseEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ListStaticRoles) -> Result<Reply<Keys>> {
        lists::of_records::<StaticRole>(cx, 0, op.after.as_deref(), op.limit).await
    }
}

impl Query<ReadStaticRole> for DatabaseEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadStaticRole) -> Result<Reply<Json>> {
        let role = find(cx, &op.name).await?.ok_or_else(Error::not_found)?;
        let mut shown = json!({
            "db_name": role.db_name,
            "rotation_statements": role.rotation,
            "credential_type": role.credential.name(),
        });
        let Json::Object(map) = &mut shown else { return Ok(Reply::data(shown)) };
        if role.has_two() {
            map.insert("usernames".to_owned(), json!(role.usernames));
            map.insert("creation_statements".to_owned(), json!(role.creation));
            map.insert("drain_deadline".to_owned(), json!(role.drain));
        } else {
            map.insert("username".to_owned(), json!(role.usernames.first()));
        }
        show_timing(map, &role);
        if let Some(published) = &role.published {
            let rotated = json!(published.rotated.to_string());
            map.insert("last_vault_rotation".to_owned(), rotated);
        }
        if let Some(config) = role.credential.shown() {
            map.insert("credential_config".to_owned(), Json::Object(config));
        }
        Ok(Reply::data(shown))
    }
}

fn show_timing(map: &mut JsonMap, role: &StaticRole) {
    if role.schedule.is_empty() {
        map.insert("rotation_period".to_owned(), json!(role.period));
        return;
    }
    map.insert("rotation_schedule".to_owned(), json!(role.schedule));
    map.insert("rotation_window".to_owned(), json!(role.window));
}

impl Exists<PutStaticRole> for DatabaseEngine {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let name = captures.first().map_or("", |(_, name)| name);
        Ok(find(cx, name).await?.is_some())
    }
}

/// The accounts that a request names; none where it names none.
fn usernames(one: Option<String>, two: Option<Vec<String>>) -> Result<Option<Vec<String>>> {
    match (one.filter(|name| !name.is_empty()), two.filter(|names| !names.is_empty())) {
        (Some(_), Some(_)) => {
            Err(Error::bad_request("give username or usernames, not both of them"))
        }
        (Some(one), None) => Ok(Some(vec![one])),
        (None, Some(two)) => match two.as_slice() {
            [one, other] if one != other => Ok(Some(two)),
            _ => Err(Error::bad_request("usernames must be two different names")),
        },
        (None, None) => Ok(None),
    }
}

impl Command<PutStaticRole> for DatabaseEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutStaticRole) -> Result<Reply<()>> {
        names::check(&op.name)?;
        cx.queue(&op.name).await;
        if cx.view().named::<Role>(0, &op.name).await?.is_some() {
            return Err(Error::bad_request("Role and Static Role names must be unique"));
        }
        let old = find(cx, &op.name).await?;
        let is_new = old.is_none();
        let mut role = old.unwrap_or_default();
        if let Some(name) = op.db_name {
            role.db_name = name;
        }
        if role.db_name.is_empty() {
            return Err(Error::bad_request("database name is a required field"));
        }
        match usernames(op.username, op.usernames)? {
            Some(given) if is_new => role.usernames = given,
            Some(given) if given != role.usernames => {
                return Err(Error::bad_request("cannot update static account username"));
            }
            None if is_new => {
                return Err(Error::bad_request(
                    "username is a required field to create a static account",
                ));
            }
            _ => {}
        }
        role.set_timing(Timing {
            period: op.rotation_period,
            schedule: op.rotation_schedule,
            window: op.rotation_window,
            drain: op.drain_deadline,
        })?;
        if let Some(Statements(statements)) = op.rotation_statements {
            role.rotation = statements;
        }
        if let Some(Statements(statements)) = op.creation_statements {
            if !role.has_two() && !statements.is_empty() {
                let text = "creation_statements are for roles with two accounts";
                return Err(Error::bad_request(text));
            }
            role.creation = statements;
        }
        role.credential.apply(op.credential_type, op.credential_config)?;
        // What cannot be reached at all is told before anything is stored.
        let connection = connection::find(&cx.view(), &role.db_name).await?;
        connection.check_role(&op.name)?;
        role.check_accounts(connection.details()?.text("username"))?;
        cx.edit().put_named(0, &op.name, &role)?;
        let subject = Subject::StaticRole(op.name).name();
        cx.put_rotation(&subject, &role.plan()).await?;
        Ok(match is_new {
            true => Reply::none().beyond(cx.rotate_first(&subject).await?),
            false => Reply::none(),
        })
    }
}

impl Command<DeleteStaticRole> for DatabaseEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteStaticRole) -> Result<Reply<()>> {
        cx.queue(&op.name).await;
        cx.remove_rotation(&Subject::StaticRole(op.name.clone()).name()).await?;
        cx.edit().delete_named::<StaticRole>(0, &op.name);
        Ok(Reply::none())
    }
}

impl Command<ReadStaticCreds> for DatabaseEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ReadStaticCreds) -> Result<Reply<JsonMap>> {
        let role = find(cx, &op.name).await?;
        let role = role.ok_or_else(|| Error::bad_request(format!("unknown role: {}", op.name)))?;
        connection::find(&cx.view(), &role.db_name).await?.check_role(&op.name)?;
        let subject = Subject::StaticRole(op.name).name();
        let published = role.published.as_ref().ok_or_else(|| {
            Error::unavailable("the role's first password is not set yet; see its rotation")
        })?;
        cx.hold(&subject, published.version).await?;
        let next = cx.rotation(&subject).await?.and_then(|status| status.next);
        let ttl = next.map_or(0, |next| cx.now().seconds_until(next).max(0));
        let mut data = JsonMap::new();
        let secret = Json::String(published.secret().expose_secret().clone());
        let member = match role.credential.name() {
            "rsa_private_key" => "rsa_private_key",
            _ => "password",
        };
        data.insert("username".to_owned(), json!(published.username));
        data.insert(member.to_owned(), secret);
        data.insert("ttl".to_owned(), json!(ttl));
        show_timing(&mut data, &role);
        data.insert("last_vault_rotation".to_owned(), json!(published.rotated.to_string()));
        if role.has_two() {
            data.insert("version".to_owned(), json!(published.version));
        }
        Ok(Reply::data(data))
    }
}

impl Command<RotateRole> for DatabaseEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RotateRole) -> Result<Reply<()>> {
        if find(cx, &op.name).await?.is_none() {
            return Err(Error::bad_request("no static role found for role name"));
        }
        let rotating = cx.rotate_now(&Subject::StaticRole(op.name).name()).await?;
        Ok(Reply::none().beyond(rotating))
    }
}
