//! The outside: database servers whose calls are slow, fail and get lost by the dice, and the book
//! of what was made there and taken back, how often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_testkit::databases::{Came, FailureKind, Fault, Pause, SimServers, Weather};

use crate::check::CANARY;
use crate::dice::Dice;
use crate::disk::{REQUEST, turns};
use crate::stop::Stop;

/// The one server.
pub const SERVER: &str = "main";
/// Its administrator.
pub const ADMIN: &str = "admin";

/// The administrator's password.
pub fn admin_password() -> String {
    format!("{CANARY}-admin")
}

/// How the outside behaves from now on.
#[derive(Clone, Copy, Default)]
pub struct Mood {
    /// One call in so many fails; 0 is none.
    pub failing: u64,
    /// Most turns that a call waits on its way, and its answer.
    pub slow: u64,
    /// Nothing is reached.
    pub down: bool,
}

/// The outside. It survives the server's crashes.
pub struct Outside {
    /// The servers.
    pub servers: SimServers,
    /// Where the process dies.
    pub stop: Arc<Stop>,
    dice: Dice,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    mood: Mood,
    /// Somebody gave the administrator another password, by hand.
    password_changed: bool,
    ended: BTreeMap<String, Ended>,
    /// Taken back since it was looked at last.
    news: Vec<TakenBack>,
    looks: u64,
    losses: u64,
    /// Requests that were told of a failure.
    failed: BTreeSet<u64>,
    /// All that came since it was asked for last, for whoever looks into a finding.
    heard: Vec<String>,
    /// Failures without a reason.
    wrong: Vec<String>,
}

/// When an account was taken back last.
#[derive(Clone, Copy)]
struct Ended {
    times: u32,
    losses: u64,
    look: u64,
    /// Was the server told?
    told: bool,
}

/// An account was taken back.
#[derive(Debug)]
pub struct TakenBack {
    /// Its name.
    pub account: String,
    /// How often by now.
    pub times: u32,
    /// May the server have to do it again? It may where it lost its note of the time before, was
    /// not told of it, or where that time was so lately that requests running together got into
    /// each other's way.
    pub excused: bool,
}

impl Outside {
    /// One server with its administrator.
    pub fn new(dice: Dice) -> Arc<Self> {
        let servers = SimServers::default();
        servers.put(SERVER, ADMIN, &admin_password());
        let book = Mutex::default();
        let outside = Arc::new(Self { servers, stop: Arc::default(), dice, book });
        outside.servers.set_weather(Arc::new(Sky(Arc::downgrade(&outside))));
        outside
    }

    /// Sets how it behaves.
    pub fn set_mood(&self, mood: Mood) {
        self.book.lock().mood = mood;
    }

    /// Gives the administrator another password, or the right one again.
    pub fn change_password(&self, changed: bool) {
        self.book.lock().password_changed = changed;
        let password = admin_password();
        self.servers.put(SERVER, ADMIN, &if changed { password + "-2" } else { password });
    }

    /// Was the account taken back?
    pub fn is_revoked(&self, account: &str) -> bool {
        self.book.lock().ended.contains_key(account)
    }

    /// The accounts that are there.
    pub fn there(&self) -> Vec<String> {
        let mut there = self.servers.accounts(SERVER);
        there.retain(|name| name != ADMIN);
        there
    }

    /// Was the request told of a failure of the outside?
    pub fn has_failed(&self, request: u64) -> bool {
        self.book.lock().failed.contains(&request)
    }

    /// What was taken back since the last look; the error where a call failed for no reason.
    pub fn news(&self) -> Result<Vec<TakenBack>, String> {
        let mut book = self.book.lock();
        book.looks += 1;
        match book.wrong.first() {
            Some(wrong) => Err(wrong.clone()),
            None => Ok(std::mem::take(&mut book.news)),
        }
    }

    /// What came since this was asked last.
    pub fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.book.lock().heard)
    }

    /// The server may have lost its note that something was taken back.
    pub fn note_lost(&self) {
        self.book.lock().losses += 1;
    }

    /// The server's process died: what is left of it reaches nobody any more.
    pub fn process_died(&self) {
        self.book.lock().losses += 1;
        self.servers.process_died();
        self.stop.clear();
    }

    fn fault(&self) -> Fault {
        let mood = self.book.lock().mood;
        if mood.down {
            return Fault::Unreachable;
        }
        if mood.failing == 0 || !self.dice.one_in(mood.failing) {
            return Fault::None;
        }
        let faults = [Fault::Unreachable, Fault::Refused, Fault::AnswerLost, Fault::Late];
        self.dice.pick(&faults).copied().unwrap_or(Fault::None)
    }
}

