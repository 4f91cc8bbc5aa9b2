//! strongroom-kernel
