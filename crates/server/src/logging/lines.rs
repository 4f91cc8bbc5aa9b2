//! How an event becomes a line of text, or of JSON.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use strongroom_base::Clock;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// How an event becomes a line.
pub(super) struct Lines {
    pub(super) json: bool,
    pub(super) clock: Arc<dyn Clock>,
}

/// `strongroom_server::listen` is `server.listen` to people.
fn part(target: &str) -> String {
    target.strip_prefix("strongroom_").unwrap_or(target).replace("::", ".")
}

pub(super) fn level_name(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str(&self.text(event))
    }
}

impl Lines {
    /// An event's line, with its end.
    pub(super) fn text(&self, event: &Event<'_>) -> String {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let (level, part) = (level_name(metadata.level()), part(metadata.target()));
        self.line(level, &part, &fields.message, &fields.others)
    }

    pub(super) fn line(
        &self,
        level: &str,
        part: &str,
        message: &str,
        others: &[(&'static str, String)],
    ) -> String {
        let time = self.clock.now();
        if self.json {
            let mut line = serde_json::Map::new();
            line.insert("@level".to_owned(), level.into());
            line.insert("@message".to_owned(), message.into());
            line.insert("@module".to_owned(), part.into());
            line.insert("@timestamp".to_owned(), time.to_string().into());
            for (key, value) in others {
                line.insert((*key).to_owned(), value.as_str().into());
            }
            return format!("{}\n", serde_json::Value::Object(line));
        }
        let tag = format!("[{}]", level.to_uppercase());
        let mut line = format!("{time} {tag:<7} {part}: {}", one_line(message));
        for (i, (key, value)) in others.iter().enumerate() {
            // Writing into a string does not fail.
            let _ = write!(line, "{} {key}={}", if i == 0 { ":" } else { "" }, quoted(value));
        }
        line.push('\n');
        line
    }
}

/// Nothing that is logged may begin a line of its own.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn quoted(value: &str) -> String {
    if value.is_empty() || value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"')
    {
        format!("{value:?}")
    } else {
        value.to_owned()
    }
}

/// An event's message and its other fields.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing into a string fails only if the value's own Debug does.
        let _ = write!(text, "{value:?}");
        self.add(field, text);
    }
}
