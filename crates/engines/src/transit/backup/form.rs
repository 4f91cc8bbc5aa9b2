//! The text of a backup, field by field as OpenBao writes it ("observed: bao 2.6"; Vault's has the same
//! members). Numbers of RSA and ECDSA keys stand in it in decimal, as Go's JSON has them.
//!
//! Invariant: what is read is checked as a whole before anything is stored: every version must be
//! there and be a key of the type that the settings name.

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, Rng, Secret, SecretBytes, Timestamp};
use strongroom_crypto::keys::{
    Curve, KeyType, PrivateKey, PublicKey, RsaParts, from_decimal, pem_blocks, to_decimal,
};
use strongroom_crypto::ml_dsa::MlDsaKey;
use strongroom_crypto::ml_kem::MlKemKey;

use super::super::encoding::{decode, encode};
use super::super::key::{Derivation, Event, Key, Version};
use super::super::kind::Kind;
use super::super::limits::{
    AUTO_ROTATE_SECONDS_MIN, HMAC_KEY_BYTES_MAX, HMAC_KEY_BYTES_MIN, VERSION_MAX, VERSIONS_MAX,
};
use super::super::material::{ed25519_pair, take_ml_dsa, take_ml_kem, take_pair};

/// The only convergent encryption that there still is.
const CONVERGENT_VERSION: i64 = 3;
/// The numbers of the two derivations.
const COUNTER: i64 = 0;
const HKDF: i64 = 1;
/// Bytes that an entry takes at most: an RSA key's numbers in decimal, twice.
const ENTRY_BYTES: usize = 12 * 1024;
/// Vault's number of HMAC keys, which is OpenBao's of XChaCha20.
const VAULTS_HMAC: u64 = 11;

/// A member of ours, which the peers pass over: convergent nonces depend on associated data.
const BINDS: &str = "strongroom_binds_associated_data";

/// A member of ours, too: the id that what AWS's door has sealed names.
const ID: &str = "strongroom_id";
/// Is that the id of what AWS calls a multi-Region key?
const MULTI_REGION: &str = "strongroom_multi_region";

/// What a backup holds.
pub struct Restored {
    /// The key's name when it was made.
    pub name: String,
    /// Its settings, without versions.
    pub key: Key,
    /// Its versions, oldest first.
    pub versions: Vec<Version>,
}

fn bad(what: &str) -> Error {
    Error::bad_request(format!("the backup is damaged: {what}"))
}

/// Writes a backup of `key` with all its versions and their numbers.
pub fn write(name: &str, key: &Key, versions: &[(u64, Version)]) -> Result<Vec<u8>> {
    let mut in_use = JsonMap::new();
    let mut archived = Vec::new();
    if key.min_available_version == 0 {
        // The archive counts from zero, which no version has.
        archived.push(empty_entry());
    }
    for (number, version) in versions {
        let entry = entry(key, version)?;
        if key.usable().contains(number) {
            in_use.insert(number.to_string(), entry.clone());
        }
        archived.push(entry);
    }
    let event = |event: Option<Event>| match event {
        None => Json::Null,
        Some(event) => json!({ "time": event.time.to_string(), "version": event.version }),
    };
    let mut policy = json!({
        "name": name,
        "keys": in_use,
        "derived": key.is_derived(),
        "kdf": if key.derivation == Derivation::Hkdf { HKDF } else { COUNTER },
        "convergent_encryption": key.convergent,
        "exportable": key.exportable,
        "min_decryption_version": key.min_decryption_version,
        "min_encryption_version": key.min_encryption_version,
        "latest_version": key.latest(),
        "archive_version": key.latest(),
        "archive_min_version": key.min_available_version,
        "min_available_version": key.min_available_version,
        "deletion_allowed": key.deletion_allowed,
        "convergent_version": if key.convergent { -1 } else { 0 },
        "type": key.kind.number(),
        "backup_info": event(key.backup),
        "restore_info": event(key.restore),
        "allow_plaintext_backup": key.allow_plaintext_backup,
        "version_template": "",
        "storage_prefix": "",
        "auto_rotate_period": key.auto_rotate_seconds.saturating_mul(1_000_000_000),
        "Imported": key.imported,
        "AllowImportedKeyRotation": key.allow_rotation,
        "soft_deleted": key.soft_deleted,
        BINDS: key.binds_associated_data,
        ID: format!("{:032x}", key.id),
        MULTI_REGION: key.multi_region,
    });
    if key.key_size != 0
        && let Json::Object(policy) = &mut policy
    {
        policy.insert("key_size".to_owned(), json!(key.key_size));
    }
    let backup = json!({ "policy": policy, "archived_keys": { "keys": archived } });
    // It does not grow while it is written, which would leave copies behind.
    let mut out = Vec::with_capacity(ENTRY_BYTES * (versions.len() * 2 + 1));
    strongroom_base::json::write(&mut out, &backup);
    wipe(backup);
    Ok(out)
}

