//! Two accounts that take turns.

use super::*;

async fn run(conn: &mut Conn, statements: &[&str]) {
    for statement in statements {
        conn.query_drop(*statement).await.expect(statement);
    }
}

/// What an account may, without its name and its password.
async fn grants(conn: &mut Conn, name: &str) -> Vec<String> {
    let lines: Vec<String> =
        conn.query(format!("SHOW GRANTS FOR '{name}'@'%'")).await.expect("grants");
    let plain = |line: &String| {
        let line = line.replace(&format!("`{name}`"), "?");
        let hash = |(before, rest): (&str, &str)| {
            format!("{before}{}", rest.split_once('\'').map_or("", |(_, rest)| rest))
        };
        line.split_once(" IDENTIFIED BY PASSWORD '").map(hash).unwrap_or(line)
    };
    let mut lines: Vec<String> = lines.iter().map(plain).collect();
    lines.sort();
    lines
}

/// Each of the two is the other's model, again and again.
async fn take_turns(database: &Arc<dyn Database>, first: &str) {
    let second = format!("{first}_clone");
    for turn in 0..4 {
        let (model, name) = match turn % 2 {
            0 => (first, second.as_str()),
            _ => (second.as_str(), first),
        };
        let password = secret(&format!("turn-{turn}"));
        database.imitate(model, name, &password).await.expect(name);
        assert!(database.logs_in(name, &password).await.expect(name), "{name}, turn {turn}");
    }
}

#[tokio::test]
async fn the_second_account_has_the_rights_of_the_first_and_no_more() {
    let server = MariaDb::shared();
    let database = open(settings(URL, server.port));
    let mut conn = by_hand(&server).await;
    run(
        &mut conn,
        &[
            "CREATE USER like1@'%' IDENTIFIED BY 'word'",
            "GRANT SELECT, PROCESS ON *.* TO like1@'%' WITH GRANT OPTION",
            "GRANT INSERT, UPDATE ON `li``ke`.* TO like1@'%'",
            // Somebody's, with less.
            "CREATE USER like1_clone@'%' IDENTIFIED BY 'other'",
            "GRANT SELECT ON *.* TO like1_clone@'%'",
        ],
    )
    .await;
    take_turns(&database, "like1").await;
    assert_eq!(grants(&mut conn, "like1_clone").await, grants(&mut conn, "like1").await);
    let words = grants(&mut conn, "like1").await.join("\n");
    assert!(words.contains("SELECT, PROCESS ON *.*") && words.contains("GRANT OPTION"), "{words}");

    run(&mut conn, &["REVOKE GRANT OPTION ON *.* FROM like1@'%', like1_clone@'%'"]).await;
    run(&mut conn, &["CREATE ROLE like1_role"]).await;
    for (given, taken) in [
        ("GRANT INSERT ON *.* TO", "REVOKE INSERT ON *.* FROM"),
        ("GRANT ALL ON *.* TO", "REVOKE ALL ON *.* FROM"),
        ("GRANT like1_role TO", "REVOKE like1_role FROM"),
    ] {
        run(&mut conn, &[&format!("{given} like1_clone@'%'")]).await;
        let made = database.imitate("like1", "like1_clone", &secret("never")).await;
        let error = made.expect_err(given);
        assert_eq!(error.kind, FailureKind::Refused, "{given}: {error}");
        assert!(error.text.contains("may do what the first may not"), "{given}: {error}");
        assert!(!database.logs_in("like1_clone", &secret("never")).await.expect("asked"));
        run(&mut conn, &[&format!("{taken} like1_clone@'%'")]).await;
    }
    run(&mut conn, &["GRANT SELECT ON *.* TO like1_clone@'%' WITH GRANT OPTION"]).await;
    let made = database.imitate("like1", "like1_clone", &secret("never")).await;
    assert_eq!(made.expect_err("it gives").kind, FailureKind::Refused);
}

/// A right that is not understood is not left out.
#[tokio::test]
async fn grants_not_understood_are_refused() {
    let server = MariaDb::shared();
    let mut conn = by_hand(&server).await;
    run(
        &mut conn,
        &[
            "CREATE USER like2@'%' IDENTIFIED BY 'word'",
            "GRANT SELECT ON *.* TO like2@'%'",
            "CREATE USER like3@'%' IDENTIFIED VIA unix_socket OR mysql_native_password",
        ],
    )
    .await;
    let ansi = open(settings(&format!("{URL}?sql_mode=%27ANSI_QUOTES%27"), server.port));
    let plain = open(settings(URL, server.port));
    for (database, name) in [(&ansi, "like2"), (&plain, "like3")] {
        let second = format!("{name}_clone");
        let error = database.imitate(name, &second, &secret("x")).await.expect_err(name);
        assert_eq!(error.kind, FailureKind::Refused, "{name}: {error}");
        assert!(error.text.contains("is not understood"), "{name}: {error}");
        assert_eq!(hosts(&server, &second).await, [""; 0], "{name}");
    }
    take_turns(&plain, "like2").await;
}

