//! strongroom-system
