//! Where AWS credentials come from, in the order of AWS's own tools: a profile that was asked for, the
//! environment, a web identity's token, the usual profile, a container's agent, the instance.

use http::{HeaderName, Method};
use strongroom_base::SecretString;
use strongroom_base::json::Json;
use strongroom_cloudwire::sigv4::{Credentials, uri_encode};
use strongroom_cloudwire::{form, xml};
use strongroom_web::{Answer, Call};
use zeroize::Zeroizing;

use super::super::{Failure, process};
use super::profile::Section;
use super::service::{Asked, Session, refusal, secret_of};

/// Profiles that may stand behind one another.
const CHAIN_MAX: usize = 8;
/// The agent of Amazon ECS.
const ECS_AGENT: &str = "http://169.254.170.2";
/// The instance's metadata.
const INSTANCE: &str = "http://169.254.169.254";
/// Seconds for which the instance's token is asked for.
const INSTANCE_TOKEN_SECONDS: &str = "300";

/// The credentials of a session. `named` is true where a key names its profile: then nothing else is
/// looked at before it.
pub fn find(session: &Session<'_>, named: bool) -> Result<Credentials, Failure> {
    let machine = session.machine;
    if !named {
        if let Some(found) = of_environment(session) {
            return Ok(found);
        }
        if let Some(file) = machine.filled("AWS_WEB_IDENTITY_TOKEN_FILE") {
            let role = machine.filled("AWS_ROLE_ARN").ok_or_else(|| {
                Failure::new("AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN is not")
            })?;
            let name = machine.filled("AWS_ROLE_SESSION_NAME").unwrap_or("strongroom-sops");
            return by_web_identity(session, file, role, name);
        }
    }
    if let Some(found) = of_profile(session, &session.profile, 0)? {
        return Ok(found);
    }
    if let Some(found) = of_container(session)? {
        return Ok(found);
    }
    of_instance(session)
}

fn of_environment(session: &Session<'_>) -> Option<Credentials> {
    let either = |names: [&str; 2]| names.into_iter().find_map(|name| session.machine.filled(name));
    let access_key = either(["AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"])?;
    let secret_key = either(["AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"])?;
    let token = session.machine.filled("AWS_SESSION_TOKEN");
    Some(Credentials {
        access_key: access_key.to_owned(),
        secret_key: SecretString::new(secret_key.to_owned()),
        session_token: token.map(|token| SecretString::new(token.to_owned())),
    })
}

fn keys_of(section: &Section) -> Option<Credentials> {
    let token = section.get("aws_session_token");
    Some(Credentials {
        access_key: section.get("aws_access_key_id")?.to_owned(),
        secret_key: SecretString::new(section.get("aws_secret_access_key")?.to_owned()),
        session_token: token.map(|token| SecretString::new(token.to_owned())),
    })
}

/// What a profile has: a role over other credentials, a token's role, keys, a program.
fn of_profile(
    session: &Session<'_>,
    name: &str,
    depth: usize,
) -> Result<Option<Credentials>, Failure> {
    let Some(section) = session.profiles.get(name) else { return Ok(None) };
    if depth > CHAIN_MAX {
        return Err(Failure::new("AWS profiles name each other without end"));
    }
    let session_name = section.get("role_session_name").unwrap_or("strongroom-sops");
    if let Some(role) = section.get("role_arn") {
        if let Some(file) = section.get("web_identity_token_file") {
            return by_web_identity(session, file, role, session_name).map(Some);
        }
        let source = match (section.get("source_profile"), section.get("credential_source")) {
            // A profile may be its own source: by its keys.
            (Some(source), _) if source == name => keys_of(section),
            (Some(source), _) => of_profile(session, source, depth + 1)?,
            (None, Some("Environment")) => of_environment(session),
            (None, Some("EcsContainer")) => of_container(session)?,
            (None, Some("Ec2InstanceMetadata")) => Some(of_instance(session)?),
            _ => None,
        };
        let source = source.ok_or_else(|| {
            Failure::new(format!("the AWS profile {name} has no credentials to assume its role"))
        })?;
        let id = section.get("external_id");
        return assume_role(session, &source, role, session_name, id).map(Some);
    }
    if let Some(found) = keys_of(section) {
        return Ok(Some(found));
    }
    if section.get("sso_session").or_else(|| section.get("sso_start_url")).is_some() {
        return by_sso(session, section).map(Some);
    }
    match section.get("credential_process") {
        Some(command) => by_process(session, command).map(Some),
        None => Ok(None),
    }
}

