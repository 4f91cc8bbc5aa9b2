//! What keys ask of the machine: variables, time, randomness, the network, and a person.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use strongroom_base::{Clock, Rng, SecretString, Timestamp};
use strongroom_web::{Answer, Call, Trust, Web};
use tokio::runtime::Runtime;

use super::{Failure, Told, huawei};

/// Whoever sits before the terminal.
pub trait Person: Send + Sync {
    /// Asks for a text that stays hidden; nothing where nobody can be asked.
    fn secret(&self, prompt: &str) -> Option<SecretString>;

    /// Asks for a line of text.
    fn line(&self, prompt: &str) -> Option<String>;

    /// Says something.
    fn tell(&self, text: &str);

    /// Is told what happens; most do not listen.
    fn log(&self, _: &Told<'_>) {}
}

/// Nobody.
pub struct Nobody;

impl Person for Nobody {
    fn secret(&self, _: &str) -> Option<SecretString> {
        None
    }

    fn line(&self, _: &str) -> Option<String> {
        None
    }

    fn tell(&self, _: &str) {}
}

/// The variables that keys read, beside those of Vault's clients.
const VARIABLES: &[&str] = &[
    "HOME",
    "XDG_CONFIG_HOME",
    "SOPS_AGE_KEY",
    "SOPS_AGE_KEY_FILE",
    "SOPS_AGE_KEY_CMD",
    "SOPS_AGE_SSH_PRIVATE_KEY_FILE",
    "SOPS_AGE_SSH_PRIVATE_KEY_CMD",
    "SOPS_GPG_EXEC",
    "GNUPGHOME",
    "GPG_AGENT_INFO",
    "XDG_RUNTIME_DIR",
    "DISPLAY",
    "TERM",
    "AWS_ACCESS_KEY_ID",
    "AWS_ACCESS_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CA_BUNDLE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_KMS",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_S3",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "GOOGLE_CREDENTIALS",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "CLOUDSDK_CONFIG",
    "GCE_METADATA_HOST",
    "STORAGE_EMULATOR_HOST",
    "SOPS_GCP_KMS_CLIENT_TYPE",
    "SOPS_GCP_KMS_ENDPOINT",
    "SOPS_GCP_KMS_UNIVERSE_DOMAIN",
    "AZURE_AUTHORITY_HOST",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "SOPS_HC_VAULT_ALLOWLIST",
    "HUAWEICLOUD_SDK_AK",
    "HUAWEICLOUD_SDK_SK",
    "HUAWEICLOUD_SDK_SECURITY_TOKEN",
    "HUAWEICLOUD_SDK_PROJECT_ID",
    "HUAWEICLOUD_SDK_CREDENTIALS_FILE",
    "HUAWEICLOUD_SDK_IAM_ENDPOINT",
];

/// The variables of Vault's clients, without their prefix.
const VAULT_VARIABLES: &[&str] = &[
    "ADDR",
    "AGENT_ADDR",
    "TOKEN",
    "TOKEN_PATH",
    "CONFIG_PATH",
    "NAMESPACE",
    "CACERT",
    "CACERT_BYTES",
    "CAPATH",
    "CLIENT_CERT",
    "CLIENT_KEY",
    "CLIENT_CERT_BYTES",
    "CLIENT_KEY_BYTES",
    "TLS_SERVER_NAME",
    "SKIP_VERIFY",
    "DISABLE_REDIRECTS",
    "PROXY_ADDR",
    "HTTP_PROXY",
    "CLIENT_TIMEOUT",
    "MAX_RETRIES",
];

/// What keys have at hand.
pub struct Machine {
    variables: HashMap<String, SecretString>,
    trust: Trust,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub rng: Arc<dyn Rng>,
    /// The network.
    pub web: Arc<dyn Web>,
    /// Whoever can be asked.
    pub person: Arc<dyn Person>,
    unattended: bool,
    /// Made when something is waited for: most files need no network.
    runtime: OnceLock<Runtime>,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Machine")
    }
}

impl Machine {
    /// A machine. Of the environment behind `env`, what keys may need is read now, once.
    pub fn new(
        env: &dyn Fn(&str) -> Option<String>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        web: Arc<dyn Web>,
        person: Arc<dyn Person>,
    ) -> Self {
        let vault = ["STRONGROOM_", "BAO_", "VAULT_"];
        let vault = vault
            .iter()
            .flat_map(|prefix| VAULT_VARIABLES.iter().map(move |name| format!("{prefix}{name}")));
        let regions = huawei::REGIONS.iter().map(|region| huawei::variable(region));
        let names = VARIABLES.iter().map(|name| (*name).to_owned()).chain(vault).chain(regions);
        let variables =
            names.filter_map(|name| Some((name.clone(), SecretString::new(env(&name)?)))).collect();
        Self {
            variables,
            trust: Trust::default(),
            clock,
            rng,
            web,
            person,
            unattended: false,
            runtime: OnceLock::new(),
        }
    }

    /// A variable, empty ones included.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|value| value.expose_secret().as_str())
    }

    /// A variable that is not empty.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.variable(name).filter(|value| !value.is_empty())
    }

    /// All variables of keys that are set, for programs that are started.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.expose_secret().as_str()))
    }

    /// The user's home.
    pub fn home(&self) -> Option<PathBuf> {
        self.filled("HOME").map(PathBuf::from)
    }

    /// The folder of the user's settings (Go's `os.UserConfigDir` on Unix).
    pub fn config_folder(&self) -> Option<PathBuf> {
        self.filled("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(self.home()?.join(".config")))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Believes these authorities (PEM) in place of the machine's.
    #[must_use]
    pub fn believing(mut self, ca: &str) -> Self {
        self.trust = Trust::from(ca);
        self
    }

    /// Is for commands that other programs call by themselves, on files that perhaps are anybody's: what
    /// such a file names gets none of the user's credentials, but where the user named it, too.
    #[must_use]
    pub fn unattended(mut self) -> Self {
        self.unattended = true;
        self
    }

    /// Did no person name the files?
    pub fn is_unattended(&self) -> bool {
        self.unattended
    }

    /// Makes a call and waits for its answer.
    pub fn call(&self, call: Call) -> Result<Answer, Failure> {
        let call = if call.ca.is_empty() { call.trusting(&self.trust) } else { call };
        Ok(self.wait(self.web.call(call))??)
    }

    /// Waits for what others do. Never called by a task of this machine's runtime.
    pub fn wait<F: Future>(&self, future: F) -> Result<F::Output, Failure> {
        Ok(self.runtime()?.block_on(future))
    }

    /// Runs tasks beside.
    pub(super) fn runtime(&self) -> Result<&Runtime, Failure> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let made = builder.worker_threads(1).enable_all().build();
        let made = made.map_err(|error| Failure::new(error.to_string()))?;
        Ok(self.runtime.get_or_init(|| made))
    }
}
