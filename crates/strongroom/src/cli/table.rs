//! Columns of text, four spaces apart, with a dashed line under each heading.

/// What stands between two columns.
const GAP: &str = "    ";
/// What stands for an empty cell.
const EMPTY: &str = "n/a";

/// Rows under headings.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut all = vec![headings.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>()];
    all.push(headings.iter().map(|h| "-".repeat(h.chars().count())).collect());
    all.extend(rows.iter().cloned());
    columns(&all)
}

/// Names and values under the headings `Key` and `Value`.
pub fn pairs(rows: &[(String, String)]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect();
    table(&["Key", "Value"], &rows)
}

/// Rows without headings.
pub fn columns(rows: &[Vec<String>]) -> String {
    let cell = |text: &String| {
        let text = text.trim();
        if text.is_empty() { EMPTY.to_owned() } else { text.to_owned() }
    };
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|i| rows.iter().filter_map(|row| row.get(i)).map(|c| c.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        for (j, text) in row.iter().enumerate() {
            out.push_str(text);
            if j + 1 < row.len() {
                let pad = widths.get(j).copied().unwrap_or(0).saturating_sub(text.chars().count());
                out.push_str(&" ".repeat(pad));
                out.push_str(GAP);
            }
        }
    }
    out
}

/// A heading between equal signs, as wide as what stands under it.
pub fn banner(title: &str, width: usize) -> String {
    let signs = match width.saturating_sub(title.chars().count() + 2) {
        0 => 4,
        odd if odd % 2 == 1 => odd + 1,
        even => even,
    };
    let side = "=".repeat(signs / 2);
    format!("{side} {title} {side}")
}

/// The heading over a table of names and values.
pub fn banner_over<'a>(title: &str, names: impl Iterator<Item = &'a String>) -> String {
    // The table is as wide as its longest name, the gap and the word "Value".
    let longest = names.map(|name| name.chars().count()).max().unwrap_or(0);
    banner(title, longest + GAP.len() + "Value".len())
}

/// Breaks text into lines of at most 78 columns, each after `indent` spaces.
pub fn wrap(text: &str, indent: usize) -> String {
    let width = 78_usize.saturating_sub(indent);
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    let pad = " ".repeat(indent);
    let lines: Vec<String> = lines
        .iter()
        .map(|line| if line.is_empty() { String::new() } else { format!("{pad}{line}") })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|c| (*c).to_owned()).collect()).collect()
    }

    #[test]
    fn columns_line_up() {
        assert_eq!(
            table(&["Path", "Type"], &rows(&[&["secret/", "kv"], &["a|b/", ""]])),
            "Path       Type\n----       ----\nsecret/    kv\na|b/       n/a"
        );
        assert_eq!(table(&["Keys"], &rows(&[&["b"], &["ü/"]])), "Keys\n----\nb\nü/");
        assert_eq!(columns(&[]), "");
    }

    #[test]
    fn banners_are_as_wide_as_the_table() {
        for (title, width, line) in [
            ("Secret Path", 13, "== Secret Path =="),
            ("Secret Path", 16, "== Secret Path =="),
            ("Data", 10, "== Data =="),
            ("Metadata", 24, "======= Metadata ======="),
        ] {
            assert_eq!(banner(title, width), line, "{title} {width}");
        }
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        let text = "word ".repeat(30);
        let wrapped = wrap(&text, 2);
        assert!(wrapped.lines().all(|l| l.chars().count() <= 78 && l.starts_with("  word")));
        assert_eq!(wrapped.split_whitespace().count(), 30);
        assert_eq!(wrap("a\n\nb", 1), " a\n\n b");
    }
}
