//! Which trusted entry a certificate fits.

use std::sync::Arc;

use strongroom_base::{Error, ErrorKind, Result};
use strongroom_crypto::keys::to_decimal;
use strongroom_crypto::x509::{Certificate, Chain, Distrust, Purpose, usages};
use strongroom_kernel::plug::{Peer, ReadCx};

use super::Cert;
use super::matching::{self, Names};
use super::statuses::Standing;
use super::stored::{self, Entry, RevocationList, Trusted};

/// Certificates that are read of what a client shows behind its own.
const BETWEEN_MAX: usize = 16;

/// What a client shows.
pub struct Shown {
    /// Its certificate.
    pub leaf: Certificate,
    /// The certificates behind it.
    between: Vec<Certificate>,
}

impl Shown {
    /// What `peer` shows.
    pub fn of(peer: &Peer) -> Result<Self> {
        let Some((leaf, between)) = peer.certificates.split_first() else {
            return Err(Error::bad_request("no client certificate found"));
        };
        let leaf = Certificate::from_der(leaf).map_err(|e| invalid().because(e))?;
        // One that does not read leads nowhere.
        let between = between.iter().take(BETWEEN_MAX);
        let between = between.filter_map(|der| Certificate::from_der(der).ok()).collect();
        Ok(Self { leaf, between })
    }
}

/// Are responders asked?
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Where the entry says so.
    Yes,
    /// No: nothing hangs on the outcome but which quota counts.
    No,
}

fn invalid() -> Error {
    Error::bad_request("invalid certificate or no client certificate supplied")
}

/// Why no entry that was looked at fits, so far.
#[derive(Default)]
struct Outcome {
    /// The status could not be found out.
    unasked: Option<Error>,
}

impl Cert {
    /// The entry that the certificate fits: the one called `name`, or any.
    pub async fn find(
        &self,
        cx: &ReadCx<'_>,
        shown: &Shown,
        name: Option<&str>,
        ask: Ask,
    ) -> Result<Arc<Trusted>> {
        let view = cx.view();
        let names = match name {
            Some(name) => vec![name.to_lowercase()],
            None => view.names::<Entry>(0).await?.to_vec(),
        };
        let mut trusted = Vec::with_capacity(names.len());
        for name in &names {
            trusted.extend(stored::trusted(&view, name).await?);
        }
        let lists = stored::lists(&view).await?;
        let lists: Vec<&RevocationList> = lists.iter().map(|(_, list)| &**list).collect();
        let purpose = Purpose { now: cx.now().seconds(), usage: usages::CLIENT };
        // What is not fit by itself is so whoever trusts it.
        purpose.check(&shown.leaf).map_err(unfit)?;
        let mut search = Search { cert: self, cx, shown, lists, ask, outcome: Outcome::default() };
        let own = Names::of(&shown.leaf);
        for entry in &trusted {
            if search.is_pinned(entry, &own).await? {
                return Ok(entry.clone());
            }
        }
        let mut anchors: Vec<&Certificate> = Vec::new();
        for authority in trusted.iter().flat_map(|entry| entry.authorities()) {
            if !anchors.contains(&authority) {
                anchors.push(authority);
            }
        }
        let is_signed = |one: &Certificate, by: &Certificate| self.signatures.is_good(one, by);
        let chains = match purpose.chains(&shown.leaf, &shown.between, &anchors, &is_signed) {
            Ok(chains) => chains,
            Err(Distrust::UnknownAuthority) => return Err(search.outcome.refusal(invalid())),
            Err(distrust) => return Err(unfit(distrust)),
        };
        for entry in &trusted {
            if search.is_below(entry, &chains, &own).await? {
                return Ok(entry.clone());
            }
        }
        let text = "no chain matching all constraints could be found for this login certificate";
        Err(search.outcome.refusal(Error::bad_request(text)))
    }
}

fn unfit(distrust: Distrust) -> Error {
    Error::bad_request(format!("failed to verify client's certificate: x509: {distrust}"))
}

impl Outcome {
    /// The answer to a client: that its status could not be asked, if only that was missing.
    fn refusal(self, otherwise: Error) -> Error {
        self.unasked.unwrap_or(otherwise)
    }
}

struct Search<'s, 'c> {
    cert: &'s Cert,
    cx: &'s ReadCx<'c>,
    shown: &'s Shown,
    lists: Vec<&'s RevocationList>,
    ask: Ask,
    outcome: Outcome,
}

impl Search<'_, '_> {
    /// Is it the very certificate of an entry that is no authority?
    async fn is_pinned(&mut self, entry: &Trusted, names: &Names) -> Result<bool> {
        let leaf = &self.shown.leaf;
        let Some(pinned) = entry.pinned() else { return Ok(false) };
        let same = strongroom_crypto::constant_time_eq(pinned.der(), leaf.der());
        if !same || !matching::fits(&entry.entry, leaf, names) {
            return Ok(false);
        }
        if self.is_revoked(entry.certificates.iter()) {
            return Ok(false);
        }
        // Whoever it was: only its issuer's signature is on it.
        let known = entry.certificates.iter().chain(&entry.responders).chain(&self.shown.between);
        let issuer = known.into_iter().find(|issuer| leaf.is_issued_by(issuer)).cloned();
        self.stands(entry, issuer.as_ref()).await
    }

    /// Does an authority of the entry stand in one of the chains, and does the chain hold?
    async fn is_below(
        &mut self,
        entry: &Trusted,
        chains: &[Chain<'_>],
        names: &Names,
    ) -> Result<bool> {
        let leads = |chain: &&Chain<'_>| entry.authorities().any(|a| chain.contains(&a));
        if !matching::fits(&entry.entry, &self.shown.leaf, names) {
            return Ok(false);
        }
        for chain in chains.iter().filter(leads) {
            if !self.is_revoked(chain.iter().copied())
                && self.stands(entry, chain.get(1).copied()).await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Is one of these certificates on a revocation list?
    fn is_revoked<'a>(&self, mut chain: impl Iterator<Item = &'a Certificate>) -> bool {
        chain.any(|certificate| {
            let serial = to_decimal(certificate.serial());
            self.lists.iter().any(|list| list.has(&serial))
        })
    }

    /// Does the certificate count by what responders say, where the entry has them asked?
    async fn stands(&mut self, entry: &Trusted, issuer: Option<&Certificate>) -> Result<bool> {
        // Nobody answers for who stands for himself.
        if !entry.entry.ocsp.enabled || self.ask == Ask::No || self.shown.leaf.is_self_signed() {
            return Ok(true);
        }
        let standing = match issuer {
            Some(issuer) => self.cert.standing(self.cx, &self.shown.leaf, issuer, entry).await?,
            None => Standing::Unknown("its issuer is not known".to_owned()),
        };
        Ok(match standing {
            Standing::Good => true,
            Standing::Revoked => false,
            Standing::Unknown(why) if entry.entry.ocsp.fail_open => {
                tracing::warn!(entry = %entry.entry.name, %why,
                    "a certificate's status could not be found out; it is let in");
                true
            }
            Standing::Unknown(why) => {
                let text = "the revocation status of the certificate could not be found out";
                let error = Error::new(ErrorKind::Upstream, text).because(why);
                self.outcome.unasked.get_or_insert(error);
                false
            }
        })
    }
}
