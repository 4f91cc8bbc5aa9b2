//! HCL 1 (policies and server configuration), with the line of every attribute.
