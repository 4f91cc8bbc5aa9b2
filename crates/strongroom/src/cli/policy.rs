//! `policy`: what tokens may do.

use std::io::Read;

use serde_json::json;
use strongroom_base::json::Json;
use strongroom_client::Request;

use super::command::{Command, Fail, Outcome, Prints, io_reason};
use super::context::Context;
use super::gotext::go_value;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::group(
        "policy",
        "Write, read and list policies",
        "
Policies say which paths a token may use, and how.

    $ {bin} policy list
    $ {bin} policy write dev dev.hcl
    $ {bin} policy read dev",
    ),
    Command::new(
        "policy list",
        "",
        "List the policies",
        "
Lists the names of all policies.

    $ {bin} policy list",
        list,
    )
    .prints(Prints::FORMATS),
    Command::new(
        "policy read",
        "NAME",
        "Print a policy",
        "
Prints a policy's rules.

    $ {bin} policy read default",
        read,
    )
    .prints(Prints::FORMATS),
    Command::new(
        "policy write",
        "NAME FILE",
        "Create or replace a policy",
        "
Takes the rules from a file, or from stdin if it is named -.

    $ {bin} policy write dev dev.hcl
    $ {bin} policy write dev - < dev.hcl",
        write,
    ),
    Command::new(
        "policy delete",
        "NAME",
        "Delete a policy",
        "
Deletes a policy; tokens that have it lose what it allowed at once.

    $ {bin} policy delete dev",
        delete,
    ),
    Command::new(
        "policy fmt",
        "FILE",
        "Format a policy file in place",
        "
Rewrites a file of rules with two spaces of indent and aligned equal signs. Comments stay.

    $ {bin} policy fmt dev.hcl",
        fmt,
    )
    .local(),
];

fn name_of(cx: &Context<'_, '_>) -> String {
    cx.arg(0).to_lowercase()
}

fn list(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let answer = cx.http()?.list("sys/policies/acl");
    let envelope = answer.map_err(|e| Fail::server("Error listing policies", &e))?;
    let names: Vec<Json> =
        envelope.as_ref().and_then(|envelope| envelope.keys()).cloned().unwrap_or_default();
    if !cx.ui.is_table() {
        return cx.ui.data(&Json::Array(names));
    }
    for name in &names {
        cx.ui.say(&go_value(name));
    }
    Ok(())
}

fn read(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let name = name_of(cx);
    let answer = cx.http()?.read(&format!("sys/policies/acl/{name}"));
    let envelope =
        answer.map_err(|e| Fail::server(format!("Error reading policy named {name}"), &e))?;
    let rules = envelope
        .as_ref()
        .and_then(|envelope| envelope.datum("policy").or_else(|| envelope.datum("rules")))
        .and_then(Json::as_str)
        .filter(|rules| !rules.is_empty())
        .ok_or_else(|| Fail::remote(format!("No policy named: {name}")))?;
    if !cx.ui.is_table() {
        return cx.ui.data(&json!({"policy": rules}));
    }
    let rules = rules.trim().to_owned();
    cx.ui.say(&rules);
    Ok(())
}

fn write(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(2)?;
    let (given, name) = (cx.arg(0).to_owned(), name_of(cx));
    let rules = match cx.arg(1).to_owned().as_str() {
        "-" => cx.stdin_text()?,
        path => {
            let mut text = String::new();
            std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)).map_err(
                |error| {
                    Fail::remote(format!("Error opening policy file {path}: {}", io_reason(&error)))
                },
            )?;
            text
        }
    };
    let request = Request::put(format!("sys/policies/acl/{name}"), json!({"policy": rules}));
    let answer = cx.http()?.send(request).and_then(strongroom_client::Reply::written);
    let answer = answer.map_err(|e| Fail::server("Error uploading policy", &e))?;
    if let Some(envelope) = answer {
        cx.ui.warnings(envelope.warnings());
    }
    if given != name {
        cx.ui.warn(&format!("Policy name was converted from \"{given}\" to \"{name}\""));
    }
    cx.ui.say(&format!("Success! Uploaded policy: {name}"));
    Ok(())
}

fn delete(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let name = name_of(cx);
    let answer = cx.http()?.delete(&format!("sys/policies/acl/{name}"));
    answer.map_err(|e| Fail::server(format!("Error deleting {name}"), &e))?;
    cx.ui.say(&format!("Success! Deleted policy: {name}"));
    Ok(())
}

