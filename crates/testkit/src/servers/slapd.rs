//! OpenLDAP's server, with a few people and groups below [`BASE`].
//!
//! Groups are nested ([`STAFF`] has the members of `admins`), by names (`member`) and by user names
//! (`memberUid`). Everyone may search, unless a server is started [`Slapd::closed`].

use std::net::TcpStream;
use std::process::Command;

use super::guard::{Folder, Guarded, free_port, on_free_port, program};

/// The name below which all is.
pub const BASE: &str = "dc=example,dc=org";
/// An account that searches.
pub const KEEPER: &str = "cn=keeper,dc=example,dc=org";
/// Its password, of characters that mean something elsewhere.
pub const KEEPER_PASSWORD: &str = "k/e:e@p'e\"r\\(%41)?&#*";
/// The password of `ann`, who is in `admins` and `ops`.
pub const ANN_PASSWORD: &str = "c0rrect horse)(uid=*";
/// The password of `bob`, who is in no group.
pub const BOB_PASSWORD: &str = "bob's";
/// A user whose name means something in filters and in names of entries.
pub const ODD: &str = "odd, (name)*+x";
/// His password.
pub const ODD_PASSWORD: &str = "odd";
/// The group that has the members of another.
pub const STAFF: &str = "staff";

/// Attempts to connect to a server that has started and does not listen yet.
const CONNECTS_MAX: u32 = 1_000_000;

/// Certificates of a server, in PEM.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The server's.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// The authority whose certificates clients must show; empty asks for none.
    pub clients: String,
}

/// A running server.
#[derive(Debug)]
pub struct Slapd {
    /// `None` while it is stopped.
    server: Option<Guarded>,
    folder: Folder,
    /// Its port on 127.0.0.1 without TLS at first (`ldap`, StartTLS).
    pub port: u16,
    /// Its port with TLS (`ldaps`), where it has certificates.
    pub tls_port: u16,
}

impl Slapd {
    /// A server without TLS.
    pub fn start() -> Self {
        Self::launch_new("*", None)
    }

    /// A server without TLS that lets nobody search without an account.
    pub fn closed() -> Self {
        Self::launch_new("users", None)
    }

    /// A server with TLS.
    pub fn start_tls(certificates: &Certificates) -> Self {
        Self::launch_new("*", Some(certificates))
    }

    fn launch_new(who_reads: &str, certificates: Option<&Certificates>) -> Self {
        let folder = Folder::new();
        std::fs::create_dir(folder.path("data")).expect("a folder");
        let mut config = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/nis.schema\ninclude /etc/ldap/schema/inetorgperson.schema\n\
             include /etc/ldap/schema/dyngroup.schema\n\
             include {}\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload dynlist\n",
            folder.write("own.schema", SCHEMA).display()
        );
        if let Some(given) = certificates {
            let file = |name: &str, text: &str| folder.write(name, text).display().to_string();
            config.push_str(&format!(
                "TLSCertificateFile {}\nTLSCertificateKeyFile {}\n",
                file("server.pem", &given.certificate),
                file("server.key", &given.key),
            ));
            if !given.clients.is_empty() {
                let clients = file("clients.pem", &given.clients);
                config
                    .push_str(&format!("TLSCACertificateFile {clients}\nTLSVerifyClient demand\n"));
            }
        }
        config.push_str(&format!(
            "database mdb\nmaxsize 16777216\nsuffix {BASE}\ndirectory {}\ndbnosync\n\
             access to attrs=userPassword by anonymous auth by * none\n\
             access to * by {who_reads} read\noverlay dynlist\n\
             dynlist-attrset groupOfURLs memberURL member+memberOf@groupOfNames*\n",
            folder.path("data").display()
        ));
        folder.write("slapd.conf", &config);
        folder.write("people.ldif", &people());
        let config = folder.path("slapd.conf").display().to_string();
        let mut add = Command::new(program("slapadd", "slapd"));
        add.args(["-q", "-f", &config, "-l"]).arg(folder.path("people.ldif"));
        let done = add.output().expect("slapadd starts");
        assert!(done.status.success(), "slapadd: {}", String::from_utf8_lossy(&done.stderr));
        let mut tls_port = 0;
        let (server, port) = on_free_port(|port| {
            tls_port = if certificates.is_some() { free_port() } else { 0 };
            launch(&folder, port, tls_port)
        });
        Self { server: Some(server), folder, port, tls_port }
    }

    /// Ends the server.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it again with the same data, on the same ports.
    pub fn restart(&mut self) {
        self.stop();
        let started = launch(&self.folder, self.port, self.tls_port);
        self.server = Some(started.expect("it starts again"));
    }

    /// Its address without TLS at first.
    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }
}

