//! How to reach a server, and how the environment says so.

use std::path::PathBuf;
use std::time::Duration;

use strongroom_base::{SecretString, duration::parse_duration_nanos};

use crate::error::Error;
use crate::limits;

/// Looks variables up under three prefixes: `STRONGROOM_ADDR` wins over `BAO_ADDR`, that over
/// `VAULT_ADDR`. An empty variable counts as unset.
pub struct Environment<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

/// The prefixes, the strongest first.
const PREFIXES: [&str; 3] = ["STRONGROOM_", "BAO_", "VAULT_"];

impl<'a> Environment<'a> {
    /// An environment behind a look-up function.
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup }
    }

    /// The value of a variable, by its name without prefix.
    pub fn get(&self, name: &str) -> Option<String> {
        self.find(name).map(|(_, value)| value)
    }

    /// A variable outside the three families, by its whole name.
    pub fn plain(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    /// The whole name of the variable that is set, and its value.
    pub fn find(&self, name: &str) -> Option<(String, String)> {
        PREFIXES.iter().find_map(|prefix| {
            let full = format!("{prefix}{name}");
            let value = (self.lookup)(&full).filter(|value| !value.is_empty())?;
            Some((full, value))
        })
    }

    fn bool(&self, name: &str) -> Result<bool, Error> {
        match self.find(name) {
            None => Ok(false),
            Some((full, value)) => parse_bool(&value)
                .ok_or_else(|| Error::Config(format!("could not parse {full}: not a boolean"))),
        }
    }
}

/// Reads a boolean as Go does.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A namespace as it goes into the header: no leading slash, one at the end; root is empty.
pub fn canonical_namespace(text: &str) -> String {
    let name = text.trim().trim_matches('/');
    if name.is_empty() || name == "root" { String::new() } else { format!("{name}/") }
}

/// How to reach a server.
pub struct Config {
    /// `http://`, `https://` or `unix://`.
    pub address: String,
    /// The token that goes with each request.
    pub token: Option<SecretString>,
    /// The namespace requests act in.
    pub namespace: String,
    /// A file of CA certificates that the server's certificate must lead to.
    pub ca_cert: Option<PathBuf>,
    /// The same as PEM text.
    pub ca_cert_pem: Option<String>,
    /// A folder of such files.
    pub ca_path: Option<PathBuf>,
    /// The certificate to present.
    pub client_cert: Option<PathBuf>,
    /// Its key.
    pub client_key: Option<PathBuf>,
    /// The certificate to present as PEM text.
    pub client_cert_pem: Option<String>,
    /// Its key as PEM text.
    pub client_key_pem: Option<SecretString>,
    /// The name to ask for and to expect in the server's certificate.
    pub tls_server_name: Option<String>,
    /// Takes any certificate.
    pub danger_skip_verify: bool,
    /// How long one request may take; zero for no limit.
    pub timeout: Duration,
    /// How often a failed request is sent again.
    pub max_retries: u32,
    /// The shortest pause before a second attempt; later ones are longer.
    pub retry_wait: Duration,
    /// Spreads the pauses of many clients; any number that differs between them.
    pub jitter: u64,
    /// A proxy for all requests.
    pub proxy: Option<String>,
    /// Follows one redirect.
    pub follow_redirect: bool,
    /// Wraps each answer for this long.
    pub wrap_ttl: Option<String>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// Credentials of a second factor.
    pub mfa: Vec<String>,
    /// Asks to pass over a soft-mandatory policy.
    pub policy_override: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: "https://127.0.0.1:8200".into(),
            token: None,
            namespace: String::new(),
            ca_cert: None,
            ca_cert_pem: None,
            ca_path: None,
            client_cert: None,
            client_key: None,
            client_cert_pem: None,
            client_key_pem: None,
            tls_server_name: None,
            danger_skip_verify: false,
            timeout: limits::REQUEST_TIMEOUT,
            max_retries: limits::RETRIES,
            retry_wait: limits::RETRY_WAIT_MIN,
            jitter: 0,
            proxy: None,
            follow_redirect: true,
            wrap_ttl: None,
            headers: Vec::new(),
            mfa: Vec::new(),
            policy_override: false,
        }
    }
}

