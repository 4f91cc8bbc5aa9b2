//! Credentials of Huawei Cloud, as its SDKs look for them: variables, a file, the machine's metadata.

use std::io::Read;
use std::path::PathBuf;

use strongroom_base::SecretString;
use strongroom_base::json::Json;
use strongroom_web::Call;
use zeroize::Zeroizing;

use super::super::{Failure, Machine};

/// Bytes of a file with credentials, at most.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The metadata of the machine ("Obtaining a Temporary AK/SK").
const METADATA: &str = "http://169.254.169.254/openstack/latest/securitykey";

/// Who makes a call.
pub struct Credentials {
    pub access_key: String,
    pub secret_key: SecretString,
    /// Of a session that ends.
    pub token: Option<SecretString>,
    /// The project, where it is said.
    pub project: Option<String>,
}

impl Credentials {
    /// The first that are there.
    pub fn find(machine: &Machine) -> Result<Self, Failure> {
        let variable = |name: &str| machine.filled(&format!("HUAWEICLOUD_SDK_{name}"));
        let project = variable("PROJECT_ID").map(str::to_owned);
        if let (Some(access_key), Some(secret_key)) = (variable("AK"), variable("SK")) {
            return Ok(Self {
                access_key: access_key.to_owned(),
                secret_key: SecretString::new(secret_key.to_owned()),
                token: variable("SECURITY_TOKEN").map(|it| SecretString::new(it.to_owned())),
                project,
            });
        }
        if let Some(found) = of_file(machine) {
            return Ok(found);
        }
        of_metadata(machine).map_err(|failure| {
            failure.within(
                "failed to get HuaweiCloud credentials: neither HUAWEICLOUD_SDK_AK and \
                 HUAWEICLOUD_SDK_SK nor a file of credentials, and the machine's metadata",
            )
        })
    }
}

/// The section `basic` of the file.
fn of_file(machine: &Machine) -> Option<Credentials> {
    let named = machine.filled("HUAWEICLOUD_SDK_CREDENTIALS_FILE").map(PathBuf::from);
    let path = named.or_else(|| Some(machine.home()?.join(".huaweicloud/credentials")))?;
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(path).ok()?;
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    let mut inside = false;
    let (mut access_key, mut secret_key, mut token, mut project) = (None, None, None, None);
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.trim_matches(['[', ']']).trim() == "basic";
        }
        let Some((name, value)) = line.split_once('=').filter(|_| inside) else { continue };
        let value = value.trim();
        match (name.trim(), value.is_empty()) {
            (_, true) => {}
            ("ak", _) => access_key = Some(value.to_owned()),
            ("sk", _) => secret_key = Some(SecretString::new(value.to_owned())),
            ("security_token", _) => token = Some(SecretString::new(value.to_owned())),
            ("project_id", _) => project = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(Credentials { access_key: access_key?, secret_key: secret_key?, token, project })
}

fn of_metadata(machine: &Machine) -> Result<Credentials, Failure> {
    let answer = machine.call(Call::get(METADATA))?;
    if !answer.is_success() {
        return Err(Failure::new(format!("HTTP status {}", answer.status)));
    }
    let mut answer = answer.json()?;
    let mut take = |name: &str| match answer.get_mut("credential")?.get_mut(name)?.take() {
        Json::String(text) if !text.is_empty() => Some(SecretString::new(text)),
        _ => None,
    };
    let (access, secret, token) = (take("access"), take("secret"), take("securitytoken"));
    let (Some(access), Some(secret_key)) = (access, secret) else {
        return Err(Failure::new("the machine has no agency"));
    };
    let access_key = access.expose_secret().clone();
    let project = machine.filled("HUAWEICLOUD_SDK_PROJECT_ID").map(str::to_owned);
    Ok(Credentials { access_key, secret_key, token, project })
}
