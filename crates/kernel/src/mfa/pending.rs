//! Logins whose first factor was right and whose second one is awaited.
//!
//! They live in the memory of the active node: a restart, or a seal, ends them, and their callers log
//! in again. Invariant: what they take is bounded, in all and for each entity, and none of them lives
//! longer than [`LOGIN_SECONDS`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::Mutex;
use strongroom_base::Timestamp;

use crate::plug::Grant;
use crate::record::Scope;

/// Seconds for which a login waits for its second factor (Vault's).
pub const LOGIN_SECONDS: i64 = 300;
/// Logins that wait at a time.
const LOGINS_MAX: usize = 10_000;
/// Logins of one entity that wait at a time.
const ENTITY_LOGINS_MAX: usize = 16;
/// Bytes of all logins that wait.
const BYTES_MAX: usize = 32 * 1_024 * 1_024;
/// Bytes of one entity's logins that wait.
const ENTITY_BYTES_MAX: usize = 1_024 * 1_024;
/// Bytes that a login takes beside its texts, and that each text takes beside its own.
const LOGIN_BYTES: usize = 1_024;
const TEXT_BYTES: usize = 64;

/// A login that waits.
pub struct PendingLogin {
    /// A UUID: `mfa_request_id`.
    pub id: String,
    /// The namespace of its request.
    pub namespace: Scope,
    /// Its auth mount.
    pub mount: Scope,
    /// The path of its request within the namespace.
    pub path: String,
    /// Its entity.
    pub entity_id: String,
    /// What its token is made of.
    pub grant: Grant,
    /// When it began to wait.
    pub since: Timestamp,
}

impl PendingLogin {
    /// Does it take more than all logins of an entity may?
    pub fn is_too_large(&self) -> bool {
        self.bytes() > ENTITY_BYTES_MAX
    }

    /// About how many bytes it takes.
    fn bytes(&self) -> usize {
        let Grant {
            display_name,
            policies,
            metadata,
            alias,
            groups,
            token,
            internal,
            warnings,
            ends: _,
        } = &self.grant;
        let list = |list: &[String]| list.iter().map(|one| one.len() + TEXT_BYTES).sum::<usize>();
        let map = |map: &BTreeMap<String, String>| {
            map.iter().map(|(name, value)| name.len() + value.len() + 2 * TEXT_BYTES).sum::<usize>()
        };
        LOGIN_BYTES
            + self.path.len()
            + display_name.len()
            + alias.as_ref().map_or(0, |alias| alias.name.len() + map(&alias.metadata))
            + [policies, groups, warnings, &token.policies, &token.bound_cidrs]
                .map(|texts| list(texts))
                .iter()
                .sum::<usize>()
            + map(metadata)
            + map(internal)
    }
}

/// A login that waits, and how many bytes it takes.
struct Held {
    login: Arc<PendingLogin>,
    bytes: usize,
}

/// The logins of one entity that wait, in the order in which they came.
#[derive(Default)]
struct OfEntity {
    ids: VecDeque<String>,
    bytes: usize,
}

#[derive(Default)]
struct Waiting {
    by_id: AHashMap<String, Held>,
    /// Bytes of all of them.
    bytes: usize,
    /// Ids and times in the order in which they came; some are gone by now.
    order: VecDeque<(String, Timestamp)>,
    /// By namespace and entity.
    of_entity: AHashMap<(Scope, String), OfEntity>,
}

/// All logins that wait.
#[derive(Default)]
pub struct PendingLogins {
    waiting: Mutex<Waiting>,
}

fn entity_of(login: &PendingLogin) -> (Scope, String) {
    (login.namespace, login.entity_id.clone())
}

impl Waiting {
    fn remove(&mut self, id: &str) {
        let Some(Held { login, bytes }) = self.by_id.remove(id) else { return };
        self.bytes = self.bytes.saturating_sub(bytes);
        let key = entity_of(&login);
        if let Some(own) = self.of_entity.get_mut(&key) {
            own.ids.retain(|one| one != id);
            own.bytes = own.bytes.saturating_sub(bytes);
            if own.ids.is_empty() {
                self.of_entity.remove(&key);
            }
        }
    }

    /// Drops those from the front whose time is over, that are gone, or for which there is no room
    /// beside `more` logins of `bytes`.
    fn tidy(&mut self, now: Timestamp, more: usize, bytes: usize) {
        while let Some((id, since)) = self.order.front().cloned() {
            let over = now >= since.plus_seconds(LOGIN_SECONDS);
            let fits = self.by_id.len() + more <= LOGINS_MAX && self.bytes + bytes <= BYTES_MAX;
            if !over && self.by_id.contains_key(&id) && fits {
                break;
            }
            self.order.pop_front();
            self.remove(&id);
        }
        // Those in the middle that are gone.
        if self.order.len() + more > 2 * LOGINS_MAX {
            let Self { by_id, order, .. } = self;
            order.retain(|(id, _)| by_id.contains_key(id));
        }
    }

    /// Drops the oldest of an entity until there is room for one more login of `bytes`.
    fn make_room(&mut self, key: &(Scope, String), bytes: usize) {
        while let Some(own) = self.of_entity.get(key) {
            let fits = own.ids.len() < ENTITY_LOGINS_MAX && own.bytes + bytes <= ENTITY_BYTES_MAX;
            let Some(oldest) = own.ids.front().filter(|_| !fits).cloned() else { return };
            self.remove(&oldest);
        }
    }
}

