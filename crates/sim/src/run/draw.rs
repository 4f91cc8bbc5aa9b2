//! Which request comes next: drawn from the seed, with an eye on what the model knows.

use super::accounts::{LEASE_MAX, TTLS};
use super::{Asked, Run};
use crate::check::CANARY;
use crate::dice::Dice;
use crate::model::{Model, Policy, caps};
use crate::ops::{Op, Who};
use crate::turner::SUBJECTS;

const PATHS: [&str; 5] = ["a", "b", "a/x", "a/y", "b/z/z"];
const MOUNTS: [&str; 2] = ["kv", "kw"];
const POLICIES: [&str; 4] = ["p0", "p1", "p2", "p3"];
const PATTERNS: [&str; 12] = [
    "db/*",
    "tu/*",
    "sys/rotation/ack/*",
    "kv/*",
    "kv/data/*",
    "kv/data/a",
    "kv/data/a/*",
    "kv/metadata/*",
    "kw/*",
    "kw/data/b",
    "auth/token/create",
    "auth/token/*",
];

impl Run {
    /// A random request. Those that run together leave out what has no order of its own.
    pub(super) fn draw(&mut self, together: bool) -> Asked {
        let dice = self.dice.clone();
        let now = self.machine.now().unwrap_or_default();
        let world = self.worlds.first().cloned().unwrap_or_default();
        // What a failing disk kept from everybody is there, but nobody can name it.
        let told = |numbers: Vec<u64>| -> Vec<u64> {
            numbers.into_iter().filter(|n| self.texts.contains_key(n)).collect()
        };
        let live = told(world.live_tokens(now));
        let wraps = told(world.wrapping_tokens());
        let given = &self.unwrapped[self.unwrapped.len().saturating_sub(2)..];
        let secrets = told(world.secret_ids());
        let leases = told(world.leases());
        let mut known: Vec<u64> = self.texts.keys().copied().collect();
        known.reverse();
        known.truncate(40);
        let someone = |dice: &Dice| match (dice.roll(12), dice.pick(&live), dice.pick(&known)) {
            (0, _, Some(n)) => *n,
            (_, Some(n), _) => *n,
            (_, None, Some(n)) => *n,
            _ => 0,
        };
        let client = |dice: &Dice| match dice.roll(3) {
            0 => Who::Root,
            _ if known.is_empty() => Who::Root,
            _ => Who::Token(someone(dice)),
        };
        if dice.one_in(5)
            && let Some((who, op)) = draw_turned(&dice, client(&dice))
        {
            return self.ask(who, op);
        }
        let (who, op) = match dice.roll(if together { 80 } else { 100 }) {
            0..=39 => (client(&dice), self.draw_kv(&dice)),
            40..=47 => {
                let who = client(&dice);
                (who, self.draw_token(&dice, who))
            }
            48..=51 => {
                let ops = [
                    Op::LookupSelf,
                    Op::RenewSelf { increment: 10 + dice.roll(500) as i64 },
                    Op::RevokeSelf,
                    Op::LookupSelf,
                ];
                let op = dice.pick(&ops).cloned().unwrap_or(Op::LookupSelf);
                (Who::Token(someone(&dice)), op)
            }
            52..=55 => (Who::Root, Op::Revoke { token: someone(&dice) }),
            56 => (Who::Root, Op::RevokeOrphan { token: someone(&dice) }),
            57..=59 => {
                let value = self.canary(&dice);
                (client(&dice), Op::Wrap { value, ttl: 20 + dice.roll(200) as i64 })
            }
            // Once more what was given out: the second time is refused, whoever asks.
            60 | 61 if !given.is_empty() => {
                let wrap = dice.pick(given).copied().unwrap_or_default();
                let who = if dice.one_in(2) { Who::Wrapping(wrap) } else { Who::Root };
                (who, Op::Unwrap { wrap })
            }
            60..=66 if wraps.is_empty() && !dice.one_in(8) => (client(&dice), self.draw_kv(&dice)),
            60..=66 => {
                let wrap = dice.pick(&wraps).or(dice.pick(&known)).copied().unwrap_or_default();
                let own = wraps.contains(&wrap) && dice.one_in(2);
                let who = if own { Who::Wrapping(wrap) } else { Who::Root };
                (who, Op::Unwrap { wrap })
            }
            67..=69 => (Who::Root, Op::SecretId { uses: dice.roll(3) as i64 }),
            70..=72 => {
                let secret = dice.pick(&known).copied().unwrap_or_default();
                let secret = dice.pick(&secrets).copied().unwrap_or(secret);
                (Who::Nobody, Op::Login { secret })
            }
            73..=78 => {
                let op = self.draw_lease(&dice, &leases);
                // Whoever may ask for an account may not see to leases.
                (if matches!(op, Op::Give { .. }) { client(&dice) } else { Who::Root }, op)
            }
            79 if !self.worlds.iter().all(Model::is_connected) => {
                (Who::Root, Op::PutConnection { verify: dice.one_in(2) })
            }
            79 => (Who::Root, self.draw_policy(&dice)),
            89..=92 => (Who::Root, self.draw_database(&dice)),
            80..=88 => (Who::Root, self.draw_policy(&dice)),
            93 => (Who::Root, self.draw_mount(&dice)),
            94 => (Who::Root, Op::Rotate),
            95 | 96 => (Who::Nobody, Op::UserLogin { right: !dice.one_in(3) }),
            97 => (Who::Root, Op::SetRole { policies: self.draw_policies(&dice) }),
            98 => {
                let set = Op::SetUser { policies: self.draw_policies(&dice) };
                (Who::Root, if dice.one_in(4) { Op::DeleteUser } else { set })
            }
            _ => {
                let ops = [Op::DisableAppRole, Op::EnableAppRole, Op::EnableAppRole];
                (Who::Root, dice.pick(&ops).cloned().unwrap_or(Op::EnableAppRole))
            }
        };
        self.ask(who, op)
    }

