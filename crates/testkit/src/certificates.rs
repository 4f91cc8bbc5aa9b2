//! Certificates for tests: authorities, and what they issue.

use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_base::Timestamp;
use strongroom_crypto::keys::{Curve, Hash, KeyType, PrivateKey, Scheme};
use strongroom_crypto::ocsp::{self, Responder, Status, Times};
use strongroom_crypto::x509::{
    Certificate, CrlEntry, CrlTemplate, Extension, GeneralName, Name, NameBuilder,
    SignatureAlgorithm, Template, attributes, to_pem, usages,
};

const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::Ecdsa(Hash::Sha256);

/// No two certificates have the same serial number, whoever issued them.
static SERIAL: AtomicU64 = AtomicU64::new(0x0100);

/// A certificate and its key.
pub struct Owner {
    /// The key.
    pub key: PrivateKey,
    /// The certificate.
    pub certificate: Certificate,
}

/// What a certificate shall be.
pub struct Wish<'w> {
    /// Seconds since 1970 around which it is good.
    pub now: i64,
    /// Days from then of its beginning and its end.
    pub days: (i64, i64),
    /// The common name.
    pub name: &'w str,
    /// Organizational units.
    pub units: &'w [&'w str],
    /// Alternative names.
    pub names: Vec<GeneralName>,
    /// Extended usages.
    pub usages: &'w [&'w str],
    /// Further extensions.
    pub extensions: Vec<Extension>,
}

impl Wish<'_> {
    /// A client called `name`.
    pub fn client(now: i64, name: &str) -> Wish<'_> {
        Wish {
            now,
            days: (-1, 30),
            name,
            units: &[],
            names: Vec::new(),
            usages: &[usages::CLIENT],
            extensions: Vec::new(),
        }
    }

    /// An authority called `name`.
    pub fn authority(now: i64, name: &str) -> Wish<'_> {
        let extensions = vec![Extension::basic_constraints(true, None)];
        Wish { usages: &[], extensions, ..Wish::client(now, name) }
    }
}

/// A key as all of these have them.
pub fn key() -> PrivateKey {
    PrivateKey::generate(KeyType::Ec(Curve::P256)).expect("a key")
}

fn template(wish: &Wish<'_>, issuer: Option<Name>, key: &PrivateKey) -> Template {
    let subject = NameBuilder::default()
        .step(attributes::ORGANIZATIONAL_UNIT, wish.units)
        .step(attributes::COMMON_NAME, &[wish.name])
        .build();
    let mut extensions = wish.extensions.clone();
    if !wish.names.is_empty() {
        extensions.push(Extension::alt_names(&wish.names, false).expect("names"));
    }
    if !wish.usages.is_empty() {
        extensions.push(Extension::extended_usage(wish.usages).expect("usages"));
    }
    Template {
        serial: SERIAL.fetch_add(1, Ordering::SeqCst).to_be_bytes().to_vec(),
        issuer: issuer.unwrap_or_else(|| subject.clone()),
        subject,
        not_before: wish.now + wish.days.0 * 86_400,
        not_after: wish.now + wish.days.1 * 86_400,
        spki: key.public().expect("a key").spki_der().to_vec(),
        extensions,
    }
}

impl Owner {
    /// Signed by its own key.
    pub fn self_signed(wish: &Wish<'_>) -> Self {
        let key = key();
        let certificate = template(wish, None, &key).sign(&key, ALGORITHM).expect("signs");
        Self { key, certificate }
    }

    /// An authority above which is none.
    pub fn root(now: i64, name: &str) -> Self {
        Self::self_signed(&Wish::authority(now, name))
    }

    /// Issues what is wished.
    pub fn issue(&self, wish: &Wish<'_>) -> Self {
        self.issue_for(wish, key())
    }

    /// Issues it for this key.
    pub fn issue_for(&self, wish: &Wish<'_>, key: PrivateKey) -> Self {
        let template = template(wish, Some(self.certificate.subject.clone()), &key);
        let certificate = template.sign(&self.key, ALGORITHM).expect("signs");
        Self { key, certificate }
    }

    /// Its certificate in PEM.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// The DER of its certificate.
    pub fn der(&self) -> Vec<u8> {
        self.certificate.der().to_vec()
    }

    /// Its revocation list.
    pub fn list(&self, from: i64, until: i64, revoked: &[&Owner]) -> Vec<u8> {
        let entries = revoked.iter().map(|one| CrlEntry {
            serial: one.certificate.serial().to_vec(),
            revoked: from,
            extensions: Vec::new(),
        });
        let template = CrlTemplate {
            issuer: self.certificate.subject.clone(),
            this_update: from,
            next_update: until,
            entries: entries.collect(),
            extensions: vec![Extension::crl_number(1)],
        };
        template.sign(&self.key, ALGORITHM).expect("signs")
    }

    /// Its revocation list in PEM.
    pub fn list_pem(&self, from: i64, until: i64, revoked: &[&Owner]) -> String {
        to_pem("X509 CRL", &self.list(from, until, revoked))
    }

    /// What it answers who asks about a certificate's status.
    pub fn answer(&self, request: &[u8], status: Status, from: i64, until: Option<i64>) -> Vec<u8> {
        let request = ocsp::Request::parse(request).expect("a request");
        let about = request.certificates.first().expect("a certificate");
        let algorithm_der = ALGORITHM.der();
        let responder = Responder {
            subject_der: self.certificate.subject.der(),
            key: &self.key,
            scheme: Scheme::Ecdsa(Hash::Sha256),
            algorithm_der: &algorithm_der,
        };
        let next = until.map(Timestamp::from_seconds);
        let times = Times { now: Timestamp::from_seconds(from), next };
        responder.answer(&request, &[(about, status)], times).expect("answers")
    }
}
