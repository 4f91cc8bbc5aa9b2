//! The settings of mounts on the wire: how `config` and `tune` are read, and how they are shown.

use std::collections::BTreeMap;

use serde::Serialize;
use strongroom_base::{
    Error, Field, FieldKind, FieldSource, Json, JsonMap, RawFields, Result, Ttl, fields::Fields,
};
use strongroom_kernel::mounts::{Mount, MountConfig, UserLockout};
use strongroom_kernel::node::VAULT_VERSION;
use strongroom_kernel::plug::Class;

/// A TTL of a mount: seconds, a duration, or `system` for the server's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TtlSetting {
    /// Not given: stays as it is.
    #[default]
    Keep,
    /// The server's.
    System,
    /// Seconds.
    Seconds(i64),
}

impl Field for TtlSetting {
    const KIND: FieldKind = FieldKind::Duration;
    const REQUIRED: bool = false;
    fn read(value: &Json) -> Result<Self, &'static str> {
        match value {
            Json::String(text) if text.is_empty() => Ok(Self::Keep),
            Json::String(text) if text == "system" => Ok(Self::System),
            _ => match Ttl::read(value)? {
                Ttl(0) => Ok(Self::System),
                Ttl(seconds) if seconds > 0 => Ok(Self::Seconds(seconds)),
                _ => Err("a duration not below zero"),
            },
        }
    }
    fn absent() -> Option<Self> {
        Some(Self::Keep)
    }
}

impl TtlSetting {
    fn apply(self, to: &mut i64) {
        match self {
            Self::Keep => {}
            Self::System => *to = 0,
            Self::Seconds(seconds) => *to = seconds,
        }
    }
}

strongroom_base::fields! {
    /// Settings given for a mount; what is not given stays as it is.
    pub struct Settings {
        /// Lifetime of leases and tokens that ask for none; `system` for the server's.
        default_lease_ttl: TtlSetting,
        /// Longest lifetime of leases and tokens; `system` for the server's.
        max_lease_ttl: TtlSetting,
        /// Request fields whose values the audit log shows plain.
        audit_non_hmac_request_keys: Option<Vec<String>>,
        /// Response fields whose values the audit log shows plain.
        audit_non_hmac_response_keys: Option<Vec<String>>,
        /// `unauth` shows the mount to user interfaces before a login; `hidden` or nothing does not.
        listing_visibility: Option<String>,
        /// Request headers that reach the plug-in.
        passthrough_request_headers: Option<Vec<String>>,
        /// Response headers that the plug-in may set.
        allowed_response_headers: Option<Vec<String>>,
        /// The kind of tokens an auth method gives.
        token_type: Option<String>,
        /// The plug-in's version.
        plugin_version: Option<String>,
        /// Lockout of users after failed logins.
        user_lockout_config: Option<JsonMap>,
    }
}

strongroom_base::fields! {
    /// The `config` object of a mount being enabled.
    pub struct ConfigFields {
        ..settings: Settings;
        /// Turns caching off.
        force_no_cache: Option<bool>,
        /// The plug-in's name, where the type is `plugin`.
        plugin_name: Option<String>,
    }
}

strongroom_base::fields! {
    /// The settings in the `user_lockout_config` object.
    pub struct LockoutFields {
        /// Failed logins until a user is locked.
        lockout_threshold (user_lockout_threshold): Option<u64>,
        /// How long a user stays locked.
        lockout_duration (user_lockout_duration): TtlSetting,
        /// The time without a failure after which the count starts again.
        lockout_counter_reset_duration (user_lockout_counter_reset_duration): TtlSetting,
        /// Turns the lockout off.
        lockout_disable (user_lockout_disable): Option<bool>,
    }
}

/// Reads the members of an object as fields.
pub fn read_object<F: Fields>(map: JsonMap) -> Result<F> {
    let raw = RawFields::from_map(map);
    Ok(F::decode(&FieldSource::new(&[], &raw, F::SPECS))?)
}

/// The auth methods that lock users out.
const LOCKOUT_KINDS: [&str; 3] = ["ldap", "approle", "userpass"];

