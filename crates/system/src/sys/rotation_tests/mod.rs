//! Rotation over an engine whose outside is a list of accounts: what consumers hold stays good, and
//! nothing is left behind, whatever dies when.

mod consumers;
mod crashes;
mod drains;
mod endings;
mod holdings;
mod operations;
mod races;
mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_base::{Error, ErrorKind, Json, Result};
use strongroom_kernel::plug::{
    Class, Command, EngineSpec, Op, Promotion, ReadCx, Reply, RotationKind, Spec, Verb, WriteCx,
};
use strongroom_kernel::record::Record;
use strongroom_kernel::rotation::{RotationPlan, RotationStatus, Schedule};
use strongroom_testkit::{Got, TestNode};
use tokio::sync::Notify;

/// What happens when the outside is asked for something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    /// It fails.
    Fails,
    /// It says no: the test does not pass, or the old credential still works.
    SaysNo,
    /// It panics.
    Panics,
    /// The process dies before it is done.
    DiesBefore,
    /// The process dies once it is done.
    DiesAfter,
    /// It hangs for a while, and is done then.
    Hangs,
}

/// What accounts there are, outside.
#[derive(Default)]
struct Outside {
    /// User → password.
    accounts: BTreeMap<String, String>,
    /// What it was asked for.
    asked: Vec<&'static str>,
    /// What happens when it is asked so.
    faults: BTreeMap<&'static str, Fault>,
}

#[derive(Default)]
struct World {
    outside: Mutex<Outside>,
    /// The process died in the middle of something, or it hangs.
    died: Notify,
    /// What hangs may go on.
    go_on: Notify,
}

type Shared = Arc<World>;

impl World {
    fn fault(&self, what: &'static str, fault: Option<Fault>) {
        let faults = &mut self.outside.lock().faults;
        match fault {
            Some(fault) => drop(faults.insert(what, fault)),
            None => drop(faults.remove(what)),
        }
    }

    fn logs_in(&self, credential: &Json) -> bool {
        let outside = self.outside.lock();
        let text = |name: &str| credential[name].as_str().unwrap_or("?").to_owned();
        outside.accounts.get(&text("user")) == Some(&text("password"))
    }

    fn users(&self) -> Vec<String> {
        self.outside.lock().accounts.keys().cloned().collect()
    }

    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.outside.lock().asked)
    }

    /// Does something outside, as the fault set for it has it.
    async fn ask<T>(
        &self,
        what: &'static str,
        no: Option<T>,
        work: impl FnOnce(&mut Outside) -> T,
    ) -> Result<T> {
        let fault = {
            let mut outside = self.outside.lock();
            if what != "read" {
                outside.asked.push(what);
            }
            outside.faults.get(what).copied()
        };
        match fault {
            Some(Fault::Fails) => {
                return Err(Error::new(ErrorKind::Upstream, format!("{what} failed outside")));
            }
            Some(Fault::SaysNo) => return no.ok_or_else(Error::not_found),
            Some(Fault::Panics) => panic!("on purpose"),
            Some(Fault::Hangs) => {
                self.died.notify_one();
                self.go_on.notified().await;
            }
            Some(Fault::DiesBefore) => {
                self.died.notify_one();
                std::future::pending::<()>().await;
            }
            _ => {}
        }
        let done = work(&mut self.outside.lock());
        if fault == Some(Fault::DiesAfter) {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(done)
    }
}

/// An engine of static roles.
struct Accounts(Shared);

#[derive(Serialize, Deserialize)]
struct Role {
    two: bool,
    version: u64,
    user: String,
    password: String,
}

impl Record for Role {
    const KIND: u8 = 1;
}

strongroom_base::fields! {
    /// Makes a role.
    pub struct PutRole {
        /// Its name.
        name: String,
        /// Has it one account?
        one_account: Option<bool>,
        /// Seconds between rotations.
        period: Option<i64>,
        /// A schedule in place of that.
        schedule: Option<String>,
        /// Its window.
        window: Option<i64>,
        /// Seconds of a drain at most.
        drain: Option<i64>,
        /// Is it rotated in the same request?
        rotate: Option<bool>,
    }
}
strongroom_base::fields! {
    /// Reads a role's credential.
    pub struct ReadCreds {
        /// Its name.
        name: String,
    }
}
strongroom_base::fields! {
    /// Rotates a role.
    pub struct RotateRole {
        /// Its name.
        name: String,
    }
}
strongroom_base::fields! {
    /// Removes a role.
    pub struct DeleteRole {
        /// Its name.
        name: String,
    }
}

