//! What clouds say on the wire: AWS's signatures, the XML of its answers, its policy documents, the one
//! request by which a caller of AWS shows who it is.
//!
//! Invariants:
//! * nothing here does I/O or knows the time: both come as arguments;
//! * a signature is made and verified by the same canonical form;
//! * what is parsed is parsed strictly: a text that could be read in two ways is refused.

pub mod aws_names;
pub mod caller_identity;
pub mod form;
pub mod iam;
pub mod sigv4;
pub mod xml;
