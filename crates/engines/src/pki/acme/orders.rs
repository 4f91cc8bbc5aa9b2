//! Orders (RFC 8555 §7.4): what certificate an account wants.

use serde_json::json;
use strongroom_base::{Json, Result, Timestamp};
use strongroom_kernel::plug::{ReadCx, Reply, WriteCx};
use strongroom_kernel::record::Id;

use super::super::PkiEngine;
use super::problem::Problem;
use super::stored::{
    Authorization, AuthorizationStatus, Challenge, ChallengeKind, ChallengeStatus, Identifier,
    Order,
};
use super::visit::{Directory, Visit, answer};
use super::{expiry, identifiers, issuance, signed};

/// Seconds in which an order can be fulfilled.
const ORDER_SECONDS: i64 = 24 * 3_600;
/// Random bytes of a challenge's token (RFC 8555 §11.3 asks for 16).
const TOKEN_BYTES: usize = 32;
/// Orders of one list.
const LISTED_MAX: usize = 1_000;

signed! {
    /// Orders a certificate.
    NewOrder {} => new_order;
    /// Shows an order.
    ReadOrder {
        /// The order's id.
        order_id
    } => read_order;
    /// Lists an account's orders.
    ListOrders {
        /// The account's id.
        kid
    } => list_orders;
    /// Lists the orders of the account that signs.
    ListOwnOrders {} => list_own_orders;
}

/// Where an order is (RFC 8555 §7.1.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OrderStatus {
    /// Something is still to be proved.
    Pending,
    /// All is proved.
    Ready,
    /// There is a certificate.
    Valid,
    /// There will be none.
    Invalid,
}

impl OrderStatus {
    fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }
}

/// An order with its authorizations.
pub(super) struct Found {
    /// The order.
    pub order: Order,
    /// Its authorizations, in its order.
    pub authorizations: Vec<Authorization>,
    /// Where it is.
    pub status: OrderStatus,
}

/// An order of an account.
pub(super) async fn find(cx: &ReadCx<'_>, account: Id, id: &str) -> Result<Found> {
    let view = cx.view();
    let order = view.named::<Order>(account, id).await?;
    let order = order.ok_or_else(|| Problem::Malformed.says("the order does not exist"))?;
    let mut authorizations = Vec::with_capacity(order.authorizations.len());
    for id in &order.authorizations {
        let found = view.named::<Authorization>(account, id).await?;
        let gone = || Problem::Malformed.says("an authorization of the order does not exist");
        authorizations.push(found.ok_or_else(gone)?);
    }
    let status = status(&order, &authorizations, cx.now());
    Ok(Found { order, authorizations, status })
}

/// Where an order is now. What was proved counts until it expires.
fn status(order: &Order, authorizations: &[Authorization], now: Timestamp) -> OrderStatus {
    if order.certificate.is_some() {
        return OrderStatus::Valid;
    }
    if order.expires <= now {
        return OrderStatus::Invalid;
    }
    let mut all = OrderStatus::Ready;
    for authorization in authorizations {
        match authorization.status {
            AuthorizationStatus::Valid if authorization.expires.is_some_and(|at| at > now) => {}
            AuthorizationStatus::Pending => all = OrderStatus::Pending,
            _ => return OrderStatus::Invalid,
        }
    }
    all
}

fn shown(directory: &Directory, id: &str, found: &Found) -> Json {
    let Found { order, authorizations, status } = found;
    let identifiers = order.identifiers.iter();
    let identifiers = identifiers.map(|i| json!({ "type": i.kind(), "value": i.value() }));
    // Of an order that is over, those that were completed (RFC 8555 §7.1.3).
    let is_over = matches!(status, OrderStatus::Valid | OrderStatus::Invalid);
    let urls = order.authorizations.iter().zip(authorizations);
    let urls = urls
        .filter(|(_, a)| !is_over || a.status == AuthorizationStatus::Valid)
        .map(|(id, _)| directory.url(&format!("authorization/{id}")));
    let mut shown = json!({
        "status": status.name(),
        "expires": Timestamp::from_seconds(order.expires.seconds()).to_string(),
        "identifiers": identifiers.collect::<Vec<_>>(),
        "authorizations": urls.collect::<Vec<_>>(),
        "finalize": directory.url(&format!("order/{id}/finalize")),
    });
    if *status == OrderStatus::Valid {
        shown["certificate"] = directory.url(&format!("order/{id}/cert")).into();
    }
    shown
}

