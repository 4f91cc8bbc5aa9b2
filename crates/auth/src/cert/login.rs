//! Logging in with a certificate; renewing such a token.

use strongroom_base::{Error, FieldSource, Result, fields};
use strongroom_crypto::x509::Certificate;
use strongroom_crypto::{constant_time_eq, sha256};
use strongroom_kernel::plug::{
    EngineSpec, Grant, GrantAlias, Login, ReadCx, Renew, ResolveRole, TokenParams, WriteCx, ops,
};
use strongroom_kernel::tokens::{Token, cidrs_allow, normalise_policies};

use super::Cert;
use super::matching::{self, Names};
use super::stored;
use super::verify::{Ask, Shown};

/// The name under which a token keeps the digest of its certificate.
const CERTIFICATE: &str = "certificate_sha256";
/// The name under which it keeps its entry's name.
const NAME: &str = "cert_name";

fields! {
    /// Logs in by the certificate of the connection.
    pub struct LogIn {
        /// The entry that the certificate is to fit; any, if it is not given.
        name: Option<String>,
    }
}

ops! { LogIn (), Write; }

pub(super) fn add(spec: EngineSpec<Cert>) -> EngineSpec<Cert> {
    spec.login::<LogIn>("login").resolves_roles().renews()
}

fn digest(certificate: &Certificate) -> String {
    use std::fmt::Write as _;
    sha256(certificate.der()).iter().fold(String::with_capacity(64), |mut out, byte| {
        // Writing into memory does not fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn named(name: Option<&str>) -> Option<&str> {
    name.filter(|name| !name.is_empty())
}

impl Login<LogIn> for Cert {
    async fn login(&self, cx: &mut WriteCx<'_>, op: LogIn) -> Result<Grant> {
        let shown = Shown::of(&cx.request.peer)?;
        let trusted = self.find(cx, &shown, named(op.name.as_deref()), Ask::Yes).await?;
        let entry = &trusted.entry;
        if !cidrs_allow(&entry.token.params.bound_cidrs, cx.request.peer.ip) {
            return Err(Error::denied());
        }
        let names = Names::of(&shown.leaf);
        if names.common_name.is_empty() {
            return Err(Error::bad_request("missing name in alias"));
        }
        let metadata = matching::metadata(entry, &shown.leaf, &names);
        let settings = stored::settings(&cx.view()).await?;
        let told = settings.enable_identity_alias_metadata.then(|| metadata.clone());
        Ok(Grant {
            display_name: entry.display_name.clone(),
            alias: Some(GrantAlias { name: names.common_name, metadata: told.unwrap_or_default() }),
            metadata,
            token: entry.token.for_login(&cx.request.peer)?,
            internal: [
                (NAME.to_owned(), entry.name.clone()),
                (CERTIFICATE.to_owned(), digest(&shown.leaf)),
            ]
            .into(),
            ..Grant::default()
        })
    }
}

impl ResolveRole for Cert {
    async fn role(&self, cx: &ReadCx<'_>, source: &FieldSource<'_>) -> Result<Option<String>> {
        let name = source.value("name", &[]).and_then(|name| name.as_str());
        let Ok(shown) = Shown::of(&cx.request.peer) else { return Ok(None) };
        let found = self.find(cx, &shown, named(name), Ask::No).await;
        Ok(found.ok().map(|trusted| trusted.entry.name.clone()))
    }
}

impl Renew for Cert {
    async fn renew(&self, cx: &mut WriteCx<'_>, token: &Token) -> Result<TokenParams> {
        let kept = |name: &str| token.internal.get(name).map_or("", String::as_str);
        let name = kept(NAME);
        let trusted = stored::trusted(&cx.view(), name).await?;
        let trusted =
            trusted.ok_or_else(|| Error::bad_request("the certificate is not trusted any more"))?;
        let params = &trusted.entry.token.params;
        let own = |policies: &[String]| {
            normalise_policies(policies.iter().filter(|p| *p != "default").cloned())
        };
        if own(&params.policies) != own(&token.policies) {
            return Err(Error::bad_request("policies have changed, not renewing"));
        }
        if !stored::settings(&cx.view()).await?.disable_binding {
            let shown = Shown::of(&cx.request.peer)?;
            // What would not log in does not renew, either.
            self.find(cx, &shown, Some(name), Ask::Yes).await?;
            let same =
                constant_time_eq(digest(&shown.leaf).as_bytes(), kept(CERTIFICATE).as_bytes());
            if !same {
                return Err(Error::bad_request(
                    "client identity during renewal not matching client identity used during login",
                ));
            }
        }
        Ok(params.clone())
    }
}
