//! The keys and descriptions that providers publish, kept for a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use strongroom_base::{Error, ErrorKind, Json, JsonMap, Result, Timestamp};
use strongroom_connectors::web::{Call, Failure, Trust, Web};
use strongroom_crypto::jws::{Algorithm, Compact, SetKey, parse_set};

use super::{has_key_for, verify};

/// Seconds after which what was fetched is fetched again.
const FRESH_SECONDS: i64 = 600;
/// Seconds for which it is good enough where the provider can't be reached.
const STALE_SECONDS: i64 = 3_600;
/// Seconds between two tries to fetch the same: an unknown key makes nobody ask more often.
pub const RETRY_SECONDS: i64 = 10;
/// The same where the try before failed. It is longer than a call can take, so logins that came while
/// one waited for its end do not wait for one of their own.
pub const RETRY_FAILED_SECONDS: i64 = 30;
/// Documents kept: where there is no more room, the one that was wanted longest ago goes.
const DOCUMENTS_MAX: usize = 256;

/// One document of a provider.
#[derive(Default)]
struct Slot {
    /// Held while it is fetched: whoever wants it meanwhile waits for that, and asks nobody.
    fetching: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
    wanted: AtomicU64,
}

#[derive(Clone, Default)]
struct Known {
    document: Option<Arc<Document>>,
    fetched: Timestamp,
    tried: Timestamp,
    failure: Option<String>,
}

/// A document, and the keys in it if it is a set of keys.
pub struct Document {
    /// As it came.
    pub json: Json,
    /// The keys of a set that sign; empty for other documents.
    pub keys: Vec<SetKey>,
}

/// Documents of providers, by URL and authorities: sets of keys, and OpenID configurations.
pub struct KeySets {
    web: Arc<dyn Web>,
    slots: Mutex<HashMap<(String, Trust), Arc<Slot>>>,
    /// Counts what is wanted.
    turn: AtomicU64,
}

impl KeySets {
    /// None yet; `web` fetches them.
    pub fn new(web: Arc<dyn Web>) -> Self {
        Self { web, slots: Mutex::default(), turn: AtomicU64::new(0) }
    }

    fn slot(&self, url: &str, trust: &Trust) -> Arc<Slot> {
        let key = (url.to_owned(), trust.clone());
        let mut slots = self.slots.lock();
        if slots.len() >= DOCUMENTS_MAX && !slots.contains_key(&key) {
            let oldest = slots.iter().min_by_key(|(_, slot)| slot.wanted.load(Ordering::Relaxed));
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                slots.remove(&oldest);
            }
        }
        let slot = slots.entry(key).or_default();
        slot.wanted.store(self.turn.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        slot.clone()
    }

    /// The JSON document at `url`, whose server is believed by `trust` (authorities in PEM, where an
    /// empty text stands for the machine's). It is up to ten minutes old, or an hour where the
    /// provider can't be reached.
    pub async fn document(
        &self,
        url: &str,
        trust: impl Into<Trust>,
        now: Timestamp,
    ) -> Result<Arc<Document>> {
        self.get(url, &trust.into(), now, false).await
    }

    /// The claims of `token`, where a key of the set at `url` signed it by one of `algorithms` (an
    /// empty list stands for all that fit). Where none did the set is fetched anew: a provider may have
    /// changed its keys, and given a new one the name of an old one.
    pub async fn verified(
        &self,
        token: &Compact<'_>,
        algorithms: &[Algorithm],
        (url, trust): (&str, impl Into<Trust>),
        now: Timestamp,
    ) -> Result<Option<JsonMap>> {
        let trust = trust.into();
        let known = self.get(url, &trust, now, false).await?;
        if let Some(claims) = verify(token, &known.keys, algorithms) {
            return Ok(Some(claims));
        }
        let newer = self.get(url, &trust, now, true).await?;
        if Arc::ptr_eq(&known, &newer) {
            return Ok(None);
        }
        Ok(verify(token, &newer.keys, algorithms))
    }

    /// The set of keys at `url`, fetched anew where it has no key that may have signed `token`.
    pub async fn keys_for(
        &self,
        token: &Compact<'_>,
        url: &str,
        trust: impl Into<Trust>,
        now: Timestamp,
    ) -> Result<Arc<Document>> {
        let trust = trust.into();
        let known = self.get(url, &trust, now, false).await?;
        if has_key_for(token, &known.keys) {
            return Ok(known);
        }
        self.get(url, &trust, now, true).await
    }

