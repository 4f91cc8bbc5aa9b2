//! The settings of a mount that stands (`sys/mounts/PATH/tune`, `sys/auth/PATH/tune`).

use std::collections::BTreeMap;

use strongroom_base::{Error, Result};
use strongroom_kernel::mounts::{Mount, TOP};
use strongroom_kernel::plug::{ReadCx, Reply, WriteCx};

use super::mount_settings::{Settings, TtlSetting, TuneView, builtin_version};
use super::mounts::standing;

/// Only the audit settings of these can be tuned.
const UNTUNABLE: [&str; 4] = ["cubbyhole/", "sys/", "audit/", "identity/"];

strongroom_base::fields! {
    /// New settings of a mount.
    pub struct Tune {
        ..settings: Settings;
        /// What it is for, to people.
        description: Option<String>,
        /// Options of the type; an empty value removes one.
        options: BTreeMap<String, String>,
    }
}

/// A mount's settings as `tune` shows them.
pub(super) async fn read_tune(cx: &ReadCx<'_>, path: &str) -> Result<Reply<TuneView>> {
    let mount = standing(cx, path)
        .await?
        .ok_or_else(|| Error::bad_request(format!("cannot fetch sysview for path {path:?}")))?;
    let ttls = cx.kernel().config.mount_ttls(&mount);
    Ok(Reply::data(TuneView::of(&mount, ttls)).flat())
}

/// Changes a mount's settings.
pub(super) async fn tune(cx: &mut WriteCx<'_>, path: &str, tune: Tune) -> Result<Reply<()>> {
    if let Some(untunable) = UNTUNABLE.iter().find(|p| path.starts_with(*p)) {
        check_untunable(&tune, untunable)?;
    }
    let view = cx.kernel_tx().write(cx.request.namespace.scope);
    let mut mount = view.named::<Mount>(TOP, path).await?.ok_or_else(|| {
        Error::bad_request(format!("tune of path {path:?} failed: no mount entry found"))
    })?;
    let before = (mount.config.default_lease_ttl, mount.config.max_lease_ttl);
    tune.settings.apply(&mut mount)?;
    let (default, max) = (mount.config.default_lease_ttl, mount.config.max_lease_ttl);
    if (default, max) != before && max != 0 && default > max {
        return Err(Error::bad_request(format!(
            "backend max lease TTL of {max} would be less than backend default lease TTL of \
             {default}"
        )));
    }
    if let Some(description) = tune.description {
        mount.description = description;
    }
    let upgraded = apply_options(&mut mount, tune.options)?;
    if let Some(spec) = cx.kernel().router.registry().get(mount.class, &mount.kind) {
        spec.open(&mount)?;
    }
    view.put_named(TOP, path, &mount)?;
    Ok(match upgraded {
        None => Reply::none(),
        Some((from, to)) => Reply::none().warn(format!(
            "Upgrading mount from version {from} to version {to}. This mount will be unavailable \
             for a brief period and will resume service shortly."
        )),
    })
}

/// Refuses settings that the built-in mounts do not have.
fn check_untunable(tune: &Tune, path: &str) -> Result<()> {
    let s = &tune.settings;
    let keep = TtlSetting::Keep;
    let given = [
        ("default_lease_ttl", s.default_lease_ttl != keep),
        ("max_lease_ttl", s.max_lease_ttl != keep),
        ("description", tune.description.is_some()),
        ("listing_visibility", s.listing_visibility.is_some()),
        ("passthrough_request_headers", s.passthrough_request_headers.is_some()),
        ("allowed_response_headers", s.allowed_response_headers.is_some()),
        ("token_type", s.token_type.is_some()),
        ("options", !tune.options.is_empty()),
        ("user_lockout_config", s.user_lockout_config.is_some()),
        ("plugin_version", s.plugin_version.as_ref().is_some_and(|v| *v != builtin_version())),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((field, _)) => {
            Err(Error::bad_request(format!("cannot tune parameter {field} of {path}")))
        }
        None => Ok(()),
    }
}

/// Puts options in place; an empty value removes one. Answers the versions of an upgrade.
fn apply_options(
    mount: &mut Mount,
    options: BTreeMap<String, String>,
) -> Result<Option<(i64, i64)>> {
    let mut upgraded = None;
    for (name, value) in options {
        if name == "version" {
            if mount.kind != "kv" {
                return Err(Error::bad_request(format!(
                    "secrets engine {:?} does not allow setting a version",
                    mount.kind
                )));
            }
            let wanted = match value.trim() {
                "1" => 1,
                "2" => 2,
                _ => return Err(Error::bad_request("invalid version provided")),
            };
            let current = match mount.options.get("version").map(String::as_str) {
                Some("2") => 2,
                _ => 1,
            };
            if wanted < current {
                return Err(Error::bad_request(format!(
                    "cannot downgrade mount from version {current}"
                )));
            }
            if wanted > current {
                upgraded = Some((current, wanted));
            }
            mount.options.insert(name, wanted.to_string());
        } else if value.is_empty() {
            mount.options.remove(&name);
        } else {
            mount.options.insert(name, value);
        }
    }
    Ok(upgraded)
}
