//! An OpenID provider: the npm package `oidc-provider`, which is certified, in its own development
//! mode: whoever logs in is believed, and confirmed by pages with forms.

use std::path::PathBuf;

use serde_json::json;

use super::guard::{Folder, Guarded, program};

/// Who the server is to the provider.
pub const CLIENT_ID: &str = "strongroom";
/// What proves it.
pub const CLIENT_SECRET: &str = "client s+e/cret";

/// A running provider.
#[derive(Debug)]
pub struct Provider {
    _server: Guarded,
    _folder: Folder,
    /// Its name and address.
    pub issuer: String,
}

impl Provider {
    /// Starts a provider that sends browsers to these addresses, and has these groups of people.
    pub fn start(redirect_uris: &[&str], groups: &[(&str, &[&str])]) -> Self {
        let modules = std::env::var_os("STRONGROOM_TEST_NODE").expect(
            "STRONGROOM_TEST_NODE names a folder with the npm packages: run the tests by `cargo \
             xtask test`",
        );
        let folder = Folder::new();
        let script = folder.write("oidc.mjs", include_str!("oidc.mjs"));
        let groups: serde_json::Map<_, _> =
            groups.iter().map(|(name, groups)| ((*name).to_owned(), json!(groups))).collect();
        let settings = json!({
            "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "redirectUris": redirect_uris,
            "groups": groups,
        });
        let args = [
            script.display().to_string(),
            PathBuf::from(modules).display().to_string(),
            settings.to_string(),
        ];
        let node = program("node", "nodejs");
        let (server, line) = Guarded::start_saying(&node, &args, "ready: ").expect("it starts");
        let issuer = line.split_once("ready: ").map(|(_, issuer)| issuer.trim().to_owned());
        Self { _server: server, _folder: folder, issuer: issuer.expect("it says where it is") }
    }
}
