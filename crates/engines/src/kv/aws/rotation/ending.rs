//! The end of passwords: of the account that readers have left, and of what was made and not published.
//!
//! Where accounts of one name stand once for each host, the master looks for all of them. A password that
//! logs in from here ends in any case, whatever has become of the master.

use strongroom_base::{Error, ErrorKind, Result, SecretString};
use strongroom_connectors::database::{FailureKind, failed};
use strongroom_kernel::plug::ReadCx;

use super::journal::{Account, Login};
use crate::kv::Kv;
use crate::kv::aws::password;
use crate::kv::secret::{AWS_CURRENT, AWS_PENDING};

impl Kv {
    /// Takes a login back for good: its password becomes one that nobody knows, for all that the
    /// rotation gave it to.
    pub(super) async fn end_account(&self, cx: &ReadCx<'_>, account: &Account) -> Result<()> {
        if !self.takes(cx, account, &account.login).await? {
            return Ok(());
        }
        let unknown = password::for_databases(cx.rng())?;
        if !account.rotator()?.kind.has_hosts() {
            return self.change_own(cx, account, &account.login, unknown).await;
        }
        match self.end_everywhere(cx, account, &unknown).await {
            // There is no master any more that could look for the others, or none that gets in: the one
            // that is known ends, and it is said once that this is all.
            Err(e) if e.kind == ErrorKind::BadRequest => {
                self.change_own(cx, account, &account.login, unknown).await?;
                let text = format!(
                    "the password was taken back for the host that this server logs in from, and \
                     for no other: {}",
                    e.public.join("; ")
                );
                Err(Error::new(ErrorKind::Upstream, text))
            }
            ended => ended,
        }
    }

    /// Takes a login back for each host that an account of its name is there for. A master whose own rotation
    /// is under way may have its next password already.
    async fn end_everywhere(
        &self,
        cx: &ReadCx<'_>,
        account: &Account,
        unknown: &SecretString,
    ) -> Result<()> {
        let master = self.master_of(cx, account, AWS_CURRENT).await?;
        if self.end_by(cx, account, &master, unknown).await? {
            return Ok(());
        }
        match self.master_of(cx, account, AWS_PENDING).await {
            Ok(next) if self.end_by(cx, account, &next, unknown).await? => Ok(()),
            _ => Err(Error::bad_request("the account of the master secret does not log in")),
        }
    }

    /// Takes it back as this master; false where the database does not let that in.
    async fn end_by(
        &self,
        cx: &ReadCx<'_>,
        account: &Account,
        master: &Login,
        unknown: &SecretString,
    ) -> Result<bool> {
        let database = self.open(cx, account, master).await?;
        let password = account.login.password();
        let ended = database.end_password(&account.login.name, &password, unknown).await;
        drop(database.close().await);
        match ended {
            Ok(()) => Ok(true),
            Err(e) if e.kind == FailureKind::Credential => Ok(false),
            Err(e) => Err(failed("failed to take the password back", &e)),
        }
    }

    /// Takes a next login back that was not published.
    pub(super) async fn restore_account(
        &self,
        cx: &ReadCx<'_>,
        path: &str,
        account: &Account,
    ) -> Result<()> {
        let current = account.current.as_ref().ok_or_else(super::damaged)?;
        if account.rotator()?.alternates {
            return self.end_account(cx, account).await;
        }
        if !self.takes(cx, account, &account.login).await? {
            return Ok(());
        }
        // What somebody has published meanwhile has to be good, not what was there in the beginning.
        let published = self.published_login(cx, path, account).await?;
        let published = published.filter(|login| login.name == account.login.name);
        let back = published.as_ref().unwrap_or(current).password();
        self.change_own(cx, account, &account.login, back).await
    }
}
