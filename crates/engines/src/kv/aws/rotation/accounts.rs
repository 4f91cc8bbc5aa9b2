//! Runs of the built-in rotators: what they choose, and what they do in a database.
//!
//! One account changes its own password, logged in as itself. Of two that take turns, the one that nobody
//! reads gets the next password by the account of the *master* secret, which makes it if it is not there;
//! whoever rotates must hold a login that works, so nobody is given an account by naming it.
//!
//! Each deed first looks whether it was done already.

use std::sync::Arc;
use std::time::Duration;

use strongroom_base::{Error, ErrorKind, Result, SecretString};
use strongroom_connectors::database::{
    Credential, Database, FailureKind, Settings, TlsMaterial, failed,
};
use strongroom_kernel::plug::{ReadCx, WriteCx};
use strongroom_kernel::record::{ReadView, rows};

use super::called::no_way;
use super::databases::{self, Reachable, Tls};
use super::journal::{Account, Login};
use super::rotators::{BuiltIn, Kind};
use super::structure::Structure;
use crate::kv::aws::{ids, password};
use crate::kv::secret::{AWS_CURRENT, AWS_PREVIOUS, Head, Representation, Select};
use crate::kv::store::{self, Secret};
use crate::kv::{Kv, writer};

/// How long a database may take to connect, and to answer one statement.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What the second of two accounts is called after the first (AWS's templates).
const CLONE: &str = "_clone";

/// The other one of two accounts.
fn other(name: &str) -> String {
    match name.strip_suffix(CLONE) {
        Some(first) if !first.is_empty() => first.to_owned(),
        _ => format!("{name}{CLONE}"),
    }
}

/// The structure of the version with this label, if it has a readable one.
async fn staged(
    view: &ReadView<'_>,
    head: &Head,
    stage: &str,
    kind: Kind,
) -> Result<Option<Structure>> {
    let version = head.version(Select::Stage(stage));
    let Some(row) = version.and_then(|version| version.value) else { return Ok(None) };
    Structure::read(&store::value(view, row).await?, kind).map(Some)
}

fn login_of(structure: &Structure) -> Result<Login> {
    Ok(Login::new(structure.text("username")?, &structure.password()?))
}

fn not_allowed() -> Error {
    Error::bad_request(
        "the secret's database may not be reached: an operator has to list its host \
         (config/rotation-databases)",
    )
}

impl Kv {
    /// Chooses the next login of a secret, and writes its value into the version of `token`, under
    /// AWSPENDING. The caller saves the head.
    pub(super) async fn next_account(
        &self,
        cx: &WriteCx<'_>,
        secret: &mut Secret,
        rotator: &str,
        token: &str,
    ) -> Result<Account> {
        let BuiltIn { kind, alternates, .. } = BuiltIn::of(rotator).ok_or_else(super::damaged)?;
        let edit = cx.edit();
        let head = &mut secret.head;
        let mut structure = staged(&edit, head, AWS_CURRENT, kind)
            .await?
            .ok_or_else(|| Error::bad_request("the secret has no value to begin with"))?;
        let current = login_of(&structure)?;
        let (host, port) = (structure.text("host")?.to_owned(), structure.port(kind)?);
        let reachable = databases::settings(&edit).await?.unwrap_or_default();
        if !reachable.allows(&host, port) {
            return Err(not_allowed());
        }
        let name = if alternates { other(&current.name) } else { current.name.clone() };
        if name.len() > kind.name_bytes_max() {
            return Err(Error::bad_request("the name of the second account would be too long"));
        }
        let master = match alternates {
            true => master(&edit, &reachable, structure.text("masterarn")?).await?,
            false => String::new(),
        };
        let before = staged(&edit, head, AWS_PREVIOUS, kind).await.ok().flatten();
        let previous = before.map(|before| login_of(&before)).transpose()?;
        let next = match made_before(&edit, head, token, kind, &name).await? {
            Some(password) => password,
            None => password::for_databases(cx.rng())?,
        };
        structure.set_login(&name, &next);
        let pending = ids::find(head, token).map(|version| (version.id, version.value));
        let (pending, replaced) = pending.ok_or_else(super::damaged)?;
        let over = head.version(Select::Current).map(|version| version.representation);
        let representation = match over {
            Some(Representation::Object) => Representation::Object,
            _ => Representation::Text,
        };
        let row = edit.new_id();
        edit.put_row_bytes(rows::VALUES, row, structure.bytes().expose_secret())?;
        head.fill(pending, row, representation, writer(cx));
        store::forget(&edit, &head.unreferenced(replaced.into_iter().collect()));
        Ok(Account {
            rotator: rotator.to_owned(),
            host,
            port,
            database: structure.optional("dbname").to_owned(),
            login: Login::new(&name, &next),
            previous: previous.filter(|previous| previous.name == current.name),
            current: Some(current),
            master,
            base: Some(secret.head.current),
        })
    }

