use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use strongroom_base::SecretString;

use super::*;

/// Repeatable bytes.
struct TestRng(AtomicU64);

impl Rng for TestRng {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let n = self.0.fetch_add(1, Ordering::Relaxed);
            let block = strongroom_crypto::sha256(&n.to_be_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

fn rng() -> TestRng {
    TestRng(AtomicU64::new(0))
}

const NOW: Timestamp = Timestamp(1_800_000_000 * 1_000_000_000);
const KEY: [u8; 32] = *b"the key that opens the strongroo";
const PGP_KEY: &str = include_str!("../../../../crypto/testdata/pgp/curve.pub.b64");
const PGP_FINGERPRINT: &str = "2a4f33f323eb1d40fd1af528ec5bf4cb3ffd0d15";

/// Five shares of [`KEY`], any three of which give it.
fn shares(rng: &dyn Rng) -> Vec<Vec<u8>> {
    let shares = shamir::split(&KEY, 5, 3, rng).unwrap();
    shares.iter().map(|share| share.expose_secret().clone()).collect()
}

fn share(bytes: &[u8]) -> Share {
    Share::new(SecretBytes::new(bytes.to_vec())).unwrap()
}

fn is_key(progress: Result<Progress>) -> bool {
    matches!(progress.unwrap(), Progress::Key(key) if *key.expose_secret() == KEY)
}

fn is_more(progress: Result<Progress>) -> bool {
    matches!(progress.unwrap(), Progress::More)
}

fn text<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind, strongroom_base::ErrorKind::BadRequest);
    error.public.join("; ")
}

fn later(seconds: i64) -> Timestamp {
    NOW.plus_seconds(seconds)
}

fn rekey_plan(verification: bool) -> RekeyPlan {
    RekeyPlan::new(5, 3, &[], false, verification, NOW).unwrap()
}

#[test]
fn reads_shares_in_both_encodings() {
    let bytes: Vec<u8> = (0..33).collect();
    // 24 base64 characters that are valid hex of an impossible length: 18 bytes in base64.
    let both = "00112233445566778899aabb";
    for (wire, expected) in [
        (hex::encode(&bytes), Some(bytes.clone())),
        (hex::encode(&bytes).to_uppercase(), Some(bytes.clone())),
        (STANDARD.encode(&bytes), Some(bytes.clone())),
        (hex::encode(&bytes[..16]), Some(bytes[..16].to_vec())),
        (both.to_owned(), Some(STANDARD.decode(both).unwrap())),
        (String::new(), None),
        ("not a key!".to_owned(), None),
        (hex::encode([7; 34]), None),
        (STANDARD.encode([7; 15]), None),
        (STANDARD.encode([7; 34]), None),
        ("A".repeat(SHARE_TEXT_MAX + 4), None),
    ] {
        assert_eq!(
            Share::parse(&wire).ok().map(|share| share.bytes().to_vec()),
            expected,
            "{wire}"
        );
    }
    for (wire, problem) in [
        ("", "'key' must be specified in request body as JSON"),
        ("canary!", "'key' must be a valid hex or base64 string"),
        ("Y2FuYXJ5", "key is shorter than minimum 16 bytes"),
        ("Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5", "key is longer than maximum 33 bytes"),
    ] {
        assert_eq!(text(Share::parse(wire)), problem);
    }
}

#[test]
fn unsealing_starts_by_itself_and_ends_with_the_key() {
    let rng = rng();
    let shares = shares(&rng);
    let mut unseal = Unsealing::new(Purpose::Unseal);
    let empty = json!({"t": 3, "n": 5, "progress": 0, "nonce": ""});
    assert_eq!(serde_json::to_value(unseal.status(3, 5)).unwrap(), empty);

    assert!(is_more(unseal.unseal(share(&shares[0]), 3, &rng, NOW)));
    let nonce = unseal.nonce().unwrap().to_owned();
    // The same share again is no error and counts once.
    assert!(is_more(unseal.unseal(share(&shares[0]), 3, &rng, NOW)));
    assert!(is_more(unseal.unseal(share(&shares[4]), 3, &rng, NOW)));
    assert_eq!(
        serde_json::to_value(unseal.status(3, 5)).unwrap(),
        json!({"t": 3, "n": 5, "progress": 2, "nonce": nonce})
    );
    assert!(is_key(unseal.unseal(share(&shares[2]), 3, &rng, NOW)));
    assert_eq!(serde_json::to_value(unseal.status(3, 5)).unwrap(), empty);

    // Anybody resets an unsealing; the next one has another nonce.
    assert!(is_more(unseal.unseal(share(&shares[0]), 3, &rng, NOW)));
    assert_ne!(unseal.nonce().unwrap(), nonce);
    unseal.cancel(Authority::Anyone, NOW).unwrap();
    assert_eq!(unseal.progress(), 0);
}

