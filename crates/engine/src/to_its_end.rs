//! Work that goes on when nobody waits for it any more.
//!
//! **Invariant:** once begun it is done, unless the runtime ends or it panics.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use tokio::runtime::Handle;

/// Done by whoever awaits it, as long as they do, and by a task of its own after that. Cheaper than
/// a task from the start, which moves the work to a queue and its result back.
pub(crate) struct ToItsEnd<W: Future<Output: Send> + Send + 'static>(Option<Pin<Box<W>>>);

// === impl ToItsEnd ===

impl<W: Future<Output: Send> + Send + 'static> ToItsEnd<W> {
    pub(crate) fn new(work: W) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<W: Future<Output: Send> + Send + 'static> Future for ToItsEnd<W> {
    type Output = W::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<W::Output> {
        let Some(work) = &mut self.0 else {
            return Poll::Pending;
        };
        let done = work.as_mut().poll(cx);
        if done.is_ready() {
            self.0 = None;
        }
        done
    }
}

impl<W: Future<Output: Send> + Send + 'static> Drop for ToItsEnd<W> {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn goes_on_when_nobody_waits() {
        let (go, begun) = oneshot::channel();
        let (done, ended) = oneshot::channel();
        let mut work = Box::pin(ToItsEnd::new(async move {
            begun.await.unwrap();
            done.send(1).unwrap();
        }));
        let polled = std::future::poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        drop(work);
        go.send(()).unwrap();
        assert_eq!(ended.await, Ok(1));
    }

    #[tokio::test]
    async fn is_done_once() {
        assert_eq!(ToItsEnd::new(async { 1 }).await, 1);
    }
}
