//! A part of a list: what comes `after` a name, at most `limit` of it (OpenBao's paging).

/// The page of `names` that was asked for; a limit that is not above zero is none.
pub fn page(names: Vec<String>, after: Option<String>, limit: Option<i64>) -> Vec<String> {
    let after = after.unwrap_or_default();
    let most = limit.and_then(|l| usize::try_from(l).ok()).filter(|l| *l > 0);
    let rest = names.into_iter().filter(|name| after.is_empty() || *name > after);
    rest.take(most.unwrap_or(usize::MAX)).collect()
}
