//! What a ceremony is to lead to: how the new shares are handed out, and to whom the new root token
//! goes. Plans are checked when they are made; a plan that exists can be carried out.

use strongroom_base::{Error, Result, Rng, SecretBytes, SecretString, Timestamp};
use strongroom_crypto::{otp, pgp::Recipient, shamir};

/// Into how many shares a key is split, and whom they are encrypted to. Initialisation and rekeying
/// use it alike.
#[derive(Debug)]
pub struct SharePlan {
    shares: usize,
    threshold: usize,
    /// Empty, or one for each share, in its order.
    recipients: Vec<Recipient>,
}

/// Shares as their holders get them.
#[derive(Debug)]
pub struct HandedOut {
    /// The shares; where there are recipients, binary OpenPGP messages of their hex text.
    pub shares: Vec<SecretBytes>,
    /// The recipients' key fingerprints, in the shares' order.
    pub fingerprints: Option<Vec<String>>,
}

impl SharePlan {
    /// Checks a plan. The texts are Vault's, without its prefix.
    pub fn new(shares: i64, threshold: i64, pgp_keys: &[String], now: Timestamp) -> Result<Self> {
        let problem = match (shares, threshold) {
            (..=0, _) => "shares must be at least one",
            (_, ..=0) => "threshold must be at least one",
            (2.., 1) => "threshold must be greater than one for multiple shares",
            (256.., _) => "shares must be less than 256",
            (_, 256..) => "threshold must be less than 256",
            _ if threshold > shares => "threshold cannot be larger than shares",
            _ if !pgp_keys.is_empty() && usize::try_from(shares) != Ok(pgp_keys.len()) => {
                "count mismatch between number of provided PGP keys and number of shares"
            }
            _ => "",
        };
        let (Ok(shares), Ok(threshold), "") =
            (usize::try_from(shares), usize::try_from(threshold), problem)
        else {
            return Err(Error::bad_request(problem));
        };
        let recipients =
            pgp_keys.iter().map(|key| Recipient::parse(key, now)).collect::<Result<_>>()?;
        Ok(Self { shares, threshold, recipients })
    }

    /// How many shares there will be.
    pub fn shares(&self) -> usize {
        self.shares
    }

    /// How many of them will be needed.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// The fingerprints of the recipients' keys, where there are recipients.
    pub fn fingerprints(&self) -> Option<Vec<String>> {
        (!self.recipients.is_empty())
            .then(|| self.recipients.iter().map(Recipient::fingerprint).collect())
    }

    /// Splits `key`. With one share, that is the key.
    pub fn hand_out(&self, key: &SecretBytes, rng: &dyn Rng) -> Result<HandedOut> {
        let plain = if self.shares == 1 {
            vec![key.duplicate()]
        } else {
            shamir::split(key.expose_secret(), self.shares, self.threshold, rng)?
        };
        let shares = if self.recipients.is_empty() {
            plain
        } else {
            let encrypt = |(share, recipient): (&SecretBytes, &Recipient)| {
                let text = SecretString::new(hex::encode(share.expose_secret()));
                recipient.encrypt_binary(text.expose_secret().as_bytes(), rng).map(SecretBytes::new)
            };
            plain.iter().zip(&self.recipients).map(encrypt).collect::<Result<_>>()?
        };
        Ok(HandedOut { shares, fingerprints: self.fingerprints() })
    }
}

/// What a rekey is to lead to.
#[derive(Debug)]
pub struct RekeyPlan {
    /// The new shares.
    pub shares: SharePlan,
    /// Is a copy of the encrypted shares to be kept?
    pub backup: bool,
    /// Do the new shares count only after they were shown back?
    pub verification_required: bool,
}

impl RekeyPlan {
    /// Checks a plan.
    pub fn new(
        shares: i64,
        threshold: i64,
        pgp_keys: &[String],
        backup: bool,
        verification_required: bool,
        now: Timestamp,
    ) -> Result<Self> {
        if backup && pgp_keys.is_empty() {
            return Err(Error::bad_request(
                "cannot request a backup of the new keys without providing PGP keys for encryption",
            ));
        }
        if !pgp_keys.is_empty() && usize::try_from(shares) != Ok(pgp_keys.len()) {
            return Err(Error::bad_request("incorrect number of PGP keys for rekey"));
        }
        let shares = SharePlan::new(shares, threshold, pgp_keys, now).map_err(|mut e| {
            for text in &mut e.public {
                text.insert_str(0, "invalid rekey seal configuration: ");
            }
            e
        })?;
        Ok(Self { shares, backup, verification_required })
    }
}

/// To whom a new root token goes.
#[derive(Debug)]
pub enum RootPlan {
    /// XORed with a one-time pad that the one who started has.
    Otp(SecretString),
    /// Encrypted to a public key.
    Pgp(Box<Recipient>),
}

impl RootPlan {
    /// Checks what the caller gave; with neither, a one-time pad is drawn, and the caller is to see
    /// it once ([`RootPlan::otp`]).
    pub fn new(
        otp: &str,
        pgp_key: &str,
        otp_length: usize,
        rng: &dyn Rng,
        now: Timestamp,
    ) -> Result<Self> {
        if !otp.is_empty() {
            if otp.len() != otp_length {
                return Err(Error::bad_request("OTP string has incorrect length"));
            }
            return Ok(Self::Otp(SecretString::new(otp.to_owned())));
        }
        if !pgp_key.is_empty() {
            return Ok(Self::Pgp(Box::new(Recipient::parse(pgp_key, now)?)));
        }
        Ok(Self::Otp(otp::base62(otp_length, rng)))
    }

    /// The one-time pad, for the answer to a caller who gave none.
    pub fn otp(&self) -> Option<&SecretString> {
        match self {
            Self::Otp(otp) => Some(otp),
            Self::Pgp(_) => None,
        }
    }

    /// The fingerprint of the public key, or nothing.
    pub fn fingerprint(&self) -> String {
        match self {
            Self::Otp(_) => String::new(),
            Self::Pgp(recipient) => recipient.fingerprint(),
        }
    }

    /// The token as the answer carries it.
    pub fn encode(&self, token: &SecretString, rng: &dyn Rng) -> Result<SecretString> {
        let token = token.expose_secret().as_bytes();
        match self {
            Self::Otp(otp) => otp::encode_token(token, otp.expose_secret().as_bytes()),
            Self::Pgp(recipient) => recipient.encrypt(token, rng),
        }
        .map(SecretString::new)
    }
}
