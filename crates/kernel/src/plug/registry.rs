//! The plug-ins of this binary.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::{NodeSpec, Spec};
use crate::mount::Class;

/// Makes a surface.
type Make = Box<dyn FnOnce() -> Arc<Spec> + Send + Sync>;

/// A plug-in whose surface is made when the first mount of it asks: most stores have few of them, and the
/// code that makes a surface is long.
pub struct Plugin {
    class: Class,
    kind: &'static str,
    spec: LazyLock<Arc<Spec>, Make>,
}

impl Plugin {
    /// The plug-in of this class and type, which is what `make` says, too.
    pub fn new(
        class: Class,
        kind: &'static str,
        make: impl FnOnce() -> Spec + Send + Sync + 'static,
    ) -> Self {
        let make = move || {
            let spec = make();
            debug_assert!(spec.class == class && spec.kind == kind, "{kind}");
            Arc::new(spec)
        };
        Self { class, kind, spec: LazyLock::new(Box::new(make)) }
    }
}

impl From<Spec> for Plugin {
    fn from(spec: Spec) -> Self {
        Self::new(spec.class, spec.kind, move || spec)
    }
}

/// All plug-ins of this binary, by class and type.
#[derive(Default)]
pub struct Registry {
    plugins: BTreeMap<(u8, &'static str), Plugin>,
    /// Operations on the node itself.
    pub node: NodeSpec,
}

impl Registry {
    /// A registry of these.
    pub fn new(plugins: impl IntoIterator<Item = impl Into<Plugin>>) -> Self {
        let named = |plugin: Plugin| ((plugin.class as u8, plugin.kind), plugin);
        let plugins = plugins.into_iter().map(|plugin| named(plugin.into())).collect();
        Self { plugins, node: NodeSpec::default() }
    }

    /// With these node operations.
    pub fn with_node(mut self, node: NodeSpec) -> Self {
        self.node = node;
        self
    }

    /// The plug-in called `kind`.
    pub fn get(&self, class: Class, kind: &str) -> Option<&Arc<Spec>> {
        let found = self.plugins.iter().find(|((c, k), _)| *c == class as u8 && *k == kind);
        found.map(|(_, plugin)| &*plugin.spec)
    }

    /// The types of a class, sorted.
    pub fn kinds(&self, class: Class) -> impl Iterator<Item = &'static str> {
        self.plugins.keys().filter(move |(c, _)| *c == class as u8).map(|(_, kind)| *kind)
    }

    /// All plug-ins of a class, by name.
    pub fn of_class(&self, class: Class) -> impl Iterator<Item = &Arc<Spec>> {
        self.plugins
            .iter()
            .filter(move |((c, _), _)| *c == class as u8)
            .map(|(_, plugin)| &*plugin.spec)
    }
}
