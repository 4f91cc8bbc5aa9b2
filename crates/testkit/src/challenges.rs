//! Answers to the challenges of certificates' names, without a network: files of web servers, records
//! of zones and certificates of TLS servers, as a test puts them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_connectors::acme::{Challenges, Failure, FailureKind, Found, Host, Resolver};

/// What there is to be found.
#[derive(Debug, Default)]
pub struct SimChallenges {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<(String, String), Vec<u8>>,
    records: BTreeMap<String, Vec<String>>,
    shown: BTreeMap<String, Vec<Vec<u8>>>,
    silent: BTreeSet<String>,
    hanging: BTreeSet<String>,
    looks: Vec<String>,
    resolvers: Vec<Resolver>,
}

impl SimChallenges {
    /// Nothing yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The file of a token at a host.
    pub fn put_file(&self, host: &str, token: &str, body: impl Into<Vec<u8>>) {
        self.state.lock().files.insert((host.to_owned(), token.to_owned()), body.into());
    }

    /// The texts of `_acme-challenge.NAME`.
    pub fn put_records(&self, name: &str, texts: &[&str]) {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        self.state.lock().records.insert(name.to_owned(), texts);
    }

    /// The certificates (DER) that a host shows.
    pub fn show(&self, name: &str, chain: Vec<Vec<u8>>) {
        self.state.lock().shown.insert(name.to_owned(), chain);
    }

    /// Does a host answer?
    pub fn silence(&self, host: &str, silent: bool) {
        let mut state = self.state.lock();
        if silent {
            state.silent.insert(host.to_owned());
        } else {
            state.silent.remove(host);
        }
    }

    /// A host that takes a connection and says nothing: who looks at its files waits for good.
    pub fn hang(&self, host: &str) {
        self.state.lock().hanging.insert(host.to_owned());
    }

    /// All looks so far: `http-01 HOST`.
    pub fn looks(&self) -> Vec<String> {
        self.state.lock().looks.clone()
    }

    /// The DNS servers that were asked last.
    pub fn resolver(&self) -> Resolver {
        self.state.lock().resolvers.last().copied().flatten()
    }

    fn look<T>(
        &self,
        resolver: Resolver,
        how: &str,
        host: &str,
        find: impl FnOnce(&State) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut state = self.state.lock();
        state.looks.push(format!("{how} {host}"));
        state.resolvers.push(resolver);
        if state.silent.contains(host) {
            return Err(Failure::new(FailureKind::Connection, "the host did not answer"));
        }
        find(&state)
    }
}

impl Challenges for SimChallenges {
    fn http<'a>(
        &'a self,
        resolver: Resolver,
        host: &'a Host,
        token: &'a str,
    ) -> Found<'a, Vec<u8>> {
        let host = match host {
            Host::Name(name) => name.clone(),
            Host::Address(ip) => ip.to_string(),
        };
        if self.state.lock().hanging.contains(&host) {
            return Box::pin(std::future::pending());
        }
        let missing = Failure::new(FailureKind::Response, "the web server has no answer");
        let found = self.look(resolver, "http-01", &host, |state| {
            state.files.get(&(host.clone(), token.to_owned())).cloned().ok_or(missing)
        });
        Box::pin(std::future::ready(found))
    }

    fn dns<'a>(&'a self, resolver: Resolver, name: &'a str) -> Found<'a, Vec<String>> {
        let missing = Failure::new(FailureKind::Dns, "the text records could not be looked up");
        let found = self.look(resolver, "dns-01", name, |state| {
            state.records.get(name).cloned().ok_or(missing)
        });
        Box::pin(std::future::ready(found))
    }

    fn tls_alpn<'a>(&'a self, resolver: Resolver, name: &'a str) -> Found<'a, Vec<Vec<u8>>> {
        let missing = Failure::new(FailureKind::Tls, "the TLS handshake failed");
        let found = self.look(resolver, "tls-alpn-01", name, |state| {
            state.shown.get(name).cloned().ok_or(missing)
        });
        Box::pin(std::future::ready(found))
    }
}
