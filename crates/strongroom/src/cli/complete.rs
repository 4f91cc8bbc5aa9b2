//! Shell completion. All shells ask the program itself: they run it with the line so far in
//! `COMP_LINE` and offer what it prints. So commands, flags and, where the server tells them,
//! mounts and names of secrets come from one place, and scripts need no update.

use std::path::{Path, PathBuf};

use strongroom_base::json::Json;
use strongroom_client::{Client, Config, Environment, Request, TokenStore};

use super::command::{Command, Fail, Outcome, Prints};
use super::context::{Context, World};
use super::flags::Kind;
use super::http::Http;
use super::output::Ui;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command::new(
    "completion",
    "bash | zsh | fish",
    "Print the line that makes a shell complete commands",
    "
Prints what to put into the shell's own start-up file; \"{bin} -autocomplete-install\" does
that by itself.

    $ {bin} completion bash >> ~/.bashrc
    $ {bin} completion zsh >> ~/.zshrc
    $ {bin} completion fish > ~/.config/fish/completions/{bin}.fish",
    completion,
)
.prints(Prints::LINES)
.local()];

/// How long a shell waits for names from the server.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(800);

fn completion(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let name = cx.program().to_owned();
    let path = cx.world().program_path.clone();
    let script = script(cx.arg(0), &name, &path).ok_or_else(|| {
        Fail::usage("Unknown shell: completions are there for bash, zsh and fish")
    })?;
    cx.ui.say(script.trim_end());
    Ok(())
}

fn script(shell: &str, name: &str, path: &Path) -> Option<String> {
    let path = path.display();
    Some(match shell {
        "bash" => format!("complete -o nospace -C '{path}' {name}\n"),
        "zsh" => format!(
            "autoload -U +X bashcompinit && bashcompinit\ncomplete -o nospace -C '{path}' {name}\n"
        ),
        "fish" => format!(
            "function __complete_{name}\n    set -lx COMP_LINE (commandline -cp)\n    test -z \
             (commandline -ct)\n    and set COMP_LINE \"$COMP_LINE \"\n    '{path}'\nend\ncomplete \
             -f -c {name} -a \"(__complete_{name})\"\n"
        ),
        _ => return None,
    })
}

/// The start-up files of the shells that are there.
fn shell_files(home: &Path, name: &str) -> Vec<(&'static str, PathBuf)> {
    let mut files = Vec::new();
    for (shell, file) in [("bash", ".bashrc"), ("zsh", ".zshrc")] {
        let path = home.join(file);
        if path.is_file() {
            files.push((shell, path));
        }
    }
    let fish = home.join(".config/fish");
    if fish.is_dir() {
        files.push(("fish", fish.join(format!("completions/{name}.fish"))));
    }
    files
}

/// `-autocomplete-install`.
pub fn install(world: &World<'_>, ui: &mut Ui<'_>) -> Outcome {
    change(world, ui, |file, script| {
        let there = std::fs::read_to_string(file).unwrap_or_default();
        if there.contains(script) {
            return Ok(false);
        }
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let gap = if there.is_empty() || there.ends_with('\n') { "" } else { "\n" };
        std::fs::write(file, format!("{there}{gap}{script}"))?;
        Ok(true)
    })
}

/// `-autocomplete-uninstall`.
pub fn uninstall(world: &World<'_>, ui: &mut Ui<'_>) -> Outcome {
    change(world, ui, |file, script| {
        let there = std::fs::read_to_string(file).unwrap_or_default();
        if !there.contains(script) {
            return Ok(false);
        }
        std::fs::write(file, there.replace(script, ""))?;
        Ok(true)
    })
}

fn change(
    world: &World<'_>,
    ui: &mut Ui<'_>,
    edit: impl Fn(&Path, &str) -> std::io::Result<bool>,
) -> Outcome {
    let home = world.home().ok_or_else(|| Fail::usage("the home folder is unknown: set HOME"))?;
    let files = shell_files(&home, &world.program);
    if files.is_empty() {
        return Err(Fail::usage("no start-up file of bash, zsh or fish was found"));
    }
    for (shell, file) in files {
        let Some(text) = script(shell, &world.program, &world.program_path) else { continue };
        let changed = edit(&file, &text)
            .map_err(|error| Fail::usage(format!("{}: {error}", file.display())))?;
        let done = if changed { "changed" } else { "nothing to change" };
        ui.say(&format!("{shell}: {} ({done})", file.display()));
    }
    Ok(())
}

/// Prints what could stand at the end of `line`.
pub fn answer(line: &str, mut world: World<'_>) -> i32 {
    let end = (world.env)("COMP_POINT").and_then(|point| point.parse::<usize>().ok());
    let line = end.and_then(|end| line.get(..end)).unwrap_or(line);
    let mut words: Vec<String> = line.split_whitespace().skip(1).map(str::to_owned).collect();
    let last = if line.ends_with(char::is_whitespace) {
        String::new()
    } else {
        words.pop().unwrap_or_default()
    };
    let mut found = candidates(&words, &last);
    if found.is_empty() && !last.starts_with('-') {
        found = names_from_server(&words, &last, &world).unwrap_or_default();
    }
    let mut text = found.join("\n");
    text.push('\n');
    // The shell may have gone away; nobody is left to tell.
    let _ = world.take_out().write_all(text.as_bytes());
    0
}

