//! What `SHOW GRANTS` says of an account, and which of it is about the whole server.
//!
//! Invariant: a line is understood whole or refused. One that was left out could be a right that a second
//! account lacks, or one that it has and nobody saw.

use std::collections::BTreeSet;

use crate::database::statements::Dialect;

/// A line of `SHOW GRANTS`, without the account.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Grant {
    /// `GRANT SELECT ON …`.
    pub(super) what: String,
    /// What follows the account: `WITH GRANT OPTION`.
    pub(super) more: String,
    pub(super) host: String,
}

/// A line that is not understood.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Unknown;

impl Grant {
    /// Reads a line; none where it is no grant, but MariaDB's `SET DEFAULT ROLE`.
    pub(super) fn read(line: &str, name: &str, host: &str) -> Result<Option<Self>, Unknown> {
        if line.starts_with("SET DEFAULT ROLE ") {
            return Ok(None);
        }
        // MariaDB and MySQL 8 write names as identifiers, older ones as texts.
        let identifiers = [name, host].map(|part| Dialect::Mysql.identifier(part));
        let texts = [name, host].map(|part| Dialect::Mysql.text(part).to_string());
        let (what, after) = [identifiers, texts]
            .iter()
            .find_map(|[name, host]| line.rsplit_once(format!(" TO {name}@{host}").as_str()))
            .filter(|(what, _)| what.starts_with("GRANT "))
            .ok_or(Unknown)?;
        let more = match after.strip_prefix(" IDENTIFIED BY PASSWORD ") {
            // A hash in quotes: no quote stands in it.
            Some(rest) => {
                rest.strip_prefix('\'').and_then(|rest| rest.split_once('\'')).ok_or(Unknown)?.1
            }
            None => after,
        };
        // Whatever else (`IDENTIFIED VIA`) would give the second account the first one's password.
        if !more.is_empty() && !more.starts_with(" REQUIRE ") && !more.starts_with(" WITH ") {
            return Err(Unknown);
        }
        Ok(Some(Self { what: what.to_owned(), more: more.to_owned(), host: host.to_owned() }))
    }

    /// What is granted, and on what; roles are granted on nothing.
    fn parts(&self) -> (&str, Option<&str>) {
        let all = self.what.strip_prefix("GRANT ").unwrap_or(&self.what);
        match unquoted(all, " ON ").next() {
            Some(at) => {
                let (rights, on) = all.split_at(at);
                (rights, on.strip_prefix(" ON "))
            }
            None => (all, None),
        }
    }

    pub(super) fn is_of_roles(&self) -> bool {
        self.parts().1.is_none()
    }

    /// Adds what it gives that is about the whole server: privileges, roles, other people's names.
    fn add_to(&self, rights: &mut BTreeSet<Right>) {
        let (what, on) = self.parts();
        let can_give = unquoted(&self.more, " GRANT OPTION").next().is_some();
        let each = list(what);
        match on {
            Some("*.*") => {
                let named = each.filter(|right| *right != "USAGE");
                rights.extend(named.map(|right| Right::Privilege(right.to_ascii_uppercase())));
                if can_give {
                    rights.insert(Right::Giving);
                }
            }
            Some(whom) if what == "PROXY" => {
                rights.insert(Right::Proxy(whom.to_owned()));
                if can_give {
                    rights.insert(Right::GivingProxy(whom.to_owned()));
                }
            }
            Some(_) => {}
            None => {
                let can_give = unquoted(&self.more, " ADMIN OPTION").next().is_some();
                for role in each {
                    rights.insert(Right::Role(role.to_owned()));
                    if can_give {
                        rights.insert(Right::GivingRole(role.to_owned()));
                    }
                }
            }
        }
    }
}

/// One thing that an account may do to the whole server.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Right {
    Privilege(String),
    /// `WITH GRANT OPTION`.
    Giving,
    Role(String),
    GivingRole(String),
    Proxy(String),
    GivingProxy(String),
}

fn rights(grants: &[Grant]) -> BTreeSet<Right> {
    let mut all = BTreeSet::new();
    for grant in grants {
        grant.add_to(&mut all);
    }
    all
}

/// Do some grants allow something to the whole server that others do not?
pub(super) fn may_more(some: &[Grant], others: &[Grant]) -> bool {
    let others = rights(others);
    let all = ["ALL PRIVILEGES", "ALL"].map(|all| Right::Privilege(all.to_owned()));
    let has_all = all.iter().any(|all| others.contains(all));
    let covers =
        |right: &Right| others.contains(right) || has_all && matches!(right, Right::Privilege(_));
    rights(some).iter().any(|right| !covers(right))
}

/// The members of a list, which are separated by commas outside of quotes.
fn list(text: &str) -> impl Iterator<Item = &str> {
    let mut from = 0;
    let ends = unquoted(text, ",").chain([text.len()]);
    ends.filter_map(move |end| {
        let member = text.get(from..end).map(str::trim);
        from = end.saturating_add(1);
        member
    })
}

