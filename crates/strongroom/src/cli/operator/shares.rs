//! `operator rekey`, `operator generate-root`: what several holders of shares do together.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::json;
use strongroom_base::SecretString;
use strongroom_base::json::Json;
use strongroom_client::Request;

use super::pgp;
use crate::cli::command::{Command, Fail, Outcome, Prints};
use crate::cli::context::Context;
use crate::cli::flags::Flag;
use crate::cli::gotext::go_value;
use crate::cli::table::{columns, wrap};

const NONCE: Flag =
    Flag::text("nonce", "The number of the operation under way, as its start printed it.");

const REKEY_FLAGS: &[Flag] = &[
    Flag::bool("init", "Start.").default("false"),
    Flag::bool("cancel", "Stop and forget the shares given so far.").default("false"),
    Flag::bool("status", "Show how far it is.").default("false"),
    Flag::bool(
        "verify",
        "With -init: the new shares count only once they were given back. Else: act on that \
             check.",
    )
    .default("false"),
    Flag::int("key-shares", "Into how many shares the key is split.").alias(&["n"]).default("5"),
    Flag::int("key-threshold", "How many of them are needed.").alias(&["t"]).default("3"),
    NONCE,
    Flag::text("target", "barrier for unseal shares, recovery for recovery shares.")
        .default("barrier"),
    Flag::text("pgp-keys", "Files with OpenPGP public keys to encrypt the new shares for."),
    Flag::bool("backup", "Let the server keep the encrypted shares.").default("false"),
    Flag::bool("backup-delete", "Delete the shares the server keeps.").default("false"),
    Flag::bool("backup-retrieve", "Print the encrypted shares the server keeps.").default("false"),
];

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::new(
        "operator rekey",
        "[KEY]",
        "Make new unseal shares from the old ones",
        "
Starts with -init; then each holder gives a share of the old key, and the last one gets
the new shares. Without KEY the share is asked for; - reads it from stdin, @FILE from a file.

    $ {bin} operator rekey -init -key-shares=5 -key-threshold=3
    $ {bin} operator rekey
    $ {bin} operator rekey -status
    $ {bin} operator rekey -cancel",
        |cx| rekey(cx, Api::Rekey),
    )
    .prints(Prints::FORMATS)
    .flags(REKEY_FLAGS),
    Command::new(
        "operator rotate-keys",
        "[KEY]",
        "As rekey, by a token that may do so",
        "
The same as \"{bin} operator rekey\" over paths that ask for a token, too; for servers that do
not take shares from strangers.

    $ {bin} operator rotate-keys -init -key-shares=5 -key-threshold=3
    $ {bin} operator rotate-keys",
        |cx| rekey(cx, Api::Rotate),
    )
    .prints(Prints::FORMATS)
    .flags(REKEY_FLAGS),
    Command::new(
        "operator generate-root",
        "[KEY]",
        "Make a root token from unseal shares",
        "
Starts with -init, which prints a one-time password; then each holder gives a share, and
the last one gets the token, encoded. -decode makes it readable.

    $ {bin} operator generate-root -init
    $ {bin} operator generate-root
    $ {bin} operator generate-root -decode=- -otp=@otp < encoded

Without KEY the share is asked for; - reads it from stdin, @FILE from a file.",
        generate_root,
    )
    .prints(Prints::FORMATS)
    .flags(&[
        Flag::bool("init", "Start.").default("false"),
        Flag::bool("cancel", "Stop and forget the shares given so far.").default("false"),
        Flag::bool("status", "Show how far it is.").default("false"),
        Flag::text("decode", "Decode this token; - reads it from stdin, @FILE from a file."),
        Flag::bool("generate-otp", "Print a new one-time password for -init.").default("false"),
        Flag::text("otp", "The one-time password, or @FILE. Asked for by -decode if missing."),
        Flag::text("pgp-key", "File with an OpenPGP public key to encrypt the token for."),
        NONCE,
        Flag::bool("recovery-token", "Make a token for recovery mode.").default("false"),
    ]),
];

/// A share of an operation under way: a number that was given must be the operation's; who is asked
/// for the share and gave none is shown it.
fn share(
    cx: &mut Context<'_, '_>,
    nonce: &str,
    title: &str,
    prompt: &str,
) -> Result<(String, SecretString), Fail> {
    let given = cx.arg(0).to_owned();
    let named = cx.flags.text_or_empty("nonce").to_owned();
    if given.is_empty() {
        let nonce = if named.is_empty() { nonce.to_owned() } else { named };
        cx.ui.say(&format!("{title}: {nonce}"));
        return Ok((nonce, cx.ask(prompt)?));
    }
    let key = cx.secret_argument(&given, prompt)?;
    let nonce = named;
    if nonce.is_empty() {
        return Err(Fail::usage("Missing nonce value: specify it via the -nonce flag"));
    }
    Ok((nonce, key))
}

