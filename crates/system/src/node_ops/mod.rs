//! Operations on the node itself: they work while the store is sealed or not there yet, need no
//! token, and lie in the root namespace only.

pub mod generate_root;
mod init;
pub mod rekey;
mod status;
mod unseal;

use strongroom_kernel::plug::NodeSpec;

/// All node operations.
pub fn spec() -> NodeSpec {
    let mut spec = NodeSpec::default()
        .op::<init::ReadInit>("sys/init")
        .op::<init::Initialise>("sys/init")
        .op::<unseal::Unseal>("sys/unseal")
        .op::<status::ReadSealStatus>("sys/seal-status")
        .op::<status::ReadHealth>("sys/health")
        .op::<status::ReadLeader>("sys/leader")
        .op::<generate_root::ReadAttempt>("sys/generate-root/attempt")
        .op::<generate_root::StartAttempt>("sys/generate-root/attempt")
        .op::<generate_root::CancelAttempt>("sys/generate-root/attempt")
        .op::<generate_root::UpdateAttempt>("sys/generate-root/update")
        .op::<generate_root::DecodeToken>("sys/decode-token");
    for [init, update, verify] in [
        ["sys/rekey/init", "sys/rekey/update", "sys/rekey/verify"],
        [
            "sys/rekey-recovery-key/init",
            "sys/rekey-recovery-key/update",
            "sys/rekey-recovery-key/verify",
        ],
    ] {
        spec = spec
            .op::<rekey::ReadRekey>(init)
            .op::<rekey::StartRekey>(init)
            .op::<rekey::CancelRekey>(init)
            .op::<rekey::UpdateRekey>(update)
            .op::<rekey::ReadRekeyVerify>(verify)
            .op::<rekey::UpdateRekeyVerify>(verify)
            .op::<rekey::RestartRekeyVerify>(verify);
    }
    spec
}