/// Where a text is found outside of quotes.
fn unquoted<'t>(text: &'t str, wanted: &'t str) -> impl Iterator<Item = usize> {
    let mut quote = None;
    text.char_indices().filter_map(move |(at, c)| {
        let here = quote.is_none() && text.get(at..).is_some_and(|rest| rest.starts_with(wanted));
        match quote {
            Some(open) if open == c => quote = None,
            None if "`'\"".contains(c) => quote = Some(c),
            _ => {}
        }
        here.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Vec<Grant> {
        let read = |line: &&str| Grant::read(line, "app", "%").expect(line);
        lines.iter().filter_map(read).collect()
    }

    #[test]
    fn grants_as_servers_show_them() {
        for (line, what, more) in [
            (
                "GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*ABC'",
                "GRANT USAGE ON *.*",
                "",
            ),
            (
                "GRANT ALL PRIVILEGES ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*ABC' WITH GRANT OPTION",
                "GRANT ALL PRIVILEGES ON *.*",
                " WITH GRANT OPTION",
            ),
            ("GRANT SELECT, INSERT ON `x`.* TO `app`@`%`", "GRANT SELECT, INSERT ON `x`.*", ""),
            (
                "GRANT SELECT ON `a TO ``app``@``%```.* TO 'app'@'%' REQUIRE SSL",
                "GRANT SELECT ON `a TO ``app``@``%```.*",
                " REQUIRE SSL",
            ),
            ("GRANT `reader` TO `app`@`%`", "GRANT `reader`", ""),
        ] {
            let grant = Grant::read(line, "app", "%").expect(line).expect(line);
            assert_eq!((grant.what.as_str(), grant.more.as_str()), (what, more), "{line}");
        }
        assert_eq!(Grant::read("SET DEFAULT ROLE `reader` FOR `app`@`%`", "app", "%"), Ok(None));
    }

    /// A right that is not understood is not left out.
    #[test]
    fn lines_not_understood_are_refused() {
        for line in [
            "GRANT SELECT ON \"x\".* TO \"app\"@\"%\"",
            "GRANT SELECT ON `x`.* TO `other`@`%`",
            "GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD *ABC",
            "GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED VIA ed25519 USING 'ABC'",
            "GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*ABC' OR unix_socket",
            "REVOKE SELECT ON `mysql`.* FROM `app`@`%`",
            "REVOKE SELECT ON `mysql`.* TO `app`@`%`",
            "",
        ] {
            assert_eq!(Grant::read(line, "app", "%"), Err(Unknown), "{line}");
        }
    }

    #[test]
    fn who_may_more_to_the_whole_server() {
        let select = "GRANT SELECT ON *.* TO `app`@`%`";
        let both = "GRANT INSERT, SELECT ON *.* TO `app`@`%`";
        let giving = "GRANT SELECT ON *.* TO `app`@`%` WITH GRANT OPTION";
        let giver = "GRANT USAGE ON *.* TO `app`@`%` WITH GRANT OPTION";
        let all = "GRANT ALL PRIVILEGES ON *.* TO `app`@`%`";
        let dynamic = "GRANT BACKUP_ADMIN,CLONE_ADMIN ON *.* TO `app`@`%`";
        let one = "GRANT `a,b`@`%` TO `app`@`%`";
        let two = "GRANT `c ON *.*`@`%`,`a,b`@`%` TO `app`@`%`";
        let role_giver = "GRANT `a,b`@`%` TO `app`@`%` WITH ADMIN OPTION";
        let proxy = "GRANT PROXY ON ''@'' TO 'app'@'%'";
        let proxy_giver = "GRANT PROXY ON ''@'' TO 'app'@'%' WITH GRANT OPTION";
        let table = "GRANT SELECT ON `x`.`ON *.*` TO `app`@`%` WITH GRANT OPTION";
        let usage = "GRANT USAGE ON *.* TO `app`@`%`";
        for (some, others, more) in [
            (&[select][..], &[both][..], false),
            (&[both], &[select], true),
            (&[select, "GRANT INSERT ON *.* TO `app`@`%`"], &[both], false),
            (&[usage, table], &[], false),
            (&[giving], &[both], true),
            (&[giving], &[both, giver], false),
            (&[giver], &[all], true),
            (&[both, dynamic], &[all], false),
            (&[all], &[both], true),
            (&[dynamic], &["GRANT CLONE_ADMIN ON *.* TO `app`@`%`"], true),
            (&[one], &[two], false),
            (&[two], &[one], true),
            (&[one], &[all], true),
            (&[role_giver], &[one], true),
            (&[one], &[role_giver], false),
            (&[proxy], &[all], true),
            (&[proxy_giver], &[proxy, giver], true),
            (&[proxy], &[proxy_giver], false),
        ] {
            assert_eq!(may_more(&read(some), &read(others)), more, "{some:?} {others:?}");
        }
    }
}
