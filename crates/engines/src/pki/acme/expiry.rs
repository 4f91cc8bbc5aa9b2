//! Removing what strangers began and did not end, whether or not an operator has anything tidied:
//! orders that nobody fulfilled, and accounts that never had a certificate.
//!
//! What goes lies below the number of the hour in which it does, so that nothing that stays is looked
//! at. What an account with a certificate leaves is the operator's to tidy ([`super::tidy`]).

use strongroom_base::{Result, Timestamp};
use strongroom_kernel::plug::WriteCx;
use strongroom_kernel::record::WriteView;

use super::stored::{Account, AcmeConfig, Expiring, ExpiryState, Order};
use super::tidy::{remove_account, remove_order};

const HOUR_SECONDS: i64 = 3_600;
/// Seconds for which an order that is over can still be asked for.
const ORDER_KEPT_SECONDS: i64 = 3_600;
/// Seconds after which an account goes that is of no use to its owner: 90 days.
const ACCOUNT_KEPT_SECONDS: i64 = 90 * 24 * 3_600;
/// Records removed in one step.
const STEP: usize = 200;
/// Hours without anything that one step passes.
const HOURS_MAX: usize = 10_000;

/// The hour by whose end `at` is over.
fn hour(at: Timestamp) -> u64 {
    u64::try_from(at.seconds() / HOUR_SECONDS).unwrap_or(0)
}

fn note(edit: &WriteView<'_>, at: Timestamp, id: &str, what: &Expiring) -> Result<()> {
    edit.put_named(hour(at), id, what)
}

/// Has an order go, unless it is fulfilled.
pub fn order(edit: &WriteView<'_>, account: &str, id: &str, order: &Order) -> Result<()> {
    let what = Expiring { account: account.to_owned(), is_order: true };
    note(edit, order.expires.plus_seconds(ORDER_KEPT_SECONDS), id, &what)
}

/// Has an account go, unless it is used. One that an operator let in stays.
pub fn account(edit: &WriteView<'_>, id: &str, account: &Account) -> Result<()> {
    if !account.bound_to.is_empty() {
        return Ok(());
    }
    let what = Expiring { account: id.to_owned(), is_order: false };
    note(edit, account.used_until.plus_seconds(ACCOUNT_KEPT_SECONDS), id, &what)
}

/// Removes some of what is over; true where more is left.
pub async fn go_on(cx: &WriteCx<'_>) -> Result<bool> {
    let (view, edit) = (cx.view(), cx.edit());
    let now = hour(cx.now());
    let Some(state) = view.cached::<ExpiryState>(0, "").await? else {
        // Whatever is noted from now on is noted for later than this.
        let config = view.cached::<AcmeConfig>(0, "").await?;
        if config.is_some_and(|config| config.enabled) {
            edit.put_named(0, "", &ExpiryState { hour: now })?;
        }
        return Ok(false);
    };
    let mut next = state.hour;
    for _ in 0..HOURS_MAX {
        if next >= now {
            break;
        }
        let (page, _) = edit.peek::<Expiring>(next, &[], STEP).await?;
        if page.is_empty() {
            next += 1;
            continue;
        }
        for (id, what) in page {
            edit.delete_named::<Expiring>(next, &id);
            match what.is_order {
                true => end_order(cx, &what.account, &id).await?,
                false => end_account(cx, &what.account).await?,
            }
        }
        save(&edit, state.hour, next)?;
        return Ok(true);
    }
    save(&edit, state.hour, next)?;
    Ok(next < now)
}

fn save(edit: &WriteView<'_>, before: u64, hour: u64) -> Result<()> {
    if hour == before {
        return Ok(());
    }
    edit.put_named(0, "", &ExpiryState { hour })
}

async fn end_order(cx: &WriteCx<'_>, account_id: &str, id: &str) -> Result<()> {
    let edit = cx.edit();
    let Some(mut account) = edit.named::<Account>(0, account_id).await? else { return Ok(()) };
    let Some(order) = edit.named::<Order>(account.number, id).await? else { return Ok(()) };
    if order.certificate.is_some() {
        return Ok(());
    }
    remove_order(cx, account.number, id, &order).await?;
    if account.used_until < order.expires {
        account.used_until = order.expires;
        edit.put_named(0, account_id, &account)?;
    }
    Ok(())
}

async fn end_account(cx: &WriteCx<'_>, id: &str) -> Result<()> {
    let edit = cx.edit();
    let Some(mut found) = edit.named::<Account>(0, id).await? else { return Ok(()) };
    let is_used = edit.any_but::<Order>(found.number, "").await?;
    let is_over = found.used_until.plus_seconds(ACCOUNT_KEPT_SECONDS) <= cx.now();
    if !is_used && is_over {
        return remove_account(cx, id, &found);
    }
    if is_used {
        // It is asked about again when a while has passed.
        found.used_until = found.used_until.max(cx.now());
    }
    account(&edit, id, &found)
}