#[test]
fn a_single_holders_share_is_the_key() {
    let rng = rng();
    let mut unseal = Unsealing::new(Purpose::Unseal);
    assert!(is_key(unseal.unseal(share(&KEY), 1, &rng, NOW)));
    assert_eq!(unseal.progress(), 0);
}

#[test]
fn shares_that_do_not_fit_cost_the_progress() {
    let rng = rng();
    let shares = shares(&rng);
    let mut contradicting = shares[0].clone();
    contradicting[0] ^= 1;

    let mut unseal = Unsealing::new(Purpose::Unseal);
    assert!(is_more(unseal.unseal(share(&shares[0]), 2, &rng, NOW)));
    assert_eq!(
        text(unseal.unseal(share(&contradicting), 2, &rng, NOW)),
        "failed to compute combined key: duplicate part detected"
    );
    assert_eq!((unseal.progress(), unseal.nonce()), (0, None));

    let mut rekey = Rekeying::new(Purpose::Rekey);
    let nonce = rekey.start(rekey_plan(false), 2, &rng, NOW).unwrap();
    assert!(is_more(rekey.offer(&nonce, share(&shares[0]), NOW)));
    assert_eq!(
        text(rekey.offer(&nonce, share(&shares[1][..32]), NOW)),
        "failed to compute root key: all parts must be the same length"
    );
    // The operation itself stays, under its nonce.
    assert_eq!((rekey.progress(), rekey.nonce()), (0, Some(nonce.as_str())));
}

#[test]
fn a_share_counts_once_for_each_purpose() {
    let rng = rng();
    let shares = shares(&rng);
    for (purpose, repeated, not_started, started) in [
        (
            Purpose::Rekey,
            "given key has already been provided during this generation operation",
            "no barrier rekey in progress",
            "rekey already in progress",
        ),
        (
            Purpose::RecoveryRekey,
            "given key has already been provided during this rekey operation",
            "no recovery rekey in progress",
            "rekey already in progress",
        ),
        (
            Purpose::GenerateRoot,
            "given key has already been provided during this generation operation",
            "no root generation in progress",
            "root generation already in progress",
        ),
    ] {
        let mut ceremony = Ceremony::new(purpose);
        assert_eq!(text(ceremony.offer("", share(&shares[0]), NOW)), not_started);
        let nonce = ceremony.start("plan", 3, &rng, NOW).unwrap();
        assert_eq!(text(ceremony.start("other", 3, &rng, NOW)), started);
        for wrong in ["", "x", &nonce[1..], &format!("{nonce}x")] {
            assert_eq!(
                text(ceremony.offer(wrong, share(&shares[0]), NOW)),
                "incorrect nonce supplied"
            );
        }
        assert_eq!(ceremony.progress(), 0);
        assert!(is_more(ceremony.offer(&nonce, share(&shares[0]), NOW)));
        assert!(is_more(ceremony.offer(&nonce, share(&shares[1]), NOW)));
        for again in [0, 1] {
            assert_eq!(text(ceremony.offer(&nonce, share(&shares[again]), NOW)), repeated);
        }
        assert_eq!(ceremony.progress(), 2);
        assert!(is_key(ceremony.offer(&nonce, share(&shares[3]), NOW)));
        // Wiped, and to be started over if the key was a wrong one.
        assert_eq!((ceremony.progress(), ceremony.plan()), (0, Some(&"plan")));
        assert!(is_more(ceremony.offer(&nonce, share(&shares[0]), NOW)));
        assert_eq!(ceremony.finish(), Some("plan"));
        assert_eq!((ceremony.nonce(), ceremony.plan(), ceremony.progress()), (None, None, 0));
    }
}