fn wipe(mut json: Json) {
    strongroom_base::json::wipe(&mut json);
}

fn empty_entry() -> Json {
    json!({
        "key": null, "hmac_key": null, "time": "0001-01-01T00:00:00Z", "ec_x": null, "ec_y": null,
        "ec_d": null, "rsa_key": null, "rsa_public_key": null, "public_key": "",
        "convergent_version": 0, "creation_time": 0, "certificate_chain": null,
    })
}

/// A big-endian number as a JSON number.
fn number(bytes: &[u8]) -> Result<Json> {
    let number = to_decimal(bytes).parse::<serde_json::Number>();
    number.map(Json::Number).map_err(|_| Error::internal("a decimal number is no JSON number"))
}

fn entry(key: &Key, version: &Version) -> Result<Json> {
    let mut shown = empty_entry();
    let Json::Object(map) = &mut shown else { return Ok(shown) };
    let mut set = |name: &str, value: Json| {
        map.insert(name.to_owned(), value);
    };
    set("time", json!(version.created.to_string()));
    set("creation_time", json!(version.created.seconds()));
    let hmac = if key.kind == Kind::Hmac { &version.secret } else { &version.hmac };
    set("hmac_key", json!(encode(hmac)));
    if key.convergent {
        set("convergent_version", json!(CONVERGENT_VERSION));
    }
    if !version.chain.is_empty() {
        let chain: Vec<String> = version.chain.iter().map(|der| encode(der)).collect();
        set("certificate_chain", json!(chain));
    }
    let Kind::Pair(kind) = key.kind else {
        set("key", json!(encode(&version.secret)));
        return Ok(shown);
    };
    let public = PublicKey::from_spki_der(&version.public)?;
    let private = match version.secret.as_slice() {
        [] => None,
        der => Some(PrivateKey::from_pkcs8_der(der)?),
    };
    match kind {
        KeyType::Ed25519 => {
            set("public_key", json!(encode(public.raw())));
            if let Some(private) = private {
                let mut bytes = private.ed25519_seed()?.expose_secret().clone();
                bytes.extend_from_slice(public.raw());
                let bytes = SecretBytes::new(bytes);
                set("key", json!(encode(bytes.expose_secret())));
            }
        }
        KeyType::Ec(curve) => {
            set("public_key", json!(public.to_pem()));
            let point = public.raw();
            let half = |range: std::ops::Range<usize>| point.get(range).unwrap_or_default();
            set("ec_x", number(half(1..1 + curve.bytes()))?);
            set("ec_y", number(half(1 + curve.bytes()..1 + 2 * curve.bytes()))?);
            if let Some(private) = private {
                set("ec_d", number(private.ec_scalar()?.expose_secret())?);
            }
        }
        KeyType::Rsa(_) => {
            let (n, e) =
                public.rsa().ok_or_else(|| Error::internal("an RSA key has no modulus"))?;
            set("rsa_public_key", json!({ "N": number(&n)?, "E": number(&e)? }));
            if let Some(private) = private {
                set("rsa_key", rsa_key(&private.rsa_parts()?)?);
            }
        }
    }
    Ok(shown)
}

