//! Lists in pages: a page ends with a marker, by which the next one begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use strongroom_base::{Error, Result};

use super::super::limits::KMS_PAGE_MAX;

/// Which part of a sorted list is asked for.
pub struct Page {
    /// The last entry of the page before.
    after: Option<String>,
    most: usize,
}

impl Page {
    /// As a request says it: `limit` entries, `usual` where nothing is said.
    pub fn asked(marker: Option<&str>, limit: Option<i64>, usual: usize) -> Result<Self> {
        let most = match limit {
            None => usual,
            Some(limit) if (1..=KMS_PAGE_MAX).contains(&limit) => {
                usize::try_from(limit).unwrap_or(usual)
            }
            Some(_) => {
                return Err(Error::bad_request(format!(
                    "the limit must be between 1 and {KMS_PAGE_MAX}"
                ))
                .called("ValidationException"));
            }
        };
        let wrong = || Error::bad_request("the marker is none").called("InvalidMarkerException");
        let after = match marker {
            None => None,
            Some(marker) => {
                let bytes = URL_SAFE_NO_PAD.decode(marker).map_err(|_| wrong())?;
                Some(String::from_utf8(bytes).map_err(|_| wrong())?)
            }
        };
        Ok(Self { after, most })
    }

    /// The names of a sorted list that come after the page before.
    pub fn rest<'n>(&self, names: &'n [String]) -> &'n [String] {
        let after = self.after.as_deref();
        let from = after.map_or(0, |after| names.partition_point(|name| name.as_str() <= after));
        names.get(from..).unwrap_or_default()
    }

    /// Is a page of so many entries full?
    pub fn is_full(&self, entries: usize) -> bool {
        entries >= self.most
    }
}

/// The marker of a page that ends with the entry of this name.
pub fn marker(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}
