//! How many requests are being answered at this moment.
//!
//! A connection that is open says nothing: its client may have sent half a request and gone to
//! lunch. What is worth waiting for at the end is a request that has begun to do something.

use std::sync::Arc;

use tokio::sync::watch;

/// A count that can be waited for.
#[derive(Debug, Clone)]
pub(crate) struct Busy(Arc<watch::Sender<usize>>);

impl Busy {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// One more, until the guard is dropped.
    pub(crate) fn begin(&self) -> Guard {
        self.0.send_modify(|n| *n += 1);
        Guard(self.clone())
    }

    /// Waits until no request is being answered.
    pub(crate) async fn none(&self) {
        // An error would mean that the sender is gone; we hold it.
        let _ = self.0.subscribe().wait_for(|n| *n == 0).await;
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Guard(Busy);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.send_modify(|n| *n -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_the_last_one() {
        let busy = Busy::new();
        busy.none().await;
        let (first, second) = (busy.begin(), busy.begin());
        drop(first);
        assert!(timeout(Duration::from_secs(9), busy.none()).await.is_err());
        drop(second);
        busy.none().await;
    }
}
