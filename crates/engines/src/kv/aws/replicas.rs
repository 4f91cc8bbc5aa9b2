//! Replication to other regions, which is not there: clients are told so, and nothing pretends.

use strongroom_base::{Error, Json, RawFields, Result, fields};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Need, Query, ReadCx, Reply, ops};
use strongroom_kernel::policy::Capability;

use super::refusals;
use super::target::{self, Right, Target};
use crate::kv::Kv;

fields! {
    /// Copies a secret to other regions.
    pub struct Replicate {
        ..target: Target;
        /// The regions.
        add_replica_regions: Option<Json>,
        /// Secrets of that name there are replaced.
        force_overwrite_replica_secret: Option<bool>,
    }
}

fields! {
    /// Removes a secret from other regions.
    pub struct Remove {
        ..target: Target;
        /// The regions.
        remove_replica_regions: Option<Json>,
    }
}

fields! {
    /// Makes a secret of a replica.
    pub struct Stop {
        ..target: Target;
    }
}

ops! {
    Replicate Json, Write, Needs;
    Remove Json, Write, Needs;
    Stop Json, Write, Needs;
}

const RIGHTS: &[Right] = &[("metadata", Capability::Update)];

pub(super) fn needs(
    mount: &Mount,
    captures: &[(&'static str, String)],
    raw: &RawFields,
) -> Result<Vec<Need>> {
    Ok(target::needs(mount, captures, raw, RIGHTS))
}

pub(super) fn refused() -> Error {
    refusals::invalid_request("This server does not replicate secrets to other regions.")
}

impl Query<Replicate> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: Replicate) -> Result<Reply<Json>> {
        op.target.find(cx, RIGHTS).await?;
        Err(refused())
    }
}

impl Query<Remove> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: Remove) -> Result<Reply<Json>> {
        // No region has a replica, so there is none to remove: AWS takes that for done.
        let found = op.target.find(cx, RIGHTS).await?;
        let mut view = found.view();
        view.insert("replication_status".to_owned(), Json::Array(Vec::new()));
        Ok(Reply::data(Json::Object(view)))
    }
}

impl Query<Stop> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: Stop) -> Result<Reply<Json>> {
        op.target.find(cx, RIGHTS).await?;
        Err(refusals::invalid_request("The secret is not a replica."))
    }
}
