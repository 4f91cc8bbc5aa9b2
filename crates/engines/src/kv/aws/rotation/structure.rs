//! The JSON structure of a secret that opens a database (Secrets Manager's guide, "JSON structure of
//! secrets"): `engine`, `host`, `port`, `username`, `password`, `dbname`, `masterarn`.

use strongroom_base::json::{self, SecretMap};
use strongroom_base::{Error, Json, Result, SecretBytes, SecretString};

use super::databases::is_host;
use super::rotators::Kind;

/// A value with this structure. What is not known in it is carried along.
pub struct Structure(SecretMap);

impl Kind {
    /// What a secret's `engine` says.
    fn engines(self) -> &'static [&'static str] {
        match self {
            Self::Postgresql => &["postgres", "aurora-postgresql"],
            Self::Mysql => &["mysql", "aurora-mysql"],
            Self::Mariadb => &["mariadb"],
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Postgresql => 5432,
            Self::Mysql | Self::Mariadb => 3306,
        }
    }

    /// Bytes of an account's name.
    pub fn name_bytes_max(self) -> usize {
        match self {
            Self::Postgresql => 63,
            Self::Mysql => 32,
            Self::Mariadb => 80,
        }
    }
}

fn wrong(text: impl Into<String>) -> Error {
    Error::bad_request(text)
}

impl Structure {
    /// Reads a value. No error repeats anything of it.
    pub fn read(value: &SecretBytes, kind: Kind) -> Result<Self> {
        let structure = match json::parse_bounded(value.expose_secret()) {
            Ok(Json::Object(map)) => Self(SecretMap(map)),
            Ok(mut other) => {
                json::wipe(&mut other);
                return Err(wrong("the secret's value is no JSON object"));
            }
            Err(_) => return Err(wrong("the secret's value is no JSON object")),
        };
        let engines = kind.engines();
        let engine = structure.text("engine")?;
        if !engines.iter().any(|name| name.eq_ignore_ascii_case(engine)) {
            let name = engines.first().copied().unwrap_or_default();
            return Err(wrong(format!("the secret's engine must be {name} for this rotator")));
        }
        if !is_host(structure.text("host")?) {
            return Err(wrong("the secret's host is not the name or address of one host"));
        }
        structure.text("username")?;
        structure.password()?;
        structure.port(kind)?;
        Ok(structure)
    }

    /// A member that must be there.
    pub fn text(&self, name: &str) -> Result<&str> {
        let text = self.0.0.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
        text.ok_or_else(|| wrong(format!("the secret has no {name}")))
    }

    /// A member that may be missing.
    pub fn optional(&self, name: &str) -> &str {
        self.0.0.get(name).and_then(Json::as_str).unwrap_or_default()
    }

    /// The port, which may be a number or a text.
    pub fn port(&self, kind: Kind) -> Result<u16> {
        let port = match self.0.0.get("port") {
            None | Some(Json::Null) => Some(kind.port()),
            Some(Json::String(text)) if text.is_empty() => Some(kind.port()),
            Some(Json::String(text)) => text.parse().ok(),
            Some(Json::Number(number)) => number.as_u64().and_then(|n| u16::try_from(n).ok()),
            Some(_) => None,
        };
        port.filter(|port| *port > 0).ok_or_else(|| wrong("the secret's port is none"))
    }

    /// The password.
    pub fn password(&self) -> Result<SecretString> {
        self.text("password").map(|text| SecretString::new(text.to_owned()))
    }

    /// The same with another account.
    pub fn set_login(&mut self, username: &str, password: &SecretString) {
        let password = Json::String(password.expose_secret().clone());
        for (name, value) in [("username", username.into()), ("password", password)] {
            if let Some(mut before) = self.0.0.insert(name.to_owned(), value) {
                json::wipe(&mut before);
            }
        }
    }

    /// Its text.
    pub fn bytes(&self) -> SecretBytes {
        let mut out = Vec::with_capacity(json::room_for_map(&self.0.0));
        json::write_map(&mut out, &self.0.0);
        SecretBytes::new(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, kind: Kind) -> Result<Structure> {
        Structure::read(&SecretBytes::new(text.as_bytes().to_vec()), kind)
    }

    #[test]
    fn what_aws_writes_is_read_and_kept() {
        let text = r#"{"engine":"postgres","host":"db.test","username":"app","password":"hunter2",
            "dbname":"x","port":"5433","extra":{"b":1.50,"a":[]}}"#;
        let mut structure = read(text, Kind::Postgresql).unwrap();
        assert_eq!(
            (structure.text("host").unwrap(), structure.port(Kind::Postgresql).unwrap()),
            ("db.test", 5433)
        );
        structure.set_login("app_clone", &SecretString::new("next".to_owned()));
        let bytes = structure.bytes();
        assert_eq!(
            std::str::from_utf8(bytes.expose_secret()).unwrap(),
            r#"{"engine":"postgres","host":"db.test","username":"app_clone","password":"next","dbname":"x","port":"5433","extra":{"b":1.50,"a":[]}}"#
        );
        let of = |engine: &str, port: &str| {
            format!(r#"{{"engine":"{engine}","host":"h","username":"u","password":"p"{port}}}"#)
        };
        for (kind, engine, port, expected) in [
            (Kind::Postgresql, "postgres", "", 5432),
            (Kind::Mysql, "MySQL", "", 3306),
            (Kind::Mariadb, "mariadb", r#","port":3307"#, 3307),
        ] {
            assert_eq!(read(&of(engine, port), kind).unwrap().port(kind).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_login_is_refused_without_being_repeated() {
        for text in [
            "",
            "hunter2",
            r#""hunter2""#,
            r#"{"engine":"mysql","host":"h","username":"u","password":"hunter2"}"#,
            r#"{"host":"h","username":"u","password":"hunter2"}"#,
            r#"{"engine":"postgres","username":"u","password":"hunter2"}"#,
            r#"{"engine":"postgres","host":"/tmp/hunter2","username":"u","password":"hunter2"}"#,
            r#"{"engine":"postgres","host":"a,b","username":"u","password":"hunter2"}"#,
            r#"{"engine":"postgres","host":"h","username":"","password":"hunter2"}"#,
            r#"{"engine":"postgres","host":"h","username":"u"}"#,
            r#"{"engine":"postgres","host":"h","username":"u","password":["hunter2"]}"#,
            r#"{"engine":"postgres","host":"h","username":"u","password":"p","port":"hunter2"}"#,
            r#"{"engine":"postgres","host":"h","username":"u","password":"p","port":0}"#,
            r#"{"engine":"postgres","host":"h","username":"u","password":"p","port":65536}"#,
        ] {
            let error = read(text, Kind::Postgresql).map(|_| ()).unwrap_err();
            assert!(!error.public.join(" ").contains("hunter2"), "{text}");
        }
    }
}