    /// The account that AWSCURRENT opens until now, where it is another one than the next.
    pub(super) async fn account_of_before(
        &self,
        cx: &WriteCx<'_>,
        secret: &Secret,
        next: &Account,
    ) -> Result<Option<Account>> {
        let BuiltIn { kind, alternates, .. } = next.rotator()?;
        if !alternates {
            return Ok(None);
        }
        // Somebody may have written another value meanwhile: that one is what readers hold.
        let structure = staged(&cx.edit(), &secret.head, AWS_CURRENT, kind).await.ok().flatten();
        let login = structure.map(|structure| login_of(&structure)).transpose()?;
        Ok(login.filter(|login| login.name != next.login.name).map(|login| Account {
            rotator: next.rotator.clone(),
            host: next.host.clone(),
            port: next.port,
            database: next.database.clone(),
            login,
            current: None,
            previous: None,
            master: next.master.clone(),
            base: None,
        }))
    }

    /// Is this login what AWSCURRENT opens now, whoever made it so?
    pub(super) async fn is_in_use(
        &self,
        cx: &ReadCx<'_>,
        path: &str,
        account: &Account,
    ) -> Result<bool> {
        let published = self.published_login(cx, path, account).await?;
        Ok(published.is_some_and(|login| login.is(&account.login)))
    }

    /// What AWSCURRENT opens now, where that is in the account's database.
    pub(super) async fn published_login(
        &self,
        cx: &ReadCx<'_>,
        path: &str,
        account: &Account,
    ) -> Result<Option<Login>> {
        let (view, kind) = (cx.view(), account.rotator()?.kind);
        let Some(secret) = store::find(&view, path).await? else { return Ok(None) };
        // A value that says nothing of an account opens none.
        let structure = staged(&view, &secret.head, AWS_CURRENT, kind).await.ok().flatten();
        let login = structure.filter(|structure| {
            let host = structure.text("host");
            host.is_ok_and(|host| host.eq_ignore_ascii_case(&account.host))
                && structure.port(kind).is_ok_and(|port| port == account.port)
        });
        Ok(login.and_then(|structure| login_of(&structure).ok()))
    }

    /// A database as one of its accounts. It is not reached for yet.
    pub(super) async fn open(
        &self,
        cx: &ReadCx<'_>,
        account: &Account,
        login: &Login,
    ) -> Result<Arc<dyn Database>> {
        let kind = account.rotator()?.kind;
        let reachable = databases::settings(&cx.view()).await?.unwrap_or_default();
        if !reachable.allows(&account.host, account.port) {
            return Err(not_allowed());
        }
        let outside = self.outside.as_ref().ok_or_else(no_way)?;
        let driver = outside.databases.driver(kind.driver()).ok_or_else(no_way)?;
        let url = kind.url(&account.host, account.port, &account.database, reachable.tls());
        let settings = Settings {
            connection_url: SecretString::new(url),
            username: login.name.clone(),
            password: login.password(),
            max_open_connections: 2,
            max_idle_connections: 0,
            max_connection_lifetime: Duration::ZERO,
            timeout: TIMEOUT,
            tls: TlsMaterial {
                ca: match reachable.tls() {
                    Tls::Verify => reachable.ca.clone(),
                    _ => String::new(),
                },
                ..TlsMaterial::default()
            },
            own: kind.own_settings(),
        };
        driver.open(settings).map_err(|e| failed("the secret's database", &e))
    }

    /// Does the database take this login?
    pub(super) async fn takes(
        &self,
        cx: &ReadCx<'_>,
        account: &Account,
        login: &Login,
    ) -> Result<bool> {
        let database = self.open(cx, account, login).await?;
        let password = login.password();
        let took = database.logs_in(&login.name, &password).await;
        drop(database.close().await);
        match took {
            Err(e) if e.kind == FailureKind::Credential => Ok(false),
            took => took.map_err(|e| failed("failed to try the password", &e)),
        }
    }

