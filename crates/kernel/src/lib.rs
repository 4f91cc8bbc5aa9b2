//! strongroom-kernel

pub mod policy;
pub mod seal;
