//! A root token, made by holders of shares, and the one-time password that hides it on its way.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::json;
use strongroom_base::SecretString;
use strongroom_base::json::Json;
use strongroom_client::Request;

use super::{flag, share, text};
use crate::cli::command::{Fail, Outcome};
use crate::cli::context::Context;
use crate::cli::operator::pgp;
use crate::cli::table::{columns, wrap};

/// Where a root token is generated: on the open path, else on the one that asks for a token.
fn root_base(cx: &mut Context<'_, '_>) -> Result<&'static str, Fail> {
    if cx.flags.is("recovery-token") {
        return Ok("sys/generate-recovery-token");
    }
    let open = "sys/generate-root";
    let probe = cx.http()?.send_aside(Request::get(format!("{open}/attempt")));
    Ok(match probe.map(|reply| reply.status) {
        Ok(404 | 405) => "sys/generate-root-token",
        _ => open,
    })
}

/// `operator generate-root`.
pub fn generate_root(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args_between(0, 1, "0-1")?;
    if cx.flags.given("decode") {
        return decode(cx);
    }
    let base = root_base(cx)?;
    let attempt = format!("{base}/attempt");
    if cx.flags.is("generate-otp") {
        return generate_otp(cx, &attempt);
    }
    if cx.flags.is("cancel") {
        let answer = cx.http()?.delete(&attempt);
        answer.map_err(|e| Fail::server("Error canceling root token generation", &e))?;
        cx.ui.say("Success! Root token generation canceled (if it was started)");
        return Ok(());
    }
    if cx.flags.is("init") {
        return root_init(cx, &attempt);
    }
    let answer = cx.http()?.document(Request::get(&attempt));
    let status = answer.map_err(|e| Fail::server("Error getting root generation status", &e))?;
    if cx.flags.is("status") {
        return print_root(cx, &status);
    }
    root_provide(cx, base, &status)
}

fn root_init(cx: &mut Context<'_, '_>, attempt: &str) -> Outcome {
    let otp = match cx.flags.text("otp").map(str::to_owned) {
        Some(given) => Some(cx.secret_argument(&given, "One-time password (will be hidden): ")?),
        None => None,
    };
    let key = cx.flags.text("pgp-key").map(pgp::read_key).transpose()?;
    if otp.is_some() && key.is_some() {
        return Err(Fail::usage("Error initializing: cannot specify both -otp and -pgp-key"));
    }
    let mut body = json!({});
    if let Some(otp) = &otp {
        body["otp"] = otp.expose_secret().as_str().into();
    }
    if let Some(key) = key {
        body["pgp_key"] = key.into();
    }
    let answer = cx.http()?.document(Request::put(attempt, body));
    let status = answer.map_err(|e| Fail::server("Error initializing root generation", &e))?;
    print_root(cx, &status)
}

fn root_provide(cx: &mut Context<'_, '_>, base: &str, status: &Json) -> Outcome {
    if !flag(status, "started") {
        let program = cx.program().to_owned();
        return Err(Fail::usage(wrap(
            &format!(
                "No root generation is in progress. Start one by running \"{program} operator \
                 generate-root -init\". An own one-time password must have {} characters.",
                text(status, "otp_length")
            ),
            0,
        )));
    }
    let prompt = "Unseal Key (will be hidden): ";
    let (nonce, key) = share(cx, &text(status, "nonce"), "Operation nonce", prompt)?;
    let body = json!({"key": key.expose_secret(), "nonce": nonce});
    let update = format!("{base}/update");
    let answer = cx.http()?.document(Request::put(update, body));
    let status = answer.map_err(|e| Fail::server("Error posting unseal key", &e))?;
    print_root(cx, &status)
}

fn print_root(cx: &mut Context<'_, '_>, status: &Json) -> Outcome {
    if !cx.ui.is_table() {
        return cx.ui.data(status);
    }
    let mut rows = Vec::new();
    let mut row = |title: &str, value: String| rows.push(vec![title.to_owned(), value]);
    row("Nonce", text(status, "nonce"));
    row("Started", flag(status, "started").to_string());
    row("Progress", format!("{}/{}", text(status, "progress"), text(status, "required")));
    row("Complete", flag(status, "complete").to_string());
    for (title, name) in
        [("PGP Fingerprint", "pgp_fingerprint"), ("Encoded Token", "encoded_token"), ("OTP", "otp")]
    {
        if !text(status, name).is_empty() {
            row(title, text(status, name));
        }
    }
    if !text(status, "otp_length").is_empty() && text(status, "otp_length") != "0" {
        row("OTP Length", text(status, "otp_length"));
    }
    if !text(status, "otp").is_empty() {
        cx.ui.warn(&wrap(
            "A one-time password was made for you. Keep it: without it the token at the end \
             cannot be decoded.",
            0,
        ));
    }
    cx.ui.say(&columns(&rows));
    Ok(())
}

