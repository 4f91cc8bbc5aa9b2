//! Audit sinks: `file`, `http`, `syslog`, `socket` (docs page "Audit devices"). Each is a file and a
//! line here.

mod file;
mod http;
mod socket;
mod syslog;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use strongroom_base::{Error, Result};
use strongroom_kernel::audit::sinks::{Sink, SinkFactory};
use strongroom_kernel::audit::verify::index_of;

/// The sinks of this binary.
pub struct AuditSinks {
    /// Folders that files may lie in; empty is anywhere.
    file_folders: Vec<PathBuf>,
    /// Types and options of the devices that the configuration declares: they may refer to the
    /// host.
    declared: Vec<(String, BTreeMap<String, String>)>,
    /// What the environment holds under a name.
    environment: fn(&str) -> Option<String>,
}

impl AuditSinks {
    /// Sinks whose files lie below these folders, if there are any, and of which those declared
    /// (type and options) may refer to files and variables of the host.
    pub fn new(
        file_folders: Vec<PathBuf>,
        declared: Vec<(String, BTreeMap<String, String>)>,
        environment: fn(&str) -> Option<String>,
    ) -> Self {
        Self { file_folders, declared, environment }
    }

    fn is_declared(&self, kind: &str, options: &BTreeMap<String, String>) -> bool {
        self.declared.iter().any(|(k, o)| k == kind && o == options)
    }
}

/// Options that every type has, and what we make of them.
const COMMON: &[&str] = &["format", "hmac_accessor", "log_raw", "elide_list_responses", "prefix"];

impl SinkFactory for AuditSinks {
    fn open(&self, kind: &str, options: &BTreeMap<String, String>) -> Result<Box<dyn Sink>> {
        check_common(options)?;
        match kind {
            "file" => Ok(Box::new(file::FileSink::open(options, &self.file_folders)?)),
            "http" => {
                let references = self.is_declared(kind, options);
                let environment: http::References<'_> =
                    if references { Some(&self.environment) } else { None };
                Ok(Box::new(http::HttpSink::open(options, environment)?))
            }
            "syslog" => Ok(Box::new(syslog::SyslogSink::open(options)?)),
            "socket" => Ok(Box::new(socket::SocketSink::open(options)?)),
            _ => Err(Error::bad_request(format!("unknown backend type: {kind:?}"))),
        }
    }
}

/// Our log holds HMACs only, in JSON: a sink cannot show more than the log does.
fn check_common(options: &BTreeMap<String, String>) -> Result<()> {
    let on = |name: &str| matches!(options.get(name).map(String::as_str), Some("true" | "1" | "t"));
    let off =
        |name: &str| matches!(options.get(name).map(String::as_str), Some("false" | "0" | "f"));
    if on("log_raw") {
        return Err(Error::bad_request(
            "log_raw is not offered: the audit log holds no plain values",
        ));
    }
    if off("hmac_accessor") {
        return Err(Error::bad_request(
            "hmac_accessor=false is not offered: the audit log holds no plain accessors",
        ));
    }
    match options.get("format").map(String::as_str) {
        None | Some("" | "json") => {}
        Some(_) => return Err(Error::bad_request("the only format is json")),
    }
    if options.get("prefix").is_some_and(|p| !p.is_empty()) {
        // A caller-chosen prefix turns the log into a file of the caller's choice
        // (threat CVE-2025-6000).
        return Err(Error::bad_request("a prefix of lines cannot be set through the API"));
    }
    Ok(())
}

/// Sends a line as one message. One that is larger than a message may be would hold the device up
/// for ever: in its place goes a line that says which one it is and how long.
fn send_whole(line: &[u8], mut send: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    match send(line) {
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) => {
            let index = index_of(line.strip_suffix(b"\n").unwrap_or(line)).unwrap_or_default();
            let bytes = line.len();
            let told = format!(
                "{{\"type\":\"omitted\",\"bytes\":{bytes},\"strongroom\":{{\"index\":{index}}}}}"
            );
            send(told.as_bytes())
        }
        sent => sent,
    }
}

/// Refuses options that a type does not have.
fn only(options: &BTreeMap<String, String>, known: &[&str]) -> Result<()> {
    match options.keys().find(|k| !known.contains(&k.as_str()) && !COMMON.contains(&k.as_str())) {
        Some(name) => Err(Error::bad_request(format!("unknown option {name:?}"))),
        None => Ok(()),
    }
}
