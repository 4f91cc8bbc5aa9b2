//! Generated files, keys and options: whichever of both programs does a step, both read the same
//! afterwards, and it is what a model says.
//!
//! `STRONGROOM_SOPS_CASES` says how many cases there are, `STRONGROOM_SOPS_SEED` where they begin.

use serde_json::{Map, Value as Json, json};
use strongroom_testkit::servers::guard::program;
use strongroom_testkit::servers::http::Server;

use super::local::Gpg;
use super::{Desk, Whose, clouds, text, vault};
use crate::chance::{Dice, number};
use crate::live::Dev;

/// How many cases each run of the tests has.
const CASES: u64 = 40;
/// Steps after a file is encrypted.
const STEPS: u64 = 3;

/// Which program does a step.
fn whose(dice: &mut Dice) -> Whose {
    dice.of(&[Whose::Ours, Whose::Original])
}

/// The formats, by the ends of names.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Format {
    Yaml,
    Json,
    Env,
    Ini,
    Binary,
}

impl Format {
    const ALL: [Self; 5] = [Self::Yaml, Self::Json, Self::Env, Self::Ini, Self::Binary];

    fn file(self) -> &'static str {
        match self {
            Self::Yaml => "f.yaml",
            Self::Json => "f.json",
            Self::Env => "f.env",
            Self::Ini => "f.ini",
            Self::Binary => "f.bin",
        }
    }
}

const TEXTS: [&str; 17] = [
    "",
    "plain",
    "yes",
    "null",
    "12",
    "0x1F",
    "1.5",
    "2020-01-02",
    " spaces around ",
    "a: b # c",
    "tab\tand \"quotes\" and 'more'",
    "two\nlines\n",
    "line\n\nand a last one",
    "n\u{e4}me \u{1f511} \u{2028}",
    "<&>",
    "ENC[nothing]",
    "- [{",
];

/// A value of a document in a tree.
fn value(dice: &mut Dice, depth: usize) -> Json {
    match dice.roll(if depth == 0 { 8 } else { 11 }) {
        0..=3 => json!(dice.of(&TEXTS)),
        4 => json!(dice.of(&[0, 1, -17, 4_000_000_000_i64, i64::MAX, i64::MIN])),
        5 => json!(dice.of(&[2.5, -0.125, 1234.5678])),
        6 => json!(dice.roll(2) == 0),
        7 => Json::Null,
        8 => {
            let count = dice.roll(4);
            let scalar = |dice: &mut Dice| match value(dice, 0) {
                // The original does not read such a block again.
                Json::String(text) if text.contains('\n') => json!("in a list"),
                value => value,
            };
            Json::Array((0..count).map(|_| scalar(dice)).collect())
        }
        _ => Json::Object(tree(dice, depth - 1)),
    }
}

fn tree(dice: &mut Dice, depth: usize) -> Map<String, Json> {
    let names = ["a", "secret_b", "c_unencrypted", "d e", "\u{e9}", "yes", "12", "x_plain", "e.f"];
    let count = 1 + dice.roll(4);
    (0..count).map(|_| (dice.of(&names).to_owned(), value(dice, depth))).collect()
}

/// A document of a format, as a model.
fn model(dice: &mut Dice, format: Format) -> Json {
    // Blank texts and lines are not what these formats keep.
    let flat = |dice: &mut Dice| {
        let names = ["A", "SECRET_B", "C_unencrypted", "X_plain", "E"];
        let texts = ["plain", "yes", "12", "a=b", "\u{e4}\u{1f511}", "x y", "<&>"];
        let count = 1 + dice.roll(4);
        let pairs = (0..count).map(|_| (dice.of(&names).to_owned(), json!(dice.of(&texts))));
        Json::Object(pairs.collect())
    };
    match format {
        Format::Yaml | Format::Json => Json::Object(tree(dice, 3)),
        Format::Env => flat(dice),
        Format::Ini => json!({ "one": flat(dice), "two": flat(dice) }),
        Format::Binary => {
            let length = dice.roll(200);
            json!((0..length).map(|_| char::from(dice.roll(127) as u8)).collect::<String>())
        }
    }
}

