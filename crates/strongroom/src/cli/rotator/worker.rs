//! Python processes that run the handler: started when they are needed, used one event at a time.
//!
//! What goes to a process and comes back is a line of JSON in a pipe. It ends with its standard input, and
//! when the program that started it is gone.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use strongroom_base::json::Json;

use super::caller::SECRET_KEY_VARIABLE;

/// What runs in Python.
const SCRIPT: &str = include_str!("worker.py");
/// Bytes of an answer, as Lambda has it.
const ANSWER_BYTES_MAX: u64 = 6 * 1024 * 1024;

/// What is run.
#[derive(Clone, Debug)]
pub struct Handler {
    /// The Python interpreter.
    pub python: String,
    /// The file.
    pub file: String,
    /// The function in it.
    pub function: String,
    /// Variables of its environment beside this program's own. None of them is secret.
    pub variables: Vec<(String, String)>,
    /// How long one event may take.
    pub limit: Duration,
}

/// An event.
pub struct Event {
    /// Its body.
    pub body: Json,
    /// What the function is called in the request.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The request's number.
    pub request_id: String,
}

/// What became of an event.
#[derive(Debug)]
pub enum Outcome {
    /// What the handler answered.
    Done(Json),
    /// What it raised, as Lambda tells of it.
    Raised(Json),
    /// It did not come to its end: why.
    Lost(&'static str),
}

/// A process.
struct Worker {
    child: Arc<Mutex<Child>>,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        end(&self.child);
    }
}

fn end(child: &Mutex<Child>) {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = child.kill();
    let _ = child.wait();
}

impl Worker {
    fn start(handler: &Handler) -> Result<Self, Json> {
        let failed =
            |text: String| json!({ "errorType": "Runtime.ExitError", "errorMessage": text });
        let mut child = Command::new(&handler.python)
            .args(["-u", "-c", SCRIPT, &handler.file, &handler.function])
            // Who may call it is not the function's business.
            .env_remove(SECRET_KEY_VARIABLE)
            .envs(handler.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| failed(format!("{} does not start: {}", handler.python, e.kind())))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let child = Arc::new(Mutex::new(child));
        let Some((input, output)) = pipes else {
            end(&child);
            return Err(failed("a process has no pipes".to_owned()));
        };
        let mut worker = Self { child, input, output: BufReader::new(output) };
        match worker.line() {
            Some(said) if said["ready"] == true => Ok(worker),
            Some(mut said) => Err(said["error"].take()),
            None => Err(failed("the handler's process ended".to_owned())),
        }
    }

    /// The next line that it says.
    fn line(&mut self) -> Option<Json> {
        let mut line = Vec::new();
        let read = (&mut self.output).take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line);
        read.ok()?;
        serde_json::from_slice(&line).ok()
    }

    fn ask(&mut self, event: &Event, limit: Duration) -> Option<Outcome> {
        let mut line = json!({
            "event": event.body,
            "name": event.name,
            "arn": event.arn,
            "request_id": event.request_id,
            "seconds": limit.as_secs_f64(),
        })
        .to_string();
        line.push('\n');
        self.input.write_all(line.as_bytes()).and_then(|()| self.input.flush()).ok()?;
        let mut said = self.line()?;
        let Json::Object(said) = &mut said else { return None };
        match (said.remove("result"), said.remove("error")) {
            (Some(result), _) => Some(Outcome::Done(result)),
            (None, Some(error)) => Some(Outcome::Raised(error)),
            (None, None) => None,
        }
    }
}

/// All processes.
pub struct Workers {
    handler: Handler,
    idle: Mutex<Vec<Worker>>,
}

impl Workers {
    /// Starts the first one: what cannot be loaded is found out at once.
    pub fn start(handler: Handler) -> Result<Self, Json> {
        let first = Worker::start(&handler)?;
        Ok(Self { handler, idle: Mutex::new(vec![first]) })
    }

    /// Has an event handled: by a process that is idle, or by a new one. One that takes too long is killed.
    pub async fn handle(self: &Arc<Self>, event: Event) -> Outcome {
        let workers = self.clone();
        let running: Arc<Mutex<Option<Arc<Mutex<Child>>>>> = Arc::default();
        let watched = running.clone();
        let work = tokio::task::spawn_blocking(move || {
            let idle = workers.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut worker = match idle.map_or_else(|| Worker::start(&workers.handler), Ok) {
                Ok(worker) => worker,
                Err(error) => return Outcome::Raised(error),
            };
            *watched.lock().unwrap_or_else(PoisonError::into_inner) = Some(worker.child.clone());
            let outcome = worker.ask(&event, workers.handler.limit);
            *watched.lock().unwrap_or_else(PoisonError::into_inner) = None;
            match outcome {
                Some(outcome) => {
                    workers.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
                    outcome
                }
                None => Outcome::Lost("the handler's process ended"),
            }
        });
        match tokio::time::timeout(self.handler.limit, work).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Outcome::Lost("the handler's process was lost"),
            Err(_) => {
                let child = running.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(child) = child {
                    end(&child);
                }
                Outcome::Lost("the handler took too long")
            }
        }
    }

    /// Ends all that are idle; those that are at something end with this program.
    pub fn stop(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
