//! The kernel: barrier, seal state, namespaces, policy, identity, tokens, leases, audit, mounts,
//! quotas, and the one pipeline through which every operation goes. It knows no engine by name and
//! compares no paths of requests.

pub mod audit;
pub mod barrier;
pub mod caller;
pub mod clock;
pub mod describe;
pub mod due;
pub mod flight;
pub mod heavy;
pub mod host;
pub mod identity;
mod ids;
pub mod key_rotation;
pub mod leases;
pub mod lockout;
pub mod logins;
pub mod mfa;
mod mount;
pub mod mounts;
pub mod namespaces;
pub mod node;
pub mod password_policy;
pub mod pipeline;
pub mod plug;
pub mod policies;
pub mod policy;
pub mod queues;
pub mod quotas;
mod rebuilt;
pub mod reconcile;
pub mod record;
mod refusals;
pub mod requests;
pub mod rotation;
pub mod seal;
pub mod snapshot;
pub mod tokens;
mod troubles;
pub mod usage;
pub mod versions;
pub mod web;
