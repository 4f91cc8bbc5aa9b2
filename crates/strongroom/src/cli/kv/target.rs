//! Which mount a `kv` command means, and where in it the secret lies.

use strongroom_base::json::Json;
use strongroom_client::{Envelope, Error, Request, join_path};

use crate::cli::command::Fail;
use crate::cli::context::Context;
use crate::cli::data::clean_path;
use crate::cli::http::Http;

/// The secret a command means.
pub struct Target {
    /// The mount's path, with a slash at its end.
    mount: String,
    /// The path in the form mount and secret together.
    path: String,
    /// True for a store with versions.
    pub versioned: bool,
}

impl Target {
    /// Finds the target of a command's one path argument.
    pub fn find(cx: &mut Context<'_, '_>) -> Result<Self, Fail> {
        let given = clean_path(cx.arg(0));
        let mount_flag = cx.flags.text("mount").map(clean_path).filter(|mount| !mount.is_empty());
        let asked = mount_flag.clone().unwrap_or_else(|| given.clone());
        let (mount, versioned) = preflight(cx.http()?, &asked)?;
        let path = match &mount_flag {
            None => given,
            // A server that cannot tell leaves the mount as it was given.
            Some(flag) if mount.is_empty() => join_path(&[flag, &given]),
            Some(_) => join_path(&[&mount, &given]),
        };
        Ok(Self { mount, path, versioned })
    }

    /// The API path of the secret under one of the store's branches (`data`, `metadata`, …).
    pub fn branch(&self, branch: &str) -> String {
        add_branch(&self.path, &self.mount, branch)
    }

    /// The API path of the secret's data in either version.
    pub fn data(&self) -> String {
        if self.versioned { self.branch("data") } else { self.path.clone() }
    }

    /// The API path under which names are listed.
    pub fn names(&self) -> String {
        if self.versioned { self.branch("metadata") } else { self.path.clone() }
    }

    /// Complains about a store without versions.
    pub fn need_versions(&self, complaint: &str, code: i32) -> Result<(), Fail> {
        if self.versioned { Ok(()) } else { Err(Fail::usage(complaint).with_code(code)) }
    }
}

/// Asks which mount owns a path and whether it keeps versions.
fn preflight(http: &mut Http, path: &str) -> Result<(String, bool), Fail> {
    let request = Request::get(format!("sys/internal/ui/mounts/{path}"));
    let reply = http.send_aside(request).and_then(|reply| {
        // A server that does not know the question has no versions either.
        if reply.status == 404 { Ok(None) } else { Envelope::parse(&reply.ok()?) }
    });
    let envelope = match reply {
        Ok(Some(envelope)) => envelope,
        Ok(None) => return Ok((String::new(), false)),
        Err(error) if http.is_dry() && error.status() == Some(403) => {
            return Err(Fail::remote(format!(
                "To show this request its mount must be asked for first, and your token may not \
                 read {path}. With versions the rule must name the path as MOUNT/data/…"
            )));
        }
        Err(error @ (Error::Response(_) | Error::Transport { .. })) => {
            return Err(Fail {
                code: 2,
                text: error.to_string(),
                explain: error.explain().map(str::to_owned),
            });
        }
        Err(error) => return Err(Fail::remote(error.to_string())),
    };
    let mount = envelope.datum("path").and_then(Json::as_str).unwrap_or_default().to_owned();
    let version = envelope.datum("options").and_then(|options| options.get("version"));
    Ok((mount, version.and_then(Json::as_str) == Some("2")))
}

/// Puts a branch's name between the mount and the rest of a path.
fn add_branch(path: &str, mount: &str, branch: &str) -> String {
    let bare = mount.trim_end_matches('/');
    if path == bare {
        return join_path(&[bare, branch]);
    }
    // The mount's path may begin with namespaces that the given path leaves out.
    let mut mount = mount;
    loop {
        if let Some(rest) = path.strip_prefix(mount) {
            return join_path(&[mount, branch, rest]);
        }
        match mount.split_once('/') {
            Some((_, inner)) if !inner.is_empty() => mount = inner,
            _ => return join_path(&[mount, branch, path]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_branch_goes_behind_the_mount() {
        for (path, mount, whole) in [
            ("secret/app", "secret/", "secret/data/app"),
            ("secret", "secret/", "secret/data"),
            ("a/b/app/x", "a/b/", "a/b/data/app/x"),
            ("secret/data/app", "secret/", "secret/data/data/app"),
            ("secret/app", "ns1/ns2/secret/", "secret/data/app"),
            ("kv/kv/kv", "kv/", "kv/data/kv/kv"),
        ] {
            assert_eq!(add_branch(path, mount, "data"), whole, "{path} in {mount}");
        }
    }
}
