//! Admission: how many body bytes may be held before they are journaled.
//!
//! Invariants:
//! - a byte is charged when it is held, never when it is announced: a `Content-Length` costs its sender nothing;
//! - what is charged is at most the limit, plus one request's bytes: a single request at a time may pass the limit, so
//!   that a request larger than the whole limit can still get through, and some request always makes progress;
//! - a [`Charge`] gives everything back when it is dropped, on every path.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The account that all requests of all listeners are charged to; clones share it.
#[derive(Clone, Debug)]
pub struct Admission {
    account: Arc<Mutex<Account>>,
}

#[derive(Debug)]
struct Account {
    limit_bytes: usize,
    held_bytes: usize,
    /// Some request has passed the limit and is not done yet.
    passed: bool,
}

/// The limit is reached and another request has already passed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtLimit;

impl Admission {
    pub fn new(limit_bytes: usize) -> Self {
        Self { account: Arc::new(Mutex::new(Account { limit_bytes, held_bytes: 0, passed: false })) }
    }

    /// An empty charge, for one request.
    pub fn open(&self) -> Charge {
        Charge { admission: self.clone(), bytes: 0, passed: false }
    }

    /// Bytes held now.
    pub fn held_bytes(&self) -> usize {
        self.lock().held_bytes
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one request holds.
#[derive(Debug)]
pub struct Charge {
    admission: Admission,
    bytes: usize,
    passed: bool,
}

impl Charge {
    /// Charges `bytes` more. At the limit only the one request that has passed it, or the first that does, goes on.
    pub fn add(&mut self, bytes: usize) -> Result<(), AtLimit> {
        let mut account = self.admission.lock();
        let held_bytes = account.held_bytes.saturating_add(bytes);
        if held_bytes > account.limit_bytes && !self.passed {
            if account.passed {
                return Err(AtLimit);
            }
            account.passed = true;
            self.passed = true;
        }
        account.held_bytes = held_bytes;
        self.bytes += bytes;
        Ok(())
    }

    /// Gives `bytes` back; at most what was charged.
    pub fn release(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.admission.lock().held_bytes -= bytes;
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut account = self.admission.lock();
        account.held_bytes -= self.bytes;
        if self.passed {
            account.passed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_request_at_a_time_passes_the_limit() {
        let admission = Admission::new(100);
        let (mut first, mut second, mut third) = (admission.open(), admission.open(), admission.open());
        assert_eq!(first.add(100), Ok(()));
        assert_eq!(second.add(1), Ok(()), "the first to pass it may");
        assert_eq!(second.add(500), Ok(()), "and goes on");
        assert_eq!(third.add(1), Err(AtLimit));
        assert_eq!(first.add(1), Err(AtLimit), "those below the limit stop too");
        assert_eq!(admission.held_bytes(), 601);
        drop(second);
        assert_eq!(third.add(1), Ok(()), "the place of the one that passed is free again");
        drop((first, third));
        assert_eq!(admission.held_bytes(), 0);
    }

    #[test]
    fn a_request_larger_than_the_limit_is_alone_beyond_it() {
        let admission = Admission::new(10);
        let mut large = admission.open();
        assert_eq!(large.add(1000), Ok(()));
        assert_eq!(admission.open().add(1), Err(AtLimit));
        large.release(995);
        assert_eq!(admission.open().add(5), Ok(()));
        assert_eq!(admission.open().add(6), Err(AtLimit), "it keeps its place until it is done");
    }

    proptest! {
        /// Guarantees: whatever is charged and given back in whatever order, the account is the sum of the charges, and
        /// at most one of them is beyond the limit.
        #[test]
        fn the_account_is_the_sum_of_its_charges(steps in prop::collection::vec((0_usize..4, 0_usize..3, 0_usize..200), 1..200)) {
            let admission = Admission::new(300);
            let mut charges: Vec<Charge> = (0..4).map(|_| admission.open()).collect();
            for (who, what, bytes) in steps {
                match what {
                    0 => drop(charges[who].add(bytes)),
                    1 => charges[who].release(bytes),
                    _ => charges[who] = admission.open(),
                }
                prop_assert_eq!(admission.held_bytes(), charges.iter().map(Charge::bytes).sum::<usize>());
                let passed: Vec<_> = charges.iter().filter(|charge| charge.passed).collect();
                prop_assert!(passed.len() <= 1);
                let beyond: usize = passed.iter().map(|charge| charge.bytes()).sum();
                prop_assert!(admission.held_bytes() - beyond <= 300);
            }
        }
    }
}
