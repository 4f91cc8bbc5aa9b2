//! How many times a write makes the disk sync, counted by `strace` (where it is installed) in a
//! pass of its own, since tracing costs time.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    load,
    server::Server,
    work::{Material, Work},
};

/// Syncs per request, or why they can't be counted.
pub fn per_request(
    server: &Server,
    work: Work,
    material: &Material,
    connections: usize,
    dir: &Path,
) -> Result<f64, String> {
    let output = dir.join(format!("strongroom-bench-{}.strace", std::process::id()));
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,msync", "-o"])
        .arg(&output)
        .args(["-p", &server.pid().to_string()])
        .stderr(Stdio::null())
        .spawn()
        .map_err(|_| "strace is not installed".to_owned())?;
    wait_until_traced(server.pid())?;
    let loaded = load::measure(server, work, material, connections, Duration::from_secs(2));
    // SIGINT makes strace let go of the process and write the rest.
    let _ = Command::new("kill").args(["-INT", &strace.id().to_string()]).status();
    let _ = strace.wait();
    let text = fs::read_to_string(&output).unwrap_or_default();
    let _ = fs::remove_file(&output);
    // A call that another thread interrupts in the trace stands on two lines.
    let syncs = text.lines().filter(|line| line.contains("sync") && !line.contains("resumed>"));
    let loaded = loaded?;
    // The warm-up is traced too.
    let requests = loaded.requests as f64 * 1.1;
    Ok(syncs.count() as f64 / requests)
}

fn wait_until_traced(pid: u32) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        if tracer.is_some_and(|tracer| tracer.trim() != "0") {
            return Ok(());
        }
        if began.elapsed() > Duration::from_secs(5) {
            return Err("strace may not look at the server".to_owned());
        }
        thread::sleep(Duration::from_millis(5));
    }
}
