//! Logins that are under way between here, a browser and a provider.
//!
//! Strangers begin them, so they are held in memory, for ten minutes, and so many at a time
//! ([`FLOWS_MAX`]): where there is no more room, the address that has begun the most loses its
//! oldest. A node that restarts forgets them, and people begin again.
//!
//! Invariants:
//! * a state names its flow by a digest, and no two states are alike: 256 random bits;
//! * one request takes a flow; it finds it again when its transaction is run again, and nobody else
//!   does;
//! * whatever came of it, a flow that was taken logs in nobody else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_base::{JsonMap, Rng, SecretString, Timestamp};
use strongroom_crypto::digest::sha256;
use zeroize::Zeroize;

/// Flows of one mount at a time, of about 1 KiB each.
pub const FLOWS_MAX: usize = 4_096;
/// Seconds that a flow lives.
pub const FLOW_SECONDS: i64 = 600;

/// What was asked of a provider, and for whom.
pub struct Ask {
    /// The role.
    pub role: String,
    /// Where the provider sends the browser; "" in the device flow.
    pub redirect_uri: String,
    /// What the ID token must hold.
    pub nonce: String,
    /// The secret of PKCE (RFC 7636); "" where no code is asked for.
    pub verifier: SecretString,
    /// What whoever began it must know; "" where it gave nothing.
    pub client_nonce: SecretString,
    /// Where it was begun from.
    pub requester: Option<IpAddr>,
    /// The provider's name of the flow on another device.
    pub device_code: SecretString,
    /// Seconds between two polls.
    pub poll_seconds: i64,
    /// When it was begun.
    pub begun: Timestamp,
}

/// What a provider sent by a form, kept until whoever began the flow comes for it.
#[derive(Default)]
pub struct Posted {
    /// The code.
    pub code: SecretString,
    /// The ID token, which was verified.
    pub id_token: SecretString,
}

/// The tokens that a provider gave, and the claims they stand for.
pub struct Proven {
    /// All claims.
    pub claims: JsonMap,
    /// The ID token.
    pub id_token: SecretString,
    /// The access token; "" where there is none.
    pub access_token: SecretString,
    /// The refresh token; "" where there is none.
    pub refresh_token: SecretString,
}

impl Proven {
    /// The tokens that there are, by the names that roles have for them.
    pub fn tokens(&self) -> impl Iterator<Item = (&'static str, &SecretString)> {
        let all = [
            ("id_token", &self.id_token),
            ("access_token", &self.access_token),
            ("refresh_token", &self.refresh_token),
        ];
        all.into_iter().filter(|(_, token)| !token.expose_secret().is_empty())
    }
}

impl Drop for Proven {
    fn drop(&mut self) {
        strongroom_base::json::wipe_map(&mut self.claims);
    }
}

/// How far a flow is.
enum Stage {
    /// The provider has not answered.
    Open,
    /// A request with this id has it.
    Taken(String),
    /// The provider's answer came directly, and a poll may have it.
    Proven,
}

struct Flow {
    ask: Arc<Ask>,
    posted: Option<Posted>,
    stage: Stage,
    proven: Option<Arc<Proven>>,
    polled: Timestamp,
    /// Flows that were begun later have a higher number.
    number: u64,
}

impl Flow {
    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.ask.begun.plus_seconds(FLOW_SECONDS)
    }
}

/// A flow as a request found it.
pub struct Found {
    /// What was asked.
    pub ask: Arc<Ask>,
    /// What came of it already.
    pub proven: Option<Arc<Proven>>,
}

type Key = [u8; 32];

/// The address of who began a flow, or its network.
type Source = Option<IpAddr>;

#[derive(Default)]
struct Table {
    flows: HashMap<Key, Flow>,
    /// In the order of their beginnings, which is that of their ends.
    order: BTreeMap<u64, Key>,
    /// Their numbers, by who began them.
    sources: BTreeMap<Source, BTreeSet<u64>>,
    numbers: u64,
}

/// The flows of one mount.
#[derive(Default)]
pub struct Flows(Mutex<Table>);

fn key(state: &str) -> Key {
    sha256(state.as_bytes())
}

