//! Files with encrypted values: from the start to the output of a small one, and large ones.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use super::{Folder, Program, in_turn, keygen, text};

const USAGE: &str = "\
usage: strongroom-bench sops --binary PATH [--peer SOPS] [options]
  --binary PATH          the program to measure
  --peer SOPS            the original, measured beside it
  --megabytes A,B        sizes of files (default 0,2,20; 0 is a file of two values: the start)
  --peer-max N           the largest file that the original gets (default all): it takes long
  --rounds R             runs of each; the middle one counts (default 3)
  --starts N             runs of the small file (default 60)
  --dir PATH             where files lie (default: the temporary folder)
aims: the small file in 5 ms and 15 MB; 20 MB in 5 s and 400 MB";

struct Asked {
    binary: PathBuf,
    peer: Option<PathBuf>,
    megabytes: Vec<usize>,
    peer_max: usize,
    rounds: usize,
    starts: usize,
    dir: PathBuf,
}

/// Runs it.
pub fn run(args: &[String]) -> Result<(), String> {
    measure_all(&parse(args)?)
}

fn parse(args: &[String]) -> Result<Asked, String> {
    let usage = || USAGE.to_owned();
    let mut asked = Asked {
        binary: PathBuf::new(),
        peer: None,
        megabytes: vec![0, 2, 20],
        peer_max: usize::MAX,
        rounds: 3,
        starts: 60,
        dir: std::env::temp_dir(),
    };
    for pair in args.chunks(2) {
        let [name, value] = pair else { return Err(usage()) };
        let number = || value.parse::<usize>().map_err(|_| usage());
        match name.as_str() {
            "--binary" => asked.binary = value.into(),
            "--peer" => asked.peer = Some(value.into()),
            "--megabytes" => {
                let sizes: Result<_, _> = value.split(',').map(str::parse).collect();
                asked.megabytes = sizes.map_err(|_| usage())?;
            }
            "--peer-max" => asked.peer_max = number()?,
            "--rounds" => asked.rounds = number()?,
            "--starts" => asked.starts = number()?,
            "--dir" => asked.dir = value.into(),
            _ => return Err(usage()),
        }
    }
    if asked.binary.as_os_str().is_empty() { Err(usage()) } else { Ok(asked) }
}

fn measure_all(asked: &Asked) -> Result<(), String> {
    let folder = Folder::make(&asked.dir, "sops")?;
    let key = folder.path("key");
    let recipient = keygen(&asked.binary, &key)?;
    let ours = folder.path("sops");
    symlink(&asked.binary, &ours).map_err(text)?;
    let mut programs = vec![Program { name: "ours".into(), path: ours }];
    programs.extend(asked.peer.clone().map(|path| Program { name: "original".into(), path }));
    println!(
        "{:>4} {:<8} {:<9} {:>9} {:>9} {:>9} {:>8}  original/ours: time, memory",
        "MB", "work", "program", "ms", "least ms", "cpu ms", "MB RSS"
    );
    for megabytes in &asked.megabytes {
        let plain = folder.path("plain.yaml");
        fs::write(&plain, document(*megabytes)).map_err(text)?;
        let measured = if *megabytes <= asked.peer_max { programs.len() } else { 1 };
        let rounds = if *megabytes == 0 { asked.starts } else { asked.rounds };
        for work in ["encrypt", "decrypt"] {
            let sealed = |at: usize| folder.path(&format!("sealed{at}.yaml"));
            let command = |at: usize| {
                let mut command = Command::new(&programs[at].path);
                command.env("SOPS_AGE_KEY_FILE", &key).env("SOPS_DISABLE_VERSION_CHECK", "1");
                command.arg(work);
                match work {
                    "encrypt" => {
                        command.args(["--age", &recipient, "--output"]).arg(sealed(at)).arg(&plain)
                    }
                    // Each reads what the first wrote.
                    _ => command.arg("--output").arg(folder.path("out.yaml")).arg(sealed(0)),
                };
                command
            };
            let figures = in_turn(rounds, &command, measured)?;
            let (first, ms) = (&figures[0], |d: std::time::Duration| d.as_secs_f64() * 1000.0);
            for (program, figure) in programs.iter().zip(&figures) {
                println!(
                    "{megabytes:>4} {work:<8} {:<9} {:>9.1} {:>9.1} {:>9.1} {:>8.1}  {:.1}, {:.1}",
                    program.name,
                    ms(figure.wall()),
                    ms(figure.best()),
                    ms(figure.cpu()),
                    figure.megabytes(),
                    figure.wall().as_secs_f64() / first.wall().as_secs_f64(),
                    figure.megabytes() / first.megabytes(),
                );
            }
        }
    }
    Ok(())
}

/// A file of that size: mappings of a hundred short values.
fn document(megabytes: usize) -> String {
    let mut out = String::from("first: value\nsecond: 2\n");
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
