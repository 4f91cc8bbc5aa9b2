//! `creds/ROLE`, `verify`, `lookup`: one-time passwords. A helper on the machine (`vault-ssh-helper`)
//! asks whether one is good, and for whom.

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_base::{Error, Json, Result, SecretString, Timestamp, fields};
use strongroom_kernel::plug::{
    Command, EngineSpec, LeaseKind, NewLease, Query, ReadCx, Reply, WriteCx, ops,
};
use strongroom_kernel::record::{ReadView, Record};

use super::role::{self, Role, RoleKind, parts};
use super::{SshEngine, roles, zero_address};

/// What helpers send to see whether they reach the server, and what they then expect.
const ECHO: (&str, &str) = ("verify-echo-request", "verify-echo-response");

/// A password that was not shown yet: under its MAC, so that whoever reads the store has none.
#[derive(Serialize, Deserialize)]
pub struct Password {
    username: String,
    ip: String,
    role: String,
    /// Good before this time, whether or not its lease has been taken back by then.
    expires: Timestamp,
}

impl Record for Password {
    const KIND: u8 = 7;
}

fields! {
    /// Makes a one-time password for a machine.
    pub struct CreateCreds {
        /// The role's name.
        role: String,
        /// The user; the role's default user where none is named.
        username: Option<String>,
        /// The machine's address.
        ip: Option<String>,
    }
}
fields! {
    /// Asks whether a one-time password is good. It is not, from then on.
    pub struct VerifyOtp {
        /// The password.
        otp: Option<SecretString>,
    }
}
fields! {
    /// Lists the roles that an address belongs to.
    pub struct LookUp {
        /// The machine's address.
        ip: Option<String>,
    }
}

ops! {
    CreateCreds Json, Write;
    VerifyOtp Json, Write, Open;
    LookUp Json, Write;
}

pub(super) fn add(spec: EngineSpec<SshEngine>) -> EngineSpec<SshEngine> {
    spec.command::<CreateCreds>("creds/{role}")
        .command::<VerifyOtp>("verify")
        .query::<LookUp>("lookup")
}

fn address(given: Option<&str>) -> Result<IpAddr> {
    match given.map(str::trim) {
        None | Some("") => Err(Error::bad_request("Missing ip")),
        Some(text) => text.parse().map_err(|_| Error::bad_request("Invalid IP")),
    }
}

/// The name of a password's record.
fn record_of(view: &ReadView<'_>, otp: &str) -> String {
    HEXLOWER.encode(&view.digest_of(&[b"ssh otp", otp.as_bytes()]))
}

/// The user that a request means, if the role allows it.
fn user(role: &Role, asked: Option<String>) -> Result<String> {
    let asked = asked.filter(|user| !user.is_empty());
    let user = asked.unwrap_or_else(|| role.default_user.clone());
    if user == role.default_user {
        return Ok(user);
    }
    match role.allowed_users.as_str() {
        "" => Err(Error::bad_request(
            "Username has to be either in allowed users list or has to be a default username",
        )),
        "*" => Ok(user),
        allowed if parts(allowed).any(|allowed| allowed == user) => Ok(user),
        _ => Err(Error::bad_request("Username is not present is allowed users list")),
    }
}

impl Command<CreateCreds> for SshEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: CreateCreds) -> Result<Reply<Json>> {
        let ip = address(op.ip.as_deref())?;
        let role = role::find(cx, &op.role).await?;
        if role.kind != RoleKind::Otp {
            return Err(Error::bad_request(format!(
                "role key type '{}' makes no one-time passwords",
                role.kind.name()
            )));
        }
        let username = user(&role, op.username)?;
        let any = zero_address::roles(cx).await?.contains(&op.role);
        if !any && !role.has_address(ip) {
            return Err(Error::bad_request("Error validating IP: IP does not belong to role"));
        }
        let otp = SecretString::new(cx.rng().uuid());
        let name = record_of(&cx.view(), otp.expose_secret());
        let (default, maximum) = cx.ttls();
        let seconds = default.min(maximum);
        let password = Password {
            username: username.clone(),
            ip: ip.to_string(),
            role: op.role,
            expires: cx.now().plus_seconds(seconds),
        };
        cx.edit().put_named(0, &name, &password)?;
        let mut reply = Reply::data(json!({
            "key_type": role.kind.name(),
            "key": otp.expose_secret(),
            "username": username,
            "ip": password.ip,
            "port": role.port,
        }));
        reply.lease = Some(Box::new(NewLease {
            ttl_seconds: Some(seconds),
            max_ttl_seconds: None,
            renewable: false,
            internal: json!({ "otp": name }),
        }));
        Ok(reply)
    }
}

impl Command<VerifyOtp> for SshEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: VerifyOtp) -> Result<Reply<Json>> {
        let otp = op.otp.as_ref().map_or("", |otp| otp.expose_secret());
        if otp == ECHO.0 {
            return Ok(Reply::data(json!({ "message": ECHO.1 })));
        }
        // Found by its MAC: how long that takes says nothing of the passwords there are.
        let name = record_of(&cx.view(), otp);
        cx.queue(&name).await;
        let found = cx.view().named::<Password>(0, &name).await?;
        let Some(password) = found.filter(|password| cx.now() < password.expires) else {
            return Err(Error::bad_request("OTP not found"));
        };
        cx.edit().delete_named::<Password>(0, &name);
        Ok(Reply::data(json!({
            "username": password.username,
            "ip": password.ip,
            "role_name": password.role,
        })))
    }
}

impl Query<LookUp> for SshEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: LookUp) -> Result<Reply<Json>> {
        let ip = address(op.ip.as_deref())?;
        let any = zero_address::roles(cx).await?;
        Ok(Reply::data(roles::of_address(cx, ip, &any).await?))
    }
}

impl LeaseKind for SshEngine {
    async fn renew_lease(&self, _: &mut WriteCx<'_>, _: &Json, _: i64) -> Result<i64> {
        Err(Error::bad_request("lease is not renewable"))
    }

    async fn revoke_lease(&self, cx: &mut WriteCx<'_>, internal: &Json) -> Result<()> {
        let name = internal.get("otp").and_then(Json::as_str);
        let name = name.ok_or_else(|| Error::internal("a one-time password's lease is damaged"))?;
        cx.edit().delete_named::<Password>(0, name);
        Ok(())
    }
}
