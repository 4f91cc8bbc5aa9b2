//! A new key for an account (RFC 8555 §7.3.5): the old one signs a message that the new one signed.

use strongroom_base::{Json, Result};
use strongroom_crypto::jws::{self, Flattened, Header, Jwk};
use strongroom_kernel::plug::{Reply, WriteCx};

use super::super::PkiEngine;
use super::problem::Problem;
use super::signed;
use super::stored::AccountKey;
use super::visit::{Visit, answer, check_url, object, refused};

signed! {
    /// Gives an ACME account another key.
    ChangeKey {} => change_key;
}

async fn change_key(
    _: &PkiEngine,
    cx: &mut WriteCx<'_>,
    visit: &Visit,
    _: &ChangeKey,
) -> Result<Reply<()>> {
    let directory = &visit.directory;
    let (id, account) = visit.account()?;
    let malformed = |text: &str| Problem::Malformed.says(format!("the inner message: {text}"));
    let part = |name: &'static str| {
        visit.text(name)?.ok_or_else(|| malformed("a member is missing or no text"))
    };
    if visit.member("header").is_some() || visit.member("signatures").is_some() {
        return Err(malformed("it has one signature and no unprotected header"));
    }
    let parts = Flattened {
        protected: part("protected")?,
        payload: part("payload")?,
        signature: part("signature")?,
    };
    let mut header = Header::parse(parts.protected).map_err(refused)?;
    if header.nonce.is_some() || header.kid.is_some() {
        return Err(malformed("its header has neither 'nonce' nor 'kid'"));
    }
    check_url(directory, cx, &header)?;
    let key = header.jwk.take().ok_or_else(|| malformed("its header has no 'jwk'"))?;
    let payload = jws::verify(parts, &header, &key).map_err(refused)?;
    let payload = object(&payload)?.ok_or_else(|| malformed("it has no payload"))?;
    let url = directory.url(&format!("account/{id}"));
    if payload.get("account").and_then(Json::as_str) != Some(url.as_str()) {
        return Err(malformed("its 'account' is not the signing account"));
    }
    let old = payload.get("oldKey").map(Jwk::parse);
    if !matches!(old, Some(Ok(old)) if old.canonical() == account.jwk) {
        return Err(malformed("its 'oldKey' is not the account's key"));
    }
    let thumbprint = key.thumbprint();
    if let Some(other) = cx.view().named::<AccountKey>(0, &thumbprint).await? {
        let mut refused = Problem::Malformed.says("an account with the new key exists");
        if let Some(foreign) = &mut refused.foreign {
            // RFC 8555 §7.3.5: 409, and where that account is.
            foreign.status = 409;
            let url = directory.url(&format!("account/{}", other.account));
            foreign.headers.push(("location", url));
        }
        return Err(refused);
    }
    let mut account = account.clone();
    account.jwk = key.canonical().to_owned();
    let edit = cx.edit();
    edit.delete_named::<AccountKey>(0, &visit.key.thumbprint());
    edit.put_named(0, &thumbprint, &AccountKey { account: id.to_owned() })?;
    edit.put_named(0, id, &account)?;
    Ok(answer(&serde_json::json!({ "status": account.status.name() })).header("location", url))
}
