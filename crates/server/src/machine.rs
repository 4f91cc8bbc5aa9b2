//! What the machine tells of itself, for `sys/host-info`: read from `/proc` and the file systems,
//! in the field names that Vault's clients know. What can't be read is left out and said.

// This is one of the places where the operating system is asked.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::json;
use strongroom_base::{Json, JsonMap};
use strongroom_kernel::host::MachineView;

/// Clock ticks of one second in `/proc/stat`, the same on all Linux systems.
const TICKS: f64 = 100.0;
/// File systems that are looked at.
const DISKS_MAX: usize = 200;

/// Reads all of it.
pub fn view() -> MachineView {
    let mut view = MachineView::default();
    let mut add = |name: &str, part: Option<Json>| match part {
        Some(part) => {
            view.parts.insert(name.to_owned(), part);
        }
        None => view.missing.push(format!("{name} could not be read")),
    };
    let read = |path: &str| fs::read_to_string(path).ok();
    let stat = read("/proc/stat");
    add("cpu", read("/proc/cpuinfo").map(|text| processors(&text)));
    add("cpu_times", stat.as_deref().map(processor_times));
    add("memory", read("/proc/meminfo").map(|text| memory(&text)));
    add("host", host(stat.as_deref().unwrap_or_default(), &read));
    add("disk", read("/proc/self/mounts").map(|text| disks(&text)));
    view
}

/// `key : value` lines as a map, the first one of a key winning.
fn fields(text: &str) -> JsonMap {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let mut map = JsonMap::new();
    for (key, value) in pairs {
        map.entry(key.trim().to_owned()).or_insert_with(|| value.trim().into());
    }
    map
}

fn processors(text: &str) -> Json {
    let one = |block: &str| {
        let fields = fields(block);
        let text = |key: &str| fields.get(key).and_then(Json::as_str).unwrap_or("").to_owned();
        let number = |key: &str| text(key).split(' ').next().and_then(|n| n.parse::<f64>().ok());
        json!({
            "cpu": number("processor").unwrap_or(0.0) as i64,
            "vendorId": text("vendor_id"),
            "family": text("cpu family"),
            "model": text("model"),
            "stepping": number("stepping").unwrap_or(0.0) as i64,
            "physicalId": text("physical id"),
            "coreId": text("core id"),
            "cores": 1,
            "modelName": text("model name"),
            "mhz": number("cpu MHz").unwrap_or(0.0),
            "cacheSize": number("cache size").unwrap_or(0.0) as i64,
            "flags": text("flags").split_whitespace().collect::<Vec<_>>(),
            "microcode": text("microcode"),
        })
    };
    let blocks = text.split("\n\n").filter(|block| block.starts_with("processor"));
    Json::Array(blocks.map(one).collect())
}

fn processor_times(text: &str) -> Json {
    const NAMES: [&str; 10] = [
        "user",
        "nice",
        "system",
        "idle",
        "iowait",
        "irq",
        "softirq",
        "steal",
        "guest",
        "guestNice",
    ];
    let one = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        name.strip_prefix("cpu")?.parse::<u32>().ok()?;
        let mut times = json!({ "cpu": name });
        for name in NAMES {
            let ticks = words.next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
            times[name] = (ticks / TICKS).into();
        }
        Some(times)
    };
    Json::Array(text.lines().filter_map(one).collect())
}

/// Bytes of memory that this process may use: the machine's, or what its control group allows
/// (kernel documentation, "Control Group v2", `memory.max`).
pub fn memory_bytes() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let kib = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total = kib.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.saturating_mul(1024);
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    // A limit anywhere above counts, too.
    let limits = Path::new(group).ancestors().filter_map(|group| {
        let group = group.strip_prefix("/").unwrap_or(group);
        let file = Path::new("/sys/fs/cgroup").join(group).join("memory.max");
        fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()
    });
    Some(limits.fold(total, u64::min))
}