/// The letters of one-time passwords: all that the server takes.
const OTP_LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The length of a root token, where the server does not say it.
const TOKEN_LENGTH: usize = 28;

fn generate_otp(cx: &mut Context<'_, '_>, attempt: &str) -> Outcome {
    let answer = cx.http()?.document(Request::get(attempt));
    let status = answer.map_err(|e| Fail::server("Error getting root generation status", &e))?;
    let length = status.get("otp_length").and_then(Json::as_u64).unwrap_or(0);
    let length = usize::try_from(length).ok().filter(|n| (1..=1024).contains(n));
    let length = length.unwrap_or(TOKEN_LENGTH);
    let otp = random_letters(cx, length)?;
    if cx.ui.is_table() {
        cx.ui.field_value(&otp);
        return Ok(());
    }
    cx.ui.data(&json!({"otp": otp, "otp_length": length}))
}

/// Random letters without bias: bytes that would favour some letters are thrown away.
fn random_letters(cx: &mut Context<'_, '_>, length: usize) -> Result<String, Fail> {
    let mut out = String::with_capacity(length);
    let mut bytes = [0; 64];
    while out.len() < length {
        (cx.world().random)(&mut bytes)
            .map_err(|error| Fail::usage(format!("no randomness: {error}")))?;
        let fair = bytes.iter().filter(|byte| **byte < 248);
        let letters = fair.map(|byte| char::from(OTP_LETTERS[usize::from(*byte % 62)]));
        out.extend(letters.take(length - out.len()));
    }
    Ok(out)
}

fn decode(cx: &mut Context<'_, '_>) -> Outcome {
    let given = cx.flags.text_or_empty("decode").to_owned();
    if given.is_empty() {
        return Err(Fail::usage("Missing encoded value: use -decode=<string> to supply it"));
    }
    let encoded = cx.secret_argument(&given, "")?;
    let otp = cx.flags.text_or_empty("otp").to_owned();
    let otp = cx.secret_argument(&otp, "One-time password (will be hidden): ")?;
    let token = decode_token(encoded.expose_secret(), otp.expose_secret()).ok_or_else(|| {
        Fail::usage("Error decoding root token: token and one-time password do not fit")
    })?;
    if cx.ui.is_table() {
        cx.ui.field_value(token.expose_secret());
        return Ok(());
    }
    cx.ui.data(&json!({"token": token.expose_secret()}))
}

/// The token is the encoded bytes with the one-time password laid over them.
fn decode_token(encoded: &str, otp: &str) -> Option<SecretString> {
    let encoded = encoded.trim();
    let bytes = STANDARD_NO_PAD
        .decode(encoded.trim_end_matches('='))
        .or_else(|_| STANDARD.decode(encoded))
        .ok()?;
    if bytes.len() != otp.len() {
        return None;
    }
    let plain: Vec<u8> = bytes.iter().zip(otp.bytes()).map(|(a, b)| a ^ b).collect();
    let token = String::from_utf8(plain).ok()?;
    token.chars().all(|c| c.is_ascii_graphic()).then(|| SecretString::new(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_decoded_by_its_password_only() {
        let (token, otp) = ("hvs.abcdefghijklmnopqrstuvwx", "ABCDEFGHIJKLMNOPQRSTUVWXYZ01");
        let mixed: Vec<u8> = token.bytes().zip(otp.bytes()).map(|(a, b)| a ^ b).collect();
        for encoded in [STANDARD_NO_PAD.encode(&mixed), STANDARD.encode(&mixed)] {
            let decoded = decode_token(&encoded, otp).unwrap();
            assert_eq!(decoded.expose_secret(), token);
        }
        assert!(decode_token(&STANDARD.encode(&mixed), &otp[1..]).is_none());
        assert!(decode_token("§", otp).is_none());
    }
}
