//! Removing what is of no use any more: orders that are over, accounts that nobody uses, secrets that
//! nobody used.

use serde::{Deserialize, Serialize};
use strongroom_base::{Result, Timestamp};
use strongroom_kernel::plug::WriteCx;
use strongroom_kernel::record::Id;

use super::stored::{
    Account, AccountKey, AccountStatus, Authorization, Binding, ChallengeKind, Issued, Order,
    Proved, Validation,
};
use super::validation;
use super::visit::stored_key;

/// Accounts and orders looked at in one step.
const LOOKS_MAX: usize = 200;

/// What one step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tidied {
    /// Accounts looked at.
    pub accounts: u64,
    /// Accounts that were ended because nobody uses them.
    pub revoked_accounts: u64,
    /// Accounts that were removed.
    pub deleted_accounts: u64,
    /// Orders that were removed.
    pub deleted_orders: u64,
}

/// How long what is over is kept, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Buffers {
    /// Orders, after their certificates' end.
    pub orders: i64,
    /// Accounts, and unused secrets.
    pub accounts: i64,
}

impl Tidied {
    /// With what another step did.
    pub fn add(&mut self, more: Self) {
        self.accounts += more.accounts;
        self.revoked_accounts += more.revoked_accounts;
        self.deleted_accounts += more.deleted_accounts;
        self.deleted_orders += more.deleted_orders;
    }
}

/// How far a run is: after which account, and after which of the next one's orders. Both are cursors
/// of the records' own.
#[derive(Default)]
struct Cursor {
    account: Vec<u8>,
    order: Vec<u8>,
}

impl Cursor {
    /// What cannot be read is the beginning.
    fn read(bytes: &[u8]) -> Self {
        let parts = bytes.split_first().and_then(|(length, rest)| {
            let (account, order) = rest.split_at_checked(usize::from(*length))?;
            Some(Self { account: account.to_vec(), order: order.to_vec() })
        });
        parts.unwrap_or_default()
    }

    fn write(&self) -> Vec<u8> {
        let length = u8::try_from(self.account.len()).unwrap_or(0);
        [&[length], self.account.as_slice(), self.order.as_slice()].concat()
    }
}

/// Tidies some of the orders after `cursor`, each looked at once; answers where the next step begins,
/// and what was done. After the last account it tidies the secrets, and there is no next step.
pub async fn step(
    cx: &WriteCx<'_>,
    cursor: &[u8],
    buffers: Buffers,
) -> Result<(Option<Vec<u8>>, Tidied)> {
    let edit = cx.edit();
    let mut at = Cursor::read(cursor);
    let mut tidied = Tidied::default();
    let mut looks = LOOKS_MAX;
    while looks > 0 {
        looks -= 1;
        let (page, next) = edit.peek::<Account>(0, &at.account, 1).await?;
        if let Some((id, _)) = page.into_iter().next()
            && let Some(account) = edit.named::<Account>(0, &id).await?
        {
            let (seen, more) = orders(cx, &id, account, &at.order, (looks.max(1), buffers)).await?;
            looks = looks.saturating_sub(seen.looks);
            tidied.add(seen.tidied);
            if let Some(order) = more {
                at.order = order;
                return Ok((Some(at.write()), tidied));
            }
        }
        let Some(next) = next else {
            bindings(cx, buffers).await?;
            return Ok((None, tidied));
        };
        at = Cursor { account: next, order: Vec::new() };
    }
    Ok((Some(at.write()), tidied))
}

/// What was looked at and done of one account.
struct Seen {
    looks: usize,
    tidied: Tidied,
}