/// The model as a file.
fn written(model: &Json, format: Format, dice: &mut Dice) -> String {
    let pairs = |map: &Json| -> String {
        let pairs = map.as_object().unwrap().iter();
        pairs.map(|(name, text)| format!("{name}={}\n", text.as_str().unwrap())).collect()
    };
    match format {
        Format::Json => serde_json::to_string_pretty(model).unwrap(),
        // To YAML that letter ends a line, to JSON it does not.
        Format::Yaml => yaml(model.as_object().unwrap(), 0, dice).replace('\u{2028}', "\\u2028"),
        Format::Env => pairs(model),
        Format::Ini => {
            let sections = model.as_object().unwrap().iter();
            sections.map(|(name, section)| format!("[{name}]\n{}", pairs(section))).collect()
        }
        Format::Binary => model.as_str().unwrap().to_owned(),
    }
}

/// YAML: keys and values as JSON writes them, which is YAML, too.
fn yaml(map: &Map<String, Json>, depth: usize, dice: &mut Dice) -> String {
    let pad = "  ".repeat(depth);
    let mut out = String::new();
    for (name, value) in map {
        if dice.roll(4) == 0 {
            out.push_str(&format!("{pad}# {}\n", dice.of(&["a comment", "sops:enc", "n\u{f6}te"])));
        }
        out.push_str(&format!("{pad}{}:", json!(name)));
        match value {
            Json::Object(map) if !map.is_empty() => {
                out.push_str(&format!("\n{}", yaml(map, depth + 1, dice)));
            }
            Json::Array(list) if !list.is_empty() => {
                let items = list.iter().map(|item| format!("\n{pad}- {item}"));
                out.push_str(&items.collect::<String>());
                out.push('\n');
            }
            value => out.push_str(&format!(" {value}\n")),
        }
    }
    out
}

/// One key of each kind that can be had here, and where they are served.
struct Pool {
    keys: Vec<Key>,
    _served: (Dev, [Server; 3]),
}

/// A desk whose home has all private keys.
fn pool() -> (Desk, Pool) {
    let (dev, _, vault) = vault::with_key();
    let (kms, google) = (Server::start(clouds::kms), Server::start(clouds::google));
    let huawei = Server::start(clouds::huawei);
    let desk = Desk::new();
    let gnupg = desk.path("gnupg").display().to_string();
    let desk = clouds::with_huawei(clouds::with_aws(desk, &kms), &huawei);
    let desk =
        clouds::with_google(desk, &google).with("VAULT_TOKEN", "root").with("GNUPGHOME", &gnupg);
    let mine = desk.age_key();
    let mut identities = desk.read(".config/sops/age/keys.txt");
    let mut ours = desk.command(env!("CARGO_BIN_EXE_strongroom"));
    let made = ours.args(["age", "keygen", "-pq"]).output().unwrap();
    let hybrid = text(&made.stdout);
    identities.push_str(&hybrid);
    desk.write(".config/sops/age/keys.txt", &identities);
    let hybrid = hybrid.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    std::fs::create_dir(desk.path(".ssh")).unwrap();
    let mut keygen = desk.command(program("ssh-keygen", "openssh-client"));
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", ".ssh/id_ed25519"]);
    assert!(keygen.status().unwrap().success());
    let ssh = desk.read(".ssh/id_ed25519.pub").rsplit_once(' ').unwrap().0.to_owned();
    let keys = vec![
        ("--age", "age", mine),
        ("--age", "age", hybrid.to_owned()),
        ("--age", "age", ssh),
        ("--kms", "kms", clouds::ARN.to_owned()),
        ("--gcp-kms", "gcp_kms", clouds::GOOGLE_ID.to_owned()),
        ("--hckms", "hckms", clouds::HUAWEI_KEY.to_owned()),
        ("--hc-vault-transit", "hc_vault", vault),
    ];
    (desk, Pool { keys, _served: (dev, [kms, google, huawei]) })
}

