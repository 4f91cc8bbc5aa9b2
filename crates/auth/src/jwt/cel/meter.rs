//! What a program may do while it runs.
//!
//! A value can be used twice only by its name. So the names in a program are metered: each use costs
//! what the value weighs, and each turn of a loop what its body is long, before the loop begins. What is
//! made of values is then bounded by what was paid; functions whose result can be longer than what they
//! are given are ours ([`super::functions`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::{ExecutionError, Value};

use super::values::weight;

/// What all of one run may cost.
pub const UNITS_MAX: u64 = 200_000;

/// The name under which a program's tree calls [`Meter::used`]; no program can write it.
pub const USED: &str = "@used";
/// The name under which a program's tree calls [`Meter::looped`].
pub const LOOPED: &str = "@looped";

/// What is left.
#[derive(Clone)]
pub struct Meter(Arc<AtomicU64>);

impl Meter {
    /// For one run.
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(UNITS_MAX)))
    }

    /// Pays. Who can't has nothing left, however the program takes that.
    pub fn pay(&self, units: u64) -> Result<(), ExecutionError> {
        let left = self.0.load(Ordering::Relaxed).checked_sub(units);
        self.0.store(left.unwrap_or(0), Ordering::Relaxed);
        match left {
            Some(_) => Ok(()),
            None => Err(ExecutionError::function_error(USED, "the program does too much")),
        }
    }

    /// Was there enough?
    pub fn sufficed(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// A named value is used.
    pub fn used(&self, value: Value) -> Result<Value, ExecutionError> {
        self.pay(weight(&value))?;
        Ok(value)
    }

    /// A loop over `value` begins, whose body has this many parts.
    pub fn looped(&self, value: Value, body: i64) -> Result<Value, ExecutionError> {
        let turns = match &value {
            Value::List(list) => list.len(),
            Value::Map(map) => map.map.len(),
            _ => 1,
        } as u64;
        self.pay(weight(&value).saturating_add(turns.saturating_mul(body.unsigned_abs())))?;
        Ok(value)
    }
}