fn fmt(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let path = std::path::PathBuf::from(cx.arg(0));
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Fail::usage(format!("Error reading source file: {}", io_reason(&error)))
    })?;
    let formatted = format_rules(&text).map_err(|line| {
        Fail::usage(format!("{}, line {line}: brackets or quotes do not close", path.display()))
    })?;
    std::fs::write(&path, formatted)
        .map_err(|error| Fail::usage(format!("Error writing result: {}", io_reason(&error))))?;
    cx.ui.say(&format!("Success! Formatted policy: {}", path.display()));
    Ok(())
}

/// Indents by depth and aligns the equal signs of neighbouring lines. The error is the number of
/// the line where the nesting breaks.
fn format_rules(text: &str) -> Result<String, usize> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut depth = 0_usize;
    let mut blank = false;
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            blank = !lines.is_empty();
            continue;
        }
        if std::mem::take(&mut blank) {
            lines.push((0, String::new()));
        }
        let (opened, closed, leading) = brackets(line).ok_or(i + 1)?;
        lines.push((depth.checked_sub(leading).ok_or(i + 1)?, spaced(line)));
        depth = (depth + opened).checked_sub(closed).ok_or(i + 1)?;
    }
    if depth > 0 {
        return Err(text.lines().count());
    }
    align(&mut lines);
    let mut out = String::new();
    for (depth, line) in lines {
        if !line.is_empty() {
            out.push_str(&"  ".repeat(depth));
            out.push_str(&line);
        }
        out.push('\n');
    }
    Ok(out)
}

/// How many brackets a line opens and closes, and how many it closes before anything else. `None`
/// if a quote stays open.
fn brackets(line: &str) -> Option<(usize, usize, usize)> {
    let (mut opened, mut closed, mut leading) = (0, 0, 0);
    let (mut quoted, mut escaped, mut only_closing) = (false, false, true);
    let mut previous = ' ';
    for c in line.chars() {
        if quoted {
            quoted = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '#' => break,
            '/' if previous == '/' => break,
            '"' => quoted = true,
            '{' | '[' => opened += 1,
            '}' | ']' => {
                closed += 1;
                leading += usize::from(only_closing);
            }
            _ => {}
        }
        only_closing &= matches!(c, '}' | ']' | ',' | ' ');
        previous = c;
    }
    (!quoted).then_some((opened, closed, leading))
}

/// One space on both sides of the first equal sign outside quotes, and before an opening brace.
fn spaced(line: &str) -> String {
    if let Some((key, value)) = assignment(line) {
        return format!("{key} = {value}");
    }
    match line.strip_suffix('{') {
        Some(head) if !head.is_empty() && !head.starts_with('#') => {
            format!("{} {{", head.trim_end())
        }
        _ => line.to_owned(),
    }
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    if line.starts_with('#') || line.starts_with("//") {
        return None;
    }
    let (key, value) = line.split_once('=')?;
    let key = key.trim();
    let plain = key.chars().all(|c| c.is_alphanumeric() || "_-\"*+./ ".contains(c));
    (plain && !key.contains('{')).then(|| (key, value.trim()))
}

fn align(lines: &mut [(usize, String)]) {
    let mut i = 0;
    while i < lines.len() {
        let depth = lines[i].0;
        let end = lines[i..]
            .iter()
            .position(|(d, line)| *d != depth || assignment(line).is_none())
            .map_or(lines.len(), |n| i + n);
        let width = lines[i..end]
            .iter()
            .filter_map(|(_, line)| assignment(line).map(|(key, _)| key.chars().count()))
            .max()
            .unwrap_or(0);
        for (_, line) in &mut lines[i..end] {
            if let Some((key, value)) = assignment(line) {
                *line = format!("{key:width$} = {value}");
            }
        }
        i = end.max(i + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_indented_and_aligned() {
        let text = "# dev\npath \"secret/*\"{\ncapabilities=[\"read\",\n\"list\"]\n\n\n  \
                    min_wrapping_ttl   =  \"1s\"  # \"}\n}\n// end {\n";
        let formatted = format_rules(text).unwrap();
        assert_eq!(
            formatted,
            "# dev\npath \"secret/*\" {\n  capabilities = [\"read\",\n    \"list\"]\n\n  \
             min_wrapping_ttl = \"1s\"  # \"}\n}\n// end {\n"
        );
        assert_eq!(format_rules(&formatted).unwrap(), formatted, "formatting is stable");
        let two = format_rules("path \"a\" {\nx = 1\nlonger = 2\n}").unwrap();
        assert_eq!(two, "path \"a\" {\n  x      = 1\n  longer = 2\n}\n");
    }

    #[test]
    fn broken_nesting_names_its_line() {
        assert_eq!(format_rules("a = 1\n}\n"), Err(2));
        assert_eq!(format_rules("path \"a\" {\n"), Err(1));
        assert_eq!(format_rules("path \"a {\n}\n"), Err(1));
    }
}
