//! How passwords are changed: of static roles, and of connections' administrators. The kernel says
//! when, and what comes after what; see `strongroom_kernel::rotation`.

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Json, Result, SecretString, Timestamp, fields};
use strongroom_connectors::database::{
    Credential, CredentialKind, Database, DatabaseError, FailureKind, NewAccount,
};
use strongroom_kernel::plug::{
    Command, EngineSpec, Op, Promotion, ReadCx, Reply, RotationKind, Verb, WriteCx,
};
use strongroom_kernel::rotation::{RotationPlan, Schedule};
use zeroize::Zeroize;

use super::connection::{self, Connection, Details};
use super::credential::{Generated, password};
use super::static_role::{Published, StaticRole};
use super::{DatabaseEngine, failed};

fields! {
    /// Changes the password of a connection's administrator: nobody but Strongroom knows it then.
    pub struct RotateRoot {
        /// The connection's name.
        name: String,
    }
}

impl Op for RotateRoot {
    type Reply = ();
    const VERB: Verb = Verb::Write;
}

pub(super) fn add(spec: EngineSpec<DatabaseEngine>) -> EngineSpec<DatabaseEngine> {
    spec.command::<RotateRoot>("rotate-root/{name}")
}

/// Whose password.
pub enum Subject {
    /// That of the accounts of a static role.
    StaticRole(String),
    /// That of the administrator of a connection.
    Connection(String),
}

impl Subject {
    /// As rotations know it: its path in the mount.
    pub fn name(&self) -> String {
        match self {
            Self::StaticRole(name) => format!("static-roles/{name}"),
            Self::Connection(name) => format!("config/{name}"),
        }
    }

    fn read(name: &str) -> Result<Self> {
        match name.split_once('/') {
            Some(("static-roles", name)) => Ok(Self::StaticRole(name.to_owned())),
            Some(("config", name)) => Ok(Self::Connection(name.to_owned())),
            _ => Err(Error::internal("a rotation's subject is none of this engine's")),
        }
    }
}

/// A credential in a rotation's journal: enough to make it good and to take it back, even when its
/// role is gone.
#[derive(Serialize, Deserialize)]
struct Entry {
    /// The connection.
    db_name: String,
    username: String,
    /// The password, or the private key.
    secret: String,
    /// The database's part of a key pair, PEM; "" with a password.
    public_key: String,
    /// Is it the connection's administrator?
    administrator: bool,
    /// What is good until then, of an account that has no other; "" where nobody knows.
    restores: String,
    /// Statements that change a password.
    rotation: Vec<String>,
    /// Statements that make the account where it is not there.
    creation: Vec<String>,
    /// The policy of the password that takes it back.
    policy: String,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.secret.zeroize();
        self.restores.zeroize();
    }
}

impl Entry {
    fn read(json: &Json) -> Result<Self> {
        Self::deserialize(json).map_err(|_| Error::internal("a rotation's journal is damaged"))
    }

    fn write(&self) -> Result<Json> {
        serde_json::to_value(self).map_err(|_| Error::internal("a credential does not serialise"))
    }

    fn secret(&self) -> SecretString {
        SecretString::new(self.secret.clone())
    }

    /// Is its account still the administrator of this connection?
    fn administers(&self, connection: &Connection) -> Result<bool> {
        Ok(connection.details()?.text("username") == self.username)
    }

    fn credential(&self) -> Credential {
        match self.public_key.as_str() {
            "" => Credential::Password(self.secret()),
            key => Credential::PublicKey(key.to_owned()),
        }
    }
}

/// Changes a password; an account that is not there is made, where there are statements for that.
async fn change(
    database: &dyn Database,
    entry: &Entry,
    credential: &Credential,
) -> Result<(), DatabaseError> {
    let changed = database.set_credential(&entry.username, credential, &entry.rotation).await;
    match changed {
        Err(e) if e.kind == FailureKind::Refused && !entry.creation.is_empty() => {
            let account = NewAccount {
                name: &entry.username,
                credential,
                expires: Timestamp::MAX,
                statements: &entry.creation,
                rollback: &[],
            };
            database.create(account).await
        }
        changed => changed,
    }
}

impl DatabaseEngine {
    /// The connection of an entry, as it is configured now.
    async fn reach(
        &self,
        cx: &ReadCx<'_>,
        entry: &Entry,
    ) -> Result<std::sync::Arc<connection::Open>> {
        let connection = connection::find(&cx.view(), &entry.db_name).await?;
        self.connect(cx, &entry.db_name, &connection)
    }

