//! What only the process around the kernel knows: the machine it runs on and its log. Operators
//! ask for it through `sys/`, so it comes in with the settings, as everything from outside does.

use std::io;

use bytes::Bytes;
use strongroom_base::JsonMap;
use tokio::sync::mpsc;

/// How much a logger tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum LogLevel {
    /// Only what needs somebody at once.
    Error,
    /// What may need somebody.
    Warn,
    /// What happened.
    Info,
    /// What may help to find a fault.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// Reads a level under any of the names that Vault takes.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.trim().to_ascii_lowercase().as_str() {
            "error" | "err" => Self::Error,
            "warn" | "warning" => Self::Warn,
            "info" | "notice" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// What a machine tells of itself.
#[derive(Default, Debug)]
pub struct MachineView {
    /// `cpu`, `cpu_times`, `disk`, `host` and `memory`, as far as they could be had.
    pub parts: JsonMap,
    /// What could not be had, each a sentence.
    pub missing: Vec<String>,
}

/// The process around the kernel.
pub trait Host: Send + Sync + std::fmt::Debug {
    /// The machine. It may read files of the system, quickly.
    fn machine(&self) -> MachineView;

    /// The loggers by name, with what they tell now.
    fn loggers(&self) -> Vec<(String, LogLevel)>;

    /// Sets what one logger tells, or all of them; without a level it is what the configuration
    /// says. False where there is no logger of that name.
    fn set_log_level(&self, logger: Option<&str>, level: Option<LogLevel>) -> bool;

    /// Follows the log: lines up to a level, as JSON or as the log has them. `None` where nobody
    /// more can.
    fn follow_log(&self, _level: LogLevel, _json: bool) -> Option<LogLines> {
        None
    }

    /// Ends all that follow the log: the node was sealed, and nobody's right to it is known now.
    fn end_log_lines(&self) {}

    /// How many pieces of work that takes a core for long may be done at a time.
    fn heavy_places(&self) -> usize {
        1
    }

    /// Does such work where it holds up nobody. What is not told otherwise does it at once.
    fn run_heavy(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

/// The log's lines, as they come.
pub type LogLines = mpsc::Receiver<io::Result<Bytes>>;

/// No process: for tests of what does not ask for one.
#[derive(Debug, Default)]
pub struct NoHost;

impl Host for NoHost {
    fn machine(&self) -> MachineView {
        let missing = vec!["the machine is not known".to_owned()];
        MachineView { missing, ..MachineView::default() }
    }

    fn loggers(&self) -> Vec<(String, LogLevel)> {
        Vec::new()
    }

    fn set_log_level(&self, logger: Option<&str>, _: Option<LogLevel>) -> bool {
        logger.is_none()
    }
}
