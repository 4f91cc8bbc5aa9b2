//! Access tokens of Microsoft Entra ID, in the order of Azure's own tools (Azure Identity,
//! `DefaultAzureCredential`): an application's secret, a federated token, a managed identity, and last
//! what `az login` left.

use http::HeaderName;
use strongroom_base::SecretString;
use strongroom_base::json::Json;
use strongroom_cloudwire::form;
use strongroom_cloudwire::sigv4::uri_encode;
use strongroom_web::{Answer, Call};
use zeroize::Zeroizing;

use super::super::{Failure, Machine, process};
use super::{Challenge, WORDS_MAX, checked_scheme};

/// Where tokens are had unless `AZURE_AUTHORITY_HOST` says otherwise.
const AUTHORITY: &str = "https://login.microsoftonline.com";
/// The instance's metadata ("How to use managed identities … to acquire an access token").
const INSTANCE: &str = "http://169.254.169.254";
const FORM: &str = "application/x-www-form-urlencoded";
/// The kind of a federated token (RFC 7523 §2.2).
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A token for what the challenge wants, by the first source that is there.
pub fn access_token(challenge: &Challenge, machine: &Machine) -> Result<SecretString, Failure> {
    let client = machine.filled("AZURE_CLIENT_ID");
    let tenant = machine.filled("AZURE_TENANT_ID").unwrap_or(challenge.tenant());
    if let (Some(client), Some(secret)) = (client, machine.filled("AZURE_CLIENT_SECRET")) {
        let proof = [("client_secret", secret)];
        return by_client(challenge, tenant, client, &proof, machine);
    }
    if let (Some(client), Some(file)) = (client, machine.filled("AZURE_FEDERATED_TOKEN_FILE")) {
        let token = std::fs::read_to_string(file).map(Zeroizing::new).map_err(|error| {
            Failure::new(format!("AZURE_FEDERATED_TOKEN_FILE: {file}: {error}"))
        })?;
        let proof = [("client_assertion_type", ASSERTION), ("client_assertion", token.trim())];
        return by_client(challenge, tenant, client, &proof, machine);
    }
    let failure = match managed(challenge, client, machine) {
        Ok(Some(token)) => return Ok(token),
        Ok(None) => Failure::new(
            "DefaultAzureCredential: failed to acquire a token: AZURE_CLIENT_ID with \
             AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE is not set, there is no managed \
             identity, and the Azure CLI gives none",
        ),
        Err(failure) => failure,
    };
    by_az(challenge, machine).ok_or(failure)
}

/// The client credentials grant (Microsoft identity platform, "OAuth 2.0 client credentials flow").
fn by_client(
    challenge: &Challenge,
    tenant: &str,
    client: &str,
    proof: &[(&str, &str)],
    machine: &Machine,
) -> Result<SecretString, Failure> {
    let authority = machine.filled("AZURE_AUTHORITY_HOST").unwrap_or(AUTHORITY);
    let authority = authority.trim_end_matches('/');
    checked_scheme(authority).map_err(|f| f.within("AZURE_AUTHORITY_HOST"))?;
    let scope = format!("{}/.default", challenge.resource);
    let mut fields =
        vec![("grant_type", "client_credentials"), ("client_id", client), ("scope", &scope)];
    fields.extend_from_slice(proof);
    let url = format!("{authority}/{}/oauth2/v2.0/token", uri_encode(tenant));
    let answer = machine.call(Call::post(url, FORM, form::encode(&fields).into_bytes()))?;
    token_of(&answer)
}

fn token_of(answer: &Answer) -> Result<SecretString, Failure> {
    let json = answer.json().ok();
    let text = |name: &str| json.as_ref().and_then(|json| json.get(name)).and_then(Json::as_str);
    if answer.is_success()
        && let Some(token) = text("access_token")
    {
        return Ok(SecretString::new(token.to_owned()));
    }
    let mut said = format!("no Azure access token: HTTP status {}", answer.status);
    for part in [text("error"), text("error_description")].into_iter().flatten() {
        said.push_str(": ");
        said.extend(part.lines().next().unwrap_or_default().chars().take(WORDS_MAX));
    }
    Err(Failure::new(said))
}

/// The identity of an app (App Service, Container Apps) or of the instance. Nothing where there is no
/// such service.
fn managed(
    challenge: &Challenge,
    client: Option<&str>,
    machine: &Machine,
) -> Result<Option<SecretString>, Failure> {
    let resource = uri_encode(&challenge.resource);
    let client = client.map(|id| format!("&client_id={}", uri_encode(id))).unwrap_or_default();
    let app = (machine.filled("IDENTITY_ENDPOINT"), machine.filled("IDENTITY_HEADER"));
    let (call, sure) = match app {
        (Some(endpoint), Some(header)) => {
            let url = format!("{endpoint}?api-version=2019-08-01&resource={resource}{client}");
            (Call::get(url).header(HeaderName::from_static("x-identity-header"), header)?, true)
        }
        _ => {
            let base = machine.filled("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or(INSTANCE);
            let base = base.trim_end_matches('/');
            let url = format!(
                "{base}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={resource}{client}"
            );
            (Call::get(url).header(HeaderName::from_static("metadata"), "true")?, false)
        }
    };
    match machine.call(call) {
        Ok(answer) => token_of(&answer).map(Some),
        Err(failure) if sure => Err(failure.within("managed identity")),
        Err(_) => Ok(None),
    }
}

/// `az account get-access-token`; nothing where there is no such program or nobody logged in.
fn by_az(challenge: &Challenge, machine: &Machine) -> Option<SecretString> {
    // Words that the program would not take for what they are.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b);
    if challenge.resource.starts_with('-') || !challenge.resource.bytes().all(plain) {
        return None;
    }
    let args =
        ["account", "get-access-token", "-o", "json", "--resource", challenge.resource.as_str()];
    let ended = process::run("az", &args, b"", &[], machine).ok()?;
    if !ended.success {
        return None;
    }
    let json = strongroom_base::json::parse_bounded(ended.output.expose_secret()).ok()?;
    let token = json.get("accessToken")?.as_str()?;
    Some(SecretString::new(token.to_owned()))
}
