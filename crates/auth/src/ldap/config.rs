//! Where the directory is, and how users and groups are found in it (OpenBao's API page "LDAP auth
//! method").

use strongroom_base::{Error, Json, JsonMap, Result, SecretString, Ttl, fields};
use strongroom_connectors::directory::{SERVERS_MAX, Tls, Version};
use strongroom_connectors::web;
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::Ldap;
use super::lookup;
use super::stored::{self, Config};
use crate::kept;
use crate::token_params::TokenFields;

const FILTER_WARNING: &str = "userfilter configured does not consider userattr and may result in \
                              colliding entity aliases on logins";

const MIXED_WARNING: &str = "url names ldaps:// servers and, without starttls, ldap:// ones: whoever keeps the first from \
     being reached gets passwords in clear text";

fields! {
    /// Says where the directory is, and how users and groups are found in it.
    pub struct PutConfig {
        ..token: TokenFields;
        /// URLs (ldap:// or ldaps://), separated by commas, that are tried in this order.
        url: Option<String>,
        /// Name below which users are.
        userdn: Option<String>,
        /// Attribute that a user's name is the value of.
        userattr: Option<String>,
        /// Template of the filter that finds a user, with UserAttr and Username.
        userfilter: Option<String>,
        /// Name below which groups are.
        groupdn: Option<String>,
        /// Template of the filter that finds a user's groups, with UserDN and Username.
        groupfilter: Option<String>,
        /// Attribute of what the filter finds that names groups: cn, or memberOf of users.
        groupattr: Option<String>,
        /// Name of the account that searches.
        binddn: Option<String>,
        /// Its password.
        bindpass: Option<SecretString>,
        /// Domain with which users bind as user@domain (Active Directory).
        upndomain: Option<String>,
        /// Look for a user's entry without an account?
        discoverdn: Option<bool>,
        /// Kept for clients: an empty password is always refused.
        deny_null_bind: Option<bool>,
        /// Look for groups without an account?
        anonymous_group_search: Option<bool>,
        /// Take groups from the attribute tokenGroups of Active Directory?
        use_token_groups: Option<bool>,
        /// Take only CN in capitals for a group's name?
        use_pre111_group_cn_behavior: Option<bool>,
        /// Does the case of names matter when policies are looked for?
        case_sensitive_names: Option<bool>,
        /// Is the name given at login the alias of its entity?
        username_as_alias: Option<bool>,
        /// When aliases of the directory are followed: never, finding, searching or always.
        dereference_aliases: Option<String>,
        /// Entries of each page of a search for groups; 0 is without pages.
        max_page_size: Option<i64>,
        /// Seconds until a connection to one server stands, 60 at most.
        connection_timeout: Option<Ttl>,
        /// Seconds for each request, 90 at most.
        request_timeout: Option<Ttl>,
        /// Begin TLS on an ldap:// connection?
        starttls: Option<bool>,
        /// Take any certificate of the server?
        insecure_tls: Option<bool>,
        /// Oldest version of TLS: tls12 or tls13. Older ones are never spoken.
        tls_min_version: Option<String>,
        /// Newest version of TLS: tls12 or tls13.
        tls_max_version: Option<String>,
        /// Certificates of the authorities that vouch for the server, in PEM.
        certificate: Option<String>,
        /// Certificate that is shown to the server, in PEM.
        client_tls_cert: Option<String>,
        /// Its private key, in PEM.
        client_tls_key: Option<SecretString>,
    }
}
fields! {
    /// Reads the configuration, without what is secret in it.
    pub struct ReadConfig {}
}

ops! {
    PutConfig (), Write;
    ReadConfig JsonMap, Read;
}

pub(super) fn add(spec: EngineSpec<Ldap>) -> EngineSpec<Ldap> {
    spec.query::<ReadConfig>("config").command::<PutConfig>("config")
}

fn set<T>(value: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *value = given;
    }
}

impl Command<PutConfig> for Ldap {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutConfig) -> Result<Reply<()>> {
        cx.queue("config").await;
        let mut config = stored::config(&cx.view()).await?;
        let secret = |given: Option<SecretString>| given.map(|s| s.expose_secret().clone());
        let before = config.url.clone();
        // Vault keeps URLs and the attribute in lower case.
        set(&mut config.url, op.url.map(|url| url.to_lowercase()));
        // Whoever may write here could else have the password sent to a server of theirs.
        let moves = config.url != before && !config.bindpass.is_empty() && op.bindpass.is_none();
        set(&mut config.userattr, op.userattr.map(|attribute| attribute.to_lowercase()));
        set(&mut config.userdn, op.userdn);
        set(&mut config.userfilter, op.userfilter);
        set(&mut config.groupdn, op.groupdn);
        set(&mut config.groupfilter, op.groupfilter);
        set(&mut config.groupattr, op.groupattr);
        set(&mut config.binddn, op.binddn);
        set(&mut config.bindpass, secret(op.bindpass));
        set(&mut config.upndomain, op.upndomain);
        set(&mut config.discoverdn, op.discoverdn);
        set(&mut config.deny_null_bind, op.deny_null_bind);
        set(&mut config.anonymous_group_search, op.anonymous_group_search);
        set(&mut config.use_token_groups, op.use_token_groups);
        set(&mut config.use_pre111_group_cn_behavior, op.use_pre111_group_cn_behavior);
        set(&mut config.case_sensitive_names, op.case_sensitive_names);
        set(&mut config.username_as_alias, op.username_as_alias);
        set(&mut config.dereference_aliases, op.dereference_aliases);
        set(&mut config.max_page_size, op.max_page_size);
        set(&mut config.connection_timeout, op.connection_timeout.map(|ttl| ttl.0));
        set(&mut config.request_timeout, op.request_timeout.map(|ttl| ttl.0));
        set(&mut config.starttls, op.starttls);
        set(&mut config.insecure_tls, op.insecure_tls);
        set(&mut config.tls_min_version, op.tls_min_version);
        set(&mut config.tls_max_version, op.tls_max_version);
        set(&mut config.certificate, op.certificate);
        set(&mut config.client_tls_cert, op.client_tls_cert);
        set(&mut config.client_tls_key, secret(op.client_tls_key));
        check(cx, &config)?;
        if moves {
            return Err(Error::bad_request("bindpass must be given again where url changes"));
        }
        let mut warnings = config.token.apply(op.token)?;
        warnings.extend(filter_warning(&config));
        let addresses = config.addresses().unwrap_or_default();
        let encrypted = addresses.iter().filter(|address| address.encrypted).count();
        if !config.starttls && encrypted > 0 && encrypted < addresses.len() {
            warnings.push(MIXED_WARNING.to_owned());
        }
        kept::prepare(cx).await?;
        cx.edit().put_named(0, "", &config)?;
        Ok(Reply::none().warnings(warnings))
    }
}

