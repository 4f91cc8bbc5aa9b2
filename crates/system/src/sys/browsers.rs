//! What browsers may do and get (API pages "/sys/config/cors", "/sys/config/ui"). The door obeys
//! these settings; here they are read and written.

use serde::Serialize;
use strongroom_base::{Error, Json, Result, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::record::Scope;
use strongroom_kernel::web::{Cors, UiHeaders};

use super::System;

/// Adds the operations of this file.
pub fn add_browsers(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<ReadCors>("config/cors")
        .command::<PutCors>("config/cors")
        .command::<DeleteCors>("config/cors")
        .query::<ListUiHeaders>("config/ui/headers")
        .query::<ReadUiHeader>("config/ui/headers/{header}")
        .command::<PutUiHeader>("config/ui/headers/{header}")
        .command::<DeleteUiHeader>("config/ui/headers/{header}")
}

/// Origins and headers in one setting, each.
const LIST_MAX: usize = 1_000;
/// Values of one header.
const VALUES_MAX: usize = 100;
/// Bytes of a header's value.
const VALUE_BYTES_MAX: usize = 4_096;
/// Headers of the user interface.
const HEADERS_MAX: usize = 200;

fields! {
    /// Tells which origins' pages may use this server.
    pub struct ReadCors {}
}

/// `sys/config/cors`.
#[derive(Serialize)]
pub struct CorsView {
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_origins: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_headers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_credentials: Option<bool>,
}

ops! { ReadCors CorsView, Read, Sudo; }

impl Query<ReadCors> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadCors) -> Result<Reply<CorsView>> {
        let cors = cx.kernel_tx().read(Scope::ROOT).named::<Cors>(0, "").await?;
        let cors = cors.filter(|cors| cors.enabled);
        Ok(Reply::data(CorsView {
            enabled: cors.is_some(),
            allowed_headers: cors.as_ref().map(Cors::all_headers),
            allow_credentials: cors.as_ref().map(|cors| cors.credentials),
            allowed_origins: cors.map(|cors| cors.origins),
        })
        .flat())
    }
}

fields! {
    /// Lets pages of other origins use this server.
    pub struct PutCors {
        /// Accepted; the setting is in force once it is written.
        enable: Option<bool>,
        /// The origins; a single `*` is all.
        allowed_origins: Vec<String>,
        /// Headers they may send, beyond the standard ones.
        allowed_headers: Vec<String>,
        /// May browsers send credentials of their own along?
        allow_credentials: Option<bool>,
    }
}

ops! { PutCors (), Write, Sudo; }

impl Command<PutCors> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutCors) -> Result<Reply<()>> {
        let origins = op.allowed_origins;
        if origins.is_empty() {
            let text = "at least one origin or the wildcard must be provided";
            return Err(Error::bad_request(text));
        }
        if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
            return Err(Error::bad_request(
                "to allow all origins the '*' must be the only value for allowed_origins",
            ));
        }
        if origins.len() > LIST_MAX || op.allowed_headers.len() > LIST_MAX {
            return Err(Error::bad_request("too many origins or headers"));
        }
        if !origins.iter().all(|origin| is_value(origin)) {
            return Err(Error::bad_request("an origin holds a character that none may have"));
        }
        if !op.allowed_headers.iter().all(|name| is_name(name)) {
            return Err(Error::bad_request("an allowed header is no header name"));
        }
        let cors = Cors {
            enabled: true,
            origins,
            headers: op.allowed_headers,
            credentials: op.allow_credentials.unwrap_or(false),
        };
        cx.kernel_tx().write(Scope::ROOT).put_named(0, "", &cors)?;
        Ok(Reply::none())
    }
}

fields! {
    /// Lets no page of another origin use this server any more.
    pub struct DeleteCors {}
}

ops! { DeleteCors (), Delete, Sudo; }

impl Command<DeleteCors> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, _: DeleteCors) -> Result<Reply<()>> {
        cx.kernel_tx().write(Scope::ROOT).delete_named::<Cors>(0, "");
        Ok(Reply::none())
    }
}

