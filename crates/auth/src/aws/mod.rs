//! AWS: callers with AWS credentials log in by a signed `GetCallerIdentity` (Vault, "AWS auth method",
//! its IAM half). The server sends the request to STS and believes the answer.
//!
//! Invariants (threats CVE-2020-16250, CVE-2020-16251, CVE-2025-11621):
//! * the request goes to the STS that the operator configured, over TLS, never to its own URL;
//! * it can do nothing but ask who signed it: method, path, body and headers are checked before;
//! * an answer counts where it is STS's XML with each fact once, at its place; account and ARN agree;
//! * with a server id configured, a signature that does not cover the id is refused;
//! * a wildcard stands for names within one account, and what IAM says of a name is compared with
//!   the unique id that STS told: a role of the same name elsewhere is another role.
//!
//! Logins of EC2 instances by their identity document are not there: their paths say so.

mod arn;
mod client;
mod ec2;
mod iam;
mod identity;
mod login;
mod query;
mod request;
mod roles;
mod stored;
mod sts;
mod sts_accounts;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use strongroom_base::Json;
use strongroom_connectors::web::Web;
use strongroom_kernel::plug::{Class, EngineSpec, Spec};

use crate::turns::Turns;

/// An AWS mount. It holds nothing but the way to AWS.
pub struct Aws {
    web: Arc<dyn Web>,
    turns: Turns,
}

/// The surface of AWS.
pub fn spec(web: Arc<dyn Web>) -> Spec {
    let spec = EngineSpec::new("aws", Class::Auth, move |_| {
        Ok(Aws { web: web.clone(), turns: Turns::default() })
    });
    let spec = login::add(spec);
    let spec = client::add(spec);
    let spec = identity::add(spec);
    let spec = sts_accounts::add(spec);
    let spec = roles::add(spec).query::<roles::ListRoles>("roles/");
    let spec = ec2::add(spec);
    spec.case_insensitive("role").docs("Callers with AWS credentials log in.").build()
}

/// A list that was never set is null, as Vault shows it.
fn list_or_null(list: &[String]) -> Json {
    if list.is_empty() { Json::Null } else { list.into() }
}