fn rsa_key(parts: &RsaParts) -> Result<Json> {
    let [p, q] = &parts.primes;
    let [dp, dq] = &parts.exponents;
    Ok(json!({
        "N": number(&parts.n)?,
        "E": number(&parts.e)?,
        "D": number(parts.d.expose_secret())?,
        "Primes": [number(p.expose_secret())?, number(q.expose_secret())?],
        "Precomputed": {
            "Dp": number(dp.expose_secret())?,
            "Dq": number(dq.expose_secret())?,
            "Qinv": number(parts.coefficient.expose_secret())?,
            "CRTValues": [],
        },
    }))
}

/// Reads a backup. `rng` makes the HMAC keys that the oldest versions have not.
pub fn read(text: &[u8], rng: &dyn Rng) -> Result<Restored> {
    let backup = strongroom_base::json::parse_bounded(text).map_err(|_| bad("it is no JSON"))?;
    let restored = read_all(&backup, rng);
    wipe(backup);
    restored
}

fn read_all(backup: &Json, rng: &dyn Rng) -> Result<Restored> {
    let policy = backup.get("policy").filter(|policy| policy.is_object());
    let policy = policy.ok_or_else(|| bad("it has no policy"))?;
    let mut key = settings(policy)?;
    let latest = count(policy, "latest_version")?;
    let first = key.min_available_version.max(1);
    let more = latest.checked_sub(first).filter(|_| latest <= VERSION_MAX);
    if more.is_none_or(|more| more >= VERSIONS_MAX as u64) {
        return Err(bad("its versions"));
    }
    let bounds = [key.min_decryption_version, key.min_encryption_version.max(first)];
    if bounds.iter().any(|bound| !(first..=latest).contains(bound)) {
        return Err(bad("its versions"));
    }
    let archive = backup.get("archived_keys").and_then(|archive| archive.get("keys"));
    let archive = archive.and_then(Json::as_array);
    let offset = key.min_available_version;
    let mut versions = Vec::new();
    for number in first..=latest {
        let in_use = policy.get("keys").and_then(|keys| keys.get(number.to_string()));
        let archived = usize::try_from(number - offset).ok();
        let archived = archived.and_then(|at| archive.and_then(|archive| archive.get(at)));
        let entry = in_use.or(archived).ok_or_else(|| bad("a version is missing"))?;
        versions.push(version(&mut key, policy, entry, rng)?);
    }
    Ok(Restored { name: text_of(policy, "name").to_owned(), key: key.starting_at(first), versions })
}

fn text_of<'j>(json: &'j Json, name: &str) -> &'j str {
    json.get(name).and_then(Json::as_str).unwrap_or_default()
}

fn flag(json: &Json, name: &str) -> bool {
    json.get(name).and_then(Json::as_bool).unwrap_or(false)
}

/// A number not below zero; 0 where there is none.
fn count(json: &Json, name: &str) -> Result<u64> {
    match json.get(name) {
        None | Some(Json::Null) => Ok(0),
        Some(value) => value.as_u64().ok_or_else(|| bad(name)),
    }
}

fn integer(json: &Json, name: &str) -> i64 {
    json.get(name).and_then(Json::as_i64).unwrap_or(0)
}

fn time(json: &Json, name: &str) -> Timestamp {
    // What lies before the epoch is Go's way to say that there is none.
    let read = Timestamp::parse(text_of(json, name)).unwrap_or(Timestamp::ZERO);
    if read.0 < 0 { Timestamp::ZERO } else { read }
}