/// Is it a header's name (RFC 9110, "token")?
fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.len() <= 128 && name.bytes().all(allowed)
}

/// Can it stand in a header's value?
fn is_value(value: &str) -> bool {
    value.len() <= VALUE_BYTES_MAX && value.bytes().all(|b| (0x20..0x7f).contains(&b))
}

/// A header's name as headers are written: `X-Frame-Options`.
fn canonical(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let mut chars = word.chars();
        let first = chars.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(chars.map(|c| c.to_ascii_lowercase())).collect::<String>()
    });
    words.collect::<Vec<_>>().join("-")
}

async fn ui_headers(cx: &ReadCx<'_>) -> Result<UiHeaders> {
    let root = cx.kernel_tx().read(Scope::ROOT);
    Ok(root.named::<UiHeaders>(0, "").await?.unwrap_or_default())
}

fields! {
    /// Lists the headers that are set for the user interface.
    pub struct ListUiHeaders {}
}

/// `sys/config/ui/headers`.
#[derive(Serialize)]
pub struct UiHeaderNames {
    keys: Vec<String>,
}

ops! { ListUiHeaders UiHeaderNames, List, Sudo; }

impl Query<ListUiHeaders> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ListUiHeaders) -> Result<Reply<UiHeaderNames>> {
        let keys: Vec<String> = ui_headers(cx).await?.headers.into_keys().collect();
        if keys.is_empty() {
            return Err(Error::not_found());
        }
        Ok(Reply::data(UiHeaderNames { keys }))
    }
}

fields! {
    /// Tells what a header of the user interface is set to.
    pub struct ReadUiHeader {
        /// Its name.
        header: String,
        /// Give all values?
        multivalue: Option<bool>,
    }
}

/// A header's values.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UiHeaderView {
    /// The first one.
    Value(String),
    /// All.
    Values(Vec<String>),
}

ops! { ReadUiHeader UiHeaderView, Read, Sudo; }

impl Query<ReadUiHeader> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadUiHeader) -> Result<Reply<UiHeaderView>> {
        let values = ui_headers(cx).await?.headers.remove(&canonical(&op.header));
        let values = values.unwrap_or_default();
        let first = values.first().cloned().ok_or_else(Error::not_found)?;
        Ok(Reply::data(match op.multivalue {
            Some(true) => UiHeaderView::Values(values),
            _ => UiHeaderView::Value(first),
        }))
    }
}

fields! {
    /// Sets a header of the user interface.
    pub struct PutUiHeader {
        /// Its name.
        header: String,
        /// Its values. A text is one value, commas and all.
        values: Option<Json>,
    }
}

ops! { PutUiHeader (), Write, Sudo; }

/// The texts of a list; a text alone is a list of one.
fn texts(values: Option<Json>) -> Vec<String> {
    match values {
        Some(Json::String(text)) => vec![text],
        Some(Json::Array(items)) => {
            items.into_iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}

impl Command<PutUiHeader> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutUiHeader) -> Result<Reply<()>> {
        let name = canonical(&op.header);
        let values = texts(op.values);
        if values.is_empty() {
            return Err(Error::bad_request("header and values must be specified"));
        }
        if name.starts_with("X-Vault-") {
            return Err(Error::bad_request("X-Vault headers cannot be set"));
        }
        if !is_name(&name) {
            return Err(Error::bad_request("the header's name is malformed"));
        }
        if values.len() > VALUES_MAX || !values.iter().all(|value| is_value(value)) {
            return Err(Error::bad_request("a value is malformed, or there are too many"));
        }
        let mut all = ui_headers(cx).await?;
        let csp = name == "Content-Security-Policy";
        all.headers.insert(name, values);
        if all.headers.len() > HEADERS_MAX {
            return Err(Error::bad_request("too many headers"));
        }
        cx.kernel_tx().write(Scope::ROOT).put_named(0, "", &all)?;
        let reply = Reply::none().status(200);
        Ok(match csp {
            true => reply.warn(
                "overriding default Content-Security-Policy which is secure by default, proceed \
                 with caution",
            ),
            false => reply,
        })
    }
}

