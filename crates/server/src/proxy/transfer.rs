//! Bodies on their way, piece by piece as they come: cut off when the lease is lost, held to the rules for trailers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::headers;
use super::lease::{Lease, Loss};
use crate::listener::Body;

/// An ordinary answer may pause for this long.
const SILENCE: Duration = Duration::from_secs(60);

/// A body to a cluster. Its last piece, too, is sent only while the lease holds: a request that is not complete does nothing there.
pub struct Upload {
    body: Body,
    lease: Arc<Lease>,
}

impl Upload {
    pub fn new(body: Body, lease: Arc<Lease>) -> Upload {
        Upload { body, lease }
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Poll::Ready(polled) = Pin::new(&mut self.body).poll_frame(cx) else { return Poll::Pending };
        if let Some(loss) = self.lease.loss() {
            return Poll::Ready(Some(Err(cut(loss))));
        }
        Poll::Ready(polled.map(|frame| frame.map(|frame| held_to(frame, headers::trailers_there))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body from a cluster. Nothing of it is passed on once the credential is no longer good, however lately that is.
pub struct Download {
    body: Incoming,
    lease: Arc<Lease>,
    lost: Pin<Box<dyn Future<Output = Loss> + Send>>,
    /// `None`: it may be silent for as long as it wants.
    silence: Option<(Duration, Pin<Box<Sleep>>)>,
    over: bool,
}

impl Download {
    pub fn new(body: Incoming, lease: Arc<Lease>) -> Download {
        Download::pausing(body, lease, SILENCE)
    }

    /// One that may pause for this long.
    pub fn pausing(body: Incoming, lease: Arc<Lease>, most: Duration) -> Download {
        let silence = (!lease.lasting).then(|| (most, Box::pin(sleep(most))));
        Download { body, lost: Box::pin(lease.clone().lost()), lease, silence, over: false }
    }

    fn lose(&mut self, loss: Loss) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        // As watches of this server's own end: their clients come again, elsewhere.
        let error = (!matches!(loss, Loss::Ending)).then(|| cut(loss));
        self.end(error)
    }

    fn end(&mut self, with: Option<io::Error>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.over = true;
        Poll::Ready(with.map(Err))
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(loss) = self.lost.as_mut().poll(cx) {
            return self.lose(loss);
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(loss) = self.lease.loss() {
                    return self.lose(loss);
                }
                if let Some((most, silence)) = &mut self.silence {
                    silence.as_mut().reset(Instant::now() + *most);
                }
                Poll::Ready(Some(Ok(held_to(frame, headers::trailers_back))))
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(%error, "a cluster's answer broke off");
                self.end(Some(io::Error::other("the cluster's answer broke off")))
            }
            Poll::Ready(None) => self.end(None),
            Poll::Pending => match self.silence.as_mut().map(|(_, silence)| silence.as_mut().poll(cx)) {
                Some(Poll::Ready(())) => {
                    self.end(Some(io::Error::new(io::ErrorKind::TimedOut, "the cluster's answer stopped")))
                }
                _ => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn held_to(frame: Frame<Bytes>, rule: fn(HeaderMap) -> HeaderMap) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(trailers) => Frame::trailers(rule(trailers)),
        Err(frame) => frame,
    }
}

fn cut(loss: Loss) -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        match loss {
            Loss::Credential => "the caller's credential is no longer good",
            Loss::Right => "the caller may no longer use the cluster",
            Loss::Cluster => "the cluster was deleted",
            Loss::Ending => "the server ends",
        },
    )
}
