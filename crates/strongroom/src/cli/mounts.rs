//! What `secrets` and `auth` share: enabling, tuning, moving and listing mounts.

use serde_json::json;
use strongroom_base::json::{Json, JsonMap};
use strongroom_client::Request;

use super::command::{Fail, Outcome};
use super::context::Context;
use super::data::clean_path;
use super::flags::Flag;
use super::gotext::go_value;
use super::output::sorted;
use super::table::table;

pub const DESCRIPTION: Flag = Flag::text("description", "What it is for, in words for people.");
pub const PATH: Flag = Flag::text("path", "Where to mount it. The type's name if not given.");
pub const DEFAULT_TTL: Flag = Flag::duration(
    "default-lease-ttl",
    "How long leases and tokens live unless asked otherwise. The server's default if not given.",
);
pub const MAX_TTL: Flag = Flag::duration(
    "max-lease-ttl",
    "How long leases and tokens may live at most. The server's limit if not given.",
);
pub const REQUEST_KEYS: Flag = Flag::list(
    "audit-non-hmac-request-keys",
    "Request field that the audit log may show in clear. May be given again.",
);
pub const RESPONSE_KEYS: Flag = Flag::list(
    "audit-non-hmac-response-keys",
    "Response field that the audit log may show in clear. May be given again.",
);
pub const VISIBILITY: Flag =
    Flag::text("listing-visibility", "unauth shows the mount on the login page, hidden does not.");
pub const REQUEST_HEADERS: Flag = Flag::list(
    "passthrough-request-headers",
    "Request header handed on to the mount. May be given again.",
);
pub const RESPONSE_HEADERS: Flag = Flag::list(
    "allowed-response-headers",
    "Response header the mount may set. May be given again.",
);
pub const PLUGIN_NAME: Flag =
    Flag::text("plugin-name", "The plugin to run when the type is \"plugin\".");
pub const PLUGIN_VERSION: Flag = Flag::text("plugin-version", "The plugin's version.");
pub const OPTIONS: Flag = Flag::map("options", "An option of the type. May be given again.");
pub const LOCAL: Flag = Flag::bool("local", "Keep it out of replication.").default("false");
pub const SEAL_WRAP: Flag =
    Flag::bool("seal-wrap", "Encrypt critical values by the seal, too.").default("false");
pub const ENTROPY: Flag =
    Flag::bool("external-entropy-access", "Let it use an external source of randomness.")
        .default("false");
pub const TOKEN_TYPE: Flag = Flag::text(
    "token-type",
    "The type of token to issue: service, batch, default-service or default-batch.",
);
pub const VERSION: Flag = Flag::int("version", "The version of the type, such as 2 for kv.");

/// Which of the two families a command belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Secrets engines.
    Secrets,
    /// Auth methods.
    Auth,
}

impl Family {
    fn noun(self) -> &'static str {
        match self {
            Self::Secrets => "secrets engine",
            Self::Auth => "auth method",
        }
    }

    fn api(self) -> &'static str {
        match self {
            Self::Secrets => "sys/mounts",
            Self::Auth => "sys/auth",
        }
    }
}

fn folder(path: &str) -> String {
    format!("{}/", clean_path(path))
}

/// `-options` and `-version` together.
fn options(cx: &Context<'_, '_>) -> JsonMap {
    let given = cx.flags.map("options").into_iter().map(|(k, v)| (k, Json::String(v)));
    let mut options: JsonMap = given.collect();
    if let Some(version) = cx.flags.int("version").filter(|version| *version > 0) {
        options.insert("version".into(), version.to_string().into());
    }
    options
}

/// The settings that enabling and tuning share: only what was given is sent.
fn settings(cx: &Context<'_, '_>) -> JsonMap {
    let mut config = JsonMap::new();
    for (flag, field) in [
        ("audit-non-hmac-request-keys", "audit_non_hmac_request_keys"),
        ("audit-non-hmac-response-keys", "audit_non_hmac_response_keys"),
        ("passthrough-request-headers", "passthrough_request_headers"),
        ("allowed-response-headers", "allowed_response_headers"),
    ] {
        if cx.flags.given(flag) {
            config.insert(field.into(), json!(cx.flags.list(flag)));
        }
    }
    for (flag, field) in [
        ("listing-visibility", "listing_visibility"),
        ("token-type", "token_type"),
        ("plugin-version", "plugin_version"),
    ] {
        if let Some(text) = cx.flags.text(flag) {
            config.insert(field.into(), text.into());
        }
    }
    config
}

