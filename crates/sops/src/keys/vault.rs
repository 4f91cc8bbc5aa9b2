//! The transit engine of Vault, or of this project's server.
//!
//! The server is the one that the record names, and the token is the user's: a file of somebody else
//! could name a server that collects tokens. `SOPS_HC_VAULT_ALLOWLIST` limits which servers are asked;
//! without it, a command that Git calls by itself asks the environment's server only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_base::json::{Json, JsonMap};
use strongroom_base::{Secret, SecretBytes};
use strongroom_client::{Client, Config, Environment, Request, TokenStore, join_path};
use zeroize::Zeroizing;

use super::{Failure, Machine, MasterKey};
use crate::metadata::HcVaultKey;

impl MasterKey for HcVaultKey {
    fn shown(&self) -> String {
        format!("{}/v1/{}/keys/{}", self.vault_address, self.engine_path, self.key_name)
    }

    fn encrypt(&self, part: &SecretBytes, machine: &Machine) -> Result<String, Failure> {
        let path = join_path(&[&self.engine_path, "encrypt", &self.key_name]);
        let failed = |failure: Failure| {
            failure.within(format!(
                "failed to encrypt sops data key to Vault transit backend '{path}'"
            ))
        };
        let plaintext = STANDARD.encode(part.expose_secret());
        let body = serde_json::json!({ "plaintext": plaintext });
        let answer = self.ask(&path, body, machine).map_err(failed)?;
        match answer.get("ciphertext").and_then(Json::as_str) {
            Some(ciphertext) => Ok(ciphertext.to_owned()),
            None => Err(failed(Failure::new("no encrypted data"))),
        }
    }

    fn decrypt(&self, enc: &str, machine: &Machine) -> Result<SecretBytes, Failure> {
        let path = join_path(&[&self.engine_path, "decrypt", &self.key_name]);
        let failed = |failure: Failure| {
            failure.within(format!(
                "failed to decrypt sops data key from Vault transit backend '{path}'"
            ))
        };
        let body = serde_json::json!({ "ciphertext": enc });
        let mut answer = self.ask(&path, body, machine).map_err(failed)?;
        let plaintext = match answer.get_mut("plaintext").map(Json::take) {
            Some(Json::String(text)) => Zeroizing::new(text),
            _ => return Err(failed(Failure::new("no decrypted data"))),
        };
        STANDARD
            .decode(&*plaintext)
            .map(Secret::new)
            .map_err(|_| failed(Failure::new("cannot decode base64 plaintext into data key bytes")))
    }
}

impl HcVaultKey {
    /// May a server be asked that nobody but a file named?
    fn allowed_unattended(&self, machine: &Machine) -> Result<(), Failure> {
        let address = self.vault_address.trim_end_matches('/');
        if address == usual_address(machine).trim_end_matches('/') {
            return Ok(());
        }
        if machine.filled("SOPS_HC_VAULT_ALLOWLIST").is_none() {
            return Err(Failure::new(format!(
                "{address} is not the server of VAULT_ADDR, and Git's own calls ask others only if \
                 SOPS_HC_VAULT_ALLOWLIST names them"
            )));
        }
        match address.starts_with("https://") || is_loopback(address) {
            true => Ok(()),
            false => Err(Failure::new(format!("{address} would get a token without TLS"))),
        }
    }

    /// Sends `body` to `path`, and gives the answer's data.
    fn ask(&self, path: &str, mut body: Json, machine: &Machine) -> Result<JsonMap, Failure> {
        allowed(&self.vault_address, machine.filled("SOPS_HC_VAULT_ALLOWLIST"))?;
        if machine.is_unattended() {
            self.allowed_unattended(machine)?;
        }
        let client = client(Some(&self.vault_address), machine)?;
        let request = Request::put(path, body.take());
        let reply = machine.wait(client.send(request))?.and_then(strongroom_client::Reply::written);
        let envelope = reply.map_err(|error| Failure::new(error.to_string()))?;
        let data = envelope.and_then(|envelope| envelope.data);
        data.ok_or_else(|| Failure::new("transit backend is empty"))
    }
}

/// A client of the server at `address`, or of the environment's, with the user's token.
pub(crate) fn client(address: Option<&str>, machine: &Machine) -> Result<Client, Failure> {
    let failed = |error: strongroom_client::Error| {
        Failure::new(format!("cannot create Vault client: {error}"))
    };
    let lookup = |name: &str| machine.variable(name).map(str::to_owned);
    let env = Environment::new(&lookup);
    let mut config = Config::from_environment(&env).map_err(failed)?;
    if let Some(address) = address {
        address.clone_into(&mut config.address);
    }
    if config.token.is_none() {
        let home = machine.home();
        let store = TokenStore::find(&env, home.as_deref(), &config.address);
        config.token = store
            .and_then(|store| store.load())
            .map_err(|error| Failure::new(format!("cannot get Vault token: {error}")))?;
    }
    Client::new(config).map_err(failed)
}

