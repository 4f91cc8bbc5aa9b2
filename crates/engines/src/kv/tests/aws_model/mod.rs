//! Random sequences of operations at Vault's and AWS's doors, on one store, against one plain model:
//! the laws of the mapping (docs/doors/aws-secrets-manager.md), which no sequence may break.

mod laws;
mod steps;

use std::collections::BTreeMap;

use super::*;
use strongroom_cloudwire::aws_names;

use laws::*;
use steps::*;

/// Steps of all runs together.
const STEPS: u64 = 100_000;
/// Runs, each with a store of its own.
const RUNS: u64 = 50;

/// A value, as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Form {
    Object(String),
    Text(String),
    Binary(String),
}

/// A version; one that was published again is there once for each publication.
#[derive(Clone, Debug)]
struct Version {
    /// Which value it is: the same for all its publications.
    value: u64,
    /// AWS's id, where AWS made it.
    token: Option<String>,
    /// 0 while nothing was published.
    number: u64,
    form: Form,
    deleted: bool,
    destroyed: bool,
}

#[derive(Clone, Default, Debug)]
struct Secret {
    /// The order of creation.
    made: u64,
    current: u64,
    oldest: u64,
    max_versions: u64,
    cas_required: bool,
    description: String,
    labels: BTreeMap<String, String>,
    versions: Vec<Version>,
    /// Labels that were put on by hand; none for AWSPREVIOUS taken off.
    stages: Vec<(String, Option<u64>)>,
    scheduled: bool,
    /// The token of a creation without value.
    made_with: Option<String>,
}

#[derive(Default)]
struct Model {
    secrets: BTreeMap<String, Secret>,
    counter: u64,
}

/// What is said of a request: `Ok` with what counts of the answer, or the status or AWS's name of the
/// failure.
type Said = Result<Value, String>;

fn fails<T>(name: &str) -> Result<T, String> {
    Err(name.to_owned())
}

/// The last is a parameter's, which no name of Secrets Manager reaches; the one before is the secret `ssm/g`.
const PATHS: [&str; 7] = ["a", "a/b", "~/c", "d", "e/f", "~ssm/g", "ssm/g"];

/// Is it a path that Secrets Manager sees nothing of?
fn is_parameter(path: &str) -> bool {
    aws_names::to_secret_name(path).is_none()
}
const STAGES: [&str; 5] = ["AWSCURRENT", "AWSPREVIOUS", "AWSPENDING", "blue", "AWSPENDING"];
const TEXTS: [&str; 4] = ["text", r#"{ "a": 1.0 }"#, r#"{"value":"in"}"#, "[1]"];

/// One of a few tokens, in both of their forms.
fn token(dice: &Dice) -> String {
    match dice.roll(12) {
        n @ 0..9 => format!("00000000-0000-4000-8000-00000000000{}", n + 1),
        n => format!("a token that is no uuid at all, the {n}th"),
    }
}

/// What the store says, as the model says it.
fn said(got: &Got, part: impl FnOnce(&Value) -> Value) -> Said {
    match (got.status, &got.body["code"]) {
        (200 | 204, _) => Ok(part(got.data())),
        (_, Value::String(code)) => Err(code.clone()),
        (status, _) => Err(status.to_string()),
    }
}

async fn run(seed: u64) {
    let room = Room::new().await;
    let mut model = Model::default();
    let dice = Dice(SimRng::new(seed));
    for n in 0..STEPS / RUNS {
        step(&room, &mut model, &dice, seed, n).await;
        if n % 200 == 199 {
            compare(&room, &mut model, &format!("run {seed}, after step {n}")).await;
        }
    }
}

#[test]
fn both_doors_agree_with_one_model() {
    let next = std::sync::atomic::AtomicU64::new(1);
    let worker = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        loop {
            let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if seed > RUNS {
                return;
            }
            runtime.block_on(run(seed));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(worker);
        }
    });
}
