//! Help texts, made from the commands' tables.

use super::command::{Command, HTTP_FLAGS};
use super::flags::Flag;
use super::table::{columns, wrap};

/// What people use most, in the order in which they learn it.
const COMMON: &[&str] =
    &["kv", "read", "write", "delete", "list", "login", "status", "unwrap", "up", "server"];

/// The overview of all commands.
pub fn overview(program: &str) -> String {
    let all = super::commands();
    let line = |name: &str| {
        let command = all.iter().find(|command| command.name == name)?;
        Some(vec![format!("    {name}"), command.synopsis.to_owned()])
    };
    let common: Vec<Vec<String>> = COMMON.iter().filter_map(|name| line(name)).collect();
    let mut others: Vec<&str> = all
        .iter()
        .map(|command| command.name)
        .filter(|name| !name.contains(' ') && !COMMON.contains(name))
        .collect();
    others.sort_unstable();
    let others: Vec<Vec<String>> = others.iter().filter_map(|name| line(name)).collect();
    let both = indented(&[common.as_slice(), others.as_slice()].concat());
    let (first, second) = both.split_at(common.len());
    format!(
        "Usage: {program} <command> [options] [args]\n\nCommon commands:\n{}\n\nOther commands:\n\
         {}\n\n{program} <command> -h shows a command's options and examples.",
        first.join("\n"),
        second.join("\n")
    )
}

/// Rows as lines of equal columns; the indent of the first cell survives.
fn indented(rows: &[Vec<String>]) -> Vec<String> {
    columns(rows).lines().map(|line| format!("    {line}")).collect()
}

/// The help of one command.
pub fn command(command: &Command, program: &str) -> String {
    let options = if command.run.is_some() && has_flags(command) { " [options]" } else { "" };
    let args = if command.args.is_empty() { String::new() } else { format!(" {}", command.args) };
    let mut text = format!("Usage: {program} {}{options}{args}\n", command.name);
    text.push('\n');
    text.push_str(&flow(&command.about.replace("{bin}", program)));
    text.push('\n');
    if command.run.is_none() {
        text.push_str("\nSubcommands:\n");
        text.push_str(&indented(&members(command.name)).join("\n"));
        text.push('\n');
    }
    let own: Vec<&Flag> = command.flags.iter().collect();
    section(&mut text, "Command Options", &own);
    section(&mut text, "Output Options", &command.output_flags());
    if command.remote {
        section(&mut text, "HTTP Options", &HTTP_FLAGS.iter().collect::<Vec<_>>());
    }
    text.trim_end().to_owned()
}

/// Breaks paragraphs into lines; what is indented stays as it is.
fn flow(about: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut paragraph = String::new();
    for line in about.trim_matches('\n').lines().chain([""]) {
        if !line.is_empty() && !line.starts_with(' ') {
            paragraph.push_str(line);
            paragraph.push(' ');
            continue;
        }
        if !paragraph.is_empty() {
            out.push(wrap(&std::mem::take(&mut paragraph), 2));
        }
        out.push(if line.is_empty() { String::new() } else { format!("  {line}") });
    }
    out.join("\n").trim_end().to_owned()
}

fn has_flags(command: &Command) -> bool {
    command.remote || !command.flags.is_empty()
}

/// The commands of a group, one level down.
fn members(group: &str) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = super::commands()
        .iter()
        .filter_map(|command| {
            let rest = command.name.strip_prefix(group)?.strip_prefix(' ')?;
            (!rest.contains(' ')).then(|| vec![rest.to_owned(), command.synopsis.to_owned()])
        })
        .collect();
    rows.sort();
    rows
}

fn section(text: &mut String, title: &str, flags: &[&Flag]) {
    let mut shown: Vec<&&Flag> = flags.iter().filter(|flag| !flag.hidden).collect();
    if shown.is_empty() {
        return;
    }
    shown.sort_by_key(|flag| flag.name);
    text.push_str(&format!("\n{title}:\n"));
    for flag in shown {
        text.push_str(&format!("\n  -{}", flag.name));
        if !flag.value.is_empty() {
            text.push_str(&format!("=<{}>", flag.value));
        }
        for alias in flag.aliases {
            text.push_str(&format!(", -{alias}"));
        }
        let mut usage = flag.help.to_owned();
        if !flag.default.is_empty() {
            usage.push_str(&format!(" The default is {}.", flag.default));
        }
        if !flag.env.is_empty() {
            usage.push_str(&format!(
                " Environment: STRONGROOM_{0}, BAO_{0} or VAULT_{0}.",
                flag.env
            ));
        }
        text.push('\n');
        text.push_str(&wrap(&usage, 6));
        text.push('\n');
    }
}

/// What to say about a word that is no command, with the nearest that is.
pub fn unknown(word: &str, program: &str) -> String {
    let near = super::commands()
        .iter()
        .map(|command| (distance(word, command.name), command.name))
        // Of a short word two letters are most of it.
        .filter(|(distance, _)| *distance <= 2 && 3 * distance <= word.chars().count())
        .min()
        .map(|(_, name)| format!(" Did you mean \"{program} {name}\"?"));
    format!("\"{word}\" is not a {program} command.{}", near.unwrap_or_default())
}

/// How many letters must change to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            let change = diagonal + usize::from(x != *y);
            row[j + 1] = change.min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_suggested() {
        assert!(unknown("stauts", "strongroom").contains("Did you mean \"strongroom status\"?"));
        assert!(unknown("kv gett", "bao").contains("Did you mean \"bao kv get\"?"));
        for far in ["frobnicate", "ab", "xy", "k", "foo"] {
            assert!(!unknown(far, "x").contains("Did you mean"), "{far}");
        }
        assert_eq!((distance("", "ab"), distance("kitten", "sitting")), (2, 3));
    }

    #[test]
    fn every_command_has_a_readable_help() {
        for one in crate::cli::commands() {
            let text = command(one, "strongroom");
            assert!(text.starts_with(&format!("Usage: strongroom {}", one.name)), "{text}");
            let wide = text.lines().find(|line| line.chars().count() > 94);
            assert_eq!(wide, None, "{}", one.name);
            assert!(!one.synopsis.is_empty() && !one.synopsis.ends_with('.'), "{}", one.name);
            assert!(one.about.trim().len() > 20, "{} says too little", one.name);
        }
    }

    #[test]
    fn every_command_stands_in_a_group_that_exists() {
        let all = crate::cli::commands();
        for one in &all {
            if let Some((group, _)) = one.name.rsplit_once(' ') {
                assert!(all.iter().any(|c| c.name == group && c.run.is_none()), "{}", one.name);
            }
            assert_eq!(all.iter().filter(|c| c.name == one.name).count(), 1, "{}", one.name);
        }
    }
}
