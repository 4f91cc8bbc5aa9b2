//! The driver against OpenLDAP.

use std::time::Duration;

use strongroom_base::SecretString;
use strongroom_testkit::servers::slapd::{
    ANN_PASSWORD, BASE, Certificates, KEEPER, KEEPER_PASSWORD, ODD, ODD_PASSWORD, STAFF, Slapd,
};

use super::*;

fn servers(url: &str, tls: Tls) -> Servers {
    Servers {
        addresses: url.split(',').map(|url| Address::parse(url).unwrap()).collect(),
        starttls: false,
        tls,
        connection_timeout: Duration::from_secs(30),
        request_timeout: Duration::from_secs(30),
    }
}

fn secret(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}

fn search(base: &str, filter: &str, attributes: &[&str]) -> Search {
    Search {
        base: format!("{base}{BASE}"),
        scope: Scope::Subtree,
        aliases: Aliases::Never,
        filter: Filter::parse(filter).unwrap(),
        attributes: attributes.iter().map(|&attribute| attribute.to_owned()).collect(),
        size_limit: 0,
        page_size: 0,
    }
}

/// The names that a search finds, as `cn` or `uid`, sorted.
async fn found(session: &mut dyn Session, search: &Search) -> Vec<String> {
    let found = session.search(search).await.unwrap();
    let part = |entry: &Entry| names::parse(&entry.name).unwrap()[0][0].1.clone();
    let mut names: Vec<String> = found.iter().map(part).collect();
    names.sort();
    names
}

#[tokio::test]
async fn binds_and_searches() {
    let slapd = Slapd::start();
    let network = Network::default();
    let mut session = network.connect(&servers(&slapd.url(), Tls::default())).await.unwrap();
    let ann = format!("uid=ann,ou=people,{BASE}");
    for (name, password, good) in [
        (KEEPER, KEEPER_PASSWORD, true),
        (KEEPER, "wrong", false),
        (ann.as_str(), ANN_PASSWORD, true),
        ("UID=Ann , ou=People,dc=example, dc=org", ANN_PASSWORD, true),
        ("cn=nobody,dc=example,dc=org", "x", false),
    ] {
        let bound = session.bind(name, &secret(password)).await;
        let refused = Failure::refused(codes::INVALID_CREDENTIALS);
        assert_eq!(bound, if good { Ok(()) } else { Err(refused) }, "{name}");
    }
    let bound = session.bind("no name", &secret("x")).await;
    assert_eq!(bound, Err(Failure::refused(34)));
    session.bind_anonymously().await.unwrap();
    let session = &mut *session;
    let groups = "ou=groups,";
    for (filter, expect) in [
        ("(cn=admins)", "Admins"),
        ("(&(cn=ad*s)(objectClass=*))", "Admins"),
        ("(&(cn=*d*i*)(!(cn=x)))", "Admins"),
        ("(|(cn=ops)(cn=STAFF))", "ops staff"),
        ("(gidNumber>=1000)", "ops"),
        ("(gidNumber<=999)", ""),
        ("(cn~=ops)", "ops"),
        ("(cn:caseExactMatch:=admins)", ""),
        ("(cn:caseExactMatch:=Admins)", "Admins"),
        ("(ou:dn:=groups)", "Admins elsewhere groups ops staff"),
        ("(member=uid=ANN,ou=people,dc=example,dc=org)", "Admins"),
    ] {
        let names = found(session, &search(groups, filter, &["cn"])).await;
        assert_eq!(names.join(" "), expect, "{filter}");
    }
    let found = session.search(&search("ou=people,", "(uid=ann)", &["UID", "memberOf"])).await;
    let found = found.unwrap();
    let entry = found.first().unwrap();
    assert_eq!((entry.name.as_str(), entry.attributes.len()), (ann.as_str(), 2));
    assert_eq!(entry.texts("uid").collect::<Vec<_>>(), ["ann"]);
    // OpenLDAP works out nested groups here.
    let mut groups: Vec<&str> = entry.texts("memberof").collect();
    groups.sort_unstable();
    let staff = format!("cn={STAFF},ou=groups,{BASE}");
    assert_eq!(groups, [format!("cn=admins,ou=groups,{BASE}"), staff]);
    let none = session.search(&search("ou=nowhere,", "(cn=*)", &[])).await;
    assert_eq!(none, Err(Failure::refused(codes::NO_SUCH_OBJECT)));
    let two = Search { size_limit: 2, ..search("", "(objectClass=*)", &["1.1"]) };
    assert_eq!(session.search(&two).await, Err(Failure::refused(codes::SIZE_LIMIT_EXCEEDED)));
    let base = Search { scope: Scope::Base, ..search("", "(objectClass=*)", &["1.1"]) };
    assert_eq!(session.search(&base).await.unwrap().len(), 1);
}

