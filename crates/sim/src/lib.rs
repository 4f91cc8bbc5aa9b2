//! The simulator: the real core, with every chance in its surroundings drawn from one seed.
//!
//! Clients send random requests, several at a time; the disk is slow, fails and dies; the clock
//! steps. A model in plain maps says what each answer may be, and checkers look at what is left:
//! no acknowledged write is lost and none is half there, what was revoked or has expired is refused
//! from the next request on, a change of policy holds at once, every effect and every refusal has
//! its audit line and the chain is whole, no secret value is anywhere outside of the barrier.
//!
//! Invariants:
//! * a run is a function of its seed: two runs have the same trace, byte by byte;
//! * the model shares no code with the core.
//!
//! It is a development tool: nothing that is shipped depends on it.

mod check;
mod dice;
mod disk;
mod machine;
mod model;
mod ops;
mod outside;
mod run;
mod stop;
mod turner;

pub use run::{Failure, Plan, Report, Scenario, crash_at_each_step, run, run_twice};
