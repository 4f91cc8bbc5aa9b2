//! Reading a log: its end at start-up, one line by its index, and the proof that nothing was
//! changed, removed or put in (`strongroom audit verify`).

use std::collections::BTreeSet;
use std::io;

use strongroom_base::Json;
use strongroom_crypto::digest::Sha256;
use strongroom_crypto::sign;

use super::READ_BYTES;
use super::medium::{Medium, Segment};

/// Segments that are read to find a log's end.
const SEGMENTS_AT_END: usize = 2;

/// Where a log ends.
pub(super) struct End {
    /// The last whole line's index; 0 for an empty log.
    pub index: u64,
    /// Its hash.
    pub chain: [u8; 32],
    /// Bytes of the newest segment.
    pub segment_bytes: u64,
    /// Is there a segment?
    pub has_segment: bool,
    /// Outbox ids that the last segments hold.
    pub outbox: BTreeSet<u64>,
}

/// What is signed of a head.
pub fn head_message(index: u64, chain: &[u8; 32]) -> Vec<u8> {
    let mut message = b"strongroom audit head\n".to_vec();
    message.extend_from_slice(&index.to_be_bytes());
    message.extend_from_slice(chain);
    message
}

/// A public key as text: hex.
pub fn public_key_text(key: &[u8]) -> String {
    hex::encode(key)
}

/// The facts of a finished line.
struct Facts {
    index: u64,
    chain: [u8; 32],
    outbox: Option<u64>,
    /// Bytes that the hash covers.
    covered: usize,
}

/// Reads the end of a line: `…,"strongroom":{"index":N,…,"chain":"…"}}`.
fn facts(line: &[u8]) -> Option<Facts> {
    const CHAIN: &[u8] = b",\"chain\":\"";
    let covered = line.len().checked_sub(CHAIN.len() + 64 + 3)?;
    let tail = line.get(covered..)?.strip_prefix(CHAIN)?;
    let chain = hex::decode(tail.get(..64)?).ok()?.try_into().ok()?;
    (tail.get(64..)? == b"\"}}").then_some(())?;
    let text = std::str::from_utf8(&line[..covered]).ok()?;
    let own = &text[text.rfind(",\"strongroom\":{\"index\":")? + 23..];
    let digits = |t: &str| t[..t.find(|c: char| !c.is_ascii_digit()).unwrap_or(t.len())].parse();
    let index = digits(own).ok()?;
    let outbox = own.split_once(",\"outbox\":").and_then(|(_, t)| digits(t).ok());
    Some(Facts { index, chain, outbox, covered })
}

/// A finished line's index.
pub fn index_of(line: &[u8]) -> Option<u64> {
    facts(line).map(|f| f.index)
}

/// Visits the whole lines of a segment; answers the bytes they take.
fn each_line(
    medium: &dyn Medium,
    segment: &Segment,
    mut visit: impl FnMut(&[u8]) -> bool,
) -> io::Result<u64> {
    let mut offset = 0;
    let mut rest: Vec<u8> = Vec::new();
    let mut whole = 0;
    loop {
        let chunk = medium.read(segment.first, offset, READ_BYTES)?;
        if chunk.is_empty() {
            return Ok(whole);
        }
        offset += chunk.len() as u64;
        rest.extend_from_slice(&chunk);
        let mut start = 0;
        while let Some(end) = rest[start..].iter().position(|b| *b == b'\n') {
            if !visit(&rest[start..start + end]) {
                return Ok(whole);
            }
            start += end + 1;
            whole += end as u64 + 1;
        }
        rest.drain(..start);
    }
}

/// Finds the end of a log and cuts off a torn last line.
pub(super) fn find_end(medium: &dyn Medium) -> io::Result<End> {
    let segments = medium.segments()?;
    let mut end = End {
        index: 0,
        chain: [0; 32],
        segment_bytes: 0,
        has_segment: !segments.is_empty(),
        outbox: BTreeSet::new(),
    };
    let skip = segments.len().saturating_sub(SEGMENTS_AT_END);
    for (i, segment) in segments.iter().enumerate().skip(skip) {
        let whole = each_line(medium, segment, |line| {
            if let Some(facts) = facts(line) {
                end.index = facts.index;
                end.chain = facts.chain;
                end.outbox.extend(facts.outbox);
            }
            true
        })?;
        if i + 1 == segments.len() {
            end.segment_bytes = whole;
            if whole < segment.bytes {
                // It was never acknowledged: an acknowledged line was written whole.
                medium.truncate(whole)?;
            }
        }
    }
    Ok(end)
}

/// Adds the outbox ids of older segments than those that [`find_end`] read, back to where `missing`
/// must stand if it is in the log. Ids rise along the log, but for requests under way together, for which
/// one segment more is read, and for those that were in doubt, which stand later than others of their time:
/// so it is a segment's largest id that says whether `missing` may lie before it.
pub(super) fn add_older_outbox(
    medium: &dyn Medium,
    present: &mut BTreeSet<u64>,
    missing: u64,
) -> io::Result<()> {
    let segments = medium.segments()?;
    let mut one_more = true;
    for segment in segments.iter().rev().skip(SEGMENTS_AT_END) {
        let mut newest = None;
        each_line(medium, segment, |line| {
            let id = facts(line).and_then(|facts| facts.outbox);
            newest = newest.max(id);
            present.extend(id);
            true
        })?;
        if newest.is_some_and(|newest| newest < missing) && !std::mem::take(&mut one_more) {
            break;
        }
    }
    Ok(())
}

