//! The `http` sink: a POST for each line (docs page "HTTP audit device" of OpenBao).
//!
//! Invariant: references to files and variables of the host (`file://`, `env://`) are followed only
//! in options that the configuration declares. Whoever may enable devices through the API could
//! otherwise have any file sent to where they like (threat CVE-2025-6000).

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use strongroom_base::{Error, Result, parse_duration};
use strongroom_kernel::audit::sinks::Sink;
use strongroom_kernel::audit::verify::index_of;

/// Seconds that a line may take if nothing is said.
const WRITE_SECONDS: i64 = 5;
/// Bytes of an answer that are read, so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Bytes of a file that stands for a value.
const REFERENCE_BYTES_MAX: u64 = 64 << 10;

/// How the host is asked for what a reference names.
pub(super) type References<'a> = Option<&'a dyn Fn(&str) -> Option<String>>;

pub(super) struct HttpSink {
    client: reqwest::Client,
    uri: reqwest::Url,
    headers: HeaderMap,
    /// The last line that was taken: of a piece that comes again only the rest is sent.
    taken: Option<u64>,
}

impl HttpSink {
    /// A sink of these options. `environment` is given where references may be followed.
    pub(super) fn open(
        options: &BTreeMap<String, String>,
        environment: References<'_>,
    ) -> Result<Self> {
        super::only(options, &["uri", "headers", "write_timeout"])?;
        let uri = options.get("uri").filter(|uri| !uri.is_empty());
        let uri = uri.ok_or_else(|| Error::bad_request("uri is required"))?;
        let uri = resolve(uri, environment)?;
        let uri = reqwest::Url::parse(&uri).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
        let uri = uri.ok_or_else(|| Error::bad_request("uri must be an http or https address"))?;
        let headers = headers(options.get("headers").map_or("", String::as_str), environment)?;
        let seconds = match options.get("write_timeout") {
            None => WRITE_SECONDS,
            Some(text) => parse_duration(text)
                .filter(|s| (1..=60).contains(s))
                .ok_or_else(|| Error::bad_request("write_timeout is 1 to 60 seconds"))?,
        };
        // The one TLS implementation of this product; a second call changes nothing.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(seconds as u64))
            .no_proxy()
            .build()
            .map_err(Error::internal)?;
        Ok(Self { client, uri, headers, taken: None })
    }

    async fn post(&self, line: Vec<u8>) -> io::Result<()> {
        let request = self.client.post(self.uri.clone()).headers(self.headers.clone()).body(line);
        // The address may hold a credential: the reason is told without it.
        let failed = |e: reqwest::Error| io::Error::other(e.without_url());
        let mut answer = request.send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return Err(io::Error::other(format!("the answer was {}", answer.status().as_u16())));
        }
        let mut read = 0;
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            read += piece.len();
            if read > ANSWER_BYTES_MAX {
                break;
            }
        }
        Ok(())
    }
}

impl Sink for HttpSink {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        // Sinks are called on threads of the runtime that may wait.
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        for line in lines.split_inclusive(|b| *b == b'\n') {
            let index = index_of(line.strip_suffix(b"\n").unwrap_or(line));
            if self.taken.is_some() && index <= self.taken {
                continue;
            }
            runtime.block_on(self.post(line.to_vec()))?;
            self.taken = index.or(self.taken);
        }
        Ok(())
    }
}

/// The headers: a JSON object of lists.
fn headers(text: &str, environment: References<'_>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    if !text.is_empty() {
        let given: BTreeMap<String, Vec<String>> = serde_json::from_str(text)
            .map_err(|_| Error::bad_request("headers must be a JSON object of lists of texts"))?;
        for (name, values) in given {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Error::bad_request("a header's name is no header's"))?;
            for value in values {
                let value = resolve(&value, environment)?;
                let mut value = HeaderValue::from_str(value.trim_end())
                    .map_err(|_| Error::bad_request("a header's value cannot be sent"))?;
                value.set_sensitive(true);
                headers.append(name.clone(), value);
            }
        }
    }
    let defaults = [(CONTENT_TYPE, "application/json"), (USER_AGENT, "Strongroom")];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    Ok(headers)
}

