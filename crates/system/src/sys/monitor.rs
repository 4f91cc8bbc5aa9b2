//! The server's log as it comes (API page "/sys/monitor").

use strongroom_base::{Error, Result, fields};
use strongroom_kernel::host::LogLevel;
use strongroom_kernel::plug::{Beyond, EngineSpec, Query, ReadCx, Reply, Stream, ops};

use super::System;

/// Adds the operations of this file.
pub fn add_monitor(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<Monitor>("monitor")
}

fields! {
    /// Streams the log of the server until the caller goes, or the server is sealed or stops.
    pub struct Monitor {
        /// The least severe level of what is sent: trace, debug, info (the default), warn, error.
        log_level: Option<String>,
        /// `standard` (the default: as the server's own log) or `json`.
        log_format: Option<String>,
    }
}

ops! { Monitor (), Read; }

impl Query<Monitor> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: Monitor) -> Result<Reply<()>> {
        let level = op.log_level.as_deref().filter(|level| !level.is_empty()).unwrap_or("info");
        let level =
            LogLevel::parse(level).ok_or_else(|| Error::bad_request("unknown log level"))?;
        let format = op.log_format.as_deref().filter(|format| !format.is_empty());
        let json = match format.unwrap_or("standard").to_ascii_lowercase().as_str() {
            "standard" => false,
            "json" => true,
            _ => return Err(Error::bad_request("unknown log format")),
        };
        let pieces = cx.kernel().config.host.follow_log(level, json);
        let pieces = pieces
            .ok_or_else(|| Error::unavailable("as many follow the log already as may at a time"))?;
        let content_type = "text/plain; charset=utf-8";
        let stream = Stream { content_type, attachment: false, pieces };
        Ok(Reply::none().beyond(Beyond::Stream(stream)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::testing;

    #[tokio::test]
    async fn what_is_asked_for_must_be_known() {
        let node = testing::node().await;
        for (query, status, error) in [
            ("log_level=loud", 400, "unknown log level"),
            ("log_format=xml", 400, "unknown log format"),
            // No process is around this node, and nobody's log can be followed.
            ("log_level=warn&log_format=json", 503, "as many follow"),
        ] {
            let got = node.root("READ", &format!("sys/monitor?{query}"), Value::Null).await;
            assert_eq!(got.status, status, "{query}");
            assert!(got.errors().contains(error), "{query}: {}", got.errors());
        }
        let got = node.call("READ", "sys/monitor", "", Value::Null).await;
        assert_eq!(got.status, 403);
    }
}
