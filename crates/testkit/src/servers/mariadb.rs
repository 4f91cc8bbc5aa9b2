//! MariaDB.

use std::process::Command;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::guard::{Folder, Guarded, on_free_port, program};

/// The administrator's name.
pub const ADMIN: &str = "keeper";
/// The administrator's password: of characters that mean something in URLs and in SQL.
pub const PASSWORD: &str = "k/e:e@p'e\"r\\(%41)?&#";

/// A running server with an administrator of its own, [`ADMIN`], from any host.
#[derive(Debug)]
pub struct MariaDb {
    /// `None` while it is stopped.
    server: Option<Guarded>,
    folder: Folder,
    options: Vec<String>,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl MariaDb {
    /// Makes a data folder and starts a server.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The server that tests running at the same time have in common.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<MariaDb>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock();
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// As [`MariaDb::start`], with options of the server.
    pub fn start_with(options: &[&str]) -> Self {
        let folder = Folder::new();
        let mut install = Command::new(program("mariadb-install-db", "mariadb-server-core"));
        install.args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]);
        install.arg(format!("--datadir={}", folder.path("data").display()));
        // In a folder in common, a server that starts removes the others' temporary files.
        std::fs::create_dir(folder.path("tmp")).expect("a folder");
        install.env("TMPDIR", folder.path("tmp"));
        install.args(user(&folder));
        let output = install.output().expect("mariadb-install-db starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "mariadb-install-db failed: {err}\n{out}");
        let password = PASSWORD.replace('\\', "\\\\").replace('\'', "''");
        folder.write(
            "init.sql",
            &format!(
                "CREATE USER IF NOT EXISTS '{ADMIN}'@'%' IDENTIFIED BY '{password}';\n\
                 GRANT ALL PRIVILEGES ON *.* TO '{ADMIN}'@'%' WITH GRANT OPTION;\n"
            ),
        );
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let (server, port) = on_free_port(|port| launch(&folder, port, &options));
        Self { server: Some(server), folder, options, port }
    }

    /// Ends the server.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it again with the same data, on the same port.
    pub fn restart(&mut self) {
        self.stop();
        self.server =
            Some(launch(&self.folder, self.port, &self.options).expect("it starts again"));
    }

    /// The path of its socket.
    pub fn socket(&self) -> String {
        self.folder.path("socket").display().to_string()
    }
}

/// It refuses to run as root unless told to.
fn user(folder: &Folder) -> Option<String> {
    folder.is_roots().then(|| "--user=root".to_owned())
}

fn launch(folder: &Folder, port: u16, options: &[String]) -> Result<Guarded, String> {
    let path = |name: &str| folder.path(name).display().to_string();
    let mut args = vec![
        "--no-defaults".to_owned(),
        format!("--datadir={}", path("data")),
        format!("--socket={}", path("socket")),
        format!("--pid-file={}", path("pid")),
        format!("--tmpdir={}", path("tmp")),
        format!("--init-file={}", path("init.sql")),
        format!("--port={port}"),
    ];
    let fixed = [
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        "--innodb-buffer-pool-size=16M",
        "--innodb-log-file-size=8M",
        "--innodb-flush-log-at-trx-commit=0",
        "--key-buffer-size=1M",
    ];
    args.extend(fixed.map(str::to_owned));
    args.extend_from_slice(options);
    args.extend(user(folder));
    Guarded::start(&program("mariadbd", "mariadb-server-core"), &args, "ready for connections")
}
