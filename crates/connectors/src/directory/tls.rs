//! TLS towards directories.

use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use strongroom_base::SecretString;

use super::Failure;
use crate::database::tls::{self, Check};

/// A version of TLS. Those before 1.2 have names here, since configurations name them, but are
/// never spoken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Version {
    /// 1.0.
    Tls10,
    /// 1.1.
    Tls11,
    /// 1.2.
    Tls12,
    /// 1.3.
    Tls13,
}

impl Version {
    /// Reads `tls10`, `tls11`, `tls12` or `tls13`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "tls10" => Self::Tls10,
            "tls11" => Self::Tls11,
            "tls12" => Self::Tls12,
            "tls13" => Self::Tls13,
            _ => return None,
        })
    }
}

/// Certificates and versions of TLS. All texts are PEM.
#[derive(Debug)]
pub struct Tls {
    /// Take any certificate that the server shows.
    pub danger_unchecked: bool,
    /// Authorities that may vouch for the server; empty stands for those of the machine.
    pub ca: String,
    /// Our own certificate; empty where we show none.
    pub certificate: String,
    /// Its private key.
    pub key: SecretString,
    /// The oldest version.
    pub min: Version,
    /// The newest version.
    pub max: Version,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            danger_unchecked: false,
            ca: String::new(),
            certificate: String::new(),
            key: SecretString::default(),
            min: Version::Tls12,
            max: Version::Tls13,
        }
    }
}

impl Tls {
    /// The configuration of a client. It reads the machine's authorities where none are given, so
    /// it is made for each connection anew.
    pub fn client(&self) -> Result<ClientConfig, Failure> {
        let all = [(Version::Tls12, &TLS12), (Version::Tls13, &TLS13)];
        let spoken = all.iter().filter(|(v, _)| (self.min..=self.max).contains(v));
        let versions: Vec<_> = spoken.map(|(_, version)| *version).collect();
        if versions.is_empty() {
            return Err(Failure::wrong("TLS before version 1.2 is not spoken"));
        }
        let check = if self.danger_unchecked { Check::Nothing } else { Check::Name };
        let key = self.key.expose_secret();
        tls::client_of(&versions, check, &self.ca, &self.certificate, key)
            .map_err(|e| Failure::wrong(e.text))
    }
}
