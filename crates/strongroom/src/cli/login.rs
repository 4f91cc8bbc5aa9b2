//! `login`, `unwrap`, `print token`: how a person becomes known to the server, and stays so until
//! the token ends.

use std::collections::BTreeMap;

use serde_json::json;
use strongroom_base::SecretString;
use strongroom_base::json::{Json, JsonMap};
use strongroom_client::{Auth, Envelope, Error, Request};

use super::command::{Command, Fail, Outcome, Prints};
use super::context::Context;
use super::data::{clean_path, print_answer};
use super::flags::Flag;
use super::http::Http;
use super::input;
use super::oidc;
use super::table::wrap;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::new(
        "login",
        "[AUTH K=V...]",
        "Log in and keep the token for later commands",
        "
Logs in and keeps the token in ~/.vault-token, where all tools of this family look
for it. Without -method a token is asked for and checked.

    $ {bin} login
    $ {bin} login -method=userpass username=kim
    $ {bin} login -method=ldap -path=corp username=kim
    $ {bin} login -method=approle role_id=web secret_id=@/run/secret-id
    $ {bin} login -method=oidc role=dev

What is secret and missing is asked for on the terminal. key=@FILE, key=- and a lone -
keep it out of the process list. Methods: token, userpass, ldap, radius, okta,
approle, github, cert, aws, gcp, azure, kubernetes, jwt, oidc; \"{bin} auth help TYPE\" tells what
each takes.",
        login,
    )
    .prints(Prints::FIELDS)
    .flags(&[
        Flag::text("method", "The kind of login. Where it is mounted is -path's business.")
            .default("token"),
        Flag::text("path", "Where the auth method is mounted. The kind's name if not given."),
        Flag::bool("no-store", "Do not keep the token; only print it.").default("false"),
        Flag::bool("no-print", "Do not print the token; only keep it.").default("false"),
        Flag::bool("token-only", "Print nothing but the token, and do not keep it.")
            .default("false"),
    ]),
    Command::new(
        "unwrap",
        "[TOKEN]",
        "Take a wrapped answer out of its wrapping",
        "
Prints what a wrapping token holds; it can be done once. Without an argument the
current token is taken for the wrapping one. - reads it from stdin.

    $ {bin} unwrap hvs.CAESI…
    $ {bin} unwrap - < wrapped-token",
        unwrap,
    )
    .prints(Prints::FIELDS),
    Command::group(
        "print",
        "Print what the command line itself uses",
        "
Prints what later commands would use.

    $ {bin} print token",
    ),
    Command::new(
        "print token",
        "",
        "Print the current token",
        "
Prints the token that the next command would send: from the environment, else the
one that \"{bin} login\" kept.",
        print_token,
    ),
];

/// A kind of login: what it takes and where it asks.
struct Method {
    name: &'static str,
    help: &'static str,
    log_in: fn(&mut Context<'_, '_>, &mut Http, &Given) -> Result<Option<Envelope>, Fail>,
}

