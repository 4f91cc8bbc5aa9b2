//! Nonces (RFC 8555 §6.5): each request has one that nobody used before.
//!
//! A nonce is the number it was given as, with a MAC, so that none is kept that nobody comes back
//! with: what strangers fetch costs nothing. Which of the last ones were used is one bit each. One
//! that is older than these, or that another life of the server gave, is refused, and its client
//! asks again with the one that comes with the refusal.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use strongroom_base::Rng;
use strongroom_crypto::HmacKey;

/// Nonces that can be used, counted from the last one.
const WINDOW: u64 = 1 << 18;
/// Bytes of a nonce's MAC.
const MAC_BYTES: usize = 16;
/// Requests whose nonces are remembered with them: one that is run again has the same.
const REQUESTS_MAX: usize = 1_024;

/// The nonces of a mount.
#[derive(Default)]
pub struct Nonces(Mutex<Option<State>>);

struct State {
    key: HmacKey,
    /// The number of the next one.
    next: u64,
    /// One bit for each of the window: is it used?
    used: Vec<u64>,
    /// Numbers with the requests that used them last.
    requests: VecDeque<(u64, String)>,
}

impl Nonces {
    /// A new one.
    pub fn issue(&self, rng: &dyn Rng) -> String {
        let mut state = self.0.lock();
        let state = state.get_or_insert_with(|| State::new(rng));
        let number = state.next;
        state.next += 1;
        state.mark(number, false);
        let mut nonce = number.to_be_bytes().to_vec();
        let mac = state.key.mac(&[&number.to_be_bytes()]);
        nonce.extend(mac.iter().take(MAC_BYTES));
        URL_SAFE_NO_PAD.encode(nonce)
    }

    /// Uses one; false where it cannot be used, or another request did.
    pub fn redeem(&self, nonce: &str, request: &str) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
        let Some((number, mac)) = bytes.split_first_chunk::<8>() else { return false };
        let mut state = self.0.lock();
        let Some(state) = state.as_mut() else { return false };
        let expected = state.key.mac(&[number]);
        let expected = expected.get(..MAC_BYTES).unwrap_or_default();
        if !strongroom_crypto::constant_time_eq(expected, mac) {
            return false;
        }
        let number = u64::from_be_bytes(*number);
        if number >= state.next || number + WINDOW < state.next {
            return false;
        }
        if state.is_used(number) {
            return state.requests.iter().any(|(n, by)| *n == number && by == request);
        }
        state.mark(number, true);
        if state.requests.len() >= REQUESTS_MAX {
            state.requests.pop_front();
        }
        state.requests.push_back((number, request.to_owned()));
        true
    }
}

impl State {
    fn new(rng: &dyn Rng) -> Self {
        let key = HmacKey::new(&rng.array::<32>());
        let used = vec![0; (WINDOW / 64) as usize];
        Self { key, next: 0, used, requests: VecDeque::new() }
    }

    fn place(number: u64) -> (usize, u64) {
        let at = number % WINDOW;
        ((at / 64) as usize, 1 << (at % 64))
    }

    fn is_used(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        self.used.get(word).is_none_or(|word| word & bit != 0)
    }

    fn mark(&mut self, number: u64, used: bool) {
        let (word, bit) = Self::place(number);
        if let Some(word) = self.used.get_mut(word) {
            *word = if used { *word | bit } else { *word & !bit };
        }
    }
}

#[cfg(test)]
mod tests {
    use strongroom_testkit::SimRng;

    use super::*;

    #[test]
    fn each_is_used_once() {
        let rng = SimRng::new(7);
        let nonces = Nonces::default();
        assert!(!nonces.redeem("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "r0"));
        let first = nonces.issue(&*rng);
        let second = nonces.issue(&*rng);
        assert_ne!(first, second);
        assert!(nonces.redeem(&second, "r1"));
        assert!(nonces.redeem(&first, "r2"));
        // The same request is run again; another one repeats it.
        assert!(nonces.redeem(&second, "r1"));
        assert!(!nonces.redeem(&second, "r3"));
        let last = nonces.issue(&*rng);
        let cut = last.get(..31).unwrap();
        for other in ["", "x", "!", cut, &format!("{cut}0"), &format!("{last}AA")] {
            assert!(other == last || !nonces.redeem(other, "r4"), "{other}");
        }
        // Another mount's, or another life's.
        assert!(!Nonces::default().redeem(&last, "r5"));
        let other = Nonces::default();
        other.issue(&*SimRng::new(8));
        assert!(!other.redeem(&last, "r5"));
    }

    #[test]
    fn the_window_ends() {
        let rng = SimRng::new(7);
        let nonces = Nonces::default();
        let (first, second) = (nonces.issue(&*rng), nonces.issue(&*rng));
        for _ in 0..WINDOW - 1 {
            nonces.issue(&*rng);
        }
        assert!(!nonces.redeem(&first, "r1"), "one too many came after it");
        assert!(nonces.redeem(&second, "r2"));
        // What came in its place is not used because it was.
        let next = nonces.issue(&*rng);
        assert!(nonces.redeem(&next, "r3"));
    }
}
