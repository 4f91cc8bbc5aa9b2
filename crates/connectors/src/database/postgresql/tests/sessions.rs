//! Sessions that are kept.

use super::*;

#[tokio::test]
async fn a_session_is_as_new_and_a_dead_one_is_replaced() {
    let server = Server::shared();
    let mut options = settings(&format!("{}?application_name=reuse", server.url("postgres")));
    options.max_open_connections = 1;
    let database = open(options);
    let admin = admin(&server, "postgres").await;
    // What the statements of one role set is not for the next.
    let unsettled = [
        "SET standard_conforming_strings = off; SET search_path = nowhere",
        "CREATE TEMPORARY TABLE reuse (); SELECT pg_advisory_lock(1)",
        CREATE,
    ];
    create(&*database, "reuse_1", "a\\", YEAR_2100, &unsettled).await.unwrap();
    let failing = ["SELECT pg_advisory_lock(1)", "SELEKT"];
    create(&*database, "reuse_2", "b\\", YEAR_2100, &failing).await.unwrap_err();
    let left = "SELECT (SELECT count(*) FROM pg_class WHERE relname = 'reuse'), \
                (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')";
    assert_eq!(rows(&admin, left).await, ["0|0"]);
    create(&*database, "reuse_2", "b\\", YEAR_2100, &[CREATE]).await.unwrap();
    assert!(database.logs_in("reuse_2", &secret("b\\")).await.unwrap());
    let pids = "SELECT pid FROM pg_stat_activity WHERE application_name = 'reuse' \
                AND usename = current_user";
    let before = rows(&admin, pids).await;
    assert_eq!(before.len(), 1);
    database.renew("reuse_2", Timestamp::from_seconds(YEAR_2100), &[]).await.unwrap();
    assert_eq!(rows(&admin, pids).await, before);
    // The session ends while nobody here looks at its connection.
    let end = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity \
               WHERE application_name = 'reuse' AND usename = current_user";
    let there = server.clone();
    let ending = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            rows(&session(&there, "postgres", ADMIN, PASSWORD).await, end).await
        })
    });
    assert_eq!(ending.join().unwrap(), ["t"]);
    create(&*database, "reuse_3", "c", YEAR_2100, &[CREATE]).await.unwrap();
    for name in ["reuse_1", "reuse_2", "reuse_3"] {
        database.remove(name, &[]).await.unwrap();
    }
    let after = rows(&admin, pids).await;
    assert!(after.len() == 1 && after != before);
}
