//! Files with encrypted values: from the start to the output of a small one, and large ones.

use std::fs;
use std::process::Command;

use super::{Asked, Bed, Program, in_turn, text};

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

/// What is asked of this alone.
struct Runs {
    peer_max: usize,
    starts: usize,
}

/// Runs it.
pub fn run(args: &[String]) -> Result<(), String> {
    let mut runs = Runs { peer_max: usize::MAX, starts: 60 };
    let own = &mut [("--peer-max", &mut runs.peer_max), ("--starts", &mut runs.starts)];
    let asked = Asked::new(&[0, 2, 20], 3).read(args, USAGE, "--megabytes", own)?;
    measure_all(&asked, &runs)
}

fn measure_all(asked: &Asked, runs: &Runs) -> Result<(), String> {
    let Bed { folder, key, recipient, mut programs } = Bed::make(asked, "sops")?;
    let originals = asked.peers.iter().cloned();
    programs.extend(originals.map(|path| Program { name: "original".into(), path }));
    println!(
        "{:>4} {:<8} {:<9} {:>9} {:>9} {:>9} {:>8}  original/ours: time, memory",
        "MB", "work", "program", "ms", "least ms", "cpu ms", "MB RSS"
    );
    for megabytes in &asked.sizes {
        let plain = folder.path("plain.yaml");
        fs::write(&plain, document(*megabytes)).map_err(text)?;
        let measured = if *megabytes <= runs.peer_max { programs.len() } else { 1 };
        let rounds = if *megabytes == 0 { runs.starts } else { asked.rounds };
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
