//! Fulfilling an order, and fetching its certificate (RFC 8555 §7.4).

use strongroom_base::{Error, Result};
use strongroom_crypto::x509::Request;
use strongroom_kernel::plug::{Reply, WriteCx};

use super::super::authority::find_issuer;
use super::super::{PkiEngine, certificates};
use super::orders::{OrderStatus, find, reply};
use super::problem::Problem;
use super::stored::{Issued, OrderCertificate};
use super::visit::Visit;
use super::{identifiers, issuance, signed};

signed! {
    /// Fulfils an order: issues its certificate.
    Finalize {
        /// The order's id.
        order_id
    } => finalize;
    /// Gives an order's certificate.
    ReadCertificate {
        /// The order's id.
        order_id
    } => read_certificate;
}

async fn finalize(
    engine: &PkiEngine,
    cx: &mut WriteCx<'_>,
    visit: &Visit,
    op: &Finalize,
) -> Result<Reply<()>> {
    let (_, account) = visit.account()?;
    let directory = &visit.directory;
    let der = visit.bytes("csr")?;
    let request = Request::from_der(&der);
    let request = request.map_err(|_| Problem::BadCsr.says("the CSR does not parse"))?;
    let mut found = find(cx, account.number, &op.order_id).await?;
    if found.status != OrderStatus::Ready {
        return Err(Problem::OrderNotReady.says("the order is not ready"));
    }
    identifiers::check_request(&request, &found.order.identifiers)?;
    if visit.key.is_spki(&request.spki) {
        return Err(Problem::BadCsr.says("the CSR's key is the account's"));
    }
    // The role may have changed since the order was made.
    issuance::check_identifiers(cx, &directory.role, &found.order.identifiers).await?;
    let made = issuance::issue(engine, cx, directory, &found.order.identifiers, &request).await?;
    let (certificate, edit) = (&made.certificate, cx.edit());
    certificates::store(&edit, certificate)?;
    let serial = certificate.serial_text();
    edit.put_named(account.number, &serial, &Issued { order: op.order_id.clone() })?;
    found.order.certificate = Some(OrderCertificate {
        serial,
        not_after: certificate.not_after,
        issuer: directory.issuer.clone(),
    });
    found.status = OrderStatus::Valid;
    edit.put_named(account.number, &op.order_id, &found.order)?;
    Ok(reply(directory, &op.order_id, &found))
}

async fn read_certificate(
    engine: &PkiEngine,
    cx: &mut WriteCx<'_>,
    visit: &Visit,
    op: &ReadCertificate,
) -> Result<Reply<()>> {
    let (_, account) = visit.account()?;
    let found = find(cx, account.number, &op.order_id).await?;
    let Some(of_order) = &found.order.certificate else {
        return Err(Problem::OrderNotReady.says("the order has no certificate"));
    };
    let view = cx.view();
    let certificate = certificates::find(&view, &of_order.serial).await?;
    let certificate =
        certificate.ok_or_else(|| Problem::Malformed.says("the certificate is no longer kept"))?;
    let mut pem = certificate.pem();
    let (id, issuer) = find_issuer(&view, &of_order.issuer)
        .await
        .map_err(|_| Problem::ServerInternal.says("the certificate's issuer is gone"))?;
    let chain = engine.chain(&view, &id, &issuer).await?;
    for link in &chain {
        pem.push('\n');
        pem.push_str(link.pem().trim_end());
    }
    pem.push('\n');
    if chain.is_empty() {
        return Err(Error::internal("an issuer has no chain"));
    }
    Ok(Reply::raw("application/pem-certificate-chain", pem.into_bytes()))
}