/// Rules, as flags and as fields of a configuration.
const RULES: [Option<(&str, &str)>; 6] = [
    None,
    Some(("unencrypted-suffix", "_plain")),
    Some(("encrypted-suffix", "_b")),
    Some(("encrypted-regex", "^(secret_|SECRET|a$|A$)")),
    Some(("unencrypted-regex", "(plain|e)$")),
    Some(("encrypted-comment-regex", "sops:enc")),
];

/// How a case's file is encrypted: by flags, or by a configuration.
struct Setting {
    flags: Vec<String>,
    /// What stands before the command.
    global: Vec<String>,
}

fn setting(dice: &mut Dice, desk: &Desk, keys: &[Key]) -> Setting {
    let mut count = 1 + dice.roll(3);
    let mut chosen: Vec<Key> = Vec::new();
    while count > 0 {
        let key = dice.of(keys);
        if !chosen.contains(&key) {
            chosen.push(key);
        }
        count -= 1;
    }
    let rule = dice.of(&RULES);
    let only_encrypted = dice.roll(4) == 0;
    let by_flags = dice.roll(2) == 0 && !rule.is_some_and(|(name, _)| name.contains("comment"));
    if by_flags {
        let mut flags = Vec::new();
        let kinds: std::collections::BTreeSet<&str> = chosen.iter().map(|key| key.0).collect();
        for kind in kinds {
            let of_kind = chosen.iter().filter(|key| key.0 == kind);
            let list: Vec<&str> = of_kind.map(|key| key.2.as_str()).collect();
            flags.extend([kind.to_owned(), list.join(",")]);
        }
        flags.extend(rule.into_iter().flat_map(|(name, text)| [format!("--{name}"), text.into()]));
        let global = only_encrypted.then(|| "--mac-only-encrypted".to_owned());
        desk.write(".sops.yaml", "stores: {}\n");
        return Setting { flags, global: global.into_iter().collect() };
    }
    let grouped = dice.roll(2) == 0;
    let mut config = json!({ "key_groups": groups(&chosen, grouped) });
    if grouped && chosen.len() > 1 {
        config["shamir_threshold"] = json!(2.max(dice.roll(chosen.len() + 1)));
    }
    if let Some((name, text)) = rule {
        config[name.replace('-', "_")] = json!(text);
    }
    config["mac_only_encrypted"] = json!(only_encrypted);
    let config = json!({
        "creation_rules": [{ "path_regex": "^nothing$" }, config],
        "stores": { "yaml": { "indent": 2 + dice.roll(4) } },
    });
    desk.write(".sops.yaml", &config.to_string());
    Setting { flags: Vec::new(), global: Vec::new() }
}

/// A key: its flag, its kind, and its name.
type Key = (&'static str, &'static str, String);

/// The keys as groups of a configuration: one for each, or all in one.
fn groups(chosen: &[Key], grouped: bool) -> Json {
    let entry = |(_, kind, key): &Key| match *kind {
        "kms" => ("kms", json!({ "arn": key })),
        "gcp_kms" => ("gcp_kms", json!({ "resource_id": key })),
        "hckms" => ("hckms", json!({ "key_id": key })),
        kind => (kind, json!(key)),
    };
    let entries: Vec<(&str, Json)> = chosen.iter().map(entry).collect();
    if grouped {
        return entries.into_iter().map(|(kind, key)| json!({ kind: [key] })).collect();
    }
    let mut group = Map::new();
    for (kind, key) in entries {
        let list = group.entry(kind).or_insert_with(|| json!([]));
        list.as_array_mut().unwrap().push(key);
    }
    json!([group])
}

