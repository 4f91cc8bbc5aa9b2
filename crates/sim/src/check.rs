//! The checkers that look at what the core leaves behind: its audit log, its disk, its log.

use std::collections::BTreeMap;

use serde_json::Value;
use strongroom_kernel::audit::verify::verify;

use crate::machine::Machine;

/// Stands in every secret value that a client sends.
pub const CANARY: &str = "c4n4ry";
/// What no byte on the disk, in the audit log, the log or an error may show: values, and tokens.
const PLANTED: [&str; 3] = [CANARY, "hvs.", "hvb."];

/// What the log must hold of a request.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// Its answer was a success.
    pub success: bool,
    /// It changed something: no crash may take its line.
    pub lasting: bool,
    /// Its answer was a failure of the disk, yet its effect is there: a restart adds the line.
    pub hidden: bool,
    /// A power cut may have taken the line of its failure: that of its effect must be there then.
    pub cut: bool,
}

/// What must stand in the audit log, by the request's number.
#[derive(Default)]
pub struct Ledger(pub BTreeMap<u64, Due>);

/// The response lines of a request.
#[derive(Default, Clone, Copy)]
struct Seen {
    requests: u32,
    successes: u32,
    refusals: u32,
}

impl Ledger {
    /// A power cut may take the lines of what changed nothing.
    pub fn power_cut(&mut self) {
        self.0.retain(|_, due| due.lasting);
    }
}

/// Looks at everything that the machine has left so far.
pub async fn check(machine: &Machine, ledger: &Ledger) -> Result<(), String> {
    let log = machine.medium.contents();
    let key: Option<Vec<u8>> = unhex(&machine.medium.key());
    verify(&log, key.as_deref()).map_err(|e| format!("the audit log does not verify: {e}"))?;
    no_canary("the audit log", &log)?;
    no_canary("the disk", &machine.disk.bytes().await)?;
    let seen = lines(&log)?;
    for (number, due) in &ledger.0 {
        let lines = seen.get(number).copied().unwrap_or_default();
        let fine = match due.success {
            true => lines.successes == 1,
            false if due.cut => lines.successes <= 1 && lines.successes + lines.refusals >= 1,
            false => lines.refusals >= 1 && lines.successes <= u32::from(due.hidden),
        };
        if !fine || lines.requests == 0 {
            let Seen { requests, successes, refusals } = lines;
            return Err(format!(
                "request {number} ({due:?}) has {requests} request lines, {successes} lines of \
                 success and {refusals} of refusal in the audit log"
            ));
        }
    }
    Ok(())
}

/// Is one of the planted texts in `bytes`?
pub fn no_canary(place: &str, bytes: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(bytes);
    match PLANTED.iter().find(|planted| text.contains(**planted)) {
        Some(planted) => Err(format!("{place} shows {planted:?}")),
        None => Ok(()),
    }
}

fn lines(log: &[u8]) -> Result<BTreeMap<u64, Seen>, String> {
    let mut seen: BTreeMap<u64, Seen> = BTreeMap::new();
    for line in log.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let json: Value = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        let Some(address) = json["request"]["remote_address"].as_str() else { continue };
        let octets: Vec<u64> = address.split('.').filter_map(|part| part.parse().ok()).collect();
        let [10, a, b, c] = octets[..] else { continue };
        let seen = seen.entry((a << 16) | (b << 8) | c).or_default();
        match (json["type"].as_str(), json.get("error")) {
            (Some("request"), _) => seen.requests += 1,
            (Some("response"), None) => seen.successes += 1,
            _ => seen.refusals += 1,
        }
    }
    Ok(seen)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|p| u8::from_str_radix(std::str::from_utf8(p).ok()?, 16).ok()).collect()
}
