//! How a server is found.

use super::*;

#[tokio::test]
async fn the_server_is_found_by_every_form_of_address() {
    let server = Server::shared();
    let (port, folder) = (server.port(), server.socket_folder().display().to_string());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let login = "{{username}}:{{password}}";
    let encoded = "r00t%27p%40ss%2Fword%3A%2541%5C%23";
    let good = [
        format!("postgresql://{login}@127.0.0.1:{port}/postgres"),
        format!("postgres://{login}@localhost:{port}"),
        format!("postgres://{login}@localhost:{port}/?sslmode=disable"),
        format!("postgres://{login}@localhost:{port}/postgres?sslmode=prefer&connect_timeout=5"),
        format!("postgres://{login}@localhost:{port}/postgres?sslmode=allow&search_path=a,b"),
        format!("postgres://postgres:{encoded}@127.0.0.1:{port}/postgres"),
        format!("postgres://127.0.0.1:{port}/postgres"),
        format!("postgres://{login}@127.0.0.1:{closed},127.0.0.1:{port}/postgres"),
        format!("postgres://{login}@/postgres?host={folder}&port={port}&sslmode=require"),
        format!("postgres://{login}@{}:{port}/postgres", folder.replace('/', "%2F")),
        format!("host=127.0.0.1 port={port} user={{{{username}}}} password={{{{password}}}}"),
        format!("host='{folder}' port={port} user=postgres password='{{{{password}}}}'"),
        format!("hostaddr=127.0.0.1 port={port} user=postgres target_session_attrs=read-write"),
    ];
    for url in good {
        let database = open(settings(&url));
        database.verify().await.unwrap_or_else(|e| panic!("{url}: {e}"));
        database.close().await.unwrap();
        assert_eq!(database.verify().await.unwrap_err().kind, FailureKind::Unreachable);
    }
    let mut escaped = settings(&server.url("postgres"));
    escaped.password = secret(encoded);
    escaped.own.insert("disable_escaping".to_owned(), json!(true));
    open(escaped).verify().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_an_address_is_said_without_it() {
    let server = Server::shared();
    let port = server.port();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let login = "{{username}}:{{password}}";
    use FailureKind::{Configuration, Credential, Refused, Unreachable};
    let cases = [
        (String::new(), Configuration, "cannot be empty"),
        (format!("mysql://{login}@db"), Configuration, "must begin with"),
        (format!("postgres://{login}@127.0.0.1:port/x"), Configuration, "port is not a number"),
        (format!("postgres://{login}@h/?sslmode=maybe"), Configuration, "sslmode must be one of"),
        (format!("postgres://{login}@h/?passfile=/x"), Configuration, "passfile is not supported"),
        (format!("postgres://{login}@h/?sslrootcert=/nowhere"), Configuration, "cannot be read"),
        (format!("postgres://{login}@h1,h2/?port=1,2,3"), Configuration, "as many ports"),
        (format!("postgres://{login}@{}h/", "h,".repeat(16)), Configuration, "more than 16 hosts"),
        (format!("postgres://{login}@h/?sslcert=/etc/passwd"), Configuration, "cannot be read"),
        (format!("postgres://{login}@h/?sslkey=/dev/zero"), Configuration, "cannot be read"),
        (format!("postgres://{login}@127.0.0.1:{closed}/x"), Unreachable, "refused"),
        (format!("postgres://{login}@nowhere.invalid/x"), Unreachable, "cannot connect"),
        (format!("postgres://{login}@127.0.0.1:{port}/nowhere"), Configuration, "3D000"),
        (format!("postgres://{login}x@127.0.0.1:{port}/postgres"), Credential, "28P01"),
        (format!("postgres://nobody:{{{{password}}}}@127.0.0.1:{port}/x"), Credential, "28P01"),
        (format!("postgres://{login}@127.0.0.1:{port}/?sslmode=require"), Configuration, "TLS"),
        (format!("postgres://{login}@127.0.0.1:{port}/postgres?no_such=1"), Refused, "no_such"),
    ];
    for (url, kind, text) in cases {
        let mut options = settings(&url);
        options.timeout = Duration::from_secs(20);
        let error = match Postgresql.open(options) {
            Ok(database) => database.verify().await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.kind, kind, "{url}: {error}");
        assert!(error.text.contains(text), "{url}: {error}");
        assert!(
            !["r00t", "127.0.0.1", "@"].iter().any(|part| error.text.contains(part)),
            "{error}"
        );
    }
    // A server that takes the connection and then says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut options = settings(&format!("postgres://{login}@127.0.0.1:{port}/x"));
    options.timeout = Duration::from_millis(200);
    let error = open(options).verify().await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Unreachable);
    let mut options = settings("postgres://db");
    options.username = "{{password}}".to_owned();
    assert!(Postgresql.open(options).unwrap_err().text.contains("template variables"));
    let mut options = settings("postgres://db");
    options.own.insert("password_authentication".to_owned(), json!("md5"));
    assert!(Postgresql.open(options).unwrap_err().text.contains("scram-sha-256"));
}
