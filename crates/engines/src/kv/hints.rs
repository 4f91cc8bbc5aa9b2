//! What a versioned mount says of paths that are none of its endpoints: nearly always a client that
//! takes it for version 1.

use strongroom_base::{Error, Json, Result, fields};
use strongroom_kernel::plug::{Command, Query, ReadCx, Reply, WriteCx, ops};

use super::Kv;
use super::value::Anything;

macro_rules! hints {
    ($($op:ident, $verb:ident, $subcommand:literal);+) => {
        $(
            fields! {
                /// Says which endpoints there are.
                pub struct $op {
                    /// The path.
                    path: String,
                    /// Whatever was sent.
                    body: Anything,
                }
            }
            ops! { $op Json, $verb; }
            impl $op {
                const SUBCOMMAND: &'static str = $subcommand;
            }
        )+
    };
}
hints!(
    Read, Read, "get";
    Write, Write, "put";
    Patch, Patch, "patch";
    Delete, Delete, "delete";
    List, List, "list";
    Scan, Scan, "scan"
);

/// Endpoints that take a path below them.
const WITH_PATH: [&str; 9] = [
    "data",
    "metadata",
    "delete",
    "undelete",
    "destroy",
    "subkeys",
    "detailed-metadata",
    "move",
    "copy",
];

fn hint(path: &str, listing: bool, subcommand: &str) -> Result<Reply<Json>> {
    let (first, below) = path.split_once('/').unwrap_or((path, ""));
    if WITH_PATH.contains(&first) && !listing {
        if below.is_empty() {
            return Ok(Reply::none()
                .status(404)
                .warn("Non-listing operations on the root of a K/V v2 mount are not supported."));
        }
        return Err(Error::unsupported());
    }
    if !listing && (path == "config" || first == "search") {
        return Err(Error::unsupported());
    }
    Ok(Reply::none().status(404).warn(format!(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API \
         endpoints to use. If using the Vault CLI, use 'vault kv {subcommand}' for this operation."
    )))
}

macro_rules! queries {
    ($($op:ident, $listing:literal);+) => {
        $(impl Query<$op> for Kv {
            async fn query(&self, _: &ReadCx<'_>, op: $op) -> Result<Reply<Json>> {
                hint(&op.path, $listing, $op::SUBCOMMAND)
            }
        })+
    };
}
queries!(Read, false; List, true; Scan, true);

macro_rules! commands {
    ($($op:ident),+) => {
        $(impl Command<$op> for Kv {
            async fn command(&self, _: &mut WriteCx<'_>, op: $op) -> Result<Reply<Json>> {
                hint(&op.path, false, $op::SUBCOMMAND)
            }
        })+
    };
}
commands!(Write, Patch, Delete);
