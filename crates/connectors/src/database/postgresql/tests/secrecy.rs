//! What goes over the wire, and who is believed.

use super::*;

#[tokio::test]
async fn with_scram_no_password_reaches_the_server() {
    let server = Server::start(&Options::default());
    let plain = open(settings(&server.url("postgres")));
    let mut options = settings(&server.url("postgres"));
    options.own.insert("password_authentication".to_owned(), json!("scram-sha-256"));
    let scram = open(options);
    create(&*plain, "seen", "canary-plain", YEAR_2100, &[CREATE]).await.unwrap();
    create(&*scram, "unseen", "canary-hidden", YEAR_2100, &[CREATE]).await.unwrap();
    assert!(scram.logs_in("unseen", &secret("canary-hidden")).await.unwrap());
    let next = Credential::Password(secret("canary-next-\u{a0}\u{fc}"));
    scram.set_credential("unseen", &next, &[]).await.unwrap();
    assert!(scram.logs_in("unseen", &secret("canary-next-\u{a0}\u{fc}")).await.unwrap());
    create(&*plain, "last", "canary-last", YEAR_2100, &[CREATE]).await.unwrap();
    let log = server.log_until("canary-last");
    assert!(log.contains("canary-plain"), "the log shows statements");
    assert!(log.contains("SCRAM-SHA-256$4096:"));
    assert!(!log.contains("canary-hidden") && !log.contains("canary-next"));
}

#[tokio::test]
async fn tls_is_as_strict_as_was_asked() {
    let [ca_key, other_key, server_key] = [(); 3].map(|()| rcgen::KeyPair::generate().unwrap());
    let authority = || {
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
    };
    let ca = authority().self_signed(&ca_key).unwrap().pem();
    let other = authority().self_signed(&other_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority(), ca_key);
    let params = rcgen::CertificateParams::new(vec!["db.test".to_owned()]).unwrap();
    let certificate = params.signed_by(&server_key, &issuer).unwrap().pem();
    let server = Server::start(&Options {
        tls: Some((certificate.clone(), server_key.serialize_pem())),
        ..Options::default()
    });
    refuses_strangers(&certificate, &server_key.serialize_pem(), &ca, &issuer).await;
    let file = server.socket_folder().join("ca.pem");
    std::fs::write(&file, &ca).unwrap();
    let file = format!("?sslrootcert={}&sslmode=", file.display());
    let by_file = |mode: &str| format!("{file}{mode}");
    let (verify_ca, verify_full, require) =
        (by_file("verify-ca"), by_file("verify-full"), by_file("require"));
    let wrong_name = "certificate";
    // The URL's end, the authorities, the server's name, is any certificate good; what is said.
    let cases: &[(&str, &str, &str, bool, Option<&str>)] = &[
        ("", "", "", false, None),
        ("?sslmode=prefer", "", "", false, None),
        ("?sslmode=allow", "", "", false, None),
        ("?sslmode=require", "", "", false, None),
        ("?sslmode=disable", "", "", false, Some("28000")),
        ("?sslmode=verify-ca", "", "", false, Some(wrong_name)),
        ("?sslmode=verify-ca", &ca, "", false, None),
        ("?sslmode=verify-ca", &other, "", false, Some(wrong_name)),
        ("?sslmode=verify-ca", &certificate, "", false, None),
        ("?sslmode=require", &ca, "", false, None),
        ("?sslmode=require", &other, "", false, Some(wrong_name)),
        ("?sslmode=verify-full", &ca, "", false, Some(wrong_name)),
        ("?sslmode=verify-full", &ca, "db.test", false, None),
        ("?sslmode=verify-full", &certificate, "db.test", false, None),
        ("?sslmode=verify-full", &certificate, "other.test", false, Some(wrong_name)),
        ("?sslmode=verify-full", &other, "db.test", false, Some(wrong_name)),
        ("?sslmode=verify-full", &other, "other.test", true, None),
        ("", &ca, "db.test", false, None),
        ("", &ca, "", false, Some(wrong_name)),
        ("", &other, "db.test", false, Some(wrong_name)),
        (&verify_ca, "", "", false, None),
        (&require, "", "", false, None),
        (&verify_full, "", "", false, Some(wrong_name)),
        (&verify_full, "", "db.test", false, None),
        ("?channel_binding=require", "", "", false, None),
        ("?sslmode=require", "no PEM", "", false, Some("no PEM")),
    ];
    for (end, ca, name, skip, said) in cases {
        let mut options = settings(&format!("{}{end}", server.url("postgres")));
        options.tls = TlsMaterial {
            ca: (*ca).to_owned(),
            server_name: (*name).to_owned(),
            skip_verify: *skip,
            ..TlsMaterial::default()
        };
        let verified = match Postgresql.open(options) {
            Ok(database) => database.verify().await,
            Err(error) => Err(error),
        };
        match (verified, said) {
            (Ok(()), None) => {}
            (Err(error), Some(said)) => assert!(error.text.contains(said), "{end}: {error}"),
            (Ok(()), Some(said)) => panic!("{end} {name}: not refused: {said}"),
            (Err(error), None) => panic!("{end} {name}: {error}"),
        }
    }
}

/// A server that wants to see certificates.
async fn refuses_strangers(
    certificate: &str,
    key: &str,
    ca: &str,
    issuer: &rcgen::Issuer<'_, rcgen::KeyPair>,
) {
    let server = Server::start(&Options {
        tls: Some((certificate.to_owned(), key.to_owned())),
        clients: Some(ca.to_owned()),
        ..Options::default()
    });
    let client_key = rcgen::KeyPair::generate().unwrap();
    let mut client = rcgen::CertificateParams::new(vec!["strongroom.test".to_owned()]).unwrap();
    client.distinguished_name.push(rcgen::DnType::CommonName, "strongroom.test");
    let client = client.signed_by(&client_key, issuer).unwrap().pem();
    let key = client_key.serialize_pem();
    for (certificate, key, said) in [
        ("", "", Some("certificate")),
        (&*client, &*key, None),
        (&*client, "", Some("private key is missing")),
        ("", &*key, Some("client's certificate is missing")),
    ] {
        let mut options = settings(&server.url("postgres"));
        options.tls = TlsMaterial {
            ca: ca.to_owned(),
            certificate: certificate.to_owned(),
            private_key: secret(key),
            server_name: "db.test".to_owned(),
            skip_verify: false,
        };
        let verified = match Postgresql.open(options) {
            Ok(database) => database.verify().await,
            Err(error) => Err(error),
        };
        match (verified, said) {
            (Ok(()), None) => {}
            (Err(error), Some(said)) => assert!(error.text.contains(said), "{error}"),
            (other, said) => panic!("{other:?}, and not {said:?}"),
        }
    }
}
