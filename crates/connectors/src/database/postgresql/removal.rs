//! The end of a role: with its sessions, and all it owns and may, in every database of the server.

use strongroom_base::SecretString;
use tokio_postgres::error::SqlState;

use super::PostgresqlDatabase;
use super::transaction::{Failed, transact};
use crate::database::statements::Dialect;
use crate::database::{DatabaseError, FailureKind};

/// The first number of a role that people made.
const FIRST_ROLE_OID: u32 = 16_384;

/// A role to be removed.
struct Role {
    /// Removing it would lock everybody out.
    protected: bool,
    /// The administrator's name.
    me: String,
    /// The administrator has none of its rights, which taking what it owns needs.
    foreign: bool,
    /// It has the administrator's rights; PostgreSQL allows but one of the two.
    member_of_me: bool,
    /// The other databases where it has something.
    elsewhere: Vec<String>,
}

impl Role {
    /// The statements that end its sessions and take what it has in one database.
    fn give_up(&self, quoted: &str) -> Vec<SecretString> {
        let mut all = Vec::new();
        if self.foreign {
            if self.member_of_me {
                let me = Dialect::Postgresql.identifier(&self.me);
                all.push(format!("REVOKE {me} FROM {quoted}"));
            }
            all.push(format!("GRANT {quoted} TO CURRENT_USER"));
        }
        // Sessions that hold locks would keep us waiting. Who may not end them goes on without.
        all.push(format!(
            "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a \
             JOIN pg_roles r ON r.oid = a.usesysid JOIN pg_roles me ON me.rolname = current_user \
             WHERE r.oid = {}::regrole AND a.pid <> pg_backend_pid() AND (me.rolsuper \
             OR NOT r.rolsuper AND (pg_has_role(me.oid, r.oid, 'USAGE') \
             OR pg_has_role(me.oid, 'pg_signal_backend', 'USAGE')))",
            *Dialect::Postgresql.text(quoted)
        ));
        all.push(format!("REASSIGN OWNED BY {quoted} TO CURRENT_USER"));
        all.push(format!("DROP OWNED BY {quoted}"));
        all.into_iter().map(SecretString::new).collect()
    }
}

impl PostgresqlDatabase {
    /// What is known of a role; none if it is not there.
    async fn find(&self, name: &str) -> Result<Option<Role>, DatabaseError> {
        let sql = format!(
            "SELECT r.oid, r.oid = me.oid, me.rolname, \
             NOT pg_has_role(me.oid, r.oid, 'USAGE'), \
             EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid AND m.roleid = me.oid), \
             d.datname \
             FROM pg_roles r JOIN pg_roles me ON me.rolname = current_user \
             LEFT JOIN (SELECT DISTINCT s.refobjid, b.datname FROM pg_shdepend s \
             JOIN pg_database b ON b.oid = s.dbid \
             WHERE s.refclassid = 'pg_authid'::regclass AND b.datname <> current_database()) d \
             ON d.refobjid = r.oid WHERE r.rolname = {} ORDER BY d.datname",
            *Dialect::Postgresql.text(name)
        );
        let mut found: Option<Role> = None;
        for row in self.query(&sql).await? {
            let [Some(oid), Some(own), Some(me), Some(foreign), Some(member), database] =
                row.as_slice()
            else {
                continue;
            };
            let role = found.get_or_insert_with(|| Role {
                protected: own == "t" || oid.parse().is_ok_and(|oid: u32| oid < FIRST_ROLE_OID),
                me: me.clone(),
                foreign: foreign == "t",
                member_of_me: member == "t",
                elsewhere: Vec::new(),
            });
            role.elsewhere.extend(database.clone());
        }
        Ok(found)
    }

    pub(super) async fn drop_role(&self, name: &str) -> Result<(), DatabaseError> {
        let Some(role) = self.find(name).await? else { return Ok(()) };
        if role.protected {
            let text = "this role is the administrator's own, or the database's: it is not removed";
            return Err(DatabaseError::new(FailureKind::Refused, text));
        }
        let quoted = Dialect::Postgresql.identifier(name);
        let give_up = role.give_up(&quoted);
        let mut left = Vec::new();
        for database in &role.elsewhere {
            if let Err(error) = self.clean(database, &give_up).await {
                left.push(format!("{}: {}", Dialect::Postgresql.identifier(database), error.text));
            }
        }
        let last = if left.is_empty() { "DROP ROLE " } else { "ALTER ROLE " };
        let nologin = if left.is_empty() { "" } else { " NOLOGIN" };
        let last = SecretString::new(format!("{last}{quoted}{nologin}"));
        let mut all = give_up;
        all.push(last);
        let failed = match self.transaction_or(&all).await {
            Ok(()) if left.is_empty() => return Ok(()),
            Ok(()) => DatabaseError::new(
                FailureKind::Refused,
                format!(
                    "the role cannot log in any more, but stays for what it has in {}",
                    left.join("; ")
                ),
            ),
            // Somebody else was quicker.
            Err(failed) if failed.code() == Some(&SqlState::UNDEFINED_OBJECT) => {
                match self.find(name).await? {
                    None => return Ok(()),
                    Some(_) => self.not_dropped(failed, left),
                }
            }
            Err(failed) => {
                // As much as can be: nobody gets in with it while it is still there.
                if matches!(failed, Failed::In(_)) {
                    let shut = SecretString::new(format!("ALTER ROLE {quoted} NOLOGIN"));
                    let _ = self.transaction_or(&[shut]).await;
                }
                self.not_dropped(failed, left)
            }
        };
        Err(failed)
    }

    fn not_dropped(&self, failed: Failed, left: Vec<String>) -> DatabaseError {
        let mut error = match failed {
            Failed::Before(error) => error,
            Failed::In(broken) => self.said("the role cannot be dropped", &broken.error, &[]),
        };
        for left in left {
            error.text = format!("{}; {left}", error.text);
        }
        error
    }

    /// Takes from a role what it has in another database.
    async fn clean(&self, database: &str, give_up: &[SecretString]) -> Result<(), DatabaseError> {
        let _slot = self.pool.room(self.limit).await?;
        let client = self.session(Some(database)).await?;
        transact(&client, give_up, self.limit)
            .await
            .map_err(|broken| self.said("what it has cannot be taken", &broken.error, &[]))
    }

    pub(super) async fn remove_by(
        &self,
        name: &str,
        texts: &[String],
    ) -> Result<(), DatabaseError> {
        let statements = self.statements(texts, name, &[])?;
        let Err(error) = self.transaction(&statements, &[]).await else { return Ok(()) };
        // Statements mostly fail on a role that is not there.
        match self.find(name).await {
            Ok(None) => Ok(()),
            _ => Err(error),
        }
    }
}
