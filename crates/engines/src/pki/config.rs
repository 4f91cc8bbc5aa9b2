//! Settings of a mount: URLs, addresses, the default issuer.

use serde_json::json;
use strongroom_base::{Json, Result, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::authority::{
    all_issuers, config, fill_urls, find_issuer, is_url, named_urls, reference,
};
use super::import::QUEUE;
use super::stored::{Cluster, DEFAULT, IssuersConfig, Urls};
use super::{PkiEngine, bad, crl};

/// What stands behind a warning that URLs can't be filled in.
const SET_CLUSTER: &str = "Consider setting the cluster-local address if it is not already set.";

fields! {
    /// Shows the URLs that certificates name.
    pub struct ReadUrls {}
}
fields! {
    /// Changes the URLs that certificates name. What is not said stays as it was.
    pub struct WriteUrls {
        /// Where the issuer's certificate is.
        issuing_certificates: Option<Vec<String>>,
        /// Where revocation lists are.
        crl_distribution_points: Option<Vec<String>>,
        /// Where delta lists are.
        delta_crl_distribution_points: Option<Vec<String>>,
        /// Where to ask about a certificate.
        ocsp_servers: Option<Vec<String>>,
        /// Are {{issuer_id}}, {{cluster_path}} and {{cluster_aia_path}} filled in?
        enable_templating: Option<bool>,
    }
}
fields! {
    /// Shows this server's addresses.
    pub struct ReadCluster {}
}
fields! {
    /// Sets this server's addresses.
    pub struct WriteCluster {
        /// The mount's own URL.
        path: Option<String>,
        /// Where certificates and lists can be had.
        aia_path: Option<String>,
    }
}
fields! {
    /// Shows which issuer is the default.
    pub struct ReadIssuersConfig {}
}
fields! {
    /// Sets which issuer is the default.
    pub struct WriteIssuersConfig {
        /// An id, or a name.
        default: Option<String>,
        /// Does a new issuer with a key become the default?
        default_follows_latest_issuer: Option<bool>,
    }
}
fields! {
    /// Makes the issuer called next the default, or another one.
    pub struct ReplaceRoot {
        /// An id, or a name; next where nothing is said.
        default: Option<String>,
    }
}

ops! {
    ReadUrls Json, Read;
    WriteUrls Json, Write;
    ReadCluster Json, Read;
    WriteCluster Json, Write;
    ReadIssuersConfig Json, Read;
    WriteIssuersConfig Json, Write;
    ReplaceRoot Json, Write;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.query::<ReadUrls>("config/urls")
        .command::<WriteUrls>("config/urls")
        .query::<ReadCluster>("config/cluster")
        .command::<WriteCluster>("config/cluster")
        .query::<ReadIssuersConfig>("config/issuers")
        .command::<WriteIssuersConfig>("config/issuers")
        .command::<ReplaceRoot>("root/replace")
}

fn shown(urls: &Urls) -> Json {
    json!({
        "issuing_certificates": urls.issuing_certificates,
        "crl_distribution_points": urls.crl_distribution_points,
        "delta_crl_distribution_points": urls.delta_crl_distribution_points,
        "ocsp_servers": urls.ocsp_servers,
        "enable_templating": urls.templates,
    })
}

/// Refuses URLs that are none; those with templates are checked when they are used.
pub fn check_urls(urls: &mut Urls) -> Result<()> {
    if urls.templates {
        return Ok(());
    }
    for (name, list) in named_urls(urls) {
        if !list.iter().all(|url| is_url(url)) {
            return Err(bad(format!(
                "invalid URL found in Authority Information Access (AIA) parameter {name}"
            )));
        }
    }
    Ok(())
}

/// What an operator should know of URLs with templates that can't be filled in.
pub async fn templates_warning(cx: &ReadCx<'_>, urls: &Urls, id: &str) -> Option<String> {
    let filled = fill_urls(&cx.view(), urls, Some(id)).await;
    let why = filled.err()?.public.join("; ");
    Some(format!("issuance may fail: {why}\n\n{SET_CLUSTER}"))
}

impl Query<ReadUrls> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadUrls) -> Result<Reply<Json>> {
        Ok(Reply::data(shown(&config(&cx.view()).await?)))
    }
}

