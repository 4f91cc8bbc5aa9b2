//! Encryption as a service: keys that never leave unless they may, and what is done with them.
//!
//! * [`kind`] has the types of keys, [`key`] what is stored of one, [`ring`] what is made of that to
//!   work with;
//! * [`keys`], [`settings`], [`import`], [`derive`], [`export`], [`backup`] and
//!   [`certificates`] are about keys;
//! * [`crypt`], [`sign`], [`hmac`] and [`tools`] use them; [`batch`] is how many inputs go through
//!   one request, [`encoding`] how inputs and outputs are written;
//! * [`aws`] is what AWS KMS says about the same keys.
//!
//! Invariants:
//! * ciphertexts, signatures and HMACs of Vault's operations are Vault's and OpenBao's: what one makes,
//!   the other reads with the same key;
//! * using a key writes nothing, and costs the same however many versions and keys there are;
//! * a private key leaves by `export` and `byok-export` if the key is exportable, and by `backup` if it
//!   allows that besides; nowhere else;
//! * a ciphertext that does not open tells not why.

pub mod aws;
mod backup;
mod batch;
mod certificates;
mod crypt;
mod derive;
mod encoding;
mod export;
mod hmac;
mod import;
mod key;
mod keys;
mod kind;
pub mod limits;
mod material;
mod ring;
mod settings;
mod shown;
mod sign;
#[cfg(test)]
mod tests;
mod tools;

use strongroom_kernel::plug::{Class, EngineSpec, Spec};

/// The engine of a mount. What it knows is in the mount's records.
pub struct Transit;

/// The surface of `transit`.
pub fn spec() -> Spec {
    let spec = EngineSpec::new("transit", Class::Secret, |_| Ok(Transit));
    let spec = keys::add(spec);
    let spec = settings::add(spec);
    let spec = import::add(spec);
    let spec = export::add(spec);
    let spec = backup::add(spec);
    let spec = certificates::add(spec);
    let spec = derive::add(spec);
    let spec = crypt::add(spec);
    let spec = sign::add(spec);
    let spec = hmac::add(spec);
    let spec = aws::add(spec);
    tools::add(spec)
        .docs("Encrypts, signs and makes HMACs with keys that callers never see.")
        .build()
}
