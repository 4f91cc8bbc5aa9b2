//! `git-crypt`: files that are encrypted in a Git repository and plain in the working tree.

mod filters;

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use strongroom_age::{Identity, SharedUi, identities, recipients};
use strongroom_git::Repository;
use strongroom_git::crypt::{self, FILTER, FOLDER, Key, setup, status};

use super::age::ui;
use super::command::{Command, Fail, Outcome, io_reason};
use super::context::Context;
use super::flags::Flag;

const IDENTITY: Flag = Flag::list(
    "identity",
    "File of age identities or an SSH key; -i for short. May be given again.",
)
.alias(&["i"]);

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::group(
        "git-crypt",
        "Keep files encrypted in a Git repository",
        "
Files that .gitattributes names are encrypted in the repository and plain in the working tree.
Whom an age recipient or an SSH key stands for in the repository can unlock it.

    $ {bin} git-crypt init
    $ c=strongroom-git-crypt; echo \"*.key filter=$c diff=$c merge=$c\" > .gitattributes
    $ {bin} git-crypt add-recipient age1…
    $ {bin} git-crypt unlock -i key.txt",
    ),
    Command::new(
        "git-crypt init",
        "",
        "Set a repository up with a new key",
        "
Makes the repository's key and turns the filters of this working copy on. Which files are
encrypted is said in .gitattributes:

    *.key filter=strongroom-git-crypt diff=strongroom-git-crypt merge=strongroom-git-crypt",
        init,
    )
    .local(),
    Command::new(
        "git-crypt add-recipient",
        "RECIPIENT...",
        "Let somebody unlock the repository",
        "
Puts the repository's key, encrypted for a recipient, into the repository, and commits that.

    $ {bin} git-crypt add-recipient age1…
    $ {bin} git-crypt add-recipient \"$(cat ~/.ssh/id_ed25519.pub)\"",
        add_recipient,
    )
    .local()
    .flags(&[
        Flag::list("recipients-file", "File of recipients, one a line; -R for short.")
            .alias(&["R"]),
        Flag::bool("no-commit", "Add the files to the index only; -n for short.")
            .alias(&["n"])
            .default("false"),
    ]),
    Command::new(
        "git-crypt unlock",
        "[KEYFILE]",
        "Decrypt the files of a working copy",
        "
Finds the repository's key with an identity, or takes it from a file that export-key wrote, and
turns the filters of this working copy on. Without -i and KEYFILE it tries
~/.config/strongroom/age/keys.txt, ~/.ssh/id_ed25519 and ~/.ssh/id_rsa.",
        unlock,
    )
    .local()
    .flags(&[IDENTITY]),
    Command::new(
        "git-crypt lock",
        "",
        "Encrypt the files of a working copy",
        "
Takes the key from this working copy; the files are there encrypted. What is not committed would be
lost, so it is refused. Until it is unlocked again, Git refuses to add a file that should be
encrypted. Where something fails on the way, the key stays: lock it again.",
        lock,
    )
    .local()
    .flags(&[Flag::bool("force", "Lose what is not committed; -f for short.")
        .alias(&["f"])
        .default("false")]),
    Command::new(
        "git-crypt status",
        "",
        "Tell which files are encrypted",
        "
Lists the files of the repository, and who can unlock it. Exit code 1 if a file that should be
encrypted is not: -fix encrypts it for the next commit.",
        show_status,
    )
    .local()
    .flags(&[
        Flag::bool("encrypted", "Only files that are encrypted; -e for short.")
            .alias(&["e"])
            .default("false"),
        Flag::bool("unencrypted", "Only files that are not; -u for short.")
            .alias(&["u"])
            .default("false"),
        Flag::bool("fix", "Encrypt what should be; -f for short.").alias(&["f"]).default("false"),
    ]),
    Command::new(
        "git-crypt export-key",
        "FILE",
        "Write the repository's key to a file",
        "
Writes the key to a new file, readable for you only: for machines, and as a spare. Whoever has it
can decrypt all that was and will be encrypted in this repository.",
        export_key,
    )
    .local(),
    Command::new(
        "git-crypt clean",
        "PATH",
        "Encrypt for Git",
        "\nEncrypts the standard input. Git calls it.",
        filters::clean,
    )
    .local(),
    Command::new(
        "git-crypt smudge",
        "PATH",
        "Decrypt for Git",
        "\nDecrypts the standard input. Git calls it.",
        filters::smudge,
    )
    .local(),
    Command::new(
        "git-crypt diff",
        "PATH",
        "Show for Git",
        "\nShows a file decrypted. Git calls it.",
        filters::diff,
    )
    .local(),
    Command::new(
        "git-crypt merge",
        "BASE OURS THEIRS PATH",
        "Merge for Git",
        "\nMerges three encrypted versions of a text as Git merges lines. Git calls it.",
        filters::merge,
    )
    .local(),
];