/// A value, or what it refers to.
fn resolve(value: &str, environment: References<'_>) -> Result<String> {
    let (variable, file) = (value.strip_prefix("env://"), value.strip_prefix("file://"));
    if variable.is_none() && file.is_none() {
        return Ok(value.to_owned());
    }
    let environment = environment.ok_or_else(|| {
        Error::bad_request(
            "env:// and file:// are only for audit devices that the configuration declares",
        )
    })?;
    if let Some(name) = variable {
        return environment(name)
            .ok_or_else(|| Error::bad_request("a variable that an option names is not set"));
    }
    let read = std::fs::File::open(file.unwrap_or_default())
        .and_then(|file| io::read_to_string(io::Read::take(file, REFERENCE_BYTES_MAX)));
    read.map_err(|e| Error::bad_request("a file that an option names cannot be read").because(e))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;

    use super::*;

    /// Answers requests with these statuses in turn, and tells their heads and bodies. Each has a
    /// connection of its own: a client that opens another does not wait for the end of the first.
    fn receiver(statuses: &'static [u16]) -> (String, mpsc::Receiver<(String, String)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/in", listener.local_addr().unwrap());
        let (sender, seen) = mpsc::channel();
        std::thread::spawn(move || {
            let mut statuses = statuses.iter();
            while let Ok((stream, _)) = listener.accept() {
                let mut stream = BufReader::new(stream);
                let Some(request) = request(&mut stream) else { continue };
                let Some(status) = statuses.next() else { return };
                let _ = sender.send(request);
                let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
                let answer = format!("{head}Content-Length: 2\r\n\r\nok");
                let _ = stream.get_mut().write_all(answer.as_bytes());
            }
        });
        (address, seen)
    }

    fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, String)> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head.split_once("content-length: ")?.1;
        let mut body = vec![0; length.split_once('\r')?.0.parse().ok()?];
        stream.read_exact(&mut body).ok()?;
        Some((head, String::from_utf8(body).ok()?))
    }

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    fn line(index: u64) -> String {
        let chain = "0".repeat(64);
        format!("{{\"a\":1,\"strongroom\":{{\"index\":{index},\"chain\":\"{chain}\"}}}}\n")
    }

    #[tokio::test]
    async fn each_line_is_a_post_and_none_that_was_taken_comes_again() {
        let (address, seen) = receiver(&[200, 503, 204, 302]);
        let headers = r#"{"X-Token": ["one", "two"], "Content-Type": ["text/x"]}"#;
        let given = options(&[("uri", &address), ("headers", headers)]);
        let mut sink = HttpSink::open(&given, None).unwrap();
        let sent = tokio::task::spawn_blocking(move || {
            let both = line(1) + &line(2);
            [both.clone(), both, line(3)].map(|lines| sink.write(lines.as_bytes()))
        });
        let [first, second, third] = sent.await.unwrap();
        assert!(first.unwrap_err().to_string().contains("503"));
        second.unwrap();
        assert!(third.unwrap_err().to_string().contains("302"));
        let seen: Vec<_> = seen.try_iter().collect();
        let bodies: Vec<&str> = seen.iter().map(|(_, body)| body.as_str()).collect();
        assert_eq!(bodies, [line(1), line(2), line(2), line(3)]);
        let head = &seen[0].0;
        for part in ["post /in ", "x-token: one\r\n", "x-token: two\r\n", "content-type: text/x"] {
            assert!(head.contains(part), "{head}");
        }
    }

    #[test]
    fn options_are_checked_and_never_repeated() {
        for (given, why) in [
            (options(&[]), "uri is required"),
            (options(&[("uri", "secret")]), "uri must be an http"),
            (options(&[("uri", "ftp://secret")]), "uri must be an http"),
            (options(&[("uri", "http://h"), ("headers", "[secret]")]), "JSON object of lists"),
            (options(&[("uri", "http://h"), ("headers", r#"{"a b":["secret"]}"#)]), "no header's"),
            (options(&[("uri", "http://h"), ("headers", r#"{"a":["secret\n\n"]}"#)]), ""),
            (options(&[("uri", "http://h"), ("write_timeout", "secret")]), "1 to 60 seconds"),
            (options(&[("uri", "http://h"), ("other", "secret")]), "unknown option"),
        ] {
            let refused = HttpSink::open(&given, None).err().map(|e| e.to_string());
            let refused = refused.unwrap_or_default();
            assert!(refused.contains(why), "{refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    /// Threat CVE-2025-6000: what the API enables reads nothing of the host.
    #[test]
    fn references_are_for_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "from file\n").unwrap();
        let text = format!(r#"{{"A": ["env://NAME"], "B": ["file://{}"]}}"#, file.display());
        let given = options(&[("uri", "env://URI"), ("headers", &text)]);
        let environment = |name: &str| match name {
            "NAME" => Some("from variable".to_owned()),
            "URI" => Some("http://host/in".to_owned()),
            _ => None,
        };
        let sink = HttpSink::open(&given, Some(&environment)).unwrap();
        assert_eq!(sink.uri.as_str(), "http://host/in");
        assert_eq!(
            (&sink.headers["a"], &sink.headers["b"]),
            (&"from variable".parse().unwrap(), &"from file".parse().unwrap())
        );
        let plain = options(&[("uri", "http://h"), ("headers", &text)]);
        for given in [&given, &plain] {
            let refused = HttpSink::open(given, None).err().map(|e| e.to_string());
            assert!(refused.unwrap_or_default().contains("configuration declares"));
        }
        let missing = options(&[("uri", "env://OTHER")]);
        assert!(HttpSink::open(&missing, Some(&environment)).is_err());
    }
}
