//! `NextToken`: where a list goes on, authenticated, so that a token is good for the very list that
//! gave it and for no other.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use strongroom_base::Result;
use strongroom_kernel::record::{ReadView, decode, encode};

use super::limits::NEXT_TOKEN_BYTES_MAX;
use super::refusals;

/// Bytes of the digest before the place.
const DIGEST_BYTES: usize = 16;

fn digest(view: &ReadView<'_>, context: &impl Serialize, place: &[u8]) -> Result<Vec<u8>> {
    let signed = encode(&("aws next token", context, place))?;
    let digest = view.digest_of(&[&signed]);
    Ok(digest.get(..DIGEST_BYTES).unwrap_or_default().to_vec())
}

/// The token for going on behind `place` in the list that `context` describes.
pub(super) fn seal(
    view: &ReadView<'_>,
    context: &impl Serialize,
    place: &impl Serialize,
) -> Result<String> {
    let place = encode(place)?;
    let mut token = digest(view, context, &place)?;
    token.extend_from_slice(&place);
    Ok(URL_SAFE_NO_PAD.encode(token))
}

/// The place that a token names.
pub(super) fn open<C: Serialize, P: DeserializeOwned>(
    view: &ReadView<'_>,
    context: &C,
    token: &str,
) -> Result<P> {
    let bad = refusals::bad_next_token;
    if token.len() > NEXT_TOKEN_BYTES_MAX {
        return Err(bad());
    }
    let token = URL_SAFE_NO_PAD.decode(token).map_err(|_| bad())?;
    let (given, place) = token.split_at_checked(DIGEST_BYTES).ok_or_else(bad)?;
    if !strongroom_crypto::constant_time_eq(&digest(view, context, place)?, given) {
        return Err(bad());
    }
    decode(place).map_err(|_| bad())
}
