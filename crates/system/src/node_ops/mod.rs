//! Operations on the node itself: they work while the store is sealed or not there yet, need no
//! token, and lie in the root namespace only.

mod init;
mod status;
mod unseal;

use strongroom_kernel::plug::NodeSpec;

/// All node operations.
pub fn spec() -> NodeSpec {
    NodeSpec::default()
        .op::<init::ReadInit>("sys/init")
        .op::<init::Initialise>("sys/init")
        .op::<unseal::Unseal>("sys/unseal")
        .op::<status::ReadSealStatus>("sys/seal-status")
        .op::<status::ReadHealth>("sys/health")
        .op::<status::ReadLeader>("sys/leader")
}
