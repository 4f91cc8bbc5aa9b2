//! `keys/NAME`: keys, made here or taken from somewhere else.

use serde_json::json;
use strongroom_base::{Error, Json, Result, SecretBytes, SecretString, Ttl, fields};
use strongroom_crypto::totp::{OtpHash, picture, url};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{
    Command, EngineSpec, Query, ReadCx, Reconcile, Reply, WriteCx, names, ops,
};
use zeroize::Zeroizing;

use super::TotpEngine;
use super::key::{Key, Spent, Tries};

/// Bytes of a key that is made here. HMAC hashes a longer one first, so it would be no stronger.
const KEY_BYTES_MAX: i64 = 128;
/// Bytes of a key that is made here (RFC 4226 §4, R6: at least 128 bits).
const KEY_BYTES_MIN: i64 = 16;
/// Records looked at in one step.
const PAGE: usize = 1_000;
/// Bytes of an issuer's or account's name: a QR code holds some two thousand.
const NAME_BYTES_MAX: usize = 512;

fields! {
    /// Lists the keys.
    pub struct ListKeys {
        /// Names after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}
fields! {
    /// Shows a key, without its secret.
    pub struct ReadKey {
        /// The key's name.
        name: String,
    }
}
fields! {
    /// Makes a key, or takes one that another service made.
    pub struct PutKey {
        /// The key's name.
        name: String,
        /// Is it made here?
        generate: Option<bool>,
        /// Does the answer show what was made here, as a URL and a QR code?
        exported: Option<bool>,
        /// Bytes of a key that is made here.
        key_size: Option<i64>,
        /// Another service's key in base32.
        key: Option<SecretString>,
        /// Whose service.
        issuer: Option<String>,
        /// Whose account.
        account_name: Option<String>,
        /// Seconds of a step.
        period: Option<Ttl>,
        /// SHA1, SHA256 or SHA512.
        algorithm: Option<String>,
        /// Of a code: 6 or 8.
        digits: Option<i64>,
        /// Steps before and after the present one whose codes are good, too: 0 or 1.
        skew: Option<i64>,
        /// Pixels of the QR code's side; 0 is none.
        qr_size: Option<i64>,
        /// Another service's key with all about it: otpauth://totp/…
        url: Option<SecretString>,
    }
}
fields! {
    /// Removes a key.
    pub struct DeleteKey {
        /// The key's name.
        name: String,
    }
}

ops! {
    ListKeys Keys, List;
    ReadKey Json, Read;
    PutKey Json, Write;
    DeleteKey (), Delete;
}

pub(super) fn add(spec: EngineSpec<TotpEngine>) -> EngineSpec<TotpEngine> {
    spec.query::<ListKeys>("keys/")
        .query::<ReadKey>("keys/{name}")
        .command::<PutKey>("keys/{name}")
        .command::<DeleteKey>("keys/{name}")
}

impl Query<ListKeys> for TotpEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ListKeys) -> Result<Reply<Keys>> {
        lists::of_records::<Key>(cx, 0, op.after.as_deref(), op.limit).await
    }
}

impl Query<ReadKey> for TotpEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadKey) -> Result<Reply<Json>> {
        let key = cx.view().named::<Key>(0, &op.name).await?.ok_or_else(Error::not_found)?;
        Ok(Reply::data(json!({
            "issuer": key.issuer,
            "account_name": key.account_name,
            "period": key.period,
            "algorithm": key.algorithm.name(),
            "digits": key.digits,
        })))
    }
}

