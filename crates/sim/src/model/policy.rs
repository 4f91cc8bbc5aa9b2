//! Policies, and what they grant.

/// Capabilities as bits.
pub mod caps {
    /// `read`
    pub const READ: u8 = 1;
    /// `create` and `update`
    pub const WRITE: u8 = 2;
    /// `delete`
    pub const DELETE: u8 = 4;
    /// `list`
    pub const LIST: u8 = 8;
    /// `deny`
    pub const DENY: u8 = 16;
}

/// A policy: patterns (exact, or with a `*` at the end) and what they allow.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy(pub Vec<(&'static str, u8)>);

impl Policy {
    /// As HCL.
    pub fn text(&self) -> String {
        let mut out = String::from("# simulated\n");
        for (pattern, bits) in &self.0 {
            let names: Vec<&str> = [
                (caps::READ, "\"read\""),
                (caps::WRITE, "\"create\", \"update\""),
                (caps::DELETE, "\"delete\""),
                (caps::LIST, "\"list\""),
                (caps::DENY, "\"deny\""),
            ]
            .iter()
            .filter(|(bit, _)| bits & bit != 0)
            .map(|(_, name)| *name)
            .collect();
            let names = names.join(", ");
            out.push_str(&format!("path \"{pattern}\" {{ capabilities = [{names}] }}\n"));
        }
        out
    }
}

/// The pattern that counts for a path among these rules, and what it grants: exact before the
/// longest prefix, equal patterns together, deny over all.
pub(super) fn granted<'a>(rules: impl Iterator<Item = &'a (&'static str, u8)>, path: &str) -> u8 {
    let mut best: Option<(usize, u8)> = None;
    for (pattern, bits) in rules {
        let rank = match pattern.strip_suffix('*') {
            Some(prefix) if path.starts_with(prefix) => prefix.len(),
            None if *pattern == path => usize::MAX,
            _ => continue,
        };
        best = match best {
            Some((r, _)) if r > rank => best,
            Some((r, b)) if r == rank => Some((r, b | bits)),
            _ => Some((rank, *bits)),
        };
    }
    match best {
        Some((_, bits)) if bits & caps::DENY == 0 => bits,
        _ => 0,
    }
}

/// What every token may by the policy `default`.
pub(super) const DEFAULT: &[(&str, u8)] = &[
    ("auth/token/lookup-self", caps::READ),
    ("auth/token/renew-self", caps::WRITE),
    ("auth/token/revoke-self", caps::WRITE),
    ("sys/wrapping/wrap", caps::WRITE),
];
