//! Work on a stream in blocks of some chunks: this thread reads and writes, others work.
//!
//! Invariants:
//! * What comes out is in the order of what came in.
//! * What was read before reading failed is given out before the failure.
//! * A source that is slower than the work is waited for only when all that came before is written.
//! * The memory in use does not depend on how long the stream is.

use std::io::{self, Read};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use zeroize::{Zeroize, Zeroizing};

/// Chunks of a block.
const CHUNKS: usize = 4;
/// Blocks of each worker that are under way: one in work, one waiting.
const AHEAD: usize = 2;
/// Threads that work, at most: with more, reading and writing are what takes long.
const WORKERS_MAX: usize = 3;

/// Bytes that all tags of a block's chunks take together, at most.
const TAGS: usize = 32 * CHUNKS;

/// Some chunks, and what became of them. What was in it is wiped; memory that was not used is not touched,
/// which would take longer than all else that a short file needs.
pub struct Block {
    /// The number of its first chunk.
    pub first: u64,
    /// Is it the end of the stream?
    pub ends: bool,
    bytes: Vec<u8>,
    length: usize,
    out: Vec<u8>,
    out_length: usize,
    /// How much came in at most.
    filled: usize,
}

impl Drop for Block {
    fn drop(&mut self) {
        for (room, used) in [(&mut self.bytes, self.filled), (&mut self.out, self.filled + TAGS)] {
            let used = used.min(room.len());
            room.get_mut(..used).unwrap_or_default().zeroize();
        }
    }
}

impl Block {
    fn new(length_max: usize, out_max: usize) -> Self {
        Self {
            first: 0,
            ends: false,
            bytes: vec![0; length_max],
            length: 0,
            out: vec![0; out_max],
            out_length: 0,
            filled: 0,
        }
    }

    /// What came in, and the room for what goes out.
    pub fn parts(&mut self) -> (&[u8], &mut [u8]) {
        (self.bytes.get(..self.length).unwrap_or_default(), &mut self.out)
    }

    /// So much of the room is used.
    pub fn put(&mut self, length: usize) {
        self.out_length = length;
    }

    /// What goes out.
    pub fn out(&self) -> &[u8] {
        self.out.get(..self.out_length).unwrap_or_default()
    }

    /// Did nothing come in?
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// Reads blocks of whole chunks; only at the end there is a shorter one.
pub struct Source<R> {
    input: R,
    chunk: usize,
    /// Bytes that are held back, so that the last chunk of the stream is known to be that.
    keep: usize,
    out_max: usize,
    rest: Zeroizing<Vec<u8>>,
    next: u64,
    ended: bool,
    /// Had the input less than was asked for?
    slow: bool,
    spare: Vec<Block>,
    /// What went wrong; there is no further block.
    failed: Option<io::Error>,
}

impl<R: Read> Source<R> {
    /// Chunks of `chunk` bytes, of which `out` bytes become. With `holds_back`, a chunk is given out when
    /// it is known whether something follows.
    pub fn new(input: R, chunk: usize, out: usize, holds_back: bool) -> Self {
        Self {
            input,
            chunk,
            keep: usize::from(holds_back),
            out_max: CHUNKS * out,
            rest: Zeroizing::new(Vec::with_capacity(chunk)),
            next: 0,
            ended: false,
            slow: false,
            spare: Vec::new(),
            failed: None,
        }
    }

    /// Is there nothing more to be read?
    fn is_over(&self) -> bool {
        self.ended || self.failed.is_some()
    }

