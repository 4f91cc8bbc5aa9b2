//! Requests that a door refuses itself: they prove nothing of who sent them, or cannot be understood at all.
//!
//! Invariants:
//! * they are recorded like the refusals of the kernel, within bounds ([`crate::refusals`]), and quotas count
//!   them;
//! * nothing of the request but its path and its sender's address is recorded: what it says of itself is not
//!   proven.

use std::sync::Arc;

use strongroom_base::{Error, Json, RawFields};

use super::{Admitted, Answer, Call, admit, enter};
use crate::node::Node;

/// Records that a request is refused by `error`. `call` says where it would have gone.
pub async fn refuse(node: &Arc<Node>, call: Call, error: Error) -> Answer {
    let id = node.rng.uuid();
    let services = match node.active() {
        Ok(services) => services,
        Err(sealed) => return Answer::failure(id, sealed),
    };
    let flight = enter(node, &call, &id);
    match admit::admit(services, call, id, flight).await {
        Ok(admitted) => admitted.refuse_by_door(error).await,
        Err((id, error)) => Answer::failure(id, error),
    }
}

impl Admitted {
    async fn refuse_by_door(mut self: Box<Self>, error: Error) -> Answer {
        match self.count(None).await {
            Ok(verdict) => {
                if let Some(limited) = verdict.refused {
                    return Answer { rate: self.rate, ..Answer::failure(self.id, limited) };
                }
            }
            Err(error) => return Answer::failure(self.id, error),
        }
        let now = self.services.store.clock.monotonic_nanos();
        let Some(left_out) = self.services.refusals.take(now) else {
            return Answer::failure(self.id, error);
        };
        let mut fields = RawFields::default();
        if left_out > 0 {
            fields.map.0.insert("refusals_left_out".to_owned(), Json::from(left_out));
        }
        self.by_nobody().refuse(error.into(), &fields).await
    }
}