/// What was given for a login.
pub(super) struct Given {
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
    fn secret(
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

const METHODS: &[Method] = &[
    Method {
        name: "token",
        help: "token: checks a token and keeps it.\n\n  [token=TOKEN]   asked for if missing; \
               \"login -\" reads it from stdin\n  [lookup=false]  keep it unchecked",
        log_in: by_token,
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
    Method { name: "aws", help: super::login_aws::HELP, log_in: super::login_aws::by_aws },
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

fn login(cx: &mut Context<'_, '_>) -> Outcome {
    let token_only = cx.flags.is("token-only");
    let no_store = token_only || cx.flags.is("no-store");
    let no_print = cx.flags.is("no-print");
    if no_store && no_print {
        return Err(Fail::usage("-no-store and -no-print cannot be used together"));
    }
    let kind = clean_path(cx.flags.text("method").unwrap_or("token"));
    let kind = if kind.is_empty() { "token".to_owned() } else { kind };
    let Some(method) = METHODS.iter().find(|method| method.name == kind) else {
        return Err(Fail::usage(wrap(
            &format!(
                "Unknown auth method: {kind}. \"{} login -h\" lists those this command knows; all \
                 others can be used through the API, for instance by \"write\".",
                cx.program()
            ),
            0,
        )));
    };
    let given = given(cx, &kind)?;
    let mut http = cx.http_without_token()?;
    if kind != "token" {
        http.client.set_token(None);
    }
    let answer = (method.log_in)(cx, &mut http, &given);
    let answer = match answer {
        Ok(answer) => answer,
        Err(fail) => {
            // A dry run needs the request that was not sent.
            cx.set_http(http);
            return Err(fail);
        }
    };
    let Some(mut envelope) = answer else {
        return Err(Fail::remote("Error authenticating: empty response from the server"));
    };
    if needs_second_factor(&envelope) {
        match second_factor(cx, &envelope)? {
            Some(validated) => envelope = validated,
            None => return cx.ui.envelope(&envelope),
        }
    }
    if let Some(wrapped) = envelope.wrap_info.clone() {
        if wrapped.wrapped_accessor.is_empty() {
            return Err(Fail::remote(
                "Error extracting token: wrapped response does not contain a token",
            ));
        }
        if no_store {
            let field = token_only.then_some("wrapping_token");
            return match field {
                Some(field) => cx.ui.field(&envelope, field),
                None => cx.ui.envelope(&envelope),
            };
        }
        let request = Request::put("sys/wrapping/unwrap", Json::Null).with_token(&wrapped.token);
        envelope = http
            .send_aside(request)
            .and_then(strongroom_client::Reply::envelope)
            .map_err(|e| Fail::server("Error extracting token", &e))?
            .unwrap_or_default();
    }
    if envelope.auth.is_none() {
        return Err(Fail::remote("The answer holds no token. The server broke its own protocol."));
    }
    let address = http.client.address().to_owned();
    keep_and_print(cx, &envelope, &address, no_store, token_only)
}

fn given(cx: &mut Context<'_, '_>, kind: &str) -> Result<Given, Fail> {
    let mut words = cx.args.clone();
    if kind == "token"
        && let Some(first) = words.first_mut()
        && !first.contains('=')
    {
        *first = format!("token={first}");
    }
    let pairs = input::parse_texts(&mut cx.stdin(), &words)
        .map_err(|problem| Fail::usage(format!("Error parsing configuration: {problem}")))?;
    let values: BTreeMap<String, String> = pairs.into_iter().collect();
    let path = cx.flags.text("path").map(clean_path).filter(|path| !path.is_empty());
    let mount = values.get("mount").map(|mount| clean_path(mount)).or(path);
    Ok(Given { mount: mount.unwrap_or_else(|| kind.to_owned()), values })
}

fn keep_and_print(
    cx: &mut Context<'_, '_>,
    envelope: &Envelope,
    address: &str,
    no_store: bool,
    token_only: bool,
) -> Outcome {
    let token = envelope.auth.as_ref().map(|auth| auth.client_token.as_str()).unwrap_or_default();
    if no_store {
        if !token_only {
            cx.ui.warn(&format!(
                "{}\n",
                wrap(
                    "The token was not kept. Pass it to later commands by the environment \
                     variable STRONGROOM_TOKEN or VAULT_TOKEN.",
                    0
                )
            ));
        }
    } else {
        let stored = cx.token_store(address).map_err(|fail| fail.with_code(1))?.store(token);
        if let Err(error) = stored {
            cx.ui.error(&format!("Error storing token: {error}"));
            cx.ui.error("You are logged in, but the token is kept nowhere but here:\n");
            cx.ui.envelope(envelope)?;
            return Err(Fail::quiet(2));
        }
        if let Some((name, _)) = cx.env().find("TOKEN") {
            cx.ui.warn(&format!(
                "{}\n",
                wrap(
                    &format!(
                        "WARNING! {name} is set in the environment. Its token goes before the one \
                         just kept; unset it to use the new one."
                    ),
                    0
                )
            ));
        }
    }
    if cx.flags.is("no-print") {
        return Ok(());
    }
    if token_only {
        return cx.ui.field(envelope, "token");
    }
    if cx.flags.text_or_empty("field").is_empty() && cx.ui.is_table() {
        let kept = if no_store { "" } else { " Later commands use this token by themselves." };
        cx.ui.say(&format!("Success! You are now authenticated.{kept}\n"));
    }
    print_answer(cx, envelope)
}

fn by_token(
    cx: &mut Context<'_, '_>,
    http: &mut Http,
    given: &Given,
) -> Result<Option<Envelope>, Fail> {
    let token = given.secret(cx, "token", "Token (will be hidden): ")?;
    if token.expose_secret().is_empty() {
        return Err(Fail::remote("Error authenticating: a token must be given"));
    }
    if given.get("lookup").and_then(strongroom_client::parse_bool) == Some(false) {
        let auth = Auth { client_token: token.expose_secret().clone(), ..Auth::default() };
        return Ok(Some(Envelope { auth: Some(auth), ..Envelope::default() }));
    }
    let request = Request::get("auth/token/lookup-self").with_token(token.expose_secret());
    let envelope = http
        .send(request.unwrapped())
        .and_then(strongroom_client::Reply::envelope)
        .map_err(|e| Fail::server("Error authenticating: error looking up token", &e))?;
    Ok(envelope.map(|mut envelope| {
        envelope.auth = Some(auth_of_lookup(&envelope, token.expose_secret()));
        envelope.data = None;
        envelope.lease_duration = 0;
        envelope
    }))
}

/// What a login would have said of a token, from what its look-up says.
fn auth_of_lookup(envelope: &Envelope, token: &str) -> Auth {
    let text = |name: &str| envelope.datum(name).and_then(Json::as_str).unwrap_or_default();
    let list = |name: &str| -> Option<Vec<String>> {
        let items = envelope.datum(name)?.as_array()?;
        Some(items.iter().filter_map(Json::as_str).map(str::to_owned).collect())
    };
    let own = list("policies").unwrap_or_default();
    let mut all = own.clone();
    all.extend(list("identity_policies").unwrap_or_default());
    all.sort();
    all.dedup();
    Auth {
        client_token: token.to_owned(),
        accessor: text("accessor").to_owned(),
        policies: Some(all),
        token_policies: Some(own),
        identity_policies: list("identity_policies"),
        metadata: envelope.datum("meta").and_then(Json::as_object).cloned(),
        orphan: envelope.datum("orphan").and_then(Json::as_bool).unwrap_or_default(),
        entity_id: text("entity_id").to_owned(),
        lease_duration: envelope.datum("ttl").and_then(Json::as_i64).unwrap_or_default(),
        renewable: envelope.datum("renewable").and_then(Json::as_bool).unwrap_or_default(),
        mfa_requirement: None,
    }
}

/// Sends a login.
pub(super) fn post(http: &mut Http, path: String, body: Json) -> Result<Option<Envelope>, Fail> {
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

fn needs_second_factor(envelope: &Envelope) -> bool {
    envelope
        .auth
        .as_ref()
        .and_then(|auth| auth.mfa_requirement.as_ref())
        .is_some_and(|requirement| !requirement.is_null())
}

/// Asks for the one second factor a login still needs. Nothing if none is needed, or if it cannot
/// be asked for here; then the caller is told what to do.
pub fn second_factor(
    cx: &mut Context<'_, '_>,
    envelope: &Envelope,
) -> Result<Option<Envelope>, Fail> {
    let requirement = envelope.auth.as_ref().and_then(|auth| auth.mfa_requirement.as_ref());
    let Some(requirement) = requirement.filter(|requirement| !requirement.is_null()) else {
        return Ok(None);
    };
    let methods: Vec<&Json> = requirement
        .get("mfa_constraints")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .flat_map(|(_, set)| set.get("any").and_then(Json::as_array).into_iter().flatten())
        .collect();
    let id = requirement.get("mfa_request_id").and_then(Json::as_str).unwrap_or_default();
    let ([method], false) = (methods.as_slice(), cx.flags.is("non-interactive")) else {
        cx.ui.warn(&format!(
            "{}\n",
            wrap(
                "This login needs a second factor. Send it to sys/mfa/validate together with the \
                 request id shown below.",
                0
            )
        ));
        return Ok(None);
    };
    let method_id = method.get("id").and_then(Json::as_str).unwrap_or_default();
    let kind = method.get("type").and_then(Json::as_str).unwrap_or_default();
    let code = if method.get("uses_passcode").and_then(Json::as_bool) == Some(true) {
        cx.ask(&format!("Code of the second factor ({kind}): "))?
    } else {
        cx.ui.warn("Confirm the login on your device…");
        SecretString::new(String::new())
    };
    let body = json!({"mfa_request_id": id, "mfa_payload": {method_id: [code.expose_secret()]}});
    let answer = cx.http()?.write("sys/mfa/validate", body);
    answer.map_err(|e| Fail::server("Error validating the second factor", &e))
}

fn unwrap(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args_between(0, 1, "0-1")?;
    let given = match cx.arg(0).to_owned() {
        none if none.is_empty() => None,
        given => Some(cx.secret_argument(&given, "")?),
    };
    let http = cx.http()?;
    let mut request = Request::put("sys/wrapping/unwrap", Json::Object(JsonMap::new()));
    if let Some(token) = given {
        let same = http.client.token().is_some_and(|t| t.expose_secret() == token.expose_secret());
        if http.client.token().is_none() {
            request = request.with_token(token.expose_secret());
        } else if !same {
            let body = json!({"token": token.expose_secret()});
            request = Request::put("sys/wrapping/unwrap", body);
        }
    }
    let answer = http
        .send(request)
        .and_then(strongroom_client::Reply::written)
        .map_err(|e| Fail::server("Error unwrapping", &e))?;
    let Some(envelope) = answer else {
        if cx.ui.is_table() {
            cx.ui.say("Successfully unwrapped. There was no data in the wrapped secret.");
        }
        return Ok(());
    };
    if cx.flags.text_or_empty("field").is_empty() && envelope.keys().is_some() {
        return cx.ui.listing(&envelope);
    }
    print_answer(cx, &envelope)
}

fn print_token(cx: &mut Context<'_, '_>) -> Outcome {
    let token = cx.http()?.client.token().map(strongroom_base::SecretString::duplicate);
    cx.ui.say(token.as_ref().map_or("", |token| token.expose_secret()));
    Ok(())
}
