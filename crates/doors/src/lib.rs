//! strongroom-doors
