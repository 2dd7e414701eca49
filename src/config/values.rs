//! The scalar types of the configuration: durations, sizes, percentages, times.
//!
//! Invariants: what a type accepts it also prints, and reading the printed form gives the same value.
//!
//! Each type reads itself from a YAML scalar. Its error names the value that was wrong and the form that was expected;
//! the position is added by the loader.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A duration: `10s`, `5m`, `7d`, `1h30m`, `500ms`, `1.4s`. Units, largest first: `w d h m s ms us ns`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dur(pub Duration);

/// The units of [`Dur`], largest first, in nanoseconds.
const DURATION_UNITS: [(&str, u128); 8] = [
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl Dur {
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    pub const fn from_hours(hours: u64) -> Self {
        Self::from_secs(hours * 3600)
    }

    pub const fn from_days(days: u64) -> Self {
        Self::from_secs(days * 86_400)
    }

    /// Reads `1h30m`. Units may be left out but not repeated or put out of order; a bare number is refused, because
    /// nobody can tell whether it means seconds or milliseconds. At most 2⁶⁴ − 1 ns (584 years).
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is not a duration; write it like 500ms, 10s, 5m, 1h30m or 7d", shown(text));
        let mut rest = text.trim();
        let mut total_ns: u128 = 0;
        let mut smallest_unit_ns = u128::MAX;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
            let (number, after) = rest.split_at_checked(digits).ok_or_else(wrong)?;
            let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at_checked(letters).ok_or_else(wrong)?;
            let unit = if unit == "µs" || unit == "μs" { "us" } else { unit };
            let &(_, unit_ns) = DURATION_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
            if unit_ns >= smallest_unit_ns {
                return Err(wrong());
            }
            smallest_unit_ns = unit_ns;
            total_ns = total_ns.saturating_add(decimal_times(number, unit_ns).ok_or_else(wrong)?);
            rest = after;
        }
        let total_ns = u64::try_from(total_ns).map_err(|_| format!("`{}` is longer than 584 years", shown(text)))?;
        Ok(Self(Duration::from_nanos(total_ns)))
    }
}

/// `number` × `unit`, exact; `None` where `number` is not a plain decimal or the result is not whole.
fn decimal_times(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let no_digits = whole.is_empty() || (number.contains('.') && fraction.is_empty());
    if no_digits || whole.len() > 20 || fraction.len() > 15 || fraction.contains('.') {
        return None;
    }
    let mut total = whole.parse::<u128>().ok()?.checked_mul(unit)?;
    if !fraction.is_empty() {
        let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
        let scaled = fraction.parse::<u128>().ok()?.checked_mul(unit)?;
        if scaled % scale != 0 {
            return None;
        }
        total = total.checked_add(scaled / scale)?;
    }
    Some(total)
}

impl fmt::Display for Dur {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole_secs = self.0.as_secs();
        let nanos = self.0.subsec_nanos();
        if whole_secs == 0 && nanos > 0 {
            return match nanos {
                n if n % 1_000_000 == 0 => write!(f, "{}ms", n / 1_000_000),
                n if n % 1_000 == 0 => write!(f, "{}us", n / 1_000),
                n => write!(f, "{n}ns"),
            };
        }
        let (days, hours) = (whole_secs / 86_400, whole_secs / 3600 % 24);
        let (minutes, seconds) = (whole_secs / 60 % 60, whole_secs % 60);
        for (value, unit) in [(days, "d"), (hours, "h"), (minutes, "m")] {
            if value > 0 {
                write!(f, "{value}{unit}")?;
            }
        }
        if nanos > 0 {
            let fraction = format!("{nanos:09}");
            write!(f, "{seconds}.{}s", fraction.trim_end_matches('0'))
        } else if seconds > 0 || whole_secs == 0 {
            write!(f, "{seconds}s")
        } else {
            Ok(())
        }
    }
}

