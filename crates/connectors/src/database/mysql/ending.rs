//! The end of a password: accounts of one name stand in MySQL once for each host they log in from, each with
//! a password of its own.

use mysql_async::prelude::Queryable;
use strongroom_base::SecretString;

use super::MysqlDatabase;
use super::failure::within;
use crate::database::statements::Dialect;
use crate::database::{DatabaseError, FailureKind, wrong};

impl MysqlDatabase {
    pub(super) async fn end_for_all_hosts(
        &self,
        name: &str,
        now: &SecretString,
        next: &SecretString,
    ) -> Result<(), DatabaseError> {
        if name.is_empty() || next.expose_secret().is_empty() {
            return Err(wrong("an account needs a name and a password"));
        }
        let own = self.own_host(name, now).await?;
        let mut lent = self.lend().await?;
        let hosts = self.hosts_of(&mut lent, name).await;
        let statements = hosts.as_ref().ok().and_then(|hosts| {
            let hosts = own_last(hosts.clone()?, own.as_deref());
            let written = Dialect::Mysql.text(next.expose_secret());
            let user = Dialect::Mysql.text(name);
            let text = |host: &String| {
                let host = Dialect::Mysql.text(host);
                format!("ALTER USER {}@{} IDENTIFIED BY {}", *user, *host, *written)
            };
            Some(hosts.iter().map(|host| SecretString::new(text(host))).collect::<Vec<_>>())
        });
        let done = match &statements {
            Some(statements) => self.run_all(&mut lent, statements).await,
            None => Ok(()),
        };
        self.pool.give_back(lent);
        hosts?;
        let count = statements.map(|statements| statements.len()).ok_or_else(|| {
            let text = "the account that makes others may not look for accounts";
            DatabaseError::new(FailureKind::Unsupported, text)
        })?;
        done.map_err(|(at, failed)| self.at(&failed, at, count, &[now, next]))
    }

    /// The host of the account that this password logs in to from here; none where it does not.
    async fn own_host(
        &self,
        name: &str,
        password: &SecretString,
    ) -> Result<Option<String>, DatabaseError> {
        let Some(mut conn) = self.log_in(name, password).await? else { return Ok(None) };
        let asked = conn.query_first::<String, _>("SELECT CURRENT_USER()");
        let account = within(self.statement, asked).await;
        self.part(conn).await;
        let account = account.map_err(|failed| self.said(&failed, &[password]))?;
        let host = account.as_deref().and_then(|account| account.rsplit_once('@'));
        Ok(host.filter(|(user, _)| *user == name).map(|(_, host)| host.to_owned()))
    }
}

/// The hosts, that of who asks last.
fn own_last(mut hosts: Vec<String>, own: Option<&str>) -> Vec<String> {
    hosts.sort_by_key(|host| own == Some(host.as_str()));
    hosts
}

#[cfg(test)]
mod tests {
    use super::own_last;

    /// As long as the password logs in from here, it is not over.
    #[test]
    fn the_account_that_tells_whether_all_is_done_comes_last() {
        let hosts = || ["%", "10.%", "127.0.0.1"].map(str::to_owned).to_vec();
        for (own, expected) in [
            (Some("%"), ["10.%", "127.0.0.1", "%"]),
            (Some("10.%"), ["%", "127.0.0.1", "10.%"]),
            (Some("127.0.0.1"), ["%", "10.%", "127.0.0.1"]),
            (None, ["%", "10.%", "127.0.0.1"]),
        ] {
            assert_eq!(own_last(hosts(), own), expected, "{own:?}");
        }
    }
}
