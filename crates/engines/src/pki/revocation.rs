//! Taking certificates back: by their number, by themselves, by who has their key, and with their
//! lease.

use serde_json::json;
use strongroom_base::{Error, Json, Result, SecretString, Timestamp, fields};
use strongroom_crypto::keys::PrivateKey;
use strongroom_crypto::x509::{Certificate, pem_blocks};
use strongroom_kernel::plug::{Command, EngineSpec, LeaseKind, Reply, WriteCx, ops};

use super::authority::{all_issuers, config};
use super::stored::{CrlConfig, CrlState, Revoked, authority_digest};
use super::{PkiEngine, bad, certificates, crl};

/// Seconds before its end from which a certificate is not revoked any more: leases end at whole
/// seconds.
const EXPIRED_SECONDS: i64 = 2;
/// Characters that no PEM is shorter than: a path was meant.
const KEY_CHARS_MIN: usize = 64;
const CERTIFICATE_CHARS_MIN: usize = 75;

fields! {
    /// Revokes a certificate.
    pub struct Revoke {
        /// Its serial number.
        serial_number: Option<String>,
        /// The certificate itself, in PEM: it need not be kept here.
        certificate: Option<String>,
    }
}
fields! {
    /// Revokes a certificate whose key one has.
    pub struct RevokeWithKey {
        /// Its serial number.
        serial_number: Option<String>,
        /// The certificate itself, in PEM: it need not be kept here.
        certificate: Option<String>,
        /// Its private key, in PEM.
        private_key: Option<SecretString>,
    }
}

ops! {
    Revoke Json, Write;
    RevokeWithKey Json, Write;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.command::<Revoke>("revoke").command::<RevokeWithKey>("revoke-with-key")
}

impl Command<Revoke> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Revoke) -> Result<Reply<Json>> {
        cx.queue(crl::QUEUE).await;
        let found = self.named(cx, op.serial_number, op.certificate).await?;
        self.revoke(cx, &found).await
    }
}

impl Command<RevokeWithKey> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RevokeWithKey) -> Result<Reply<Json>> {
        cx.queue(crl::QUEUE).await;
        let missing = || bad("Must have private key to revoke via the /revoke-with-key path.");
        let key = op.private_key.ok_or_else(missing)?;
        if key.expose_secret().len() < KEY_CHARS_MIN {
            return Err(bad(
                "Provided data for private_key was too short; perhaps a path was passed to the API \
                 rather than the contents of a PEM file?",
            ));
        }
        let key = PrivateKey::from_pem(key.expose_secret())
            .map_err(|_| bad("provided key PEM block contained no data or failed to parse"))?;
        let found = self.named(cx, op.serial_number, op.certificate).await?;
        let certificate = &found.certificate;
        if key.key_type().name() != certificate.public_key()?.key_type().name() {
            return Err(bad(
                "provided private key type does not match certificate's public key type",
            ));
        }
        if key.public()? != certificate.public_key()? {
            return Err(bad("provided private key does not match certificate's public key"));
        }
        self.revoke(cx, &found).await
    }
}

/// A certificate to be revoked.
pub(super) struct Found {
    /// It.
    pub certificate: Certificate,
    /// The name that its records have, or will have.
    pub name: String,
    /// Is it kept?
    pub stored: bool,
}

impl Found {
    /// One that is kept under its serial number.
    pub fn kept(certificate: Certificate) -> Self {
        Self { name: certificate.serial_text(), certificate, stored: true }
    }
}

impl PkiEngine {
    /// The certificate that a request is about.
    async fn named(
        &self,
        cx: &WriteCx<'_>,
        serial: Option<String>,
        pem: Option<String>,
    ) -> Result<Found> {
        match (serial, pem) {
            (None, None) => {
                Err(bad("The serial number or certificate to revoke must be provided."))
            }
            (Some(_), Some(_)) => {
                Err(bad("Must provide either the certificate or the serial to revoke; not both."))
            }
            (Some(serial), None) if serial.trim().is_empty() => {
                Err(bad("The serial number must be provided"))
            }
            (Some(serial), None) => match certificates::find(&cx.view(), &serial).await? {
                Some(certificate) => {
                    Ok(Found { certificate, name: certificates::normal(&serial), stored: true })
                }
                None => Err(bad("certificate with this serial not found.")),
            },
            (None, Some(pem)) => self.presented(cx, &pem).await,
        }
    }

