//! `login -method=oidc`: a person logs in by a provider, in a browser or on another device.
//!
//! The provider sends the browser to a listener of this program on the loopback address (`client`,
//! RFC 8252 §7.3), to the server (`direct`), or nowhere (`device`, RFC 8628). Parameters and their
//! defaults are those that Vault's and OpenBao's `login -method=oidc` has.
//!
//! Invariant: the listener takes the answer to what this program asked, known by its state, and no
//! other: what else a page in the browser may send to it is refused and forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use strongroom_base::json::Json;
use strongroom_base::percent;
use strongroom_client::{Body, Envelope, Reply, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::command::Fail;
use super::context::Context;
use super::http::Http;
use super::login::Given;

/// How long the provider's answer is awaited.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long one connection may take to say what it wants.
const READ: Duration = Duration::from_secs(10);
/// Bytes of a request: an ID token in a form is the most of it.
const REQUEST_BYTES_MAX: usize = 128 * 1024;
/// Characters of the nonce by which the server knows that who ends the login began it.
const NONCE_CHARACTERS: usize = 20;
/// Seconds between two polls at most.
const POLL_SECONDS_MAX: u64 = 600;

/// What `auth help` says.
pub const HELP: &str = concat!(
    "oidc: logs a person in by an OpenID provider, in a browser.\n\n",
    "  [role=ROLE]                 the configured one if missing\n",
    "  [callbackmode=client]       client: the browser comes back to this program; direct:\n",
    "                              to the server; device: nowhere, confirmed elsewhere\n",
    "  [listenaddress=localhost]   where this program listens, with [port=8250]\n",
    "  [callbackmethod=http]       where the browser is sent if that is another place, with\n",
    "                              [callbackhost=HOST] and [callbackport=PORT]; the server's\n",
    "                              own if direct\n",
    "  [skip_browser=false]        only print the address\n",
    "  [abort_on_error=false]      end where no browser can be started",
);

/// Logs in.
pub fn log_in(
    cx: &mut Context<'_, '_>,
    http: &mut Http,
    given: &Given,
) -> Result<Option<Envelope>, Fail> {
    let mode = given.get("callbackmode").unwrap_or("client").to_owned();
    let flag = |name: &str| match given.get(name) {
        None => Ok(false),
        Some(text) => strongroom_client::parse_bool(text).ok_or_else(|| {
            Fail::remote(format!("Error authenticating: '{name}' must be a boolean"))
        }),
    };
    let (skip_browser, abort_on_error) = (flag("skip_browser")?, flag("abort_on_error")?);
    if flag("show_qr")? {
        return Err(Fail::remote("Error authenticating: QR codes are not supported"));
    }
    let redirect_uri = redirect_uri(given, &mode, http.client.address());
    let nonce = nonce(cx)?;
    let mut body = json!({"redirect_uri": redirect_uri, "client_nonce": nonce});
    body["role"] = given.get("role").unwrap_or_default().into();
    let path = format!("auth/{}/oidc/auth_url", given.mount);
    let begun = http.send(Request::put(path, body).unwrapped()).and_then(Reply::written);
    let begun = begun.map_err(|e| failed(&e))?.unwrap_or_default();
    let text = |name: &str| begun.datum(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let (auth_url, state) = (text("auth_url"), text("state"));
    if auth_url.is_empty() {
        return Err(Fail::remote(format!(
            "Error authenticating: the role does not exist, or does not allow the redirect URI {redirect_uri}"
        )));
    }
    match (mode.as_str(), state.is_empty()) {
        ("client", false) => {
            return Err(Fail::remote(
                "Error authenticating: the role is for another callbackmode, try direct or device",
            ));
        }
        ("client", true) => {}
        (_, true) => {
            return Err(Fail::remote(format!(
                "Error authenticating: the role is for another callbackmode than {mode}, try client"
            )));
        }
        _ => {}
    }
    if mode == "client" {
        let address = given.get("listenaddress").unwrap_or("localhost");
        let address = format!("{address}:{}", given.get("port").unwrap_or("8250"));
        let listener = http.wait_for(TcpListener::bind(&address)).map_err(|e| {
            Fail::remote(format!("Error authenticating: cannot listen on {address}: {e}"))
        })?;
        say(cx, &auth_url, "", skip_browser, abort_on_error)?;
        return by_listener(http, given, listener, &auth_url, &nonce);
    }
    say(cx, &auth_url, &text("user_code"), skip_browser, abort_on_error)?;
    let seconds: u64 = text("poll_interval").parse().unwrap_or(5);
    by_polling(http, given, &state, &nonce, seconds)
}

fn failed(error: &strongroom_client::Error) -> Fail {
    Fail::server("Error authenticating", error)
}

/// Letters and digits, each equally likely.
fn nonce(cx: &mut Context<'_, '_>) -> Result<String, Fail> {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut nonce = String::new();
    while nonce.len() < NONCE_CHARACTERS {
        let mut byte = [0];
        (cx.world().random)(&mut byte)
            .map_err(|e| Fail::remote(format!("Error authenticating: no randomness: {e}")))?;
        let [byte] = byte;
        // Bytes above the last multiple of 62 would make some letters likelier.
        if let Some(letter) = LETTERS.get(usize::from(byte % 62)).filter(|_| byte < 248) {
            nonce.push(char::from(*letter));
        }
    }
    Ok(nonce)
}

/// Where the provider is to send the browser.
fn redirect_uri(given: &Given, mode: &str, address: &str) -> String {
    let (mut scheme, mut host) = ("http", "localhost".to_owned());
    let mut port = given.get("port").unwrap_or("8250").to_owned();
    if mode == "direct"
        && let Some((of_server, rest)) = address.split_once("://")
    {
        scheme = of_server;
        let authority = rest.split('/').next().unwrap_or_default();
        let number = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let (name, number) = match authority.rsplit_once(':') {
            Some((name, port)) if number(port) => (name, port),
            _ => (authority, ""),
        };
        host = name.to_owned();
        port = format!("{number}/v1/auth/{}", given.mount);
    }
    let scheme = given.get("callbackmethod").unwrap_or(scheme);
    let host = given.get("callbackhost").unwrap_or(&host);
    let port = given.get("callbackport").unwrap_or(&port);
    match port.strip_prefix('/') {
        // The server is at its scheme's own port.
        Some(path) => format!("{scheme}://{host}/{path}/oidc/callback"),
        None => format!("{scheme}://{host}:{port}/oidc/callback"),
    }
}

/// Shows the address, and starts a browser.
fn say(
    cx: &mut Context<'_, '_>,
    auth_url: &str,
    user_code: &str,
    skip_browser: bool,
    abort_on_error: bool,
) -> Result<(), Fail> {
    if skip_browser {
        cx.ui.warn(&format!(
            "Complete the login via your OIDC provider. Open the following link in your \
             browser:\n\n    {auth_url}\n\n"
        ));
    } else {
        cx.ui.warn(&format!(
            "Complete the login via your OIDC provider. Launching browser to:\n\n    {auth_url}\n\n"
        ));
        if let Err(reason) = browse(auth_url) {
            if abort_on_error {
                return Err(Fail::remote(format!("Error authenticating: no browser: {reason}")));
            }
            cx.ui.warn(&format!("No browser could be started ({reason}). Open the link yourself."));
        }
    }
    cx.ui.warn("Waiting for OIDC authentication to complete...");
    if !user_code.is_empty() {
        cx.ui.warn(&format!("When prompted, enter code {user_code}\n"));
    }
    Ok(())
}

/// Starts the desktop's browser. The address is one argument of it, and goes through no shell.
fn browse(url: &str) -> Result<(), String> {
    use std::process::{Command, Stdio};
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err("the address is none of the web".to_owned());
    }
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(program);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}")),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

/// Polls until the login has ended elsewhere.
fn by_polling(
    http: &mut Http,
    given: &Given,
    state: &str,
    nonce: &str,
    mut seconds: u64,
) -> Result<Option<Envelope>, Fail> {
    let path = format!("auth/{}/oidc/poll", given.mount);
    loop {
        http.pause(Duration::from_secs(seconds.clamp(1, POLL_SECONDS_MAX)));
        let body = json!({"state": state, "client_nonce": nonce});
        match http.send(Request::put(&path, body)).and_then(Reply::written) {
            Ok(answer) => return Ok(answer),
            Err(error) => match error.to_string().trim_end() {
                text if text.ends_with("slow_down") => seconds = seconds.saturating_mul(2).max(1),
                text if text.ends_with("authorization_pending") => {}
                _ => return Err(failed(&error)),
            },
        }
    }
}

/// What came back from the provider, and the browser that waits for a page.
struct Back {
    values: BTreeMap<String, String>,
    by_form: bool,
    browser: TcpStream,
}

/// Waits for the browser to come back, and ends the login by what it brings.
fn by_listener(
    http: &mut Http,
    given: &Given,
    listener: TcpListener,
    auth_url: &str,
    nonce: &str,
) -> Result<Option<Envelope>, Fail> {
    let state = auth_url.split_once('?').map(|(_, query)| values(query)).unwrap_or_default();
    let state = state.get("state").cloned().unwrap_or_default();
    let waited =
        http.wait_for(async { tokio::time::timeout(PATIENCE, come_back(&listener, &state)).await });
    let back = waited.ok().flatten().ok_or_else(|| {
        Fail::remote("Error authenticating: timed out waiting for response from provider")
    })?;
    let answer = end(http, given, &back, nonce);
    let page = match &answer {
        Ok(_) => page("Signed in", "You can close this window and go back to your terminal."),
        Err(_) => page("The login failed", "Your terminal says why."),
    };
    let mut browser = back.browser;
    // The page is a courtesy: the login is what it is.
    let show = async {
        let _ = browser.write_all(page.as_bytes()).await;
        browser.shutdown().await
    };
    let _ = http.wait_for(async { tokio::time::timeout(READ, show).await });
    answer
}

fn end(http: &mut Http, given: &Given, back: &Back, nonce: &str) -> Result<Option<Envelope>, Fail> {
    let path = format!("auth/{}/oidc/callback", given.mount);
    let value = |name: &str| back.values.get(name).map_or("", String::as_str);
    if back.by_form {
        let pairs = ["state", "code", "id_token"]
            .map(|name| format!("{name}={}", percent::encode(value(name))));
        let form = Request {
            body: Body::Bytes(pairs.join("&").into_bytes().into()),
            content_type: Some("application/x-www-form-urlencoded"),
            ..Request::post(path.clone(), Json::Null)
        };
        let posted = http.send(form.unwrapped()).and_then(Reply::ok);
        posted.map_err(|e| failed(&e))?;
    }
    let mut request = Request::get(path).query("client_nonce", nonce);
    for name in ["state", "code", "error", "error_description"] {
        if !value(name).is_empty() {
            request = request.query(name, value(name));
        }
    }
    http.send(request).and_then(Reply::envelope).map_err(|e| failed(&e))
}

/// The first request that answers what was asked.
async fn come_back(listener: &TcpListener, state: &str) -> Option<Back> {
    // Browsers open connections that they may never use: none waits for another.
    let (sender, mut received) = mpsc::channel(1);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let (sender, state) = (sender.clone(), state.to_owned());
                tokio::spawn(async move {
                    if let Ok(Some(back)) = tokio::time::timeout(READ, read(stream, &state)).await {
                        let _ = sender.send(back).await;
                    }
                });
            }
            back = received.recv() => return back,
        }
    }
}