/// `enable TYPE`.
pub fn enable(cx: &mut Context<'_, '_>, family: Family) -> Outcome {
    cx.expect_args(1)?;
    let mut kind = cx.arg(0).to_owned();
    if kind == "plugin" {
        cx.flags.text_or_empty("plugin-name").clone_into(&mut kind);
    }
    let path = match cx.flags.text_or_empty("path") {
        "" => folder(&kind),
        given => folder(given),
    };
    let mut config = settings(cx);
    for (flag, field) in
        [("default-lease-ttl", "default_lease_ttl"), ("max-lease-ttl", "max_lease_ttl")]
    {
        if let Some(ttl) = cx.flags.duration(flag) {
            config.insert(field.into(), ttl.into());
        }
    }
    if cx.flags.is("force-no-cache") {
        config.insert("force_no_cache".into(), true.into());
    }
    let mut body = json!({
        "type": kind,
        "description": cx.flags.text_or_empty("description"),
        "config": config,
        "local": cx.flags.is("local"),
        "seal_wrap": cx.flags.is("seal-wrap"),
        "external_entropy_access": cx.flags.is("external-entropy-access"),
    });
    let options = options(cx);
    if !options.is_empty() {
        body["options"] = Json::Object(options);
    }
    let request = Request::post(format!("{}/{path}", family.api()), body);
    let answer = cx.http()?.send(request).and_then(strongroom_client::Reply::written);
    answer.map_err(|e| match family {
        Family::Secrets => Fail::server("Error enabling", &e),
        Family::Auth => Fail::server(format!("Error enabling {kind} auth"), &e),
    })?;
    let mut thing = format!("{kind} {}", family.noun());
    if let Some(version) = cx.flags.text("plugin-version").filter(|version| !version.is_empty()) {
        thing.push_str(&format!(" version {version}"));
    }
    let the = if family == Family::Secrets { "the " } else { "" };
    cx.ui.say(&format!("Success! Enabled {the}{thing} at: {path}"));
    Ok(())
}

/// `disable PATH`.
pub fn disable(cx: &mut Context<'_, '_>, family: Family) -> Outcome {
    cx.expect_args(1)?;
    let path = folder(cx.arg(0));
    let noun = family.noun();
    let answer = cx.http()?.delete(&format!("{}/{path}", family.api()));
    answer.map_err(|e| Fail::server(format!("Error disabling {noun} at {path}"), &e))?;
    cx.ui.say(&format!("Success! Disabled the {noun} (if it existed) at: {path}"));
    Ok(())
}

/// `tune PATH`.
pub fn tune(cx: &mut Context<'_, '_>, family: Family) -> Outcome {
    cx.expect_args(1)?;
    let path = folder(cx.arg(0));
    let mut config = settings(cx);
    for (flag, field) in
        [("default-lease-ttl", "default_lease_ttl"), ("max-lease-ttl", "max_lease_ttl")]
    {
        // A negative duration takes the setting back.
        match cx.flags.nanos(flag) {
            Some(nanos) if nanos < 0 => config.insert(field.into(), "system".into()),
            Some(0) | None => None,
            Some(nanos) => config.insert(field.into(), super::gotext::go_duration(nanos).into()),
        };
    }
    if let Some(description) = cx.flags.text("description") {
        config.insert("description".into(), description.into());
    }
    let options = options(cx);
    if !options.is_empty() {
        config.insert("options".into(), Json::Object(options));
    }
    let lockout = lockout(cx);
    if !lockout.is_empty() {
        config.insert("user_lockout_config".into(), Json::Object(lockout));
    }
    let noun = family.noun();
    let api = match family {
        Family::Secrets => format!("sys/mounts/{path}tune"),
        Family::Auth => format!("sys/mounts/auth/{path}tune"),
    };
    let answer = cx
        .http()?
        .send(Request::post(api, Json::Object(config)))
        .and_then(strongroom_client::Reply::written);
    answer.map_err(|e| Fail::server(format!("Error tuning {noun} {path}"), &e))?;
    cx.ui.say(&format!("Success! Tuned the {noun} at: {path}"));
    Ok(())
}

