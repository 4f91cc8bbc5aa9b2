//! AWS's names as paths of the kv engine: shared with the engine, whose lists are filtered by names.

pub use strongroom_cloudwire::aws_names::*;
