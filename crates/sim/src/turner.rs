//! An engine with two-account credentials that are rotated, and their outside: it knows which log
//! in, and fails now and then.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_base::{Error, ErrorKind, Json, Result};
use strongroom_kernel::plug::{
    Class, Command, EngineSpec, Promotion, ReadCx, Reply, RotationKind, Spec, WriteCx, ops,
};
use strongroom_kernel::record::Record;
use strongroom_kernel::rotation::{RotationPlan, Schedule};

use crate::check::CANARY;
use crate::dice::Dice;
use crate::stop::Stop;

/// What is rotated.
pub const SUBJECTS: [&str; 2] = ["t0", "t1"];
/// Seconds between rotations.
pub const PERIOD: i64 = 300;
/// Seconds of a drain at most.
pub const DRAIN: i64 = 400;

/// Accounts, and when which version was published.
#[derive(Default)]
pub struct Outside {
    /// User → password.
    accounts: BTreeMap<String, String>,
    /// Subject and version → when it was published, in nanoseconds.
    published: BTreeMap<(String, u64), i64>,
    /// Where its failures come from; none fails never.
    pub faults: Option<Dice>,
    /// Does the next test fail?
    pub fails_test: bool,
    /// Where the server's process dies.
    pub stop: Arc<Stop>,
    /// Which of the server's processes lives.
    process: u64,
}

impl Outside {
    /// Does a credential log in?
    pub fn logs_in(&self, user: &str, password: &str) -> bool {
        self.accounts.get(user).is_some_and(|known| known == password)
    }

    /// When a version was published, if it was.
    pub fn published(&self, subject: &str, version: u64) -> Option<i64> {
        self.published.get(&(subject.to_owned(), version)).copied()
    }

    /// The users of a subject that can log in.
    pub fn users(&self, subject: &str) -> Vec<String> {
        self.accounts.keys().filter(|user| user.starts_with(subject)).cloned().collect()
    }

    /// The server's process died: what is left of it reaches nobody any more.
    pub fn process_died(&mut self) {
        self.process += 1;
    }
}

/// The outside survives the server's crashes.
pub type Shared = Arc<Mutex<Outside>>;

struct Turner {
    outside: Shared,
    process: u64,
}

impl Turner {
    /// Calls the outside, as long as this process lives and it does not fail.
    async fn call<T>(&self, call: impl FnOnce(MutexGuard<'_, Outside>) -> T) -> Result<T> {
        let stop = self.outside.lock().stop.clone();
        stop.step().await;
        let done = self.reach().map(call);
        stop.step().await;
        done
    }

    fn reach(&self) -> Result<MutexGuard<'_, Outside>> {
        let outside = self.outside.lock();
        if outside.process != self.process {
            return Err(Error::unavailable("the process is dead"));
        }
        if outside.faults.as_ref().is_some_and(|dice| dice.one_in(8)) {
            return Err(Error::new(ErrorKind::Upstream, "the outside fails"));
        }
        Ok(outside)
    }
}

#[derive(Serialize, Deserialize)]
struct Turned {
    version: u64,
    user: String,
    password: String,
}

impl Record for Turned {
    const KIND: u8 = 1;
}

strongroom_base::fields! {
    /// Begins to rotate something.
    pub struct Begin {
        /// What.
        name: String,
    }
}
strongroom_base::fields! {
    /// Reads a credential.
    pub struct Get {
        /// Which.
        name: String,
    }
}

ops! {
    Begin (), Write;
    Get Json, Read;
}

impl Command<Begin> for Turner {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Begin) -> Result<Reply<()>> {
        let plan = RotationPlan::two_accounts(Schedule::Every(PERIOD), DRAIN);
        cx.put_rotation(&op.name, &plan).await?;
        let none = Turned { version: 0, user: String::new(), password: String::new() };
        cx.edit().put_named(0, &op.name, &none)?;
        Ok(Reply::none().beyond(cx.rotate_first(&op.name).await?))
    }
}

impl Command<Get> for Turner {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Get) -> Result<Reply<Json>> {
        let turned = cx.view().named::<Turned>(0, &op.name).await?.ok_or_else(Error::not_found)?;
        cx.hold(&op.name, turned.version).await?;
        let Turned { version, user, password } = turned;
        Ok(Reply::data(json!({ "version": version, "user": user, "password": password })))
    }
}

fn text<'a>(credential: &'a Json, name: &str) -> &'a str {
    credential[name].as_str().unwrap_or_default()
}

impl RotationKind for Turner {
    async fn prepare(&self, cx: &mut WriteCx<'_>, subject: &str) -> Result<Json> {
        let turned = cx.view().named::<Turned>(0, subject).await?.ok_or_else(Error::not_found)?;
        let other = if turned.user.ends_with('a') { "b" } else { "a" };
        let number = u64::from_le_bytes(cx.rng().array());
        let (user, password) = (format!("{subject}{other}"), format!("{CANARY}-{number}"));
        Ok(json!({ "user": user, "password": password }))
    }

    async fn set(&self, _: &ReadCx<'_>, _: &str, next: &Json) -> Result<()> {
        let (user, password) = (text(next, "user").to_owned(), text(next, "password").to_owned());
        self.call(|mut outside| drop(outside.accounts.insert(user, password))).await
    }

    async fn test(&self, _: &ReadCx<'_>, _: &str, next: &Json) -> Result<bool> {
        self.call(|mut outside| {
            let fails = outside.faults.as_ref().is_some_and(|dice| dice.one_in(8));
            let fails = std::mem::take(&mut outside.fails_test) || fails;
            !fails && outside.logs_in(text(next, "user"), text(next, "password"))
        })
        .await
    }

    async fn promote(
        &self,
        cx: &mut WriteCx<'_>,
        subject: &str,
        version: u64,
        next: &Json,
    ) -> Result<Promotion> {
        let turned = cx.view().named::<Turned>(0, subject).await?.ok_or_else(Error::not_found)?;
        let (user, password) = (text(next, "user").to_owned(), text(next, "password").to_owned());
        cx.edit().put_named(0, subject, &Turned { version, user, password })?;
        let now = cx.now().0;
        self.outside.lock().published.insert((subject.to_owned(), version), now);
        let old = json!({ "user": turned.user, "password": turned.password });
        Ok((turned.version > 0).then_some(old).into())
    }

    async fn revoke(&self, _: &ReadCx<'_>, _: &str, old: &Json) -> Result<()> {
        self.call(|mut outside| drop(outside.accounts.remove(text(old, "user")))).await
    }

    async fn refused(&self, _: &ReadCx<'_>, _: &str, old: &Json) -> Result<bool> {
        self.call(|outside| !outside.logs_in(text(old, "user"), text(old, "password"))).await
    }

    async fn undo(&self, _: &ReadCx<'_>, _: &str, next: &Json) -> Result<()> {
        self.call(|mut outside| drop(outside.accounts.remove(text(next, "user")))).await
    }

    async fn unmake(&self, cx: &mut WriteCx<'_>, subject: &str) -> Result<()> {
        cx.edit().delete_named::<Turned>(0, subject);
        Ok(())
    }
}

/// The engine over an outside, for the process that lives now.
pub fn spec(outside: Shared) -> Spec {
    let process = outside.lock().process;
    let open = move |_: &_| Ok(Turner { outside: outside.clone(), process });
    EngineSpec::new("turner", Class::Secret, open)
        .command::<Begin>("begin/{name}")
        .command::<Get>("creds/{name}")
        .rotates()
        .docs("Rotates credentials of a simulated outside.")
        .build()
}
