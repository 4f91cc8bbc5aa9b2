//! Keys as people name them, on the command line and in `.sops.yaml`: records without a wrapped data
//! key.

use super::{Machine, azure};
use crate::error::{Error, Exit, Result};
use crate::metadata::{
    AgeKey, AzureKvKey, GcpKmsKey, HcKmsKey, HcVaultKey, KeyEntry, KeyGroup, KmsKey, PgpKey,
};

/// The parts of a list separated by commas; an empty text has none.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(move |_| !text.is_empty())
}

fn without_spaces(text: &str) -> String {
    text.replace(' ', "")
}

/// `--encryption-context`: `name:value,…`, sorted by name.
pub fn encryption_context(text: &str) -> Result<Vec<(String, String)>> {
    let wrong = || Error::new(Exit::EncryptionContext, "Invalid KMS encryption context format");
    let mut context = std::collections::BTreeMap::new();
    for pair in listed(text) {
        let (name, value) = pair.split_once(':').ok_or_else(wrong)?;
        if value.contains(':') {
            return Err(wrong());
        }
        context.insert(name.to_owned(), value.to_owned());
    }
    Ok(context.into_iter().collect())
}

/// Keys of AWS KMS by their ARNs: `ARN` or `ARN+ROLEARN`, separated by commas.
pub fn kms(text: &str, context: &[(String, String)], profile: &str) -> Vec<KeyEntry> {
    let one = |arn: &str| KeyEntry::Kms(kms_one(arn, context, profile));
    listed(text).map(one).collect()
}

/// A key of AWS KMS: `ARN` or `ARN+ROLEARN`.
pub fn kms_one(arn: &str, context: &[(String, String)], profile: &str) -> KmsKey {
    let text = without_spaces(arn);
    // What stands after a plus sign is a role only if it is an ARN.
    let (arn, role) = match text.split_once("+arn:") {
        Some((arn, role)) if !arn.is_empty() => (arn.to_owned(), format!("arn:{role}")),
        _ => (text, String::new()),
    };
    KmsKey {
        arn,
        role,
        context: context.to_vec(),
        aws_profile: profile.to_owned(),
        ..KmsKey::default()
    }
}

/// Keys of OpenPGP by their fingerprints, separated by commas.
pub fn pgp(text: &str) -> Vec<KeyEntry> {
    let one = |fp| KeyEntry::Pgp(PgpKey { fp: without_spaces(fp), ..PgpKey::default() });
    listed(text).map(one).collect()
}

/// Keys of Google Cloud KMS by their resource names, separated by commas.
pub fn gcp_kms(text: &str) -> Vec<KeyEntry> {
    let one = |id| {
        KeyEntry::GcpKms(GcpKmsKey { resource_id: without_spaces(id), ..GcpKmsKey::default() })
    };
    listed(text).map(one).collect()
}

/// Keys of Huawei Cloud KMS, `region:uuid`, separated by commas.
pub fn hckms(text: &str) -> Result<Vec<KeyEntry>> {
    let one = |id: &str| {
        let id = id.trim();
        let good = id.split_once(':').is_some_and(|(region, key)| {
            !region.is_empty() && !key.is_empty() && !key.contains(':')
        });
        if !good {
            return Err(Error::general(format!(
                "invalid HuaweiCloud KMS key ID {id:?}: it is REGION:KEY-UUID"
            )));
        }
        Ok(KeyEntry::HcKms(HcKmsKey { key_id: id.to_owned(), ..HcKmsKey::default() }))
    };
    listed(text).map(one).collect()
}

/// Keys of Azure Key Vault by their URLs, `https://VAULT/keys/NAME[/VERSION]`, separated by commas.
/// Where the version is missing, [`complete`] finds it.
pub fn azure_kv(text: &str) -> Result<Vec<KeyEntry>> {
    listed(text).map(|url| azure_kv_one(url).map(KeyEntry::AzureKv)).collect()
}

fn azure_kv_one(url: &str) -> Result<AzureKvKey> {
    let url = url.trim();
    let wrong = || {
        Error::general(format!("could not parse {url:?} into a valid Azure Key Vault MasterKey"))
    };
    let rest = url.strip_prefix("https://").ok_or_else(wrong)?;
    let (host, path) = rest.split_once("/keys/").ok_or_else(wrong)?;
    let (name, version) = path.split_once('/').unwrap_or((path, ""));
    if host.is_empty() || host.contains('/') || name.is_empty() || version.contains('/') {
        return Err(wrong());
    }
    Ok(AzureKvKey {
        vault_url: format!("https://{host}"),
        name: name.to_owned(),
        version: version.to_owned(),
        ..AzureKvKey::default()
    })
}

/// Keys of Vault's transit engine by their URLs, `https://HOST:PORT/v1/ENGINE/keys/NAME`, separated
/// by commas; empty parts are passed over.
pub fn hc_vault(text: &str) -> Result<Vec<KeyEntry>> {
    let parts = listed(text).filter(|part| !part.is_empty());
    parts.map(|uri| hc_vault_one(uri).map(KeyEntry::HcVault)).collect()
}

