//! Tokens that are there already: a login by one, `unwrap`, `print token`.

use serde_json::json;
use strongroom_base::json::{Json, JsonMap};
use strongroom_client::{Auth, Envelope, Request};

use super::super::command::{Fail, Outcome};
use super::super::context::Context;
use super::super::data::print_answer;
use super::super::http::Http;
use super::methods::Given;

/// By a token that is there already: it is checked.
pub fn by_token(
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

/// `unwrap`.
pub fn unwrap(cx: &mut Context<'_, '_>) -> Outcome {
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

/// `print token`.
pub fn print_token(cx: &mut Context<'_, '_>) -> Outcome {
    let token = cx.http()?.client.token().map(strongroom_base::SecretString::duplicate);
    cx.ui.say(token.as_ref().map_or("", |token| token.expose_secret()));
    Ok(())
}
