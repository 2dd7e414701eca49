//! Each call once.
//!
//! Two spans can report one call: a wrapper over a client that reports for itself, two instrumentations in one process,
//! an agent's span that repeats its children's usage. Invariants:
//! - a leaf counts when it arrives, unless it repeats a counted one; nothing is ever retracted;
//! - a carrier is held and counts only if, when its hold ends, no call under it has reported;
//! - both memories are bounded, in time by `ai.hold` of the fold's clock and in number.
//!
//! A leaf repeats a counted one of the same service if it is the same span again, or its ancestor or descendant; or has
//! the same response id; or comes from another scope, one's time inside the other's, with equal usage (or both failed).
//! One to one: a counted call absorbs one repeat from each scope.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use serde::{Deserialize, Serialize};

use crate::units::UnixNanos;

type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// Counted leaves remembered at most.
const MAX_RECENT: usize = 16_384;
/// Carriers held at most.
const MAX_HELD: usize = 4_096;
/// Candidates of one key that are looked at, the newest first.
const MAX_CANDIDATES: usize = 64;
/// Services whose scopes are told apart; others count as having several.
const MAX_SERVICES: usize = 4_096;
/// Ancestors that are followed.
const MAX_ANCESTORS: usize = 16;

/// What tells calls apart. Hashes stand for texts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    pub service: u64,
    pub trace: u64,
    pub span: u64,
    /// Zero: a root.
    pub parent: u64,
    pub scope: u64,
    /// Zero: no response id.
    pub response: u64,
    pub start_ns: u64,
    pub end_ns: u64,
    pub usage: (Option<u64>, Option<u64>),
    pub failed: bool,
}

impl Fingerprint {
    fn is_inside(&self, other: &Self) -> bool {
        other.start_ns <= self.start_ns && self.end_ns <= other.end_ns
    }

    fn same_usage(&self, other: &Self) -> bool {
        self.failed == other.failed && (self.usage == other.usage || self.failed)
    }

    fn is_same_span(&self, other: &Self) -> bool {
        self.trace != 0 && self.span != 0 && self.trace == other.trace && self.span == other.span
    }

    /// Where the call is found: by its trace and its response; and, for services with several scopes, by its usage.
    fn keys(&self, among_scopes: bool) -> [u64; KEYS] {
        let key = |kind: u64, word: u64| {
            (self.service ^ kind).wrapping_mul(ODD) ^ word.wrapping_add(kind).wrapping_mul(ODD).rotate_left(32)
        };
        let (input, output) = self.usage;
        let usage = match self.failed {
            true => 0,
            false => input.unwrap_or(u64::MAX).wrapping_mul(ODD) ^ output.unwrap_or(u64::MAX),
        };
        let response = if self.response == 0 { 0 } else { key(1, self.response).max(1) };
        match among_scopes {
            true => [self.trace_key(), response, key(2, usage).max(1)],
            false => [self.trace_key(), response, 0],
        }
    }

    fn trace_key(&self) -> u64 {
        // Without a trace id there are no relatives.
        if self.trace == 0 { 0 } else { self.trace.wrapping_mul(ODD).max(1) }
    }
}

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
/// Ways in which a counted call is found.
const KEYS: usize = 3;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Counted {
    at: UnixNanos,
    call: Fingerprint,
    /// Its keys (zero: none), and for each the call that had the key before.
    keys: [u64; KEYS],
    before: [Option<u64>; KEYS],
    /// Scopes from which a repeat was absorbed.
    absorbed: Vec<u64>,
}

/// Whether one service's calls come from one scope or from several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Scopes {
    One(u64),
    Several,
}

/// A span between calls: tells who is whose ancestor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Link {
    at: UnixNanos,
    trace: u64,
    span: u64,
    parent: u64,
}

/// A carrier and what is to be counted if nothing under it reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Held<C> {
    at: UnixNanos,
    call: Fingerprint,
    count: C,
}

/// The memory of calls. `C` is what a carrier would count as.
#[derive(Debug)]
pub struct Once<C> {
    hold_ns: u64,
    counted: VecDeque<Counted>,
    /// How many counted calls have left: the index of the front one.
    first: u64,
    /// The newest counted call with a key; [`Counted::before`] leads to the older ones.
    newest: HashMap<u64, u64>,
    /// Only a service with several scopes has repeats that its traces do not show. Bounded, see [`MAX_SERVICES`].
    scopes: HashMap<u64, Scopes>,
    links: VecDeque<Link>,
    parents: HashMap<(u64, u64), u64>,
    held: VecDeque<Held<C>>,
    /// Carriers that left before their time and count no more.
    pub held_evicted: u64,
}