#[test]
fn strangers_cannot_cancel_what_is_under_way_cve_2026_5807_cve_2025_52894() {
    let rng = rng();
    let shares = shares(&rng);
    let needs =
        "key shares have been provided: canceling needs the nonce of the operation or a token";
    for purpose in [Purpose::Rekey, Purpose::RecoveryRekey, Purpose::GenerateRoot] {
        let mut ceremony = Ceremony::new(purpose);
        ceremony.cancel(Authority::Anyone, NOW).unwrap();

        // Before a share was given, a started operation binds nobody.
        ceremony.start((), 3, &rng, NOW).unwrap();
        ceremony.cancel(Authority::Anyone, NOW).unwrap();
        assert_eq!(ceremony.nonce(), None);

        let nonce = ceremony.start((), 3, &rng, NOW).unwrap();
        assert!(is_more(ceremony.offer(&nonce, share(&shares[0]), later(60))));
        for (authority, problem) in [
            (Authority::Anyone, needs),
            (Authority::Nonce(""), needs),
            (Authority::Nonce("x"), "incorrect nonce supplied"),
            (Authority::Nonce(&nonce[..35]), "incorrect nonce supplied"),
        ] {
            assert_eq!(text(ceremony.cancel(authority, later(659))), problem);
            assert_eq!(text(ceremony.start((), 3, &rng, NOW)), purpose.already_started());
            assert_eq!(ceremony.progress(), 1);
        }
        ceremony.cancel(Authority::Nonce(&nonce), later(61)).unwrap();
        assert_eq!((ceremony.nonce(), ceremony.progress()), (None, 0));

        let nonce = ceremony.start((), 3, &rng, NOW).unwrap();
        assert!(is_more(ceremony.offer(&nonce, share(&shares[0]), NOW)));
        ceremony.cancel(Authority::Token, NOW).unwrap();
        assert_eq!(ceremony.nonce(), None);

        // An operation that nobody goes on with blocks nobody: ten minutes after the last share.
        let nonce = ceremony.start((), 3, &rng, NOW).unwrap();
        assert!(is_more(ceremony.offer(&nonce, share(&shares[0]), later(500))));
        assert!(ceremony.cancel(Authority::Anyone, later(1099)).is_err());
        ceremony.cancel(Authority::Anyone, later(1100)).unwrap();
        assert_eq!(ceremony.nonce(), None);
    }
}

#[test]
fn new_shares_can_be_required_to_be_shown_back() {
    let rng = rng();
    let old = shares(&rng);
    let mut rekey = Rekeying::new(Purpose::Rekey);
    assert_eq!(text(rekey.verify_status()), "no rekey configuration found");
    assert_eq!(text(rekey.verify("", share(&old[0]), &rng, NOW)), "no rekey in progress");

    let nonce = rekey.start(rekey_plan(true), 3, &rng, NOW).unwrap();
    assert_eq!(
        text(rekey.verify("", share(&old[0]), &rng, NOW)),
        "no rekey verification in progress"
    );
    for given in &old[..2] {
        assert!(is_more(rekey.offer(&nonce, share(given), NOW)));
    }
    assert!(is_key(rekey.offer(&nonce, share(&old[2]), NOW)));

    let new_key = SecretBytes::new(vec![9; 32]);
    let out = rekey.plan().unwrap().shares.hand_out(&new_key, &rng).unwrap();
    let new: Vec<Vec<u8>> = out.shares.iter().map(|s| s.expose_secret().clone()).collect();
    assert_eq!(new.len(), 5);
    let verification = rekey.verify_before_use(new_key, &rng, NOW).unwrap();
    assert_ne!(verification, nonce);
    assert!(rekey.verifying());
    assert_eq!(
        serde_json::to_value(rekey.verify_status().unwrap()).unwrap(),
        json!({"nonce": verification, "started": true, "t": 3, "n": 5, "progress": 0})
    );
    assert_eq!(
        text(rekey.offer(&nonce, share(&old[3]), NOW)),
        "rekey operation already finished; verification must be performed"
    );
    // The old shares were given: strangers may not undo it.
    assert!(rekey.cancel(Authority::Anyone, NOW).is_err());

    // The old shares are not the new ones; the failure costs progress and nonce.
    for given in &old[..2] {
        assert!(is_more(rekey.verify(&verification, share(given), &rng, NOW)));
    }
    assert_eq!(
        text(rekey.verify(&verification, share(&old[1]), &rng, NOW)),
        "given key has already been provided during this verify operation"
    );
    assert_eq!(
        text(rekey.verify(&verification, share(&old[2]), &rng, NOW)),
        "rekey verification failed; incorrect key shares supplied"
    );
    assert_eq!(
        text(rekey.verify(&verification, share(&new[0]), &rng, NOW)),
        "incorrect nonce supplied"
    );
    let verification = rekey.verify_status().unwrap().nonce;

    // A restart before a new share was shown is free, later it needs authority.
    rekey.restart_verification(Authority::Anyone, &rng, NOW).unwrap();
    let restarted = rekey.verify_status().unwrap().nonce;
    assert_ne!(restarted, verification);
    assert!(is_more(rekey.verify(&restarted, share(&new[0]), &rng, NOW)));
    for authority in [Authority::Anyone, Authority::Nonce(""), Authority::Nonce(&nonce)] {
        assert!(rekey.restart_verification(authority, &rng, NOW).is_err());
        assert_eq!(rekey.verify_status().unwrap().progress, 1);
    }
    rekey.restart_verification(Authority::Nonce(&restarted), &rng, NOW).unwrap();
    let verification = rekey.verify_status().unwrap().nonce;
    assert_eq!(rekey.verify_status().unwrap().progress, 0);

    for at in [4, 1] {
        assert!(is_more(rekey.verify(&verification, share(&new[at]), &rng, NOW)));
    }
    match rekey.verify(&verification, share(&new[3]), &rng, NOW).unwrap() {
        Progress::Key(key) => assert_eq!(*key.expose_secret(), [9; 32]),
        Progress::More => panic!("three of three"),
    }
    assert!(rekey.finish().unwrap().verification_required);
    assert!(!rekey.verifying());
}

