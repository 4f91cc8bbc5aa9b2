//! Doors: translations of a protocol's bytes to the kernel's calls, and of its answers back.

pub mod aws;
pub mod vault;
