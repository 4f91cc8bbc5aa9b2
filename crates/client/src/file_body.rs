//! A file that is read while it is sent.

use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;

const PART_BYTES: usize = 256 * 1024;

struct FileBody(std::fs::File);

impl hyper::body::Body for FileBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        // Local files answer at once, and the command line has nothing else to do meanwhile.
        let mut part = vec![0; PART_BYTES];
        match self.0.read(&mut part) {
            Ok(0) => Poll::Ready(None),
            Ok(n) => {
                part.truncate(n);
                Poll::Ready(Some(Ok(hyper::body::Frame::data(part.into()))))
            }
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}

pub(crate) fn stream(file: std::fs::File) -> reqwest::Body {
    reqwest::Body::wrap(FileBody(file))
}