fn hc_vault_one(uri: &str) -> Result<HcVaultKey> {
    let like = "https://vault.example.com:8200/v1/transit/keys/keyName";
    let Some((scheme, rest)) = uri.split_once("://") else {
        return Err(Error::general(format!(
            "missing scheme in Vault URL (should be like this: {like}), got: {uri}"
        )));
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let is_version = |segment: &str| {
        let digits = segment.strip_prefix('v').unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    let [version, engine @ .., _, name] = segments.as_slice() else {
        return Err(Error::general(format!(
            "vault path does not seem to be formatted correctly: (eg. {like})"
        )));
    };
    let whole = !engine.is_empty() && segments.iter().all(|segment| !segment.is_empty());
    if !is_version(version) && segments.iter().any(|segment| is_version(segment)) {
        return Err(Error::general(format!(
            "running Vault with a prefixed URL is not supported! (Format has to be like {like})"
        )));
    }
    if host.is_empty() || !is_version(version) || !whole {
        return Err(Error::general(format!(
            "vault path does not seem to be formatted correctly: (eg. {like})"
        )));
    }
    Ok(HcVaultKey {
        vault_address: format!("{scheme}://{host}"),
        engine_path: engine.join("/"),
        key_name: (*name).to_owned(),
        ..HcVaultKey::default()
    })
}

/// Keys of age by their recipients, separated by commas.
pub fn age(text: &str) -> Result<Vec<KeyEntry>> {
    let one = |recipient: &str| {
        let recipient = recipient.trim();
        super::age::check_recipient(recipient).map_err(|failure| Error::general(failure.0))?;
        Ok(KeyEntry::Age(AgeKey { recipient: recipient.to_owned(), ..AgeKey::default() }))
    };
    listed(text).map(one).collect()
}

/// Finds what names of keys leave open: the newest version of a key in Azure.
pub fn complete(groups: &mut [KeyGroup], machine: &Machine) -> Result<()> {
    for key in groups.iter_mut().flat_map(|group| &mut group.0) {
        if let KeyEntry::AzureKv(key) = key
            && key.version.is_empty()
        {
            key.version =
                azure::newest_version(key, machine).map_err(|failure| Error::general(failure.0))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(keys: &[KeyEntry]) -> Vec<String> {
        keys.iter().map(KeyEntry::shown).collect()
    }

    #[test]
    fn a_role_is_what_begins_as_an_arn_does() {
        let key = "arn:aws:kms:us-west-2:927034868273:key/fe86dd69";
        let role = "arn:aws:iam::927034868273:role/sops-dev";
        let both = format!(" {key} + {role} ,{key}+x");
        let keys = kms(&both, &[("a".into(), "b".into())], "prod");
        assert_eq!(shown(&keys), [format!("{key}+{role}|a:b|prod"), format!("{key}+x|a:b|prod")]);
        assert!(kms("", &[], "").is_empty());
        let KeyEntry::Kms(plain) = &kms(key, &[], "")[0] else { panic!() };
        assert_eq!((plain.arn.as_str(), plain.role.as_str()), (key, ""));
    }

    #[test]
    fn contexts_are_pairs_in_order() {
        let pairs = encryption_context("b:2,a:1").unwrap();
        assert_eq!(pairs, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        assert_eq!(encryption_context("").unwrap(), []);
        for bad in ["a", "a:b:c", "a:b,", ",a:b"] {
            assert_eq!(encryption_context(bad).unwrap_err().exit, Exit::EncryptionContext, "{bad}");
        }
    }

    #[test]
    fn urls_are_taken_apart() {
        for (url, parts) in [
            ("https://v.vault.azure.net/keys/k/1", Some(("https://v.vault.azure.net", "k", "1"))),
            ("https://v.vault.azure.net/keys/k", Some(("https://v.vault.azure.net", "k", ""))),
            (" https://v/keys/k/ ", Some(("https://v", "k", ""))),
            ("http://v/keys/k", None),
            ("https://v/secrets/k", None),
            ("https://v/keys/", None),
            ("https://v/keys/k/1/2", None),
            ("https:///keys/k", None),
        ] {
            let key = azure_kv_one(url).ok();
            let got = key.as_ref().map(|k| (&*k.vault_url, &*k.name, &*k.version));
            assert_eq!(got, parts, "{url}");
        }
        for (uri, parts) in [
            ("https://h:1/v1/transit/keys/dev", Some(("https://h:1", "transit", "dev"))),
            ("http://h/v1/some/where/keys/dev", Some(("http://h", "some/where", "dev"))),
            ("http://h/v1/transit/keys/dev/", Some(("http://h", "transit", "dev"))),
            ("h:1/v1/transit/keys/dev", None),
            ("http://h/prefix/v1/transit/keys/dev", None),
            ("http://h/v1/keys/dev", None),
            ("http://h/v1//keys/dev", None),
            ("http://h/", None),
            ("http:///v1/transit/keys/dev", None),
        ] {
            let key = hc_vault_one(uri).ok();
            let got = key.as_ref().map(|k| (&*k.vault_address, &*k.engine_path, &*k.key_name));
            assert_eq!(got, parts, "{uri}");
        }
        let two = hc_vault("http://h/v1/t/keys/a,,http://h/v1/t/keys/b").unwrap();
        assert_eq!(shown(&two), ["http://h/v1/t/keys/a", "http://h/v1/t/keys/b"]);
        assert!(hckms("eu:1-2").is_ok() && hckms("eu").is_err() && hckms("eu:1:2").is_err());
    }

    #[test]
    fn lists_of_fingerprints_and_names() {
        assert_eq!(shown(&pgp("85D7 7543,FBC7")), ["85D77543", "FBC7"]);
        let id = "projects/p/locations/global/keyRings/r/cryptoKeys/k";
        assert_eq!(shown(&gcp_kms(&format!("{id}, {id}"))), [id, id]);
        assert!(age("age1notakey").is_err());
    }
}