impl Op for PutRole {
    type Reply = ();
    const VERB: Verb = Verb::Write;
}
impl Op for ReadCreds {
    type Reply = Json;
    const VERB: Verb = Verb::Read;
}
impl Op for RotateRole {
    type Reply = ();
    const VERB: Verb = Verb::Write;
}
impl Op for DeleteRole {
    type Reply = ();
    const VERB: Verb = Verb::Delete;
}

impl Command<PutRole> for Accounts {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRole) -> Result<Reply<()>> {
        let schedule = match (op.period, op.schedule) {
            (Some(period), _) => Schedule::Every(period),
            (None, Some(text)) => Schedule::Cron { text, window: op.window.unwrap_or(0) },
            (None, None) => Schedule::Never,
        };
        let two = !op.one_account.unwrap_or(false);
        let plan = match two {
            true => RotationPlan::two_accounts(schedule, op.drain.unwrap_or(3_600)),
            false => RotationPlan::one_account(schedule),
        };
        let subject = format!("roles/{}", op.name);
        cx.put_rotation(&subject, &plan).await?;
        let known = cx.view().named::<Role>(0, &op.name).await?;
        let is_new = known.is_none();
        let (user, password) = (String::new(), String::new());
        let role = known.unwrap_or(Role { two, version: 0, user, password });
        cx.edit().put_named(0, &op.name, &Role { two, ..role })?;
        Ok(match op.rotate.unwrap_or(true) && is_new {
            true => Reply::none().beyond(cx.rotate_first(&subject).await?),
            false => Reply::none(),
        })
    }
}

impl Command<ReadCreds> for Accounts {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ReadCreds) -> Result<Reply<Json>> {
        let role = cx.view().named::<Role>(0, &op.name).await?.ok_or_else(Error::not_found)?;
        self.0.ask("read", None, |_| ()).await?;
        cx.hold(&format!("roles/{}", op.name), role.version).await?;
        let Role { version, user, password, .. } = role;
        Ok(Reply::data(json!({ "version": version, "user": user, "password": password })))
    }
}

impl Command<RotateRole> for Accounts {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RotateRole) -> Result<Reply<()>> {
        let beyond = cx.rotate_now(&format!("roles/{}", op.name)).await?;
        Ok(Reply::none().beyond(beyond))
    }
}

impl Command<DeleteRole> for Accounts {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteRole) -> Result<Reply<()>> {
        cx.edit().delete_named::<Role>(0, &op.name);
        cx.remove_rotation(&format!("roles/{}", op.name)).await?;
        Ok(Reply::none())
    }
}

fn text(credential: &Json, name: &str) -> String {
    credential[name].as_str().unwrap_or("?").to_owned()
}

fn name_of(subject: &str) -> &str {
    subject.strip_prefix("roles/").unwrap_or(subject)
}

impl RotationKind for Accounts {
    async fn prepare(&self, cx: &mut WriteCx<'_>, subject: &str) -> Result<Json> {
        self.0.ask("prepare", None, |_| ()).await?;
        let name = name_of(subject);
        let role = cx.view().named::<Role>(0, name).await?.ok_or_else(Error::not_found)?;
        let user = match role.two {
            true if role.user == format!("{name}-a") => format!("{name}-b"),
            true => format!("{name}-a"),
            false => name.to_owned(),
        };
        let number = u64::from_le_bytes(cx.rng().array());
        Ok(json!({ "user": user, "password": format!("canary-{number}") }))
    }

    async fn set(&self, _: &ReadCx<'_>, _: &str, next: &Json) -> Result<()> {
        let (user, password) = (text(next, "user"), text(next, "password"));
        self.0.ask("set", None, |outside| drop(outside.accounts.insert(user, password))).await
    }

    async fn test(&self, _: &ReadCx<'_>, _: &str, next: &Json) -> Result<bool> {
        self.0.ask("test", Some(false), |_| true).await.map(|said| said && self.0.logs_in(next))
    }

    async fn promote(
        &self,
        cx: &mut WriteCx<'_>,
        subject: &str,
        version: u64,
        next: &Json,
    ) -> Result<Promotion> {
        self.0.ask("promote", None, |_| ()).await?;
        let name = name_of(subject);
        let role = cx.view().named::<Role>(0, name).await?.ok_or_else(Error::not_found)?;
        let (user, password) = (text(next, "user"), text(next, "password"));
        cx.edit().put_named(0, name, &Role { two: role.two, version, user, password })?;
        let old = json!({ "user": role.user, "password": role.password });
        Ok((role.two && role.version > 0).then_some(old).into())
    }

    async fn revoke(&self, _: &ReadCx<'_>, _: &str, old: &Json) -> Result<()> {
        let user = text(old, "user");
        self.0.ask("revoke", None, |outside| drop(outside.accounts.remove(&user))).await
    }

    async fn refused(&self, _: &ReadCx<'_>, _: &str, old: &Json) -> Result<bool> {
        self.0.ask("refused", Some(false), |_| true).await.map(|said| said && !self.0.logs_in(old))
    }

