//! What a certificate's extensions tell whoever verifies it.

use super::certificate::Certificate;
use super::extension::ids;
use super::general_name::GeneralName;
use super::tlv::{self, Reader};
use super::{Result, oid};

/// Values that are read of one extension.
const VALUES_MAX: usize = 100;

/// Identifiers of extended usages.
pub mod usages {
    /// Any.
    pub const ANY: &str = "2.5.29.37.0";
    /// Client authentication.
    pub const CLIENT: &str = "1.3.6.1.5.5.7.3.2";
    /// Signing of answers about certificates' status.
    pub const OCSP_SIGNING: &str = "1.3.6.1.5.5.7.3.9";
}

impl Certificate {
    /// Its extended usages, dotted; none where it says nothing of them.
    pub fn extended_usages(&self) -> Result<Option<Vec<String>>> {
        let Some(value) = self.extension(ids::EXTENDED_USAGE) else { return Ok(None) };
        let mut all = Reader::new(value).sequence()?;
        let mut out = Vec::new();
        while !all.is_empty() && out.len() < VALUES_MAX {
            out.push(all.next()?.oid()?);
        }
        Ok(Some(out))
    }

    /// Do its extended usages allow this one? Where it says nothing of them, they allow all.
    pub fn is_for(&self, usage: &str) -> bool {
        match self.extended_usages() {
            Ok(None) => true,
            Ok(Some(all)) => all.iter().any(|one| one == usage || one == usages::ANY),
            Err(_) => false,
        }
    }

    /// Where its status may be asked (Authority Information Access).
    pub fn ocsp_urls(&self) -> Vec<String> {
        let Some(value) = self.extension(ids::AUTHORITY_INFO) else { return Vec::new() };
        let read = || -> Result<Vec<String>> {
            let mut all = Reader::new(value).sequence()?;
            let mut urls = Vec::new();
            while !all.is_empty() && urls.len() < VALUES_MAX {
                let mut one = all.sequence()?;
                let method = one.next()?.raw == oid::known("1.3.6.1.5.5.7.48.1");
                if let (true, GeneralName::Uri(url)) = (method, GeneralName::read(&one.next()?)?) {
                    urls.push(url);
                }
            }
            Ok(urls)
        };
        read().unwrap_or_default()
    }

    /// The text of an extension whose value is a string; "" where it is none, nothing where the
    /// extension is not there.
    pub fn extension_text(&self, id: &str) -> Option<String> {
        let value = Reader::new(self.extension(id)?).next().ok();
        let text = value.filter(|value| {
            matches!(value.tag, tlv::UTF8_STRING | tlv::PRINTABLE_STRING | tlv::IA5_STRING)
                || matches!(value.tag, tlv::NUMERIC_STRING | tlv::TELETEX_STRING)
        });
        let text = text.and_then(|text| std::str::from_utf8(text.value).ok());
        Some(text.unwrap_or_default().to_owned())
    }
}
