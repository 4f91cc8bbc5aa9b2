//! Where a machine dies: at the n-th step of its work, whatever it is at.
//!
//! Steps are what a process waits for: the disk and the outside, before and after each call. From
//! the chosen one on nothing of the process goes on.

use parking_lot::Mutex;

/// The chosen step.
#[derive(Default)]
pub struct Stop(Mutex<State>);

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Off,
    /// So many steps are left.
    Left(u64),
    Reached,
}

impl Stop {
    /// From now on `steps` are made and no more.
    pub fn after(&self, steps: u64) {
        *self.0.lock() = State::Left(steps);
    }

    /// Another process: it may go on. Answers whether the last one was stopped.
    pub fn clear(&self) -> bool {
        let was = std::mem::take(&mut *self.0.lock());
        matches!(was, State::Reached)
    }

    /// Are steps counted?
    pub fn is_on(&self) -> bool {
        !matches!(*self.0.lock(), State::Off)
    }

    /// Was the chosen step reached?
    pub fn is_reached(&self) -> bool {
        matches!(*self.0.lock(), State::Reached)
    }

    /// A step. It never ends for who is stopped.
    pub async fn step(&self) {
        let stopped = {
            let mut state = self.0.lock();
            match &mut *state {
                State::Off => false,
                State::Left(left) if *left > 0 => {
                    *left -= 1;
                    false
                }
                _ => {
                    *state = State::Reached;
                    true
                }
            }
        };
        if stopped {
            std::future::pending::<()>().await;
        }
    }
}