impl PendingLogins {
    /// Has a login wait. Where there are too many, or where they take too much, the oldest goes, of its
    /// entity or of all. One that alone is too large must not come.
    pub fn insert(&self, login: PendingLogin, now: Timestamp) {
        let bytes = login.bytes();
        if bytes > ENTITY_BYTES_MAX {
            return;
        }
        let mut waiting = self.waiting.lock();
        waiting.tidy(now, 1, bytes);
        let key = entity_of(&login);
        waiting.make_room(&key, bytes);
        let own = waiting.of_entity.entry(key).or_default();
        own.ids.push_back(login.id.clone());
        own.bytes += bytes;
        waiting.bytes += bytes;
        waiting.order.push_back((login.id.clone(), login.since));
        waiting.by_id.insert(login.id.clone(), Held { login: Arc::new(login), bytes });
    }

    /// The login of this id, while it waits.
    pub fn find(&self, id: &str, now: Timestamp) -> Option<Arc<PendingLogin>> {
        let login = self.waiting.lock().by_id.get(id).map(|held| held.login.clone());
        login.filter(|login| now < login.since.plus_seconds(LOGIN_SECONDS))
    }

    /// The login has its token.
    pub fn remove(&self, id: &str) {
        self.waiting.lock().remove(id);
    }

    /// How many wait.
    pub fn count(&self, now: Timestamp) -> usize {
        let mut waiting = self.waiting.lock();
        waiting.tidy(now, 0, 0);
        waiting.by_id.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_000 + seconds)
    }

    fn login(id: usize, entity: usize, seconds: i64) -> PendingLogin {
        PendingLogin {
            id: format!("{id}"),
            namespace: Scope(0),
            mount: Scope(7),
            path: String::new(),
            entity_id: format!("e{entity}"),
            grant: Grant::default(),
            since: at(seconds),
        }
    }

    #[test]
    fn they_end() {
        let logins = PendingLogins::default();
        logins.insert(login(1, 1, 0), at(0));
        logins.insert(login(2, 1, 10), at(10));
        assert!(logins.find("1", at(299)).is_some());
        assert!(logins.find("1", at(300)).is_none(), "its time is over");
        assert!(logins.find("2", at(300)).is_some());
        logins.remove("2");
        assert!(logins.find("2", at(300)).is_none());
        assert_eq!(logins.count(at(310)), 0);
        let waiting = logins.waiting.lock();
        assert!(waiting.order.is_empty() && waiting.of_entity.is_empty());
    }

    #[test]
    fn one_entity_pushes_out_its_own_only() {
        let logins = PendingLogins::default();
        logins.insert(login(0, 0, 0), at(0));
        for i in 1..=100 {
            logins.insert(login(i, 1, 1), at(1));
        }
        assert!(logins.find("0", at(2)).is_some());
        assert!(logins.find("84", at(2)).is_none());
        for i in 85..=100 {
            assert!(logins.find(&i.to_string(), at(2)).is_some(), "{i}");
        }
        assert_eq!(logins.count(at(2)), 1 + ENTITY_LOGINS_MAX);
    }

    #[test]
    fn all_of_them_are_bounded() {
        let logins = PendingLogins::default();
        for i in 0..LOGINS_MAX + 100 {
            logins.insert(login(i, i, 0), at(0));
            if i % 3 == 0 {
                logins.remove(&(i / 2).to_string());
            }
        }
        assert!(logins.count(at(1)) <= LOGINS_MAX);
        assert!(logins.waiting.lock().order.len() <= 2 * LOGINS_MAX);
        assert!(logins.find(&(LOGINS_MAX + 99).to_string(), at(1)).is_some());
    }

    /// Threat: what a login's claims bring along is held in memory until its second factor comes.
    #[test]
    fn what_they_take_is_bounded() {
        let logins = PendingLogins::default();
        let large = |id: usize, entity: usize, bytes: usize| {
            let mut login = login(id, entity, 0);
            login.grant.metadata.insert("claim".to_owned(), "x".repeat(bytes));
            login
        };
        let quarter = ENTITY_BYTES_MAX / 4 - 2 * LOGIN_BYTES;
        logins.insert(large(0, 0, quarter), at(0));
        for i in 1..=8 {
            logins.insert(large(i, 1, quarter), at(0));
        }
        assert!(logins.find("0", at(1)).is_some(), "an entity pushes out its own only");
        assert!(logins.find("4", at(1)).is_none());
        assert!((5..=8).all(|i| logins.find(&i.to_string(), at(1)).is_some()));
        assert!(
            large(9, 2, ENTITY_BYTES_MAX).is_too_large() && !large(9, 2, quarter).is_too_large()
        );
        logins.insert(large(9, 2, ENTITY_BYTES_MAX), at(0));
        assert!(logins.find("9", at(1)).is_none(), "it is too large by itself");
        for i in 10..300 {
            logins.insert(large(i, i, quarter), at(0));
            assert!(logins.waiting.lock().bytes <= BYTES_MAX);
        }
        assert!(logins.find("299", at(1)).is_some() && logins.find("8", at(1)).is_none());
        assert!(logins.count(at(1)) <= BYTES_MAX / quarter);
        for i in 10..300 {
            logins.remove(&i.to_string());
        }
        let waiting = logins.waiting.lock();
        assert_eq!((waiting.bytes, waiting.of_entity.len()), (0, 0));
    }
}
