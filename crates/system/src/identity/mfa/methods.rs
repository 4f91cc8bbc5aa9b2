//! `identity/mfa/method`: the methods. Codes by time are the one kind there is; those of Duo, Okta
//! and PingID are refused.

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, Ttl, fields};
use strongroom_crypto::totp::{Codes, OtpHash};
use strongroom_kernel::identity::Directory;
use strongroom_kernel::mfa::{Enforcements, Found, Method, MethodOfName, TotpSettings};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::super::{IdentityStore, check_name, given, mounts, views};
use super::{find, refuse};

/// Methods of a namespace.
const METHODS_MAX: usize = 256;
/// Bytes of a secret. HMAC hashes a longer one first, so it would be no stronger.
const KEY_BYTES_MAX: i64 = 128;
/// Pixels of a QR code's side.
const QR_PIXELS_MAX: i64 = 4_096;
/// Bytes of an issuer's name: a QR code holds some two thousand.
const ISSUER_BYTES_MAX: usize = 512;
/// Seconds of a step.
const PERIOD_MAX: u64 = 86_400;
/// Vault's number of tries.
const ATTEMPTS: i64 = 5;
/// Tries that can be allowed within the time that a code is good.
const ATTEMPTS_MAX: i64 = 1_000;

fields! {
    /// Makes a method of codes by time, or changes the one that the id or the name leads to.
    pub struct PutTotpMethod {
        /// The method's id.
        method_id: Option<String>,
        /// Its name, unique in the namespace.
        method_name: Option<String>,
        /// Whose service, as telephones show it.
        issuer: Option<String>,
        /// Seconds of a step.
        period: Option<Ttl>,
        /// Bytes of a secret.
        key_size: Option<i64>,
        /// Pixels of the QR code's side; 0 is none.
        qr_size: Option<i64>,
        /// SHA1, SHA256 or SHA512.
        algorithm: Option<String>,
        /// Of a code: 6 or 8.
        digits: Option<i64>,
        /// Steps before and after the present one whose codes are good, too: 0 or 1.
        skew: Option<i64>,
        /// Tries of an entity within the time that a code is good.
        max_validation_attempts: Option<i64>,
    }
}
fields! {
    /// Makes a method of another kind: there is none.
    pub struct PutOtherMethod {
        /// The kind: duo, okta or pingid.
        kind: String,
        /// The method's id.
        method_id: Option<String>,
    }
}
fields! {
    /// Reads a method.
    pub struct ReadMethod {
        /// The method's id.
        method_id: String,
    }
}
fields! {
    /// Deletes a method, and all secrets that entities have of it.
    pub struct DeleteMethod {
        /// The method's id.
        method_id: String,
    }
}
fields! {
    /// Lists the methods of this namespace and those above it.
    pub struct ListMethods {}
}
ops! {
    PutTotpMethod Json, Write;
    PutOtherMethod (), Write;
    ReadMethod Json, Read;
    DeleteMethod (), Delete;
    ListMethods JsonMap, List;
}

pub(super) fn add(spec: EngineSpec<IdentityStore>) -> EngineSpec<IdentityStore> {
    spec.query::<ListMethods>("mfa/method/")
        .query::<ReadMethod>("mfa/method/{method_id}")
        .query::<ListMethods>("mfa/method/totp/")
        .command::<PutTotpMethod>("mfa/method/totp")
        .command::<PutTotpMethod>("mfa/method/totp/{method_id}")
        .query::<ReadMethod>("mfa/method/totp/{method_id}")
        .command::<DeleteMethod>("mfa/method/totp/{method_id}")
        .command::<PutOtherMethod>("mfa/method/{kind}")
        .command::<PutOtherMethod>("mfa/method/{kind}/{method_id}")
}

/// A number within bounds, or what is usual.
fn number(given: Option<i64>, usual: i64, most: i64, text: &str) -> Result<u32> {
    match u32::try_from(given.unwrap_or(usual)) {
        Ok(number) if i64::from(number) <= most => Ok(number),
        _ => refuse(text),
    }
}

/// The settings of a request, checked. What is not given is as usual, also in a change.
fn settings(op: &PutTotpMethod) -> Result<TotpSettings> {
    let Some(hash) = OtpHash::named(op.algorithm.as_deref().unwrap_or("SHA1")) else {
        return refuse("unrecognized algorithm");
    };
    let digits = number(op.digits, 6, 8, "digits can only be 6 or 8")?;
    if !matches!(digits, 6 | 8) {
        return refuse("digits can only be 6 or 8");
    }
    let period = op.period.map_or(30, |Ttl(seconds)| seconds);
    let period = u64::try_from(period).ok().filter(|period| (1..=PERIOD_MAX).contains(period));
    let Some(period) = period else {
        return refuse("period must be greater than zero, and at most a day");
    };
    let skew = u64::from(number(op.skew, 1, 1, "skew must be 0 or 1")?);
    let text = "key_size must be greater than zero, and at most 128";
    let key_bytes = number(op.key_size, 20, KEY_BYTES_MAX, text)?;
    if key_bytes == 0 {
        return refuse(text);
    }
    let text = "qr_size must be between 0 and 4096";
    let qr_pixels = number(op.qr_size, 200, QR_PIXELS_MAX, text)?;
    let issuer = given(op.issuer.clone());
    let Some(issuer) = issuer.filter(|issuer| issuer.len() <= ISSUER_BYTES_MAX) else {
        return refuse("issuer must be set, to at most 512 bytes");
    };
    let attempts = op.max_validation_attempts.filter(|n| *n != 0);
    let text = "max_validation_attempts must be greater than zero, and at most 1000";
    let attempts_max = number(attempts, ATTEMPTS, ATTEMPTS_MAX, text)?;
    let codes = Codes { period, hash, digits, skew };
    Ok(TotpSettings { issuer, codes, key_bytes, qr_pixels, attempts_max })
}

