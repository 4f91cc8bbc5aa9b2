//! Identity templating of rule paths: `secret/{{identity.entity.name}}/*`.
//!
//! A template is read once, when the policy is; per entity only the values are put in. Invariants:
//! a value that is missing, empty, or that would change the shape of the path (`+`, `*`, `/`, `,`,
//! a control character) makes the rule not apply (threat: GHSA-59w7-v8rr-pr4p); what was put in is
//! never read as a template again.

use std::collections::BTreeMap;

/// What a template may ask about the caller. A token without an entity has the default value.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct IdentityView {
    /// The entity, if the token has one.
    pub entity: Option<EntityView>,
    /// The entity's groups, direct and inherited.
    pub groups: Vec<GroupView>,
}

/// An entity as templates see it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct EntityView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// Its aliases.
    pub aliases: Vec<AliasView>,
}

/// An alias as templates see it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct AliasView {
    /// The accessor of the alias's auth mount.
    pub mount_accessor: String,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Metadata that the login gave.
    pub metadata: BTreeMap<String, String>,
    /// Metadata that an operator gave.
    pub custom_metadata: BTreeMap<String, String>,
}

/// A group as templates see it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct GroupView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Which of the shape-changing characters a policy lets values bring in (OpenBao's two switches
/// of a policy). Nothing, unless its author asked.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TemplateAllowance {
    /// `+` and `*`.
    pub wildcards: bool,
    /// `/`.
    pub slashes: bool,
    /// `,`: for lists whose author trusts the values. Never for a policy's paths.
    pub commas: bool,
}

impl TemplateAllowance {
    fn admits(self, value: &str) -> bool {
        !value.is_empty()
            && value.chars().all(|c| match c {
                '+' | '*' => self.wildcards,
                '/' => self.slashes,
                ',' => self.commas,
                c => !c.is_control(),
            })
    }
}

/// A text before values are put in: a rule's path, or what an engine's role allows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Literal(String),
    Value(Selector),
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Selector {
    EntityId,
    EntityName,
    EntityMetadata(String),
    Alias(String, AliasField),
    GroupById(String, GroupField),
    GroupByName(String, GroupField),
    /// A directive nobody knows: it has no value, ever.
    Unknown,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum AliasField {
    Id,
    Name,
    Metadata(String),
    CustomMetadata(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum GroupField {
    Id,
    Name,
    Metadata(String),
}

/// Braces that do not pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unbalanced;

impl Template {
    /// Reads a text; `None` where it has no directive.
    pub fn parse(path: &str) -> Result<Option<Self>, Unbalanced> {
        let mut pieces = path.split("{{");
        let first = pieces.next().unwrap_or("");
        if first.contains("}}") {
            return Err(Unbalanced);
        }
        let mut parts = vec![Part::Literal(first.to_owned())];
        for piece in pieces {
            let (directive, literal) = piece.split_once("}}").ok_or(Unbalanced)?;
            if literal.contains("}}") {
                return Err(Unbalanced);
            }
            parts.push(Part::Value(Selector::parse(directive.trim())));
            parts.push(Part::Literal(literal.to_owned()));
        }
        Ok((parts.len() > 1).then_some(Self { parts }))
    }

    /// The text with the values in; `None` where one is missing or not admitted.
    pub fn fill(&self, identity: &IdentityView, allowance: TemplateAllowance) -> Option<String> {
        let mut path = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => path.push_str(text),
                Part::Value(selector) => {
                    path.push_str(selector.value(identity).filter(|v| allowance.admits(v))?);
                }
            }
        }
        Some(path)
    }
}

impl Selector {
    fn parse(text: &str) -> Self {
        Self::parse_known(text).unwrap_or(Self::Unknown)
    }

    fn parse_known(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("identity.entity.") {
            if let Some(rest) = rest.strip_prefix("aliases.") {
                let (accessor, field) = rest.split_once('.')?;
                return Some(Self::Alias(accessor.to_owned(), AliasField::parse(field)?));
            }
            return match rest {
                "id" => Some(Self::EntityId),
                "name" => Some(Self::EntityName),
                _ => Some(Self::EntityMetadata(rest.strip_prefix("metadata.")?.to_owned())),
            };
        }
        let rest = text.strip_prefix("identity.groups.")?;
        let (how, rest) = rest.split_once('.')?;
        let (group, field) = rest.split_once('.')?;
        let (group, field) = (group.to_owned(), GroupField::parse(field)?);
        match how {
            "ids" => Some(Self::GroupById(group, field)),
            "names" => Some(Self::GroupByName(group, field)),
            _ => None,
        }
    }

    fn value<'a>(&self, identity: &'a IdentityView) -> Option<&'a str> {
        let entity = identity.entity.as_ref();
        match self {
            Self::EntityId => Some(&entity?.id),
            Self::EntityName => Some(&entity?.name),
            Self::EntityMetadata(key) => entity?.metadata.get(key).map(String::as_str),
            Self::Alias(accessor, field) => {
                let aliases = &entity?.aliases;
                field.of(aliases.iter().find(|alias| alias.mount_accessor == *accessor)?)
            }
            Self::GroupById(id, field) => {
                field.of(identity.groups.iter().find(|group| group.id == *id)?)
            }
            Self::GroupByName(name, field) => {
                field.of(identity.groups.iter().find(|group| group.name == *name)?)
            }
            Self::Unknown => None,
        }
    }
}

impl AliasField {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "id" => Some(Self::Id),
            "name" => Some(Self::Name),
            _ => match text.split_once('.')? {
                ("metadata", key) => Some(Self::Metadata(key.to_owned())),
                ("custom_metadata", key) => Some(Self::CustomMetadata(key.to_owned())),
                _ => None,
            },
        }
    }

    fn of<'a>(&self, alias: &'a AliasView) -> Option<&'a str> {
        match self {
            Self::Id => Some(&alias.id),
            Self::Name => Some(&alias.name),
            Self::Metadata(key) => alias.metadata.get(key).map(String::as_str),
            Self::CustomMetadata(key) => alias.custom_metadata.get(key).map(String::as_str),
        }
    }
}

impl GroupField {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "id" => Some(Self::Id),
            "name" => Some(Self::Name),
            _ => Some(Self::Metadata(text.strip_prefix("metadata.")?.to_owned())),
        }
    }

    fn of<'a>(&self, group: &'a GroupView) -> Option<&'a str> {
        match self {
            Self::Id => Some(&group.id),
            Self::Name => Some(&group.name),
            Self::Metadata(key) => group.metadata.get(key).map(String::as_str),
        }
    }
}
