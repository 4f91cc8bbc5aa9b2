//! Where a request of a region goes, and how things are called there.

use std::collections::BTreeMap;
use std::sync::Arc;

use strongroom_base::{Error, Result};

use super::names;

/// What stands in for the region's name in the place of all other regions.
pub const REGION_SLOT: &str = "{region}";

/// Where one region's things lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The kv mount of its secrets and parameters (`secret/`).
    pub mount: String,
    /// What stands before their paths there: empty, or ending with a slash.
    pub prefix: String,
    /// The transit mount of its keys (`transit/`).
    pub transit: String,
}

/// The regions that the door serves.
#[derive(Clone, Debug)]
pub struct Regions {
    /// The account: twelve digits.
    pub account: String,
    /// The auth mount whose key pairs sign (`auth/aws-door/`).
    pub auth: String,
    /// The namespace of all mounts; empty is the root.
    pub namespace: String,
    /// Regions by name.
    pub places: BTreeMap<String, Arc<Place>>,
    /// The place of all others, with `{region}` in its paths.
    pub others: Option<Place>,
}

impl Regions {
    /// The region's scope; `None` where the door does not serve it.
    pub fn scope(self: &Arc<Self>, region: &str) -> Option<Scope> {
        let place = match self.places.get(region) {
            Some(place) => place.clone(),
            None => {
                let others = self.others.as_ref().filter(|_| is_region(region))?;
                let own = |text: &str| text.replace(REGION_SLOT, region);
                Arc::new(Place {
                    mount: own(&others.mount),
                    prefix: own(&others.prefix),
                    transit: own(&others.transit),
                })
            }
        };
        Some(Scope { region: region.to_owned(), place, regions: self.clone() })
    }
}

/// Does it look like a region's name (`eu-central-1`)? Nothing else becomes part of a path.
pub fn is_region(text: &str) -> bool {
    let sign = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=32).contains(&text.len())
        && text.bytes().all(sign)
        && text.starts_with(|c: char| c.is_ascii_lowercase())
}

/// The region that a request is for.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Its name.
    pub region: String,
    /// Where its things lie.
    pub place: Arc<Place>,
    regions: Arc<Regions>,
}

impl Scope {
    /// The account.
    pub fn account(&self) -> &str {
        &self.regions.account
    }

    /// The auth mount whose key pairs sign.
    pub fn auth(&self) -> &str {
        &self.regions.auth
    }

    /// The namespace of all mounts.
    pub fn namespace(&self) -> &str {
        &self.regions.namespace
    }

    /// Another region, for replicas; `None` where the door does not serve it.
    pub fn at(&self, region: &str) -> Option<Scope> {
        self.regions.scope(region)
    }

    /// The ARN of `resource` (`secret:app/db-AbCdEf`) of `service` in this region.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        self.arn_of(service, &[resource])
    }

    /// The same of a resource in pieces.
    fn arn_of(&self, service: &str, resource: &[&str]) -> String {
        let before = ["arn:aws:", service, ":", &self.region, ":", self.account(), ":"];
        let length = before.iter().chain(resource).map(|piece| piece.len()).sum();
        let mut arn = String::with_capacity(length);
        before.iter().chain(resource).for_each(|piece| arn.push_str(piece));
        arn
    }

    /// The ARN of a secret; without its six characters where they are not known.
    pub fn secret_arn(&self, name: &str, suffix: Option<&str>) -> String {
        match suffix {
            Some(suffix) => self.arn_of("secretsmanager", &["secret:", name, "-", suffix]),
            None => self.arn_of("secretsmanager", &["secret:", name]),
        }
    }

    /// The path of an operation of this region's kv mount on the kv path `path`, which includes the
    /// region's prefix ([`Scope::kv_path`]); on none where `path` is empty.
    pub fn kv(&self, operation: &str, path: &str) -> String {
        join(&self.place.mount, operation, path)
    }

    /// The path of an operation of this region's transit mount on a key; on none where `name` is empty.
    pub fn transit(&self, operation: &str, name: &str) -> String {
        join(&self.place.transit, operation, name)
    }

    /// The kv path of a secret's name, the region's prefix included: never one of a parameter. What is no
    /// name is refused as Secrets Manager does.
    pub fn kv_path(&self, name: &str) -> Result<String> {
        let path = Some(name).filter(|n| names::is_name(n)).and_then(names::to_secret_path);
        let path = path.ok_or_else(bad_name)?;
        Ok(if self.place.prefix.is_empty() { path } else { format!("{}{path}", self.place.prefix) })
    }

    /// The same of a secret that is to be made.
    pub fn kv_path_to_make(&self, name: &str) -> Result<String> {
        if names::may_be_made(name) { self.kv_path(name) } else { Err(bad_name()) }
    }

    /// The secret's name of a kv path; `None` where it lies outside of the region's prefix, or is a parameter.
    pub fn name_of(&self, path: &str) -> Option<String> {
        path.strip_prefix(self.place.prefix.as_str()).and_then(names::to_secret_name)
    }
}