fields! {
    /// Takes a header of the user interface back.
    pub struct DeleteUiHeader {
        /// Its name.
        header: String,
    }
}

ops! { DeleteUiHeader (), Delete, Sudo; }

impl Command<DeleteUiHeader> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteUiHeader) -> Result<Reply<()>> {
        let mut all = ui_headers(cx).await?;
        if all.headers.remove(&canonical(&op.header)).is_some() {
            cx.kernel_tx().write(Scope::ROOT).put_named(0, "", &all)?;
        }
        Ok(Reply::none())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use strongroom_kernel::web;

    use crate::testing;

    #[tokio::test]
    async fn cross_origin_settings() {
        let node = testing::node().await;
        let at = "sys/config/cors";
        let got = node.root("READ", at, Value::Null).await;
        assert_eq!(got.data(), &json!({ "enabled": false }));
        assert_eq!(got.body["enabled"], false);
        for bad in [
            json!({}),
            json!({ "allowed_origins": "*,http://a" }),
            json!({ "allowed_origins": ["http://a\r\nx: y"] }),
            json!({ "allowed_origins": ["http://a"], "allowed_headers": ["a b"] }),
        ] {
            assert_eq!(node.root("WRITE", at, bad.clone()).await.status, 400, "{bad}");
        }
        assert!(!web::cors(&node.services().store).await.expect("read").enabled);
        let set = json!({ "allowed_origins": "http://a,http://b", "allowed_headers": "X-Own" });
        assert_eq!(node.root("WRITE", at, set).await.status, 204);
        let cors = web::cors(&node.services().store).await.expect("read");
        assert!(cors.allows("http://b") && !cors.allows("http://c"));
        let got = node.root("READ", at, Value::Null).await;
        assert_eq!(got.data()["allowed_origins"], json!(["http://a", "http://b"]));
        assert_eq!(got.data()["allow_credentials"], false);
        let headers = got.data()["allowed_headers"].as_array().expect("a list");
        assert_eq!(
            (headers.len(), &headers[0], &headers[10]),
            (11, &json!("Content-Type"), &json!("X-Own"))
        );
        assert_eq!(node.root("DELETE", at, Value::Null).await.status, 204);
        assert!(!web::cors(&node.services().store).await.expect("read").enabled);
    }

    #[tokio::test]
    async fn headers_of_the_user_interface() {
        let node = testing::node().await;
        let at = "sys/config/ui/headers";
        assert_eq!(node.root("LIST", at, Value::Null).await.status, 404);
        for (name, body) in [
            ("x-own", json!({})),
            ("x-vault-own", json!({ "values": ["a"] })),
            ("x-own", json!({ "values": ["a\nb"] })),
            ("x(own", json!({ "values": ["a"] })),
        ] {
            let got = node.root("WRITE", &format!("{at}/{name}"), body).await;
            assert_eq!(got.status, 400, "{name}");
        }
        let set = json!({ "values": ["a, b", "c"] });
        assert_eq!(node.root("WRITE", &format!("{at}/x-OWN"), set).await.status, 200);
        let csp = format!("{at}/content-security-policy");
        let set = json!({ "values": "default-src 'none'" });
        let got = node.root("WRITE", &csp, set).await;
        assert!(got.body["warnings"][0].as_str().is_some_and(|w| w.contains("caution")));
        let got = node.root("READ", &format!("{at}/X-Own"), Value::Null).await;
        assert_eq!(got.data(), &json!({ "value": "a, b" }));
        let got = node.root("READ", &format!("{at}/X-Own?multivalue=true"), Value::Null).await;
        assert_eq!(got.data(), &json!({ "values": ["a, b", "c"] }));
        let got = node.root("LIST", at, Value::Null).await;
        assert_eq!(got.data()["keys"], json!(["Content-Security-Policy", "X-Own"]));
        assert_eq!(node.root("DELETE", &format!("{at}/x-own"), Value::Null).await.status, 204);
        assert_eq!(node.root("READ", &format!("{at}/x-own"), Value::Null).await.status, 404);
    }
}
