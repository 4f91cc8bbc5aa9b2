//! SOPS's key service: a process that has keys wraps and unwraps for one that has not, by gRPC over
//! plain HTTP/2. A client and a server of both programs understand each other.

mod client;
mod grpc;
mod messages;
mod server;

pub use client::Client;
pub use server::{Listener, serve};

#[cfg(test)]
mod tests;
