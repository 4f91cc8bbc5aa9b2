//! `strongroom-bench sops` and `strongroom-bench age`: how long files take, and how much memory, beside
//! the originals. Whatever is compared is run in turn, so that the machine's moods meet all.
//!
//! CPU is what the kernel has counted for ended children; memory is the kernel's own highest figure,
//! looked at without a pause while a program is young and may end at once.

pub mod age;
pub mod sops;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often a program's memory is looked at, once it is not young any more.
const LOOK: Duration = Duration::from_millis(2);
const YOUNG: Duration = Duration::from_millis(100);

/// What both are asked to do.
struct Asked {
    binary: PathBuf,
    peers: Vec<PathBuf>,
    sizes: Vec<usize>,
    rounds: usize,
    dir: PathBuf,
}

impl Asked {
    /// Reads pairs of names and values: those that both have, `sizes` among them, and numbers of one's `own`.
    /// What is not given stays as it is.
    fn read(
        mut self,
        args: &[String],
        usage: &str,
        sizes: &str,
        own: &mut [(&str, &mut usize)],
    ) -> Result<Self, String> {
        let usage = || usage.to_owned();
        for pair in args.chunks(2) {
            let [name, value] = pair else { return Err(usage()) };
            let number = |text: &str| text.parse::<usize>().map_err(|_| usage());
            match name.as_str() {
                "--binary" => self.binary = value.into(),
                "--peer" => self.peers.push(value.into()),
                "--rounds" => self.rounds = number(value)?,
                "--dir" => self.dir = value.into(),
                name if name == sizes => {
                    self.sizes = value.split(',').map(number).collect::<Result<_, _>>()?;
                }
                name => {
                    let slot = own.iter_mut().find(|(own, _)| *own == name).ok_or_else(usage)?;
                    *slot.1 = number(value)?;
                }
            }
        }
        if self.binary.as_os_str().is_empty() { Err(usage()) } else { Ok(self) }
    }

    fn new(sizes: &[usize], rounds: usize) -> Self {
        Self {
            binary: PathBuf::new(),
            peers: Vec::new(),
            sizes: sizes.to_vec(),
            rounds,
            dir: std::env::temp_dir(),
        }
    }
}

/// A folder with a key for age, its recipient, and the programs that are measured, ours first.
struct Bed {
    folder: Folder,
    key: PathBuf,
    recipient: String,
    programs: Vec<Program>,
}

impl Bed {
    /// Prepares one in which our program is called `name`.
    fn make(asked: &Asked, name: &str) -> Result<Self, String> {
        let folder = Folder::make(&asked.dir, name)?;
        let key = folder.path("key");
        let recipient = keygen(&asked.binary, &key)?;
        let path = folder.path(name);
        symlink(&asked.binary, &path).map_err(text)?;
        Ok(Self { folder, key, recipient, programs: vec![Program { name: "ours".into(), path }] })
    }
}

/// A program that is measured.
struct Program {
    name: String,
    path: PathBuf,
}

/// What was measured of a program.
#[derive(Default)]
struct Figures {
    walls: Vec<Duration>,
    cpu: Duration,
    peak_kib: u64,
}

impl Figures {
    /// The middle one.
    fn wall(&self) -> Duration {
        let mut walls = self.walls.clone();
        walls.sort();
        walls.get(walls.len() / 2).copied().unwrap_or_default()
    }

    /// The quickest one.
    fn best(&self) -> Duration {
        self.walls.iter().min().copied().unwrap_or_default()
    }

    /// CPU of one run.
    fn cpu(&self) -> Duration {
        self.cpu / u32::try_from(self.walls.len().max(1)).unwrap_or(1)
    }

    /// Megabytes, of a million bytes.
    fn megabytes(&self) -> f64 {
        self.peak_kib as f64 * 1024.0 / 1e6
    }
}

/// A folder for files, which goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn make(dir: &Path, name: &str) -> Result<Self, String> {
        let path = dir.join(format!("strongroom-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(text)?;
        Ok(Self(path))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

/// Makes a key for age with the program that is measured; its recipient.
fn keygen(binary: &Path, key: &Path) -> Result<String, String> {
    let mut keygen = Command::new(binary);
    let made = keygen.args(["age", "keygen", "-o"]).arg(key).output().map_err(text)?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned());
    }
    let lines = fs::read_to_string(key).map_err(text)?;
    let recipient = lines.lines().find_map(|line| line.strip_prefix("# public key: "));
    recipient.map(str::to_owned).ok_or_else(|| "no recipient".to_owned())
}

/// Runs each of the commands so many times, in turn.
fn in_turn(
    rounds: usize,
    commands: &dyn Fn(usize) -> Command,
    count: usize,
) -> Result<Vec<Figures>, String> {
    let mut all: Vec<Figures> = Vec::new();
    all.resize_with(count, Figures::default);
    for _ in 0..rounds.max(1) {
        for (at, figures) in all.iter_mut().enumerate() {
            run_once(&mut commands(at), figures)?;
        }
    }
    Ok(all)
}

fn run_once(command: &mut Command, figures: &mut Figures) -> Result<(), String> {
    let before = children_cpu()?;
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(text)?;
    let status = format!("/proc/{}/status", child.id());
    let ended = loop {
        let seen = fs::read_to_string(&status).unwrap_or_default();
        let high = seen.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let high = high.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        figures.peak_kib = figures.peak_kib.max(high.unwrap_or(0));
        if let Some(ended) = child.try_wait().map_err(text)? {
            break ended;
        }
        if began.elapsed() > YOUNG {
            std::thread::sleep(LOOK);
        }
    };
    figures.walls.push(began.elapsed());
    figures.cpu += children_cpu()?.saturating_sub(before);
    if ended.success() { Ok(()) } else { Err(format!("the program failed: {ended}")) }
}

/// CPU of all children that ended. The kernel counts exactly, and shows hundredths of a second.
fn children_cpu() -> Result<Duration, String> {
    let stat = fs::read_to_string("/proc/self/stat").map_err(text)?;
    let rest = stat.rsplit_once(')').map(|(_, rest)| rest).ok_or("no stat line")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    let (user, system) = ticks(13).zip(ticks(14)).ok_or("no times in the stat line")?;
    Ok(Duration::from_millis((user + system) * 10))
}
