//! An engine that gives out credentials of an outside, as a database engine does, and the outside:
//! it knows which credentials there are and which were taken back, how often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use serde_json::json;
use strongroom_base::{Error, Json, Result};
use strongroom_kernel::plug::{
    Class, Command, EngineSpec, LeaseKind, NewLease, Op, Reply, Spec, Verb, WriteCx,
};

/// Seconds of a short lease, and of one that outlives every run.
pub const TTLS: [(&str, i64); 2] = [("short", 600), ("long", 20 * 24 * 3_600)];
/// Most seconds over all renewals.
pub const LEASE_MAX: i64 = 25 * 24 * 3_600;

/// Credentials by number, and what became of each.
#[derive(Default)]
pub struct Outside {
    /// Numbers given so far.
    numbers: i64,
    /// Credentials that are there.
    there: BTreeSet<i64>,
    revoked: BTreeMap<i64, Ended>,
    /// Taken back since it was looked at last.
    news: Vec<TakenBack>,
    looks: u64,
    losses: u64,
    /// Which of the server's processes lives.
    process: u64,
}

/// When a credential was taken back last.
#[derive(Clone, Copy)]
struct Ended {
    times: u32,
    losses: u64,
    look: u64,
}

/// A credential was taken back.
pub struct TakenBack {
    /// Its number.
    pub credential: i64,
    /// How often by now.
    pub times: u32,
    /// May the server have to do it again? It may where it lost its note of the time before, or
    /// where that time was so lately that requests running together got into each other's way.
    pub excused: bool,
}

impl Outside {
    /// Was it taken back?
    pub fn is_revoked(&self, credential: i64) -> bool {
        self.revoked.contains_key(&credential)
    }

    /// Credentials that are there.
    pub fn there(&self) -> Vec<i64> {
        self.there.iter().copied().collect()
    }

    /// What was taken back since the last look.
    pub fn news(&mut self) -> Vec<TakenBack> {
        self.looks += 1;
        std::mem::take(&mut self.news)
    }

    /// The server may have lost its note that something was taken back.
    pub fn note_lost(&mut self) {
        self.losses += 1;
    }

    /// The server's process died: what is left of it reaches nobody any more.
    pub fn process_died(&mut self) {
        self.losses += 1;
        self.process += 1;
    }

    fn take_back(&mut self, credential: i64) {
        self.there.remove(&credential);
        let (losses, look) = (self.losses, self.looks);
        let before = self.revoked.get(&credential);
        let excused = before.is_none_or(|b| b.losses < losses || b.look == look);
        let times = before.map_or(0, |b| b.times) + 1;
        self.revoked.insert(credential, Ended { times, losses, look });
        self.news.push(TakenBack { credential, times, excused });
    }
}

/// The outside survives the server's crashes.
pub type Shared = Arc<Mutex<Outside>>;

struct Giver {
    outside: Shared,
    process: u64,
}

impl Giver {
    /// The outside, as long as this process lives.
    fn reach(&self) -> Result<MutexGuard<'_, Outside>> {
        let outside = self.outside.lock();
        if outside.process == self.process {
            return Ok(outside);
        }
        Err(Error::unavailable("the process is dead"))
    }
}

strongroom_base::fields! {
    /// Gives a credential.
    pub struct Give {
        /// For what.
        role: String,
    }
}

impl Op for Give {
    type Reply = Json;
    const VERB: Verb = Verb::Write;
}

impl Command<Give> for Giver {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Give) -> Result<Reply<Json>> {
        let number = {
            let mut outside = self.reach()?;
            outside.numbers += 1;
            outside.numbers
        };
        let lease = NewLease {
            ttl_seconds: TTLS.iter().find(|(role, _)| *role == op.role).map(|(_, ttl)| *ttl),
            max_ttl_seconds: Some(LEASE_MAX),
            renewable: true,
            internal: json!({ "number": number }),
        };
        cx.intend(&lease).await?;
        self.reach()?.there.insert(number);
        let mut reply = Reply::data(json!({ "number": number }));
        reply.lease = Some(lease);
        Ok(reply)
    }
}

impl LeaseKind for Giver {
    async fn renew_lease(&self, _: &mut WriteCx<'_>, _: &Json, seconds: i64) -> Result<i64> {
        Ok(seconds)
    }

    async fn revoke_lease(&self, _: &mut WriteCx<'_>, internal: &Json) -> Result<()> {
        let number = internal["number"].as_i64().unwrap_or(0);
        self.reach()?.take_back(number);
        Ok(())
    }
}

/// The engine over an outside, for the process that lives now.
pub fn spec(outside: Shared) -> Spec {
    let process = outside.lock().process;
    let open = move |_: &_| Ok(Giver { outside: outside.clone(), process });
    EngineSpec::new("giver", Class::Secret, open)
        .command::<Give>("creds/{role}")
        .leases()
        .docs("Gives out credentials of a simulated outside.")
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Event::{Died, Look, NoteLost, TakeBack};

    /// What happens to one credential.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        TakeBack,
        Look,
        NoteLost,
        Died,
    }

    #[test]
    fn a_credential_is_taken_back_again_only_where_a_note_of_it_may_be_lost() {
        for (events, excused) in [
            (&[TakeBack, Look][..], true),
            (&[TakeBack, TakeBack], true),
            (&[TakeBack, Look, TakeBack], false),
            // The commit that followed was lost before anybody looked.
            (&[TakeBack, NoteLost, Look, TakeBack], true),
            (&[TakeBack, Look, NoteLost, TakeBack], true),
            (&[TakeBack, Look, Died, TakeBack], true),
            // What was lost before is no excuse, nor is one loss for two repetitions.
            (&[NoteLost, TakeBack, Look, TakeBack], false),
            (&[TakeBack, NoteLost, TakeBack, Look, TakeBack], false),
        ] {
            let mut outside = Outside::default();
            let mut last = None;
            for event in events {
                match event {
                    TakeBack => outside.take_back(1),
                    Look => last = outside.news().pop().or(last),
                    NoteLost => outside.note_lost(),
                    Died => outside.process_died(),
                }
            }
            let last = outside.news().pop().or(last).unwrap();
            assert_eq!(last.excused, excused, "{events:?}");
        }
    }

    #[test]
    fn what_is_left_of_a_dead_process_reaches_nobody() {
        let outside = Shared::default();
        let giver = Giver { outside: outside.clone(), process: 0 };
        assert!(giver.reach().is_ok());
        outside.lock().process_died();
        assert!(giver.reach().is_err());
    }
}
