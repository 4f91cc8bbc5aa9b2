//! Names of AWS's principals, and the patterns that roles are bound to.

use strongroom_base::{Error, Result};

/// Digits of an account.
const ACCOUNT_DIGITS: usize = 12;
/// Bytes of an ARN.
const BYTES_MAX: usize = 2_048;

/// What kind of principal it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A user.
    User,
    /// A role.
    Role,
    /// A session of a role.
    AssumedRole,
}

/// A principal's ARN, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Principal<'a> {
    /// `aws`, `aws-cn`, …
    pub partition: &'a str,
    /// Twelve digits.
    pub account: &'a str,
    /// What it is.
    pub kind: Kind,
    /// Its name, without its path.
    pub name: &'a str,
    /// The session of an assumed role, else "".
    pub session: &'a str,
    /// The path between kind and name; "" where there is none.
    pub path: &'a str,
}

/// Is it an account's number?
pub fn is_account(text: &str) -> bool {
    text.len() == ACCOUNT_DIGITS && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_partition(text: &str) -> bool {
    let rest = text.strip_prefix("aws");
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    rest.is_some_and(|rest| (rest.is_empty() || rest.starts_with('-')) && rest.bytes().all(plain))
}

/// Partition, service, account and resource of an ARN without a region.
fn parts(arn: &str) -> Option<(&str, &str, &str, &str)> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next();
    let (arn, partition, service, region, account, resource) =
        (next()?, next()?, next()?, next()?, next()?, next()?);
    let good = arn == "arn" && is_partition(partition) && region.is_empty() && is_account(account);
    good.then_some((partition, service, account, resource))
}

impl<'a> Principal<'a> {
    /// Takes an ARN apart; `None` where it is none of a user, role or assumed role.
    pub fn parse(arn: &'a str) -> Option<Self> {
        if arn.len() > BYTES_MAX {
            return None;
        }
        let (partition, service, account, resource) = parts(arn)?;
        if resource.contains([':', '*']) || resource.split('/').any(str::is_empty) {
            return None;
        }
        let (kind, rest) = resource.split_once('/')?;
        let of = |kind, path, name, session| Self { partition, account, kind, path, name, session };
        match (service, kind) {
            ("iam", "user" | "role") => {
                let (path, name) = rest.rsplit_once('/').unwrap_or(("", rest));
                let kind = if kind == "user" { Kind::User } else { Kind::Role };
                Some(of(kind, path, name, ""))
            }
            ("sts", "assumed-role") => {
                let (name, session) = rest.split_once('/').filter(|(_, s)| !s.contains('/'))?;
                Some(of(Kind::AssumedRole, "", name, session))
            }
            _ => None,
        }
    }

    /// The ARN of the user, or of the role that was assumed, without a path.
    pub fn canonical(&self) -> String {
        let kind = if self.kind == Kind::User { "user" } else { "role" };
        format!("arn:{}:iam::{}:{kind}/{}", self.partition, self.account, self.name)
    }
}

/// Does the ARN of a role's binding end in a wildcard?
pub fn is_wildcard(bound: &str) -> bool {
    bound.ends_with('*')
}

/// Checks an ARN that a role is to be bound to. A wildcard stands at its end, after the account
/// (threat CVE-2025-11621).
pub fn check_bound(bound: &str, resolved: bool) -> Result<()> {
    let bad = |text: &str| Err(Error::bad_request(format!("bound_iam_principal_arn: {text}")));
    if !bound.contains('*') {
        let Some(principal) = Principal::parse(bound) else {
            return bad("not the ARN of an IAM user or role (arn:aws:iam::ACCOUNT:role/NAME)");
        };
        if principal.kind == Kind::AssumedRole {
            return bad("an assumed role is bound by the ARN of its role");
        }
        if !resolved && !principal.path.is_empty() {
            return bad("without resolve_aws_unique_ids, an ARN is written without its path");
        }
        return Ok(());
    }
    match bound.strip_suffix('*').and_then(parts) {
        Some((_, "iam", _, resource)) if !resource.contains(['*', ':']) => Ok(()),
        _ => bad("a wildcard stands at the end of arn:aws:iam::ACCOUNT:…, and for no account"),
    }
}

/// Does a checked wildcard cover the IAM ARN `full`, path and all?
pub fn covers(bound: &str, full: &str) -> bool {
    bound.strip_suffix('*').is_some_and(|fixed| full.starts_with(fixed))
}

