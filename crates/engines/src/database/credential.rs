//! What a new account proves itself with.

use strongroom_base::{Error, Json, Result, SecretString, Timestamp};
use strongroom_connectors::database::{Credential, CredentialKind};
use strongroom_crypto::keys::{KeyType, PrivateKey};
use strongroom_kernel::plug::ReadCx;

use super::certificate::Pending;
use super::connection::{Connection, Open};
use super::role::CredentialSettings;

/// A credential for an account with a lease.
pub enum Prepared {
    /// It is there.
    Ready(Generated),
    /// It ends with the lease.
    Certificate(Box<Pending>),
}

impl Prepared {
    /// A credential as the role of this name has it, if the connection's database takes such.
    pub async fn new(
        cx: &ReadCx<'_>,
        (role, settings): (&str, &CredentialSettings),
        connection: &Connection,
        open: &Open,
    ) -> Result<Self> {
        let is_certificate = settings.kind() == CredentialKind::ClientCertificate;
        if is_certificate && open.traits.credentials.contains(&settings.kind()) {
            return Ok(Self::Certificate(Box::new(Pending::new(cx, settings, role).await?)));
        }
        Generated::new(cx, settings, connection, open).await.map(Self::Ready)
    }

    /// The database's part.
    pub fn credential(&self) -> &Credential {
        match self {
            Self::Ready(generated) => &generated.credential,
            Self::Certificate(pending) => &pending.credential,
        }
    }

    /// The caller's part, as members of an answer, where the account is good until `expires`.
    pub fn members(&self, cx: &ReadCx<'_>, expires: Timestamp) -> Result<Vec<(String, Json)>> {
        match self {
            Self::Ready(generated) => Ok(vec![generated.member()]),
            Self::Certificate(pending) => {
                let all = pending.answer(cx, expires)?.into_iter();
                let shown = |value: SecretString| Json::String(value.expose_secret().clone());
                Ok(all.map(|(name, value)| (name.to_owned(), shown(value))).collect())
            }
        }
    }
}

/// A new credential: what the database gets of it, and what the caller gets.
pub struct Generated {
    /// The database's part.
    pub credential: Credential,
    /// The caller's part: the name of the answer's field, and its value.
    pub answer: (&'static str, SecretString),
}

impl Generated {
    /// A credential as the role has it, if the connection's database takes such.
    pub async fn new(
        cx: &ReadCx<'_>,
        settings: &CredentialSettings,
        connection: &Connection,
        open: &Open,
    ) -> Result<Self> {
        let unsupported =
            || Error::bad_request(format!("unsupported credential_type: {:?}", settings.name()));
        if !open.traits.credentials.contains(&settings.kind()) {
            return Err(unsupported());
        }
        match settings.kind() {
            CredentialKind::Password => {
                let policy = match settings.password_policy() {
                    "" => &connection.password_policy,
                    own => own,
                };
                let password = password(cx, policy).await?;
                let credential = Credential::Password(password.duplicate());
                Ok(Self { credential, answer: ("password", password) })
            }
            CredentialKind::RsaPrivateKey => {
                let kind = KeyType::Rsa(settings.key_bits());
                let key = cx.heavy(move || PrivateKey::generate(kind)).await??;
                let credential = Credential::PublicKey(key.public()?.to_pem());
                Ok(Self { credential, answer: ("rsa_private_key", key.to_pkcs8_pem()) })
            }
            CredentialKind::ClientCertificate => Err(unsupported()),
        }
    }

    /// The caller's part as a member of an answer.
    pub fn member(&self) -> (String, Json) {
        let (name, value) = &self.answer;
        ((*name).to_owned(), Json::String(value.expose_secret().clone()))
    }
}

/// A password by the policy of this name; by Vault's default where there is none.
pub async fn password(cx: &ReadCx<'_>, policy: &str) -> Result<SecretString> {
    cx.password(policy).await?.ok_or_else(|| {
        Error::bad_request(format!("failed to generate password: no password policy {policy:?}"))
    })
}