fn memory(text: &str) -> Json {
    let fields = fields(text);
    let bytes = |key: &str| {
        let kib = fields.get(key).and_then(Json::as_str).and_then(|v| v.split(' ').next());
        kib.and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    let (total, free) = (bytes("MemTotal"), bytes("MemFree"));
    let cached = bytes("Cached") + bytes("SReclaimable");
    let used = total.saturating_sub(free + bytes("Buffers") + cached);
    let percent = if total == 0 { 0.0 } else { used as f64 * 100.0 / total as f64 };
    json!({
        "total": total, "available": bytes("MemAvailable"), "used": used, "usedPercent": percent,
        "free": free, "active": bytes("Active"), "inactive": bytes("Inactive"), "wired": 0,
        "laundry": 0, "buffers": bytes("Buffers"), "cached": cached,
        "writeback": bytes("Writeback"), "dirty": bytes("Dirty"),
        "writebacktmp": bytes("WritebackTmp"), "shared": bytes("Shmem"), "slab": bytes("Slab"),
        "sreclaimable": bytes("SReclaimable"), "sunreclaim": bytes("SUnreclaim"),
        "pagetables": bytes("PageTables"), "swapcached": bytes("SwapCached"),
        "commitlimit": bytes("CommitLimit"), "committedas": bytes("Committed_AS"),
        "hightotal": bytes("HighTotal"), "highfree": bytes("HighFree"),
        "lowtotal": bytes("LowTotal"), "lowfree": bytes("LowFree"),
        "swaptotal": bytes("SwapTotal"), "swapfree": bytes("SwapFree"), "mapped": bytes("Mapped"),
        "vmalloctotal": bytes("VmallocTotal"), "vmallocused": bytes("VmallocUsed"),
        "vmallocchunk": bytes("VmallocChunk"),
        // These two are numbers of pages.
        "hugepagestotal": bytes("HugePages_Total") / 1024,
        "hugepagesfree": bytes("HugePages_Free") / 1024,
        "hugepagesize": bytes("Hugepagesize"),
    })
}

fn host(stat: &str, read: &dyn Fn(&str) -> Option<String>) -> Option<Json> {
    let system = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let uptime = read("/proc/uptime")?;
    let uptime = uptime.split(['.', ' ']).next()?.parse::<u64>().ok()?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "));
    let release = read("/etc/os-release").unwrap_or_default();
    let of_release = |key: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    let id = read("/sys/class/dmi/id/product_uuid").or_else(|| read("/etc/machine-id"));
    let processes = fs::read_dir("/proc").map(|entries| {
        let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
        entries.filter_map(|entry| number(entry.ok()?)).count()
    });
    Some(json!({
        "hostname": text(system.nodename()),
        "uptime": uptime,
        "bootTime": boot.and_then(|b| b.trim().parse::<u64>().ok()).unwrap_or(0),
        "procs": processes.unwrap_or(0),
        "os": text(system.sysname()).to_lowercase(),
        "platform": of_release("ID"),
        "platformFamily": of_release("ID_LIKE"),
        "platformVersion": of_release("VERSION_ID"),
        "kernelVersion": text(system.release()),
        "kernelArch": text(system.machine()),
        "virtualizationSystem": "",
        "virtualizationRole": "",
        "hostid": id.unwrap_or_default().trim().to_lowercase(),
    }))
}

/// The file systems of devices, each once.
fn disks(mounts: &str) -> Json {
    let mut seen = BTreeSet::new();
    let mut disks = Vec::new();
    for line in mounts.lines().take(10 * DISKS_MAX) {
        let mut words = line.split(' ');
        let (Some(device), Some(path), Some(kind)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        if !device.starts_with('/') || disks.len() >= DISKS_MAX || !seen.insert(device) {
            continue;
        }
        let Ok(stat) = rustix::fs::statvfs(path) else { continue };
        let (total, free) = (stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize);
        let used = stat.f_blocks.saturating_sub(stat.f_bfree) * stat.f_frsize;
        let inodes = stat.f_files.saturating_sub(stat.f_ffree);
        let percent = |part: u64, whole: u64| match whole {
            0 => 0.0,
            whole => part as f64 * 100.0 / whole as f64,
        };
        disks.push(json!({
            "path": path, "fstype": kind, "total": total, "free": free, "used": used,
            "usedPercent": percent(used, used + free), "inodesTotal": stat.f_files,
            "inodesUsed": inodes, "inodesFree": stat.f_ffree,
            "inodesUsedPercent": percent(inodes, stat.f_files),
        }));
    }
    Json::Array(disks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells_of_itself() {
        let view = view();
        let host = &view.parts["host"];
        assert!(host["hostname"].as_str().is_some_and(|name| !name.is_empty()), "{host}");
        assert!(view.parts["memory"]["total"].as_u64().is_some_and(|bytes| bytes > 1 << 20));
        assert!(view.parts["cpu_times"].as_array().is_some_and(|all| !all.is_empty()));
        assert!(view.parts["cpu"].is_array() && view.parts["disk"].is_array());
    }

    #[test]
    fn texts_of_the_kernel() {
        let cpu = processors("processor\t: 0\nmodel name\t: A B\ncpu MHz\t: 2.5\nflags\t: x y\n\n");
        assert_eq!(cpu[0]["modelName"], "A B");
        assert_eq!(cpu[0]["mhz"], 2.5);
        assert_eq!(cpu[0]["flags"], json!(["x", "y"]));
        let memory = memory("MemTotal: 100 kB\nMemFree: 25 kB\nHugePages_Total: 3\n");
        assert_eq!(memory["used"], 75 * 1024);
        assert_eq!(memory["usedPercent"], 75.0);
        assert_eq!(memory["hugepagestotal"], 3);
        let times = processor_times("cpu  1 2\ncpu0 100 200 300\nbtime 5\n");
        assert_eq!(times[0]["cpu"], "cpu0");
        assert_eq!(times[0]["nice"], 2.0);
        assert_eq!(times[0]["guestNice"], 0.0);
        assert_eq!(times.as_array().map(Vec::len), Some(1));
    }
}
