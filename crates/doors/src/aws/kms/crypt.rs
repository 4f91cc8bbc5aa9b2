//! `Encrypt`, `Decrypt`, `ReEncrypt`, data keys, random bytes.

use std::collections::BTreeSet;

use strongroom_base::{Error, Json, JsonMap, Result};
use strongroom_engines::transit::aws::{CONTEXT_BYTES_MAX, key_of};

use super::super::input::{Input, given, put, required, text_of};
use super::super::{Key, Planned, Scope};
use super::names::key;
use super::names::{self, key_arn};
use super::{is_unsupported, on};

/// The one algorithm of symmetric keys.
pub const SYMMETRIC: &str = "SYMMETRIC_DEFAULT";
/// All that the model knows.
const ALGORITHMS: &[&str] = &[SYMMETRIC, "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE"];
/// Characters in base64 of the longest ciphertext.
const BLOB_CHARS_MAX: usize = 8_192;
/// The same of the longest plaintext, and some more, so that the engine says what is wrong.
const PLAINTEXT_CHARS_MAX: usize = 16_384;

/// What all operations with a key take: no grant, no other algorithm, no enclave.
fn common(input: &mut Input, body: &mut JsonMap, algorithms: &[&str]) -> Result<()> {
    if input.texts("GrantTokens")?.is_some_and(|tokens| !tokens.is_empty()) {
        return Err(
            Error::bad_request("there are no grants here").called("InvalidGrantTokenException")
        );
    }
    if input.has("Recipient") {
        return Err(is_unsupported());
    }
    for name in algorithms {
        if input.one_of(name, ALGORITHMS)?.is_some_and(|algorithm| algorithm != SYMMETRIC) {
            return Err(Error::bad_request("the algorithm is not one of symmetric keys")
                .called("InvalidKeyUsageException"));
        }
    }
    put(body, "dry_run", input.boolean("DryRun")?);
    Ok(())
}

/// Conditions do not tell the case of names apart.
fn differ_in_more_than_case(context: &JsonMap) -> Result<()> {
    let names: BTreeSet<String> = context.keys().map(|name| name.to_ascii_lowercase()).collect();
    if names.len() == context.len() {
        return Ok(());
    }
    Err(Error::bad_request(
        "two members of the encryption context have names that differ in nothing but their case",
    )
    .called("ValidationException"))
}

/// An encryption context, and what conditions of IAM documents see of it.
fn context(input: &mut Input, member: &str, body: &mut JsonMap, field: &str) -> Result<Vec<Key>> {
    let Some(context) = input.pairs(member)? else { return Ok(Vec::new()) };
    let bytes = |(name, value): (&String, &Json)| {
        name.len().saturating_add(value.as_str().unwrap_or_default().len())
    };
    if context.iter().map(bytes).fold(0, usize::saturating_add) > CONTEXT_BYTES_MAX {
        let text = format!("the encryption context is longer than {CONTEXT_BYTES_MAX} bytes");
        return Err(Error::bad_request(text).called("ValidationException"));
    }
    differ_in_more_than_case(&context)?;
    let names = context.keys().cloned().collect();
    let mut keys = vec![("kms:EncryptionContextKeys".into(), names)];
    for (name, value) in &context {
        let value = value.as_str().unwrap_or_default().to_owned();
        keys.push((format!("kms:EncryptionContext:{name}").into(), vec![value]));
    }
    body.insert(field.to_owned(), Json::Object(context));
    Ok(keys)
}

/// The members that answers about a key have.
fn about(scope: &Scope, answer: &mut Json) -> JsonMap {
    let mut out = JsonMap::new();
    out.insert("KeyId".to_owned(), key_arn(scope, &text_of(answer, "key_id")).into());
    put(&mut out, "CiphertextBlob", given(answer, "ciphertext"));
    put(&mut out, "Plaintext", given(answer, "plaintext"));
    out
}

fn with_algorithm(mut out: JsonMap) -> Json {
    out.insert("EncryptionAlgorithm".to_owned(), SYMMETRIC.into());
    Json::Object(out)
}

/// The answer of an encryption.
fn encrypted(scope: &Scope, mut answer: Json) -> Json {
    with_algorithm(about(scope, &mut answer))
}

/// The answer of a decryption, or with a data key.
fn with_material(scope: &Scope, mut answer: Json) -> JsonMap {
    let mut out = about(scope, &mut answer);
    put(&mut out, "KeyMaterialId", given(&mut answer, "material"));
    out
}

fn decrypted(scope: &Scope, answer: Json) -> Json {
    with_algorithm(with_material(scope, answer))
}

fn data_key_of(scope: &Scope, answer: Json) -> Json {
    Json::Object(with_material(scope, answer))
}

pub fn encrypt(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let mut body = JsonMap::new();
    let plaintext = input.text_within("Plaintext", 1, PLAINTEXT_CHARS_MAX)?;
    put(&mut body, "plaintext", Some(required(plaintext, "Plaintext")?));
    let keys = context(&mut input, "EncryptionContext", &mut body, "context")?;
    common(&mut input, &mut body, &["EncryptionAlgorithm"])?;
    let mut planned = on(key, scope, &mut input, "encrypt", body, encrypted)?;
    planned.keys.extend(keys);
    Ok(planned)
}