#[tokio::test]
async fn pages_and_aliases() {
    let slapd = Slapd::start();
    let network = Network::default();
    let mut session = network.connect(&servers(&slapd.url(), Tls::default())).await.unwrap();
    let all = search("", "(objectClass=*)", &["1.1"]);
    let count = session.search(&all).await.unwrap().len();
    assert!(count > 10, "{count}");
    for page_size in [1, 3, 1000] {
        let paged = Search { page_size, ..all.clone() };
        assert_eq!(session.search(&paged).await.unwrap().len(), count, "{page_size}");
    }
    let groups = search("ou=groups,", "(memberUid=*)", &["cn"]);
    for (aliases, expect) in [
        (Aliases::Never, "ops"),
        (Aliases::Finding, "ops"),
        (Aliases::Searching, "hidden ops"),
        (Aliases::Always, "hidden ops"),
    ] {
        let names = found(&mut *session, &Search { aliases, ..groups.clone() }).await;
        assert_eq!(names.join(" "), expect, "{aliases:?}");
    }
}

#[tokio::test]
async fn escaped_values_are_found_and_bind() {
    // threats GHSA-6mwx-4547-5vc9, CVE-2025-13357, with a server that reads them
    let slapd = Slapd::start();
    let network = Network::default();
    let mut session = network.connect(&servers(&slapd.url(), Tls::default())).await.unwrap();
    let filter = format!("(uid={})", filter::escape(ODD));
    assert_eq!(found(&mut *session, &search("ou=people,", &filter, &["uid"])).await, [ODD]);
    let name = format!("uid={},ou=people,{BASE}", names::escape(ODD));
    session.bind(&name, &secret(ODD_PASSWORD)).await.unwrap();
    for value in ["*", "a*", "ann)(uid=*", "é\0"] {
        let filter = format!("(uid={})", filter::escape(value));
        let found = found(&mut *session, &search("ou=people,", &filter, &["uid"])).await;
        assert!(found.is_empty(), "{value}: {found:?}");
    }
}

#[tokio::test]
async fn a_server_that_goes_away_is_a_failure_and_the_next_one_is_tried() {
    let (mut first, second) = (Slapd::start(), Slapd::start());
    let network = Network::default();
    let both = servers(&format!("{},{}", first.url(), second.url()), Tls::default());
    let mut session = network.connect(&both).await.unwrap();
    session.bind_anonymously().await.unwrap();
    first.stop();
    assert_eq!(session.bind_anonymously().await.unwrap_err().kind, FailureKind::Broken);
    network.connect(&both).await.unwrap().bind_anonymously().await.unwrap();
    first.restart();
    network.connect(&both).await.unwrap().bind_anonymously().await.unwrap();
}

/// An authority, and what it signs.
struct Authority {
    pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: rcgen::Issuer::new(params, key) }
    }

    fn sign(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

#[tokio::test]
async fn tls_and_start_tls() {
    let (own, other) = (Authority::new(), Authority::new());
    let (certificate, key) = own.sign("127.0.0.1");
    let slapd = Slapd::start_tls(&Certificates { certificate, key, clients: own.pem.clone() });
    let (certificate, key) = own.sign("client");
    let network = Network::default();
    let tls = |ca: &str, max, shown: bool| Tls {
        ca: ca.to_owned(),
        certificate: if shown { certificate.clone() } else { String::new() },
        key: secret(if shown { &key } else { "" }),
        min: Version::Tls12,
        max,
        ..Tls::default()
    };
    let unchecked = Tls { danger_unchecked: true, ..tls("", Version::Tls13, true) };
    for (tls, good) in [
        (tls(&own.pem, Version::Tls12, true), true),
        (tls(&own.pem, Version::Tls13, true), true),
        (tls(&other.pem, Version::Tls13, true), false),
        (tls("", Version::Tls13, true), false),
        (tls(&own.pem, Version::Tls12, false), false),
        (unchecked, true),
    ] {
        for starttls in [false, true] {
            let (scheme, port) =
                if starttls { ("ldap", slapd.port) } else { ("ldaps", slapd.tls_port) };
            let tls = Tls { key: tls.key.duplicate(), ..copy(&tls) };
            let servers =
                Servers { starttls, ..servers(&format!("{scheme}://127.0.0.1:{port}"), tls) };
            let bound = async {
                network.connect(&servers).await?.bind(KEEPER, &secret(KEEPER_PASSWORD)).await
            };
            assert_eq!(bound.await.is_ok(), good, "{starttls}: {servers:?}");
        }
    }
    // The certificate is for another name.
    let url = format!("ldaps://localhost:{}", slapd.tls_port);
    let servers = servers(&url, tls(&own.pem, Version::Tls13, true));
    let failure = network.connect(&servers).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.text.contains("localhost"), "{failure}");
}

fn copy(tls: &Tls) -> Tls {
    Tls {
        danger_unchecked: tls.danger_unchecked,
        ca: tls.ca.clone(),
        certificate: tls.certificate.clone(),
        key: SecretString::default(),
        min: tls.min,
        max: tls.max,
    }
}
