//! Which policies a new token gets: what was asked for, within what the parent has or its role
//! allows.

use strongroom_base::{Error, Result};
use strongroom_kernel::policy::{DEFAULT, RESPONSE_WRAPPING, ROOT};
use strongroom_kernel::tokens::normalise_policies;

use super::roles::Role;

/// What the choice depends on.
pub struct Asked<'a> {
    /// Policies as the caller named them.
    pub policies: Vec<String>,
    /// `no_default_policy`.
    pub no_default: bool,
    /// The parent's policies.
    pub parent: &'a [String],
    /// Is the parent of another namespace?
    pub from_above: bool,
    /// Has the caller `sudo` on the path?
    pub sudo: bool,
    /// The role, if the token is made by one.
    pub role: Option<&'a Role>,
}

/// The token's policies, sorted.
pub fn resolve(asked: Asked<'_>) -> Result<Vec<String>> {
    let no_default = asked.no_default;
    let mut policies = match asked.role.filter(|role| role.limits_policies()) {
        Some(role) => of_role(&asked, role)?,
        None => of_parent(asked)?,
    };
    if no_default {
        policies.retain(|p| p != DEFAULT);
    }
    if policies.iter().any(|p| p == RESPONSE_WRAPPING) {
        return Err(Error::bad_request(format!("cannot assign policy \"{RESPONSE_WRAPPING}\"")));
    }
    Ok(policies)
}

/// One spelling; `root` stands alone, and `default` is added where wanted.
fn sanitise(policies: &[String], add_default: bool) -> Vec<String> {
    let mut policies = normalise_policies(policies.iter().cloned());
    if policies.iter().any(|p| p == ROOT) {
        return vec![ROOT.to_owned()];
    }
    if add_default && !policies.iter().any(|p| p == DEFAULT) {
        policies.push(DEFAULT.to_owned());
        policies.sort();
    }
    policies
}

fn of_parent(asked: Asked<'_>) -> Result<Vec<String>> {
    let Asked { policies, no_default, parent, from_above, sudo, .. } = asked;
    if from_above {
        return Ok(sanitise(&policies, !no_default));
    }
    if policies.is_empty() {
        return Ok(sanitise(parent, false));
    }
    if sudo {
        return Ok(sanitise(&policies, !no_default));
    }
    let (own, wanted) = (sanitise(parent, false), sanitise(&policies, false));
    if !wanted.iter().all(|p| own.contains(p)) {
        return Err(Error::bad_request("child policies must be subset of parent"));
    }
    let parent_has_default = own.iter().any(|p| p == DEFAULT);
    Ok(sanitise(&policies, !no_default && parent_has_default))
}

fn of_role(asked: &Asked<'_>, role: &Role) -> Result<Vec<String>> {
    let add_default =
        !asked.no_default && !role.params.no_default_policy && !role.disallows(DEFAULT);
    let mut policies = match asked.policies.is_empty() {
        true => Vec::new(),
        false => sanitise(&asked.policies, add_default),
    };
    if role.allows_some() {
        let allowed = sanitise(&role.allowed_policies, add_default);
        if policies.is_empty() {
            policies = allowed;
        } else if !policies.iter().all(|p| allowed.contains(p) || role.allows_by_glob(p)) {
            return Err(Error::bad_request(format!(
                "token policies ({}) must be subset of the role's allowed policies ({}) or glob \
                 policies ({})",
                quoted(&policies),
                quoted(&allowed),
                quoted(&role.allowed_policies_glob),
            )));
        }
    } else if policies.is_empty() {
        policies = sanitise(asked.parent, add_default);
    }
    match policies.iter().find(|p| role.disallows(p)) {
        Some(policy) => {
            Err(Error::bad_request(format!("token policy \"{policy}\" is disallowed by this role")))
        }
        None => Ok(policies),
    }
}

/// Go's `%q` of a list: names of policies are no secrets.
fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// What is asked of a parent with `have`: the policies, or the start of the refusal.
    fn check(ask: &str, have: &str, sudo: bool, no_default: bool, role: Option<&Role>) -> String {
        let parent = names(have);
        let asked = Asked {
            policies: names(ask),
            no_default,
            parent: &parent,
            from_above: false,
            sudo,
            role,
        };
        match resolve(asked) {
            Ok(policies) => policies.join(" "),
            Err(e) => format!("! {}", e.public.join(" ")),
        }
    }

    #[test]
    fn without_a_role_a_child_has_no_more_than_its_parent() {
        let subset = "! child policies must be subset of parent";
        for (ask, have, sudo, no_default, want) in [
            ("", "default p", false, false, "default p"),
            ("", "p", false, false, "p"),
            ("p", "default p", false, false, "default p"),
            ("P ", "default p", false, true, "p"),
            ("p", "p", false, false, "p"),
            ("q", "default p", false, false, subset),
            ("p q", "default p", false, false, subset),
            // threats CVE-2025-5999, CVE-2024-9180: no spelling of root passes
            ("root", "default p", false, false, subset),
            (" ROOT", "default p", false, false, subset),
            ("root p", "default p", false, false, subset),
            ("q", "default p", true, false, "default q"),
            ("q", "root", true, true, "q"),
            ("", "root", true, false, "root"),
            ("root q", "root", true, false, "root"),
            ("default", "root", true, true, ""),
            (
                "response-wrapping",
                "root",
                true,
                false,
                "! cannot assign policy \"response-wrapping\"",
            ),
        ] {
            assert_eq!(check(ask, have, sudo, no_default, None), want, "{ask:?} of {have:?}");
        }
    }

    #[test]
    fn a_role_allows_and_disallows() {
        let role = |allowed: &str, allowed_glob: &str, not: &str, not_glob: &str| Role {
            allowed_policies: names(allowed),
            allowed_policies_glob: names(allowed_glob),
            disallowed_policies: names(not),
            disallowed_policies_glob: names(not_glob),
            ..Role::default()
        };
        for (role, ask, want) in [
            (role("a b", "", "", ""), "", "a b default"),
            (role("a b", "", "", ""), "a", "a default"),
            (
                role("a b", "", "", ""),
                "c",
                "! token policies ([\"c\" \"default\"]) must be subset of the role's allowed \
                 policies ([\"a\" \"b\" \"default\"]) or glob policies ([])",
            ),
            (role("", "x*", "", ""), "x1", "default x1"),
            (role("", "", "x", ""), "x", "! token policy \"x\" is disallowed by this role"),
            (role("", "", "", "x*"), "x1", "! token policy \"x1\" is disallowed by this role"),
            (role("", "", "default", ""), "y", "y"),
            (role("", "", "x", ""), "", "default p"),
            (role("a", "", "a", ""), "a", "! token policy \"a\" is disallowed by this role"),
        ] {
            assert_eq!(check(ask, "default p", false, false, Some(&role)), want, "{ask}");
        }
    }
}