    fn canary(&self, dice: &Dice) -> String {
        format!("{CANARY}-{}-{}", self.number + 1, dice.roll(1 << 30))
    }

    fn draw_kv(&self, dice: &Dice) -> Op {
        let (mount, path) = (dice.text(&MOUNTS), dice.text(&PATHS));
        let version = dice.roll(4);
        match dice.roll(12) {
            0..=3 => {
                let cas = if dice.one_in(2) { Some(dice.roll(4)) } else { None };
                Op::Put { mount, path, value: self.canary(dice), cas }
            }
            4..=7 => Op::Get { mount, path, version },
            8 => Op::DeleteLatest { mount, path },
            9 => {
                let verb = dice.text(&["delete", "undelete", "destroy"]);
                Op::Versions { mount, path, verb, version: version.max(1) }
            }
            10 if dice.one_in(3) => Op::DeleteSecret { mount, path },
            _ => Op::List { mount, folder: dice.text(&["", "a/", "b/", "b/z/"]) },
        }
    }

    fn draw_policies(&self, dice: &Dice) -> Vec<&'static str> {
        POLICIES.iter().copied().filter(|_| dice.one_in(2)).collect()
    }

    fn draw_token(&self, dice: &Dice, who: Who) -> Op {
        let batch = dice.one_in(6);
        let mut policies = self.draw_policies(dice);
        if who == Who::Root && policies.is_empty() {
            // Without policies it would be another root token.
            policies.push("p0");
        }
        Op::CreateToken {
            policies,
            ttl: 30 + dice.roll(900) as i64,
            explicit_max: if dice.one_in(4) && !batch { 40 + dice.roll(300) as i64 } else { 0 },
            uses: if dice.one_in(4) && !batch { 1 + dice.roll(4) as i64 } else { 0 },
            orphan: dice.one_in(8),
            batch,
            pod: self.number + 1,
        }
    }

    fn draw_policy(&self, dice: &Dice) -> Op {
        let name = dice.text(&POLICIES);
        if dice.one_in(6) {
            return Op::DeletePolicy { name };
        }
        let mut rules = Vec::new();
        for pattern in PATTERNS {
            // Broad rules are common, so that much is allowed; narrow ones take away and add.
            let common = matches!(pattern, "kv/*" | "kw/*" | "db/*" | "tu/*" | "auth/token/create");
            if if common { !dice.one_in(3) } else { dice.one_in(5) } {
                let bits = match dice.roll(if common { 12 } else { 4 }) {
                    0 => caps::DENY,
                    1 => 1 << dice.roll(4),
                    _ => caps::READ | caps::WRITE | caps::DELETE | caps::LIST,
                };
                rules.push((pattern, bits));
            }
        }
        if rules.is_empty() {
            rules.push(("kv/*", caps::READ));
        }
        Op::SetPolicy { name, policy: Policy(rules) }
    }

    fn draw_lease(&self, dice: &Dice, leases: &[u64]) -> Op {
        let role = dice.pick(&TTLS).map_or("", |(role, _)| *role);
        let Some(lease) = dice.pick(leases).copied() else { return Op::Give { role } };
        match dice.roll(12) {
            0..=5 => Op::Give { role },
            6..=8 => Op::RenewLease { lease, increment: 60 + dice.roll(2_000) as i64 },
            9 | 10 => Op::RevokeLease { lease },
            _ => Op::RevokePrefix { role, sync: !dice.one_in(3) },
        }
    }

    /// A change of the database mount. What was taken away comes again soon.
    fn draw_database(&self, dice: &Dice) -> Op {
        let all = |is: fn(&Model) -> bool| self.worlds.iter().all(is);
        if !all(Model::has_database) && !dice.one_in(4) {
            return Op::EnableDatabase;
        }
        let connect = Op::PutConnection { verify: dice.one_in(2) };
        if !all(Model::is_connected) && !dice.one_in(4) {
            return connect;
        }
        let (role, ttl) = dice.pick(&TTLS).copied().unwrap_or(("", 0));
        let missing = |role| !self.worlds.iter().all(|world| world.has_role(role));
        if let Some((role, ttl)) = TTLS.iter().find(|(role, _)| missing(role)) {
            return Op::PutAccountRole { role, ttl: *ttl, max: LEASE_MAX };
        }
        match dice.roll(12) {
            0..=4 => {
                let ttl = dice.pick(&[ttl, 120, 900]).copied().unwrap_or(ttl);
                let max = dice.pick(&[LEASE_MAX, 300, 1_200, 10_000]).copied();
                Op::PutAccountRole { role, ttl, max: max.unwrap_or(LEASE_MAX) }
            }
            5 | 6 => Op::DeleteAccountRole { role },
            7 | 8 => Op::DeleteConnection,
            9 => connect,
            // What a mount without a connection gave out could never be taken back.
            10 if all(Model::is_connected) => Op::DisableDatabase,
            _ => Op::EnableDatabase,
        }
    }

    fn draw_mount(&self, dice: &Dice) -> Op {
        let mount = dice.text(&MOUNTS);
        if dice.one_in(4) { Op::Disable { mount } } else { Op::Enable { mount } }
    }
}

/// Something about what is rotated. Root reads none of it: it would hold up every drain.
fn draw_turned(dice: &Dice, client: Who) -> Option<(Who, Op)> {
    let subject = dice.text(&SUBJECTS);
    Some(match (dice.roll(12), client) {
        (0, _) => (Who::Root, Op::AbortTurned { subject }),
        (1, _) => (Who::Root, Op::ForceTurned { subject }),
        (2, Who::Token(_)) => (client, Op::AckTurned { subject }),
        (_, Who::Token(_)) => (client, Op::ReadTurned { subject }),
        _ => return None,
    })
}

pub(super) fn everything(pattern: &'static str) -> Policy {
    Policy(vec![(pattern, caps::READ | caps::WRITE | caps::DELETE | caps::LIST)])
}
