//! Keys of our own server's transit engine, and files published to its key-value engine.

use super::{Desk, PLAIN, Whose};
use crate::live::Dev;

/// A server with a key, and a desk whose token may use it.
pub fn with_key() -> (Dev, Desk, String) {
    let dev = Dev::start();
    dev.ok(&["secrets", "enable", "transit"]);
    dev.ok(&["write", "-f", "transit/keys/sops"]);
    let uri = format!("{}/v1/transit/keys/sops", dev.address());
    let desk = Desk::new().with("VAULT_TOKEN", "root").with("VAULT_ADDR", dev.address());
    (dev, desk, uri)
}

#[test]
fn transit_keys_go_both_ways() {
    let (dev, desk, uri) = with_key();
    desk.goes_both_ways(&["--hc-vault-transit", &uri]);
    // A rotated key still unwraps what was wrapped before.
    dev.ok(&["write", "-f", "transit/keys/sops/rotate"]);
    for whose in [Whose::Ours, Whose::Original] {
        assert_eq!(desk.ok(whose, &["decrypt", "secret.yaml"]), PLAIN);
    }
}

#[test]
fn the_token_is_read_from_its_file_and_sent_to_servers_of_the_list_only() {
    let (dev, desk, uri) = with_key();
    desk.encrypt(Whose::Ours, &["--hc-vault-transit", &uri], "secret.yaml");
    let without = Desk::new();
    std::fs::copy(desk.path("secret.yaml"), without.path("secret.yaml")).unwrap();
    for whose in [Whose::Ours, Whose::Original] {
        let told = without.refused(whose, &["decrypt", "secret.yaml"], 128);
        assert!(told.contains("403") || told.contains("denied"), "{whose:?}: {told}");
    }
    without.write(".vault-token", "root\n");
    assert_eq!(without.ok(Whose::Ours, &["decrypt", "secret.yaml"]), PLAIN);
    for (list, code) in [
        (dev.address(), 0),
        ("all", 0),
        ("none", 128),
        ("https://vault.example", 128),
        (dev.address().trim_end_matches(|c: char| c.is_ascii_digit()), 128),
    ] {
        for whose in [Whose::Ours, Whose::Original] {
            let mut sops = without.sops(whose);
            sops.args(["decrypt", "secret.yaml"]).env("SOPS_HC_VAULT_ALLOWLIST", list);
            let done = sops.output().unwrap();
            assert_eq!(done.status.code(), Some(code), "{whose:?} {list}");
        }
    }
}

#[test]
fn values_are_published_to_the_key_value_engine() {
    let (dev, desk, uri) = with_key();
    dev.ok(&["secrets", "enable", "-path=plain", "kv"]);
    desk.write(
        ".sops.yaml",
        "destination_rules:\n- path_regex: v1\n  vault_path: app\n  vault_kv_mount_name: plain\n  \
         vault_kv_version: 1\n- vault_path: team/app/\n  omit_extensions: true\n",
    );
    desk.write("plain.yaml", "password: hunter2\nport: 5432\nnested:\n    on: true\n");
    desk.encrypt(Whose::Ours, &["--hc-vault-transit", &uri], "v2.yaml");
    desk.encrypt(Whose::Ours, &["--hc-vault-transit", &uri], "v1.yaml");
    desk.ok(Whose::Ours, &["publish", "-y", "v2.yaml"]);
    assert_eq!(dev.ok(&["kv", "get", "-field=password", "secret/team/app/v2"]), "hunter2");
    let json = dev.ok(&["kv", "get", "-format=json", "secret/team/app/v2"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let values = serde_json::json!({"password": "hunter2", "port": 5432, "nested": {"on": true}});
    assert_eq!(json["data"]["data"], values);
    // What is there already is not written again.
    desk.ok(Whose::Ours, &["publish", "-y", "v2.yaml"]);
    let version = |json: &str| {
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        json["data"]["current_version"].clone()
    };
    let metadata = ["kv", "metadata", "get", "-format=json", "secret/team/app/v2"];
    assert_eq!(version(&dev.ok(&metadata)), 1);
    desk.ok(Whose::Ours, &["publish", "-y", "v1.yaml"]);
    assert_eq!(dev.ok(&["kv", "get", "-field=password", "plain/app/v1.yaml"]), "hunter2");
    // What the original publishes is the same (it writes again: to it, numbers are never equal).
    desk.ok(Whose::Original, &["publish", "-y", "v2.yaml"]);
    assert_eq!(version(&dev.ok(&metadata)), 2);
    desk.ok(Whose::Ours, &["publish", "-y", "v2.yaml"]);
    assert_eq!(version(&dev.ok(&metadata)), 2);
}
