//! `operator init`: the one moment in which the keys of a server can be seen.

use serde_json::json;
use strongroom_base::json::{Json, JsonMap};
use strongroom_client::Request;

use super::pgp;
use crate::cli::command::{Fail, Outcome};
use crate::cli::context::Context;
use crate::cli::table::wrap;

pub fn run(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    if cx.flags.is("status") {
        return status(cx);
    }
    let seal = cx
        .http()?
        .send_aside(Request::get("sys/seal-status"))
        .and_then(strongroom_client::Reply::json)
        .map_err(|e| Fail::server("Error checking seal status", &e))?;
    let opens_itself = seal.get("recovery_seal").and_then(Json::as_bool).unwrap_or_default();
    let plan = Plan::read(cx, opens_itself)?;
    let answer = cx.http()?.document(Request::put("sys/init", plan.request()));
    let answer = answer.map_err(|e| Fail::server("Error initializing", &e))?;
    if !cx.ui.is_table() {
        return cx.ui.data(&plan.machine(&answer));
    }
    plan.print(cx, &answer);
    Ok(())
}

fn status(cx: &mut Context<'_, '_>) -> Outcome {
    let answer = cx.http()?.document(Request::get("sys/init"));
    // The exit code 2 says "not initialised" here, so errors are 1.
    let answer = answer.map_err(|e| Fail::server("Error checking init status", &e).with_code(1))?;
    let done = answer.get("initialized").and_then(Json::as_bool).unwrap_or_default();
    if cx.ui.is_table() {
        let not = if done { "" } else { "not " };
        cx.ui.say(&format!("The server is {not}initialized"));
    } else {
        cx.ui.data(&json!({"initialized": done}))?;
    }
    if done { Ok(()) } else { Err(Fail::quiet(2)) }
}

/// How the keys shall be split.
struct Plan {
    shares: i64,
    threshold: i64,
    recovery_shares: i64,
    recovery_threshold: i64,
    pgp_keys: Vec<String>,
    recovery_pgp_keys: Vec<String>,
    root_key: Option<String>,
}

impl Plan {
    fn read(cx: &Context<'_, '_>, opens_itself: bool) -> Result<Self, Fail> {
        let flags = &cx.flags;
        let or = |name: &str, default: i64| flags.int(name).filter(|n| *n != 0).unwrap_or(default);
        let keys = |name: &str| flags.text(name).map(pgp::read_keys).transpose();
        let own = if opens_itself { (0, 0) } else { (5, 3) };
        let recovery = if opens_itself {
            (
                flags.int("recovery-shares").unwrap_or(5),
                flags.int("recovery-threshold").unwrap_or(3),
            )
        } else {
            (0, 0)
        };
        Ok(Self {
            shares: or("key-shares", own.0),
            threshold: or("key-threshold", own.1),
            recovery_shares: recovery.0,
            recovery_threshold: recovery.1,
            pgp_keys: keys("pgp-keys")?.unwrap_or_default(),
            recovery_pgp_keys: keys("recovery-pgp-keys")?.unwrap_or_default(),
            root_key: flags.text("root-token-pgp-key").map(pgp::read_key).transpose()?,
        })
    }

    fn request(&self) -> Json {
        let mut body = json!({
            "secret_shares": self.shares,
            "secret_threshold": self.threshold,
            "recovery_shares": self.recovery_shares,
            "recovery_threshold": self.recovery_threshold,
        });
        if !self.pgp_keys.is_empty() {
            body["pgp_keys"] = json!(self.pgp_keys);
        }
        if !self.recovery_pgp_keys.is_empty() {
            body["recovery_pgp_keys"] = json!(self.recovery_pgp_keys);
        }
        if let Some(key) = &self.root_key {
            body["root_token_pgp_key"] = key.as_str().into();
        }
        body
    }

    /// The form for programs, with Vault's names.
    fn machine(&self, answer: &Json) -> Json {
        let list = |name: &str| match answer.get(name) {
            Some(Json::Array(items)) => Json::Array(items.clone()),
            _ => json!([]),
        };
        let mut out = JsonMap::new();
        let none = list("keys").as_array().is_none_or(Vec::is_empty);
        out.insert("unseal_keys_b64".into(), list("keys_base64"));
        out.insert("unseal_keys_hex".into(), list("keys"));
        out.insert("unseal_shares".into(), if none { 1 } else { self.shares }.into());
        out.insert("unseal_threshold".into(), if none { 1 } else { self.threshold }.into());
        out.insert("recovery_keys_b64".into(), list("recovery_keys_base64"));
        out.insert("recovery_keys_hex".into(), list("recovery_keys"));
        out.insert("recovery_keys_shares".into(), self.recovery_shares.into());
        out.insert("recovery_keys_threshold".into(), self.recovery_threshold.into());
        out.insert("root_token".into(), answer.get("root_token").cloned().unwrap_or(Json::Null));
        Json::Object(out)
    }

    fn print(&self, cx: &mut Context<'_, '_>, answer: &Json) {
        let unseal = print_shares(cx, answer, "Unseal Key", "keys_base64", "keys");
        let recovery =
            print_shares(cx, answer, "Recovery Key", "recovery_keys_base64", "recovery_keys");
        let token = answer.get("root_token").and_then(Json::as_str).unwrap_or_default();
        cx.ui.say("");
        cx.ui.say(&format!("Initial Root Token: {token}"));
        let (n, t) = (self.shares, self.threshold);
        let program = cx.program().to_owned();
        let mut say = |text: String| {
            cx.ui.say("");
            cx.ui.say(&wrap(&text, 0));
        };
        if unseal {
            say(format!(
                "The server is initialized with {n} key shares, of which {t} unseal it. Give them \
                 to different people to keep. After each seal, restart or stop, {t} of them are \
                 needed before the server answers again."
            ));
            say(format!(
                "These keys are shown only now and stored nowhere. Whoever has fewer than {t} of \
                 them can never open the server again!"
            ));
            say(format!(
                "New shares can be made from the old ones: \"{program} operator rekey -h\"."
            ));
        } else {
            say("Success! The server is initialized".into());
        }
        if recovery {
            let (n, t) = (self.recovery_shares, self.recovery_threshold);
            say(format!(
                "The recovery key is split into {n} shares, of which {t} are needed. Give them to \
                 different people to keep."
            ));
        }
    }
}

fn print_shares(
    cx: &mut Context<'_, '_>,
    answer: &Json,
    title: &str,
    base64: &str,
    hex: &str,
) -> bool {
    let list = |name: &str| answer.get(name).and_then(Json::as_array).filter(|l| !l.is_empty());
    let Some(keys) = list(base64).or_else(|| list(hex)) else { return false };
    for (i, key) in keys.iter().enumerate() {
        cx.ui.say(&format!("{title} {}: {}", i + 1, key.as_str().unwrap_or_default()));
    }
    true
}
