//! AWS Secrets Manager's operations on the union model, past the wire: AWS's door translates their
//! names and shapes, Vault's never reaches them (API reference of Secrets Manager, 2017-10-17).
//!
//! Invariants:
//! * each operation is allowed by the rights that the same deed needs at Vault's endpoints, as the table
//!   of operations says (`docs/doors/aws.md` has it for readers);
//! * what a request asks for is checked before it is looked up, and nothing of a secret is told
//!   before the right to it was found;
//! * an operation that is done twice with one client request token is done once;
//! * a value is answered byte for byte as it was written.
//!
//! It knows no ARN, region or account: the door hands in the text of an ARN where a message needs it.

/// Adds operations that AWS's protocol alone reaches: `query` or `command`, the operation, its path, what it
/// needs, and `judges_access` where it asks the caller's documents itself. It needs either `rights` to what its
/// path names, which `$of_path` makes needs of, or what a function says, `needs`.
macro_rules! of_aws {
    ($spec:expr, $of_path:path; $(
        $kind:ident $op:ty, $pattern:literal, $how:ident $what:expr $(, $judges:ident)?;
    )+) => {
        $spec$(
            .$kind::<$op>($pattern)
                .only_for(strongroom_kernel::plug::Protocol::Aws)
                $(.$judges())?
                .needs($pattern, needs_of!($how $what, $of_path))
        )+
    };
}

/// What one operation needs, as a function.
macro_rules! needs_of {
    (rights $rights:expr, $of_path:path) => {
        |mount, captures, raw| Ok($of_path(mount, captures, raw, $rights))
    };
    (needs $needs:expr, $of_path:path) => {
        $needs
    };
}

pub mod accessed;
mod batch;
mod create;
mod delete;
mod describe;
mod filters;
mod given;
mod ids;
pub mod limits;
mod list;
mod order;
mod page;
pub mod parameters;
mod password;
mod policy;
mod put;
mod refusals;
mod replicas;
pub mod rotation;
mod stages;
pub mod stored;
mod tags;
mod target;
mod update;
mod value;
mod versions;

use strongroom_base::{Json, Timestamp};
use strongroom_kernel::plug::EngineSpec;

use super::Kv;

/// Adds the operations of Secrets Manager.
pub(super) fn operations(spec: EngineSpec<Kv>) -> EngineSpec<Kv> {
    of_aws! { spec, target::needs;
        command create::Create, "aws/create-secret/{path..}", needs create::needs;
        query value::GetValue, "aws/get-secret-value/{path..}", rights value::RIGHTS, judges_access;
        query batch::BatchGet, "aws/batch-get-secret-value", needs batch::needs;
        query batch::BatchGet, "aws/batch-get-secret-value/{path..}", needs batch::needs;
        query describe::Describe, "aws/describe-secret/{path..}", rights describe::RIGHTS, judges_access;
        command put::PutValue, "aws/put-secret-value/{path..}", rights put::RIGHTS, judges_access;
        command update::Update, "aws/update-secret/{path..}", needs update::needs, judges_access;
        command stages::MoveStage, "aws/update-secret-version-stage/{path..}", rights stages::RIGHTS, judges_access;
        query versions::ListVersions, "aws/list-secret-version-ids/{path..}", rights describe::RIGHTS, judges_access;
        query list::List, "aws/list-secrets", needs list::needs;
        query list::List, "aws/list-secrets/{path..}", needs list::needs;
        command delete::Delete, "aws/delete-secret/{path..}", rights delete::RIGHTS, judges_access;
        command delete::Restore, "aws/restore-secret/{path..}", rights delete::RIGHTS_OF_RESTORE, judges_access;
        command tags::Tag, "aws/tag-resource/{path..}", rights tags::RIGHTS, judges_access;
        command tags::Untag, "aws/untag-resource/{path..}", rights tags::RIGHTS, judges_access;
        command policy::PutPolicy, "aws/put-resource-policy/{path..}", rights policy::RIGHTS, judges_access;
        query policy::GetPolicy, "aws/get-resource-policy/{path..}", rights describe::RIGHTS, judges_access;
        query policy::ListPolicies, "aws/list-resource-policies/{path..}", rights describe::RIGHTS, judges_access;
        command policy::DeletePolicy, "aws/delete-resource-policy/{path..}", rights policy::RIGHTS, judges_access;
        query policy::ValidatePolicy, "aws/validate-resource-policy", needs policy::needs_of_check;
        query policy::ValidatePolicy, "aws/validate-resource-policy/{path..}", needs policy::needs_of_check;
        command rotation::Rotate, "aws/rotate-secret/{path..}", rights rotation::RIGHTS, judges_access;
        command rotation::Cancel, "aws/cancel-rotate-secret/{path..}", rights rotation::RIGHTS, judges_access;
        query replicas::Replicate, "aws/replicate-secret-to-regions/{path..}", rights replicas::RIGHTS, judges_access;
        query replicas::Replicate, "aws/associate-cross-account-replica/{path..}", rights replicas::RIGHTS,
            judges_access;
        query replicas::Replicate, "aws/disassociate-cross-account-replica/{path..}", rights replicas::RIGHTS,
            judges_access;
        query replicas::Remove, "aws/remove-regions-from-replication/{path..}", rights replicas::RIGHTS, judges_access;
        query replicas::Stop, "aws/stop-replication-to-replica/{path..}", rights replicas::RIGHTS, judges_access;
        query password::RandomPassword, "aws/get-random-password", needs password::needs;
    }
}

/// A time as AWS shows it: seconds with milliseconds.
fn shown_time(time: Timestamp) -> Json {
    Json::from((time.0 / 1_000_000) as f64 / 1_000.0)
}