    async fn get(
        &self,
        url: &str,
        trust: &Trust,
        now: Timestamp,
        newer: bool,
    ) -> Result<Arc<Document>> {
        let slot = self.slot(url, trust);
        let before = slot.known.lock().clone();
        if let Some(usable) = before.usable(now, newer) {
            return usable;
        }
        let _alone = match slot.fetching.try_lock() {
            Ok(alone) => alone,
            // What is a little old is better than to wait.
            Err(_) if !newer && before.is_good(now) => return before.after_a_try(now),
            Err(_) => slot.fetching.lock().await,
        };
        let known = slot.known.lock().clone();
        // Somebody else fetched it while this one waited.
        let newer = newer && known.fetched == before.fetched;
        if let Some(usable) = known.usable(now, newer) {
            return usable;
        }
        let fetched = self.fetch(url, trust).await;
        let mut known = slot.known.lock();
        known.tried = now;
        match fetched {
            Ok(document) => {
                known.document = Some(Arc::new(document));
                known.fetched = now;
                known.failure = None;
            }
            Err(failure) => known.failure = Some(failure.to_string()),
        }
        known.after_a_try(now)
    }

    async fn fetch(&self, url: &str, trust: &Trust) -> Result<Document, Failure> {
        let answer = self.web.call(Call::get(url).trusting(trust)).await?;
        if !answer.is_success() {
            return Err(Failure::new(format!("the provider answered status {}", answer.status)));
        }
        let json = answer.json()?;
        let keys = if json.get("keys").is_some() {
            parse_set(&json).map_err(|_| Failure::new("the answer is no set of keys"))?
        } else {
            Vec::new()
        };
        Ok(Document { json, keys })
    }
}

impl Known {
    /// What to answer without fetching; `None` where it must be fetched.
    fn usable(&self, now: Timestamp, newer: bool) -> Option<Result<Arc<Document>>> {
        let failed = self.failure.is_some();
        let retry = if failed { RETRY_FAILED_SECONDS } else { RETRY_SECONDS };
        let lately = !self.tried.is_zero() && now < self.tried.plus_seconds(retry);
        let fresh = self.document.is_some() && now < self.fetched.plus_seconds(FRESH_SECONDS);
        if lately || fresh && !newer { Some(self.after_a_try(now)) } else { None }
    }

    /// Is there a document that is not too old?
    fn is_good(&self, now: Timestamp) -> bool {
        self.document.is_some() && now < self.fetched.plus_seconds(STALE_SECONDS)
    }

