//! Machines for tests: variables of their own, a clock that stands, and a web that is a function.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::HeaderMap;
use strongroom_base::{Clock, Rng, SecretString, Timestamp};
use strongroom_web::{Answer, Answering, Call, Failure, Web};

use super::machine::Nobody;
use super::{Machine, Person};

/// A clock that stands.
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::parse("2026-11-26T12:00:00Z").unwrap()
    }

    fn monotonic_nanos(&self) -> u64 {
        0
    }
}

/// Bytes that count: good enough where nobody guesses.
struct Counting(Mutex<u8>);

impl Rng for Counting {
    fn fill(&self, out: &mut [u8]) {
        let mut next = self.0.lock().unwrap();
        for byte in out {
            *next = next.wrapping_mul(5).wrapping_add(17);
            *byte = *next;
        }
    }
}

/// A web that is a function.
pub struct Fake(pub Box<dyn Fn(&Call) -> Answer + Send + Sync>);

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

impl Web for Fake {
    fn call(&self, call: Call) -> Answering<'_> {
        Box::pin(async move { Ok((self.0)(&call)) })
    }
}

/// A web where nobody is.
#[derive(Debug)]
struct Empty;

impl Web for Empty {
    fn call(&self, _: Call) -> Answering<'_> {
        Box::pin(async { Err(Failure::new("nobody is there")) })
    }
}

/// An answer in JSON.
pub fn json(status: u16, body: &serde_json::Value) -> Answer {
    Answer { status, headers: HeaderMap::new(), body: Bytes::from(body.to_string()) }
}

/// Answers questions in turn.
pub struct Says(pub Mutex<Vec<&'static str>>, pub Mutex<Vec<String>>);

impl Says {
    pub fn new(mut answers: Vec<&'static str>) -> Arc<Self> {
        answers.reverse();
        Arc::new(Self(Mutex::new(answers), Mutex::default()))
    }

    fn next(&self, prompt: &str) -> Option<String> {
        self.1.lock().unwrap().push(prompt.to_owned());
        self.0.lock().unwrap().pop().map(str::to_owned)
    }
}

impl Person for Says {
    fn secret(&self, prompt: &str) -> Option<SecretString> {
        self.next(prompt).map(SecretString::new)
    }

    fn line(&self, prompt: &str) -> Option<String> {
        self.next(prompt)
    }

    fn tell(&self, text: &str) {
        self.1.lock().unwrap().push(text.to_owned());
    }
}

/// What a test's machine is made of.
pub struct Made {
    variables: HashMap<String, String>,
    web: Arc<dyn Web>,
    person: Arc<dyn Person>,
}

/// A machine with these variables, an empty web, and nobody to ask.
pub fn machine(variables: &[(&str, &str)]) -> Made {
    let variables =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Made { variables, web: Arc::new(Empty), person: Arc::new(Nobody) }
}

impl Made {
    pub fn web(mut self, web: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        self.web = Arc::new(Fake(Box::new(web)));
        self
    }

    pub fn person(mut self, person: Arc<dyn Person>) -> Self {
        self.person = person;
        self
    }

    pub fn build(self) -> Arc<Machine> {
        let env = |name: &str| self.variables.get(name).cloned();
        let rng = Arc::new(Counting(Mutex::new(1)));
        Arc::new(Machine::new(&env, Arc::new(Standing), rng, self.web, self.person))
    }
}
