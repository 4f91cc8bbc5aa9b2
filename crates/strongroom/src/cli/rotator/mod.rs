//! `rotator serve`: runs a rotation function that was written for AWS Lambda, beside the server that
//! calls it.
//!
//! Invariants:
//! * it listens on this machine alone, and where it has a key pair, it calls the function for nobody who does
//!   not sign with that;
//! * credentials are in the environment that it was started with, never in arguments;
//! * its processes end with it.

mod caller;
mod serve;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use strongroom_base::json::Json;
use tokio::sync::Semaphore;

use super::command::{Command, Fail, Outcome};
use super::context::Context;
use super::flags::Flag;
use caller::{ACCESS_KEY, Caller, SECRET_KEY_FILE};
use serve::Function;
use worker::{Handler, Workers};

/// The handler of a file that names none.
const HANDLER: &str = "lambda_handler";
/// Calls at a time where nothing is said, and at most.
const WORKERS: i64 = 4;
const WORKERS_MAX: i64 = 64;
/// Where it listens where nothing is said: the default of `-listen`.
const LISTEN: &str = "127.0.0.1:9001";
const PYTHON: &str = "python3";
/// How long one call may take where nothing is said: as long as the server waits.
const LIMIT: Duration = Duration::from_secs(15);

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::group(
        "rotator",
        "Run rotation functions",
        "
Runs functions that were written for AWS Lambda and rotate secrets of AWS's API.

    $ {bin} rotator serve rotate.py:lambda_handler",
    ),
    Command::new(
        "rotator serve",
        "FILE.py[:HANDLER]",
        "Run a rotation function that was written for AWS Lambda",
        "
Runs the Python handler of a file, unchanged, for calls of Lambda's Invoke on this machine. The
server calls it where config/rotation-functions of the KV mount names its address.

    $ export AWS_ENDPOINT_URL=http://127.0.0.1:8200 AWS_DEFAULT_REGION=us-east-1
    $ {bin} rotator serve rotate.py:lambda_handler
    $ {bin} write secret/config/rotation-functions endpoint=http://127.0.0.1:9001

Whoever reaches it on this machine has the function called, unless it has a key pair that calls
must be signed with, as the server's are where its settings have access_key and secret_key:
-access-key or STRONGROOM_ROTATOR_ACCESS_KEY, and the secret key in STRONGROOM_ROTATOR_SECRET_KEY or
-secret-key-file.

The function has this command's environment, with its credentials for calls back in
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; SECRETS_MANAGER_ENDPOINT, which AWS's templates
read, is AWS_ENDPOINT_URL where nothing else is said.",
        serve_command,
    )
    .local()
    .flags(&[
        Flag::text(ACCESS_KEY, "The access key id that calls must be signed with."),
        Flag::text("listen", "The address to listen on; of this machine alone.").default(LISTEN),
        Flag::text("name", "The function's name: calls of others are refused."),
        Flag::text("python", "The Python interpreter.").default(PYTHON),
        Flag::text(SECRET_KEY_FILE, "The file with the secret key that calls must be signed with."),
        Flag::duration("timeout", "How long one call may take.").default("15s"),
        Flag::int("workers", "Calls that are run at a time; more wait.").default("4"),
    ]),
];

fn handler(cx: &Context<'_, '_>) -> Result<Handler, Fail> {
    let (file, function) = match cx.arg(0).rsplit_once(':') {
        Some((file, function)) if !function.contains('/') => (file, function),
        _ => (cx.arg(0), HANDLER),
    };
    if file.is_empty() || function.is_empty() {
        return Err(Fail::usage("Name a file and a handler in it: rotate.py:lambda_handler"));
    }
    let limit = match cx.flags.nanos("timeout") {
        Some(nanos) => Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)),
        None => LIMIT,
    };
    if limit.is_zero() {
        return Err(Fail::usage("-timeout must be more than nothing"));
    }
    let env = |name: &str| cx.env().plain(name).filter(|value| !value.is_empty());
    let name = match cx.flags.text_or_empty("name") {
        "" => file.rsplit('/').next().unwrap_or(file).trim_end_matches(".py").to_owned(),
        name => name.to_owned(),
    };
    let mut variables = vec![
        ("AWS_LAMBDA_FUNCTION_NAME".to_owned(), name),
        ("AWS_LAMBDA_FUNCTION_VERSION".to_owned(), "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE".to_owned(), "128".to_owned()),
        ("_HANDLER".to_owned(), function.to_owned()),
    ];
    for (variable, others) in [
        ("SECRETS_MANAGER_ENDPOINT", &["AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL"][..]),
        ("AWS_REGION", &["AWS_DEFAULT_REGION"]),
        ("AWS_DEFAULT_REGION", &["AWS_REGION"]),
    ] {
        if env(variable).is_none()
            && let Some(value) = others.iter().find_map(|other| env(other))
        {
            variables.push((variable.to_owned(), value));
        }
    }
    Ok(Handler {
        python: cx.flags.text("python").unwrap_or(PYTHON).to_owned(),
        file: file.to_owned(),
        function: function.to_owned(),
        variables,
        limit,
    })
}

/// What Python says of a handler that cannot be loaded.
fn not_loaded(error: &Json) -> Fail {
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    Fail::usage(format!(
        "The handler can't be loaded: {}: {}",
        text("errorType"),
        text("errorMessage")
    ))
}

fn serve_command(cx: &mut Context<'_, '_>) -> Outcome {
    cx.expect_args(1)?;
    let handler = handler(cx)?;
    let caller = Caller::given(cx)?;
    let places = cx.flags.int("workers").unwrap_or(WORKERS);
    if !(1..=WORKERS_MAX).contains(&places) {
        return Err(Fail::usage(format!("-workers must be within 1 and {WORKERS_MAX}")));
    }
    let address = cx.flags.text("listen").unwrap_or(LISTEN).to_owned();
    let name = cx.flags.text_or_empty("name").to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Fail::usage(format!("Cannot begin: {}", e.kind())))?;
    let (listener, local) = runtime.block_on(serve::bind(&address)).map_err(Fail::usage)?;
    let workers = Workers::start(handler).map_err(|error| not_loaded(&error))?;
    let places = Semaphore::new(usize::try_from(places).unwrap_or(1));
    let function = Arc::new(Function { name, caller, workers: Arc::new(workers), places });
    cx.ui.say(&format!("Serves {} on http://{local}", cx.args.first().map_or("", String::as_str)));
    let served = runtime.block_on(serve::serve(listener, function.clone()));
    // What is still at work is not waited for.
    function.workers.stop();
    runtime.shutdown_background();
    served.map_err(|e| Fail::remote(format!("Cannot serve: {}", e.kind())))
}
