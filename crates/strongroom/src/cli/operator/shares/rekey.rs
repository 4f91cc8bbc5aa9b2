//! New shares of a key, made by holders of the old ones.

use serde_json::json;
use strongroom_base::json::Json;
use strongroom_client::Request;

use super::{flag, share, text};
use crate::cli::command::{Fail, Outcome};
use crate::cli::context::Context;
use crate::cli::gotext::go_value;
use crate::cli::operator::pgp;
use crate::cli::table::{columns, wrap};

/// The two families of paths on which shares are replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Api {
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

/// `operator rekey`, `operator rotate-keys`.
pub fn rekey(cx: &mut Context<'_, '_>, api: Api) -> Outcome {
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
