//! The `token` auth method, which every namespace is born with at `auth/token/`: tokens made by
//! tokens, and what can be done with any token.
//!
//! Invariants:
//! * a caller without `sudo` makes no token with more than it has itself, unless a role says so;
//! * the `root` policy comes from a root token only;
//! * a token of another namespace is there only for callers of a namespace above it.

mod accessors;
mod create;
mod lookup;
mod policies;
mod renew;
mod revoke;
mod roles;
#[cfg(test)]
mod size_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use strongroom_base::{Error, ErrorKind, Result, SecretString};
use strongroom_kernel::mounts::MountTable;
use strongroom_kernel::plug::{Class, EngineSpec, ReadCx, Spec};
use strongroom_kernel::tokens::Token;

/// The `auth/token/` mount of one namespace. It holds nothing: all is in records.
pub struct TokenMethod;

/// The surface of `auth/token/`.
pub fn spec() -> Spec {
    EngineSpec::new("token", Class::Auth, |_| Ok(TokenMethod))
        .command::<create::CreateToken>("create")
        .command::<create::CreateToken>("create-orphan")
        .command::<create::CreateToken>("create/{role_name}")
        .query::<lookup::ReadToken>("lookup")
        .query::<lookup::LookupToken>("lookup")
        .query::<lookup::ReadSelf>("lookup-self")
        .query::<lookup::LookupSelf>("lookup-self")
        .query::<lookup::LookupAccessor>("lookup-accessor")
        .command::<renew::RenewToken>("renew")
        .command::<renew::RenewSelf>("renew-self")
        .command::<renew::RenewAccessor>("renew-accessor")
        .command::<revoke::RevokeToken>("revoke")
        .command::<revoke::RevokeSelf>("revoke-self")
        .command::<revoke::RevokeAccessor>("revoke-accessor")
        .command::<revoke::RevokeOrphan>("revoke-orphan")
        .query::<accessors::ListAccessors>("accessors")
        .query::<roles::ListRoles>("roles")
        .query::<roles::ReadRole>("roles/{role_name}")
        .command::<roles::PutRole>("roles/{role_name}")
        .exists::<roles::PutRole>("roles/{role_name}")
        .command::<roles::DeleteRole>("roles/{role_name}")
        .command::<accessors::Tidy>("tidy")
        .on_full_disk(&["revoke", "revoke-self", "revoke-accessor", "revoke-orphan"])
        .docs("Tokens: the credential that every other auth method ends in.")
        .build()
}

/// A failure as Vault's clients know it from paths that collect several.
fn collected(text: &str) -> Error {
    Error::bad_request(format!("1 error occurred:\n\t* {text}\n\n"))
}

fn bad_token() -> Error {
    Error::new(ErrorKind::PermissionDenied, "bad token")
}

fn missing_token() -> Error {
    Error::bad_request("missing token ID")
}

/// Is the token of a namespace that the request's reaches (threats CVE-2026-45808,
/// GHSA-c36x-h252-g9x2)?
fn is_in_reach(cx: &ReadCx<'_>, table: &MountTable, token: &Token) -> bool {
    let own = table.namespaces.of_scope(token.namespace);
    own.is_some_and(|own| own.is_within(&cx.request.namespace))
}

/// The live token whose text this is.
async fn by_text(cx: &ReadCx<'_>, text: &SecretString) -> Result<Option<Arc<Token>>> {
    let services = cx.kernel();
    let table = services.router.table().await?;
    let token = services.tokens.check(&table, text, cx.now()).await?;
    Ok(token.filter(|token| is_in_reach(cx, &table, token)))
}

/// The live token with this accessor.
async fn by_accessor(cx: &ReadCx<'_>, accessor: &str) -> Result<Option<Arc<Token>>> {
    let tokens = &cx.kernel().tokens;
    let Some(id) = tokens.id_of_accessor(accessor) else { return Ok(None) };
    let Some(token) = tokens.by_id(id).await? else { return Ok(None) };
    let table = cx.kernel().router.table().await?;
    let live = tokens.is_live(&table, &token, cx.now()).await?;
    Ok((live && is_in_reach(cx, &table, &token)).then_some(token))
}

/// The caller's own token: operations of this mount always have one.
fn own(cx: &ReadCx<'_>) -> Result<Arc<Token>> {
    cx.request.token.clone().ok_or_else(Error::denied)
}
