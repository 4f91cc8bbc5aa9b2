//! A directory in memory: the twin of the driver in `connectors`. It compares as directories do:
//! values and names without regard to case, to runs of spaces, and to spaces around.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use strongroom_base::SecretString;
use strongroom_connectors::directory::{
    Directory, Doing, Entry, Failure, FailureKind, Filter, Scope, Search, Servers, Session, codes,
    names,
};

/// An entry of the directory.
struct Kept {
    entry: Entry,
    password: String,
}

/// The directory, whatever servers a configuration names.
#[derive(Clone, Default)]
pub struct SimDirectory(Arc<World>);

#[derive(Default)]
struct World {
    entries: Mutex<Vec<Kept>>,
    /// What it was asked: `connect`, `bind NAME`, `anonymous`, `search BASE FOUND`.
    asked: Mutex<Vec<String>>,
    down: AtomicBool,
    refuses: Mutex<Option<u32>>,
}

impl std::fmt::Debug for SimDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimDirectory")
    }
}

impl SimDirectory {
    /// An empty directory.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Adds an entry with the attributes `name=value`, and a password; "" is none.
    pub fn add(&self, name: &str, password: &str, attributes: &[(&str, &str)]) {
        self.add_bytes(
            name,
            password,
            &attributes.iter().map(|(name, value)| (*name, value.as_bytes())).collect::<Vec<_>>(),
        );
    }

    /// The same with values that are no text.
    pub fn add_bytes(&self, name: &str, password: &str, attributes: &[(&str, &[u8])]) {
        let mut entry = Entry { name: name.to_owned(), attributes: Vec::new() };
        for (attribute, value) in attributes {
            match entry.attributes.iter_mut().find(|(kind, _)| kind == attribute) {
                Some((_, values)) => values.push(value.to_vec()),
                None => entry.attributes.push(((*attribute).to_owned(), vec![value.to_vec()])),
            }
        }
        self.0.entries.lock().push(Kept { entry, password: password.to_owned() });
    }

    /// Takes an entry away.
    pub fn remove(&self, name: &str) {
        self.0.entries.lock().retain(|kept| !same_name(&kept.entry.name, name));
    }

    /// From now on nobody answers, or somebody again.
    pub fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::Relaxed);
    }

    /// From now on binds with a password are refused with this result code.
    pub fn refuse_binds(&self, code: Option<u32>) {
        *self.0.refuses.lock() = code;
    }

    /// What it was asked since the last time.
    pub fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.asked.lock())
    }

    fn reached(&self) -> Result<(), Failure> {
        match self.0.down.load(Ordering::Relaxed) {
            true => Err(Failure::new(FailureKind::Unreachable, "nobody answers there")),
            false => Ok(()),
        }
    }

    fn bind(&self, name: &str, password: &str) -> Result<(), Failure> {
        if let Some(code) = *self.0.refuses.lock() {
            return Err(Failure::refused(code));
        }
        let entries = self.0.entries.lock();
        let found = entries.iter().find(|kept| {
            let principal = kept.entry.texts("userPrincipalName");
            same_name(&kept.entry.name, name) || principal.into_iter().any(|p| same(p, name))
        });
        // A directory takes no password for a wish to come in as nobody, and says yes.
        match found {
            _ if password.is_empty() => Ok(()),
            Some(kept) if !kept.password.is_empty() && kept.password == password => Ok(()),
            _ => Err(Failure::refused(codes::INVALID_CREDENTIALS)),
        }
    }

    fn search(&self, search: &Search) -> Result<Vec<Entry>, Failure> {
        let entries = self.0.entries.lock();
        // The form by which Active Directory finds an entry of this identifier.
        let by_sid = search.base.starts_with("<SID=");
        let in_scope = |entry: &Entry| match search.scope {
            Scope::Base if by_sid => entry.texts("sid").any(|sid| search.base.contains(sid)),
            Scope::Base => same_name(&entry.name, &search.base),
            Scope::Subtree => is_below(&entry.name, &search.base),
        };
        let found: Vec<Entry> = entries
            .iter()
            .filter(|kept| in_scope(&kept.entry) && fits(&search.filter, &kept.entry))
            .map(|kept| asked_for(&kept.entry, &search.attributes))
            .collect();
        if search.size_limit > 0 && found.len() > search.size_limit as usize {
            return Err(Failure::refused(codes::SIZE_LIMIT_EXCEEDED));
        }
        Ok(found)
    }
}

