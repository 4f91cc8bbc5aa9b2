//! strongroom-engines
