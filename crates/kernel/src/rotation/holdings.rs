//! Holdings: who has which version, and moves on from it.
//!
//! Invariants:
//! * a version has a bounded number of holders that are noted one by one. Where there are more, those who
//!   come then count together, until the deadline: nothing is taken from anybody who is not noted;
//! * what is noted of a login goes with it ([`super::ended`]), not only with the version;
//! * a read by who is noted already costs no write, and what a first one costs does not grow with the
//!   number of holders.

use std::sync::Arc;

use strongroom_base::{Error, ErrorKind, Result, Timestamp};
use strongroom_storage::IndexKey;

use super::Rotations;
use super::consumers::{Consumer, KEY_PREFIX_BYTES, address};
use super::stored::{FansOut, Holding, Moved, Narrowed, State, Subject};
use crate::node::Services;
use crate::plug::Request;
use crate::record::{Id, Scope, Tx, indexes, prefix_end, storage_error};

/// The end of a login with each request is noted anew when this part of its life has gone by.
const RENEWED_PART: i64 = 4;
/// Tokens below one login that are kept of a holder.
const READERS_MAX: usize = 16;
/// The holders of a version lie in so many parts of their range of keys, told apart by the first bits of
/// digests of their names, …
const PART_BITS: u32 = 10;
/// … and each part has room for so many. A look at one part tells, flatly, that there are too many in all:
/// some 80,000 fit before the first part is full.
const PART_HOLDERS_MAX: usize = 128;
/// The name of those who found no room.
const CROWD: &str = "crowd";

impl Consumer {
    /// Lives it notably longer than what is noted of it says? Each request of one that logs in with it is a
    /// login of its own; what ends at a time of its own is noted as it is.
    fn renews(&self, known: &Holding) -> bool {
        let (Some(new), Some(known)) = (&self.batch, &known.batch) else { return false };
        let longer = known.expires.seconds_until(new.expires);
        let life = new.created.seconds_until(new.expires);
        self.inline && longer > if self.is_temporary { 0 } else { life / RENEWED_PART }
    }
}

/// Notes that a version has readers who were not noted: they count until the deadline.
pub(super) fn note_unknown(tx: &Tx, scope: Scope, holders: Id, now: Timestamp) -> Result<()> {
    let holding = unknown("readers of before", FansOut::Unnoted, now);
    tx.write(scope).put_named(holders, "unnoted", &holding)
}

/// Notes that a version has more readers than are noted one by one.
async fn note_crowd(tx: &Tx, scope: Scope, holders: Id, now: Timestamp) -> Result<()> {
    if tx.read(scope).cached::<Holding>(holders, CROWD).await?.is_some() {
        return Ok(());
    }
    tx.write(scope).put_named(holders, CROWD, &unknown("more readers", FansOut::Crowd, now))
}

fn unknown(display_name: &str, why: FansOut, now: Timestamp) -> Holding {
    Holding {
        login: 0,
        readers: Vec::new(),
        crowded: false,
        batch: None,
        since: now,
        display_name: display_name.to_owned(),
        address: String::new(),
        narrowed: Narrowed::No,
        fans_out: Some(why),
    }
}

/// A consumer that moves on from the version before, as soon as it has its answer.
pub(crate) struct Moves {
    subject: Id,
    /// The number of the holders of that version.
    holders: Id,
    name: String,
}

/// Which version somebody reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reads {
    /// The one that is published: it may not be another by now.
    Published,
    /// One that was named, whatever has become of it.
    Named,
}

impl Rotations {
    /// Notes that the caller of `request` gets this version of a subject's credential, in the
    /// transaction of its answer. What was noted already costs nothing but a look; what was read by
    /// name of a version that is taken back is nobody's holding.
    pub(crate) async fn hold(
        &self,
        services: &Services,
        tx: &Tx,
        request: &Request,
        name: &str,
        version: u64,
        reads: Reads,
    ) -> Result<Option<Moves>> {
        let scope = request.mount.scope;
        let subject = tx.read(scope).cached::<Subject>(0, name).await?;
        let subject = match subject {
            None if reads == Reads::Named => return Ok(None),
            subject => subject.ok_or_else(|| Error::internal("no such subject is rotated"))?,
        };
        if !subject.plan.two_accounts {
            return Ok(None);
        }
        let draining = subject.run.as_ref().filter(|run| run.state == State::Draining);
        let old = draining.and_then(|run| run.old);
        let holders = match old {
            _ if version == subject.version => subject.holders,
            Some(old) if old.version == version => old.holders,
            _ if reads == Reads::Named => return Ok(None),
            // A rotation came between what the engine read and this.
            _ => return Err(Error::new(ErrorKind::Conflict, "the credential was rotated")),
        };
        let consumer = self.consumer(services, request).await?;
        self.note(tx, request, (subject.id, holders), &consumer).await?;
        let Some(old) = old else { return Ok(None) };
        let edit = tx.write(scope);
        if version == old.version {
            if tx.read(scope).named::<Moved>(old.holders, &consumer.name).await?.is_some() {
                edit.delete_named::<Moved>(old.holders, &consumer.name);
            }
            return Ok(None);
        }
        let holding = tx.read(scope).cached::<Holding>(old.holders, &consumer.name).await?;
        let moves = holding.is_some_and(|holding| holding.fans_out.is_none());
        Ok(moves.then(|| Moves { subject: subject.id, holders: old.holders, name: consumer.name }))
    }

