//! `transit`: keys that are brought into a `transit` mount, wrapped here so that they travel unseen.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_base::json::Json;
use strongroom_base::{Secret, SecretBytes};
use strongroom_crypto::keys::{Hash, PrivateKey, PublicKey, pem_blocks};
use strongroom_crypto::keywrap;
use zeroize::Zeroizing;

use super::command::{Command, Fail, Outcome, io_reason};
use super::context::Context;
use super::data::clean_path;
use super::input;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::group(
        "transit",
        "Bring keys into a transit engine",
        "
Brings a key from elsewhere into a transit engine. It is wrapped before it leaves this machine.

    $ {bin} transit import transit/keys/orders @key.b64 type=aes256-gcm96
    $ {bin} transit import-version transit/keys/orders @next.b64",
    ),
    Command::new(
        "transit import",
        "PATH KEY [K=V...]",
        "Make a key of one from elsewhere",
        "
Makes a key of one from elsewhere: KEY is base64 (of its bytes, or of PKCS#8 for a private key), or
a private key in PEM; better than in the arguments it stands in @FILE, or - for the standard input.
Pairs are settings of the new key, as \"{bin} write PATH/import\" takes them.

    $ {bin} transit import transit/keys/orders @key.b64 type=aes256-gcm96
    $ {bin} transit import transit/keys/release @key.pem type=ecdsa-p256",
        |cx| import(cx, "import"),
    ),
    Command::new(
        "transit import-version",
        "PATH KEY [K=V...]",
        "Make a version of an imported key of one from elsewhere",
        "
Makes a new version of an imported key, or gives one its private half.

    $ {bin} transit import-version transit/keys/orders @next.b64",
        |cx| import(cx, "import_version"),
    ),
];

/// The mount and the API's path of a key's path.
fn paths(text: &str, operation: &str) -> Result<(String, String), Fail> {
    let path = clean_path(text);
    let (mount, name) = path
        .rsplit_once('/')
        .and_then(|(front, name)| Some((front.strip_suffix("/keys")?, name)))
        .filter(|(mount, name)| !mount.is_empty() && !name.is_empty())
        .ok_or_else(|| {
            Fail::usage("expected transit path and key name in the form :path:/keys/:name:")
        })?;
    Ok((mount.to_owned(), format!("{mount}/keys/{name}/{operation}")))
}

/// The bytes of a key: base64, or what a PEM text holds.
fn material(text: &str) -> Result<SecretBytes, Fail> {
    if text.contains("-----BEGIN ") {
        let unread = |_| Fail::usage("error reading source key material: the PEM does not parse");
        // A key that is PKCS#8 already is taken as it is, whatever its type.
        let blocks = pem_blocks(text).map_err(unread)?;
        if let Some((_, der)) = blocks.iter().find(|(label, _)| label == "PRIVATE KEY") {
            return Ok(der.duplicate());
        }
        return Ok(PrivateKey::from_pem(text).map_err(unread)?.to_pkcs8_der().duplicate());
    }
    let bytes = STANDARD.decode(text);
    // An error of the decoder's would show a part of it.
    let bytes = bytes.map_err(|_| Fail::usage("error base64 decoding source key material"))?;
    Ok(Secret::new(bytes))
}

fn hash(named: Option<&Json>) -> Result<Hash, Fail> {
    match named.and_then(Json::as_str).unwrap_or("SHA256").to_uppercase().as_str() {
        "SHA1" => Ok(Hash::Sha1),
        "SHA256" => Ok(Hash::Sha256),
        "SHA384" => Ok(Hash::Sha384),
        "SHA512" => Ok(Hash::Sha512),
        _ => Err(Fail::usage("unknown hash_function: SHA1, SHA256, SHA384 and SHA512 are known")),
    }
}

fn import(cx: &mut Context<'_, '_>, operation: &str) -> Outcome {
    if cx.args.len() < 2 {
        return Err(Fail::usage(format!(
            "Incorrect argument count (expected 2+, got {}). Wanted PATH to import into and KEY \
             material.",
            cx.args.len()
        )));
    }
    let (mount, path) = paths(cx.arg(0), operation)?;
    let given = cx.arg(1).to_owned();
    let key = material(cx.secret_argument(&given, "Key (base64): ")?.expose_secret())?;
    let words = cx.args.get(2..).unwrap_or_default().to_vec();
    let mut data = input::parse_data(&mut cx.input(), &words)
        .map_err(|problem| Fail::usage(format!("Failed to parse extra K=V data: {problem}")))?;
    let hash = hash(data.get("hash_function"))?;

    cx.ui.say("Retrieving wrapping key.");
    let wrapping = cx.http()?.read(&format!("{mount}/wrapping_key"));
    let doing = "failed to fetch wrapping key";
    let wrapping = wrapping.map_err(|e| Fail::server(doing, &e).with_code(3))?;
    let wrapping = wrapping.and_then(|envelope| envelope.data?.get("public_key").cloned());
    let wrapping = wrapping.as_ref().and_then(Json::as_str);
    let wrapping = wrapping.and_then(|pem| PublicKey::from_pem(pem).ok());
    let wrapping = wrapping.ok_or_else(|| {
        Fail::remote(format!("{doing}: there is none at {mount}/wrapping_key")).with_code(3)
    })?;

    cx.ui.say("Wrapping source key with ephemeral key.");
    let mut aes = Zeroizing::new([0; 32]);
    (cx.world().random)(aes.as_mut_slice())
        .map_err(|e| Fail::remote(format!("no randomness: {}", io_reason(&e))))?;
    let failed = |e: strongroom_base::Error| {
        Fail::remote(format!("failure wrapping source key: {}", e.public.join("; ")))
    };
    let wrapped = keywrap::wrap(&aes, key.expose_secret()).map_err(failed)?;
    cx.ui.say("Encrypting ephemeral key with wrapping key.");
    let mut ciphertext = wrapping.encrypt_oaep(hash, aes.as_slice()).map_err(failed)?;
    ciphertext.extend(wrapped);
    data.insert("ciphertext".to_owned(), STANDARD.encode(ciphertext).into());

    cx.ui.say("Submitting wrapped key.");
    let answer = cx.http()?.write(&path, Json::Object(data));
    answer.map_err(|e| Fail::server("failed to call import", &e).with_code(3))?;
    cx.ui.say("Success!");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_keys() {
        let (mount, path) = paths("/a/b/keys/k/", "import").unwrap();
        assert_eq!((mount.as_str(), path.as_str()), ("a/b", "a/b/keys/k/import"));
        for none in ["transit/k", "keys/k", "transit/keys", "transit/keys/", "transit/keys/a/b"] {
            assert!(paths(none, "import").is_err(), "{none}");
        }
    }

    #[test]
    fn keys_are_read_and_never_shown() {
        assert_eq!(material("AAEC").unwrap().expose_secret(), &[0, 1, 2]);
        let key = PrivateKey::generate(strongroom_crypto::keys::KeyType::Ed25519).unwrap();
        let pem = key.to_pkcs8_pem();
        let read = material(pem.expose_secret()).unwrap();
        assert_eq!(read.expose_secret(), key.to_pkcs8_der().expose_secret());
        for wrong in ["c2VjcmV0!", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n"] {
            let said = material(wrong).unwrap_err().text;
            assert!(!said.contains("c2Vj"), "{said}");
        }
    }
}