impl<C> Once<C> {
    pub fn new(hold_ns: u64) -> Self {
        Self {
            hold_ns,
            counted: VecDeque::new(),
            first: 0,
            newest: HashMap::default(),
            scopes: HashMap::default(),
            links: VecDeque::new(),
            parents: HashMap::default(),
            held: VecDeque::new(),
            held_evicted: 0,
        }
    }

    /// True: the leaf is to be counted. False: it repeats one that was.
    pub fn count_leaf(&mut self, call: Fingerprint, now: UnixNanos) -> bool {
        self.note_scope(&call);
        if let Some(index) = self.find_counted(&call) {
            if let Some(counted) = self.counted.get_mut(index)
                && !counted.call.is_same_span(&call)
                && !counted.absorbed.contains(&call.scope)
            {
                counted.absorbed.push(call.scope);
            }
            // The repeat is a place in the tree all the same.
            self.link(&call, now);
            return false;
        }
        self.remember(call, now);
        true
    }

    /// A span that is no leaf takes its place in the tree.
    pub fn link(&mut self, call: &Fingerprint, now: UnixNanos) {
        if self.links.len() >= MAX_RECENT {
            self.drop_oldest_link();
        }
        if call.trace == 0 || call.span == 0 {
            return;
        }
        let is_new = self.parents.insert((call.trace, call.span), call.parent).is_none();
        if is_new {
            self.links.push_back(Link { at: now, trace: call.trace, span: call.span, parent: call.parent });
        }
    }

    /// Holds a carrier until calls under it had time to report.
    pub fn hold(&mut self, call: Fingerprint, count: C, now: UnixNanos) {
        self.link(&call, now);
        if self.held.len() >= MAX_HELD {
            self.held.pop_front();
            self.held_evicted += 1;
        }
        self.held.push_back(Held { at: now, call, count });
    }

    /// Forgets what is older than the hold, and gives the carriers whose hold has ended and that are to be counted.
    pub fn expire(&mut self, now: UnixNanos) -> Vec<C> {
        let hold_ns = self.hold_ns;
        let is_over = |at: UnixNanos| now.0.saturating_sub(at.0) >= hold_ns;
        let mut to_count = Vec::new();
        while self.held.front().is_some_and(|held| is_over(held.at)) {
            let Some(held) = self.held.pop_front() else { break };
            let inner_is_held = self.held.iter().any(|other| is_under(&other.call, &held.call));
            if !inner_is_held && !self.has_reported_under(&held.call) {
                self.remember(held.call, now);
                to_count.push(held.count);
            }
        }
        // Twice the hold, so that a carrier at the end of its hold still finds the calls that came just before it.
        let is_stale = |at: UnixNanos| now.0.saturating_sub(at.0) >= 2 * hold_ns;
        while self.counted.front().is_some_and(|counted| is_stale(counted.at)) {
            self.drop_oldest_counted();
        }
        while self.links.front().is_some_and(|link| is_stale(link.at)) {
            self.drop_oldest_link();
        }
        to_count
    }

    /// Ends every hold now: a recording is over.
    pub fn flush(&mut self, now: UnixNanos) -> Vec<C> {
        self.expire(UnixNanos(now.0.saturating_add(self.hold_ns)))
    }

    /// From its second scope on, a service's calls are found by usage too, those that were counted included.
    fn note_scope(&mut self, call: &Fingerprint) {
        if self.scopes.len() >= MAX_SERVICES && !self.scopes.contains_key(&call.service) {
            return;
        }
        let scopes = self.scopes.entry(call.service).or_insert(Scopes::One(call.scope));
        if *scopes == Scopes::Several || *scopes == Scopes::One(call.scope) {
            return;
        }
        *scopes = Scopes::Several;
        for (index, counted) in (self.first..).zip(&mut self.counted) {
            if counted.call.service == call.service {
                counted.keys = counted.call.keys(true);
                for (key, before) in
                    counted.keys.into_iter().zip(&mut counted.before).skip(2).filter(|(key, _)| *key != 0)
                {
                    *before = self.newest.insert(key, index);
                }
            }
        }
    }