impl Command<WriteUrls> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: WriteUrls) -> Result<Reply<Json>> {
        let mut urls: Urls = config(&cx.view()).await?;
        urls.templates = op.enable_templating.unwrap_or(urls.templates);
        let given = [
            op.issuing_certificates,
            op.crl_distribution_points,
            op.delta_crl_distribution_points,
            op.ocsp_servers,
        ];
        for ((_, own), given) in named_urls(&mut urls).into_iter().zip(given) {
            if let Some(given) = given {
                *own = given;
            }
        }
        check_urls(&mut urls)?;
        cx.edit().put_named(0, "", &urls)?;
        // Complete lists name where delta lists are.
        crl::renew(cx).await?;
        let mut reply = Reply::data(shown(&urls));
        if urls.templates
            && let Some((id, _)) = all_issuers(&cx.view()).await?.first()
            && let Some(warning) = templates_warning(cx, &urls, id).await
        {
            reply = reply.warn(warning);
        }
        Ok(reply)
    }
}

impl Query<ReadCluster> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadCluster) -> Result<Reply<Json>> {
        let cluster: Cluster = config(&cx.view()).await?;
        Ok(Reply::data(json!({ "path": cluster.path, "aia_path": cluster.aia_path })))
    }
}

impl Command<WriteCluster> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: WriteCluster) -> Result<Reply<Json>> {
        let mut cluster: Cluster = config(&cx.view()).await?;
        for (name, given, own) in
            [("path", op.path, &mut cluster.path), ("aia_path", op.aia_path, &mut cluster.aia_path)]
        {
            let Some(given) = given else { continue };
            if !is_url(&given) {
                return Err(bad(format!("invalid, non-URL {name} given to cluster")));
            }
            *own = given;
        }
        cx.edit().put_named(0, "", &cluster)?;
        crl::renew(cx).await?;
        Ok(Reply::data(json!({ "path": cluster.path, "aia_path": cluster.aia_path })))
    }
}

fn issuers_shown(settings: &IssuersConfig) -> Json {
    json!({
        "default": settings.default,
        "default_follows_latest_issuer": settings.follows_latest,
    })
}

impl Query<ReadIssuersConfig> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadIssuersConfig) -> Result<Reply<Json>> {
        Ok(Reply::data(issuers_shown(&config(&cx.view()).await?)))
    }
}

impl Command<WriteIssuersConfig> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: WriteIssuersConfig) -> Result<Reply<Json>> {
        let wanted = op.default.unwrap_or_default();
        set_default(cx, &wanted, op.default_follows_latest_issuer).await
    }
}

impl Command<ReplaceRoot> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ReplaceRoot) -> Result<Reply<Json>> {
        set_default(cx, op.default.as_deref().unwrap_or("next"), None).await
    }
}

async fn set_default(
    cx: &mut WriteCx<'_>,
    wanted: &str,
    follows: Option<bool>,
) -> Result<Reply<Json>> {
    if matches!(reference(wanted), "" | DEFAULT) {
        return Err(bad("Invalid issuer specification; must be non-empty and can't be 'default'."));
    }
    cx.queue(QUEUE).await;
    let (id, issuer) = find_issuer(&cx.view(), wanted).await.map_err(|e| {
        let why = e.public.join("; ");
        bad(format!("Error resolving issuer reference: {why}"))
    })?;
    let old: IssuersConfig = config(&cx.view()).await?;
    let follows_latest = follows.unwrap_or(old.follows_latest);
    let new = IssuersConfig { default: id, follows_latest };
    if new != old {
        cx.edit().put_named(0, "", &new)?;
        // What no issuer is known of goes to the default one's list.
        crl::issuers_changed(cx).await?;
    }
    let reply = Reply::data(issuers_shown(&new));
    Ok(match issuer.key_id.as_str() {
        "" => reply.warn(
            "This selected default issuer has no key associated with it. Some operations like \
             issuing certificates and signing CRLs will be unavailable with the requested default \
             issuer until a key is imported or the default issuer is changed.",
        ),
        _ => reply,
    })
}