impl Settings {
    /// Checks the settings for `mount` and puts them in place.
    pub fn apply(self, mount: &mut Mount) -> Result<()> {
        self.check_kind(mount)?;
        let config = &mut mount.config;
        self.default_lease_ttl.apply(&mut config.default_lease_ttl);
        self.max_lease_ttl.apply(&mut config.max_lease_ttl);
        if let Some(visibility) = self.listing_visibility {
            if !["", "unauth", "hidden"].contains(&visibility.as_str()) {
                return Err(Error::bad_request(
                    "invalid listing_visibility: must be \"unauth\", \"hidden\" or empty",
                ));
            }
            config.listing_visibility = visibility;
        }
        if let Some(token_type) = self.token_type {
            config.token_type = token_type_of(&token_type)?;
        }
        set(&mut config.audit_non_hmac_request_keys, self.audit_non_hmac_request_keys);
        set(&mut config.audit_non_hmac_response_keys, self.audit_non_hmac_response_keys);
        set(&mut config.passthrough_request_headers, self.passthrough_request_headers);
        set(&mut config.allowed_response_headers, self.allowed_response_headers);
        if let Some(map) = self.user_lockout_config.filter(|map| !map.is_empty()) {
            apply_lockout(read_object(map)?, &mut config.user_lockout);
        }
        Ok(())
    }

    /// What only some kinds of mounts have.
    fn check_kind(&self, mount: &Mount) -> Result<()> {
        if self.token_type.is_some() {
            if mount.class != Class::Auth {
                return Err(Error::bad_request("'token_type' can only be modified on auth mounts"));
            }
            if mount.kind == "token" {
                return Err(Error::bad_request(
                    "'token_type' cannot be set for 'token' or 'ns_token' auth mounts",
                ));
            }
        }
        let lockout = self.user_lockout_config.as_ref().is_some_and(|map| !map.is_empty());
        if lockout && !LOCKOUT_KINDS.contains(&mount.kind.as_str()) {
            return Err(Error::bad_request(format!(
                "tuning of user lockout configuration for auth type {:?} not allowed",
                mount.kind
            )));
        }
        if let Some(version) = &self.plugin_version
            && !version.is_empty()
            && *version != builtin_version()
        {
            let class = if mount.class == Class::Auth { "auth" } else { "secrets" };
            return Err(Error::bad_request(format!(
                "cannot select non-builtin version of {class} plugin {}",
                mount.kind
            )));
        }
        Ok(())
    }
}

fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}

fn apply_lockout(fields: LockoutFields, lockout: &mut UserLockout) {
    if fields.lockout_threshold.is_some() {
        lockout.threshold = fields.lockout_threshold;
    }
    for (setting, to) in [
        (fields.lockout_duration, &mut lockout.duration),
        (fields.lockout_counter_reset_duration, &mut lockout.counter_reset),
    ] {
        match setting {
            TtlSetting::Keep => {}
            TtlSetting::System => *to = None,
            TtlSetting::Seconds(seconds) => *to = Some(seconds),
        }
    }
    set(&mut lockout.disable, fields.lockout_disable);
}

/// The stored form of a `token_type`: "" is the default.
fn token_type_of(text: &str) -> Result<String> {
    match text {
        "" | "default-service" => Ok(String::new()),
        "default-batch" | "service" | "batch" => Ok(text.to_owned()),
        _ => Err(Error::bad_request("invalid value for 'token_type'")),
    }
}

/// How a stored `token_type` is shown.
fn shown_token_type(stored: &str) -> String {
    if stored.is_empty() { "default-service".to_owned() } else { stored.to_owned() }
}

/// The version that all plug-ins of this binary have.
pub fn builtin_version() -> String {
    format!("v{VAULT_VERSION}+builtin.vault")
}

/// A mount as lists and reads show it.
#[derive(Serialize)]
pub struct MountView {
    accessor: String,
    config: ConfigView,
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecation_status: Option<&'static str>,
    description: String,
    external_entropy_access: bool,
    local: bool,
    options: Option<BTreeMap<String, String>>,
    /// In `internal/ui/mounts/:path` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    plugin_version: String,
    running_plugin_version: String,
    running_sha256: &'static str,
    seal_wrap: bool,
    r#type: String,
    uuid: String,
}

