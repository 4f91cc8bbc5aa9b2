//! Bugs planted in a copy of the tree, one at a time: each must be caught by the simulator or by a
//! named test (`cargo xtask mutants`). What is caught by what is recorded in docs/testing.md.
//!
//! A mutant is a piece of a file and what it becomes, so that product code needs no hook for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::cache;

/// Minutes that the simulator gets for a mutant.
const MINUTES: &str = "4";
/// Rounds of each of its seeds.
const STEPS: &str = "250";

/// Who catches it.
enum CaughtBy {
    /// The simulator, within [`MINUTES`].
    Simulator,
    /// A test of a package.
    Test(&'static str, &'static str),
}

struct Mutant {
    name: &'static str,
    file: &'static str,
    before: &'static str,
    after: &'static str,
    caught_by: CaughtBy,
}

const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "lost-commit",
        file: "crates/storage/src/memory.rs",
        before: "let revision = self.apply(&commit)?;",
        after: "let revision = if self.revision() % 64 == 63 && !commit.changes.is_empty() { \
                self.revision.fetch_add(1, Ordering::AcqRel) + 1 } else { self.apply(&commit)? };",
        caught_by: CaughtBy::Simulator,
    },
    Mutant {
        name: "half-a-commit",
        file: "crates/storage/src/memory.rs",
        before: "commit.changes.iter().for_each(|change| records.apply(change));",
        after: "commit.changes.iter().take(4).for_each(|change| records.apply(change));",
        caught_by: CaughtBy::Simulator,
    },
    Mutant {
        name: "skipped-policy-step",
        file: "crates/kernel/src/pipeline/authorise.rs",
        before: "                (ask, decision) = (other, allowed);
            }
        }",
        after: "                (ask, decision) = (other, allowed);
            }
        }
        decision.allowed = true;",
        caught_by: CaughtBy::Simulator,
    },
    Mutant {
        name: "deny-loses",
        file: "crates/kernel/src/policy/acl/compile.rs",
        before: "    if new.capabilities.is_deny() {
        existing.capabilities = Capabilities::DENY;
        existing.allowed = None;
        existing.denied = None;
        return;
    }",
        after: "    if new.capabilities.is_deny() {
        return;
    }",
        caught_by: CaughtBy::Simulator,
    },
    Mutant {
        name: "lease-not-revoked",
        file: "crates/kernel/src/tokens/clean.rs",
        before: "services.leases.expire_now(tx, *lease, now).await?;",
        after: "let _ = (services, lease);",
        caught_by: CaughtBy::Test(
            "strongroom-system",
            "a_revoked_tokens_leases_are_revoked_with_its_tree",
        ),
    },
    Mutant {
        name: "intent-not-taken-back",
        file: "crates/kernel/src/leases/intents.rs",
        before: "for id in ids.filter(|id| !self.open.holds(*id)) {",
        after: "for id in ids.filter(|_| false) {",
        caught_by: CaughtBy::Simulator,
    },
    Mutant {
        name: "holding-forgotten",
        file: "crates/kernel/src/rotation/holdings.rs",
        before: "tx.write(scope).put_named(holders, &consumer.name, &holding)",
        after: "{ let _ = (tx, scope, holders, holding); Ok(()) }",
        caught_by: CaughtBy::Simulator,
    },
    Mutant {
        name: "next-credential-left-behind",
        file: "crates/kernel/src/rotation/machine.rs",
        before: "self.outside(job, Outside::Undo, &next).await?;",
        after: "drop(next);",
        caught_by: CaughtBy::Test(
            "strongroom-system",
            "a_failed_test_rolls_back_by_itself_and_is_tried_again",
        ),
    },
    Mutant {
        name: "account-name-lost",
        file: "crates/engines/src/database/creds.rs",
        before: "            \"username\": self.username,",
        after: "            \"username\": self.role,",
        caught_by: CaughtBy::Simulator,
    },
    Mutant {
        name: "account-before-its-intent",
        file: "crates/engines/src/database/creds.rs",
        before: "let ends = cx.intend(&lease).await?;",
        after: "let ends = cx.now().plus_seconds(role.default_ttl);",
        caught_by: CaughtBy::Simulator,
    },
    Mutant {
        name: "late-account-stays",
        file: "crates/kernel/src/leases/intents.rs",
        before: "(self.intent && now < again).then_some(again)",
        after: "(self.intent && now < again && self.attempts > 99).then_some(again)",
        caught_by: CaughtBy::Test("strongroom-system", "what_was_made_and_not_told_is_taken_back"),
    },
    Mutant {
        name: "role-maximum-ignored",
        file: "crates/engines/src/database/creds.rs",
        before: "            most => seconds.min(cx.now().seconds_until(leased.issued.plus_seconds(most))),",
        after: "            most => seconds.max(seconds.min(most)),",
        caught_by: CaughtBy::Test(
            "strongroom-engines",
            "renewing_moves_the_accounts_end_within_its_maximum",
        ),
    },
    Mutant {
        name: "failed-revocation-forgotten",
        file: "crates/kernel/src/leases/revoke.rs",
        before: "                if lease.forced {",
        after: "                if lease.forced || lease.attempts == 0 {",
        caught_by: CaughtBy::Test("strongroom-engines", "a_lease_stays_until_its_account_is_gone"),
    },
    Mutant {
        name: "audit-line-dropped",
        file: "crates/kernel/src/pipeline/record.rs",
        before: "        let recorded = services.audit.record(&entry).await;
        self.count_login(false);",
        after: "        let recorded = if self.token.is_some() && refused.trace.is_some() {
            Ok(String::new())
        } else {
            services.audit.record(&entry).await
        };
        self.count_login(false);",
        caught_by: CaughtBy::Simulator,
    },
    Mutant {
        name: "outbox-forgotten-after-a-crash",
        file: "crates/kernel/src/audit/mod.rs",
        before: "            if !present.contains(&id) {",
        after: "            if present.contains(&id) {",
        caught_by: CaughtBy::Simulator,
    },
    Mutant {
        name: "stale-policy",
        file: "crates/kernel/src/policies.rs",
        before: "                mark.fetch_add(1, Ordering::Release);",
        after: "                if matches!(change, Change::Delete(_)) {
                    mark.fetch_add(1, Ordering::Release);
                }",
        caught_by: CaughtBy::Simulator,
    },
    Mutant {
        name: "stale-token",
        file: "crates/kernel/src/tokens.rs",
        before: "                Change::Put(Key::Row(table, id), _) | Change::Delete(Key::Row(table, id))
                    if *table == rows::TOKENS =>",
        after: "                Change::Put(Key::Row(table, id), _) if *table == rows::TOKENS =>",
        caught_by: CaughtBy::Simulator,
    },
    Mutant {
        name: "cas-off-by-one",
        file: "crates/engines/src/kv/data.rs",
        before: "if u64::try_from(wanted) != Ok(head.current) {",
        after: "if u64::try_from(wanted).map_or(true, |w| w.abs_diff(head.current) > 1) {",
        caught_by: CaughtBy::Simulator,
    },
    Mutant {
        name: "expired-token-accepted",
        file: "crates/kernel/src/tokens/check.rs",
        before: "        Ok(!token.is_expired(now)
            && token.num_uses >= 0",
        after: "        Ok(token.num_uses >= 0",
        caught_by: CaughtBy::Simulator,
    },
    Mutant {
        name: "child-outlives-parent",
        file: "crates/kernel/src/tokens/check.rs",
        before: "Some(p) if p.is_expired(now) || p.num_uses < 0 => return Ok(false),",
        after: "Some(p) if p.num_uses < 0 => return Ok(false),",
        caught_by: CaughtBy::Test(
            "strongroom-system",
            "expiry_takes_the_tree_along_and_a_renewed_token_stays",
        ),
    },
    Mutant {
        name: "use-not-taken",
        file: "crates/kernel/src/pipeline/authenticate.rs",
        before: "        if token.num_uses > 0 {",
        after: "        if token.num_uses > 1 {",
        caught_by: CaughtBy::Test(
            "strongroom-system",
            "a_restricted_token_has_no_children_and_ends_with_its_last_use",
        ),
    },
    Mutant {
        name: "wrapped-value-given-twice",
        file: "crates/system/src/sys/wrapping.rs",
        before: "    cubbyhole.delete_named::<CubbyholeEntry>(row.id, WRAPPED_RESPONSE);
    tokens.revoke(tx, &row);",
        after: "    if wrapped.own {
        cubbyhole.delete_named::<CubbyholeEntry>(row.id, WRAPPED_RESPONSE);
        tokens.revoke(tx, &row);
    }",
        caught_by: CaughtBy::Test("strongroom-system", "a_value_comes_out_once_whoever_asks"),
    },
    Mutant {
        name: "clock-goes-back",
        file: "crates/kernel/src/clock.rs",
        before: "Timestamp(monotonic.saturating_add(offset))",
        after: "Timestamp(monotonic.saturating_add(offset.min(seen)))",
        caught_by: CaughtBy::Simulator,
    },
    Mutant {
        name: "value-in-the-audit-log",
        file: "crates/kernel/src/audit/render.rs",
        before: "if shown.iter().any(|s| s == name) {",
        after: "if shown.iter().any(|s| s == name) || name == \"v\" {",
        caught_by: CaughtBy::Simulator,
    },
    Mutant {
        name: "renewal-past-the-maximum",
        file: "crates/kernel/src/tokens/lifetime.rs",
        before: "    if ttl > left {",
        after: "    if ttl > left + 60 {",
        caught_by: CaughtBy::Test("strongroom-kernel", "a_life_never_passes_its_maximum"),
    },
];

