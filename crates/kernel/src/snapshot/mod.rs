//! Snapshots: all records of the store in one file, as they were at one moment, and such a file
//! taken in again. All of it is encrypted as the storage keeps it; the keys are not in it.

pub mod archive;

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use strongroom_base::{Error, Result};
use strongroom_storage::copies::{Copies, Staged};
use strongroom_storage::{Key, StorageError};
use tokio::sync::mpsc;

use self::archive::{Contents, Failure, ID, Meta, Parts, VERSION};
use crate::node::{Services, VAULT_VERSION};
use crate::plug::{Stream, Upload};
use crate::record::{indexes, storage_error};
use crate::seal::{AUTO, KEYRING, RootKey, root_key, unwrap_with, wrap_with};

/// What the sealed sums are bound to.
const SEALED_SUMS: &[u8] = b"snapshot sums";
/// Pieces between whoever reads and whoever writes.
const PIECES: usize = 8;
/// Bytes of a piece that is sent.
const PIECE_BYTES: usize = 64 << 10;
/// Bytes that are still read of a snapshot that is refused already, so that its sender reads why.
const PASSED_OVER_BYTES_MAX: usize = 256 << 20;

/// A snapshot that was found whole, on the store's disk.
pub struct Checked {
    pub(crate) staged: Staged,
    /// The root key that opens it, if it is at hand.
    pub(crate) root: Option<RootKey>,
}

impl Services {
    /// Takes a snapshot. It is sent while it is made.
    pub async fn take_snapshot(self: &Arc<Self>) -> Result<Stream> {
        let copies = self.copies()?;
        let revision = self.store.storage.revision();
        let now = self.store.now();
        let parts = blocking(move || {
            let state = copies.take().map_err(taking)?;
            let size = state.metadata().map_err(Error::internal)?.len();
            let meta = Meta {
                version: VERSION,
                id: ID.to_owned(),
                index: revision,
                size,
                created: now.to_string(),
                server: VAULT_VERSION.to_owned(),
            };
            Parts::new(&meta, state).map_err(Error::internal)
        })
        .await?;
        let root = self.current_root().await?;
        let sealed = wrap_with(&root, SEALED_SUMS, &parts.sums, &*self.store.rng)?;
        let (sender, pieces) = mpsc::channel(PIECES);
        let seconds = u64::try_from(now.seconds()).unwrap_or_default();
        tokio::task::spawn_blocking(move || {
            let out = io::BufWriter::with_capacity(PIECE_BYTES, Sending(sender.clone()));
            if let Err(error) = parts.write(out, &sealed, seconds) {
                tracing::warn!(%error, "a snapshot was not sent whole");
                let _ = sender.blocking_send(Err(error));
            }
        });
        Ok(Stream { content_type: "application/gzip", attachment: true, pieces })
    }

    /// Takes a snapshot in, to its end, and checks all of it. Nothing of the store is changed.
    pub async fn check_snapshot(
        self: &Arc<Self>,
        mut upload: Box<dyn Upload>,
        force: bool,
    ) -> Result<Checked> {
        let copies = self.copies()?;
        let (sender, arriving) = mpsc::channel(PIECES);
        let reading = tokio::task::spawn_blocking({
            let copies = copies.clone();
            move || take_in(&*copies, Arriving { pieces: arriving, rest: Bytes::new() })
        });
        let sent = send_on(&mut *upload, sender).await;
        let read = reading.await.map_err(Error::internal)?;
        sent?;
        let (contents, staged) = read?;
        let root = self.root_of(&*copies, &contents, &staged).await?;
        if root.is_none() && !force {
            let node = self.node.upgrade().ok_or_else(Error::sealed)?;
            let keys = match node.auto_seal {
                Some(_) => "a different autoseal key",
                None => "a different set of unseal keys",
            };
            return Err(Error::bad_request(format!(
                "could not verify hash file, possibly the snapshot is using {keys}; use the \
                 snapshot-force API to bypass this check"
            )));
        }
        Ok(Checked { staged, root })
    }