impl Flows {
    /// Begins a flow; its state.
    pub fn begin(&self, ask: Ask, rng: &dyn Rng) -> String {
        let state = format!("st_{}", random(rng));
        let mut table = self.0.lock();
        table.make_room(ask.begun);
        table.numbers += 1;
        let (number, key) = (table.numbers, key(&state));
        table.order.insert(number, key);
        table.sources.entry(source(&ask)).or_default().insert(number);
        let flow = Flow {
            ask: Arc::new(ask),
            posted: None,
            stage: Stage::Open,
            proven: None,
            polled: Timestamp::default(),
            number,
        };
        table.flows.insert(key, flow);
        state
    }

    /// An open flow.
    pub fn peek(&self, state: &str, now: Timestamp) -> Option<Arc<Ask>> {
        let table = self.0.lock();
        let flow = table.flows.get(&key(state)).filter(|flow| !flow.is_over(now))?;
        matches!(flow.stage, Stage::Open).then(|| flow.ask.clone())
    }

    /// Takes an open flow for `request`, or the one that it has.
    pub fn take(&self, state: &str, request: &str, now: Timestamp) -> Option<Found> {
        let mut table = self.0.lock();
        let flow = table.flows.get_mut(&key(state)).filter(|flow| !flow.is_over(now))?;
        match &flow.stage {
            Stage::Open => flow.stage = Stage::Taken(request.to_owned()),
            Stage::Taken(by) if by == request => {}
            Stage::Taken(_) | Stage::Proven => return None,
        }
        Some(Found { ask: flow.ask.clone(), proven: flow.proven.clone() })
    }

    /// What the provider sent by a form.
    pub fn posted(&self, state: &str) -> Option<Posted> {
        self.0.lock().flows.get_mut(&key(state))?.posted.take()
    }

    /// Keeps what the provider sent by a form; false where there is no such open flow.
    pub fn post(&self, state: &str, posted: Posted, now: Timestamp) -> bool {
        let mut table = self.0.lock();
        let flow = table.flows.get_mut(&key(state)).filter(|flow| !flow.is_over(now));
        match flow {
            Some(flow) if matches!(flow.stage, Stage::Open) => {
                flow.posted = Some(posted);
                true
            }
            _ => false,
        }
    }

    /// Keeps what the provider proved, for when the request that took the flow is run again.
    pub fn prove(&self, state: &str, proven: Arc<Proven>) {
        if let Some(flow) = self.0.lock().flows.get_mut(&key(state)) {
            flow.proven = Some(proven);
        }
    }

    /// Keeps what the provider proved for whoever polls.
    pub fn hand_over(&self, state: &str, proven: Arc<Proven>) {
        if let Some(flow) = self.0.lock().flows.get_mut(&key(state)) {
            flow.proven = Some(proven);
            flow.stage = Stage::Proven;
        }
    }

    /// Finds the flow that is polled; it stays as it is.
    pub fn polled(&self, state: &str, now: Timestamp) -> Option<Found> {
        let table = self.0.lock();
        let flow = table.flows.get(&key(state)).filter(|flow| !flow.is_over(now))?;
        Some(Found { ask: flow.ask.clone(), proven: flow.proven.clone() })
    }

    /// Notes a poll that goes on to the provider; false where the one before was less than a second
    /// ago.
    pub fn note_poll(&self, state: &str, now: Timestamp) -> bool {
        let mut table = self.0.lock();
        let Some(flow) = table.flows.get_mut(&key(state)) else { return false };
        if !flow.polled.is_zero() && now < flow.polled.plus_seconds(1) {
            return false;
        }
        flow.polled = now;
        true
    }

    /// Takes for `request` what was handed over, or what it has taken.
    pub fn take_proven(&self, state: &str, request: &str, now: Timestamp) -> Option<Arc<Proven>> {
        let mut table = self.0.lock();
        let flow = table.flows.get_mut(&key(state)).filter(|flow| !flow.is_over(now))?;
        match &flow.stage {
            Stage::Proven => flow.stage = Stage::Taken(request.to_owned()),
            Stage::Taken(by) if by == request => {}
            Stage::Open | Stage::Taken(_) => return None,
        }
        flow.proven.clone()
    }

