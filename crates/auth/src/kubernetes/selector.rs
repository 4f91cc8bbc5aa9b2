//! Which namespaces a role allows by their labels.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml_ng::Value;

/// Bytes of a selector: an operator's text, but one that each login reads.
pub const BYTES_MAX: usize = 16 * 1024;

/// A selector of namespaces: the labels they must have.
pub struct Selector(BTreeMap<String, String>);

/// Kubernetes' LabelSelector.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LabelSelector {
    match_labels: Option<BTreeMap<String, Value>>,
    match_expressions: Option<Value>,
}

impl Selector {
    /// Reads a selector in JSON or YAML; `None` where it is none that can be judged here.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > BYTES_MAX {
            return None;
        }
        let object: Value = serde_yaml_ng::from_str(text).ok().filter(Value::is_mapping)?;
        let selector: LabelSelector = serde_yaml_ng::from_value(object).ok()?;
        if selector.match_expressions.is_some() {
            return None;
        }
        // A number is no label: `"1"` must be written as a text.
        let text = |(name, value)| match value {
            Value::String(value) => Some((name, value)),
            _ => None,
        };
        selector
            .match_labels
            .unwrap_or_default()
            .into_iter()
            .map(text)
            .collect::<Option<_>>()
            .map(Self)
    }

    /// Does a namespace with these labels fit? An empty selector fits all.
    pub fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(name, value)| labels.get(name) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_must_all_be_there() {
        let labels = [("env", "prod"), ("team", "pay")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        for (text, expect) in [
            (r#"{"matchLabels":{"env":"prod"}}"#, Some(true)),
            (r#"{"matchLabels":{"env":"prod","team":"pay"}}"#, Some(true)),
            (r#"{"matchLabels":{"env":"prod","team":"x"}}"#, Some(false)),
            (r#"{"matchLabels":{"other":"prod"}}"#, Some(false)),
            (r#"{"matchLabels":{"env":""}}"#, Some(false)),
            ("matchLabels:\n  env: prod\n  team: pay\n", Some(true)),
            ("matchLabels:\n  env: test\n", Some(false)),
            ("{}", Some(true)),
            ("{\"matchLabels\":null,\"matchExpressions\":null}", Some(true)),
            ("matchExpressions:\n- {key: env, operator: Exists}\n", None),
            ("matchLabels: {env: 1}", None),
            ("matchLabels: [env]", None),
            ("env=prod", None),
            ("", None),
            ("null", None),
            ("# all", None),
            ("{", None),
        ] {
            let fits = Selector::parse(text).map(|selector| selector.fits(&labels));
            assert_eq!(fits, expect, "{text}");
        }
        assert!(Selector::parse(&format!("{{}}{}", " ".repeat(BYTES_MAX))).is_none());
    }
}
