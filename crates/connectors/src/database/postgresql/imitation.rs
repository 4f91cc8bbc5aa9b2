//! An account with the rights of another: a member of it, so that what the first one is granted later is
//! the second one's, too; and with its attributes, which no membership gives.
//!
//! Invariants:
//! - An account that is there and may do to the whole server what its model may not is refused, and left
//!   as it is.
//! - Nobody gets an attribute or a role that the model has not.

use strongroom_base::SecretString;

use super::PostgresqlDatabase;
use crate::database::statements::Dialect;
use crate::database::{Credential, DatabaseError, FailureKind, wrong};

/// What roles may do to the whole server: the column, and the word that gives it.
const ATTRIBUTES: [(&str, &str); 5] = [
    ("rolsuper", " SUPERUSER"),
    ("rolcreaterole", " CREATEROLE"),
    ("rolcreatedb", " CREATEDB"),
    ("rolreplication", " REPLICATION"),
    ("rolbypassrls", " BYPASSRLS"),
];

/// The attributes of a role, in the order of [`ATTRIBUTES`].
type Attributes = [bool; ATTRIBUTES.len()];

/// The one role that nobody is made a member of: the database's owner is.
const OF_OWNERS: &str = "pg_database_owner";

/// A role that one of two accounts is a member of, or gives to others, and the other one not.
struct Membership {
    role: String,
    /// Is the second account a member; may it give the role to others?
    own: [bool; 2],
    /// The same of the first account.
    model: [bool; 2],
}

impl Membership {
    fn is_more(&self) -> bool {
        self.own.iter().zip(self.model).any(|(own, model)| *own && !model)
    }

    /// What gives the second account the same; none where that cannot be given.
    fn grant(&self, name: &str) -> Option<SecretString> {
        let role = Dialect::Postgresql.identifier(&self.role);
        let admin = if self.model[1] { " WITH ADMIN OPTION" } else { "" };
        (self.role != OF_OWNERS)
            .then(|| SecretString::new(format!("GRANT {role} TO {name}{admin}")))
    }
}

fn refused(text: &str) -> DatabaseError {
    DatabaseError::new(FailureKind::Refused, text)
}

fn may_more() -> DatabaseError {
    refused("the second account is there already and may do what the first may not")
}

impl PostgresqlDatabase {
    pub(super) async fn make_like(
        &self,
        model: &str,
        name: &str,
        password: &SecretString,
    ) -> Result<(), DatabaseError> {
        if [model, name].iter().any(|name| name.is_empty() || name.contains('\0')) || model == name
        {
            return Err(wrong("an account and its model need two names"));
        }
        let credential = Credential::Password(password.duplicate());
        let sent = self.sent(&credential)?;
        let statements = self.like(model, name, &sent).await?;
        self.transaction(&statements, &[password, &sent]).await
    }

    /// The statements that make an account like another, or give it its password and what it lacks where
    /// it is there. What the administrator may not give, the database refuses with all the rest.
    async fn like(
        &self,
        model: &str,
        name: &str,
        sent: &SecretString,
    ) -> Result<Vec<SecretString>, DatabaseError> {
        let quoted = Dialect::Postgresql.identifier(name);
        let models = self.attributes(model).await?;
        let models = models.ok_or_else(|| refused("the first account is not there"))?;
        let known = self.attributes(name).await?;
        let own = known.unwrap_or_default();
        if own.iter().zip(models).any(|(own, model)| *own && !model) {
            return Err(may_more());
        }
        let verb = if known.is_some() { "ALTER" } else { "CREATE" };
        let mut first = format!("{verb} ROLE {quoted} WITH LOGIN");
        // What is there is not said again: who is no superuser may not even say it.
        for ((_, word), (own, model)) in ATTRIBUTES.iter().zip(own.iter().zip(models)) {
            first.push_str(if model && !own { word } else { "" });
        }
        let written = Dialect::Postgresql.text(sent.expose_secret());
        let first = SecretString::new(format!("{first} PASSWORD {}", *written));
        let mut statements = vec![first];
        if known.is_none() {
            let model = Dialect::Postgresql.identifier(model);
            statements.push(SecretString::new(format!("GRANT {model} TO {quoted}")));
        } else if !models[0] {
            // A superuser has every role.
            let memberships = self.memberships(model, name).await?;
            if memberships.iter().any(Membership::is_more) {
                return Err(may_more());
            }
            statements.extend(memberships.iter().filter_map(|one| one.grant(&quoted)));
        }
        Ok(statements)
    }

    /// What a role may do to the whole server; none where there is no such role.
    async fn attributes(&self, name: &str) -> Result<Option<Attributes>, DatabaseError> {
        let name = Dialect::Postgresql.text(name);
        let columns = ATTRIBUTES.map(|(column, _)| column).join(", ");
        let sql = format!("SELECT {columns} FROM pg_catalog.pg_roles WHERE rolname = {}", *name);
        let rows = self.query(&sql).await?;
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        let set: Vec<bool> = row.iter().map(is_set).collect();
        let set = set.try_into().map_err(|_| refused("the database has other attributes"))?;
        Ok(Some(set))
    }

    /// The roles, however far away, in which the memberships of two accounts differ. That one of the two
    /// is a member of the other does not count.
    async fn memberships(&self, model: &str, name: &str) -> Result<Vec<Membership>, DatabaseError> {
        let has =
            |who: &str, what: &str| format!("pg_catalog.pg_has_role({who}.oid, r.oid, '{what}')");
        let of = |who: &str| [has(who, "MEMBER"), has(who, "MEMBER WITH ADMIN OPTION")];
        let ([own, own_gives], [models, models_gives]) = (of("own"), of("model"));
        let sql = format!(
            "SELECT r.rolname, {own}, {own_gives}, {models}, {models_gives} \
             FROM pg_catalog.pg_roles r, pg_catalog.pg_roles own, pg_catalog.pg_roles model \
             WHERE own.rolname = {} AND model.rolname = {} AND r.oid NOT IN (own.oid, model.oid) \
             AND ({own} <> {models} OR {own_gives} <> {models_gives}) ORDER BY r.rolname",
            *Dialect::Postgresql.text(name),
            *Dialect::Postgresql.text(model)
        );
        let mut found = Vec::new();
        for row in self.query(&sql).await? {
            let [Some(role), own, own_gives, model, model_gives] = row.as_slice() else { continue };
            found.push(Membership {
                role: role.clone(),
                own: [own, own_gives].map(is_set),
                model: [model, model_gives].map(is_set),
            });
        }
        Ok(found)
    }
}

fn is_set(value: &Option<String>) -> bool {
    value.as_deref() == Some("t")
}
