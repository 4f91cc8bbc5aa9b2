//! Opaque ids of lines, by which a caller can ask why a request was denied.

use strongroom_base::{Error, Json, Result};

use super::{AuditLog, verify};
use crate::record::Scope;

impl AuditLog {
    /// The opaque id of a line, by which it can be asked for.
    pub(super) fn explain_id(&self, index: u64) -> String {
        let tag = self.explain_tag(index);
        let pad = self.store.barrier.digest(Scope::ROOT, &[b"explain pad", &tag]);
        let mut bytes = [0_u8; 16];
        for (i, byte) in index.to_be_bytes().iter().enumerate() {
            bytes[i] = byte ^ pad[i];
        }
        bytes[8..].copy_from_slice(&tag);
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes)
    }

    fn explain_tag(&self, index: u64) -> [u8; 8] {
        let digest =
            self.store.barrier.digest(Scope::ROOT, &[b"explain tag", &index.to_be_bytes()]);
        let mut tag = [0; 8];
        tag.copy_from_slice(&digest[..8]);
        tag
    }

    /// The line that an explain id names; `None` where the id is not ours or the line is gone.
    pub fn explained(&self, id: &str) -> Result<Option<Json>> {
        let engine = &base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let Ok(bytes) = base64::Engine::decode(engine, id) else { return Ok(None) };
        let Ok(bytes) = <[u8; 16]>::try_from(bytes.as_slice()) else { return Ok(None) };
        let pad = self.store.barrier.digest(Scope::ROOT, &[b"explain pad", &bytes[8..]]);
        let mut index = [0; 8];
        for i in 0..8 {
            index[i] = bytes[i] ^ pad[i];
        }
        let index = u64::from_be_bytes(index);
        if !strongroom_crypto::constant_time_eq(&self.explain_tag(index), &bytes[8..]) {
            return Ok(None);
        }
        verify::line_at(&*self.medium, index).map_err(Error::internal)
    }
}
