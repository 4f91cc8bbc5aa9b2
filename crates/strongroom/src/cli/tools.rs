//! The names under which this program stands in for another: called by one of them, it behaves as that
//! tool, whatever stands in its arguments. Each is a sub-command, too.

use super::World;

/// Another program's command line.
pub type Run = for<'w> fn(Vec<String>, World<'w>) -> i32;

/// A tool.
pub struct Tool {
    /// Its name: that of the link.
    pub name: &'static str,
    /// The words by which it is reached under our own name; none for Vault's command line, which is
    /// ours.
    pub words: &'static [&'static str],
    /// Its command line; `None` for Vault's.
    pub run: Option<Run>,
}

/// All of them. Where one's words begin another's, the longer stands first.
pub const TOOLS: &[Tool] = &[
    Tool { name: "vault", words: &[], run: None },
    Tool { name: "bao", words: &[], run: None },
    Tool { name: "age-keygen", words: &["age", "keygen"], run: Some(super::age::keygen) },
    Tool { name: "age", words: &["age"], run: Some(super::age::run) },
    Tool { name: "sops", words: &["sops"], run: Some(super::sops::run) },
];

/// The tool that is meant, and its arguments; none where it is our own command line.
pub fn find(program: &str, words: &[String]) -> Option<(Run, Vec<String>)> {
    if let Some(tool) = TOOLS.iter().find(|tool| tool.name == program) {
        return Some((tool.run?, words.to_vec()));
    }
    TOOLS.iter().find_map(|tool| {
        let run = tool.run?;
        let (first, rest) = words.split_at_checked(tool.words.len())?;
        (first == tool.words).then(|| (run, rest.to_vec()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_found_by_the_name_of_the_link_and_by_their_words() {
        let found = |program: &str, words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let (run, rest) = find(program, &words)?;
            let tool = TOOLS
                .iter()
                .find(|tool| tool.run.is_some_and(|known| std::ptr::fn_addr_eq(known, run)));
            Some(format!("{} {}", tool.map_or("", |tool| tool.name), rest.join(" ")))
        };
        for (program, words, expected) in [
            ("age", &["keygen"][..], Some("age keygen")),
            ("age-keygen", &["age"], Some("age-keygen age")),
            ("strongroom", &["age", "keygen", "-y"], Some("age-keygen -y")),
            ("strongroom", &["age", "-d", "keygen"], Some("age -d keygen")),
            ("strongroom", &["age"], Some("age ")),
            ("strongroom", &["read", "age"], None),
            ("strongroom", &[], None),
            ("vault", &["age"], None),
        ] {
            assert_eq!(found(program, words).as_deref(), expected, "{program} {words:?}");
        }
    }
}
