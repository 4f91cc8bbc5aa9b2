//! `door` stanzas: which protocols beside Vault's are served, where, and what they stand before.
//!
//! ```hcl
//! door "aws" {
//!   address    = "0.0.0.0:4566"      # a listener of its own, with the keys of `listener "tcp"`;
//!                                    # without it, all listeners serve AWS's requests, too
//!   account    = "123456789012"
//!   auth_mount = "auth/aws-door/"
//!   namespace  = ""
//!   region "us-east-1" {
//!     mount   = "secret/"            # secrets and parameters: a kv mount, version 2
//!     prefix  = ""                   # what stands before their paths there
//!     transit = "transit/"           # keys
//!   }
//!   region "*" {                     # all others
//!     mount   = "secret-{region}/"
//!     transit = "transit-{region}/"
//!   }
//! }
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use strongroom_base::RequestPath;
use strongroom_doors::aws::{Place, REGION_SLOT, Regions, is_region};

use super::listener::read_tcp;
use super::stanza::Stanza;
use crate::listen::{Door, ListenerOptions};

/// The region, account and mounts where nothing is said of them.
const REGION: &str = "us-east-1";
const ACCOUNT: &str = "000000000000";
const AUTH_MOUNT: &str = "auth/aws-door/";
const MOUNT: &str = "secret/";
const TRANSIT: &str = "transit/";
/// The label of the stanza for all other regions.
const OTHERS: &str = "*";

/// The AWS door.
#[derive(Clone, Debug)]
pub struct AwsDoor {
    /// Its regions.
    pub regions: Regions,
    /// Its own listener; without it all listeners serve it.
    pub listener: Option<ListenerOptions>,
}

/// The doors of a file.
pub(super) fn read_all(top: &Stanza<'_>) -> Vec<AwsDoor> {
    let mut found = Vec::new();
    for (labels, stanza) in top.blocks("door", 1) {
        match labels.first().map(String::as_str) {
            Some("aws") => found.push(read_aws(&stanza)),
            _ => {
                stanza.error("a door is aws");
                continue;
            }
        }
        stanza.finish();
    }
    found
}

fn read_aws(stanza: &Stanza<'_>) -> AwsDoor {
    let listener = match stanza.has("address") {
        true => read_tcp(stanza),
        false => None,
    };
    let listener = listener.map(|mut options| {
        options.rules.door = Door::Aws;
        options
    });
    let account = stanza.text("account").unwrap_or_else(|| ACCOUNT.to_owned());
    if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
        stanza.error_of("account", "must be twelve digits");
    }
    let auth = path(stanza, "auth_mount").unwrap_or_else(|| AUTH_MOUNT.to_owned());
    if !auth.starts_with("auth/") {
        stanza.error_of("auth_mount", "must be the path of an auth method (auth/aws-door/)");
    }
    let namespace = path(stanza, "namespace").unwrap_or_default();
    let (mut places, mut others) = (BTreeMap::new(), None);
    for (labels, region) in stanza.blocks("region", 1) {
        let name = labels.first().map_or("", String::as_str);
        let place = match name {
            OTHERS => read_region(&region, &suffixed(REGION_SLOT)),
            // The first has the plain names.
            _ if places.is_empty() => read_region(&region, &plain()),
            name => read_region(&region, &suffixed(name)),
        };
        let both = [format!("{}{}", place.mount, place.prefix), place.transit.clone()];
        match name {
            OTHERS if !both.iter().all(|path| path.contains(REGION_SLOT)) => {
                region.error("{region} must stand in `mount` or `prefix`, and in `transit`");
            }
            OTHERS if others.is_some() => region.error("is there twice"),
            OTHERS => others = Some(place),
            _ if both.iter().any(|path| path.contains(['{', '}'])) => {
                region.error("{region} stands for other regions only");
            }
            name if is_region(name) => {
                if places.insert(name.to_owned(), place).is_some() {
                    region.error("is there twice");
                }
            }
            _ => region.error("a region is called like us-east-1, or * for all others"),
        }
        region.finish();
    }
    if places.is_empty() && others.is_none() {
        places.insert(REGION.to_owned(), plain());
        others = Some(suffixed(REGION_SLOT));
    }
    refuse_overlaps(stanza, &places, others.as_ref());
    let places = places.into_iter().map(|(name, place)| (name, Arc::new(place))).collect();
    AwsDoor { regions: Regions { account, auth, namespace, places, others }, listener }
}

/// The place of the first region.
fn plain() -> Place {
    Place { mount: MOUNT.to_owned(), prefix: String::new(), transit: TRANSIT.to_owned() }
}

/// The place of another: mounts that have its name behind theirs.
fn suffixed(region: &str) -> Place {
    let named = |mount: &str| format!("{}-{region}/", mount.trim_end_matches('/'));
    Place { mount: named(MOUNT), prefix: String::new(), transit: named(TRANSIT) }
}

fn read_region(stanza: &Stanza<'_>, default: &Place) -> Place {
    Place {
        mount: path(stanza, "mount").unwrap_or_else(|| default.mount.clone()),
        prefix: path(stanza, "prefix").unwrap_or_default(),
        transit: path(stanza, "transit").unwrap_or_else(|| default.transit.clone()),
    }
}

/// A path with a slash at its end.
fn path(stanza: &Stanza<'_>, key: &'static str) -> Option<String> {
    let text = stanza.text(key)?;
    let text = format!("{}/", text.trim_matches('/'));
    if text == "/" {
        return None;
    }
    if RequestPath::parse(&text).is_err() {
        stanza.error_of(key, "is no path");
    }
    Some(text)
}

