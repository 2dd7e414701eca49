//! Numbers in the text formats.
//!
//! What is written parses back to the same number: floats are in their shortest form that does.

use std::io::Write as _;

/// A non-negative integer.
pub fn push_u64(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        used += 1;
        if value == 0 {
            break;
        }
    }
    let (_, written) = digits.split_at(digits.len() - used);
    out.extend_from_slice(written);
}

/// An integer.
pub fn push_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    push_u64(out, value.unsigned_abs());
}

/// A sample's value.
pub fn push_f64(out: &mut Vec<u8>, value: f64) {
    let magnitude = value.abs();
    let whole = value.trunc() == value && magnitude < 1e15 && !(value == 0.0 && value.is_sign_negative());
    // Writing to a vector cannot fail.
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if whole {
        push_i64(out, value as i64);
    } else if value == 0.0 || (1e-5..1e21).contains(&magnitude) {
        _ = write!(out, "{value}");
    } else {
        _ = write!(out, "{value:e}");
    }
}

/// A bucket's bound or a quantile: OpenMetrics's canonical form, `2.0`, `0.005`, `1e-05`, `1e+06`, `+Inf`, which is
/// also how Prometheus 3 stores `le` and `quantile` whatever the target wrote.
pub fn canonical(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if value == 0.0 {
        return "0.0".to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Go's %g with the shortest precision, which OpenMetrics took over.
    if (-4..6).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// An attribute's double as text, as in JSON: `2`, `0.5`, `1e21`.
pub fn attribute(value: f64) -> String {
    let mut text = Vec::new();
    push_f64(&mut text, value);
    String::from_utf8(text).unwrap_or_default()
}

/// Seconds since the epoch with all of the nanoseconds: `1700000000.000000001`.
pub fn push_seconds(out: &mut Vec<u8>, time: crate::units::UnixNanos) {
    push_u64(out, time.0 / 1_000_000_000);
    let nanos = time.0 % 1_000_000_000;
    if nanos != 0 {
        let fraction = format!("{nanos:09}");
        out.push(b'.');
        out.extend_from_slice(fraction.trim_end_matches('0').as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::UnixNanos;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// Expected values were printed by Go's `strconv.FormatFloat(v, 'g', -1, 64)`, with `.0` where it prints an integer.
    #[test]
    fn canonical_numbers() {
        let cases = [
            (2.0, "2.0"),
            (0.002, "0.002"),
            (1.4, "1.4"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (3e-5, "3e-05"),
            (2.5e-10, "2.5e-10"),
            (0.000123, "0.000123"),
            (100_000.0, "100000.0"),
            (123_456.0, "123456.0"),
            (100_000.5, "100000.5"),
            (1e6, "1e+06"),
            (1_048_576.0, "1.048576e+06"),
            (1_000_000.5, "1.0000005e+06"),
            (1e21, "1e+21"),
            (1e100, "1e+100"),
            (0.0, "0.0"),
            (-0.0, "0.0"),
            (-1.0, "-1.0"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(canonical(value), expected);
        }
    }

    #[test]
    fn values() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-3.0, "-3"),
            (0.010989, "0.010989"),
            (1e15, "1000000000000000"),
            (1e21, "1e21"),
            (1e-7, "1e-7"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(|out| push_f64(out, value)), expected);
        }
        assert_eq!(text(|out| push_u64(out, u64::MAX)), u64::MAX.to_string());
        assert_eq!(text(|out| push_i64(out, i64::MIN)), i64::MIN.to_string());
        assert_eq!(text(|out| push_seconds(out, UnixNanos(1_700_000_000_000_000_000))), "1700000000");
        assert_eq!(text(|out| push_seconds(out, UnixNanos(1_700_000_000_012_000_000))), "1700000000.012");
        assert_eq!(text(|out| push_seconds(out, UnixNanos(1))), "0.000000001");
    }

    proptest! {
        #[test]
        fn every_number_parses_back(bits: u64, integer: i64) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            let back = |text: &str| text.replace("Inf", "inf").parse::<f64>().unwrap();
            prop_assert_eq!(back(&text(|out| push_f64(out, value))).to_bits(), value.to_bits());
            prop_assert_eq!(back(&canonical(value)), value);
            prop_assert_eq!(text(|out| push_i64(out, integer)), integer.to_string());
        }
    }
}