/// Does a checked wildcard cover `principal` whatever its path is?
pub fn covers_any_path(bound: &str, principal: &Principal<'_>) -> bool {
    let Some(canonical) = principal.canonical().strip_suffix(principal.name).map(str::to_owned)
    else {
        return false;
    };
    bound.strip_suffix('*').is_some_and(|fixed| canonical.starts_with(fixed))
}

#[cfg(test)]
mod tests {
    use super::{Kind, Principal, check_bound, covers, covers_any_path};

    #[test]
    fn principals_are_taken_apart() {
        for (arn, kind, path, name, session, canonical) in [
            (
                "arn:aws:iam::123456789012:user/ann",
                Kind::User,
                "",
                "ann",
                "",
                "arn:aws:iam::123456789012:user/ann",
            ),
            (
                "arn:aws:iam::123456789012:user/a/b/ann",
                Kind::User,
                "a/b",
                "ann",
                "",
                "arn:aws:iam::123456789012:user/ann",
            ),
            (
                "arn:aws-cn:sts::123456789012:assumed-role/web/i-0123",
                Kind::AssumedRole,
                "",
                "web",
                "i-0123",
                "arn:aws-cn:iam::123456789012:role/web",
            ),
        ] {
            let principal = Principal::parse(arn).unwrap();
            assert_eq!((principal.kind, principal.path), (kind, path), "{arn}");
            assert_eq!((principal.name, principal.session), (name, session), "{arn}");
            assert_eq!(principal.canonical(), canonical);
        }
        for bad in [
            "",
            "arn:aws:iam::123456789012:root",
            "arn:aws:iam::12345678901:user/ann",
            "arn:aws:iam::12345678901x:user/ann",
            "arn:aws:iam:us-east-1:123456789012:user/ann",
            "arn:evil:iam::123456789012:user/ann",
            "arn:aws:iam::123456789012:user/",
            "arn:aws:iam::123456789012:user//ann",
            "arn:aws:iam::123456789012:user/a:b",
            "arn:aws:iam::123456789012:user/a*",
            "arn:aws:iam::123456789012:assumed-role/a/b",
            "arn:aws:sts::123456789012:role/a",
            "arn:aws:sts::123456789012:assumed-role/a",
            "arn:aws:sts::123456789012:assumed-role/a/b/c",
            "arn:aws:sts::123456789012:federated-user/ann",
            "arn:aws:s3::123456789012:user/ann",
            "xarn:aws:iam::123456789012:user/ann",
        ] {
            assert_eq!(Principal::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_wildcard_never_crosses_accounts() {
        // threat CVE-2025-11621
        for (bound, good) in [
            ("arn:aws:iam::123456789012:role/web", true),
            ("arn:aws:iam::123456789012:role/*", true),
            ("arn:aws:iam::123456789012:role/team/*", true),
            ("arn:aws:iam::123456789012:*", true),
            ("arn:aws:iam::123456789012*", false),
            ("arn:aws:iam::1234*", false),
            ("arn:aws:iam::*", false),
            ("arn:aws:iam::*:role/web", false),
            ("arn:aws:iam::*:role/*", false),
            ("arn:aws:*:role/*", false),
            ("arn:*:iam::123456789012:role/*", false),
            ("arn:aws:sts::123456789012:assumed-role/web/*", false),
            ("arn:aws:iam::123456789012:role/*/x*", false),
            ("arn:aws:iam::123456789012:role/**", false),
            ("*", false),
            ("", false),
        ] {
            assert_eq!(check_bound(bound, true).is_ok(), good, "{bound}");
        }
        assert!(check_bound("arn:aws:iam::123456789012:role/path/web", true).is_ok());
        assert!(check_bound("arn:aws:iam::123456789012:role/path/web", false).is_err());
    }

    #[test]
    fn a_wildcard_covers_what_begins_so() {
        let session = "arn:aws:sts::123456789012:assumed-role/web/s";
        let principal = Principal::parse(session).unwrap();
        for (bound, full, any) in [
            ("arn:aws:iam::123456789012:role/team/*", true, false),
            ("arn:aws:iam::123456789012:role/web*", false, false),
            ("arn:aws:iam::123456789012:role/*", true, true),
            ("arn:aws:iam::123456789012:*", true, true),
            ("arn:aws:iam::123456789013:*", false, false),
            ("arn:aws:iam::123456789012:user/*", false, false),
            ("arn:aws:iam::123456789012:role/team/web", false, false),
        ] {
            let covered = covers(bound, "arn:aws:iam::123456789012:role/team/web");
            assert_eq!((covered, covers_any_path(bound, &principal)), (full, any), "{bound}");
        }
    }
}