    /// How it ended, once there is no further block.
    fn outcome(&mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// The next block; nothing after the one that ends, or where reading failed.
    fn next(&mut self) -> Option<Block> {
        if self.is_over() {
            return None;
        }
        let most = CHUNKS * self.chunk + self.keep;
        let mut block = self.spare.pop().unwrap_or_else(|| Block::new(most, self.out_max));
        let mut length = self.rest.len();
        block.bytes.get_mut(..length).unwrap_or_default().copy_from_slice(&self.rest);
        block.filled = block.filled.max(length);
        loop {
            let room = block.bytes.get_mut(length..).unwrap_or_default();
            let asked = room.len();
            let read = match self.input.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.failed = Some(error);
                    0
                }
                Ok(read) => {
                    self.ended = read == 0;
                    read
                }
            };
            length += read;
            block.filled = block.filled.max(length);
            self.slow = read < asked;
            let whole = length.saturating_sub(self.keep) / self.chunk;
            if self.is_over() || (whole > 0 && self.slow) || read == asked {
                block.length = if self.ended { length } else { whole * self.chunk };
                break;
            }
        }
        let rest = block.bytes.get(block.length..length).unwrap_or_default();
        self.rest.clear();
        self.rest.extend_from_slice(rest);
        (block.first, block.ends) = (self.next, self.ended);
        self.next += block.length.div_ceil(self.chunk) as u64;
        // With nothing in it, it is a block only where it says that this is the end.
        (self.ended || block.length > 0).then_some(block)
    }
}

/// Hands each block to `work`, on other threads where there are some and it is worth it, and then, with
/// what `work` told, to `done`, in order.
pub fn each<R: Read, T: Send, E: From<io::Error>>(
    source: &mut Source<R>,
    work: &(dyn Fn(&mut Block) -> T + Sync),
    done: &mut dyn FnMut(&Block, T) -> Result<(), E>,
) -> Result<(), E> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let workers = cores.saturating_sub(1).min(WORKERS_MAX);
    // The first one here: most files have no second.
    while let Some(mut block) = source.next() {
        let told = work(&mut block);
        done(&block, told)?;
        source.spare.push(block);
        if workers > 0 && !source.is_over() && !source.slow {
            return beside(source, work, done, workers);
        }
    }
    Ok(source.outcome()?)
}

/// A worker: where blocks go, and where they come back with what was told.
type Line<T> = (SyncSender<Block>, Receiver<(Block, T)>);

