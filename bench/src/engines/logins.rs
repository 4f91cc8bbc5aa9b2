//! Logins: what a caller's proof costs to check, and the token to make.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use strongroom_crypto::jws::{Algorithm, sign_compact};
use strongroom_crypto::keys::{Curve, KeyType, PrivateKey, Scheme};

use super::{Primitive, Requests, Workload};
use crate::{
    http::{Way, request},
    server::Server,
};

/// Different callers, so that no login is that of the request before.
const CALLERS: usize = 64;
/// For how long their proofs hold: longer than a run.
const PROOF: Duration = Duration::from_secs(24 * 3600);
/// What a role gives.
const POLICY: &str = "default";
/// Who they are in Kubernetes.
const NAMESPACE: &str = "production";

/// The workloads of logins; each method is mounted by its own name.
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "approle-login",
            below_peer: Some(10.0),
            prepare: |server, _| approle(server),
            ..Workload::default()
        },
        Workload {
            name: "jwt-login-es256",
            below_peer: Some(10.0),
            prepare: |server, _| jwt(server),
            primitive: Some(verify),
            ..Workload::default()
        },
        Workload {
            name: "kubernetes-login",
            prepare: |server, _| kubernetes(server),
            ..Workload::default()
        },
        Workload {
            name: "cert-login",
            below_peer: Some(10.0),
            prepare: |server, _| cert(server),
            way: shown,
            ..Workload::default()
        },
        Workload {
            name: "userpass-login",
            // Each costs a core some 50 ms.
            connections: Some(4),
            prepare: |server, _| userpass(server),
            ..Workload::default()
        },
    ]
}

/// Mounts a method at its own name.
fn enable(server: &Server, method: &str) -> Result<(), String> {
    let body = json!({ "type": method });
    server.call("POST", &format!("sys/auth/{method}"), &server.root, &body).map(drop)
}

fn text(answer: &Value, name: &str) -> String {
    answer["data"][name].as_str().unwrap_or_default().to_owned()
}

/// Logins by one of these bodies each.
fn logins(path: &str, bodies: impl Iterator<Item = Value>) -> Requests {
    let all: Vec<_> = bodies.map(|body| request("POST", path, "", &body.to_string())).collect();
    Box::new(move |random| all[random.below(all.len())].clone())
}

fn approle(server: &Server) -> Result<Requests, String> {
    enable(server, "approle")?;
    let mut bodies = Vec::new();
    for caller in 0..CALLERS {
        let path = format!("auth/approle/role/app-{caller}");
        let role = json!({ "token_policies": POLICY, "token_ttl": "1h" });
        server.call("POST", &path, &server.root, &role)?;
        let id = server.call("GET", &format!("{path}/role-id"), &server.root, &Value::Null)?;
        let secret = server.call("POST", &format!("{path}/secret-id"), &server.root, &json!({}))?;
        bodies.push(json!({
            "role_id": text(&id.json(), "role_id"),
            "secret_id": text(&secret.json(), "secret_id"),
        }));
    }
    Ok(logins("auth/approle/login", bodies.into_iter()))
}

fn userpass(server: &Server) -> Result<Requests, String> {
    enable(server, "userpass")?;
    let body = json!({ "password": "correct horse battery staple", "token_policies": POLICY });
    server.call("POST", "auth/userpass/users/ann", &server.root, &body)?;
    let login = json!({ "password": "correct horse battery staple" });
    Ok(logins("auth/userpass/login/ann", std::iter::once(login)))
}

/// A key of whoever signs tokens, with its public half in PEM.
fn issuer() -> Result<(PrivateKey, String), String> {
    let key = PrivateKey::generate(KeyType::Ec(Curve::P256)).map_err(|e| e.to_string())?;
    let pem = key.public().map_err(|e| e.to_string())?.to_pem();
    Ok((key, pem))
}

fn signed(key: &PrivateKey, mut claims: Value) -> Result<String, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?;
    claims["iat"] = json!(now.as_secs());
    claims["nbf"] = json!(now.as_secs());
    claims["exp"] = json!((now + PROOF).as_secs());
    let claims = claims.to_string();
    sign_compact(Algorithm::Es(Curve::P256), "bench", claims.as_bytes(), key)
        .map_err(|e| e.to_string())
}

fn jwt(server: &Server) -> Result<Requests, String> {
    enable(server, "jwt")?;
    let (key, pem) = issuer()?;
    let config = json!({
        "jwt_validation_pubkeys": [pem], "bound_issuer": "https://issuer.example",
        "jwt_supported_algs": ["ES256"],
    });
    server.call("POST", "auth/jwt/config", &server.root, &config)?;
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["bench"],
        "bound_claims": { "repository": "org/app" }, "token_policies": POLICY, "token_ttl": "1h",
    });
    server.call("POST", "auth/jwt/role/app", &server.root, &role)?;
    let mut bodies = Vec::new();
    for caller in 0..CALLERS {
        let token = signed(
            &key,
            json!({
                "iss": "https://issuer.example", "aud": "bench", "sub": format!("app-{caller}"),
                "repository": "org/app",
            }),
        )?;
        bodies.push(json!({ "role": "app", "jwt": token }));
    }
    Ok(logins("auth/jwt/login", bodies.into_iter()))
}