impl Config {
    /// The defaults, overridden by the environment.
    pub fn from_environment(env: &Environment<'_>) -> Result<Self, Error> {
        let mut config = Self::default();
        if let Some(address) = env.get("AGENT_ADDR").or_else(|| env.get("ADDR")) {
            config.address = address;
        }
        config.token = env.get("TOKEN").map(SecretString::new);
        config.namespace =
            env.get("NAMESPACE").as_deref().map(canonical_namespace).unwrap_or_default();
        config.ca_cert = env.get("CACERT").map(PathBuf::from);
        config.ca_cert_pem = env.get("CACERT_BYTES");
        config.ca_path = env.get("CAPATH").map(PathBuf::from);
        config.client_cert = env.get("CLIENT_CERT").map(PathBuf::from);
        config.client_key = env.get("CLIENT_KEY").map(PathBuf::from);
        config.client_cert_pem = env.get("CLIENT_CERT_BYTES");
        config.client_key_pem = env.get("CLIENT_KEY_BYTES").map(SecretString::new);
        config.tls_server_name = env.get("TLS_SERVER_NAME");
        config.danger_skip_verify = env.bool("SKIP_VERIFY")?;
        config.follow_redirect = !env.bool("DISABLE_REDIRECTS")?;
        config.proxy = env.get("PROXY_ADDR").or_else(|| env.get("HTTP_PROXY"));
        config.wrap_ttl = env.get("WRAP_TTL");
        if let Some(mfa) = env.get("MFA") {
            config.mfa = mfa.split(',').map(|part| part.trim().to_owned()).collect();
        }
        if let Some((name, text)) = env.find("CLIENT_TIMEOUT") {
            config.timeout = parse_duration_nanos(&text)
                .and_then(|nanos| u64::try_from(nanos).ok())
                .map(Duration::from_nanos)
                .ok_or_else(|| Error::Config(format!("could not parse {name}: not a duration")))?;
        }
        if let Some((name, text)) = env.find("MAX_RETRIES") {
            config.max_retries =
                text.trim().parse().ok().filter(|n| *n <= limits::RETRIES_MAX).ok_or_else(
                    || {
                        Error::Config(format!(
                            "could not parse {name}: not a number from 0 to {}",
                            limits::RETRIES_MAX
                        ))
                    },
                )?;
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Config, Error> {
        let lookup =
            |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Config::from_environment(&Environment::new(&lookup))
    }

    #[test]
    fn our_own_variables_win_and_the_others_are_honoured() {
        let config = read(&[("VAULT_ADDR", "http://v"), ("STRONGROOM_ADDR", "http://s")]).unwrap();
        assert_eq!(config.address, "http://s");
        let config = read(&[("VAULT_ADDR", "http://v"), ("BAO_ADDR", "http://b")]).unwrap();
        assert_eq!(config.address, "http://b");
        let config = read(&[("VAULT_ADDR", "http://v"), ("STRONGROOM_ADDR", "")]).unwrap();
        assert_eq!(config.address, "http://v");
        assert_eq!(read(&[]).unwrap().address, "https://127.0.0.1:8200");
    }

    #[test]
    fn settings_are_read_or_refused_by_name() {
        let config = read(&[
            ("VAULT_CLIENT_TIMEOUT", "90s"),
            ("VAULT_MAX_RETRIES", "5"),
            ("VAULT_SKIP_VERIFY", "true"),
            ("VAULT_NAMESPACE", "/team/a"),
        ])
        .unwrap();
        assert_eq!((config.timeout.as_secs(), config.max_retries), (90, 5));
        assert!(config.danger_skip_verify);
        assert_eq!(config.namespace, "team/a/");
        for (name, value) in [
            ("VAULT_CLIENT_TIMEOUT", "soon"),
            ("VAULT_MAX_RETRIES", "-1"),
            ("VAULT_MAX_RETRIES", "101"),
            ("BAO_SKIP_VERIFY", "maybe"),
        ] {
            let error = read(&[(name, value)]).err().unwrap().to_string();
            assert!(error.contains(name) && !error.contains(value), "{error}");
        }
    }

    #[test]
    fn namespaces_have_one_form() {
        for (text, form) in
            [("", ""), ("root", ""), ("root/", ""), ("/", ""), ("a", "a/"), ("/a/b/", "a/b/")]
        {
            assert_eq!(canonical_namespace(text), form);
        }
    }
}
