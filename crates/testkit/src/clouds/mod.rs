//! Clouds as their API pages describe them, for tests that can't reach the real ones.

pub mod aws;
pub mod azure;
pub mod google;
pub mod workspace;

use serde_json::{Value, json};
use strongroom_crypto::jws::{Algorithm, Jwk, sign_compact};
use strongroom_crypto::keys::{Hash, KeyType, PrivateKey};

/// Who signs tokens by RS256.
pub struct Signer {
    /// The name of its key.
    pub kid: String,
    /// Its key.
    pub key: PrivateKey,
}

impl Signer {
    /// With a new key called `kid`.
    pub fn new(kid: &str) -> Self {
        let key = PrivateKey::generate(KeyType::Rsa(2048)).expect("a key");
        Self { kid: kid.to_owned(), key }
    }

    /// Its public key in JSON.
    pub fn jwk(&self) -> Value {
        let public = self.key.public().expect("a public half");
        let jwk = Jwk::of(public).unwrap_or_else(|_| panic!("a key that may sign"));
        let mut json: Value = serde_json::from_str(jwk.canonical()).expect("JSON");
        json["kid"] = json!(self.kid);
        json["alg"] = json!("RS256");
        json["use"] = json!("sig");
        json
    }

    /// The set of this key.
    pub fn set(&self) -> Value {
        json!({ "keys": [self.jwk()] })
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_by(Algorithm::Rs(Hash::Sha256), claims)
    }

    /// A token with these claims, by another algorithm.
    pub fn sign_by(&self, algorithm: Algorithm, claims: &Value) -> String {
        let claims = claims.to_string();
        sign_compact(algorithm, &self.kid, claims.as_bytes(), &self.key).expect("signs")
    }

    /// Ways of passing a token off as signed: no signature, a MAC with the public key, another
    /// algorithm of the same key, a signature cut off, a header that says "critical".
    pub fn tricks(&self, claims: &Value) -> Vec<String> {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
        let part = |json: Value| BASE64.encode(json.to_string());
        let kid = &self.kid;
        let good = self.sign(claims);
        let signature = good.rsplit('.').next().unwrap_or_default();
        let mut all = vec![
            self.sign_by(Algorithm::Ps(Hash::Sha256), claims),
            self.sign_by(Algorithm::Rs(Hash::Sha512), claims),
            good.trim_end_matches(signature).to_owned(),
            good.trim_end_matches(&format!(".{signature}")).to_owned(),
            format!("{good}.{signature}"),
        ];
        for alg in ["none", "None", "HS256", ""] {
            let signed =
                format!("{}.{}", part(json!({"alg": alg, "kid": kid})), part(claims.clone()));
            let public = self.key.public().expect("a public half");
            let mac = strongroom_crypto::HmacKey::new(public.spki_der()).mac(&[signed.as_bytes()]);
            all.push(format!("{signed}."));
            all.push(format!("{signed}.{}", BASE64.encode(mac)));
        }
        let critical = part(json!({"alg": "RS256", "kid": kid, "crit": ["x"], "x": 1}));
        all.push(format!("{critical}.{}.{signature}", part(claims.clone())));
        // The key that signed comes along with the token.
        let other = Signer::new(kid);
        let header = part(json!({"alg": "RS256", "kid": kid, "jwk": other.jwk()}));
        let signed = format!("{header}.{}", part(claims.clone()));
        let scheme = strongroom_crypto::keys::Scheme::Pkcs1(Hash::Sha256);
        let by_other = other.key.sign(scheme, signed.as_bytes()).expect("signs");
        all.push(format!("{signed}.{}", BASE64.encode(by_other)));
        all
    }
}
