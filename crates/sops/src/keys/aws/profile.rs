//! AWS's shared files: `~/.aws/config` and `~/.aws/credentials` (AWS SDKs and Tools Reference Guide,
//! "Shared config and credentials files").

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;

use strongroom_base::SecretString;
use zeroize::Zeroizing;

use super::super::{Failure, Machine};

/// Bytes of such a file, at most.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The settings of all profiles, and of what they refer to (`sso-session`, `services`).
#[derive(Default)]
pub struct Profiles(HashMap<String, Section>);

/// The settings of one profile. Settings of a nested block are named `block.setting`.
#[derive(Default)]
pub struct Section(HashMap<String, SecretString>);

impl Section {
    /// A setting that is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?.expose_secret().as_str();
        (!value.is_empty()).then_some(value)
    }

    /// A setting, and a failure that names it where it is missing.
    pub fn need(&self, name: &str) -> Result<&str, Failure> {
        self.get(name).ok_or_else(|| Failure::new(format!("the AWS profile lacks {name}")))
    }
}

impl Profiles {
    /// Reads both files; one that is not there is empty.
    pub fn read(machine: &Machine) -> Result<Self, Failure> {
        let mut profiles = Self::default();
        let folder = machine.home().map(|home| home.join(".aws"));
        let path = |variable: &str, name: &str| {
            let named = machine.filled(variable).map(PathBuf::from);
            named.or_else(|| Some(folder.as_ref()?.join(name)))
        };
        if let Some(path) = path("AWS_CONFIG_FILE", "config") {
            profiles.take(&text_of(&path)?, true);
        }
        // What both have, the credentials' file says.
        if let Some(path) = path("AWS_SHARED_CREDENTIALS_FILE", "credentials") {
            profiles.take(&text_of(&path)?, false);
        }
        Ok(profiles)
    }

    /// A profile's settings.
    pub fn get(&self, name: &str) -> Option<&Section> {
        self.0.get(name)
    }

    /// A `[kind name]` that profiles refer to.
    pub fn referred(&self, kind: &str, name: &str) -> Option<&Section> {
        self.0.get(&format!("{kind} {name}"))
    }

    fn take(&mut self, text: &str, config: bool) {
        let (mut section, mut block) = (None, String::new());
        for line in text.lines() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
                continue;
            }
            if let Some(header) = trimmed.strip_prefix('[') {
                let header = header.split(']').next().unwrap_or_default().trim();
                section = section_name(header, config);
                block.clear();
                continue;
            }
            let (Some(section), Some((name, value))) = (&section, trimmed.split_once('=')) else {
                continue;
            };
            let (name, value) = (name.trim().to_ascii_lowercase(), value_of(value));
            let nested = line.starts_with([' ', '\t']) && !block.is_empty();
            if !nested {
                block = if value.is_empty() { name.clone() } else { String::new() };
            }
            let name = if nested { format!("{block}.{name}") } else { name };
            let settings = self.0.entry(section.clone()).or_default();
            settings.0.insert(name, SecretString::new(value.to_owned()));
        }
    }
}

/// A value without the comment behind it.
fn value_of(text: &str) -> &str {
    let text = [" #", " ;", "\t#", "\t;"]
        .into_iter()
        .fold(text, |text, mark| text.split(mark).next().unwrap_or_default());
    text.trim()
}

/// The name under which a section is kept. In the configuration all profiles but the default one have
/// the word `profile` before them.
fn section_name(header: &str, config: bool) -> Option<String> {
    let words: Vec<&str> = header.split_whitespace().collect();
    match (words.as_slice(), config) {
        (["default"], _) => Some("default".to_owned()),
        (["profile", name], true) => Some((*name).to_owned()),
        (["sso-session" | "services", _], true) => Some(words.join(" ")),
        ([name], false) => Some((*name).to_owned()),
        _ => None,
    }
}

fn text_of(path: &std::path::Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("could not load AWS config: {}: {error}", path.display()))
    };
    let mut text = Zeroizing::new(String::new());
    match std::fs::File::open(path) {
        Ok(file) => file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(text),
        Err(error) => return Err(failed(error)),
    };
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_read_as_awss_tools_read_them() {
        let mut profiles = Profiles::default();
        profiles.take(
            "[default]\nregion = eu-west-1\n\n[profile dev]\nROLE_ARN=arn:aws:iam::1:role/r # c\n\
             services = mine\n[dev]\nregion = ignored\n[services mine]\nkms =\n  endpoint_url = \
             http://127.0.0.1:1\nsts =\n  endpoint_url = http://127.0.0.1:2\n[sso-session corp]\n\
             sso_region = eu-west-1\nno setting\n",
            true,
        );
        profiles.take(
            "[default]\naws_access_key_id=AKID\naws_secret_access_key = se#cret\n; c\n[dev]\n\
             source_profile = default\n[profile x]\na=b\n",
            false,
        );
        let default = profiles.get("default").unwrap();
        assert_eq!(default.get("region"), Some("eu-west-1"));
        assert_eq!(default.get("aws_secret_access_key"), Some("se#cret"));
        let dev = profiles.get("dev").unwrap();
        assert_eq!(dev.get("role_arn"), Some("arn:aws:iam::1:role/r"));
        assert_eq!((dev.get("source_profile"), dev.get("region")), (Some("default"), None));
        let services = profiles.referred("services", "mine").unwrap();
        assert_eq!(services.get("kms.endpoint_url"), Some("http://127.0.0.1:1"));
        assert_eq!(services.get("sts.endpoint_url"), Some("http://127.0.0.1:2"));
        assert!(profiles.referred("sso-session", "corp").is_some());
        assert!(profiles.get("x").is_none() && profiles.get("profile x").is_none());
        let Err(failure) = default.need("role_arn") else { panic!() };
        assert_eq!(failure.0, "the AWS profile lacks role_arn");
    }
}
