//! When a thing happened, whatever its sender's clock says.
//!
//! Event time is the span's end. Later than the receive time + 5 min, earlier than it − 64 d, or zero: the receive time
//! is used, and the item is counted. A duration cannot be negative: it is then zero, and counted.

use std::time::Duration;

use crate::observe::Span;
use crate::units::UnixNanos;

/// How far a sender's clock may run ahead.
pub const FUTURE: Duration = Duration::from_secs(5 * 60);
/// How old an item may be.
pub const ANCIENT: Duration = Duration::from_secs(64 * 24 * 60 * 60);

/// A span's time after the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanTime {
    pub event: UnixNanos,
    pub duration_ns: u64,
    /// Reason under which the item is counted, if its own time was not used.
    pub odd: Option<&'static str>,
}

impl SpanTime {
    #[inline]
    pub fn of(span: &Span, received: UnixNanos) -> Self {
        let (event, odd) = event_time(UnixNanos(span.end_ns), received);
        if span.start_ns == 0 || span.end_ns == 0 {
            return Self { event, duration_ns: 0, odd: odd.or(Some("no_time")) };
        }
        match span.end_ns.checked_sub(span.start_ns) {
            Some(duration_ns) => Self { event, duration_ns, odd },
            None => Self { event, duration_ns: 0, odd: odd.or(Some("end_before_start")) },
        }
    }
}

/// The time to use for an item, and the reason if that is not its own.
#[inline]
pub fn event_time(own: UnixNanos, received: UnixNanos) -> (UnixNanos, Option<&'static str>) {
    if own.0 == 0 {
        (received, Some("no_time"))
    } else if own > received.saturating_add(FUTURE) {
        (received, Some("future"))
    } else if own < received.saturating_sub(ANCIENT) {
        (received, Some("ancient"))
    } else {
        (own, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos(1_795_521_600_000_000_000);

    #[test]
    fn a_plausible_time_is_kept() {
        let late = NOW.saturating_sub(Duration::from_secs(3600));
        assert_eq!(event_time(late, NOW), (late, None));
        let ahead = NOW.saturating_add(FUTURE);
        assert_eq!(event_time(ahead, NOW), (ahead, None));
    }

    #[test]
    fn an_implausible_one_is_replaced_and_named() {
        assert_eq!(event_time(UnixNanos(0), NOW), (NOW, Some("no_time")));
        assert_eq!(event_time(UnixNanos(NOW.0 + 301_000_000_000), NOW), (NOW, Some("future")));
        assert_eq!(event_time(UnixNanos(1), NOW), (NOW, Some("ancient")));
    }
}
