//! The body of a request, and what becomes of it when the request was answered without it.
//!
//! ```text
//! client ── head, body … ─→ a handler that reads it ─→ its end
//!                          └ one that does not (401, 413, 415, 429 …): the answer goes out, the rest is read on and thrown away
//! ```
//!
//! A client that still sends must get such an answer too. As soon as nobody holds a body, hyper cuts off what is left of it: in HTTP/2 by RST_STREAM with NO_ERROR
//! behind the answer, which RFC 9113 §8.1 allows and which curl before version 8 takes for a failure, without a look at the answer; in HTTP/1.1 by closing the
//! connection, at which the system throws away what its client has not read yet. So the rest is held on to for a while, and the client is let finish.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// So much of an unread body is thrown away before it is cut off, in bytes: more than any door reads of one, so whoever sends what some door would take is let finish.
pub(crate) const MOST_DISCARDED: usize = 16 << 20;

/// A body that a client sends.
pub struct RequestBody {
    /// `None`: it has been read to its end.
    incoming: Option<Incoming>,
    /// The client does not send it before it is told to, or has the answer.
    waits: bool,
    /// So long an unread rest is waited for.
    patience: Duration,
}

impl RequestBody {
    /// The same request, its body wrapped; so long an unread rest is waited for.
    #[must_use]
    pub fn of(request: Request<Incoming>, patience: Duration) -> Request<RequestBody> {
        let waits = request.version() < Version::HTTP_2 && request.headers().contains_key(EXPECT);
        request.map(|incoming| RequestBody { incoming: Some(incoming), waits, patience })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(incoming).poll_frame(cx);
        // To ask for it is what tells the client to go on.
        self.waits = false;
        let frame = ready!(polled);
        if !matches!(frame, Some(Ok(_))) {
            self.incoming = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take()
            && !incoming.is_end_stream()
            && !self.waits
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(timeout(self.patience, discard(incoming)));
        }
    }
}

async fn discard(mut incoming: Incoming) {
    let mut left = MOST_DISCARDED;
    while let Some(Ok(frame)) = incoming.frame().await {
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = rest;
    }
}
