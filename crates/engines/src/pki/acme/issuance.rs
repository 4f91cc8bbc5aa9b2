//! What the certificate authority does for ACME: roles as ACME takes them, and certificates within
//! them.

use std::net::IpAddr;
use std::sync::Arc;

use strongroom_base::{Result, Timestamp};
use strongroom_crypto::x509::{Request, attributes};
use strongroom_kernel::plug::{ReadCx, WriteCx};
use strongroom_kernel::record::ReadView;

use super::super::authority::find_issuer;
use super::super::names::Judge;
use super::super::plan::{Asked, Made};
use super::super::role::{Role, Seconds};
use super::super::stored::{NotAfter, Usage};
use super::super::{PkiEngine, verbatim};
use super::problem::{Problem, or};
use super::stored::Identifier;
use super::visit::Directory;

/// The role of this name, which keeps its certificates: they are fetched after they were made.
pub(super) async fn role(view: &ReadView<'_>, name: &str) -> Result<Arc<Role>> {
    let role = view.cached::<Role>(0, name).await?;
    let role = role.ok_or_else(|| Problem::Malformed.says("the role does not exist"))?;
    if role.no_store {
        return Err(Problem::ServerInternal
            .says("the role cannot be used: it does not keep certificates (no_store)"));
    }
    Ok(role)
}

/// What a directory without a role issues: whatever is proved. Only names are.
pub(super) fn verbatim_role() -> Arc<Role> {
    Arc::new(Role {
        allowed_other_sans: Vec::new(),
        allowed_uri_sans: Vec::new(),
        ..verbatim::unbounded()
    })
}

/// A role whose certificates are for servers.
pub(super) fn for_servers(role: &Role) -> Arc<Role> {
    Arc::new(Role {
        server_flag: true,
        client_flag: false,
        code_signing_flag: false,
        email_protection_flag: false,
        ext_key_usage: Vec::new(),
        ext_key_usage_oids: Vec::new(),
        ..role.clone()
    })
}

/// What is asked of a role for these identifiers.
fn asked(identifiers: &[Identifier]) -> Asked {
    let mut asked = Asked::default();
    for identifier in identifiers {
        match identifier {
            Identifier::Dns(name) => asked.alt_names.push(name.clone()),
            Identifier::Ip(ip) => asked.ip_sans.push(ip.clone()),
        }
    }
    asked
}

/// Refuses identifiers that the role does not allow.
pub(super) async fn check_identifiers(
    cx: &ReadCx<'_>,
    role: &Role,
    identifiers: &[Identifier],
) -> Result<()> {
    let role = Role { require_cn: false, ..role.clone() };
    let judge = Judge::new(cx, &role).await?;
    let names = judge.gather(&asked(identifiers), None).map_err(or(Problem::RejectedIdentifier))?;
    // A name that the role's judge leaves out would be missing in the certificate.
    if names.alternatives.len() != identifiers.len() {
        return Err(Problem::RejectedIdentifier.says("an identifier is none of a certificate"));
    }
    Ok(())
}

/// The certificate of an order whose identifiers are proved. Nothing of the CSR but its key and
/// common name gets into it; its common name is one of the identifiers.
pub(super) async fn issue(
    engine: &PkiEngine,
    cx: &WriteCx<'_>,
    directory: &Directory,
    identifiers: &[Identifier],
    request: &Request,
) -> Result<Made> {
    let mut role = (*directory.role).clone();
    role.use_csr_common_name = false;
    role.use_csr_sans = false;
    role.allowed_serial_numbers = Vec::new();
    role.allowed_user_ids = Vec::new();
    role.ttl = Seconds(seconds_to_live(cx, directory, &role).await?);
    role.not_after = String::new();
    let mut asked = asked(identifiers);
    asked.common_name = common_name(&role, identifiers, request);
    let made = engine.sign_request(cx, &role, &directory.issuer, &asked, request).await;
    made.map_err(or(Problem::BadCsr))
}

/// That of the request; where the role wants one and the request has none, one of the identifiers:
/// clients leave it out, since nobody looks at it any more.
fn common_name(role: &Role, identifiers: &[Identifier], request: &Request) -> Option<String> {
    let own = request.subject.last(attributes::COMMON_NAME);
    if !own.is_empty() {
        return Some(match own.parse::<IpAddr>() {
            Ok(_) => own,
            Err(_) => own.to_ascii_lowercase(),
        });
    }
    if !role.require_cn {
        return None;
    }
    let wildcard = identifiers.iter().find(|identifier| identifier.is_wildcard());
    let name = identifiers.iter().find(|identifier| matches!(identifier, Identifier::Dns(_)));
    let any = wildcard.or(name).or(identifiers.first());
    any.map(|identifier| identifier.value().to_owned())
}

/// How long a certificate of the directory counts: as the role says, no longer than ACME's own
/// maximum, and no longer than its issuer, whatever is said about certificates that would.
async fn seconds_to_live(cx: &ReadCx<'_>, directory: &Directory, role: &Role) -> Result<i64> {
    let (default, max) = cx.ttls();
    let now = cx.now().seconds();
    let mut seconds = match (Timestamp::parse(&role.not_after), role.ttl.0) {
        (Some(end), _) if !role.not_after.is_empty() => end.seconds() - now,
        (_, 0) => default,
        (_, ttl) => ttl,
    };
    for most in [role.max_ttl.0, max, directory.config.max_ttl] {
        if most > 0 {
            seconds = seconds.min(most);
        }
    }
    let (id, issuer) = find_issuer(&cx.view(), &directory.issuer).await?;
    debug_assert!(id == directory.issuer && issuer.may(Usage::Issue));
    if issuer.leaf_not_after != NotAfter::Permit
        && let Ok(certificate) = strongroom_crypto::x509::Certificate::from_der(&issuer.certificate)
    {
        seconds = seconds.min(certificate.not_after - now);
    }
    if seconds <= 0 {
        return Err(Problem::ServerInternal.says("the issuer's certificate has expired"));
    }
    Ok(seconds)
}
