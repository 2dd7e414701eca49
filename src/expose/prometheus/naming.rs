//! OTLP names to Prometheus names.
//!
//! - A metric name that comes out is not empty, holds no NUL, and under an underscore strategy is in the legacy set.
//! - A label name that comes out is not empty, holds no NUL and never starts with `__`, which Prometheus keeps for
//!   itself (`__name__`).
//!
//! The rules are those of OpenTelemetry's "Prometheus and OpenMetrics compatibility" and, for the units' words and the
//! four strategies, of Prometheus's own OTLP receiver: what the sidecar exposes and what Prometheus would store from
//! the same OTLP carry one name. Names it refuses are `None` here; the caller counts them.

use crate::config::TranslationStrategy;
use crate::series::Kind;

use super::escaping::{self, Escaping};

/// Names under one strategy and one escaping scheme.
#[derive(Clone, Copy, Debug, Default)]
pub struct Namer {
    pub strategy: TranslationStrategy,
    pub escaping: Escaping,
}

/// A metric's exposed name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricName {
    /// With a counter's `_total`; a histogram's samples add `_bucket`, `_sum` and `_count`.
    pub full: String,
    /// Bytes of `full` that are OpenMetrics's family name: all but the `_total`.
    family_len: usize,
    /// The unit that ends the family's name, such as `seconds`.
    pub unit: Option<String>,
}

impl MetricName {
    /// `target_info`: the labels of an observed app's resource.
    pub fn target_info() -> Self {
        Self { full: "target_info".to_owned(), family_len: "target".len(), unit: None }
    }

    /// OpenMetrics's family name.
    pub fn family(&self) -> &str {
        self.full.get(..self.family_len).unwrap_or(&self.full)
    }
}

impl Namer {
    fn adds_suffixes(self) -> bool {
        use TranslationStrategy::{NoUTF8EscapingWithSuffixes, UnderscoreEscapingWithSuffixes};
        matches!(self.strategy, UnderscoreEscapingWithSuffixes | NoUTF8EscapingWithSuffixes)
    }

    fn underscores(self) -> bool {
        use TranslationStrategy::{UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes};
        matches!(self.strategy, UnderscoreEscapingWithSuffixes | UnderscoreEscapingWithoutSuffixes)
    }

    /// The exposed name of a metric; `None` where nothing of `name` is left.
    pub fn metric(self, name: &str, unit: &str, kind: Kind) -> Option<MetricName> {
        let unit = Unit::parse(unit, kind);
        let translated = match self.strategy {
            TranslationStrategy::UnderscoreEscapingWithSuffixes => tokens_with_suffixes(name, &unit, kind)?,
            TranslationStrategy::UnderscoreEscapingWithoutSuffixes => joined(name)?,
            TranslationStrategy::NoUTF8EscapingWithSuffixes => utf8_with_suffixes(name, &unit, kind)?,
            TranslationStrategy::NoTranslation => utf8(name)?,
        };
        let full = escaping::metric(translated, self.escaping);
        let family = match kind {
            Kind::Counter => full.strip_suffix("_total").unwrap_or(&full),
            Kind::UpDownCounter | Kind::Gauge | Kind::Histogram | Kind::Summary => &full,
        };
        if family.is_empty() {
            return None;
        }
        let family_len = family.len();
        let word = unit.word(self.underscores());
        let ends_with_unit = family.strip_suffix(word.as_str()).is_some_and(|rest| rest.ends_with('_'));
        // A unit has no quotes and no escapes in a UNIT line, so an odd one stays in the name alone.
        let plain = !word.is_empty() && word.chars().all(|character| is_word(character) || character == '_');
        let unit = (self.adds_suffixes() && plain && ends_with_unit).then_some(word);
        Some(MetricName { full, family_len, unit })
    }

    /// The exposed name of an attribute.
    pub fn label(self, key: &str) -> String {
        let mut name = String::with_capacity(key.len() + 4);
        if self.underscores() {
            for character in key.chars() {
                match character {
                    'a'..='z' | 'A'..='Z' | '0'..='9' => name.push(character),
                    _ if name.ends_with('_') => {}
                    _ => name.push('_'),
                }
            }
            if name.starts_with(|first: char| first.is_ascii_digit()) {
                name.insert_str(0, "key_");
            }
        } else {
            name.extend(key.chars().map(|character| if character == '\0' { '\u{FFFD}' } else { character }));
        }
        if name.is_empty() {
            name.push('_');
        }
        let escaped = escaping::label(name, self.escaping);
        if escaped.starts_with("__") {
            return format!("_{}", escaped.trim_start_matches('_'));
        }
        escaped
    }
}

