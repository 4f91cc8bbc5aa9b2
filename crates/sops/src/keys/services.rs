//! Who wraps and unwraps: this process, or others that are asked.

use std::sync::Arc;

use strongroom_base::SecretBytes;

use super::keyservice::Client;
use super::told::{self, Use};
use super::{Failure, Machine, WRAPPED_BYTES_MAX};
use crate::error::{Error, Exit, Result};
use crate::metadata::KeyEntry;

/// The order of kinds where none is asked for.
const USUAL_ORDER: [&str; 2] = ["age", "pgp"];

/// In which order the keys of a group are tried: by kind, those not named last, each kind in the order
/// of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order(Vec<String>);

impl Default for Order {
    fn default() -> Self {
        Self(USUAL_ORDER.map(str::to_owned).to_vec())
    }
}

impl Order {
    /// Reads `--decryption-order`: kinds, separated by commas. Empty is the usual order; a kind that
    /// nobody knows does no harm.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let kinds: Vec<String> = text.split(',').map(str::to_owned).collect();
        for (at, kind) in kinds.iter().enumerate() {
            if kinds.iter().take(at).any(|before| before == kind) {
                let text = format!("Duplicate decryption key type: {kind}");
                return Err(Error::new(Exit::DuplicateOrder, text));
            }
        }
        Ok(Self(kinds))
    }

    /// The keys of a group in this order.
    pub fn sorted<'a>(&self, keys: &'a [KeyEntry]) -> Vec<&'a KeyEntry> {
        let place = |key: &&KeyEntry| {
            self.0.iter().position(|kind| kind == key.kind()).unwrap_or(self.0.len())
        };
        let mut keys: Vec<&KeyEntry> = keys.iter().collect();
        keys.sort_by_key(place);
        keys
    }
}

/// Who wraps and unwraps.
pub enum Service {
    /// This process.
    Local,
    /// Another one.
    Remote(Client),
}

/// All that master keys need: who does the work, in which order, and the machine.
pub struct Keys {
    /// The machine.
    pub machine: Arc<Machine>,
    /// Who is asked, one after another.
    pub services: Vec<Service>,
    /// In which order the keys of a group are tried.
    pub order: Order,
}

impl Keys {
    /// Keys served by this process alone, in the usual order.
    pub fn local(machine: Arc<Machine>) -> Self {
        Self { machine, services: vec![Service::Local], order: Order::default() }
    }

    /// Keys served by this process unless `local` is false, and then by the services at `uris`
    /// (`tcp://HOST:PORT`, `unix:///PATH`). The second member says which URIs are none.
    pub fn with_services(
        machine: Arc<Machine>,
        order: Order,
        local: bool,
        uris: &[String],
    ) -> (Self, Vec<String>) {
        let mut services = Vec::new();
        if local {
            services.push(Service::Local);
        }
        let mut wrong = Vec::new();
        for uri in uris {
            match Client::new(uri) {
                Ok(client) => services.push(Service::Remote(client)),
                Err(failure) => wrong.push(failure.to_string()),
            }
        }
        (Self { machine, services, order }, wrong)
    }
}

impl Service {
    /// Wraps `part` by `key`.
    pub fn encrypt(
        &self,
        key: &KeyEntry,
        part: &SecretBytes,
        machine: &Machine,
    ) -> Result<String, Failure> {
        match self {
            Self::Local => {
                let wrapped = key.master_key().encrypt(part, machine);
                machine.person.log(&told::of_use(key, Use::Encryption, wrapped.is_ok()));
                wrapped
            }
            Self::Remote(client) => client.encrypt(key, part, machine),
        }
    }

    /// Unwraps what the record of `key` keeps.
    pub fn decrypt(&self, key: &KeyEntry, machine: &Machine) -> Result<SecretBytes, Failure> {
        if key.enc().len() > WRAPPED_BYTES_MAX {
            return Err(Failure::new("the wrapped data key is too long"));
        }
        match self {
            Self::Local => {
                let part = key.master_key().decrypt(key.enc(), machine);
                machine.person.log(&told::of_use(key, Use::Decryption, part.is_ok()));
                part
            }
            Self::Remote(client) => client.decrypt(key, machine),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{AgeKey, HcVaultKey, KmsKey, PgpKey};

    fn kinds(order: &str) -> Vec<String> {
        let group = [
            KeyEntry::Kms(KmsKey { arn: "1".into(), ..KmsKey::default() }),
            KeyEntry::Pgp(PgpKey { fp: "2".into(), ..PgpKey::default() }),
            KeyEntry::HcVault(HcVaultKey { key_name: "3".into(), ..HcVaultKey::default() }),
            KeyEntry::Age(AgeKey { recipient: "4".into(), ..AgeKey::default() }),
            KeyEntry::Kms(KmsKey { arn: "5".into(), ..KmsKey::default() }),
        ];
        let order = Order::parse(order).unwrap();
        order.sorted(&group).iter().map(|key| key.shown()).collect()
    }

    #[test]
    fn keys_are_tried_by_kind_and_then_as_the_file_has_them() {
        assert_eq!(kinds(""), ["4", "2", "1", "/v1//keys/3", "5"]);
        assert_eq!(kinds("kms,hc_vault"), ["1", "5", "/v1//keys/3", "2", "4"]);
        assert_eq!(kinds("unheard_of"), ["1", "2", "/v1//keys/3", "4", "5"]);
        let twice = Order::parse("age,pgp,age").unwrap_err();
        assert_eq!(twice.exit, Exit::DuplicateOrder);
        assert_eq!(twice.text, "Duplicate decryption key type: age");
    }
}
