//! `why` and `can`: decisions that explain themselves. The server answers `sys/explain` with the
//! policy module's trace:
//!
//! ```json
//! {"allowed": false, "namespace": "", "path": "secret/data/app", "capability": "read",
//!  "needs_sudo": false, "root": false, "reason": "no rule grants read on …",
//!  "policies": ["default", "dev"],
//!  "rules": [{"policy": "dev", "line": 3, "path": "secret/data/*", "capabilities": ["list"],
//!             "standing": "decided"}],
//!  "suggestion": {"rule": "path \"secret/data/app\" {…}", "note": "…"}}
//! ```
//!
//! and this file puts it into sentences. Members it does not know it leaves to `-format=json`.

use serde_json::json;
use strongroom_base::json::Json;
use strongroom_client::Request;

use super::command::{Command, Fail, Outcome, Prints};
use super::context::Context;
use super::flags::Flag;
use super::gotext::go_value;
use super::table::{table, wrap};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::new(
        "why",
        "[ID]",
        "Explain why a request was refused",
        "
Each refusal carries an id, which this command line prints. \"why\" tells which rules were
looked at, which one missed or denied, and the smallest rule that would allow it. Without an id
it is about the last refusal that this command line met.

    $ {bin} why
    $ {bin} why Q6Bb1wCvi8jp60Auha--sw

You see what your own policies let you see: whose request it was, not what it carried.",
        why,
    )
    .prints(Prints::FORMATS),
    Command::new(
        "can",
        "VERB PATH",
        "Tell whether someone may do something, and why",
        "
Asks before anyone tries. VERB is read, list, create, update, patch, delete, scan, sudo
or move; or write for create and update.
Without a flag it is about the current token.

    $ {bin} can read secret/data/app
    $ {bin} can -accessor 3pGDZ… update secret/data/app
    $ {bin} can -as web read database/creds/reporting
    $ {bin} can -token-file ./token list secret/metadata

Exit code 0: yes, 2: no.",
        can,
    )
    .prints(Prints::FORMATS)
    .flags(&[
        Flag::text("accessor", "About the token with this accessor."),
        Flag::text("as", "About a login by this role: NAME, or MOUNT/NAME."),
        Flag::text("token-file", "About the token in this file; - for stdin."),
    ]),
];

fn why(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args_between(0, 1, "0 or 1")?;
    let id = match cx.arg(0) {
        "" => cx.last_refusal().ok_or_else(|| {
            Fail::usage("No refusal is remembered here: give the id that came with it")
        })?,
        id => id.to_owned(),
    };
    let answer = cx.http()?.document(Request::get(format!("sys/explain/{id}")));
    let decision = answer.map_err(|error| match error.status() {
        Some(404) => Fail::remote("No decision is known under this id"),
        _ => Fail::server("Error explaining", &error),
    })?;
    print(cx, &decision)
}

fn can(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(2)?;
    let verb = cx.arg(0).to_ascii_lowercase();
    let path = super::data::clean_path(cx.arg(1));
    let subjects = ["accessor", "as", "token-file"];
    if subjects.iter().filter(|name| cx.flags.given(name)).count() > 1 {
        return Err(Fail::usage("Use only one of -accessor, -as and -token-file"));
    }
    let mut body = json!({"capability": verb, "path": path});
    if let Some(accessor) = cx.flags.text("accessor") {
        body["accessor"] = accessor.into();
    }
    if let Some(role) = cx.flags.text("as") {
        body["role"] = role.into();
    }
    if let Some(file) = cx.flags.text("token-file").map(str::to_owned) {
        // A file's name stands for itself here; only stdin is special.
        let given = if file == "-" { file } else { format!("@{file}") };
        let token = cx.secret_argument(&given, "")?;
        body["token"] = token.expose_secret().as_str().into();
    }
    let answer = cx.http()?.document(Request::post("sys/explain", body));
    let decision = answer.map_err(|e| Fail::server("Error explaining", &e))?;
    let allowed = decision.get("allowed").and_then(Json::as_bool).unwrap_or_default();
    print(cx, &decision)?;
    if allowed {
        return Ok(());
    }
    if let Some(hint) = cx.ui.is_table().then(|| versioned_hint(cx, &path)).flatten() {
        cx.ui.say(&hint);
    }
    Err(Fail::quiet(2))
}

/// What lies below a versioned store's mount in the paths of policies.
const BRANCHES: [&str; 12] = [
    "config",
    "copy",
    "data",
    "delete",
    "destroy",
    "detailed-metadata",
    "metadata",
    "move",
    "search",
    "subkeys",
    "undelete",
    "",
];

/// Tells who named a secret as people do, and not as policies do, what its path is.
fn versioned_hint(cx: &mut Context<'_, '_>, path: &str) -> Option<String> {
    let request = Request::get(format!("sys/internal/ui/mounts/{path}"));
    let answer = cx.http().ok()?.send_aside(request).ok()?.envelope().ok()??;
    let mount = answer.datum("path")?.as_str()?;
    if answer.datum("options")?.get("version")?.as_str() != Some("2") {
        return None;
    }
    let below = path.strip_prefix(mount)?;
    if BRANCHES.contains(&below.split('/').next().unwrap_or_default()) {
        return None;
    }
    Some(format!(
        "\n{mount} keeps versions: policies name this secret {mount}data/{below}, and its lists \
         and\nsettings {mount}metadata/{below}."
    ))
}