    fn is_among_scopes(&self, call: &Fingerprint) -> bool {
        !matches!(self.scopes.get(&call.service), Some(Scopes::One(_)))
    }

    fn find_counted(&self, call: &Fingerprint) -> Option<usize> {
        let [trace, response, usage] = call.keys(self.is_among_scopes(call));
        let relative = |counted: &Counted| {
            counted.call.trace == call.trace
                && (counted.call.is_same_span(call)
                    || self.is_ancestor(call, &counted.call)
                    || self.is_ancestor(&counted.call, call))
        };
        let answered_alike =
            |counted: &Counted| counted.call.service == call.service && counted.call.response == call.response;
        let same_elsewhere = |counted: &Counted| {
            counted.call.service == call.service
                && counted.call.scope != call.scope
                && counted.call.same_usage(call)
                && (counted.call.is_inside(call) || call.is_inside(&counted.call))
        };
        self.candidate(trace, 0, call, relative)
            .or_else(|| self.candidate(response, 1, call, answered_alike))
            .or_else(|| self.candidate(usage, 2, call, same_elsewhere))
    }

    /// The newest counted call of a key that fits and has absorbed no repeat of this scope; the same span always fits.
    fn candidate(&self, key: u64, which: usize, call: &Fingerprint, fits: impl Fn(&Counted) -> bool) -> Option<usize> {
        self.with_key(key, which).find(|place| {
            self.counted.get(*place).is_some_and(|counted| {
                fits(counted) && (counted.call.is_same_span(call) || !counted.absorbed.contains(&call.scope))
            })
        })
    }

    /// Places of the counted calls with a key, the newest first.
    fn with_key(&self, key: u64, which: usize) -> impl Iterator<Item = usize> {
        let place = |index: u64| usize::try_from(index.checked_sub(self.first)?).ok();
        let newest = if key == 0 { None } else { self.newest.get(&key).copied() };
        let mut next = newest;
        let chain = std::iter::from_fn(move || {
            let found = place(next?)?;
            next = self.counted.get(found)?.before.get(which).copied().flatten();
            Some(found)
        });
        chain.take(MAX_CANDIDATES)
    }

    fn is_ancestor(&self, elder: &Fingerprint, younger: &Fingerprint) -> bool {
        let mut span = younger.parent;
        for _ in 0..MAX_ANCESTORS {
            if span == 0 {
                return false;
            }
            if span == elder.span {
                return true;
            }
            let Some(parent) = self.parents.get(&(younger.trace, span)) else { return false };
            span = *parent;
        }
        false
    }

    fn has_reported_under(&self, carrier: &Fingerprint) -> bool {
        let mut places = self.with_key(carrier.trace_key(), 0);
        places.any(|place| self.counted.get(place).is_some_and(|counted| is_under(&counted.call, carrier)))
    }

    fn remember(&mut self, call: Fingerprint, now: UnixNanos) {
        if self.counted.len() >= MAX_RECENT {
            self.drop_oldest_counted();
        }
        let index = self.first + self.counted.len() as u64;
        let keys = call.keys(self.is_among_scopes(&call));
        let before = keys.map(|key| if key == 0 { None } else { self.newest.insert(key, index) });
        self.counted.push_back(Counted { at: now, call, keys, before, absorbed: Vec::new() });
    }

    fn drop_oldest_counted(&mut self) {
        let Some(counted) = self.counted.pop_front() else { return };
        for key in counted.keys.into_iter().filter(|key| *key != 0) {
            if let Entry::Occupied(newest) = self.newest.entry(key)
                && *newest.get() == self.first
            {
                newest.remove();
            }
        }
        self.first += 1;
    }

    fn drop_oldest_link(&mut self) {
        if let Some(link) = self.links.pop_front() {
            self.parents.remove(&(link.trace, link.span));
        }
    }
}

