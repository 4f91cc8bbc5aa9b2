//! Calls to AWS's services: where they go, and how they are signed.

use http::{HeaderName, Method};
use strongroom_base::json::Json;
use strongroom_base::{Secret, SecretString};
use strongroom_cloudwire::sigv4::{self, Credentials, Request};
use strongroom_web::{Answer, Call};

use super::super::{Failure, Machine};
use super::profile::Profiles;

/// Characters of a service's own words that are shown.
const WORDS_MAX: usize = 512;

/// What a call is made with.
pub struct Session<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// The shared files.
    pub profiles: Profiles,
    /// The profile in use.
    pub profile: String,
    /// The region.
    pub region: String,
}

/// A request to a service, before it is signed.
pub struct Asked<'a> {
    /// The service's name in signatures.
    pub service: &'static str,
    /// The method.
    pub method: Method,
    /// Scheme and host.
    pub endpoint: &'a str,
    /// The path, encoded as it is sent.
    pub path: &'a str,
    /// The query, without its question mark.
    pub query: &'a str,
    /// Headers beside `host` and those of the signature.
    pub headers: &'a [(&'static str, String)],
    /// The body.
    pub body: Vec<u8>,
}

impl<'a> Session<'a> {
    /// A session by the profile that a key names, or the environment's, in `region`.
    pub fn new(machine: &'a Machine, profile: &str, region: &str) -> Result<Self, Failure> {
        let profiles = Profiles::read(machine)?;
        let named = [Some(profile).filter(|name| !name.is_empty())]
            .into_iter()
            .chain(["AWS_PROFILE", "AWS_DEFAULT_PROFILE"].map(|name| machine.filled(name)))
            .find_map(|name| name);
        if let Some(name) = named
            && profiles.get(name).is_none()
        {
            return Err(Failure::new(format!(
                "could not load AWS config: failed to get shared config profile, {name}"
            )));
        }
        let profile = named.unwrap_or("default").to_owned();
        Ok(Self { machine, profiles, profile, region: region.to_owned() })
    }

    /// The region that the environment or the profile name.
    pub fn usual_region(&self) -> Option<String> {
        ["AWS_REGION", "AWS_DEFAULT_REGION"]
            .iter()
            .find_map(|name| self.machine.filled(name))
            .or_else(|| self.profiles.get(&self.profile)?.get("region"))
            .map(str::to_owned)
    }

    /// Where `service` answers: what the environment or the profile say, else AWS's own.
    pub fn endpoint(&self, service: &str) -> String {
        self.configured_endpoint(service).unwrap_or_else(|| {
            let fips = self.machine.filled("AWS_USE_FIPS_ENDPOINT") == Some("true");
            let name = if fips { format!("{service}-fips") } else { service.to_owned() };
            format!("https://{name}.{}.{}", self.region, domain(&self.region))
        })
    }

    /// The endpoint that was set in place of AWS's own.
    pub fn configured_endpoint(&self, service: &str) -> Option<String> {
        let machine = self.machine;
        if machine.filled("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") == Some("true") {
            return None;
        }
        let own = format!("AWS_ENDPOINT_URL_{}", service.to_ascii_uppercase());
        let profile = self.profiles.get(&self.profile);
        let of_services = || {
            let services = self.profiles.referred("services", profile?.get("services")?)?;
            services.get(&format!("{service}.endpoint_url"))
        };
        let url = machine
            .filled(&own)
            .or_else(|| machine.filled("AWS_ENDPOINT_URL"))
            .or_else(of_services)
            .or_else(|| profile?.get("endpoint_url"))?;
        Some(url.trim_end_matches('/').to_owned())
    }

    /// Signs and sends.
    pub fn send(&self, asked: Asked<'_>, credentials: &Credentials) -> Result<Answer, Failure> {
        let host = asked.endpoint.split_once("://").map_or("", |(_, host)| host);
        let payload = sigv4::hash_of(&asked.body);
        let mut headers = vec![("host".to_owned(), host.to_owned())];
        let is_s3 = asked.service == "s3";
        if is_s3 {
            headers.push(("x-amz-content-sha256".to_owned(), payload.clone()));
        }
        headers
            .extend(asked.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let request = Request {
            method: asked.method.as_str(),
            path: asked.path,
            query: asked.query,
            headers: &headers,
            payload: &payload,
            normalise: !is_s3,
        };
        let now = self.machine.now();
        let signed = sigv4::sign(request, credentials, &self.region, asked.service, now);
        let query =
            if asked.query.is_empty() { String::new() } else { format!("?{}", asked.query) };
        let mut call = Call::get(format!("{}{}{query}", asked.endpoint, asked.path));
        call.method = asked.method;
        call.body = Secret::new(asked.body);
        for (name, value) in headers.iter().skip(1).chain(&signed) {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Failure::new("a header's name is none"))?;
            call = call.header(name, value)?;
        }
        self.call(call)
    }

    /// Sends what needs no signature.
    pub fn call(&self, call: Call) -> Result<Answer, Failure> {
        let Some(path) = self.machine.filled("AWS_CA_BUNDLE") else {
            return self.machine.call(call);
        };
        let ca = std::fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("AWS_CA_BUNDLE: {path}: {error}")))?;
        self.machine.call(call.with_ca(&ca))
    }
}

/// The domain of a region's services (AWS General Reference, "AWS service endpoints"; partitions).
fn domain(region: &str) -> &'static str {
    match region.split('-').next().unwrap_or_default() {
        "cn" => "amazonaws.com.cn",
        "eusc" => "amazonaws.eu",
        "us" if region.starts_with("us-isob-") => "sc2s.sgov.gov",
        "us" if region.starts_with("us-isof-") => "csp.hci.ic.gov",
        "us" if region.starts_with("us-iso-") => "c2s.ic.gov",
        "eu" if region.starts_with("eu-isoe-") => "cloud.adc-e.uk",
        _ => "amazonaws.com",
    }
}

/// What a service says of a refusal: its name for it, and its words.
pub fn refusal(answer: &Answer) -> Failure {
    let status = answer.status;
    let json = answer.json().ok();
    let text = |name: &str| json.as_ref().and_then(|json| json.get(name)).and_then(Json::as_str);
    // The name may have a namespace before it, and a URL behind it.
    let kind = text("__type").or_else(|| text("code")).unwrap_or_default();
    let kind = kind.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default();
    let words = text("message").or_else(|| text("Message")).unwrap_or_default();
    let words: String = words.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect();
    let mut said = format!("HTTP status {status}");
    for part in [kind, &words] {
        if !part.is_empty() {
            said.push_str(": ");
            said.push_str(part);
        }
    }
    Failure::new(said)
}

/// A secret text of a JSON object.
pub fn secret_of(json: &Json, name: &str) -> Option<SecretString> {
    json.get(name).and_then(Json::as_str).map(|text| SecretString::new(text.to_owned()))
}
