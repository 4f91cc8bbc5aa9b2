//! Fetching revocation lists again whose time is over.
//!
//! A task asks the outside and touches no record; the mount's work writes down what it brought. So
//! nobody waits for a server that does not answer, and until it does the list before is in force.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use strongroom_base::Result;
use strongroom_crypto::x509::Crl;
use strongroom_kernel::plug::{Reconcile, WriteCx};

use super::Cert;
use super::crls;
use super::stored::{self, RevocationList, Source};

/// Lists fetched at a time.
const FETCHES_MAX: usize = 8;
/// Seconds until a fetch is tried again that failed.
const BACK_OFF_SECONDS: i64 = 60;

/// Tasks, and what they brought.
#[derive(Default)]
pub(super) struct Refresh(Mutex<Work>);

#[derive(Default)]
struct Work {
    busy: BTreeSet<String>,
    /// What came of the fetches from a URL, until it is on record.
    found: BTreeMap<String, (String, Result<Crl, String>)>,
}

impl Refresh {
    fn take(&self, name: &str) -> bool {
        let mut work = self.0.lock();
        work.busy.len() < FETCHES_MAX
            && !work.found.contains_key(name)
            && work.busy.insert(name.to_owned())
    }

    fn finish(&self, name: String, url: String, found: Result<Crl, String>) {
        let mut work = self.0.lock();
        work.busy.remove(&name);
        work.found.insert(name, (url, found));
    }
}

impl Reconcile for Cert {
    async fn reconcile(&self, cx: &mut WriteCx<'_>) -> Result<bool> {
        for (name, list) in stored::lists(&cx.view()).await? {
            let Some(source) = &list.source else { continue };
            if self.write_down(cx, &name, &list, source).await? {
                continue;
            }
            if source.due > cx.now().seconds() || !self.refresh.take(&name) {
                continue;
            }
            let (refresh, web) = (self.refresh.clone(), self.web.clone());
            let url = source.url.clone();
            tokio::spawn(async move {
                let found = crls::fetch(&*web, &url).await;
                refresh.finish(name, url, found.map_err(|e| e.to_string()));
            });
        }
        Ok(false)
    }
}

impl Cert {
    /// Writes down what was fetched of a list; answers whether anything was.
    async fn write_down(
        &self,
        cx: &mut WriteCx<'_>,
        name: &str,
        list: &RevocationList,
        source: &Source,
    ) -> Result<bool> {
        let Some((url, found)) = self.refresh.0.lock().found.remove(name) else {
            return Ok(false);
        };
        if url != source.url {
            return Ok(false);
        }
        let fresh = match found {
            Ok(crl) => match crls::record(cx, &crl, Some(&url)).await {
                // Who plays back an old list would bring the revoked back in.
                Ok(fresh) if fresh.this_update < list.this_update => {
                    Err("it is older than the one before".to_owned())
                }
                // Nor is the list of somebody else one of this issuer, nor one that nobody signed.
                Ok(fresh) if !list.issuer.is_empty() && fresh.issuer != list.issuer => {
                    Err("it is of another issuer than the one before".to_owned())
                }
                Ok(fresh) if list.signed && !fresh.signed => {
                    Err("it is not signed by an authority of the mount".to_owned())
                }
                Ok(fresh) => Ok(fresh),
                Err(e) => Err(e.to_string()),
            },
            Err(why) => Err(why),
        };
        let record = match fresh {
            Ok(fresh) => {
                cx.effect("fetch", format!("crls/{name}"));
                fresh
            }
            Err(why) => {
                tracing::warn!(crl = %name, %why, "a revocation list could not be fetched again");
                let due = cx.now().seconds() + BACK_OFF_SECONDS;
                let source = Some(Source { due, ..source.clone() });
                RevocationList { source, ..list.clone() }
            }
        };
        cx.edit().put_named(0, name, &record)?;
        Ok(true)
    }
}
