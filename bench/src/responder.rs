//! The limit: hyper alone, answering a fixed text. No server built on it can cost less.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// About as much as the answer to a read of a 1 KiB secret.
const ANSWER_BYTES: usize = 1400;

/// Runs until it is killed; `address` is where to listen.
pub fn run(address: Option<&String>) -> Result<(), String> {
    let address = address.ok_or("responder ADDRESS")?;
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    runtime.block_on(serve(address)).map_err(|e| e.to_string())
}

async fn serve(address: &str) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let text = Bytes::from(format!("{{\"data\":\"{}\"}}", "x".repeat(ANSWER_BYTES - 11)));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let text = text.clone();
        tokio::spawn(async move {
            let service = service_fn(|_: hyper::Request<Incoming>| {
                let answer = Response::new(Full::new(text.clone()));
                async move { Ok::<_, Infallible>(answer) }
            });
            // A connection that breaks is not this program's concern.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