    /// The connection of an entry whose secret is its administrator's, as that one.
    async fn reach_as(
        &self,
        cx: &ReadCx<'_>,
        entry: &Entry,
    ) -> Result<std::sync::Arc<connection::Open>> {
        let mut connection = connection::find(&cx.view(), &entry.db_name).await?;
        let mut details = connection.details()?;
        details.set("username".to_owned(), Json::from(entry.username.as_str()));
        details.set_password(&entry.secret);
        connection.set_details(&details);
        self.open(cx, &connection)
    }

    /// Does the database take an entry's secret?
    async fn takes(&self, cx: &ReadCx<'_>, entry: &Entry) -> Result<bool> {
        if !entry.public_key.is_empty() {
            return Err(Error::bad_request("a login by a key can't be tried"));
        }
        let doing = "failed to try the password";
        if entry.administrator {
            let open = self.reach_as(cx, entry).await?;
            return match open.database.verify().await {
                Ok(()) => Ok(true),
                Err(e) if e.kind == FailureKind::Credential => Ok(false),
                Err(e) => Err(failed(doing, &e)),
            };
        }
        let open = self.reach(cx, entry).await?;
        let tried = open.database.logs_in(&entry.username, &entry.secret()).await;
        tried.map_err(|e| failed(doing, &e))
    }

    /// The next credential of a static role.
    async fn next_of_role(&self, cx: &ReadCx<'_>, name: &str) -> Result<Entry> {
        let role = cx.view().named::<StaticRole>(0, name).await?.ok_or_else(Error::not_found)?;
        let connection = connection::find(&cx.view(), &role.db_name).await?;
        let open = self.connect(cx, &role.db_name, &connection)?;
        let generated = Generated::new(cx, &role.credential, &connection, &open).await?;
        let (_, secret) = &generated.answer;
        let public_key = match &generated.credential {
            Credential::PublicKey(key) => key.clone(),
            _ => String::new(),
        };
        let before = role.published.as_ref().filter(|_| !role.has_two());
        let is_password = role.credential.kind() == CredentialKind::Password;
        Ok(Entry {
            db_name: role.db_name.clone(),
            username: role.next_username()?.to_owned(),
            secret: secret.expose_secret().clone(),
            public_key,
            administrator: false,
            restores: match before.filter(|_| is_password) {
                Some(published) => published.secret().expose_secret().clone(),
                None => String::new(),
            },
            rotation: role.rotation.clone(),
            creation: role.creation.clone(),
            policy: connection.password_policy.clone(),
        })
    }

    /// The next password of a connection's administrator.
    async fn next_of_connection(&self, cx: &ReadCx<'_>, name: &str) -> Result<Entry> {
        let connection = connection::find(&cx.view(), name).await?;
        let details = administrated(&connection)?;
        let secret = password(cx, &connection.password_policy).await?;
        Ok(Entry {
            db_name: name.to_owned(),
            username: details.text("username").to_owned(),
            secret: secret.expose_secret().clone(),
            public_key: String::new(),
            administrator: true,
            restores: details.text("password").to_owned(),
            rotation: connection.root_rotation_statements.clone(),
            creation: Vec::new(),
            policy: connection.password_policy.clone(),
        })
    }
}

/// A connection's details, if they say who its administrator is.
fn administrated(connection: &Connection) -> Result<Details> {
    let details = connection.details()?;
    for name in ["username", "password"] {
        if details.text(name).is_empty() {
            return Err(Error::bad_request(format!(
                "unable to rotate root credentials: no {name} in configuration"
            )));
        }
    }
    Ok(details)
}

impl Command<RotateRoot> for DatabaseEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RotateRoot) -> Result<Reply<()>> {
        let connection = connection::find(&cx.view(), &op.name).await?;
        administrated(&connection)?;
        let subject = Subject::Connection(op.name).name();
        cx.put_rotation(&subject, &RotationPlan::one_account(Schedule::Never)).await?;
        Ok(Reply::none().beyond(cx.rotate_now(&subject).await?))
    }
}

impl RotationKind for DatabaseEngine {
    async fn prepare(&self, cx: &mut WriteCx<'_>, subject: &str) -> Result<Json> {
        let entry = match Subject::read(subject)? {
            Subject::StaticRole(name) => self.next_of_role(cx, &name).await?,
            Subject::Connection(name) => self.next_of_connection(cx, &name).await?,
        };
        entry.write()
    }

    async fn set(&self, cx: &ReadCx<'_>, _: &str, next: &Json) -> Result<()> {
        let entry = Entry::read(next)?;
        let open = self.reach(cx, &entry).await?;
        match change(&*open.database, &entry, &entry.credential()).await {
            // It may be done: then the password before is refused.
            Err(e) if entry.administrator && e.kind == FailureKind::Credential => {
                match self.takes(cx, &entry).await {
                    Ok(true) => Ok(()),
                    _ => Err(failed("failed to change the password", &e)),
                }
            }
            changed => changed.map_err(|e| failed("failed to change the password", &e)),
        }
    }