fn print(cx: &mut Context<'_, '_>, decision: &Json) -> Outcome {
    if !cx.ui.is_table() {
        return cx.ui.data(decision);
    }
    cx.ui.say(&describe(decision));
    Ok(())
}

fn text(json: &Json, name: &str) -> String {
    json.get(name).filter(|value| !value.is_null()).map(go_value).unwrap_or_default()
}

fn words(json: &Json, name: &str) -> String {
    match json.get(name) {
        Some(Json::Array(items)) => items.iter().map(go_value).collect::<Vec<_>>().join(", "),
        Some(Json::Null) | None => String::new(),
        Some(other) => go_value(other),
    }
}

/// A decision in sentences.
fn describe(decision: &Json) -> String {
    let allowed = decision.get("allowed").and_then(Json::as_bool).unwrap_or_default();
    let verdict = if allowed { "Allowed" } else { "Denied" };
    let namespace = match text(decision, "namespace").as_str() {
        "" | "root" | "root/" => String::new(),
        name => format!(" in namespace {name}"),
    };
    let mut out = format!(
        "{verdict}: {} {}{namespace}",
        text(decision, "capability"),
        text(decision, "path")
    );
    let reason = text(decision, "reason");
    if !reason.is_empty() {
        out.push_str(&format!("\n{reason}"));
    }
    let policies = words(decision, "policies");
    if !policies.is_empty() {
        out.push_str(&format!("\n\nPolicies: {policies}"));
    }
    let none = Vec::new();
    let rules = decision.get("rules").and_then(Json::as_array).unwrap_or(&none);
    // The default policy alone has a dozen rules for other paths; and of what is allowed, nobody
    // asks which rules do not count.
    let (other, near): (Vec<&Json>, Vec<&Json>) =
        rules.iter().partition(|rule| match text(rule, "standing").as_str() {
            "path_differs" => true,
            "expired" | "no_template_value" => allowed,
            _ => false,
        });
    if !near.is_empty() {
        let rows: Vec<Vec<String>> = near.iter().map(|rule| rule_row(rule)).collect();
        out.push_str("\n\n");
        out.push_str(&table(&["Policy", "Line", "Path", "Capabilities", "Outcome"], &rows));
    }
    match (near.is_empty(), other.len()) {
        (_, 0) => {}
        (true, n) => out.push_str(&format!("\n\nNone of the {n} rules is for this path.")),
        (false, 1) => out.push_str("\n\nOne more rule is for another path."),
        (false, n) => out.push_str(&format!("\n\n{n} more rules are for other paths.")),
    }
    let suggestion = decision.get("suggestion").unwrap_or(&Json::Null);
    let (rule, note) = (text(suggestion, "rule"), text(suggestion, "note"));
    if !rule.is_empty() {
        out.push_str(&format!("\n\nThe smallest rule that would allow it:\n\n{}", rule.trim_end()));
    }
    if !note.is_empty() {
        out.push_str(&format!("\n\n{}", wrap(&note, 0)));
    }
    out
}

fn rule_row(rule: &Json) -> Vec<String> {
    let outcome = match text(rule, "standing").as_str() {
        "decided" => "decided".to_owned(),
        "outranked" => "a more specific rule decided".to_owned(),
        "other_spelling" => "counts for listing and denials only".to_owned(),
        "expired" => "has expired".to_owned(),
        "no_template_value" => "the identity lacks a value it needs".to_owned(),
        other => other.to_owned(),
    };
    vec![
        text(rule, "policy"),
        text(rule, "line"),
        text(rule, "path"),
        words(rule, "capabilities"),
        outcome,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_reads_as_sentences() {
        let decision = json!({
            "allowed": false, "namespace": "team/", "path": "secret/data/app",
            "capability": "read", "policies": ["default", "dev"], "reason": "no rule grants read",
            "rules": [
                {
                    "policy": "dev", "line": 3, "path": "secret/data/*",
                    "capabilities": ["list"], "standing": "decided"
                },
                {
                    "policy": "dev", "line": 1, "path": "secret/*",
                    "capabilities": ["read"], "standing": "outranked"
                },
                {"policy": "default", "line": 1, "path": "x", "standing": "path_differs"}
            ],
            "suggestion": {"rule": "path \"secret/data/app\" {\n  capabilities = [\"read\"]\n}\n"}
        });
        assert_eq!(
            describe(&decision),
            "Denied: read secret/data/app in namespace team/\nno rule grants read\n\n\
             Policies: default, dev\n\n\
             Policy    Line    Path             Capabilities    Outcome\n\
             ------    ----    ----             ------------    -------\n\
             dev       3       secret/data/*    list            decided\n\
             dev       1       secret/*         read            a more specific rule decided\n\n\
             One more rule is for another path.\n\n\
             The smallest rule that would allow it:\n\n\
             path \"secret/data/app\" {\n  capabilities = [\"read\"]\n}"
        );
        let allowed = json!({"allowed": true, "path": "a", "capability": "list", "rules": []});
        assert_eq!(describe(&allowed), "Allowed: list a");
    }
}
