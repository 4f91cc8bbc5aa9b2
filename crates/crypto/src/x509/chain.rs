//! Chains of certificates (RFC 5280 §6): from one that somebody presents up to one that is trusted.
//!
//! Invariants:
//! * each link holds by name, key identifier, right to sign and signature; each certificate is in
//!   its time; path lengths, name constraints and extended usages of all authorities hold;
//! * a critical extension that is not understood here breaks the chain;
//! * the work is bounded, whatever is presented.

use super::certificate::Certificate;
use super::extension::ids;
use super::{SignatureAlgorithm, constraints};
use crate::keys::Hash;

/// Certificates of one chain.
const DEPTH_MAX: usize = 10;
/// Signatures looked at for one certificate.
const SIGNATURES_MAX: usize = 32;
/// Chains that are found of one certificate.
const CHAINS_MAX: usize = 16;
/// Names held against constraints, for one certificate.
const COMPARISONS_MAX: usize = 250_000;

/// Why a certificate is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Distrust {
    /// No chain leads to an authority that is trusted.
    UnknownAuthority,
    /// It is not in its time.
    OutOfTime,
    /// Its extended usages do not allow what it is shown for.
    OtherUsage,
    /// A critical extension is not understood.
    CriticalExtension,
}

impl std::fmt::Display for Distrust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UnknownAuthority => "certificate signed by unknown authority",
            Self::OutOfTime => "certificate has expired or is not yet valid",
            Self::OtherUsage => "certificate specifies an incompatible key usage",
            Self::CriticalExtension => "unhandled critical extension",
        })
    }
}

impl std::error::Error for Distrust {}

/// What certificates are shown for.
#[derive(Clone, Copy)]
pub struct Purpose<'a> {
    /// When, in seconds since 1970.
    pub now: i64,
    /// The extended usage that it takes.
    pub usage: &'a str,
}

/// Is the first certificate's signature one of the second one's key? [`Certificate::is_signed_by`] says so, or
/// somebody who has asked it before.
pub type IsSigned<'a> = &'a dyn Fn(&Certificate, &Certificate) -> bool;

/// A chain, from the certificate that is presented to the one that is trusted.
pub type Chain<'c> = Vec<&'c Certificate>;

impl Purpose<'_> {
    /// Is the certificate by itself fit for it?
    pub fn check(&self, certificate: &Certificate) -> Result<(), Distrust> {
        if self.now < certificate.not_before || self.now > certificate.not_after {
            return Err(Distrust::OutOfTime);
        }
        if !understands(certificate) {
            return Err(Distrust::CriticalExtension);
        }
        if certificate.is_for(self.usage) { Ok(()) } else { Err(Distrust::OtherUsage) }
    }

    /// The chains from `leaf` to one of `anchors`, over `between`. Where `leaf` is itself an anchor,
    /// it is a chain.
    pub fn chains<'c>(
        &self,
        leaf: &'c Certificate,
        between: &'c [Certificate],
        anchors: &[&'c Certificate],
        is_signed: IsSigned<'_>,
    ) -> Result<Vec<Chain<'c>>, Distrust> {
        self.check(leaf)?;
        if anchors.is_empty() {
            return Err(Distrust::UnknownAuthority);
        }
        let mut search = Search {
            purpose: *self,
            between,
            anchors,
            is_signed,
            signatures: SIGNATURES_MAX,
            comparisons: COMPARISONS_MAX,
            found: Vec::new(),
        };
        search.above(&mut vec![leaf]);
        if search.found.is_empty() { Err(Distrust::UnknownAuthority) } else { Ok(search.found) }
    }
}

struct Search<'a, 'c> {
    purpose: Purpose<'a>,
    between: &'c [Certificate],
    anchors: &'a [&'c Certificate],
    is_signed: IsSigned<'a>,
    /// Signatures that may still be looked at.
    signatures: usize,
    /// Names that may still be held against constraints.
    comparisons: usize,
    found: Vec<Chain<'c>>,
}

