//! Lines of the log, as the original writes them where nobody looks at a terminal: scripts look for them.

use strongroom_base::{Clock, Timestamp};
use strongroom_server::real::RealClock;
use strongroom_sops::keys::Told;

fn now() -> Timestamp {
    Timestamp::from_seconds(RealClock::new().now().seconds())
}

/// A line: who speaks, when, how much it matters, and what.
pub fn line(told: &Told<'_>) -> String {
    let Told { speaker, level, text, fields } = told;
    let mut line = format!("[{speaker}]\t time=\"{}\" level={level} msg={}", now(), quoted(text));
    for (name, value) in fields {
        line.push_str(&format!(" {name}={}", quoted(value)));
    }
    line
}

/// A line with the time before it (UTC), as the older of the original's two logs has it.
pub fn stamped(text: &str) -> String {
    let now = now().to_string().replace('-', "/").replace('T', " ");
    format!("{} {text}", now.trim_end_matches('Z'))
}

/// A text in quotes, unless it is of harmless characters only.
fn quoted(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if text.chars().all(harmless) { text.to_owned() } else { format!("{text:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_original() {
        let told = Told::new("AGE", "info", "Encryption succeeded").with("recipient", "age1x");
        let line = line(&told.with("arn", "arn:aws"));
        assert!(line.starts_with("[AGE]\t time=\"20"), "{line}");
        let end = "Z\" level=info msg=\"Encryption succeeded\" recipient=age1x arn=\"arn:aws\"";
        assert!(line.ends_with(end), "{line}");
        assert_eq!(quoted("EOF"), "EOF");
        let stamped = stamped("File x");
        let shape: String =
            stamped.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000/00/00 00:00:00 File x");
    }
}
