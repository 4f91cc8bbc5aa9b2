//! Asking the directory who somebody is, and which groups he is in.

use std::collections::BTreeSet;

use strongroom_base::{Error, ErrorKind, Result, SecretString};
use strongroom_connectors::directory::{
    Aliases, Directory, Entry, Failure, FailureKind, Filter, Scope, Search, Servers, Session,
    codes, filter, names,
};
use strongroom_connectors::template::Template;
use strongroom_kernel::plug::ReadCx;

use super::login::wrong;
use super::stored::Config;

/// Groups that `tokenGroups` may name: Active Directory lets nobody be in more than 1,015.
const TOKEN_GROUPS_MAX: usize = 1_024;

/// Groups of one user: each is looked up at his login.
const GROUPS_MAX: usize = 2_048;

const USER_FIELDS: &[&str] = &["UserAttr", "Username"];
const GROUP_FIELDS: &[&str] = &["UserDN", "Username"];

/// What the directory says of somebody whose password is right.
pub(super) struct Found {
    /// The name of his entity's alias.
    pub alias: String,
    /// His groups.
    pub groups: Vec<String>,
    /// Warnings for him.
    pub warnings: Vec<String>,
}

/// A failure of the directory, or of what it was asked: nobody's wrong password.
fn failed(what: &str, failure: Failure) -> Error {
    Error::new(ErrorKind::Upstream, format!("ldap operation failed: {what}")).because(failure)
}

/// Asks for the user called `name`, whose spelling is the one.
pub(super) async fn find(
    cx: &ReadCx<'_>,
    directory: &dyn Directory,
    config: &Config,
    servers: &Servers,
    name: &str,
    password: &SecretString,
) -> Result<Found> {
    let asking = Asking { cx, config, name };
    let connect = || async {
        let connected = directory.connect(servers).await;
        connected.map_err(|e| failed("failed to connect to LDAP server", e))
    };
    let mut session = connect().await?;
    let user = if config.searches() {
        asking.service_bind(&mut *session).await?;
        let user = asking.user(&mut *session).await?;
        if user.is_none() {
            // As many questions as for one who is there (threat: CVE-2025-6011). Whoever this name
            // is, he was not found.
            drop(session.bind(&asking.built_name(), password).await);
            return Err(wrong());
        }
        user
    } else {
        None
    };
    let bind_name = user.as_ref().map_or_else(|| asking.built_name(), |user| user.name.clone());
    session.bind(&bind_name, password).await.map_err(bind_failed)?;
    if config.has_account() {
        asking.service_bind(&mut *session).await?;
    }
    let user_dn = match &user {
        Some(user) => user.name.clone(),
        None => asking.user_dn(&mut *session, &bind_name).await?,
    };
    if config.anonymous_group_search {
        session = connect().await?;
    }
    let groups = asking.groups(&mut *session, &user_dn).await?;
    let warnings = if groups.is_empty() {
        vec![format!(
            "no LDAP groups found in groupDN {:?}; only policies from locally-defined groups \
             available",
            config.groupdn
        )]
    } else {
        Vec::new()
    };
    Ok(Found { alias: asking.alias(user)?, groups, warnings })
}

/// Is it the password that is wrong, or the directory?
fn bind_failed(failure: Failure) -> Error {
    match failure.kind {
        // It won't have it so (needs TLS), sends us elsewhere, or can't now: RFC 4511 appendix A.
        FailureKind::Refused(1..=3 | 7 | 8 | 10 | 11 | 13 | 14 | 51 | 52 | 54 | 80) => {
            failed("the directory does not take binds", failure)
        }
        FailureKind::Refused(_) => wrong(),
        FailureKind::Wrong | FailureKind::Unreachable | FailureKind::Broken => {
            failed("failed to bind as user", failure)
        }
    }
}

/// Checks that the filters of a configuration are filters.
pub(super) fn check_filters(cx: &ReadCx<'_>, config: &Config) -> Result<()> {
    let asking = Asking { cx, config, name: "somebody" };
    let invalid = |name: &str| {
        let name = name.to_owned();
        move |why: String| Error::bad_request(format!("invalid {name}: {why}"))
    };
    asking.user_filter().map(drop).map_err(invalid("userfilter"))?;
    asking.group_filter("cn=somebody").map(drop).map_err(invalid("groupfilter"))
}

/// A question about one user.
struct Asking<'a> {
    cx: &'a ReadCx<'a>,
    config: &'a Config,
    name: &'a str,
}

