//! Which parameter a request means, and how one is shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_base::{Error, Json, JsonMap, RawFields, Result, SecretBytes};
use strongroom_crypto::cipher::{Cipher, CipherKey};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Need, ReadCx};
use strongroom_kernel::record::ReadView;

use super::super::rotation;
use super::super::shown_time;
use super::super::target::{self, Right};
use super::judge::Of;
use super::stored::{Kind, of_version, parameter};
use crate::kv::secret::{Head, Representation, Select, Version};
use crate::kv::store::{self, Secret};

/// What an operation on the parameter at the captured path needs.
pub(super) fn needs(
    mount: &Mount,
    captures: &[(&'static str, String)],
    _: &RawFields,
    rights: &[Right],
) -> Vec<Need> {
    target::needs_of_path(mount, captures, rights)
}

/// What a version of a parameter is named by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Which<'a> {
    /// The current one.
    Current,
    /// A number or a label, behind a colon.
    Selected(&'a str),
}

impl<'a> Which<'a> {
    /// Of a request's selector, without its colon.
    pub fn of(selector: Option<&'a str>) -> Self {
        selector.map_or(Self::Current, Self::Selected)
    }

    fn select(self) -> Select<'a> {
        match self {
            Self::Current => Select::Current,
            Self::Selected(text) => match text.parse() {
                Ok(number) => Select::Number(number),
                Err(_) => Select::Alias(text),
            },
        }
    }
}

/// There is no such parameter.
pub(super) fn missing() -> Error {
    Error { public: vec!["The parameter couldn't be found.".to_owned()], ..Error::not_found() }
        .called("ParameterNotFound")
}

/// There is no such version of it.
pub(super) fn no_version() -> Error {
    Error::bad_request("Systems Manager could not find this version of the parameter. Verify the version and try again.")
        .called("ParameterVersionNotFound")
}

/// The parameter at `path`; one whose deletion is scheduled is not there.
pub(super) async fn find(cx: &ReadCx<'_>, path: &str) -> Result<Option<Secret>> {
    let secret = store::find(&cx.view(), path).await?;
    Ok(secret.filter(|secret| secret.head.current > 0))
}

/// The parameter of an operation that asks for the rights to it itself: policy with its constraints, the IAM
/// documents of the caller, which see the parameter's tags, and the secret's own policy.
pub(super) async fn judged(
    cx: &ReadCx<'_>,
    of: &Of<'_>,
    rights: &[Right],
) -> Result<Option<Secret>> {
    target::require(cx, of.path, rights)?;
    let secret = find(cx, of.path).await?;
    of.judge(cx, secret.as_ref().map(|secret| &secret.head))?;
    Ok(secret)
}

/// The version that is meant. What another door deleted, disabled or destroyed is not there.
pub(super) fn version<'h>(
    cx: &ReadCx<'_>,
    head: &'h Head,
    which: Which<'_>,
) -> Result<&'h Version> {
    let found = head.version(which.select()).filter(|v| v.readable(cx.now()).is_some());
    found.ok_or_else(|| if which == Which::Current { missing() } else { no_version() })
}

/// A parameter's value: in plain, or for a secret that is not asked for in plain as a ciphertext.
async fn value(cx: &ReadCx<'_>, head: &Head, version: &Version, plain: bool) -> Result<String> {
    let row = version.readable(cx.now()).ok_or_else(no_version)?;
    let bytes = store::value(&cx.view(), row).await?;
    if parameter(head).kind == Kind::SecureString && !plain {
        return ciphertext(&cx.view(), head, version, &bytes);
    }
    rotation::note_reader(cx, head, version.id);
    match version.representation {
        Representation::Binary => Ok(STANDARD.encode(bytes.expose_secret())),
        Representation::Object | Representation::Text => {
            let text = std::str::from_utf8(bytes.expose_secret());
            let text =
                text.map_err(|_| Error::internal("a stored value is not what it is marked as"))?;
            Ok(text.to_owned())
        }
    }
}

/// What a secret looks like to who does not ask for it in plain. A version has one such text, made with a
/// key of its own that comes of the mount's; no operation opens it.
fn ciphertext(
    view: &ReadView<'_>,
    head: &Head,
    version: &Version,
    value: &SecretBytes,
) -> Result<String> {
    let ids = (head.id.to_be_bytes(), version.id.to_be_bytes());
    let key =
        SecretBytes::new(view.digest_of(&[b"a parameter's ciphertext", &ids.0, &ids.1]).to_vec());
    // One key seals one value: a version's value is never written anew.
    let nonce = [0; 12];
    let sealed = CipherKey::new(Cipher::Aes256Gcm, key.expose_secret())?;
    let sealed = sealed.seal(&nonce, &ids.1, value.expose_secret())?;
    Ok(STANDARD.encode(sealed.get(nonce.len()..).unwrap_or_default()))
}

/// What every answer about a version of a parameter begins with.
pub(super) fn view(path: &str, head: &Head, version: &Version) -> JsonMap {
    let about = parameter(head);
    let data_type = match of_version(head, version).data_type {
        text if text.is_empty() => "text".to_owned(),
        text => text,
    };
    JsonMap::from_iter([
        ("path".to_owned(), path.into()),
        ("rooted".to_owned(), about.rooted.into()),
        ("type".to_owned(), about.kind.name().into()),
        ("version".to_owned(), version.number.into()),
        ("modified".to_owned(), shown_time(version.created)),
        ("data_type".to_owned(), data_type.into()),
    ])
}

/// A version with its value.
pub(super) async fn shown(
    cx: &ReadCx<'_>,
    path: &str,
    head: &Head,
    version: &Version,
    plain: bool,
) -> Result<JsonMap> {
    let mut shown = view(path, head, version);
    shown.insert("value".to_owned(), value(cx, head, version, plain).await?.into());
    Ok(shown)
}

/// What lists and the history tell of a version besides.
pub(super) fn details(head: &Head, version: &Version, shown: &mut JsonMap) {
    let of_version = of_version(head, version);
    let mut put = |name: &str, text: String| {
        if !text.is_empty() {
            shown.insert(name.to_owned(), Json::String(text));
        }
    };
    if parameter(head).kind == Kind::SecureString {
        put("key", key_of(&of_version.key).to_owned());
    }
    put("description", of_version.description);
    put("pattern", of_version.pattern);
    put("tier", of_version.tier.name().to_owned());
    // Of what another door wrote, it is who that door knows.
    let own = version.extra.as_ref().and_then(|extra| extra.parameter.as_deref());
    let user = own.map(|own| &own.user).filter(|user| !user.is_empty());
    put("user", user.unwrap_or(&version.writer).clone());
}

/// The key that a secret parameter names: AWS's default where none was said.
pub(super) fn key_of(key: &str) -> &str {
    if key.is_empty() { "alias/aws/ssm" } else { key }
}

/// The labels of a version.
pub(super) fn labels(head: &Head, version: &Version) -> Vec<String> {
    let labels = head.aliases.iter().filter(|(_, number)| *number == version.number);
    labels.map(|(label, _)| label.clone()).collect()
}

/// A failure of what Secrets Manager shares, by the name that Parameter Store gives it.
pub(super) fn renamed(error: Error) -> Error {
    match error.code {
        Some("InvalidNextTokenException") => error.called("InvalidNextToken"),
        Some("InvalidParameterException" | "InvalidRequestException") => {
            error.called("ValidationException")
        }
        _ => error,
    }
}