#[tokio::test]
async fn roles_are_the_second_accounts_from_its_login_on() {
    let server = MariaDb::shared();
    let database = open(settings(URL, server.port));
    let mut conn = by_hand(&server).await;
    run(
        &mut conn,
        &[
            "CREATE ROLE `like4``s`",
            "GRANT `like4``s` TO CURRENT_USER WITH ADMIN OPTION",
            &format!("GRANT `like4``s` TO {ADMIN}@'%' WITH ADMIN OPTION"),
            "CREATE USER like4@'%' IDENTIFIED BY 'word'",
            "GRANT `like4``s` TO like4@'%'",
            "SET DEFAULT ROLE `like4``s` FOR like4@'%'",
        ],
    )
    .await;
    take_turns(&database, "like4").await;
    for (name, password) in [("like4_clone", "turn-2"), ("like4", "turn-3")] {
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(server.port)
            .user(Some(name))
            .pass(Some(password));
        let mut own = Conn::new(opts).await.expect(name);
        let role: Option<Option<String>> =
            own.query_first("SELECT CURRENT_ROLE()").await.expect(name);
        assert_eq!(role.flatten().as_deref(), Some("like4`s"), "{name}");
    }
    // Nor has it one that the first has no more.
    run(&mut conn, &["SET DEFAULT ROLE NONE FOR like4@'%'"]).await;
    take_turns(&database, "like4").await;
    let left = "SELECT User FROM mysql.user WHERE User LIKE 'like4%' AND default_role <> ''";
    assert_eq!(conn.query::<String, _>(left).await.expect("a list"), [""; 0]);
}

/// Is this what the account of a host has? Nobody here logs in from elsewhere.
async fn has(conn: &mut Conn, name: &str, host: &str, password: &str) -> bool {
    let query = "SELECT COUNT(*) FROM mysql.user WHERE User = ? AND Host = ? AND \
                 authentication_string = PASSWORD(?)";
    let found: Option<i64> = conn.exec_first(query, (name, host, password)).await.expect("asked");
    found == Some(1)
}

/// A password that all entries of a name got is ended for all of them, the one that logs in here at last.
/// Threat CVE-2026-39946: names and passwords are data there, too.
#[tokio::test]
async fn a_password_ends_for_all_hosts() {
    let server = MariaDb::shared();
    let database = open(settings(URL, server.port));
    let mut conn = by_hand(&server).await;
    let name = "ends'5";
    let user = "`ends'5`";
    let hosts = ["%", "10.%", "127.0.0.1"];
    for host in hosts {
        let made = format!("CREATE USER {user}@'{host}' IDENTIFIED BY 'word'");
        run(&mut conn, &[&made]).await;
    }
    take_turns(&database, name).await;
    let (now, second) = ("turn-3", format!("{name}_clone"));
    for host in hosts {
        assert!(has(&mut conn, name, host, now).await, "{host}");
        assert!(has(&mut conn, &second, host, "turn-2").await, "{host}");
    }
    // Somebody's own, who may log in from elsewhere by another name: it is no entry of this one.
    run(&mut conn, &["CREATE USER ends6@'10.%' IDENTIFIED BY 'turn-3'"]).await;
    // An entry that came since is of the name, too.
    run(&mut conn, &[&format!("CREATE USER {user}@'odd.test' IDENTIFIED BY 'word'")]).await;
    let ends = async |next: &str| database.end_password(name, &secret(now), &secret(next)).await;
    assert_eq!(ends("").await.expect_err("none").kind, FailureKind::Configuration);
    ends("nobody's").await.expect("ended");
    for host in hosts.iter().chain(&["odd.test"]) {
        assert!(has(&mut conn, name, host, "nobody's").await, "{host}");
        assert!(!has(&mut conn, name, host, now).await, "{host}");
    }
    assert!(!database.logs_in(name, &secret(now)).await.expect("asked"));
    assert!(has(&mut conn, "ends6", "10.%", now).await);
    assert!(has(&mut conn, &second, "10.%", "turn-2").await, "the other of the two is not touched");
    // Again, as after a crash.
    ends("nobody's, too").await.expect("ended");
}

/// Who may not look for the others ends nobody's.
#[tokio::test]
async fn a_password_ends_for_all_hosts_or_none() {
    let server = MariaDb::shared();
    let mut conn = by_hand(&server).await;
    run(
        &mut conn,
        &[
            "CREATE USER ends7@'%' IDENTIFIED BY 'word'",
            "CREATE USER ends7@'10.%' IDENTIFIED BY 'word'",
            "CREATE USER blind7@'%' IDENTIFIED BY 'blind'",
            "GRANT CREATE USER ON *.* TO blind7@'%'",
        ],
    )
    .await;
    let own = settings(URL, server.port);
    let own = Settings { username: "blind7".to_owned(), password: secret("blind"), ..own };
    let ended = open(own).end_password("ends7", &secret("word"), &secret("next")).await;
    assert_eq!(ended.expect_err("it may not look").kind, FailureKind::Unsupported);
    for host in ["%", "10.%"] {
        assert!(has(&mut conn, "ends7", host, "word").await, "{host}");
    }
}