fn bad_name() -> Error {
    Error::bad_request(
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the \
         following: -/_+=.@",
    )
    .called("ValidationException")
}

fn join(mount: &str, operation: &str, rest: &str) -> String {
    if rest.is_empty() {
        [mount, "aws/", operation].concat()
    } else {
        [mount, "aws/", operation, "/", rest].concat()
    }
}

/// The parts of an ARN (`arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arn<'a> {
    /// The service.
    pub service: &'a str,
    /// The region.
    pub region: &'a str,
    /// The account.
    pub account: &'a str,
    /// The rest, which may have colons.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Reads one; `None` where it is none.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next();
        let (arn, partition) = (next()?, next()?);
        let (service, region, account, resource) = (next()?, next()?, next()?, next()?);
        (arn == "arn" && partition == "aws" && !resource.is_empty()).then_some(Self {
            service,
            region,
            account,
            resource,
        })
    }

    /// Is it of this service, and of the region and account of `scope`?
    pub fn is_of(&self, service: &str, scope: &Scope) -> bool {
        self.service == service && self.region == scope.region && self.account == scope.account()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Two regions of an account.
    pub fn regions() -> Arc<Regions> {
        let place = |prefix: &str| Place {
            mount: "secret/".to_owned(),
            prefix: prefix.to_owned(),
            transit: "transit/".to_owned(),
        };
        Arc::new(Regions {
            account: "123456789012".to_owned(),
            auth: "auth/aws-door/".to_owned(),
            namespace: String::new(),
            places: BTreeMap::from([("us-east-1".to_owned(), Arc::new(place("")))]),
            others: Some(place("regions/{region}/")),
        })
    }

    #[test]
    fn names_paths_and_arns() {
        let scope = regions().scope("us-east-1").unwrap();
        assert_eq!(
            scope.kv("get-value", &scope.kv_path("/a").unwrap()),
            "secret/aws/get-value/~/a"
        );
        assert_eq!(scope.kv("list", ""), "secret/aws/list");
        assert_eq!(
            scope.secret_arn("app/db", Some("AbCdEf")),
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:app/db-AbCdEf"
        );
        let other = scope.at("eu-west-1").unwrap();
        let path = other.kv_path("a b").map_err(|e| e.code);
        assert_eq!(path, Err(Some("ValidationException")));
        let path = other.kv_path("a=20b").unwrap();
        assert_eq!(path, "regions/eu-west-1/a b");
        assert_eq!(other.name_of(&path).as_deref(), Some("a=20b"));
        assert_eq!(other.name_of("elsewhere"), None);
        // The region's prefix stands before what is a parameter.
        let path = other.kv_path("ssm/x").unwrap();
        assert_eq!(path, "regions/eu-west-1/~ssm/x");
        assert_eq!(other.name_of(&path).as_deref(), Some("ssm/x"));
        assert_eq!(other.name_of("regions/eu-west-1/ssm/x"), None);
        for odd in ["", "../x", "EU", "a/b", "{region}"] {
            assert!(scope.at(odd).is_none(), "{odd}");
        }
        let arn = scope.secret_arn("a:b", None);
        assert!(Arn::parse(&arn).unwrap().is_of("secretsmanager", &scope));
        assert!(!Arn::parse(&arn).unwrap().is_of("secretsmanager", &other));
        assert_eq!(Arn::parse("arn:aws:s3"), None);
    }
}
