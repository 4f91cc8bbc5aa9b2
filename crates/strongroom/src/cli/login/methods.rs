//! Kinds of logins: what each takes, and what it sends.

use std::collections::BTreeMap;

use serde_json::json;
use strongroom_base::SecretString;
use strongroom_base::json::{Json, JsonMap};
use strongroom_client::{Envelope, Error, Request};

use super::super::command::Fail;
use super::super::context::Context;
use super::super::http::Http;
use super::super::oidc;

/// A kind of login: what it takes and where it asks.
pub struct Method {
    /// What `-method` calls it.
    pub name: &'static str,
    /// What it takes.
    pub help: &'static str,
    /// Logs in.
    pub log_in: fn(&mut Context<'_, '_>, &mut Http, &Given) -> Result<Option<Envelope>, Fail>,
}

/// What was given for a login.
pub struct Given {
    /// Where the method is mounted, below `auth/`.
    pub mount: String,
    /// All values.
    pub values: BTreeMap<String, String>,
}

impl Given {
    /// A value that is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A secret value: given, else of the variable `variable` of the environment with any of our
    /// prefixes, else asked for.
    fn secret_or(
        &self,
        cx: &mut Context<'_, '_>,
        (name, variable): (&str, &str),
        prompt: &str,
    ) -> Result<SecretString, Fail> {
        if self.get(name).is_none()
            && let Some((_, value)) = cx.env().find(variable)
        {
            return Ok(SecretString::new(value.trim().to_owned()));
        }
        self.secret(cx, name, prompt)
    }

    /// A secret value, asked for if it is missing.
    pub fn secret(
        &self,
        cx: &mut Context<'_, '_>,
        name: &str,
        prompt: &str,
    ) -> Result<SecretString, Fail> {
        match self.get(name) {
            Some(value) => Ok(SecretString::new(value.trim().to_owned())),
            None => cx.ask(prompt),
        }
    }

    fn required(&self, name: &str) -> Result<&str, Fail> {
        self.get(name)
            .ok_or_else(|| Fail::remote(format!("Error authenticating: '{name}' must be given")))
    }
}

/// The kinds that there are.
pub const METHODS: &[Method] = &[
    Method {
        name: "token",
        help: "token: checks a token and keeps it.\n\n  [token=TOKEN]   asked for if missing; \
               \"login -\" reads it from stdin\n  [lookup=false]  keep it unchecked",
        log_in: super::token::by_token,
    },
    Method { name: "userpass", help: PASSWORD_HELP, log_in: by_password },
    Method {
        name: "ldap",
        help: "ldap: logs in by name and password of a directory.\n\n  [username=NAME]  your own \
               user name if missing\n  [password=PW]    VAULT_LDAP_PASSWORD of the environment, or \
               asked for, if missing; password=- and\n                   password=@FILE read it",
        log_in: by_ldap,
    },
    Method { name: "radius", help: PASSWORD_HELP, log_in: by_password },
    Method { name: "okta", help: PASSWORD_HELP, log_in: by_password },
    Method {
        name: "approle",
        help: "approle: logs a program in.\n\n  role_id=ID      the role\n  [secret_id=ID]  its \
               secret, asked for if missing; secret_id=@FILE reads a file",
        log_in: by_approle,
    },
    Method {
        name: "github",
        help: "github: logs in by a personal access token of GitHub.\n\n  [token=TOKEN]  \
               VAULT_AUTH_GITHUB_TOKEN of the environment, or asked for, if missing; token=- and\n  \
                              token=@FILE read it",
        log_in: by_github,
    },
    Method {
        name: "cert",
        help: "cert: logs in by the certificate of -client-cert and -client-key.\n\n  \
               [name=ROLE]  try this role only",
        log_in: by_cert,
    },
    Method {
        name: "aws",
        help: super::super::login_aws::HELP,
        log_in: super::super::login_aws::by_aws,
    },
    Method {
        name: "gcp",
        help: "gcp: logs in by a token of a Google service account or instance.\n\n  \
               role=ROLE    the role\n  jwt=TOKEN    the token, or jwt=@FILE; asked for if \
               missing",
        log_in: by_given_jwt,
    },
    Method {
        name: "azure",
        help: "azure: logs in by the token of a managed identity.\n\n  role=ROLE    the role\n  \
               jwt=TOKEN    the token, or jwt=@FILE; asked for if missing\n  \
               [subscription_id=ID] [resource_group_name=NAME] [vm_name=NAME] [vmss_name=NAME]\n  \
               [resource_id=ID]  where the token is from, for roles that are bound to that",
        log_in: by_given_jwt,
    },
    Method { name: "kubernetes", help: JWT_HELP, log_in: by_jwt },
    Method { name: "jwt", help: JWT_HELP, log_in: by_jwt },
    Method { name: "oidc", help: oidc::HELP, log_in: oidc::log_in },
];

const PASSWORD_HELP: &str = "userpass, ldap, radius, okta: log in by name and password.\n\n  \
     [username=NAME]  your own user name if missing\n  [password=PW]    asked for if missing; \
     password=- and password=@FILE read it\n  [passcode=CODE]  second factor, where one is used";