impl<'c> Search<'_, 'c> {
    /// Goes on above the last of `path`.
    fn above(&mut self, path: &mut Chain<'c>) {
        let Some(last) = path.last().copied() else { return };
        if let Some(anchor) = self.anchors.iter().find(|anchor| **anchor == last)
            && path.len() == 1
        {
            self.found.push(vec![anchor]);
        }
        if path.len() >= DEPTH_MAX || self.found.len() >= CHAINS_MAX {
            return;
        }
        for anchor in self.anchors {
            if self.is_link(path, last, anchor) {
                let mut chain = path.clone();
                chain.push(anchor);
                self.found.push(chain);
            }
        }
        for authority in self.between {
            if self.is_link(path, last, authority) {
                path.push(authority);
                self.above(path);
                path.pop();
            }
        }
    }

    /// Does `authority` stand behind `last`, and may it stand above all of `path`?
    fn is_link(
        &mut self,
        path: &[&Certificate],
        last: &Certificate,
        authority: &Certificate,
    ) -> bool {
        if last.issuer != authority.subject || path.contains(&authority) {
            return false;
        }
        let Some(length) = authority.authority() else { return false };
        // Who issued to himself in between does not count (RFC 5280 §4.2.1.9).
        let between = path.iter().skip(1).filter(|below| below.issuer != below.subject).count();
        if length.is_some_and(|length| between > length as usize)
            || self.purpose.check(authority).is_err()
            || !is_sound(last.algorithm)
        {
            return false;
        }
        if self.signatures == 0 {
            return false;
        }
        self.signatures -= 1;
        if !last.names_issuer(authority) || !(self.is_signed)(last, authority) {
            return false;
        }
        let mut bound = |(at, below): (usize, &&Certificate)| {
            let own = at > 0 && below.issuer == below.subject;
            own || constraints::allows(authority, below, &mut self.comparisons)
        };
        path.iter().enumerate().all(&mut bound)
    }
}

/// Is it a way of signing that nobody can forge?
pub(super) fn is_sound(algorithm: Option<SignatureAlgorithm>) -> bool {
    use SignatureAlgorithm::{RsaPkcs1, RsaPss};
    !matches!(algorithm, None | Some(RsaPkcs1(Hash::Sha1) | RsaPss(Hash::Sha1)))
}

/// Is each of its critical extensions one that is looked at?
fn understands(certificate: &Certificate) -> bool {
    const LOOKED_AT: [&str; 6] = [
        ids::KEY_USAGE,
        ids::ALT_NAME,
        ids::BASIC_CONSTRAINTS,
        ids::NAME_CONSTRAINTS,
        ids::POLICIES,
        ids::EXTENDED_USAGE,
    ];
    certificate.extensions.iter().all(|e| !e.critical || LOOKED_AT.contains(&e.oid.as_str()))
}

#[cfg(test)]
mod tests {
    use super::super::told::usages;
    use super::super::*;
    use super::*;
    use crate::keys::{Curve, KeyType, PrivateKey};

    /// Who can issue.
    struct Owner {
        key: PrivateKey,
        certificate: Certificate,
    }

