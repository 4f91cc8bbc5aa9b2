//! What the built-in rotators have to know of each kind of database: its driver, its address, and how an
//! account changes its own password there.

use strongroom_base::JsonMap;
use strongroom_cloudwire::sigv4::uri_encode;

use super::databases::Tls;
use super::rotators::Kind;

impl Kind {
    pub(super) fn driver(self) -> &'static str {
        match self {
            Self::Postgresql => "postgresql-database-plugin",
            Self::Mysql | Self::Mariadb => "mysql-database-plugin",
        }
    }

    /// Are accounts of one name told apart by the hosts that they log in from?
    pub(super) fn has_hosts(self) -> bool {
        matches!(self, Self::Mysql | Self::Mariadb)
    }

    /// How an account changes its own password. With hosts that is the one that this server's logins
    /// come from.
    pub(super) fn own_password(self) -> &'static [&'static str] {
        match self {
            Self::Postgresql => &[r#"ALTER ROLE "{{username}}" WITH PASSWORD '{{password}}'"#],
            Self::Mysql => &["ALTER USER USER() IDENTIFIED BY '{{password}}'"],
            Self::Mariadb => &["SET PASSWORD = PASSWORD('{{password}}')"],
        }
    }

    /// Settings of its driver. PostgreSQL gets no password, but what verifies one: none is in its log.
    pub(super) fn own_settings(self) -> JsonMap {
        match self {
            Self::Postgresql => {
                JsonMap::from_iter([("password_authentication".to_owned(), "scram-sha-256".into())])
            }
            Self::Mysql | Self::Mariadb => JsonMap::new(),
        }
    }

    /// The address of a database, with places for name and password.
    pub(super) fn url(self, host: &str, port: u16, database: &str, tls: Tls) -> String {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let database = uri_encode(database);
        match self {
            Self::Postgresql => {
                let database = if database.is_empty() { "postgres" } else { &database };
                let mode = match tls {
                    Tls::Verify => "verify-full",
                    Tls::Require => "require",
                    Tls::Prefer => "prefer",
                    Tls::Disable => "disable",
                };
                format!(
                    "postgresql://{{{{username}}}}:{{{{password}}}}@{host}:{port}/{database}?sslmode={mode}"
                )
            }
            Self::Mysql | Self::Mariadb => {
                let mode = match tls {
                    Tls::Verify => "true",
                    Tls::Require => "skip-verify",
                    Tls::Prefer => "preferred",
                    Tls::Disable => "false",
                };
                format!(
                    "{{{{username}}}}:{{{{password}}}}@tcp({host}:{port})/{database}?tls={mode}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_nothing_but_what_they_are_for() {
        let url = |kind: Kind, host: &str, database: &str| kind.url(host, 1, database, Tls::Verify);
        assert_eq!(
            url(Kind::Postgresql, "db.test", "a/b?c"),
            "postgresql://{{username}}:{{password}}@db.test:1/a%2Fb%3Fc?sslmode=verify-full"
        );
        assert_eq!(
            url(Kind::Postgresql, "::1", ""),
            "postgresql://{{username}}:{{password}}@[::1]:1/postgres?sslmode=verify-full"
        );
        assert_eq!(
            url(Kind::Mariadb, "db.test", "x"),
            "{{username}}:{{password}}@tcp(db.test:1)/x?tls=true"
        );
    }
}
