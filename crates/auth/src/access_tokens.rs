//! Tokens that a cloud gives us for calls of our own, kept until they end.
//!
//! Invariants:
//! * one is fetched once for many logins at a time, and so is a failure: whoever waited for it, or comes
//!   soon after, has the same answer at once;
//! * it is known by a digest of the credentials it was had with: other credentials never get it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_base::{Error, ErrorKind, Result, SecretString, Timestamp};
use strongroom_crypto::Sha256;

/// Tokens kept.
const KEPT_MAX: usize = 32;
/// Seconds before its end from which a token is no longer used.
const MARGIN_SECONDS: i64 = 60;
/// Seconds between the beginnings of two tries that fail: more than a try takes at most, so that logins
/// do not wait one after the other.
pub const RETRY_SECONDS: i64 = 20;

/// A token and how many seconds it lives.
pub struct Fetched {
    /// The token.
    pub token: SecretString,
    /// Seconds from now.
    pub seconds: i64,
}

/// What the last try brought, and until when that holds.
struct Kept {
    token: Result<SecretString, (ErrorKind, Vec<String>)>,
    until: Timestamp,
}

impl Kept {
    fn answer(&self) -> Result<SecretString> {
        match &self.token {
            Ok(token) => Ok(token.duplicate()),
            Err((kind, public)) => Err(Error { public: public.clone(), ..Error::new(*kind, "") }),
        }
    }
}

type Slot = Arc<tokio::sync::Mutex<Option<Kept>>>;

/// The tokens of a mount.
#[derive(Default)]
pub struct AccessTokens {
    slots: Mutex<HashMap<[u8; 32], Slot>>,
}

impl AccessTokens {
    /// The token had with `credentials` (all that identifies them, secrets included), from `fetch`
    /// where there is none that lives.
    pub async fn get(
        &self,
        credentials: &[&str],
        now: Timestamp,
        fetch: impl Future<Output = Result<Fetched>>,
    ) -> Result<SecretString> {
        let slot = self.slot(credentials);
        let mut kept = slot.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| now < kept.until) {
            return kept.answer();
        }
        let tried = match fetch.await {
            Ok(Fetched { token, seconds }) => {
                Kept { token: Ok(token), until: now.plus_seconds(seconds - MARGIN_SECONDS) }
            }
            Err(error) => Kept {
                token: Err((error.kind, error.public)),
                until: now.plus_seconds(RETRY_SECONDS),
            },
        };
        let answer = tried.answer();
        *kept = Some(tried);
        answer
    }

    fn slot(&self, credentials: &[&str]) -> Slot {
        let mut digest = Sha256::new();
        for part in credentials {
            digest.update(&(part.len() as u64).to_be_bytes()).update(part.as_bytes());
        }
        let mut slots = self.slots.lock();
        if slots.len() >= KEPT_MAX {
            slots.clear();
        }
        slots.entry(digest.finish()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use strongroom_base::{Error, SecretString, Timestamp};

    use super::{AccessTokens, Fetched, MARGIN_SECONDS, RETRY_SECONDS};

    #[tokio::test]
    async fn a_token_is_kept_until_its_end() {
        let tokens = AccessTokens::default();
        let fetches = Cell::new(0);
        let fetch = || async {
            fetches.set(fetches.get() + 1);
            let token = SecretString::new(fetches.get().to_string());
            Ok(Fetched { token, seconds: 3_600 })
        };
        let start = Timestamp::from_seconds(1_000);
        for (credentials, after, expect) in [
            (["a", "b"], 0, "1"),
            (["a", "b"], 3_600 - MARGIN_SECONDS - 1, "1"),
            (["ab", ""], 0, "2"),
            (["a", "c"], 0, "3"),
            (["a", "b"], 3_600 - MARGIN_SECONDS, "4"),
            (["a", "b"], 3_600 - MARGIN_SECONDS, "4"),
        ] {
            let now = start.plus_seconds(after);
            let token = tokens.get(&credentials, now, fetch()).await.unwrap();
            assert_eq!(token.expose_secret(), expect);
        }
        let failed = async { Err(Error::unavailable("down")) };
        assert!(tokens.get(&["x"], start, failed).await.is_err());
        let soon = start.plus_seconds(RETRY_SECONDS - 1);
        let error = tokens.get(&["x"], soon, fetch()).await.err().unwrap();
        assert_eq!(error.public, ["down"]);
        assert!(tokens.get(&["x"], start.plus_seconds(RETRY_SECONDS), fetch()).await.is_ok());
    }
}
