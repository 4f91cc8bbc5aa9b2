//! `creds/NAME`: an account for whoever asks, with a lease.

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, Timestamp, fields};
use strongroom_connectors::database::{FailureKind, NewAccount};
use strongroom_kernel::plug::{
    Command, EngineSpec, LeaseKind, NewLease, ReadCx, Reply, WriteCx, ops,
};

use super::connection;
use super::credential::Prepared;
use super::role::Role;
use super::{DatabaseEngine, failed};

/// Seconds that an account outlives its lease, so that it does not end first.
const GRACE_SECONDS: i64 = 5;

fields! {
    /// Makes an account.
    pub struct ReadCreds {
        /// The role's name.
        name: String,
    }
}

ops! { ReadCreds Json, Read; }

pub(super) fn add(spec: EngineSpec<DatabaseEngine>) -> EngineSpec<DatabaseEngine> {
    spec.command::<ReadCreds>("creds/{name}")
}

/// What a lease has of its account. There is no password among it.
struct Leased<'a> {
    username: &'a str,
    role: &'a str,
    db_name: &'a str,
    /// Those of the time it was made, for when its role is gone.
    revocation: Vec<String>,
    issued: Timestamp,
}

impl<'a> Leased<'a> {
    fn write(&self) -> Json {
        json!({
            "username": self.username,
            "role": self.role,
            "db_name": self.db_name,
            "revocation_statements": self.revocation,
            "issued": self.issued.0,
        })
    }

    fn read(internal: &'a Json) -> Result<Self> {
        let text = |name: &str| {
            let text = internal.get(name).and_then(Json::as_str);
            text.ok_or_else(|| Error::internal("a database lease's record is damaged"))
        };
        let statements = internal.get("revocation_statements").and_then(Json::as_array);
        let statements = statements.into_iter().flatten();
        Ok(Self {
            username: text("username")?,
            role: text("role")?,
            db_name: text("db_name")?,
            revocation: statements.filter_map(|s| s.as_str().map(str::to_owned)).collect(),
            issued: Timestamp(internal.get("issued").and_then(Json::as_i64).unwrap_or_default()),
        })
    }
}

impl Leased<'_> {
    /// Is the role still one of the database that the account is in? A role may be moved to another
    /// one; its accounts are not.
    fn is_of(&self, role: &Role) -> bool {
        role.db_name == self.db_name
    }
}

impl Command<ReadCreds> for DatabaseEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ReadCreds) -> Result<Reply<Json>> {
        let role = find_role(cx, &op.name).await?;
        let role = role.ok_or_else(|| Error::bad_request(format!("unknown role: {}", op.name)))?;
        let connection = connection::find(&cx.view(), &role.db_name).await?;
        connection.check_role(&op.name)?;
        let open = self.connect(cx, &role.db_name, &connection)?;
        let credential = (op.name.as_str(), &role.credential);
        let prepared = Prepared::new(cx, credential, &connection, &open).await?;
        let username = open.username(cx, cx.request.display_name(), &op.name)?;
        let leased = Leased {
            username: &username,
            role: &op.name,
            db_name: &role.db_name,
            revocation: role.revocation.clone(),
            issued: cx.now(),
        };
        let lease = NewLease {
            ttl_seconds: (role.default_ttl > 0).then_some(role.default_ttl),
            max_ttl_seconds: (role.max_ttl > 0).then_some(role.max_ttl),
            renewable: true,
            internal: leased.write(),
        };
        let ends = cx.intend(&lease).await?;
        let expires = ends.plus_seconds(GRACE_SECONDS);
        let members = match prepared.members(cx, expires) {
            Ok(members) => members,
            Err(e) => {
                cx.withdraw().await?;
                return Err(e);
            }
        };
        let account = NewAccount {
            name: &username,
            credential: prepared.credential(),
            expires,
            statements: &role.creation,
            rollback: &role.rollback,
        };
        if let Err(e) = open.database.create(account).await {
            // Nothing can have been made where nobody was asked. Else it is taken back, in case.
            if matches!(
                e.kind,
                FailureKind::Configuration | FailureKind::Credential | FailureKind::Unsupported
            ) {
                cx.withdraw().await?;
            }
            return Err(failed("failed to create the account", &e));
        }
        let mut data = JsonMap::new();
        data.extend(members);
        data.insert("username".to_owned(), username.into());
        let mut reply = Reply::data(Json::Object(data));
        reply.lease = Some(Box::new(lease));
        Ok(reply)
    }
}

async fn find_role(cx: &ReadCx<'_>, name: &str) -> Result<Option<Role>> {
    cx.view().named::<Role>(0, name).await
}

impl LeaseKind for DatabaseEngine {
    async fn renew_lease(
        &self,
        cx: &mut WriteCx<'_>,
        internal: &Json,
        seconds: i64,
    ) -> Result<i64> {
        let leased = Leased::read(internal)?;
        let role = find_role(cx, leased.role).await?.ok_or_else(|| {
            let text = "error during renew: could not find role with name";
            Error::bad_request(format!("{text} {:?}", leased.role))
        })?;
        let connection = connection::find(&cx.view(), leased.db_name).await?;
        let open = self.connect(cx, leased.db_name, &connection)?;
        // The role may allow less by now than when the lease was made.
        let seconds = match role.max_ttl {
            0 => seconds,
            most => seconds.min(cx.now().seconds_until(leased.issued.plus_seconds(most))),
        };
        if seconds <= 0 {
            return Err(Error::bad_request("past the max TTL, cannot renew"));
        }
        let expires = cx.now().plus_seconds(seconds + GRACE_SECONDS);
        let statements = if leased.is_of(&role) { &role.renewal[..] } else { &[] };
        let renewed = open.database.renew(leased.username, expires, statements).await;
        renewed.map_err(|e| failed("failed to renew the account", &e))?;
        Ok(seconds)
    }

    async fn revoke_lease(&self, cx: &mut WriteCx<'_>, internal: &Json) -> Result<()> {
        let leased = Leased::read(internal)?;
        let role = find_role(cx, leased.role).await?;
        // The statements as they are now, unless they are for another database by now.
        let statements = match &role {
            Some(role) if leased.is_of(role) => &role.revocation,
            _ => &leased.revocation,
        };
        let connection = connection::find(&cx.view(), leased.db_name).await?;
        let open = self.connect(cx, leased.db_name, &connection)?;
        let removed = open.database.remove(leased.username, statements).await;
        removed.map_err(|e| failed("failed to revoke the account", &e))
    }

    /// One database that hangs holds up its own accounts alone.
    fn lease_target<'j>(&self, internal: &'j Json) -> &'j str {
        internal.get("db_name").and_then(Json::as_str).unwrap_or_default()
    }
}