impl Command<PutKey> for TotpEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutKey) -> Result<Reply<Json>> {
        names::check(&op.name)?;
        let generate = op.generate.unwrap_or(false);
        let mut key = settings(&op)?;
        let reply = if generate {
            make(cx, &op, &mut key)?
        } else {
            let Some(secret) = given(&op)? else {
                return Err(Error::bad_request("the key value is required"));
            };
            key.secret.clone_from(secret.expose_secret());
            Reply::none()
        };
        cx.queue(&op.name).await;
        // A key that is written anew with the same codes does not make those good again that were
        // taken, whatever was there meanwhile.
        let edit = cx.edit();
        let before = edit.named::<Key>(0, &op.name).await?;
        if before.as_ref().is_none_or(|before| !before.has_codes_of(&key)) {
            leave(cx, &op.name, before.as_ref()).await?;
            let spent = Spent::name(&edit, &op.name, &key);
            if let Some(Spent { taken, .. }) = edit.named(0, &spent).await? {
                edit.put_named(0, &op.name, &Tries { taken, ..Tries::default() })?;
                edit.delete_named::<Spent>(0, &spent);
            }
        }
        edit.put_named(0, &op.name, &key)?;
        Ok(reply)
    }
}

impl Command<DeleteKey> for TotpEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteKey) -> Result<Reply<()>> {
        cx.queue(&op.name).await;
        let before = cx.view().named::<Key>(0, &op.name).await?;
        leave(cx, &op.name, before.as_ref()).await?;
        cx.edit().delete_named::<Key>(0, &op.name);
        Ok(Reply::none())
    }
}

/// Ends what was tried of a key that goes, or gets other codes. What was taken is remembered as long
/// as it could be taken again.
async fn leave(cx: &WriteCx<'_>, name: &str, before: Option<&Key>) -> Result<()> {
    let edit = cx.edit();
    if let Some(before) = before
        && let Some(mut tries) = edit.named::<Tries>(0, name).await?
    {
        tries.forget(before.codes().step(cx.now().seconds()));
        if let Some(spent) = Spent::of(before, &tries) {
            edit.put_named(0, &Spent::name(&edit, name, before), &spent)?;
        }
    }
    edit.delete_named::<Tries>(0, name);
    Ok(())
}

impl Reconcile for TotpEngine {
    /// Forgets codes of former keys that nobody could take any more.
    async fn reconcile(&self, cx: &mut WriteCx<'_>) -> Result<bool> {
        let edit = cx.edit();
        let mut cursor = Some(Vec::new());
        while let Some(at) = cursor {
            let (page, next) = edit.peek::<Spent>(0, &at, PAGE).await?;
            for (name, spent) in page {
                if spent.until <= cx.now() {
                    edit.delete_named::<Spent>(0, &name);
                }
            }
            cursor = next;
        }
        Ok(false)
    }
}

fn text(secret: Option<&SecretString>) -> &str {
    secret.map_or("", |secret| secret.expose_secret())
}

/// All but the secret, checked.
fn settings(op: &PutKey) -> Result<Key> {
    let refuse = |text: &str| Err(Error::bad_request(text));
    let generate = op.generate.unwrap_or(false);
    if generate && !text(op.key.as_ref()).is_empty() {
        return refuse("a key should not be passed if generate is true");
    }
    let from_url = match text(op.url.as_ref()) {
        "" => None,
        _ if generate => return refuse("a url should not be passed if generate is true"),
        url => Some(url::parse(url)?),
    };
    let mut key = Key::default();
    key.issuer = op.issuer.clone().unwrap_or_default();
    key.account_name = op.account_name.clone().unwrap_or_default();
    let mut algorithm = op.algorithm.clone().unwrap_or_else(|| "SHA1".to_owned());
    let mut digits = op.digits.unwrap_or(6);
    let mut period = op.period.map_or(30, |Ttl(seconds)| seconds);
    if let Some(url) = from_url {
        if !url.issuer.is_empty() {
            key.issuer.clone_from(&url.issuer);
        }
        key.account_name.clone_from(&url.account_name);
        algorithm = url.algorithm.clone().unwrap_or(algorithm);
        digits = url.digits.unwrap_or(digits);
        period = url.period.unwrap_or(period);
    }
    if key.issuer.len() > NAME_BYTES_MAX || key.account_name.len() > NAME_BYTES_MAX {
        return refuse("the issuer and account_name values must be shorter");
    }
    key.digits = match digits {
        6 => 6,
        8 => 8,
        _ => return refuse("the digits value can only be 6 or 8"),
    };
    key.algorithm = match OtpHash::named(&algorithm) {
        Some(algorithm) => algorithm,
        None => return refuse("the algorithm value is not valid"),
    };
    key.period = match u64::try_from(period) {
        Ok(period) if period > 0 => period,
        _ => return refuse("the period value must be greater than zero"),
    };
    key.skew = match op.skew.unwrap_or(1) {
        0 => 0,
        1 => 1,
        _ => return refuse("the skew value must be 0 or 1"),
    };
    if op.qr_size.is_some_and(|size| size < 0) {
        return refuse("the qr_size value must be greater than or equal to zero");
    }
    if op.key_size.is_some_and(|size| size <= 0) {
        return refuse("the key_size value must be greater than zero");
    }
    Ok(key)
}

