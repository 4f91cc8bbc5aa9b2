//! Logins whose first factor was right and whose second one is awaited.
//!
//! They live in the memory of the active node: a restart, or a seal, ends them, and their callers log
//! in again. Invariant: what they take is bounded, in all and for each entity, and none of them lives
//! longer than [`LOGIN_SECONDS`].

use std::collections::VecDeque;
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

#[derive(Default)]
struct Waiting {
    by_id: AHashMap<String, Arc<PendingLogin>>,
    /// In the order in which they came; some are gone by now.
    order: VecDeque<Arc<PendingLogin>>,
    /// Which wait, by namespace and entity, in the order in which they came.
    of_entity: AHashMap<(Scope, String), VecDeque<String>>,
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
        let Some(login) = self.by_id.remove(id) else { return };
        let key = entity_of(&login);
        if let Some(ids) = self.of_entity.get_mut(&key) {
            ids.retain(|own| own != id);
            if ids.is_empty() {
                self.of_entity.remove(&key);
            }
        }
    }

    /// Drops those from the front whose time is over, that are gone, or that are one too many.
    fn tidy(&mut self, now: Timestamp, most: usize) {
        while let Some(first) = self.order.front().cloned() {
            let over = now >= first.since.plus_seconds(LOGIN_SECONDS);
            if !over && self.by_id.contains_key(&first.id) && self.by_id.len() <= most {
                break;
            }
            self.order.pop_front();
            self.remove(&first.id);
        }
        // Those in the middle that are gone.
        if self.order.len() > 2 * most {
            let Self { by_id, order, .. } = self;
            order.retain(|login| by_id.contains_key(&login.id));
        }
    }
}

impl PendingLogins {
    /// Has a login wait. Where there are too many the oldest goes, of its entity or of all.
    pub fn insert(&self, login: PendingLogin, now: Timestamp) {
        let mut waiting = self.waiting.lock();
        waiting.tidy(now, LOGINS_MAX - 1);
        let key = entity_of(&login);
        let own = waiting.of_entity.get(&key).filter(|ids| ids.len() >= ENTITY_LOGINS_MAX);
        if let Some(oldest) = own.and_then(|ids| ids.front().cloned()) {
            waiting.remove(&oldest);
        }
        waiting.of_entity.entry(key).or_default().push_back(login.id.clone());
        let login = Arc::new(login);
        waiting.by_id.insert(login.id.clone(), login.clone());
        waiting.order.push_back(login);
    }

    /// The login of this id, while it waits.
    pub fn find(&self, id: &str, now: Timestamp) -> Option<Arc<PendingLogin>> {
        let login = self.waiting.lock().by_id.get(id).cloned();
        login.filter(|login| now < login.since.plus_seconds(LOGIN_SECONDS))
    }

    /// The login has its token.
    pub fn remove(&self, id: &str) {
        self.waiting.lock().remove(id);
    }

    /// How many wait.
    pub fn count(&self, now: Timestamp) -> usize {
        let mut waiting = self.waiting.lock();
        waiting.tidy(now, LOGINS_MAX);
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
}
