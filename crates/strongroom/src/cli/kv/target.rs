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
    /// Finds the target of a command's first argument.
    pub fn find(cx: &mut Context<'_, '_>) -> Result<Self, Fail> {
        let given = cx.arg(0).to_owned();
        Self::find_path(cx, &given)
    }

    /// Finds the target of a path that begins with its mount.
    pub fn at(http: &mut Http, path: &str) -> Result<Self, Fail> {
        let path = clean_path(path);
        let (mount, versioned) = preflight(http, &path)?;
        Ok(Self { mount, path, versioned })
    }

    /// Finds the target of a path as it was given.
    pub fn find_path(cx: &mut Context<'_, '_>, given: &str) -> Result<Self, Fail> {
        let given = clean_path(given);
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

    /// The API path of another place in a mount, under one of the store's branches.
    pub fn place(mount: &str, branch: &str, within: &str) -> String {
        join_path(&[mount, branch, within])
    }

    /// The mount's path as it stands in the given one, with its slash.
    pub fn mount_path(&self) -> String {
        split(&self.path, &self.mount).0.to_owned()
    }

    /// The secret's path within its mount.
    pub fn within(&self) -> &str {
        split(&self.path, &self.mount).1
    }

    /// Mount and secret together, as people write it.
    pub fn whole(&self) -> String {
        let (mount, within) = split(&self.path, &self.mount);
        format!("{mount}{within}")
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
    let (mount, rest) = split(path, mount);
    join_path(&[mount, branch, rest])
}

/// A path's mount, with its slash, and the rest.
fn split<'a>(path: &'a str, mount: &'a str) -> (&'a str, &'a str) {
    // The mount's path may begin with namespaces that the given path leaves out.
    let mut inner = mount;
    loop {
        if path == inner.trim_end_matches('/') {
            return (inner, "");
        }
        if let Some(rest) = path.strip_prefix(inner) {
            return (inner, rest);
        }
        match inner.split_once('/') {
            Some((_, next)) if !next.is_empty() => inner = next,
            _ => return (mount, path),
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