fn asked_for(entry: &Entry, attributes: &[String]) -> Entry {
    let wanted = |name: &String| {
        attributes.is_empty() || attributes.iter().any(|a| a.eq_ignore_ascii_case(name))
    };
    let attributes = entry.attributes.iter().filter(|(name, _)| wanted(name)).cloned().collect();
    Entry { name: entry.name.clone(), attributes }
}

fn spelled(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn same(a: &str, b: &str) -> bool {
    spelled(a) == spelled(b)
}

type Parts = Vec<Vec<(String, String)>>;

fn parts(name: &str) -> Option<Parts> {
    let spell = |(kind, value): (String, String)| (spelled(&kind), spelled(&value));
    let parts = names::parse(name)?.into_iter();
    Some(parts.map(|part| part.into_iter().map(spell).collect()).collect())
}

fn same_name(a: &str, b: &str) -> bool {
    matches!((parts(a), parts(b)), (Some(a), Some(b)) if a == b)
}

fn is_below(name: &str, base: &str) -> bool {
    matches!((parts(name), parts(base)), (Some(name), Some(base)) if name.ends_with(&base))
}

fn fits(filter: &Filter, entry: &Entry) -> bool {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let any = |attribute: &str, holds: &dyn Fn(&str) -> bool| {
        entry.values(attribute).iter().any(|value| holds(&text(value)))
    };
    match filter {
        Filter::And(filters) => filters.iter().all(|filter| fits(filter, entry)),
        Filter::Or(filters) => filters.iter().any(|filter| fits(filter, entry)),
        Filter::Not(filter) => !fits(filter, entry),
        Filter::Present(attribute) => {
            attribute.eq_ignore_ascii_case("objectClass") || !entry.values(attribute).is_empty()
        }
        Filter::Equal(attribute, value) | Filter::Approximately(attribute, value) => {
            let value = text(value);
            any(attribute, &|own| same(own, &value) || same_name(own, &value))
        }
        Filter::Substrings { attribute, initial, any: pieces, last } => any(attribute, &|own| {
            let own = own.to_lowercase();
            let lower = |bytes: &[u8]| text(bytes).to_lowercase();
            let Some(mut rest) = own.strip_prefix(&lower(initial)) else { return false };
            for piece in pieces {
                match rest.split_once(&lower(piece)) {
                    Some((_, after)) => rest = after,
                    None => return false,
                }
            }
            rest.ends_with(&lower(last))
        }),
        Filter::GreaterOrEqual(attribute, value) => any(attribute, &|own| own >= &*text(value)),
        Filter::LessOrEqual(attribute, value) => any(attribute, &|own| own <= &*text(value)),
        Filter::Extensible { attribute, value, .. } => {
            let value = text(value);
            any(attribute, &|own| same(own, &value) || same_name(own, &value))
        }
    }
}

impl Directory for SimDirectory {
    fn connect<'a>(&'a self, _: &'a Servers) -> Doing<'a, Box<dyn Session>> {
        Box::pin(async move {
            self.0.asked.lock().push("connect".to_owned());
            self.reached()?;
            Ok(Box::new(Connection { directory: self.clone() }) as Box<dyn Session>)
        })
    }
}

struct Connection {
    directory: SimDirectory,
}

impl Session for Connection {
    fn bind<'a>(&'a mut self, name: &'a str, password: &'a SecretString) -> Doing<'a, ()> {
        Box::pin(async move {
            self.directory.0.asked.lock().push(format!("bind {name}"));
            self.directory.reached()?;
            self.directory.bind(name, password.expose_secret())
        })
    }

    fn bind_anonymously(&mut self) -> Doing<'_, ()> {
        Box::pin(async move {
            self.directory.0.asked.lock().push("anonymous".to_owned());
            self.directory.reached()
        })
    }

    fn search<'a>(&'a mut self, search: &'a Search) -> Doing<'a, Vec<Entry>> {
        Box::pin(async move {
            self.directory.reached()?;
            let found = self.directory.search(search);
            let count = found.as_ref().map_or(0, Vec::len);
            self.directory.0.asked.lock().push(format!("search {} {count}", search.base));
            found
        })
    }
}
