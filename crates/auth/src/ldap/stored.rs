//! What an LDAP mount keeps: its configuration, and which groups and users have which policies.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use strongroom_base::{Result, SecretString};
use strongroom_connectors::directory::{Address, Aliases, Servers, Tls, Version};
use strongroom_kernel::record::{ReadView, Record};
use zeroize::Zeroize;

use crate::token_params::TokenSettings;

/// Longest wait for one server's connection, in seconds.
const CONNECTION_SECONDS_MAX: i64 = 60;
/// Longest wait for one answer, in seconds (the default of Vault's `request_timeout`).
const REQUEST_SECONDS_MAX: i64 = 90;

/// The configuration, by the names of the wire.
#[derive(Clone, Serialize, Deserialize)]
pub struct Config {
    /// URLs, separated by commas.
    pub url: String,
    /// The name below which users are.
    pub userdn: String,
    /// The attribute that a user's name is the value of.
    pub userattr: String,
    /// Template of the filter that finds a user.
    pub userfilter: String,
    /// The name below which groups are.
    pub groupdn: String,
    /// Template of the filter that finds a user's groups.
    pub groupfilter: String,
    /// The attribute that names a group.
    pub groupattr: String,
    /// The service account.
    pub binddn: String,
    /// Its password.
    pub bindpass: String,
    /// The domain of names such as `user@domain`.
    pub upndomain: String,
    /// Is a user's entry looked for by nobody?
    pub discoverdn: bool,
    /// Shown as it was written: an empty password is refused in any case.
    pub deny_null_bind: bool,
    /// Are groups looked for by nobody?
    pub anonymous_group_search: bool,
    /// Are groups taken from Active Directory's `tokenGroups`?
    pub use_token_groups: bool,
    /// Is only `CN` in capitals a group's name?
    pub use_pre111_group_cn_behavior: bool,
    /// Does the case of names matter?
    pub case_sensitive_names: bool,
    /// Is the name itself the alias?
    pub username_as_alias: bool,
    /// When entries that stand for others are followed.
    pub dereference_aliases: String,
    /// Entries of a page of groups; 0 is without pages.
    pub max_page_size: i64,
    /// Seconds until a connection stands.
    pub connection_timeout: i64,
    /// Seconds for each request.
    pub request_timeout: i64,
    /// StartTLS?
    pub starttls: bool,
    /// Any certificate?
    pub insecure_tls: bool,
    /// The oldest version of TLS.
    pub tls_min_version: String,
    /// The newest version of TLS.
    pub tls_max_version: String,
    /// Authorities, in PEM.
    pub certificate: String,
    /// Our own certificate, in PEM.
    pub client_tls_cert: String,
    /// Its key, in PEM.
    pub client_tls_key: String,
    /// Parameters of the tokens.
    pub token: TokenSettings,
}

impl Record for Config {
    const KIND: u8 = 1;
}

impl Drop for Config {
    fn drop(&mut self) {
        self.bindpass.zeroize();
        self.client_tls_key.zeroize();
    }
}

/// Vault's defaults.
impl Default for Config {
    fn default() -> Self {
        Self {
            url: "ldap://127.0.0.1".to_owned(),
            userdn: String::new(),
            userattr: "cn".to_owned(),
            userfilter: "({{.UserAttr}}={{.Username}})".to_owned(),
            groupdn: String::new(),
            groupfilter:
                "(|(memberUid={{.Username}})(member={{.UserDN}})(uniqueMember={{.UserDN}}))"
                    .to_owned(),
            groupattr: "cn".to_owned(),
            binddn: String::new(),
            bindpass: String::new(),
            upndomain: String::new(),
            discoverdn: false,
            deny_null_bind: true,
            anonymous_group_search: false,
            use_token_groups: false,
            use_pre111_group_cn_behavior: false,
            case_sensitive_names: false,
            username_as_alias: false,
            dereference_aliases: "never".to_owned(),
            max_page_size: 0,
            connection_timeout: 30,
            request_timeout: 90,
            starttls: false,
            insecure_tls: false,
            tls_min_version: "tls12".to_owned(),
            tls_max_version: "tls12".to_owned(),
            certificate: String::new(),
            client_tls_cert: String::new(),
            client_tls_key: String::new(),
            token: TokenSettings::default(),
        }
    }
}

/// The configuration, if it was written.
pub async fn written(view: &ReadView<'_>) -> Result<Option<Config>> {
    // Not the cached record: it holds the password of the service account.
    view.named::<Config>(0, "").await
}

/// The configuration; the default where none was written.
pub async fn config(view: &ReadView<'_>) -> Result<Config> {
    Ok(written(view).await?.unwrap_or_default())
}

impl Config {
    /// Is a user's entry looked for before he binds?
    pub fn searches(&self) -> bool {
        self.discoverdn || self.has_account()
    }

    /// Is there a service account?
    pub fn has_account(&self) -> bool {
        !self.binddn.is_empty() && !self.bindpass.is_empty()
    }

    /// A name of a user or group as records have it.
    pub fn name(&self, name: &str) -> String {
        if self.case_sensitive_names { name.to_owned() } else { name.to_lowercase() }
    }

    /// When entries that stand for others are followed; `None` for a text that does not say.
    pub fn aliases(&self) -> Option<Aliases> {
        Some(match self.dereference_aliases.as_str() {
            "never" => Aliases::Never,
            "finding" => Aliases::Finding,
            "searching" => Aliases::Searching,
            "always" => Aliases::Always,
            _ => return None,
        })
    }

    /// The servers; `None` for URLs that are none.
    pub fn addresses(&self) -> Option<Vec<Address>> {
        self.url.split(',').map(Address::parse).collect()
    }

    /// What the driver needs to reach the directory.
    pub fn servers(&self) -> Servers {
        let seconds = |given: i64, max: i64| {
            let seconds = if given > 0 { given.min(max) } else { max };
            Duration::from_secs(seconds.unsigned_abs())
        };
        Servers {
            addresses: self.addresses().unwrap_or_default(),
            starttls: self.starttls,
            tls: Tls {
                danger_unchecked: self.insecure_tls,
                ca: self.certificate.clone(),
                certificate: self.client_tls_cert.clone(),
                key: SecretString::new(self.client_tls_key.clone()),
                min: Version::parse(&self.tls_min_version).unwrap_or(Version::Tls12),
                max: Version::parse(&self.tls_max_version).unwrap_or(Version::Tls12),
            },
            connection_timeout: seconds(self.connection_timeout, CONNECTION_SECONDS_MAX),
            request_timeout: seconds(self.request_timeout, REQUEST_SECONDS_MAX),
        }
    }
}

/// A group's policies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Sorted, lower case.
    pub policies: Vec<String>,
}

impl Record for Group {
    const KIND: u8 = 2;
}

/// A user's policies, and groups that the directory does not know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// Sorted, lower case.
    pub policies: Vec<String>,
    /// Sorted.
    pub groups: Vec<String>,
}

impl Record for User {
    const KIND: u8 = 3;
}
