//! The `system` plug-ins: `sys/`, `identity/`, `auth/token/`, `cubbyhole/`, and operations on the node.

pub mod node_ops;
