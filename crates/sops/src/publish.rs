//! Where files are published to: a bucket of S3 or of Google Cloud Storage gets the file as it is, Vault
//! gets its values.

use http::Method;
use serde_json::json;
use strongroom_base::json::{Json, JsonMap};
use strongroom_client::{Request, join_path};
use strongroom_cloudwire::sigv4::uri_encode;
use strongroom_cloudwire::xml;
use strongroom_web::{Answer, Call};

use crate::error::{Error, Result};
use crate::keys::aws::{self, Asked, Session};
use crate::keys::{Failure, Machine, gcp, vault};

/// Where the engine of a Vault destination is mounted unless something else is said.
const KV_MOUNT: &str = "secret/";
/// Where Google Cloud Storage is.
const GCS: &str = "https://storage.googleapis.com";

/// A place for files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Destination {
    /// A bucket of S3.
    S3(Bucket),
    /// A bucket of Google Cloud Storage.
    Gcs(Bucket),
    /// A key-value engine of Vault.
    Vault(VaultPlace),
}

/// A bucket, and what stands before the names of files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bucket {
    /// The bucket's name.
    pub bucket: String,
    /// What stands before each name.
    pub prefix: String,
}

/// A place in a key-value engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VaultPlace {
    /// The server; that of the environment where it is missing.
    pub address: Option<String>,
    /// The path, with a slash at its end.
    path: String,
    /// Where the engine is mounted, with a slash at its end.
    mount: String,
    /// The engine's version.
    version: u8,
}

impl VaultPlace {
    /// A place as the configuration names it. A version that is neither 1 nor 2 is 2.
    pub fn new(address: &str, path: &str, mount: &str, version: i64) -> Self {
        let ended =
            |text: &str| if text.ends_with('/') { text.to_owned() } else { format!("{text}/") };
        Self {
            address: (!address.is_empty()).then(|| address.to_owned()),
            path: ended(path),
            mount: ended(if mount.is_empty() { KV_MOUNT } else { mount }),
            version: if version == 1 { 1 } else { 2 },
        }
    }

    fn path_of(&self, file: &str) -> String {
        let data = if self.version == 1 { "" } else { "data/" };
        format!("{}{data}{}{file}", self.mount, self.path)
    }
}

/// What became of values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Published {
    /// They were written.
    Written,
    /// They were there already, at this path.
    UpToDate(String),
    /// They were written to this path without a look at what was there: it could not be read.
    WrittenBlindly(String),
}

impl Destination {
    /// Does it get values in place of a file?
    pub fn takes_values(&self) -> bool {
        matches!(self, Self::Vault(_))
    }

    /// Where a file goes, as people know it.
    pub fn shown(&self, file: &str, machine: &Machine) -> String {
        match self {
            Self::S3(Bucket { bucket, prefix }) => format!("s3://{bucket}/{prefix}{file}"),
            Self::Gcs(Bucket { bucket, prefix }) => format!("gcs://{bucket}/{prefix}{file}"),
            Self::Vault(place) => {
                let usual = || vault::usual_address(machine);
                let address = place.address.clone().unwrap_or_else(usual);
                format!("{address}/v1/{}", place.path_of(file))
            }
        }
    }

    /// Uploads an encrypted file.
    pub fn upload(&self, contents: &[u8], file: &str, machine: &Machine) -> Result<()> {
        let outcome = match self {
            Self::S3(place) => to_s3(place, contents, file, machine),
            Self::Gcs(place) => to_gcs(place, contents, file, machine),
            Self::Vault(_) => {
                Err(Failure::new("Vault does not support uploading encrypted sops files directly."))
            }
        };
        outcome.map_err(|failure| Error::general(failure.0))
    }

    /// Writes the values of a decrypted file.
    pub fn write(&self, values: JsonMap, file: &str, machine: &Machine) -> Result<Published> {
        let Self::Vault(place) = self else {
            return Err(Error::general(
                "buckets do not support uploading the unencrypted file contents.",
            ));
        };
        to_vault(place, values, file, machine).map_err(|failure| Error::general(failure.0))
    }
}

/// An object's name in a path: what it is but for its slashes, encoded.
fn encoded(name: &str) -> String {
    name.split('/').map(uri_encode).collect::<Vec<_>>().join("/")
}

