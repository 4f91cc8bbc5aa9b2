//! A few seeds at each `cargo test`: `cargo xtask sim` runs more.
#![allow(clippy::panic)]

use strongroom_sim::{Plan, Scenario, crash_at_each_step, run_twice};

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

#[test]
fn a_crash_at_any_step_of_a_lease_or_rotation_leaves_no_account_behind_and_takes_none() {
    for scenario in Scenario::ALL {
        for power_cut in [false, true] {
            match crash_at_each_step(scenario, power_cut) {
                // A disk and an outside, before and after: whatever it is, it has some steps.
                Ok(steps) => assert!(steps > 4, "{scenario:?}: {steps}"),
                Err(failure) => panic!("{scenario:?}, power cut {power_cut}: {failure}"),
            }
        }
    }
}