/// Reads one request; `None` where it is not the answer, which whoever sent it is told.
async fn read(mut stream: TcpStream, state: &str) -> Option<Back> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if bytes.len() > REQUEST_BYTES_MAX || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes.get(..end)?.to_vec()).ok()?;
    let mut words = head.split(' ');
    let (method, target) = (words.next()?, words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let by_form = method == "POST";
    if path != "/oidc/callback" || !(by_form || method == "GET") {
        return refuse(stream, "404 Not Found").await;
    }
    let mut text = query.to_owned();
    if by_form {
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        })?;
        if length > REQUEST_BYTES_MAX {
            return refuse(stream, "413 Content Too Large").await;
        }
        while bytes.len() < end + length {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        text = String::from_utf8(bytes.get(end..end + length)?.to_vec()).ok()?;
    }
    let values = values(&text);
    if values.get("state").is_none_or(|given| given != state) {
        return refuse(stream, "400 Bad Request").await;
    }
    Some(Back { values, by_form, browser: stream })
}

async fn refuse(mut stream: TcpStream, status: &str) -> Option<Back> {
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
    None
}

fn page(title: &str, text: &str) -> String {
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         </head>\n<body><h1>{title}</h1><p>{text}</p></body></html>\n"
    );
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The values of a query or a form.
fn values(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((percent::decode_query(name)?.to_string(), percent::decode_query(value)?.to_string()))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Given {
        let values = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Given { mount: "oidc".to_owned(), values }
    }

    #[test]
    fn the_browser_is_sent_where_the_parameters_say() {
        for (mode, address, pairs, uri) in [
            ("client", "https://v:8200", &[][..], "http://localhost:8250/oidc/callback"),
            ("client", "https://v:8200", &[("port", "1")], "http://localhost:1/oidc/callback"),
            (
                "client",
                "https://v:8200",
                &[("port", "1"), ("callbackport", "2"), ("callbackhost", "h")],
                "http://h:2/oidc/callback",
            ),
            ("direct", "https://v:8200", &[], "https://v:8200/v1/auth/oidc/oidc/callback"),
            ("direct", "https://v", &[], "https://v/v1/auth/oidc/oidc/callback"),
            ("direct", "http://[::1]:80/", &[], "http://[::1]:80/v1/auth/oidc/oidc/callback"),
            (
                "direct",
                "https://v:8200",
                &[("callbackmethod", "http"), ("callbackhost", "h")],
                "http://h:8200/v1/auth/oidc/oidc/callback",
            ),
        ] {
            assert_eq!(redirect_uri(&given(pairs), mode, address), uri);
        }
    }

    #[test]
    fn values_are_read_and_written() {
        let values = values("state=st_a&code=x%2Fy+z&odd=%zz&error");
        assert_eq!(values.get("code").map(String::as_str), Some("x/y z"));
        assert!(!values.contains_key("odd"));
        assert_eq!(values.get("error").map(String::as_str), Some(""));
        assert_eq!(percent::encode("a/b c+ä"), "a%2Fb%20c%2B%C3%A4");
    }

    /// Another page in the browser can send what it likes to the listener.
    #[test]
    fn only_the_answer_to_what_was_asked_is_taken() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let ask = |request: String| async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(request.as_bytes()).await.unwrap();
                stream
            };
            let told = |mut stream: TcpStream| async move {
                let mut text = String::new();
                stream.read_to_string(&mut text).await.unwrap();
                text.split("\r\n").next().unwrap_or_default().to_owned()
            };
            let waits = tokio::spawn(async move { come_back(&listener, "st_mine").await });
            // It never says what it wants.
            let silent = TcpStream::connect(address).await.unwrap();
            for (request, status) in [
                ("GET /favicon.ico HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"),
                ("PUT /oidc/callback?state=st_mine HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"),
                (
                    "GET /oidc/callback?state=st_other&code=x HTTP/1.1\r\n\r\n",
                    "HTTP/1.1 400 Bad Request",
                ),
                ("GET /oidc/callback?code=x HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request"),
            ] {
                assert_eq!(told(ask(request.to_owned()).await).await, status);
            }
            let form = "state=st_mine&code=a%2Fb";
            let head =
                format!("POST /oidc/callback HTTP/1.1\r\nContent-Length: {}\r\n\r\n", form.len());
            let _browser = ask(format!("{head}{form}")).await;
            let back = waits.await.unwrap().unwrap();
            assert!(back.by_form);
            assert_eq!(back.values.get("code").map(String::as_str), Some("a/b"));
            drop(silent);
        });
    }
}