impl Asking<'_> {
    fn aliases(&self) -> Aliases {
        self.config.aliases().unwrap_or(Aliases::Never)
    }

    /// `user@domain`, for Active Directory.
    fn principal(&self, escape: fn(&str) -> String) -> String {
        format!("{}@{}", escape(self.name), escape(&self.config.upndomain))
    }

    /// The name a user binds with where his entry is not looked for.
    fn built_name(&self) -> String {
        let (config, name) = (self.config, names::escape(self.name));
        match config.upndomain.as_str() {
            "" => format!("{}={name},{}", config.userattr, config.userdn),
            domain => format!("{name}@{domain}"),
        }
    }

    fn render(
        &self,
        text: &str,
        fields: &[&str],
        values: &[(&str, &str)],
    ) -> Result<Filter, String> {
        let template = Template::parse(text, fields).map_err(|e| e.to_string())?;
        let rendered = template.render(values, self.cx.rng(), self.cx.now());
        Filter::parse(&rendered.map_err(|e| e.to_string())?).map_err(|e| e.text)
    }

    fn user_filter(&self) -> Result<Filter, String> {
        let (attribute, name) = match self.config.upndomain.as_str() {
            "" => (self.config.userattr.as_str(), filter::escape(self.name)),
            _ => ("userPrincipalName", self.principal(filter::escape)),
        };
        let template = match self.config.userfilter.as_str() {
            "" => "({{.UserAttr}}={{.Username}})",
            template => template,
        };
        let attribute = filter::escape(attribute);
        let values = [("UserAttr", attribute.as_str()), ("Username", name.as_str())];
        self.render(template, USER_FIELDS, &values)
    }

    /// `None` where the configuration has no filter.
    fn group_filter(&self, user_dn: &str) -> Result<Option<Filter>, String> {
        if self.config.groupfilter.is_empty() {
            return Ok(None);
        }
        let (dn, name) = (filter::escape(user_dn), filter::escape(self.name));
        let values = [("UserDN", dn.as_str()), ("Username", name.as_str())];
        self.render(&self.config.groupfilter, GROUP_FIELDS, &values).map(Some)
    }

    /// Goes on as the service account, or as nobody where there is none.
    async fn service_bind(&self, session: &mut dyn Session) -> Result<()> {
        let bound = if self.config.has_account() {
            let password = SecretString::new(self.config.bindpass.clone());
            session.bind(&self.config.binddn, &password).await
        } else {
            session.bind_anonymously().await
        };
        bound.map_err(|e| failed("failed to bind with the BindDN user", e))
    }

    fn below_users(&self, filter: Filter, attributes: &[&str]) -> Search {
        Search {
            base: self.config.userdn.clone(),
            scope: Scope::Subtree,
            aliases: self.aliases(),
            filter,
            attributes: attributes.iter().map(|&attribute| attribute.to_owned()).collect(),
            // One is wanted; whether there are two or more makes no difference.
            size_limit: 2,
            page_size: 0,
        }
    }

    /// The one entry that a search finds.
    async fn only(&self, session: &mut dyn Session, search: &Search) -> Result<Option<Entry>> {
        match session.search(search).await {
            Ok(mut found) if found.len() == 1 => Ok(found.pop()),
            Ok(_) => Ok(None),
            Err(Failure { kind: FailureKind::Refused(code), .. })
                if [codes::SIZE_LIMIT_EXCEEDED, codes::NO_SUCH_OBJECT].contains(&code) =>
            {
                Ok(None)
            }
            Err(e) => Err(failed("the search for the user failed", e)),
        }
    }

    /// The user's entry, where there is exactly one.
    async fn user(&self, session: &mut dyn Session) -> Result<Option<Entry>> {
        let filter = self.user_filter().map_err(|why| {
            Error::new(ErrorKind::Internal, "ldap operation failed: invalid userfilter")
                .because(why)
        })?;
        self.only(session, &self.below_users(filter, &[&self.config.userattr])).await
    }

    /// The name of the entry of a user whom nobody looked for before; "" where he bound as
    /// `user@domain` and it is not found.
    async fn user_dn(&self, session: &mut dyn Session, bind_name: &str) -> Result<String> {
        if self.config.upndomain.is_empty() {
            return Ok(bind_name.to_owned());
        }
        let name = self.principal(str::to_owned);
        let filter = Filter::Equal("userPrincipalName".to_owned(), name.into_bytes());
        // "1.1" stands for no attribute at all (RFC 4511 §4.5.1.8).
        let found = self.only(session, &self.below_users(filter, &["1.1"])).await?;
        Ok(found.map_or_else(String::new, |entry| entry.name))
    }

    async fn groups(&self, session: &mut dyn Session, user_dn: &str) -> Result<Vec<String>> {
        let config = self.config;
        let entries = if config.use_token_groups {
            self.token_groups(session, user_dn).await?
        } else {
            let filter = self.group_filter(user_dn).map_err(|why| {
                let text = "ldap operation failed: invalid groupfilter";
                Error::new(ErrorKind::Internal, text).because(why)
            })?;
            match filter.filter(|_| !config.groupdn.is_empty()) {
                Some(filter) => {
                    let search = Search {
                        base: config.groupdn.clone(),
                        attributes: vec![config.groupattr.clone()],
                        size_limit: 0,
                        page_size: u32::try_from(config.max_page_size).unwrap_or(i32::MAX as u32),
                        ..self.below_users(filter, &[])
                    };
                    let found = session.search(&search).await;
                    found.map_err(|e| failed("the search for groups failed", e))?
                }
                None => Vec::new(),
            }
        };
        let mut groups = BTreeSet::new();
        for entry in entries.iter().filter(|entry| is_name(&entry.name)) {
            let mut named = entry.texts(&config.groupattr).peekable();
            if named.peek().is_none() {
                groups.insert(self.group_name(&entry.name));
            }
            groups.extend(named.map(|text| self.group_name(text)));
        }
        groups.remove("");
        if groups.len() > GROUPS_MAX {
            let text =
                format!("ldap operation failed: the user is in more than {GROUPS_MAX} groups");
            return Err(Error::new(ErrorKind::Upstream, text));
        }
        Ok(groups.into_iter().collect())
    }

    /// The CN of a group's distinguished name; what is no such name, or has none, is the group's
    /// name itself.
    fn group_name(&self, text: &str) -> String {
        let old = self.config.use_pre111_group_cn_behavior;
        let is_cn = |kind: &str| if old { kind == "CN" } else { kind.eq_ignore_ascii_case("cn") };
        let parts = names::parse(text).unwrap_or_default();
        let cn = parts.into_iter().flatten().find(|(kind, _)| is_cn(kind));
        cn.map_or_else(|| text.to_owned(), |(_, value)| value)
    }

    /// The groups that Active Directory has worked out for the user, nested ones included.
    async fn token_groups(&self, session: &mut dyn Session, user_dn: &str) -> Result<Vec<Entry>> {
        let any = Filter::Present("objectClass".to_owned());
        let one = |base: String, attribute: &str| Search {
            base,
            scope: Scope::Base,
            size_limit: 1,
            ..self.below_users(any.clone(), &[attribute])
        };
        let found = session.search(&one(user_dn.to_owned(), "tokenGroups")).await;
        let found = found.map_err(|e| failed("the search for groups failed", e))?;
        let Some(user) = found.first() else { return Ok(Vec::new()) };
        let mut groups = Vec::new();
        for sid in user.values("tokenGroups").iter().take(TOKEN_GROUPS_MAX) {
            let Some(sid) = sid_text(sid) else { continue };
            match session.search(&one(format!("<SID={sid}>"), "1.1")).await {
                Ok(found) => groups.extend(found),
                // A group of another domain, or one that this account may not see.
                Err(Failure { kind: FailureKind::Refused(_), .. }) => {}
                Err(e) => return Err(failed("the search for groups failed", e)),
            }
        }
        Ok(groups)
    }

    /// The name of the alias of the user's entity.
    fn alias(&self, user: Option<Entry>) -> Result<String> {
        let config = self.config;
        if config.username_as_alias {
            return Ok(self.name.to_owned());
        }
        let Some(user) = user else { return Ok(self.built_name()) };
        let attribute = &config.userattr;
        let mut values = user.texts(attribute);
        match (values.next(), user.values(attribute).len()) {
            (Some(value), 1) if !value.is_empty() => Ok(value.to_owned()),
            _ => Err(Error::bad_request(format!(
                "LDAP entity alias attribute {attribute} empty or not unique for entity alias \
                 mapping"
            ))),
        }
    }
}

fn is_name(text: &str) -> bool {
    names::parse(text).is_some_and(|parts| !parts.is_empty())
}

/// A security identifier as text (MS-DTYP §2.4.2): revision, authority, and further numbers.
fn sid_text(sid: &[u8]) -> Option<String> {
    let (&[revision, count, a, b, c, d, e, f], rest) = sid.split_first_chunk::<8>()?;
    let authority = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let (numbers, more) = rest.as_chunks::<4>();
    if numbers.len() != usize::from(count) || !more.is_empty() {
        return None;
    }
    let mut text = format!("S-{revision}-{authority}");
    for number in numbers {
        text.push_str(&format!("-{}", u32::from_le_bytes(*number)));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::sid_text;

    #[test]
    fn security_identifiers() {
        // Administrators, S-1-5-32-544 (MS-DTYP §2.4.2.4)
        let administrators = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0];
        assert_eq!(sid_text(&administrators).as_deref(), Some("S-1-5-32-544"));
        for bad in [&administrators[..15], &administrators[..12], &[], &[1, 0, 0]] {
            assert_eq!(sid_text(bad), None, "{bad:?}");
        }
    }
}
