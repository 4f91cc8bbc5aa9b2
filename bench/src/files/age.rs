//! Files of age: a large one through each program, from memory to nowhere, so that no disk is measured.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use super::{Asked, Bed, Program, in_turn, text};

const USAGE: &str = "\
usage: strongroom-bench age --binary PATH [--peer AGE]... [options]
  --binary PATH          the program to measure
  --peer AGE             an original, measured beside it; may be given again
  --mebibytes A,B        sizes of files (default 1,1024)
  --rounds R             runs of each; the middle one counts (default 5)
  --dir PATH             where files lie (default: the temporary folder)
aim: the throughput of the originals, with memory that does not grow";

/// Runs it.
pub fn run(args: &[String]) -> Result<(), String> {
    measure_all(&Asked::new(&[1, 1024], 5).read(args, USAGE, "--mebibytes", &mut [])?)
}

fn measure_all(asked: &Asked) -> Result<(), String> {
    let Bed { folder, key, recipient, mut programs } = Bed::make(asked, "age")?;
    for path in &asked.peers {
        programs.push(Program { name: version(path)?, path: path.clone() });
    }
    println!(
        "{:>5} {:<8} {:<10} {:>9} {:>8} {:>9} {:>8}  ours/it: throughput",
        "MiB", "work", "program", "ms", "MB/s", "cpu ms", "MB RSS"
    );
    for mebibytes in &asked.sizes {
        let (plain, sealed) = (folder.path("plain"), folder.path("sealed"));
        fill(&plain, *mebibytes)?;
        let mut seal = Command::new(&programs[0].path);
        seal.args(["-r", &recipient, "-o"]).arg(&sealed).arg(&plain);
        if !seal.status().map_err(text)?.success() {
            return Err("the file could not be encrypted".into());
        }
        for work in ["encrypt", "decrypt"] {
            let command = |at: usize| {
                let mut command = Command::new(&programs[at].path);
                match work {
                    "encrypt" => command.args(["-r", &recipient, "-o", "/dev/null"]).arg(&plain),
                    _ => command.args(["-d", "-o", "/dev/null", "-i"]).arg(&key).arg(&sealed),
                };
                command
            };
            let figures = in_turn(asked.rounds, &command, programs.len())?;
            let ours = figures[0].wall().as_secs_f64();
            for (program, figure) in programs.iter().zip(&figures) {
                let wall = figure.wall().as_secs_f64();
                println!(
                    "{mebibytes:>5} {work:<8} {:<10} {:>9.1} {:>8.0} {:>9.0} {:>8.1}  {:.2}",
                    program.name,
                    wall * 1000.0,
                    (*mebibytes << 20) as f64 / 1e6 / wall,
                    figure.cpu().as_secs_f64() * 1000.0,
                    figure.megabytes(),
                    wall / ours,
                );
            }
        }
    }
    Ok(())
}

/// What a program says of itself.
fn version(path: &Path) -> Result<String, String> {
    let said = Command::new(path).arg("--version").output().map_err(text)?;
    let said = String::from_utf8_lossy(&said.stdout);
    Ok(format!("age {}", said.trim().trim_start_matches('v')))
}

/// A file of bytes that repeat nowhere near.
fn fill(path: &Path, mebibytes: usize) -> Result<(), String> {
    let mut file = File::create(path).map_err(text)?;
    let mut state = 88_172_645_463_325_252_u64;
    let mut piece = vec![0_u8; 1 << 20];
    for _ in 0..mebibytes {
        for word in piece.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&piece).map_err(text)?;
    }
    Ok(())
}