/// Plants each mutant (or those named) in a copy of the tree, and sees it caught.
pub fn run(names: &[String]) -> Result<(), String> {
    let copy = cache::folder().join("mutants");
    // Nobody's tests may be taken from what is built with a bug in it.
    cache::disown()?;
    copy_tree(&copy)?;
    let mut missed = Vec::new();
    for mutant in MUTANTS {
        if !names.is_empty() && !names.iter().any(|name| name == mutant.name) {
            continue;
        }
        match plant(&copy, mutant) {
            Ok(how) => println!("{:32} caught: {how}", mutant.name),
            Err(why) => {
                println!("{:32} NOT CAUGHT: {why}", mutant.name);
                missed.push(mutant.name);
            }
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(format!("not caught: {}", missed.join(", "))) }
}

/// Plants one; answers how it was caught. The copy is as before afterwards.
fn plant(copy: &Path, mutant: &Mutant) -> Result<String, String> {
    let path = copy.join(mutant.file);
    let text = fs::read_to_string(&path).map_err(|e| e.to_string())?;
    if text.matches(mutant.before).count() != 1 {
        return Err(format!("its place in {} is not found once", mutant.file));
    }
    let changed = text.replace(mutant.before, mutant.after);
    fs::write(&path, changed).map_err(|e| e.to_string())?;
    let outcome = hunt(copy, &mutant.caught_by);
    fs::write(&path, text).map_err(|e| e.to_string())?;
    outcome
}

fn hunt(copy: &Path, caught_by: &CaughtBy) -> Result<String, String> {
    match caught_by {
        CaughtBy::Simulator => {
            let built = cargo(copy, &["build", "-q", "--locked", "-p", "strongroom-sim"])?;
            if !built.status.success() {
                return Err(format!("it does not build: {}", text(&built.stderr)));
            }
            let args = ["run", "-q", "--locked", "-p", "strongroom-sim", "--"];
            let limits = ["--minutes", MINUTES, "--steps", STEPS];
            let ran = cargo(copy, &[&args[..], &limits[..]].concat())?;
            let told = text(&ran.stderr);
            let found = told.lines().find(|line| line.starts_with("seed "));
            match found {
                Some(line) if !ran.status.success() => {
                    Ok(line.chars().take(160).collect::<String>())
                }
                _ => Err("the simulator had no finding".to_owned()),
            }
        }
        CaughtBy::Test(package, name) => {
            let ran = cargo(copy, &["test", "-q", "--locked", "-p", package, name])?;
            let failed = text(&ran.stdout).contains("test result: FAILED");
            match failed {
                true => Ok(format!("test {name} of {package}")),
                false => Err(format!("test {name} of {package} did not fail")),
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn cargo(copy: &Path, args: &[&str]) -> Result<Output, String> {
    let mut cargo: Command = cache::cargo(args);
    cargo.current_dir(copy).output().map_err(|e| e.to_string())
}

/// Copies what is built, as it stands. Files that are as before keep their times, so that little
/// is built anew.
fn copy_tree(to: &Path) -> Result<(), String> {
    let from = cache::root();
    for name in ["Cargo.toml", "Cargo.lock", "clippy.toml"] {
        copy_file(&from.join(name), &to.join(name))?;
    }
    for name in ["crates", "xtask", "bench", "docs", ".cargo"] {
        let (from, to) = (from.join(name), to.join(name));
        if from.is_dir() {
            copy_folder(&from, &to)?;
        }
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), String> {
    let told = |e: std::io::Error| format!("{}: {e}", from.display());
    fs::create_dir_all(to).map_err(told)?;
    for entry in fs::read_dir(to).map_err(told)? {
        // What is gone from the tree goes from the copy.
        let path = entry.map_err(told)?.path();
        let gone = path.file_name().is_some_and(|name| !from.join(name).exists());
        if gone && path.is_file() {
            fs::remove_file(&path).map_err(told)?;
        }
    }
    for entry in fs::read_dir(from).map_err(told)? {
        let path: PathBuf = entry.map_err(told)?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() {
            copy_folder(&path, &to.join(name))?;
        } else {
            copy_file(&path, &to.join(name))?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<(), String> {
    let told = |e: std::io::Error| format!("{}: {e}", from.display());
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(told)?;
    }
    let new = fs::read(from).map_err(told)?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(to, new).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mutant_has_its_place() {
        for mutant in MUTANTS {
            let text = fs::read_to_string(cache::root().join(mutant.file)).unwrap();
            assert_eq!(text.matches(mutant.before).count(), 1, "{}", mutant.name);
        }
    }

    #[test]
    fn each_mutant_is_told_in_the_docs() {
        let docs = fs::read_to_string(cache::root().join("docs/testing.md")).unwrap();
        for mutant in MUTANTS {
            assert!(docs.contains(&format!("`{}`", mutant.name)), "{}", mutant.name);
        }
    }
}
