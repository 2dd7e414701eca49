//! Spans, AI, the host, the journal and the limits.

use super::{Checker, path};
use crate::config::process::Memory;
use crate::config::values::{Dur, Ratio, Size};

/// The most bounds a histogram may have; each is one series more on every page.
const MAX_BUCKETS: usize = 256;

/// The most percentile windows.
const MAX_WINDOWS: usize = 8;

/// The least memory the sidecar can work with.
const MIN_MEMORY: Size = Size::mib(32);

pub(super) fn check(checker: &mut Checker) {
    spans(checker);
    ai(checker);
    host(checker);
    storage(checker);
    limits(checker);
}

fn spans(checker: &mut Checker) {
    let spans = &checker.config.spans;
    let buckets = path("spans.buckets");
    if spans.buckets.is_empty() {
        checker.error(buckets.clone(), "no buckets: a histogram needs at least one bound");
    }
    if spans.buckets.len() > MAX_BUCKETS {
        checker.error(buckets.clone(), format!("{} buckets; at most {MAX_BUCKETS} are kept", spans.buckets.len()));
    }
    let mut previous = Dur::default();
    for (index, bound) in spans.buckets.iter().enumerate() {
        if bound.is_zero() {
            checker.error(buckets.index(index), "a bound of 0s; expected one above 0");
        } else if *bound <= previous {
            checker.error(
                buckets.index(index),
                format!("{bound} comes after {previous}; expected bounds in ascending order"),
            );
        }
        previous = *bound;
    }
    for (index, dimension) in spans.dimensions.iter().enumerate() {
        let at = path("spans.dimensions").index(index);
        if dimension.trim().is_empty() {
            checker.error(at, "an empty name; expected an attribute's");
        } else if spans.dimensions.iter().take(index).any(|earlier| earlier == dimension) {
            checker.error(at, format!("`{dimension}` stands here twice"));
        } else if matches!(dimension.as_str(), "service.name" | "span.name" | "span.kind" | "status.code") {
            checker.error(at, format!("`{dimension}` is a label already"));
        }
    }
}

fn ai(checker: &mut Checker) {
    let ai = &checker.config.ai;
    let windows = path("ai.windows");
    if ai.windows.is_empty() || ai.windows.len() > MAX_WINDOWS {
        checker.error(windows.clone(), format!("{} windows; expected 1 to {MAX_WINDOWS}", ai.windows.len()));
    }
    for (index, window) in ai.windows.iter().enumerate() {
        let twice = ai.windows.iter().take(index).any(|earlier| earlier == window);
        if twice {
            checker.error(windows.index(index), format!("{window} stands here twice"));
        } else if *window < Dur::from_secs(10) || *window > Dur::from_days(7) {
            checker.error(windows.index(index), format!("a window of {window} is not between 10s and 7d"));
        }
    }
    for (index, price) in ai.prices.overrides.iter().enumerate() {
        let at = path("ai.prices.overrides").index(index);
        if price.model.is_empty() {
            checker.error(at.key("model"), "`model` is missing: every price needs one");
        }
        let rates = [
            ("input_mtok", price.input_mtok),
            ("output_mtok", price.output_mtok),
            ("cache_read_mtok", price.cache_read_mtok),
            ("cache_write_mtok", price.cache_write_mtok),
        ];
        if rates.iter().all(|(_, rate)| rate.is_none()) {
            checker.error(
                at.clone(),
                "no price: expected at least one of input_mtok, output_mtok, cache_read_mtok, cache_write_mtok",
            );
        }
        for (key, rate) in rates {
            let plausible = rate.is_none_or(|rate| (0.0..=1e6).contains(&rate));
            if !plausible {
                checker.error(
                    at.key(key),
                    format!("{} is not a price between 0 and 1000000 USD", rate.unwrap_or_default()),
                );
            }
        }
    }
    checker.at_least_one(path("ai.max_models"), ai.max_models as u64);
    checker.at_least_one(path("ai.drift.min_samples"), ai.drift.min_samples);
    checker.at_least_one(path("ai.fairness.min_group"), ai.fairness.min_group);
    for (key, duration) in [
        ("ai.join_ttl", ai.join_ttl),
        ("ai.quality_window", ai.quality_window),
        ("ai.drift.baseline", ai.drift.baseline),
        ("ai.drift.window", ai.drift.window),
    ] {
        checker.above_zero(path(key), duration);
    }
}