fn launch(folder: &Folder, port: u16, tls_port: u16) -> Result<Guarded, String> {
    let mut urls = format!("ldap://127.0.0.1:{port}");
    if tls_port > 0 {
        urls.push_str(&format!(" ldaps://127.0.0.1:{tls_port}"));
    }
    let config = folder.path("slapd.conf").display().to_string();
    let args = ["-d", "stats", "-h", &urls, "-f", &config].map(str::to_owned);
    let server = Guarded::start(&program("slapd", "slapd"), &args, "slapd starting")?;
    // It says so before it listens.
    for _ in 0..CONNECTS_MAX {
        if [port, tls_port].iter().all(|port| *port == 0 || listens(*port)) {
            return Ok(server);
        }
        std::thread::yield_now();
    }
    Err("slapd does not listen".to_owned())
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// What Active Directory has and OpenLDAP has not.
const SCHEMA: &str = "\
attributetype ( 1.3.6.1.4.1.32473.1.1 NAME 'userPrincipalName' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.32473.1.2 NAME 'principal' SUP top AUXILIARY MAY userPrincipalName )
";

fn people() -> String {
    let person = |dn: &str, uid: &str, password: &str| {
        format!(
            "dn: {dn}\nobjectClass: inetOrgPerson\nobjectClass: principal\nuid: {uid}\ncn: {uid}\n\
             sn: {uid}\nuserPrincipalName: {uid}@example.org\nuserPassword: {password}\n\n"
        )
    };
    let folder = |name: &str| {
        format!("dn: ou={name},{BASE}\nobjectClass: organizationalUnit\nou: {name}\n\n")
    };
    [
        format!("dn: {BASE}\nobjectClass: domain\ndc: example\n\n"),
        folder("people"),
        folder("groups"),
        format!(
            "dn: {KEEPER}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n\
             cn: keeper\nuserPassword: {KEEPER_PASSWORD}\n\n"
        ),
        person(&format!("uid=ann,ou=people,{BASE}"), "ann", ANN_PASSWORD),
        person(&format!("uid=bob,ou=people,{BASE}"), "bob", BOB_PASSWORD),
        person(&format!("uid=odd\\, (name)*\\+x,ou=people,{BASE}"), ODD, ODD_PASSWORD),
        format!(
            "dn: cn=Admins,ou=groups,{BASE}\nobjectClass: groupOfNames\ncn: Admins\n\
             member: uid=ann,ou=people,{BASE}\n\n"
        ),
        format!(
            "dn: cn={STAFF},ou=groups,{BASE}\nobjectClass: groupOfNames\ncn: {STAFF}\n\
             member: cn=Admins,ou=groups,{BASE}\n\n"
        ),
        format!(
            "dn: cn=ops,ou=groups,{BASE}\nobjectClass: posixGroup\ncn: ops\ngidNumber: 1000\n\
             memberUid: ann\nmemberUid: {ODD}\n\n"
        ),
        // An alias of a group that is not among the groups.
        format!(
            "dn: cn=elsewhere,ou=groups,{BASE}\nobjectClass: alias\nobjectClass: extensibleObject\n\
             cn: elsewhere\naliasedObjectName: cn=hidden,{BASE}\n\n"
        ),
        format!(
            "dn: cn=hidden,{BASE}\nobjectClass: posixGroup\ncn: hidden\ngidNumber: 1001\n\
             memberUid: bob\n\n"
        ),
    ]
    .concat()
}
