//! A reply's body that keeps something for as long as it is being sent: a permit, a gauge, the count of what runs on a connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::listener::Body;

/// The body, and what is dropped with it. Its length stays known: a reply of known length is sent with `Content-Length`, in one piece with its head.
pub(crate) struct GuardedBody<T> {
    body: Body,
    _guard: T,
}

impl<T> GuardedBody<T> {
    /// Keeps `guard` until the body has been sent or given up.
    pub(crate) fn new(body: Body, guard: T) -> GuardedBody<T> {
        GuardedBody { body, _guard: guard }
    }
}

impl<T: Unpin> http_body::Body for GuardedBody<T> {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
