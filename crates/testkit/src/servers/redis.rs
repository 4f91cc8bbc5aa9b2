//! Redis.

use super::guard::{Folder, Guarded, on_free_port, program};

/// The administrator's name.
pub const ADMIN: &str = "keeper";
/// The administrator's password.
pub const PASSWORD: &str = "k'e\"e\\p:e@r/";

/// A running server with an administrator of its own, [`ADMIN`], and nobody else.
#[derive(Debug)]
pub struct Redis {
    /// `None` while it is stopped.
    server: Option<Guarded>,
    folder: Folder,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Redis {
    /// Starts a server that keeps its users in a file (`ACL SAVE`).
    pub fn start() -> Self {
        let folder = Folder::new();
        folder.write(
            "users.acl",
            &format!("user default off\nuser {ADMIN} on >{PASSWORD} ~* &* +@all\n"),
        );
        let text = format!("aclfile {}\n", folder.path("users.acl").display());
        Self::launch_new(folder, &text)
    }

    /// Starts a server that keeps its users in its configuration (`CONFIG REWRITE`).
    pub fn start_rewriting() -> Self {
        let password = PASSWORD.replace('\\', "\\\\").replace('"', "\\\"");
        let text = format!("user default off\nuser {ADMIN} on \">{password}\" ~* &* +@all\n");
        Self::launch_new(Folder::new(), &text)
    }

    /// Starts a server that takes connections with TLS only, of clients with a certificate of this
    /// authority (all PEM).
    pub fn start_tls(ca: &str, certificate: &str, key: &str) -> Self {
        let folder = Folder::new();
        let file = |name: &str, text: &str| folder.write(name, text).display().to_string();
        let text = format!(
            "user default off\nuser {ADMIN} on \">{}\" ~* &* +@all\ntls-ca-cert-file {}\n\
             tls-cert-file {}\ntls-key-file {}\n",
            PASSWORD.replace('\\', "\\\\").replace('"', "\\\""),
            file("ca.pem", ca),
            file("server.pem", certificate),
            file("server.key", key),
        );
        Self::launch_new(folder, &text)
    }

    fn launch_new(folder: Folder, text: &str) -> Self {
        let (server, port) = on_free_port(|port| {
            let common = "bind 127.0.0.1\nsave \"\"\nappendonly no\n";
            let place = folder.path("").display().to_string();
            let port = match text.contains("tls-cert-file") {
                true => format!("port 0\ntls-port {port}"),
                false => format!("port {port}"),
            };
            folder.write("redis.conf", &format!("{port}\n{common}dir \"{place}\"\n{text}"));
            launch(&folder)
        });
        Self { server: Some(server), folder, port }
    }

    /// Ends the server.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it again with what it kept, on the same port.
    pub fn restart(&mut self) {
        self.stop();
        self.server = Some(launch(&self.folder).expect("it starts again"));
    }
}

fn launch(folder: &Folder) -> Result<Guarded, String> {
    let args = [folder.path("redis.conf").display().to_string()];
    Guarded::start(&program("redis-server", "redis-server"), &args, "Ready to accept connections")
}
