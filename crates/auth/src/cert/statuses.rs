//! What responders say of clients' certificates (OCSP), and what is remembered of it.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use strongroom_base::Result;
use strongroom_connectors::web::Call;
use strongroom_crypto::ocsp::Status;
use strongroom_crypto::sha256;
use strongroom_crypto::x509::{Certificate, Question, Told};
use strongroom_kernel::plug::ReadCx;

use super::Cert;
use super::stored::{self, Trusted};

/// Responders that are asked about one certificate.
const SERVERS_MAX: usize = 8;
/// Time for all of them.
const TOTAL: Duration = Duration::from_secs(20);
/// Seconds for which a status is remembered at most.
const REMEMBERED_SECONDS_MAX: i64 = 24 * 3_600;

/// What became of a certificate.
pub enum Standing {
    /// It was not revoked.
    Good,
    /// It was.
    Revoked,
    /// Nobody says; why.
    Unknown(String),
}

/// Statuses by the digest of issuer and certificate, until when they hold.
#[derive(Default)]
pub struct Statuses(Mutex<HashMap<[u8; 32], (Status, i64)>>);

impl Statuses {
    fn get(&self, key: &[u8; 32], now: i64) -> Option<Status> {
        let known = self.0.lock();
        known.get(key).filter(|(_, until)| now <= *until).map(|(status, _)| *status)
    }

    fn keep(&self, key: [u8; 32], told: Told, now: i64, most: i64) {
        let Some(until) = told.until else { return };
        let mut known = self.0.lock();
        if known.len() >= usize::try_from(most).unwrap_or(0) {
            known.retain(|_, (_, until)| *until >= now);
        }
        // The one that ends first makes room.
        while known.len() >= usize::try_from(most).unwrap_or(0) {
            let first = known.iter().min_by_key(|(_, (_, until))| *until).map(|(key, _)| *key);
            match first {
                Some(first) => known.remove(&first),
                None => return,
            };
        }
        known.insert(key, (told.status, until.min(now + REMEMBERED_SECONDS_MAX)));
    }
}

fn standing(status: Status) -> Standing {
    match status {
        Status::Good => Standing::Good,
        Status::Revoked(_) => Standing::Revoked,
        Status::Unknown => Standing::Unknown("the responder does not know it".to_owned()),
    }
}

impl Cert {
    /// What is known of `certificate`, which `issuer` issued.
    pub(super) async fn standing(
        &self,
        cx: &ReadCx<'_>,
        certificate: &Certificate,
        issuer: &Certificate,
        entry: &Trusted,
    ) -> Result<Standing> {
        let now = cx.now().seconds();
        let (issued, by) = (sha256(certificate.der()), sha256(issuer.der()));
        // Whom an entry has asked, and whom it believes, is its own business.
        let (name, ocsp) = (entry.entry.name.as_bytes(), &entry.entry.ocsp);
        let all = [ocsp.query_all_servers.into()];
        let asked = [name, &all, ocsp.ca_certificates.as_bytes()];
        let servers = ocsp.servers_override.join(" ");
        let key = sha256(&[&issued, &by, &asked.concat()[..], servers.as_bytes()].concat());
        if let Some(status) = self.statuses.get(&key, now) {
            return Ok(standing(status));
        }
        let question = Question { certificate, issuer };
        let asked = tokio::time::timeout(TOTAL, self.ask(question, entry, now));
        let told = match cx.outside(asked).await {
            Ok(Ok(told)) => told,
            Ok(Err(why)) => return Ok(Standing::Unknown(why)),
            Err(_) => return Ok(Standing::Unknown("no responder answered in time".to_owned())),
        };
        let most = stored::settings(&cx.view()).await?.ocsp_cache_size;
        self.statuses.keep(key, told, now, most);
        Ok(standing(told.status))
    }

    /// Asks one responder after the other until one knows; or all of them, if they must agree.
    async fn ask(
        &self,
        question: Question<'_>,
        entry: &Trusted,
        now: i64,
    ) -> std::result::Result<Told, String> {
        let ocsp = &entry.entry.ocsp;
        let urls = match ocsp.servers_override.as_slice() {
            [] => question.certificate.ocsp_urls(),
            servers => servers.to_vec(),
        };
        let mut good: Option<Told> = None;
        let mut missing = None;
        for url in urls.iter().take(SERVERS_MAX) {
            match self.ask_one(question, url, entry, now).await {
                Ok(told @ Told { status: Status::Revoked(_), .. }) => return Ok(told),
                Ok(told @ Told { status: Status::Good, .. }) => {
                    if !ocsp.query_all_servers {
                        return Ok(told);
                    }
                    let until = good.map_or(told.until, |good| good.until.min(told.until));
                    good = Some(Told { until, ..told });
                }
                Ok(_) => missing = Some("a responder does not know it".to_owned()),
                Err(why) => missing = Some(why),
            }
        }
        match (good, missing) {
            (Some(good), None) => Ok(good),
            (_, Some(why)) => Err(why),
            (None, None) => Err("there is nobody to ask".to_owned()),
        }
    }

    async fn ask_one(
        &self,
        question: Question<'_>,
        url: &str,
        entry: &Trusted,
        now: i64,
    ) -> std::result::Result<Told, String> {
        let request = question.request().map_err(|e| e.to_string())?;
        let call = Call::post(url, "application/ocsp-request", request);
        let call = match url.starts_with("https://") {
            true => call.with_ca(&entry.entry.ocsp.ca_certificates),
            false => call,
        };
        let answer = self.web.call(call).await.map_err(|e| e.to_string())?;
        if !answer.is_success() {
            return Err(format!("a responder answered with status {}", answer.status));
        }
        question.read(&answer.body, &entry.responders, now).map_err(|e| e.to_string())
    }
}
