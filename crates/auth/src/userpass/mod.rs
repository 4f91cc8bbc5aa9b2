//! Userpass: people log in with a name and a password.
//!
//! Invariants:
//! * user names have one spelling, lower case, and policy judges paths in it;
//! * an unknown user and a wrong password read the same and cost the same;
//! * hashing never runs on a thread that serves requests.

mod login;
mod stored;
#[cfg(test)]
mod tests;
mod users;

use std::sync::Arc;

use strongroom_base::{Error, Result, SecretString};
use strongroom_crypto::password;
use strongroom_kernel::plug::{Class, EngineSpec, ReadCx, Spec};
use tokio::sync::Semaphore;

/// Hashes computed at a time per mount: a flood of logins waits, and leaves the cores to others.
const HASHES_AT_A_TIME: usize = 4;

/// A userpass mount. All is in records; the object only bounds the hashing.
pub struct Userpass {
    hashing: Arc<Semaphore>,
}

/// The surface of userpass.
pub fn spec() -> Spec {
    let spec = EngineSpec::new("userpass", Class::Auth, |_| {
        Ok(Userpass { hashing: Arc::new(Semaphore::new(HASHES_AT_A_TIME)) })
    });
    let spec = login::add(spec);
    let spec = users::add(spec);
    spec.case_insensitive("username").docs("People log in with a name and a password.").build()
}

impl Userpass {
    /// Runs `work` on a thread for it.
    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let permit = self.hashing.clone().acquire_owned().await.map_err(Error::internal)?;
        let run = move || {
            let done = work();
            drop(permit);
            done
        };
        tokio::task::spawn_blocking(run).await.map_err(Error::internal)
    }

    /// The hash of a new password.
    async fn hash(&self, cx: &ReadCx<'_>, password: SecretString) -> Result<String> {
        let salt = cx.rng().array();
        let hash = move || {
            password::hash_with_salt(password.expose_secret().as_bytes(), password::COST, salt)
        };
        self.off_thread(hash).await?
    }

    /// Is it the password? `None` stands for an unknown user.
    async fn verify(
        &self,
        cx: &ReadCx<'_>,
        password: SecretString,
        hash: Option<SecretString>,
    ) -> Result<bool> {
        let cost = stored::highest_cost(&cx.view()).await?;
        let verify = move || {
            let hash = hash.as_ref().map(|h| h.expose_secret().as_str());
            password::verify_at_cost(password.expose_secret().as_bytes(), hash, cost)
        };
        self.off_thread(verify).await
    }
}
