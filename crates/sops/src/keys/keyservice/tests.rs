//! Our client against our server, over both kinds of sockets. That the original understands both is
//! a product test.

use std::sync::Arc;

use super::super::aws::testing::{VARIABLES, answer, arn};
use super::super::testing::{Says, machine};
use super::super::{Keys, Machine, Order, data_key};
use super::{Listener, serve};
use crate::keys::DataKey;
use crate::metadata::{AgeKey, AzureKvKey, GcpKmsKey, HcKmsKey, HcVaultKey};
use crate::metadata::{KeyEntry, KeyGroup, KmsKey, Metadata, PgpKey};

/// Runs `work` with the URI of a service that has the keys of `server`.
fn beside(server: &Arc<Machine>, network: &str, prompt: bool, work: impl FnOnce(&str)) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sops.sock").display().to_string();
    let address = if network == "unix" { socket.as_str() } else { "127.0.0.1:0" };
    let listener = Listener::bind(network, address, server).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(|| serve(server, &listener, prompt, stopped).unwrap());
        work(&listener.shown);
        drop(stop);
    });
    drop(listener);
    assert!(network != "unix" || !std::path::Path::new(&socket).exists(), "the socket is gone");
}

fn client(uri: &str) -> Keys {
    let machine = machine(&[]).build();
    let (keys, wrong) = Keys::with_services(machine, Order::default(), false, &[uri.to_owned()]);
    assert!(wrong.is_empty());
    keys
}

fn kms(name: &str) -> KeyEntry {
    let context = vec![("a".to_owned(), "b".to_owned())];
    KeyEntry::Kms(KmsKey { arn: arn("eu-west-1", name), context, ..KmsKey::default() })
}

#[test]
fn who_has_no_keys_asks_who_has() {
    let server = machine(&VARIABLES).web(answer).build();
    for network in ["tcp", "unix"] {
        beside(&server, network, false, |uri| {
            let keys = client(uri);
            let made = DataKey::generate(&*keys.machine.rng);
            let mut groups = vec![KeyGroup(vec![kms("1")])];
            data_key::wrap(&made, &mut groups, 0, &keys).unwrap();
            let metadata = Metadata { key_groups: groups, ..Metadata::default() };
            assert_eq!(data_key::recover(&metadata, &keys).unwrap().bytes(), made.bytes());
            // What the service wrapped is the same as what its keys wrap at home.
            let at_home = Keys::local(server.clone());
            assert_eq!(data_key::recover(&metadata, &at_home).unwrap().bytes(), made.bytes());
        });
    }
}

#[test]
fn failures_come_over_with_their_words() {
    let server = machine(&VARIABLES).web(answer).build();
    beside(&server, "tcp", false, |uri| {
        let keys = client(uri);
        let mut groups = [KeyGroup(vec![kms("denied")])];
        let made = DataKey::generate(&*keys.machine.rng);
        let error = data_key::wrap(&made, &mut groups, 0, &keys).unwrap_err();
        assert!(
            error.text.ends_with(
                "rpc error: code = Unknown desc = failed to encrypt sops data key with AWS KMS: \
                 HTTP status 400: AccessDeniedException: User is not authorized"
            ),
            "{error}"
        );
    });
}

#[test]
fn a_person_decides_before_anything_is_done() {
    for (answers, good) in [(vec!["y"], true), (vec!["what?", "y"], true), (vec!["n"], false)] {
        let person = Says::new(answers);
        let asked = person.clone();
        let server = machine(&VARIABLES).person(person).web(move |call| {
            assert!(good, "nothing was asked of AWS");
            answer(call)
        });
        beside(&server.build(), "unix", true, |uri| {
            let keys = client(uri);
            let made = DataKey::generate(&*keys.machine.rng);
            let outcome = data_key::wrap(&made, &mut [KeyGroup(vec![kms("1")])], 0, &keys);
            assert_eq!(outcome.is_ok(), good);
            if let Err(error) = outcome {
                assert!(error.text.contains("PermissionDenied desc = Request rejected by user"));
            }
        });
        let question = &asked.1.lock().unwrap()[0];
        let arn = arn("eu-west-1", "1");
        assert_eq!(
            *question,
            format!(
                "\nReceived encrypt request using AWS KMS key with ARN {arn}|a:b. Respond to \
                 request? (y/n): "
            )
        );
    }
}

#[test]
fn a_service_that_is_not_there_is_a_failure() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let keys = client(&format!("tcp://{gone}"));
    let made = DataKey::generate(&*keys.machine.rng);
    let error = data_key::wrap(&made, &mut [KeyGroup(vec![kms("1")])], 0, &keys).unwrap_err();
    let told = format!(
        "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while \
         dialing: dial tcp {gone}: connect: connection refused\""
    );
    assert!(error.text.contains(&told), "{error}");
}

#[test]
fn a_socket_is_for_its_owner_and_is_not_taken_from_another() {
    use std::os::unix::fs::PermissionsExt;
    let machine = machine(&[]).build();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sops.sock");
    let path = socket.display().to_string();
    let first = Listener::bind("unix", &path, &machine).unwrap();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let again = Listener::bind("unix", &path, &machine).map(drop).unwrap_err();
    assert!(again.0.to_lowercase().contains("in use"), "{again}");
    assert_eq!(first.others(), None);
    // It was made where nobody else comes, and that place is gone.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(socket.exists(), "the first one's socket stays");
    drop(first);
    assert!(Listener::bind("udp", "127.0.0.1:0", &machine).is_err());
}

#[test]
fn every_kind_of_key_goes_there_and_comes_back() {
    use super::messages::Key;
    use prost::Message;
    let text = |text: &str| text.to_owned();
    for entry in [
        KeyEntry::Kms(KmsKey {
            arn: text("arn"),
            role: text("role"),
            context: vec![(text("a"), text("1")), (text("b"), text("2"))],
            aws_profile: text("profile"),
            ..KmsKey::default()
        }),
        KeyEntry::Pgp(PgpKey { fp: text("fp"), ..PgpKey::default() }),
        KeyEntry::GcpKms(GcpKmsKey { resource_id: text("id"), ..GcpKmsKey::default() }),
        KeyEntry::AzureKv(AzureKvKey {
            vault_url: text("url"),
            name: text("name"),
            version: text("1"),
            ..AzureKvKey::default()
        }),
        KeyEntry::HcVault(HcVaultKey {
            vault_address: text("address"),
            engine_path: text("path"),
            key_name: text("key"),
            ..HcVaultKey::default()
        }),
        KeyEntry::Age(AgeKey { recipient: text("age1"), ..AgeKey::default() }),
        KeyEntry::HcKms(HcKmsKey { key_id: text("id"), ..HcKmsKey::default() }),
    ] {
        let bytes = Key::from(&entry).encode_to_vec();
        let back = Key::decode(bytes.as_slice()).unwrap().kind.map(KeyEntry::from);
        assert_eq!(back, Some(entry));
    }
    // As its message stands on the wire: field 6 of the key, field 1 of that.
    let age = KeyEntry::Age(AgeKey { recipient: text("age1"), ..AgeKey::default() });
    assert_eq!(Key::from(&age).encode_to_vec(), b"\x32\x06\x0a\x04age1");
}
