//! What the kernel says of a process: CPU time, memory.

use std::fs;

/// Nanoseconds of CPU the process has used, all threads together, those that ended included.
pub fn cpu_nanos(pid: u32) -> Result<u64, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|e| e.to_string())?;
    // The name in brackets may hold anything; fields are counted behind it.
    let rest = text.rsplit_once(')').map(|(_, rest)| rest).ok_or("no stat line")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<u64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).ok_or("no times in the stat line")?;
    // Linux shows these times in hundredths of a second, whatever its timer runs at.
    Ok((user + system) * 10_000_000)
}

/// Resident memory in bytes: now.
pub fn resident(pid: u32) -> Result<u64, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|e| e.to_string())?;
    text.lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map(|kib| kib * 1024)
        .ok_or_else(|| "no VmRSS".to_owned())
}