/// Whether a call of the same trace ran while `carrier` did: then it ran under it, as far as usage goes.
fn is_under(call: &Fingerprint, carrier: &Fingerprint) -> bool {
    call.trace == carrier.trace && call.span != carrier.span && call.is_inside(carrier)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn call(span: u64) -> Fingerprint {
        Fingerprint {
            service: 1,
            trace: 1,
            span,
            parent: 0,
            scope: 1,
            response: 0,
            start_ns: 100,
            end_ns: 200,
            usage: (Some(span), Some(1)),
            failed: false,
        }
    }

    fn at(seconds: u64) -> UnixNanos {
        UnixNanos(seconds * SECOND)
    }

    fn once() -> Once<&'static str> {
        Once::new(30 * SECOND)
    }

    #[test]
    fn a_parent_or_child_leaf_repeats() {
        let mut once = once();
        assert!(once.count_leaf(Fingerprint { parent: 2, ..call(3) }, at(1)));
        assert!(!once.count_leaf(Fingerprint { scope: 2, ..call(2) }, at(1)));
        assert!(once.count_leaf(call(9), at(1)), "no relation");
    }

    #[test]
    fn a_repeat_may_be_a_grandchild() {
        let mut once = once();
        once.link(&Fingerprint { parent: 2, ..call(5) }, at(1));
        assert!(once.count_leaf(Fingerprint { parent: 5, ..call(3) }, at(1)));
        assert!(!once.count_leaf(call(2), at(2)));
    }

    #[test]
    fn the_same_response_is_the_same_call() {
        let mut once = once();
        assert!(once.count_leaf(Fingerprint { response: 7, ..call(3) }, at(1)));
        assert!(!once.count_leaf(Fingerprint { response: 7, trace: 2, scope: 2, ..call(4) }, at(1)));
        assert!(once.count_leaf(Fingerprint { response: 7, service: 2, trace: 3, ..call(4) }, at(1)));
    }

    #[test]
    fn another_scope_in_another_trace_repeats_by_time_and_usage() {
        let mut once = once();
        let counted = call(3);
        let repeat = Fingerprint { trace: 2, scope: 2, start_ns: 110, end_ns: 190, span: 8, ..counted };
        assert!(once.count_leaf(counted, at(1)));
        assert!(once.count_leaf(Fingerprint { scope: 1, span: 10, trace: 4, ..repeat }, at(1)), "same scope");
        assert!(!once.count_leaf(repeat, at(1)));
        let second = Fingerprint { span: 9, trace: 3, ..repeat };
        assert!(!once.count_leaf(second, at(1)), "absorbed by the second counted call");
        assert!(once.count_leaf(Fingerprint { span: 11, ..second }, at(1)), "one to one");
        let later = Fingerprint { start_ns: 300, end_ns: 400, span: 12, trace: 5, ..repeat };
        assert!(once.count_leaf(later, at(1)));
    }

    #[test]
    fn a_span_sent_twice_counts_once() {
        let mut once = once();
        assert!(once.count_leaf(call(3), at(1)));
        assert!(!once.count_leaf(call(3), at(2)));
        assert!(!once.count_leaf(call(3), at(3)));
    }

    #[test]
    fn a_carrier_counts_only_if_nothing_under_it_reports() {
        let mut once = once();
        once.hold(Fingerprint { start_ns: 50, end_ns: 300, ..call(2) }, "agent", at(1));
        once.hold(Fingerprint { trace: 9, ..call(2) }, "alone", at(1));
        assert!(once.expire(at(30)).is_empty());
        assert!(once.count_leaf(call(3), at(30)));
        assert_eq!(once.expire(at(31)), ["alone"]);
        assert!(once.expire(at(100)).is_empty());
    }

    #[test]
    fn a_carrier_inside_a_carrier_counts_alone() {
        let mut once = once();
        once.hold(Fingerprint { start_ns: 60, end_ns: 200, ..call(3) }, "inner", at(1));
        once.hold(Fingerprint { start_ns: 50, end_ns: 300, ..call(2) }, "outer", at(2));
        assert_eq!(once.flush(at(3)), ["inner"]);
    }

    #[test]
    fn memories_are_bounded() {
        let mut once = once();
        for span in 0..(MAX_RECENT as u64 + 10) {
            once.count_leaf(Fingerprint { trace: span, usage: (Some(span), None), ..call(span + 1) }, at(1));
            once.hold(Fingerprint { trace: span + (1 << 40), ..call(span + 1) }, "x", at(1));
        }
        assert_eq!(once.counted.len(), MAX_RECENT);
        assert_eq!(once.held.len(), MAX_HELD);
        assert!(once.held_evicted > 0);
        let counted = once.expire(at(1000));
        assert_eq!(counted.len(), MAX_HELD);
        once.expire(at(2000));
        assert!(once.counted.is_empty() && once.newest.is_empty() && once.parents.is_empty() && once.links.is_empty());
    }
}
