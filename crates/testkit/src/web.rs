//! A web that answers what a test says.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use strongroom_connectors::web::{Answer, Answering, Call, Failure, Web};

/// What a service does with a call.
type Service = Arc<dyn Fn(&Call) -> Answer + Send + Sync>;

/// Services by URL: the longest beginning of a call's URL counts. What nobody serves is down.
#[derive(Default)]
pub struct SimWeb {
    services: Mutex<HashMap<String, Service>>,
    calls: Mutex<Vec<String>>,
    held: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl std::fmt::Debug for SimWeb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimWeb")
    }
}

impl SimWeb {
    /// A web without services.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// An answer.
    pub fn reply(status: u16, body: impl Into<Vec<u8>>) -> Answer {
        Answer { status, headers: HeaderMap::new(), body: Bytes::from(body.into()) }
    }

    /// From now on `url`, and what lies below it, answers this.
    pub fn answer(&self, url: &str, status: u16, body: impl Into<Vec<u8>>) {
        let body = body.into();
        self.serve(url, move |_| Self::reply(status, body.clone()));
    }

    /// From now on `service` answers calls to `url` and to what lies below it.
    pub fn serve(&self, url: &str, service: impl Fn(&Call) -> Answer + Send + Sync + 'static) {
        self.services.lock().insert(url.to_owned(), Arc::new(service));
    }

    /// From now on nobody answers at `url`.
    pub fn down(&self, url: &str) {
        self.services.lock().remove(url);
    }

    /// Calls to `url` and below it wait until the answer of this is dropped.
    pub fn hold(&self, url: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let door = Arc::new(tokio::sync::Mutex::new(()));
        let guard = door.clone().try_lock_owned().expect("nobody has it yet");
        self.held.lock().insert(url.to_owned(), door);
        guard
    }

    /// How many calls there were to `url` and below it.
    pub fn calls(&self, url: &str) -> usize {
        self.calls.lock().iter().filter(|called| called.starts_with(url)).count()
    }
}

impl Web for SimWeb {
    fn call(&self, call: Call) -> Answering<'_> {
        Box::pin(async move {
            self.calls.lock().push(call.url.clone());
            // Whoever else wants the same comes meanwhile.
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            let held = {
                let held = self.held.lock();
                held.iter()
                    .find(|(url, _)| call.url.starts_with(url.as_str()))
                    .map(|(_, door)| door.clone())
            };
            if let Some(door) = held {
                drop(door.lock().await);
            }
            let service = {
                let services = self.services.lock();
                let fitting = services.iter().filter(|(url, _)| call.url.starts_with(url.as_str()));
                fitting.max_by_key(|(url, _)| url.len()).map(|(_, service)| service.clone())
            };
            let service = service.ok_or_else(|| Failure::new("nobody answers there"))?;
            let answer = service(&call);
            if answer.body.len() > call.body_max {
                return Err(Failure::new("the answer is too long"));
            }
            Ok(answer)
        })
    }
}