#[test]
fn plans_are_refused_in_vaults_words() {
    let pgp = |n: usize| vec![PGP_KEY.to_owned(); n];
    for (n, t, keys, problem) in [
        (0, 1, 0, "shares must be at least one"),
        (-1, 1, 0, "shares must be at least one"),
        (1, 0, 0, "threshold must be at least one"),
        (2, 1, 0, "threshold must be greater than one for multiple shares"),
        (256, 2, 0, "shares must be less than 256"),
        (i64::MAX, 2, 0, "shares must be less than 256"),
        (255, 256, 0, "threshold must be less than 256"),
        (3, 4, 0, "threshold cannot be larger than shares"),
        (1, 2, 0, "threshold cannot be larger than shares"),
        (3, 2, 2, "count mismatch between number of provided PGP keys and number of shares"),
    ] {
        assert_eq!(text(SharePlan::new(n, t, &pgp(keys), NOW)), problem, "{n} {t}");
    }
    for (n, t) in [(1, 1), (2, 2), (255, 2), (255, 255)] {
        let plan = SharePlan::new(n, t, &[], NOW).unwrap();
        let out = plan.hand_out(&SecretBytes::new(KEY.to_vec()), &rng()).unwrap();
        assert_eq!(out.shares.len(), usize::try_from(n).unwrap());
        assert!(out.fingerprints.is_none());
    }
    assert_eq!(
        text(RekeyPlan::new(3, 4, &[], false, false, NOW)),
        "invalid rekey seal configuration: threshold cannot be larger than shares"
    );
    assert_eq!(
        text(RekeyPlan::new(3, 2, &[], true, false, NOW)),
        "cannot request a backup of the new keys without providing PGP keys for encryption"
    );
    assert_eq!(
        text(RekeyPlan::new(3, 2, &pgp(2), false, false, NOW)),
        "incorrect number of PGP keys for rekey"
    );
}

#[test]
fn the_answers_of_a_rekey() {
    let rng = rng();
    let shares = shares(&rng);
    let mut rekey = Rekeying::new(Purpose::Rekey);
    assert_eq!(
        serde_json::to_value(rekey.status(3)).unwrap(),
        json!({
            "nonce": "", "started": false, "t": 0, "n": 0, "progress": 0, "required": 3,
            "pgp_fingerprints": null, "backup": false, "verification_required": false,
        })
    );
    let keys = vec![PGP_KEY.to_owned(); 2];
    let plan = RekeyPlan::new(2, 2, &keys, true, true, NOW).unwrap();
    let nonce = rekey.start(plan, 3, &rng, NOW).unwrap();
    assert!(is_more(rekey.offer(&nonce, share(&shares[0]), NOW)));
    let mut status = rekey.status(3);
    assert_eq!(
        serde_json::to_value(&status).unwrap(),
        json!({
            "nonce": nonce, "started": true, "t": 2, "n": 2, "progress": 1, "required": 3,
            "pgp_fingerprints": [PGP_FINGERPRINT, PGP_FINGERPRINT], "backup": true,
            "verification_required": true,
        })
    );
    status.withhold_nonce();
    assert_eq!((status.nonce.as_str(), status.progress), ("", 1));

    let new_key = SecretBytes::new(vec![9; 32]);
    let out = rekey.plan().unwrap().shares.hand_out(&new_key, &rng).unwrap();
    let verification = rekey.verify_before_use(new_key, &rng, NOW).unwrap();
    let update = RekeyUpdate::new(&nonce, rekey.plan().unwrap(), &out, &verification);
    let update = serde_json::to_value(&update).unwrap();
    let names: Vec<&str> = update.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "nonce",
            "complete",
            "keys",
            "keys_base64",
            "pgp_fingerprints",
            "backup",
            "verification_required",
            "verification_nonce",
        ]
    );
    assert_eq!(update["complete"], true);
    for at in 0..2 {
        let hex = hex::decode(update["keys"][at].as_str().unwrap()).unwrap();
        let base64 = STANDARD.decode(update["keys_base64"][at].as_str().unwrap()).unwrap();
        assert_eq!(hex, base64);
        assert_eq!(hex[..], out.shares[at].expose_secret()[..]);
        assert!(hex.len() > 100, "an OpenPGP message, not a share");
    }
    assert_eq!(rekey.status(3).verification_nonce, verification);
    let mut status = rekey.status(3);
    status.withhold_nonce();
    assert_eq!((status.nonce, status.verification_nonce), (String::new(), String::new()));

    let done = RekeyVerifyUpdate { nonce: "n".to_owned(), complete: true };
    assert_eq!(serde_json::to_value(done).unwrap(), json!({"nonce": "n", "complete": true}));
}