    /// A consumer has the answer with the newer version.
    pub(crate) fn told(&self, services: &Arc<Services>, scope: Scope, moves: Moves) {
        let subject = moves.subject;
        self.moves.lock().entry(subject).or_default().push(moves);
        self.nudge(services, scope, subject);
    }

    /// Notes that those have moved on who got the newer version since the last look.
    pub(super) async fn note_moves(
        &self,
        scope: Scope,
        subject: Id,
        old: Id,
        now: Timestamp,
    ) -> Result<()> {
        let Some(moves) = self.moves.lock().remove(&subject) else { return Ok(()) };
        let moves = &moves;
        self.store
            .transact(|tx| async move {
                for Moves { name, .. } in moves.iter().filter(|moves| moves.holders == old) {
                    self.leave(&tx, scope, old, name, now).await?;
                }
                Ok(())
            })
            .await
    }

    /// Notes a holder, if it is not noted yet.
    async fn note(
        &self,
        tx: &Tx,
        request: &Request,
        (subject, holders): (Id, Id),
        consumer: &Consumer,
    ) -> Result<()> {
        let scope = request.mount.scope;
        let known = tx.read(scope).cached::<Holding>(holders, &consumer.name).await?;
        let below = consumer.reader != consumer.login;
        let holding = match known {
            Some(known) => {
                let noted = !below || known.crowded || known.readers.contains(&consumer.reader);
                let renews = consumer.renews(&known);
                if noted && !renews && (known.fans_out.is_some() || consumer.fans_out.is_none()) {
                    return Ok(());
                }
                let mut holding = (*known).clone();
                if renews {
                    holding.batch = consumer.batch.clone();
                }
                holding.fans_out = holding.fans_out.or(consumer.fans_out);
                match holding.readers.len() {
                    _ if noted => {}
                    READERS_MAX.. => holding.crowded = true,
                    _ => holding.readers.push(consumer.reader),
                }
                holding
            }
            None => {
                if self.is_crowded(tx, scope, holders, &consumer.name).await? {
                    return note_crowd(tx, scope, holders, request.now).await;
                }
                self.look_when_ended(tx, scope, (subject, holders), consumer, request.now);
                Holding {
                    login: consumer.login,
                    readers: if below { vec![consumer.reader] } else { Vec::new() },
                    crowded: false,
                    batch: consumer.batch.clone(),
                    since: request.now,
                    display_name: request.display_name().to_owned(),
                    address: address(request),
                    narrowed: consumer.narrowed.clone(),
                    fans_out: consumer.fans_out,
                }
            }
        };
        tx.write(scope).put_named(holders, &consumer.name, &holding)
    }

    /// Notes that a consumer has moved on. Answers whether it was there.
    pub(super) async fn leave(
        &self,
        tx: &Tx,
        scope: Scope,
        holders: Id,
        name: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let holding = tx.read(scope).cached::<Holding>(holders, name).await?;
        if holding.is_none_or(|holding| holding.fans_out.is_some()) {
            return Ok(false);
        }
        let edit = tx.write(scope);
        edit.delete_named::<Holding>(holders, name);
        edit.put_named(holders, name, &Moved(now))?;
        Ok(true)
    }

    /// Have so many noted themselves as holders of a version that this one finds no room?
    async fn is_crowded(&self, tx: &Tx, scope: Scope, holders: Id, name: &str) -> Result<bool> {
        let view = tx.read(scope);
        if view.cached::<Holding>(holders, CROWD).await?.is_some() {
            return Ok(true);
        }
        let (from, to) = part_of(&view.index_key::<Holding>(holders, name));
        let limit = PART_HOLDERS_MAX;
        let part = self.store.storage.scan_index(indexes::NAMES, &from, &to, limit).done().await;
        Ok(part.map_err(storage_error)?.len() >= limit)
    }
}

/// The range of the part that a holder's key lies in.
fn part_of(key: &IndexKey) -> (IndexKey, IndexKey) {
    let (prefix, digest) = key.split_at(KEY_PREFIX_BYTES.min(key.len()));
    let first = digest.first_chunk().map_or(0, |first| u16::from_be_bytes(*first));
    let size = 1 << (u16::BITS - PART_BITS);
    let start = first & !(size - 1);
    let at = |start: u16| {
        let mut key = IndexKey::from_slice(prefix);
        key.extend_from_slice(&start.to_be_bytes());
        key
    };
    (at(start), start.checked_add(size).map_or_else(|| prefix_end(prefix), at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Record, name_prefix};

    #[test]
    fn parts_lie_side_by_side() {
        let prefix = name_prefix(Scope(7), Holding::KIND, 9);
        let key = |digest: &[u8]| {
            let mut key = prefix.clone();
            key.extend_from_slice(digest);
            key
        };
        for (digest, from, to) in [
            ([0x00, 0x00], [0x00, 0x00], Some([0x00, 0x40])),
            ([0x00, 0x3f], [0x00, 0x00], Some([0x00, 0x40])),
            ([0x00, 0x40], [0x00, 0x40], Some([0x00, 0x80])),
            ([0x12, 0xff], [0x12, 0xc0], Some([0x13, 0x00])),
            ([0xff, 0xff], [0xff, 0xc0], None),
        ] {
            let to = to.map_or_else(|| prefix_end(&prefix), |to| key(&to));
            assert_eq!(part_of(&key(&digest)), (key(&from), to), "{digest:02x?}");
        }
    }
}