/// A number of bytes: `64MiB`, `1GiB`, `512KiB`, `10MB`, or a plain number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// The units of [`Size`], in bytes; the first that divides a size exactly is the one it is printed with.
const SIZE_UNITS: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
];

impl Size {
    pub const fn mib(mebibytes: u64) -> Self {
        Self(mebibytes << 20)
    }

    /// The size as `usize`, saturating where the platform's is smaller.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// Reads `64MiB`. Units are case-insensitive; `Ki`, `Mi`, `Gi` and `Ti` are read as Kubernetes writes them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{}` is not a size; write it like 512KiB, 64MiB, 1GiB or a number of bytes", shown(text));
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at_checked(digits).ok_or_else(wrong)?;
        let unit = unit.trim_start();
        let unit_bytes = if unit.is_empty() || unit.eq_ignore_ascii_case("b") {
            1
        } else {
            let full = if unit.len() == 2 && unit.ends_with(['i', 'I']) { format!("{unit}B") } else { unit.to_owned() };
            SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(&full)).ok_or_else(wrong)?.1
        };
        let bytes = decimal_times(number, u128::from(unit_bytes)).ok_or_else(wrong)?;
        u64::try_from(bytes).map(Self).map_err(|_| format!("`{}` is more than 16 EiB", shown(text)))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = SIZE_UNITS.iter().find(|(_, bytes)| self.0 > 0 && self.0.is_multiple_of(*bytes));
        match unit {
            Some((name, bytes)) => write!(f, "{}{name}", self.0 / bytes),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// A percentage: `99.9%`, or a plain number that is read as one. Held in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Percent(pub f64);

impl Percent {
    /// As a fraction of one.
    pub fn ratio(self) -> f64 {
        self.0 / 100.0
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is not a percentage; write it like 99.9%", shown(text));
        let number = text.trim().strip_suffix('%').unwrap_or(text.trim()).trim_end();
        let percent = number.parse::<f64>().map_err(|_| wrong())?;
        if percent.is_finite() { Ok(Self(percent)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// A fraction of one: `0.5`, or `50%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Ratio(pub f64);

impl Ratio {
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is not a ratio; write it like 0.5 or 50%", shown(text));
        let trimmed = text.trim();
        let ratio = match trimmed.strip_suffix('%') {
            Some(percent) => percent.trim_end().parse::<f64>().map(|p| p / 100.0),
            None => trimmed.parse::<f64>(),
        };
        ratio.ok().filter(|r| r.is_finite()).map(Self).ok_or_else(wrong)
    }
}

/// A moment in RFC 3339: `2026-03-01T22:00:00Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub jiff::Timestamp);

impl Timestamp {
    pub fn parse(text: &str) -> Result<Self, String> {
        text.trim().parse().map(Self).map_err(|_| {
            format!("`{}` is not a time; write it like 2026-03-01T22:00:00Z or with an offset", shown(text))
        })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The longest text that is put into an error message, in characters.
const SHOWN_CHARS: usize = 60;

/// `text` cut to what an error message can carry.
pub(super) fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(SHOWN_CHARS).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

/// Reads a scalar from a string, and from a number where `from_number` allows it.
struct ScalarVisitor<T> {
    expected: &'static str,
    parse: fn(&str) -> Result<T, String>,
    from_number: Option<fn(f64) -> Option<T>>,
    from_unsigned: Option<fn(u64) -> T>,
}

impl<T> Visitor<'_> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        match (self.from_unsigned, self.from_number) {
            (Some(from_unsigned), _) => Ok(from_unsigned(number)),
            (None, Some(_)) => self.visit_f64(number as f64),
            (None, None) => Err(E::custom(format!("`{number}` has no unit; expected {}", self.expected))),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        match u64::try_from(number) {
            Ok(unsigned) => self.visit_u64(unsigned),
            Err(_) => self.visit_f64(number as f64),
        }
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.from_number
            .and_then(|from_number| from_number(number))
            .ok_or_else(|| E::custom(format!("`{number}` is not {}", self.expected)))
    }
}

/// Gives a scalar type its serde and schema implementations.
macro_rules! scalar {
    ($type:ident, expected: $expected:literal, number: $number:expr, unsigned: $unsigned:expr, schema: $schema:tt) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(ScalarVisitor {
                    expected: $expected,
                    parse: $type::parse,
                    from_number: $number,
                    from_unsigned: $unsigned,
                })
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

scalar!(Dur, expected: "a duration like 500ms, 10s, 5m, 1h30m or 7d", number: None, unsigned: None, schema: {
    "type": "string",
    "description": "A duration: `500ms`, `10s`, `5m`, `1h30m`, `7d`.",
    "pattern": r"^\s*([0-9]+(\.[0-9]+)?(w|d|h|m|s|ms|us|µs|ns))+\s*$"
});
scalar!(Size, expected: "a size like 512KiB, 64MiB, 1GiB or a number of bytes", number: None, unsigned: Some(Size), schema: {
    "type": ["string", "integer"],
    "description": "A size: `512KiB`, `64MiB`, `1GiB`, or a plain number of bytes.",
    "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([KkMmGgTt][Ii]?[Bb]?|[Bb])?\s*$",
    "minimum": 0
});
scalar!(Percent, expected: "a percentage like 99.9%", number: Some(|n| Some(Percent(n))), unsigned: None, schema: {
    "type": ["string", "number"],
    "description": "A percentage: `99.9%`, or a plain number that is read as one.",
    "pattern": r"^\s*-?[0-9]+(\.[0-9]+)?\s*%?\s*$"
});
scalar!(Ratio, expected: "a ratio like 0.5 or 50%", number: Some(|n| Some(Ratio(n))), unsigned: None, schema: {
    "type": ["string", "number"],
    "description": "A fraction of one: `0.5`, or `50%`.",
    "pattern": r"^\s*-?[0-9]+(\.[0-9]+)?\s*%?\s*$"
});
scalar!(Timestamp, expected: "a time like 2026-03-01T22:00:00Z", number: None, unsigned: None, schema: {
    "type": "string",
    "description": "A moment in RFC 3339: `2026-03-01T22:00:00Z`.",
    "format": "date-time"
});

macro_rules! serialize_as_text {
    ($($type:ident),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}
serialize_as_text!(Dur, Size, Percent, Timestamp);

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl Deref for Dur {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl From<Dur> for Duration {
    fn from(dur: Dur) -> Self {
        dur.0
    }
}

impl From<Duration> for Dur {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl Deref for Size {
    type Target = u64;

    fn deref(&self) -> &u64 {
        &self.0
    }
}

impl From<Size> for u64 {
    fn from(size: Size) -> Self {
        size.0
    }
}

impl From<Size> for usize {
    fn from(size: Size) -> Self {
        size.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dur(text: &str) -> Duration {
        Dur::parse(text).unwrap().0
    }

    #[test]
    fn durations_are_read() {
        assert_eq!(dur("500ms"), Duration::from_millis(500));
        assert_eq!(dur("10s"), Duration::from_secs(10));
        assert_eq!(dur("1.4s"), Duration::from_millis(1400));
        assert_eq!(dur("1h30m"), Duration::from_secs(5400));
        assert_eq!(dur("7d"), Duration::from_secs(7 * 86_400));
        assert_eq!(dur("2w"), Duration::from_secs(14 * 86_400));
        assert_eq!(dur(" 3us "), Duration::from_micros(3));
        assert_eq!(dur("3µs"), Duration::from_micros(3));
        assert_eq!(dur("1ns"), Duration::from_nanos(1));
        assert_eq!(dur("0s"), Duration::ZERO);
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            " ",
            "5",
            "s",
            "5 s",
            "-5s",
            "5x",
            "1.s",
            ".5s",
            "1..5s",
            "5s5s",
            "5s1m",
            "1.5ns",
            "1e3s",
            "999999999w",
            "5S",
        ] {
            assert!(Dur::parse(text).is_err(), "{text:?}");
        }
        let message = Dur::parse(&"9".repeat(500)).unwrap_err();
        assert!(message.chars().count() < 150, "{message}");
    }

    #[test]
    fn durations_are_printed_shortest() {
        for text in
            ["0s", "1ns", "1500us", "500ms", "1.4s", "10s", "1m30s", "1h", "1h30m", "7d", "400d", "1d1h1m1.001s"]
        {
            assert_eq!(Dur::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Dur::parse("24h").unwrap().to_string(), "1d");
        assert_eq!(Dur::parse("90s").unwrap().to_string(), "1m30s");
    }

    #[test]
    fn sizes_are_read_and_printed() {
        for (text, bytes, printed) in [
            ("64MiB", 64 << 20, "64MiB"),
            ("1GiB", 1 << 30, "1GiB"),
            ("512KiB", 512 << 10, "512KiB"),
            ("1.5MiB", 3 << 19, "1536KiB"),
            ("64Mi", 64 << 20, "64MiB"),
            ("64 mib", 64 << 20, "64MiB"),
            ("10MB", 10_000_000, "10MB"),
            ("1000", 1000, "1KB"),
            ("17", 17, "17B"),
            ("17B", 17, "17B"),
            ("0", 0, "0B"),
        ] {
            assert_eq!(Size::parse(text), Ok(Size(bytes)), "{text}");
            assert_eq!(Size(bytes).to_string(), printed);
        }
        for text in ["", "MiB", "-1", "1XiB", "0.3B", "99999999TiB", "1.2.3MiB", "1M"] {
            assert!(Size::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn percentages_and_ratios_are_read() {
        assert_eq!(Percent::parse("99.9%"), Ok(Percent(99.9)));
        assert_eq!(Percent::parse(" 5 % "), Ok(Percent(5.0)));
        assert_eq!(Percent::parse("40"), Ok(Percent(40.0)));
        assert_eq!(Ratio::parse("0.5"), Ok(Ratio(0.5)));
        assert_eq!(Ratio::parse("50%"), Ok(Ratio(0.5)));
        for text in ["", "%", "inf", "NaN%", "ten"] {
            assert!(Percent::parse(text).is_err(), "{text:?}");
            assert!(Ratio::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_duration_reads_back(nanos in any::<u64>(), unit in 0usize..8) {
            let (_, unit_ns) = DURATION_UNITS[unit];
            for nanos in [nanos, (u128::from(nanos) / unit_ns * unit_ns) as u64] {
                let dur = Dur(Duration::from_nanos(nanos));
                prop_assert_eq!(Dur::parse(&dur.to_string()), Ok(dur));
                let json = serde_json::to_string(&dur).unwrap();
                prop_assert_eq!(serde_json::from_str::<Dur>(&json).unwrap(), dur);
            }
        }

        #[test]
        fn a_printed_size_reads_back(bytes in any::<u64>(), shift in 0u32..64) {
            for bytes in [bytes, bytes >> shift << shift] {
                let size = Size(bytes);
                prop_assert_eq!(Size::parse(&size.to_string()), Ok(size));
                let json = serde_json::to_string(&size).unwrap();
                prop_assert_eq!(serde_json::from_str::<Size>(&json).unwrap(), size);
            }
        }

        #[test]
        fn no_text_makes_a_value_panic(text in "\\PC{0,40}|[0-9.]{0,30}[a-zµ%]{0,4}") {
            let _ = (Dur::parse(&text), Size::parse(&text), Percent::parse(&text), Ratio::parse(&text), Timestamp::parse(&text));
            let _ = super::super::Threshold::parse(&text);
        }
    }
}
