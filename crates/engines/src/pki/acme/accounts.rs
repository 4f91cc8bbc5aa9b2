//! Accounts (RFC 8555 §7.3).

use serde_json::json;
use strongroom_base::{Json, Result};
use strongroom_kernel::plug::{Reply, WriteCx};

use super::super::PkiEngine;
use super::problem::Problem;
use super::stored::{Account, AccountKey, AccountStatus};
use super::visit::{Directory, Visit, answer, external_account_required, find_account};
use super::{eab, expiry, limits, signed};

signed! {
    /// Makes an ACME account, or finds the one of a key.
    NewAccount {} => new_account;
    /// Shows, changes or ends an ACME account.
    UpdateAccount {
        /// The account's id.
        kid
    } => update_account;
}

fn shown(directory: &Directory, id: &str, account: &Account) -> Json {
    let mut shown = json!({
        "status": account.status.name(),
        "orders": directory.url(&format!("account/{id}/orders")),
    });
    if !account.contact.is_empty() {
        shown["contact"] = json!(account.contact);
    }
    shown
}

fn reply(directory: &Directory, id: &str, shown: &Json) -> Reply<()> {
    answer(shown).header("location", directory.url(&format!("account/{id}")))
}

/// The contacts of a payload.
fn contacts(visit: &Visit) -> Result<Option<Vec<String>>> {
    let Some(contact) = visit.member("contact") else { return Ok(None) };
    let malformed = || Problem::Malformed.says("the field 'contact' is no list of texts");
    let all = contact.as_array().ok_or_else(malformed)?;
    if all.len() > limits::CONTACTS {
        return Err(Problem::InvalidContact.says("an account has at most 10 contacts"));
    }
    let mut contacts = Vec::with_capacity(all.len());
    for contact in all {
        let contact = contact.as_str().ok_or_else(malformed)?;
        let is_url = contact.split_once(':').is_some_and(|(scheme, rest)| {
            !scheme.is_empty()
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
                && !rest.is_empty()
        });
        if !is_url || contact.len() > limits::CONTACT_BYTES || contact.chars().any(char::is_control)
        {
            return Err(Problem::InvalidContact.says("a contact is no URL, or too long"));
        }
        contacts.push(contact.to_owned());
    }
    Ok(Some(contacts))
}

/// A member that is true or false; it is false where it is not there.
fn flag(visit: &Visit, name: &str) -> Result<bool> {
    match visit.member(name) {
        None => Ok(false),
        Some(Json::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Problem::Malformed.says(format!("the field '{name}' is no boolean"))),
    }
}

async fn new_account(
    engine: &PkiEngine,
    cx: &mut WriteCx<'_>,
    visit: &Visit,
    _: &NewAccount,
) -> Result<Reply<()>> {
    let directory = &visit.directory;
    if visit.account.is_some() {
        return Err(Problem::Malformed.says("a new account's message is signed with a 'jwk'"));
    }
    let (contact, terms_agreed) = (contacts(visit)?, flag(visit, "termsOfServiceAgreed")?);
    let only_existing = flag(visit, "onlyReturnExisting")?;
    let thumbprint = visit.key.thumbprint();
    if let Some(key) = cx.view().named::<AccountKey>(0, &thumbprint).await? {
        let account = find_account(cx, directory, &key.account).await?;
        directory.admit(&account)?;
        return Ok(reply(directory, &key.account, &shown(directory, &key.account, &account)));
    }
    if only_existing {
        let none = "an account with this key does not exist";
        return Err(Problem::AccountDoesNotExist.says(none));
    }
    let bound = match visit.member("externalAccountBinding") {
        None => None,
        Some(Json::Object(shown)) => Some(shown),
        Some(_) => {
            return Err(Problem::Malformed.says("externalAccountBinding is no JSON object"));
        }
    };
    let bound_to = match bound {
        Some(shown) => eab::redeem(cx, directory, shown, &visit.key).await?,
        None if directory.wants_binding() => return Err(external_account_required()),
        None => String::new(),
    };
    engine.acme.limits.account(cx.request.peer.ip, cx.now())?;
    let edit = cx.edit();
    let id = cx.rng().uuid();
    let account = Account {
        number: edit.new_id(),
        status: AccountStatus::Valid,
        contact: contact.unwrap_or_default(),
        terms_agreed,
        jwk: visit.key.canonical().to_owned(),
        directory: directory.name.clone(),
        created: cx.now(),
        ended: None,
        bound_to,
        used_until: cx.now(),
    };
    edit.put_named(0, &id, &account)?;
    edit.put_named(0, &thumbprint, &AccountKey { account: id.clone() })?;
    expiry::account(&edit, &id, &account)?;
    let mut body = shown(directory, &id, &account);
    if let Some(bound) = bound {
        body["externalAccountBinding"] = Json::Object(bound.clone());
    }
    Ok(reply(directory, &id, &body).status(201))
}

async fn update_account(
    _: &PkiEngine,
    cx: &mut WriteCx<'_>,
    visit: &Visit,
    op: &UpdateAccount,
) -> Result<Reply<()>> {
    let directory = &visit.directory;
    let (id, account) = visit.account()?;
    if id != op.kid {
        return Err(Problem::Unauthorized.says("the account is another one than the signature's"));
    }
    if visit.member("externalAccountBinding").is_some() {
        return Err(Problem::Malformed.says("an account's binding cannot be changed"));
    }
    let mut account = account.clone();
    let contact = contacts(visit)?;
    let ends = match visit.text("status")? {
        None | Some("valid") => false,
        Some("deactivated") => true,
        Some(_) => return Err(Problem::Malformed.says("an account can only be deactivated")),
    };
    if contact.is_some() || ends {
        account.contact = contact.unwrap_or(account.contact);
        if ends {
            account.status = AccountStatus::Deactivated;
            account.ended = Some(cx.now());
        }
        cx.edit().put_named(0, id, &account)?;
    }
    Ok(reply(directory, id, &shown(directory, id, &account)))
}