/// Refuses what could not work.
fn check(cx: &ReadCx<'_>, config: &Config) -> Result<()> {
    let addresses = config.addresses().ok_or_else(|| {
        Error::bad_request("invalid url: expected ldap:// or ldaps:// URLs, separated by commas")
    })?;
    if addresses.len() > SERVERS_MAX {
        return Err(Error::bad_request(format!("url: more than {SERVERS_MAX} servers")));
    }
    let version = |name: &str, text: &str| {
        Version::parse(text).ok_or_else(|| Error::bad_request(format!("invalid '{name}'")))
    };
    let min = version("tls_min_version", &config.tls_min_version)?;
    let max = version("tls_max_version", &config.tls_max_version)?;
    if max < min {
        return Err(Error::bad_request(
            "'tls_max_version' must be greater than or equal to 'tls_min_version'",
        ));
    }
    if max < Version::Tls12 {
        return Err(Error::bad_request(
            "invalid 'tls_max_version': TLS before version 1.2 is not spoken",
        ));
    }
    web::check_ca(&config.certificate)
        .map_err(|e| Error::bad_request(format!("failed to parse server tls cert: {e}")))?;
    check_own_certificate(config)?;
    if config.aliases().is_none() {
        return Err(Error::bad_request("invalid 'dereference_aliases'"));
    }
    for (name, seconds) in [
        ("connection_timeout", config.connection_timeout),
        ("request_timeout", config.request_timeout),
        ("max_page_size", config.max_page_size),
    ] {
        if seconds < 0 {
            return Err(Error::bad_request(format!("'{name}' cannot be negative")));
        }
    }
    lookup::check_filters(cx, config)
}

fn check_own_certificate(config: &Config) -> Result<()> {
    if config.client_tls_cert.is_empty() != config.client_tls_key.is_empty() {
        return Err(Error::bad_request("both client_tls_cert and client_tls_key must be set"));
    }
    // Only this pair is to be looked at, not the authorities.
    let tls = Tls { danger_unchecked: true, ..config.servers().tls };
    tls.client()
        .map(drop)
        .map_err(|e| Error::bad_request(format!("failed to parse client X509 key pair: {e}")))
}

fn filter_warning(config: &Config) -> Option<String> {
    let filter = &config.userfilter;
    let considered =
        filter.is_empty() || filter.contains("{{.UserAttr}}") || filter.contains(&config.userattr);
    (!considered).then(|| FILTER_WARNING.to_owned())
}

impl Query<ReadConfig> for Ldap {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadConfig) -> Result<Reply<JsonMap>> {
        let config = stored::config(&cx.view()).await?;
        let mut map = JsonMap::new();
        for (name, value) in [
            ("url", Json::from(config.url.as_str())),
            ("userdn", config.userdn.as_str().into()),
            ("groupdn", config.groupdn.as_str().into()),
            ("groupfilter", config.groupfilter.as_str().into()),
            ("groupattr", config.groupattr.as_str().into()),
            ("userfilter", config.userfilter.as_str().into()),
            ("upndomain", config.upndomain.as_str().into()),
            ("userattr", config.userattr.as_str().into()),
            ("certificate", config.certificate.as_str().into()),
            ("insecure_tls", config.insecure_tls.into()),
            ("starttls", config.starttls.into()),
            ("binddn", config.binddn.as_str().into()),
            ("deny_null_bind", config.deny_null_bind.into()),
            ("discoverdn", config.discoverdn.into()),
            ("tls_min_version", config.tls_min_version.as_str().into()),
            ("tls_max_version", config.tls_max_version.as_str().into()),
            ("use_token_groups", config.use_token_groups.into()),
            ("anonymous_group_search", config.anonymous_group_search.into()),
            ("request_timeout", config.request_timeout.into()),
            ("connection_timeout", config.connection_timeout.into()),
            ("username_as_alias", config.username_as_alias.into()),
            ("dereference_aliases", config.dereference_aliases.as_str().into()),
            ("max_page_size", config.max_page_size.into()),
            ("case_sensitive_names", config.case_sensitive_names.into()),
            ("use_pre111_group_cn_behavior", config.use_pre111_group_cn_behavior.into()),
        ] {
            map.insert(name.to_owned(), value);
        }
        config.token.show(&mut map);
        Ok(Reply::data(map).warnings(filter_warning(&config).into_iter().collect()))
    }
}