fn text(json: &Json, name: &str) -> String {
    json.get(name).filter(|value| !value.is_null()).map(go_value).unwrap_or_default()
}

fn flag(json: &Json, name: &str) -> bool {
    json.get(name).and_then(Json::as_bool).unwrap_or_default()
}

/// The two families of paths on which shares are replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Api {
    /// Vault's, open to whoever has shares.
    Rekey,
    /// OpenBao's, for tokens only.
    Rotate,
}

/// Where a rekey happens, and whether it is about recovery shares.
struct Place {
    base: &'static str,
    backup: &'static str,
    recovery: bool,
}

fn place(cx: &Context<'_, '_>, api: Api) -> Result<Place, Fail> {
    let target = cx.flags.text("target").unwrap_or("barrier").trim().to_ascii_lowercase();
    let recovery = match target.as_str() {
        "barrier" => false,
        "recovery" | "hsm" => true,
        _ => return Err(Fail::usage("Unknown target: use barrier or recovery")),
    };
    let (base, backup) = match (api, recovery) {
        (Api::Rekey, false) => ("sys/rekey", "sys/rekey/backup"),
        (Api::Rekey, true) => ("sys/rekey-recovery-key", "sys/rekey/recovery-key-backup"),
        (Api::Rotate, false) => ("sys/rotate/root", "sys/rotate/root/backup"),
        (Api::Rotate, true) => ("sys/rotate/recovery", "sys/rotate/recovery/backup"),
    };
    Ok(Place { base, backup, recovery })
}

fn rekey(cx: &mut Context<'_, '_>, api: Api) -> Outcome {
    cx.expect_args_between(0, 1, "0-1")?;
    let Place { base, backup, recovery } = place(cx, api)?;
    let branch = if cx.flags.is("verify") { "verify" } else { "init" };
    if cx.flags.is("backup-delete") {
        let answer = cx.http()?.delete(backup);
        answer.map_err(|e| Fail::server("Error deleting rekey backed up keys", &e))?;
        cx.ui.say("Success! Deleted backed up keys (if they existed)");
        return Ok(());
    }
    if cx.flags.is("backup-retrieve") {
        let answer = cx.http()?.document(Request::get(backup));
        let kept = answer.map_err(|e| Fail::server("Error retrieving rekey backed up keys", &e))?;
        return cx.ui.data(&kept);
    }
    if cx.flags.is("cancel") {
        let answer = cx.http()?.delete(&format!("{base}/{branch}"));
        answer.map_err(|e| Fail::server("Error canceling rekey", &e))?;
        cx.ui.say("Success! Canceled rekeying (if it was started)");
        return Ok(());
    }
    if cx.flags.is("init") {
        return rekey_init(cx, base);
    }
    if cx.flags.is("status") {
        return rekey_status(cx, base, branch);
    }
    rekey_provide(cx, base, branch, recovery)
}

fn rekey_init(cx: &mut Context<'_, '_>, base: &str) -> Outcome {
    let keys = cx.flags.text("pgp-keys").map(pgp::read_keys).transpose()?.unwrap_or_default();
    let mut body = json!({
        "secret_shares": cx.flags.int("key-shares").unwrap_or(5),
        "secret_threshold": cx.flags.int("key-threshold").unwrap_or(3),
        "backup": cx.flags.is("backup"),
        "require_verification": cx.flags.is("verify"),
    });
    let plain = keys.is_empty();
    if !plain {
        body["pgp_keys"] = json!(keys);
    }
    let answer = cx.http()?.document(Request::put(format!("{base}/init"), body));
    let status = answer.map_err(|e| Fail::server("Error initializing rekey", &e))?;
    if cx.ui.is_table() {
        let advice = if plain {
            Some(
                "WARNING! The new shares will be shown once, in clear, to whoever gives the last \
                 old share. If they get lost, nothing brings them back. -pgp-keys encrypts each \
                 for its holder, and -backup lets the server keep the encrypted ones.",
            )
        } else if cx.flags.is("backup") {
            None
        } else {
            Some(
                "WARNING! The server will not keep the encrypted shares. If they get lost, \
                 nothing brings them back; -backup lets the server keep them.",
            )
        };
        if let Some(advice) = advice {
            cx.ui.warn(&format!("{}\n", wrap(advice, 0)));
        }
    }
    print_rekey(cx, &status)
}

fn rekey_status(cx: &mut Context<'_, '_>, base: &str, branch: &str) -> Outcome {
    let answer = cx.http()?.document(Request::get(format!("{base}/{branch}")));
    let status = answer.map_err(|e| Fail::server("Error reading rekey status", &e))?;
    print_rekey(cx, &status)
}