    async fn test(&self, cx: &ReadCx<'_>, _: &str, next: &Json) -> Result<bool> {
        let entry = Entry::read(next)?;
        if !entry.public_key.is_empty() {
            return Ok(true);
        }
        if entry.administrator {
            // Somebody may have given the connection another one meanwhile.
            let connection = connection::find(&cx.view(), &entry.db_name).await?;
            if !entry.administers(&connection)? {
                return Ok(false);
            }
        }
        self.takes(cx, &entry).await
    }

    async fn promote(
        &self,
        cx: &mut WriteCx<'_>,
        subject: &str,
        version: u64,
        next: &Json,
    ) -> Result<Promotion> {
        let entry = Entry::read(next)?;
        let edit = cx.edit();
        let name = match Subject::read(subject)? {
            Subject::StaticRole(name) => name,
            Subject::Connection(name) => {
                let mut connection = connection::find(&edit, &name).await?;
                if !entry.administers(&connection)? {
                    return Ok(Promotion::Refused("the connection has another administrator now"));
                }
                let mut details = connection.details()?;
                details.set_password(&entry.secret);
                connection.set_details(&details);
                connection::put(&edit, &name, &mut connection)?;
                self.close_after(cx, name);
                return Ok(Promotion::Alone);
            }
        };
        let role = edit.named::<StaticRole>(0, &name).await?;
        let mut role = role.ok_or_else(Error::not_found)?;
        let published = Published::new(version, &entry.username, &entry.secret(), cx.now());
        let before = role.published.replace(published);
        edit.put_named(0, &name, &role)?;
        match before.filter(|_| role.has_two()) {
            Some(before) => {
                let old = Entry {
                    db_name: entry.db_name.clone(),
                    username: before.username.clone(),
                    secret: before.secret().expose_secret().clone(),
                    public_key: String::new(),
                    administrator: false,
                    restores: String::new(),
                    rotation: entry.rotation.clone(),
                    creation: Vec::new(),
                    policy: entry.policy.clone(),
                };
                Ok(Promotion::Over(old.write()?))
            }
            None => Ok(Promotion::Alone),
        }
    }

    async fn revoke(&self, cx: &ReadCx<'_>, _: &str, old: &Json) -> Result<()> {
        let entry = Entry::read(old)?;
        let open = self.reach(cx, &entry).await?;
        // A password that nobody gets to know.
        let unknown = Credential::Password(password(cx, &entry.policy).await?);
        let set = open.database.set_credential(&entry.username, &unknown, &entry.rotation).await;
        match set {
            // Somebody dropped the account: nobody logs in there any more.
            Err(e) if e.kind == FailureKind::Refused && !self.takes(cx, &entry).await? => Ok(()),
            set => set.map_err(|e| failed("failed to revoke the password before", &e)),
        }
    }

    async fn refused(&self, cx: &ReadCx<'_>, _: &str, old: &Json) -> Result<bool> {
        Ok(!self.takes(cx, &Entry::read(old)?).await?)
    }

    async fn undo(&self, cx: &ReadCx<'_>, _: &str, next: &Json) -> Result<()> {
        let entry = Entry::read(next)?;
        let connection = cx.view().named::<Connection>(0, &entry.db_name).await?;
        // Whoever has removed the connection looks after its administrator.
        let is_removed = entry.administrator && connection.is_none();
        if is_removed || !entry.public_key.is_empty() || !self.takes(cx, &entry).await? {
            return Ok(());
        }
        let doing = "failed to take the next password back";
        let configured = match connection.filter(|_| entry.administrator) {
            // What was written meanwhile has to be good again, not what was there in the beginning.
            Some(connection) if entry.administers(&connection)? => connection.details()?.password(),
            _ => SecretString::new(entry.restores.clone()),
        };
        let back = match configured.expose_secret().as_str() {
            "" => password(cx, &entry.policy).await?,
            _ => configured,
        };
        let open = match entry.administrator {
            true => self.reach_as(cx, &entry).await?,
            false => self.reach(cx, &entry).await?,
        };
        let back = Credential::Password(back);
        let set = open.database.set_credential(&entry.username, &back, &entry.rotation).await;
        set.map_err(|e| failed(doing, &e))
    }

    async fn unmake(&self, cx: &mut WriteCx<'_>, subject: &str) -> Result<()> {
        // A connection stays: only its administrator's password was to be changed.
        if let Subject::StaticRole(name) = Subject::read(subject)? {
            cx.edit().delete_named::<StaticRole>(0, &name);
        }
        Ok(())
    }
}
