//! What master keys ask of the machine, as the command line has it.

use std::sync::Arc;

use strongroom_base::SecretString;
use strongroom_server::real::{RealClock, RealRng};
use strongroom_sops::keys::{Machine, Person};
use strongroom_web::Network;

use crate::cli::context::{Terminal, World};

/// Whoever sits before the terminal.
struct OnTerminal(Arc<dyn Terminal>);

impl Person for OnTerminal {
    fn secret(&self, prompt: &str) -> Option<SecretString> {
        self.0.secret(&format!("{prompt} ")).ok()
    }

    fn line(&self, prompt: &str) -> Option<String> {
        self.0.line(prompt).ok()
    }

    fn tell(&self, text: &str) {
        self.0.note(text);
    }
}

/// The machine of this command line.
pub fn machine(world: &World<'_>) -> Arc<Machine> {
    Arc::new(made(world))
}

/// The same for a command that Git calls by itself.
pub fn unattended(world: &World<'_>) -> Arc<Machine> {
    Arc::new(made(world).unattended())
}

fn made(world: &World<'_>) -> Machine {
    let person = Arc::new(OnTerminal(world.terminal.clone()));
    let network = Arc::new(Network::through_proxies());
    let clock = Arc::new(RealClock::new());
    Machine::new(world.env, clock, Arc::new(RealRng), network, person)
}