fn settings(policy: &Json) -> Result<Key> {
    let key_size = count(policy, "key_size")?;
    let kind = match count(policy, "type")? {
        VAULTS_HMAC if key_size != 0 => Kind::Hmac,
        number => Kind::numbered(number).ok_or_else(|| bad("the key's type is unknown"))?,
    };
    let derivation = match (flag(policy, "derived"), integer(policy, "kdf")) {
        (false, _) => Derivation::None,
        (true, HKDF) => Derivation::Hkdf,
        (true, COUNTER) => Derivation::Counter,
        _ => return Err(bad("the key's derivation is unknown")),
    };
    let convergent = flag(policy, "convergent_encryption");
    kind.check_derivation(derivation != Derivation::None, convergent)?;
    if convergent && derivation != Derivation::Hkdf {
        return Err(bad("convergent encryption needs derivation"));
    }
    let prefix = text_of(policy, "version_template");
    if !prefix.is_empty() && prefix != "vault:v{{version}}:" {
        return Err(Error::bad_request("the backup's ciphertexts have a form of their own"));
    }
    let event = |name: &str| {
        let event = policy.get(name).filter(|event| event.is_object())?;
        Some(Event { time: time(event, "time"), version: count(event, "version").ok()? })
    };
    let mut key = Key::new(kind, derivation, convergent);
    key.exportable = flag(policy, "exportable");
    key.allow_plaintext_backup = flag(policy, "allow_plaintext_backup");
    key.deletion_allowed = flag(policy, "deletion_allowed");
    key.soft_deleted = flag(policy, "soft_deleted");
    key.imported = flag(policy, "Imported");
    key.allow_rotation = flag(policy, "AllowImportedKeyRotation");
    key.min_decryption_version = count(policy, "min_decryption_version")?.max(1);
    key.min_encryption_version = count(policy, "min_encryption_version")?;
    key.min_available_version = count(policy, "min_available_version")?;
    key.auto_rotate_seconds = integer(policy, "auto_rotate_period") / 1_000_000_000;
    if key.auto_rotate_seconds != 0 && key.auto_rotate_seconds < AUTO_ROTATE_SECONDS_MIN {
        return Err(bad("its period of rotation"));
    }
    key.binds_associated_data = flag(policy, BINDS);
    key.backup = event("backup_info");
    key.id = u128::from_str_radix(text_of(policy, ID), 16).unwrap_or(0);
    key.multi_region = flag(policy, MULTI_REGION);
    Ok(key)
}

fn bytes_of(entry: &Json, name: &str) -> Result<SecretBytes> {
    decode(text_of(entry, name)).map_err(|_| bad(name))
}

/// A decimal number as bytes; none where it is null or missing.
fn decimal(entry: &Json, name: &str) -> Result<Option<SecretBytes>> {
    match entry.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Number(number)) => {
            let text = Secret::new(number.to_string());
            let bytes = from_decimal(text.expose_secret()).ok_or_else(|| bad(name))?;
            Ok(Some(Secret::new(bytes)))
        }
        Some(_) => Err(bad(name)),
    }
}

fn required(entry: &Json, name: &str) -> Result<SecretBytes> {
    decimal(entry, name)?.ok_or_else(|| bad(name))
}

fn version(key: &mut Key, policy: &Json, entry: &Json, rng: &dyn Rng) -> Result<Version> {
    let mut created = time(entry, "time");
    if created.is_zero() {
        created = Timestamp::from_seconds(integer(entry, "creation_time"));
    }
    let mut version = Version::made_at(created);
    if key.convergent {
        let own = integer(entry, "convergent_version");
        let known = if own == 0 { integer(policy, "convergent_version") } else { own };
        if known != CONVERGENT_VERSION {
            return Err(Error::bad_request(
                "the backup's convergent encryption is of an old kind that is not supported",
            ));
        }
    }
    match key.kind {
        Kind::Cipher(cipher) => {
            version.secret = bytes_of(entry, "key")?.expose_secret().clone();
            if version.secret.len() != cipher.key_bytes() {
                return Err(bad("a key is of another length than its type"));
            }
        }
        Kind::Hmac => {
            version.secret = bytes_of(entry, "key")?.expose_secret().clone();
            if !(HMAC_KEY_BYTES_MIN..=HMAC_KEY_BYTES_MAX).contains(&version.secret.len()) {
                return Err(bad("a key is of another length than its type"));
            }
            key.key_size = version.secret.len();
        }
        Kind::Pair(kind) => take_pair_of(&mut version, kind, entry)?,
        Kind::MlDsa(set) => {
            let der = bytes_of(entry, "key")?;
            take_ml_dsa(&mut version, &MlDsaKey::from_pkcs8_der(set, der.expose_secret())?);
        }
        Kind::MlKem(set) => {
            let bytes = bytes_of(entry, "key")?;
            take_ml_kem(&mut version, &MlKemKey::from_bytes(set, bytes.expose_secret())?);
        }
    }
    if key.kind != Kind::Hmac {
        version.hmac = bytes_of(entry, "hmac_key")?.expose_secret().clone();
        if version.hmac.is_empty() {
            version.hmac = rng.array::<32>().to_vec();
        }
    }
    for certificate in entry.get("certificate_chain").and_then(Json::as_array).into_iter().flatten()
    {
        let der = decode(certificate.as_str().unwrap_or_default());
        let der = der.map_err(|_| bad("certificate_chain"))?;
        version.chain.push(der.expose_secret().clone());
    }
    Ok(version)
}

