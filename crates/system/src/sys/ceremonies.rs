//! The key ceremonies at paths that ask for a token, as OpenBao has them beside the open ones:
//! `sys/generate-root-token/…` for `sys/generate-root/…`, and `sys/rotate/root/…` and
//! `sys/rotate/recovery/…` for `sys/rekey/…` (observed: bao 2.6.2, whose command line asks for
//! nothing else). They are the same ceremonies, under policy, and stay where a listener closes the
//! open ones.
//!
//! They change the store through the node, in transactions of their own. So they are queries here:
//! a command may be run again, and a share must not be offered twice.

use strongroom_base::{Error, Result};
use strongroom_kernel::plug::{EngineSpec, NodeCall, NodeOp, Query, ReadCx, Reply, Shape};

use super::System;
use crate::node_ops::generate_root::{CancelAttempt, ReadAttempt, StartAttempt, UpdateAttempt};
use crate::node_ops::rekey::{
    CancelRekey, ReadRekey, ReadRekeyVerify, RestartRekeyVerify, StartRekey, UpdateRekey,
    UpdateRekeyVerify,
};

/// Adds the operations of this file.
pub fn add_ceremonies(spec: EngineSpec<System>) -> EngineSpec<System> {
    let mut spec = spec
        .query::<ReadAttempt>("generate-root-token/attempt")
        .query::<StartAttempt>("generate-root-token/attempt")
        .query::<CancelAttempt>("generate-root-token/attempt")
        .query::<UpdateAttempt>("generate-root-token/update");
    for [init, update, verify] in [
        ["rotate/root/init", "rotate/root/update", "rotate/root/verify"],
        ["rotate/recovery/init", "rotate/recovery/update", "rotate/recovery/verify"],
    ] {
        spec = spec
            .query::<ReadRekey>(init)
            .query::<StartRekey>(init)
            .query::<CancelRekey>(init)
            .query::<UpdateRekey>(update)
            .query::<ReadRekeyVerify>(verify)
            .query::<UpdateRekeyVerify>(verify)
            .query::<RestartRekeyVerify>(verify);
    }
    // What they change is not in the transaction that would be given up.
    spec.to_the_end(&["generate-root-token", "rotate/root", "rotate/recovery"])
}

/// Carries a ceremony's step out for a caller whom policy has allowed it.
async fn carry_out<O: NodeOp>(cx: &ReadCx<'_>, op: O) -> Result<Reply<O::Reply>> {
    let node = cx.kernel().node.upgrade();
    let node = node.ok_or_else(|| Error::unavailable("the server is stopping"))?;
    let call = NodeCall {
        peer: &cx.request.peer,
        token: cx.request.token_text.as_deref(),
        query: &cx.request.query,
        verb: O::VERB,
        authorised: true,
        wraps: cx.request.wrap_ttl.is_some_and(|ttl| ttl > 0),
    };
    let mut reply = op.run(&node, &call).await?;
    reply.shape = Shape::Envelope;
    Ok(reply)
}

macro_rules! ceremony {
    ($($op:ident)*) => {
        $(
            impl Query<$op> for System {
                async fn query(
                    &self,
                    cx: &ReadCx<'_>,
                    op: $op,
                ) -> Result<Reply<<$op as strongroom_kernel::plug::Op>::Reply>> {
                    carry_out(cx, op).await
                }
            }
        )*
    };
}

ceremony! {
    ReadAttempt StartAttempt CancelAttempt UpdateAttempt
    ReadRekey StartRekey CancelRekey UpdateRekey
    ReadRekeyVerify UpdateRekeyVerify RestartRekeyVerify
}
