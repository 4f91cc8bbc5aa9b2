//! Answers of lists.

use serde::Serialize;
use strongroom_base::{Error, Result};

use super::{ReadCx, Reply};
use crate::record::{Id, Record};

/// The names of a list.
#[derive(Serialize)]
pub struct Keys {
    /// Sorted.
    pub keys: Vec<String>,
}

/// The names after `after`, at most `limit` where it is above zero; nothing at all is 404.
pub fn page(names: &[String], after: Option<&str>, limit: Option<i64>) -> Result<Keys> {
    let from = after.map_or(0, |after| names.partition_point(|n| n.as_str() <= after));
    let most = match limit {
        Some(limit) if limit > 0 => usize::try_from(limit).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    let keys: Vec<String> = names.iter().skip(from).take(most).cloned().collect();
    if keys.is_empty() { Err(Error::not_found()) } else { Ok(Keys { keys }) }
}

/// The names of the records of type `T` below `parent`, as [`page`] has them.
pub async fn of_records<T: Record>(
    cx: &ReadCx<'_>,
    parent: Id,
    after: Option<&str>,
    limit: Option<i64>,
) -> Result<Reply<Keys>> {
    let names = cx.view().names::<T>(parent).await?;
    Ok(Reply::data(page(&names, after, limit)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let names = ["a", "b", "c"].map(String::from);
        for (after, limit, expect) in [
            (None, None, "a b c"),
            (Some("a"), None, "b c"),
            (Some("aa"), Some(1), "b"),
            (None, Some(2), "a b"),
            (None, Some(0), "a b c"),
            (None, Some(-1), "a b c"),
        ] {
            assert_eq!(page(&names, after, limit).unwrap().keys.join(" "), expect);
        }
        assert!(page(&names, Some("c"), None).is_err());
        assert!(page(&[], None, None).is_err());
    }
}