/// Reads a pair, or its public half where that is all there is.
fn take_pair_of(version: &mut Version, kind: KeyType, entry: &Json) -> Result<()> {
    let (private, public) = match kind {
        KeyType::Ed25519 => ed25519(entry)?,
        KeyType::Ec(curve) => ecdsa(entry, curve)?,
        KeyType::Rsa(_) => rsa(entry)?,
    };
    if let Some(pair) = private {
        take_pair(version, &pair)?;
        if pair.key_type() != kind {
            return Err(bad("a key is of another type than the settings say"));
        }
        return Ok(());
    }
    let public = public.ok_or_else(|| bad("a version has no key"))?;
    if public.key_type() != kind {
        return Err(bad("a key is of another type than the settings say"));
    }
    version.public = public.spki_der().to_vec();
    Ok(())
}

type Halves = (Option<PrivateKey>, Option<PublicKey>);

fn ed25519(entry: &Json) -> Result<Halves> {
    let key = bytes_of(entry, "key")?;
    match key.expose_secret().as_slice() {
        [] => {
            let public = bytes_of(entry, "public_key")?;
            Ok((None, Some(PublicKey::from_ed25519(public.expose_secret())?)))
        }
        bytes if bytes.len() == 64 => {
            let (seed, public) = bytes.split_at(32);
            let pair = ed25519_pair(seed)?;
            if pair.public()?.raw() != public {
                return Err(bad("the halves of a key do not fit"));
            }
            Ok((Some(pair), None))
        }
        _ => Err(bad("a key is of another length than its type")),
    }
}

fn ecdsa(entry: &Json, curve: Curve) -> Result<Halves> {
    let blocks = pem_blocks(text_of(entry, "public_key"))?;
    let der = blocks.first().map(|(_, der)| der.expose_secret().clone()).unwrap_or_default();
    let public = PublicKey::from_spki_der(&der)?;
    let Some(scalar) = decimal(entry, "ec_d")? else { return Ok((None, Some(public))) };
    let pair = PrivateKey::from_ec_scalar(curve, scalar.expose_secret())?;
    if pair.public()? != public {
        return Err(bad("the halves of a key do not fit"));
    }
    Ok((Some(pair), None))
}

fn rsa(entry: &Json) -> Result<Halves> {
    let Some(key) = entry.get("rsa_key").filter(|key| key.is_object()) else {
        let public = entry.get("rsa_public_key").ok_or_else(|| bad("a version has no key"))?;
        let (n, e) = (required(public, "N")?, required(public, "E")?);
        return Ok((None, Some(PublicKey::from_rsa(n.expose_secret(), e.expose_secret())?)));
    };
    let primes = key.get("Primes").and_then(Json::as_array).filter(|primes| primes.len() == 2);
    let [p, q] = primes.map(Vec::as_slice).unwrap_or_default() else {
        return Err(bad("an RSA key has not two primes"));
    };
    let computed = key.get("Precomputed").ok_or_else(|| bad("Precomputed"))?;
    let prime = |prime: &Json| {
        let number = prime.as_number().map(|number| Secret::new(number.to_string()));
        let bytes = number.and_then(|text| from_decimal(text.expose_secret()));
        bytes.map(Secret::new).ok_or_else(|| bad("Primes"))
    };
    let parts = RsaParts {
        n: required(key, "N")?.expose_secret().clone(),
        e: required(key, "E")?.expose_secret().clone(),
        d: required(key, "D")?,
        primes: [prime(p)?, prime(q)?],
        exponents: [required(computed, "Dp")?, required(computed, "Dq")?],
        coefficient: required(computed, "Qinv")?,
    };
    Ok((Some(PrivateKey::from_rsa_parts(&parts)?), None))
}
