//! Recovery shares beside an automatic seal: they open the store, unless the configuration says no.

use serde_json::json;

use crate::product::{self, Server};

#[test]
fn recovery_shares_open_the_store_unless_the_configuration_forbids_it() {
    for (opens, status) in [(true, 200), (false, 400)] {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = product::settings(folder.path());
        settings["seal"] =
            json!({"static": {"current_key_id": "1", "current_key": "5a".repeat(32)}});
        settings["strongroom"] = json!({ "recovery_opens": opens });
        let server = Server::start(folder.path(), &settings);
        let plan = json!({"recovery_shares": 1, "recovery_threshold": 1});
        let made = server.must("PUT", "sys/init", "", &plan);
        let root = made["root_token"].as_str().unwrap();
        let key = json!({ "key": made["recovery_keys"][0] });
        server.must("PUT", "sys/seal", root, &json!({}));
        let answer = server.ask("PUT", "sys/unseal", "", &key);
        assert_eq!(answer.status, status, "{}", answer.body);
        let sealed = server.must("GET", "sys/seal-status", "", &json!({}));
        assert_eq!(sealed["sealed"], !opens, "{sealed}");
        assert_eq!(sealed["recovery_seal_type"], "shamir", "{sealed}");
        server.stop();
    }
}