#[test]
fn the_answers_of_a_root_generation() {
    let rng = rng();
    let shares = shares(&rng);
    let mut root = RootGeneration::new(Purpose::GenerateRoot);
    let idle = json!({
        "nonce": "", "started": false, "progress": 0, "required": 3, "complete": false,
        "encoded_token": "", "encoded_root_token": "", "pgp_fingerprint": "", "otp": "",
        "otp_length": 28,
    });
    assert_eq!(serde_json::to_value(root.status(3, 28)).unwrap(), idle);

    let plan = RootPlan::new("", "", 28, &rng, NOW).unwrap();
    let otp = plan.otp().unwrap().expose_secret().clone();
    assert_eq!(otp.len(), 28);
    let nonce = root.start(plan, 3, &rng, NOW).unwrap();
    // The status never shows the pad; only the starter's answer gets it.
    assert_eq!(root.status(3, 28).otp, "");
    for given in &shares[..2] {
        assert!(is_more(root.offer(&nonce, share(given), NOW)));
    }
    let mut status = root.status(3, 0);
    assert_eq!((status.nonce.as_str(), status.progress, status.started), (&*nonce, 2, true));
    status.withhold_nonce();
    assert_eq!(status.nonce, "");
    assert!(is_key(root.offer(&nonce, share(&shares[2]), NOW)));

    let plan = root.finish().unwrap();
    let token = SecretString::new("hvs.0123456789abcdefghijklmn".to_owned());
    let encoded = plan.encode(&token, &rng).unwrap();
    let done = GenerateRootStatus::finished(&nonce, 3, &plan, &encoded);
    assert_eq!((done.progress, done.complete, done.started), (3, true, true));
    assert_eq!(done.encoded_token, done.encoded_root_token);
    let decoded = strongroom_crypto::otp::decode_token(&done.encoded_token, otp.as_bytes());
    assert_eq!(decoded.unwrap().expose_secret(), token.expose_secret().as_bytes());
}

#[test]
fn whom_a_root_token_goes_to() {
    let rng = rng();
    let given = "a".repeat(28);
    let plan = RootPlan::new(&given, "", 28, &rng, NOW).unwrap();
    assert_eq!((plan.otp().unwrap().expose_secret(), plan.fingerprint()), (&given, String::new()));
    for bad in ["a".repeat(27), "a".repeat(29)] {
        assert_eq!(text(RootPlan::new(&bad, "", 28, &rng, NOW)), "OTP string has incorrect length");
    }
    let plan = RootPlan::new("", PGP_KEY, 28, &rng, NOW).unwrap();
    assert!(plan.otp().is_none());
    assert_eq!(plan.fingerprint(), PGP_FINGERPRINT);
    let encoded = plan.encode(&SecretString::new("hvs.x".to_owned()), &rng).unwrap();
    assert!(!encoded.expose_secret().contains("hvs."));
    assert!(RootPlan::new("", "AAAA", 28, &rng, NOW).is_err());
}

#[test]
fn nothing_secret_is_in_debug() {
    let rng = rng();
    let shares = shares(&rng);
    let mut rekey = Rekeying::new(Purpose::Rekey);
    let nonce = rekey.start(rekey_plan(true), 3, &rng, NOW).unwrap();
    assert!(is_more(rekey.offer(&nonce, share(&shares[0]), NOW)));
    let shown = format!("{rekey:?}");
    let number_list = format!("{:?}", shares[0]);
    assert!(!shown.contains(&number_list[1..40]), "{shown}");
    assert!(!shown.contains(&hex::encode(&shares[0])));
    let root = RootPlan::new(&"canary-".repeat(4), "", 28, &rng, NOW).unwrap();
    assert!(!format!("{root:?}").contains("canary"));
}