/// Tidies some of an account's orders, and the account with the last of them; answers where the next
/// ones begin.
async fn orders(
    cx: &WriteCx<'_>,
    id: &str,
    mut account: Account,
    cursor: &[u8],
    (looks, buffers): (usize, Buffers),
) -> Result<(Seen, Option<Vec<u8>>)> {
    let edit = cx.edit();
    let (page, more) = edit.peek::<Order>(account.number, cursor, looks).await?;
    let mut seen = Seen { looks: page.len(), tidied: Tidied::default() };
    let known = account.used_until;
    for (order_id, _) in page {
        let Some(order) = edit.named::<Order>(account.number, &order_id).await? else { continue };
        let (ends, waits) = match &order.certificate {
            Some(c) => (Timestamp::from_seconds(c.not_after), buffers.orders),
            None => (order.expires, 0),
        };
        if ends.plus_seconds(waits) < cx.now() {
            remove_order(cx, account.number, &order_id, &order).await?;
            seen.tidied.deleted_orders += 1;
        }
        account.used_until = account.used_until.max(ends);
    }
    if account.used_until != known {
        edit.put_named(0, id, &account)?;
    }
    if more.is_none() {
        seen.tidied.accounts = 1;
        end(cx, id, account, buffers, &mut seen.tidied).await?;
    }
    Ok((seen, more))
}

/// Ends an account that nobody uses, and removes one that was ended.
async fn end(
    cx: &WriteCx<'_>,
    id: &str,
    mut account: Account,
    buffers: Buffers,
    tidied: &mut Tidied,
) -> Result<()> {
    let edit = cx.edit();
    let is_over = account.used_until.plus_seconds(buffers.accounts) < cx.now();
    if !is_over || edit.any_but::<Order>(account.number, "").await? {
        return Ok(());
    }
    match (account.status, account.ended) {
        (AccountStatus::Valid, _) => {
            account.status = AccountStatus::Revoked;
            account.ended = Some(cx.now());
            edit.put_named(0, id, &account)?;
            tidied.revoked_accounts += 1;
        }
        (_, Some(ended)) if ended.plus_seconds(buffers.accounts) < cx.now() => {
            remove_account(cx, id, &account)?;
            tidied.deleted_accounts += 1;
        }
        _ => {}
    }
    Ok(())
}

/// Removes an account with all that is its own. Its orders are gone.
pub fn remove_account(cx: &WriteCx<'_>, id: &str, account: &Account) -> Result<()> {
    let edit = cx.edit();
    edit.delete_named::<AccountKey>(0, &stored_key(account)?.thumbprint());
    edit.delete_all::<Authorization>(account.number);
    edit.delete_all::<Proved>(account.number);
    edit.delete_all::<Issued>(account.number);
    edit.delete_named::<Account>(0, id);
    Ok(())
}

/// Removes an order with its authorizations.
pub async fn remove_order(cx: &WriteCx<'_>, account: Id, id: &str, order: &Order) -> Result<()> {
    let edit = cx.edit();
    for (authorization, identifier) in order.authorizations.iter().zip(&order.identifiers) {
        for kind in [ChallengeKind::Http, ChallengeKind::Dns, ChallengeKind::TlsAlpn] {
            edit.delete_named::<Validation>(0, &validation::name(authorization, kind));
        }
        edit.delete_named::<Authorization>(account, authorization);
        let proved = edit.named::<Proved>(account, identifier.value()).await?;
        if proved.is_some_and(|proved| proved.authorization == *authorization) {
            edit.delete_named::<Proved>(account, identifier.value());
        }
    }
    if let Some(certificate) = &order.certificate {
        edit.delete_named::<Issued>(account, &certificate.serial);
    }
    edit.delete_named::<Order>(account, id);
    Ok(())
}

/// Removes secrets that nobody used in time.
async fn bindings(cx: &WriteCx<'_>, buffers: Buffers) -> Result<()> {
    let view = cx.view();
    for id in view.names::<Binding>(0).await?.iter() {
        if let Some(binding) = view.named::<Binding>(0, id).await?
            && binding.created.plus_seconds(buffers.accounts) < cx.now()
        {
            cx.edit().delete_named::<Binding>(0, id);
        }
    }
    Ok(())
}
