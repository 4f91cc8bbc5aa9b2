//! `sts:GetCallerIdentity`: the request by which a caller of AWS shows a third party who it is. The
//! caller signs it, the third party sends it, and STS answers whose signature it was (Vault, "AWS auth
//! method").

use strongroom_base::Timestamp;

use crate::sigv4::{Credentials, Request, hash_of, sign};

/// The header that binds a signature to the server it is meant for.
pub const SERVER_ID_HEADER: &str = "X-Vault-AWS-IAM-Server-ID";
/// The body.
pub const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// A signed request.
pub struct Signed {
    /// The URL it is signed for.
    pub url: String,
    /// All its headers.
    pub headers: Vec<(String, String)>,
}

/// The host of the region's STS. The empty region has the global one.
pub fn host(region: &str) -> String {
    match region {
        "" => "sts.amazonaws.com".to_owned(),
        cn if cn.starts_with("cn-") => format!("sts.{cn}.amazonaws.com.cn"),
        region => format!("sts.{region}.amazonaws.com"),
    }
}

/// Signs the request. The empty region stands for the global STS, whose signatures name `us-east-1`;
/// an empty `server_id` leaves its header away.
pub fn signed(credentials: &Credentials, region: &str, server_id: &str, at: Timestamp) -> Signed {
    let host = host(region);
    let mut headers = vec![
        ("Content-Type".to_owned(), "application/x-www-form-urlencoded; charset=utf-8".to_owned()),
        ("Host".to_owned(), host.clone()),
    ];
    if !server_id.is_empty() {
        headers.push((SERVER_ID_HEADER.to_owned(), server_id.to_owned()));
    }
    let payload = hash_of(BODY.as_bytes());
    let request = Request::post("/", &headers, &payload);
    let region = if region.is_empty() { "us-east-1" } else { region };
    let added = sign(request, credentials, region, "sts", at);
    headers.extend(added);
    Signed { url: format!("https://{host}/"), headers }
}