/// `PutObject`. A bucket has a host of its own unless its name or a set endpoint forbid that.
fn to_s3(place: &Bucket, contents: &[u8], file: &str, machine: &Machine) -> Result<(), Failure> {
    let bucket = &place.bucket;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    if bucket.is_empty() || !bucket.bytes().all(plain) {
        return Err(Failure::new(format!("{bucket:?} is no name of a bucket")));
    }
    let mut session = Session::new(machine, "", "")?;
    session.region = session
        .usual_region()
        .ok_or_else(|| Failure::new("no AWS region is set: neither AWS_REGION nor a profile's"))?;
    let key = encoded(&format!("{}{file}", place.prefix));
    let (endpoint, path) = match session.configured_endpoint("s3") {
        Some(endpoint) => (endpoint, format!("/{bucket}/{key}")),
        None if bucket.contains(['.', '_']) => (session.endpoint("s3"), format!("/{bucket}/{key}")),
        None => {
            let endpoint = session.endpoint("s3");
            (endpoint.replacen("https://", &format!("https://{bucket}."), 1), format!("/{key}"))
        }
    };
    let credentials = aws::session_credentials(&session, false)?;
    let asked = Asked {
        service: "s3",
        method: Method::PUT,
        endpoint: &endpoint,
        path: &path,
        query: "",
        headers: &[("content-type", "application/octet-stream".to_owned())],
        body: contents.to_vec(),
    };
    let answer = session.send(asked, &credentials)?;
    if answer.is_success() {
        return Ok(());
    }
    Err(s3_refusal(&answer).within("operation error S3: PutObject"))
}

/// S3 says what it refuses in XML.
fn s3_refusal(answer: &Answer) -> Failure {
    let Ok(error) = xml::parse(&answer.body) else { return aws::refusal(answer) };
    let part = |name| error.text_of(name).unwrap_or_default();
    Failure::new(format!("HTTP status {}: {}: {}", answer.status, part("Code"), part("Message")))
}

/// `Objects: insert` (Cloud Storage JSON API).
fn to_gcs(place: &Bucket, contents: &[u8], file: &str, machine: &Machine) -> Result<(), Failure> {
    let emulator = machine.filled("STORAGE_EMULATOR_HOST").map(|host| {
        let whole = host.starts_with("http://") || host.starts_with("https://");
        let host = host.trim_end_matches('/');
        if whole { host.to_owned() } else { format!("http://{host}") }
    });
    let name = uri_encode(&format!("{}{file}", place.prefix));
    let base = emulator.as_deref().unwrap_or(GCS);
    let bucket = uri_encode(&place.bucket);
    let url = format!("{base}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}");
    let mut call = Call::post(url, "application/octet-stream", contents.to_vec());
    // Whoever tests with an emulator has no credentials for it.
    if emulator.is_none() {
        call = call.bearer(gcp::access_token(machine)?.expose_secret())?;
    }
    let answer = machine.call(call)?;
    if answer.is_success() {
        return Ok(());
    }
    Err(gcp::refusal(&answer).within("Google Cloud Storage"))
}

fn to_vault(
    place: &VaultPlace,
    mut values: JsonMap,
    file: &str,
    machine: &Machine,
) -> Result<Published, Failure> {
    let client = vault::client(place.address.as_deref(), machine)?;
    let path = join_path(&[&place.path_of(file)]);
    let failed = |error: strongroom_client::Error| Failure::new(error.to_string());
    let read = machine.wait(client.send(Request::get(&path)))?;
    let read = read.and_then(strongroom_client::Reply::envelope);
    let blindly = read.is_err();
    let there = read.ok().flatten().and_then(|envelope| envelope.data);
    let there = match (place.version, there) {
        (1, there) => there,
        (_, Some(mut data)) => match data.remove("data") {
            Some(Json::Object(map)) => Some(map),
            _ => None,
        },
        (_, None) => None,
    };
    let same = there.as_ref() == Some(&values);
    if let Some(mut there) = there {
        strongroom_base::json::wipe_map(&mut there);
    }
    if same {
        strongroom_base::json::wipe_map(&mut values);
        return Ok(Published::UpToDate(path));
    }
    let body = if place.version == 1 { Json::Object(values) } else { json!({ "data": values }) };
    let reply = machine.wait(client.send(Request::put(&path, body)))?.map_err(failed)?;
    reply.written().map_err(failed)?;
    Ok(if blindly { Published::WrittenBlindly(path) } else { Published::Written })
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
