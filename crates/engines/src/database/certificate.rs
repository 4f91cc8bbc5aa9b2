//! Accounts that prove themselves by a certificate: of an authority that the role brings along.

use std::collections::BTreeMap;

use strongroom_base::{Error, Result, SecretString, Timestamp};
use strongroom_connectors::database::Credential;
use strongroom_connectors::template::{DATABASE_FIELDS, Template as NameTemplate};
use strongroom_crypto::keys::{KeyType, PrivateKey};
use strongroom_crypto::x509::{
    Certificate, Extension, KeyUsage, NameBuilder, SignatureAlgorithm, Template, attributes,
    key_id, pem_blocks,
};
use strongroom_kernel::plug::ReadCx;

use super::role::CredentialSettings;

/// Seconds by which certificates are dated back: clocks differ.
const NOT_BEFORE_SECONDS: i64 = 30;
/// Characters of a common name (RFC 5280, appendix A.1).
const COMMON_NAME_MAX: usize = 64;
/// What a client is.
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";

/// Whose certificates a role's accounts have.
pub struct Authority {
    certificate: Certificate,
    key: PrivateKey,
    names: NameTemplate,
    kind: KeyType,
    signature_bits: u32,
}

impl Authority {
    /// Reads a role's settings; why they are none, without anything of them.
    pub fn read(config: &BTreeMap<String, String>) -> Result<Self, String> {
        let text = |name: &str| config.get(name).map(String::as_str).unwrap_or_default();
        let bits = |name: &str| text(name).parse().unwrap_or(0);
        let names = NameTemplate::parse(text("common_name_template"), DATABASE_FIELDS)
            .map_err(|e| format!("failed to create template: {e}"))?;
        let none = || "certificate not found in the PEM bundle".to_owned();
        let (blocks, _) = pem_blocks(text("ca_cert")).map_err(|_| none())?;
        let block = blocks.iter().find(|block| block.label == "CERTIFICATE").ok_or_else(none)?;
        let certificate = Certificate::from_der(&block.der).map_err(|_| none())?;
        if !certificate.is_authority() {
            return Err("the given certificate is not marked for CA use".to_owned());
        }
        let key = PrivateKey::from_pem(text("ca_private_key"))
            .map_err(|_| "private key not found in the PEM bundle".to_owned())?;
        let public = key.public().map_err(|_| "the private key cannot be used".to_owned())?;
        if public.spki_der() != certificate.spki {
            return Err("the private key is not the certificate's".to_owned());
        }
        let kind =
            KeyType::named(text("key_type"), bits("key_bits")).map_err(|e| e.public.join("; "))?;
        Ok(Self { certificate, key, names, kind, signature_bits: bits("signature_bits") })
    }
}

/// A certificate that is only to be signed: when it ends is known once there is a lease.
pub struct Pending {
    authority: Authority,
    key: PrivateKey,
    common_name: String,
    /// What the database is told: the subject.
    pub credential: Credential,
}

impl Pending {
    /// Of a role's settings, for who asks.
    pub async fn new(cx: &ReadCx<'_>, settings: &CredentialSettings, role: &str) -> Result<Self> {
        let refused = |why: String| {
            Error::bad_request(format!("unable to generate client certificate: {why}"))
        };
        let authority = Authority::read(settings.config()).map_err(refused)?;
        let values = [("DisplayName", cx.request.display_name()), ("RoleName", role)];
        let common_name = authority
            .names
            .render(&values, cx.rng(), cx.now())
            .map_err(|e| refused(e.to_string()))?;
        let length = common_name.chars().count();
        if length == 0 || length > COMMON_NAME_MAX {
            return Err(refused(
                "the common name is empty, or longer than 64 characters".to_owned(),
            ));
        }
        if authority.certificate.not_after <= cx.now().seconds() {
            return Err(refused("the authority's certificate has expired".to_owned()));
        }
        let kind = authority.kind;
        let key = match kind {
            KeyType::Rsa(_) => cx.heavy(move || PrivateKey::generate(kind)).await??,
            _ => PrivateKey::generate(kind)?,
        };
        let subject = NameBuilder::default().step(attributes::COMMON_NAME, &[&common_name]).build();
        let credential = Credential::Subject(subject.to_string());
        Ok(Self { authority, key, common_name, credential })
    }

    /// The members of an answer: the certificate, good until `expires`, and its key.
    pub fn answer(
        &self,
        cx: &ReadCx<'_>,
        expires: Timestamp,
    ) -> Result<Vec<(&'static str, SecretString)>> {
        let authority = &self.authority;
        let internal = |_| Error::internal("a client certificate cannot be written");
        let public = self.key.public()?;
        let own = key_id(public.spki_der()).map_err(internal)?;
        let theirs = match authority.certificate.subject_key_id() {
            Some(id) => id.to_vec(),
            None => key_id(&authority.certificate.spki).map_err(internal)?,
        };
        let name = NameBuilder::default().step(attributes::COMMON_NAME, &[&self.common_name]);
        let mut serial: [u8; 20] = cx.rng().array();
        // A positive number that is not zero (RFC 5280 §4.1.2.2).
        serial[0] = serial[0] & 0x7f | 0x40;
        let template = Template {
            serial: serial.to_vec(),
            issuer: authority.certificate.subject.clone(),
            subject: name.build(),
            not_before: cx.now().seconds() - NOT_BEFORE_SECONDS,
            // No longer than who stands for it.
            not_after: expires.seconds().min(authority.certificate.not_after),
            spki: public.spki_der().to_vec(),
            extensions: vec![
                Extension::key_usage(KeyUsage::DIGITAL_SIGNATURE),
                Extension::extended_usage(&[CLIENT_AUTH]).map_err(internal)?,
                Extension::subject_key_id(&own),
                Extension::authority_key_id(&theirs),
            ],
        };
        let bits = authority.signature_bits;
        let algorithm = SignatureAlgorithm::for_key(authority.key.key_type(), bits, false);
        let certificate = template.sign(&authority.key, algorithm)?;
        Ok(vec![
            ("client_certificate", SecretString::new(certificate.pem())),
            ("private_key", trimmed(&self.key.to_traditional_pem()?)),
            ("private_key_type", SecretString::new(self.key.key_type().name().to_owned())),
        ])
    }
}

fn trimmed(text: &SecretString) -> SecretString {
    SecretString::new(text.expose_secret().trim_end().to_owned())
}
