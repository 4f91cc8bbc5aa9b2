//! Plug-ins whose content shows what became of a mount.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_base::{Error, Result};
use strongroom_kernel::plug::{
    Class, Command, EngineSpec, Grant, Login, Query, ReadCx, Reply, Spec, TokenParams, WriteCx, ops,
};
use strongroom_kernel::record::Record;

/// An engine that keeps what it is given, called as the real ones are: these tests look at mounts.
struct Keeper;

#[derive(Serialize, Deserialize)]
struct Kept(String);
impl Record for Kept {
    const KIND: u8 = 1;
}

strongroom_base::fields! {
    /// Keeps a text.
    pub struct Keep {
        /// Its name.
        name: String,
        /// The text.
        value: String,
    }
}
strongroom_base::fields! {
    /// Gives a text back.
    pub struct Give {
        /// Its name.
        name: String,
    }
}
strongroom_base::fields! {
    /// Logs in.
    pub struct Enter {
        /// As whom.
        name: String,
    }
}
strongroom_base::fields! {
    /// Reads a user.
    pub struct ReadUser {
        /// Their name.
        name: String,
    }
}

ops! {
    Keep (), Write;
    Give Value, Read;
    Enter (), Write;
    ReadUser Value, Read;
}

impl Command<Keep> for Keeper {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Keep) -> Result<Reply<()>> {
        cx.edit().put_named(0, &op.name, &Kept(op.value))?;
        Ok(Reply::none())
    }
}
impl Query<Give> for Keeper {
    async fn query(&self, cx: &ReadCx<'_>, op: Give) -> Result<Reply<Value>> {
        let kept = cx.view().named::<Kept>(0, &op.name).await?.ok_or_else(Error::not_found)?;
        Ok(Reply::data(json!({ "value": kept.0 })))
    }
}
impl Login<Enter> for Keeper {
    async fn login(&self, _: &mut WriteCx<'_>, op: Enter) -> Result<Grant> {
        let token = TokenParams { policies: vec![op.name], ..TokenParams::default() };
        Ok(Grant { token, ..Grant::default() })
    }
}
impl Query<ReadUser> for Keeper {
    async fn query(&self, _: &ReadCx<'_>, op: ReadUser) -> Result<Reply<Value>> {
        Ok(Reply::data(json!({ "token_policies": [op.name] })))
    }
}

/// An engine of this type.
pub(super) fn keeper(kind: &'static str) -> Spec {
    let open = |mount: &strongroom_kernel::mounts::Mount| {
        let version = mount.options.get("version").map(String::as_str);
        match version {
            None | Some("1" | "2") => Ok(Keeper),
            Some(_) => Err(Error::bad_request("no such version")),
        }
    };
    EngineSpec::new(kind, Class::Secret, open)
        .command::<Keep>("{name}")
        .query::<Give>("{name}")
        .docs("Keeps texts.")
        .build()
}

/// An auth method that lets in whoever asks.
pub(super) fn door() -> Spec {
    EngineSpec::new("userpass", Class::Auth, |_| Ok(Keeper))
        .login::<Enter>("login/{name}")
        .query::<ReadUser>("users/{name}")
        .build()
}
