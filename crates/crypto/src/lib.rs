//! strongroom-crypto
