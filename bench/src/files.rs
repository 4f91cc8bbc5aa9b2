//! `strongroom-bench sops`: how long files with encrypted values take, and how much memory, beside the
//! original. Each size is run on one and then on the other.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const USAGE: &str = "\
usage: strongroom-bench sops --binary PATH [--peer SOPS] [--megabytes A,B] [--rounds R]
  --binary PATH        the program to measure
  --peer SOPS          the original, measured beside it
  --megabytes A,B      sizes of files (default 0,5,10,20; 0 is a file of one value: the start)
  --rounds R           runs of each; the quickest counts (default 3)";

/// How often a program's memory is looked at.
const LOOK: Duration = Duration::from_millis(2);

struct Asked {
    binary: PathBuf,
    peer: Option<PathBuf>,
    megabytes: Vec<usize>,
    rounds: usize,
}

struct Figure {
    wall: Duration,
    peak_kib: u64,
}

/// Runs it.
pub fn run(args: &[String]) -> Result<(), String> {
    let asked = parse(args)?;
    let folder = std::env::temp_dir().join(format!("strongroom-sops-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(text)?;
    let done = measure_all(&asked, &folder);
    fs::remove_dir_all(&folder).map_err(text)?;
    done
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

fn parse(args: &[String]) -> Result<Asked, String> {
    let usage = || USAGE.to_owned();
    let mut asked =
        Asked { binary: PathBuf::new(), peer: None, megabytes: vec![0, 5, 10, 20], rounds: 3 };
    for pair in args.chunks(2) {
        let [name, value] = pair else { return Err(usage()) };
        match name.as_str() {
            "--binary" => asked.binary = value.into(),
            "--peer" => asked.peer = Some(value.into()),
            "--megabytes" => {
                let sizes: Result<_, _> = value.split(',').map(str::parse).collect();
                asked.megabytes = sizes.map_err(|_| usage())?;
            }
            "--rounds" => asked.rounds = value.parse().map_err(|_| usage())?,
            _ => return Err(usage()),
        }
    }
    if asked.binary.as_os_str().is_empty() { Err(usage()) } else { Ok(asked) }
}

fn measure_all(asked: &Asked, folder: &Path) -> Result<(), String> {
    let key = folder.join("key");
    let mut keygen = Command::new(&asked.binary);
    let made = keygen.args(["age", "keygen", "-o"]).arg(&key).output().map_err(text)?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned());
    }
    let lines = fs::read_to_string(&key).map_err(text)?;
    let recipient = lines.lines().find_map(|line| line.strip_prefix("# public key: "));
    let recipient = recipient.ok_or("no recipient")?.to_owned();
    let ours = folder.join("sops");
    symlink(&asked.binary, &ours).map_err(text)?;
    let mut programs = vec![("ours", ours)];
    programs.extend(asked.peer.clone().map(|peer| ("peer", peer)));
    println!("{:>5} {:<8} {:<5} {:>9} {:>9} {:>7}", "MB", "work", "who", "ms", "MiB", "ratio");
    for megabytes in &asked.megabytes {
        let plain = folder.join("plain.yaml");
        fs::write(&plain, document(*megabytes)).map_err(text)?;
        let sealed = folder.join("sealed.yaml");
        for work in ["encrypt", "decrypt"] {
            let mut ours_ms = 0.0;
            for (who, program) in &programs {
                let command = || {
                    let mut command = Command::new(program);
                    command.env("SOPS_AGE_KEY_FILE", &key).arg(work);
                    match work {
                        "encrypt" => {
                            command.args(["--age", &recipient, "--output"]).arg(&sealed).arg(&plain)
                        }
                        _ => command.arg("--output").arg(folder.join("out.yaml")).arg(&sealed),
                    };
                    command
                };
                let mut best: Option<Figure> = None;
                for _ in 0..asked.rounds.max(1) {
                    let figure = measure(&mut command())?;
                    if best.as_ref().is_none_or(|best| figure.wall < best.wall) {
                        best = Some(figure);
                    }
                }
                let Some(best) = best else { continue };
                let ms = best.wall.as_secs_f64() * 1000.0;
                let ratio = if *who == "ours" { 1.0 } else { ms / ours_ms };
                if *who == "ours" {
                    ours_ms = ms;
                }
                let mib = best.peak_kib / 1024;
                println!("{megabytes:>5} {work:<8} {who:<5} {ms:>9.1} {mib:>9} {ratio:>7.2}");
            }
        }
    }
    Ok(())
}

/// A file of that size: mappings of a hundred short values.
fn document(megabytes: usize) -> String {
    let mut out = String::from("first: value\n");
    let mut at = 0;
    while out.len() < megabytes * 1_000_000 {
        if at % 100 == 0 {
            out.push_str(&format!("group{}:\n", at / 100));
        }
        out.push_str(&format!("    key{at}: value number {at} of the file\n"));
        at += 1;
    }
    out
}

fn measure(command: &mut Command) -> Result<Figure, String> {
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(text)?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    loop {
        // The highest so far is the kernel's own figure; the last look may miss the very end.
        let text_of = fs::read_to_string(&status).unwrap_or_default();
        let high = text_of.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let high = high.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak_kib = peak_kib.max(high.unwrap_or(0));
        if let Some(ended) = child.try_wait().map_err(text)? {
            let wall = began.elapsed();
            if !ended.success() {
                return Err(format!("the program failed: {ended}"));
            }
            return Ok(Figure { wall, peak_kib });
        }
        std::thread::sleep(LOOK);
    }
}
