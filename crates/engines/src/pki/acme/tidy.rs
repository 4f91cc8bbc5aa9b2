//! Removing what is of no use any more: orders that are over, accounts that nobody uses, secrets that
//! nobody used.

use serde::{Deserialize, Serialize};
use strongroom_base::{Result, Timestamp};
use strongroom_kernel::plug::WriteCx;
use strongroom_kernel::record::Id;

use super::stored::{
    Account, AccountKey, AccountStatus, Authorization, Binding, ChallengeKind, Issued, Order,
    Validation,
};
use super::validation;
use super::visit::stored_key;

/// Orders looked at in one step.
const ORDERS_MAX: usize = 200;

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

/// Tidies the account at `cursor`; answers where the next step begins, and what was done. After the
/// last account it tidies the secrets, and there is no next step.
pub async fn step(
    cx: &WriteCx<'_>,
    cursor: &[u8],
    buffers: Buffers,
) -> Result<(Option<Vec<u8>>, Tidied)> {
    let view = cx.view();
    let (page, next) = cx.edit().peek::<Account>(0, cursor, 1).await?;
    if next.is_none() {
        bindings(cx, buffers).await?;
    }
    let Some((id, _)) = page.into_iter().next() else { return Ok((next, Tidied::default())) };
    let mut tidied = Tidied { accounts: 1, ..Tidied::default() };
    let Some(mut account) = view.named::<Account>(0, &id).await? else {
        return Ok((next, tidied));
    };
    let orders = view.names::<Order>(account.number).await?;
    let known = account.used_until;
    let mut kept = false;
    for order_id in orders.iter() {
        let Some(order) = view.named::<Order>(account.number, order_id).await? else { continue };
        let (ends, waits) = match &order.certificate {
            Some(c) => (Timestamp::from_seconds(c.not_after), buffers.orders),
            None => (order.expires, 0),
        };
        if ends.plus_seconds(waits) < cx.now() && tidied.deleted_orders < ORDERS_MAX as u64 {
            remove_order(cx, account.number, order_id, &order);
            tidied.deleted_orders += 1;
        } else {
            kept = true;
        }
        account.used_until = account.used_until.max(ends);
    }
    let edit = cx.edit();
    if account.used_until != known {
        edit.put_named(0, &id, &account)?;
    }
    if tidied.deleted_orders == ORDERS_MAX as u64 && kept {
        // The same account again: more of its orders may be over.
        tidied.accounts = 0;
        return Ok((Some(cursor.to_vec()), tidied));
    }
    let unused = !kept && account.used_until.plus_seconds(buffers.accounts) < cx.now();
    match (account.status, account.ended) {
        _ if !unused => {}
        (AccountStatus::Valid, _) => {
            account.status = AccountStatus::Revoked;
            account.ended = Some(cx.now());
            edit.put_named(0, &id, &account)?;
            tidied.revoked_accounts = 1;
        }
        (_, Some(ended)) if ended.plus_seconds(buffers.accounts) < cx.now() => {
            edit.delete_named::<AccountKey>(0, &stored_key(&account)?.thumbprint());
            edit.delete_all::<Authorization>(account.number);
            edit.delete_all::<Issued>(account.number);
            edit.delete_named::<Account>(0, &id);
            tidied.deleted_accounts = 1;
        }
        _ => {}
    }
    Ok((next, tidied))
}

fn remove_order(cx: &WriteCx<'_>, account: Id, id: &str, order: &Order) {
    let edit = cx.edit();
    for authorization in &order.authorizations {
        for kind in [ChallengeKind::Http, ChallengeKind::Dns, ChallengeKind::TlsAlpn] {
            edit.delete_named::<Validation>(0, &validation::name(authorization, kind));
        }
        edit.delete_named::<Authorization>(account, authorization);
    }
    if let Some(certificate) = &order.certificate {
        edit.delete_named::<Issued>(account, &certificate.serial);
    }
    edit.delete_named::<Order>(account, id);
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