/// `sts:AssumeRole`.
pub fn assume_role(
    session: &Session<'_>,
    credentials: &Credentials,
    role: &str,
    session_name: &str,
    external_id: Option<&str>,
) -> Result<Credentials, Failure> {
    let mut fields = vec![
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", role),
        ("RoleSessionName", session_name),
    ];
    fields.extend(external_id.map(|id| ("ExternalId", id)));
    let endpoint = session.endpoint("sts");
    let asked = Asked {
        service: "sts",
        method: Method::POST,
        endpoint: &endpoint,
        path: "/",
        query: "",
        headers: &[("content-type", FORM.to_owned())],
        body: form::encode(&fields).into_bytes(),
    };
    let failed = |failure: Failure| failure.within(format!("failed to assume role '{role}'"));
    let answer = session.send(asked, credentials).map_err(failed)?;
    of_sts(&answer, "AssumeRoleResult").map_err(failed)
}

const FORM: &str = "application/x-www-form-urlencoded";

/// `sts:AssumeRoleWithWebIdentity`, which needs no signature: the token is what proves.
fn by_web_identity(
    session: &Session<'_>,
    file: &str,
    role: &str,
    session_name: &str,
) -> Result<Credentials, Failure> {
    let token = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(format!("web identity token: {file}: {error}")))?;
    let token = Zeroizing::new(token);
    let body = form::encode(&[
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", role),
        ("RoleSessionName", session_name),
        ("WebIdentityToken", token.trim()),
    ]);
    let failed = |failure: Failure| failure.within(format!("failed to assume role '{role}'"));
    let url = format!("{}/", session.endpoint("sts"));
    let answer = session.call(Call::post(url, FORM, body.into_bytes())).map_err(failed)?;
    of_sts(&answer, "AssumeRoleWithWebIdentityResult").map_err(failed)
}

/// The credentials in an answer of STS.
fn of_sts(answer: &Answer, result: &str) -> Result<Credentials, Failure> {
    let root = xml::parse(&answer.body).map_err(|_| refusal(answer))?;
    if !answer.is_success() {
        let error = root.only("Error");
        let part = |name| error.and_then(|error| error.text_of(name)).unwrap_or_default();
        let (code, words) = (part("Code"), part("Message"));
        return Err(Failure::new(format!("HTTP status {}: {code}: {words}", answer.status)));
    }
    let found = root.only(result).and_then(|result| result.only("Credentials"));
    let part = |name: &str| {
        let text = found.and_then(|found| found.text_of(name)).map(str::to_owned);
        text.ok_or_else(|| Failure::new(format!("the answer of STS lacks {name}")))
    };
    Ok(Credentials {
        access_key: part("AccessKeyId")?,
        secret_key: SecretString::new(part("SecretAccessKey")?),
        session_token: Some(SecretString::new(part("SessionToken")?)),
    })
}

/// The output of a program (AWS CLI User Guide, "Sourcing credentials with an external process").
fn by_process(session: &Session<'_>, command: &str) -> Result<Credentials, Failure> {
    let ended = process::run("sh", &["-c", command], b"", &[], session.machine)?;
    let failed = |why: &str| Failure::new(format!("AWS credential_process: {why}"));
    if !ended.success {
        return Err(failed("the program failed"));
    }
    let json = strongroom_base::json::parse_bounded(ended.output.expose_secret());
    let json = json.map_err(|_| failed("what the program said is no JSON"))?;
    from_json(&json, ["AccessKeyId", "SecretAccessKey", "SessionToken"])
        .ok_or_else(|| failed("what the program said has no credentials"))
}

fn from_json(json: &Json, [key, secret, token]: [&str; 3]) -> Option<Credentials> {
    Some(Credentials {
        access_key: json.get(key)?.as_str()?.to_owned(),
        secret_key: secret_of(json, secret)?,
        session_token: secret_of(json, token).filter(|token| !token.expose_secret().is_empty()),
    })
}