    async fn undo(&self, cx: &ReadCx<'_>, subject: &str, next: &Json) -> Result<()> {
        let user = text(next, "user");
        let role = cx.view().named::<Role>(0, name_of(subject)).await?;
        let present = role.filter(|role| role.user == user).map(|role| role.password);
        self.0
            .ask("undo", None, |outside| match present {
                Some(password) => drop(outside.accounts.insert(user, password)),
                None => drop(outside.accounts.remove(&user)),
            })
            .await
    }

    async fn unmake(&self, cx: &mut WriteCx<'_>, subject: &str) -> Result<()> {
        self.0.ask("unmake", None, |_| ()).await?;
        cx.edit().delete_named::<Role>(0, name_of(subject));
        Ok(())
    }
}

fn accounts(world: Shared) -> Spec {
    EngineSpec::new("accounts", Class::Secret, move |_| Ok(Accounts(world.clone())))
        .command::<PutRole>("roles/{name}")
        .command::<DeleteRole>("roles/{name}")
        .command::<ReadCreds>("creds/{name}")
        .command::<RotateRole>("rotate/{name}")
        .rotates()
        .build()
}

fn specs(world: &Shared) -> Vec<Spec> {
    crate::specs().into_iter().chain([accounts(world.clone())]).collect()
}

/// A node with the engine at `db/`, and a policy for consumers.
async fn start() -> (TestNode, Shared) {
    let world = Shared::default();
    let node = TestNode::start(specs(&world)).await;
    node.mount("accounts", "db/").await;
    node.policy("read", r#"path "db/creds/*" { capabilities = ["read"] }"#).await;
    (node, world)
}

/// The process dies, and another one starts over the same storage.
async fn restart(node: &mut TestNode, world: &Shared) {
    world.outside.lock().faults.clear();
    node.restart(specs(world)).await;
}

/// Lets the machine do all that is to be done now.
async fn settle(node: &TestNode) {
    let services = node.services();
    while services.rotations.reconcile(&services, services.store.now()).await.expect("reconciles") {
        services.rotations.idle().await;
    }
    services.rotations.idle().await;
}

/// Makes a role with these settings and its first credential.
async fn role(node: &TestNode, name: &str, fields: Value) {
    let got = node.root("WRITE", &format!("db/roles/{name}"), fields).await;
    assert_eq!(got.status, 204, "{got:?}");
}

/// A consumer's token.
async fn consumer(node: &TestNode, name: &str) -> String {
    let fields = json!({ "policies": ["read"], "display_name": name, "ttl": "10h" });
    crate::testing::token(node, fields).await
}

async fn creds(node: &TestNode, name: &str, token: &str) -> Json {
    let got = node.call("READ", &format!("db/creds/{name}"), token, Value::Null).await;
    assert_eq!(got.status, 200, "{got:?}");
    got.data().clone()
}

async fn rotate(node: &TestNode, name: &str) -> Got {
    node.root("WRITE", &format!("db/rotate/{name}"), json!({})).await
}

/// The state of a role's rotation, or "" without one.
async fn state(node: &TestNode, name: &str) -> &'static str {
    let status = status(node, name).await.expect("the subject is there");
    status.running.map_or("", |running| running.state.name())
}

async fn status(node: &TestNode, name: &str) -> Option<RotationStatus> {
    let services = node.services();
    let table = services.router.table().await.expect("a table");
    let entry = table.at(strongroom_kernel::record::Scope::ROOT, "db/").expect("mounted");
    let tx = services.store.begin();
    let name = format!("roles/{name}");
    services.rotations.status(&tx, entry.mount.scope, &name).await.expect("readable")
}

/// A role's status as its endpoint shows it.
async fn shown(node: &TestNode, name: &str) -> Json {
    let got =
        node.root("READ", &format!("sys/rotation/subjects/db/roles/{name}"), Value::Null).await;
    assert_eq!(got.status, 200, "{got:?}");
    got.data().clone()
}

/// `moved/total moved, left left`, or "" without a drain.
async fn progress(node: &TestNode, name: &str) -> String {
    let shown = shown(node, name).await;
    shown["rotation"]["consumers"]["progress"].as_str().unwrap_or_default().to_owned()
}

/// Begins a rotation, which then drains: somebody holds the version before.
async fn drain(node: &TestNode, name: &str) {
    let got = rotate(node, name).await;
    assert_eq!(got.status, 204, "{got:?}");
    settle(node).await;
    assert_eq!(state(node, name).await, "draining");
}

async fn post(node: &TestNode, what: &str, name: &str) -> Got {
    node.root("WRITE", &format!("sys/rotation/{what}/db/roles/{name}"), json!({})).await
}
