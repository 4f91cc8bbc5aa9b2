//! strongroom-auth