/// The line with this index.
pub(super) fn line_at(medium: &dyn Medium, index: u64) -> io::Result<Option<Json>> {
    let segments = medium.segments()?;
    let Some(segment) = segments.iter().rev().find(|s| s.first <= index) else { return Ok(None) };
    let mut found = None;
    each_line(medium, segment, |line| {
        if facts(line).is_some_and(|f| f.index == index) {
            found = serde_json::from_slice(line).ok();
        }
        found.is_none()
    })?;
    Ok(found)
}

/// What a verification saw.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines read.
    pub lines: u64,
    /// Signed heads that were good.
    pub heads: u64,
    /// The first and the last line's index.
    pub first: u64,
    /// The last line's index.
    pub last: u64,
    /// Lines after the last good head: chained, not signed yet.
    pub unsigned: u64,
}

/// Checks a log's text, oldest line first, under the public keys of its signatures. The error names
/// the line (from 1) and what is wrong with it.
///
/// A log that goes on after a store of other keys was restored has several keys: they are given one
/// after the other.
pub fn verify(text: &[u8], public_keys: Option<&[u8]>) -> Result<Report, String> {
    let mut report = Report::default();
    let mut chain: Option<[u8; 32]> = None;
    for (i, line) in text.split(|b| *b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let at = |what: &str| format!("line {}: {what}", i + 1);
        let facts = facts(line).ok_or_else(|| at("is no line of an audit log"))?;
        let json: Json = serde_json::from_slice(line).map_err(|_| at("is no JSON"))?;
        let previous = match chain {
            Some(chain) => chain,
            None => json["previous_chain"]
                .as_str()
                .and_then(|t| hex::decode(t).ok()?.try_into().ok())
                .ok_or_else(|| at("the log does not begin with a segment's first line"))?,
        };
        if report.lines > 0 && facts.index != report.last + 1 {
            return Err(at(&format!("index {} follows {}", facts.index, report.last)));
        }
        let mut hash = Sha256::new();
        hash.update(&previous).update(&line[..facts.covered]);
        if hash.finish() != facts.chain {
            return Err(at("its hash does not fit: it, or the line before it, was changed"));
        }
        if json["type"] == "head" {
            let signature = json["signature"].as_str().and_then(|t| hex::decode(t).ok());
            let message = head_message(facts.index - 1, &previous);
            let good = match public_keys {
                Some(keys) => {
                    let signature = signature.unwrap_or_default();
                    let mut keys = keys.chunks(sign::PUBLIC_KEY_BYTES);
                    keys.any(|key| sign::verify(key, &message, &signature))
                }
                None => signature.is_some(),
            };
            if !good {
                return Err(at("the head's signature is wrong"));
            }
            report.heads += 1;
            report.unsigned = 0;
        } else {
            report.unsigned += 1;
        }
        if report.lines == 0 {
            report.first = facts.index;
        }
        report.lines += 1;
        report.last = facts.index;
        chain = Some(facts.chain);
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::medium::MemoryMedium;

    fn line(index: u64, outbox: Option<u64>) -> String {
        let outbox = outbox.map_or(String::new(), |id| format!(",\"outbox\":{id}"));
        let chain = "0".repeat(64);
        format!(
            "{{\"type\":\"response\",\"strongroom\":{{\"index\":{index}{outbox},\"chain\":\"{chain}\"}}}}\n"
        )
    }

    /// Ids of each segment, oldest first; what is known to be in the log where `missing` is not.
    fn known(segments: &[&[u64]], missing: u64) -> Vec<u64> {
        let medium = MemoryMedium::new(0);
        let mut index = 0;
        for ids in segments {
            medium.begin(index + 1).unwrap();
            // Queries, whose lines have no id, stand between them.
            for id in ids.iter().map(|id| Some(*id)).chain([None]) {
                index += 1;
                medium.append(line(index, id).as_bytes()).unwrap();
            }
        }
        let mut present = find_end(&medium).unwrap().outbox;
        add_older_outbox(&medium, &mut present, missing).unwrap();
        present.into_iter().collect()
    }

    #[test]
    fn lines_of_an_old_outbox_are_looked_for_as_far_back_as_they_may_lie() {
        let segments: &[&[u64]] = &[&[1], &[2], &[3], &[4], &[5], &[6]];
        // The last two are read at the start, and one more than would do.
        assert_eq!(known(segments, 5), [3, 4, 5, 6][..]);
        assert_eq!(known(segments, 3), [1, 2, 3, 4, 5, 6][..]);
        // A late line, of one that was in doubt, does not end the search, nor do segments without ids.
        assert_eq!(known(&[&[1], &[2], &[7, 3], &[4], &[5], &[6]], 4), [1, 2, 3, 4, 5, 6, 7][..]);
        assert_eq!(known(&[&[1], &[], &[], &[], &[5], &[6]], 2), [1, 5, 6][..]);
        assert_eq!(known(&[&[1]], 1), [1][..]);
    }
}
