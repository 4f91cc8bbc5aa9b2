//! What AWS calls secrets and versions: both follow from the ids that the model has anyway.

use std::fmt::Write;

use crate::kv::secret::{AWS_CURRENT, AWS_PREVIOUS, Head, Select, Version, VersionExtra};

/// The signs of an ARN's suffix.
const SIGNS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// How many there are.
const SUFFIX_CHARS: usize = 6;

/// The six characters at the end of the ARN of the secret `id`: other ones after it was made anew.
pub(super) fn suffix(id: u128) -> String {
    // All that six digits can tell; what is left is small enough for the processor's own division.
    let mut rest = (id % 62_u128.pow(SUFFIX_CHARS as u32)) as u64;
    let mut next = || {
        let sign = SIGNS.get((rest % 62) as usize).copied().unwrap_or(b'A');
        rest /= 62;
        char::from(sign)
    };
    (0..SUFFIX_CHARS).map(|_| next()).collect()
}

/// An id in the form of a UUID.
fn uuid(id: u128) -> String {
    let mut text = String::with_capacity(36);
    // Into memory: it does not fail.
    let _ = write!(text, "{id:032x}");
    [8, 13, 18, 23].into_iter().for_each(|at| text.insert(at, '-'));
    text
}

/// The id that a client request token is, if it is one in its usual form: then nothing more needs to
/// be kept of it.
pub(super) fn of_uuid(text: &str) -> Option<u128> {
    let hex: String = text.split('-').collect();
    let id = u128::from_str_radix(&hex, 16).ok().filter(|id| *id != 0)?;
    (uuid(id) == text).then_some(id)
}

/// The id of a new version that AWS calls `token`, and what is kept of that.
pub(super) fn of_new(
    head: &Head,
    token: &str,
    fresh: impl FnOnce() -> u128,
) -> (u128, Option<Box<VersionExtra>>) {
    match of_uuid(token).filter(|id| head.version(Select::Id(*id)).is_none()) {
        Some(id) => (id, None),
        None => {
            let client_token = Some(token.to_owned());
            (fresh(), Some(Box::new(VersionExtra { client_token, ..VersionExtra::default() })))
        }
    }
}

/// A version's id as AWS shows it.
pub(super) fn version_id(version: &Version) -> String {
    match client_token(version) {
        Some(token) => token.to_owned(),
        None => uuid(version.id),
    }
}

fn client_token(version: &Version) -> Option<&str> {
    version.extra.as_ref().and_then(|e| e.client_token.as_deref())
}

/// The version that AWS calls `id`: of several publications of it, the newest.
pub(super) fn find<'h>(head: &'h Head, id: &str) -> Option<&'h Version> {
    if let Some(version) = head.version(Select::ClientToken(id)) {
        return head.version(Select::Id(version.id));
    }
    let version = head.version(Select::Id(of_uuid(id)?))?;
    Some(version).filter(|v| client_token(v).is_none())
}

/// The labels of the version `id`, in the order in which they were put on.
pub(super) fn stages(head: &Head, id: u128) -> Vec<String> {
    let mut stages: Vec<String> =
        head.stages.iter().filter(|(_, at)| *at == id).map(|(name, _)| name.clone()).collect();
    for stage in [AWS_CURRENT, AWS_PREVIOUS] {
        if head.staged(stage) == Some(id) && !stages.iter().any(|s| s == stage) {
            stages.push(stage.to_owned());
        }
    }
    stages
}

/// The versions, each once however often it was published, oldest first; of several publications the
/// newest stands for all.
pub(super) fn distinct(head: &Head) -> Vec<&Version> {
    let mut versions: Vec<&Version> = Vec::new();
    for version in &head.versions {
        match versions.iter_mut().find(|v| v.id == version.id) {
            Some(older) => *older = version,
            None => versions.push(version),
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_tokens() {
        assert_eq!(suffix(0), "AAAAAA");
        assert_eq!(suffix(61 + 62 * 2), "9CAAAA");
        assert_eq!(suffix(u128::MAX).len(), SUFFIX_CHARS);
        let text = "0f8fad5b-d9cb-469f-a165-70867728950e";
        let id = of_uuid(text).unwrap();
        assert_eq!(uuid(id), text);
        for no in [
            "0F8FAD5B-D9CB-469F-A165-70867728950E",
            "0f8fad5bd9cb469fa16570867728950e",
            "00000000-0000-0000-0000-000000000000",
            "0f8fad5b-d9cb-469f-a165-70867728950",
            "+f8fad5b-d9cb-469f-a165-70867728950e",
            "",
        ] {
            assert_eq!(of_uuid(no), None, "{no}");
        }
        // A token that is the id of a version with another token makes a version of its own.
        let mut head = Head::new(9, Default::default());
        assert_eq!(of_new(&head, text, || 7).0, id);
        let (first, extra) = of_new(&head, "odd", || id);
        let _ = head.add_awaited(first, extra, "s", Default::default(), 10);
        assert_eq!(
            (find(&head, "odd").map(|v| v.id), find(&head, text).is_none()),
            (Some(id), true)
        );
        let (second, extra) = of_new(&head, text, || 7);
        let _ = head.add_awaited(second, extra, "t", Default::default(), 10);
        assert_eq!(find(&head, text).map(|v| v.id), Some(7));
    }
}