fn fail(error: impl std::fmt::Display) -> Fail {
    Fail::usage(format!("git-crypt: {error}"))
}

fn repository() -> Result<Repository, Fail> {
    Repository::of(Path::new(".")).map_err(fail)
}

fn ui_of(cx: &mut Context<'_, '_>) -> SharedUi {
    ui::of(cx.world(), "git-crypt")
}

fn init(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let repository = repository()?;
    let mut root = [0; 32];
    (cx.world().random)(&mut root).map_err(|error| fail(io_reason(&error)))?;
    let key = Key::of(root);
    zeroize::Zeroize::zeroize(&mut root);
    let key = key.map_err(fail)?;
    setup::init(&repository, &key, &cx.world().program_path).map_err(fail)?;
    cx.ui.say(&format!("Made the key {}.", key.id()));
    cx.ui.say(&format!(
        "Say in .gitattributes which files it is for: PATTERN filter={FILTER} diff={FILTER} \
         merge={FILTER}"
    ));
    Ok(())
}

fn add_recipient(cx: &mut Context<'_, '_>) -> Outcome {
    let repository = repository()?;
    let key = setup::key(&repository).map_err(fail)?;
    let ui = ui_of(cx);
    let mut all: Vec<String> = cx.args.clone();
    for name in cx.flags.list("recipients-file") {
        let text = std::fs::read_to_string(&name)
            .map_err(|error| fail(format!("{name}: {}", io_reason(&error))))?;
        // Read whole, so that a file with a mistake adds nobody.
        recipients::read(&name, text.as_bytes(), &ui).map_err(fail)?;
        let lines = text.lines().map(str::trim);
        all.extend(lines.filter(|it| !it.is_empty() && !it.starts_with('#')).map(str::to_owned));
    }
    if all.is_empty() {
        return Err(Fail::usage("Not enough arguments (expected at least one recipient)"));
    }
    for recipient in &all {
        recipients::parse(recipient.trim(), &ui).map_err(fail)?;
    }
    let mut added = 0;
    for recipient in &all {
        let files = crypt::recipients::add(&repository, &key, recipient, &ui).map_err(fail)?;
        added += usize::from(!files.is_empty());
    }
    if added == 0 {
        cx.ui.say("They can unlock this repository already.");
        return Ok(());
    }
    repository.git(&["add", "--", FOLDER]).map_err(fail)?;
    let who = if added == 1 { "1 recipient".to_owned() } else { format!("{added} recipients") };
    if !cx.flags.is("no-commit") {
        let message = format!("Let {who} unlock the encrypted files");
        let words = ["commit", "--quiet", "-m", &message, "--", FOLDER];
        repository.git(&words).map_err(fail)?;
    }
    cx.ui.say(&format!("Added {who}."));
    Ok(())
}

/// The identities that are given, or those of the usual places.
fn read_identities(cx: &mut Context<'_, '_>) -> Result<Vec<Identity>, Fail> {
    let ui = ui_of(cx);
    let given = cx.flags.list("identity");
    let home = cx.world().home().unwrap_or_default();
    let usual = [".config/strongroom/age/keys.txt", ".ssh/id_ed25519", ".ssh/id_rsa"];
    let names: Vec<String> = match given.is_empty() {
        false => given.clone(),
        true => {
            let usual = usual.iter().map(|name| home.join(name)).filter(|it| it.exists());
            usual.map(|path| path.display().to_string()).collect()
        }
    };
    let mut all = Vec::new();
    for name in &names {
        let file = std::fs::File::open(name)
            .map_err(|error| fail(format!("{name}: {}", io_reason(&error))))?;
        match identities::read(name, file, &ui) {
            Ok(read) => all.extend(read),
            // A key of the user's that is of no use here is no mistake of theirs.
            Err(_) if given.is_empty() => {}
            Err(error) => return Err(fail(error)),
        }
    }
    match all.is_empty() {
        true => Err(fail("no identity was found; give one with -i, or a key file")),
        false => Ok(all),
    }
}

