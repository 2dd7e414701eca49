//! What one head-sampled span stands for (OpenTelemetry's consistent probability sampling, tracestate `ot=th:…`).

/// Spans for each one kept: the whole part, and the rest in 2⁻³².
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdjustedCount {
    pub whole: u32,
    pub fraction: u32,
}

impl AdjustedCount {
    pub const ONE: Self = Self { whole: 1, fraction: 0 };

    /// Reads the rejection threshold of a `tracestate`: `ot=th:H` with H up to 14 hex digits, trailing zeros cut. A span
    /// then stands for 2⁵⁶ / (2⁵⁶ − H). Without a readable threshold it stands for itself.
    pub fn of_trace_state(trace_state: &[u8]) -> Self {
        threshold(trace_state).map_or(Self::ONE, |threshold| {
            const TOTAL: u64 = 1 << 56;
            let kept = u128::from(TOTAL - threshold.min(TOTAL - 1));
            let count = (u128::from(TOTAL) << 32) / kept;
            Self { whole: u32::try_from(count >> 32).unwrap_or(u32::MAX), fraction: count as u32 }
        })
    }

    pub fn is_sampled(self) -> bool {
        self != Self::ONE
    }

    /// The whole number that this span counts for: rounded up where the hash of its ids, uniform on [0, 1), is below the
    /// fraction, so that sums are right on average and the same in every replay.
    pub fn round(self, trace_id: &[u8], span_id: &[u8]) -> u64 {
        if self.fraction == 0 {
            return u64::from(self.whole);
        }
        let uniform = (crate::series::stable_hash(&[trace_id, span_id]) >> 32) as u32;
        u64::from(self.whole) + u64::from(uniform < self.fraction)
    }
}

fn threshold(trace_state: &[u8]) -> Option<u64> {
    let member = trace_state.split(|byte| *byte == b',').find_map(|member| member.trim_ascii().strip_prefix(b"ot="))?;
    let digits = member.split(|byte| *byte == b';').find_map(|pair| pair.strip_prefix(b"th:"))?;
    if digits.is_empty() || digits.len() > 14 {
        return None;
    }
    let value = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    Some(value << (4 * (14 - digits.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_threshold() {
        let count = |state: &str| AdjustedCount::of_trace_state(state.as_bytes());
        assert_eq!(count("ot=th:8"), AdjustedCount { whole: 2, fraction: 0 });
        assert_eq!(count("vendor=x, ot=rv:1;th:c"), AdjustedCount { whole: 4, fraction: 0 });
        assert_eq!(count("ot=th:0"), AdjustedCount::ONE);
        assert_eq!(count("ot=th:4"), AdjustedCount { whole: 1, fraction: 0x5555_5555 });
        for odd in ["", "ot=", "ot=th:", "ot=th:xyz", "ot=th:123456789abcdef", "other=th:8"] {
            assert_eq!(count(odd), AdjustedCount::ONE, "{odd}");
        }
        assert_eq!(count("ot=th:ffffffffffffff").whole, u32::MAX);
    }

    #[test]
    fn rounding_is_right_on_average() {
        let third = AdjustedCount::of_trace_state(b"ot=th:4");
        let total: u64 = (0..30_000_u64).map(|span| third.round(b"trace", &span.to_le_bytes())).sum();
        assert!((39_500..40_500).contains(&total), "{total}");
    }
}