/// The answer that shows an order.
pub(super) fn reply(directory: &Directory, id: &str, found: &Found) -> Reply<()> {
    answer(&shown(directory, id, found)).header("location", directory.url(&format!("order/{id}")))
}

async fn new_order(
    engine: &PkiEngine,
    cx: &mut WriteCx<'_>,
    visit: &Visit,
    _: &NewOrder,
) -> Result<Reply<()>> {
    let directory = &visit.directory;
    let (account_id, account) = visit.account()?;
    let identifiers = identifiers::of_order(visit.member("identifiers"))?;
    if visit.member("notBefore").is_some() || visit.member("notAfter").is_some() {
        return Err(Problem::Malformed.says("notBefore and notAfter are not supported"));
    }
    issuance::check_identifiers(cx, &directory.role, &identifiers).await?;
    let (from, count) = (cx.request.peer.ip, identifiers.len());
    engine.acme.limits.order(from, account_id, count, cx.now())?;
    let edit = cx.edit();
    let mut order = Order {
        expires: cx.now().plus_seconds(ORDER_SECONDS),
        identifiers,
        authorizations: Vec::with_capacity(count),
        certificate: None,
    };
    let mut authorizations = Vec::with_capacity(count);
    for identifier in &order.identifiers {
        let id = cx.rng().uuid();
        let authorization = authorization(cx, identifier, order.expires);
        edit.put_named(account.number, &id, &authorization)?;
        order.authorizations.push(id);
        authorizations.push(authorization);
    }
    let id = cx.rng().uuid();
    edit.put_named(account.number, &id, &order)?;
    expiry::order(&edit, account_id, &id, &order)?;
    let found = Found { order, authorizations, status: OrderStatus::Pending };
    Ok(reply(directory, &id, &found).status(201))
}

fn authorization(cx: &ReadCx<'_>, identifier: &Identifier, expires: Timestamp) -> Authorization {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let challenge = |kind: &ChallengeKind| Challenge {
        kind: *kind,
        token: URL_SAFE_NO_PAD.encode(cx.rng().array::<TOKEN_BYTES>()),
        status: ChallengeStatus::Pending,
        validated: None,
        error: None,
    };
    Authorization {
        identifier: identifier.clone(),
        status: AuthorizationStatus::Pending,
        expires: Some(expires),
        challenges: ChallengeKind::of(identifier).iter().map(challenge).collect(),
    }
}

async fn read_order(
    _: &PkiEngine,
    cx: &mut WriteCx<'_>,
    visit: &Visit,
    op: &ReadOrder,
) -> Result<Reply<()>> {
    let (_, account) = visit.account()?;
    let found = find(cx, account.number, &op.order_id).await?;
    Ok(reply(&visit.directory, &op.order_id, &found))
}

async fn list_orders(
    engine: &PkiEngine,
    cx: &mut WriteCx<'_>,
    visit: &Visit,
    op: &ListOrders,
) -> Result<Reply<()>> {
    let (id, _) = visit.account()?;
    if id != op.kid {
        return Err(Problem::Unauthorized.says("the account is another one than the signature's"));
    }
    list_own_orders(engine, cx, visit, &()).await
}

/// Those that are not over without a certificate (RFC 8555 §7.1.2.1).
async fn list_own_orders<T>(
    _: &PkiEngine,
    cx: &mut WriteCx<'_>,
    visit: &Visit,
    _: &T,
) -> Result<Reply<()>> {
    let (_, account) = visit.account()?;
    let mut urls = Vec::new();
    for id in cx.view().names::<Order>(account.number).await?.iter().take(LISTED_MAX) {
        let found = find(cx, account.number, id).await?;
        if found.status != OrderStatus::Invalid {
            urls.push(visit.directory.url(&format!("order/{id}")));
        }
    }
    Ok(answer(&json!({ "orders": urls })))
}
