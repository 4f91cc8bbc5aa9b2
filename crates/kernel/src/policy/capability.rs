//! What a rule can grant on a path.

/// One capability. `deny` is one of them: it takes away all others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u16)]
pub enum Capability {
    /// Takes every other capability away.
    Deny = 1,
    /// Writing where nothing is.
    Create = 1 << 1,
    /// Reading.
    Read = 1 << 2,
    /// Writing where something is.
    Update = 1 << 3,
    /// Changing parts.
    Patch = 1 << 4,
    /// Deleting.
    Delete = 1 << 5,
    /// Listing a folder.
    List = 1 << 6,
    /// Listing a folder and all below.
    Scan = 1 << 7,
    /// Reaching root-protected paths, beside another capability.
    Sudo = 1 << 8,
    /// Moving or copying a value without being shown it. Strongroom's own; no other implies it.
    Move = 1 << 9,
}

impl Capability {
    /// All, in the order of their names, `deny` left out.
    pub const GRANTS: [Self; 9] = [
        Self::Create,
        Self::Delete,
        Self::List,
        Self::Move,
        Self::Patch,
        Self::Read,
        Self::Scan,
        Self::Sudo,
        Self::Update,
    ];

    /// Its name in a policy.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Scan => "scan",
            Self::Sudo => "sudo",
            Self::Move => "move",
        }
    }

    /// By its name in a policy. `root` is none: no policy text can grant it.
    pub fn parse(name: &str) -> Option<Self> {
        if name == "deny" {
            return Some(Self::Deny);
        }
        Self::GRANTS.into_iter().find(|capability| capability.name() == name)
    }

    /// What a write needs: `update` where the target exists, else `create`.
    pub fn of_write(exists: bool) -> Self {
        if exists { Self::Update } else { Self::Create }
    }

    /// Does it work on a folder (so that the path is judged with a trailing slash)?
    pub fn is_folder_wide(self) -> bool {
        matches!(self, Self::List | Self::Scan)
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Capabilities(u16);

impl Capabilities {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Only `deny`.
    pub const DENY: Self = Self(Capability::Deny as u16);
    /// LIST and SCAN.
    pub const FOLDER_WIDE: Self = Self(Capability::List as u16 | Capability::Scan as u16);

    /// Is `capability` in the set?
    pub fn has(self, capability: Capability) -> bool {
        self.0 & capability as u16 != 0
    }

    /// Is it a denial?
    pub fn is_deny(self) -> bool {
        self.has(Capability::Deny)
    }

    /// Does it grant anything?
    pub fn grants(self) -> bool {
        self.0 != 0 && !self.is_deny()
    }

    /// The set with `capability`.
    #[must_use]
    pub fn with(self, capability: Capability) -> Self {
        Self(self.0 | capability as u16)
    }

    /// What is in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The set without what is in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The names in alphabetical order, as `sys/capabilities` answers: `deny` alone where the set
    /// denies or grants nothing.
    pub fn names(self) -> Vec<&'static str> {
        if !self.grants() {
            return vec!["deny"];
        }
        Capability::GRANTS.into_iter().filter(|c| self.has(*c)).map(Capability::name).collect()
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(iter: I) -> Self {
        iter.into_iter().fold(Self::NONE, Self::with)
    }
}
