//! What Vault has for logins of EC2 instances by their identity document, and this method has not: its
//! paths say so, rather than be unknown.

use strongroom_base::{Error, Result, fields};
use strongroom_kernel::plug::{EngineSpec, Query, ReadCx, Reply, ops};

use super::Aws;

/// Why it is refused.
pub(super) const NOT_THERE: &str =
    "EC2 instances can't log in by their identity document here; auth_type iam is what there is";

fields! {
    /// Not there: for logins of EC2 instances.
    pub struct WriteEc2 {
        /// What it would be about.
        of: String,
    }
}
fields! {
    /// Not there: for logins of EC2 instances.
    pub struct ReadEc2 {
        /// What it would be about.
        of: String,
    }
}

ops! {
    WriteEc2 (), Write;
    ReadEc2 (), Read;
}

pub(super) fn add(spec: EngineSpec<Aws>) -> EngineSpec<Aws> {
    let mut spec = spec.query::<WriteEc2>("role/{of}/tag");
    for pattern in [
        "config/certificate/{of}",
        "config/tidy/{of}",
        "tidy/{of}",
        "identity-accesslist/{of}",
        "identity-whitelist/{of}",
        "roletag-denylist/{of}",
        "roletag-blacklist/{of}",
    ] {
        spec = spec.query::<WriteEc2>(pattern).query::<ReadEc2>(pattern);
    }
    spec
}

impl Query<WriteEc2> for Aws {
    async fn query(&self, _: &ReadCx<'_>, _: WriteEc2) -> Result<Reply<()>> {
        Err(Error::bad_request(NOT_THERE))
    }
}

impl Query<ReadEc2> for Aws {
    async fn query(&self, _: &ReadCx<'_>, _: ReadEc2) -> Result<Reply<()>> {
        Err(Error::bad_request(NOT_THERE))
    }
}
