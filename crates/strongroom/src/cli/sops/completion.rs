//! `completion`, and the words that shells ask for.

use std::io::Write;

use super::options::Flag;
use super::table::{ENTRIES, GLOBAL, find};
use super::{Outcome, Run};
use crate::cli::context::World;

/// What a shell adds to the words it wants to complete.
const ASKED: &str = "--generate-bash-completion";

/// `completion bash`
pub fn bash(run: &mut Run<'_, '_>) -> Outcome {
    run.write_out(
        br#"_sops_completion() {
  local cur opts
  COMPREPLY=()
  cur="${COMP_WORDS[COMP_CWORD]}"
  if [[ "$cur" == "-"* ]]; then
    opts=$("${COMP_WORDS[@]:0:$COMP_CWORD}" "$cur" --generate-bash-completion)
  else
    opts=$("${COMP_WORDS[@]:0:$COMP_CWORD}" --generate-bash-completion)
  fi
  COMPREPLY=($(compgen -W "${opts}" -- "$cur"))
}
complete -o bashdefault -o default -o nospace -F _sops_completion sops
"#,
    )
}

/// `completion zsh`
pub fn zsh(run: &mut Run<'_, '_>) -> Outcome {
    run.write_out(
        br#"#compdef sops

_sops_completion() {
  local -a opts
  local cur
  cur=${words[-1]}
  if [[ "$cur" == "-"* ]]; then
    opts=("${(@f)$("${words[@]:0:#words[@]-1}" "$cur" --generate-bash-completion)}")
  else
    opts=("${(@f)$("${words[@]:0:#words[@]-1}" --generate-bash-completion)}")
  fi
  if [[ "${opts[1]}" != "" ]]; then
    _describe 'values' opts
  else
    _files
  fi
}

compdef _sops_completion sops
"#,
    )
}

/// Answers a shell, if it is one that asks.
pub fn answer(words: &[String], world: &mut World<'_>) -> Option<i32> {
    let (last, words) = words.split_last()?;
    if last != ASKED {
        return None;
    }
    let text = suggestions(words).join("\n") + "\n";
    let out = world.out.as_mut()?;
    Some(i32::from(out.write_all(text.as_bytes()).is_err()))
}

fn suggestions(words: &[String]) -> Vec<String> {
    let command = words.iter().position(|word| !word.starts_with('-'));
    let behind = command.and_then(|at| words.get(at..)).unwrap_or_default();
    let begun = words.last().filter(|word| word.starts_with('-'));
    if let Some(begun) = begun {
        let flags = find(behind).map_or(GLOBAL, |(entry, _)| entry.flags);
        let begun = begun.trim_start_matches('-');
        return flags
            .iter()
            .copied()
            .flatten()
            .filter_map(|flag: &Flag| flag.names.first())
            .filter(|name| name.starts_with(begun))
            .map(|name| format!("--{name}"))
            .collect();
    }
    let before = behind.join(" ");
    let names = ENTRIES.iter().filter_map(|entry| match before.as_str() {
        "" => entry.name.split(' ').next(),
        group => entry.name.strip_prefix(group)?.strip_prefix(' '),
    });
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.dedup();
    if before.is_empty() {
        names.push("help".into());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::suggestions;

    #[test]
    fn words_are_completed() {
        let of = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            suggestions(&words)
        };
        assert!(of(&[]).contains(&"encrypt".to_owned()) && of(&[]).contains(&"groups".to_owned()));
        assert_eq!(of(&["groups"]), ["add", "delete"]);
        assert_eq!(of(&["decrypt", "--ign"]), ["--ignore-mac"]);
        assert_eq!(of(&["encrypt", "--ign"]), [""; 0]);
        assert_eq!(of(&["decrypt"]), [""; 0]);
        assert_eq!(of(&["--mac"]), ["--mac-only-encrypted"]);
    }
}
