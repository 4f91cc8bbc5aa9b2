//! What a token is.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use strongroom_base::Timestamp;

use crate::record::{Id, Scope};

/// A token's record.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Token {
    /// The row's id.
    #[serde(skip)]
    pub id: Id,
    /// Its accessor, worked out of the id when the record is read; "" for batch tokens.
    #[serde(skip)]
    pub accessor: String,
    /// First half of the HMAC of the token's text.
    pub(super) mac: u128,
    /// Its namespace.
    pub namespace: Scope,
    /// The auth mount that made it: when that goes, so does the token.
    pub mount: Scope,
    /// When it was made.
    pub created: Timestamp,
    /// When it was renewed last.
    pub renewed: Timestamp,
    /// When it ends; zero is never.
    pub expires: Timestamp,
    /// Seconds it was made for.
    pub ttl: i64,
    /// Most seconds over all renewals; 0 is the mount's maximum.
    pub explicit_max_ttl: i64,
    /// Most seconds its role allows over all renewals; 0 is the mount's.
    pub max_ttl: i64,
    /// Seconds of each renewal of a periodic token; 0 is not periodic.
    pub period: i64,
    /// Uses left: 0 is without limit, below 0 is none.
    pub num_uses: i64,
    /// Its parent; 0 for orphans.
    pub parent: Id,
    /// Its entity, or "".
    pub entity_id: String,
    /// Its policies, sorted, lower case.
    pub policies: Vec<String>,
    /// Display name.
    pub display_name: String,
    /// The path of the request that made it.
    pub path: String,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// What the auth method's renewal needs.
    pub internal: BTreeMap<String, String>,
    /// Addresses it may be used from; empty is any.
    pub bound_cidrs: Vec<String>,
    /// The token role it came from, or "".
    pub role: String,
    /// Is it a batch token?
    pub batch: bool,
    /// Can it be renewed?
    pub renewable: bool,
    /// Is it an orphan?
    pub orphan: bool,
    /// Was its text chosen by the caller?
    pub custom_id: bool,
    /// For a wrapping token: the path whose answer it holds.
    #[serde(default)]
    pub wraps: String,
    /// Policies of its entity apply? (`token_no_identity_policies`-like switches of batch roots.)
    #[serde(default)]
    pub no_identity_policies: bool,
    /// Is it good for one request alone, which brought its login along? See [`Tokens::inline`].
    #[serde(skip)]
    pub inline: bool,
    /// When the credential ends that was shown for it, whatever it is shown for; zero for never. Only
    /// tokens for one request tell.
    #[serde(skip)]
    pub ends: Timestamp,
}

impl Token {
    /// Does it hold the `root` policy?
    pub fn is_root(&self) -> bool {
        self.policies.iter().any(|p| p == "root")
    }

    /// Is its time over at `now`?
    pub fn is_expired(&self, now: Timestamp) -> bool {
        !self.expires.is_zero() && self.expires <= now
    }

    /// Seconds left at `now`; 0 where it never ends.
    pub fn ttl_left(&self, now: Timestamp) -> i64 {
        if self.expires.is_zero() { 0 } else { now.seconds_until(self.expires) }
    }

    /// May it be used from `ip`? An unknown address (a unix socket) fits no list.
    pub fn allows_address(&self, ip: Option<IpAddr>) -> bool {
        cidrs_allow(&self.bound_cidrs, ip)
    }

    /// `service` or `batch`.
    pub fn kind(&self) -> &'static str {
        if self.batch { "batch" } else { "service" }
    }
}

/// Does a list of CIDR blocks (or addresses) allow `ip`? An empty list allows any.
pub fn cidrs_allow(cidrs: &[String], ip: Option<IpAddr>) -> bool {
    cidrs.is_empty()
        || ip.is_some_and(|ip| {
            let ip = ip.to_canonical();
            cidrs.iter().any(|c| parse_cidr(c).is_some_and(|net| net.contains(&ip)))
        })
}

/// Reads a CIDR block, or an address as a block of one.
pub fn parse_cidr(text: &str) -> Option<ipnet::IpNet> {
    text.parse::<ipnet::IpNet>()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(ipnet::IpNet::from))
}
