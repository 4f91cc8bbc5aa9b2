//! Accounts are made and removed, by an operator's statements or in the default way.

use strongroom_base::SecretString;

use super::MysqlDatabase;
use crate::database::pool::Lent;
use crate::database::statements::{Dialect, expiration, fill};
use crate::database::{DatabaseError, FailureKind, NewAccount, wrong};
use mysql_async::Conn;

impl MysqlDatabase {
    /// Takes all rights from an account and drops it, for each of its hosts.
    async fn drop_account(
        &self,
        lent: &mut Lent<Conn>,
        name: &str,
        hosts: Option<Vec<String>>,
    ) -> Result<(), DatabaseError> {
        let sure = hosts.is_some();
        for host in hosts.unwrap_or_else(|| vec!["%".to_owned()]) {
            let account = format!("{}@{}", *Dialect::Mysql.text(name), *Dialect::Mysql.text(&host));
            let there = if sure { "" } else { "IF EXISTS " };
            let statements = [
                SecretString::new(format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {account}")),
                SecretString::new(format!("DROP USER {there}{account}")),
            ];
            for (index, statement) in statements.iter().enumerate() {
                match self.run(lent, statement).await {
                    // Nobody has rights: then there is no such account, or it is dropped next.
                    Err(failed) if index == 0 && failed.code() == Some(1269) && !sure => {}
                    Err(failed) => return Err(self.at(&failed, index, statements.len(), &[])),
                    Ok(()) => {}
                }
            }
        }
        Ok(())
    }

    pub(super) async fn create_account(
        &self,
        account: &NewAccount<'_>,
    ) -> Result<(), DatabaseError> {
        let password = account.credential.password("MySQL")?;
        if account.name.is_empty() {
            return Err(wrong("an account needs a name"));
        }
        let expires = expiration(account.expires);
        let values = [
            ("name", account.name),
            ("username", account.name),
            ("password", password.expose_secret()),
            ("expiration", expires.as_str()),
        ];
        let statements = fill(Dialect::Mysql, account.statements, &values)?;
        if statements.is_empty() {
            return Err(wrong("empty creation statements"));
        }
        let undo = fill(Dialect::Mysql, account.rollback, &values)?;
        let secrets = [password];
        let mut lent = self.lend().await?;
        let before = self.hosts_of(&mut lent, account.name).await?;
        if before.as_ref().is_some_and(|hosts| !hosts.is_empty()) {
            self.pool.give_back(lent);
            let text = "an account of this name is already there";
            return Err(DatabaseError::new(FailureKind::Refused, text));
        }
        let Err((done, failed)) = self.run_all(&mut lent, &statements).await else {
            self.pool.give_back(lent);
            return Ok(());
        };
        // Where nobody could see that the name was free, a refused first statement has made nothing, and
        // what is there under the name is not ours.
        let ours = before.is_some() || done > 0 || failed.code().is_none();
        let error = self.at(&failed, done, statements.len(), &secrets);
        self.pool.give_back(lent);
        match ours {
            true => Err(error.undone(self.undo(account.name, &undo, &secrets).await)),
            false => Err(error),
        }
    }

    /// Undoes half an account: all rollback statements, whichever of them fail, or the removal.
    async fn undo(
        &self,
        name: &str,
        statements: &[SecretString],
        secrets: &[&SecretString],
    ) -> Result<(), DatabaseError> {
        let mut first = Ok(());
        for (index, statement) in statements.iter().enumerate() {
            let mut lent = self.lend().await?;
            if let Err(failed) = self.run(&mut lent, statement).await {
                first = first.and(Err(self.at(&failed, index, statements.len(), secrets)));
            }
            self.pool.give_back(lent);
        }
        if statements.is_empty() {
            let mut lent = self.lend().await?;
            let hosts = self.hosts_of(&mut lent, name).await?;
            first = self.drop_account(&mut lent, name, hosts).await;
            self.pool.give_back(lent);
        }
        first
    }

    pub(super) async fn remove_account(
        &self,
        name: &str,
        texts: &[String],
    ) -> Result<(), DatabaseError> {
        if name.is_empty() {
            return Err(wrong("an account needs a name"));
        }
        let statements = fill(Dialect::Mysql, texts, &[("name", name), ("username", name)])?;
        let mut lent = self.lend().await?;
        let hosts = self.hosts_of(&mut lent, name).await?;
        let result = if hosts.as_ref().is_some_and(Vec::is_empty) {
            Ok(())
        } else if statements.is_empty() && name == self.user {
            let text = "this account is the administrator's own: it is not removed";
            Err(DatabaseError::new(FailureKind::Refused, text))
        } else if statements.is_empty() {
            self.drop_account(&mut lent, name, hosts).await
        } else {
            let run = self.run_all(&mut lent, &statements).await;
            run.map_err(|(done, failed)| self.at(&failed, done, statements.len(), &[]))
        };
        self.pool.give_back(lent);
        result
    }
}
