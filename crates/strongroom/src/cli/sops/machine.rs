//! What master keys ask of the machine, as the command line has it.

use std::sync::Arc;

use strongroom_base::SecretString;
use strongroom_server::real::{RealClock, RealRng};
use strongroom_sops::keys::{Machine, Person, Told};
use strongroom_web::Network;

use super::{Run, log};
use crate::cli::context::{Terminal, World};

/// Whoever sits before the terminal.
struct OnTerminal {
    terminal: Arc<dyn Terminal>,
    /// Is what happens told?
    verbose: bool,
}

impl Person for OnTerminal {
    fn secret(&self, prompt: &str) -> Option<SecretString> {
        self.terminal.secret(&format!("{prompt} ")).ok()
    }

    fn line(&self, prompt: &str) -> Option<String> {
        self.terminal.line(prompt).ok()
    }

    fn tell(&self, text: &str) {
        self.terminal.note(text);
    }

    fn log(&self, told: &Told<'_>) {
        if self.verbose {
            self.terminal.note(&log::line(told));
        }
    }
}

/// The machine of this command line. Where Git calls it by itself, nobody is there.
pub fn machine(run: &Run<'_, '_>) -> Arc<Machine> {
    let made = made(run.world, run.is_verbose());
    Arc::new(if run.unattended { made.unattended() } else { made })
}

fn made(world: &World<'_>, verbose: bool) -> Machine {
    let person = Arc::new(OnTerminal { terminal: world.terminal.clone(), verbose });
    let network = Arc::new(Network::through_proxies());
    let clock = Arc::new(RealClock::new());
    Machine::new(world.env, clock, Arc::new(RealRng), network, person)
}
