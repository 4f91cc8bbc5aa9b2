//! How the store is opened and who may open it.

pub mod ceremony;