    fn after_a_try(&self, now: Timestamp) -> Result<Arc<Document>> {
        match self.document.as_ref().filter(|_| self.is_good(now)) {
            Some(document) => Ok(document.clone()),
            None => {
                let why = self.failure.as_deref().unwrap_or("nothing was fetched");
                Err(Error::new(
                    ErrorKind::Upstream,
                    format!("the provider's keys can't be had: {why}"),
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use strongroom_base::Timestamp;
    use strongroom_crypto::jws::{Algorithm, Compact, Jwk, sign_compact};
    use strongroom_crypto::keys::{Curve, KeyType, PrivateKey};
    use strongroom_testkit::web::SimWeb;

    use super::{
        DOCUMENTS_MAX, FRESH_SECONDS, KeySets, RETRY_FAILED_SECONDS, RETRY_SECONDS, STALE_SECONDS,
    };

    const URL: &str = "https://provider.example/keys";

    fn set(keys: &[(&str, &PrivateKey)]) -> String {
        let keys = keys.iter().map(|(kid, key)| {
            let jwk = Jwk::of(key.public().unwrap()).unwrap_or_else(|e| panic!("{e:?}"));
            let mut json: serde_json::Value = serde_json::from_str(jwk.canonical()).unwrap();
            json["kid"] = serde_json::json!(kid);
            json
        });
        serde_json::json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
    }

    fn key() -> PrivateKey {
        PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap()
    }

    fn signed(kid: &str, key: &PrivateKey) -> String {
        sign_compact(Algorithm::Es(Curve::P256), kid, b"{}", key).unwrap()
    }

    #[tokio::test]
    async fn many_logins_ask_once() {
        let (web, one) = (SimWeb::new(), key());
        web.answer(URL, 200, set(&[("one", &one)]));
        let sets = Arc::new(KeySets::new(web.clone()));
        let token = signed("one", &one);
        let now = Timestamp::from_seconds(1_000);
        let logins = (0..50).map(|_| {
            let (sets, token) = (sets.clone(), token.clone());
            tokio::spawn(async move {
                let token = Compact::parse(&token).unwrap_or_else(|e| panic!("{e:?}"));
                sets.keys_for(&token, URL, "", now).await.unwrap().keys.len()
            })
        });
        for login in logins.collect::<Vec<_>>() {
            assert_eq!(login.await.unwrap(), 1);
        }
        assert_eq!(web.calls(URL), 1);
    }

    #[tokio::test]
    async fn an_unknown_key_is_asked_for_and_not_too_often() {
        let (web, one, two) = (SimWeb::new(), key(), key());
        web.answer(URL, 200, set(&[("one", &one)]));
        let sets = KeySets::new(web.clone());
        let (first, second) = (signed("one", &one), signed("two", &two));
        let parse = |text: &'static str| Compact::parse(text).unwrap_or_else(|e| panic!("{e:?}"));
        let (first, second) = (parse(first.leak()), parse(second.leak()));
        let now = Timestamp::from_seconds(1_000);
        assert_eq!(sets.keys_for(&first, URL, "", now).await.unwrap().keys.len(), 1);
        web.answer(URL, 200, set(&[("one", &one), ("two", &two)]));
        for _ in 0..5 {
            let soon = now.plus_seconds(RETRY_SECONDS - 1);
            assert_eq!(sets.keys_for(&second, URL, "", soon).await.unwrap().keys.len(), 1);
        }
        assert_eq!(web.calls(URL), 1);
        let later = now.plus_seconds(RETRY_SECONDS);
        assert_eq!(sets.keys_for(&second, URL, "", later).await.unwrap().keys.len(), 2);
        assert_eq!(web.calls(URL), 2);
    }

    #[tokio::test]
    async fn a_provider_that_is_down_is_done_without_for_a_while() {
        let (web, one) = (SimWeb::new(), key());
        web.answer(URL, 200, set(&[("one", &one)]));
        let sets = KeySets::new(web.clone());
        let now = Timestamp::from_seconds(1_000);
        assert!(sets.document(URL, "", now).await.is_ok());
        web.down(URL);
        let stale = now.plus_seconds(FRESH_SECONDS);
        assert!(sets.document(URL, "", stale).await.is_ok());
        assert_eq!(web.calls(URL), 2);
        let too_old = now.plus_seconds(STALE_SECONDS);
        let error = sets.document(URL, "", too_old).await.err().unwrap();
        assert!(error.to_string().contains("provider"), "{error}");
        web.answer(URL, 200, set(&[("one", &one)]));
        let soon = too_old.plus_seconds(RETRY_FAILED_SECONDS - 1);
        assert!(sets.document(URL, "", soon).await.is_err());
        assert!(sets.document(URL, "", too_old.plus_seconds(RETRY_FAILED_SECONDS)).await.is_ok());
    }

    /// Threat: a provider that does not answer holds up nobody for whom its keys are at hand, and
    /// nobody waits for more than one try.
    #[tokio::test]
    async fn a_provider_that_does_not_answer_is_not_waited_for() {
        let (web, one) = (SimWeb::new(), key());
        web.answer(URL, 200, set(&[("one", &one)]));
        let sets = Arc::new(KeySets::new(web.clone()));
        let now = Timestamp::from_seconds(1_000);
        assert!(sets.document(URL, "", now).await.is_ok());
        let release = web.hold(URL);
        let stale = now.plus_seconds(FRESH_SECONDS);
        let ask = |at| {
            let sets = sets.clone();
            tokio::spawn(async move { sets.document(URL, "", at).await.is_ok() })
        };
        let first = ask(stale);
        while web.calls(URL) < 2 {
            tokio::task::yield_now().await;
        }
        assert!(ask(stale).await.unwrap(), "what is stale is good enough");
        let too_old = now.plus_seconds(STALE_SECONDS);
        let waiting: Vec<_> = (0..20).map(|_| ask(too_old)).collect();
        web.down(URL);
        drop(release);
        assert!(first.await.unwrap());
        for one in waiting {
            assert!(!one.await.unwrap());
        }
        assert_eq!(web.calls(URL), 3);
    }

    #[tokio::test]
    async fn a_key_that_has_the_name_of_an_old_one_is_found() {
        let (web, one, two) = (SimWeb::new(), key(), key());
        web.answer(URL, 200, set(&[("key", &one)]));
        let sets = KeySets::new(web.clone());
        let now = Timestamp::from_seconds(1_000);
        let token = signed("key", &two);
        let token = Compact::parse(&token).unwrap_or_else(|e| panic!("{e:?}"));
        let verified = async |now| sets.verified(&token, &[], (URL, ""), now).await.unwrap();
        assert!(verified(now).await.is_none());
        web.answer(URL, 200, set(&[("key", &two)]));
        assert!(verified(now.plus_seconds(RETRY_SECONDS - 1)).await.is_none());
        assert!(verified(now.plus_seconds(RETRY_SECONDS)).await.is_some());
    }

    #[tokio::test]
    async fn strangers_push_out_nobody_whose_keys_are_in_use() {
        let (web, one) = (SimWeb::new(), key());
        web.answer("https://provider.example/", 200, set(&[("one", &one)]));
        let sets = KeySets::new(web.clone());
        let now = Timestamp::from_seconds(1_000);
        for n in 0..3 * DOCUMENTS_MAX {
            let url = format!("https://provider.example/of/{n}");
            sets.document(&url, "", now).await.unwrap();
            sets.document(URL, "", now).await.unwrap();
        }
        assert_eq!(web.calls(URL), 1);
    }
}
