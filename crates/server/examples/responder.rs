//! The accept loop alone, answering a fixed text: what a request costs before any door.
//!
//! `cargo run --release -p strongroom-server --example responder -- 127.0.0.1:8299`; load it with
//! `strongroom-bench`, or any other client, and compare with hyper alone.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use strongroom_server::listen::{
    Bound, Limits, ListenerOptions, Peer, ReplyBody, RequestBody, Service,
};

/// About as much as the answer to a read of a 1 KiB secret.
const ANSWER_BYTES: usize = 1400;

struct Fixed(Bytes);

impl Service for Fixed {
    async fn call(&self, _: Request<RequestBody>, _: Arc<Peer>) -> Response<ReplyBody> {
        Response::new(self.0.clone().into())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8299".to_owned());
    tokio::runtime::Runtime::new()?.block_on(async {
        let bound = Bound::bind(vec![ListenerOptions::plain(&address)]).await?;
        let answer = Fixed(vec![b'x'; ANSWER_BYTES].into());
        let listeners = bound.serve(Limits::default(), Arc::new(answer));
        println!("{}", listeners.addresses()[0]);
        std::future::pending::<()>().await;
        Ok(())
    })
}