/// A role of IAM Identity Center, by the token that `aws sso login` left.
fn by_sso(session: &Session<'_>, section: &Section) -> Result<Credentials, Failure> {
    let name = section.get("sso_session");
    let shared = name.and_then(|name| session.profiles.referred("sso-session", name));
    let setting = |key: &str| shared.and_then(|s| s.get(key)).map_or_else(|| section.need(key), Ok);
    let (start_url, region) = (setting("sso_start_url")?, setting("sso_region")?);
    let cached = hex::encode(strongroom_crypto::digest::sha1(name.unwrap_or(start_url).as_bytes()));
    let home = session.machine.home().unwrap_or_default();
    let file = home.join(".aws/sso/cache").join(format!("{cached}.json"));
    let login =
        || Failure::new("the AWS SSO session has expired or is not there: run aws sso login");
    let text = std::fs::read(&file).map(Zeroizing::new).map_err(|_| login())?;
    let json = strongroom_base::json::parse_bounded(&text).map_err(|_| login())?;
    let token = secret_of(&json, "accessToken").ok_or_else(login)?;
    let url = format!(
        "https://portal.sso.{region}.amazonaws.com/federation/credentials?role_name={}&account_id={}",
        uri_encode(section.need("sso_role_name")?),
        uri_encode(section.need("sso_account_id")?),
    );
    let header = HeaderName::from_static("x-amz-sso_bearer_token");
    let answer = session.call(Call::get(url).header(header, token.expose_secret())?)?;
    if !answer.is_success() {
        return Err(refusal(&answer).within("AWS SSO"));
    }
    let json = answer.json()?;
    json.get("roleCredentials")
        .and_then(|found| from_json(found, ["accessKeyId", "secretAccessKey", "sessionToken"]))
        .ok_or_else(|| Failure::new("AWS SSO: the answer has no credentials"))
}

/// The agent beside a container, where the environment names one.
fn of_container(session: &Session<'_>) -> Result<Option<Credentials>, Failure> {
    let machine = session.machine;
    let url = match machine.filled("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        Some(path) => format!("{ECS_AGENT}{path}"),
        None => match machine.filled("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
            Some(url) => agent_url(url)?,
            None => return Ok(None),
        },
    };
    let mut call = Call::get(url);
    let token = match machine.filled("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(path) => Some(Zeroizing::new(std::fs::read_to_string(path).map_err(|error| {
            Failure::new(format!("the container's authorization token: {path}: {error}"))
        })?)),
        None => machine
            .filled("AWS_CONTAINER_AUTHORIZATION_TOKEN")
            .map(|token| Zeroizing::new(token.to_owned())),
    };
    if let Some(token) = token {
        call = call.header(http::header::AUTHORIZATION, token.trim())?;
    }
    let answer = session.call(call)?;
    let failed = |why: &str| Failure::new(format!("the container's AWS credentials: {why}"));
    if !answer.is_success() {
        return Err(failed(&format!("HTTP status {}", answer.status)));
    }
    let found = from_json(&answer.json()?, ["AccessKeyId", "SecretAccessKey", "Token"]);
    found.map(Some).ok_or_else(|| failed("the answer has none"))
}

/// Credentials come over plain HTTP from this machine's own neighbourhood only.
fn agent_url(url: &str) -> Result<String, Failure> {
    let host = url.strip_prefix("http://").map(|rest| {
        let authority = rest.split('/').next().unwrap_or_default();
        match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        }
    });
    let near = match host {
        None => url.starts_with("https://"),
        Some("localhost" | "169.254.170.2" | "169.254.170.23" | "fd00:ec2::23") => true,
        Some(host) => host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
    };
    if near {
        return Ok(url.to_owned());
    }
    Err(Failure::new("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor of this machine"))
}

/// The instance's role, by version 2 of its metadata service.
fn of_instance(session: &Session<'_>) -> Result<Credentials, Failure> {
    let none =
        || Failure::new("failed to refresh cached credentials, no AWS credentials were found");
    let machine = session.machine;
    if machine.filled("AWS_EC2_METADATA_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
        return Err(none());
    }
    let base = machine.filled("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(INSTANCE);
    let base = base.trim_end_matches('/');
    let mut call = Call::get(format!("{base}/latest/api/token"));
    call.method = Method::PUT;
    let seconds = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
    let call = call.header(seconds, INSTANCE_TOKEN_SECONDS)?;
    let answer = session.call(call).map_err(|_| none())?;
    let token = Zeroizing::new(String::from_utf8_lossy(&answer.body).into_owned());
    if !answer.is_success() {
        return Err(none());
    }
    let header = HeaderName::from_static("x-aws-ec2-metadata-token");
    let roles = format!("{base}/latest/meta-data/iam/security-credentials/");
    let answer = session.call(Call::get(&roles).header(header.clone(), &token)?)?;
    let role = String::from_utf8_lossy(&answer.body).lines().next().unwrap_or_default().to_owned();
    if !answer.is_success() || role.is_empty() {
        return Err(none());
    }
    let url = format!("{roles}{}", uri_encode(&role));
    let answer = session.call(Call::get(url).header(header, &token)?)?;
    let found = answer.json().ok().filter(|_| answer.is_success());
    found
        .and_then(|json| from_json(&json, ["AccessKeyId", "SecretAccessKey", "Token"]))
        .ok_or_else(none)
}