/// A case: what was done, for the message of a failure.
struct Case<'d> {
    desk: &'d Desk,
    format: Format,
    done: Vec<String>,
}

impl Case<'_> {
    fn run(&mut self, whose: Whose, args: &[&str]) -> String {
        self.done.push(format!("{whose:?} {}", args.join(" ")));
        let done = self.desk.run(whose, args);
        assert!(done.status.success(), "{:#?}: {}", self.done, text(&done.stderr));
        text(&done.stdout)
    }

    /// Both read the same, and it is the model.
    fn check(&mut self, model: &Json) {
        let file = self.format.file();
        let plain = [Whose::Ours, Whose::Original].map(|whose| self.run(whose, &["decrypt", file]));
        assert_eq!(plain[0], plain[1], "{:#?}", self.done);
        if self.format == Format::Binary {
            assert_eq!(json!(plain[0]), *model, "{:#?}", self.done);
            return;
        }
        let args = ["decrypt", "--output-type", "json", file];
        let mut read: Json = serde_json::from_str(&self.run(Whose::Ours, &args)).unwrap();
        // What stands before the first section of INI.
        if self.format == Format::Ini && read["DEFAULT"] == json!({}) {
            read.as_object_mut().unwrap().shift_remove("DEFAULT");
        }
        assert_eq!(read, *model, "{:#?}\n{}", self.done, plain[0]);
    }

    /// Changes the file and the model.
    fn step(&mut self, model: &mut Json, dice: &mut Dice, whose: Whose) {
        let file = self.format.file();
        let in_tree = matches!(self.format, Format::Yaml | Format::Json | Format::Env);
        match dice.roll(4) {
            0 if in_tree => {
                let (name, text) =
                    (dice.of(&["a", "secret_b", "NEW"]), dice.of(&["x", "yes", "12"]));
                let path = format!("[\"{name}\"]");
                self.run(whose, &["set", file, &path, &json!(text).to_string()]);
                model[name] = json!(text);
            }
            1 if in_tree && model.as_object().unwrap().len() > 1 => {
                let name = model.as_object().unwrap().keys().next().unwrap().clone();
                self.run(whose, &["unset", file, &format!("[{}]", json!(name))]);
                model.as_object_mut().unwrap().shift_remove(&name);
            }
            2 => {
                self.run(whose, &["rotate", "-i", file]);
            }
            _ => {
                // From one program to the other through pipes' worth of text, not in place.
                let out = self.run(whose, &["rotate", file]);
                self.desk.write(file, &out);
            }
        }
    }
}

fn case(desk: &Desk, pool: &Pool, seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..8 {
        dice.roll(2);
    }
    let format = dice.of(&Format::ALL);
    let setting = setting(&mut dice, desk, &pool.keys);
    let mut model = model(&mut dice, format);
    let file = format.file();
    desk.write(file, &written(&model, format, &mut dice));
    let mut case = Case { desk, format, done: vec![format!("seed {seed}")] };
    case.done.push(desk.read(".sops.yaml"));
    case.done.push(desk.read(file));
    let flags = setting.flags.iter().map(String::as_str);
    let global = setting.global.iter().map(String::as_str);
    let args: Vec<&str> = global.chain(["encrypt", "-i"]).chain(flags).chain([file]).collect();
    let first = whose(&mut dice);
    case.run(first, &args);
    case.check(&model);
    for _ in 0..STEPS {
        let next = whose(&mut dice);
        case.step(&mut model, &mut dice, next);
        case.check(&model);
    }
}

#[test]
fn generated_files_keys_and_options_go_both_ways() {
    let (desk, mut pool) = pool();
    let gpg = Gpg(&desk);
    pool.keys.push(("--pgp", "pgp", gpg.key()));
    let first = number("STRONGROOM_SOPS_SEED", 1);
    for seed in first..first + number("STRONGROOM_SOPS_CASES", CASES) {
        case(&desk, &pool, seed);
    }
}