fn unlock(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args_between(0, 1, "at most 1")?;
    let repository = repository()?;
    let key = match cx.args.first() {
        Some(name) => {
            let file = std::fs::read(name)
                .map_err(|error| fail(format!("{name}: {}", io_reason(&error))))?;
            Key::from_file(&zeroize::Zeroizing::new(file)).map_err(fail)?
        }
        None => {
            let identities = read_identities(cx)?;
            crypt::recipients::unwrap(&repository, &identities).map_err(fail)?
        }
    };
    let count = setup::unlock(&repository, &key, &cx.world().program_path).map_err(fail)?;
    cx.ui.say(&format!("Unlocked with the key {}: {}.", key.id(), files(count)));
    Ok(())
}

fn files(count: usize) -> String {
    if count == 1 { "1 encrypted file".into() } else { format!("{count} encrypted files") }
}

fn lock(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let count = setup::lock(&repository()?, cx.flags.is("force")).map_err(fail)?;
    cx.ui.say(&format!("Locked: {}.", files(count)));
    Ok(())
}

fn show_status(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(0)?;
    let repository = repository()?;
    let mut all = status::files(&repository).map_err(fail)?;
    if cx.flags.is("fix") {
        setup::key(&repository).map_err(fail)?;
        let count = status::fix(&repository, &all).map_err(fail)?;
        if count > 0 {
            cx.ui.say(&format!(
                "Encrypted for the next commit: {count}. Older commits keep the plain text."
            ));
        }
        all = status::files(&repository).map_err(fail)?;
    }
    let (only_e, only_u) = (cx.flags.is("encrypted"), cx.flags.is("unencrypted"));
    for file in &all {
        if only_e && !file.wanted || only_u && file.wanted {
            continue;
        }
        let kind = if file.wanted { "    encrypted" } else { "not encrypted" };
        let name = String::from_utf8_lossy(file.name.as_bytes());
        let remark = match (file.exposed, file.misnamed) {
            (true, _) => "  *** its blob is NOT encrypted ***",
            (_, true) => {
                "  *** the attributes name the filter git-crypt, which is not this one ***"
            }
            _ => "",
        };
        cx.ui.say(&format!("{kind}: {name}{remark}"));
    }
    if !only_e && !only_u {
        show_keys(cx, &repository)?;
    }
    if all.iter().any(|file| file.misnamed) {
        return Err(fail(format!(
            "files are NOT encrypted whose attributes name the filter git-crypt: write {FILTER} in \
             .gitattributes, then `git add --renormalize` them"
        )));
    }
    match all.iter().filter(|file| file.exposed).count() {
        0 => Ok(()),
        count => Err(fail(format!(
            "{count} of the files that should be encrypted are not; -fix encrypts them for the next \
             commit"
        ))),
    }
}

fn show_keys(cx: &mut Context<'_, '_>, repository: &Repository) -> Outcome {
    let state = match setup::is_unlocked(repository) {
        true => format!("unlocked with the key {}", setup::key(repository).map_err(fail)?.id()),
        false => "locked, or not set up".into(),
    };
    cx.ui.say(&format!("\nThis working copy is {state}."));
    for (id, recipients) in crypt::recipients::list(repository).map_err(fail)? {
        cx.ui.say(&format!("The key {id} is there for:"));
        recipients.iter().for_each(|it| cx.ui.say(&format!("    {it}")));
    }
    Ok(())
}

fn export_key(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let key = setup::key(&repository()?).map_err(fail)?;
    let name = cx.arg(0).to_owned();
    let mut file = std::fs::OpenOptions::new();
    file.write(true).create_new(true).mode(0o600);
    let written = file.open(&name).and_then(|mut file| {
        std::io::Write::write_all(&mut file, key.to_file().expose_secret().as_bytes())
    });
    written.map_err(|error| fail(format!("{name}: {}", io_reason(&error))))
}
