//! Requests as AWS's SDKs send them: with their headers, signed one by one.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use strongroom_base::{SecretString, Timestamp};
use strongroom_cloudwire::sigv4::{Credentials, Request, hash_of, sign};

/// The region of all requests.
const REGION: &str = "us-east-1";

/// Who signs, and for which server.
pub struct Caller {
    host: String,
    credentials: Credentials,
}

impl Caller {
    /// Signs for the server at this address.
    pub fn new(address: SocketAddr, access_key: String, secret_key: String) -> Self {
        let secret_key = SecretString::new(secret_key);
        let credentials = Credentials { access_key, secret_key, session_token: None };
        Self { host: address.to_string(), credentials }
    }

    /// The bytes of a request of an operation as `secretsmanager.GetSecretValue`.
    pub fn request(&self, operation: &str, body: &str) -> Vec<u8> {
        let (target, name) = operation.split_once('.').unwrap_or((operation, ""));
        let service = if target == "TrentService" { "kms" } else { target };
        let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = [
            text("Host", &self.host),
            text("Content-Type", "application/x-amz-json-1.1"),
            text("X-Amz-Target", &format!("{target}.{name}")),
        ];
        let payload = hash_of(body.as_bytes());
        let request = Request::post("/", &headers, &payload);
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let now = Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
        let signed = sign(request, &self.credentials, REGION, service, now);
        let mut out = "POST / HTTP/1.1\r\n".to_owned();
        for (name, value) in headers.iter().chain(&signed) {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        // What boto3 sends besides, unsigned.
        out.push_str(
            "User-Agent: Boto3/1.44.8 md/Botocore#1.44.8 ua/2.1 os/linux lang/python#3.11\r\n\
             Accept-Encoding: identity\r\n\
             amz-sdk-invocation-id: 1c5c2b1a-6a5f-4a0c-9a0e-0d1f2e3c4b5a\r\n\
             amz-sdk-request: attempt=1\r\n",
        );
        out.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        out.into_bytes()
    }
}
