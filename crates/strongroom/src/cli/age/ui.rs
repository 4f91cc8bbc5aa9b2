//! Asking on the terminal.

use std::io;
use std::sync::Arc;

use strongroom_age::{SharedUi, Ui};
use strongroom_base::SecretString;

use crate::cli::context::{Terminal, World};

/// The terminal, in the manner of a tool: its name stands before what is told.
struct OnTerminal {
    terminal: Arc<dyn Terminal>,
    tool: &'static str,
}

/// Who is asked by a tool.
pub fn of(world: &World<'_>, tool: &'static str) -> SharedUi {
    on(world.terminal.clone(), tool)
}

/// A terminal in the manner of a tool.
pub fn on(terminal: Arc<dyn Terminal>, tool: &'static str) -> SharedUi {
    Arc::new(OnTerminal { terminal, tool })
}

impl Ui for OnTerminal {
    fn secret(&self, prompt: &str) -> io::Result<SecretString> {
        self.terminal.secret(&format!("{prompt} "))
    }

    fn line(&self, prompt: &str) -> io::Result<String> {
        self.terminal.line(&format!("{prompt} "))
    }

    fn say(&self, text: &str) {
        self.terminal.note(&format!("{}: {text}", self.tool));
    }

    fn warn(&self, text: &str) {
        self.terminal.note(&format!("{}: warning: {text}", self.tool));
    }
}