fn lockout(cx: &Context<'_, '_>) -> JsonMap {
    let mut config = JsonMap::new();
    if let Some(threshold) = cx.flags.int("user-lockout-threshold") {
        config.insert("lockout_threshold".into(), threshold.to_string().into());
    }
    for (flag, field) in [
        ("user-lockout-duration", "lockout_duration"),
        ("user-lockout-counter-reset-duration", "lockout_counter_reset_duration"),
    ] {
        if let Some(duration) = cx.flags.duration(flag) {
            config.insert(field.into(), duration.into());
        }
    }
    if let Some(disable) = cx.flags.bool("user-lockout-disable") {
        config.insert("lockout_disable".into(), disable.into());
    }
    config
}

/// `move SOURCE DESTINATION`: waits until the server says it is done.
pub fn remount(cx: &mut Context<'_, '_>, family: Family) -> Outcome {
    cx.expect_args(2)?;
    let (from, to) = (folder(cx.arg(0)), folder(cx.arg(1)));
    let noun = family.noun();
    // For auth methods people write either form; the API wants the long one.
    let whole = |path: &str| match family {
        Family::Auth if !path.starts_with("auth/") => format!("auth/{path}"),
        _ => path.to_owned(),
    };
    let answer = cx
        .http()?
        .send(Request::post("sys/remount", json!({"from": whole(&from), "to": whole(&to)})))
        .and_then(strongroom_client::Reply::written)
        .map_err(|e| Fail::server(format!("Error moving {noun} {from} to {to}"), &e))?;
    let id = answer
        .as_ref()
        .and_then(|envelope| envelope.datum("migration_id"))
        .and_then(Json::as_str)
        .unwrap_or_default()
        .to_owned();
    let what = format!("{noun} {from} to {to}, with migration ID {id}");
    cx.ui.say(&format!("Started moving {what}"));
    let mut pause = std::time::Duration::from_millis(100);
    loop {
        let status = cx.http()?.read(&format!("sys/remount/status/{id}")).map_err(|e| {
            Fail::server(format!("Error checking migration status of {noun} {from} to {to}"), &e)
        })?;
        let info = status.as_ref().and_then(|envelope| envelope.datum("migration_info"));
        let state = info.and_then(|info| info.get("status")).and_then(Json::as_str);
        match state {
            Some("success") => {
                cx.ui.say(&format!("Success! Finished moving {what}"));
                return Ok(());
            }
            Some("failure") => {
                return Err(Fail::remote(format!("Failure! Error encountered moving {what}")));
            }
            _ => cx.http()?.pause(pause),
        }
        pause = (pause * 2).min(std::time::Duration::from_secs(5));
    }
}

/// The mounts by path, whichever of its two shapes the answer has.
pub fn mounts(cx: &mut Context<'_, '_>, api: &str, doing: &str) -> Result<JsonMap, Fail> {
    let json = cx.http()?.document(Request::get(api)).map_err(|e| Fail::server(doing, &e))?;
    let members = json.as_object().cloned().unwrap_or_default();
    // Older answers hold the envelope's own names beside the paths.
    Ok(members
        .into_iter()
        .filter(|(name, value)| name.ends_with('/') && value.is_object())
        .collect())
}

/// The mounts sorted by path, each with its members in Vault's order; what is not known here
/// follows.
fn document(mounts: &JsonMap) -> Json {
    const ORDER: [&str; 13] = [
        "uuid",
        "type",
        "description",
        "accessor",
        "config",
        "options",
        "local",
        "seal_wrap",
        "external_entropy_access",
        "plugin_version",
        "running_plugin_version",
        "running_sha256",
        "deprecation_status",
    ];
    let place = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    let Json::Object(sorted) = sorted(&Json::Object(mounts.clone())) else { return Json::Null };
    let ordered = sorted.into_iter().map(|(path, mount)| {
        let Json::Object(members) = mount else { return (path, mount) };
        let mut members: Vec<(String, Json)> = members.into_iter().collect();
        members.sort_by_key(|(name, _)| place(name));
        (path, Json::Object(members.into_iter().collect()))
    });
    Json::Object(ordered.collect())
}