/// Is an `http://` address this machine's own?
fn is_loopback(address: &str) -> bool {
    let authority = address.strip_prefix("http://").unwrap_or_default();
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    // Before an `@` stands a user, behind it the host.
    if authority.contains(['@', '\\']) {
        return false;
    }
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_loopback())
}

/// The server that the environment names.
pub(crate) fn usual_address(machine: &Machine) -> String {
    let lookup = |name: &str| machine.variable(name).map(str::to_owned);
    let config = Config::from_environment(&Environment::new(&lookup)).unwrap_or_default();
    config.address
}

/// May this server be asked? A file names no sockets of this machine. `all` (the default), `none`, or the beginnings of addresses, separated by
/// commas and taken by whole parts of a path.
fn allowed(address: &str, list: Option<&str>) -> Result<(), Failure> {
    if !address.starts_with("https://") && !address.starts_with("http://") {
        return Err(Failure::new(format!("{address:?} is no http or https URL")));
    }
    let refused = || Err(Failure::new(format!("Allowlist does not allow {address}")));
    let list = match list {
        None | Some("all") => return Ok(()),
        Some("none") => return refused(),
        Some(list) => list,
    };
    let ended = |text: &str| if text.ends_with('/') { text.to_owned() } else { format!("{text}/") };
    let address_ended = ended(address);
    let mut found = false;
    for (at, entry) in list.split(',').enumerate() {
        let entry = entry.trim_matches(' ');
        if entry.is_empty() {
            let at = at + 1;
            return Err(Failure::new(format!("SOPS_HC_VAULT_ALLOWLIST's entry {at} is empty")));
        }
        found |= address_ended.starts_with(&ended(entry));
    }
    if found { Ok(()) } else { refused() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_calls_sends_a_token_only_where_the_user_said() {
        use crate::keys::testing::machine;
        let allowlist = |list: Option<&'static str>| {
            let mut variables =
                vec![("VAULT_ADDR", "https://ours.example:8200"), ("VAULT_TOKEN", "t")];
            variables.extend(list.map(|list| ("SOPS_HC_VAULT_ALLOWLIST", list)));
            let machine = std::sync::Arc::into_inner(machine(&variables).build()).unwrap();
            machine.unattended()
        };
        for (list, address, good) in [
            (None, "https://ours.example:8200", true),
            (None, "https://ours.example:8200/", true),
            (None, "https://theirs.example:8200", false),
            (None, "https://ours.example:8200.theirs.example", false),
            (None, "http://127.0.0.1:8200", false),
            (Some("all"), "https://theirs.example", true),
            (Some("all"), "http://theirs.example", false),
            (Some("all"), "http://127.0.0.1@theirs.example", false),
            (Some("all"), "http://127.0.0.1:80@theirs.example", false),
            (Some("http://127.0.0.1:8200"), "http://127.0.0.1:8200", true),
            (Some("all"), "http://[::1]:8200", true),
            (Some("all"), "http://localhost", true),
        ] {
            let key = HcVaultKey { vault_address: address.to_owned(), ..HcVaultKey::default() };
            let done = key.allowed_unattended(&allowlist(list));
            assert_eq!(done.is_ok(), good, "{list:?} {address}");
        }
        // And it is asked before anything is sent.
        let key = HcVaultKey {
            vault_address: "https://theirs.example".to_owned(),
            engine_path: "transit".to_owned(),
            key_name: "k".to_owned(),
            ..HcVaultKey::default()
        };
        let told = key.decrypt("vault:v1:x", &allowlist(None)).unwrap_err();
        assert!(told.0.contains("is not the server of VAULT_ADDR"), "{told}");
    }

    #[test]
    fn only_servers_of_the_list_are_asked() {
        for (list, good) in [
            (None, true),
            (Some("all"), true),
            (Some("none"), false),
            (Some("https://vault.example:8200"), true),
            (Some("https://vault.example:8200/"), true),
            (Some("https://other, https://vault.example:8200"), true),
            (Some("https://vault.example:820"), false),
            (Some("https://vault.example:8200/v1"), false),
            (Some("https://other"), false),
            (Some("https://vault.example:8200,"), false),
            (Some(","), false),
        ] {
            assert_eq!(allowed("https://vault.example:8200", list).is_ok(), good, "{list:?}");
        }
        assert!(allowed("unix:///run/vault.sock", None).is_err());
        // What only begins alike is another host.
        assert!(allowed("https://vault.example.evil", Some("https://vault.example")).is_err());
    }
}