/// The secret that the request has; none where it has none.
fn given(op: &PutKey) -> Result<Option<SecretBytes>> {
    let encoded = match text(op.url.as_ref()) {
        "" => Zeroizing::new(text(op.key.as_ref()).to_ascii_uppercase()),
        url => Zeroizing::new(url::parse(url)?.secret.expose_secret().to_ascii_uppercase()),
    };
    if encoded.is_empty() {
        return Ok(None);
    }
    let decoded = base32(&encoded);
    let decoded = decoded.filter(|secret| !secret.is_empty());
    decoded
        .map(|secret| Some(SecretBytes::new(secret)))
        .ok_or_else(|| Error::bad_request("invalid key value: it is not base32"))
}

/// Bytes of a text in base32. As services write their secrets, and the peers read them: padding may
/// be missing, and bits that are left over at the end need not be zero.
fn base32(text: &str) -> Option<Vec<u8>> {
    const SYMBOLS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let symbols = text.trim_end_matches('=');
    let padding = text.len() - symbols.len();
    // No number of whole bytes leaves groups of these lengths (RFC 4648 §6).
    if padding >= 8 || matches!(symbols.len() % 8, 1 | 3 | 6) {
        return None;
    }
    let mut out = Zeroizing::new(Vec::with_capacity(symbols.len() * 5 / 8));
    let (mut bits, mut count) = (0_u16, 0);
    for symbol in symbols.bytes() {
        let value = SYMBOLS.iter().position(|known| *known == symbol)?;
        bits = bits << 5 | u16::try_from(value).ok()?;
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    Some(std::mem::take(&mut *out))
}

/// Makes a secret, and the answer that shows it.
fn make(cx: &ReadCx<'_>, op: &PutKey, key: &mut Key) -> Result<Reply<Json>> {
    if key.account_name.is_empty() {
        return Err(Error::bad_request("the account_name value is required for generated keys"));
    }
    if key.issuer.is_empty() {
        return Err(Error::bad_request("the issuer value is required for generated keys"));
    }
    let size = op.key_size.unwrap_or(20);
    if size > KEY_BYTES_MAX {
        let text = format!("the key_size value must be at most {KEY_BYTES_MAX}");
        return Err(Error::bad_request(text));
    }
    if size < KEY_BYTES_MIN {
        let text = format!("the key_size value must be at least {KEY_BYTES_MIN}");
        return Err(Error::bad_request(text));
    }
    key.secret = vec![0; usize::try_from(size).unwrap_or_default()];
    cx.rng().fill(&mut key.secret);
    if !op.exported.unwrap_or(true) {
        return Ok(Reply::none());
    }
    let url = url::write(&key.issuer, &key.account_name, &key.secret, key.codes());
    let mut data = json!({ "url": url.expose_secret() });
    match op.qr_size.unwrap_or(200) {
        0 => {}
        side => data["barcode"] = picture::png(url.expose_secret(), side)?.into(),
    }
    Ok(Reply::data(data))
}
