//! What operators write and servers say, by seed: nothing panics, nothing hangs, no error repeats a
//! password, and no value changes what a statement is.

use serde_json::json;
use strongroom_base::{JsonMap, SecretString};
use strongroom_testkit::fuzz::Fuzz;

use super::statements::{Dialect, fill};
use super::{Settings, TlsMaterial, builtin, without};

const ROUNDS: usize = 1_500;

/// Stands in each address, and in no text of ours.
const CANARY: &str = "c4n4ry";

const ADDRESSES: &[&str] = &[
    "postgresql://{{username}}:{{password}}@127.0.0.1:5433,[::1]:1/app?sslmode=verify-full&options=-c%20a",
    "postgres://u%20:c4n4ry@db?sslmode=require&connect_timeout=5&keepalives_idle=9&target_session_attrs=any",
    "host='a b' port = 5433 user={{username}} password=c4n4ry hostaddr=1.2.3.4 sslnegotiation=direct",
    "{{username}}:{{password}}@tcp(127.0.0.1:3307,[::1],h)/d%20b?tls=preferred&timeout=5s&parseTime=true",
    "root:c4n4ry@unix(/run/my.sock)/?time_zone=%27UTC%27&charset=gbk&readTimeout=1m1s",
    "valkeys://{{username}}:{{password}}@[::1]:6379/",
    "redis://u:c4n4ry@h",
];

#[test]
fn addresses() {
    let fuzz = Fuzz::new(11);
    let databases = builtin();
    let mut opened = 0;
    for _ in 0..ROUNDS {
        let address = fuzz.text(ADDRESSES);
        for name in databases.names() {
            let mut own = JsonMap::new();
            own.insert("disable_escaping".to_owned(), json!(fuzz.below(2) == 0));
            let settings = Settings {
                connection_url: SecretString::new(address.clone()),
                username: fuzz.text(&["a%20dmin", "{{password}}"]),
                password: SecretString::new(format!("{CANARY}{}", fuzz.text(&["%41/@:"]))),
                // Authorities of our own: reading those of the machine each time takes too long.
                tls: TlsMaterial { skip_verify: true, ..TlsMaterial::default() },
                own,
                ..Settings::default()
            };
            let driver = databases.driver(name).expect(name);
            match driver.open(settings) {
                Ok(database) => {
                    opened += 1;
                    let shown = format!("{database:?}");
                    // Changed addresses have what was a password elsewhere.
                    let said = address.contains(CANARY);
                    assert!(said || !shown.contains(CANARY), "{address:?}: {shown}");
                }
                Err(error) => assert!(!error.text.contains(CANARY), "{address:?}: {error}"),
            }
        }
    }
    assert!(opened > ROUNDS / 10, "{opened}");
}

const STATEMENTS: &[&str] = &[
    "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; GRANT a TO {{name}};",
    "DO $x$ BEGIN EXECUTE 'CREATE ROLE \"{{name}}\"'; PERFORM E'{{password}}'; END $x$; SELECT $$a;b$$;",
    "CREATE USER '{{name}}'@'%' IDENTIFIED BY \"{{password}}\"; -- for {{name}};\n# x\n/* {{name}} /* ; */ */",
    "GRANT ALL ON `{{name}}`.* TO '{{name}}'@'it\\'s;'; /*!50000 SELECT '{{name}}' */",
];

const VALUES: &[&str] = &[
    "v-token-reader-1",
    "x\"; DROP ROLE a; --",
    "x'; DROP USER 'a'@'%'; -- ",
    "a\\",
    "a\\'",
    "$$",
    "$x$",
    "x$",
    "*/ SELECT 1",
    "\n;",
    "`;",
    "e",
    "E",
    "",
    "\u{fc}'",
];

/// Threat CVE-2026-39946: with any value in it, a statement is taken apart as with none.
#[test]
fn statements() {
    let fuzz = Fuzz::new(12);
    let mut filled = 0;
    for _ in 0..ROUNDS {
        let text = fuzz.text(STATEMENTS);
        let value = match fuzz.below(2) {
            0 => VALUES[fuzz.below(VALUES.len() as u64) as usize].to_owned(),
            _ => fuzz.text(VALUES),
        };
        for dialect in [Dialect::Postgresql, Dialect::Mysql] {
            let with = |value: &str| {
                let names = ["name", "password", "expiration"];
                fill(dialect, std::slice::from_ref(&text), &names.map(|name| (name, value)))
            };
            let Ok(statements) = with(&value) else { continue };
            filled += 1;
            let harmless = with("harmless").unwrap_or_else(|e| panic!("{text:?}: {e}"));
            let case = format!("{dialect:?} {text:?} {value:?}");
            assert_eq!(statements.len(), harmless.len(), "{case}");
            for statement in &statements {
                let statement = statement.expose_secret();
                let again = fill(dialect, &[format!("{statement};")], &[]);
                let again = again.unwrap_or_else(|e| panic!("{case}: {statement:?}: {e}"));
                assert_eq!(again.len(), 1, "{case}: {statement:?}");
            }
        }
    }
    assert!(filled > ROUNDS / 4, "{filled}");
}

#[test]
fn what_servers_say() {
    let fuzz = Fuzz::new(13);
    let samples = ["near 'c4n4ry pass' at line 1", "\"C4N4RY\"", "c4n4'ry", "c4n4ry pass\0x"];
    for _ in 0..ROUNDS {
        let said = fuzz.text(&samples);
        let secret = SecretString::new(fuzz.text(&["c4n4ry pass", "c4n4ry"]));
        let shown = without(&said, &[&SecretString::new("c4n4ry".to_owned()), &secret]);
        assert!(!shown.to_lowercase().contains("4n4ry"), "{said:?}: {shown:?}");
    }
}
