//! An account with the rights of another: each of its grants again, for the same hosts, and the roles
//! that are its own from the login on.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use strongroom_base::SecretString;

use super::MysqlDatabase;
use super::failure::within;
use super::grants::{Grant, may_more};
use crate::database::pool::Lent;
use crate::database::statements::Dialect;
use crate::database::{DatabaseError, FailureKind, wrong};

/// Statements of one account at most.
const GRANTS_MAX: usize = 1_000;

impl MysqlDatabase {
    pub(super) async fn make_like(
        &self,
        model: &str,
        name: &str,
        password: &SecretString,
    ) -> Result<(), DatabaseError> {
        if model.is_empty() || name.is_empty() || model == name {
            return Err(wrong("an account and its model need two names"));
        }
        let mut lent = self.lend().await?;
        let statements = self.like(&mut lent, model, name, password).await;
        let done = match &statements {
            Ok(statements) => self.run_all(&mut lent, statements).await,
            Err(_) => Ok(()),
        };
        self.pool.give_back(lent);
        let count = statements?.len();
        done.map_err(|(at, failed)| self.at(&failed, at, count, &[password]))
    }

    /// The statements that make an account like another, or give it its password where it is there.
    async fn like(
        &self,
        lent: &mut Lent<Conn>,
        model: &str,
        name: &str,
        password: &SecretString,
    ) -> Result<Vec<SecretString>, DatabaseError> {
        let refused = |text: &str| DatabaseError::new(FailureKind::Refused, text);
        let cannot_look = || refused("the account that makes others may not look for accounts");
        let hosts = self.hosts_of(lent, model).await?.ok_or_else(cannot_look)?;
        let there = self.hosts_of(lent, name).await?.ok_or_else(cannot_look)?;
        if hosts.is_empty() {
            return Err(refused("the first account is not there"));
        }
        let own = self.all_grants(lent, model, &hosts).await?;
        let others = self.all_grants(lent, name, &there).await?;
        // Half of it may have been made before.
        if may_more(&others, &own) {
            return Err(refused(
                "the second account is there already and may do what the first may not",
            ));
        }
        let account =
            |host: &str| format!("{}@{}", *Dialect::Mysql.text(name), *Dialect::Mysql.text(host));
        let written = Dialect::Mysql.text(password.expose_secret());
        let mut statements = Vec::new();
        for host in there.iter().chain(hosts.iter().filter(|host| !there.contains(host))) {
            let verb = if there.contains(host) { "ALTER" } else { "CREATE" };
            let text = format!("{verb} USER {} IDENTIFIED BY {}", account(host), *written);
            statements.push(SecretString::new(text));
        }
        for Grant { what, more, host } in &own {
            let text = format!("{what} TO {}{more}", account(host));
            statements.push(SecretString::new(text));
        }
        if own.iter().chain(&others).any(Grant::is_of_roles) {
            statements.extend(self.default_roles(lent, model, name, &hosts).await?);
        }
        match statements.len() {
            ..=GRANTS_MAX => Ok(statements),
            _ => Err(refused("the first account has too many grants")),
        }
    }

    /// What an account was granted, for all its hosts.
    async fn all_grants(
        &self,
        lent: &mut Lent<Conn>,
        name: &str,
        hosts: &[String],
    ) -> Result<Vec<Grant>, DatabaseError> {
        let mut all = Vec::new();
        for host in hosts {
            all.extend(self.grants_of(lent, name, host).await?);
        }
        Ok(all)
    }

    /// What an account was granted.
    async fn grants_of(
        &self,
        lent: &mut Lent<Conn>,
        name: &str,
        host: &str,
    ) -> Result<Vec<Grant>, DatabaseError> {
        let account = format!("{}@{}", *Dialect::Mysql.text(name), *Dialect::Mysql.text(host));
        let query = lent.connection.query::<String, _>(format!("SHOW GRANTS FOR {account}"));
        match within(self.statement, query).await {
            Ok(lines) => {
                let read = lines.iter().map(|line| Grant::read(line, name, host));
                let grants: Result<Vec<_>, _> = read.filter_map(Result::transpose).collect();
                // The line has a hash in it, maybe.
                grants.map_err(|_| {
                    let text = format!("a grant of the account {account} is not understood");
                    DatabaseError::new(FailureKind::Refused, text)
                })
            }
            Err(failed) => {
                lent.broken |= failed.code().is_none();
                let error = self.said(&failed, &[]);
                Err(DatabaseError::new(error.kind, format!("looking for grants: {}", error.text)))
            }
        }
    }
}