/// What the tables of commands and flags know.
fn candidates(words: &[String], last: &str) -> Vec<String> {
    let all = super::commands();
    let mut found: Vec<String> = Vec::new();
    let resolved = super::resolve(words);
    if let (Some((command, rest)), true) = (resolved, last.starts_with('-')) {
        let dashes = if last.starts_with("--") { "--" } else { "-" };
        if rest.iter().all(|word| word.starts_with('-')) {
            for flag in command.all_flags().into_iter().filter(|flag| !flag.hidden) {
                let equal = if flag.kind == Kind::Bool { "" } else { "=" };
                found.push(format!("{dashes}{}{equal}", flag.name));
            }
        }
        for format in ["table", "json", "yaml"] {
            found.push(format!("{dashes}format={format}"));
        }
    } else if words.last().is_some_and(|word| word == "-format" || word == "--format") {
        found.extend(["table", "json", "yaml"].map(str::to_owned));
    } else {
        let prefix = if words.is_empty() { String::new() } else { format!("{} ", words.join(" ")) };
        for command in &all {
            let Some(rest) = command.name.strip_prefix(&prefix) else { continue };
            found.push(rest.split(' ').next().unwrap_or_default().to_owned());
        }
        if resolved.is_some_and(|(command, _)| command.name == "completion") {
            found.extend(["bash", "zsh", "fish"].map(str::to_owned));
        }
    }
    found.retain(|word| word.starts_with(last) && word != last);
    found.sort();
    found.dedup();
    found
}

/// Commands that begin so take paths of what is rotated.
const ROTATION: &str = "rotation ";

/// Is a command's argument, counted from 0, a path of the API or of a secret?
fn takes_path(name: &str, argument: usize) -> bool {
    match name {
        "read" | "write" | "patch" | "delete" | "list" | "scan" => argument == 0,
        "kv enable-versioning" => false,
        "kv mv" | "kv cp" => argument < 2,
        "kv search" => argument == 1,
        _ if name.starts_with(ROTATION) => argument == 0,
        _ => argument == 0 && name.starts_with("kv "),
    }
}

/// Mounts and names below them, if a server answers in time.
fn names_from_server(words: &[String], last: &str, world: &World<'_>) -> Option<Vec<String>> {
    let (command, rest) = super::resolve(words)?;
    let argument = rest.iter().filter(|word| !word.starts_with('-')).count();
    if !takes_path(command.name, argument) {
        return None;
    }
    let env = Environment::new(world.env);
    let mut config = Config::from_environment(&env).ok()?;
    config.max_retries = 0;
    config.timeout = PATIENCE;
    let mut client = Client::new(config).ok()?;
    if client.token().is_none() {
        let store = TokenStore::find(&env, world.home().as_deref(), client.address()).ok()?;
        client.set_token(store.load().ok()?);
    }
    let mut http = Http::new(client, None).ok()?;
    let mut found: Vec<String> = match last.rfind('/') {
        at if command.name.starts_with(ROTATION) => {
            let folder = at.map_or("", |at| &last[..=at]);
            let list = http.list(&format!("sys/rotation/subjects/{folder}")).ok()??;
            let names = list.keys()?.iter().filter_map(Json::as_str);
            names.map(|name| format!("{folder}{name}")).collect()
        }
        None => {
            let mounts = http.document(Request::get("sys/internal/ui/mounts")).ok()?;
            mounts.get("secret")?.as_object()?.keys().cloned().collect()
        }
        Some(at) => {
            let folder = &last[..=at];
            let mount = http.read(&format!("sys/internal/ui/mounts/{folder}")).ok()??;
            let versioned = mount.datum("options").and_then(|o| o.get("version"));
            let api = match mount.datum("path").and_then(Json::as_str) {
                Some(path) if versioned.and_then(Json::as_str) == Some("2") => {
                    format!("{path}metadata/{}", folder.strip_prefix(path).unwrap_or_default())
                }
                _ => folder.to_owned(),
            };
            let list = http.list(&api).ok()??;
            let names = list.keys()?.iter().filter_map(Json::as_str);
            names.map(|name| format!("{folder}{name}")).collect()
        }
    };
    found.retain(|name| name.starts_with(last));
    found.sort();
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(line: &str) -> Vec<String> {
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let last = if line.ends_with(' ') || line.is_empty() { None } else { words.pop() };
        candidates(&words, &last.unwrap_or_default())
    }

    #[test]
    fn commands_and_flags_are_offered() {
        assert_eq!(complete("kv g"), ["get"]);
        assert_eq!(complete("kv metadata p"), ["patch", "put"]);
        assert_eq!(complete("stat"), ["status"]);
        assert_eq!(complete("kv get -vers"), ["-version="]);
        assert_eq!(complete("write --forc"), ["--force"]);
        assert_eq!(complete("read -format "), ["json", "table", "yaml"]);
        assert_eq!(complete("completion z"), ["zsh"]);
        assert!(complete("").contains(&"operator".to_owned()));
        assert!(complete("kv get secret/").is_empty());
        assert_eq!(complete("kv mv -r"), ["-recursive"]);
        assert!(!complete("server -dev").contains(&"-dev-ha".to_owned()), "hidden flags stay so");
    }

    #[test]
    fn paths_are_asked_of_the_server_where_one_belongs() {
        for (name, arguments) in [
            ("read", 0..1),
            ("kv get", 0..1),
            ("kv mv", 0..2),
            ("kv search", 1..2),
            ("rotation ack", 0..1),
            ("why", 0..0),
        ] {
            for n in 0..3 {
                assert_eq!(takes_path(name, n), arguments.contains(&n), "{name} {n}");
            }
        }
    }

    #[test]
    fn scripts_name_the_program() {
        for shell in ["bash", "zsh", "fish"] {
            let text = script(shell, "strongroom", Path::new("/opt/strongroom")).unwrap();
            assert!(text.contains("'/opt/strongroom'") && text.ends_with('\n'), "{text}");
        }
        assert!(script("tcsh", "x", Path::new("/x")).is_none());
    }
}
