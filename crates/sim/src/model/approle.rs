//! The AppRole mount: its role and its secret ids.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Model;
use crate::ops::Op;

/// The AppRole mount.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct AppRole {
    pub(super) incarnation: u64,
    pub(super) role: Option<Vec<&'static str>>,
    pub(super) secrets: BTreeMap<u64, i64>,
}

impl Model {
    /// Numbers of secret ids.
    pub fn secret_ids(&self) -> Vec<u64> {
        self.approle.iter().flat_map(|a| a.secrets.keys().copied()).collect()
    }

    pub(super) fn approle(&mut self, number: u64, op: &Op, now: i64) -> (u16, Value) {
        if let Op::EnableAppRole = op {
            if self.approle.is_some() {
                return (400, Value::Null);
            }
            self.approle = Some(AppRole { incarnation: number, ..AppRole::default() });
            return (204, Value::Null);
        }
        let Some(approle) = &mut self.approle else {
            return match op {
                Op::DisableAppRole => (204, Value::Null),
                Op::Login { .. } => (403, Value::Null),
                _ => (404, Value::Null),
            };
        };
        match op {
            Op::DisableAppRole => {
                self.approle = None;
                (204, Value::Null)
            }
            Op::SetRole { policies } => {
                approle.role = Some(policies.clone());
                (204, Value::Null)
            }
            Op::SecretId { uses } if approle.role.is_some() => {
                approle.secrets.insert(number, *uses);
                (200, Value::Null)
            }
            Op::Login { secret } => {
                let Some(left) = approle.secrets.get_mut(secret) else { return (400, Value::Null) };
                let last = *left == 1;
                *left = if *left > 0 { *left - 1 } else { 0 };
                if last {
                    approle.secrets.remove(secret);
                }
                let incarnation = approle.incarnation;
                let policies = approle.role.clone().unwrap_or_default();
                self.login(number, &policies, Some(incarnation), now)
            }
            _ => (0, Value::Null),
        }
    }
}
