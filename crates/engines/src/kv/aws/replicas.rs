//! Replication to other regions and accounts, which is not there: clients are told so, and nothing pretends.

use strongroom_base::{Error, Json, Result, fields};
use strongroom_kernel::plug::{Query, ReadCx, Reply, ops};
use strongroom_kernel::policy::Capability;

use super::refusals;
use super::target::{Right, Target};
use crate::kv::Kv;

fields! {
    /// Copies a secret to other regions, or to another account.
    pub struct Replicate {
        ..target: Target;
        /// The regions: a list of objects with `Region`.
        add_replica_regions: Option<Json>,
        /// The secret's own region.
        region: Option<String>,
        /// The secret of another account that is a copy.
        cross_account_replica_arn: Option<String>,
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

pub(super) const RIGHTS: &[Right] = &[("metadata", Capability::Update)];

/// Why the regions that a request names get no copy.
pub(super) fn refused(regions: &Json, own: Option<&str>) -> Error {
    let regions = regions.as_array().map_or(&[][..], Vec::as_slice);
    let is_own =
        |region: &Json| own.is_some() && region.get("Region").and_then(Json::as_str) == own;
    if regions.is_empty() {
        return refusals::constraint("addReplicaRegions", "have length greater than or equal to 1");
    }
    if regions.iter().any(is_own) {
        return refusals::invalid_parameter("Invalid replica region.");
    }
    not_here()
}

fn not_here() -> Error {
    refusals::invalid_request(
        "This server does not replicate secrets to other regions or accounts.",
    )
}

impl Query<Replicate> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: Replicate) -> Result<Reply<Json>> {
        op.target.find(cx, RIGHTS).await?;
        if op.cross_account_replica_arn.is_some() {
            return Err(not_here());
        }
        let none = Json::Null;
        Err(refused(op.add_replica_regions.as_ref().unwrap_or(&none), op.region.as_deref()))
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