impl Command<PutTotpMethod> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutTotpMethod) -> Result<Reply<Json>> {
        cx.queue("mfa").await;
        let totp = settings(&op)?;
        let (id, name) = (given(op.method_id), given(op.method_name));
        check_name(name.as_deref().unwrap_or(""))?;
        let scope = cx.request.namespace.scope;
        let (edit, view) = (cx.kernel_tx().write(scope), cx.kernel_tx().read(scope));
        let of_name = match &name {
            Some(name) => view.named::<MethodOfName>(0, name).await?.map(|id| id.0),
            None => None,
        };
        if let (Some(id), Some(other)) = (&id, &of_name)
            && id != other
        {
            return refuse("a login MFA method configuration with this method name already exists");
        }
        let old = match id.as_ref().or(of_name.as_ref()) {
            Some(known) => match find(cx, known).await? {
                Some(found) if found.namespace.scope == scope => Some(found.method),
                Some(_) => return refuse("request namespace does not match method namespace"),
                None => return Err(Error::not_found()),
            },
            None => None,
        };
        let mut method = match &old {
            Some(old) => (**old).clone(),
            None if view.names::<Method>(0).await?.len() >= METHODS_MAX => {
                return refuse("the namespace has as many MFA methods as it can");
            }
            None => {
                Method { id: cx.rng().uuid(), at: cx.kernel_tx().new_id(), ..Method::default() }
            }
        };
        if let Some(name) = name {
            if !method.name.is_empty() {
                edit.delete_named::<MethodOfName>(0, &method.name);
            }
            edit.put_named(0, &name, &MethodOfName(method.id.clone()))?;
            method.name = name;
        }
        method.totp = totp;
        edit.put_named(0, &method.id, &method)?;
        match id {
            None => Ok(Reply::data(json!({ "method_id": method.id }))),
            Some(_) => Ok(Reply::none()),
        }
    }
}

impl Command<PutOtherMethod> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutOtherMethod) -> Result<Reply<()>> {
        match op.kind.as_str() {
            "duo" | "okta" | "pingid" => Err(Error::bad_request(format!(
                "MFA methods of the type {} are not supported; totp is",
                op.kind
            ))),
            _ => Err(Error::no_route(&cx.request.full_path)),
        }
    }
}

fn view(found: &Found) -> JsonMap {
    let Found { method, namespace } = found;
    let TotpSettings { issuer, codes, key_bytes, qr_pixels, attempts_max } = &method.totp;
    views::object(json!({
        "type": Method::KIND_NAME,
        "id": method.id,
        "name": method.name,
        "namespace_id": namespace.id,
        "namespace_path": namespace.path,
        "issuer": issuer,
        "period": codes.period,
        "digits": codes.digits,
        "skew": codes.skew,
        "key_size": key_bytes,
        "qr_size": qr_pixels,
        "algorithm": codes.hash.name(),
        "max_validation_attempts": attempts_max,
    }))
}

impl Query<ReadMethod> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadMethod) -> Result<Reply<Json>> {
        if let Some(found) = find(cx, &op.method_id).await? {
            return Ok(Reply::data(view(&found).into()));
        }
        // One of a namespace below is shown, too.
        let table = mounts(cx).await?;
        for namespace in table.namespaces.iter().filter(|n| n.is_within(&cx.request.namespace)) {
            let below = cx.kernel_tx().read(namespace.scope);
            if let Some(method) = below.cached::<Method>(0, &op.method_id).await?
                && table.namespaces.is_live(namespace.scope)
            {
                let found = Found { method, namespace: namespace.clone() };
                return Ok(Reply::data(view(&found).into()));
            }
        }
        Err(Error::not_found())
    }
}

impl Command<DeleteMethod> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteMethod) -> Result<Reply<()>> {
        cx.queue("mfa").await;
        let Some(Found { method, namespace }) = find(cx, &op.method_id).await? else {
            return Ok(Reply::none());
        };
        let scope = cx.request.namespace.scope;
        if namespace.scope != scope {
            return refuse("request namespace does not match method namespace");
        }
        let table = mounts(cx).await?;
        let tx = cx.kernel_tx();
        for below in table.namespaces.iter().filter(|n| n.is_within(&namespace)) {
            let all = tx.read(below.scope).named::<Enforcements>(0, "").await?;
            let all = all.unwrap_or_default();
            if let Some(user) = all.0.iter().find(|e| e.methods.contains(&method.id)) {
                let text = "methodID is still used by an enforcement configuration with ID: ";
                return Err(Error::bad_request(format!("{text}{}", user.id)));
            }
            Directory::new(tx, below.scope).forget_method(method.at);
        }
        if !method.name.is_empty() {
            tx.write(scope).delete_named::<MethodOfName>(0, &method.name);
        }
        tx.write(scope).delete_named::<Method>(0, &method.id);
        Ok(Reply::none())
    }
}

impl Query<ListMethods> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, _: ListMethods) -> Result<Reply<JsonMap>> {
        let table = mounts(cx).await?;
        let mut all = Vec::new();
        for namespace in table.namespaces.upward(cx.request.namespace.scope) {
            for (id, method) in cx.kernel_tx().read(namespace.scope).all::<Method>(0).await? {
                let found = Found { method: method.into(), namespace: namespace.clone() };
                all.push((id, view(&found)));
            }
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        views::list_with_info(all)
    }
}