impl Book {
    fn take_back(&mut self, account: &str, told: bool) {
        let (losses, look) = (self.losses, self.looks);
        let before = self.ended.get(account);
        let excused = before.is_none_or(|b| b.losses < losses || b.look == look || !b.told);
        let times = before.map_or(0, |b| b.times) + 1;
        self.ended.insert(account.to_owned(), Ended { times, losses, look, told });
        self.news.push(TakenBack { account: account.to_owned(), times, excused });
    }

    /// Has the failure of a call a reason?
    fn is_fair(&self, came: &Came<'_>, kind: FailureKind) -> bool {
        came.fault != Fault::None
            || kind == FailureKind::Credential && self.password_changed
            // Its lease is there still where the server could not note that the account is gone.
            || came.call == "renew" && self.ended.contains_key(came.account)
    }
}

/// The outside as its servers see it.
struct Sky(std::sync::Weak<Outside>);

impl Weather for Sky {
    fn pause(&self) -> Pause {
        let outside = self.0.upgrade();
        Box::pin(async move {
            let Some(outside) = outside else { return };
            outside.stop.step().await;
            let slow = outside.book.lock().mood.slow;
            turns(1 + if slow == 0 { 0 } else { outside.dice.roll(slow + 1) }).await;
        })
    }

    fn fault(&self, _: &'static str) -> Fault {
        self.0.upgrade().map_or(Fault::None, |outside| outside.fault())
    }

    fn came(&self, came: &Came<'_>) {
        let Some(outside) = self.0.upgrade() else { return };
        let mut book = outside.book.lock();
        book.heard.push(format!("{came:?}"));
        if came.done && came.call == "remove" {
            book.take_back(came.account, came.told.is_ok());
        }
        let Err(kind) = came.told else { return };
        if !book.is_fair(came, kind) {
            book.wrong.push(format!("a call fails without a reason: {came:?}"));
        }
        if let Ok(request) = REQUEST.try_with(|number| *number) {
            book.failed.insert(request);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Event::{Died, Look, NoteLost, TakeBack, Untold};

    /// What happens to one account.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        TakeBack,
        /// It is taken back, and the server hears nothing of it.
        Untold,
        Look,
        NoteLost,
        Died,
    }

    #[test]
    fn an_account_is_taken_back_again_only_where_a_note_of_it_may_be_lost() {
        for (events, excused) in [
            (&[TakeBack, Look][..], true),
            (&[TakeBack, TakeBack], true),
            (&[TakeBack, Look, TakeBack], false),
            (&[Untold, Look, TakeBack], true),
            (&[Untold, Look, TakeBack, Look, TakeBack], false),
            // The commit that followed was lost before anybody looked.
            (&[TakeBack, NoteLost, Look, TakeBack], true),
            (&[TakeBack, Look, NoteLost, TakeBack], true),
            (&[TakeBack, Look, Died, TakeBack], true),
            // What was lost before is no excuse, nor is one loss for two repetitions.
            (&[NoteLost, TakeBack, Look, TakeBack], false),
            (&[TakeBack, NoteLost, TakeBack, Look, TakeBack], false),
        ] {
            let outside = Outside::new(Dice::new(1, 1));
            let mut last = None;
            for event in events {
                match event {
                    TakeBack => outside.book.lock().take_back("a", true),
                    Untold => outside.book.lock().take_back("a", false),
                    Look => last = outside.news().unwrap().pop().or(last),
                    NoteLost => outside.note_lost(),
                    Died => outside.process_died(),
                }
            }
            let last = outside.news().unwrap().pop().or(last).unwrap();
            assert_eq!(last.excused, excused, "{events:?}");
        }
    }

    #[test]
    fn a_failure_needs_a_reason() {
        let outside = Outside::new(Dice::new(1, 1));
        let came = |call, account, fault, kind| Came {
            call,
            account,
            done: false,
            told: Err(kind),
            fault,
        };
        let book = || outside.book.lock();
        for (call, fault, kind, changed, fair) in [
            ("create", Fault::Unreachable, FailureKind::Unreachable, false, true),
            ("create", Fault::None, FailureKind::Unreachable, false, false),
            ("create", Fault::None, FailureKind::Credential, true, true),
            ("create", Fault::None, FailureKind::Credential, false, false),
            ("renew", Fault::None, FailureKind::Refused, false, true),
            ("create", Fault::None, FailureKind::Refused, false, false),
        ] {
            outside.change_password(changed);
            book().take_back("gone", true);
            let came = came(call, "gone", fault, kind);
            assert_eq!(book().is_fair(&came, kind), fair, "{came:?}");
        }
        let kind = FailureKind::Refused;
        assert!(!book().is_fair(&came("renew", "there", Fault::None, kind), kind));
    }
}