fn host(checker: &mut Checker) {
    let host = &checker.config.receivers.host;
    if host.interval < Dur::from_secs(1) {
        checker.error(path("receivers.host.interval"), format!("{} is too short; expected at least 1s", host.interval));
    }
    if !host.root_path.is_absolute() {
        let message = format!("`{}` is not an absolute path, such as / or /hostfs", host.root_path.display());
        checker.error(path("receivers.host.root_path"), message);
    }
    for (index, scraper) in host.scrapers.iter().enumerate() {
        if host.scrapers.iter().take(index).any(|earlier| earlier == scraper) {
            checker.error(path("receivers.host.scrapers").index(index), "this scraper stands here twice");
        }
    }
}

fn storage(checker: &mut Checker) {
    let config = checker.config;
    if config.journal.memory < Size::mib(1) {
        checker
            .error(path("journal.memory"), format!("{} is too small; expected at least 1MiB", config.journal.memory));
    }
    if config.journal.disk < Size::mib(16) {
        checker.error(path("journal.disk"), format!("{} is too small; expected at least 16MiB", config.journal.disk));
    }
    checker.above_zero(path("state.snapshot_interval"), config.state.snapshot_interval);
    if let Some(redis) = &config.state.redis {
        let is_redis = matches!(redis.scheme().as_str(), "redis" | "rediss") && redis.host_port().is_some();
        if !is_redis {
            checker.error(path("state.redis"), format!("`{redis}` is not like redis://127.0.0.1:6379 or rediss://…"));
        }
    }
}

fn limits(checker: &mut Checker) {
    let config = checker.config;
    let limits = &config.limits;
    checker.at_least_one(path("limits.series"), limits.series as u64);
    checker.at_least_one(path("limits.connections"), limits.connections as u64);
    checker.above_zero(path("limits.series_expiry"), limits.series_expiry);
    checker.above_zero(path("limits.request_time"), limits.request_time);
    checker.above_zero(path("prometheus.received.expiry"), config.prometheus.received.expiry);
    if limits.in_flight < Size(64 << 10) {
        checker.error(path("limits.in_flight"), format!("{} is too small; expected at least 64KiB", limits.in_flight));
    }
    let max_request = config.receivers.otlp.max_request_size;
    let max_request_at = path("receivers.otlp.max_request_size");
    if max_request.0 == 0 {
        checker.error(max_request_at.clone(), "0 bytes: every request would be refused");
    }
    let Memory::Bytes(memory) = limits.memory else { return };
    if memory < MIN_MEMORY {
        checker.error(path("limits.memory"), format!("{memory} is too small; expected at least {MIN_MEMORY}"));
        return;
    }
    // Left to their defaults, both shrink with the memory instead: see `budget`.
    let quarter = Size(memory.0 / 4);
    if max_request > quarter && checker.given(&max_request_at) {
        let message =
            format!("{max_request} is more than a quarter of limits.memory ({memory}); expected at most {quarter}");
        checker.error(max_request_at, message);
    }
    let half = Size(memory.0 / 2);
    let ring_at = path("journal.memory");
    if config.journal.memory > half && checker.given(&ring_at) {
        let message =
            format!("{} is more than half of limits.memory ({memory}); expected at most {half}", config.journal.memory);
        checker.error(ring_at, message);
    }
}

/// Whether a ratio lies above 0 and at most at 1.
pub(super) fn is_share(ratio: Ratio) -> bool {
    ratio.0 > 0.0 && ratio.0 <= 1.0
}
