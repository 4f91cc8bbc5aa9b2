//! What a service account's token says of itself: who it is for, and which account it is of.

use strongroom_base::{Error, ErrorKind, Json, JsonMap, Result, Timestamp};
use strongroom_crypto::jws::{Algorithm, Compact, Refused};
use strongroom_crypto::keys::PublicKey;

use super::config::{Config, DEFAULT_ISSUER};
use crate::jwts::claims::{self, Leeways, check_times};

/// Bytes of a token. Those of Kubernetes have a fiftieth; what is longer is nobody's, and is not sent on.
const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// Audiences that the API server is asked about.
const AUDIENCES_MAX: usize = 64;

/// An account, as its token says.
#[derive(Debug, PartialEq, Eq)]
pub struct Account {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID: another one where it was deleted and made anew.
    pub uid: String,
    /// The secret that holds the token, of tokens that Kubernetes made before 1.24.
    pub secret_name: String,
    /// Whom the token is for.
    pub audiences: Vec<String>,
}

/// 403, in words that tell which claim it was and nothing of it.
pub fn refused(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::PermissionDenied, text)
}

/// Reads a token and checks of it what can be checked here; `audience` is the role's.
pub fn read(jwt: &str, config: &Config, audience: &str, now: Timestamp) -> Result<Account> {
    if jwt.len() > TOKEN_BYTES_MAX {
        return Err(refused("the token is too long"));
    }
    let token = Compact::parse(jwt).map_err(malformed)?;
    if !matches!(token.algorithm(), Ok(Algorithm::Rs(_) | Algorithm::Es(_))) {
        return Err(refused("unsupported signing algorithm"));
    }
    let claims = verified(&token, &config.keys()?)?;
    check_claims(&claims, config, audience, now)?;
    account(&claims)
}

fn malformed(_: Refused) -> Error {
    refused("malformed jwt: must have three parts")
}

/// The claims. Without keys the API server alone verifies them.
fn verified(token: &Compact<'_>, keys: &[PublicKey]) -> Result<JsonMap> {
    if keys.is_empty() {
        return token.unverified_claims().map_err(malformed);
    }
    keys.iter().find_map(|key| token.verify(key).ok()).ok_or_else(Error::denied)
}

fn check_claims(claims: &JsonMap, config: &Config, audience: &str, now: Timestamp) -> Result<()> {
    // Tokens that Kubernetes made before 1.21 have no times: they end with their secret.
    if ["exp", "nbf", "iat"].iter().any(|name| claims.contains_key(*name)) {
        check_times(claims, now, Leeways::default()).map_err(refused)?;
    }
    if !config.disable_iss_validation {
        let issuer = if config.issuer.is_empty() { DEFAULT_ISSUER } else { &config.issuer };
        if claims::text(claims, "iss") != Some(issuer) {
            return Err(refused("invalid issuer (iss) claim"));
        }
    }
    if !audience.is_empty() && !claims::audiences(claims).contains(&audience) {
        return Err(refused(
            "invalid audience (aud) claim: audience claim does not match any expected audience",
        ));
    }
    Ok(())
}

/// The account of which a token is. Projected tokens have it in one object, older ones in members of
/// long names.
fn account(claims: &JsonMap) -> Result<Account> {
    let text = |json: Option<&Json>| json.and_then(Json::as_str).unwrap_or_default().to_owned();
    let old = |name: &str| text(claims.get(&format!("kubernetes.io/serviceaccount/{name}")));
    let (namespace, name, uid) = match claims.get("kubernetes.io") {
        Some(Json::Object(projected)) => {
            let account = projected.get("serviceaccount");
            let member = |name: &str| text(account.and_then(|account| account.get(name)));
            (text(projected.get("namespace")), member("name"), member("uid"))
        }
        _ => (old("namespace"), old("service-account.name"), old("service-account.uid")),
    };
    if namespace.is_empty() || name.is_empty() {
        return Err(refused("the token names no service account"));
    }
    if uid.is_empty() {
        return Err(refused("could not parse UID from claims"));
    }
    let audiences: Vec<String> = claims::audiences(claims).into_iter().map(str::to_owned).collect();
    if audiences.len() > AUDIENCES_MAX {
        return Err(refused("the token has too many audiences"));
    }
    Ok(Account { namespace, name, uid, secret_name: old("secret.name"), audiences })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Account, account};

    #[test]
    fn both_forms_of_tokens_name_their_account() {
        let projected = json!({"aud": ["a"], "kubernetes.io": {"namespace": "n",
            "serviceaccount": {"name": "s", "uid": "u"}, "pod": {"name": "p", "uid": "v"}}});
        let old = json!({
            "aud": "a",
            "kubernetes.io/serviceaccount/namespace": "n",
            "kubernetes.io/serviceaccount/service-account.name": "s",
            "kubernetes.io/serviceaccount/service-account.uid": "u",
            "kubernetes.io/serviceaccount/secret.name": "s-token-1",
        });
        for (claims, secret_name) in [(projected, ""), (old, "s-token-1")] {
            let got = account(claims.as_object().unwrap()).unwrap();
            let expect = Account {
                namespace: "n".to_owned(),
                name: "s".to_owned(),
                uid: "u".to_owned(),
                secret_name: secret_name.to_owned(),
                audiences: vec!["a".to_owned()],
            };
            assert_eq!(got, expect);
        }
    }

    #[test]
    fn a_token_of_no_account_is_none() {
        for claims in [
            json!({}),
            json!({"sub": "system:serviceaccount:n:s"}),
            json!({"kubernetes.io": {"namespace": "n"}}),
            json!({"kubernetes.io": {"namespace": "n", "serviceaccount": {"name": "s"}}}),
            json!({"kubernetes.io": {"namespace": 1, "serviceaccount": {"name": "s", "uid": "u"}}}),
            json!({"kubernetes.io": {"serviceaccount": {"name": "s", "uid": "u"}}}),
        ] {
            assert!(account(claims.as_object().unwrap()).is_err(), "{claims}");
        }
    }
}
