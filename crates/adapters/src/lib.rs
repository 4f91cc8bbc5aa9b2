//! strongroom-adapters