fn kubernetes(server: &Server) -> Result<Requests, String> {
    enable(server, "kubernetes")?;
    let (key, pem) = issuer()?;
    let reviewer = reviewer()?;
    // The reviewer has no TLS; the peer wants an authority all the same.
    let (_, authority) = authority(server)?;
    let config = json!({
        "kubernetes_host": reviewer, "kubernetes_ca_cert": authority,
        "token_reviewer_jwt": signed(&key, json!({}))?,
        "pem_keys": [pem], "disable_local_ca_jwt": true, "disable_iss_validation": true,
    });
    server.call("POST", "auth/kubernetes/config", &server.root, &config)?;
    let role = json!({
        "bound_service_account_names": "app-*", "bound_service_account_namespaces": NAMESPACE,
        "token_policies": POLICY, "token_ttl": "1h", "audience": "bench",
    });
    server.call("POST", "auth/kubernetes/role/app", &server.root, &role)?;
    let mut bodies = Vec::new();
    for caller in 0..CALLERS {
        let token = signed(
            &key,
            json!({
                "iss": "https://kubernetes.default.svc", "aud": ["bench"],
                "sub": format!("system:serviceaccount:{NAMESPACE}:app-{caller}"),
                "kubernetes.io": {
                    "namespace": NAMESPACE,
                    "serviceaccount": { "name": format!("app-{caller}"), "uid": uid(caller) },
                },
            }),
        )?;
        bodies.push(json!({ "role": "app", "jwt": token }));
    }
    Ok(logins("auth/kubernetes/login", bodies.into_iter()))
}

/// An authority of the server's own: its name there, and its certificate.
fn authority(server: &Server) -> Result<(String, String), String> {
    let body = json!({ "common_name": "bench", "key_type": "ec", "key_bits": 256, "ttl": "720h" });
    let made = server.call("POST", "pki/root/generate/internal", &server.root, &body)?.json();
    Ok((text(&made, "issuer_id"), text(&made, "certificate")))
}

fn cert(server: &Server) -> Result<Requests, String> {
    enable(server, "cert")?;
    let (issuer, certificate) = authority(server)?;
    let body = json!({ "certificate": certificate, "token_policies": POLICY, "token_ttl": "1h" });
    server.call("POST", "auth/cert/certs/app", &server.root, &body)?;
    let body = json!({
        "issuer_ref": issuer, "allow_any_name": true, "enforce_hostnames": false, "key_type": "ec",
        "key_bits": 256, "max_ttl": "48h",
    });
    server.call("POST", "pki/roles/callers", &server.root, &body)?;
    Ok(logins("auth/cert/login", std::iter::once(json!({ "name": "app" }))))
}

/// A way on which the certificate of a caller is shown.
fn shown(server: &Server) -> Result<Way, String> {
    let body = json!({ "common_name": "app", "ttl": "24h" });
    let made = server.call("POST", "pki/issue/callers", &server.root, &body)?.json();
    server.way_with(&text(&made, "certificate"), &text(&made, "private_key"))
}

fn uid(caller: usize) -> String {
    format!("00000000-0000-4000-8000-{caller:012}")
}

/// A stand-in for the API server: it says of each token that it is good, at once.
fn reviewer() -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that breaks is not this program's concern.
            thread::spawn(move || review(&stream));
        }
    });
    Ok(format!("http://{address}"))
}

fn review(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let caller = body["spec"]["token"].as_str().and_then(caller_of).unwrap_or(0);
        let answer = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "status": {
                "authenticated": true, "audiences": ["bench"],
                "user": {
                    "username": format!("system:serviceaccount:{NAMESPACE}:app-{caller}"),
                    "uid": uid(caller),
                    "groups": ["system:serviceaccounts", "system:authenticated"],
                },
            },
        })
        .to_string();
        let head = format!(
            "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        (&*stream).write_all(format!("{head}{answer}").as_bytes())?;
    }
}

/// Whose token it is.
fn caller_of(token: &str) -> Option<usize> {
    let claims = strongroom_crypto::jws::Compact::parse(token).ok()?.unverified_claims().ok()?;
    claims.get("sub")?.as_str()?.rsplit_once("app-")?.1.parse().ok()
}

#[allow(clippy::expect_used)]
fn verify() -> Primitive {
    let key = PrivateKey::generate(KeyType::Ec(Curve::P256)).expect("a key is made");
    let public = key.public().expect("it has a public half");
    let scheme = Scheme::usual(KeyType::Ec(Curve::P256));
    let message = vec![3; 512];
    let signature = key.sign(scheme, &message).expect("it signs");
    Box::new(move || {
        let good = public.verify(scheme, std::hint::black_box(&message), &signature);
        std::hint::black_box(good.is_ok());
    })
}
