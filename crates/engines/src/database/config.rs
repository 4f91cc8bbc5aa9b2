//! `config/NAME`, `reset/NAME` and `reload/PLUGIN`: connections to databases.

use serde_json::json;
use strongroom_base::{Error, Json, Rest, Result, fields};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{
    Command, EngineSpec, Exists, Query, ReadCx, Reply, WriteCx, names, ops,
};

use super::connection::{self, Connection};
use super::rotation::Subject;
use super::{DatabaseEngine, Statements};

fields! {
    /// Lists the connections.
    pub struct ListConnections {
        /// Names after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}
fields! {
    /// Shows a connection, without its secrets.
    pub struct ReadConnection {
        /// The connection's name.
        name: String,
    }
}
fields! {
    /// Creates or changes a connection. What is not said stays as it was.
    pub struct PutConnection {
        /// The connection's name.
        name: String,
        /// The kind of database.
        plugin_name: Option<String>,
        /// The version of the plug-in; there is one of each.
        plugin_version: Option<String>,
        /// Log in once before it is stored? True where nothing is said.
        verify_connection: Option<bool>,
        /// Names of roles that may use it, with `*` for anything; none where nothing is said.
        allowed_roles: Option<Vec<String>>,
        /// Statements that change the administrator's password.
        root_rotation_statements: Option<Statements>,
        /// The policy of generated passwords.
        password_policy: Option<String>,
        /// What the kind of database takes: connection_url, username, password, username_template,
        /// max_open_connections, TLS material and more.
        connection_details: Rest,
    }
}
fields! {
    /// Removes a connection. Accounts that were made through it can't be revoked without it.
    pub struct DeleteConnection {
        /// The connection's name.
        name: String,
    }
}
fields! {
    /// Closes what is open of a connection, and opens it anew.
    pub struct ResetConnection {
        /// The connection's name.
        name: String,
    }
}
fields! {
    /// Resets all connections of a plug-in.
    pub struct ReloadPlugin {
        /// The plug-in's name.
        plugin_name: String,
    }
}

ops! {
    ListConnections Keys, List;
    ReadConnection Json, Read;
    PutConnection (), Write;
    DeleteConnection (), Delete;
    ResetConnection (), Write;
    ReloadPlugin Json, Write;
}

pub(super) fn add(spec: EngineSpec<DatabaseEngine>) -> EngineSpec<DatabaseEngine> {
    spec.query::<ListConnections>("config/")
        .query::<ReadConnection>("config/{name}")
        .command::<PutConnection>("config/{name}")
        .exists::<PutConnection>("config/{name}")
        .command::<DeleteConnection>("config/{name}")
        .command::<ResetConnection>("reset/{name}")
        .command::<ReloadPlugin>("reload/{plugin_name}")
}

impl Query<ListConnections> for DatabaseEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ListConnections) -> Result<Reply<Keys>> {
        lists::of_records::<Connection>(cx, 0, op.after.as_deref(), op.limit).await
    }
}

impl Query<ReadConnection> for DatabaseEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadConnection) -> Result<Reply<Json>> {
        let found = cx.view().named::<Connection>(0, &op.name).await?;
        let connection = found.ok_or_else(Error::not_found)?;
        Ok(Reply::data(json!({
            "plugin_name": connection.plugin_name,
            "plugin_version": connection.plugin_version,
            "connection_details": connection.details()?.shown(),
            "allowed_roles": connection.allowed_roles,
            "root_credentials_rotate_statements": connection.root_rotation_statements,
            "password_policy": connection.password_policy,
        })))
    }
}

impl Exists<PutConnection> for DatabaseEngine {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let name = captures.first().map_or("", |(_, name)| name);
        Ok(cx.view().named::<Connection>(0, name).await?.is_some())
    }
}

impl Command<PutConnection> for DatabaseEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutConnection) -> Result<Reply<()>> {
        names::check(&op.name)?;
        cx.queue(&op.name).await;
        let old = cx.view().named::<Connection>(0, &op.name).await?;
        let mut new = old.unwrap_or_default();
        new.plugin_name = op.plugin_name.unwrap_or(std::mem::take(&mut new.plugin_name));
        if new.plugin_name.is_empty() {
            return Err(Error::bad_request("empty plugin name"));
        }
        new.plugin_version = op.plugin_version.unwrap_or(std::mem::take(&mut new.plugin_version));
        if !matches!(new.plugin_version.as_str(), "" | "builtin") {
            return Err(Error::bad_request(format!(
                "database plugin {:?} has no version but its own: leave plugin_version out",
                new.plugin_name
            )));
        }
        if let Some(roles) = op.allowed_roles {
            new.allowed_roles = roles;
        }
        if let Some(Statements(statements)) = op.root_rotation_statements {
            new.root_rotation_statements = statements;
        }
        if let Some(policy) = op.password_policy {
            new.password_policy = policy;
        }
        let mut details = new.details()?;
        for (name, value) in op.connection_details.0.take() {
            details.set(name, value);
        }
        new.set_details(&details);
        let open = self.open(cx, &new)?;
        if op.verify_connection.unwrap_or(true) {
            open.database.verify().await.map_err(|e| {
                let text = "error creating database object: error verifying connection";
                Error::bad_request(format!("{text}: {e}"))
            })?;
        }
        connection::put(&cx.edit(), &op.name, &mut new)?;
        self.close_after(cx, op.name);
        Ok(match details.password_in_url() {
            true => Reply::none().warn(
                "Password found in connection_url, use a templated url to enable root rotation \
                 and prevent read access to password information.",
            ),
            false => Reply::none(),
        })
    }
}

impl Command<DeleteConnection> for DatabaseEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteConnection) -> Result<Reply<()>> {
        cx.queue(&op.name).await;
        cx.remove_rotation(&Subject::Connection(op.name.clone()).name()).await?;
        cx.edit().delete_named::<Connection>(0, &op.name);
        self.close_after(cx, op.name);
        Ok(Reply::none())
    }
}

impl Command<ResetConnection> for DatabaseEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ResetConnection) -> Result<Reply<()>> {
        let connection = connection::find(&cx.view(), &op.name).await?;
        self.connections.close(&op.name);
        self.connect(cx, &op.name, &connection)?;
        Ok(Reply::none())
    }
}

impl Command<ReloadPlugin> for DatabaseEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ReloadPlugin) -> Result<Reply<Json>> {
        self.driver(&op.plugin_name)?;
        let mut reset = Vec::new();
        for (name, connection) in cx.view().all::<Connection>(0).await? {
            if connection.plugin_name == op.plugin_name {
                self.connections.close(&name);
                reset.push(name);
            }
        }
        Ok(Reply::data(json!({ "connections": reset, "count": reset.len() })))
    }
}

impl DatabaseEngine {
    /// Closes what is open of a connection once the change is durable.
    pub(super) fn close_after(&self, cx: &mut WriteCx<'_>, name: String) {
        let connections = self.connections.clone();
        cx.after_commit(move |_| connections.close(&name));
    }
}
