//! strongroom-kernel
pub mod policy;