    /// Has an account, logged in by `as_login`, change its own password.
    pub(super) async fn change_own(
        &self,
        cx: &ReadCx<'_>,
        account: &Account,
        as_login: &Login,
        password: SecretString,
    ) -> Result<()> {
        let database = self.open(cx, account, as_login).await?;
        let statements = account.rotator()?.kind.own_password();
        let statements: Vec<String> = statements.iter().map(|text| (*text).to_owned()).collect();
        let credential = Credential::Password(password);
        let set = database.set_credential(&as_login.name, &credential, &statements).await;
        drop(database.close().await);
        set.map_err(|e| failed("failed to change the password", &e))
    }

    /// Makes the next login good.
    pub(super) async fn set_account(&self, cx: &ReadCx<'_>, account: &Account) -> Result<()> {
        let next = &account.login;
        if self.takes(cx, account, next).await? {
            return Ok(());
        }
        let current = account.current.as_ref().ok_or_else(super::damaged)?;
        let current_works = self.takes(cx, account, current).await?;
        if !account.rotator()?.alternates {
            let works = match &account.previous {
                _ if current_works => Some(current),
                Some(previous) if self.takes(cx, account, previous).await? => Some(previous),
                _ => None,
            };
            let works = works.ok_or_else(|| {
                let text = "neither AWSCURRENT nor AWSPREVIOUS nor AWSPENDING logs in";
                Error::new(ErrorKind::Upstream, text)
            })?;
            return self.change_own(cx, account, works, next.password()).await;
        }
        if !current_works {
            return Err(Error::new(ErrorKind::Upstream, "AWSCURRENT does not log in"));
        }
        let master = self.master_of(cx, account, AWS_CURRENT).await?;
        let database = self.open(cx, account, &master).await?;
        let password = next.password();
        let made = database.imitate(&current.name, &next.name, &password).await;
        drop(database.close().await);
        made.map_err(|e| failed("failed to make the next account", &e))
    }

    /// The login that this label of the master secret says, if that is still one and of the same database.
    pub(super) async fn master_of(
        &self,
        cx: &ReadCx<'_>,
        account: &Account,
        stage: &str,
    ) -> Result<Login> {
        let kind = account.rotator()?.kind;
        let view = cx.view();
        let reachable = databases::settings(&view).await?.unwrap_or_default();
        if !reachable.masters().contains(&account.master) {
            return Err(no_master());
        }
        let secret = store::find(&view, &account.master).await?.ok_or_else(no_master)?;
        let structure = staged(&view, &secret.head, stage, kind).await?;
        let structure = structure.ok_or_else(no_master)?;
        let same = structure.text("host")?.eq_ignore_ascii_case(&account.host)
            && structure.port(kind)? == account.port;
        match same {
            true => login_of(&structure),
            false => Err(Error::bad_request("the master secret is of another database")),
        }
    }
}

/// The password that a run before this one has chosen for the same version, and which may be set already.
async fn made_before(
    view: &ReadView<'_>,
    head: &Head,
    token: &str,
    kind: Kind,
    name: &str,
) -> Result<Option<SecretString>> {
    let row = ids::find(head, token).and_then(|version| version.value);
    let Some(row) = row else { return Ok(None) };
    let Ok(made) = Structure::read(&store::value(view, row).await?, kind) else { return Ok(None) };
    match made.text("username")? == name {
        true => made.password().map(Some),
        false => Ok(None),
    }
}

fn no_master() -> Error {
    Error::bad_request(
        "the secret's masterarn is none that an operator has listed (config/rotation-databases)",
    )
}

/// The path of the secret that a `masterarn` means, among those that an operator has listed: by the six
/// characters at its end, or as a path.
async fn master(view: &ReadView<'_>, reachable: &Reachable, arn: &str) -> Result<String> {
    for path in reachable.masters() {
        if path == arn {
            return Ok(path.clone());
        }
        let Some(secret) = store::find(view, path).await? else { continue };
        let suffix = ids::suffix(secret.head.id);
        if arn.strip_suffix(&suffix).is_some_and(|rest| rest.ends_with('-')) {
            return Ok(path.clone());
        }
    }
    Err(no_master())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_take_turns_by_name() {
        for (name, expected) in
            [("app", "app_clone"), ("app_clone", "app"), ("_clone", "_clone_clone")]
        {
            assert_eq!(other(name), expected);
        }
    }
}