    fn copies(&self) -> Result<Arc<dyn Copies>> {
        let copies = self.store.storage.copies();
        copies.ok_or_else(|| Error::bad_request("raft storage is not in use"))
    }

    /// The root key that opens a snapshot, if it is at hand: the one in use, or one that the
    /// automatic seal unwraps.
    async fn root_of(
        &self,
        copies: &dyn Copies,
        contents: &Contents,
        staged: &Staged,
    ) -> Result<Option<RootKey>> {
        let meta = |name: &[u8]| {
            let key = Key::Index(indexes::META, smallvec::SmallVec::from_slice(name));
            copies.record(staged, &key).map_err(storage_error)
        };
        let ring = meta(KEYRING)?
            .ok_or_else(|| Error::bad_request("the snapshot is of a store without keys"))?;
        let opens = |root: &RootKey| {
            unwrap_with(root, SEALED_SUMS, &contents.sealed)
                .is_some_and(|sums| *sums.expose_secret() == contents.sums)
                && unwrap_with(root, KEYRING, &ring).is_some()
        };
        let own = root_key(self.root_key.read().expose_secret()).filter(&opens);
        if own.is_some() {
            return Ok(own);
        }
        let auto = self.node.upgrade().and_then(|node| node.auto_seal.clone());
        let (Some(auto), Some(wrapped)) = (auto, meta(AUTO)?) else { return Ok(None) };
        Ok(auto.unwrap(&wrapped).await.ok().filter(opens))
    }
}

/// Runs what waits for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

fn taking(error: StorageError) -> Error {
    match error {
        StorageError::Full => {
            Error::unavailable("the disk has no room for a copy of the store").because(error)
        }
        StorageError::Busy(_) => {
            Error::unavailable("another snapshot is being taken or restored; try again")
        }
        other => storage_error(other),
    }
}

/// Reads an archive into a staged file, and checks what came of it.
fn take_in(copies: &dyn Copies, arriving: Arriving) -> Result<(Contents, Staged)> {
    let mut staged = copies.stage().map_err(taking)?;
    let contents = archive::read(arriving, &mut staged).map_err(|failure| match failure {
        Failure::Snapshot(why) => {
            Error::bad_request(format!("the snapshot cannot be restored: {why}"))
        }
        Failure::Disk(e) if e.kind() == io::ErrorKind::StorageFull => {
            Error::unavailable("the disk has no room for the snapshot").because(e)
        }
        Failure::Disk(e) => Error::internal(e),
    })?;
    match copies.check(&staged) {
        Ok(()) => Ok((contents, staged)),
        Err(error @ (StorageError::Full | StorageError::ReadOnly)) => Err(storage_error(error)),
        Err(error) => Err(Error::bad_request(
            "the snapshot cannot be restored: what it holds is no whole store",
        )
        .because(error)),
    }
}

/// Hands a body on, to its end; what nobody takes any more is passed over.
async fn send_on(upload: &mut dyn Upload, sender: mpsc::Sender<io::Result<Bytes>>) -> Result<()> {
    let mut passed_over = 0;
    loop {
        match upload.next().await {
            Ok(Some(piece)) => {
                let bytes = piece.len();
                if sender.send(Ok(piece)).await.is_err() {
                    passed_over += bytes;
                    if passed_over > PASSED_OVER_BYTES_MAX {
                        return Ok(());
                    }
                }
            }
            Ok(None) => return Ok(()),
            Err(error) => {
                let _ = sender.send(Err(io::ErrorKind::ConnectionAborted.into())).await;
                return Err(error);
            }
        }
    }
}

/// A body that arrives, for who reads it on a thread of its own.
struct Arriving {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl Read for Arriving {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.rest = piece?,
                None => return Ok(0),
            }
        }
        let bytes = self.rest.len().min(out.len());
        out[..bytes].copy_from_slice(&self.rest.split_to(bytes));
        Ok(bytes)
    }
}

/// A body that leaves.
struct Sending(mpsc::Sender<io::Result<Bytes>>);

impl io::Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
