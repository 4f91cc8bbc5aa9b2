//! Files that are there if a test says so.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_base::SecretString;
use strongroom_connectors::files::{Files, Reading};

/// Files by path.
#[derive(Debug, Default)]
pub struct SimFiles(Mutex<HashMap<&'static str, String>>);

impl SimFiles {
    /// None yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on this is the text of the file at `path`.
    pub fn put(&self, path: &'static str, text: &str) {
        self.0.lock().insert(path, text.to_owned());
    }

    /// From now on no file is at `path`.
    pub fn remove(&self, path: &str) {
        self.0.lock().remove(path);
    }
}

impl Files for SimFiles {
    fn read(&self, path: &'static str) -> Reading<'_> {
        let text = self.0.lock().get(path).cloned().map(SecretString::new);
        Box::pin(std::future::ready(text))
    }
}