    struct Made<'a> {
        name: &'a str,
        days: (i64, i64),
        extensions: Vec<Extension>,
    }

    const NOW: i64 = 1_767_225_600;

    fn named(name: &str) -> Name {
        NameBuilder::default().step(attributes::COMMON_NAME, &[name]).build()
    }

    fn make(issuer: Option<&Owner>, made: Made<'_>) -> Owner {
        let key = PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap();
        let subject = named(made.name);
        let template = Template {
            serial: vec![7],
            issuer: issuer.map_or_else(|| subject.clone(), |i| i.certificate.subject.clone()),
            subject,
            not_before: NOW + made.days.0 * 86_400,
            not_after: NOW + made.days.1 * 86_400,
            spki: key.public().unwrap().spki_der().to_vec(),
            extensions: made.extensions,
        };
        let signer = issuer.map_or(&key, |i| &i.key);
        let certificate = template.sign(signer, SignatureAlgorithm::Ecdsa(Hash::Sha256)).unwrap();
        Owner { key, certificate }
    }

    fn authority(issuer: Option<&Owner>, name: &str, length: Option<u32>) -> Owner {
        let extensions = vec![Extension::basic_constraints(true, length)];
        make(issuer, Made { name, days: (-1, 1), extensions })
    }

    fn client(issuer: &Owner, extensions: Vec<Extension>) -> Certificate {
        make(Some(issuer), Made { name: "client", days: (-1, 1), extensions }).certificate
    }

    fn signed(certificate: &Certificate, by: &Certificate) -> bool {
        certificate.is_signed_by(&by.spki)
    }

    fn found(leaf: &Certificate, between: &[Certificate], anchor: &Certificate) -> Option<usize> {
        let purpose = Purpose { now: NOW, usage: usages::CLIENT };
        purpose.chains(leaf, between, &[anchor], &signed).ok().map(|chains| chains[0].len())
    }

    #[test]
    fn what_is_believed() {
        let root = authority(None, "root", None);
        let middle = authority(Some(&root), "middle", Some(0));
        let leaf = client(&middle, vec![]);
        let between = [middle.certificate.clone()];
        assert_eq!(found(&leaf, &between, &root.certificate), Some(3));
        assert_eq!(found(&leaf, &[], &middle.certificate), Some(2));
        assert_eq!(found(&root.certificate, &[], &root.certificate), Some(1));
        // Without what lies between there is no way.
        assert_eq!(found(&leaf, &[], &root.certificate), None);
    }

    #[test]
    fn what_is_not_believed() {
        let root = authority(None, "root", None);
        let twin = authority(None, "root", None);
        let leaf = client(&root, vec![]);
        assert_eq!(found(&leaf, &[], &twin.certificate), None, "a key of another");
        let no_authority = make(Some(&root), Made { name: "m", days: (-1, 1), extensions: vec![] });
        let below = client(&no_authority, vec![]);
        let between = [no_authority.certificate];
        assert_eq!(found(&below, &between, &root.certificate), None, "no authority in between");
        let signs = Extension::key_usage(KeyUsage::CRL_SIGN);
        let extensions = vec![Extension::basic_constraints(true, None), signs];
        let lists = make(Some(&root), Made { name: "l", days: (-1, 1), extensions });
        let below = client(&lists, vec![]);
        assert_eq!(
            found(&below, &[lists.certificate], &root.certificate),
            None,
            "signs lists only"
        );
        let middle = authority(Some(&root), "middle", Some(0));
        let lower = authority(Some(&middle), "lower", None);
        let deep = client(&lower, vec![]);
        let between = [middle.certificate.clone(), lower.certificate.clone()];
        assert_eq!(found(&deep, &between, &root.certificate), None, "too far below");
    }

    #[test]
    fn times_usages_and_extensions() {
        let purpose = Purpose { now: NOW, usage: usages::CLIENT };
        let root = authority(None, "root", None);
        let server = Extension::extended_usage(&["1.3.6.1.5.5.7.3.1"]).unwrap();
        let own = Extension::extended_usage(&[usages::CLIENT]).unwrap();
        let any = Extension::extended_usage(&[usages::ANY]).unwrap();
        let unknown = Extension { oid: "1.2.3".to_owned(), critical: true, value: vec![5, 0] };
        let harmless = Extension { critical: false, ..unknown.clone() };
        for (days, extension, expect) in [
            ((-1, 1), own.clone(), None),
            ((-1, 1), any, None),
            ((-1, 1), harmless, None),
            ((-2, -1), own.clone(), Some(Distrust::OutOfTime)),
            ((1, 2), own, Some(Distrust::OutOfTime)),
            ((-1, 1), server.clone(), Some(Distrust::OtherUsage)),
            ((-1, 1), unknown, Some(Distrust::CriticalExtension)),
        ] {
            let made = Made { name: "c", days, extensions: vec![extension] };
            let leaf = make(Some(&root), made).certificate;
            let got = purpose.chains(&leaf, &[], &[&root.certificate], &signed);
            assert_eq!(got.err(), expect);
        }
        // What an authority may not, those below it may not either; and when its time is over,
        // theirs is.
        for (days, extra) in [((-1, 1), Some(server)), ((-2, -1), None)] {
            let mut extensions = vec![Extension::basic_constraints(true, None)];
            extensions.extend(extra);
            let middle = make(Some(&root), Made { name: "m", days, extensions });
            let leaf = client(&middle, vec![]);
            assert_eq!(found(&leaf, &[middle.certificate], &root.certificate), None);
        }
    }

    #[test]
    fn names_below_a_constrained_authority() {
        let root = authority(None, "root", None);
        let permitted = Extension::permitted_domains(&["a.example".to_owned()]).unwrap();
        let extensions = vec![Extension::basic_constraints(true, None), permitted];
        let middle = make(Some(&root), Made { name: "m", days: (-1, 1), extensions });
        for (name, good) in [("x.a.example", true), ("b.example", false)] {
            let names = [GeneralName::Dns(name.to_owned())];
            let leaf = client(&middle, vec![Extension::alt_names(&names, false).unwrap()]);
            let chain = found(&leaf, std::slice::from_ref(&middle.certificate), &root.certificate);
            assert_eq!(chain.is_some(), good, "{name}");
        }
    }

    #[test]
    fn whoever_presents_much_gets_an_end() {
        // Twins by name, all signing each other's name: the search would grow without bound.
        let root = authority(None, "root", None);
        let twins: Vec<Owner> = (0..20).map(|_| authority(Some(&root), "root", None)).collect();
        let between: Vec<Certificate> = twins.iter().map(|t| t.certificate.clone()).collect();
        let stranger = authority(None, "root", None);
        let leaf = client(&stranger, vec![]);
        assert_eq!(found(&leaf, &between, &root.certificate), None);
    }
}
