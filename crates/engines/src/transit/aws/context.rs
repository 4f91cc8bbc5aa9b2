//! The encryption context, in the one form in which it is authenticated.

use std::collections::BTreeMap;

use strongroom_base::{Error, Result};

use super::super::limits::CONTEXT_BYTES_MAX;

/// An encryption context: names and values.
pub type Context = BTreeMap<String, String>;

/// Its bytes: the same for each order of its pairs, and different for different contexts.
pub fn canonical(context: &Context) -> Result<Vec<u8>> {
    let total: usize = context.iter().map(|(name, value)| name.len() + value.len()).sum();
    if total > CONTEXT_BYTES_MAX {
        return Err(Error::bad_request(format!(
            "the encryption context is longer than {CONTEXT_BYTES_MAX} bytes"
        ))
        .called("ValidationException"));
    }
    let mut out = Vec::with_capacity(4 + total + context.len() * 8);
    put(&mut out, context.len())?;
    for (name, value) in context {
        for text in [name, value] {
            put(&mut out, text.len())?;
            out.extend_from_slice(text.as_bytes());
        }
    }
    Ok(out)
}

/// What conditions of IAM documents see of it.
pub fn keys_of(context: &Context) -> Vec<(String, Vec<String>)> {
    let one = |(name, value): (&String, &String)| {
        (format!("kms:EncryptionContext:{name}"), vec![value.clone()])
    };
    context.iter().map(one).collect()
}

fn put(out: &mut Vec<u8>, number: usize) -> Result<()> {
    let number = u32::try_from(number).map_err(Error::internal)?;
    out.extend_from_slice(&number.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Vec<u8> {
        let pairs = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        canonical(&pairs.collect()).unwrap()
    }

    #[test]
    fn order_does_not_matter_and_all_else_does() {
        assert_eq!(of(&[("a", "1"), ("b", "2")]), of(&[("b", "2"), ("a", "1")]));
        let contexts: [&[(&str, &str)]; 9] = [
            &[],
            &[("", "")],
            &[("a", "")],
            &[("", "a")],
            &[("a", "1"), ("b", "2")],
            &[("a", "2"), ("b", "1")],
            &[("a", "1b2")],
            &[("ab", "12")],
            &[("a", "1"), ("b2", "")],
        ];
        for (i, one) in contexts.iter().enumerate() {
            for other in contexts.iter().skip(i + 1) {
                assert_ne!(of(one), of(other));
            }
        }
        let long = |n: usize| canonical(&Context::from([("k".to_owned(), "v".repeat(n - 1))]));
        assert!(long(CONTEXT_BYTES_MAX).is_ok() && long(CONTEXT_BYTES_MAX + 1).is_err());
    }
}