/// A UCUM unit in Prometheus's words: `By/s` is `bytes` and `per_second`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Unit {
    main: String,
    per: String,
    /// Unit `1` on a gauge.
    ratio: bool,
}

impl Unit {
    fn parse(unit: &str, kind: Kind) -> Self {
        let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
        let per = per_word(without_annotation(per));
        Self {
            main: main_word(without_annotation(main)).to_owned(),
            per: if per.is_empty() { String::new() } else { format!("per_{per}") },
            ratio: unit == "1" && kind == Kind::Gauge,
        }
    }

    /// What the unit adds to a name, without the `_` before it.
    fn word(&self, legacy: bool) -> String {
        let clean = |part: &str| if legacy { tokens(part).collect::<Vec<_>>().join("_") } else { part.to_owned() };
        let parts = [clean(&self.main), clean(&self.per), if self.ratio { "ratio".to_owned() } else { String::new() }];
        let present: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        present.join("_")
    }
}

/// A count of things, such as `{request}`, is unitless.
fn without_annotation(part: &str) -> &str {
    if part.contains(['{', '}']) { "" } else { part.trim() }
}

fn main_word(code: &str) -> &str {
    match code {
        "1" => "",
        "%" => "percent",
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tibibytes",
        "KBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        other => other,
    }
}

fn per_word(code: &str) -> &str {
    match code {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        other => other,
    }
}

/// A character of legacy names other than `_`, which separates their words.
fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == ':'
}

fn tokens(name: &str) -> impl Iterator<Item = &str> {
    name.split(|character| !is_word(character)).filter(|token| !token.is_empty())
}

/// Words joined by `_`, then unit and type, each once.
fn tokens_with_suffixes(name: &str, unit: &Unit, kind: Kind) -> Option<String> {
    let mut words: Vec<&str> = tokens(name).collect();
    if words.is_empty() {
        return None;
    }
    let clean = |part: &str| tokens(part).collect::<Vec<_>>().join("_");
    let (main, per) = (clean(&unit.main), clean(&unit.per));
    for suffix in [&main, &per] {
        if !suffix.is_empty() && !words.contains(&suffix.as_str()) {
            words.push(suffix);
        }
    }
    let type_suffix = match kind {
        Kind::Counter => Some("total"),
        Kind::Gauge if unit.ratio => Some("ratio"),
        Kind::Gauge | Kind::UpDownCounter | Kind::Histogram | Kind::Summary => None,
    };
    if let Some(suffix) = type_suffix {
        words.retain(|word| *word != suffix);
        words.push(suffix);
    }
    Some(legacy_start(words.join("_")))
}

/// Other characters become one `_`; underscores stay as they are.
fn joined(name: &str) -> Option<String> {
    let parts = name.split(|character| !is_word(character) && character != '_').filter(|part| !part.is_empty());
    let joined = parts.collect::<Vec<_>>().join("_");
    let has_word = joined.contains(is_word);
    has_word.then(|| legacy_start(joined))
}