fn print_rekey(cx: &mut Context<'_, '_>, status: &Json) -> Outcome {
    if !cx.ui.is_table() {
        return cx.ui.data(status);
    }
    let mut rows = vec![vec!["Key".to_owned(), "Value".to_owned()]];
    rows.push(vec!["---".to_owned(), "-----".to_owned()]);
    let mut row = |title: &str, value: String| rows.push(vec![title.to_owned(), value]);
    row("Nonce", text(status, "nonce"));
    row("Started", flag(status, "started").to_string());
    if flag(status, "started") {
        let verifying = status.get("verification_required").is_none();
        if verifying {
            row("New Shares", text(status, "n"));
            row("New Threshold", text(status, "t"));
            row(
                "Verification Progress",
                format!("{}/{}", text(status, "progress"), text(status, "t")),
            );
        } else {
            row(
                "Rekey Progress",
                format!("{}/{}", text(status, "progress"), text(status, "required")),
            );
            row("New Shares", text(status, "n"));
            row("New Threshold", text(status, "t"));
            row("Verification Required", flag(status, "verification_required").to_string());
            if !text(status, "verification_nonce").is_empty() {
                row("Verification Nonce", text(status, "verification_nonce"));
            }
        }
        let fingerprints = status.get("pgp_fingerprints").and_then(Json::as_array);
        if let Some(fingerprints) = fingerprints.filter(|list| !list.is_empty()) {
            row("PGP Fingerprints", go_value(&Json::Array(fingerprints.clone())));
            row("Backup", flag(status, "backup").to_string());
        }
    }
    cx.ui.say(&columns(&rows));
    Ok(())
}

fn rekey_provide(cx: &mut Context<'_, '_>, base: &str, branch: &str, recovery: bool) -> Outcome {
    let answer = cx.http()?.document(Request::get(format!("{base}/{branch}")));
    let status = answer.map_err(|e| Fail::server("Error getting rekey status", &e))?;
    if !flag(&status, "started") {
        return Err(Fail::usage(wrap(
            &format!(
                "No rekey is in progress. Start one by running \"{} operator rekey -init\".",
                cx.program()
            ),
            0,
        )));
    }
    let kind = if recovery { "Recovery" } else { "Unseal" };
    let prompt = format!("{kind} Key (will be hidden): ");
    let (nonce, key) = share(cx, &text(&status, "nonce"), "Rekey operation nonce", &prompt)?;
    let update = if branch == "verify" { "verify" } else { "update" };
    let body = json!({"key": key.expose_secret(), "nonce": nonce});
    let answer = cx.http()?.document(Request::put(format!("{base}/{update}"), body));
    let result = answer.map_err(|e| Fail::server("Error posting unseal key", &e))?;
    if !flag(&result, "complete") {
        return rekey_status(cx, base, branch);
    }
    if branch == "verify" {
        cx.ui.say("The new shares are verified and count from now on.");
        return Ok(());
    }
    if !cx.ui.is_table() {
        return cx.ui.data(&result);
    }
    print_new_shares(cx, &status, &result);
    if flag(&status, "verification_required") {
        cx.ui.say("");
        return rekey_status(cx, base, "verify");
    }
    Ok(())
}

fn print_new_shares(cx: &mut Context<'_, '_>, status: &Json, result: &Json) {
    let list = |name: &str| result.get(name).and_then(Json::as_array).cloned().unwrap_or_default();
    let keys = match list("keys_base64") {
        none if none.is_empty() => list("keys"),
        keys => keys,
    };
    let fingerprints = list("pgp_fingerprints");
    cx.ui.say("");
    for (i, key) in keys.iter().enumerate() {
        let owner = match fingerprints.get(i) {
            Some(print) => format!(" fingerprint: {}; value", go_value(print)),
            None => String::new(),
        };
        cx.ui.say(&format!("Key {}{owner}: {}", i + 1, go_value(key)));
    }
    cx.ui.say("");
    cx.ui.say(&format!("Operation nonce: {}", text(result, "nonce")));
    let (n, t) = (text(status, "n"), text(status, "t"));
    cx.ui.say("");
    if flag(status, "verification_required") {
        cx.ui.warn(&wrap(
            &format!(
                "These {n} new shares do NOT count yet: {t} of them must be given back first \
                 (\"operator rekey -verify\"). Keep the old shares until then; a cancel or a seal \
                 before throws the new ones away."
            ),
            0,
        ));
    } else {
        cx.ui.say(&wrap(
            &format!(
                "The key is split into {n} new shares, of which {t} are needed. The old ones count \
                 no more. Give the new ones to different people to keep; they are shown only now."
            ),
            0,
        ));
    }
}

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

fn generate_root(cx: &mut Context<'_, '_>) -> Outcome {
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
