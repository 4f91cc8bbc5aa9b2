//! A few seeds at each `cargo test`: `cargo xtask sim` runs more.
#![allow(clippy::panic)]

use strongroom_sim::{Plan, run_twice};

/// Seeds, and the rounds of each.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;
const STEPS: u64 = 120;

#[test]
fn some_seeds_run_without_a_finding_and_twice_alike() {
    let mut crashes = 0;
    for seed in SEEDS {
        match run_twice(Plan { seed, steps: STEPS }) {
            Ok(report) => crashes += report.crashes,
            Err(failure) => panic!("{failure}"),
        }
    }
    assert!(crashes > 0, "no machine died: the faults are not at work");
}
