//! Files that the surroundings of the server's process put down for it: the account of the pod that it
//! runs in.
//!
//! Invariants:
//! * a file's path stands in the code: no request and no setting of the API names one (threat:
//!   CVE-2025-6000);
//! * what is read is bounded, and wiped.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use strongroom_base::SecretString;
use tokio::io::AsyncReadExt;

/// Bytes of a file: certificates and tokens have a tenth of it.
pub const FILE_BYTES_MAX: u64 = 256 * 1024;

/// The text to come; `None` where no such file is there, or none that is a text of
/// [`FILE_BYTES_MAX`] at most.
pub type Reading<'a> = Pin<Box<dyn Future<Output = Option<SecretString>> + Send + 'a>>;

/// Whoever has the files: the machine, or a stand-in of the simulation.
pub trait Files: Send + Sync + fmt::Debug {
    /// Reads the file at a path.
    fn read(&self, path: &'static str) -> Reading<'_>;
}

/// The machine that the process runs on.
#[derive(Debug)]
pub struct Machine;

impl Files for Machine {
    fn read(&self, path: &'static str) -> Reading<'_> {
        Box::pin(async move {
            let file = tokio::fs::File::open(path).await.ok()?;
            let mut text = String::new();
            let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).await;
            let text = SecretString::new(text);
            (read.ok()? as u64 <= FILE_BYTES_MAX).then_some(text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{FILE_BYTES_MAX, Files, Machine};

    #[tokio::test]
    async fn texts_of_a_bounded_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| -> &'static str {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path.display().to_string().leak()
        };
        let largest = vec![b'x'; FILE_BYTES_MAX as usize];
        for (name, bytes, there) in [
            ("text", b"token\n".as_slice(), true),
            ("largest", &largest, true),
            ("larger", &[&largest[..], b"x"].concat(), false),
            ("no-text", b"\xff\xfe", false),
        ] {
            let read = Machine.read(write(name, bytes)).await;
            assert_eq!(
                read.is_some_and(|text| text.expose_secret().as_bytes() == bytes),
                there,
                "{name}"
            );
        }
        assert!(Machine.read("/nowhere/at/all").await.is_none());
    }
}
