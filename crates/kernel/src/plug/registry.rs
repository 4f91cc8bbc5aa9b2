//! The plug-ins of this binary.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{NodeSpec, Spec};
use crate::mount::Class;

/// All plug-ins of this binary, by class and type.
#[derive(Default)]
pub struct Registry {
    specs: BTreeMap<(u8, &'static str), Arc<Spec>>,
    /// Operations on the node itself.
    pub node: NodeSpec,
}

impl Registry {
    /// A registry of `specs`.
    pub fn new(specs: impl IntoIterator<Item = Spec>) -> Self {
        let specs = specs.into_iter().map(|s| ((s.class as u8, s.kind), Arc::new(s))).collect();
        Self { specs, node: NodeSpec::default() }
    }

    /// With these node operations.
    pub fn with_node(mut self, node: NodeSpec) -> Self {
        self.node = node;
        self
    }

    /// The plug-in called `kind`.
    pub fn get(&self, class: Class, kind: &str) -> Option<&Arc<Spec>> {
        self.specs.iter().find(|((c, k), _)| *c == class as u8 && *k == kind).map(|(_, s)| s)
    }

    /// All plug-ins of a class, by name.
    pub fn of_class(&self, class: Class) -> impl Iterator<Item = &Arc<Spec>> {
        self.specs.iter().filter(move |((c, _), _)| *c == class as u8).map(|(_, s)| s)
    }
}
