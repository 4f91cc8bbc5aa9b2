//! The roles that are an account's own from its login on: without them a role that was granted gives
//! nothing before somebody asks for it.

use std::collections::BTreeSet;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use strongroom_base::SecretString;

use super::MysqlDatabase;
use super::failure::within;
use crate::database::DatabaseError;
use crate::database::pool::Lent;
use crate::database::statements::Dialect;

/// Whose roles: both have them, and neither as the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Server {
    /// One default role at most, without a host.
    MariaDb,
    /// Any number of them.
    MySql,
}

impl Server {
    /// By what it says of its version.
    fn of(version: &str) -> Self {
        if version.to_ascii_lowercase().contains("mariadb") { Self::MariaDb } else { Self::MySql }
    }

    /// Name and host of each default role of an account.
    fn query(self, name: &str, host: &str) -> String {
        let (name, host) = (Dialect::Mysql.text(name), Dialect::Mysql.text(host));
        match self {
            Self::MariaDb => format!(
                "SELECT default_role, '' FROM mysql.user \
                 WHERE User = {} AND Host = {} AND default_role <> ''",
                *name, *host
            ),
            Self::MySql => format!(
                "SELECT DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST FROM mysql.default_roles \
                 WHERE USER = {} AND HOST = {}",
                *name, *host
            ),
        }
    }

    /// The statement that makes these an account's default roles, and no others.
    fn set(self, account: &str, roles: &BTreeSet<(String, String)>) -> String {
        let written = roles.iter().map(|(name, host)| {
            let name = Dialect::Mysql.identifier(name);
            match self {
                Self::MariaDb => name,
                Self::MySql => format!("{name}@{}", Dialect::Mysql.identifier(host)),
            }
        });
        let roles = match roles.is_empty() {
            true => "NONE".to_owned(),
            false => written.collect::<Vec<_>>().join(", "),
        };
        match self {
            Self::MariaDb => format!("SET DEFAULT ROLE {roles} FOR {account}"),
            Self::MySql => format!("ALTER USER {account} DEFAULT ROLE {roles}"),
        }
    }
}

impl MysqlDatabase {
    /// What makes the default roles of an account those of its model, for hosts of both.
    pub(super) async fn default_roles(
        &self,
        lent: &mut Lent<Conn>,
        model: &str,
        name: &str,
        hosts: &[String],
    ) -> Result<Vec<SecretString>, DatabaseError> {
        let version = "SELECT VERSION(), ''".to_owned();
        let version = self.pairs(lent, version).await?;
        let server = Server::of(version.first().map_or("", |(version, _)| version));
        let mut statements = Vec::new();
        for host in hosts {
            let roles = self.pairs(lent, server.query(model, host)).await?;
            let own = self.pairs(lent, server.query(name, host)).await?;
            let (roles, own) = (BTreeSet::from_iter(roles), BTreeSet::from_iter(own));
            if roles != own {
                let account =
                    format!("{}@{}", *Dialect::Mysql.text(name), *Dialect::Mysql.text(host));
                statements.push(SecretString::new(server.set(&account, &roles)));
            }
        }
        Ok(statements)
    }

    async fn pairs(
        &self,
        lent: &mut Lent<Conn>,
        query: String,
    ) -> Result<Vec<(String, String)>, DatabaseError> {
        match within(self.statement, lent.connection.query(query)).await {
            Ok(pairs) => Ok(pairs),
            // A server from before there were roles: no such column, no such table.
            Err(failed) if matches!(failed.code(), Some(1054 | 1146)) => Ok(Vec::new()),
            Err(failed) => {
                lent.broken |= failed.code().is_none();
                let error = self.said(&failed, &[]);
                let text = format!("looking for default roles: {}", error.text);
                Err(DatabaseError::new(error.kind, text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_apart_and_asked_in_their_ways() {
        use Server::{MariaDb, MySql};
        for (version, server) in [
            ("10.11.19-MariaDB-0+deb12u1", MariaDb),
            ("5.5.5-10.4.8-mariadb", MariaDb),
            ("8.0.36", MySql),
            ("8.0.mysql_aurora.3.04.0", MySql),
        ] {
            assert_eq!(Server::of(version), server, "{version}");
        }
        let pair = |name: &str, host: &str| (name.to_owned(), host.to_owned());
        for (server, roles, expected) in [
            (MariaDb, &[][..], "SET DEFAULT ROLE NONE FOR 'a'@'%'"),
            (MariaDb, &[pair("r`", "")], "SET DEFAULT ROLE `r``` FOR 'a'@'%'"),
            (MySql, &[], "ALTER USER 'a'@'%' DEFAULT ROLE NONE"),
            (
                MySql,
                &[pair("r", "%"), pair("s", "h")],
                "ALTER USER 'a'@'%' DEFAULT ROLE `r`@`%`, `s`@`h`",
            ),
        ] {
            let roles = roles.iter().cloned().collect();
            assert_eq!(server.set("'a'@'%'", &roles), expected);
        }
        assert!(MySql.query("o'x", "%").ends_with("WHERE USER = 'o''x' AND HOST = '%'"));
    }
}
