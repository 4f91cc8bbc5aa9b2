//! The outside that engines reach for, behind traits of our own: databases, in which Strongroom manages
//! accounts, and whatever answers the challenges of certificates' names.
//!
//! Client libraries of such systems ask the machine for time and sockets themselves, so they sit
//! behind a trait that the simulator has a twin of. A driver is one folder; it knows accounts and
//! statements, and nothing of leases, roles, or who asked.

pub mod acme;
pub mod database;
pub mod directory;
pub mod files;
pub mod template;

pub use strongroom_web as web;