    /// A certificate that came with the request: one of ours, by its bytes or its signature.
    async fn presented(&self, cx: &WriteCx<'_>, pem: &str) -> Result<Found> {
        if pem.len() < CERTIFICATE_CHARS_MIN {
            return Err(bad(
                "provided certificate data was too short; perhaps a path was passed to the API \
                 rather than the contents of a PEM file",
            ));
        }
        let none = || bad("certificate contains no PEM data");
        let (blocks, _) = pem_blocks(pem).map_err(|_| none())?;
        let block = blocks.first().ok_or_else(none)?;
        let certificate = Certificate::from_der(&block.der)
            .map_err(|e| bad(format!("certificate could not be parsed: {e}")))?;
        let view = cx.view();
        let serial = certificate.serial_text();
        let known = certificates::find(&view, &serial).await?;
        if known.as_ref() == Some(&certificate) {
            return Ok(Found::kept(certificate));
        }
        let Some((_, authority)) = self.issuer_of(cx, &certificate).await? else {
            return Err(bad(
                "unable to verify signature on presented cert from any present issuer in this \
                 mount; certificates from previous CAs will need to have their issuing CA and key \
                 re-imported if revocation is necessary",
            ));
        };
        // The number may be another authority's here: of a certificate, or of its revocation alone.
        let taken_by = match (&known, certificates::revocation(&view, &serial).await?) {
            (Some(known), _) => self.issuer_of(cx, known).await?.map(|(_, authority)| authority),
            (None, Some(revoked)) => Some(revoked.authority),
            (None, None) => return Ok(Found { certificate, name: serial, stored: false }),
        };
        let (name, known) = match taken_by {
            Some(other) if other == authority => (serial, known),
            _ => {
                let name = certificates::qualified(&serial, &authority);
                let known = certificates::find(&view, &name).await?;
                (name, known)
            }
        };
        if known.as_ref().is_some_and(|known| *known != certificate) {
            return Err(bad(
                "certificate with same serial but unequal value already present in this cluster's \
                 storage; refusing to revoke",
            ));
        }
        Ok(Found { certificate, name, stored: known.is_some() })
    }

    /// The issuer whose signature a certificate has: its id, and what is its own beyond ids.
    pub(super) async fn issuer_of(
        &self,
        cx: &WriteCx<'_>,
        certificate: &Certificate,
    ) -> Result<Option<(String, Vec<u8>)>> {
        for (id, issuer) in all_issuers(&cx.view()).await? {
            let own = self.certificate(&id, &issuer).await?;
            if own.subject == certificate.issuer && certificate.is_signed_by(&own.spki) {
                return Ok(Some((id, authority_digest(&own))));
            }
        }
        Ok(None)
    }

    /// Revokes a certificate; it is kept then, if it was not.
    pub(super) async fn revoke(&self, cx: &WriteCx<'_>, found: &Found) -> Result<Reply<Json>> {
        let Found { certificate, name, stored } = found;
        for (id, issuer) in all_issuers(&cx.view()).await? {
            let own = self.certificate(&id, &issuer).await?;
            // Nor one of a root's own number: it could not stand on the root's list.
            let is_roots = own.is_self_signed() && own.serial() == certificate.serial();
            if *own == *certificate || is_roots && certificate.is_issued_by(&own) {
                return Err(bad(format!("adding issuer (id: {id}) to its own CRL is not allowed")));
            }
        }
        if let Some(revoked) = certificates::revocation(&cx.view(), name).await? {
            return Ok(Reply::data(shown(revoked.at)));
        }
        let settings: CrlConfig = config(&cx.view()).await?;
        if certificate.not_after < cx.now().seconds() + EXPIRED_SECONDS && !settings.allow_expired {
            let serial = certificate.serial_text();
            return Ok(Reply::none().status(200).warn(format!(
                "certificate with serial {serial} already expired; refusing to add to CRL. Enable \
                 'AllowExpiredCertRevocation' to allow revoking expired certificates."
            )));
        }
        if !stored {
            certificates::store_as(&cx.edit(), name, certificate)?;
        }
        let issuer = self.issuer_of(cx, certificate).await?.unwrap_or_default();
        let at = note_revocation(cx, name, issuer, certificate.not_after).await?;
        Ok(Reply::data(shown(at)))
    }
}

/// Notes that a certificate is revoked; gives when.
async fn note_revocation(
    cx: &WriteCx<'_>,
    name: &str,
    (issuer, authority): (String, Vec<u8>),
    not_after: i64,
) -> Result<Timestamp> {
    let edit = cx.edit();
    let settings: CrlConfig = config(&edit).await?;
    let mut state = edit.named::<CrlState>(0, "").await?.unwrap_or_default();
    // Later than every list there is: those never change.
    let known = state.at.max(state.delta_at);
    let at = if cx.now() > known { cx.now() } else { Timestamp(known.0 + 1) };
    edit.put_named(0, name, &Revoked { at, issuer, not_after, authority })?;
    state.revoked_at = state.revoked_at.max(at);
    edit.put_named(0, "", &state)?;
    if !settings.auto_rebuild {
        crl::renew(cx).await?;
    }
    Ok(at)
}

fn shown(at: Timestamp) -> Json {
    json!({
        "revocation_time": at.seconds(),
        "revocation_time_rfc3339": at.to_string(),
        "state": "revoked",
    })
}

impl LeaseKind for PkiEngine {
    async fn renew_lease(&self, _: &mut WriteCx<'_>, _: &Json, _: i64) -> Result<i64> {
        Err(bad("lease is not renewable"))
    }

    async fn revoke_lease(&self, cx: &mut WriteCx<'_>, internal: &Json) -> Result<()> {
        let serial = internal.get("serial_number").and_then(Json::as_str);
        let serial = serial.ok_or_else(|| Error::internal("a certificate's lease is damaged"))?;
        cx.queue(crl::QUEUE).await;
        // One that was tidied away needs no revocation.
        let Some(certificate) = certificates::find(&cx.view(), serial).await? else {
            return Ok(());
        };
        self.revoke(cx, &Found::kept(certificate)).await.map(|_| ())
    }
}
