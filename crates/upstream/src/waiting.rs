//! A wait that is counted from the last sign of life: large bodies take their time, silence does not.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

use crate::upstream::Body;

/// When something last went on.
#[derive(Clone)]
pub(crate) struct Progress {
    began: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Progress {
    pub(crate) fn begin() -> Progress {
        Progress { began: Instant::now(), last_ms: Arc::default() }
    }

    fn touch(&self) {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(ms, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }

    /// What `work` gives, unless nothing goes on for `wait`.
    pub(crate) async fn within<T>(&self, wait: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let until = self.last() + wait;
            tokio::select! {
                biased;
                done = work.as_mut() => return Some(done),
                () = sleep_until(until) => if self.last() + wait <= Instant::now() { return None },
            }
        }
    }

    /// A body whose every piece is a sign of life.
    pub(crate) fn of(&self, body: Body) -> Sent {
        Sent { body, progress: self.clone() }
    }
}

/// A request's body on its way.
pub(crate) struct Sent {
    body: Body,
    progress: Progress,
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.progress.touch();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
