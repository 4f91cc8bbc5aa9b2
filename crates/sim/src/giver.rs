//! An engine that gives out credentials of an outside, as a database engine does, and the outside:
//! it knows which credentials there are and which were taken back, how often.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;
use strongroom_base::{Json, Result};
use strongroom_kernel::plug::{
    Class, Command, EngineSpec, LeaseKind, NewLease, Op, Reply, Spec, Verb, WriteCx,
};

/// Seconds of a short lease, and of one that outlives every run.
pub const TTLS: [(&str, i64); 2] = [("short", 600), ("long", 20 * 24 * 3_600)];
/// Most seconds over all renewals.
pub const LEASE_MAX: i64 = 25 * 24 * 3_600;

/// Credentials by number, and how often each was taken back.
#[derive(Default)]
pub struct Outside {
    made: i64,
    revoked: BTreeMap<i64, u32>,
    /// Taken back since it was looked at last.
    news: Vec<i64>,
}

impl Outside {
    /// Was it taken back?
    pub fn is_revoked(&self, credential: i64) -> bool {
        self.revoked.contains_key(&credential)
    }

    /// What was taken back since the last look, and how often by now.
    pub fn news(&mut self) -> Vec<(i64, u32)> {
        let news = std::mem::take(&mut self.news);
        news.into_iter().map(|n| (n, self.revoked.get(&n).copied().unwrap_or(0))).collect()
    }
}

/// The outside survives the server's crashes.
pub type Shared = Arc<Mutex<Outside>>;

struct Giver(Shared);

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
    async fn command(&self, _: &mut WriteCx<'_>, op: Give) -> Result<Reply<Json>> {
        let number = {
            let mut outside = self.0.lock();
            outside.made += 1;
            outside.made
        };
        let mut reply = Reply::data(json!({ "number": number }));
        reply.lease = Some(NewLease {
            ttl_seconds: TTLS.iter().find(|(role, _)| *role == op.role).map(|(_, ttl)| *ttl),
            max_ttl_seconds: Some(LEASE_MAX),
            renewable: true,
            internal: json!({ "number": number }),
        });
        Ok(reply)
    }
}

impl LeaseKind for Giver {
    async fn renew_lease(&self, _: &mut WriteCx<'_>, _: &Json, seconds: i64) -> Result<i64> {
        Ok(seconds)
    }

    async fn revoke_lease(&self, _: &mut WriteCx<'_>, internal: &Json) -> Result<()> {
        let number = internal["number"].as_i64().unwrap_or(0);
        let mut outside = self.0.lock();
        *outside.revoked.entry(number).or_default() += 1;
        outside.news.push(number);
        Ok(())
    }
}

/// The engine over an outside.
pub fn spec(outside: Shared) -> Spec {
    EngineSpec::new("giver", Class::Secret, move |_| Ok(Giver(outside.clone())))
        .command::<Give>("creds/{role}")
        .leases()
        .docs("Gives out credentials of a simulated outside.")
        .build()
}