fn beside<R: Read, T: Send, E: From<io::Error>>(
    source: &mut Source<R>,
    work: &(dyn Fn(&mut Block) -> T + Sync),
    done: &mut dyn FnMut(&Block, T) -> Result<(), E>,
    workers: usize,
) -> Result<(), E> {
    thread::scope(|scope| {
        let start = |_| {
            let (give, given) = sync_channel::<Block>(AHEAD);
            let (hand_back, back) = sync_channel(AHEAD);
            scope.spawn(move || {
                while let Ok(mut block) = given.recv() {
                    let told = work(&mut block);
                    if hand_back.send((block, told)).is_err() {
                        return;
                    }
                }
            });
            (give, back)
        };
        let lines: Vec<Line<T>> = (0..workers).map(start).collect();
        let gone = || E::from(io::Error::other("a thread ended"));
        let (mut given, mut taken) = (0_usize, 0_usize);
        loop {
            let under_way = given - taken;
            let full = under_way == workers * AHEAD;
            if full || (under_way > 0 && (source.is_over() || source.slow)) {
                let (_, back) = lines.get(taken % workers).ok_or_else(gone)?;
                let (block, told) = back.recv().map_err(|_| gone())?;
                taken += 1;
                done(&block, told)?;
                source.spare.push(block);
            } else {
                let Some(block) = source.next() else {
                    match under_way {
                        0 => return Ok(source.outcome()?),
                        _ => continue,
                    }
                };
                let (give, _) = lines.get(given % workers).ok_or_else(gone)?;
                give.send(block).map_err(|_| gone())?;
                given += 1;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes at a time.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let some = self.1.min(room.len()).min(self.0.len());
            let (now, later) = self.0.split_at(some);
            room[..some].copy_from_slice(now);
            self.0 = later;
            Ok(some)
        }
    }

    fn through(input: impl Read, holds_back: bool) -> (Vec<u8>, Vec<(u64, bool, usize)>) {
        let mut source = Source::new(input, 10, 10, holds_back);
        let (mut all, mut shapes) = (Vec::new(), Vec::new());
        each(
            &mut source,
            &|block| {
                let (bytes, out) = block.parts();
                out[..bytes.len()].copy_from_slice(bytes);
                let length = bytes.len();
                block.put(length);
                length
            },
            &mut |block, length| {
                shapes.push((block.first, block.ends, length));
                all.extend_from_slice(block.out());
                Ok::<_, io::Error>(())
            },
        )
        .unwrap();
        (all, shapes)
    }

    #[test]
    fn what_comes_out_is_what_came_in() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1_037).collect();
        for length in [0, 1, 9, 10, 11, 40, 41, 80, 1_037] {
            for drop in [1, 7, 10, 40, 41, 5_000] {
                for holds_back in [false, true] {
                    let input = Drops(&bytes[..length], drop);
                    let (all, shapes) = through(input, holds_back);
                    assert!(all == bytes[..length], "{length} {drop}");
                    let (last, before) = shapes.split_last().unwrap();
                    assert!(last.1 && before.iter().all(|it| !it.1 && it.2 % 10 == 0 && it.2 > 0));
                    let mut next = 0;
                    for (first, _, length) in &shapes {
                        assert_eq!(*first, next);
                        next += length.div_ceil(10) as u64;
                    }
                    // The last block has something, where it has to be known what is last.
                    assert!(!holds_back || length == 0 || last.2 > 0, "{length} {drop}");
                }
            }
        }
    }

    #[test]
    fn what_is_there_is_not_kept_waiting() {
        // Twenty-five bytes, then nothing for long: two chunks are given out before.
        struct Slow<'a>(usize, &'a std::cell::Cell<u64>);
        impl Read for Slow<'_> {
            fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 | 2 => {
                        room[..25].fill(1);
                        Ok(25)
                    }
                    _ => {
                        assert_eq!(self.1.get(), 5);
                        Ok(0)
                    }
                }
            }
        }
        let seen = std::cell::Cell::new(0);
        let mut source = Source::new(Slow(0, &seen), 10, 10, false);
        each(&mut source, &|block| block.parts().0.len() as u64, &mut |_, length| {
            seen.set(seen.get() + length / 10);
            Ok::<_, io::Error>(())
        })
        .unwrap();
        assert_eq!(seen.get(), 5);
    }

    #[test]
    fn what_came_before_a_failure_is_given_out() {
        struct Fails<'a>(Drops<'a>);
        impl Read for Fails<'_> {
            fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
                match self.0.read(room)? {
                    0 => Err(io::Error::other("gone")),
                    some => Ok(some),
                }
            }
        }
        let bytes = [7; 1_037];
        for length in [0, 9, 10, 11, 25, 40, 41, 437, 1_037] {
            for drop in [1, 7, 10, 40, 41, 5_000] {
                for holds_back in [false, true] {
                    let input = Fails(Drops(&bytes[..length], drop));
                    let mut source = Source::new(input, 10, 10, holds_back);
                    let mut given_out = 0;
                    let done = each(
                        &mut source,
                        &|block| (block.parts().0.len(), block.ends),
                        &mut |_, (length, ends)| {
                            assert!(!ends && length > 0);
                            given_out += length;
                            Ok::<_, io::Error>(())
                        },
                    );
                    assert_eq!(done.unwrap_err().to_string(), "gone");
                    let whole = length.saturating_sub(usize::from(holds_back)) / 10 * 10;
                    assert_eq!(given_out, whole, "{length} {drop} {holds_back}");
                }
            }
        }
    }

    #[test]
    fn failures_end_it() {
        struct Fails(usize);
        impl Read for Fails {
            fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                if self.0 == 9 { Err(io::Error::other("gone")) } else { Ok(room.len()) }
            }
        }
        let mut source = Source::new(Fails(0), 10, 10, false);
        let read = each(&mut source, &|_| (), &mut |_, ()| Ok::<_, io::Error>(()));
        assert_eq!(read.unwrap_err().to_string(), "gone");
        let mut source = Source::new(Drops(&[0; 900], 900), 10, 10, false);
        let mut left = 5;
        let written = each(&mut source, &|_| (), &mut |_, ()| {
            left -= 1;
            if left == 0 { Err(io::Error::other("full")) } else { Ok(()) }
        });
        assert_eq!(written.unwrap_err().to_string(), "full");
    }
}
