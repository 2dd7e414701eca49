//! Admission: how many body bytes may be held before they are journaled.
//!
//! Invariants:
//! - a byte is charged when it is held, never when it is announced: a `Content-Length` costs its sender nothing;
//! - what is charged is at most the limit, plus one request's bytes: a single request at a time may pass the limit, so
//!   that a request larger than the whole limit can still get through, and some request always makes progress. Its bytes
//!   then stand apart, so that it does not starve the others;
//! - no other request holds more than half of the limit: a few large ones leave room for many small ones;
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
    /// Held by all requests but the one that has passed the limit.
    shared_bytes: usize,
    /// Held by the one that has; `None`: nobody has.
    apart_bytes: Option<usize>,
}

/// The limit is reached and another request has already passed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtLimit;

impl Admission {
    pub fn new(limit_bytes: usize) -> Self {
        Self { account: Arc::new(Mutex::new(Account { limit_bytes, shared_bytes: 0, apart_bytes: None })) }
    }

    /// An empty charge, for one request.
    pub fn open(&self) -> Charge {
        Charge { admission: self.clone(), bytes: 0, passed: false }
    }

    /// Bytes held now.
    pub fn held_bytes(&self) -> usize {
        let account = self.lock();
        account.shared_bytes + account.apart_bytes.unwrap_or_default()
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
    /// Charges `bytes` more. Beyond its share only the one request that has passed the limit, or the first that does,
    /// goes on.
    pub fn add(&mut self, bytes: usize) -> Result<(), AtLimit> {
        let mut account = self.admission.lock();
        let fits = account.shared_bytes.saturating_add(bytes) <= account.limit_bytes
            && self.bytes.saturating_add(bytes) <= account.limit_bytes / 2;
        match &mut account.apart_bytes {
            Some(apart_bytes) if self.passed => *apart_bytes += bytes,
            _ if fits => account.shared_bytes += bytes,
            Some(_) => return Err(AtLimit),
            nobody => {
                *nobody = Some(self.bytes + bytes);
                account.shared_bytes -= self.bytes;
                self.passed = true;
            }
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Gives `bytes` back; at most what was charged.
    pub fn release(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        let mut account = self.admission.lock();
        match &mut account.apart_bytes {
            Some(apart_bytes) if self.passed => *apart_bytes -= bytes,
            _ => account.shared_bytes -= bytes,
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut account = self.admission.lock();
        match self.passed {
            true => account.apart_bytes = None,
            false => account.shared_bytes -= self.bytes,
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
        assert_eq!(first.add(50), Ok(()));
        assert_eq!(second.add(51), Ok(()), "beyond its share: the first to pass may");
        assert_eq!(second.add(500), Ok(()), "and goes on");
        assert_eq!(third.add(50), Ok(()), "it takes no room from the others");
        assert_eq!(third.add(1), Err(AtLimit));
        assert_eq!(first.add(1), Err(AtLimit), "those below the limit stop too");
        assert_eq!(admission.held_bytes(), 651);
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
        assert_eq!(admission.open().add(6), Err(AtLimit), "it keeps its place until it is done");
        large.release(995);
        assert_eq!(admission.open().add(6), Err(AtLimit));
        assert_eq!(admission.open().add(5), Ok(()));
        drop(large);
        assert_eq!(admission.open().add(6), Ok(()));
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