const JWT_HELP: &str = "kubernetes, jwt: log in by a signed token.\n\n  role=ROLE    the role\n  \
     [jwt=TOKEN]  the token, or jwt=@FILE; for kubernetes the pod's own if missing";

/// The help of a kind of login, for `auth help`.
pub fn method_help(name: &str) -> Option<&'static str> {
    METHODS.iter().find(|method| method.name == name).map(|method| method.help)
}

/// Sends a login.
pub fn post(http: &mut Http, path: String, body: Json) -> Result<Option<Envelope>, Fail> {
    let answer: Result<Option<Envelope>, Error> =
        http.send(Request::put(path, body)).and_then(strongroom_client::Reply::written);
    answer.map_err(|e| Fail::server("Error authenticating", &e))
}

const PASSWORD_PROMPT: &str = "Password (will be hidden): ";

fn by_password(
    cx: &mut Context<'_, '_>,
    http: &mut Http,
    given: &Given,
) -> Result<Option<Envelope>, Fail> {
    let password = |cx: &mut Context<'_, '_>| given.secret(cx, "password", PASSWORD_PROMPT);
    by_name_and_password(cx, http, given, password)
}

fn by_ldap(
    cx: &mut Context<'_, '_>,
    http: &mut Http,
    given: &Given,
) -> Result<Option<Envelope>, Fail> {
    let names = ("password", "LDAP_PASSWORD");
    let password = |cx: &mut Context<'_, '_>| given.secret_or(cx, names, PASSWORD_PROMPT);
    by_name_and_password(cx, http, given, password)
}

fn by_name_and_password(
    cx: &mut Context<'_, '_>,
    http: &mut Http,
    given: &Given,
    password: impl FnOnce(&mut Context<'_, '_>) -> Result<SecretString, Fail>,
) -> Result<Option<Envelope>, Fail> {
    let env = cx.env();
    let own = || env.plain("LOGNAME").or_else(|| env.plain("USER"));
    let name = given.get("username").map(str::to_owned).or_else(own).ok_or_else(|| {
        Fail::remote("Error authenticating: 'username' not supplied and neither 'LOGNAME' nor 'USER' env vars set")
    })?;
    let password = password(cx)?;
    let mut body = JsonMap::new();
    body.insert("password".into(), password.expose_secret().as_str().into());
    for further in ["passcode", "method", "provider", "totp"] {
        if let Some(value) = given.get(further) {
            body.insert(further.into(), value.into());
        }
    }
    post(http, format!("auth/{}/login/{name}", given.mount), Json::Object(body))
}

fn by_approle(
    cx: &mut Context<'_, '_>,
    http: &mut Http,
    given: &Given,
) -> Result<Option<Envelope>, Fail> {
    let role = given.required("role_id")?.to_owned();
    let secret = given.secret(cx, "secret_id", "Secret ID (will be hidden): ")?;
    let mut body = json!({"role_id": role.trim()});
    if !secret.expose_secret().is_empty() {
        body["secret_id"] = secret.expose_secret().as_str().into();
    }
    post(http, format!("auth/{}/login", given.mount), body)
}

fn by_github(
    cx: &mut Context<'_, '_>,
    http: &mut Http,
    given: &Given,
) -> Result<Option<Envelope>, Fail> {
    let prompt = "GitHub Personal Access Token (will be hidden): ";
    let token = given.secret_or(cx, ("token", "AUTH_GITHUB_TOKEN"), prompt)?;
    let body = json!({"token": token.expose_secret()});
    post(http, format!("auth/{}/login", given.mount), body)
}

fn by_cert(
    _: &mut Context<'_, '_>,
    http: &mut Http,
    given: &Given,
) -> Result<Option<Envelope>, Fail> {
    let body = match given.get("name") {
        Some(name) => json!({"name": name}),
        None => json!({}),
    };
    post(http, format!("auth/{}/login", given.mount), body)
}

/// Where Kubernetes puts a pod's own token.
const POD_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

fn by_jwt(
    cx: &mut Context<'_, '_>,
    http: &mut Http,
    given: &Given,
) -> Result<Option<Envelope>, Fail> {
    let jwt = match given.get("jwt") {
        Some(jwt) => SecretString::new(jwt.trim().to_owned()),
        None => match std::fs::read_to_string(POD_TOKEN) {
            Ok(jwt) => SecretString::new(jwt.trim().to_owned()),
            Err(_) => cx.ask("JWT (will be hidden): ")?,
        },
    };
    let mut body = json!({"jwt": jwt.expose_secret()});
    if let Some(role) = given.get("role") {
        body["role"] = role.into();
    }
    post(http, format!("auth/{}/login", given.mount), body)
}

/// By a token that is given, and what is said of where it is from.
fn by_given_jwt(
    cx: &mut Context<'_, '_>,
    http: &mut Http,
    given: &Given,
) -> Result<Option<Envelope>, Fail> {
    let role = given.required("role")?.to_owned();
    let jwt = given.secret(cx, "jwt", "JWT (will be hidden): ")?;
    let mut body = json!({"role": role, "jwt": jwt.expose_secret()});
    for place in ["subscription_id", "resource_group_name", "vm_name", "vmss_name", "resource_id"] {
        if let Some(value) = given.get(place) {
            body[place] = value.into();
        }
    }
    post(http, format!("auth/{}/login", given.mount), body)
}