/// Two regions are two stores: none may lie within another.
fn refuse_overlaps(stanza: &Stanza<'_>, places: &BTreeMap<String, Place>, others: Option<&Place>) {
    let secrets = |place: &Place| format!("{}{}", place.mount, place.prefix);
    let keys = |place: &Place| place.transit.clone();
    let overlap = |of: &dyn Fn(&Place) -> String| {
        let within = |a: &str, b: &str| a.starts_with(b) || b.starts_with(a);
        let all: Vec<(&String, String)> = places.iter().map(|(name, p)| (name, of(p))).collect();
        let twice = all
            .iter()
            .enumerate()
            .any(|(at, (_, one))| all.iter().skip(at + 1).any(|(_, other)| within(one, other)));
        let beside = others.is_some_and(|others| {
            let template = of(others);
            let fixed = template.split(REGION_SLOT).next().unwrap_or_default();
            // `{region}/` may stand for a region's own place, as no other region has its name.
            let own = |name: &str| template.replace(REGION_SLOT, name);
            all.iter().any(|(name, place)| within(place, fixed) && *place != own(name))
        });
        twice || beside
    };
    if overlap(&secrets) {
        stanza
            .error("two regions have the same place for secrets, or one may lie within the other");
    }
    if overlap(&keys) {
        stanza.error("two regions have the same `transit`, or one may lie within the other");
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn read(door: &str) -> Result<Option<AwsDoor>, String> {
        let text = format!(
            "storage \"inmem\" {{}}\nlistener \"tcp\" {{ tls_disable = 1 }}\ndoor \"aws\" {{{door}}}\n"
        );
        let loaded = parse(&[("c.hcl".to_owned(), text)], &|_| None);
        loaded.map(|loaded| loaded.config.aws).map_err(|problems| {
            problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("\n")
        })
    }

    fn good(door: &str) -> AwsDoor {
        read(door).unwrap().unwrap()
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (door, why) in [
            ("acount = \"1\"", "did you mean `account`"),
            ("account = \"hunter2\"", "twelve digits"),
            ("auth_mount = \"secret/\"", "auth method"),
            ("region \"US\" {}", "called like us-east-1"),
            ("region \"us-east-1\" { mount = \"../x\" }", "no path"),
            (
                "region \"us-east-1\" {}\nregion \"eu-west-1\" { mount = \"secret\" }",
                "same place for secrets",
            ),
            (
                "region \"us-east-1\" {}\nregion \"eu-west-1\" { mount = \"secret\" prefix = \"eu\" }",
                "same place for secrets",
            ),
            (
                "region \"us-east-1\" {}\nregion \"eu-west-1\" { transit = \"transit\" }",
                "same `transit`",
            ),
            ("region \"*\" { mount = \"x\" }", "{region} must stand"),
            ("region \"*\" { transit = \"x\" }", "{region} must stand"),
            ("region \"us-east-1\" { prefix = \"{region}\" }", "other regions only"),
            (
                "region \"us-east-1\" { prefix = \"eu-west-1\" }\n\
                 region \"*\" { mount = \"secret\" prefix = \"{region}\" }",
                "may lie within",
            ),
            ("tls_cert_file = \"x\"", "unknown key"),
            ("address = \"127.0.0.1:4566\"", "tls_cert_file"),
            ("address = \"127.0.0.1:8200\"\ntls_disable = true", "same address"),
        ] {
            let error = read(door).unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2"), "{door}: {error}");
        }
    }

    #[test]
    fn defaults_and_what_is_said() {
        let door = good("");
        assert!(door.listener.is_none());
        assert_eq!(door.regions.places.keys().collect::<Vec<_>>(), [REGION]);
        let regions = std::sync::Arc::new(door.regions.clone());
        let place = |region: &str| (*regions.scope(region).unwrap().place).clone();
        assert_eq!((place(REGION), place("eu-west-1")), (plain(), suffixed("eu-west-1")));
        assert_eq!(place("eu-west-1").mount, "secret-eu-west-1/");
        assert_eq!(
            (door.regions.account.as_str(), door.regions.auth.as_str()),
            (ACCOUNT, AUTH_MOUNT)
        );
        let door = good(
            "address = \"127.0.0.1:4566\"\ntls_disable = true\naccount = \"123456789012\"\n\
             namespace = \"team\"\nauth_mount = \"auth/keys\"\n\
             region \"us-east-1\" { prefix = \"us-east-1\" }\n\
             region \"eu-west-1\" { mount = \"eu\" transit = \"eu-keys\" }\n\
             region \"*\" { mount = \"secret\" prefix = \"{region}\" }\n",
        );
        let listener = door.listener.unwrap();
        assert_eq!((listener.rules.door, listener.tls.is_none()), (Door::Aws, true));
        let regions = std::sync::Arc::new(door.regions);
        let at = |region: &str| regions.scope(region).unwrap().kv_path("a").unwrap();
        assert_eq!(
            (at("us-east-1"), at("eu-west-1"), at("ap-south-1")),
            ("us-east-1/a".to_owned(), "a".to_owned(), "ap-south-1/a".to_owned())
        );
        let eu = regions.scope("eu-west-1").unwrap();
        assert_eq!((eu.kv("list", ""), eu.namespace()), ("eu/aws/list".to_owned(), "team/"));
    }
}
