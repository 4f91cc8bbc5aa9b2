//! `keys/NAME/csr` and `keys/NAME/set-certificate`: certificates for keys that stay here.

use serde_json::json;
use strongroom_base::{Error, Json, Result, fields};
use strongroom_crypto::keys::PublicKey;
use strongroom_crypto::x509::{
    Certificate, Name, Request, RequestTemplate, SignatureAlgorithm, pem_blocks,
};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::record::rows;

use super::Transit;
use super::key::Key;
use super::keys::{save, to_change};
use super::kind::Kind;
use super::limits::CHAIN_BYTES_MAX;
use super::ring::{Ring, stored};

fields! {
    /// Signs a certificate request with a key: an empty one, or a given one with this key in the place
    /// of its own.
    pub struct MakeRequest {
        /// The key's name.
        name: String,
        /// The version; the latest where nothing is said.
        version: Option<i64>,
        /// A request in PEM, whose subject and extensions are taken over.
        csr: Option<String>,
    }
}
fields! {
    /// Sets the certificates of a version, in place of those that it has.
    pub struct SetCertificate {
        /// The key's name.
        name: String,
        /// The version; the latest where nothing is said.
        version: Option<i64>,
        /// Certificates in PEM, that of the key first.
        certificate_chain: Option<String>,
    }
}

ops! {
    MakeRequest Json, Write;
    SetCertificate Json, Write;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.query::<MakeRequest>("keys/{name}/csr")
        .command::<SetCertificate>("keys/{name}/set-certificate")
}

fn wrong(text: impl Into<String>) -> Error {
    Error::bad_request(text)
}

/// Refuses keys that no certificate can be for; gives the number of the version that is asked for.
fn version_of(key: &Key, asked: Option<i64>) -> Result<u64> {
    let name = key.kind.name();
    if !key.kind.signs() {
        return Err(wrong(format!("key type '{name}' does not support signing")));
    }
    if !matches!(key.kind, Kind::Pair(_)) {
        return Err(wrong(format!("certificates are not supported for keys of type {name}")));
    }
    if key.is_derived() {
        return Err(wrong("operation not supported for keys with derivation enabled"));
    }
    let Some(asked) = asked else { return Ok(key.latest()) };
    u64::try_from(asked).map_err(|_| wrong("no such key version"))
}

fn missing(name: &str) -> Error {
    wrong(format!("key with provided name '{name}' not found"))
}

impl Query<MakeRequest> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: MakeRequest) -> Result<Reply<Json>> {
        let ring = Ring::find(&cx.view(), &op.name).await?.ok_or_else(|| missing(&op.name))?;
        let number = version_of(&ring.key, op.version)?;
        ring.in_use()?;
        let template = match op.csr.as_deref().filter(|text| !text.is_empty()) {
            None => RequestTemplate { subject: Name::empty(), extensions: Vec::new() },
            Some(text) => {
                let (blocks, _) =
                    pem_blocks(text).map_err(|_| wrong("could not decode PEM CSR"))?;
                let block = blocks.first().ok_or_else(|| wrong("could not decode PEM CSR"))?;
                let read = Request::from_der(&block.der)
                    .map_err(|why| wrong(format!("could not parse the csr: {why}")))?;
                RequestTemplate { subject: read.subject, extensions: read.extensions }
            }
        };
        let version = ring.load(&cx.view(), number).await?;
        let private = version.pair()?.private.as_ref().ok_or_else(|| {
            wrong("could not create the csr: private key not imported for key version selected")
        })?;
        let algorithm = SignatureAlgorithm::for_key(private.key_type(), 256, false);
        let request = template.sign(private, algorithm)?;
        Ok(Reply::data(json!({
            "csr": format!("{}\n", request.pem()),
            "name": op.name,
            "type": ring.key.kind.name(),
        })))
    }
}

/// The certificates of a text, if they are a chain: the leaf first and authorities behind it.
fn chain_of(text: &str) -> Result<Vec<Certificate>> {
    if text.len() > CHAIN_BYTES_MAX {
        return Err(wrong("the certificate chain is too long"));
    }
    let (blocks, _) = pem_blocks(text)
        .map_err(|_| wrong("could not decode a PEM block in the certificate chain"))?;
    let mut chain = Vec::new();
    for block in blocks.iter().filter(|block| block.label.ends_with("CERTIFICATE")) {
        chain.push(Certificate::from_der(&block.der).map_err(|why| {
            wrong(format!("could not parse a certificate in the certificate chain: {why}"))
        })?);
    }
    let failed = |why: &str| wrong(format!("failed to persist certificate chain: {why}"));
    let Some((leaf, above)) = chain.split_first() else {
        return Err(wrong(
            "provided certificate chain did not contain any valid PEM encoded certificate",
        ));
    };
    if leaf.is_authority() {
        return Err(failed("certificate in the first element is not a valid leaf certificate"));
    }
    if above.last().is_some_and(|last| !last.is_authority()) {
        return Err(failed("certificate in the last element is not a valid CA certificate"));
    }
    if !above.iter().all(Certificate::is_authority) {
        return Err(failed(
            "could not validate if there is only one leaf certificate in the provided chain",
        ));
    }
    Ok(chain)
}

impl Command<SetCertificate> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: SetCertificate) -> Result<Reply<Json>> {
        let mut key = to_change(cx, &op.name, missing(&op.name)).await?;
        let number = version_of(&key, op.version)?;
        Ring::new(key.clone()).in_use()?;
        let text = op.certificate_chain.unwrap_or_default();
        let chain = chain_of(&text)?;
        if !key.usable().contains(&number) {
            return Err(wrong("no such key version"));
        }
        let mut version = stored(&cx.view(), &key, number).await?;
        let public = PublicKey::from_spki_der(&version.public)?;
        let leaf = chain.first().and_then(|leaf| leaf.public_key().ok());
        if leaf != Some(public) {
            return Err(wrong(
                "failed to persist certificate chain: leaf certificate public key does not match \
                 the selected key version",
            ));
        }
        version.chain = chain.iter().map(|certificate| certificate.der().to_vec()).collect();
        let edit = cx.edit();
        let row = edit.new_id();
        edit.put_row(rows::VALUES, row, &version)?;
        if let Some(old) = key.replace(number, row) {
            edit.delete_row(rows::VALUES, old);
        }
        save(cx, &op.name, &mut key).await?;
        Ok(Reply::data(json!({
            "certificate_chain": text,
            "name": op.name,
            "type": key.kind.name(),
        })))
    }
}
