//! The order to stop: drain until a deadline, then leave.

use tokio::sync::watch;
use tokio::time::Instant;

/// Gives the order.
#[derive(Debug)]
pub struct Stopper(watch::Sender<Option<Instant>>);

/// Hears the order. Where the [`Stopper`] is gone without one, the order is to leave at once.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Option<Instant>>);

impl Stopper {
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(None);
        (Self(sender), Stop(receiver))
    }

    /// What is still unsent at `deadline` is given up.
    pub fn stop_by(&self, deadline: Instant) {
        self.0.send_replace(Some(deadline));
    }
}

impl Stop {
    pub fn is_requested(&self) -> bool {
        self.0.borrow().is_some() || self.0.has_changed().is_err()
    }

    /// Completes once the order has been given.
    pub async fn requested(&self) {
        let mut order = self.0.clone();
        let _gone_or_given = order.wait_for(Option::is_some).await;
    }

    /// Completes once the order's deadline has passed.
    pub async fn passed(&self) {
        let mut order = self.0.clone();
        let deadline = order.wait_for(Option::is_some).await.ok().and_then(|given| *given);
        if let Some(deadline) = deadline {
            tokio::time::sleep_until(deadline).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_order_is_heard_and_its_deadline_kept() {
        let (stopper, stop) = Stopper::new();
        assert!(!stop.is_requested());
        let start = Instant::now();
        stopper.stop_by(start + Duration::from_secs(10));
        stop.requested().await;
        assert!(stop.is_requested());
        assert_eq!(start.elapsed(), Duration::ZERO);
        drop(stopper);
        stop.passed().await;
        assert_eq!(start.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test]
    async fn without_a_stopper_it_is_over() {
        let (_, stop) = Stopper::new();
        assert!(stop.is_requested());
        stop.requested().await;
        stop.passed().await;
    }
}