/// The ciphertext of a request, and the id of the key that it names itself.
fn blob(input: &mut Input, body: &mut JsonMap) -> Result<Option<String>> {
    let blob = input.text_within("CiphertextBlob", 1, BLOB_CHARS_MAX)?;
    let blob = required(blob, "CiphertextBlob")?;
    let id = key_of(&blob);
    put(body, "ciphertext", Some(blob));
    Ok(id)
}

pub fn decrypt(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let mut body = JsonMap::new();
    if input.has("DryRunModifiers") {
        return Err(is_unsupported());
    }
    let own = blob(&mut input, &mut body)?;
    let keys = context(&mut input, "EncryptionContext", &mut body, "context")?;
    common(&mut input, &mut body, &["EncryptionAlgorithm"])?;
    let mut planned = match (input.has("KeyId"), own) {
        (true, _) => on(key, scope, &mut input, "decrypt", body, decrypted)?,
        (false, Some(id)) => {
            let path = scope.transit("decrypt-own", &id);
            Planned::new(path, body, decrypted).about(key_arn(scope, &id))
        }
        (false, None) => Planned::new(scope.transit("decrypt", ""), body, decrypted),
    };
    planned.keys.extend(keys);
    Ok(planned)
}

fn re_encrypted(scope: &Scope, mut answer: Json) -> Json {
    let mut out = about(scope, &mut answer);
    let source = key_arn(scope, &text_of(&answer, "source_key_id"));
    out.insert("SourceKeyId".to_owned(), source.into());
    out.insert("SourceEncryptionAlgorithm".to_owned(), SYMMETRIC.into());
    out.insert("DestinationEncryptionAlgorithm".to_owned(), SYMMETRIC.into());
    put(&mut out, "SourceKeyMaterialId", given(&mut answer, "source_material"));
    put(&mut out, "DestinationKeyMaterialId", given(&mut answer, "material"));
    Json::Object(out)
}

pub fn re_encrypt(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let mut body = JsonMap::new();
    if input.has("DryRunModifiers") {
        return Err(is_unsupported());
    }
    blob(&mut input, &mut body)?;
    // Each half is asked about with its own context, which the engine tells them.
    context(&mut input, "SourceEncryptionContext", &mut body, "source_context")?;
    context(&mut input, "DestinationEncryptionContext", &mut body, "context")?;
    common(
        &mut input,
        &mut body,
        &["SourceEncryptionAlgorithm", "DestinationEncryptionAlgorithm"],
    )?;
    if let Some(source) = input.text_within("SourceKeyId", 1, 2_048)? {
        put(&mut body, "source_key", Some(names::key(scope, &source)?.path));
    }
    let asked = input.text_within("DestinationKeyId", 1, 2_048)?;
    let key = names::key(scope, &required(asked, "DestinationKeyId")?)?;
    let path = scope.transit("re-encrypt", &key.path);
    Ok(Planned::new(path, body, re_encrypted).about(key.arn))
}

/// How long a data key is asked for.
fn data_key_bytes(input: &mut Input) -> Result<i64> {
    let spec = input.one_of("KeySpec", &["AES_256", "AES_128"])?;
    let bytes = input.integer("NumberOfBytes", 1, 1_024)?;
    match (spec, bytes) {
        (Some(spec), None) => Ok(if spec == "AES_256" { 32 } else { 16 }),
        (None, Some(bytes)) => Ok(bytes),
        _ => Err(Error::bad_request("Please specify either number of bytes or key spec.")
            .called("ValidationException")),
    }
}

fn make_key(scope: &Scope, input: JsonMap, operation: &str) -> Result<Planned> {
    let mut input = Input::new(input);
    let mut body = JsonMap::new();
    put(&mut body, "bytes", Some(data_key_bytes(&mut input)?));
    let keys = context(&mut input, "EncryptionContext", &mut body, "context")?;
    common(&mut input, &mut body, &[])?;
    let mut planned = on(key, scope, &mut input, operation, body, data_key_of)?;
    planned.keys.extend(keys);
    Ok(planned)
}

pub fn data_key(scope: &Scope, input: JsonMap) -> Result<Planned> {
    make_key(scope, input, "data-key")
}

pub fn wrapped_key(scope: &Scope, input: JsonMap) -> Result<Planned> {
    make_key(scope, input, "wrapped-key")
}

fn random_bytes(_: &Scope, mut answer: Json) -> Json {
    let mut out = JsonMap::new();
    put(&mut out, "Plaintext", given(&mut answer, "plaintext"));
    Json::Object(out)
}

pub fn random(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    if input.has("CustomKeyStoreId") || input.has("Recipient") {
        return Err(is_unsupported());
    }
    let mut body = JsonMap::new();
    let bytes = required(input.integer("NumberOfBytes", 1, 1_024)?, "NumberOfBytes")?;
    put(&mut body, "bytes", Some(bytes));
    Ok(Planned::new(scope.transit("random", ""), body, random_bytes))
}