#[derive(Serialize)]
struct ConfigView {
    default_lease_ttl: i64,
    force_no_cache: bool,
    max_lease_ttl: i64,
    #[serde(flatten)]
    shared: SharedView,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_lockout_config: Option<LockoutView>,
}

/// What `config` and `tune` show alike: only what is set.
#[derive(Serialize)]
struct SharedView {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    audit_non_hmac_request_keys: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    audit_non_hmac_response_keys: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    listing_visibility: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    passthrough_request_headers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_response_headers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<String>,
}

#[derive(Serialize)]
struct LockoutView {
    user_lockout_counter_reset_duration: i64,
    user_lockout_disable: bool,
    user_lockout_duration: i64,
    user_lockout_threshold: u64,
}

impl LockoutView {
    fn of(lockout: &UserLockout) -> Option<Self> {
        (*lockout != UserLockout::default()).then(|| Self {
            user_lockout_counter_reset_duration: lockout.counter_reset.unwrap_or(0),
            user_lockout_disable: lockout.disable,
            user_lockout_duration: lockout.duration.unwrap_or(0),
            user_lockout_threshold: lockout.threshold.unwrap_or(0),
        })
    }
}

impl SharedView {
    fn of(mount: &Mount) -> Self {
        let config: &MountConfig = &mount.config;
        let auth = mount.class == Class::Auth;
        Self {
            audit_non_hmac_request_keys: config.audit_non_hmac_request_keys.clone(),
            audit_non_hmac_response_keys: config.audit_non_hmac_response_keys.clone(),
            listing_visibility: config.listing_visibility.clone(),
            passthrough_request_headers: config.passthrough_request_headers.clone(),
            allowed_response_headers: config.allowed_response_headers.clone(),
            token_type: auth.then(|| shown_token_type(&config.token_type)),
        }
    }
}

impl MountView {
    /// A mount's view.
    pub fn of(mount: &Mount) -> Self {
        let builtin = mount.class == Class::System || mount.kind == "token";
        Self {
            accessor: mount.accessor.clone(),
            config: ConfigView {
                default_lease_ttl: mount.config.default_lease_ttl,
                force_no_cache: mount.config.force_no_cache,
                max_lease_ttl: mount.config.max_lease_ttl,
                shared: SharedView::of(mount),
                user_lockout_config: LockoutView::of(&mount.config.user_lockout),
            },
            deprecation_status: (!builtin).then_some("supported"),
            description: mount.description.clone(),
            external_entropy_access: mount.external_entropy_access,
            local: mount.local,
            options: (!builtin || !mount.options.is_empty()).then(|| mount.options.clone()),
            path: None,
            plugin_version: mount.plugin_version.clone(),
            running_plugin_version: builtin_version(),
            running_sha256: "",
            seal_wrap: mount.seal_wrap,
            r#type: mount.kind.clone(),
            uuid: mount.uuid.clone(),
        }
    }
}

/// A mount's settings as `tune` shows them.
#[derive(Serialize)]
pub struct TuneView {
    description: String,
    default_lease_ttl: i64,
    max_lease_ttl: i64,
    force_no_cache: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    external_entropy_access: bool,
    #[serde(flatten)]
    shared: SharedView,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    lockout: Option<LockoutView>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    options: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    plugin_version: String,
}

impl TuneView {
    /// A mount's settings, with the TTLs (default, maximum) that hold.
    pub fn of(mount: &Mount, ttls: (i64, i64)) -> Self {
        Self {
            description: mount.description.clone(),
            default_lease_ttl: ttls.0,
            max_lease_ttl: ttls.1,
            force_no_cache: mount.config.force_no_cache,
            external_entropy_access: mount.external_entropy_access,
            shared: SharedView::of(mount),
            lockout: LockoutView::of(&mount.config.user_lockout),
            options: mount.options.clone(),
            plugin_version: mount.plugin_version.clone(),
        }
    }
}