/// `list`.
pub fn list(cx: &mut Context<'_, '_>, family: Family) -> Outcome {
    cx.expect_args(0)?;
    let doing = match family {
        Family::Secrets => "Error listing secrets engines",
        Family::Auth => "Error listing enabled authentications",
    };
    let mounts = mounts(cx, family.api(), doing)?;
    if !cx.ui.is_table() {
        return cx.ui.data(&document(&mounts));
    }
    let mut paths: Vec<&String> = mounts.keys().collect();
    paths.sort();
    let detailed = cx.flags.is("detailed") || cx.ui.detailed;
    let rows: Vec<Vec<String>> = paths
        .iter()
        .map(|path| {
            let mount = &mounts[*path];
            if detailed { detailed_row(path, mount, family) } else { row(path, mount, family) }
        })
        .collect();
    cx.ui.say(&table(headings(family, detailed), &rows));
    Ok(())
}

fn headings(family: Family, detailed: bool) -> &'static [&'static str] {
    match (family, detailed) {
        (Family::Secrets, false) => &["Path", "Type", "Accessor", "Description"],
        (Family::Auth, false) => &["Path", "Type", "Accessor", "Description", "Version"],
        (Family::Secrets, true) => &[
            "Path",
            "Plugin",
            "Accessor",
            "Default TTL",
            "Max TTL",
            "Force No Cache",
            "Replication",
            "Seal Wrap",
            "External Entropy Access",
            "Options",
            "Description",
            "UUID",
            "Version",
            "Running Version",
            "Running SHA256",
            "Deprecation Status",
        ],
        (Family::Auth, true) => &[
            "Path",
            "Plugin",
            "Accessor",
            "Default TTL",
            "Max TTL",
            "Token Type",
            "Replication",
            "Seal Wrap",
            "External Entropy Access",
            "Options",
            "Description",
            "UUID",
            "Version",
            "Running Version",
            "Running SHA256",
            "Deprecation Status",
        ],
    }
}

fn text(json: &Json, name: &str) -> String {
    json.get(name).filter(|value| !value.is_null()).map(go_value).unwrap_or_default()
}

fn row(path: &str, mount: &Json, family: Family) -> Vec<String> {
    let mut row = vec![
        path.to_owned(),
        text(mount, "type"),
        text(mount, "accessor"),
        text(mount, "description"),
    ];
    if family == Family::Auth {
        row.push(text(mount, "plugin_version"));
    }
    row
}

fn detailed_row(path: &str, mount: &Json, family: Family) -> Vec<String> {
    let config = mount.get("config").unwrap_or(&Json::Null);
    let kind = text(mount, "type");
    let ttl = |name: &str| match config.get(name).and_then(Json::as_i64).unwrap_or(0) {
        _ if kind == "system" || kind == "cubbyhole" => String::new(),
        0 => "system".to_owned(),
        seconds => seconds.to_string(),
    };
    let bit = |json: &Json, name: &str| {
        json.get(name).and_then(Json::as_bool).unwrap_or_default().to_string()
    };
    let local = mount.get("local").and_then(Json::as_bool).unwrap_or_default();
    let options = match mount.get("options") {
        Some(options @ Json::Object(_)) => go_value(options),
        _ => "map[]".to_owned(),
    };
    vec![
        path.to_owned(),
        kind.clone(),
        text(mount, "accessor"),
        ttl("default_lease_ttl"),
        ttl("max_lease_ttl"),
        match family {
            Family::Secrets => bit(config, "force_no_cache"),
            Family::Auth => text(config, "token_type"),
        },
        if local { "local" } else { "replicated" }.to_owned(),
        bit(mount, "seal_wrap"),
        bit(mount, "external_entropy_access"),
        options,
        text(mount, "description"),
        text(mount, "uuid"),
        text(mount, "plugin_version"),
        text(mount, "running_plugin_version"),
        text(mount, "running_sha256"),
        text(mount, "deprecation_status"),
    ]
}
