//! The server as `import` and `export` see it: secrets of its key-value stores, of either version, over
//! the same client and variables as all other commands.

use serde_json::json;
use strongroom_base::json::{Json, JsonMap};
use strongroom_client::{Client, Config, Environment, Reply, Request, TokenStore, join_path};
use strongroom_sops::{Error, Result};

use crate::cli::command::Fail;
use crate::cli::context::World;
use crate::cli::http::Http;
use crate::cli::kv::Target;

/// Folders below each other, at most.
const DEPTH_MAX: usize = 64;
/// Secrets of a folder, at most.
const SECRETS_MAX: usize = 10_000;

/// A connection.
pub struct Room {
    http: Http,
}

fn failed(fail: Fail) -> Error {
    Error::general(fail.text)
}

fn refused(what: String) -> impl FnOnce(strongroom_client::Error) -> Error {
    move |error| Error::general(format!("{what}: {error}"))
}

impl Room {
    /// Connects as the environment says; the token is that of the environment or of the last login.
    pub fn connect(world: &World<'_>) -> Result<Self> {
        let env = Environment::new(world.env);
        let wrong = |error: strongroom_client::Error| Error::general(error.to_string());
        let config = Config::from_environment(&env).map_err(wrong)?;
        let mut client = Client::new(config).map_err(wrong)?;
        if client.token().is_none() {
            let store = TokenStore::find(&env, world.home().as_deref(), client.address());
            let token = store.and_then(|store| store.load());
            client.set_token(token.map_err(|error| Error::general(error.to_string()))?);
        }
        let http = Http::new(client, None);
        Ok(Self { http: http.map_err(|error| Error::general(error.to_string()))? })
    }

    /// The secret or folder at a path that begins with its mount.
    pub fn target(&mut self, path: &str) -> Result<Target> {
        let target = Target::at(&mut self.http, path).map_err(failed)?;
        match target.within().trim_matches('/').is_empty() {
            true => {
                Err(Error::general(format!("{path}: the path names a store, and no secret in it")))
            }
            false => Ok(target),
        }
    }

    /// The folder at a path, which may be a whole store.
    pub fn folder(&mut self, path: &str) -> Result<Target> {
        Target::at(&mut self.http, path).map_err(failed)
    }

    /// A secret's values, of its newest version.
    pub fn read(&mut self, target: &Target) -> Result<JsonMap> {
        let whole = target.whole();
        let answer = self.http.read(&target.data()).map_err(refused(format!("reading {whole}")))?;
        let data = answer.and_then(|envelope| envelope.data);
        let values = match (target.versioned, data) {
            (true, Some(mut data)) => match data.remove("data") {
                Some(Json::Object(values)) => Some(values),
                // Deleted or destroyed.
                _ => None,
            },
            (_, data) => data,
        };
        values.ok_or_else(|| Error::general(format!("there is no secret at {whole}")))
    }

    /// Writes a secret; with a version that it must have now.
    pub fn write(&mut self, target: &Target, values: JsonMap, cas: Option<i64>) -> Result<()> {
        let body = match (target.versioned, cas) {
            (true, Some(cas)) => json!({ "data": values, "options": { "cas": cas } }),
            (true, None) => json!({ "data": values }),
            (false, None) => Json::Object(values),
            (false, Some(_)) => {
                let text = format!("{}: --cas needs a store with versions", target.whole());
                return Err(Error::general(text));
            }
        };
        let request = Request::put(target.data(), body);
        let written = self.http.send(request).and_then(Reply::written);
        written.map(drop).map_err(refused(format!("writing {}", target.whole())))
    }

    /// The paths of all secrets of a folder, from the folder.
    pub fn names(&mut self, folder: &Target) -> Result<Vec<String>> {
        let mut found = Vec::new();
        self.gather(&folder.names(), "", &mut found, 0)?;
        match found.is_empty() {
            true => Err(Error::general(format!("there is no secret below {}", folder.whole()))),
            false => Ok(found),
        }
    }

    fn gather(
        &mut self,
        listed: &str,
        within: &str,
        found: &mut Vec<String>,
        depth: usize,
    ) -> Result<()> {
        let path = join_path(&[listed, within]);
        let answer = self.http.list(&path).map_err(refused(format!("listing {path}")))?;
        let names = answer.as_ref().and_then(|envelope| envelope.datum("keys"));
        let names: Vec<String> = names.and_then(Json::as_array).map_or_else(Vec::new, |names| {
            names.iter().filter_map(Json::as_str).map(str::to_owned).collect()
        });
        for name in names {
            let name = format!("{within}{name}");
            if name.ends_with('/') {
                if depth >= DEPTH_MAX {
                    return Err(Error::general(format!(
                        "{name}: too many folders below each other"
                    )));
                }
                self.gather(listed, &name, found, depth + 1)?;
            } else if found.len() >= SECRETS_MAX {
                let text =
                    format!("there are more than {SECRETS_MAX} secrets: take a folder of them");
                return Err(Error::general(text));
            } else {
                found.push(name);
            }
        }
        Ok(())
    }
}