    /// Ends a flow.
    pub fn end(&self, state: &str) {
        self.0.lock().remove(&key(state));
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.lock().flows.len()
    }
}

impl Table {
    fn remove(&mut self, key: &Key) {
        let Some(flow) = self.flows.remove(key) else { return };
        self.order.remove(&flow.number);
        let source = source(&flow.ask);
        if let Some(numbers) = self.sources.get_mut(&source) {
            numbers.remove(&flow.number);
            if numbers.is_empty() {
                self.sources.remove(&source);
            }
        }
    }

    fn make_room(&mut self, now: Timestamp) {
        while let Some((number, key)) = self.order.first_key_value().map(|(n, key)| (*n, *key)) {
            if self.flows.get(&key).is_some_and(|flow| !flow.is_over(now)) {
                break;
            }
            self.remove(&key);
            self.order.remove(&number);
        }
        if self.flows.len() < FLOWS_MAX {
            return;
        }
        let most = self.sources.values().max_by_key(|numbers| numbers.len());
        let oldest = most.and_then(|numbers| numbers.first());
        if let Some(key) = oldest.and_then(|number| self.order.get(number)).copied() {
            self.remove(&key);
        }
    }
}

fn source(ask: &Ask) -> Source {
    ask.requester.map(network)
}

/// The address, or the /64 network that it is in.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
    }
}

/// 256 random bits as text.
pub fn random(rng: &dyn Rng) -> String {
    use base64::Engine as _;
    let mut bytes: [u8; 32] = rng.array();
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    bytes.zeroize();
    text
}

#[cfg(test)]
mod tests {
    use strongroom_testkit::SimRng;

    use super::*;

    fn ask(from: &str, begun: i64) -> Ask {
        Ask {
            role: "r".to_owned(),
            redirect_uri: String::new(),
            nonce: String::new(),
            verifier: SecretString::default(),
            client_nonce: SecretString::default(),
            requester: Some(from.parse().unwrap()),
            device_code: SecretString::default(),
            poll_seconds: 5,
            begun: Timestamp::from_seconds(begun),
        }
    }

    /// Threat CVE-2026-33757: a state is good for one request.
    #[test]
    fn one_request_has_a_flow() {
        let (flows, rng, now) = (Flows::default(), SimRng::new(1), Timestamp::from_seconds(10));
        let state = flows.begin(ask("10.0.0.1", 10), &*rng);
        assert!(flows.peek(&state, now).is_some());
        assert!(flows.take("st_other", "one", now).is_none());
        assert!(flows.take(&state, "one", now).is_some());
        assert!(flows.take(&state, "one", now).is_some(), "its transaction is run again");
        assert!(flows.take(&state, "two", now).is_none());
        assert!(flows.peek(&state, now).is_none());
        assert!(!flows.post(&state, Posted::default(), now));
        flows.end(&state);
        assert!(flows.take(&state, "one", now).is_none());
    }

    #[test]
    fn flows_end_by_time() {
        let (flows, rng) = (Flows::default(), SimRng::new(1));
        let state = flows.begin(ask("10.0.0.1", 10), &*rng);
        let last = Timestamp::from_seconds(10 + FLOW_SECONDS - 1);
        assert!(flows.peek(&state, last).is_some());
        let over = last.plus_seconds(1);
        assert!(flows.peek(&state, over).is_none() && flows.take(&state, "r", over).is_none());
    }

    /// Threat: what strangers can make the server hold is bounded in total. Who floods pushes itself
    /// out, and nobody else.
    #[test]
    fn a_flood_pushes_itself_out() {
        let (flows, rng, now) = (Flows::default(), SimRng::new(1), Timestamp::from_seconds(10));
        let state = flows.begin(ask("10.0.0.1", 10), &*rng);
        for n in 0..2 * FLOWS_MAX {
            flows.begin(ask(&format!("2001:db8::{:x}", n % 60_000), 10), &*rng);
        }
        assert_eq!(flows.len(), FLOWS_MAX);
        assert!(flows.peek(&state, now).is_some());
        flows.begin(ask("10.0.0.2", 10 + FLOW_SECONDS), &*rng);
        assert_eq!(flows.len(), 1, "what is over makes room");
    }
}