fn legacy_start(name: String) -> String {
    if name.starts_with(|first: char| first.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn utf8(name: &str) -> Option<String> {
    (!name.is_empty()).then(|| name.replace('\0', "\u{FFFD}"))
}

/// The name as it is, then unit and type where it does not end in them.
fn utf8_with_suffixes(name: &str, unit: &Unit, kind: Kind) -> Option<String> {
    let name = utf8(name)?;
    let counter = kind == Kind::Counter;
    let mut base = name.as_str();
    for (applies, suffix) in [(unit.ratio, "ratio"), (counter, "total"), (!unit.per.is_empty(), unit.per.as_str())] {
        if applies {
            base = without_suffix(base, suffix);
        }
    }
    let mut suffixed = base.to_owned();
    let ends_in_main = unit.main == base || without_suffix(base, &unit.main).len() < base.len();
    let suffixes = [
        if ends_in_main { "" } else { unit.main.as_str() },
        unit.per.as_str(),
        if counter { "total" } else { "" },
        if unit.ratio { "ratio" } else { "" },
    ];
    for suffix in suffixes.iter().filter(|suffix| !suffix.is_empty()) {
        suffixed.push('_');
        suffixed.push_str(suffix);
    }
    Some(suffixed)
}

/// `name` without `suffix` and the one character that sets it off; `name` where it does not end so.
fn without_suffix<'a>(name: &'a str, suffix: &str) -> &'a str {
    let Some(rest) = name.strip_suffix(suffix) else { return name };
    let before = rest.strip_suffix(|delimiter: char| !delimiter.is_alphanumeric());
    before.filter(|before| !before.is_empty() && !suffix.is_empty()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use TranslationStrategy::{
        NoTranslation, NoUTF8EscapingWithSuffixes, UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes,
    };

    fn full(strategy: TranslationStrategy, name: &str, unit: &str, kind: Kind) -> Option<String> {
        Namer { strategy, escaping: Escaping::AllowUtf8 }.metric(name, unit, kind).map(|name| name.full)
    }

    #[test]
    fn names_of_the_contract() {
        let cases = [
            ("traces.span.metrics.calls", "", Kind::Counter, "traces_span_metrics_calls_total"),
            ("traces.span.metrics.duration", "s", Kind::Histogram, "traces_span_metrics_duration_seconds"),
            ("gen_ai.client.token.usage", "{token}", Kind::Histogram, "gen_ai_client_token_usage"),
            ("gen_ai.client.operation.duration", "s", Kind::Histogram, "gen_ai_client_operation_duration_seconds"),
            ("qiyas.ai.cost_usd", "", Kind::Counter, "qiyas_ai_cost_usd_total"),
            ("qiyas.ai.latency", "s", Kind::Gauge, "qiyas_ai_latency_seconds"),
            ("qiyas.sessions.duration", "s", Kind::Histogram, "qiyas_sessions_duration_seconds"),
            ("qiyas.users.lifetime", "d", Kind::Gauge, "qiyas_users_lifetime_days"),
            ("system.cpu.time", "s", Kind::Counter, "system_cpu_time_seconds_total"),
            ("system.cpu.utilization", "1", Kind::Gauge, "system_cpu_utilization_ratio"),
            ("system.cpu.logical.count", "{cpu}", Kind::UpDownCounter, "system_cpu_logical_count"),
            ("system.uptime", "s", Kind::Gauge, "system_uptime_seconds"),
            ("system.network.io", "By", Kind::Counter, "system_network_io_bytes_total"),
            ("bytes.sent", "By", Kind::Counter, "bytes_sent_total"),
        ];
        for (name, unit, kind, expected) in cases {
            assert_eq!(full(UnderscoreEscapingWithSuffixes, name, unit, kind).as_deref(), Some(expected));
        }
    }

    /// Scenario: odd names and units. Guarantees: what Prometheus's own OTLP translator (1.0.0) printed for them.
    #[test]
    fn agrees_with_prometheus() {
        let cases: [(&str, &str, Kind, [Option<&str>; 4]); 19] = [
            ("a", "1", Kind::Counter, [Some("a_total"), Some("a"), Some("a_total"), Some("a")]),
            (
                "a.ratio.b",
                "1",
                Kind::Gauge,
                [Some("a_b_ratio"), Some("a_ratio_b"), Some("a.ratio.b_ratio"), Some("a.ratio.b")],
            ),
            (
                "total.a",
                "s",
                Kind::Counter,
                [Some("a_seconds_total"), Some("total_a"), Some("total.a_seconds_total"), Some("total.a")],
            ),
            ("x", "{req}/s", Kind::Gauge, [Some("x_per_second"), Some("x"), Some("x_per_second"), Some("x")]),
            ("x", "By/{op}", Kind::Gauge, [Some("x_bytes"), Some("x"), Some("x_bytes"), Some("x")]),
            ("x", "m/s", Kind::Gauge, [Some("x_meters_per_second"), Some("x"), Some("x_meters_per_second"), Some("x")]),
            ("x", "foo{bar}", Kind::Gauge, [Some("x"), Some("x"), Some("x"), Some("x")]),
            (
                "x",
                "MiBy/w",
                Kind::Counter,
                [Some("x_mebibytes_per_week_total"), Some("x"), Some("x_mebibytes_per_week_total"), Some("x")],
            ),
            ("x", "kg.m", Kind::Gauge, [Some("x_kg_m"), Some("x"), Some("x_kg.m"), Some("x")]),
            ("1x", "", Kind::Gauge, [Some("_1x"), Some("_1x"), Some("1x"), Some("1x")]),
            ("x", "%", Kind::Gauge, [Some("x_percent"), Some("x"), Some("x_percent"), Some("x")]),
            ("x.up", "1", Kind::UpDownCounter, [Some("x_up"), Some("x_up"), Some("x.up"), Some("x.up")]),
            ("x", "a/b/c", Kind::Gauge, [Some("x_a_per_b_c"), Some("x"), Some("x_a_per_b/c"), Some("x")]),
            ("a..b__c", "", Kind::Gauge, [Some("a_b_c"), Some("a_b__c"), Some("a..b__c"), Some("a..b__c")]),
            ("x", " s ", Kind::Gauge, [Some("x_seconds"), Some("x"), Some("x_seconds"), Some("x")]),
            (
                "disk.bytes_total",
                "By",
                Kind::Counter,
                [
                    Some("disk_bytes_total"),
                    Some("disk_bytes_total"),
                    Some("disk.bytes_total"),
                    Some("disk.bytes_total"),
                ],
            ),
            (
                "foo_total",
                "1",
                Kind::Counter,
                [Some("foo_total"), Some("foo_total"), Some("foo_total"), Some("foo_total")],
            ),
            ("é", "", Kind::Gauge, [None, None, Some("é"), Some("é")]),
            ("", "", Kind::Gauge, [None, None, None, None]),
        ];
        let strategies = [
            UnderscoreEscapingWithSuffixes,
            UnderscoreEscapingWithoutSuffixes,
            NoUTF8EscapingWithSuffixes,
            NoTranslation,
        ];
        for (name, unit, kind, expected) in cases {
            for (strategy, expected) in strategies.into_iter().zip(expected) {
                assert_eq!(full(strategy, name, unit, kind).as_deref(), expected, "{name} {unit} {strategy:?}");
            }
        }
    }

    #[test]
    fn a_word_that_only_ends_in_a_suffix_is_kept_whole() {
        assert_eq!(
            full(NoUTF8EscapingWithSuffixes, "cart.subtotal", "", Kind::Counter).as_deref(),
            Some("cart.subtotal_total")
        );
        assert_eq!(
            full(NoUTF8EscapingWithSuffixes, "disk.kilobytes", "By", Kind::Gauge).as_deref(),
            Some("disk.kilobytes_bytes")
        );
    }

    #[test]
    fn family_and_unit_for_openmetrics() {
        let namer = Namer::default();
        let counter = namer.metric("system.cpu.time", "s", Kind::Counter).unwrap();
        assert_eq!((counter.family(), counter.unit.as_deref()), ("system_cpu_time_seconds", Some("seconds")));
        let ratio = namer.metric("system.cpu.utilization", "1", Kind::Gauge).unwrap();
        assert_eq!((ratio.family(), ratio.unit.as_deref()), ("system_cpu_utilization_ratio", Some("ratio")));
        let rate = namer.metric("io", "By/s", Kind::Gauge).unwrap();
        assert_eq!((rate.family(), rate.unit.as_deref()), ("io_bytes_per_second", Some("bytes_per_second")));
        // A unit that is not at the end may not stand in a UNIT line.
        let inside = namer.metric("bytes.sent", "By", Kind::Counter).unwrap();
        assert_eq!((inside.family(), inside.unit.as_deref()), ("bytes_sent", None));
        let utf8 = Namer { strategy: NoUTF8EscapingWithSuffixes, escaping: Escaping::AllowUtf8 };
        let odd = utf8.metric("a", "x\"\ny", Kind::Gauge).unwrap();
        assert_eq!((odd.family(), odd.unit.as_deref()), ("a_x\"\ny", None));
        let untranslated = Namer { strategy: NoTranslation, ..utf8 };
        assert_eq!(untranslated.metric("_total", "", Kind::Counter), None, "no family name is left");
        let plain = Namer { strategy: NoTranslation, ..namer }.metric("calls", "", Kind::Counter).unwrap();
        assert_eq!((plain.full.as_str(), plain.family()), ("calls", "calls"));
    }

    #[test]
    fn escaping_applies_after_the_strategy() {
        let namer = |escaping| Namer { strategy: NoUTF8EscapingWithSuffixes, escaping };
        let name = |escaping| namer(escaping).metric("http.requests", "", Kind::Counter).unwrap();
        assert_eq!(name(Escaping::Underscores).full, "http_requests_total");
        assert_eq!(name(Escaping::Dots).full, "http_dot_requests__total");
        assert_eq!(name(Escaping::Values).full, "U__http_2e_requests__total");
        assert_eq!(namer(Escaping::Values).label("http.method"), "U__http_2e_method");
    }

    #[test]
    fn label_names() {
        let legacy = Namer::default();
        let cases = [
            ("http.method", "http_method"),
            ("1a", "key_1a"),
            ("_p", "_p"),
            ("a@b$c", "a_b_c"),
            ("a..b", "a_b"),
            ("a:b", "a_b"),
            ("é", "_"),
            ("", "_"),
            ("__name__", "_name_"),
            ("a\0", "a_"),
        ];
        for (key, expected) in cases {
            assert_eq!(legacy.label(key), expected);
        }
        let utf8 = Namer { strategy: NoTranslation, escaping: Escaping::AllowUtf8 };
        for (key, expected) in
            [("http.method", "http.method"), ("__name__", "_name__"), ("", "_"), ("a\0", "a\u{FFFD}"), ("1a", "1a")]
        {
            assert_eq!(utf8.label(key), expected);
        }
        // Escaped names may not become reserved ones either.
        assert_eq!(Namer { escaping: Escaping::Underscores, ..utf8 }.label("éé"), "_");
    }
}
