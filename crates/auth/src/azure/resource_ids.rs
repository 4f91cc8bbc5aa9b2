//! Names of Azure's resources: `/subscriptions/S/resourceGroups/G/providers/NAMESPACE/TYPE/NAME…`,
//! whose case does not matter.

/// Bytes of an id.
const BYTES_MAX: usize = 2_048;

/// A resource id, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceId<'a> {
    /// The subscription.
    pub subscription: &'a str,
    /// The resource group.
    pub group: &'a str,
    /// The provider (`Microsoft.Compute`).
    pub namespace: &'a str,
    /// Types and names in turn, the outermost first.
    pub levels: Vec<(&'a str, &'a str)>,
}

/// May it be a segment of an id?
fn is_segment(text: &str) -> bool {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')');
    !text.is_empty() && !matches!(text, "." | "..") && text.chars().all(good)
}

impl<'a> ResourceId<'a> {
    /// Takes an id apart; `None` where it is none of a resource in a group.
    pub fn parse(id: &'a str) -> Option<Self> {
        let mut parts = id.strip_prefix('/').filter(|_| id.len() <= BYTES_MAX)?.split('/');
        let mut next = || parts.next().filter(|part| is_segment(part));
        let word = |given: &str, wanted: &str| given.eq_ignore_ascii_case(wanted).then_some(());
        word(next()?, "subscriptions")?;
        let subscription = next()?;
        word(next()?, "resourceGroups")?;
        let group = next()?;
        word(next()?, "providers")?;
        let namespace = next()?;
        let mut levels = Vec::new();
        while let Some(kind) = parts.next() {
            let name = parts.next().filter(|name| is_segment(name))?;
            if !is_segment(kind) {
                return None;
            }
            levels.push((kind, name));
        }
        (!levels.is_empty()).then_some(Self { subscription, group, namespace, levels })
    }

    /// Is it in this subscription and resource group?
    pub fn is_in(&self, subscription: &str, group: &str) -> bool {
        self.subscription.eq_ignore_ascii_case(subscription) && same(self.group, group)
    }

    /// The name of its outermost part, where it is of this type.
    pub fn outermost(&self, namespace: &str, kind: &str) -> Option<&'a str> {
        let (of, name) = self.levels.first()?;
        let fits = self.namespace.eq_ignore_ascii_case(namespace) && of.eq_ignore_ascii_case(kind);
        fits.then_some(*name)
    }

    /// Its type without the provider: `virtualMachineScaleSets/virtualMachines`.
    pub fn kind(&self) -> String {
        self.levels.iter().map(|(kind, _)| *kind).collect::<Vec<_>>().join("/")
    }
}

/// Are two names the same to Azure?
pub fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

/// Is it an id of a subscription: a UUID?
pub fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// May it be the name of a machine or scale set?
pub fn is_machine(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    text.len() <= 256
        && text.bytes().all(good)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.ends_with(['.', '-'])
}

/// May it be the name of a resource group?
pub fn is_group(text: &str) -> bool {
    is_segment(text) && text.len() <= 360 && !text.ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::{ResourceId, is_group, is_machine, is_uuid};

    #[test]
    fn ids_are_taken_apart() {
        let id = ResourceId::parse(
            "/subscriptions/s/resourcegroups/G/providers/Microsoft.Compute/virtualMachineScaleSets/v\
             /virtualMachines/0",
        )
        .unwrap();
        assert!(id.is_in("S", "g") && !id.is_in("s", "g2"));
        assert_eq!(id.outermost("microsoft.compute", "virtualmachinescalesets"), Some("v"));
        assert_eq!(id.outermost("Microsoft.Compute", "virtualMachines"), None);
        assert_eq!(id.kind(), "virtualMachineScaleSets/virtualMachines");
        for bad in [
            "",
            "/",
            "subscriptions/s/resourceGroups/g/providers/n/t/n",
            "/subscriptions/s/resourceGroups/g",
            "/subscriptions/s/resourceGroups/g/providers/n",
            "/subscriptions/s/resourceGroups/g/providers/n/t",
            "/subscriptions/s/resourceGroups/g/providers/n/t/..",
            "/subscriptions/s/resourceGroups/g/providers/n/t/n/",
            "/subscriptions/s/resourceGroups/g/providers/n/t/n?x=y",
            "/subscriptions/s//g/providers/n/t/n",
            "/subscriptions/../resourceGroups/g/providers/n/t/n",
            "/subscriptions/s/providers/n/t/n",
        ] {
            assert_eq!(ResourceId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn names() {
        assert!(is_uuid("00000000-0000-0000-0000-00000000000F"));
        assert!(!is_uuid("00000000-0000-0000-0000-00000000000G") && !is_uuid("x") && !is_uuid(""));
        assert!(is_machine("vm-1") && !is_machine("vm/1") && !is_machine("vm-") && !is_machine(""));
        assert!(is_group("rg_(1)") && !is_group("rg/1") && !is_group("rg.") && !is_group(""));
    }
}
