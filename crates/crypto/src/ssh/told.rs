//! What a certificate says, read from its line. Nothing here says that it is true: the signature is
//! for whoever trusts the issuer to check.

use std::collections::BTreeMap;

use strongroom_base::{Error, Result};

/// The members of a certificate.
#[derive(Debug)]
pub struct Told {
    /// Is it a host's?
    pub host: bool,
    /// Its number.
    pub serial: u64,
    /// What servers log.
    pub key_id: String,
    /// Users or hosts; none is *any*.
    pub principals: Vec<String>,
    /// Seconds since the epoch.
    pub valid_after: u64,
    /// Seconds since the epoch.
    pub valid_before: u64,
    /// Restrictions.
    pub critical_options: BTreeMap<String, String>,
    /// Permissions.
    pub extensions: BTreeMap<String, String>,
    /// The key it is about, as the wire has it.
    pub key: Vec<u8>,
    /// The issuer's public key, as the wire has it.
    pub issuer: Vec<u8>,
    /// The algorithm of the signature.
    pub signed_with: String,
}

impl Told {
    /// Reads the line of a `-cert.pub` file.
    pub fn read(line: &str) -> Result<Self> {
        let unreadable = |_| Error::bad_request("it is not a certificate of SSH");
        let read = ssh_key::Certificate::from_openssh(line).map_err(unreadable)?;
        let wire = |key: &ssh_key::public::KeyData| {
            ssh_key::PublicKey::from(key.clone()).to_bytes().map_err(unreadable)
        };
        Ok(Self {
            host: read.cert_type().is_host(),
            serial: read.serial(),
            key_id: read.key_id().to_owned(),
            principals: read.valid_principals().to_vec(),
            valid_after: read.valid_after(),
            valid_before: read.valid_before(),
            critical_options: read.critical_options().0.clone(),
            extensions: read.extensions().0.clone(),
            key: wire(read.public_key())?,
            issuer: wire(read.signature_key())?,
            signed_with: read.signature().algorithm().as_str().to_owned(),
        })
    }
}
