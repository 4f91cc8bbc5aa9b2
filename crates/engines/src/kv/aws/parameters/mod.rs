//! AWS Systems Manager's Parameter Store on the union model (API reference of Systems Manager,
//! 2014-11-06): a parameter is a secret of the mount, in the folder that AWS's door says, and has what
//! only Parameter Store knows in its head and its versions.
//!
//! Invariants:
//! * each operation is allowed by the rights that the same deed needs at Vault's endpoints, as the table
//!   of operations says (`docs/doors/aws-parameter-store.md` has it for readers);
//! * a parameter's version is a publication's number;
//! * a `SecureString` is shown in plain to who asks for that alone; else as a ciphertext that nobody opens;
//! * a list shows what the caller may list, and a value what he may read.
//!
//! A secret that another door wrote is a `SecureString`: nobody said that it may be shown.

mod delete;
mod filters;
mod find;
mod folder;
mod get;
mod history;
mod judge;
mod labels;
mod limits;
mod named;
mod put;
pub mod stored;
mod tags;
#[cfg(test)]
mod tests;

use strongroom_kernel::plug::EngineSpec;

use crate::kv::{Kv, list};

/// Adds the operations of Parameter Store.
pub(in crate::kv) fn operations(spec: EngineSpec<Kv>) -> EngineSpec<Kv> {
    of_aws! { spec, find::needs;
        command put::Put, "aws/put-parameter/{path..}", needs put::needs, judges_access;
        query get::GetOne, "aws/get-parameter/{path..}", rights get::RIGHTS, judges_access;
        query get::GetMany, "aws/get-parameters", needs |mount, _, raw| Ok(named::needs(mount, raw, get::RIGHT)),
            judges_access;
        query folder::ByPath, "aws/get-parameters-by-path", needs list::needs;
        query folder::ByPath, "aws/get-parameters-by-path/{path..}", needs list::needs;
        query folder::Describe, "aws/describe-parameters", needs list::needs;
        query folder::Describe, "aws/describe-parameters/{path..}", needs list::needs;
        query history::History, "aws/get-parameter-history/{path..}", rights history::RIGHTS, judges_access;
        command delete::DeleteOne, "aws/delete-parameter/{path..}", rights delete::RIGHTS, judges_access;
        command delete::DeleteMany, "aws/delete-parameters", needs |mount, _, raw| Ok(named::needs(mount, raw, delete::RIGHT)),
            judges_access;
        command labels::Label, "aws/label-parameter-version/{path..}", rights labels::RIGHTS, judges_access;
        command labels::Unlabel, "aws/unlabel-parameter-version/{path..}", rights labels::RIGHTS, judges_access;
        command tags::Tag, "aws/add-tags-to-parameter/{path..}", rights tags::RIGHTS, judges_access;
        command tags::Untag, "aws/remove-tags-from-parameter/{path..}", rights tags::RIGHTS, judges_access;
        query tags::ListTags, "aws/list-tags-for-parameter/{path..}", rights tags::RIGHTS_OF_LIST, judges_access;
    }
}
