//! A new key for an account (RFC 8555 §7.3.5): the old one signs a message that the new one signed.

use strongroom_base::{Json, Result};
use strongroom_crypto::jws::{self, Jwk};
use strongroom_kernel::plug::{Reply, WriteCx};

use super::super::PkiEngine;
use super::problem::Problem;
use super::signed;
use super::stored::AccountKey;
use super::visit::{Visit, answer, carried, object, refused};

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
    let message = visit.payload.as_ref().ok_or_else(|| malformed("it is missing"))?;
    let (parts, mut header) = carried("the inner message", message, directory, cx)?;
    if header.kid.is_some() {
        return Err(malformed("its header has a 'kid'"));
    }
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
